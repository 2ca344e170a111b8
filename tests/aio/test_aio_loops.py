"""What a module-level table keeps from loop to loop, and what its tasks share on one."""

import asyncio

import pytest
from botocore.exceptions import ClientError

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import faults

KEY = {"pk": "a"}


def module_level(world, **policy):
    return aio.table(
        world.name,
        region_name="eu-west-1",
        endpoint_url=world.proxy.endpoint_url,
        policy=rddb.Policy(clock=world.clock, **policy),
    )


def test_circuits_and_budgets_outlive_the_loop(world):
    table = module_level(world, retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=3))
    world.proxy.plan = [faults.ServerError()]

    async def handler():
        await table.get_item(Key=KEY)

    for _ in range(3):
        with pytest.raises(ClientError, match="InternalServerError"):
            asyncio.run(handler())
    with pytest.raises(rddb.CircuitOpenError):
        asyncio.run(handler())
    assert world.proxy.count("GetItem") == 3


async def test_the_first_task_to_leave_its_block_leaves_the_client_to_the_others(world):
    table = module_level(world)
    entered, left = asyncio.Event(), asyncio.Event()

    async def quick():
        async with table:
            await entered.wait()
        left.set()

    async def slow():
        async with table:
            entered.set()
            await left.wait()
            return await table.get_item(Key=KEY)

    _, answer = await asyncio.gather(quick(), slow())
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert table.meta.client.clients() == []
