"""A call that succeeded although a reply was lost: neither a warning nor counted as ambiguous."""

import logging

import pytest
from boto3.dynamodb.conditions import Attr

from resilient_ddb.observers import LoggingObserver
from resilient_ddb.testing import faults

ITEM = {"pk": "a", "n": 1}
ADD = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
SET = {"UpdateExpression": "SET n = :one", "ExpressionAttributeValues": {":one": 1}}


def change(item):
    return {**(item or {"pk": "a"}), "n": 2}


def write(table):
    with table.batch_writer() as batch:
        batch.put_item(Item=ITEM)


WAYS = {
    "put": lambda table: table.put_item(Item=ITEM),
    "a conditional put that finds itself": lambda table: table.put_item(
        Item=ITEM, ConditionExpression=Attr("pk").not_exists()
    ),
    "delete": lambda table: table.delete_item(Key={"pk": "a"}),
    "update": lambda table: table.update_item(Key={"pk": "a"}, **SET),
    "idempotent update": lambda table: table.idempotent_update(Key={"pk": "a"}, **ADD),
    "batch": lambda table: table.meta.client.batch_write_item(
        RequestItems={table.name: [{"PutRequest": {"Item": ITEM}}]}
    ),
    "batch writer": write,
    "modify": lambda table: table.versioned().modify({"pk": "a"}, change),
    "modify by write tokens": lambda table: table.versioned(write_token="token").modify({"pk": "a"}, change),
    "a versioned update by write tokens": lambda table: table.versioned(write_token="token").update_item(
        Key={"pk": "a"}, expected_version=1, **SET
    ),
    "a versioned put": lambda table: table.versioned().put_item(Item={**ITEM, "version": 1}),
}


@pytest.mark.parametrize("fault", [faults.LoseReply(times=1), faults.ServerError(times=1)], ids=["lost", "500"])
@pytest.mark.parametrize("way", WAYS)
def test_what_succeeded_is_not_told_as_ambiguous(way, fault, world, caplog):
    ended = []
    table = world.table(observers=[ended.append, LoggingObserver()])
    world.direct.put_item(Item={**ITEM, "version": 1})
    if "finds itself" in way:
        world.direct.delete_item(Key={"pk": "a"})
    writes = {"PutItem", "DeleteItem", "UpdateItem", "TransactWriteItems", "BatchWriteItem"}
    world.proxy.plan = [type(fault)(times=1, operations=writes)]
    with caplog.at_level(logging.DEBUG, "resilient_ddb"):
        WAYS[way](table)
    ended = [event for event in ended if type(event).__name__ == "CallEndEvent"]
    assert sum(event.attempts for event in ended) > len({event.operation for event in ended})
    assert not [event for event in ended if event.ambiguous]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
