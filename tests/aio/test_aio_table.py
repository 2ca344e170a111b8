"""`aio.table` at module scope: it opens on first use, and follows the running event loop."""

import asyncio
import contextvars
import copy
import gc
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from aio_support import ACCESS, all_closed, is_closed, other_tasks
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.exceptions import NoCredentialsError, NoRegionError

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.policy.deadlines import current_deadline
from resilient_ddb.testing import FakeClock, faults


@pytest.fixture
def orders(world):
    return aio.table(world.name, endpoint_url=world.proxy.endpoint_url, policy=world.policy(), **ACCESS)


async def put_and_get(table, pk):
    await table.put_item(Item={"pk": pk})
    return (await table.get_item(Key={"pk": pk}))["Item"]["pk"]


def test_nothing_is_opened_before_the_first_use(orders, opens, world):
    assert opens == []
    assert orders.name == world.name
    assert isinstance(orders, aio.AsyncTable)


def test_it_works_over_repeated_asyncio_runs(orders, opens):
    assert [asyncio.run(put_and_get(orders, str(number))) for number in range(5)] == list("01234")
    assert len(opens) == 5
    assert asyncio.run(all_closed(opens))


def test_every_way_into_the_table_opens_it(orders, opens):
    async def page_through():
        return [page async for page in orders.meta.client.get_paginator("scan").paginate(TableName=orders.name)]

    async def batch():
        async with orders.batch_writer() as writer:
            await writer.put_item(Item={"pk": "a"})

    async def attribute():
        return await orders.table_status

    async def wait():
        await orders.wait_until_exists()

    for way in (attribute, batch, wait, orders.load, orders.scan):
        asyncio.run(way())
    assert len(opens) == 5

    async def after_the_first_call():
        await orders.load()
        assert len(await page_through()) == 1
        assert orders.meta.client.exceptions.ResourceNotFoundException
        assert orders.meta.client.meta.region_name == ACCESS["region_name"]

    asyncio.run(after_the_first_call())


async def test_what_is_not_there_before_it_is_open_says_so(orders):
    with pytest.raises(AttributeError, match="await one of the table's verbs first"):
        orders.meta.client.exceptions  # noqa: B018 - asked for on purpose


def test_a_runner_keeps_one_client_for_its_loop(orders, opens):
    with asyncio.Runner() as runner:
        for number in range(3):
            assert runner.run(put_and_get(orders, str(number))) == str(number)
        assert len(opens) == 1
        assert not runner.run(is_closed(opens[0]))
    assert asyncio.run(is_closed(opens[0]))


def test_each_loop_has_its_own_client_at_the_same_time(orders, opens):
    """Many loops come and go in several threads: they don't disturb each other."""
    interval = sys.getswitchinterval()
    failures = []

    def work(number):
        try:
            for turn in range(5):
                asyncio.run(put_and_get(orders, f"{number}-{turn}"))
        except BaseException as error:  # noqa: BLE001 - to be looked at in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    assert len(opens) == 20
    assert asyncio.run(all_closed(opens))


def leave_open(orders):
    """Use a loop, and close it without letting it shut down its generators."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(put_and_get(orders, "left"))
    finally:
        loop.close()


def test_a_loop_closed_without_being_shut_down_leaves_nothing_open(orders, opens):
    assert leave_open(orders) == "left"
    assert rddb.status(opens[0]).connections.idle == 1
    assert asyncio.run(put_and_get(orders, "next")) == "next"
    assert rddb.status(opens[0]).connections.idle == 0
    assert len(opens) == 2
    opens.clear()
    gc.collect()  # an unclosed session or transport would warn


def test_a_table_that_is_dropped_with_its_loop_leaves_nothing_open(world, opens):
    table = aio.table(world.name, endpoint_url=world.proxy.endpoint_url, **ACCESS)
    leave_open(table)
    opens.clear()
    del table
    gc.collect()  # as above


async def test_fifty_first_callers_open_one_client(orders, opens):
    async with orders:
        results = await asyncio.gather(*(put_and_get(orders, str(number)) for number in range(50)))
        assert results == [str(number) for number in range(50)]
        assert len(opens) == 1


def slow_credentials(gate, fail_times=0):
    """Return a session whose credentials come once `gate` is set; the first times they don't."""
    session = AioSession()
    failures = [NoCredentialsError()] * fail_times

    class Provider:
        async def load_credentials(self):
            await gate.wait()
            if failures:
                raise failures.pop()
            return AioCredentials("testing", "testing")

    session.register_component("credential_provider", Provider())
    return session


@pytest.fixture
def slow(world):
    """Return a table whose client opens once `gate` is set."""

    def make(gate, **options):
        return aio.table(
            world.name,
            region_name=ACCESS["region_name"],
            endpoint_url=world.proxy.endpoint_url,
            policy=world.policy(),
            session=slow_credentials(gate, **options),
        )

    return make


async def test_a_first_caller_who_is_cancelled_leaves_the_opening_to_the_others(slow, opens):
    gate = asyncio.Event()
    async with slow(gate) as table:
        first = asyncio.create_task(put_and_get(table, "a"))
        await asyncio.sleep(0)
        second = asyncio.create_task(put_and_get(table, "b"))
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        assert await second == "b"
        assert first.cancelled()
        assert len(opens) == 1


async def test_an_opening_has_nobodys_context(world):
    trace, seen = contextvars.ContextVar("trace", default="none"), []
    session = AioSession()

    class Provider:
        async def load_credentials(self):
            seen.append((trace.get(), current_deadline()))
            return AioCredentials("testing", "testing")

    session.register_component("credential_provider", Provider())
    trace.set("of the call that came first")
    options = {"region_name": ACCESS["region_name"], "endpoint_url": world.proxy.endpoint_url}
    table = aio.table(world.name, session=session, policy=world.policy(), **options)
    with rddb.deadline(60, clock=world.clock):
        await table.get_item(Key={"pk": "a"})
    assert seen == [("none", None)]
    await table.close()


async def test_an_opening_that_everyone_left_is_there_for_the_next(slow, opens):
    gate = asyncio.Event()
    async with slow(gate) as table:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await table.get_item(Key={"pk": "a"})
        gate.set()
        assert await put_and_get(table, "b") == "b"
        assert len(opens) == 1


async def test_an_opening_that_failed_when_everyone_had_left_is_not_the_next_callers_failure(slow, opens):
    gate = asyncio.Event()
    async with slow(gate, fail_times=1) as table:
        first = asyncio.create_task(put_and_get(table, "a"))
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        await asyncio.wait([first])
        await asyncio.gather(*other_tasks(), return_exceptions=True)  # the opening
        assert await put_and_get(table, "b") == "b"
        assert len(opens) == 1


async def test_many_callers_of_an_opening_that_fails_try_again_together(slow, opens):
    gate = asyncio.Event()
    async with slow(gate, fail_times=1) as table:

        async def insist(number):
            try:
                return await put_and_get(table, str(number))
            except NoCredentialsError:
                return await put_and_get(table, str(number))

        tasks = [asyncio.create_task(insist(number)) for number in range(20)]
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(*tasks) == [str(number) for number in range(20)]
        assert len(opens) == 1
    assert await all_closed(opens)


def test_a_first_open_that_fails_is_tried_anew(world, monkeypatch):
    table = aio.table(world.name, endpoint_url=world.proxy.endpoint_url)
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    async def twice():
        for _ in range(2):
            with pytest.raises(NoRegionError):
                await table.get_item(Key={"pk": "a"})
        assert not hasattr(table.meta.client, "exceptions")

    asyncio.run(twice())
    monkeypatch.setenv("AWS_DEFAULT_REGION", ACCESS["region_name"])
    assert asyncio.run(put_and_get(table, "a")) == "a"


async def test_credentials_that_come_late_are_taken(world, monkeypatch):
    key = os.environ["AWS_ACCESS_KEY_ID"]
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    options = {"region_name": ACCESS["region_name"], "endpoint_url": world.proxy.endpoint_url}
    async with aio.table(world.name, session=AioSession(), policy=world.policy(), **options) as table:
        with pytest.raises(NoCredentialsError):
            await table.get_item(Key={"pk": "a"})
        await table.close()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        assert await put_and_get(table, "a") == "a"


async def test_closed_and_used_again_it_opens_anew(orders, opens):
    await orders.close()  # not open yet
    async with orders as entered:
        assert entered is orders
        await put_and_get(orders, "a")
    assert await is_closed(opens[0])
    await orders.close()
    assert await put_and_get(orders, "b") == "b"
    assert len(opens) == 2
    await asyncio.gather(orders.close(), orders.close())
    assert await is_closed(opens[1])


async def test_closing_a_table_of_a_resource_leaves_the_resource_open(world):
    table = await world.table()
    async with table:
        await put_and_get(table, "a")
    await table.close()
    assert await put_and_get(table, "b") == "b"


def pickled(table):
    return pickle.loads(pickle.dumps(table))  # noqa: S301 - made just now


@pytest.mark.parametrize("copied", [pickled, copy.copy, copy.deepcopy])
async def test_it_is_pickled_as_its_recipe(world, copied):
    policy = rddb.Policy(retry=rddb.Retry(max_attempts=2), clock=FakeClock(), fallback=rddb.fallback.stale())
    table = aio.table(world.name, endpoint_url=world.proxy.endpoint_url, policy=policy, **ACCESS)
    async with copied(table) as again:
        assert again == table
        assert await put_and_get(again, "a") == "a"
        world.proxy.plan = [faults.Throttle()]
        world.proxy.clear()
        assert (await again.get_item(Key={"pk": "a"}))["ResponseMetadata"]["Resilience"]["stale"]
        assert world.proxy.count() == 2


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
async def test_a_copy_shares_the_client(world, orders, opens, copied):
    """By its recipe a copy would lack the credentials that were given."""
    async with orders:
        again = copied(orders)
        assert again == orders
        await asyncio.gather(put_and_get(orders, "a"), put_and_get(again, "b"))
        assert len(opens) == 1
    table = await world.table()
    assert copied(table).meta.client is table.meta.client


async def test_a_table_of_a_resource_is_pickled_as_its_recipe(world):
    table = await world.table(retry=rddb.Retry(max_attempts=2), fallback=rddb.fallback.response({"Item": {"pk": "v"}}))
    async with pickled(table) as again:
        assert again.name == table.name
        assert await put_and_get(again, "a") == "a"
        world.proxy.plan = [faults.Throttle()]
        assert (await again.get_item(Key={"pk": "a"}))["Item"] == {"pk": "v"}


SECRETS = {
    "aws_access_key_id": "AKIDPICKLE",
    "aws_secret_access_key": "SECRETPICKLE",
    "aws_session_token": "TOKENPICKLE",
}


async def test_no_pickle_holds_credentials(world):
    options = {"region_name": "eu-west-1", "endpoint_url": world.proxy.endpoint_url}
    lazy = aio.table(world.name, session=AioSession(), **SECRETS, **options)
    async with lazy:
        await lazy.meta.client.current("GetItem")
        async with aio.resource("dynamodb", **SECRETS, **options) as dynamodb:
            for table in (lazy, await dynamodb.Table(world.name)):
                assert b"PICKLE" not in pickle.dumps(table)


SCRIPT = """
import asyncio, gc, sys
import resilient_ddb as rddb
from resilient_ddb import aio

endpoint, name = sys.argv[1:]
table = aio.table(name, region_name="eu-west-1", endpoint_url=endpoint)

async def use(times=3):
    await asyncio.gather(*(table.put_item(Item={"pk": str(n)}) for n in range(times)))
    return await table.get_item(Key={"pk": "0"})
"""
ENDINGS = {
    "asyncio.run": "asyncio.run(use()); asyncio.run(use())",
    "a loop left open": "loop = asyncio.new_event_loop(); loop.run_until_complete(use()); gc.collect(); loop.close()",
    "a loop closed, and used no more": "loop = asyncio.new_event_loop(); loop.run_until_complete(use()); loop.close()",
    "the table dropped after its loop": (
        "loop = asyncio.new_event_loop(); loop.run_until_complete(use()); loop.close(); del table; gc.collect()"
    ),
    "the table dropped before its loop ends": (
        "async def main():\n"
        "    global table\n"
        "    await use()\n"
        "    table = None\n"
        "    gc.collect()\n"
        "    await asyncio.sleep(0.01)\n"
        "asyncio.run(main())"
    ),
    "in the middle of a call": (
        "async def main():\n"
        "    await use()\n"
        "    asyncio.ensure_future(use())\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())"
    ),
    "in the middle of the opening": (
        "async def main():\n    asyncio.ensure_future(use())\n    await asyncio.sleep(0)\nasyncio.run(main())"
    ),
    "sys.exit inside": (
        "async def main():\n"
        "    await use()\n"
        "    sys.exit(0)\n"
        "try:\n    asyncio.run(main())\nexcept SystemExit:\n    pass"
    ),
    "a replica asked, then the loop closed": (
        "def make(policy=None):\n"
        "    return aio.table(name, region_name='eu-west-1', endpoint_url=endpoint,\n"
        "        policy=rddb.Policy(retry=rddb.Retry(max_attempts=1),\n"
        "            fallback=rddb.fallback.replica('eu-west-1', endpoint_url=endpoint)))\n"
        "table = make()\n"
        "async def main():\n"
        "    client = await table.meta.client.current('GetItem')\n"
        "    await use()\n"
        "    params = {'TableName': name, 'Key': {'pk': '0'}}\n"
        "    await client._resilience.host.elsewhere(client._resilience, 'GetItem', params, 'eu-west-1', endpoint)\n"
        "loop = asyncio.new_event_loop(); loop.run_until_complete(main()); loop.close()"
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_ends_without_a_word(world, ending):
    script = textwrap.dedent(SCRIPT) + ENDINGS[ending]
    done = subprocess.run(  # noqa: S603 - what is run is written above
        [sys.executable, "-W", "error", "-c", script, world.upstream, world.name],
        env={**os.environ, "PYTHONPATH": str(Path(rddb.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # A write that the end has cut off may have been applied: that is said.
    said = [line for line in done.stderr.splitlines() if "AMBIGUOUS" not in line]
    assert (said, done.stdout, done.returncode) == ([], "", 0)
