"""Connections and event loops: a loop that stood still, a new one for each call, one that was left as it was."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import socket
import threading
import warnings
from contextlib import suppress

import pytest

pytest.importorskip("aiobotocore")

from aiobotocore.session import get_session
from http_async_support import ACCESS, ADD, KEY, TlsServer, certificate, end_of, of_key, session_of, table_at
from sdk_support import sockets_to
from wire_server import WireServer

from resilient_ddb import aio
from resilient_ddb.http.plain import target_of

SOON = 20.0
HOWS = ["plain", "TLS, close_notify", "TLS, FIN only"]


@pytest.fixture(scope="module")
def certificate_file(tmp_path_factory):
    pytest.importorskip("cryptography")
    return certificate(tmp_path_factory.mktemp("tls") / "server.pem")


class PlainServer(WireServer):
    """Closes what is idle when it is told to."""

    def close_idle(self, **_):
        for each in list(self._sockets):  # one that is made meanwhile stays open
            with suppress(OSError):
                each.shutdown(socket.SHUT_WR)


@pytest.fixture(params=HOWS)
def idle_server(request, certificate_file):
    """Return a server, a table before it, and a function that has it close what is idle, and waits until that came."""
    how = request.param
    script = lambda _, params, __: [of_key(params)]  # noqa: E731
    server = PlainServer(script) if how == "plain" else TlsServer(script, certificate_file)
    with server:
        table = table_at(server.url, **({} if how == "plain" else {"verify": certificate_file}))

        def close():
            connections = sockets_to(server.url)
            closing = threading.Thread(target=server.close_idle, kwargs={"notify": "close_notify" in how})
            closing.start()  # a close_notify waits for the client's: its loop stands still
            assert select.select(connections, [], [], SOON)[0]
            return closing

        yield server, table, close


def loops(how):
    """Return something that runs coroutines on one loop."""
    if how == "Runner":
        return asyncio.Runner()
    loop = asyncio.new_event_loop()

    class Runs:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

        def run(self, call):
            return loop.run_until_complete(call)

    return Runs()


@pytest.mark.parametrize("kind", ["Runner", "loop"])
def test_a_loop_that_stood_still_sends_nothing_on_a_connection_that_was_closed(kind, idle_server):
    server, table, close = idle_server
    with loops(kind) as runner:

        async def add():
            return await end_of(table.update_item(**ADD))

        assert runner.run(add()) == (None, 0)
        closing = close()
        assert runner.run(add()) == (None, 0)
        assert server.operations == ["UpdateItem"] * 2
        assert server.connections == 2
        runner.run(table.close())
        closing.join(SOON)


def test_a_call_that_blocks_the_loop_does_not_either(idle_server):
    server, table, close = idle_server

    async def main():
        async with table:
            assert await end_of(table.update_item(**ADD)) == (None, 0)
            closing = close()
            assert await end_of(table.update_item(**ADD)) == (None, 0)
        await asyncio.to_thread(closing.join, SOON)

    asyncio.run(main())
    assert server.connections == 2


@pytest.mark.parametrize("tls", [False, True])
def test_run_after_run_closes_what_it_opened(tls, certificate_file):
    script = lambda _, params, __: [of_key(params)]  # noqa: E731
    with TlsServer(script, certificate_file) if tls else WireServer(script) as server:
        table = table_at(server.url, **({"verify": certificate_file} if tls else {}))

        async def call():
            assert (await table.get_item(**KEY))["Item"] == KEY["Key"]

        for _ in range(3):
            asyncio.run(call())
        gc.collect()
        before = open_files(), kept()
        runs = 10 if tls else 40
        for _ in range(runs):
            asyncio.run(call())
        gc.collect()
        files, objects = open_files() - before[0], kept() - before[1]
        assert server.connections == 3 + runs
        assert files <= runs * (3 if tls else 1)  # the server has its own until its end
        assert objects < runs


def kept():
    """Return how many objects there are of this library and of those below it. botocore keeps its last endpoints."""
    homes = ("resilient_ddb", "asyncio", "aiohttp", "aiobotocore")
    return sum(str(type(found).__module__).partition(".")[0] in homes for found in gc.get_objects())


def open_files():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208


@pytest.mark.parametrize("tls", [False, True])
def test_a_loop_that_was_closed_as_it_was_leaves_no_socket_open(tls, certificate_file):
    script = lambda _, params, __: [of_key(params)]  # noqa: E731
    with TlsServer(script, certificate_file) if tls else WireServer(script) as server:
        table = table_at(server.url, **({"verify": certificate_file} if tls else {}))
        loop = asyncio.new_event_loop()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loop.run_until_complete(table.get_item(**KEY))
            [found] = sockets_to(server.url)
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            assert found.fileno() >= 0
            asyncio.run(table.get_item(**KEY))
            assert found.fileno() == -1
            del found
            gc.collect()


def test_a_client_of_the_users_own_follows_to_a_new_loop():
    with WireServer(lambda _, params, __: [of_key(params)]) as server:

        async def opened():
            client = await get_session().create_client("dynamodb", endpoint_url=server.url, **ACCESS).__aenter__()
            aio.harden(client)
            await client.get_item(TableName="t", Key={"pk": {"S": "a"}})
            return client

        async def again(client):
            answer = await client.get_item(TableName="t", Key={"pk": {"S": "b"}})
            await client.close()
            return answer["Item"]

        client = asyncio.run(opened())
        assert asyncio.run(again(client)) == {"pk": {"S": "b"}}
        assert server.connections == 2


def test_connections_stay_on_their_loop_while_it_lives():
    """A call on another thread's loop is left to the ordinary transport."""
    with WireServer(lambda _, params, __: [of_key(params)]) as server:

        async def main():
            async with table_at(server.url) as table:
                await table.get_item(**KEY)
                session, target = await session_of(table), target_of(server.url)

                async def reason():
                    return session.reason_against(target)

                assert await asyncio.to_thread(lambda: asyncio.run(reason())) == "another event loop"
                assert await reason() is None
                await table.get_item(**KEY)
            assert server.connections == 1

        asyncio.run(main())


def test_uvloop():
    uvloop = pytest.importorskip("uvloop")
    with WireServer(lambda _, params, __: [of_key(params)]) as server:

        async def main():
            async with table_at(server.url) as table:
                for number in range(3):
                    assert (await table.get_item(Key={"pk": str(number)}))["Item"] == {"pk": str(number)}

        uvloop.run(main())
        assert server.connections == 1
