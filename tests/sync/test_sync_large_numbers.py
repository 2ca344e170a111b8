"""Numbers that DynamoDB holds and that boto3's decimal context would have to round: read exactly, or not at all."""

from decimal import Decimal, DecimalException

import pytest
from boto3.dynamodb.types import TypeDeserializer
from codec_calls import boto3_side, our_side

import resilient_ddb as rddb
from resilient_ddb.testing import faults

KEY = {"pk": "big"}
LARGE = Decimal("-9.8765432109876543210987654321098765432E+125")
"""Emulators send it as 126 digits: 38, and zeros."""
TINY = "1.2345678901234567890123456789012345678E-130"
"""DynamoDB holds it; the last two of its digits are behind the last place of boto3's context."""
ITEM = {"pk": "big", "n": LARGE, "ns": {LARGE, Decimal("1E+100")}, "m": {"l": [LARGE, {"n": Decimal("1E+39")}]}}


@pytest.fixture
def table(world):
    made = world.table()
    made.put_item(Item={"pk": "good"})
    made.put_item(Item=ITEM)
    return made


def listened(table):
    """See values before they are native: then boto3's own deserializer makes them so."""
    table.meta.client.meta.events.register("response-received.dynamodb", lambda parsed_response, **_: None)
    return table


def read_anyhow(table):
    """Return what each way of reading gives of the item."""
    client, name = table.meta.client, table.name
    equals = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": "big"}}
    yield "get_item", table.get_item(Key=KEY)["Item"]
    yield "query", table.query(**equals)["Items"][0]
    yield "query_items", next(iter(table.query_items(**equals)))
    yield "scan", _big(table.scan()["Items"])
    yield "scan_items", _big(table.scan_items())
    yield "parallel_scan", _big(table.parallel_scan(1))
    yield "get_items", _big(table.get_items([KEY, {"pk": "good"}]))
    yield "batch_get_item", client.batch_get_item(RequestItems={name: {"Keys": [KEY]}})["Responses"][name][0]
    got = client.transact_get_items(TransactItems=[{"Get": {"TableName": name, "Key": KEY}}])
    yield "transact_get_items", got["Responses"][0]["Item"]
    yield "pages", client.get_paginator("query").paginate(TableName=name, **equals).build_full_result()["Items"][0]
    yield "put_item", table.put_item(Item=ITEM, ReturnValues="ALL_OLD")["Attributes"]
    touch = {"UpdateExpression": "REMOVE gone", "ReturnValues": "ALL_NEW"}
    yield "update_item", table.update_item(Key=KEY, **touch)["Attributes"]
    yield "delete_item", table.delete_item(Key=KEY, ReturnValues="ALL_OLD")["Attributes"]


def _big(items):
    return next(item for item in items if item["pk"] == "big")


@pytest.mark.parametrize("way", [lambda table: table, listened], ids=["read here", "left to boto3"])
def test_every_way_to_read_gives_it_exactly_and_in_a_form_that_can_be_put_back(way, table, world):
    for verb, item in read_anyhow(way(table)):
        assert item == ITEM, verb
        table.put_item(Item=item)
        assert table.get_item(Key=KEY)["Item"] == ITEM, verb


def test_a_large_page_gives_it_exactly(table):
    with table.batch_writer() as batch:
        for number in range(20):
            batch.put_item(Item={"pk": f"{number}", "text": "x" * 9000, "n": LARGE})
    assert sum(item.get("n") == LARGE for item in table.scan()["Items"]) == 21


def test_a_versioned_table_meets_it_and_says_that_there_was_a_conflict(world):
    docs = world.table().versioned()
    docs.put_item(Item=ITEM)
    with pytest.raises(rddb.VersionConflictError) as raised:
        docs.put_item(Item=KEY)
    assert raised.value.current == {**ITEM, "version": 1}
    docs.modify(KEY, lambda item: {**item, "more": True})
    assert world.table().get_item(Key=KEY)["Item"] == {**ITEM, "version": 2, "more": True}


def test_a_lost_reply_to_an_update_gives_it_exactly(world, table):
    docs = table.versioned(write_token="mark")
    docs.put_item(Item=KEY | {"n": LARGE}, expected_version=None)
    world.proxy.plan = [faults.LoseReply(operations={"UpdateItem"}, times=1)]
    touch = {"UpdateExpression": "SET touched = :one", "ExpressionAttributeValues": {":one": 1}}
    answer = docs.update_item(Key=KEY, expected_version=1, ReturnValues="ALL_NEW", **touch)
    assert answer["Attributes"]["n"] == LARGE


def test_a_sharded_table_gives_it_exactly(table):
    events = table.sharded(shards=3, by="n")
    events.put_item(Item={**ITEM, "pk": "sharded"})
    [found] = events.query(KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": "sharded"})["Items"]
    assert found == {**ITEM, "pk": "sharded"}


# What boto3's context can't hold.


@pytest.fixture
def side(aws_env):
    made = our_side()
    yield made
    made.close()


@pytest.mark.parametrize("way", [lambda table: table, listened], ids=["read here", "left to boto3"])
def test_what_cannot_be_held_exactly_is_boto3s_error_with_the_facts_of_the_call(way, side):
    theirs = boto3_side()
    for made in (side, theirs):
        made.canned.answer({"Item": {"pk": {"S": "a"}, "m": {"M": {"n": {"N": TINY}}}}})
    with pytest.raises(DecimalException) as plain:
        theirs.table.get_item(Key={"pk": "a"})
    with pytest.raises(plain.type) as raised:
        way(side.table).get_item(Key={"pk": "a"})
    assert raised.value.resilience.attempts == 1
    assert not raised.value.resilience.ambiguous
    assert any("can't hold exactly" in note for note in raised.value.__notes__)
    assert not any("1234567890" in note or "write" in note for note in raised.value.__notes__)
    theirs.close()


def test_a_write_whose_answer_cannot_be_held_says_that_it_was_applied(side):
    side.canned.answer({"Attributes": {"n": {"N": TINY}}})
    with pytest.raises(DecimalException) as raised:
        side.table.delete_item(Key={"pk": "a"}, ReturnValues="ALL_OLD")
    assert len(side.canned.sent) == raised.value.resilience.attempts == 1
    assert sum("the write was applied: only its answer can't be given" in note for note in raised.value.__notes__) == 1
    assert not any("may have been applied" in note for note in raised.value.__notes__)
    assert raised.value.resilience.ambiguous  # it is not to be made again


def test_a_versioned_write_that_meets_what_cannot_be_held_says_that_its_condition_failed(side):
    there = {"pk": {"S": "a"}, "version": {"N": "3"}, "n": {"N": TINY}}
    side.canned.answer({"__type": "x#ConditionalCheckFailedException", "message": "no", "Item": there}, 400)
    with pytest.raises(side.native.exceptions.ConditionalCheckFailedException) as raised:
        side.table.versioned().put_item(Item={"pk": "a"})
    assert raised.value.resilience.attempts == 1
    assert any("can't hold exactly" in note for note in raised.value.__notes__)


@pytest.mark.parametrize("text", ["1.50", "1E+100", "0E-10", "-0", "123456789012345678901234567890.12", TINY[:37]])
def test_what_boto3_reads_is_the_same(text, side):
    side.canned.answer({"Item": {"n": {"N": text}}})
    assert str(side.table.get_item(Key={"pk": "a"})["Item"]["n"]) == str(TypeDeserializer().deserialize({"N": text}))


def test_a_low_level_client_gives_the_text(side):
    side.canned.answer({"Item": {"n": {"N": TINY}}})
    assert side.typed.get_item(TableName="t", Key={"pk": {"S": "a"}})["Item"] == {"n": {"N": TINY}}
