"""`get_items` and `parallel_scan` of both Tables: one script, the same items, states, requests and waits."""

import asyncio
import inspect
import json
import random

import pytest
from aio_support import ACCESS, until
from botocore.exceptions import ClientError
from cycle_support import collected_afterwards

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import FakeClock, faults

COUNT = 240


@pytest.fixture
def filled(world):
    with world.direct.batch_writer() as batch:
        for number in range(COUNT):
            more = {"exp": 1_700_000_000} if number % 3 == 0 else {}
            batch.put_item(Item={"pk": f"{number:03}", "n": number, "text": "x" * 500, **more})
    return world


def keys(*numbers):
    return [{"pk": f"{number:03}"} for number in numbers]


def numbers(items):
    return [int(item["n"]) for item in items]


def tasks():
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def each(items):
    """Return what an iterator gives, be it async or not."""
    if hasattr(items, "__anext__"):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def stream(items):
    for item in items:
        yield item


ALL = keys(*range(COUNT), 900, 901)
BATCHES = {
    "all well": ([], {}, {}),
    "half of it undone": ([faults.Unprocessed(every=2)], {}, {"ConsistentRead": True}),
    "no progress": ([faults.Unprocessed(share=1.0)], {}, {}),
    "no progress for a while": ([faults.Unprocessed(share=1.0, times=3)], {}, {}),
    "throttled": ([faults.Throttle(every=2), faults.Unprocessed(every=3)], {}, {"ProjectionExpression": "n"}),
    "lost replies": ([faults.LoseReply(every=2)], {}, {}),
    "refused in the middle": ([faults.ErrorResponse(code="AccessDeniedException", every=3)], {}, {}),
    "expired": ([faults.Unprocessed(every=2)], {"ttl": "exp"}, {"ProjectionExpression": "n"}),
    "at a rate": ([], {}, {"read_units_per_second": 20}),
}


async def play_batch(world, scenario, table_of):
    plan, options, arguments = scenario
    clock = FakeClock()
    table = table_of(options=options, clock=clock, random=random.Random(3), retry=rddb.Retry(max_attempts=4))
    table = await table if inspect.iscoroutine(table) else table
    world.proxy.plan = plan
    world.proxy.clear()
    batch = table.get_items(iter(ALL), **arguments)
    given, errors = [], []
    for _ in range(3):  # it may be iterated on after an error
        try:
            async for item in each(batch):
                given.append(item)  # noqa: PERF401 - what came before an error counts
        except ClientError as error:
            errors.append((type(error).__name__, str(error), getattr(error, "keys", None), batch.unread))
    requests = [(seen.fault, seen.params) for seen in world.proxy.seen]
    return given, batch.missing, errors, requests, clock.waits


@pytest.mark.parametrize("name", BATCHES)
async def test_both_batch_gets_do_the_same(filled, name):
    theirs = await play_batch(filled, BATCHES[name], filled.sync_table)
    ours = await play_batch(filled, BATCHES[name], filled.table)
    assert ours == theirs
    given, missing, errors, _, _ = ours
    if name == "no progress":
        assert len(errors) == 3
    elif name == "expired":
        assert numbers(given) == [number for number in range(COUNT) if number % 3]
        assert len(missing) == COUNT // 3 + 2
    else:
        assert numbers(given) == list(range(COUNT))
        assert missing == keys(900, 901)
    assert bool(errors) == (name in ("no progress", "refused in the middle"))


@pytest.mark.parametrize(
    "fault", [faults.Hang(), faults.Throttle(), faults.Unprocessed(share=1.0), faults.ServerError()]
)
async def test_whatever_a_deadline_ends_the_error_has_the_keys_on_both_tables(filled, fault):
    settings = {
        "clock": rddb.Policy().clock,
        "retry": rddb.Retry(max_attempts=100, wait=lambda _: 0.02),
        "circuit_breaker": None,
        "retry_budget": None,
        "timeouts": rddb.Timeouts(read=0.5),  # older botocore hangs for its read timeout
    }
    filled.proxy.plan = [fault]
    for table in (filled.sync_table(**settings), await filled.table(**settings)):
        batch = table.get_items(keys(1, 2))
        with pytest.raises(rddb.UnprocessedKeysError) as raised, rddb.deadline(0.2):
            async for _ in each(batch):
                pass
        assert isinstance(raised.value, rddb.DeadlineExceededError)
        assert raised.value.resilience.stopped_by == "deadline"
        assert raised.value.keys == batch.unread == keys(1, 2)
    filled.proxy.plan = []


async def test_keys_may_come_from_an_async_iterator(filled):
    table = await filled.table()
    batch = table.get_items(stream(keys(5, 1, 5, 999, *range(120))))
    assert isinstance(batch, aio.AsyncBatchGet)
    assert numbers([item async for item in batch]) == [5, 1, 0, 2, 3, 4, *range(6, 120)]
    assert batch.missing == keys(999)
    with pytest.raises(TypeError, match="is not iterable"):
        iter(batch)


async def test_a_source_of_keys_that_is_cancelled_loses_none(filled):
    may_go_on = asyncio.Event()

    async def source():
        for key in keys(*range(150)):
            if key == {"pk": "120"}:
                await may_go_on.wait()
            yield key

    table = await filled.table()
    batch = table.get_items(source())
    given = [await anext(batch) for _ in range(100)]
    task = asyncio.create_task(anext(batch))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert batch.unread == keys(*range(100, 120))
    with pytest.raises(RuntimeError, match="which ones follow"):  # noqa: PT012 - the whole loop is what raises
        async for item in batch:
            given.append(item)  # noqa: PERF401 - what is given before it raises
    assert numbers(given) == list(range(120))


async def test_a_request_that_is_cancelled_is_sent_again(filled):
    table = await filled.table()
    filled.proxy.plan = [faults.Hang(times=1)]
    batch = table.get_items(keys(*range(10)))
    task = asyncio.create_task(anext(batch))
    await until(lambda: filled.proxy.count("BatchGetItem") == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert numbers([item async for item in batch]) == list(range(10))


async def test_a_table_at_module_scope_reads_by_its_own_policy(filled):
    policy = filled.policy(retry=rddb.Retry(max_attempts=2))
    table = aio.table(filled.name, endpoint_url=filled.proxy.endpoint_url, policy=policy, **ACCESS)
    async with table:
        filled.proxy.plan = [faults.Unprocessed(share=1.0)]
        batch = table.get_items(keys(1), read_units_per_second=0.1)
        with pytest.raises(rddb.UnprocessedKeysError, match="2 passes"):
            await anext(batch)
        filled.proxy.plan = []
        assert sorted(numbers([item async for item in table.parallel_scan(3)])) == list(range(COUNT))
    assert sum(filled.clock.waits) > 4  # by its own clock, not by the machine's


# Parallel scans. Their segments answer in any order: what is compared does not depend on it.

SCANS = {
    "all well": ([], {}, {}),
    "throttled": ([faults.Throttle(rate=0.3)], {}, {}),
    "lost replies": ([faults.LoseReply(rate=0.2)], {}, {}),
    "expired": ([], {"ttl": "exp"}, {"ProjectionExpression": "n"}),
    "at a rate": ([], {}, {"read_units_per_second": 5}),
}


async def play_scan(world, scenario, table_of, segments, stop):
    plan, options, arguments = scenario
    table = table_of(options=options, clock=FakeClock(), random=random.Random(3))
    table = await table if inspect.iscoroutine(table) else table
    world.proxy.plan = plan
    world.proxy.clear()
    states, before = [], []
    scan = table.parallel_scan(segments, Limit=20, on_page=states.append, **arguments)
    async for item in each(scan):
        if stop is not None and len(states) >= stop:
            break
        before.append(item)
    closing = scan.aclose() if hasattr(scan, "aclose") else scan.close()
    await closing if closing is not None else None
    state = scan.state
    after = [item async for item in each(table.parallel_scan(resume=json.loads(json.dumps(state)), **arguments))]
    asked = {
        (seen.params["Segment"], json.dumps(seen.params.get("ExclusiveStartKey")))
        for seen in world.proxy.seen
        if seen.operation == "Scan"
    }
    return sorted(numbers(before + after)), len(states) if stop is None else None, asked if stop is None else None


@pytest.mark.parametrize(("segments", "stop"), [(1, None), (4, None), (4, 0), (4, 5)])
@pytest.mark.parametrize("name", SCANS)
async def test_both_scans_do_the_same(filled, name, segments, stop):
    theirs = await play_scan(filled, SCANS[name], filled.sync_table, segments, stop)
    ours = await play_scan(filled, SCANS[name], filled.table, segments, stop)
    assert ours == theirs
    expected = [number for number in range(COUNT) if name != "expired" or number % 3]
    assert ours[0] == expected


async def test_on_page_may_be_async(filled):
    states = []

    async def on_page(state):
        await asyncio.sleep(0)
        states.append(state)

    table = await filled.table()
    scan = table.parallel_scan(2, Limit=50, on_page=on_page)
    assert isinstance(scan, aio.AsyncParallelScan)
    assert len([item async for item in scan]) == COUNT
    assert states[-1] == scan.state
    with pytest.raises(TypeError, match="is not iterable"):
        iter(scan)


async def test_no_more_than_a_page_of_a_segment_is_asked_for_ahead(filled):
    table = await filled.table()
    given = 0
    async for _ in table.parallel_scan(3, Limit=20):
        given += 1
        if given % 10 == 0:
            await asyncio.sleep(0.005)
        assert filled.proxy.count("Scan") <= -(-given // 20) + 3 + 3  # empty last pages count for none


async def test_a_reader_that_leaves_leaves_no_task(filled):
    table = await filled.table()
    async with table.parallel_scan(4, Limit=5) as scan:
        await anext(scan)
    assert tasks() == []
    with pytest.raises(OSError, match="the reader's"):  # noqa: PT012 - the whole block is what raises
        async with table.parallel_scan(4, Limit=5) as scan:
            async for _ in scan:
                raise OSError("the reader's")
    assert tasks() == []
    with collected_afterwards():
        async for _ in table.parallel_scan(4, Limit=5):
            break
    await until(lambda: tasks() == [])  # dropped: the loop closes it
    await table.parallel_scan(4).aclose()


async def test_a_reader_that_is_cancelled_leaves_no_task_and_knows_where_to_go_on(filled):
    table = await filled.table()
    filled.proxy.plan = [faults.Hang(operations={"Scan"}, every=6)]
    scan = table.parallel_scan(4, Limit=20)
    given = []

    async def read():
        async for item in scan:
            given.append(item)  # noqa: PERF401 - what came before the end counts

    reading = asyncio.create_task(read())
    await until(lambda: any(seen.fault for seen in filled.proxy.seen))
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert tasks() == []
    filled.proxy.plan = []
    table_again = await filled.table()
    again = [item async for item in table_again.parallel_scan(resume=json.loads(json.dumps(scan.state)))]
    assert set(numbers(given + again)) == set(range(COUNT))


async def test_a_segment_that_fails_stops_the_others_and_says_where_to_go_on(filled):
    table = await filled.table()
    filled.proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"Scan"}, every=7)]
    given, scan = [], table.parallel_scan(4, Limit=20)
    with pytest.raises(ClientError, match="AccessDenied") as raised:  # noqa: PT012 - the whole loop is what raises
        async for item in scan:
            given.append(item)  # noqa: PERF401 - what came before the error counts
    assert tasks() == []
    filled.proxy.plan = []
    with pytest.raises(RuntimeError, match=r"resume=scan\.state"):
        await anext(scan)
    again = [item async for item in table.parallel_scan(resume=raised.value.scan_state)]
    assert sorted(numbers(given + again)) == list(range(COUNT))


async def test_what_waits_for_the_rate_gives_back_what_it_took_when_it_is_cancelled(filled):
    table = await filled.table()
    rddb.set_policy(table, rddb.Policy())  # by the machine's clock
    limiter = rddb.RateLimiter(10, burst=10)
    limiter.charge(1000)
    owed = limiter.reserve(0)
    scan = table.parallel_scan(2, read_units_per_second=limiter)
    task = asyncio.create_task(anext(scan))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert filled.proxy.count("Scan") == 0
    assert limiter.reserve(0) <= owed


async def test_two_tasks_can_not_read_one_scan(filled):
    table = await filled.table()
    filled.proxy.plan = [faults.Delay(seconds=0.05)]
    scan = table.parallel_scan(1)
    first = asyncio.create_task(anext(scan))
    await asyncio.sleep(0.01)
    with pytest.raises(RuntimeError, match="already running"):
        await anext(scan)
    await first
    await scan.aclose()
