"""A rate shared by many, used from tasks: its lease table is a sync one."""

import asyncio

import pytest

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.policy.clock import SYSTEM_CLOCK
from resilient_ddb.testing.faults import Delay


def test_an_async_lease_table_is_refused():
    with pytest.raises(
        TypeError, match=r"table must be a sync Table, for async code too.*resilient_ddb.table\(\.\.\.\)"
    ):
        rddb.SharedRateLimiter(aio.table("leases"), "orders", 5)


async def test_an_async_batch_writer_joins_without_blocking_the_event_loop(world, dynamodb_local, proxy, opened):
    dynamodb = rddb.resource("dynamodb", endpoint_url=proxy.endpoint_url)
    leases = rddb.SharedRateLimiter.create_table(
        rddb.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url), "leases-aio"
    )
    opened.callback(leases.delete)
    limiter = opened.enter_context(rddb.SharedRateLimiter(dynamodb.Table(leases.name), "orders", 400))
    proxy.plan = [Delay(seconds=0.3, table=leases.name)]
    table = await world.table(clock=SYSTEM_CLOCK)
    turns = 0

    async def write():
        async with table.batch_writer(write_units_per_second=limiter) as batch:
            for number in range(30):
                await batch.put_item(Item={"pk": str(number)})

    writing = asyncio.create_task(write())
    while not writing.done():
        turns += 1
        await asyncio.sleep(0.01)
    await writing
    assert turns > 10
    assert world.direct.scan(Select="COUNT")["Count"] == 30


async def test_async_reads_join_without_blocking_the_event_loop(world, dynamodb_local, proxy, opened):
    leases = rddb.SharedRateLimiter.create_table(
        rddb.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url), "leases-aio-reads"
    )
    opened.callback(leases.delete)
    by_proxy = rddb.table(leases.name, endpoint_url=proxy.endpoint_url)
    limiter = opened.enter_context(rddb.SharedRateLimiter(by_proxy, "orders", 400))
    proxy.plan = [Delay(seconds=0.3, table=leases.name)]
    world.direct.put_item(Item={"pk": "a"})
    table = await world.table(clock=SYSTEM_CLOCK)
    turns = 0

    async def read():
        scan = table.parallel_scan(segments=1, read_units_per_second=limiter)
        return [item async for item in scan]

    reading = asyncio.create_task(read())
    while not reading.done():
        turns += 1
        await asyncio.sleep(0.01)
    assert await reading == [{"pk": "a"}]
    assert turns > 10
