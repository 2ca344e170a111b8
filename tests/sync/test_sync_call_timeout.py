"""`Timeouts(call=...)`, deadlines as decorators, on sync and async tables, over the wire."""

import asyncio
import time

import pytest
from both_rims import NEEDS_AIO

import resilient_ddb as rddb
from resilient_ddb.testing import faults


def policy(world, call):
    return world.policy(
        timeouts=rddb.Timeouts(connect=30.0, read=30.0, call=call),
        retry=rddb.Retry(wait=lambda state: 1.0),
        retry_budget=None,
        circuit_breaker=None,
    )


def get_sync(world, how):
    table = rddb.table(world.name, endpoint_url=world.proxy.endpoint_url, policy=how)
    try:
        return table.get_item(Key={"pk": "a"})
    finally:
        table.meta.client.close()


def get_async(world, how):
    from resilient_ddb import aio  # noqa: PLC0415 - the sync half runs without it

    async def main():
        async with aio.table(world.name, endpoint_url=world.proxy.endpoint_url, policy=how) as table:
            return await table.get_item(Key={"pk": "a"})

    return asyncio.run(main())


BOTH = pytest.mark.parametrize("get", [get_sync, pytest.param(get_async, marks=NEEDS_AIO)])


@BOTH
def test_a_call_ends_with_its_waits(world, get):
    world.proxy.plan = [faults.Throttle()]
    with pytest.raises(
        TimeoutError, match=r"call timeout of 2\.5 s comes before the next attempt: 3 attempts"
    ) as caught:
        get(world, policy(world, 2.5))
    assert world.clock.waits == [1.0, 1.0]
    assert isinstance(caught.value, rddb.DeadlineExceededError)


@BOTH
@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize(("limit", "said"), [("call", r"call timeout of 0\.2 s"), ("block", "the deadline")])
def test_an_attempt_that_hangs_ends_with_the_call(world, get, fast_path, limit, said):
    world.proxy.plan = [faults.Hang()]
    how = policy(world, 0.2 if limit == "call" else None).replace(clock=rddb.Policy().clock, fast_path=fast_path)
    began = time.monotonic()
    with (
        pytest.raises(rddb.DeadlineExceededError, match=f"{said} passed: 1 attempt"),
        rddb.deadline(0.2 if limit == "block" else None),
    ):
        get(world, how)
    assert time.monotonic() - began < 20  # or 30, which is its read timeout


def test_a_decorated_function_is_held_to_its_deadline(world):
    world.proxy.plan = [faults.Throttle()]
    how = policy(world, None)

    @rddb.deadline(2.5, clock=world.clock)
    def work():
        return get_sync(world, how)

    with pytest.raises(rddb.DeadlineExceededError, match="the deadline comes before the next attempt: 3 attempts"):
        work()
