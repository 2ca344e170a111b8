"""The verbs of a sharded table against DynamoDB Local: one script for the sync table and the async one."""

import copy
import json

import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError
from sharded_support import ALL, SET, done, operations

import resilient_ddb as rddb
from resilient_ddb.events import CallEndEvent
from resilient_ddb.policy.policy import policy_of
from resilient_ddb.sharding import RANDOM
from resilient_ddb.testing import faults

AFRESH = {"ExclusiveStartKey": None, "Limit": 100}


@pytest.fixture
def world(either):
    return either


# Random suffixes.


async def test_what_is_stored_has_suffixes_and_what_is_seen_has_none(world):
    docs = world.table.sharded(10, by=RANDOM)
    items = [{"pk": "a", "sk": number, "st": "x"} for number in range(40)]
    before = copy.deepcopy(items)
    for item in items:
        await done(docs.put_item(Item=item))
    assert items == before
    suffixed = {item["pk"] for item in world.stored()}
    assert suffixed <= {f"a#{number}" for number in range(10)}
    assert len(suffixed) > 5
    assert (await done(docs.query(**ALL)))["Items"] == items
    assert await done(docs.query_items(**ALL)) == items
    world.proxy.clear()
    assert (await done(docs.get_item(Key={"pk": "a", "sk": 3})))["Item"] == items[3]
    assert operations(world) == ["BatchGetItem"]
    assert "Item" not in await done(docs.get_item(Key={"pk": "a", "sk": 99}))
    found = await done(
        docs.get_item(Key={"pk": "a", "sk": 3}, ProjectionExpression="st", ReturnConsumedCapacity="TOTAL")
    )
    assert found["Item"] == {"st": "x"}
    assert found["ConsumedCapacity"]["CapacityUnits"] >= 0.5


async def test_an_item_is_found_then_changed(world):
    docs = world.table.sharded(5, by=RANDOM)
    await done(docs.put_item(Item={"pk": "a", "sk": 1, "n": 1}))
    [before] = world.stored()
    changed = await done(docs.update_item(Key={"pk": "a", "sk": 1}, ReturnValues="ALL_NEW", **SET))
    assert changed["Attributes"] == {"pk": "a", "sk": 1, "n": 7}
    assert world.stored() == [{**before, "n": 7}]
    for verb in ("update_item", "delete_item"):
        more = {"UpdateExpression": "REMOVE n"} if verb == "update_item" else {}
        for condition in (Attr("n").eq(1), "attribute_not_exists(pk)"):
            with pytest.raises(world.table.meta.client.exceptions.ConditionalCheckFailedException) as caught:
                await done(getattr(docs, verb)(Key={"pk": "a", "sk": 1}, ConditionExpression=condition, **more))
            assert "Item" not in caught.value.response
            asked = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD", "ConditionExpression": condition, **more}
            with pytest.raises(ClientError) as caught:
                await done(getattr(docs, verb)(Key={"pk": "a", "sk": 1}, **asked))
            assert caught.value.response["Item"]["pk"] == {"S": "a"}
    gone = await done(docs.delete_item(Key={"pk": "a", "sk": 1}, ReturnValues="ALL_OLD"))
    assert gone["Attributes"] == {"pk": "a", "sk": 1, "n": 7}
    assert world.stored() == []


async def test_an_item_that_is_not_there_is_changed_as_without_shards(world):
    docs = world.table.sharded(5, by=RANDOM)
    await done(docs.delete_item(Key={"pk": "a", "sk": 1}))
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        await done(docs.delete_item(Key={"pk": "a", "sk": 1}, ConditionExpression=Attr("pk").exists()))
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        await done(docs.update_item(Key={"pk": "a", "sk": 1}, ConditionExpression="attribute_exists(pk)", **SET))
    made = await done(docs.update_item(Key={"pk": "a", "sk": 1}, ReturnValues="ALL_NEW", **SET))
    assert made["Attributes"] == {"pk": "a", "sk": 1, "n": 7}
    assert len(world.stored()) == 1


async def test_where_the_shard_is_not_known_that_can_be_refused(world):
    for options in ({"by": RANDOM}, {"by": "id"}):
        docs = world.table.sharded(5, on_unknown_shard="raise", **options)
        world.proxy.clear()
        for verb, params in (("update_item", SET), ("delete_item", {})):
            with pytest.raises(ValueError, match="Key must have the attributes that the shard is calculated from"):
                await done(getattr(docs, verb)(Key={"pk": "a", "sk": 1}, **params))
        assert operations(world) == []


async def test_an_item_in_two_shards(world):
    for number in (4, 1):
        world.direct.put_item(Item={"pk": f"a#{number}", "sk": 1, "n": number})
    docs = world.table.sharded(5, by=RANDOM)
    both = [{"pk": "a", "sk": 1, "n": number} for number in (1, 4)]
    for verb, params in (("get_item", {}), ("update_item", SET), ("delete_item", {})):
        with pytest.raises(rddb.DuplicateShardItemError) as caught:
            await done(getattr(docs, verb)(Key={"pk": "a", "sk": 1}, **params))
        assert caught.value.items == both
        assert isinstance(caught.value, rddb.ResilienceError)
        [note] = caught.value.__notes__
        assert note.endswith(f" on {world.name}: none of the items was chosen, and the same will be found again")
    assert len(world.stored(n=1) + world.stored(n=4)) == 2
    decided = world.table.sharded(5, on_duplicate=lambda items: max(items, key=lambda item: item["n"]), by=RANDOM)
    assert (await done(decided.get_item(Key={"pk": "a", "sk": 1})))["Item"] == both[1]

    async def later(items):
        return items[0]

    decided = world.table.sharded(5, on_duplicate=later, by=RANDOM)
    if world.is_sync:
        with pytest.raises(TypeError, match="gave an awaitable"):
            decided.get_item(Key={"pk": "a", "sk": 1})
    else:
        assert (await decided.get_item(Key={"pk": "a", "sk": 1}))["Item"] == both[0]
    assert (await done(docs.query(**ALL)))["Items"] == both


# Calculated suffixes.


async def test_a_calculated_shard_is_the_only_one_that_is_asked(world):
    docs = world.table.sharded(10, by="order_id")
    key = {"pk": "a", "sk": 1, "order_id": "o-1"}
    world.proxy.clear()
    await done(docs.put_item(Item={**key, "n": 1}, ConditionExpression="attribute_not_exists(pk)"))
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        await done(docs.put_item(Item=key, ConditionExpression="attribute_not_exists(pk)"))
    old = await done(docs.put_item(Item=key, ReturnValues="ALL_OLD"))
    assert old["Attributes"] == {**key, "n": 1}
    assert (await done(docs.get_item(Key=key)))["Item"] == key
    assert (await done(docs.update_item(Key=key, ReturnValues="UPDATED_NEW", **SET)))["Attributes"] == {"n": 7}
    assert (await done(docs.delete_item(Key=key, ReturnValues="ALL_OLD")))["Attributes"] == {**key, "n": 7}
    assert operations(world) == ["PutItem", "PutItem", "PutItem", "GetItem", "UpdateItem", "DeleteItem"]
    # Where it is not given, the item is found.
    await done(docs.put_item(Item={**key, "n": 1}))
    short = {"pk": "a", "sk": 1}
    assert (await done(docs.get_item(Key=short)))["Item"] == {**key, "n": 1}
    await done(docs.update_item(Key=short, **SET))
    assert world.stored()[0]["n"] == 7
    await done(docs.delete_item(Key=short))
    with pytest.raises(ValueError, match="a new one has no shard without order_id"):
        await done(docs.update_item(Key=short, **SET))
    assert world.stored() == []


@pytest.mark.parametrize("returned", ["NONE", "UPDATED_NEW", "UPDATED_OLD", "ALL_NEW"])
async def test_an_update_that_begins_an_item_leaves_in_it_what_its_shard_goes_by(world, returned):
    docs = world.table.sharded(10, by=("order_id", "sk"))
    key = {"pk": "a", "sk": 1, "order_id": "o-1"}
    answer = await done(docs.update_item(Key=key, ReturnValues=returned, **SET))
    expected = {"UPDATED_NEW": {"n": 7}, "ALL_NEW": {**key, "n": 7}}
    assert answer.get("Attributes") == expected.get(returned)
    assert (await done(docs.get_item(Key={"pk": "a", "sk": 1})))["Item"] == {**key, "n": 7}
    await done(docs.update_item(Key={"pk": "a", "sk": 2, "order_id": "o-1"}))
    assert (await done(docs.get_item(Key={"pk": "a", "sk": 2})))["Item"] == {"pk": "a", "sk": 2, "order_id": "o-1"}
    begun = {"pk": "a", "sk": 3, "order_id": "o-1"}
    await done(docs.versioned().update_item(Key=begun, expected_version=None, **SET))
    await done(docs.idempotent_update(Key={"pk": "a", "sk": 4, "order_id": "o-2"}, **SET))
    assert sorted(item["order_id"] for item in world.stored()) == ["o-1", "o-1", "o-1", "o-2"]


async def test_an_update_leaves_what_its_shard_goes_by_as_it_is(world):
    docs = world.table.sharded(1, by="order_id")  # whatever Key says, it is this shard
    await done(docs.put_item(Item={"pk": "a", "sk": 1, "order_id": "o-1"}))
    await done(docs.update_item(Key={"pk": "a", "sk": 1, "order_id": "o-2"}, **SET))
    assert world.stored() == [{"pk": "a", "sk": 1, "order_id": "o-1", "n": 7}]
    old = {"UpdateExpression": "SET m = :m", "ExpressionAttributeValues": {":m": 1}, "ReturnValues": "UPDATED_OLD"}
    assert "Attributes" not in await done(docs.update_item(Key={"pk": "a", "sk": 1, "order_id": "o-1"}, **old))
    with pytest.raises(ValueError, match="must leave the names free that begin with '#rddb_'"):
        await done(
            docs.update_item(Key={"pk": "a", "sk": 1, "order_id": "o-2"}, ExpressionAttributeNames={"#rddb_by0": "x"})
        )
    old = {"AttributeUpdates": {"n": {"Action": "PUT", "Value": 8}}}
    await done(docs.update_item(Key={"pk": "a", "sk": 1, "order_id": "o-1"}, **old))
    assert world.stored()[0]["n"] == 8


async def test_an_update_that_says_nothing_is_refused_as_ever(world):
    docs = world.table.sharded(10, by="order_id")
    with pytest.raises(ClientError, match="Invalid UpdateExpression: The expression can not be empty"):
        await done(docs.update_item(Key={"pk": "a", "sk": 1, "order_id": "o-1"}, UpdateExpression=""))
    assert world.stored() == []


async def test_a_transaction_compares_no_stored_key(world):
    docs = world.table.sharded(4, by="sk")
    await done(docs.put_item(Item={"pk": "a", "sk": 1}))
    for condition in (Attr("pk").eq("a"), "pk = :n"):
        with pytest.raises(ValueError, match="ConditionExpression must not compare 'pk'"):
            await done(docs.idempotent_update(Key={"pk": "a", "sk": 1}, ConditionExpression=condition, **SET))
    await done(docs.idempotent_update(Key={"pk": "a", "sk": 1}, ConditionExpression=Attr("pk").exists(), **SET))
    assert [item["n"] for item in world.stored()] == [7]


async def test_an_update_by_such_a_key_is_sent_again(world):
    docs = world.table.sharded(10, by="order_id")
    world.proxy.plan = [faults.LoseReply(operations={"UpdateItem"}, times=1)]
    await done(docs.update_item(Key={"pk": "a", "sk": 1, "order_id": "o-1"}, **SET))
    assert world.proxy.count("UpdateItem") == 2


async def test_by_the_sort_key(world):
    docs = world.table.sharded(10, by="sk")
    await done(docs.put_item(Item={"pk": "a", "sk": 1}))
    world.proxy.clear()
    assert (await done(docs.get_item(Key={"pk": "a", "sk": 1})))["Item"] == {"pk": "a", "sk": 1}
    assert operations(world) == ["GetItem"]


async def test_only_some_keys_are_sharded(world):
    docs = world.table.sharded({"a": 5}, by=RANDOM)
    for key in ("a", "b"):
        await done(docs.put_item(Item={"pk": key, "sk": 1}))
        assert (await done(docs.get_item(Key={"pk": key, "sk": 1})))["Item"] == {"pk": key, "sk": 1}
    assert world.stored(pk="b") == [{"pk": "b", "sk": 1}]
    world.proxy.clear()
    found = await done(docs.query(KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": "b"}, Limit=1))
    assert operations(world) == ["Query"]
    json.dumps(found["LastEvaluatedKey"])
    both = await done(docs.query_many(["a", "b"]))
    assert [item["pk"] for item in both["Items"]] == ["a", "b"]


# Indexes.


async def tokens_of_another_index(docs, index):
    """Go through an index item by item: its tokens have no suffixes, and lead on all the same."""
    twins = [{"pk": pk, "sk": number, "at": 7, "st": "twins"} for pk in "cd" for number in range(3)]
    for item in twins:
        await done(docs.put_item(Item=item))
    condition = Key("st").eq("twins") if index == "by-st" else Key("at").eq(7)
    found, params = [], {"IndexName": index, "KeyConditionExpression": condition, "Limit": 1}
    while True:
        page = await done(docs.query(**params))
        found += page["Items"]
        token = json.dumps(page.get("LastEvaluatedKey"))
        assert "#" not in token
        if token == "null":
            break
        params["ExclusiveStartKey"] = json.loads(token)
    assert sorted(map(repr, found)) == sorted(map(repr, await done(docs.query_items(**{**params, **AFRESH}))))
    assert len(found) == len(twins)
    cursor = params["ExclusiveStartKey"]["rddb_cursor"]
    for shards in ({"0": 99}, {"0": "1"}, {"0": True}, {"0": None}, ["0"], "0", 5):
        params["ExclusiveStartKey"] = {"rddb_cursor": {**cursor, "shards": shards}}
        with pytest.raises(ValueError, match="ExclusiveStartKey must be a LastEvaluatedKey of this query"):
            await done(docs.query(**params))
    for item in twins:
        await done(docs.delete_item(Key={"pk": item["pk"], "sk": item["sk"]}))


async def test_indexes_of_a_sharded_table(world):
    docs = world.table.sharded(4, by=RANDOM)
    items = [{"pk": "ab"[number % 2], "sk": number, "at": 100 - number, "st": "x"} for number in range(12)]
    for item in items:
        await done(docs.put_item(Item=item))
    local = await done(docs.query(IndexName="by-at", **ALL))
    assert local["Items"] == [item for item in reversed(items) if item["pk"] == "a"]
    condition = {"IndexName": "by-st", "KeyConditionExpression": Key("st").eq("x")}
    found, start = [], {}
    while True:
        page = await done(docs.query(Limit=5, **condition, **start))
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": json.loads(json.dumps(page["LastEvaluatedKey"]))}
    assert found == items == await done(docs.query_items(**condition))
    for index in ("by-st", "inverted"):
        await tokens_of_another_index(docs, index)
    for params in (
        {"KeyConditionExpression": Key("at").eq(99) & Key("pk").eq("b"), "IndexName": "inverted"},
        {**condition, "FilterExpression": Attr("pk").eq("a")},
        {**condition, "QueryFilter": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": ["a"]}}},
    ):
        with pytest.raises(ValueError, match="must not compare 'pk', which is stored with a suffix"):
            await done(docs.query(**params))
    with pytest.raises(ValueError, match="FilterExpression must not compare 'pk', which is stored with a suffix"):
        await done(docs.query_many(["a", "b"], FilterExpression=Attr("pk").eq("a")))
    with pytest.raises(ClientError, match="nowhere"):
        await done(docs.query(IndexName="nowhere", **ALL))


@pytest.mark.parametrize("by", [RANDOM, "id"])
async def test_an_index_key_that_is_sharded_in_place(world, by):
    docs = world.table.sharded(4, key="st", by=by)
    items = [{"pk": f"p{number}", "sk": number, "st": "open", "id": f"o-{number}"} for number in range(10)]
    for item in items:
        await done(docs.put_item(Item=item))
    await done(docs.put_item(Item={"pk": "x", "sk": 1}))  # not in the index
    assert {item["st"] for item in world.stored() if "st" in item} <= {f"open#{number}" for number in range(4)}
    query = {"IndexName": "by-st", "KeyConditionExpression": Key("st").eq("open") & Key("sk").lt(8)}
    assert (await done(docs.query(**query)))["Items"] == items[:8]
    assert (await done(docs.get_item(Key={"pk": "p3", "sk": 3})))["Item"] == items[3]
    own = await done(docs.query(KeyConditionExpression=Key("pk").eq("p3")))
    assert own["Items"] == [items[3]]
    changed = await done(docs.update_item(Key={"pk": "p3", "sk": 3}, ReturnValues="ALL_NEW", **SET))
    assert changed["Attributes"] == {**items[3], "n": 7}
    with pytest.raises(ValueError, match="UpdateExpression must not change 'st'"):
        await done(docs.update_item(Key={"pk": "p3", "sk": 3}, UpdateExpression="REMOVE st"))
    assert (await done(docs.delete_item(Key={"pk": "p3", "sk": 3}, ReturnValues="ALL_OLD")))["Attributes"][
        "st"
    ] == "open"


async def test_an_index_on_numbers_through_an_attribute_of_its_own(world):
    docs = world.table.sharded(4, key="tenant", shard_attribute="shard", by="id")
    items = [{"pk": f"p{number}", "sk": number, "tenant": 5, "id": f"o-{number}"} for number in range(10)]
    with_writer = docs.batch_writer()
    if world.is_sync:
        with with_writer as batch:
            [batch.put_item(Item=item) for item in items]
    else:
        async with with_writer as batch:
            [await batch.put_item(Item=item) for item in items]
    assert {item["shard"] for item in world.stored()} <= {f"5#{number}" for number in range(4)}
    query = {"IndexName": "by-shard", "KeyConditionExpression": Key("tenant").eq(5)}
    assert (await done(docs.query(**query, Limit=100)))["Items"] == items
    assert await done(docs.query_items(**query)) == items


async def test_the_tables_own_key_may_be_spread_in_an_index(world):
    docs = world.table.sharded(4, key="pk", shard_attribute="shard", by=RANDOM)
    items = [{"pk": "a", "sk": number} for number in range(10)]
    for item in items:
        await done(docs.put_item(Item=item))
    assert {item["pk"] for item in world.stored()} == {"a"}
    assert (await done(docs.get_item(Key={"pk": "a", "sk": 3})))["Item"] == items[3]
    assert (await done(docs.query(**ALL)))["Items"] == items
    assert await done(docs.query_items(IndexName="by-shard", **ALL)) == items
    changed = await done(docs.update_item(Key={"pk": "a", "sk": 3}, ReturnValues="ALL_NEW", **SET))
    assert changed["Attributes"] == {**items[3], "n": 7}
    await done(docs.put_item(Item={"pk": "a", "sk": 3}, ConditionExpression=Attr("n").eq(7)))
    deleted = await done(docs.delete_item(Key={"pk": "a", "sk": 3}, ReturnValues="ALL_OLD"))
    assert deleted["Attributes"] == items[3]


# With a batch writer, versions and TTL.


@pytest.mark.parametrize("by", [RANDOM, "sk"])
async def test_what_a_batch_writer_leaves_has_the_callers_keys(world, by):
    docs = world.table.sharded(4, by=by)
    await done(docs.get_item(Key={"pk": "a", "sk": 1}))
    world.proxy.plan = [faults.Throttle(operations={"BatchWriteItem"})]
    writer = docs.batch_writer()

    async def write():
        if world.is_sync:
            with writer as batch:
                batch.put_item(Item={"pk": "a", "sk": 1})
        else:
            async with writer as batch:
                await batch.put_item(Item={"pk": "a", "sk": 1})

    with pytest.raises(ClientError) as caught:
        await write()
    expected = [{"PutRequest": {"Item": {"pk": "a", "sk": 1}}}]
    assert writer.unprocessed == expected
    assert getattr(caught.value, "items", expected) == expected


NO_KEYS = [faults.Throttle(operations={"DescribeTable"}, code="AccessDeniedException")]


async def entered(world, writer):
    """Enter the block of a writer."""
    return writer.__enter__() if world.is_sync else await writer.__aenter__()


async def left_by(world, writer, error=None):
    """Leave the block of a writer, by an error or in the usual way."""
    given = (error and type(error), error, None)
    return writer.__exit__(*given) if world.is_sync else await writer.__aexit__(*given)


@pytest.mark.parametrize("by", [RANDOM, "sk"])
@pytest.mark.parametrize("end", ["block", "flush", "put", "delete"])
async def test_a_batch_writer_keeps_what_it_is_given_before_it_knows_the_keys(world, by, end):
    world.proxy.plan = NO_KEYS
    writer = world.table.sharded(4, by=by).batch_writer()
    items = [{"pk": "a", "sk": number} for number in range(2)]
    batch = await entered(world, writer)
    for item in items:
        with pytest.raises(ClientError, match="AccessDenied"):
            await done(batch.put_item(Item=item))
    assert writer.unprocessed == [{"PutRequest": {"Item": item}} for item in items]
    world.proxy.plan = []
    if end == "flush":
        await done(batch.flush())
        assert writer.unprocessed == []
    elif end == "put":
        await done(batch.put_item(Item={"pk": "b", "sk": 9}))
    elif end == "delete" and by is not RANDOM:
        await done(batch.delete_item(Key={"pk": "b", "sk": 9}))
    await left_by(world, writer)
    assert writer.unprocessed == []
    assert sorted(item["sk"] for item in world.stored() if item["pk"].startswith("a")) == [0, 1]


async def test_what_a_batch_writer_can_place_nowhere_is_left_as_its_block_ends(world):
    world.proxy.plan = NO_KEYS
    writer = world.table.sharded(4, by="sk").batch_writer()
    batch = await entered(world, writer)
    for call in (
        lambda: batch.put_item(Item={"pk": "a", "sk": 1}),
        lambda: batch.delete_item(Key={"pk": "a", "sk": 2}),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            await done(call())
    expected = [{"PutRequest": {"Item": {"pk": "a", "sk": 1}}}, {"DeleteRequest": {"Key": {"pk": "a", "sk": 2}}}]
    with pytest.raises(ClientError, match="AccessDenied"):
        await left_by(world, writer)
    assert writer.unprocessed == expected
    await left_by(world, await entered(world, writer), LookupError())
    assert writer.unprocessed == expected
    assert "BatchWriteItem" not in operations(world)


async def test_an_error_has_all_that_is_not_written_in_order_also_what_had_no_shard_yet(world):
    """Whoever writes again what the error has loses nothing, and of two puts for one key the last one stands."""
    world.proxy.plan = NO_KEYS
    writer = world.table.sharded(4, by="sk").batch_writer(flush_amount=1, max_attempts=1)
    batch = await entered(world, writer)
    items = [{"pk": "a", "sk": 1, "n": number} for number in range(4)]
    for item in items[:3]:
        with pytest.raises(ClientError, match="AccessDenied"):
            await done(batch.put_item(Item=item))
    world.proxy.plan = [faults.Throttle(operations={"BatchWriteItem"})]
    expected = [{"PutRequest": {"Item": item}} for item in items]
    with pytest.raises(rddb.UnprocessedItemsError) as raised:
        await done(batch.put_item(Item=items[3]))
    assert raised.value.requests == expected == writer.unprocessed
    with pytest.raises(rddb.UnprocessedItemsError) as raised:
        await left_by(world, writer)
    assert raised.value.requests == expected == writer.unprocessed


async def test_what_has_no_shard_does_not_keep_others_from_being_written(world):
    world.proxy.plan = NO_KEYS
    writer = world.table.sharded(4, by="sk").batch_writer()
    batch = await entered(world, writer)
    with pytest.raises(ClientError, match="AccessDenied"):
        await done(batch.put_item(Item={"pk": "a"}))
    world.proxy.plan = []
    with pytest.raises(ValueError, match="sk"):
        await done(batch.put_item(Item={"pk": "a", "sk": 1}))
    await left_by(world, writer)
    assert [item["sk"] for item in world.stored()] == [1]


async def test_whoever_takes_what_is_unprocessed_sees_the_callers_keys(world):
    left = []

    async def take_later(requests):
        left.extend(requests)

    take = left.extend if world.is_sync else take_later
    writer = world.table.sharded(4, by="sk").batch_writer(["pk", "sk"], on_unprocessed=take)
    bad = {"pk": "a", "sk": 1, "large": "x" * 500_000}
    if world.is_sync:
        with writer:
            writer.put_item(Item=bad)
            writer.put_item(Item={"pk": "a", "sk": 2})
    else:
        async with writer:
            await writer.put_item(Item=bad)
            await writer.put_item(Item={"pk": "a", "sk": 2})
    assert left == [{"PutRequest": {"Item": bad}}]
    assert [refusal.key for refusal in writer.refusals] == [{"pk": "a", "sk": 1}]
    assert [item["sk"] for item in world.stored()] == [2]
    assert bad["pk"] == "a"


async def test_what_needs_a_known_shard_is_refused_where_key_names_the_tables_own(world):
    docs = world.table.sharded(4, key="pk", by=RANDOM)
    versions = docs.versioned()  # the table is not described yet
    for write in (
        lambda: versions.modify({"pk": "a", "sk": 1}, lambda _: {"n": 1}),
        lambda: versions.put_item(Item={"pk": "a", "sk": 1}),
        lambda: docs.put_item(Item={"pk": "a", "sk": 1}, ConditionExpression=Attr("pk").not_exists()),
    ):
        with pytest.raises(ValueError, match="must not be given to put_item with a random suffix"):
            await done(write())
    writer = docs.batch_writer(overwrite_by_pkeys=["pk", "sk"])
    with pytest.raises(ValueError, match="overwrite_by_pkeys needs to know an item's shard"):
        await done(writer.put_item(Item={"pk": "a", "sk": 1}))
    assert world.stored() == []


async def test_a_batch_writer_refuses_what_it_cannot_do(world):
    with pytest.raises(ValueError, match="overwrite_by_pkeys needs to know an item's shard"):
        world.table.sharded(4, by=RANDOM).batch_writer(overwrite_by_pkeys=["pk", "sk"])
    with pytest.raises(ValueError, match=r"batch_writer\(\) can't move items"):
        world.table.sharded(4, by="sk", previous=(2,)).batch_writer()
    world.table.sharded(4, by="sk").batch_writer(overwrite_by_pkeys=["pk", "sk"])
    writer = world.table.sharded(4, by=RANDOM).batch_writer()
    for delete in ({"pk": "a", "sk": 1},):
        with pytest.raises(ValueError, match="Key must tell the item's shard"):
            await done(writer.delete_item(Key=delete))


async def test_versions_in_a_sharded_table(world):
    with pytest.raises(ValueError, match=r"versioned\(\) needs to know an item's shard"):
        world.table.sharded(4, by=RANDOM).versioned()
    with pytest.raises(TypeError, match=r"take table\.sharded\(\.\.\.\)\.versioned\(\.\.\.\)"):
        world.table.versioned().sharded(4, by=RANDOM)
    for write_token in (None, "_wt"):
        docs = world.table.sharded(4, by="id").versioned(write_token=write_token)
        key = {"pk": f"v{write_token}", "sk": 1, "id": "o-1"}
        await done(docs.put_item(Item=key))
        world.proxy.plan = [faults.LoseReply(operations={"PutItem", "TransactWriteItems", "UpdateItem"}, every=2)]
        for number in range(1, 5):
            item = await done(docs.modify(key, lambda item: {**item, "n": item.get("n", 0) + 1}))
            assert (item["pk"], item["n"], item["version"]) == (key["pk"], number, number + 1)
        world.proxy.plan = []
        with pytest.raises(rddb.VersionConflictError) as caught:
            await done(docs.update_item(Key=key, expected_version=1, **SET))
        assert caught.value.current["pk"] == key["pk"]
        assert caught.value.current["version"] == 5
        assert await done(docs.modify(key, lambda item: rddb.DELETE)) is None
        assert world.stored() == []
        for gone in (key, {"pk": key["pk"], "sk": 1}):  # with its shard, and without
            with pytest.raises(rddb.VersionConflictError) as caught:
                await done(docs.update_item(Key=gone, expected_version=5, **SET))
            assert caught.value.current is None
            with pytest.raises(rddb.VersionConflictError):
                await done(docs.delete_item(Key=gone, expected_version=5))


async def test_expired_items_of_a_sharded_table(world):
    table = await world.make(ttl="expires")
    docs = table.sharded(4, by=RANDOM)
    now = int(world.clock.time())
    await done(docs.put_item(Item={"pk": "a", "sk": 1}, ttl_seconds=60))
    await done(docs.put_item(Item={"pk": "a", "sk": 2, "expires": now - 1}))
    await done(docs.put_item(Item={"pk": "a", "sk": 3}))
    found = await done(docs.query(**ALL))
    assert [item["sk"] for item in found["Items"]] == [1, 3]
    assert (found["Count"], found["ScannedCount"]) == (2, 3)
    assert "Item" not in await done(docs.get_item(Key={"pk": "a", "sk": 2}))
    assert (await done(docs.query(Select="COUNT", **ALL)))["Count"] == 2
    assert len(await done(docs.query_items(max_items=2, ProjectionExpression="pk", **ALL))) == 2


# Observers.


async def test_events_say_the_shard_by_its_number_and_no_key(world):
    told = []
    policy = policy_of(world.table).replace(observers=[told.append])
    docs = rddb.set_policy(world.table, policy).sharded(4, by="sk")
    asked = []

    async def shards_of(call):
        told.clear()
        asked.append(await done(call()))
        ends = [event for event in told if isinstance(event, CallEndEvent) and event.operation != "DescribeTable"]
        assert "secret" not in str(told)
        return [event.shard for event in ends]

    key = {"pk": "secret", "sk": 3}
    [put] = await shards_of(lambda: docs.put_item(Item=key))
    home = f"secret#{put}"
    assert [item["pk"] for item in world.stored()] == [home]
    assert await shards_of(lambda: docs.get_item(Key=key)) == [put]
    assert await shards_of(lambda: docs.update_item(Key=key, **SET)) == [put]
    condition = {"KeyConditionExpression": Key("pk").eq("secret")}
    assert sorted(await shards_of(lambda: docs.query(**condition))) == [0, 1, 2, 3]
    assert asked[-1]["Count"] == 1
    assert sorted(await shards_of(lambda: docs.query_items(**condition))) == [0, 1, 2, 3]
    assert sorted(await shards_of(lambda: docs.query_many(["secret"]))) == [0, 1, 2, 3]
    assert await shards_of(lambda: docs.delete_item(Key=key)) == [put]
    assert await shards_of(lambda: docs.table.get_item(Key={**key, "pk": home})) == [None]
    assert await shards_of(lambda: world.table.query_many(["secret"])) == [None]
    drawn = world.table.sharded(4, by=RANDOM)
    assert await shards_of(lambda: drawn.get_item(Key=key)) == [None]  # one request for all shards
