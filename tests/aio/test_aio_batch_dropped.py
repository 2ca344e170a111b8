"""As in the sync tests: an async batch writer drops nothing in silence."""

import asyncio
import logging
import warnings
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import pytest
from aio_support import ACCESS, until
from cycle_support import collected_afterwards
from foreign_answers import sent_keys, takes_all
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import FakeClock


@pytest.fixture(params=["plain", "sharded"])
def kind(request):
    return request.param


@pytest.fixture(params=[1, 3])
def workers(request):
    return request.param


@pytest.fixture
def stub():
    with WireStub(lambda _, params: takes_all(params)) as running:
        yield running


def writer_on(stub, kind="plain", **options):
    table = aio.table(TABLE, endpoint_url=stub.endpoint_url, policy=rddb.Policy(clock=FakeClock()), **ACCESS)
    return (table.sharded(1, by="n") if kind == "sharded" else table).batch_writer(**options)


async def put(batch, *keys):
    for key in keys:
        await batch.put_item(Item={"pk": key, "n": 1})


@contextmanager
def dropped(caplog):
    """Return what is told of a writer that is dropped within."""
    told = []
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING, "resilient_ddb"):
        warnings.simplefilter("always")
        with collected_afterwards():
            yield told
    told += [str(warning.message) for warning in caught if "batch writer" in str(warning.message)]
    assert told == [record.getMessage() for record in caplog.records if record.name == "resilient_ddb"]
    caplog.clear()


async def ingest(stub, kind, workers):
    async with writer_on(stub, kind, max_workers=workers) as batch:
        for number in range(10):
            await put(batch, str(number))
            yield number


async def ingest_by_a_stack(stub, kind, workers):
    async with AsyncExitStack() as stack:
        batch = await stack.enter_async_context(writer_on(stub, kind, max_workers=workers))
        for number in range(10):
            await put(batch, str(number))
            yield number


@asynccontextmanager
async def open_writer(stub, kind, workers):
    async with writer_on(stub, kind, max_workers=workers) as batch:
        yield batch


async def ingest_by_a_function(stub, kind, workers):
    async with open_writer(stub, kind, workers) as batch:
        for number in range(10):
            await put(batch, str(number))
            yield number


@pytest.mark.parametrize("way", [ingest, ingest_by_a_stack, ingest_by_a_function])
async def test_an_async_generator_that_is_closed_writes(way, stub, kind, workers):
    reading = way(stub, kind, workers)
    async for number in reading:
        if number == 4:
            break
    await reading.aclose()
    assert sent_keys(stub) == ["0", "1", "2", "3", "4"]


async def test_an_async_generator_that_is_dropped_writes(stub, kind, workers):
    with collected_afterwards():
        async for number in ingest(stub, kind, workers):
            if number == 4:
                break
    await until(lambda: sent_keys(stub) == ["0", "1", "2", "3", "4"])


async def test_the_programs_end_writes(stub, kind, workers):
    with pytest.raises(SystemExit):  # noqa: PT012 - the block raises
        async with writer_on(stub, kind, max_workers=workers) as batch:
            await put(batch, "a")
            raise SystemExit(0)
    assert sent_keys(stub) == ["a"]


async def hold(stub, kind, workers, at):
    async with writer_on(stub, kind, max_workers=workers) as batch:
        await put(batch, "a", "b")
        at.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("has_loop", [True, False])
def test_a_coroutine_that_is_closed_warns(has_loop, stub, kind, workers, caplog):
    async def close(coroutine):
        coroutine.close()

    with dropped(caplog) as told:
        loop, at = asyncio.new_event_loop(), asyncio.Event()
        task = loop.create_task(hold(stub, kind, workers, at))
        loop.run_until_complete(at.wait())
        loop.run_until_complete(loop.shutdown_asyncgens())  # closes the client
        loop.set_exception_handler(lambda *_: None)  # the task is destroyed while it is pending
        loop.close()
        coroutine = task.get_coro()
        if has_loop:
            asyncio.run(close(coroutine))
        else:
            coroutine.close()
        del coroutine, task
    [text] = told
    assert f"table '{TABLE}'" in text
    assert sent_keys(stub) == []


async def test_a_cancelled_task_hands_back_and_that_is_telling_enough(stub, kind, workers, caplog):
    with dropped(caplog) as told:
        at = asyncio.Event()
        task = asyncio.create_task(hold(stub, kind, workers, at))
        await at.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
    assert told == []


async def test_a_writer_that_is_never_closed_warns_with_its_table_and_number(stub, kind, workers, caplog):
    with dropped(caplog) as told:
        batch = writer_on(stub, kind, max_workers=workers)
        await put(batch, "a", "b")
        del batch
    [text] = told
    assert f"table '{TABLE}'" in text
    assert "2 requests" in text
