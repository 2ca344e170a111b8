"""One script through the sync versioned table and the async one: the same results, errors, requests and items."""

import asyncio
import functools
import inspect
import operator
import random
from collections import Counter

import pytest
from aio_support import ACCESS
from boto3.dynamodb.conditions import Attr
from botocore.config import Config
from botocore.exceptions import ClientError

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import faults

KEY = {"pk": "a"}
ADD = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}


def add_one(item):
    item = item or {"n": 0}
    item["n"] += 1
    return item


def update(version, **params):
    return "update_item", {"Key": KEY, **ADD, "expected_version": version, **params}


def put(version=None, **params):
    item = {"pk": "a", "n": 1} if version is None else {"pk": "a", "n": 1, "version": version}
    return "put_item", {"Item": item, **params}


def modify(change=add_one, **params):
    return "modify", {"Key": KEY, "change": change, **params}


def lose(*operations):
    return faults.LoseReply(operations=set(operations), times=1)


DELETE = ("delete_item", {"Key": KEY, "expected_version": 2})
GET = ("get_item", {"Key": KEY, "ConsistentRead": True})
SCENARIOS = {
    "all well": ([], [put(), put(1), update(2), modify(), GET, ("scan", {}), DELETE, modify(lambda _: rddb.DELETE)]),
    "conflicts": ([], [put(), put(), put(7), update(7), DELETE, update(None), put(1, expected_version=1)]),
    "conditions": (
        [],
        [
            put(ConditionExpression=Attr("n").exists()),
            put(),
            update(1, ConditionExpression="n > :one"),
            update(2, ConditionExpression=Attr("n").eq(1)),
        ],
    ),
    "bad input": (
        [],
        [
            put("x"),
            update("1"),
            update(1.5),
            ("delete_item", {"Key": KEY}),
            modify(lambda _: None),
            modify(lambda _: 5),
            modify(5),
            modify(max_attempts=0),
            modify(lambda _: {"pk": "b"}),
            ("batch_writer", {}),
        ],
    ),
    "a lost reply to a put": ([lose("PutItem")], [put(), put(1), GET]),
    "a lost reply to a put that failed": ([faults.LoseReply(operations={"PutItem"}, every=2)], [put(), put(), GET]),
    "a lost reply to an update": ([lose("UpdateItem")], [put(), update(1, ReturnValues="ALL_NEW"), GET]),
    "a lost reply to a delete": ([lose("DeleteItem")], [put(), put(1), DELETE]),
    "a lost reply to modify": ([lose("PutItem", "TransactWriteItems")], [modify(), modify(), GET]),
    "lost replies without end": ([faults.LoseReply(operations={"PutItem", "TransactWriteItems"})], [put(), modify()]),
    "throttled": ([faults.Throttle(times=2)], [put(), modify()]),
    "transactions in conflict": (
        [faults.CancelTransaction(reasons=["TransactionConflict"])],
        [put(), modify(max_attempts=2)],
    ),
    "equal content": ([], [put(), modify(lambda item: item), GET]),
}


def outcome(error):
    facts = getattr(error, "resilience", None)
    kept = None if facts is None else (facts.kind, facts.attempts, facts.ambiguous, facts.stopped_by, facts.operation)
    lost = type(error).__name__ in ("ConnectionClosedError", "EndpointConnectionError")
    name, text = ("connection lost", "") if lost else (type(error).__name__, str(error))
    more = (getattr(error, "expected", None), getattr(error, "current", None))
    response = dict(error.response) if isinstance(error, ClientError) else {}
    response.pop("ResponseMetadata", None)
    return "raised", name, text, more, response, kept


def unmarked(value):
    """Leave out what is different in every run: the marks."""
    if isinstance(value, dict):
        return {name: unmarked(member) for name, member in value.items() if name != "_wt"}
    if isinstance(value, (list, tuple)):
        return [unmarked(member) for member in value]
    return value


async def play(world, scenario, made, write_token):
    plan, steps = scenario
    for item in world.direct.scan()["Items"]:
        world.direct.delete_item(Key={"pk": item["pk"]})
    table = await made if inspect.iscoroutine(made) else made
    docs = table.versioned(write_token=write_token)
    world.proxy.plan = plan
    world.proxy.clear()
    before = len(world.clock.waits)
    results = []
    for verb, params in steps:
        try:
            answer = operator.attrgetter(verb)(docs)(**params)
            answer = await answer if inspect.isawaitable(answer) else answer
            metadata = (answer or {}).pop("ResponseMetadata", {})
            kept = {key: metadata[key] for key in ("HTTPStatusCode", "Resilience") if key in metadata}
            results.append(("returned", answer, kept))
        except Exception as error:  # noqa: BLE001 - whatever it is, the twin has to raise it too
            results.append(outcome(error))
    requests = [(seen.operation, seen.fault, seen.status, seen.forwarded) for seen in world.proxy.seen]
    return unmarked([results, requests, world.clock.waits[before:], world.stored()])


@pytest.mark.parametrize("write_token", [None, "_wt"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_both_versioned_tables_do_the_same(world, name, write_token):
    theirs = await play(world, SCENARIOS[name], world.sync_table(random=random.Random(7)), write_token)
    ours = await play(world, SCENARIOS[name], world.table(random=random.Random(7)), write_token)
    for mine, expected in zip(ours, theirs, strict=True):
        assert repr(mine).replace("Async", "") == repr(expected)


async def test_an_async_change(world):
    docs = (await world.table()).versioned()

    async def change(item):
        await asyncio.sleep(0)
        return add_one(item)

    assert (await docs.modify(KEY, change))["n"] == 1
    assert (await docs.modify(KEY, functools.partial(change)))["n"] == 2


async def test_the_exception_is_the_clients_own_and_says_what_there_is(world):
    docs = (await world.table()).versioned()
    world.direct.put_item(Item={"pk": "a", "version": 4})
    with pytest.raises(docs.meta.client.exceptions.ConditionalCheckFailedException) as caught:
        await docs.delete_item(Key=KEY, expected_version=3)
    assert isinstance(caught.value, rddb.VersionConflictError)
    assert (caught.value.expected, caught.value.current) == (3, {"pk": "a", "version": 4})


async def test_a_verb_that_was_not_awaited_says_so(world):
    docs = (await world.table()).versioned()
    pending = docs.update_item(Key=KEY, expected_version=1)
    with pytest.raises(TypeError, match=r"await table\.update_item"):
        pending["Attributes"]


@pytest.mark.parametrize("write_token", [None, "_wt"])
def test_a_module_level_table_over_several_loops(world, write_token):
    table = aio.table(world.name, endpoint_url=world.proxy.endpoint_url, policy=world.policy(), **ACCESS)
    docs = table.versioned(write_token=write_token)

    async def contend():
        world.direct.put_item(Item={"pk": "b", "version": 1})
        with pytest.raises(rddb.VersionConflictError) as caught:
            await docs.put_item(Item={"pk": "b"})
        assert isinstance(caught.value, table.meta.client.exceptions.ConditionalCheckFailedException)
        rivals = [{"pk": "a", "n": 10, "version": 50}]

        async def change(item):
            if rivals:
                world.direct.put_item(Item=rivals.pop())
            return add_one(item)

        return await docs.modify(KEY, change)

    for _ in range(3):
        changed = asyncio.run(contend())
        assert (changed["n"], changed["version"]) == (11, 51)
        world.direct.delete_item(Key=KEY)


async def test_a_task_that_is_cancelled_in_modify_writes_nothing(world):
    docs = (await world.table()).versioned()
    begun = asyncio.Event()

    async def change(item):
        begun.set()
        await asyncio.sleep(60)
        return add_one(item)

    task = asyncio.create_task(docs.modify(KEY, change))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.stored() is None
    assert (await docs.modify(KEY, add_one))["n"] == 1


EXPIRED = {
    "a new item": [put(), put(1), GET, ("get_item", {"Key": KEY})],
    "modify": [modify(), GET, modify()],
    "an item without a version": [put(expected_version=None), GET],
    "conditions": [put(ConditionExpression=Attr("n").eq(0)), put(ConditionExpression=Attr("n").eq(5)), GET],
}


@pytest.mark.parametrize("write_token", [None, "_wt"])
@pytest.mark.parametrize("name", EXPIRED)
async def test_both_put_in_the_place_of_an_expired_item(world, name, write_token):
    there = {**KEY, "version": 7, "n": 5, "exp": 5}
    scenario = [], [("table.put_item", {"Item": there}), *EXPIRED[name]]
    options = {"options": {"ttl": "exp"}, "random": random.Random(7)}
    theirs = await play(world, scenario, world.sync_table(**options), write_token)
    ours = await play(world, scenario, world.table(**options), write_token)
    for mine, expected in zip(ours, theirs, strict=True):
        assert repr(mine).replace("Async", "") == repr(expected)
    assert world.stored()["version"] > 7


def test_a_module_level_table_puts_in_the_place_of_an_expired_item(world):
    docs = aio.table(
        world.name, ttl="exp", endpoint_url=world.proxy.endpoint_url, policy=world.policy(), **ACCESS
    ).versioned()
    with pytest.raises(ValueError, match="attribute must be another attribute than the table's TTL; got 'exp'"):
        docs.table.versioned("exp")
    for change in (docs.put_item(Item=KEY), docs.modify(KEY, lambda item: item or {})):
        world.direct.put_item(Item={**KEY, "version": 7, "exp": 5})
        asyncio.run(change)
        assert world.stored() == {**KEY, "version": 8}


@pytest.mark.parametrize("write_token", [None, "_wt"])
async def test_tasks_that_increment_one_item_lose_and_double_nothing(world, write_token):
    world.proxy.plan = [faults.LoseReply(rate=0.05)]
    patient = rddb.Timeouts(connect=30.0, read=30.0)
    policy = rddb.Policy(timeouts=patient, retry_budget=None, circuit_breaker=None, retry=rddb.Retry(max_delay=0.5))
    config = Config(max_pool_connections=50)
    ended = Counter()
    async with aio.resource(
        "dynamodb", endpoint_url=world.proxy.endpoint_url, policy=policy, config=config, **ACCESS
    ) as dynamodb:
        docs = (await dynamodb.Table(world.name)).versioned(write_token=write_token)

        async def increment():
            try:
                await docs.modify(KEY, add_one, max_attempts=200)
            except Exception as error:  # noqa: BLE001 - counted
                ended["ambiguous" if error.resilience.ambiguous else type(error).__name__] += 1
            else:
                ended["returned"] += 1

        await asyncio.gather(*(increment() for _ in range(50)))
    assert world.stored()["n"] == world.stored()["version"] == ended["returned"]
    assert ended == {"returned": 50}


async def test_an_idempotent_update_is_applied_once(world):
    table = await world.table()
    world.proxy.plan = [faults.LoseReply(times=2)]
    await table.idempotent_update(Key=KEY, **ADD)
    assert world.proxy.count("TransactWriteItems") == 3
    assert world.stored() == {"pk": "a", "n": 1}
    with pytest.raises(ValueError, match="ReturnValues can't be had"):
        await table.idempotent_update(Key=KEY, **ADD, ReturnValues="ALL_NEW")


async def test_a_failed_condition_of_an_idempotent_update_is_told_as_everywhere(world):
    table = await world.table()
    world.direct.put_item(Item={**KEY, "n": 1})
    conditional = table.meta.client.exceptions.ConditionalCheckFailedException
    with pytest.raises(conditional) as caught:
        await table.idempotent_update(
            Key=KEY, **ADD, ConditionExpression=Attr("n").not_exists(), ReturnValuesOnConditionCheckFailure="ALL_OLD"
        )
    assert caught.value.response["Item"] == {"pk": {"S": "a"}, "n": {"N": "1"}}
    assert "TransactionCanceledException" in str(caught.value.__cause__)
    assert caught.value.resilience == caught.value.__cause__.resilience


def test_an_idempotent_update_on_a_module_level_table(world):
    table = aio.table(world.name, endpoint_url=world.proxy.endpoint_url, policy=world.policy(), **ACCESS)

    async def add():
        await table.idempotent_update(Key=KEY, **ADD)

    for _ in range(2):
        asyncio.run(add())
    assert world.stored()["n"] == 2
