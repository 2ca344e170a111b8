"""What observers are told by the async Table, and what becomes of expired credentials."""

import asyncio
import datetime as dt
import logging

import pytest
from aio_support import ACCESS
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import faults

KEY = {"pk": "a"}


def told(events):
    return [type(event).__name__ for event in events]


async def test_observers_are_told_each_step(world):
    events = []
    world.proxy.plan = [faults.Throttle(times=1)]
    table = await world.table(observers=[events.append])
    await table.get_item(Key=KEY, ReturnConsumedCapacity="TOTAL")
    assert told(events) == ["CallStartEvent", "AttemptEvent", "RetryEvent", "AttemptEvent", "CallEndEvent"]
    assert {(event.table, event.operation) for event in events} == {(world.name, "GetItem")}
    assert [event.code for event in events if told([event]) == ["AttemptEvent"]] == [
        "ProvisionedThroughputExceededException",
        None,
    ]
    assert events[2].delay == world.clock.waits[0]
    end = events[-1]
    assert (end.outcome, end.attempts, end.consumed_capacity) == ("success", 2, 0.5)


async def test_an_observer_that_fails_is_logged_once_and_fails_no_call(world, caplog):
    def broken(_event):
        raise ZeroDivisionError

    table = await world.table(observers=[broken])
    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        await asyncio.gather(*(table.get_item(Key=KEY) for _ in range(5)))
    assert len([record for record in caplog.records if record.name == "resilient_ddb"]) == 1


async def test_tasks_do_not_mix_up_their_calls(world):
    events = []
    world.proxy.plan = [faults.Throttle(every=3)]
    table = await world.table(observers=[events.append])
    await asyncio.gather(*(table.put_item(Item={"pk": str(n)}) for n in range(30)), *(table.scan() for _ in range(10)))
    ends = [event for event in events if told([event]) == ["CallEndEvent"]]
    assert sorted(event.operation for event in ends) == ["PutItem"] * 30 + ["Scan"] * 10
    assert {event.outcome for event in ends} == {"success"}
    attempts = [event for event in events if told([event]) == ["AttemptEvent"]]
    assert sum(event.attempts for event in ends) == len(attempts) == world.proxy.count()
    assert len({event.request_id for event in attempts}) == len(attempts)


def refreshable(refreshed, lifetime=3600):
    """Return a session whose credentials can be refreshed: with each refresh the token is another."""

    def metadata():
        expiry = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lifetime)
        return {
            "access_key": ACCESS["aws_access_key_id"],
            "secret_key": ACCESS["aws_secret_access_key"],
            "token": f"token{len(refreshed)}",
            "expiry_time": expiry.isoformat(),
        }

    async def refresh():
        refreshed.append(1)
        await asyncio.sleep(0)
        return metadata()

    class Provider:
        async def load_credentials(self):
            return AioRefreshableCredentials.create_from_metadata(metadata(), refresh_using=refresh, method="test")

    session = AioSession()
    session.register_component("credential_provider", Provider())
    return session


def tokens(world):
    return [seen.headers["x-amz-security-token"] for seen in world.proxy.seen]


@pytest.fixture
def refreshed():
    return []


@pytest.fixture
async def table(world, refreshed):
    made = aio.table(
        world.name,
        region_name=ACCESS["region_name"],
        endpoint_url=world.proxy.endpoint_url,
        policy=world.policy(fallback=rddb.fallback.stale()),
        session=refreshable(refreshed),
    )
    async with made:
        yield made


@pytest.mark.parametrize("code", ["ExpiredTokenException", "ExpiredToken"])
async def test_expired_credentials_are_refreshed_once(world, table, refreshed, code):
    world.proxy.plan = [faults.ErrorResponse(code=code, times=1)]
    await table.get_item(Key=KEY)
    assert tokens(world) == ["token0", "token1"]
    assert len(refreshed) == 1
    await table.get_item(Key=KEY)
    assert tokens(world) == ["token0", "token1", "token1"]


async def test_a_token_that_stays_expired_is_refreshed_once_a_call(world, table, refreshed):
    world.proxy.plan = [faults.ErrorResponse(code="ExpiredTokenException")]
    with pytest.raises(ClientError, match="ExpiredToken") as raised:
        await table.get_item(Key=KEY)
    assert (world.proxy.count(), len(refreshed)) == (2, 1)
    assert raised.value.resilience.attempts == 2


async def test_static_credentials_are_tried_once_more(world):
    world.proxy.plan = [faults.ErrorResponse(code="ExpiredTokenException")]
    table = await world.table()
    with pytest.raises(ClientError, match="ExpiredToken"):
        await table.get_item(Key=KEY)
    assert world.proxy.count() == 2


async def test_tasks_that_meet_an_expired_token_together_all_recover(world, table, refreshed):
    world.proxy.plan = [
        faults.ErrorResponse(code="ExpiredTokenException", times=1, key={"pk": {"S": str(n)}}) for n in range(10)
    ]
    await asyncio.gather(*(table.get_item(Key={"pk": str(n)}) for n in range(10)))
    assert world.proxy.count() == 20
    print(f"10 tasks with an expired token: {len(refreshed)} refreshes")  # noqa: T201 - a figure to look at
    assert 1 <= len(refreshed) <= 10
