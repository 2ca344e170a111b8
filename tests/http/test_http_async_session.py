"""Which requests of an async client go over connections of this library's own, and how these are kept."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import json
import socket
import weakref
from contextvars import ContextVar

import pytest

pytest.importorskip("aiobotocore")

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.config import Config
from botocore.exceptions import HTTPClientError
from http_async_support import (
    ACCESS,
    ADD,
    BY_AIOHTTP,
    KEY,
    TlsServer,
    certificate,
    end_of,
    goes_by_aiohttp,
    of_key,
    table_at,
    until,
)
from sdk_support import http_session_of, sockets_to
from unit_support import SleepingClock
from wire_server import SaysMore, WireServer, answer

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.hooks.status import ConnectionStatus
from resilient_ddb.http.aio_names import Names
from resilient_ddb.http.aio_session import ProtocolSession
from resilient_ddb.testing import FakeClock

HAS_CONTEXT = "context" in inspect.signature(AWSPreparedRequest).parameters


@pytest.fixture
def server():
    with WireServer(lambda _, params, __: [of_key(params)]) as running:
        yield running


class OwnSession(AIOHTTPSession):
    """Somebody's own."""


@pytest.mark.parametrize("config", [None, Config(), AioConfig(), Config(read_timeout=7), AioConfig(read_timeout=7)])
async def test_a_config_that_asks_for_nothing_of_aiohttps_goes_this_way(server, config):
    async with table_at(server.url, config=config) as table:
        await table.get_item(**KEY)
        assert not goes_by_aiohttp(table)


@pytest.mark.parametrize(
    "config",
    [
        BY_AIOHTTP,
        AioConfig(http_session_cls=OwnSession),
        AioConfig(connector_args={"use_dns_cache": False}),
    ],
)
async def test_what_the_callers_config_asks_for_goes_by_aiohttp(server, config):
    async with table_at(server.url, config=config) as table:
        assert (await table.get_item(**KEY))["Item"] == KEY["Key"]
        assert goes_by_aiohttp(table)


async def test_a_proxy_gets_the_request_from_aiohttp(server):
    async with table_at("http://dynamodb.example", config=AioConfig(proxies={"http": server.url})) as table:
        assert (await table.get_item(**KEY))["Item"] == KEY["Key"]
        assert goes_by_aiohttp(table)


async def test_a_client_certificate_is_left_to_aiohttp(server, tmp_path):
    from http_async_support import certificate  # noqa: PLC0415 - slow to import

    config = AioConfig(client_cert=certificate(tmp_path / "client.pem"))
    async with table_at(server.url, config=config, verify=False) as table:
        await table.get_item(**KEY)
        assert goes_by_aiohttp(table)


async def test_keepalive_of_the_socket_is_set_anyway(server):
    async with table_at(server.url, config=AioConfig(tcp_keepalive=True)) as table:
        await table.get_item(**KEY)
        assert not goes_by_aiohttp(table)


@pytest.mark.parametrize(
    ("cls", "method"),
    [
        (aiohttp.ClientSession, "_request"),
        (aiohttp.ClientSession, "__init__"),
        (aiohttp.TCPConnector, "connect"),
        (AIOHTTPSession, "send"),
        (AIOHTTPSession, "_get_session"),
    ],
)
async def test_a_program_that_comes_between_sees_every_request(server, cls, method, monkeypatch):
    seen = []
    original = getattr(cls, method)

    def seeing(*args, **kwargs):
        seen.append(method)
        return original(*args, **kwargs)

    async with table_at(server.url) as table:
        await table.get_item(**KEY)
        monkeypatch.setattr(cls, method, seeing)
        assert (await table.get_item(**KEY))["Item"] == KEY["Key"]
        assert seen
        monkeypatch.undo()
        seen.clear()
        await table.get_item(**KEY)
        assert not seen


async def test_a_class_that_was_put_in_between_sees_every_request(server, monkeypatch):
    with pytest.warns(DeprecationWarning, match="Inherit"):  # aiohttp wants no subclasses; recorders don't mind

        class Recorder(aiohttp.ClientSession):
            seen = 0

            async def _request(self, *args, **kwargs):
                type(self).seen += 1
                return await super()._request(*args, **kwargs)

    monkeypatch.setattr(aiohttp, "ClientSession", Recorder)
    async with table_at(server.url) as table:
        await table.get_item(**KEY)
    assert Recorder.seen == 1


async def test_handlers_that_answer_keep_the_request_from_the_wire(server):
    async with aio.client("dynamodb", endpoint_url=server.url, **ACCESS) as client:
        seen = []
        client.meta.events.register("before-send.dynamodb", lambda request, **_: seen.append(request.url))
        await client.get_item(TableName="t", Key={"pk": {"S": "a"}})
    assert len(seen) == len(server.operations) == 1


@pytest.mark.parametrize("used", [False, True])
async def test_a_client_that_exists_goes_this_way_once_it_is_hardened(server, used):
    async with get_session().create_client("dynamodb", endpoint_url=server.url, **ACCESS) as client:
        if used:
            await client.get_item(TableName="t", Key={"pk": {"S": "a"}})
        aio.harden(client)
        await client.get_item(TableName="t", Key={"pk": {"S": "a"}})
        session = http_session_of(client)
        assert isinstance(session, ProtocolSession)
        assert isinstance(session, AIOHTTPSession)
        assert session.counted() == (0, 1)
        aio.harden(client)
        await client.get_item(TableName="t", Key={"pk": {"S": "a"}})
        assert http_session_of(client) is session
    assert server.connections == 1 + used


async def test_the_request_is_what_aiohttp_sends_but_for_its_own_headers(tmp_path):
    heads = []

    class Noting(WireServer):
        def _serve(self, connected):
            heads.append(connected.recv(1 << 16, 2))  # MSG_PEEK
            super()._serve(connected)

    with Noting(lambda _, params, __: [of_key(params)]) as server:
        for config in (None, BY_AIOHTTP):
            async with table_at(server.url, config=config) as table:
                await table.get_item(**KEY)
    found = []
    for head in heads:
        first, *lines = head.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        found.append((first, dict(line.split(": ", 1) for line in lines)))
    ours, theirs = found
    assert ours[0] == theirs[0] == "POST / HTTP/1.1"
    assert ours[1].keys() == theirs[1].keys() - {"Accept"}
    changing = {"Authorization", "X-Amz-Date", "amz-sdk-invocation-id"}
    assert all(ours[1][name] == theirs[1][name] for name in ours[1].keys() - changing)


@pytest.mark.parametrize("most", [1, 4])
async def test_no_more_connections_than_the_pool_allows(most):
    under_way, highest = [0], [0]

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                key = json.loads(await reader.readexactly(length))["Key"]
                under_way[0] += 1
                highest[0] = max(highest[0], under_way[0])
                await asyncio.sleep(0.001)
                under_way[0] -= 1
                writer.write(answer({"Item": key}))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with table_at(url, config=AioConfig(max_pool_connections=most)) as table:
            found = await asyncio.gather(*(table.get_item(Key={"pk": str(n)}) for n in range(40)))
            assert rddb.status(table).connections == ConnectionStatus(in_use=0, idle=most)
    assert [item["Item"]["pk"] for item in found] == [str(n) for n in range(40)]
    assert highest[0] == most


async def test_connections_that_are_made_together_look_a_name_up_once(server, monkeypatch):
    original, asked = socket.getaddrinfo, []

    def look_up(host, *args, **options):
        asked.append(host)
        return original("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    url = server.url.replace("127.0.0.1", "localhost")
    async with table_at(url) as table:
        found = await asyncio.gather(*(table.get_item(Key={"pk": str(n)}) for n in range(10)))
        assert [each["Item"]["pk"] for each in found] == [str(n) for n in range(10)]
    assert asked == ["localhost"]
    assert server.connections > 1


async def test_addresses_keep_nothing_of_the_call_that_asked_first(monkeypatch):
    class Request:
        pass

    names, asking = Names(asyncio.get_running_loop()), ContextVar("asking")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ["an address"])

    async def ask():
        request = Request()
        asking.set(request)
        await names.addresses("a", 1)
        return weakref.ref(request)

    request = await asyncio.create_task(ask())
    await asyncio.sleep(0)  # what woke this task up knows that one's context
    gc.collect()
    assert request() is None


async def test_a_look_up_that_failed_or_is_old_is_made_again(monkeypatch):
    names, asked = Names(asyncio.get_running_loop()), []

    def look_up(*_, **__):
        asked.append(1)
        if len(asked) == 1:
            raise socket.gaierror(socket.EAI_AGAIN, "not now")
        return ["an address"]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    failed = await asyncio.gather(*(names.addresses("a", 1) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in failed] == [socket.gaierror] * 3
    assert len({id(error) for error in failed}) == 3
    for _ in range(2):
        assert await names.addresses("a", 1) == ["an address"]
    assert len(asked) == 2
    monkeypatch.setattr("resilient_ddb.http.aio_names._KEPT_SECONDS", -1.0)
    await names.addresses("a", 1)
    assert len(asked) == 3
    first = asyncio.create_task(names.addresses("b", 1))
    await asyncio.sleep(0)
    first.cancel()
    assert await names.addresses("b", 1) == ["an address"]
    await asyncio.wait([first])
    assert len(asked) == 4


async def test_a_connection_with_more_than_was_asked_for_is_not_used_again():
    says = SaysMore(of_key({"Key": {"pk": {"S": "a"}}}), b"HTTP/1.1 200 OK\r\n")
    with WireServer(lambda _, params, number: says if number == 1 else [of_key(params)]) as server:
        async with table_at(server.url) as table:
            await table.get_item(**KEY)
            says.is_read.set()
            says.is_sent.wait(20)  # the loop stands still: it has not heard of it
            assert (await table.get_item(Key={"pk": "b"}))["Item"] == {"pk": "b"}
            assert server.connections == 2


@pytest.mark.parametrize(("most", "made"), [(60.0, 2), (61.5, 1), (None, 1)])
async def test_a_connection_is_not_used_after_it_was_idle_for_long(server, most, made):
    clock = FakeClock()
    async with table_at(server.url, clock=clock, connection_max_idle=most) as table:
        await table.get_item(**KEY)
        clock.advance(61.0)
        await table.get_item(**KEY)
    assert server.connections == made


@pytest.mark.parametrize(("slept", "made"), [(61.0, 2), (59.0, 1), (-3600.0, 1)])
async def test_a_connection_that_was_idle_while_the_machine_slept_is_not_used(server, slept, made):
    clock = SleepingClock()
    async with table_at(server.url, clock=clock, connection_max_idle=60.0) as table:
        await table.get_item(**KEY)
        clock.slept = slept  # or somebody put the time of day back
        await table.get_item(**KEY)
    assert server.connections == made


# The switch, and what is counted.


def transport_of(client):
    return rddb.status(client).fast_path


@pytest.mark.parametrize(
    ("argument", "variable", "is_on"), [(None, "0", False), (False, "1", False), (True, "0", True)]
)
async def test_the_switch_leaves_all_to_aiohttp(server, argument, variable, is_on, monkeypatch):
    monkeypatch.setenv("RESILIENT_DDB_FAST_PATH", variable)
    async with table_at(server.url, fast_path=argument) as table:
        await table.get_item(**KEY)
        assert goes_by_aiohttp(table) is not is_on
        counted = transport_of(table.meta.client)
        assert (counted.taken, counted.reason) == ((1, None) if is_on else (0, "switched off"))


async def test_the_switch_is_that_of_the_policy_which_is_set(server):
    async with aio.client("dynamodb", endpoint_url=server.url, **ACCESS) as client:
        call = {"TableName": "t", "Key": {"pk": {"S": "a"}}}
        await client.get_item(**call)
        aio.harden(client, policy=rddb.Policy(fast_path=False))
        await client.get_item(**call)
        assert (transport_of(client).taken, transport_of(client).reason) == (1, "switched off")
        aio.harden(client, policy=rddb.Policy())
        await client.get_item(**call)
        assert (transport_of(client).taken, transport_of(client).reason) == (2, None)


async def test_what_is_declined_is_counted_by_reason(server, monkeypatch):
    async with aio.client("dynamodb", endpoint_url=server.url, **ACCESS) as client:
        call = {"TableName": "t", "Key": {"pk": {"S": "a"}}}
        await client.get_item(**call)
        original = aiohttp.ClientSession.request
        with monkeypatch.context() as patch:
            patch.setattr(aiohttp.ClientSession, "request", functools.partialmethod(original))
            await client.get_item(**call)

        def ask_for_more(request, **_):
            request.headers["TE"] = "trailers"

        client.meta.events.register("before-send.dynamodb", ask_for_more)
        await client.get_item(**call)
        assert transport_of(client).taken == 1
        assert transport_of(client).declined == {"somebody's own parts below botocore": 1, "the headers": 1}


async def test_connections_keep_nothing_of_the_call_they_were_made_for(server):
    import gc  # noqa: PLC0415 - for this test

    class Key(dict):
        pass

    async with table_at(server.url) as table:
        await table.get_item(Key=Key(pk="a"))
        gc.collect()
        assert not [found for found in gc.get_objects() if type(found) is Key]


async def test_a_closed_client_says_so_and_its_connections_are_closed(server):
    async with aio.client("dynamodb", endpoint_url=server.url, **ACCESS) as client:
        await client.get_item(TableName="t", Key={"pk": {"S": "a"}})
        [connection] = sockets_to(server.url)
    await until(lambda: connection.fileno() == -1)
    with pytest.raises(rddb.aio.clients.ClosedClientError):
        await client.get_item(TableName="t", Key={"pk": {"S": "a"}})


async def test_a_call_under_way_as_the_client_is_closed_is_open():
    with WireServer(lambda *_: [30.0]) as server:
        table = table_at(server.url, attempts=1)
        ending = asyncio.create_task(end_of(table.update_item(**ADD)))
        await until(lambda: server.operations)
        await table.close()
        end = await ending
    assert end[0].__name__ == "ConnectionClosedError"
    assert end[4] is True


@pytest.mark.parametrize("over_tls", [False, True])
async def test_a_call_that_waits_for_a_connection_as_the_client_is_closed_is_not_sent(over_tls, tmp_path):
    if over_tls:
        pytest.importorskip("cryptography")
    made = certificate(tmp_path / "good.pem") if over_tls else None
    serve = (lambda script: TlsServer(script, made)) if over_tls else WireServer
    with serve(lambda *_: [30.0]) as server:
        table = table_at(server.url, config=AioConfig(max_pool_connections=1), attempts=1, verify=made)
        first = asyncio.create_task(end_of(table.update_item(**ADD)))
        await until(lambda: server.operations)
        second = asyncio.create_task(table.update_item(**ADD))
        await asyncio.sleep(0)
        await table.close()
        await first
        with pytest.raises(rddb.aio.clients.ClosedClientError) as raised:
            await second
        assert server.operations == ["UpdateItem"]
    facts = raised.value.resilience
    assert (facts.kind, facts.ambiguous, facts.attempts) == (rddb.ErrorKind.PERMANENT, False, 0)
    assert rddb.classify(raised.value, operation="UpdateItem").kind is rddb.ErrorKind.PERMANENT


async def test_a_bundle_that_is_not_there_is_an_error_in_aiobotocores_words_and_nothing_was_sent(tmp_path):
    table = table_at("https://127.0.0.1:9", verify=str(tmp_path / "none.pem"), attempts=1)
    with pytest.raises(HTTPClientError, match="An HTTP Client raised an unhandled exception") as raised:
        await table.update_item(**ADD)
    assert not raised.value.resilience.ambiguous
    await table.close()


async def test_a_response_is_what_aiobotocore_makes_of_it():
    twice = answer({}).replace(b"\r\n\r\n", b"\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n", 1)
    found = []
    with WireServer(lambda *_: [twice]) as server:
        for config in (None, BY_AIOHTTP):
            async with aio.client("dynamodb", endpoint_url=server.url, config=config, **ACCESS) as client:
                session = http_session_of(client)
                request = AWSRequest("POST", server.url, {"X-Amz-Target": "DynamoDB_20120810.ListTables"}, b"{}")
                made = await session.send(request.prepare())
                found.append(made)
    ours, theirs = found
    assert isinstance(ours, type(theirs))
    assert dict(ours.headers) == dict(theirs.headers)
    assert (ours.status_code, await ours.content, await ours.text) == (theirs.status_code, b"{}", "{}")
    assert await ours.raw.read() == b"{}"
    headers = ours.headers
    assert headers["X-TWICE"] == headers.get("x-twice") == "2"
    assert "content-type" in headers
    assert 5 not in headers
    headers["X-Mine"] = "1"
    del headers["x-twice"]
    assert "x-mine" in repr(headers)
    assert len(headers) == len(theirs.headers)


# Signatures.

EXPIRED = {"__type": "com.amazon.coral.service#InvalidSignatureException", "message": "Signature expired: 1 is old"}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_signature_that_is_refused_for_its_age_is_made_anew_once_for_any_write(kind):
    def script(_, params, number):
        return [answer(EXPIRED, 400)] if number == 1 else [of_key(params)]

    with WireServer(script) as server:
        if kind == "sync":
            policy = rddb.Policy(clock=FakeClock(), circuit_breaker=None)
            import boto3  # noqa: PLC0415 - for this test

            table = rddb.table("t", endpoint_url=server.url, policy=policy, session=boto3.Session(**ACCESS))
            table.update_item(**ADD)
            table.meta.client.close()
        else:
            async with table_at(server.url) as table:
                await table.update_item(**ADD)
        assert server.operations == ["UpdateItem"] * 2


async def test_a_signature_that_stays_refused_is_told_after_one_more():
    with WireServer(lambda *_: [answer(EXPIRED, 400)]) as server:
        async with table_at(server.url, attempts=5) as table:
            end = await end_of(table.update_item(**ADD))
        assert server.operations == ["UpdateItem"] * 2
    assert end[4] is False


@pytest.mark.skipif(not HAS_CONTEXT, reason="this botocore does not say of a prepared request how it was signed")
async def test_a_request_is_signed_anew_once_its_connection_is_there(server, monkeypatch):
    monkeypatch.setattr("resilient_ddb.http.aio_session._SIGNED_LONG_AGO", -1.0)
    async with aio.client("dynamodb", endpoint_url=server.url, **ACCESS) as client:
        signed, sent = [], []
        client.meta.events.register("before-sign.dynamodb", lambda request, **_: signed.append(request.url))
        client.meta.events.register("before-send.dynamodb", lambda request, **_: sent.append(request))
        found = await client.get_item(TableName="t", Key={"pk": {"S": "a"}})
        assert found["Item"] == {"pk": {"S": "a"}}
        assert len(signed) == 2
        [request] = sent
        again = request.headers["Authorization"]
        assert str(again).count("Signature=") == 1
        assert "content-length" not in str(again)
