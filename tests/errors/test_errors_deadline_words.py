"""What an error says, on both rims, of a deadline that comes before what is next: it has not passed yet."""

import asyncio
import random

import pytest
from both_rims import SYNC_AND_ASYNC
from operator_support import KEY, Server

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture(params=SYNC_AND_ASYNC)
def side(request, server):
    made = server.side(request.param, rddb.Policy(clock=FakeClock(), random=random.Random(1)))
    yield made
    made.close()


def write(side, number, **options):
    clock = side.table_clock

    async def written():
        with rddb.deadline(1.5, clock=clock):
            async with side.table.batch_writer(**options) as batch:
                for each in range(number):
                    await batch.put_item(Item={"pk": str(each)})

    if side.rim == "async":
        asyncio.run(written())
        return
    with rddb.deadline(1.5, clock=clock), side.table.batch_writer(**options) as batch:
        for each in range(number):
            batch.put_item(Item={"pk": str(each)})


def read(side, **options):
    async def first():
        with rddb.deadline(1.5, clock=side.table_clock):
            async for _ in side.table.get_items([KEY], **options):
                pass

    if side.rim == "async":
        asyncio.run(first())
        return
    with rddb.deadline(1.5, clock=side.table_clock):
        list(side.table.get_items([KEY], **options))


@pytest.fixture(autouse=True)
def clock(side):
    side.table_clock = rddb.status(side.table).policy.clock


def test_a_writer_before_its_next_units(side, server):
    server.answer = lambda operation, params: {"UnprocessedItems": {}}
    with pytest.raises(rddb.UnprocessedItemsError) as raised:
        write(side, 300, write_units_per_second=20)
    error, sent = raised.value, server.count()
    assert isinstance(error, rddb.DeadlineExceededError)
    assert error.resilience.attempts == sent > 0
    assert f"{sent} batch{'es' if sent > 1 else ''} had been sent; 25 requests for table 't'" in str(error)
    assert "passed" not in f"{error} {error.__cause__}"


def test_a_writer_before_its_next_pass(side, server):
    server.answer = lambda operation, params: {"UnprocessedItems": params["RequestItems"]}
    with pytest.raises(rddb.UnprocessedItemsError, match="the deadline comes before the next pass") as raised:
        write(side, 25, max_attempts=1_000)
    assert raised.value.resilience.attempts == server.count() > 1
    assert str(raised.value).startswith(f"{server.count()} batches had been sent; 25 requests")


def test_a_reader_of_keys_before_its_first_unit(side, server):
    clock = side.table_clock
    limiter = rddb.RateLimiter(1, burst=1, clock=clock)
    limiter.reserve(100)
    with pytest.raises(rddb.UnprocessedKeysError, match="nothing was sent for them; 1 key") as raised:
        read(side, read_units_per_second=limiter)
    assert "passed" not in str(raised.value)
    assert (raised.value.resilience.attempts, server.count()) == (0, 0)
