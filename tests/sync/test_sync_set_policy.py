"""`harden` and `set_policy`, for all that they take, sync and async; and a Table's own policy, over the wire."""

import asyncio
import pickle

import boto3
import pytest
from both_rims import HAS_AIO, NEEDS_AIO, SYNC_AND_ASYNC
from emulators import CREDENTIALS, REGION
from sdk_support import http_session_of
from unit_support import core_of

import resilient_ddb as rddb
from resilient_ddb.testing import faults

if HAS_AIO:
    from aiobotocore.session import AioSession

    from resilient_ddb import aio

ACCESS = {"region_name": REGION, **CREDENTIALS}
KEY = {"pk": "a"}
TYPED = {"pk": {"S": "a"}}


def attempts(world, number, **settings):
    return world.policy(retry=rddb.Retry(max_attempts=number, base_delay=0), retry_budget=None, **settings)


def count_of(world, ask):
    world.proxy.plan = [faults.Throttle()]
    world.proxy.clear()
    with pytest.raises(Exception, match="ProvisionedThroughput"):
        ask()
    return world.proxy.count()


@pytest.mark.parametrize("kind", ["session", "client", "resource", "Table"])
@pytest.mark.parametrize("how", ["set_policy", "harden"])
def test_what_is_hardened_goes_by_another_policy(world, opened, kind, how):
    session = boto3.Session(**ACCESS)
    if kind == "session":
        rddb.harden(session, attempts(world, 4))
    dynamodb = session.resource("dynamodb", endpoint_url=world.proxy.endpoint_url)
    opened.callback(dynamodb.meta.client.close)
    target = {"session": session, "client": dynamodb.meta.client, "resource": dynamodb, "Table": dynamodb.Table("x")}[
        kind
    ]
    rddb.harden(target, attempts(world, 4))
    client = target.meta.client if kind in ("resource", "Table") else dynamodb.meta.client
    ask = lambda: client.describe_table(TableName="x")  # noqa: E731 - short
    assert count_of(world, ask) == 4
    assert getattr(rddb, how)(target, attempts(world, 2)) is target
    assert count_of(world, ask) == 2


@pytest.mark.parametrize("kind", ["session", "client", "aio.table", "aio.table, not open", "aio.resource", "resource"])
@pytest.mark.parametrize("from_aio", [False, True])
@NEEDS_AIO
def test_what_is_hardened_and_async_goes_by_another_policy(world, kind, from_aio):
    home = aio if from_aio else rddb
    where = {"endpoint_url": world.proxy.endpoint_url, **ACCESS}

    async def counted(get):
        world.proxy.plan = [faults.Throttle()]
        world.proxy.clear()
        with pytest.raises(Exception, match="ProvisionedThroughput"):
            await get()
        return world.proxy.count()

    async def main():
        first, then = attempts(world, 4), attempts(world, 2)
        if kind.startswith("aio.table"):
            async with aio.table(world.name, policy=first, **where) as table:
                if kind == "aio.table":
                    assert await counted(lambda: table.get_item(Key=KEY)) == 4
                assert home.set_policy(table, then) is table
                assert await counted(lambda: table.get_item(Key=KEY)) == 2
                assert pickle.loads(pickle.dumps(table.__reduce__()[1]))[1]["policy"].retry == then.retry  # noqa: S301
        elif kind == "aio.resource":
            opening = aio.resource(policy=first, **where)
            home.set_policy(opening, then)
            async with opening as dynamodb:
                table = await dynamodb.Table(world.name)
                assert await counted(lambda: table.get_item(Key=KEY)) == 2
                home.set_policy(opening, first)
                assert await counted(lambda: table.get_item(Key=KEY)) == 4
                home.set_policy(table, then)
                assert await counted(lambda: table.get_item(Key=KEY)) == 2
                home.set_policy(dynamodb, first)
                assert await counted(lambda: table.get_item(Key=KEY)) == 4
        elif kind == "resource":
            async with aio.resource(policy=first, **where) as dynamodb:
                table = await dynamodb.Table(world.name, policy=attempts(world, 3))
                home.set_policy(dynamodb, then)
                assert await counted(lambda: table.get_item(Key=KEY)) == 3
                home.set_policy(table, then)
                assert await counted(lambda: table.get_item(Key=KEY)) == 2
        else:
            session = AioSession()
            if kind == "session":
                home.harden(session, first)
            async with session.create_client("dynamodb", **where) as client:
                target = session if kind == "session" else client
                home.harden(target, first)
                ask = lambda: client.get_item(TableName=world.name, Key=TYPED)  # noqa: E731 - short
                assert await counted(ask) == 4
                assert home.set_policy(target, then) is target
                assert await counted(ask) == 2

    asyncio.run(main())


@NEEDS_AIO
def test_a_loops_client_goes_by_the_policy_that_was_set_before_it_opened(world):
    table = aio.table(world.name, policy=attempts(world, 4), endpoint_url=world.proxy.endpoint_url, **ACCESS)
    for number in (3, 2):
        rddb.set_policy(table, attempts(world, number))
        assert count_of(world, lambda: asyncio.run(table.get_item(Key=KEY))) == number


@pytest.mark.parametrize(
    "make",
    [
        lambda: boto3.Session(**ACCESS),
        lambda: boto3.Session(**ACCESS).client("dynamodb"),
        lambda: boto3.Session(**ACCESS).resource("dynamodb"),
        lambda: boto3.Session(**ACCESS).resource("dynamodb").Table("x"),
        *([AioSession] if HAS_AIO else []),
    ],
)
def test_what_is_not_hardened_says_how_to_harden_it(make):
    with pytest.raises(TypeError, match=r"must be hardened already.*resilient_ddb\.harden\(target, policy=policy\)"):
        rddb.set_policy(make(), rddb.Policy())


@pytest.mark.parametrize("target", [None, "orders", 3, object()])
@pytest.mark.parametrize("function", [lambda target: rddb.set_policy(target, rddb.Policy()), rddb.harden])
def test_other_targets_are_refused(target, function):
    with pytest.raises(TypeError, match="target must be a boto3 Session, DynamoDB client, resource or Table; got"):
        function(target)


@pytest.mark.parametrize("policy", [None, 3, rddb.Retry()])
@pytest.mark.parametrize("rim", SYNC_AND_ASYNC)
def test_a_policy_is_a_policy(rim, policy):
    target = rddb.client(**ACCESS) if rim == "sync" else aio.table("x", **ACCESS)
    with pytest.raises(TypeError, match=r"policy must be a resilient_ddb\.Policy; got"):
        rddb.set_policy(target, policy)


# A policy of a Table's own.


def test_a_tables_own_timeouts_hold_for_its_requests_over_the_same_connections(world, hardened):
    world.proxy.plan = [faults.Hang()]
    clock = rddb.Policy().clock
    dynamodb = hardened(world.proxy.endpoint_url, world.policy())
    own = world.policy(clock=clock, retry=rddb.Retry(max_attempts=1), timeouts=rddb.Timeouts(connect=0.2, read=0.2))
    table = dynamodb.Table(world.name, policy=own)
    with pytest.raises(Exception, match="Read timeout"):
        table.get_item(Key=KEY)
    assert http_session_of(table.meta.client) is http_session_of(dynamodb.meta.client)


@NEEDS_AIO
async def test_a_tables_own_timeouts_hold_for_its_requests_async(world):
    world.proxy.plan = [faults.Hang()]
    own = world.policy(
        clock=rddb.Policy().clock, retry=rddb.Retry(max_attempts=1), timeouts=rddb.Timeouts(connect=0.2, read=0.2)
    )
    async with aio.resource(endpoint_url=world.proxy.endpoint_url, policy=world.policy(), **ACCESS) as dynamodb:
        table = await dynamodb.Table(world.name, policy=own)
        with pytest.raises(Exception, match="Read timeout"):
            await table.get_item(Key=KEY)


def timeouts_seen(monkeypatch, cls, name):
    seen, original = [], getattr(cls, name)

    def noted(self, *args, **kwargs):
        seen.append(kwargs.get("timeout"))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(cls, name, noted)
    return seen


def test_both_timeouts_are_handed_to_the_connection(world, hardened, monkeypatch):
    from urllib3.connectionpool import HTTPConnectionPool  # noqa: PLC0415 - only here

    seen = timeouts_seen(monkeypatch, HTTPConnectionPool, "urlopen")
    dynamodb = hardened(world.proxy.endpoint_url, world.policy())
    dynamodb.Table(world.name, policy=world.policy(timeouts=rddb.Timeouts(connect=3, read=20))).get_item(Key=KEY)
    assert (seen[-1].connect_timeout, seen[-1].read_timeout) == (3, 20)
    rddb.set_policy(dynamodb, world.policy(timeouts=rddb.Timeouts(connect=4, read=21)))
    dynamodb.Table(world.name).get_item(Key=KEY)
    assert (seen[-1].connect_timeout, seen[-1].read_timeout) == (4, 21)


@NEEDS_AIO
async def test_both_timeouts_are_handed_to_the_connection_async(world, monkeypatch):
    from aiohttp import ClientSession  # noqa: PLC0415 - only here

    seen = timeouts_seen(monkeypatch, ClientSession, "request")
    async with aio.resource(endpoint_url=world.proxy.endpoint_url, policy=world.policy(), **ACCESS) as dynamodb:
        own = world.policy(timeouts=rddb.Timeouts(connect=3, read=20))
        await (await dynamodb.Table(world.name, policy=own)).get_item(Key=KEY)
        assert (seen[-1].sock_connect, seen[-1].sock_read) == (3, 20)


def test_a_table_with_a_policy_of_its_own_is_pickled_with_both(world, hardened):
    dynamodb = hardened(world.proxy.endpoint_url, attempts(world, 4))
    table = dynamodb.Table(world.name, policy=attempts(world, 2))
    made = pickle.loads(pickle.dumps(table))  # noqa: S301 - made here
    core = core_of(made)
    assert (core.policy.retry.max_attempts, core.client_policy.retry.max_attempts) == (2, 4)
    assert made == table
