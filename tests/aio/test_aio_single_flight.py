"""Many first calls at once describe their table once, also while the client is still being opened."""

import asyncio

import pytest
from aio_support import ACCESS, until
from unit_support import core_of

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import faults

MANY = 12
DESCRIBES = ("DescribeTable", "DescribeTimeToLive")
CALLS = {
    "sharded put": lambda table, n: table.sharded(2, by="v").put_item(Item={"pk": "a", "v": f"{n}"}),
    "ttl": lambda table, n: table.get_item(Key={"pk": f"{n}"}),
}


@pytest.fixture
def name(dynamodb_local, make_table):
    return make_table(dynamodb_local.endpoint_url)


@pytest.mark.parametrize("opened_before", [False, True])
@pytest.mark.parametrize("way", CALLS)
async def test_many_tasks_describe_once(way, opened_before, name, proxy):
    proxy.plan = [faults.Delay(seconds=0.2, operations=set(DESCRIBES))]
    async with aio.table(
        name, endpoint_url=proxy.endpoint_url, ttl="auto" if way == "ttl" else None, **ACCESS
    ) as table:
        if opened_before:
            await table.meta.client.current("GetItem")
        await asyncio.gather(*(CALLS[way](table, number) for number in range(MANY)))
        assert sum(map(proxy.count, DESCRIBES)) == 1


@pytest.mark.parametrize("way", CALLS)
async def test_one_that_is_cancelled_keeps_nobody_waiting(way, name, proxy):
    proxy.plan = [faults.Delay(seconds=0.2, operations=set(DESCRIBES), times=1)]
    async with aio.table(
        name, endpoint_url=proxy.endpoint_url, ttl="auto" if way == "ttl" else None, **ACCESS
    ) as table:
        client = await table.meta.client.current("GetItem")
        first = asyncio.ensure_future(_awaited(CALLS[way](table, 0)))
        await until(lambda: sum(map(proxy.count, DESCRIBES)) == 1)
        others = [asyncio.ensure_future(_awaited(CALLS[way](table, number))) for number in (1, 2)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(*others)
        assert first.cancelled()
        assert core_of(client).host.flights == {}


async def _awaited(call):
    return await call


@pytest.mark.parametrize("way", CALLS)
async def test_who_is_called_while_its_own_task_asks_does_not_wait_for_itself(way, name, proxy):
    seen = []

    async def handle(**_):
        if not seen:
            seen.append(True)
            await CALLS[way](table, 1)

    async with aio.table(
        name, endpoint_url=proxy.endpoint_url, ttl="auto" if way == "ttl" else None, **ACCESS
    ) as table:
        client = await table.meta.client.current("GetItem")
        for operation in DESCRIBES:
            client.meta.events.register(f"before-send.dynamodb.{operation}", handle)
        with rddb.deadline(5):
            await CALLS[way](table, 0)
        assert seen
        assert core_of(client).host.flights == {}
