"""The async batch writer with workers, a rate and limits; and that both writers do the same."""

import asyncio

import pytest
from aio_support import ACCESS, until
from boto3.dynamodb.table import BatchWriter

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.policy.clock import SYSTEM_CLOCK
from resilient_ddb.testing import FakeClock, faults


def numbered(count, start=0, **more):
    return [{"pk": f"{number:04}", **more} for number in range(start, start + count)]


def puts(items):
    return [{"PutRequest": {"Item": item}} for item in items]


def keys_of(requests):
    return [request["PutRequest"]["Item"]["pk"] for request in requests]


def stored_keys(world):
    return sorted(item["pk"] for item in world.direct.scan(ConsistentRead=True)["Items"])


@pytest.mark.parametrize("workers", [2, 8])
async def test_workers_write_everything_once_and_the_last_request_for_a_key_wins(world, workers):
    world.proxy.plan = [faults.Delay(seconds=0.005), faults.Unprocessed(every=3), faults.Throttle(every=7)]
    table = await world.table(retry_budget=None)
    async with table.batch_writer(max_workers=workers) as batch:
        assert isinstance(batch, BatchWriter)
        for number in range(600):
            await batch.put_item(Item={"pk": f"{number % 200:04}", "n": number})
        await batch.delete_item(Key={"pk": "0000"})
    assert stored_keys(world) == [f"{number:04}" for number in range(1, 200)]
    assert all(world.stored(f"{number:04}")["n"] == number + 400 for number in (1, 57, 199))
    assert world.proxy.count("DescribeTable") == 1
    assert batch.unprocessed == []


async def test_workers_are_under_way_at_once(world):
    world.proxy.plan = [faults.Hang(times=4)]
    table = await world.table()
    batch = table.batch_writer(["pk"], max_workers=4)

    async def write():
        async with batch:
            for item in numbered(200):
                await batch.put_item(Item=item)

    task = asyncio.create_task(write())
    await until(lambda: world.proxy.count() == 4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert batch.unprocessed == puts(numbered(100))
    await asyncio.sleep(0.1)
    assert world.proxy.count() == 4


async def test_cancelled_as_the_block_ends_no_task_is_left_and_nothing_more_is_sent(world):
    world.proxy.plan = [faults.Hang()]
    table = await world.table()
    batch = table.batch_writer(["pk"], max_workers=3)
    before = asyncio.all_tasks()

    async def write():
        async with batch:
            for item in numbered(60):
                await batch.put_item(Item=item)

    task = asyncio.create_task(write())
    await until(lambda: world.proxy.count() == 2)
    await asyncio.sleep(0.05)  # the block's end waits for the two
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
    assert batch.unprocessed == puts(numbered(60))
    world.proxy.plan = []
    async with batch:  # and it can go on
        pass
    assert len(stored_keys(world)) == 60


@pytest.mark.parametrize("workers", [1, 3])
async def test_cancelled_nothing_more_is_sent_and_unprocessed_has_the_rest(world, workers):
    table = await world.table(retry=rddb.Retry(wait=lambda _: 30.0, max_attempts=1000), clock=SYSTEM_CLOCK)
    batch = table.batch_writer(["pk"], max_workers=workers)
    is_under_way = asyncio.Event()

    async def write():
        async with batch:
            for item in numbered(50):
                await batch.put_item(Item=item)
            await batch.flush()
            world.proxy.plan = [faults.Throttle()]
            is_under_way.set()
            for item in numbered(5000, start=50):
                await batch.put_item(Item=item)

    task = asyncio.create_task(write())
    await is_under_way.wait()
    await until(lambda: world.proxy.count("BatchWriteItem") >= 2 + workers)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
    assert stored_keys(world) == [item["pk"] for item in numbered(50)]
    left = keys_of(batch.unprocessed)
    assert left == [item["pk"] for item in numbered(len(left), start=50)]
    assert len(left) >= 25 * workers


@pytest.mark.parametrize("workers", [1, 3])
async def test_leaving_by_an_exception_sends_nothing_more(world, workers):
    error = RuntimeError("mine")
    table = await world.table()
    with pytest.raises(RuntimeError) as raised:  # noqa: PT012 - the block raises
        async with table.batch_writer(["pk"], max_workers=workers) as batch:
            for item in numbered(60):
                await batch.put_item(Item=item)
            raise error
    assert raised.value is error
    assert world.proxy.count("BatchWriteItem") <= 2
    assert sorted({*keys_of(batch.unprocessed), *stored_keys(world)}) == [item["pk"] for item in numbered(60)]
    async with batch:
        pass
    assert len(stored_keys(world)) == 60


async def test_what_is_buffered_is_written_after_an_exception_where_that_is_wished(world):
    table = await world.table()
    with pytest.raises(RuntimeError):  # noqa: PT012 - the block raises
        async with table.batch_writer(flush_on_error=True) as batch:
            await batch.put_item(Item={"pk": "a"})
            raise RuntimeError("mine")
    assert stored_keys(world) == ["a"]


@pytest.mark.parametrize("workers", [1, 4])
async def test_a_server_that_takes_nothing_is_asked_max_attempts_times(world, workers):
    world.proxy.plan = [faults.Unprocessed(share=1.0)]
    table = await world.table()
    batch = table.batch_writer(["pk"], max_workers=workers, max_attempts=5)
    taken = []
    with pytest.raises(rddb.UnprocessedItemsError, match="5 passes made no progress") as raised:  # noqa: PT012
        async with batch:
            for item in numbered(500):
                taken.append(item)
                await batch.put_item(Item=item)
    assert raised.value.requests == puts(taken) == batch.unprocessed
    assert world.proxy.count() <= 5 + workers - 1
    assert len(world.clock.waits) == 4


@pytest.mark.parametrize("workers", [1, 4])
async def test_a_server_that_refuses_half_costs_at_most_2_2_times_the_requests(world, workers):
    world.proxy.plan = [faults.Unprocessed(share=0.5)]
    table = await world.table()
    async with table.batch_writer(["pk"], max_workers=workers) as batch:
        for item in numbered(1000):
            await batch.put_item(Item=item)
    assert stored_keys(world) == [item["pk"] for item in numbered(1000)]
    assert world.proxy.count("BatchWriteItem") <= 2.2 * 40


async def test_items_that_can_not_be_written_are_refused_one_by_one(world):
    bad = {7: {"b": "x" * 450_000}, 30: {"f": 1.5}}
    table = await world.table()
    with pytest.raises(rddb.UnprocessedItemsError, match="of 450,007 bytes") as raised:  # noqa: PT012 - the block raises
        async with table.batch_writer() as batch:
            for number, item in enumerate(numbered(60)):
                await batch.put_item(Item={**item, **bad.get(number, {})})
    assert keys_of(raised.value.requests) == ["0007", "0030"]
    assert len(stored_keys(world)) == 58
    assert batch.report.refused == 2


async def test_what_is_unprocessed_goes_to_an_async_function_and_what_is_put_meanwhile_is_kept(world):
    given = []
    table = await world.table(retry=rddb.Retry(max_attempts=2))

    async def take(requests):
        if not given:
            await batch.put_item(Item={"pk": "meanwhile"})
        await asyncio.sleep(0)
        given.extend(requests)

    async with table.batch_writer(on_unprocessed=take) as batch:
        for number, item in enumerate(numbered(25)):
            await batch.put_item(Item={**item, "f": 1.5} if number == 3 else item)
        assert keys_of(given) == ["0003"]
        assert keys_of(batch.unprocessed) == ["meanwhile"]
    assert len(stored_keys(world)) == 25


async def test_a_module_level_table_holds_a_rate_from_its_first_batch(world):
    table = aio.table(world.name, endpoint_url=world.proxy.endpoint_url, policy=world.policy(), **ACCESS)
    async with table, table.batch_writer(write_units_per_second=50) as batch:
        for item in numbered(500):
            await batch.put_item(Item=item)
    assert batch.report.elapsed == pytest.approx((500 - 50) / 50, rel=0.07)
    assert sum(world.clock.waits) == pytest.approx(batch.report.elapsed)
    assert batch.report.consumed_units == 500


async def test_a_deadline_leaves_what_is_not_surely_written_in_unprocessed(world):
    table = await world.table()
    batch = table.batch_writer(write_units_per_second=10)
    with rddb.deadline(10, clock=world.clock), pytest.raises(rddb.UnprocessedItemsError, match="deadline") as raised:  # noqa: PT012
        async with batch:
            for item in numbered(500):
                await batch.put_item(Item=item)
    assert isinstance(raised.value, rddb.DeadlineExceededError)
    written = len(stored_keys(world))
    assert keys_of(batch.unprocessed) == [item["pk"] for item in numbered(25, start=written)]


async def test_tasks_that_share_a_writer_with_workers_lose_nothing(world):
    world.proxy.plan = [faults.Delay(seconds=0.003), faults.Unprocessed(every=4)]
    table = await world.table()
    async with table.batch_writer(max_workers=3, flush_amount=10) as batch:

        async def write(number):
            for item in numbered(60, start=60 * number):
                await batch.put_item(Item=item)
                await asyncio.sleep(0)

        await asyncio.gather(*map(write, range(5)))
    assert stored_keys(world) == [item["pk"] for item in numbered(300)]


async def test_both_writers_send_the_same(world):
    """The same items, faults and chance: the same requests, pauses and report."""

    def plan():
        return [faults.Unprocessed(every=2), faults.ErrorResponse(code="ThrottlingException", every=5)]

    def items():
        return [{**item, "f": 1.5} if number == 40 else item for number, item in enumerate(numbered(200))]

    def seen():
        return [call.params for call in world.proxy.seen if call.operation == "BatchWriteItem"]

    options = {"write_units_per_second": 100, "on_unprocessed": lambda _: None}
    found = []
    for kind in ("sync", "async"):
        clock, chance = FakeClock(), __import__("random").Random(5)
        world.proxy.plan = plan()
        already = len(seen())
        if kind == "sync":
            with world.sync_table(clock=clock, random=chance, retry_budget=None).batch_writer(**options) as batch:
                for item in items():
                    batch.put_item(Item=item)
        else:
            table = await world.table(clock=clock, random=chance, retry_budget=None)
            async with table.batch_writer(**options) as batch:
                for item in items():
                    await batch.put_item(Item=item)
        found.append((seen()[already:], clock.waits, batch.report, batch.refusals))
    assert found[0] == found[1]
    assert found[0][2].retried > 50


async def test_a_table_that_was_made_anew_with_another_key_loses_nothing(world):
    """Of requests for one key the last one stands: by the key that there was, all of these would be for one."""
    table = await world.table()
    async with table.batch_writer(max_workers=2) as batch:
        await batch.put_item(Item={"pk": "a"})
    world.direct.delete()
    world.direct.meta.client.create_table(
        TableName=world.name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    async with table.batch_writer(max_workers=2) as batch:
        for number in range(60):
            await batch.put_item(Item={"pk": "a", "sk": str(number)})
    assert world.direct.scan(Select="COUNT", ConsistentRead=True)["Count"] == 60
