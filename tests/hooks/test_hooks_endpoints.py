"""Endpoints: what was remembered is what botocore would resolve, and only as long as it would."""

import threading
from types import SimpleNamespace

import botocore.session
import pytest
from botocore.config import Config
from botocore.context import ClientContext, get_context, start_as_current_context
from botocore.credentials import Credentials
from botocore.hooks import HierarchicalEmitter
from botocore.regions import EndpointRulesetResolver
from botocore.useragent import register_feature_id
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from shortcut_clients import keys, with_credentials
from shortcut_support import ARN, CALLS, REGION, TABLES, counted

from resilient_ddb.calls.flows import run
from resilient_ddb.hooks.endpoints import EndpointMemory, _features_apart
from resilient_ddb.sync.clients import SyncHost

MODEL = botocore.session.get_session().get_service_model("dynamodb")
GET, SCAN, LIST, BATCH = (MODEL.operation_model(name) for name in ("GetItem", "Scan", "ListTables", "BatchGetItem"))
ENDPOINT = SimpleNamespace(url="https://dynamodb.example", properties={}, headers={})


class Events:
    """A client's events: an emitter behind another's face."""

    def __init__(self):
        self.emitter = self._emitter = HierarchicalEmitter()


def make_memory(events=None, **builtins):
    return EndpointMemory(SimpleNamespace(_builtins=builtins), events or Events())


def handler(**_):
    pass


# What an endpoint depends on.


tables = st.sampled_from(TABLES) | st.text(max_size=3)
asked = st.tuples(st.sampled_from([GET, SCAN]), tables, st.sampled_from([(), (None,), ("1" * 12,), ("orders",)]))


@given(asked, asked)
def test_keys_are_equal_for_what_is_equal(one, two):
    memory = make_memory()
    found = [memory.key(model, {"TableName": table, "Limit": 1}, accounts) for model, table, accounts in (one, two)]
    assert None not in found
    assert (found[0] == found[1]) == ([one[0].name, *one[1:]] == [two[0].name, *two[1:]])


def test_other_parameters_do_not_matter():
    memory = make_memory()
    assert memory.key(GET, {"TableName": "t", "Key": {"a": [1]}}, ()) == memory.key(GET, {"TableName": "t"}, ())
    assert memory.key(LIST, {"Limit": 1}, ()) == memory.key(LIST, {"Limit": 2}, ()) is not None
    assert memory.key(GET, {}, ()) is not None


class Text(str):
    """A string of another class, which may be equal to what it likes."""

    __slots__ = ()


@pytest.mark.parametrize("table", [1, b"t", ["t"], Text("t"), True, {}], ids=repr)
def test_what_is_no_plain_text_has_no_key(table):
    memory = make_memory()
    assert memory.key(GET, {"TableName": table}, ()) is None
    assert memory.key(GET, {"TableName": "t"}, (table,)) is None


def test_parameters_that_are_looked_for_in_depth_have_no_key():
    assert make_memory().key(BATCH, CALLS["BatchGetItem"], ()) is None


EVENTS = [
    "before-endpoint-resolution.dynamodb",
    "before-endpoint-resolution.*",
    "before-endpoint-resolution",
    "*.dynamodb",
    "*",
]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("way", ["register", "register_first", "register_last"])
def test_while_a_handler_has_a_say_there_is_no_key(event, way):
    events = Events()
    memory = make_memory(events)
    before = memory.key(GET, {"TableName": "t"}, ())
    assert before is not None
    getattr(events.emitter, way)(event, handler)
    assert memory.key(GET, {"TableName": "t"}, ()) is None
    events.emitter.unregister(event, handler)
    assert memory.key(GET, {"TableName": "t"}, ()) == before


@pytest.mark.parametrize("event", ["before-endpoint-resolution.s3", "before-call.dynamodb", "before-endpoint"])
def test_handlers_of_other_events_do_not_matter(event):
    events = Events()
    events.emitter.register(event, handler)
    assert make_memory(events).key(GET, {"TableName": "t"}, ()) is not None


def test_accounts_are_asked_of_those_who_know():
    memory = make_memory(region="r", account=lambda: "1" * 12, fips=False, endpoint=None, other=str)
    construct = memory.remembering(lambda *_: ENDPOINT, run)
    assert construct(GET, {"TableName": "t"}, {}) is ENDPOINT
    assert memory.recall(memory.key(GET, {"TableName": "t"}, ("1" * 12, ""))) is ENDPOINT


# What is remembered.


def test_nothing_is_known_at_first():
    assert make_memory().recall(("GetItem", "t")) is None


def test_an_endpoint_is_recalled_with_its_features():
    memory = make_memory()
    memory.keep(("GetItem", "t"), ENDPOINT, {"O", "T"})
    with start_as_current_context(ClientContext(features={"A", "T"})):
        assert memory.recall(("GetItem", "t")) is ENDPOINT
        assert get_context().features == {"A", "O", "T"}
    assert memory.recall(("GetItem", "t")) is ENDPOINT, "also where botocore keeps no account of features"
    assert memory.recall(("GetItem", "u")) is None


def test_features_that_are_kept_are_not_those_of_the_call():
    memory, features = make_memory(), {"O"}
    memory.keep(("GetItem", "t"), ENDPOINT, features)
    features.add("B")
    with start_as_current_context(ClientContext()):
        memory.recall(("GetItem", "t"))
        get_context().features.add("C")
    with start_as_current_context(ClientContext()):
        memory.recall(("GetItem", "t"))
        assert get_context().features == {"O"}


def test_there_is_an_end_to_what_is_remembered():
    memory = make_memory()
    for number in range(2500):
        memory.keep(("GetItem", str(number)), ENDPOINT, set())
        assert memory.recall(("GetItem", str(number))) is ENDPOINT
        if number % 500 == 499:
            assert sum(memory.recall(("GetItem", str(older))) is ENDPOINT for older in range(number)) <= 1000


# Features.


def test_features_that_come_into_use_meanwhile_are_told_apart():
    with start_as_current_context(ClientContext(features={"A", "B"})):
        with _features_apart() as features:
            get_context().features |= {"B", "C"}
        assert features == {"B", "C"}
        assert get_context().features == {"A", "B", "C"}
        with _features_apart() as features:
            pass
        assert features == set()
        assert get_context().features == {"A", "B", "C"}


def test_features_stay_after_an_error():
    def fail():
        with _features_apart():
            register_feature_id("WAITER")
            raise KeyError

    with start_as_current_context(ClientContext(features={"A"})):
        with pytest.raises(KeyError):
            fail()
        assert get_context().features == {"A", "B"}


def test_features_where_botocore_keeps_no_account_of_them():
    with _features_apart():
        register_feature_id("WAITER")
    assert get_context() is None


# As botocore resolves.


def make_client(*, hardened, **arguments):
    session = with_credentials(botocore.session.Session(), arguments.pop("credentials", Credentials(**keys(1))))
    client = session.create_client("dynamodb", **{"region_name": REGION, **arguments})
    return SyncHost.install(client, None) if hardened else client


def resolved(client, operation, params):
    try:
        with start_as_current_context(ClientContext()):
            model = MODEL.operation_model(operation)
            resolver = client._ruleset_resolver  # noqa: SLF001 - botocore's, whose answers are compared
            found = resolver.construct_endpoint(operation_model=model, call_args=params, request_context={})
            return found.url, found.properties, found.headers, get_context().features
    except Exception as error:  # noqa: BLE001 - whatever botocore raises is to be raised
        return type(error), str(error)


arns = st.builds(
    "arn:{}:{}:{}:{}:{}".format,
    st.sampled_from(["aws", "aws-cn", "other"]),
    st.sampled_from(["dynamodb", "s3", ""]),
    st.sampled_from([REGION, "us-east-1", ""]),
    st.sampled_from(["1" * 12, "2" * 12, "x", ""]),
    st.sampled_from(["table/orders", "table/orders/index/i", "tables/orders", ""]),
)
names = arns | st.sampled_from([*TABLES, "", None, 5])
questions = st.tuples(st.sampled_from([*CALLS, "ImportTable"]), names)


def params_for(operation, name):
    if operation == "ImportTable":
        return {"TableCreationParameters": {"TableName": name}}
    return {**CALLS[operation], "TableName": name} if "TableName" in CALLS[operation] else CALLS[operation]


@pytest.mark.parametrize("mode", ["preferred", "disabled", "required"])
@pytest.mark.parametrize("account", [None, "1" * 12])
def test_endpoints_are_those_that_botocore_resolves(mode, account):
    arguments = {"config": Config(account_id_endpoint_mode=mode), "credentials": Credentials(**keys(1, account))}
    theirs, ours = make_client(hardened=False, **arguments), make_client(hardened=True, **arguments)

    @examples(100)
    @given(st.lists(questions, max_size=8))
    def compare(sequence):
        for operation, name in (*sequence, *sequence):
            params = params_for(operation, name)
            assert resolved(ours, operation, params) == resolved(theirs, operation, params)

    compare()


def test_parameters_may_be_left_out_where_botocore_lets_them():
    theirs, ours = make_client(hardened=False), make_client(hardened=True)
    for operation in ("ListTables", "GetItem", "BatchGetItem") * 2:
        assert resolved(ours, operation, None) == resolved(theirs, operation, None)


def test_an_error_is_not_remembered():
    credentials = Credentials(**keys(1))
    client = make_client(hardened=True, credentials=credentials, config=Config(account_id_endpoint_mode="required"))
    refused = resolved(client, "ListTables", {})
    assert refused == resolved(client, "ListTables", {})
    credentials.account_id = "1" * 12
    assert resolved(client, "ListTables", {})[0] == f"https://{'1' * 12}.ddb.{REGION}.amazonaws.com"


class Refreshed(Credentials):
    """Credentials that others refresh meanwhile: each time that the account is asked for, the next one is given."""

    account_id = property(
        lambda self: self.accounts.pop(0) if len(self.accounts) > 1 else self.accounts[0],
        lambda self, account: setattr(self, "accounts", [account]),
    )


def test_an_account_that_changes_meanwhile_is_not_mixed_up():
    credentials = Refreshed(**keys(1))
    client = make_client(hardened=True, credentials=credentials)
    credentials.accounts = ["1" * 12, "2" * 12]
    resolved(client, "GetItem", {"TableName": "t"})
    credentials.accounts = ["1" * 12]
    assert resolved(client, "GetItem", {"TableName": "t"})[0] == f"https://{'1' * 12}.ddb.{REGION}.amazonaws.com"


def test_threads_get_the_endpoints_of_their_own_tables():
    theirs, ours = make_client(hardened=False), make_client(hardened=True)
    names = [ARN.format(REGION, str(number) * 12) for number in range(8)]
    expected = {name: resolved(theirs, "GetItem", {"TableName": name}) for name in names}
    found = []

    def resolve(name):
        found.extend((name, resolved(ours, "GetItem", {"TableName": name})) for _ in range(50))

    threads = [threading.Thread(target=resolve, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 400
    assert all(answer == expected[name] for name, answer in found)


def test_an_endpoint_is_resolved_once():
    client = make_client(hardened=True)
    with counted(resolved=(EndpointRulesetResolver, "_get_provider_params")) as counts:
        for _ in range(5):
            resolved(client, "GetItem", {"TableName": "orders"})
        assert counts["resolved"] == 1
        resolved(client, "GetItem", {"TableName": "customers"})
        assert counts["resolved"] == 2
        for _ in range(3):
            resolved(client, "BatchGetItem", CALLS["BatchGetItem"])
        assert counts["resolved"] == 5
