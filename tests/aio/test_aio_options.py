"""What Tables of lazy and open clients go by: the policy that was set, its transport, its timeouts; and TTLs."""

import asyncio
import inspect
import pickle

import pytest
from aio_support import ACCESS
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.config import Config
from botocore.exceptions import ClientError
from sdk_support import http_session_of
from unit_support import core_of
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import FakeClock

ITEM = {"pk": "a"}
KEY = {"Key": {"pk": "a"}}


@pytest.fixture
def stub():
    with WireStub(lambda *_: {"Item": {"pk": {"S": "a"}}}) as running:
        yield running


def policy(**settings):
    return rddb.Policy(**{"clock": FakeClock(), "timeouts": rddb.Timeouts(connect=30.0, read=30.0), **settings})


def attempts(number, **settings):
    return policy(retry=rddb.Retry(max_attempts=number), **settings)


def resource_on(stub, **options):
    return aio.resource(**{"policy": policy(), "endpoint_url": stub.endpoint_url, **ACCESS, **options})


def transport_of(target):
    return rddb.status(target).fast_path


def restored(table):
    return pickle.loads(pickle.dumps(table))  # noqa: S301 - made here


# The transport.


@pytest.mark.parametrize("kind", ["client", "resource", "Table"])
def test_the_transport_follows_the_policy_that_is_set(stub, opened, hardened_sync, kind):
    dynamodb = hardened_sync(stub.endpoint_url, policy(fast_path=True))
    table = dynamodb.Table(TABLE)
    target = {"client": dynamodb.meta.client, "resource": dynamodb, "Table": table}[kind]
    table.get_item(**KEY)
    assert transport_of(table).taken == 1
    rddb.set_policy(target, policy(fast_path=False))
    table.get_item(**KEY)
    assert (transport_of(table).taken, transport_of(table).reason) == (1, "switched off")
    rddb.set_policy(target, policy(fast_path=True, timeouts=rddb.Timeouts(connection_max_idle=7)))
    table.get_item(**KEY)
    assert (transport_of(table).taken, transport_of(table).reason) == (2, None)
    assert http_session_of(table.meta.client).connection_max_idle == 7


class SwitchingClock(FakeClock):
    """Whoever waits finds another policy set when it goes on."""

    switch = None

    def wait(self, seconds):
        self.switch()
        return super().wait(seconds)


@pytest.mark.parametrize("rim", ["sync", "async"])
def test_a_call_that_is_under_way_while_the_transport_is_switched_off_goes_on(opened, hardened_sync, rim):
    answers = []
    slow = (400, {"__type": "x#ProvisionedThroughputExceededException", "message": "slow down"})
    clock = SwitchingClock()
    by = policy(clock=clock)

    async def calls(table):
        for is_throttled in (False, False, True):  # past the SDK's inside, once the first has shown the way
            answers[:] = [slow] * is_throttled
            response = table.get_item(**KEY)
            found = await response if inspect.isawaitable(response) else response
            assert found["Item"] == ITEM
        assert transport_of(table).reason == "switched off"

    with WireStub(lambda *_: answers.pop() if answers else {"Item": {"pk": {"S": "a"}}}) as stub:
        if rim == "sync":
            table = hardened_sync(stub.endpoint_url, by).Table(TABLE)
        else:
            table = aio.table(TABLE, endpoint_url=stub.endpoint_url, policy=by, **ACCESS)
        clock.switch = lambda: rddb.set_policy(table, by.replace(fast_path=False))
        asyncio.run(calls(table))
        assert len(stub.requests) == 4


@pytest.mark.parametrize("kind", ["lazy resource", "Table of it", "open resource"])
def test_the_async_transport_follows_the_policy_that_is_set_on_each_loop(stub, kind):
    lazy = resource_on(stub, policy=policy(fast_path=True))

    async def main(*, first):
        async with lazy as dynamodb:
            table = await dynamodb.Table(TABLE)
            if first:
                await table.get_item(**KEY)
                assert transport_of(table).taken == 1
                target = {"lazy resource": lazy, "Table of it": lazy.Table(TABLE), "open resource": dynamodb}[kind]
                rddb.set_policy(target, policy(fast_path=False))
            await table.get_item(**KEY)
            assert (transport_of(table).taken, transport_of(table).reason) == (int(first), "switched off")

    asyncio.run(main(first=True))
    asyncio.run(main(first=False))


def test_a_tables_own_policy_leaves_the_clients_transport_alone(stub, hardened_sync):
    dynamodb = hardened_sync(stub.endpoint_url, policy(fast_path=True))
    table = dynamodb.Table(TABLE, policy=policy())
    rddb.set_policy(table, policy(fast_path=False))
    dynamodb.Table(TABLE).get_item(**KEY)
    assert transport_of(dynamodb).taken == 1


# Setting a policy.


async def test_a_policy_that_is_set_while_the_client_is_being_opened_holds(stub):
    asked, may_go = asyncio.Event(), asyncio.Event()

    class Slow:
        async def load_credentials(self):
            asked.set()
            await may_go.wait()
            return AioCredentials("key", "secret")

    session = AioSession()
    session.register_component("credential_provider", Slow())
    dynamodb = aio.resource(
        endpoint_url=stub.endpoint_url, region_name=ACCESS["region_name"], policy=attempts(4), session=session
    )
    call = asyncio.ensure_future(dynamodb.Table(TABLE).get_item(**KEY))
    await asked.wait()
    rddb.set_policy(dynamodb, attempts(2))
    may_go.set()
    await call
    assert rddb.status(dynamodb).policy.retry.max_attempts == 2
    await dynamodb.close()


@pytest.mark.parametrize("is_open", [False, True])
async def test_timeouts_that_are_set_win_over_the_config_whenever_they_are_set(stub, is_open):
    table = aio.table(TABLE, endpoint_url=stub.endpoint_url, config=Config(read_timeout=20), **ACCESS)
    async with table:
        if is_open:
            await table.get_item(**KEY)
        rddb.set_policy(table, policy(timeouts=rddb.Timeouts(connect=4, read=5)))
        await table.get_item(**KEY)
        assert core_of(table).timeouts.read == 5


async def test_what_is_set_on_an_open_resource_holds_for_the_lazy_one_too(stub):
    lazy = resource_on(stub, policy=attempts(4))
    async with lazy as dynamodb:
        rddb.set_policy(dynamodb, attempts(2))
    assert lazy.meta.client.policy.retry.max_attempts == 2
    assert restored(lazy.Table(TABLE)).meta.client.policy.retry.max_attempts == 2


async def test_status_and_circuits_of_a_table_are_those_of_its_own_policy(stub, hardened_sync):
    stub.answer = lambda *_: (500, {"__type": "x#InternalServerError"})
    own = attempts(1, circuit_breaker=rddb.CircuitBreaker(minimum_calls=2))
    lazy = resource_on(stub)
    for table in (hardened_sync(stub.endpoint_url, policy()).Table(TABLE, policy=own), lazy.Table(TABLE, policy=own)):
        for _ in range(2):
            with pytest.raises(ClientError):
                await awaited(table.get_item(**KEY))
        found = rddb.status(table)
        assert found.policy == own
        [reads] = found.circuits
        assert (reads.name, reads.state) == ("t/read", "open")
        assert [budget.name for budget in found.budgets] == ["t/read"]
        assert rddb.circuits(table)["read"].state == "open"
    assert [(one.name, one.own_policy) for one in rddb.status(lazy).circuits] == [("t/read", True)]
    assert rddb.status(lazy.Table(TABLE)).circuits == ()
    assert rddb.circuits(lazy.Table(TABLE))["read"].state == "closed"
    await lazy.close()


async def awaited(answer):
    return await answer if inspect.isawaitable(answer) else answer


@pytest.mark.parametrize("is_open", [False, True])
async def test_tables_that_share_circuits_change_together(stub, is_open):
    dynamodb = resource_on(stub)
    own = attempts(4)
    one, twin, other = (
        dynamodb.Table(TABLE, policy=own),
        dynamodb.Table(TABLE, policy=own),
        dynamodb.Table("u", policy=own),
    )
    if is_open:
        for table in (one, twin, other):
            await table.get_item(**KEY)
    rddb.set_policy(one, own.replace(retry=rddb.Retry(max_attempts=2)))
    for table, wanted in ((one, 2), (twin, 2), (other, 4)):
        await table.get_item(**KEY)
        assert table.meta.client.policy.retry.max_attempts == wanted
        assert core_of(table).policy.retry.max_attempts == wanted
    await dynamodb.close()


# Pickles.


def timeouts_of(table):
    """Return the timeouts that a restored sync Table's requests have."""
    own, config = core_of(table).timeouts, table.meta.client.meta.config
    return (config.connect_timeout, config.read_timeout) if own is None else (own.connect, own.read)


@pytest.mark.parametrize("how", ["set on the client", "of its own", "both"])
def test_timeouts_that_hold_for_a_table_hold_for_its_pickle(hardened_sync, how):
    dynamodb = hardened_sync("http://127.0.0.1:9", policy())
    wanted = policy(timeouts=rddb.Timeouts(connect=4, read=5))
    if how != "of its own":
        rddb.set_policy(dynamodb, wanted if how == "set on the client" else policy(timeouts=rddb.Timeouts(read=9)))
    table = dynamodb.Table("t", **({} if how == "set on the client" else {"policy": wanted}))
    again = restored(table)
    assert timeouts_of(table) == timeouts_of(again) == timeouts_of(restored(again)) == (4, 5)
    assert rddb.status(again).policy.timeouts == wanted.timeouts


@pytest.mark.parametrize("config", [None, Config(read_timeout=20), AioConfig(connector_args={"keepalive_timeout": 3})])
@pytest.mark.parametrize("how", ["set on the client", "of its own"])
@pytest.mark.parametrize("kind", ["lazy", "was open", "open"])
async def test_timeouts_that_hold_for_an_async_table_hold_for_its_pickle(stub, kind, how, config):
    lazy = resource_on(stub, config=config)
    wanted = policy(timeouts=rddb.Timeouts(connect=4, read=5))
    if kind == "was open":
        async with lazy:
            pass
    async with lazy if kind == "open" else resource_on(stub) as opened:
        dynamodb = opened if kind == "open" else lazy
        if how == "set on the client":
            rddb.set_policy(dynamodb, wanted)
        table = await dynamodb.Table(TABLE, **({} if how == "set on the client" else {"policy": wanted}))
        again = restored(table)
        twice = restored(again)
        for each in (again, twice):
            async with each:
                await each.get_item(**KEY)
                assert timeouts_of(each) == (4, 5)
                assert rddb.status(each).policy.timeouts == wanted.timeouts
                if isinstance(config, AioConfig):
                    assert each.meta.client.meta.config.connector_args == config.connector_args


@pytest.mark.parametrize("kind", ["lazy", "open"])
async def test_ttls_of_a_pickle_are_those_of_its_table(stub, kind):
    lazy = resource_on(stub, ttl={TABLE: "gone", "u": rddb.TimeToLive("ends", skew=5)})
    async with lazy as opened:
        dynamodb = opened if kind == "open" else lazy
        cases = ({}, "gone"), ({"ttl": "x"}, "x"), ({"ttl": None}, None), ({"policy": policy(), "ttl": None}, None)
        for options, wanted in cases:
            again = restored(await dynamodb.Table(TABLE, **options))
            own = again.meta.client.time_to_live
            assert (own and own.attribute) == wanted
            assert again.meta.client.ttl.of("u").settings.skew == 5


# Batches.


@pytest.mark.parametrize("kind", ["sync", "lazy", "open"])
async def test_a_batch_stamps_by_the_ttls_of_its_resource(world, hardened_sync, kind):
    ttl = {world.name: "gone", "other": "ends"}
    now = int(world.clock.time())
    if kind == "sync":
        dynamodb = hardened_sync(world.proxy.endpoint_url, world.policy(), ttl=ttl)
        with dynamodb.Table(world.name).batch_writer() as batch:
            batch.put_item(ITEM, ttl_seconds=60)
        with pytest.raises(ValueError, match="ttl_seconds needs a Table that was made with ttl"):
            dynamodb.Table("third").batch_writer().put_item(ITEM, ttl_seconds=60)
        with pytest.raises(ValueError, match="ttl_seconds needs a Table that was made with ttl"):
            dynamodb.Table(world.name, ttl=None).batch_writer().put_item(ITEM, ttl_seconds=60)
    else:
        lazy = aio.resource(endpoint_url=world.proxy.endpoint_url, policy=world.policy(), ttl=ttl, **ACCESS)
        async with lazy as opened:
            made = opened if kind == "open" else lazy
            async with made.Table(world.name).batch_writer() as batch:
                await batch.put_item(ITEM, ttl_seconds=60)
            for table in (made.Table("third"), made.Table(world.name, ttl=None)):
                with pytest.raises(ValueError, match="ttl_seconds needs a Table that was made with ttl"):
                    await table.batch_writer().put_item(ITEM, ttl_seconds=60)
    assert world.stored() == {**ITEM, "gone": now + 60}


# Closing.


@pytest.mark.parametrize("kind", ["table", "Table of a lazy resource", "with a policy", "Table of an open resource"])
async def test_close_closes_what_the_table_opened_and_nothing_else(stub, kind):
    lazy = resource_on(stub)
    async with lazy as opened:
        table = {
            "table": aio.table(TABLE, endpoint_url=stub.endpoint_url, **ACCESS),
            "Table of a lazy resource": lazy.Table(TABLE),
            "with a policy": lazy.Table(TABLE, policy=policy()),
            "Table of an open resource": opened.Table(TABLE),
        }[kind]
        for _ in range(2):
            await table.get_item(**KEY)
            await table.close()
            await table.close()
        assert (await opened.Table(TABLE).get_item(**KEY))["Item"] == ITEM
        again = restored(table)
        await again.get_item(**KEY)
        await again.close()
        assert again.meta.client.opened() is None
        assert (await opened.Table(TABLE).get_item(**KEY))["Item"] == ITEM
