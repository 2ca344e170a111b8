"""Hardened async resources, plain and hardened sync ones beside them, and a proxy that makes faults."""

import random
from contextlib import AsyncExitStack, ExitStack
from types import SimpleNamespace

import pytest
from aio_support import ACCESS
from emulators import plain_resource, session_for

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock, FaultProxy

PATIENT = rddb.Timeouts(connect=30.0, read=30.0)
"""No attempt fails, and is counted, because the machine paused."""


@pytest.fixture
def opened():
    """Keep what is to be closed after the test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def plain(opened):
    """Return boto3's own resource for an endpoint."""

    def make(url=None, **options):
        made = session_for(url).resource("dynamodb", endpoint_url=url, **options)
        opened.callback(made.meta.client.close)
        return made

    return make


@pytest.fixture
def hardened_sync(opened):
    """Return the hardened sync resource for an endpoint."""

    def make(url=None, policy=None, **options):
        session = session_for(url)
        made = rddb.resource("dynamodb", endpoint_url=url, policy=policy, session=session, **options)
        opened.callback(made.meta.client.close)
        return made

    return make


@pytest.fixture(scope="session")
def aio_session():
    """Return one session for all tests that don't change theirs. No test reaches credentials through it."""
    from aiobotocore.session import AioSession  # noqa: PLC0415 - pytest reads this file where it is missing, too

    return AioSession()


@pytest.fixture
async def hardened(aio_session):
    """Return the hardened async resource for an endpoint; awaited. Nothing is TLS: no certificates are read for it."""
    from resilient_ddb import aio  # noqa: PLC0415 - as above

    async with AsyncExitStack() as stack:

        async def make(url=None, policy=None, **options):
            shared = {"verify": False, "session": aio_session, **ACCESS}
            opening = aio.resource("dynamodb", endpoint_url=url, policy=policy, **{**shared, **options})
            return await stack.enter_async_context(opening)

        yield make


@pytest.fixture
def opens(monkeypatch):
    """List the clients that are opened."""
    from aiobotocore.client import AioClientCreator  # noqa: PLC0415 - as above

    made, create = [], AioClientCreator.create_client

    async def noted(*args, **kwargs):
        made.append(await create(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(AioClientCreator, "create_client", noted)
    return made


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def proxy(dynamodb_local):
    with FaultProxy(dynamodb_local.endpoint_url, seed=1) as running:
        yield running


@pytest.fixture
def world(dynamodb_local, proxy, make_table, plain, hardened, hardened_sync, clock):
    """A table on DynamoDB Local; `direct` goes past the proxy with plain boto3, `table(...)` through it, hardened."""
    name = make_table(dynamodb_local.endpoint_url)
    direct = plain_resource(dynamodb_local.endpoint_url).Table(name)

    def policy(**settings):
        return rddb.Policy(**{"clock": clock, "timeouts": PATIENT, **settings})

    async def table(fallback=None, config=None, options=None, **settings):
        made = await hardened(proxy.endpoint_url, policy(fallback=fallback, **settings), config=config)
        return await made.Table(name, **(options or {}))

    def sync_table(fallback=None, config=None, options=None, **settings):
        made = hardened_sync(proxy.endpoint_url, policy(fallback=fallback, **settings), config=config)
        return made.Table(name, **(options or {}))

    def stored(key="a"):
        return direct.get_item(Key={"pk": key}, ConsistentRead=True).get("Item")

    return SimpleNamespace(
        proxy=proxy,
        upstream=dynamodb_local.endpoint_url,
        clock=clock,
        name=name,
        direct=direct,
        table=table,
        sync_table=sync_table,
        policy=policy,
        stored=stored,
    )


@pytest.fixture(params=["sync", "async"])
async def either(request, dynamodb_local, proxy, make_table, plain, hardened, hardened_sync):
    """The sync library, then the async one: a table with a sort key, an LSI and GSIs; `direct` goes past the proxy."""

    def index(name, hash_key, range_key):
        schema = [{"AttributeName": hash_key, "KeyType": "HASH"}, {"AttributeName": range_key, "KeyType": "RANGE"}]
        return {"IndexName": name, "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}

    name = make_table(
        dynamodb_local.endpoint_url,
        sort_key="sk",
        sort_type="N",
        AttributeDefinitions=[
            {"AttributeName": "st", "AttributeType": "S"},
            {"AttributeName": "at", "AttributeType": "N"},
            {"AttributeName": "shard", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            index("by-st", "st", "sk"),
            index("by-shard", "shard", "sk"),
            index("inverted", "at", "pk"),
        ],
        LocalSecondaryIndexes=[index("by-at", "pk", "at")],
    )
    clock = FakeClock()
    policy = rddb.Policy(clock=clock, random=random.Random(7), timeouts=PATIENT)
    direct = plain_resource(dynamodb_local.endpoint_url).Table(name)

    async def table(fallback=None, **options):
        by = policy.replace(fallback=fallback)
        if request.param == "sync":
            return hardened_sync(proxy.endpoint_url, by).Table(name, **options)
        return await (await hardened(proxy.endpoint_url, by)).Table(name, **options)

    made = await table()

    def stored(**key):
        items = direct.scan(ConsistentRead=True)["Items"]
        return [item for item in items if all(item.get(name) == value for name, value in key.items())]

    return SimpleNamespace(
        proxy=proxy,
        name=name,
        direct=direct,
        table=made,
        stored=stored,
        clock=clock,
        make=table,
        is_sync=request.param == "sync",
    )
