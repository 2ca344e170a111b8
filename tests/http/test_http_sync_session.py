"""The sync session: what it takes and what it leaves to botocore's, its connections, and its deadlines."""

from __future__ import annotations

import datetime as dt
import http.client
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import boto3
import botocore.awsrequest
import botocore.session
import pytest
import urllib3.connectionpool
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, HTTPClientError
from botocore.httpsession import URLLib3Session
from codec_calls import ACCESS
from fork_support import FORKS, QUIET, in_child
from http_support import PATIENT, Authority, TlsServer, counters, lean, table_at
from sdk_support import http_session_of, sockets_to
from shortcut_clients import with_credentials
from unit_support import SleepingClock
from urllib3._collections import HTTPHeaderDict
from wire_server import SaysMore, WireServer, answer

import resilient_ddb as rddb
from resilient_ddb.http.sync_connections import Connection
from resilient_ddb.http.sync_session import LeanSession, _Headers, _read_timeout
from resilient_ddb.testing import FakeClock

KEY = {"pk": "a"}
ADD = {"Key": KEY, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
PATIENCE = 20.0
ROOT = Path(__file__).parents[2]


def of_key(operation, params, number):
    """Say the item of the key that was asked for."""
    return [answer({"Item": params["Key"]}) if operation == "GetItem" else answer({})]


@pytest.fixture
def server():
    with WireServer(of_key) as running:
        yield running


@pytest.fixture
def make():
    """Return a function that makes a Table, which is closed after the test."""
    made = []

    def table(url, **options):
        made.append(table_at(url, **options))
        return made[-1]

    yield table
    for each in made:
        each.meta.client.close()


def policy(**settings):
    return rddb.Policy(**{"timeouts": PATIENT, "clock": FakeClock(), "circuit_breaker": None, **settings})


def waiting(table):
    """Return how many connections of a Table wait for a request."""
    return rddb.status(table).connections.idle


def can_be_read(connections):
    """Return whether something came that nobody has read: a connection's end, or more than was due."""
    return bool(select.select(connections, [], [], 0)[0])


def until(holds):
    """Return once something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


# What is taken.


def test_a_plain_request_is_taken_and_the_connection_used_again(server, make):
    table = make(server.url)
    for key in "abc":
        assert table.get_item(Key={"pk": key})["Item"] == {"pk": key}
    table.put_item(Item=KEY)
    assert (counters(table).taken, counters(table).declined, counters(table).reason) == (4, {}, None)
    assert (server.connections, waiting(table)) == (1, 1)


def test_what_is_sent_is_what_botocore_sends():
    seen = []

    def listening():
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE)
        return listener

    for way in (True, False):
        with listening() as listener:

            def serve(listener=listener):
                connected, _ = listener.accept()
                with connected, connected.makefile("rb") as reader:
                    lines = list(iter(reader.readline, b"\r\n"))
                    seen.append(sorted(line for line in lines if not line.lower().startswith(CHANGING)))
                    connected.sendall(answer({}))

            thread = threading.Thread(target=serve)
            thread.start()
            table = table_at(f"http://127.0.0.1:{listener.getsockname()[1]}", policy=policy(fast_path=way))
            table.get_item(Key=KEY)
            thread.join()
            table.meta.client.close()
            seen[-1] = [line.replace(str(listener.getsockname()[1]).encode(), b"PORT") for line in seen[-1]]
    assert seen[0] == seen[1]
    assert b"Host: 127.0.0.1:PORT\r\n" in seen[0]


CHANGING = (b"x-amz-date", b"authorization", b"amz-sdk-invocation-id")


def test_an_answer_is_botocores(server, make):
    found = []
    table = make(server.url)
    table.meta.client.meta.events.register(
        "after-call.dynamodb.GetItem", lambda http_response, **_: found.append(http_response)
    )
    table.get_item(Key=KEY)
    (response,) = found
    assert isinstance(response, botocore.awsrequest.AWSResponse)
    assert response.headers["X-AMZN-RequestID"] == "R"
    assert (response.text, response.raw.status, b"".join(response.raw.stream())) == (
        '{"Item": {"pk": {"S": "a"}}}',
        200,
        b"",
    )


def test_headers_are_used_as_botocores_are():
    pairs = [("A", "1"), ("b-C", "2"), ("a", "3")]
    ours = _Headers(pairs)
    theirs = botocore.awsrequest.HeadersDict(HTTPHeaderDict(pairs))

    def seen(headers):
        return (
            dict(headers.items()),
            list(headers),
            len(headers),
            repr(headers),
            "B-c" in headers,
            1 in ours,
            headers.get("x"),
        )

    assert seen(ours) == seen(theirs)
    assert ours == theirs
    for headers in (ours, theirs):
        headers["B-C"] = "4"
        headers["new"] = "5"
        del headers["a"]
        with pytest.raises(KeyError):
            headers["a"]
    assert seen(ours) == seen(theirs)
    assert seen(ours.copy()) == seen(theirs.copy())


def test_a_session_looks_like_botocores(server, make):
    session = lean(make(server.url, config=Config(max_pool_connections=7)))
    assert session._max_pool_connections == 7  # noqa: SLF001 - botocore's own, which some programs look at
    assert session._timeout.read_timeout == 30.0  # noqa: SLF001 - as above
    assert not hasattr(session, "unheard_of")


# What is left to botocore's.


@pytest.mark.parametrize(
    ("fast_path", "variable", "is_on"),
    [
        (None, None, True),
        (None, "0", False),
        (None, "1", True),
        (None, "", True),
        (True, "0", True),
        (False, "1", False),
    ],
)
def test_the_argument_wins_over_the_environment(server, make, monkeypatch, fast_path, variable, is_on):
    monkeypatch.delenv("RESILIENT_DDB_FAST_PATH", raising=False)
    if variable is not None:
        monkeypatch.setenv("RESILIENT_DDB_FAST_PATH", variable)
    table = make(server.url, policy=policy(fast_path=fast_path))
    table.get_item(Key=KEY)
    assert type(lean(table)) is (LeanSession if is_on else URLLib3Session)
    assert counters(table).taken == int(is_on)
    assert counters(table).reason == (None if is_on else "switched off")


def test_it_can_be_switched_off_and_on_for_a_client_that_exists(server, make):
    table = make(server.url, policy=policy())
    table.get_item(Key=KEY)
    session = lean(table)
    rddb.harden(table, policy=policy(fast_path=False))
    assert lean(table) is session.original
    assert session.counted() == (0, 0)
    table.get_item(Key=KEY)
    rddb.harden(table, policy=policy(fast_path=True))
    table.get_item(Key=KEY)
    assert counters(table).taken == 2
    rddb.harden(table)
    assert type(lean(table).original) is URLLib3Session


def test_somebody_elses_session_stays(server):
    class Own(URLLib3Session):
        pass

    client = boto3.Session(**ACCESS).client("dynamodb", endpoint_url=server.url)
    http_session_of(client).close()
    client._endpoint.http_session = own = Own()  # noqa: SLF001 - botocore has no public way
    rddb.harden(client)
    assert http_session_of(client) is own
    assert rddb.status(client).fast_path.reason == "another HTTP session"
    client.get_item(TableName="t", Key={"pk": {"S": "a"}})
    client.close()


class Equal:
    """Is equal to what it stands for, as wrapt's proxies are."""

    def __init__(self, wrapped, seen):
        self.wrapped, self.seen = wrapped, seen

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        return partial(self, instance)

    def __call__(self, *args, **kwargs):
        self.seen.append(1)
        return self.wrapped(*args, **kwargs)

    def __eq__(self, other):
        return other is self.wrapped

    __hash__ = None


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (URLLib3Session, "send"),
        (urllib3.connectionpool.HTTPConnectionPool, "urlopen"),
        (urllib3.connectionpool.HTTPConnectionPool, "_make_request"),
        (urllib3.connection.HTTPConnection, "request"),
        (botocore.awsrequest.AWSConnection, "request"),
        (botocore.awsrequest.AWSConnection, "send"),
        (http.client.HTTPConnection, "putrequest"),
        (http.client.HTTPConnection, "getresponse"),
        (http.client.HTTPConnection, "send"),
        (http.client.HTTPResponse, "begin"),
    ],
)
def test_what_somebody_puts_below_botocore_sees_every_request(server, make, monkeypatch, owner, name):
    table = make(server.url)
    table.get_item(Key=KEY)
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, Equal(vars(owner)[name], seen))
        table.get_item(Key=KEY)
        assert seen
        assert counters(table).declined == {"somebody's own parts below botocore": 1}
    table.get_item(Key=KEY)
    assert counters(table).taken == 2


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (botocore.awsrequest.AWSHTTPConnectionPool, "ConnectionCls"),
        (botocore.awsrequest, "AWSHTTPConnection"),
        (urllib3.connectionpool.HTTPConnectionPool, "ConnectionCls"),
        (http.client, "HTTPConnection"),
        (socket, "socket"),
    ],
)
def test_so_does_a_class_that_somebody_puts_there(server, make, monkeypatch, owner, name):
    class Own(getattr(owner, name)):
        pass

    table = make(server.url)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, Own)
        table.get_item(Key=KEY)
    assert (counters(table).taken, sum(counters(table).declined.values())) == (0, 1)


BEFORE = """
import http.client
whole = http.client.HTTPConnection.putrequest
http.client.HTTPConnection.putrequest = lambda self, *args, **kwargs: whole(self, *args, **kwargs)
from resilient_ddb.http.sync_guards import is_untouched
assert not is_untouched()
http.client.HTTPConnection.putrequest = whole
assert not is_untouched()
"""


def test_so_does_what_was_there_before_this_library():
    subprocess.run([sys.executable, "-c", BEFORE], check=True, cwd=ROOT)  # noqa: S603 - the program above


def test_so_does_the_session_of_one_client(server, make, monkeypatch):
    table = make(server.url)
    monkeypatch.setattr(lean(table).original, "send", lambda request: pytest.fail("as asked"), raising=False)
    with pytest.raises(pytest.fail.Exception):
        table.get_item(Key=KEY)


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("a proxy", {"config": Config(proxies={"http": "PROXY"})}),
        ("the form of the URL", {"path": "/a\u00e9"}),
    ],
)
def test_what_is_unusual_goes_botocores_way(server, make, reason, options):
    options = dict(options)
    url = server.url + options.pop("path", "")
    if "config" in options:
        options["config"] = Config(proxies={"http": server.url})
    table = make(url, **options)
    assert table.get_item(Key=KEY)["Item"] == KEY
    assert (counters(table).taken, counters(table).declined) == (0, {reason: 1})


def test_a_client_with_a_certificate_of_its_own_goes_botocores_way(server, make):
    table = make(server.url, config=Config(client_cert="client.pem"))
    assert table.get_item(Key=KEY)["Item"] == KEY
    assert counters(table).declined == {"a client certificate": 1}


def test_whoever_reads_urllib3s_debug_log_finds_the_requests_there(server, make, caplog):
    table = make(server.url)
    with caplog.at_level(logging.DEBUG, "urllib3.connectionpool"):
        table.get_item(Key=KEY)
    assert '"POST / HTTP/1.1" 200' in caplog.text
    table.get_item(Key=KEY)
    assert (counters(table).taken, counters(table).declined) == (1, {"a debug log of urllib3's": 1})


@pytest.mark.parametrize("header", ["Expect", "Upgrade", "Connection", "Host"])
def test_so_does_a_header_that_asks_for_more(server, make, header):
    table = make(server.url)
    table.meta.client.meta.events.register(
        "before-send.dynamodb.GetItem", lambda request, **_: request.headers.__setitem__(header, "x")
    )
    table.get_item(Key=KEY)
    assert counters(table).declined == {"the headers": 1}


@pytest.mark.parametrize(
    ("name", "value"), [("x-a", "b\r\nx-c: d"), ("x-a", "b\nc"), ("x-a\r\nx-c", "d"), ("x a", "b")]
)
def test_a_header_that_is_injected_comes_to_what_it_does_with_botocore(server, make, name, value):
    def seen(way):
        table = make(server.url, policy=policy(fast_path=way, retry=rddb.Retry(max_attempts=1)))
        table.meta.client.meta.events.register(
            "before-send.dynamodb.GetItem", lambda request, **_: request.headers.__setitem__(name, value)
        )
        try:
            return table.get_item(Key=KEY)["Item"]
        except BotoCoreError as error:
            return type(error), str(error)

    assert seen(True) == seen(False)


@pytest.mark.parametrize("hosts", ["127.0.0.1", "localhost,127.0.0.1"])
def test_that_a_host_needs_no_proxy_is_no_proxy(server, make, monkeypatch, hosts):
    monkeypatch.setenv("NO_PROXY", hosts)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    table = make(server.url)
    table.get_item(Key=KEY)
    assert counters(table).taken == 1


def test_a_key_with_line_ends_in_it_is_a_key(server, make):
    key = {"pk": "a\r\nX-Amz-Target: DynamoDB_20120810.DeleteTable\r\n\r\n"}
    assert make(server.url).get_item(Key=key)["Item"] == key
    assert server.operations == ["GetItem"]


# Connections.


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["plain", "TLS"])
def serve(request):
    """Return a function that makes a server, plain or TLS, and the options with which it is trusted."""
    if request.param == "plain":
        return lambda script: (WireServer(script), {})
    authority = request.getfixturevalue("authority")
    certificate = authority.certificate("good", "127.0.0.1")
    return lambda script: (TlsServer(script, certificate), {"verify": str(authority.bundle)})


def test_a_connection_that_the_server_closed_is_not_used_for_a_write(serve, make):
    server, options = serve(lambda *asked: [*of_key(*asked), None] if asked[2] == 1 else of_key(*asked))
    with server:
        table = make(server.url, **options)
        table.get_item(Key=KEY)
        [connection] = sockets_to(server.url)
        until(lambda: can_be_read([connection]))
        table.update_item(**ADD)
        assert (server.operations, server.connections) == (["GetItem", "UpdateItem"], 2)


def test_nor_one_on_which_something_came_that_nobody_asked_for(serve, make):
    more = SaysMore(answer({"Item": {"pk": {"S": "a"}}}), answer({"Item": {"pk": {"S": "another's"}}}))
    server, options = serve(lambda *asked: more if asked[2] == 1 else of_key(*asked))
    with server:
        table = make(server.url, **options)
        table.get_item(Key=KEY)
        [connection] = sockets_to(server.url)
        more.is_read.set()
        until(lambda: can_be_read([connection]))
        assert table.get_item(Key={"pk": "b"})["Item"] == {"pk": "b"}
        assert server.connections == 2


@FORKS
@QUIET
def test_a_forked_child_makes_a_connection_of_its_own_and_the_parents_lives(serve, make):
    server, options = serve(of_key)
    with server:
        table = make(server.url, **options)
        table.get_item(Key=KEY)

        def child():
            waited = waiting(table)
            own = table.get_item(Key={"pk": "child"})["Item"]
            table.meta.client.close()
            return waited, own

        assert in_child(child) == (0, {"pk": "child"})
        assert not can_be_read(sockets_to(server.url))  # a close_notify of the child's would have ended it
        assert table.get_item(Key=KEY)["Item"] == KEY
        assert server.connections == 2


@FORKS
@QUIET
def test_a_forked_child_holds_no_connection_of_a_call_that_is_under_way(make):
    says = SaysMore(b"", of_key("GetItem", {"Key": {"pk": {"S": "a"}}}, 1)[0])
    with WireServer(lambda *_: says) as server, ThreadPoolExecutor(1) as threads:
        table = make(server.url)
        call = threads.submit(table.get_item, Key=KEY)
        until(lambda: server.operations)
        assert len(sockets_to(server.url)) == 1
        assert in_child(lambda: len(sockets_to(server.url))) == 0
        says.is_read.set()
        assert call.result()["Item"] == KEY


@pytest.mark.parametrize(("longest", "connections"), [(60.0, 2), (None, 1)])
def test_a_connection_that_has_waited_too_long_is_not_used_again(server, make, longest, connections):
    clock = FakeClock()
    timeouts = rddb.Timeouts(connect=30.0, read=30.0, connection_max_idle=longest)
    table = make(server.url, policy=policy(clock=clock, timeouts=timeouts))
    table.get_item(Key=KEY)
    clock.advance(59.0)
    table.get_item(Key=KEY)
    assert server.connections == 1
    clock.advance(61.0)
    table.get_item(Key=KEY)
    assert (server.connections, waiting(table)) == (connections, 1)


@pytest.mark.parametrize(("slept", "connections"), [(61.0, 2), (59.0, 1), (-3600.0, 1)])
def test_a_connection_that_waited_while_the_machine_slept_is_not_used_again(server, make, slept, connections):
    clock = SleepingClock()
    timeouts = rddb.Timeouts(connect=30.0, read=30.0, connection_max_idle=60.0)
    table = make(server.url, policy=policy(clock=clock, timeouts=timeouts))
    table.get_item(Key=KEY)
    clock.slept = slept  # or somebody put the time of day back
    table.get_item(Key=KEY)
    assert (server.connections, waiting(table)) == (connections, 1)


@pytest.mark.parametrize("wrong", [0, -1, "60", float("nan")])
def test_how_long_a_connection_may_wait_is_a_number_above_nothing(wrong):
    with pytest.raises((TypeError, ValueError), match="connection_max_idle"):
        rddb.Timeouts(connection_max_idle=wrong)


@pytest.mark.parametrize("wrong", [0, "no", 1])
def test_the_switch_is_a_bool_or_none(wrong):
    with pytest.raises(TypeError, match="fast_path"):
        rddb.Policy(fast_path=wrong)


def test_forty_threads_on_a_pool_of_four_each_get_their_own(server, make):
    table = make(server.url, config=Config(max_pool_connections=4))

    def ask(number):
        return all(table.get_item(Key={"pk": f"{number}.{i}"})["Item"] == {"pk": f"{number}.{i}"} for i in range(10))

    with ThreadPoolExecutor(40) as threads:
        assert all(threads.map(ask, range(40)))
    assert counters(table).taken >= 390
    assert 1 <= waiting(table) <= 4


def test_a_closed_client_keeps_no_connection_and_works_again(server, make):
    table = make(server.url)
    table.get_item(Key=KEY)
    assert len(sockets_to(server.url)) == 1
    table.meta.client.close()
    assert sockets_to(server.url) == []
    assert table.get_item(Key=KEY)["Item"] == KEY


def test_a_call_under_way_as_its_client_is_closed_leaves_no_connection_behind(make):
    asked, go_on = threading.Event(), threading.Event()

    def script(*request):
        asked.set()
        go_on.wait(PATIENCE)
        return of_key(*request)

    with WireServer(script) as server, ThreadPoolExecutor(1) as thread:
        table = make(server.url)
        call = thread.submit(table.get_item, Key=KEY)
        asked.wait(PATIENCE)
        table.meta.client.close()
        go_on.set()
        assert call.result()["Item"] == KEY
        assert sockets_to(server.url) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a process of its own")
def test_after_ctrl_c_the_next_call_gets_its_own_answer(make):
    more = SaysMore(b"HTTP/1.1 200 OK\r\n", answer({"Item": {"pk": {"S": "another's"}}}))
    with WireServer(lambda *asked: more if asked[2] == 1 else of_key(*asked)) as server:
        table = make(server.url)

        def press():
            until(lambda: server.operations)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=press)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            table.get_item(Key=KEY)
        thread.join()
        more.is_read.set()
        assert not waiting(table)
        assert table.get_item(Key={"pk": "b"})["Item"] == {"pk": "b"}


@pytest.mark.parametrize("error", [MemoryError, AttributeError, RuntimeError])
def test_whatever_fails_once_a_write_is_on_its_way_leaves_it_ambiguous(server, make, monkeypatch, error):
    table = make(server.url, policy=policy(retry=rddb.Retry(max_attempts=1)))
    table.get_item(Key=KEY)

    def fail(*_):
        raise error("odd")

    monkeypatch.setattr(Connection, "receive", fail)
    with pytest.raises(HTTPClientError) as raised:
        table.update_item(**ADD)
    assert raised.value.resilience.ambiguous
    assert not waiting(table)


# Deadlines.


def test_an_answer_that_drips_ends_with_the_deadline(make):
    def drips(*_):
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        for _ in range(1000):
            yield b" "
            yield 0.02

    with WireServer(drips) as server:
        table = make(server.url)
        begun = time.monotonic()
        with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(0.3):
            table.update_item(**ADD)
        assert time.monotonic() - begun < 10  # or 20
        assert raised.value.resilience.ambiguous


@pytest.fixture
def full():
    """Return the address of a server that takes no connection."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()
        for filler in fillers:
            filler.close()


def test_connecting_ends_with_the_deadline_over_all_addresses(full, make, monkeypatch):
    found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", full)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [found] * 4)
    trips = rddb.CircuitBreaker(minimum_calls=1)
    table = make(f"http://ddb.example:{full[1]}", policy=policy(clock=rddb.Policy().clock, circuit_breaker=trips))
    begun = time.monotonic()
    with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(0.3):
        table.update_item(**ADD)
    assert time.monotonic() - begun < 20  # or 120
    assert not raised.value.resilience.ambiguous
    assert rddb.circuits(table)["write"].state == "open"


def test_nothing_is_sent_after_a_lookup_of_names_that_took_too_long(server, make, monkeypatch):
    clock = FakeClock()
    look_up = socket.getaddrinfo

    def slow(*args, **kwargs):
        clock.advance(10)
        return look_up(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    table = make(server.url, policy=policy(clock=clock))
    with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(5, clock=clock):
        table.update_item(**ADD)
    assert not raised.value.resilience.ambiguous
    assert server.operations == []


@pytest.mark.parametrize("is_connected", [False, True])
@pytest.mark.parametrize("fast_path", [True, None])
def test_nor_after_credentials_that_took_too_long(server, make, is_connected, fast_path):
    clock = FakeClock()
    slow = []

    def refresh():
        clock.advance(10 if slow else 0)
        end = now + dt.timedelta(hours=1)
        return {"access_key": "A", "secret_key": "S", "token": "T", "expiry_time": end.isoformat()}

    now = dt.datetime.now(dt.UTC)
    credentials = RefreshableCredentials(
        *("A", "S", "T", now), refresh_using=refresh, method="test", time_fetcher=lambda: now
    )
    session = with_credentials(botocore.session.get_session(), credentials)
    made = policy(clock=clock, fast_path=fast_path, circuit_breaker=rddb.CircuitBreaker(minimum_calls=1))
    table = rddb.table(
        "t",
        endpoint_url=server.url,
        policy=made,
        session=boto3.Session(botocore_session=session, region_name="eu-west-1"),
    )
    if is_connected:
        table.get_item(Key=KEY)
    slow.append(True)
    now += dt.timedelta(hours=2)
    with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(5, clock=clock):
        table.update_item(**ADD)
    table.meta.client.close()
    assert not raised.value.resilience.ambiguous
    assert "UpdateItem" not in server.operations
    assert rddb.circuits(table)["write"].state == "closed"  # it says nothing about the table


@pytest.mark.parametrize(
    ("request_", "own", "wanted"),
    [
        (SimpleNamespace(context={"read_timeout": 3}), rddb.Timeouts(read=5), 3),
        (SimpleNamespace(context={}), rddb.Timeouts(read=5), 5),
        (SimpleNamespace(), rddb.Timeouts(read=5), 5),  # botocore before 1.43 has no context there
        (SimpleNamespace(), None, 30),
    ],
)
def test_a_calls_own_read_timeout_holds_where_botocore_does_not_say_it(request_, own, wanted):
    assert _read_timeout(SimpleNamespace(_timeout=30), request_, own) == wanted
