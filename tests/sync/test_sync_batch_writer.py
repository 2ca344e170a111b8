"""The batch writer keeps what was not written, in order, and tells a bad item from its neighbours."""

from datetime import date

import boto3
import pytest
from batch_support import let_go
from botocore.exceptions import ClientError
from botocore.stub import Stubber

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock

REGION = {"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}


def puts(*items):
    return [{"PutRequest": {"Item": item}} for item in items]


@pytest.fixture
def world(dynamodb_local, make_table):
    name = make_table(dynamodb_local.endpoint_url)
    table = rddb.table(name, endpoint_url=dynamodb_local.endpoint_url, policy=rddb.Policy(clock=FakeClock()))
    return table, boto3.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url).Table(name)


def test_a_bad_item_stands_alone_and_its_neighbours_are_written(world):
    table, direct = world
    batch = table.batch_writer()
    for number in range(24):
        batch.put_item(Item={"pk": f"{number:02}"} if number != 3 else {"pk": ""})
    with pytest.raises(ClientError, match="ValidationException") as raised:
        batch.put_item(Item={"pk": "24"})
    assert raised.value.requests == puts({"pk": ""}) == batch.unprocessed
    with batch:
        batch.put_item(Item={"pk": "25"})
    assert sorted(item["pk"] for item in direct.scan()["Items"]) == [f"{n:02}" for n in range(26) if n != 3]


def test_an_item_that_can_not_be_serialized_stands_alone_too(world):
    table, direct = world
    batch = table.batch_writer()
    for item in ({"pk": "a"}, {"pk": "b", "n": 1.5}, {"pk": "c"}):
        batch.put_item(Item=item)
    with pytest.raises(TypeError, match="Float types are not supported") as raised:
        batch.__exit__(None, None, None)
    assert raised.value.requests == puts({"pk": "b", "n": 1.5})
    assert sorted(item["pk"] for item in direct.scan()["Items"]) == ["a", "c"]


def test_a_refusal_names_the_key_and_no_other_value(world):
    table, _ = world
    with pytest.raises(rddb.UnprocessedItemsError) as raised, table.batch_writer() as batch:  # noqa: PT012 - as above
        batch.put_item(Item={"pk": "a", "at": date(2026, 1, 1)})
        batch.put_item(Item="secret, type: text\n")
    assert "Unsupported type" in str(raised.value)
    assert "2026" not in str(raised.value)
    assert not any("2026" in str(refusal) or "secret" in str(refusal) for refusal in batch.refusals)
    assert [refusal.reason.partition("\n")[0] for refusal in batch.refusals] == [
        "Unsupported type \"<class 'datetime.date'>\"",
        "Parameter validation failed:",
    ]


def test_a_refusal_that_is_not_about_items_leaves_them_in_the_buffer(world):
    table, _ = world
    missing = rddb.table("no-such-table", endpoint_url=table.meta.client.meta.endpoint_url)
    batch = missing.batch_writer()
    for number in range(24):
        batch.put_item(Item={"pk": str(number)})
    with pytest.raises(missing.meta.client.exceptions.ResourceNotFoundException):
        batch.put_item(Item={"pk": "24"})
    assert batch.unprocessed == puts(*({"pk": str(number)} for number in range(25)))
    let_go(batch)


@pytest.mark.parametrize("key", ["t", "arn:aws:dynamodb:eu-west-1:123456789012:table/t"])
def test_unprocessed_items_are_sent_again_first_under_whatever_name_they_come_back(key):
    table = rddb.table("t", **REGION, policy=rddb.Policy(clock=FakeClock()))
    typed = [{"PutRequest": {"Item": {"pk": {"S": str(number)}}}} for number in range(25)]
    with Stubber(table.meta.client) as stub:
        stub.add_response("batch_write_item", {"UnprocessedItems": {key: typed[:2]}})
        stub.add_response(
            "batch_write_item",
            {"UnprocessedItems": {}},
            {"RequestItems": {"t": puts({"pk": "0"}, {"pk": "1"}, {"pk": "new"})}},
        )
        with table.batch_writer() as batch:
            for number in range(25):
                batch.put_item(Item={"pk": str(number)})
            batch.put_item(Item={"pk": "new"})
        stub.assert_no_pending_responses()


def test_an_outage_while_a_batch_is_taken_apart_loses_none_and_keeps_their_order():
    table = rddb.table("t", **REGION, policy=rddb.Policy(clock=FakeClock()))
    with Stubber(table.meta.client) as stub:
        stub.add_client_error("batch_write_item", "ValidationException", "bad")  # the batch
        stub.add_client_error("batch_write_item", "ValidationException", "bad")  # its first half
        stub.add_response("batch_write_item", {"UnprocessedItems": {}})  # the first half of that
        stub.add_client_error("batch_write_item", "AccessDeniedException", "no")  # the second
        batch = table.batch_writer()
        for number in range(24):
            batch.put_item(Item={"pk": str(number)})
        with pytest.raises(ClientError, match="AccessDenied"):
            batch.put_item(Item={"pk": "24"})
    assert batch.unprocessed == puts(*({"pk": str(number)} for number in range(6, 25)))
    let_go(batch)


@pytest.mark.parametrize("options", [{}, {"overwrite_by_pkeys": ["pk"]}, {"max_workers": 3}])
def test_a_dict_that_is_filled_anew_for_each_item_is_as_many_items(world, options):
    table, direct = world
    item = {}
    with table.batch_writer(**options) as batch:
        for number in range(60):
            item["pk"] = str(number)
            batch.put_item(Item=item)
    assert direct.scan(Select="COUNT")["Count"] == 60


def test_an_async_function_for_what_is_unprocessed_is_refused_at_the_door():
    async def keep(requests):
        raise AssertionError(requests)

    with pytest.raises(TypeError, match="on_unprocessed must not be async on the sync Table"):
        rddb.table("t", **REGION).batch_writer(on_unprocessed=keep)
