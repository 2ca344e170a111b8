"""A process that goes on for long holds no more after many event loops, and calls, than after the first ones."""

from __future__ import annotations

import asyncio

import pytest
from benchmarks import items
from benchmarks.processes import stub
from benchmarks.workers.boto import native_query, native_update
from codec_calls import ACCESS
from growth_support import grown, held
from plain_call_support import counters

import resilient_ddb as rddb
from resilient_ddb import aio

LOOPS = 600
WARM_LOOPS = 50
CALLS = 50_000
WARM = 10_000
MOST_OBJECTS, MOST_BLOCKS = 500, 1_000
"""Less than two for each loop, and than one for each fifty calls. What varies by itself is some hundreds."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(900), pytest.mark.usefixtures("without_moto")]


@pytest.fixture
def table():
    """Return a Table that follows the running event loop."""
    policy = rddb.Policy(observers=[lambda event: None], fast_path=True)
    with stub() as url:
        yield aio.table(items.TABLE, endpoint_url=url, policy=policy, ttl="expires_at", **ACCESS)


def test_600_event_loops_leave_nothing_behind(table):
    async def handle():
        await table.get_item(Key=items.KEY)
        await asyncio.gather(*(table.put_item(Item=item) for item in items.several()[:5]))

    def run(number):
        for _ in range(number):
            asyncio.run(handle())

    run(WARM_LOOPS)
    before = held()
    run(LOOPS)
    found = grown(before)
    assert found["descriptors"] <= 0  # of the connections that were left open, some are closed later
    assert found["threads"] == 0
    assert found["objects"] < MOST_OBJECTS
    assert found["blocks"] < MOST_BLOCKS


def test_50_000_async_calls_leave_nothing_behind(table):
    async def fail():
        with pytest.raises(rddb.DeadlineExceededError), rddb.deadline(0):
            await table.get_item(Key=items.KEY)

    async def write():
        async with table.batch_writer() as batch:
            await batch.put_item(Item=items.several()[0])

    calls = [
        lambda: table.get_item(Key=items.KEY),
        lambda: table.put_item(Item=items.several()[0]),
        lambda: table.update_item(**native_update()),
        lambda: table.query(**native_query(), Limit=items.FEW),
        write,
        fail,
    ]

    async def make(number):
        for _ in range(number // len(calls)):
            for call in calls:
                await call()

    async def measure():
        await make(WARM)
        client = await table.meta.client.current("get_item")
        before, made = held(), counters(client).calls
        await make(CALLS)
        return grown(before), counters(client).calls - made

    found, taken = asyncio.run(measure())
    assert taken == CALLS // len(calls) * (len(calls) - 1)
    assert (found["descriptors"], found["threads"]) == (0, 0)
    assert found["objects"] < MOST_OBJECTS
    assert found["blocks"] < MOST_BLOCKS
