"""What answers on the async Table when DynamoDB can't."""

import asyncio
import contextvars
import gc

import boto3
import pytest
from aio_support import ACCESS, is_closed, other_tasks, until
from aiobotocore.client import AioClientCreator
from botocore.exceptions import ClientError
from cycle_support import collected_afterwards
from unit_support import ComparedClock, ComparedListener

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.policy.deadlines import current_deadline
from resilient_ddb.testing import FaultProxy, faults

KEY = {"pk": "a"}
ADD = {"Key": KEY, "UpdateExpression": "ADD c :one", "ExpressionAttributeValues": {":one": 1}}
ELSEWHERE = "eu-central-1"
ONE = rddb.Retry(max_attempts=1)
VALUE = rddb.fallback.response({"Item": {"pk": "fallback"}})


def where(answer):
    return answer["ResponseMetadata"].get("Resilience")


@pytest.fixture
def replica(world):
    """The same table in another region, with another item."""
    client = boto3.client("dynamodb", endpoint_url=world.upstream, **{**ACCESS, "region_name": ELSEWHERE})
    client.create_table(
        TableName=world.name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.put_item(TableName=world.name, Item={"pk": {"S": "a"}, "s": {"SS": ["replica"]}})
    yield rddb.fallback.replica(ELSEWHERE, endpoint_url=world.upstream)
    client.delete_table(TableName=world.name)
    client.close()


async def test_the_last_good_answer_comes_back_marked_with_its_age(world):
    world.direct.put_item(Item={"pk": "a", "s": {"x"}, "b": b"y"})
    table = await world.table(retry=ONE, fallback=rddb.fallback.stale(max_age=60))
    fresh = await table.get_item(Key=KEY)
    assert where(fresh) is None
    world.proxy.plan = [faults.Throttle()]
    world.clock.advance(7)
    stale = await table.get_item(Key=KEY)
    assert stale["Item"] == fresh["Item"]
    assert where(stale) == {"stale": True, "age": 7.0}
    stale["Item"]["s"].add("changed by the caller")
    assert (await table.get_item(Key=KEY))["Item"] == fresh["Item"]
    world.clock.advance(60)
    with pytest.raises(ClientError):
        await table.get_item(Key=KEY)
    with pytest.raises(ClientError):
        await table.get_item(Key={"pk": "another"})


@pytest.mark.parametrize("verb", ["put_item", "update_item", "delete_item", "batch_writer", "transact_write_items"])
async def test_no_answer_is_given_that_an_own_write_has_changed(world, verb):
    for name in "ab":
        world.direct.put_item(Item={"pk": name})
    table = await world.table(retry=ONE, fallback=rddb.fallback.stale())
    for name in "ab":
        await table.get_item(Key={"pk": name})
    if verb == "batch_writer":
        async with table.batch_writer() as batch:
            await batch.put_item(Item=KEY)
    elif verb == "transact_write_items":
        put = {"Put": {"TableName": world.name, "Item": KEY}}
        await table.meta.client.transact_write_items(TransactItems=[put])
    else:
        await getattr(table, verb)(**({"Item": KEY} if verb == "put_item" else {"Key": KEY}))
    world.proxy.plan = [faults.Throttle()]
    with pytest.raises(ClientError, match="Throughput"):
        await table.get_item(Key=KEY)
    assert where(await table.get_item(Key={"pk": "b"}))["stale"]


async def test_no_answer_is_given_that_a_cancelled_write_may_have_changed(world):
    world.direct.put_item(Item=KEY)
    table = await world.table(retry=ONE, circuit_breaker=None, fallback=rddb.fallback.stale())
    await table.get_item(Key=KEY)
    world.proxy.plan = [faults.Hang()]
    task = asyncio.create_task(table.put_item(Item=KEY))
    await until(lambda: world.proxy.count("PutItem") == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    world.proxy.plan = [faults.Throttle()]
    with pytest.raises(ClientError, match="Throughput"):
        await table.get_item(Key=KEY)


async def test_a_replica_in_another_region_answers_reads(world, replica):
    table = await world.table(retry=ONE, fallback=replica)
    world.proxy.plan = [faults.Throttle()]
    for answer in (
        (await table.get_item(Key=KEY))["Item"],
        (await table.scan())["Items"][0],
        (await table.meta.client.batch_get_item(RequestItems={world.name: {"Keys": [KEY]}}))["Responses"][world.name][
            0
        ],
    ):
        assert answer == {"pk": "a", "s": {"replica"}}
    assert where(await table.get_item(Key=KEY)) == {"replica": ELSEWHERE}
    with pytest.raises(ClientError):
        await table.put_item(Item={"pk": "a"})


async def test_a_replica_goes_by_the_policy_of_whoever_asks(world):
    def attempts(count):
        return rddb.Retry(max_attempts=count, base_delay=0.001)

    with FaultProxy(world.upstream, plan=[faults.Throttle()]) as far:
        fallback = rddb.fallback.replica(ELSEWHERE, endpoint_url=far.endpoint_url)
        policy = world.policy(retry=attempts(2), circuit_breaker=None, fallback=fallback)
        world.proxy.plan = [faults.Throttle()]
        async with aio.resource("dynamodb", endpoint_url=world.proxy.endpoint_url, policy=policy, **ACCESS) as dynamodb:
            table = await dynamodb.Table(world.name)
            own = await dynamodb.Table(world.name, policy=policy.replace(retry=attempts(4)))

            async def asked(by):
                far.clear()
                with pytest.raises(ClientError):
                    await by.get_item(Key=KEY)
                return far.count("GetItem")

            assert [await asked(by) for by in (table, own, table)] == [2, 4, 2]
            rddb.set_policy(dynamodb, policy.replace(retry=attempts(3)))
            assert [await asked(by) for by in (table, own)] == [3, 4]


async def test_a_replica_is_asked_by_a_policy_that_can_not_be_hashed(world, replica):
    breaker = rddb.CircuitBreaker(listeners=[ComparedListener()])
    table = await world.table(retry=ONE, circuit_breaker=breaker, clock=ComparedClock(), fallback=replica)
    world.proxy.plan = [faults.Throttle()]
    assert where(await table.get_item(Key=KEY)) == {"replica": ELSEWHERE}


async def test_the_replicas_client_is_opened_once_and_closed_with_the_table(world, replica, opens):
    options = {"endpoint_url": world.proxy.endpoint_url, "policy": world.policy(retry=ONE, fallback=replica), **ACCESS}
    world.proxy.plan = [faults.Throttle()]
    with collected_afterwards():  # an unclosed session would warn
        async with aio.resource("dynamodb", **options) as dynamodb:
            table = await dynamodb.Table(world.name)
            answers = await asyncio.gather(*(table.get_item(Key=KEY) for _ in range(20)))
            assert all(where(answer) == {"replica": ELSEWHERE} for answer in answers)
            [_, sibling] = opens
            assert sibling.meta.region_name == ELSEWHERE
        assert await is_closed(sibling)
        opens.clear()
        del dynamodb, table, sibling


async def test_the_opening_of_the_replicas_client_has_nobodys_context(world, replica, monkeypatch):
    seen, create = [], AioClientCreator.create_client

    async def noted(*args, **kwargs):
        seen.append((trace.get(), current_deadline()))
        return await create(*args, **kwargs)

    table = await world.table(retry=ONE, fallback=replica)
    trace = contextvars.ContextVar("trace", default="none")
    monkeypatch.setattr(AioClientCreator, "create_client", noted)
    world.proxy.plan = [faults.Throttle()]
    trace.set("of the call that came first")
    with rddb.deadline(60, clock=world.clock):
        assert where(await table.get_item(Key=KEY)) == {"replica": ELSEWHERE}
    assert seen == [("none", None)]


async def test_past_the_deadline_no_client_is_opened_for_a_replica(world, replica, monkeypatch):
    table = await world.table(retry=ONE, fallback=replica)
    monkeypatch.setattr(AioClientCreator, "create_client", lambda *args, **options: pytest.fail("it takes some 0.1 s"))
    with rddb.deadline(0, clock=world.clock), pytest.raises(rddb.DeadlineExceededError) as raised:
        await table.get_item(Key=KEY)
    assert raised.value.__notes__[-1] == "fallback replica failed: DeadlineExceededError"


async def test_a_replicas_client_that_could_not_be_opened_is_opened_for_the_next_call(world, replica, monkeypatch):
    create, gate, begun = AioClientCreator.create_client, asyncio.Event(), asyncio.Event()

    async def failing(*args, **kwargs):
        begun.set()
        await gate.wait()
        monkeypatch.setattr(AioClientCreator, "create_client", create)
        raise OSError("not now")

    table = await world.table(retry=ONE, fallback=replica)
    monkeypatch.setattr(AioClientCreator, "create_client", failing)
    world.proxy.plan = [faults.Throttle()]
    left = asyncio.create_task(table.get_item(Key=KEY))
    await begun.wait()
    left.cancel()
    gate.set()
    await asyncio.wait([left, *other_tasks()])
    assert where(await table.get_item(Key=KEY)) == {"replica": ELSEWHERE}


@pytest.mark.parametrize("close", ["close", "__aexit__"])
async def test_closing_the_client_by_hand_closes_the_replicas_too(world, replica, close):
    opening = aio.client(
        "dynamodb", endpoint_url=world.proxy.endpoint_url, policy=world.policy(retry=ONE, fallback=replica), **ACCESS
    )
    client = await opening.__aenter__()
    world.proxy.plan = [faults.Throttle()]
    assert (await client.get_item(TableName=world.name, Key={"pk": {"S": "a"}}))["Item"]["s"] == {"SS": ["replica"]}
    await (client.close() if close == "close" else client.__aexit__(None, None, None))
    gc.collect()  # as above


def test_the_replicas_client_of_a_module_level_table_follows_the_loop(world, replica):
    policy = world.policy(retry=ONE, fallback=replica)
    table = aio.table(world.name, endpoint_url=world.proxy.endpoint_url, policy=policy, **ACCESS)
    world.proxy.plan = [faults.Throttle()]
    for _ in range(3):
        assert asyncio.run(table.get_item(Key=KEY))["Item"] == {"pk": "a", "s": {"replica"}}
    gc.collect()  # as above


async def test_a_replica_that_can_not_be_opened_is_tried_anew(world):
    broken = rddb.fallback.replica("eu-central-1", endpoint_url="not a url")
    table = await world.table(retry=ONE, fallback=broken)
    world.proxy.plan = [faults.Throttle()]
    for _ in range(2):
        results = await asyncio.gather(*(table.get_item(Key=KEY) for _ in range(3)), return_exceptions=True)
        assert {type(result).__name__ for result in results} == {"ProvisionedThroughputExceededException"}
        assert all(result.__notes__[-1] == "fallback replica failed: ValueError" for result in results)


async def test_a_value_answers_reads_and_no_writes(world):
    table = await world.table(retry=ONE, fallback=VALUE)
    world.proxy.plan = [faults.Throttle()]
    for answer in (await table.get_item(Key=KEY), await table.scan()):
        assert answer["Item"] == {"pk": "fallback"}
        assert where(answer) == {"fallback": "response"}
    with pytest.raises(ClientError):
        await table.put_item(Item=KEY)


async def asynchronous(call, error):
    await asyncio.sleep(0)
    return {"Item": {"pk": "async", "operation": call.operation, "table": call.table, "error": type(error).__name__}}


def synchronous(call, _error):
    return {"Item": {"pk": "sync", "operation": call.operation}}


async def no_answer_async(_call, _error):
    return None


def no_answer(_call, _error):
    return None


async def failing(_call, _error):
    raise LookupError("nothing here")


def failing_sync(_call, _error):
    raise KeyError("nor here")


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        (asynchronous, "async"),
        (synchronous, "sync"),
        (rddb.fallback.stale() | no_answer_async | no_answer | asynchronous, "async"),
        (rddb.fallback.stale() | failing | failing_sync | synchronous | asynchronous, "sync"),
        (rddb.fallback.stale() | VALUE | asynchronous, "fallback"),
        (no_answer | rddb.fallback.stale() | asynchronous, "async"),
        (no_answer_async | (rddb.fallback.stale() | failing) | VALUE, "fallback"),
    ],
)
async def test_chains_of_sync_and_async_fallbacks_are_asked_in_turn(world, chain, expected):
    table = await world.table(retry=ONE, fallback=chain)
    world.proxy.plan = [faults.Throttle()]
    answer = await table.get_item(Key=KEY)
    assert answer["Item"]["pk"] == expected


@pytest.mark.parametrize("function", [asynchronous, synchronous])
async def test_a_function_is_asked_about_writes_only_if_made_so_and_about_no_table(world, function):
    world.proxy.plan = [faults.Throttle()]
    reading = await world.table(retry=ONE, fallback=function)
    with pytest.raises(ClientError, match="ThroughputExceeded"):
        await reading.put_item(Item=KEY)
    writing = await world.table(retry=ONE, fallback=rddb.fallback.function(function, writes=True))
    assert where(await writing.put_item(Item=KEY)) == {"fallback": function.__name__}
    for table in (reading, writing):
        assert (await table.get_item(Key=KEY))["Item"]["operation"] == "GetItem"
        with pytest.raises(ClientError, match="ThroughputExceeded"):
            await table.table_status


async def test_an_async_fallback_is_told_what_was_asked(world):
    table = await world.table(retry=ONE, fallback=asynchronous)
    world.proxy.plan = [faults.Throttle()]
    item = (await table.get_item(Key=KEY))["Item"]
    assert (item["operation"], item["table"]) == ("GetItem", world.name)
    assert item["error"] == "ProvisionedThroughputExceededException"


async def test_what_the_last_of_a_chain_raises_reaches_the_caller(world):
    world.proxy.plan = [faults.Throttle()]
    table = await world.table(retry=ONE, fallback=rddb.fallback.stale() | failing)
    with pytest.raises(LookupError, match="nothing here") as raised:
        await table.get_item(Key=KEY)
    assert isinstance(raised.value.__cause__, ClientError)
    table = await world.table(retry=ONE, fallback=rddb.fallback.stale() | failing | no_answer)
    with pytest.raises(ClientError, match="ProvisionedThroughputExceeded"):
        await table.get_item(Key=KEY)


async def test_fallbacks_are_not_asked_where_the_answer_is_final(world):
    asked = []

    async def ask(call, _error):
        asked.append(call.operation)
        return {}

    table = await world.table(retry=ONE, fallback=rddb.fallback.function(ask, writes=True))
    await table.put_item(Item=KEY)
    client = table.meta.client
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        await table.put_item(Item=KEY, ConditionExpression="attribute_not_exists(pk)")
    with pytest.raises(ClientError, match="ValidationException"):
        await table.update_item(Key=KEY, UpdateExpression="nonsense")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        await client.get_item(TableName="absent-table", Key=KEY)
    with pytest.raises(TypeError):
        await table.put_item(Item={"pk": "a", "f": 0.5})
    world.proxy.plan = [faults.LoseReply()]
    with pytest.raises(Exception) as raised:  # noqa: PT011 - a lost connection
        await table.update_item(**ADD)
    assert raised.value.resilience.ambiguous
    assert asked == []


async def test_fallbacks_are_asked_where_a_circuit_is_open_or_a_deadline_passed(world):
    breaker = rddb.CircuitBreaker(minimum_calls=1, open_jitter=0.0)
    table = await world.table(retry=ONE, circuit_breaker=breaker, fallback=VALUE)
    world.proxy.plan = [faults.ServerError()]
    for _ in range(2):
        assert where(await table.get_item(Key=KEY)) == {"fallback": "response"}
    assert world.proxy.count() == 1
    with rddb.deadline(0.0):
        assert where(await table.get_item(Key=KEY)) == {"fallback": "response"}


async def test_a_tables_own_fallback_comes_in_place_of_the_policys(world, hardened):
    dynamodb = await hardened(world.proxy.endpoint_url, world.policy(retry=ONE, fallback=VALUE))
    theirs, own = (
        await dynamodb.Table(world.name),
        await dynamodb.Table(world.name, policy=world.policy(fallback=asynchronous)),
    )
    world.proxy.plan = [faults.Throttle()]
    assert (await theirs.get_item(Key=KEY))["Item"]["pk"] == "fallback"
    assert (await own.get_item(Key=KEY))["Item"]["pk"] == "async"
    assert (await theirs.get_item(Key=KEY))["Item"]["pk"] == "fallback"
