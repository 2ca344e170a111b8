"""The Table's own verbs, which do without boto3's ServiceAction: nobody can tell."""

import inspect
import logging
from unittest.mock import patch

import boto3
import pytest
from boto3.docs.docstring import ActionDocstring
from boto3.resources import action, factory
from botocore.stub import Stubber

import resilient_ddb as rddb

VERBS = ("get_item", "put_item", "update_item", "delete_item", "query", "scan")
ANSWER = {"ResponseMetadata": {}}


class Client:
    """In the place of a client's methods: takes down what they are called with."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def method(*args, **kwargs):
            self.calls.append((name, args, list(kwargs.items())))
            return ANSWER

        return method


@pytest.fixture
def plain(aws_env):
    return boto3.resource("dynamodb").Table("orders")


@pytest.fixture
def ours(aws_env):
    return rddb.table("orders")


@pytest.fixture
def session(aws_env):
    """A session on whose hooks a test may be."""
    return boto3.session.Session()


def without_boto3():
    return patch.object(action, "create_request_parameters", side_effect=AssertionError("boto3's own way"))


def spied(table, verb, *args, **kwargs):
    """Call a verb with no client beneath it, and return its calls, its answer or error, and whether data was kept."""
    client, table.meta.data = Client(), {"TableArn": "old"}
    with patch.object(table.meta, "client", client):
        try:
            answer = getattr(table, verb)(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - any
            answer = (type(error), str(error))
    return client.calls, answer, table.meta.data


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((), {"Key": {"pk": "a"}, "Any": 1}),
        ((), {"Key": 1, "TableName": "another"}),
        (("by position",), {}),
        (("by position",), {"Key": 1}),
    ],
)
def test_the_clients_method_is_called_as_boto3_calls_it(plain, ours, verb, args, kwargs):
    expected = spied(plain, verb, *args, **kwargs)
    found = spied(ours, verb, *args, **kwargs)
    assert found == expected
    assert found[1] is ANSWER
    assert found[2] is None


@pytest.mark.parametrize("verb", VERBS)
def test_boto3s_way_is_left_out(ours, verb):
    made = action.ServiceAction.__call__.__code__
    frames = []

    def method(**_):
        frames.extend(frame.frame.f_code for frame in inspect.stack())
        return ANSWER

    with patch.object(ours.meta.client, verb, method, create=True):
        assert getattr(ours, verb)() is ANSWER
    assert made not in frames


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_looks_as_boto3s(plain, ours, verb):
    expected, found = getattr(type(plain), verb), getattr(type(ours), verb)
    for name in ("__name__", "__qualname__", "__module__"):
        assert getattr(found, name) == getattr(expected, name)
    assert type(found.__doc__) is ActionDocstring
    assert str(found.__doc__) == str(expected.__doc__)
    assert str(inspect.signature(found)) == str(inspect.signature(expected))


@pytest.mark.parametrize("verb", VERBS)
def test_wrong_arguments_have_the_same_errors(plain, ours, verb):
    for args, kwargs in (((1,), {}), ((), {"NoSuch": 1}), ((), {"Key": 1, "Item": 1}), ((), {"TableName": 5})):
        errors = []
        for table in (plain, ours):
            with Stubber(table.meta.client), pytest.raises(Exception) as caught:  # noqa: PT011 - compared
                getattr(table, verb)(*args, **kwargs)
            errors.append((type(caught.value), str(caught.value)))
        assert errors[0] == errors[1]
    with pytest.raises(TypeError) as of_ours:
        getattr(type(ours), verb)()
    with pytest.raises(TypeError) as of_boto3:
        getattr(type(plain), verb)()
    assert str(of_ours.value) == str(of_boto3.value)


@pytest.mark.parametrize("verb", VERBS)
def test_data_is_kept_if_the_call_fails(ours, verb):
    ours.meta.data = {"TableArn": "old"}
    with patch.object(ours.meta.client, verb, side_effect=OSError, create=True), pytest.raises(OSError):  # noqa: PT011
        getattr(ours, verb)()
    assert ours.meta.data == {"TableArn": "old"}


@pytest.mark.parametrize("verb", VERBS)
def test_boto3s_debug_log_is_written(plain, ours, verb, caplog):
    logs = []
    for table in (plain, ours):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "boto3.resources.action"):
            spied(table, verb, Key={"pk": "a"})
        logs.append([(each.name, each.funcName, each.lineno, each.getMessage()) for each in caplog.records])
    assert len(logs[0]) == 2
    assert logs[0] == logs[1]


def test_a_replaced_part_of_boto3s_is_used(ours):
    def patched(self, parent, *args, **kwargs):
        return "patched", args, kwargs

    with patch.object(action.ServiceAction, "__call__", patched):
        assert ours.get_item(Key=1) == ("patched", (), {"Key": 1})
    with without_boto3(), pytest.raises(AssertionError, match="boto3's own way"):
        ours.get_item(Key=1)


def test_what_hooks_have_made_of_a_verb_stays(session):
    def mine(self, **kwargs):
        return "mine", kwargs

    def override(class_attributes, **_):
        class_attributes["get_item"] = mine

    session.events.register("creating-resource-class.dynamodb.Table", override)
    ours = rddb.harden(session).resource("dynamodb").Table("orders")
    assert ours.get_item(Key=1) == ("mine", {"Key": 1})
    assert rddb.table("orders", session=session).get_item(Key=1) == ("mine", {"Key": 1})


def test_what_hooks_wrap_is_called(session):
    calls = []

    def wrap(class_attributes, **_):
        original = class_attributes["get_item"]

        def wrapper(self, *args, **kwargs):
            calls.append(kwargs)
            return original(self, *args, **kwargs)

        class_attributes["get_item"] = wrapper

    session.events.register("creating-resource-class.dynamodb.Table", wrap)
    table = rddb.table("orders", session=session)
    assert spied(table, "get_item", Key=1)[0] == [("get_item", (), [("TableName", "orders"), ("Key", 1)])]
    assert calls == [{"Key": 1}]


def test_a_service_action_of_others_is_used(session):
    class Mine(action.ServiceAction):
        def __call__(self, parent, *args, **kwargs):
            return "mine"

    with patch.object(factory, "ServiceAction", Mine):
        table = rddb.table("orders", session=session)
    assert table.get_item(Key=1) == "mine"


def test_a_subclass_overrides_a_verb_and_a_name(ours):
    class Mine(type(ours)):
        name = "mine"

        def get_item(self, **kwargs):
            return super().get_item(**kwargs, More=1)

    table = Mine("orders", client=ours.meta.client)
    assert spied(table, "get_item", Key=1)[0] == [("get_item", (), [("TableName", "mine"), ("Key", 1), ("More", 1)])]
