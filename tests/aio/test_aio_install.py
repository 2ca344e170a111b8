"""Hardening what exists already, and what is refused at the door."""

from contextlib import AsyncExitStack
from types import SimpleNamespace

import boto3
import botocore.session
import pytest
from aio_support import ACCESS, is_closed
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.config import Config
from botocore.exceptions import ClientError, NoRegionError, ReadTimeoutError
from cycle_support import collected_afterwards
from sdk_support import http_session_of

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.aio.clients import ResilientAioClient
from resilient_ddb.testing import faults

KEY = {"pk": {"S": "a"}}
MODES = ["legacy", "standard"]
THREE = rddb.Retry(max_attempts=3)


@pytest.fixture
async def plain_client(world):
    """Open clients that nobody has hardened."""
    async with AsyncExitStack() as stack:

        async def make(session=None, **config):
            session = session or AioSession()
            context = session.create_client(
                "dynamodb", endpoint_url=world.proxy.endpoint_url, config=AioConfig(**config), **ACCESS
            )
            return await stack.enter_async_context(context)

        yield make


async def attempts(world, client, name=None):
    """Count what an always-throttled call sends."""
    world.proxy.plan = [faults.Throttle()]
    world.proxy.clear()
    with pytest.raises(ClientError) as raised:
        await client.get_item(TableName=name or world.name, Key=KEY)
    assert raised.value.resilience.attempts == world.proxy.count()
    return world.proxy.count()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("total", [None, 2, 7])
async def test_a_client_makes_exactly_the_policys_attempts(world, plain_client, mode, total):
    retries = {"mode": mode} if total is None else {"mode": mode, "total_max_attempts": total}
    client = await plain_client(retries=retries)
    assert aio.harden(client, policy=world.policy(retry=THREE)) is client
    assert await attempts(world, client) == 3


@pytest.mark.parametrize("mode", MODES)
async def test_hardening_twice_replaces_the_policy_and_never_stacks(world, plain_client, mode):
    client = await plain_client(retries={"mode": mode})
    cls = type(aio.harden(client, policy=world.policy(retry=THREE)))
    for most in (5, 1, 4):
        aio.harden(client, policy=world.policy(retry=rddb.Retry(max_attempts=most)))
        assert type(client) is cls
        assert await attempts(world, client) == most


@pytest.mark.parametrize("mode", MODES)
async def test_a_session_hardens_what_it_makes_from_then_on(world, plain_client, mode):
    session = AioSession()
    before = await plain_client(session, retries={"mode": mode})
    assert aio.harden(session, policy=world.policy(retry=THREE)) is session
    after = await plain_client(session, retries={"mode": mode})
    assert not isinstance(before, ResilientAioClient)
    assert isinstance(after, ResilientAioClient)
    assert await attempts(world, after) == 3
    aio.harden(session, policy=world.policy(retry=rddb.Retry(max_attempts=2)))
    assert await attempts(world, await plain_client(session, retries={"mode": mode})) == 2
    assert await attempts(world, after) == 2  # what it has made goes along
    aio.harden(after, policy=world.policy(retry=rddb.Retry(max_attempts=4)))
    assert await attempts(world, after) == 4


async def test_other_sessions_and_other_services_stay_as_they_are(world, plain_client):
    session = AioSession()
    aio.harden(session, policy=world.policy(retry=THREE))
    async with session.create_client("sts", **ACCESS) as sts:
        assert not isinstance(sts, ResilientAioClient)
    assert not isinstance(await plain_client(), ResilientAioClient)


async def test_a_session_that_holds_one_is_taken_as_aioboto3s(world, plain_client):
    held = AioSession()
    session = SimpleNamespace(_session=held)
    assert aio.harden(session, policy=world.policy(retry=THREE)) is session
    assert await attempts(world, await plain_client(held)) == 3
    held = AioSession()
    own = SimpleNamespace(_session=held)
    options = {"endpoint_url": world.proxy.endpoint_url, "policy": world.policy(retry=THREE), **ACCESS}
    async with aio.client("dynamodb", session=own, **options) as client:
        assert await attempts(world, client) == 3
    assert not isinstance(await plain_client(held), ResilientAioClient)


async def test_a_resource_is_hardened_with_its_client(world, hardened):
    dynamodb = await hardened(world.proxy.endpoint_url, world.policy(retry=THREE))
    table = await dynamodb.Table(world.name)
    await table.put_item(Item={"pk": "a", "n": 1})
    for target in (dynamodb, table):
        assert aio.harden(target, policy=world.policy(retry=rddb.Retry(max_attempts=2))) is target
    assert (await table.get_item(Key={"pk": "a"}))["Item"]["n"] == 1
    world.proxy.plan = [faults.Throttle()]
    world.proxy.clear()
    with pytest.raises(ClientError):
        await table.get_item(Key={"pk": "a"})
    assert world.proxy.count() == 2


async def test_a_hardened_client_of_native_values_stays_one(world, hardened):
    table = await (await hardened(world.proxy.endpoint_url)).Table(world.name)
    client = aio.harden(table.meta.client)
    await client.put_item(TableName=world.name, Item={"pk": "a", "s": {"x"}})
    assert (await table.get_item(Key={"pk": "a"}))["Item"]["s"] == {"x"}


async def test_what_a_hardened_client_had_opened_is_closed_after_a_second_harden(world, plain_client):
    replica = rddb.fallback.replica("eu-west-1", endpoint_url=world.upstream)
    client = await plain_client()
    aio.harden(client, policy=world.policy(retry=THREE, fallback=replica))
    world.proxy.plan = [faults.Throttle()]
    answer = await client.get_item(TableName=world.name, Key=KEY)
    assert answer["ResponseMetadata"]["Resilience"] == {"replica": "eu-west-1"}
    aio.harden(client, policy=world.policy(retry=THREE))  # the sibling is still to be closed, or it warns


async def test_adaptive_mode_is_refused(world, plain_client, monkeypatch):
    with pytest.raises(ValueError, match="adaptive"):
        aio.harden(await plain_client(retries={"mode": "adaptive"}))
    with pytest.raises(ValueError, match="adaptive"):
        aio.client("dynamodb", config=AioConfig(retries={"mode": "adaptive"}))
    session = AioSession()
    aio.harden(session)
    with pytest.raises(ValueError, match="adaptive"):
        await plain_client(session, retries={"mode": "adaptive"})
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    options = {"endpoint_url": world.proxy.endpoint_url, "policy": world.policy(retry=THREE), **ACCESS}
    async with aio.client("dynamodb", **options) as client:
        assert await attempts(world, client) == 3


@pytest.mark.parametrize(
    ("retries", "expected"),
    [({"max_attempts": 0}, 1), ({"max_attempts": 2}, 3), ({"total_max_attempts": 4, "mode": "standard"}, 4)],
)
async def test_the_callers_retries_set_the_attempts_where_no_policy_was_given(world, retries, expected):
    options = {"endpoint_url": world.proxy.endpoint_url, **ACCESS}
    async with aio.client("dynamodb", config=AioConfig(retries=retries), **options) as client:
        assert rddb.status(client).policy.retry.max_attempts == expected
        if expected == 1:
            assert await attempts(world, client) == 1


async def test_the_callers_config_wins_and_ours_fills_in(world):
    options = {"endpoint_url": world.proxy.endpoint_url, **ACCESS}
    async with aio.client("dynamodb", **options) as client:
        config = client.meta.config
        assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (1.0, 5.0, 128)
    given = AioConfig(read_timeout=17, max_pool_connections=3, connector_args={"keepalive_timeout": 3})
    async with aio.client("dynamodb", config=given, **options) as client:
        config = client.meta.config
        assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (1.0, 17, 3)
        assert config.connector_args == {"keepalive_timeout": 3}
    async with aio.client("dynamodb", config=Config(read_timeout=17), **options) as client:  # botocore's own
        assert client.meta.config.read_timeout == 17
        await client.list_tables()


SHORT = rddb.Policy(timeouts=rddb.Timeouts(connect=0.4, read=0.5))


async def test_a_hardened_sessions_clients_have_the_policys_timeouts(world):
    async def numbers(policy=SHORT, **config):
        make = aio.harden(AioSession(), policy=policy).create_client
        given = {"config": AioConfig(**config)} if config else {}
        async with make("dynamodb", endpoint_url=world.proxy.endpoint_url, **given, **ACCESS) as client:
            await client.list_tables()
            made, told = client.meta.config, rddb.status(client).timeouts
            assert (told.connect, told.read) == (made.connect_timeout, made.read_timeout)
            if config:
                assert made.connector_args == config["connector_args"]
            return made.connect_timeout, made.read_timeout, made.max_pool_connections

    assert await numbers(policy=None) == (1.0, 5.0, 128)
    assert await numbers() == (0.4, 0.5, 128)
    connector = {"connector_args": {"keepalive_timeout": 3}}
    assert await numbers(**connector, read_timeout=60, max_pool_connections=10) == (0.4, 60, 10)


async def test_the_session_class_that_a_config_names_stays(world):
    class Own(AIOHTTPSession):
        pass

    session, config = aio.harden(AioSession()), AioConfig(http_session_cls=Own)
    async with session.create_client(
        "dynamodb", endpoint_url=world.proxy.endpoint_url, config=config, **ACCESS
    ) as client:
        assert isinstance(http_session_of(client), Own)
        assert client.meta.config.read_timeout == 5.0


async def test_a_policy_says_the_timeouts_of_a_client_that_exists(world, plain_client):
    client = aio.harden(await plain_client(read_timeout=20), policy=SHORT)
    assert (rddb.status(client).timeouts.connect, rddb.status(client).timeouts.read) == (0.4, 0.5)
    client = aio.harden(await plain_client(read_timeout=20))
    assert (rddb.status(client).timeouts.connect, rddb.status(client).timeouts.read) == (60, 20)
    policy = world.policy(timeouts=rddb.Timeouts(read=0.3), retry=rddb.Retry(max_attempts=1))
    client = aio.harden(await plain_client(), policy=policy)
    world.proxy.plan = [faults.Hang()]
    with pytest.raises(ReadTimeoutError):
        await client.get_item(TableName=world.name, Key=KEY)


def sync_targets():
    session = boto3.Session(**ACCESS)
    dynamodb = session.resource("dynamodb", endpoint_url="http://127.0.0.1:1")
    return {
        "Session": session,
        "client": dynamodb.meta.client,
        "resource": dynamodb,
        "Table": dynamodb.Table("x"),
        "botocore session": botocore.session.Session(),
    }


@pytest.mark.parametrize("kind", ["Session", "client", "resource", "Table", "botocore session"])
def test_sync_targets_are_refused(kind):
    target = sync_targets()[kind]
    with pytest.raises(TypeError, match=r"aiobotocore.*resilient_ddb\.harden|must be an aiobotocore"):
        aio.harden(target)
    if kind != "Session":
        with pytest.raises(TypeError, match=r"use resilient_ddb\.harden for sync ones"):
            aio.harden(target)


@pytest.mark.parametrize("target", [None, "orders", 3, object()])
def test_other_targets_are_refused(target):
    with pytest.raises(TypeError, match="target must be an aiobotocore session or DynamoDB client"):
        aio.harden(target)


async def test_harden_at_the_top_takes_async_targets_too(world, plain_client):
    session = AioSession()
    assert rddb.harden(session, policy=world.policy(retry=THREE)) is session
    assert await attempts(world, await plain_client(session)) == 3
    client = await plain_client()
    assert rddb.harden(client, policy=world.policy(retry=THREE)) is client
    assert await attempts(world, client) == 3


async def test_a_client_of_another_service_is_refused():
    async with AioSession().create_client("sts", **ACCESS) as sts:
        with pytest.raises(ValueError, match="target must be a DynamoDB client; got one of 'sts'"):
            aio.harden(sts)


@pytest.mark.parametrize("harden", [aio.harden, rddb.harden])
def test_what_opens_by_itself_is_hardened_already(harden):
    for target in (aio.table("orders"), aio.client(), aio.resource()):
        assert harden(target) is target
        assert harden(target, policy=rddb.Policy(retry=THREE)) is target


@pytest.mark.parametrize("make", [aio.client, aio.resource, lambda *_, **options: aio.table("orders", **options)])
def test_bad_arguments_are_refused_before_anything_is_opened(make):
    with pytest.raises(TypeError, match=r"policy must be a resilient_ddb.Policy"):
        make("dynamodb", policy={"max_attempts": 3})
    with pytest.raises(TypeError, match=r"config must be a botocore.config.Config"):
        make("dynamodb", config={"read_timeout": 3})
    with pytest.raises(TypeError, match=r"session must be an aiobotocore or aioboto3 session"):
        make("dynamodb", session=boto3.Session(**ACCESS))
    with pytest.raises(TypeError, match="nonsense"):
        make("dynamodb", nonsense=1)


def test_other_bad_arguments_are_refused():
    for make in (aio.client, aio.resource):
        with pytest.raises(ValueError, match=r"service_name must be 'dynamodb'.*'s3'"):
            make("s3")
    with pytest.raises(TypeError, match="fallback"):
        aio.table("orders", fallback=None)
    with pytest.raises(TypeError, match="policy must be"):
        aio.harden(AioSession(), policy=3)


async def test_a_fallback_that_can_not_be_called_is_refused(world, hardened):
    dynamodb = await hardened(world.proxy.endpoint_url)
    with pytest.raises(TypeError, match="fallback"):
        dynamodb.Table(world.name, fallback="stale")


async def test_a_resource_is_not_to_be_awaited():
    for make in (aio.client, aio.resource):
        with pytest.raises(TypeError, match="await"):
            await make("dynamodb", **ACCESS)


async def test_a_resource_can_be_opened_again_and_by_several_at_a_time(world):
    opening = aio.resource("dynamodb", endpoint_url=world.proxy.endpoint_url, **ACCESS)
    for _ in range(2):
        async with opening as dynamodb:
            await (await dynamodb.Table(world.name)).load()
            async with opening as other:
                assert other.meta.client is dynamodb.meta.client
            await (await dynamodb.Table(world.name)).load()
        assert await is_closed(dynamodb.meta.client)


async def test_a_resource_that_could_not_be_opened_can_be_opened_later(world, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    opening = aio.resource("dynamodb", endpoint_url=world.proxy.endpoint_url)
    with pytest.raises(NoRegionError):
        async with opening:
            pass
    monkeypatch.setenv("AWS_DEFAULT_REGION", ACCESS["region_name"])
    async with opening as dynamodb:
        await (await dynamodb.Table(world.name)).load()


async def test_sync_blocks_and_loops_are_refused(world, hardened):
    dynamodb = await hardened(world.proxy.endpoint_url)
    table = await dynamodb.Table(world.name)
    for target in (table, dynamodb):
        with pytest.raises(TypeError, match="context manager"), target:
            pass
    for collection in (dynamodb.tables.all(), dynamodb.tables.filter(), dynamodb.tables.limit(1)):
        with pytest.raises(TypeError, match="not iterable"):
            list(collection)


USES = {
    "[]": lambda made: made["Item"],
    "in": lambda made: "Item" in made,
    "get": lambda made: made.get("Item"),
    "len": len,
    "for": list,
    "items": lambda made: made.items(),
    "keys": lambda made: made.keys(),
    "values": lambda made: made.values(),
    "**": lambda made: dict(**made),
}


@pytest.mark.parametrize("use", USES)
async def test_a_forgotten_await_says_which_verb_it_was(world, use):
    table = await world.table()
    with collected_afterwards():  # no coroutine is left that would warn
        for make, verb in [
            (lambda: table.get_item(Key={"pk": "a"}), r"get_item\(\.\.\.\)"),
            (table.query, r"query\(\.\.\.\)"),
            (lambda: table.key_schema, "key_schema"),
        ]:
            with pytest.raises(TypeError, match=f"await table.{verb}"):
                USES[use](make())
    assert world.proxy.count() == 0


async def test_a_forgotten_await_of_a_module_level_table_says_so():
    table = aio.table("orders", **ACCESS)
    with collected_afterwards():
        with pytest.raises(TypeError, match=r"await table.get_item"):
            table.get_item(Key={"pk": "a"})["Item"]
        with pytest.raises(TypeError, match=r"await table\.item_count"):
            table.item_count["x"]


async def test_the_sync_table_is_not_to_be_awaited(world):
    with pytest.raises(TypeError, match="await"):
        await world.sync_table()
