"""A large page is decoded off the event loop: other tasks get their turns meanwhile."""

import asyncio
import time
from decimal import Decimal

import boto3
import pytest

import resilient_ddb as rddb
from resilient_ddb import aio


@pytest.fixture
def filled(dynamodb_local, make_table):
    """Return a table's name with a page of about 1 MB in it."""
    name = make_table(dynamodb_local.endpoint_url, sort_key="sk", sort_type="N")
    table = boto3.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url).Table(name)
    with table.batch_writer() as batch:
        for number in range(1200):
            item = {f"attribute{index}": Decimal(index) for index in range(20)}
            batch.put_item(
                Item={"pk": "a", "sk": number, "nested": {"list": [1, "two", {"three"}]}, **item, "b": b"x" * 800}
            )
    return name


async def _decode_while_ticking(table, kind):
    """Return a query's answer, the turns that another task got while it was decoded, and the longest pause of it."""
    state = {"ticks": 0, "decoding": False, "done": False, "pause": 0.0}

    async def tick():
        while not state["done"]:
            started = time.perf_counter()
            await asyncio.sleep(0)
            state["pause"] = max(state["pause"], time.perf_counter() - started)
            state["ticks"] += state["decoding"]

    def begin(**_):
        state["decoding"] = True

    events = table.meta.client.meta.events
    events.register_first("before-parse.dynamodb.Query", begin, unique_id=f"begin-{kind}")
    ticker = asyncio.create_task(tick())
    answer = await table.query(KeyConditionExpression="pk = :a", ExpressionAttributeValues={":a": "a"})
    state["done"] = True
    await ticker
    return answer, state["ticks"], state["pause"]


async def test_other_tasks_get_their_turns_while_a_large_page_is_decoded(dynamodb_local, filled):
    endpoint = dynamodb_local.endpoint_url
    async with aio.resource("dynamodb", endpoint_url=endpoint) as dynamodb:
        answer, ticks, pause = await _decode_while_ticking(await dynamodb.Table(filled), "large")
    print(f"1 MB page: {ticks} turns of another task while it was decoded, the longest pause {pause * 1e3:.0f} ms")  # noqa: T201 - a figure to look at
    assert ticks > 10
    expected = rddb.table(filled, endpoint_url=endpoint).query(
        KeyConditionExpression="pk = :a", ExpressionAttributeValues={":a": "a"}
    )
    assert answer["Items"] == expected["Items"]
    assert {**answer, "ResponseMetadata": None} == {**expected, "ResponseMetadata": None}
    assert answer["ResponseMetadata"].keys() == expected["ResponseMetadata"].keys()
    assert answer["LastEvaluatedKey"]["pk"] == "a"  # the page is as large as pages get: 1 MB
