"""A key that is put eight times is one item, whichever way it is written, unless RANDOM is said."""

import pytest
from boto3.dynamodb.conditions import Attr
from sharded_support import ALL, SET, done, operations

import resilient_ddb as rddb
from resilient_ddb.sharding import RANDOM

KEY = {"pk": "a", "sk": 1}
TIMES = 8


async def by_puts(world, docs):
    for number in range(TIMES):
        await done(docs.put_item(Item={**KEY, "n": number}))


async def by_conditional_puts(world, docs):
    for number in range(TIMES):
        condition = Attr("pk").not_exists() if number == 0 else Attr("n").eq(number - 1)
        await done(docs.put_item(Item={**KEY, "n": number}, ConditionExpression=condition))


async def by_updates(world, docs):
    for number in range(TIMES):
        await done(docs.update_item(Key=KEY, **{**SET, "ExpressionAttributeValues": {":n": number}}))


async def by_batches(world, docs):
    for number in range(TIMES):
        writer = docs.batch_writer(overwrite_by_pkeys=["pk", "sk"]) if number % 2 else docs.batch_writer()
        if world.is_sync:
            with writer as batch:
                batch.put_item(Item={**KEY, "n": number})
        else:
            async with writer as batch:
                await batch.put_item(Item={**KEY, "n": number})


async def by_one_batch(world, docs):
    writer, items = docs.batch_writer(), [{**KEY, "n": number} for number in range(TIMES)]
    if world.is_sync:
        with writer as batch:
            [batch.put_item(Item=item) for item in items]
    else:
        async with writer as batch:
            [await batch.put_item(Item=item) for item in items]


async def by_versions(world, docs):
    versioned = docs.versioned()
    for number in range(TIMES):
        await done(versioned.modify(KEY, lambda item, n=number: {**(item or KEY), "n": n}))


WAYS = [by_puts, by_conditional_puts, by_updates, by_batches, by_one_batch, by_versions]


@pytest.mark.parametrize("way", WAYS)
async def test_a_key_that_is_put_eight_times_is_one_item(either, way):
    docs = either.table.sharded(10)
    await way(either, docs)
    [stored] = either.stored()
    assert (stored["pk"], stored["n"]) == (rddb.ShardLayout(10, by="sk").stored_key("a", KEY), TIMES - 1)
    assert [item["n"] for item in (await done(docs.query(**ALL)))["Items"]] == [TIMES - 1]
    assert [item["n"] for item in (await done(docs.query_many(["a"])))["Items"]] == [TIMES - 1]
    either.proxy.clear()
    assert (await done(docs.get_item(Key=KEY)))["Item"]["n"] == TIMES - 1
    assert operations(either) == ["GetItem"]  # of one shard
    await done(docs.delete_item(Key=KEY))
    assert either.stored() == []


@pytest.mark.parametrize("way", [by_puts, by_conditional_puts, by_updates, by_versions])
async def test_also_where_it_was_put_by_an_earlier_layout(either, way):
    await by_puts(either, either.table.sharded(3))
    if way in (by_conditional_puts, by_versions):
        await done(either.table.sharded(3).delete_item(Key=KEY))
    docs = either.table.sharded(10, previous=(3,))
    await way(either, docs)
    [stored] = either.stored()
    assert (stored["pk"], stored["n"]) == (rddb.ShardLayout(10, by="sk").stored_key("a", KEY), TIMES - 1)


async def test_random_keeps_all_and_a_point_read_says_so(either):
    docs = either.table.sharded(100, by=RANDOM)
    await by_puts(either, docs)
    assert len(either.stored()) > 2
    with pytest.raises(rddb.DuplicateShardItemError):
        await done(docs.get_item(Key=KEY))


async def test_reshard_goes_by_the_default_too(either):
    for number in range(20):
        await done(either.table.sharded(3).put_item(Item={"pk": "a", "sk": number}))
    layout = rddb.ShardLayout(10, by="sk")
    docs, states = either.table.sharded(10, previous=(3,)), []
    report = await done(docs.reshard(["a"], on_page=states.append))
    assert isinstance(report, rddb.sharding.ReshardReport)
    assert (report.occupied, report.unplaced) == (0, 0)
    assert {item["sk"]: item["pk"] for item in either.stored()} == {
        number: layout.stored_key("a", {"sk": number}) for number in range(20)
    }
    said = either.table.sharded(rddb.ShardLayout(10, by="sk", previous=(3,)))
    again = await done(said.reshard(partition_keys=["a"], resume=states[-1]))  # the same work, said in full
    assert again.moved == 0


async def test_items_of_random_shards_are_moved_to_where_their_keys_say(either):
    for number in range(20):
        await done(either.table.sharded(10, by=RANDOM).put_item(Item={"pk": "a", "sk": number}))
    docs, layout = either.table.sharded(10), rddb.ShardLayout(10, by="sk")
    report = await done(docs.reshard())
    assert (report.moved > 0, report.occupied, report.unplaced) == (True, 0, 0)
    assert {item["sk"]: item["pk"] for item in either.stored()} == {
        number: layout.stored_key("a", {"sk": number}) for number in range(20)
    }


async def put_in_a_block(writer):
    if hasattr(writer, "__aenter__"):
        async with writer as batch:
            await batch.put_item(Item={"pk": "a"})
    else:
        with writer as batch:
            batch.put_item(Item={"pk": "a"})


async def test_a_batch_writer_says_so_too_and_hands_back_what_it_was_given(world):
    for table in (world.sync_table(), await world.table()):
        writer = table.sharded(4).batch_writer()
        with pytest.raises(ValueError, match="by must be given"):
            await put_in_a_block(writer)
        assert writer.unprocessed == [{"PutRequest": {"Item": {"pk": "a"}}}]
    assert operations(world) == []


async def test_a_table_without_a_sort_key_needs_it_said(world):
    for table in (world.sync_table(), await world.table()):
        docs = table.sharded(4)
        for call in (
            lambda docs=docs: docs.put_item(Item={"pk": "a"}),
            lambda docs=docs: docs.get_item(Key={"pk": "a"}),
            lambda docs=docs: docs.update_item(Key={"pk": "a"}),
            lambda docs=docs: docs.delete_item(Key={"pk": "a"}),
            lambda docs=docs: docs.query(**ALL),
            lambda docs=docs: docs.query_items(**ALL),
            lambda docs=docs: docs.query_many(["a"]),
            lambda docs=docs: docs.query_many_items(["a"]),
            lambda docs=docs: docs.reshard(["a"]),
            lambda docs=docs: docs.versioned().put_item(Item={"pk": "a"}),
        ):
            with pytest.raises(ValueError, match="by must be given"):
                await done(call())
        assert set(operations(world)) <= {"Query", "PutItem"}
        await done(table.sharded(4, by=RANDOM).query(**ALL))
        await done(table.sharded(4, by="order_id").put_item(Item={"pk": "a", "order_id": "o-1"}))
    assert operations(world).count("PutItem") == 2
    assert [item["pk"] for item in world.direct.scan()["Items"]] == [
        rddb.ShardLayout(4, by="order_id").stored_key("a", {"order_id": "o-1"})
    ]
