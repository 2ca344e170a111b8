"""A shard that fails, and what can't be meant: one script for the sync table and the async one."""

import asyncio
import json

import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError
from sharded_support import ALL, SET, ThrottleShards, done, operations

import resilient_ddb as rddb
from resilient_ddb.sharding import RANDOM
from resilient_ddb.testing import faults

HOT = ("TableReadKeyRangeThroughputExceeded",)
KEY = {"pk": "a", "sk": 1}


@pytest.fixture
async def world(either):
    """Ten items in each of four shards: the item `n` in shard `n % 4`."""
    with either.direct.batch_writer() as batch:
        for number in range(40):
            batch.put_item(Item={"pk": f"a#{number % 4}", "sk": number})
    await done(either.table.sharded(4, by=RANDOM).query(Limit=1, **ALL))
    either.proxy.clear()
    return either


def numbers(response):
    return [int(item["sk"]) for item in response["Items"]]


@pytest.mark.parametrize("reasons", [(), HOT])
async def test_the_error_names_the_shard(world, reasons):
    world.proxy.plan = [ThrottleShards(stored=frozenset({"a#2"}), reasons=reasons)]
    docs = world.table.sharded(4, by=RANDOM)
    for call, called in (
        (lambda: docs.query(**ALL), "shard 2"),
        (lambda: docs.query_items(**ALL), "shard 2"),
        (lambda: docs.query_many(["b", "a"]), "shard 2 of partition_keys[1]"),
        (lambda: world.table.query_many(["a#0", "a#1", "a#2"]), "partition_keys[2]"),
    ):
        with pytest.raises(ClientError) as caught:
            await done(call())
        assert any(f": {called} could not be read" in note for note in caught.value.__notes__)
        assert "a#2" not in "".join([str(caught.value), *caught.value.__notes__])


@pytest.mark.parametrize("verb", ["get_item", "update_item", "delete_item"])
async def test_keys_that_are_left_undone_are_the_callers(world, verb):
    world.proxy.plan = [faults.Unprocessed(operations={"BatchGetItem"}, share=1.0)]
    with pytest.raises(rddb.UnprocessedKeysError) as caught:
        await done(getattr(world.table.sharded(4, by=RANDOM), verb)(Key=KEY))
    assert caught.value.keys == [KEY]


async def test_a_part_of_the_answer(world):
    docs = world.table.sharded(4, on_shard_error="skip", by=RANDOM)
    world.proxy.plan = [ThrottleShards(stored=frozenset({"a#2"}))]
    expected = [number for number in range(40) if number % 4 != 2]
    first = await done(docs.query(Limit=10, **ALL))
    assert numbers(first) == expected[:10]
    assert first["ResponseMetadata"]["Resilience"]["missing_shards"] == [2]
    world.proxy.plan = []
    found, page = numbers(first), first
    while "LastEvaluatedKey" in page:
        start = json.loads(json.dumps(page["LastEvaluatedKey"]))
        page = await done(docs.query(Limit=10, ExclusiveStartKey=start, **ALL))
        assert "missing_shards" not in page["ResponseMetadata"].get("Resilience", {})
        found += numbers(page)
    assert sorted(found) == list(range(40))


async def test_the_last_page_tells_where_the_rest_is_to_be_had(world):
    docs = world.table.sharded(4, on_shard_error="skip", by=RANDOM)
    world.proxy.plan = [ThrottleShards(stored=frozenset({"a#2"}))]
    for select, params in (("Items", {}), ("Count", {"Select": "COUNT"})):
        found = await done(docs.query(**ALL, **params))
        assert found["Count"] == 30
        with pytest.raises(ClientError):  # and not an empty page for ever
            await done(docs.query(ExclusiveStartKey=found["LastEvaluatedKey"], **ALL, **params))
        world.proxy.plan = []
        late = await done(docs.query(ExclusiveStartKey=found["LastEvaluatedKey"], **ALL, **params))
        assert late["Count"] == 10
        assert select in late
        assert "LastEvaluatedKey" not in late
        world.proxy.plan = [ThrottleShards(stored=frozenset({"a#2"}))]
    both = await done(world.table.query_many(["a#1", "a#2"], on_shard_error="skip"))
    assert both["ResponseMetadata"]["Resilience"] == {"missing_shards": ["a#2"], "missing_keys": ["a#2"]}
    both = await done(docs.query_many(["b", "a"]))
    assert both["ResponseMetadata"]["Resilience"] == {"missing_shards": ["a#2"], "missing_keys": ["a"]}


async def test_all_shards_failing_is_an_error_and_so_is_a_mistake(world):
    docs = world.table.sharded(4, on_shard_error="skip", by=RANDOM)
    world.proxy.plan = [faults.Throttle(operations={"Query"})]
    with pytest.raises(ClientError, match=r"Throttl|Exceeded"):
        await done(docs.query(**ALL))
    world.proxy.plan = []
    with pytest.raises(ClientError, match="ValidationException"):
        await done(docs.query(FilterExpression="nonsense(", **ALL))


async def test_a_shard_that_is_hot_leaves_the_others_their_retries(world):
    docs = world.table.sharded(4, on_shard_error="skip", by=RANDOM)
    world.proxy.plan = [ThrottleShards(stored=frozenset({"a#2"}), reasons=HOT)]
    for _ in range(30):  # more than any budget
        assert len(numbers(await done(docs.query(**ALL)))) == 30
    world.proxy.plan = [
        ThrottleShards(stored=frozenset({"a#2"}), reasons=HOT),
        ThrottleShards(stored=frozenset({"a#1"}), times=2),
    ]
    found = await done(docs.query(**ALL))
    assert found["ResponseMetadata"]["Resilience"]["missing_shards"] == [2]
    assert len(numbers(found)) == 30


async def test_a_stale_part_makes_the_whole_stale(world):
    table = await world.make(fallback=rddb.fallback.stale(max_age=60))
    docs = table.sharded(4, by=RANDOM)
    await done(docs.query(**ALL))
    world.clock.advance(7.0)
    world.proxy.plan = [ThrottleShards(stored=frozenset({"a#2"}))]
    found = await done(docs.query(**ALL))
    assert numbers(found) == list(range(40))
    marks = found["ResponseMetadata"]["Resilience"]
    assert marks["stale"] is True
    assert marks["age"] >= 7.0
    assert "missing_shards" not in marks


@pytest.mark.parametrize("select", [{}, {"Select": "COUNT"}])
async def test_a_fallbacks_answer_may_lack_its_counts(world, select):
    def instead(call, _error):
        return {"Items": [{"pk": "a#2", "sk": 2}]} if call.is_read else None

    docs = (await world.make(fallback=instead)).sharded(4, by=RANDOM)
    world.proxy.plan = [ThrottleShards(stored=frozenset({"a#2"}))]
    found = await done(docs.query(**ALL, **select))
    assert (found["Count"], found["ScannedCount"]) == (31, 31)
    assert "LastEvaluatedKey" not in found
    assert found["ResponseMetadata"]["Resilience"]["fallback"].endswith("instead")


async def test_a_fallback_may_count_more_than_was_asked_for(world):
    def instead(call, _error):
        return {"Count": 2} if call.is_read else None

    docs = (await world.make(fallback=instead)).sharded(4, by=RANDOM)
    world.proxy.plan = [ThrottleShards(stored=frozenset({"a#0"}))]
    found = await done(docs.query(Select="COUNT", Limit=1, **ALL))
    assert found["Count"] == 2
    rest = await done(docs.query(Select="COUNT", ExclusiveStartKey=found["LastEvaluatedKey"], **ALL))
    assert rest["Count"] == 30


async def test_an_iterator_whose_items_could_not_say_so_gives_none_from_elsewhere(world):
    table = await world.make(fallback=rddb.fallback.stale(max_age=60))
    docs, stored = table.sharded(4, by=RANDOM), Key("pk").eq("a#2")
    for _ in range(2):
        for call in (
            lambda: docs.query_items(**ALL),
            lambda: docs.query_many_items(["a"]),
            lambda: table.query_many_items(["a#1", "a#2"]),
            lambda: table.query_items(KeyConditionExpression=stored),
            table.scan_items,
        ):
            if world.proxy.plan:
                with pytest.raises(ClientError, match="Throughput"):
                    await done(call())
            else:
                assert await done(call())
        await done(table.query(KeyConditionExpression=stored))
        world.proxy.plan = [faults.Throttle(operations={"Query", "Scan"})]
    assert (await done(table.query(KeyConditionExpression=stored)))["ResponseMetadata"]["Resilience"]["stale"]


async def test_a_deadline_reaches_every_shard(world):
    world.proxy.plan = [ThrottleShards(stored=frozenset({"a#2"}))]
    docs = world.table.sharded(4, by=RANDOM)
    with pytest.raises(rddb.DeadlineExceededError), rddb.deadline(0.001):
        await done(docs.query(**ALL))
    part = world.table.sharded(4, on_shard_error="skip", by=RANDOM)
    world.proxy.plan = [ThrottleShards(stored=frozenset({"a#2"}), retry_after_ms=60_000)]
    with rddb.deadline(30.0):
        found = await done(part.query(**ALL))
    assert found["ResponseMetadata"]["Resilience"]["missing_shards"] == [2]


# Bad input: nothing is sent but the question what the keys are.

QUERIES = {
    "no condition": ({}, "KeyConditionExpression must say which partition key"),
    "only the sort key": ({"KeyConditionExpression": Key("sk").gt(1)}, "must say which partition key"),
    "no equality": ({"KeyConditionExpression": "pk > :p", "ExpressionAttributeValues": {":p": "a"}}, "must say"),
    "the separator": ({"KeyConditionExpression": Key("pk").eq("a#1")}, "must not contain the separator '#'"),
    "a number": ({"KeyConditionExpression": Key("pk").eq(5)}, "must be a string, to have a suffix; got int"),
    "no token": (
        {**ALL, "ExclusiveStartKey": KEY},
        "ExclusiveStartKey must be the LastEvaluatedKey of an earlier page",
    ),
    "limit": ({**ALL, "Limit": 0}, "Limit must be"),
}


@pytest.mark.parametrize("what", QUERIES)
async def test_a_query_that_cannot_be_meant(world, what):
    params, says = QUERIES[what]
    docs = world.table.sharded(4, by=RANDOM)
    for verb in ("query", "query_items"):
        with pytest.raises((TypeError, ValueError), match=says):
            await done(getattr(docs, verb)(**params))
    assert operations(world) == []


async def test_a_token_of_another_query_or_number_of_shards(world):
    token = (await done(world.table.sharded(4, by=RANDOM).query(Limit=5, **ALL)))["LastEvaluatedKey"]
    world.proxy.clear()
    other = {"KeyConditionExpression": Key("pk").eq("b")}
    for docs, params in (
        (world.table.sharded(4, by=RANDOM), other),
        (world.table.sharded(4, by=RANDOM), {**ALL, "ScanIndexForward": False}),
        (world.table.sharded(5, by=RANDOM), ALL),
        (world.table.sharded(8, previous=(4,), by=RANDOM), ALL),
    ):
        with pytest.raises(ValueError, match="got that of another query, or from before the number of shards"):
            await done(docs.query(ExclusiveStartKey=token, **params))
    assert operations(world) == []


ITEMS = {
    "the separator": ({"pk": "a#1", "sk": 1}, {}, "must not contain the separator"),
    "no key": ({"sk": 1}, {}, "Item must have the partition key 'pk'"),
    "a number": ({"pk": 5, "sk": 1}, {}, "must be a string, to have a suffix"),
    "no item": (5, {}, "Item must be a dict"),
    "a condition": (KEY, {"ConditionExpression": Attr("pk").not_exists()}, "ConditionExpression must not be given"),
    "legacy": (KEY, {"Expected": {"pk": {"Exists": False}}}, "Expected must not be given to put_item with a random"),
    "the old item": (KEY, {"ReturnValues": "ALL_OLD"}, "ReturnValues must be 'NONE'"),
}


@pytest.mark.parametrize("what", ITEMS)
async def test_a_put_that_cannot_be_meant(world, what):
    item, params, says = ITEMS[what]
    with pytest.raises((TypeError, ValueError), match=says):
        await done(world.table.sharded(4, by=RANDOM).put_item(Item=item, **params))
    assert operations(world) == []


async def test_what_a_calculated_shard_needs(world):
    docs = world.table.sharded(4, by="order_id")
    for item, says in (
        (KEY, "Item must have the attribute 'order_id'"),
        ({**KEY, "order_id": None}, "by must name attributes whose values are text, numbers or bytes"),
    ):
        with pytest.raises((TypeError, ValueError), match=says):
            await done(docs.put_item(Item=item))
    for update in ("SET order_id = :n", "REMOVE order_id"):
        with pytest.raises(ValueError, match="UpdateExpression must not change 'order_id'"):
            await done(docs.update_item(Key={**KEY, "order_id": "x"}, UpdateExpression=update))
    assert operations(world) == []


async def test_keys_that_cannot_be_meant(world):
    docs = world.table.sharded(4, by=RANDOM)
    for key, says in (({"sk": 1}, "Key must have the partition key 'pk'"), ("a", "Key must be a dict")):
        for verb, params in (("get_item", {}), ("update_item", SET), ("delete_item", {})):
            with pytest.raises((TypeError, ValueError), match=says):
                await done(getattr(docs, verb)(Key=key, **params))
    for name in ("Expected", "AttributeUpdates"):
        with pytest.raises(ValueError, match=f"{name} must be left out where the item is looked for first"):
            await done(docs.update_item(Key=KEY, **{name: {}}))
    assert operations(world) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shards": 0}, "shards must be"),
        ({"shards": 4, "on_unknown_shard": "guess"}, "on_unknown_shard must be 'find' or 'raise'"),
        ({"shards": 4, "on_shard_error": "hide"}, "on_shard_error must be 'raise' or 'skip'"),
        ({"shards": 4, "on_duplicate": "last"}, "on_duplicate"),
        ({"shards": 4, "shard_attribute": "s"}, "key must name the attribute"),
        ({"shards": 4, "key": "s", "shard_attribute": "s"}, "key must name the attribute"),
        ({"shards": 4, "key": 5}, "key must be the name of an attribute"),
    ],
)
async def test_options_that_cannot_be_meant(world, options, says):
    with pytest.raises((TypeError, ValueError), match=says):
        world.table.sharded(**options)


async def test_a_fan_in_that_cannot_be_meant(world):
    for keys, params, says in (
        ("a", {}, "partition_keys must be a list of partition keys"),
        ([], {}, "partition_keys must be 1 to 1000"),
        (map(str, range(1001)), {}, "got 1001"),
        ([None], {}, "a key's values must be"),
        (["a"], {"KeyConditionExpression": Key("pk").eq("a")}, "must leave the partition key 'pk' out"),
        (["a"], {"IndexName": "nowhere"}, "IndexName must be that of an index"),
        (["a"], {"on_shard_error": "hide"}, "on_shard_error must be"),
    ):
        with pytest.raises((TypeError, ValueError), match=says):
            await done(world.table.query_many(keys, **params))
    with pytest.raises(ValueError, match="Select must not be 'COUNT'"):
        await done(world.table.query_many_items(["a"], Select="COUNT"))
    with pytest.raises(ValueError, match="Select must not be 'COUNT'"):
        await done(world.table.sharded(4, by=RANDOM).query_items(Select="COUNT", **ALL))
    assert operations(world) == []


async def test_verbs_whose_items_have_stored_keys(world):
    for name in ("scan", "scan_items", "parallel_scan", "get_items", "sharded"):
        with pytest.raises(AttributeError, match=rf"take sharded\.table\.{name}"):
            getattr(world.table.sharded(4, by=RANDOM), name)
    assert world.table.sharded(4, by=RANDOM).name == world.name


@pytest.mark.parametrize("either", ["async"], indirect=True)  # for threads see tests/sync/test_sync_sharded.py
async def test_a_task_that_is_cancelled_leaves_nothing_behind(either):
    docs = either.table.sharded(200, by=RANDOM)
    await docs.query(**ALL)
    either.proxy.clear()
    either.proxy.plan = [faults.Delay(seconds=0.3, operations={"Query"})]
    tasks = len(asyncio.all_tasks())
    query = asyncio.ensure_future(done(docs.query(**ALL)))
    await asyncio.sleep(0.1)
    query.cancel()
    with pytest.raises(asyncio.CancelledError):
        await query
    assert len(asyncio.all_tasks()) == tasks
    begun = either.proxy.count("Query")
    await asyncio.sleep(0.6)
    assert either.proxy.count("Query") <= max(begun, 128)
    either.proxy.plan = []
    assert (await docs.query(**ALL))["Count"] == 0


async def test_hot_shards_do_not_pay_for_each_others_writes(world):
    layout = rddb.ShardLayout(4, by="id")
    docs = world.table.sharded(layout)
    reasons = ("TableWriteKeyRangeThroughputExceeded",)
    shard_of = {f"o-{number}": layout.stored_key("a", {"id": f"o-{number}"}) for number in range(20)}
    hot, other = "o-0", next(name for name, shard in shard_of.items() if shard != shard_of["o-0"])
    always = faults.Throttle(reasons=reasons, key={"pk": {"S": shard_of[hot]}})
    world.proxy.plan = [always]
    for _ in range(30):
        with pytest.raises(ClientError):
            await done(docs.put_item(Item={"pk": "a", "sk": 100, "id": hot}))
    world.proxy.plan = [always, faults.Throttle(reasons=reasons, key={"pk": {"S": shard_of[other]}}, times=2)]
    await done(docs.put_item(Item={"pk": "a", "sk": 100, "id": other}))


async def test_hot_shards_do_not_pay_for_each_other(world):
    docs = world.table.sharded(4, on_shard_error="skip", by=RANDOM)
    world.proxy.plan = [ThrottleShards(stored=frozenset({"a#2"}), reasons=HOT)]
    for _ in range(30):
        await done(docs.query(**ALL))
    world.proxy.plan = [
        ThrottleShards(stored=frozenset({"a#2"}), reasons=HOT),
        ThrottleShards(stored=frozenset({"a#1"}), reasons=HOT, times=2),
    ]
    found = await done(docs.query(**ALL))
    assert found["ResponseMetadata"]["Resilience"]["missing_shards"] == [2]
