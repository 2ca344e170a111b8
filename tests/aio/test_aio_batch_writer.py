"""The async batch writer: aioboto3's, but nothing is lost."""

import asyncio
from collections import Counter

import pytest
from aio_support import ACCESS, until
from boto3.dynamodb.types import Binary

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import faults

QUICK = rddb.Retry(max_attempts=3)


def numbered(count, start=0):
    return [{"pk": f"{number:03}"} for number in range(start, start + count)]


def sent(proxy):
    """Return the requests of each batch that reached the proxy, as keys."""
    found = []
    for seen in proxy.seen:
        if seen.operation == "BatchWriteItem":
            [entries] = seen.params["RequestItems"].values()
            found.append([next(iter(entry.values())) for entry in entries])
    return found


def keys_sent(proxy):
    return [(entry.get("Item") or entry["Key"])["pk"]["S"] for batch in sent(proxy) for entry in batch]


def all_stored(world):
    return sorted(item["pk"] for item in world.direct.scan(ConsistentRead=True)["Items"])


async def test_it_writes_what_boto3s_writes(dynamodb_local, make_table, plain, hardened):
    name = make_table(dynamodb_local.endpoint_url, sort_key="sk")
    options = {"overwrite_by_pkeys": ["pk", "sk"]}
    calls = [("put_item", {"Item": {"pk": "w", "sk": str(n % 40), "n": n}}) for n in range(60)]
    calls.append(("delete_item", {"Key": {"pk": "w", "sk": "0"}}))
    sync = plain(dynamodb_local.endpoint_url).Table(name)
    with sync.batch_writer(**options) as batch:
        for verb, params in calls:
            getattr(batch, verb)(**params)
    theirs = sync.scan()["Items"]
    sync.delete()
    make_table(dynamodb_local.endpoint_url, sort_key="sk", TableName=name)
    table = await (await hardened(dynamodb_local.endpoint_url)).Table(name)
    async with table.batch_writer(**options) as batch:
        for verb, params in calls:
            assert await getattr(batch, verb)(**params) is None
    assert (await table.scan())["Items"] == theirs
    assert len(theirs) == 39


@pytest.mark.parametrize("flush_amount", [1, 7, 25])
async def test_flush_amount_is_the_size_of_a_batch(world, flush_amount):
    table = await world.table()
    async with table.batch_writer(flush_amount=flush_amount) as batch:
        for item in numbered(30):
            await batch.put_item(Item=item)
    sizes = [len(batch) for batch in sent(world.proxy)]
    assert max(sizes) == flush_amount
    assert sum(sizes) == 30
    assert len(all_stored(world)) == 30


async def test_the_last_request_for_a_key_wins(world):
    table = await world.table()
    async with table.batch_writer(overwrite_by_pkeys=["pk"]) as batch:
        for number in range(5):
            await batch.put_item(Item={"pk": "a", "n": number})
        await batch.put_item(Item={"pk": "b"})
        await batch.delete_item(Key={"pk": "b"})
        await batch.put_item(Item={"pk": "c", "b": b"x"})
        await batch.put_item(Item={"pk": "c", "b": Binary(b"y")})
    assert [len(batch) for batch in sent(world.proxy)] == [3]
    assert world.stored("a")["n"] == 4
    assert world.stored("b") is None
    assert world.stored("c")["b"] == Binary(b"y")


async def test_of_requests_for_one_key_the_last_one_wins_although_the_key_is_not_known(world):
    table = await world.table()
    async with table.batch_writer() as batch:
        for number in range(3):
            await batch.put_item(Item={"pk": "a", "n": number})
            await batch.put_item(Item={"pk": f"b{number}"})
        await batch.delete_item(Key={"pk": "b1"})
    assert world.stored("a")["n"] == 2
    assert all_stored(world) == ["a", "b0", "b2"]
    assert world.proxy.count("DescribeTable") == 0


async def test_nothing_is_sent_where_nothing_was_written(world):
    table = await world.table()
    async with table.batch_writer():
        pass
    assert world.proxy.count() == 0


async def test_it_sleeps_between_batches_on_exit_if_told(world, monkeypatch):
    slept = []
    real = asyncio.sleep

    async def sleep(seconds):
        slept.append(seconds)
        await real(0)

    table = await world.table()
    async with table.batch_writer(flush_amount=100, on_exit_loop_sleep=0.25) as batch:
        for item in numbered(60):
            await batch.put_item(Item=item)
        monkeypatch.setattr(asyncio, "sleep", sleep)
    assert [len(each) for each in sent(world.proxy)] == [25, 25, 10]
    assert slept.count(0.25) == 2
    assert len(all_stored(world)) == 60


async def test_the_sync_protocol_is_refused(world):
    table = await world.table()
    with pytest.raises(TypeError, match="async with"), table.batch_writer():
        pass


@pytest.mark.parametrize("flush_amount", [1, 3, 25])
async def test_tasks_that_share_a_writer_lose_nothing_and_send_nothing_twice(world, flush_amount):
    world.proxy.plan = [faults.Delay(seconds=0.003)]
    table = await world.table()
    async with table.batch_writer(flush_amount=flush_amount) as batch:

        async def write(number):
            for item in numbered(40, start=40 * number):
                await batch.put_item(Item=item)
                await asyncio.sleep(0)

        await asyncio.gather(*map(write, range(5)))
    expected = [item["pk"] for item in numbered(200)]
    assert sorted(keys_sent(world.proxy)) == expected
    assert all_stored(world) == expected
    assert all(sent(world.proxy))


async def test_a_batch_that_another_task_has_sent_is_not_sent_empty(world):
    world.proxy.plan = [faults.Delay(seconds=0.01)]
    table = await world.table()
    async with table.batch_writer(flush_amount=3) as batch:
        await asyncio.gather(*(batch.put_item(Item=item) for item in numbered(40)))
    assert all(sent(world.proxy))
    assert [len(batch) for batch in sent(world.proxy)] == [3] * 13 + [1]
    assert all_stored(world) == [item["pk"] for item in numbered(40)]


async def test_tasks_that_share_a_writer_under_faults_lose_nothing(world):
    world.proxy.plan = [faults.Throttle(every=3), faults.Unprocessed(every=2)]
    table = await world.table(retry=rddb.Retry(max_attempts=20))
    async with table.batch_writer(flush_amount=10) as batch:

        async def write(number):
            for item in numbered(40, start=40 * number):
                await batch.put_item(Item=item)
                await asyncio.sleep(0)

        await asyncio.gather(*map(write, range(5)))
    assert all_stored(world) == [item["pk"] for item in numbered(200)]


async def test_a_request_that_fails_loses_nothing(world):
    world.proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", times=1)]
    table = await world.table()
    batch = table.batch_writer(flush_amount=5)
    with pytest.raises(table.meta.client.exceptions.ClientError, match="AccessDenied"):  # noqa: PT012 - the whole block is what raises
        for item in numbered(5):
            await batch.put_item(Item=item)
    assert [entry["PutRequest"]["Item"] for entry in batch.unprocessed] == numbered(5)
    async with batch:
        await batch.put_item(Item={"pk": "last"})
    assert all_stored(world) == [*(item["pk"] for item in numbered(5)), "last"]


async def test_a_batch_is_retried_as_any_other_call(world):
    world.proxy.plan = [faults.Throttle(times=2)]
    table = await world.table()
    async with table.batch_writer() as batch:
        await batch.put_item(Item={"pk": "a"})
    assert world.proxy.count("BatchWriteItem") == 3
    assert len(world.clock.waits) == 2


async def test_unprocessed_items_are_sent_again_after_a_short_pause_while_there_is_progress(world):
    world.proxy.plan = [faults.Unprocessed(times=3)]
    table = await world.table(retry=rddb.Retry(max_attempts=2, base_delay=1.0))
    async with table.batch_writer() as batch:
        for item in numbered(24):
            await batch.put_item(Item=item)
    assert [len(batch) for batch in sent(world.proxy)] == [24, 12, 6, 3]
    assert len(world.clock.waits) == 3
    assert all(0 <= waited <= 1.0 for waited in world.clock.waits)
    assert len(all_stored(world)) == 24


async def test_passes_without_progress_are_spaced_by_full_jitter(world):
    world.proxy.plan = [faults.Unprocessed(share=1.0, times=4)]
    table = await world.table(retry=rddb.Retry(max_attempts=10, base_delay=1.0, max_delay=4.0))
    async with table.batch_writer() as batch:
        for item in numbered(10):
            await batch.put_item(Item=item)
    assert world.proxy.count("BatchWriteItem") == 5
    assert len(world.clock.waits) == 4
    for waited, window in zip(world.clock.waits, (1.0, 2.0, 4.0, 4.0), strict=True):
        assert 0 <= waited <= window
    assert len(all_stored(world)) == 10


async def test_it_gives_up_and_hands_back_every_item(world):
    world.proxy.plan = [faults.Unprocessed(share=1.0)]
    table = await world.table(retry=QUICK)
    with pytest.raises(rddb.UnprocessedItemsError, match="30 requests") as raised:  # noqa: PT012 - the block raises
        async with table.batch_writer(flush_amount=100) as batch:
            for item in numbered(30):
                await batch.put_item(Item=item)
    left = sorted(entry["PutRequest"]["Item"]["pk"] for entry in raised.value.requests)
    assert left == [item["pk"] for item in numbered(30)]
    assert world.proxy.count("BatchWriteItem") == 3
    assert all_stored(world) == []


async def test_it_gives_up_at_the_deadline(world):
    world.proxy.plan = [faults.Unprocessed(share=1.0)]
    table = await world.table(retry=rddb.Retry(wait=lambda _: 1.0))
    with rddb.deadline(3.0, clock=world.clock), pytest.raises(rddb.UnprocessedItemsError, match="deadline") as raised:
        async with table.batch_writer() as batch:
            await batch.put_item(Item={"pk": "a"})
    assert raised.value.requests == [{"PutRequest": {"Item": {"pk": "a"}}}]
    assert sum(world.clock.waits) < 3.0


async def test_a_module_level_table_gives_up_by_its_own_policy(world):
    world.proxy.plan = [faults.Unprocessed(share=1.0)]
    table = aio.table(world.name, endpoint_url=world.proxy.endpoint_url, policy=world.policy(retry=QUICK), **ACCESS)
    async with table:
        with pytest.raises(rddb.UnprocessedItemsError):
            async with table.batch_writer() as batch:  # its client is not open yet
                await batch.put_item(Item={"pk": "a"})
    assert world.proxy.count("BatchWriteItem") == 3
    assert len(world.clock.waits) == 2


async def test_cancelled_in_the_middle_of_a_flush_the_batch_is_kept(world):
    world.proxy.plan = [faults.Hang(times=1)]
    table = await world.table()
    batch = table.batch_writer(flush_amount=5)
    for item in numbered(4):
        await batch.put_item(Item=item)
    task = asyncio.create_task(batch.put_item(Item={"pk": "last"}))
    await until(lambda: world.proxy.count() == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [entry["PutRequest"]["Item"]["pk"] for entry in batch.unprocessed] == ["000", "001", "002", "003", "last"]
    async with batch:
        pass
    assert len(all_stored(world)) == 5


async def test_one_task_cancelled_leaves_the_writer_to_the_others(world):
    world.proxy.plan = [faults.Hang(times=1)]
    table = await world.table()
    async with table.batch_writer(flush_amount=2) as batch:
        await batch.put_item(Item={"pk": "a"})
        first = asyncio.create_task(batch.put_item(Item={"pk": "b"}))
        await until(lambda: world.proxy.count() == 1)
        others = [asyncio.create_task(batch.put_item(Item={"pk": pk})) for pk in "cdef"]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(*others)
    assert first.cancelled()
    assert all_stored(world) == list("abcdef")


@pytest.mark.parametrize("fault", [faults.Unprocessed(share=1.0, times=1), faults.ErrorResponse(code="X", times=1)])
async def test_an_older_request_for_a_key_never_overtakes_a_newer_one(world, fault):
    world.proxy.plan = [fault]
    table = await world.table()
    async with table.batch_writer(flush_amount=2, overwrite_by_pkeys=["pk"]) as batch:
        await batch.put_item(Item={"pk": "a", "n": "old"})
        flush = asyncio.create_task(batch.put_item(Item={"pk": "b"}))
        await asyncio.sleep(0)  # the batch is under way
        await batch.put_item(Item={"pk": "a", "n": "new"})
        await asyncio.gather(flush, return_exceptions=True)
    assert sent(world.proxy)[0] == [{"Item": {"pk": {"S": "a"}, "n": {"S": "old"}}}, {"Item": {"pk": {"S": "b"}}}]
    assert world.stored("a")["n"] == "new"
    assert all_stored(world) == ["a", "b"]


async def test_what_it_writes_in_batches_is_counted_once(world):
    table = await world.table()
    async with table.batch_writer() as batch:
        for item in numbered(60):
            await batch.put_item(Item=item)
    assert max(Counter(keys_sent(world.proxy)).values()) == 1
    assert [len(batch) for batch in sent(world.proxy)] == [25, 25, 10]
