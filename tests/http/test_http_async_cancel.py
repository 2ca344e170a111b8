"""A call that is cancelled, or whose deadline passes, at any moment: the pool is as good as before."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime

import pytest

pytest.importorskip("aiobotocore")

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession
from http_async_support import ADD, KEY, MovedClock, certificate, of_key, table_at, until
from wire_server import WireServer

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.hooks.status import ConnectionStatus

SOON = 20.0
TRIPS = rddb.CircuitBreaker(minimum_calls=1)
ONE_IDLE = ConnectionStatus(in_use=0, idle=1)


@pytest.fixture(scope="module")
def key_and_certificate(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls") / "server.pem")


@pytest.mark.parametrize("busy", [False, True])
async def test_after_a_cancellation_at_any_turn_of_the_loop_the_pool_serves_the_next_call(busy):
    with WireServer(lambda _, params, __: [of_key(params)]) as server:
        for turns in range(60):
            async with table_at(server.url, config=AioConfig(max_pool_connections=1)) as table:
                if turns % 2:
                    await table.get_item(**KEY)  # with a connection, and without one
                tasks = [asyncio.create_task(table.update_item(**ADD)) for _ in range(3 if busy else 1)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks[:2]:
                    task.cancel()
                await asyncio.wait(tasks, timeout=SOON)
                assert all(task.done() for task in tasks)
                async with asyncio.timeout(SOON):  # it would wait for ever if the one permit were not back
                    assert (await table.get_item(**KEY))["Item"] == KEY["Key"]
                    await until(lambda table=table: rddb.status(table).connections == ONE_IDLE)


async def test_a_waiter_that_is_cancelled_as_it_gets_its_turn_hands_it_on():
    with WireServer(lambda _, params, number: [0.1 if number == 1 else b"", of_key(params)]) as server:
        async with table_at(server.url, config=AioConfig(max_pool_connections=1)) as table:
            first = asyncio.create_task(table.get_item(**KEY))
            await until(lambda: server.operations)
            waiting = [asyncio.create_task(table.get_item(**KEY)) for _ in range(4)]
            first.add_done_callback(lambda _: [task.cancel() for task in waiting[:3]])
            async with asyncio.timeout(SOON):
                assert (await waiting[3])["Item"] == KEY["Key"]
            await asyncio.wait([first, *waiting])


async def test_an_answer_that_comes_after_the_cancellation_is_nobody_elses():
    with WireServer(lambda _, params, number: [0.2 if number == 1 else b"", of_key(params)]) as server:
        async with table_at(server.url) as table:
            task = asyncio.create_task(table.get_item(Key={"pk": "cancelled"}))
            await until(lambda: server.operations)
            task.cancel()
            await asyncio.wait([task])
            for number in range(3):
                assert (await table.get_item(Key={"pk": str(number)}))["Item"] == {"pk": str(number)}
            assert server.connections == 2


# Deadlines.


class Deaf:
    """Listens, and lets nobody in: its backlog is full."""

    def __enter__(self):
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen(0)
        self.port = self._listening.getsockname()[1]
        self._waiting = [socket.socket() for _ in range(8)]
        for each in self._waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", self.port))
        return self

    def __exit__(self, *_):
        for each in (self._listening, *self._waiting):
            each.close()


@pytest.mark.parametrize("addresses", [1, 4])
async def test_connecting_ends_with_the_deadline_and_nothing_was_sent(addresses, monkeypatch):
    with Deaf() as server:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))] * addresses
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        settings = {"clock": rddb.Policy().clock, "circuit_breaker": TRIPS}
        async with table_at(f"http://dynamodb.example:{server.port}", **settings) as table:
            began = time.monotonic()
            with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(0.2):
                await table.update_item(**ADD)
            assert time.monotonic() - began < SOON / 2  # the connect timeout is 20 s
            assert rddb.circuits(table)["write"].state == "open"
    assert not raised.value.resilience.ambiguous


async def test_connecting_ends_with_its_timeout_over_all_addresses(monkeypatch):
    with Deaf() as server:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))] * 4
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        async with table_at(f"http://dynamodb.example:{server.port}", connect=0.1, attempts=1) as table:
            with pytest.raises(Exception, match="Connect timeout on endpoint URL") as raised:
                await table.update_item(**ADD)
    assert not raised.value.resilience.ambiguous


@pytest.mark.parametrize("verb", ["get_item", "update_item"])
async def test_an_answer_that_drips_ends_with_the_deadline(verb):
    drip = [piece for byte in b"HTTP/1.1 200 OK\r\n" * 40 for piece in (bytes([byte]), 0.03)]
    with WireServer(lambda _, params, number: [of_key(params)] if number == 1 else drip) as server:
        async with table_at(server.url, clock=rddb.Policy().clock) as table:
            await table.get_item(**KEY)
            began = time.monotonic()
            with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(0.4):
                await getattr(table, verb)(**(KEY if verb == "get_item" else ADD))
            assert time.monotonic() - began < SOON / 2  # it would drip for 20 s
    assert raised.value.resilience.ambiguous is (verb == "update_item")


@pytest.mark.parametrize("fast_path", [None, False])
async def test_a_write_whose_deadline_passes_while_it_waits_for_a_connection_was_not_sent(fast_path):
    with WireServer(lambda _, params, number: [1.0 if number == 1 else b"", of_key(params)]) as server:
        config = AioConfig(max_pool_connections=1)
        settings = {"clock": rddb.Policy().clock, "circuit_breaker": TRIPS, "fast_path": fast_path}
        async with table_at(server.url, config=config, **settings) as table:
            first = asyncio.create_task(table.get_item(**KEY))
            await until(lambda: server.operations)
            with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(0.2):
                await table.update_item(**ADD)
            assert not raised.value.resilience.ambiguous
            assert server.operations == ["GetItem"]
            assert rddb.circuits(table)["write"].state == "closed"  # it says nothing about the table
            await first


async def test_of_a_read_that_the_deadline_cut_its_wait_for_a_connection_says_nothing_about_the_table():
    pauses = {1: 0.0, 2: 0.35, 3: 1.0}
    with WireServer(lambda _, params, number: [pauses.get(number, 0.0), of_key(params)]) as server:
        config = AioConfig(max_pool_connections=1)
        settings = {"clock": rddb.Policy().clock, "circuit_breaker": TRIPS.replace(minimum_calls=3)}
        async with table_at(server.url, config=config, **settings) as table:
            await table.get_item(**KEY)
            first = asyncio.create_task(table.get_item(**KEY))
            await until(lambda: len(server.operations) == 2)
            with pytest.raises(rddb.DeadlineExceededError), rddb.deadline(0.38):
                await table.get_item(**KEY)
            await first  # its turn came then, and some 30 ms were left of its deadline, if any
            assert rddb.status(table).circuits[0].calls == 2


async def test_calls_that_are_cut_because_the_loop_was_blocked_say_nothing_about_the_table():
    with WireServer(lambda _, params, number: [0.1 if number > 1 else 0.0, of_key(params)]) as server:
        clock = MovedClock()
        async with table_at(server.url, clock=clock, circuit_breaker=TRIPS.replace(minimum_calls=5)) as table:
            await table.get_item(**KEY)
            with rddb.deadline(10, clock=clock):
                tasks = [asyncio.create_task(table.get_item(**KEY)) for _ in range(10)]
                await until(lambda: len(server.operations) > 1)
            clock.be_busy(11)  # somebody's code that should not
            await asyncio.wait(tasks, timeout=SOON)
            assert rddb.circuits(table)["read"].state == "closed"


@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_write_whose_deadline_passes_while_credentials_are_fetched_was_not_sent(fast_path):
    now = datetime.now(UTC)
    fetching = asyncio.Event()

    async def fetch():
        fetching.set()
        await asyncio.sleep(SOON)

    session = AioSession()
    credentials = AioRefreshableCredentials("a", "s", "t", now, fetch, "test", time_fetcher=lambda: now)
    session._credentials = credentials  # noqa: SLF001 - aiobotocore has no public way
    with WireServer(lambda _, params, __: [of_key(params)]) as server:
        policy = rddb.Policy(circuit_breaker=TRIPS, fast_path=fast_path)
        options = {"endpoint_url": server.url, "region_name": "eu-west-1", "session": session, "policy": policy}
        async with aio.table("t", **options) as table:
            with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(0.2):
                await table.update_item(**ADD)
            assert fetching.is_set()
            assert not raised.value.resilience.ambiguous
            assert rddb.circuits(table)["write"].state == "closed"  # it says nothing about the table
    assert server.operations == []


async def test_a_write_that_a_handler_of_others_answers_by_itself_may_have_been_sent():
    asked = asyncio.Event()

    async def answer(**_):
        asked.set()
        await asyncio.sleep(SOON)

    with WireServer(lambda _, params, __: [of_key(params)]) as server:
        async with table_at(server.url) as table:
            await table.get_item(**KEY)
            table.meta.client.meta.events.register_last("before-call.dynamodb", answer)
            with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(0.2):
                await table.update_item(**ADD)
    assert asked.is_set()
    assert raised.value.resilience.ambiguous


async def test_a_write_that_is_cancelled_while_it_waits_for_a_connection_is_told_as_not_sent():
    events = []
    with WireServer(lambda _, params, number: [1.0 if number == 1 else b"", of_key(params)]) as server:
        config = AioConfig(max_pool_connections=1)
        policy = rddb.Policy(observers=[events.append], circuit_breaker=None)
        from http_async_support import ACCESS  # noqa: PLC0415 - for this test

        from resilient_ddb import aio  # noqa: PLC0415 - as above

        async with aio.table("t", endpoint_url=server.url, config=config, policy=policy, **ACCESS) as table:
            first = asyncio.create_task(table.get_item(**KEY))
            await until(lambda: server.operations)
            second = asyncio.create_task(table.update_item(**ADD))
            await asyncio.sleep(0.02)
            second.cancel()
            await asyncio.wait([first, second])
    [ended] = [event for event in events if getattr(event, "outcome", "") == "cancelled"]
    assert ended.ambiguous is False


async def test_nothing_is_sent_after_a_deadline_that_passed_while_it_was_signed():
    with WireServer(lambda _, params, __: [of_key(params)]) as server:
        clock = MovedClock()
        async with table_at(server.url, clock=clock) as table:
            await table.get_item(**KEY)
            client = await table.meta.client.current("get_item")
            # A provider of credentials that blocks, and the loop with it.
            client.meta.events.register("before-sign.dynamodb", lambda **_: clock.be_busy(11))
            with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(10, clock=clock):
                await table.update_item(**ADD)
            assert not raised.value.resilience.ambiguous
        assert server.operations == ["GetItem"]
