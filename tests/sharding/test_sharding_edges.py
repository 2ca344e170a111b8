"""What a sharded table refuses before anything is sent, and a partial answer in the middle of a page."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError
from unit_support import ALONE

from resilient_ddb.calls.flows import run
from resilient_ddb.sharding import RANDOM
from resilient_ddb.sharding.queries import fan_in
from resilient_ddb.sharding.shard_layout import ShardLayout
from resilient_ddb.sync.sharded_tables import ShardedTable

DESCRIPTION = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "GlobalSecondaryIndexes": [
        {"IndexName": "by-day", "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}]},
        {"IndexName": "inverted", "KeySchema": [{"AttributeName": "sk", "KeyType": "HASH"}]},
        {
            "IndexName": "by-round-and-court",
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "round", "KeyType": "RANGE"},
                {"AttributeName": "court", "KeyType": "RANGE"},
            ],
        },
        {
            "IndexName": "by-year-and-pk",
            "KeySchema": [{"AttributeName": "year", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "HASH"}],
        },
    ],
}
METADATA = {"ResponseMetadata": {"HTTPStatusCode": 200}}


def refused(**_):
    raise AssertionError("nothing is to be sent")


class OneByOne(ShardedTable):
    """Makes calls that go together one after the other, on no threads."""

    def _together(self, calls):
        return [_outcome(call) for call in calls]


def sharded(verbs=None, shards=2, *, by=RANDOM, key=None, shard_attribute=None, core=None, **options):
    verbs = verbs or {"put_item": refused}
    hardened = {} if core is None else {"_resilience": core}
    described = {"describe_table": lambda **_: {"Table": DESCRIPTION}}
    client = SimpleNamespace(meta=SimpleNamespace(), **described, **verbs, **hardened)
    table = SimpleNamespace(name="t", meta=SimpleNamespace(client=client), **verbs)
    return OneByOne(table, ShardLayout(shards, by=by, key=key, attribute=shard_attribute), **options)


def _outcome(call):
    try:
        return call()
    except ClientError as error:
        return error


@pytest.mark.parametrize("options", [{"key": "nope"}, {"key": "day", "shard_attribute": "nope"}])
def test_an_attribute_that_is_no_partition_key_is_refused_by_name(options):
    argument = list(options)[-1]
    with pytest.raises(ValueError, match=f"{argument} must be the partition key of table 't', or of an index.*'nope'"):
        sharded(**options).put_item(Item={"pk": "a", "sk": "1"})


@pytest.mark.parametrize(
    "options", [{"key": "sk"}, {"key": "day", "shard_attribute": "sk"}, {"key": "day", "shard_attribute": "pk"}]
)
def test_a_suffix_in_the_tables_key_would_hide_the_item(options):
    argument, name = list(options.items())[-1]
    with pytest.raises(ValueError, match=f"{argument} must leave the key of table 't' as it is.*got {name!r}"):
        sharded(**options).put_item(Item={"pk": "a", "sk": "1"})


@pytest.mark.parametrize("options", [{"by": "pk"}, {"by": "day", "key": "day"}])
def test_the_key_alone_spreads_nothing(options):
    with pytest.raises(ValueError, match=f"by must name an attribute in which .* by {options['by']!r} alone"):
        sharded(**options).put_item(Item={"pk": "a", "sk": "1"})


@pytest.mark.parametrize("index", ["by-round-and-court", "by-year-and-pk"])
def test_an_index_with_keys_of_several_attributes_is_refused(index):
    """Merged by one of them, items would come in another order, and some of a later page as if they had been given."""
    docs = sharded({"query": refused})
    plain = docs.table
    asked = {"IndexName": index, "KeyConditionExpression": Key("pk").eq("a")}
    for read in (
        lambda: docs.query(**asked),
        lambda: list(docs.query_items(**asked)),
        lambda: docs.query_many(["a", "b"], IndexName=index),
        lambda: run(fan_in(plain, refused, ["a", "b"], {"IndexName": index}, "raise")),
    ):
        with pytest.raises(ValueError, match=f"IndexName must be that of an index with one .*'{index}' of table 't'"):
            read()


def test_an_index_that_was_added_meanwhile_is_found():
    core = SimpleNamespace(known={}, host=ALONE, policy=SimpleNamespace(uniform=lambda low, _: low, observers=()))
    docs = sharded({"put_item": lambda **_: dict(METADATA)}, key="day", core=core)
    described = [{"KeySchema": DESCRIPTION["KeySchema"]}, DESCRIPTION]
    docs.table.meta.client.describe_table = lambda **_: {"Table": described.pop(0)}
    with pytest.raises(ValueError, match="'day'"):
        docs.put_item(Item={"pk": "a", "sk": "1", "day": "x"})
    docs.put_item(Item={"pk": "a", "sk": "1", "day": "x"})
    assert described == []
    docs.put_item(Item={"pk": "a", "sk": "1", "day": "x"})  # it is known now


def test_an_item_collection_is_told_by_the_callers_key():
    told = {"ItemCollectionMetrics": {"ItemCollectionKey": {"pk": "a#1"}, "SizeEstimateRangeGB": [0, 1]}}
    docs = sharded({"put_item": lambda **_: {**told, **METADATA}}, by="sk")
    answer = docs.put_item(Item={"pk": "a", "sk": "1"}, ReturnItemCollectionMetrics="SIZE")
    assert answer["ItemCollectionMetrics"] == {"ItemCollectionKey": {"pk": "a"}, "SizeEstimateRangeGB": [0, 1]}


@pytest.mark.parametrize("shards", [{20261121: 4}, {b"a": 4}])
def test_a_mapping_whose_keys_are_no_texts_would_never_match(shards):
    with pytest.raises(TypeError, match="a mapping of texts"):
        ShardLayout(shards)


@pytest.mark.parametrize("by", [5, [5], [""], [], ()])
def test_by_names_attributes(by):
    with pytest.raises(TypeError, match="by must be the name of an attribute"):
        ShardLayout(2, by=by)


@pytest.mark.parametrize(
    "entry",
    [
        lambda docs: docs.put_action(Item={"pk": "a", "sk": "1"}),
        lambda docs: docs.update_action(Key={"pk": "a", "sk": "1"}, expected_version=1),
        lambda docs: docs.delete_action(Key={"pk": "a", "sk": "1"}, expected_version=1),
    ],
)
def test_entries_for_the_client_would_be_written_without_a_suffix(entry):
    with pytest.raises(TypeError, match="stored with suffixes"):
        entry(sharded(by="sk").versioned())


def shard_of(params):
    return params["ExpressionAttributeValues"][":rddb_shard"]


def test_a_shard_that_fails_in_a_later_round_leaves_what_there_is():
    pages = {"a#0": [["1", "2"], None], "a#1": [["3", "4"]]}

    def query(**params):
        page = pages[shard_of(params)].pop(0)
        if page is None:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, "Query")
        items = [{"pk": shard_of(params), "sk": sk} for sk in page]
        last = {"LastEvaluatedKey": items[-1]} if shard_of(params) == "a#0" else {}
        return {"Items": items, "Count": len(items), "ScannedCount": len(items), **last, **METADATA}

    asked = {"KeyConditionExpression": "pk = :a", "ExpressionAttributeValues": {":a": "a"}, "Limit": 4}
    answer = sharded({"query": query}, on_shard_error="skip").query(**asked)
    assert [item["sk"] for item in answer["Items"]] == ["1", "2", "3", "4"]
    assert answer["ResponseMetadata"]["Resilience"]["missing_shards"] == [0]
    assert "LastEvaluatedKey" in answer


def test_where_no_shard_can_be_read_the_error_is_raised():
    def query(**_):
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, "Query")

    with pytest.raises(ClientError, match="ThrottlingException"):
        sharded({"query": query}, on_shard_error="skip").query(
            KeyConditionExpression="pk = :a", ExpressionAttributeValues={":a": "a"}
        )


def test_a_fan_in_says_for_itself_what_a_part_is_worth():
    def query(**params):
        if shard_of(params) == "a#1":
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, "Query")
        return {"Items": [], "Count": 0, "ScannedCount": 0, **METADATA}

    docs = sharded({"query": query})
    answer = docs.query_many(["a"], on_shard_error="skip")
    assert answer["ResponseMetadata"]["Resilience"] == {"missing_shards": ["a#1"], "missing_keys": ["a"]}
    with pytest.raises(ClientError):
        docs.query_many(["a"])
    with pytest.raises(ValueError, match="on_shard_error"):
        docs.query_many(["a"], on_shard_error="maybe")
