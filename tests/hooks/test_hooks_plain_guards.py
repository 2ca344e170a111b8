"""When a call goes past botocore's inside, and when it does not: whoever comes in between gets to see it."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import subprocess
import sys
import threading
from datetime import datetime
from functools import reduce
from types import FunctionType
from unittest import mock

import boto3
import botocore.auth
import botocore.client
import botocore.endpoint
import botocore.hooks
import botocore.httpsession
import botocore.parsers
import botocore.session
import botocore.signers
import pytest
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.credentials import Credentials, DeferredRefreshableCredentials, RefreshableCredentials
from botocore.history import get_global_history_recorder
from botocore.stub import Stubber
from codec_calls import ACCESS
from cycle_support import without_collector
from fork_support import FORKS, QUIET, in_child
from hostile_support import policy
from plain_call_support import EVENTS, GOOD, PARAMS, VERBS, Heard, client_of, counters, outcome, primed, warmed, wire
from plain_call_support import TYPED as TYPED_PARAMS
from shortcut_clients import Rotation, keys, with_credentials
from shortcut_support import NOW, at
from unit_support import core_of
from wire_server import answer

import resilient_ddb as rddb
from resilient_ddb.hooks import plain_calls
from resilient_ddb.hooks.host import copy_with

pytestmark = pytest.mark.usefixtures("without_moto")

KEY = PARAMS["GetItem"]


@pytest.fixture
def server():
    with Heard() as found:
        found.answers = [GOOD["GetItem"]]
        yield found


@pytest.fixture
def client(server):
    found = warmed(client_of(server.url, fast_path=True), server, {"GetItem": KEY})
    yield found
    found.close()


@pytest.fixture
def ordinary(server):
    found = client_of(server.url, fast_path=False)
    yield found
    found.close()


def is_taken(client, params=KEY):
    """Make a call, and return whether it went past botocore's inside."""
    before = counters(client).calls
    client.get_item(**params)
    return counters(client).calls > before


@pytest.mark.parametrize("native", [True, False], ids=["native", "typed"])
def test_every_operation_goes_past_the_installed_botocore_after_its_first_call(server, native):
    client = primed(client_of(server.url, fast_path=True, native=native), server)
    params = PARAMS if native else TYPED_PARAMS
    for number, operation in enumerate(PARAMS, 1):
        server.answers = [GOOD[operation]]
        for _ in range(3):
            outcome(client, operation, params[operation])
        assert counters(client).calls == 2 * number
        assert counters(client).calls_declined == {"the first call": number}
    assert counters(client).taken == 3 * len(PARAMS) + 1
    client.close()


def test_a_process_that_makes_one_call_loads_nothing_for_it(server):
    script = (
        "import sys, boto3, resilient_ddb as rddb;"
        f"table = rddb.table('t', endpoint_url={server.url!r}, session=boto3.Session('a', 'b', region_name='x'));"
        "loaded = lambda: 'resilient_ddb.hooks.plain_calls' in sys.modules;"
        "table.get_item(Key={'pk': 'a'}); assert not loaded();"
        "table.get_item(Key={'pk': 'a'}); assert loaded()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603 - our own script


def test_other_operations_are_none_of_its(server, client):
    server.answers = [answer({"TableNames": []})]
    before = (counters(client).calls, dict(counters(client).calls_declined))
    client.list_tables()
    assert (counters(client).calls, counters(client).calls_declined) == before


# Others.


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("name", ["{}.dynamodb", "{}.dynamodb.GetItem", "{}.*.*", "{}"])
def test_a_handler_sees_what_it_sees_on_botocores_way(server, client, ordinary, event, name):
    seen = {}
    for each in (client, ordinary):
        each.get_item(**KEY)
        found = seen.setdefault(each, [])
        each.meta.events.register(name.format(event), lambda found=found, **given: found.append(sorted(given)))
        server.answers = [[None], GOOD["GetItem"]] if event == "after-call-error" else [GOOD["GetItem"]]
        each.get_item(**KEY)
    assert seen[client] == seen[ordinary]
    is_in_another_form = event == "before-endpoint-resolution" and name.count(".") > 1
    assert seen[client] or event == "after-call-error" or is_in_another_form
    assert counters(client).calls == 1


def test_a_handler_that_leaves_gives_the_path_back(client):
    def handler(**_):
        """Do nothing."""

    assert is_taken(client)
    client.meta.events.register("before-send.dynamodb", handler)
    assert [is_taken(client) for _ in range(3)] == [False] * 3
    client.meta.events.unregister("before-send.dynamodb", handler)
    assert [is_taken(client) for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize("handler", ["attach", "request_created", "before_send", "before_parse", "needs_retry"])
def test_a_handler_of_this_librarys_that_was_taken_away_is_missed(client, handler):
    found = getattr(plain_calls.hooks, handler)
    for event in EVENTS:
        client.meta.events.unregister(f"{event}.dynamodb", found)
    before = counters(client).calls
    for _ in range(3):
        with contextlib.suppress(Exception):  # some can't be done without
            client.get_item(**KEY)
    assert counters(client).calls == before


def test_a_stubber_answers(server, client):
    with Stubber(client) as stubber:
        stubber.add_response("get_item", {"Item": {"pk": {"S": "stubbed"}}}, KEY)
        assert client.get_item(**KEY)["Item"] == {"pk": "stubbed"}
    assert server.heard == []
    assert [is_taken(client) for _ in range(2)] == [False, True]


def _counting(original, calls):
    def function(*args, **kwargs):
        calls.append(args[1:2])
        return original(*args, **kwargs)

    return function


class Proxy:
    """What wrapt puts around a function: it is equal to it, and looks like it."""

    def __init__(self, inner, calls):
        self.inner, self.calls = inner, calls

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def __eq__(self, other):
        return self.inner == other

    def __hash__(self):
        return hash(self.inner)

    def __call__(self, *args, **kwargs):
        self.calls.append(args)
        return self.inner(*args, **kwargs)

    def __get__(self, instance, owner):
        return self if instance is None else Proxy(self.inner.__get__(instance, owner), self.calls)


CLASSES = {
    "_make_api_call": botocore.client.BaseClient,
    "_make_request": botocore.client.BaseClient,
    "_emit_api_params": botocore.client.BaseClient,
    "_convert_to_request_dict": botocore.client.BaseClient,
    "_resolve_endpoint_ruleset": botocore.client.BaseClient,
    "make_request": botocore.endpoint.Endpoint,
    "create_request": botocore.endpoint.Endpoint,
    "prepare_request": botocore.endpoint.Endpoint,
    "_send_request": botocore.endpoint.Endpoint,
    "_send": botocore.endpoint.Endpoint,
    "_get_response": botocore.endpoint.Endpoint,
    "_needs_retry": botocore.endpoint.Endpoint,
    "sign": botocore.signers.RequestSigner,
    "_choose_signer": botocore.signers.RequestSigner,
    "add_auth": botocore.auth.SigV4Auth,
    "parse": botocore.parsers.ResponseParser,
    "_emit": botocore.hooks.HierarchicalEmitter,
    "emit": botocore.hooks.EventAliaser,
    "send": botocore.httpsession.URLLib3Session,
}


@pytest.mark.parametrize("make", [_counting, Proxy], ids=["function", "proxy"])
@pytest.mark.parametrize("name", CLASSES)
def test_a_function_that_is_put_into_a_class_is_called(client, name, make):
    owner, calls = CLASSES[name], []
    assert type(vars(owner)[name]) is FunctionType
    with mock.patch.object(owner, name, make(getattr(owner, name), calls)):
        assert not is_taken(client)
        assert calls
    assert is_taken(client)


def test_a_function_that_is_put_into_the_clients_own_class_is_called(client):
    hardened, _, dynamodb = type(client).__mro__[:3]
    for cls in (hardened, dynamodb):
        for name in ("_make_request", "_convert_to_request_dict"):
            calls = []
            with mock.patch.object(cls, name, _counting(getattr(cls, name), calls)):
                assert not is_taken(client)
            assert calls
    assert is_taken(client)


INSTANCES = {
    "_make_request": (),
    "_convert_to_request_dict": (),
    "make_request": ("_endpoint",),
    "_send": ("_endpoint",),
    "sign": ("_request_signer",),
    "get_auth_instance": ("_request_signer",),
    "emit": ("meta", "events"),
    "_emit": ("meta", "events", "_emitter"),
    "serialize_to_request": ("_serializer",),
    "construct_endpoint": ("_ruleset_resolver",),
    "to_string": ("_user_agent_creator",),
    "send": ("_endpoint", "http_session"),
}
"""Functions of botocore's, and the way from a client to the part that has each."""


@pytest.mark.parametrize("name", INSTANCES)
def test_a_function_that_is_put_into_an_object_is_called(client, name):
    owner = reduce(getattr, INSTANCES[name], client)
    original = getattr(owner, name)
    calls = []

    def function(*args, **kwargs):
        calls.append(args)
        return original(*args, **kwargs)

    with mock.patch.object(owner, name, function):
        assert not is_taken(client)
    assert calls
    assert is_taken(client)


@pytest.mark.parametrize(
    "name", ["_endpoint", "_serializer", "_request_signer", "_ruleset_resolver", "_user_agent_creator"]
)
def test_a_part_that_is_replaced_is_used(client, name):
    calls = []

    class Other:
        def __getattr__(self, attribute):
            calls.append(attribute)
            return getattr(original, attribute)

    original = getattr(client, name)
    setattr(client, name, Other())
    assert not is_taken(client)
    assert calls


def test_client_methods_and_make_api_call_are_honoured(client):
    with mock.patch.object(client, "get_item", return_value={"Item": 1}):
        assert client.get_item(**KEY) == {"Item": 1}
    with mock.patch.object(botocore.client.BaseClient, "_make_api_call", return_value={"Item": 2}):
        assert client.get_item(**KEY) == {"Item": 2}
    with mock.patch.object(client, "_make_api_call", return_value={"Item": 3}):
        assert client.get_item(**KEY) == {"Item": 3}
    assert is_taken(client)


@pytest.mark.parametrize(
    "name", ["botocore", "botocore.endpoint", "botocore.hooks", "botocore.parsers", "botocore.auth"]
)
def test_botocores_debug_log_is_written(client, caplog, name):
    with caplog.at_level(logging.DEBUG, logger=name):
        assert not is_taken(client)
    assert [record for record in caplog.records if record.name.startswith(name)]
    assert is_taken(client)


def test_botocores_history_is_recorded(client):
    recorder, events = get_global_history_recorder(), []
    recorder.add_handler(mock.Mock(emit=lambda name, *_: events.append(name)))
    recorder.enable()
    try:
        assert not is_taken(client)
    finally:
        recorder.disable()
        recorder._handlers.clear()  # noqa: SLF001 - botocore has no public way
    assert events[0] == "API_CALL"
    assert "HTTP_RESPONSE" in events
    assert is_taken(client)


def test_a_paginators_calls_say_so_in_the_user_agent(server, client, ordinary):
    server.answers = [GOOD["Query"]]
    for each in (client, ordinary):
        each.query(**PARAMS["Query"])
    before = counters(client).calls
    server.take()
    for each in (client, ordinary):
        list(each.get_paginator("query").paginate(**PARAMS["Query"]))
    ours, theirs = wire(server.take())
    assert ours == theirs
    assert counters(client).calls == before
    assert counters(client).calls_declined["features for the User-Agent"] == 1


def test_a_config_that_is_changed_counts(server, client):
    client.meta.config.user_agent_extra = "shop/2"
    assert not is_taken(client)
    assert any("shop/2" in line for line in server.take()[-1][0])


# Signatures.


def _made(server, credentials, *, fast_path, endpoint=None, **arguments):
    session = with_credentials(botocore.session.Session(), credentials)
    made = session.create_client("dynamodb", region_name="eu-west-1", endpoint_url=endpoint or server.url, **arguments)
    return primed(rddb.harden(made, policy=policy(fast_path=fast_path)), server)


def _refreshed(rotation):
    return RefreshableCredentials(refresh_using=rotation.refresh, **rotation.first())


TYPED = {"TableName": "t", "Key": {"pk": {"S": "\u043a\u043b\u044e\u0447"}}}
GIVEN = {
    "static": lambda: Credentials(**keys(1)),
    "with a token": lambda: Credentials("AKID1", "secret", "a/token+of=many//parts"),
    "with an account": lambda: Credentials(**keys(1, "1" * 12), method="env"),
    "of a short secret": lambda: Credentials("a", "b"),
    "refreshed": lambda: _refreshed(Rotation()),
}


def _authorizations(server):
    return [sorted(line for line in head if not line.startswith("amz-sdk-invocation-id")) for head, _ in server.take()]


@pytest.mark.parametrize("path", ["", "/", "/gateway/dynamodb", "/a//b"])
@pytest.mark.parametrize("given", GIVEN)
def test_signatures_are_botocores(server, given, path):
    sent = {}
    with at(NOW):
        for way in (True, False):
            client = _made(server, GIVEN[given](), fast_path=way, endpoint=server.url + path)
            client.get_item(**TYPED)  # botocore writes the first body of each operation, in another form
            server.take()
            for _ in range(2):
                client.get_item(**TYPED)
            sent[way] = _authorizations(server)
            assert counters(client).calls == (2 if way and path != "/a//b" else 0)
            client.close()
    assert sent[True] == sent[False]
    assert sent[True][0] == sent[True][1]


class LikeAwscrt(botocore.auth.SigV4Auth):
    """Signs as awscrt does: the same signature, with headers made anew, and the host among them."""

    def add_auth(self, request):
        super().add_auth(request)
        headers = HTTPHeaders()
        for name, value in reversed([*request.headers.items(), ("host", request.url.split("/")[2])]):
            headers.add_header(name, value)
        request.headers = headers


class Wrongly(botocore.auth.SigV4Auth):
    """Signs another text."""

    def string_to_sign(self, request, canonical_request):
        return super().string_to_sign(request, canonical_request) + "."


@pytest.mark.parametrize("home", ["botocore.crt.auth", "shop"])
@pytest.mark.parametrize("cls", [LikeAwscrt, Wrongly])
def test_another_signers_signatures_are_matched_or_left_to_it(server, cls, home):
    add_auth = FunctionType(
        cls.add_auth.__code__,
        {**cls.add_auth.__globals__, "__name__": home},
        "add_auth",
        None,
        cls.add_auth.__closure__,
    )
    signer = type("CrtSigV4Auth", (cls,), {"add_auth": add_auth})
    client = _made(server, Credentials(**keys(1)), fast_path=True)
    with at(NOW), mock.patch.dict(botocore.auth.AUTH_TYPE_MAPS, v4=signer):
        for _ in range(3):
            client.get_item(**TYPED)
        first, *others = _authorizations(server)
        assert counters(client).calls == (2 if (cls, home) == (LikeAwscrt, "botocore.crt.auth") else 0)
    assert others[0] == others[1]
    assert [line.lower() for line in first if line.lower().startswith("host")] == [
        line.lower() for line in others[0] if line.lower().startswith("host")
    ]
    assert not is_taken(client, TYPED)  # with the signer that is there now
    client.close()


def test_a_day_later_the_signature_is_botocores(server):
    ways = [_made(server, GIVEN["with a token"](), fast_path=way) for way in (True, False)]
    for client in ways:
        client.get_item(**TYPED)
    server.take()
    for now in (NOW, NOW.replace(day=22), datetime(2027, 1, 1)):  # noqa: DTZ001 - as botocore's
        with at(now):
            for client in ways:
                client.get_item(**TYPED)
                client.get_item(**TYPED)
        ours, theirs = _halves(_authorizations(server))
        assert ours == theirs
    assert counters(ways[0]).calls == 6
    for client in ways:
        client.close()


def _halves(found):
    return found[: len(found) // 2], found[len(found) // 2 :]


def test_refreshed_credentials_sign_and_their_account_is_asked_for_anew(server):
    """While credentials are fetched the SDK says so in the User-Agent: that call goes its way."""
    rotation = Rotation()
    credentials = RefreshableCredentials(refresh_using=rotation.refresh, **rotation.first())
    client = _made(server, credentials, fast_path=True)
    taken = []
    for _ in range(2):
        taken += [is_taken(client, TYPED) for _ in range(3)]
        rotation.advance()
    used = ["AKID2" if "AKID2/" in " ".join(head) else "AKID1" for head, _ in server.take()]
    assert used == ["AKID1"] * 3 + ["AKID2"] * 3
    assert taken == [False, True, True, False, False, False]  # the second keys are of another account
    client.close()


def test_credentials_that_are_fetched_late_are_no_hindrance(server):
    rotation = Rotation()
    fetched = {**rotation.refresh(), "expiry_time": "2999-01-01T00:00:00Z"}
    client = _made(server, DeferredRefreshableCredentials(lambda: fetched, "test"), fast_path=True)
    assert [is_taken(client, TYPED) for _ in range(4)] == [False, True, True, True]
    client.close()


@pytest.mark.parametrize("change", [{"token": "next"}, {"account_id": "9" * 12}, {"method": "other"}], ids=str)
def test_keys_that_are_changed_in_place_are_used(server, change):
    credentials = Credentials(**keys(1, "1" * 12))
    client = _made(server, credentials, fast_path=True)
    assert [is_taken(client, TYPED) for _ in range(2)] == [False, True]
    for name, value in change.items():
        setattr(credentials, name, value)
    assert is_taken(client, TYPED) == ("token" in change)
    assert ("X-Amz-Security-Token: next" in server.take()[-1][0]) == ("token" in change)
    client.close()


@pytest.mark.parametrize("token", ["two words", "\u00fc", "a\r\nX-Mine: b"], ids=repr)
def test_a_token_that_can_not_be_sent_as_it_is_goes_botocores_way(server, token):
    client = _made(server, Credentials("a", "b", token), fast_path=True)
    for _ in range(3):
        with contextlib.suppress(Exception):
            client.get_item(**TYPED)
    assert counters(client).calls == 0
    assert not any(line.startswith("X-Mine") for head, _ in server.take() for line in head)
    client.close()


def test_nothing_is_signed_without_credentials(server):
    client = _made(server, None, fast_path=True, config=Config(signature_version=botocore.UNSIGNED))
    assert [is_taken(client, TYPED) for _ in range(3)] == [False] * 3
    assert not any(line.startswith("Authorization") for head, _ in server.take() for line in head)
    client.close()


def test_a_table_by_its_arn_has_a_plan_of_its_own(server, client):
    arns = [f"arn:aws:dynamodb:eu-west-1:{digit * 12}:table/t" for digit in "12"]
    calls = [{**KEY, "TableName": name} for name in (*arns, *arns, "t", "u")]
    assert [is_taken(client, params) for params in calls] == [False, False, True, True, True, True]


def test_lambdas_trace_is_sent(server, client, ordinary, monkeypatch):
    ordinary.get_item(**KEY)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    for trace in ("Root=1-a;Parent=b;Sampled=1", "Root=1-\u00fc b\r\n"):
        monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
        server.take()
        assert is_taken(client)
        ordinary.get_item(**KEY)
        ours, theirs = wire(server.take())
        assert ours == theirs
        assert any(line.startswith("X-Amzn-Trace-Id: Root=1-") for line in ours[0])
    monkeypatch.delenv("_X_AMZN_TRACE_ID")
    assert is_taken(client)
    assert not any(line.startswith("X-Amzn-Trace-Id") for line in server.take()[-1][0])


def test_lambdas_trace_is_sent_also_if_the_environment_was_replaced_as_the_path_was_loaded():
    script = (
        "import os, botocore.client;"
        "real, os.environ = os.environ, dict(os.environ);"
        "from resilient_ddb.hooks import plain_calls;"
        "os.environ = real;"
        "assert not plain_calls._may_be_traced();"
        "real['_X_AMZN_TRACE_ID'] = 'Root=1-a';"
        "assert plain_calls._may_be_traced()"
    )
    environment = {name: value for name, value in os.environ.items() if name != "_X_AMZN_TRACE_ID"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)  # noqa: S603 - our own script


# The switch, and what outlives calls.


@pytest.mark.parametrize("switch", [rddb.harden, rddb.set_policy])
def test_a_policy_switches_it_off_and_on(client, switch):
    assert is_taken(client)
    switch(client, policy(fast_path=False))
    assert not is_taken(client)
    switch(client, policy(fast_path=True))
    assert [is_taken(client) for _ in range(2)][-1]


def test_views_of_a_client_share_its_plans(client):
    view = copy_with(client, core_of(client))
    assert is_taken(view)
    ordinary = view._make_request  # noqa: SLF001 - botocore's, in whose place others put their own
    with mock.patch.object(view, "_make_request", side_effect=ordinary) as made:
        assert not is_taken(view)
        assert made.called
        assert is_taken(client)


def test_forty_threads_each_get_their_own(server):
    client = client_of(server.url, fast_path=True)
    lock = threading.Lock()
    wrong = []

    def script(number):
        for at_ in range(25):
            key = {"pk": f"{number}-{at_}"}
            found = client.get_item(TableName="t", Key=key)["Item"]
            if found != key:
                with lock:
                    wrong.append((key, found))

    def echo(_, body):
        return answer({"Item": json.loads(body)["Key"]})

    with mock.patch.object(Heard, "reply", echo):
        threads = [threading.Thread(target=script, args=(number,)) for number in range(40)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert wrong == []
    assert counters(client).calls > 500
    client.close()


@FORKS
@QUIET
def test_a_forked_process_goes_the_same_way_over_connections_of_its_own(server, client):
    connections = server.connections
    assert in_child(lambda: is_taken(client))
    assert server.connections == connections + 1
    assert is_taken(client)
    assert server.connections == connections + 1


@pytest.mark.parametrize("said", ["an item", "an error"])
def test_many_calls_leave_nothing(server, client, said):
    server.answers = [GOOD["GetItem"] if said == "an item" else answer({}, 500)]

    def calls(number):
        for _ in range(number):
            with contextlib.suppress(Exception):
                client.get_item(**KEY)
        core_of(client).clock.waits.clear()
        gc.collect()
        server.take()

    calls(100)
    before = sys.getallocatedblocks()
    calls(300)
    assert sys.getallocatedblocks() - before < 1_500  # a call that is kept has more than five


@pytest.mark.parametrize("operation", PARAMS)
@pytest.mark.parametrize("said", [[None], answer({}, 500), answer({"a": 1})[:-1] + b"x"], ids=["lost", "500", "crc"])
def test_a_failed_call_leaves_no_cycle(server, client, operation, said):
    server.answers = [said]
    outcome(client, operation, PARAMS[operation])
    with without_collector():
        with contextlib.suppress(Exception):
            getattr(client, VERBS[operation])(**PARAMS[operation])
        assert [each for each in gc.get_objects(0) if type(each).__name__ in ("PlainCall", "PlainRequest")] == []


@pytest.mark.parametrize("operation", PARAMS)
def test_a_client_that_is_given_no_endpoint_takes_the_path(operation, monkeypatch):
    with Heard() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        table = rddb.table("t", policy=rddb.Policy(fast_path=True), session=boto3.Session(**ACCESS))
        client = table.meta.client
        server.answers = [GOOD["GetItem"]]
        client.get_item(**PARAMS["GetItem"])  # what the path is made of is loaded with the second call
        server.answers = [GOOD[operation]]
        for _ in range(3):
            getattr(client, VERBS[operation])(**PARAMS[operation])
        state = rddb.status(table).fast_path
        client.close()
    assert (state.calls, state.calls_declined) == (2, {"the first call": 1})


def test_powertools_name_is_in_the_user_agent_of_calls_that_take_the_path(server):
    agents = pytest.importorskip("aws_lambda_powertools.shared.user_agent")
    client = client_of(server.url, fast_path=True)
    events = client.meta.events
    for feature in (agents.DEFAULT_FEATURE, "idempotency"):
        agents.register_feature_to_client(client, feature)
    client = warmed(client, server, {"GetItem": KEY})
    calls = counters(client).calls
    client.get_item(**KEY)
    (taken,) = wire(server.take())
    events.register("request-created", lambda **_: None, unique_id="another's")
    client.get_item(**KEY)
    (declined,) = wire(server.take())
    assert counters(client).calls == calls + 1
    assert taken == declined
    assert any(" PT/idempotency/" in line for line in taken[0])
    client.close()
