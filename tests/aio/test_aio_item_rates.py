"""`query_items` and `scan_items` at a stated rate: one script for the sync table and the async one."""

import pytest
from boto3.dynamodb.conditions import Key
from sharded_support import done

import resilient_ddb as rddb

QUERY = {"KeyConditionExpression": Key("pk").eq("a")}


async def listed(items):
    return [item async for item in items] if hasattr(items, "__aiter__") else list(items)


def readers(table):
    return {"query": lambda **o: table.query_items(**QUERY, **o), "scan": table.scan_items}


@pytest.fixture
def slept(either):
    """List the pauses, which take no time."""
    made, wait = [], either.clock.wait

    def counted(seconds):
        made.append(seconds)
        return wait(seconds)

    either.clock.wait = counted
    return made


@pytest.mark.parametrize("verb", ["query", "scan"])
@pytest.mark.parametrize("rate", [2, "limiter"])
async def test_items_are_read_at_a_rate(either, slept, verb, rate):
    for number in range(6):
        await done(either.table.put_item(Item={"pk": "a", "sk": number, "pad": "x" * 4000}))
    limiter = rddb.RateLimiter(2, clock=either.clock) if rate == "limiter" else rate
    began = either.clock.monotonic()
    read = readers(either.table)[verb]
    items = await listed(read(Limit=1, ConsistentRead=True, read_units_per_second=limiter))
    assert sorted(item["sk"] for item in items) == list(range(6))
    assert sum(slept) >= 1.0  # some 6 units, of which 2 had been saved up
    assert either.clock.monotonic() - began >= 1.0


async def test_capacity_that_is_asked_for_in_detail_is_read_too(either, slept):
    for number in range(4):
        await done(either.table.put_item(Item={"pk": "a", "sk": number}))
    options = {"Limit": 1, "ReturnConsumedCapacity": "INDEXES", "ConsistentRead": True}
    await listed(either.table.scan_items(read_units_per_second=1, **options))
    assert either.proxy.seen[-1].params["ReturnConsumedCapacity"] == "INDEXES"
    assert slept


@pytest.mark.parametrize("verb", ["query", "scan"])
async def test_a_rate_that_can_not_be_meant_is_refused_at_once(either, verb):
    with pytest.raises((TypeError, ValueError), match="read_units_per_second"):
        readers(either.table)[verb](read_units_per_second=0)
    with pytest.raises(ValueError, match="max_items must be"):
        readers(either.table)[verb](max_items=0)
    assert either.proxy.count() == 0


@pytest.mark.parametrize("verb", ["query", "scan"])
async def test_a_page_costs_something_whatever_the_answer_says(either, slept, verb):
    for number in range(6):
        await done(either.table.put_item(Item={"pk": "a", "sk": number}))

    def understate(parsed, **_):
        parsed["ConsumedCapacity"]["CapacityUnits"] = 0.0

    for operation in ("Query", "Scan"):
        either.table.meta.client.meta.events.register(f"after-call.dynamodb.{operation}", understate)
    await listed(readers(either.table)[verb](Limit=1, ConsistentRead=True, read_units_per_second=1))
    assert sum(slept) >= 4.0
