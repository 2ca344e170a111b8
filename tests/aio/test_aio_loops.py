"""What a module-level table keeps from loop to loop, and what its tasks share on one."""

import asyncio
import contextlib
import gc
import threading
import weakref
from datetime import UTC, datetime, timedelta

import pytest
from aio_support import ACCESS, SOON
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.aio import lazy, session
from resilient_ddb.aio.refreshing import RefreshLock
from resilient_ddb.testing import faults

KEY = {"pk": "a"}


def module_level(world, **policy):
    return aio.table(
        world.name,
        region_name="eu-west-1",
        endpoint_url=world.proxy.endpoint_url,
        policy=rddb.Policy(clock=world.clock, **policy),
    )


def test_circuits_and_budgets_outlive_the_loop(world):
    table = module_level(world, retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=3))
    world.proxy.plan = [faults.ServerError()]

    async def handler():
        await table.get_item(Key=KEY)

    for _ in range(3):
        with pytest.raises(ClientError, match="InternalServerError"):
            asyncio.run(handler())
    with pytest.raises(rddb.CircuitOpenError):
        asyncio.run(handler())
    assert world.proxy.count("GetItem") == 3


async def test_the_first_task_to_leave_its_block_leaves_the_client_to_the_others(world):
    table = module_level(world)
    entered, left = asyncio.Event(), asyncio.Event()

    async def quick():
        async with table:
            await entered.wait()
        left.set()

    async def slow():
        async with table:
            entered.set()
            await left.wait()
            return await table.get_item(Key=KEY)

    _, answer = await asyncio.gather(quick(), slow())
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert table.meta.client.clients() == []


def session_that_refreshes():
    """Return a session whose credentials are refreshed by each call, and who refreshed."""
    refreshed, refreshing = [], []

    async def refresh():
        refreshed.append(asyncio.current_task())
        assert len(refreshing) == 0  # by no other loop either
        refreshing.append(refreshed[-1])
        await asyncio.sleep(0)
        refreshing.pop()
        soon = datetime.now(UTC) + timedelta(minutes=5)  # within ten minutes of their end they have to be
        key, secret = ACCESS["aws_access_key_id"], ACCESS["aws_secret_access_key"]
        return {"access_key": key, "secret_key": secret, "token": "z", "expiry_time": soon.isoformat()}

    class Provider:
        async def load_credentials(self):
            return AioRefreshableCredentials.create_from_metadata(await refresh(), refresh, "test")

    made = AioSession()
    made.register_component("credential_provider", Provider())
    return made, refreshed


def test_credentials_of_a_callers_session_are_refreshed_on_each_loop(world):
    own_session, refreshed = session_that_refreshes()
    table = aio.table(
        world.name,
        region_name="eu-west-1",
        endpoint_url=world.proxy.endpoint_url,
        session=own_session,
        policy=world.policy(),
    )

    async def handler():
        return await asyncio.gather(*(table.get_item(Key=KEY) for _ in range(5)))  # they wait for each other

    for _ in range(3):
        assert len(asyncio.run(handler())) == 5
        assert refreshed
        refreshed.clear()


def test_two_loops_refresh_the_same_credentials_at_once(world):
    own_session, _ = session_that_refreshes()
    options = {"session": own_session, "policy": world.policy(), "endpoint_url": world.proxy.endpoint_url}
    table = aio.table(world.name, region_name="eu-west-1", **options)
    begin, answers = threading.Barrier(2, timeout=SOON), []

    async def handler():
        await table.get_item(Key=KEY)
        begin.wait()
        answers.extend(await asyncio.gather(*(table.get_item(Key=KEY) for _ in range(20))))

    together(lambda: asyncio.run(handler()), 2)
    assert len(answers) == 40


def test_credentials_that_many_waited_for_keep_no_loop_alive(world, monkeypatch):
    monkeypatch.setattr(session, "AioSession", lambda: session_that_refreshes()[0])
    table = aio.table(world.name, region_name="eu-west-1", endpoint_url=world.proxy.endpoint_url, policy=world.policy())

    async def handler():
        await asyncio.gather(*(table.get_item(Key=KEY) for _ in range(5)))
        return weakref.ref(asyncio.get_running_loop())

    loops = [asyncio.run(handler()) for _ in range(4)]
    gc.collect()
    first, *others, last = (loop() for loop in loops)
    assert others == [None, None]
    del first, last  # what calls go by is of the first client, and the last one's session goes as another is made


def test_a_refresh_on_a_loop_that_stands_still_keeps_no_other_waiting_and_ends_nobody_elses_turn():
    lock, order = RefreshLock(), []

    async def refresh(begun, goes_on):
        async with lock:
            begun.set()
            while not goes_on.is_set():  # noqa: ASYNC110 - of another thread
                await asyncio.sleep(0.001)
        order.append(lock.locked())

    first, second = [(threading.Event(), threading.Event()) for _ in range(2)]

    async def begin():
        task = asyncio.create_task(refresh(*first))
        while not first[0].is_set():  # noqa: ASYNC110 - it is soon
            await asyncio.sleep(0)
        return task

    with asyncio.Runner() as runner:
        task = runner.run(begin())
        thread = threading.Thread(target=lambda: asyncio.run(refresh(*second)))
        thread.start()
        assert second[0].wait(SOON)
        first[1].set()
        runner.run(asyncio.wait_for(task, SOON))
        second[1].set()
        thread.join(SOON)
    assert order == [True, False]


def test_a_circuit_that_a_thread_holds_as_the_first_client_is_opened_stays_held(world, monkeypatch):
    table = module_level(world)

    def found(client, core):
        vars(client)["core"] = core
        rddb.circuits(table)["read"].force_open("maintenance")  # as another thread may, from here on

    monkeypatch.setattr(lazy.LazyClient, "core", property(lambda client: vars(client)["core"], found), raising=False)
    with pytest.raises(rddb.CircuitOpenError, match="maintenance"):
        asyncio.run(table.get_item(Key=KEY))
    assert rddb.circuits(table)["read"].forced


def together(run, number):
    """Run something on that many threads at once, and wait for all of them."""
    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def looked_at_together(monkeypatch):
    """Let two threads that open a client each look at once what calls go by, if they may."""
    meeting, opening = threading.Barrier(2), session._open  # noqa: SLF001 - nothing else is between two threads there

    async def opened(*args):
        made = await opening(*args)

        def look(client):
            with contextlib.suppress(threading.BrokenBarrierError):
                meeting.wait(0.5)
            return vars(client)["_resilience"]

        def put(client, core):
            vars(client)["_resilience"] = core

        made.__class__ = type(type(made).__name__, (type(made),), {"_resilience": property(look, put)})
        return made

    monkeypatch.setattr(session, "_open", opened)


@pytest.mark.usefixtures("looked_at_together")
def test_two_threads_that_open_at_once_share_circuits(world):
    breaker = rddb.CircuitBreaker(minimum_calls=4)
    table = module_level(world, retry=rddb.Retry(max_attempts=1), circuit_breaker=breaker)
    world.proxy.plan = [faults.ServerError()]

    async def handler():
        for _ in range(2):
            with pytest.raises(ClientError):
                await table.get_item(Key=KEY)

    together(lambda: asyncio.run(handler()), 2)
    assert rddb.circuits(table)["read"].state == "open"
    assert world.proxy.count("GetItem") == 4


def test_a_circuit_s_handle_of_before_the_client_was_opened_holds_it_afterwards(world):
    table = module_level(world, retry=rddb.Retry(max_attempts=1))
    circuit = rddb.circuits(table)["read"]
    others = rddb.circuits(table)

    async def handler():
        await table.get_item(Key=KEY)

    asyncio.run(handler())
    circuit.force_open("maintenance")
    with pytest.raises(rddb.CircuitOpenError, match="maintenance"):
        asyncio.run(handler())
    assert others["read"].state == "open"
    others["read"].release()
    asyncio.run(handler())
    assert (circuit.state, circuit.forced) == ("closed", False)


@pytest.mark.usefixtures("looked_at_together")
def test_two_threads_that_open_at_once_go_by_one_policy(world):
    table = module_level(world, retry=rddb.Retry(max_attempts=1))
    world.proxy.plan = [faults.ServerError()]
    go_on = threading.Barrier(3, timeout=SOON)

    async def handler():
        for _ in range(2):
            with pytest.raises(ClientError):
                await table.get_item(Key=KEY)
            go_on.wait()
            go_on.wait()

    def change():
        go_on.wait()
        world.proxy.clear()
        rddb.set_policy(table, rddb.Policy(clock=world.clock, retry=rddb.Retry(max_attempts=3)))
        go_on.wait()
        go_on.wait()
        go_on.wait()

    changing = threading.Thread(target=change)
    changing.start()
    together(lambda: asyncio.run(handler()), 2)
    changing.join()
    assert world.proxy.count("GetItem") == 6
