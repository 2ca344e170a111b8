"""`aio.resource` and `aio.client` at module scope: they open with the first call, and follow the running event loop."""

import asyncio
import inspect
import pickle

import pytest
from aio_support import ACCESS, all_closed, is_closed
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import FakeClock, faults

KEY = {"Key": {"pk": "a"}}


@pytest.fixture
def stub():
    with WireStub(lambda *_: {"TableNames": []}) as running:
        yield running


def resource_on(url, **policy):
    return aio.resource("dynamodb", endpoint_url=url, policy=rddb.Policy(clock=FakeClock(), **policy), **ACCESS)


def test_its_tables_share_one_client_for_each_loop(stub, opens):
    dynamodb = resource_on(stub.endpoint_url)
    kept = dynamodb.Table(TABLE)  # no loop is running

    async def handler():
        awaited = await dynamodb.Table(TABLE)
        await asyncio.gather(*(table.get_item(**KEY) for table in (kept, awaited, dynamodb.Table("other"))))
        assert [table async for table in dynamodb.tables.all()] == []

    for loops in (1, 2):
        asyncio.run(handler())
        assert len(opens) == loops
    assert asyncio.run(all_closed(opens))


def test_a_table_with_options_shares_it_too(world, opens):
    dynamodb = resource_on(world.proxy.endpoint_url, retry=rddb.Retry(max_attempts=1))
    fixed = rddb.fallback.response({"Item": {"pk": "f"}})
    policy = world.policy(retry=rddb.Retry(max_attempts=1), fallback=fixed)
    orders = dynamodb.Table(world.name, policy=policy, ttl="gone")

    async def handler():
        await orders.put_item(Item={"pk": "a", "gone": 1})
        assert "Item" not in await orders.get_item(**KEY)  # expired
        assert (await dynamodb.Table(world.name).get_item(**KEY))["Item"]["pk"] == "a"
        world.proxy.plan = [faults.ServerError(times=1)]
        assert (await orders.get_item(**KEY))["Item"] == {"pk": "f"}

    for loops in (1, 2):
        asyncio.run(handler())
        assert len(opens) == loops


def test_circuits_outlive_the_loop(world):
    breaker = rddb.CircuitBreaker(minimum_calls=3)
    dynamodb = resource_on(world.proxy.endpoint_url, retry=rddb.Retry(max_attempts=1), circuit_breaker=breaker)
    world.proxy.plan = [faults.ServerError()]

    async def handler():
        with pytest.raises(rddb.CircuitOpenError if world.proxy.count() == 3 else Exception):
            await dynamodb.Table(world.name).get_item(**KEY)

    for _ in range(4):
        asyncio.run(handler())
    assert world.proxy.count("GetItem") == 3


async def test_closing_a_table_leaves_the_others_their_client(stub, opens):
    dynamodb = resource_on(stub.endpoint_url)
    table = await dynamodb.Table(TABLE)
    async with table:
        await table.get_item(**KEY)
    await table.close()
    assert not await is_closed(opens[0])
    await dynamodb.close()
    assert await is_closed(opens[0])
    await table.get_item(**KEY)  # opens anew
    assert len(opens) == 2
    await dynamodb.close()


async def test_the_last_block_to_end_closes_the_client(stub, opens):
    dynamodb = resource_on(stub.endpoint_url)
    async with dynamodb as one:
        async with dynamodb as other:
            assert one.meta.client is other.meta.client is opens[0]
            assert one.meta.client.exceptions.ResourceNotFoundException
        await (await one.Table(TABLE)).get_item(**KEY)
        await one.close()
        await dynamodb.Table(TABLE).get_item(**KEY)
    assert len(opens) == 2
    assert await all_closed(opens)


async def test_a_client_of_module_scope(stub, opens):
    client = aio.client("dynamodb", endpoint_url=stub.endpoint_url, **ACCESS)
    await client.list_tables()
    assert client.get_paginator("list_tables")
    await client.close()
    async with client as opened:
        assert opened is opens[1]
    assert await all_closed(opens)


async def test_what_a_resource_of_module_scope_lets_be_awaited(stub):
    dynamodb = resource_on(stub.endpoint_url)
    async with dynamodb as opened:
        for made in (dynamodb.Table(TABLE), opened.Table(TABLE)):
            assert isinstance(made, aio.AsyncTable)
            awaited = await made
            assert awaited == made
            assert repr(awaited) == repr(made) == f"dynamodb.Table(name={TABLE!r})"
            assert not inspect.isawaitable(awaited)
            [twice, _] = await asyncio.gather(opened.Table(TABLE), dynamodb.Table(TABLE))
            assert twice == made


def test_a_table_is_pickled_as_its_recipe(stub):
    dynamodb = resource_on(stub.endpoint_url)
    for table in (dynamodb.Table(TABLE), dynamodb.Table(TABLE, ttl="gone")):
        written = pickle.dumps(table)
        assert ACCESS["aws_secret_access_key"].encode() not in written or ACCESS["aws_secret_access_key"] == "testing"
        again = pickle.loads(written)  # noqa: S301 - made just now
        assert again == table
        assert again.meta.client.time_to_live == table.meta.client.time_to_live


@pytest.mark.parametrize("make", [aio.table, lambda _: aio.resource("dynamodb"), lambda _: aio.client("dynamodb")])
def test_nothing_claims_to_be_what_it_is_not(make):
    made = make("orders")
    assert not inspect.isawaitable(made)
    assert not hasattr(made, "__enter__")
    assert not hasattr(made, "__iter__")
    assert "0x" not in repr(made)


def test_the_sync_ones_claim_nothing_either():
    dynamodb = rddb.resource("dynamodb", region_name="eu-west-1")
    table = dynamodb.Table("orders")
    for made in (dynamodb, table, table.batch_writer(), table.versioned(), table.sharded(2)):
        assert not inspect.isawaitable(made)
        assert not hasattr(made, "__aenter__")
        assert not hasattr(made, "__aiter__")


async def test_the_async_readers_are_not_iterable():
    table = aio.table("orders")
    for made in (table.get_items([]), table.parallel_scan(2), aio.resource("dynamodb").tables.all()):
        with pytest.raises(TypeError, match="is not iterable"):
            iter(made)
