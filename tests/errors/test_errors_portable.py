"""Errors through `pickle` and `copy`: each class that botocore has, each of ours, each modelled one."""

import copy
import gc
import pickle
import string
import weakref

import pytest
from botocore import exceptions as botocores
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials
from botocore.errorfactory import ClientExceptionsFactory
from botocore.loaders import create_loader
from botocore.model import ServiceModel
from pickle_support import check

import resilient_ddb as rddb
from resilient_ddb import errors
from resilient_ddb.calls import integrity

FACTS = errors.CallFacts(
    table="t",
    operation="PutItem",
    kind=rddb.ErrorKind.TRANSIENT,
    attempts=2,
    elapsed=0.5,
    ambiguous=True,
    throttling_reasons=(rddb.ThrottlingReason(reason="TableReadProvisionedThroughputExceeded", resource="arn"),),
    stopped_by="ambiguous",
)
RESPONSE = {"Error": {"Code": "Some", "Message": "text"}, "ResponseMetadata": {"HTTPStatusCode": 400}, "Item": {}}
REQUEST = AWSRequest("POST", "http://127.0.0.1/", {"Authorization": "SECRET"}, b"THE ITEM").prepare()


class UnpicklableError(Exception):
    def __reduce__(self):
        raise TypeError("not this one")


class OneWayError(Exception):
    """It can be pickled, and not be made anew: as many are."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def subclasses(cls):
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


def of_botocore():
    wanted = {
        cls
        for cls in (*subclasses(botocores.BotoCoreError), *subclasses(botocores.ClientError))
        if cls.__module__ in (botocores.__name__, integrity.__name__)
    }
    for cls in sorted(wanted, key=lambda cls: cls.__name__):
        if issubclass(cls, botocores.ClientError):
            yield cls.__name__, lambda cls=cls: cls(copy.deepcopy(RESPONSE), "PutItem")
            continue
        names = {name for _, name, _, _ in string.Formatter().parse(cls.fmt) if name}
        arguments = {name: f"some {name}" for name in names}
        if "error" in names:
            arguments["error"] = UnpicklableError("of the connection")
        if issubclass(cls, botocores.WaiterError):
            arguments = {"name": "some name", "reason": "some reason", "last_response": RESPONSE}
        if issubclass(cls, botocores.HTTPClientError):
            arguments["request"] = REQUEST
            arguments["response"] = AWSResponse("http://127.0.0.1/", 200, {}, None)
        yield cls.__name__, lambda cls=cls, arguments=arguments: cls(**arguments)


def modelled():
    model = ServiceModel(create_loader().load_service_model("dynamodb", "service-2"), "dynamodb")
    exceptions = ClientExceptionsFactory().create_client_exceptions(model)
    for shape in model.error_shapes:
        yield f"client.{shape.name}", lambda shape=shape: getattr(exceptions, shape.name)(dict(RESPONSE), "PutItem")
    conflict = errors.conflict_class(exceptions.ConditionalCheckFailedException)
    about = {"table": "t", "attribute": "v", "expected": 1, "current": {"v": 2}}
    yield "a client's VersionConflictError", lambda: conflict(dict(RESPONSE), "PutItem", **about)
    left = [{"PutRequest": {"Item": {"pk": "a"}}}]
    for make in (
        lambda: exceptions.ConditionalCheckFailedException(dict(RESPONSE), "PutItem"),
        lambda: botocores.ConnectionClosedError(endpoint_url="u", request=REQUEST, error=UnpicklableError("gone")),
        lambda: UnicodeDecodeError("utf-8", b"", 0, 1, "why"),
        lambda: ValueError("a bad item"),
    ):
        unprocessed = errors.UnprocessedItemsError(operation_name="BatchWriteItem", table="t", requests=left, why="x")
        unread = errors.UnprocessedKeysError(operation_name="BatchGetItem", table="t", keys=[{"pk": "a"}], why="x")
        for error in (unprocessed, unread):
            name = f"{type(error).__name__} because of {type(make()).__name__}"
            yield name, lambda make=make, error=error: error.because_of(explained(make()))


def ours():
    named = {"operation_name": "PutItem"}
    items = [{"PutRequest": {"Item": {"pk": "a"}}}]
    return {
        "CircuitOpenError": lambda: errors.CircuitOpenError(
            **named, circuit="t/write", state="open", reason="5 of 9", retry_after=1.5
        ),
        "DeadlineExceededError": lambda: errors.DeadlineExceededError(**named, attempts=2, response=dict(RESPONSE)),
        "DuplicateShardItemError": lambda: errors.DuplicateShardItemError(**named, table="t", items=[{"pk": "a"}]),
        "UnprocessedItemsError": lambda: errors.UnprocessedItemsError(**named, table="t", requests=items, why="why"),
        "UnprocessedKeysError": lambda: errors.UnprocessedKeysError(**named, table="t", keys=[{"pk": "a"}], why="why"),
        "VersionConflictError": lambda: errors.VersionConflictError(
            dict(RESPONSE), "PutItem", table="t", attribute="v", expected=1, current=None
        ),
    }


ERRORS = {**dict(of_botocore()), **dict(modelled()), **ours()}
WAYS = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),  # noqa: S301 - our own
    "pickle, protocol 0": lambda error: pickle.loads(pickle.dumps(error, 0)),  # noqa: S301 - our own
    "pickle in Python": lambda error: pickle.loads(pickle._dumps(error)),  # noqa: S301, SLF001 - our own; Python's
    "twice": lambda error: pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error)))),  # noqa: S301 - our own
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def explained(error):
    """Return an error as it leaves the library."""
    errors.attach(error, FACTS)
    error.add_note("and a note")
    error.__cause__ = botocores.ConnectTimeoutError(endpoint_url="u", error=UnpicklableError("late"))
    return error


def test_every_error_of_ours_is_here():
    assert {cls.__name__ for cls in errors.ResilienceError.__subclasses__()} == set(ours())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_survives(name, way):
    error = explained(ERRORS[name]())
    back = WAYS[way](error)
    importable = [
        cls
        for cls in type(error).__mro__
        if getattr(__import__(cls.__module__, fromlist=["x"]), cls.__name__, 0) is cls
    ]
    assert type(back) is importable[0]
    assert (str(back), back.args, back.__notes__) == (str(error), error.args, error.__notes__)
    assert back.resilience == FACTS
    for fact in ("items", "keys", "expected", "current", "circuit", "retry_after"):
        assert getattr(back, fact, None) == getattr(error, fact, None)
    if isinstance(getattr(error, "response", None), dict):
        assert back.response == error.response
    assert type(back.__cause__) is type(error.__cause__)
    assert str(back.__cause__) == str(error.__cause__)


@pytest.mark.parametrize("name", ERRORS)
def test_neither_request_nor_item_nor_credentials_are_in_a_pickle(name):
    error = explained(ERRORS[name]())
    error.someones_own = Credentials("AKIA", "SECRET")
    error.__cause__.request = REQUEST
    text = pickle.dumps(error)
    for secret in (b"SECRET", b"THE ITEM", b"AKIA"):
        assert secret not in text


@pytest.mark.parametrize("cause", [UnpicklableError("why"), OneWayError("this", "that")])
def test_a_cause_that_cant_be_pickled_goes_as_its_type_and_text(cause):
    error = explained(ERRORS["ReadTimeoutError"]())
    error.__cause__ = cause
    back = WAYS["pickle"](error)
    assert str(back.__cause__) == f"{__name__}.{type(cause).__name__}: {cause}"
    assert copy.copy(error).__cause__ is cause


def test_a_cause_that_can_be_goes_as_itself():
    error = explained(ERRORS["ReadTimeoutError"]())
    error.__cause__ = KeyError("pk")
    assert repr(WAYS["pickle"](error).__cause__) == "KeyError('pk')"


def test_a_class_that_says_itself_how_it_is_pickled_has_its_way():
    class OwnError(botocores.ClientError):
        def __reduce__(self):
            return str, ("mine",)

    assert WAYS["pickle"](explained(OwnError(RESPONSE, "PutItem"))) == "mine"


def test_what_makes_an_error_portable_keeps_it_in_no_cycle():
    gc.disable()
    try:
        error = explained(ERRORS["ReadTimeoutError"]())
        seen = weakref.ref(error)
        del error
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("operation", ["BatchGetItem", "BatchWriteItem"])
def test_an_answer_to_a_batch_that_was_not_sent_is_an_error_that_survives(operation):
    error = integrity.foreign_answer(operation, "orders", "a key that was not asked for", {}, 0.1)
    error.__cause__ = ValueError("why")
    check(error)
    assert error.resilience.operation == operation
