"""Cancelled tasks, deadlines, and many tasks at once."""

import asyncio
import contextlib
import time

import pytest
from aio_support import ACCESS, other_tasks, until
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ReadTimeoutError

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import faults

KEY = {"pk": "a"}
ADD = {"Key": KEY, "UpdateExpression": "ADD c :one", "ExpressionAttributeValues": {":one": 1}}
TRIPS = rddb.CircuitBreaker(minimum_calls=3, open_jitter=0.0, half_open_permits=1)
ONE = rddb.Retry(max_attempts=1)


@pytest.fixture
def events():
    return []


def outcomes(events):
    return [event.outcome for event in events if type(event).__name__ == "CallEndEvent"]


async def trip(world, table):
    """Open the circuit for reads."""
    world.proxy.plan = [faults.ServerError()]
    for _ in range(3):
        with pytest.raises(table.meta.client.exceptions.ClientError):
            await table.get_item(Key=KEY)
    with pytest.raises(rddb.CircuitOpenError):
        await table.get_item(Key=KEY)
    world.proxy.clear()


async def cancelled_in_flight(world, call):
    task = asyncio.create_task(call)
    await until(lambda: world.proxy.count() >= 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_cancelled_in_flight_tells_so_and_leaves_nothing(world, events):
    world.proxy.plan = [faults.Hang(times=1)]
    table = await world.table(config=AioConfig(max_pool_connections=1), observers=[events.append])
    await cancelled_in_flight(world, table.update_item(**ADD))
    assert outcomes(events) == ["cancelled"]
    assert not [event for event in events if type(event).__name__ == "AttemptEvent"]
    await table.update_item(**ADD)  # it would wait for ever if the one connection were not given back
    assert outcomes(events) == ["cancelled", "success"]
    assert world.stored()["c"] == 1
    assert rddb.status(table).connections.in_use == 0


async def test_a_call_cancelled_in_its_back_off_tells_so(world, events):
    world.proxy.plan = [faults.Throttle()]
    table = await world.table(
        clock=rddb.Policy().clock,
        retry=rddb.Retry(base_delay=60, max_delay=60, wait=lambda _: 60),
        observers=[events.append],
    )
    task = asyncio.create_task(table.get_item(Key=KEY))
    await until(lambda: any(type(event).__name__ == "RetryEvent" for event in events))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes(events) == ["cancelled"]
    assert world.proxy.count() == 1


async def test_a_call_cancelled_before_it_began_is_none(world, events):
    table = await world.table(observers=[events.append])
    task = asyncio.create_task(table.get_item(Key=KEY))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == []


async def test_a_cancelled_probe_gives_its_permit_back(world, events):
    table = await world.table(retry=ONE, circuit_breaker=TRIPS, observers=[events.append])
    await trip(world, table)
    world.clock.advance(10)
    world.proxy.plan = [faults.Hang(times=1)]
    for _ in range(3):  # a permit lost would refuse the second
        world.proxy.plan = [faults.Hang(times=1)]
        world.proxy.clear()
        await cancelled_in_flight(world, table.get_item(Key=KEY))
    circuit = rddb.circuits(table)["read"]
    assert circuit.state == "half-open"
    assert "Item" not in await table.get_item(Key=KEY)
    assert circuit.state == "closed"


async def test_a_probe_cut_off_by_a_deadline_gives_its_permit_back(world):
    table = await world.table(retry=ONE, circuit_breaker=TRIPS)
    await trip(world, table)
    world.clock.advance(10)
    world.proxy.plan = [faults.Hang()]
    with pytest.raises(rddb.DeadlineExceededError), rddb.deadline(1.0):
        await table.get_item(Key=KEY)
    assert world.proxy.count() == 1
    world.proxy.plan = []
    world.clock.advance(10)
    assert "Item" not in await table.get_item(Key=KEY)


async def test_asyncio_timeout_around_a_call_stays_a_timeout(world, events):
    world.proxy.plan = [faults.Hang()]
    table = await world.table(observers=[events.append])
    with pytest.raises(TimeoutError) as raised:
        async with asyncio.timeout(0.05):
            await table.get_item(Key=KEY)
    assert not hasattr(raised.value, "resilience")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(table.get_item(Key=KEY), 0.05)
    assert outcomes(events) == ["cancelled"] * 2


@pytest.mark.parametrize("inner", ["deadline", "timeout"])
async def test_of_a_timeout_and_a_deadline_the_earlier_holds(world, inner):
    world.proxy.plan = [faults.Hang()]
    table = await world.table()
    seconds = {"deadline": 0.05, "timeout": 5.0} if inner == "deadline" else {"deadline": 5.0, "timeout": 0.05}
    expected = rddb.DeadlineExceededError if inner == "deadline" else TimeoutError
    with pytest.raises(expected):  # noqa: PT012 - the whole block is what raises
        async with asyncio.timeout(seconds["timeout"]):
            with rddb.deadline(seconds["deadline"]):
                await table.get_item(Key=KEY)
    assert asyncio.current_task().cancelling() == 0


async def test_a_task_group_that_fails_cancels_its_calls(world, events):
    world.proxy.plan = [faults.Hang(operations={"Query", "Scan"}), faults.ErrorResponse(code="AccessDeniedException")]
    table = await world.table(observers=[events.append])

    async def fail():
        await until(lambda: world.proxy.count() == 2)
        await table.get_item(Key=KEY)

    with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012 - the whole block is what raises
        async with asyncio.TaskGroup() as group:
            group.create_task(table.scan())
            group.create_task(table.query(KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": "a"}))
            group.create_task(fail())
    [error] = raised.value.exceptions
    assert error.resilience.operation == "GetItem"
    assert sorted(outcomes(events)) == ["cancelled", "cancelled", "error"]


async def test_a_call_cancelled_while_its_fallback_answers_tells_so(world, events):
    asked = asyncio.Event()

    async def slow(_call, _error):
        asked.set()
        await asyncio.Event().wait()

    world.proxy.plan = [faults.Throttle()]
    table = await world.table(retry=ONE, observers=[events.append], fallback=slow)
    task = asyncio.create_task(table.get_item(Key=KEY))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes(events) == ["cancelled"]


async def test_cancelling_hundreds_of_calls_leaks_no_connection(world):
    world.proxy.plan = [faults.Hang(times=200)]
    table = await world.table(config=AioConfig(max_pool_connections=16))
    tasks = [asyncio.create_task(table.get_item(Key=KEY)) for _ in range(200)]
    await until(lambda: world.proxy.count() == 16)  # the others wait for a connection
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    world.proxy.plan = []
    results = await asyncio.gather(*(table.get_item(Key=KEY) for _ in range(50)))
    assert len(results) == 50


# Deadlines.


@pytest.mark.parametrize(
    ("verb", "params", "ambiguous"), [("get_item", {"Key": KEY}, False), ("update_item", ADD, True)]
)
async def test_a_deadline_cuts_off_what_is_in_flight(world, verb, params, ambiguous):
    table = await world.table(clock=rddb.Policy().clock)
    await table.get_item(Key=KEY)  # what a first call does is done
    world.proxy.clear()
    world.proxy.plan = [faults.Hang()]
    started = time.perf_counter()
    with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(1.0):
        await getattr(table, verb)(**params)
    overrun = time.perf_counter() - started - 1.0
    print(f"overrun of {verb}: {overrun * 1000:.1f} ms")  # noqa: T201 - a figure to look at
    assert overrun < 4.0  # the attempt would hang for 30 s
    facts = raised.value.resilience
    assert (facts.attempts, facts.stopped_by, facts.ambiguous) == (1, "deadline", ambiguous)
    assert world.proxy.count() == 1
    assert asyncio.current_task().cancelling() == 0


async def test_a_deadline_stops_back_off_before_it_begins(world):
    world.proxy.plan = [faults.Throttle()]
    table = await world.table(retry=rddb.Retry(wait=lambda _: 1.0))
    with rddb.deadline(2.5, clock=world.clock), pytest.raises(rddb.DeadlineExceededError) as raised:
        await table.get_item(Key=KEY)
    assert world.clock.waits == [1.0, 1.0]
    assert raised.value.resilience.attempts == 3
    assert raised.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert isinstance(raised.value.__cause__, table.meta.client.exceptions.ProvisionedThroughputExceededException)


async def test_after_a_deadline_nothing_is_sent(world):
    table = await world.table()
    with rddb.deadline(0.0), pytest.raises(rddb.DeadlineExceededError) as raised:
        await table.update_item(**ADD)
    assert world.proxy.count() == 0
    assert (raised.value.resilience.attempts, raised.value.resilience.ambiguous) == (0, False)


async def test_tasks_inherit_the_deadline_and_others_do_not(world):
    table = await world.table()

    async def get():
        return await table.get_item(Key=KEY)

    outside = asyncio.create_task(get())
    with rddb.deadline(0.0):
        inside = [asyncio.create_task(get()) for _ in range(2)]
    results = await asyncio.gather(outside, *inside, return_exceptions=True)
    assert "ResponseMetadata" in results[0]
    assert [type(result) for result in results[1:]] == [rddb.DeadlineExceededError] * 2
    await get()


@pytest.mark.parametrize(("outer", "inner"), [(0.05, 60.0), (60.0, 0.05)])
async def test_nested_deadlines_the_earlier_holds(world, outer, inner):
    world.proxy.plan = [faults.Hang()]
    table = await world.table()
    with rddb.deadline(outer), rddb.deadline(inner), pytest.raises(rddb.DeadlineExceededError):
        await table.get_item(Key=KEY)


async def test_a_write_whose_reply_comes_after_the_deadline_is_ambiguous_and_was_applied(world):
    world.proxy.plan = [faults.Delay(seconds=1.5, operations={"UpdateItem"})]
    table = await world.table()
    await table.get_item(Key=KEY)  # its connection is there
    world.proxy.clear()
    with rddb.deadline(1.0), pytest.raises(rddb.DeadlineExceededError) as raised:
        await table.update_item(**ADD)
    assert raised.value.resilience.ambiguous
    await until(lambda: world.proxy.seen[0].status == 200)
    assert world.stored()["c"] == 1


async def test_a_deadline_around_the_opening_of_a_module_level_table_holds(world):
    class Never:
        async def load_credentials(self):
            await asyncio.Event().wait()

    session = AioSession()
    session.register_component("credential_provider", Never())
    table = aio.table(world.name, region_name="eu-west-1", endpoint_url=world.proxy.endpoint_url, session=session)
    with rddb.deadline(0.05), pytest.raises(rddb.DeadlineExceededError) as raised:
        async with asyncio.timeout(30):
            await table.get_item(Key=KEY)
    assert (raised.value.resilience.attempts, raised.value.resilience.ambiguous) == (0, False)
    for opening in other_tasks():
        opening.cancel()


# Many at once.


@contextlib.asynccontextmanager
async def barrier_server(parties):
    """Answer requests only when `parties` of them are there together."""
    barrier = asyncio.Barrier(parties)
    most = [0, 0]

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
                most[0] += 1
                most[1] = max(most)
                await barrier.wait()
                await asyncio.sleep(0.05)
                most[0] -= 1
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\r\n{}"
                )
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", most
    finally:
        server.close()


async def test_a_hundred_tasks_are_in_flight_together():
    async with barrier_server(100) as (url, most), aio.table("orders", endpoint_url=url, **ACCESS) as table:
        async with asyncio.timeout(30):
            started = time.perf_counter()
            await asyncio.gather(*(table.get_item(Key=KEY) for _ in range(100)))
            cold = time.perf_counter() - started
            started = time.perf_counter()
            await asyncio.gather(*(table.get_item(Key=KEY) for _ in range(100)))
        print(f"100 calls of 50 ms: {cold:.3f} s, again {time.perf_counter() - started:.3f} s")  # noqa: T201
    assert most[1] == 100


async def test_a_hundred_tasks_on_dynamodb_local(world):
    world.proxy.plan = [faults.Delay(seconds=0.05)]
    table = await world.table()
    started = time.perf_counter()
    await asyncio.gather(*(table.put_item(Item={"pk": str(number)}) for number in range(100)))
    print(f"100 puts, delayed by 50 ms: {time.perf_counter() - started:.3f} s")  # noqa: T201 - as above
    assert len(world.direct.scan()["Items"]) == 100
    assert world.proxy.count() == 100


@pytest.mark.parametrize("permits", [1, 3])
async def test_a_thousand_callers_at_half_open_send_the_permitted_probes(world, permits):
    breaker = rddb.CircuitBreaker(minimum_calls=3, open_jitter=0.0, half_open_permits=permits)
    table = await world.table(retry=ONE, circuit_breaker=breaker)
    await trip(world, table)
    world.clock.advance(10)
    world.proxy.plan = [faults.Hang()]
    tasks = [asyncio.create_task(table.get_item(Key=KEY)) for _ in range(1000)]
    await until(lambda: sum(task.done() for task in tasks) == 1000 - permits and world.proxy.count() == permits)
    for task in tasks:
        if task.done():
            assert isinstance(task.exception(), rddb.CircuitOpenError)
            assert task.exception().state == "half-open"
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert world.proxy.count() == permits
    world.proxy.plan = []
    for _ in range(permits):
        await table.get_item(Key=KEY)
    assert rddb.circuits(table)["read"].state == "closed"


async def test_an_open_circuit_sends_nothing_for_a_thousand_callers(world):
    table = await world.table(retry=ONE, circuit_breaker=TRIPS)
    await trip(world, table)
    results = await asyncio.gather(*(table.get_item(Key=KEY) for _ in range(1000)), return_exceptions=True)
    assert {type(result) for result in results} == {rddb.CircuitOpenError}
    assert world.proxy.count() == 0


@pytest.mark.parametrize(
    ("seconds", "call_timeout", "state"),
    [
        (0.01, None, "closed"),  # too short to say anything about the table
        (0.2, None, "open"),
        (None, 0.2, "open"),
    ],
)
async def test_hangs_under_a_deadline_say_the_same_on_both_tables(world, seconds, call_timeout, state):
    world.proxy.plan = [faults.Hang()]
    settings = {
        "retry": ONE,
        "circuit_breaker": TRIPS,
        "timeouts": rddb.Timeouts(call=call_timeout),
        "clock": rddb.Policy().clock,
    }
    sync, table = world.sync_table(**settings), await world.table(**settings)
    circuits = [rddb.circuits(made)["read"] for made in (sync, table)]
    over = (rddb.DeadlineExceededError, rddb.CircuitOpenError, ReadTimeoutError)
    for attempt in range(30):
        with rddb.deadline(seconds), pytest.raises(over):
            sync.get_item(Key=KEY)
        with rddb.deadline(seconds), pytest.raises(over):
            await table.get_item(Key=KEY)
        states = [circuit.state for circuit in circuits]
        if attempt >= 2 and states == [state, state]:  # what a busy machine cuts too late does not count
            break
    assert states == [state, state]
