"""`query_many(partition_keys)`: what its arguments are called, and what it says of keys that could not be read."""

import pytest
from sharded_support import ThrottleShards, done

PART = {"on_shard_error": "skip"}


def left_out(response):
    return response["ResponseMetadata"]["Resilience"]


async def test_partition_keys_go_by_place_or_by_name(either):
    either.direct.put_item(Item={"pk": "a#1", "sk": 1})
    either.direct.put_item(Item={"pk": "b", "sk": 2})
    expected = [{"pk": "a#1", "sk": 1}, {"pk": "b", "sk": 2}]
    table = either.table
    for given, named in ((("a#1", "b"),), {}), ((), {"partition_keys": ["a#1", "b"]}):
        assert (await done(table.query_many(*given, **named)))["Items"] == expected
        assert await done(table.query_many_items(*given, **named)) == expected
    docs, seen = either.table.sharded(2), [{"pk": "a", "sk": 1}]
    for given, named in ((["a"],), {}), ((), {"partition_keys": iter(["a"])}):
        assert (await done(docs.query_many(*given, **named)))["Items"] == seen
    assert await done(docs.query_many_items(partition_keys=["a"])) == seen


async def test_the_keys_that_are_missing_are_as_they_were_given(either):
    docs = either.table.sharded(4, key="tenant", shard_attribute="shard", by="sk")
    for tenant in (5, 6):
        for number in range(8):
            await done(docs.put_item(Item={"pk": f"p{tenant}", "sk": number, "tenant": tenant}))
    names = [f"5#{number}" for number in range(4)]
    either.proxy.plan = [ThrottleShards(stored=frozenset(names))]
    asked = {"partition_keys": [6, 5], "IndexName": "by-shard", **PART}
    first = await done(docs.query_many(**asked, Limit=20))
    assert left_out(first) == {"missing_shards": names, "missing_keys": [5]}
    assert [item["tenant"] for item in first["Items"]] == [6] * 8
    either.proxy.plan = []
    rest = await done(docs.query_many(**asked, ExclusiveStartKey=first["LastEvaluatedKey"]))
    assert [item["tenant"] for item in rest["Items"]] == [5] * 8
    assert "missing_keys" not in rest["ResponseMetadata"].get("Resilience", {})


async def test_of_a_table_without_shards_both_are_the_keys(either):
    either.direct.put_item(Item={"pk": "b", "sk": 1})
    either.proxy.plan = [ThrottleShards(stored=frozenset({"a", "c"}))]
    found = await done(either.table.query_many(["a", "b", "c"], **PART))
    assert left_out(found) == {"missing_shards": ["a", "c"], "missing_keys": ["a", "c"]}


@pytest.mark.parametrize("is_sharded", [False, True])
async def test_errors_name_the_arguments(either, is_sharded):
    table = either.table.sharded(2) if is_sharded else either.table
    for call, says in (
        (lambda: table.query_many("a"), "^partition_keys must be a list"),
        (lambda: table.query_many_items([]), "^partition_keys must be 1 to 1000"),
        (lambda: table.query_many(["a"], KeyConditions={}), "must not be given beside partition_keys"),
        (lambda: table.query_many_items(["a"], max_items=0), "^max_items must be"),
        (lambda: table.query_items(max_items=0, KeyConditionExpression="pk = :a"), "^max_items must be|partition key"),
        (lambda: table.query_many_items(["a"], limit=5), "did you mean max_items, or boto3's Limit"),
        (lambda: table.query_items(limit=5, KeyConditionExpression="pk = :a"), "did you mean max_items"),
        (lambda: table.query_many_items(["a"], Select="COUNT"), r"call query_many\(\.\.\.\) instead"),
        (lambda: table.query_many(["a"], on_shard_error="return"), "^on_shard_error must be 'raise' or 'skip'"),
    ):
        with pytest.raises((TypeError, ValueError), match=says):
            await done(call())
    assert either.proxy.count("Query") == 0
