"""Calls of a client that was closed: they say so, whatever was made from it. A module-level table opens it again."""

import asyncio

import boto3.dynamodb.conditions
import pytest
from aio_support import ACCESS
from botocore.exceptions import HTTPClientError
from foreign_answers import sent_keys
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.aio.resources import resource_class
from resilient_ddb.sharding import RANDOM
from resilient_ddb.testing import FakeClock

BY_KEY = {"KeyConditionExpression": boto3.dynamodb.conditions.Key("pk").eq("a")}
KEY = {"Key": {"pk": "a"}}


async def listed(reading):
    return [item async for item in reading]


async def write(batch):
    async with batch:  # a writer that is dropped with requests, without having ended a block, warns
        await batch.put_item(Item={"pk": "a", "n": 1})
        await batch.flush()


async def write_in_a_block(batch):
    async with batch:
        await batch.put_item(Item={"pk": "a", "n": 1})


CALLS = {
    "client": lambda table: table.meta.client.get_item(TableName=TABLE, **KEY),
    "paginator": lambda table: listed(table.meta.client.get_paginator("scan").paginate(TableName=TABLE)),
    "get_item": lambda table: table.get_item(**KEY),
    "put_item": lambda table: table.put_item(Item={"pk": "a"}),
    "query": lambda table: table.query(**BY_KEY),
    "idempotent_update": lambda table: table.idempotent_update(Key={"pk": "a"}, UpdateExpression="REMOVE x"),
    "attribute": lambda table: table.table_status,
    "load": lambda table: table.load(),
    "waiter": lambda table: table.wait_until_exists(),
    "query_items": lambda table: listed(table.query_items(**BY_KEY)),
    "scan_items": lambda table: listed(table.scan_items()),
    "get_items": lambda table: listed(table.get_items([{"pk": "a"}])),
    "parallel_scan": lambda table: listed(table.parallel_scan(2)),
    "query_many": lambda table: table.query_many(["a", "b"]),
    "sharded": lambda table: table.sharded(2, by=RANDOM).query(**BY_KEY),
    "versioned": lambda table: table.versioned().get_item(**KEY),
    "modify": lambda table: table.versioned().modify({"pk": "a"}, lambda item: {"pk": "a"}),
    "writer": lambda table: write(table.batch_writer()),
    "writer's block": lambda table: write_in_a_block(table.batch_writer()),
    "writer with workers": lambda table: write_in_a_block(table.batch_writer(["pk"], max_workers=3)),
    "sharded writer": lambda table: write(table.sharded(2, by="n").batch_writer()),
}


def answer(operation, params):
    empty = {"Items": [], "Count": 0, "ScannedCount": 0}
    made = {"Query": empty, "Scan": empty, "BatchWriteItem": {"UnprocessedItems": {}}}
    return made.get(operation, {"Responses": {}, "UnprocessedKeys": {}} if operation == "BatchGetItem" else {})


@pytest.fixture
def stub():
    with WireStub(answer) as running:
        yield running


@pytest.mark.parametrize("way", ["block", "close"])
@pytest.mark.parametrize("what", CALLS)
async def test_a_call_of_what_was_closed_says_so(what, way, stub):
    opening = aio.resource("dynamodb", endpoint_url=stub.endpoint_url, policy=rddb.Policy(clock=FakeClock()), **ACCESS)
    async with opening as dynamodb:
        table = await dynamodb.Table(TABLE)
        await table.get_item(**KEY)
        if way == "close":
            await dynamodb.close()
            with pytest.raises(HTTPClientError, match="This client was closed"):
                await CALLS[what](table)
    requests = len(stub.requests)
    with pytest.raises(HTTPClientError, match="This client was closed") as raised:
        await CALLS[what](table)
    assert "NoneType" not in str(raised.value)
    assert len(stub.requests) == requests
    facts = raised.value.resilience
    assert (facts.kind, facts.ambiguous, facts.attempts) == (rddb.ErrorKind.PERMANENT, False, 0)
    assert "nothing was sent" in facts.note()
    batch = getattr(raised.value, "requests", None)
    assert batch in (None, [{"PutRequest": {"Item": {"pk": "a", "n": 1}}}])


async def test_what_is_closed_can_be_closed_again(stub):
    opening = aio.client("dynamodb", endpoint_url=stub.endpoint_url, **ACCESS)
    async with opening as client:
        await client.close()
        await client.close()


def test_every_verb_of_a_table_is_in():
    """Those of boto3's model are one code; what this library adds has a line of its own."""
    added = {name for name in vars(aio.AsyncTable) if not name.startswith("_")} - set(vars(resource_class("Table")))
    elsewhere = {"close", "query_many_items", "batch_writer"}
    assert added - set(CALLS) <= elsewhere


@pytest.mark.parametrize("what", ["writer", "get_item", "get_items", "query_many", "parallel_scan"])
async def test_a_module_level_table_opens_its_client_again(what, stub):
    table = aio.table(TABLE, endpoint_url=stub.endpoint_url, **ACCESS)
    for _ in range(2):
        async with table:
            await CALLS[what](table)


def test_a_writer_of_a_module_level_table_goes_on_after_a_close_and_on_another_loop(stub):
    table = aio.table(TABLE, endpoint_url=stub.endpoint_url, **ACCESS)
    batch = table.batch_writer()

    async def twice(*keys):
        for key in keys:
            await batch.put_item(Item={"pk": key})
            await batch.flush()
            await table.close()

    asyncio.run(twice("a", "b"))
    asyncio.run(twice("c"))
    assert sent_keys(stub) == ["a", "b", "c"]
