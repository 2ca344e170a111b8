"""Expired items on the async Table: one script through it and the sync one, and what is the async one's own."""

import asyncio
import inspect
import logging

import pytest
from aio_support import ACCESS
from boto3.dynamodb.conditions import Attr, Key
from botocore.config import Config
from botocore.exceptions import ClientError
from ttl_support import described_as
from wire_stub import WireStub

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.aio import large_pages
from resilient_ddb.codec import responses
from resilient_ddb.testing import FakeClock, faults

NOW = int(FakeClock().time())
ONE = rddb.Retry(max_attempts=1)
TTL = {"ttl": "exp"}
HOW = ["codec", "botocore", "boto3"]


def keys(items):
    return {item["pk"] for item in items}


def listen(table, how):
    events = table.meta.client.meta.events
    if how == "botocore":
        events.register_first("after-call.dynamodb", lambda **_: None)
    elif how == "boto3":
        events.register_last("before-parse.dynamodb", lambda **_: None)


@pytest.fixture
def filled(world):
    world.direct.put_item(Item={"pk": "live", "exp": NOW + 60, "n": 1})
    world.direct.put_item(Item={"pk": "past", "exp": NOW, "n": 1})
    world.direct.put_item(Item={"pk": "text", "exp": "1", "n": 1})
    return world


def script(name):
    """Return calls of every kind, the same for both Tables."""
    gets = [{"Get": {"TableName": name, "Key": {"pk": key}, "ProjectionExpression": "n"}} for key in ("past", "live")]
    batch = {name: {"Keys": [{"pk": "live"}, {"pk": "past"}], "ProjectionExpression": "pk"}}
    yield "table", "get_item", {"Key": {"pk": "past"}}
    yield "table", "get_item", {"Key": {"pk": "live"}, "ProjectionExpression": "n"}
    yield "table", "get_item", {"Key": {"exp": 1}}
    yield "table", "scan", {}
    yield "table", "scan", {"Select": "COUNT", "FilterExpression": Attr("n").eq(1)}
    yield "table", "scan", {"FilterExpression": "n = :n", "ExpressionAttributeValues": {":n": 1}, "AttributesToGet": []}
    yield "table", "query", {"KeyConditionExpression": Key("pk").eq("past")}
    yield "table", "query", {"KeyConditionExpression": Key("pk").eq("a"), "IndexName": "absent"}
    yield "client", "batch_get_item", {"RequestItems": batch}
    yield "client", "transact_get_items", {"TransactItems": gets}
    yield "table", "delete_item", {"Key": {"exp": 1}}
    yield "table", "put_item", {"Item": {"pk": "new"}, "ttl_seconds": 60}
    yield "table", "put_item", {"Item": {"pk": "new"}, "ttl_seconds": 0}
    yield "table", "put_item", {"Item": {"pk": "new", "exp": NOW * 1000}}
    yield "table", "put_item", {"Item": {"pk": "new", "exp": NOW + 0.5}}
    yield "table", "put_item", {"Item": {"pk": "new"}, "ConditionExpression": absent("past")}
    yield "table", "put_item", {"Item": {"pk": "past"}, "ConditionExpression": absent("pk")}
    yield "outage", None, None
    yield "table", "scan", {}
    yield "table", "get_item", {"Key": {"pk": "live"}, "ProjectionExpression": "n"}


def absent(key):
    return rddb.ttl.absent_or_expired(key, ttl="exp", clock=FakeClock())


async def play(world, table):
    results = []
    for target, verb, params in script(world.name):
        if target == "outage":
            world.proxy.plan = [faults.ServerError()]
            world.clock.advance(60)
            continue
        try:
            answer = getattr(table if target == "table" else table.meta.client, verb)(**params)
            answer = await answer if inspect.isawaitable(answer) else answer
            metadata = answer.pop("ResponseMetadata")
            results.append((answer, metadata.get("Resilience")))
        except Exception as error:  # noqa: BLE001 - whatever it is, the twin has to raise it too
            results.append((type(error).__name__, str(error), error.__notes__))
    return results


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("where", ["client", "server"])
async def test_both_tables_do_the_same(filled, how, where):
    options = {"ttl": rddb.TimeToLive("exp", filter=where)}
    seen, results = [], []
    for make in (filled.sync_table, filled.table):
        settings = {"retry": ONE, "circuit_breaker": None, "fallback": rddb.fallback.stale()}
        filled.clock = FakeClock()
        table = make(**settings, clock=filled.clock, options=options)
        table = await table if inspect.iscoroutine(table) else table
        listen(table, how)
        filled.proxy.plan = []
        filled.proxy.clear()
        filled.direct.put_item(Item={"pk": "past", "exp": NOW, "n": 1})
        filled.direct.delete_item(Key={"pk": "new"})
        results.append(await play(filled, table))
        seen.append([(request.operation, request.status) for request in filled.proxy.seen])
    assert results[0] == results[1]
    assert seen[0] == seen[1]
    assert results[1][0] == ({}, None)
    assert results[1][1] == ({"Item": {"n": 1}}, None)
    assert keys(results[1][3][0]["Items"]) >= {"live", "text"}
    assert results[1][-1] == ({}, {"stale": True, "age": 60.0})


@pytest.mark.parametrize("how", HOW)
async def test_large_pages_leave_them_out(world, how, monkeypatch):
    for number in range(12):
        world.direct.put_item(Item={"pk": str(number), "exp": NOW + number % 2, "text": "x" * 30_000})
    monkeypatch.setattr(responses, "STEP_BYTES", 1)
    for module in (responses, large_pages):
        assert module.LARGE_BYTES < 300_000
    table = await world.table(options=TTL)
    listen(table, how)
    answer = await table.scan()
    assert keys(answer["Items"]) == {str(number) for number in range(1, 12, 2)}
    assert (answer["Count"], answer["ScannedCount"]) == (6, 12)


async def test_no_put_waits_long_for_the_table_to_be_described(filled, monkeypatch):
    monkeypatch.setattr("resilient_ddb.ttl.table._SOON_SECONDS", 1.0)  # as it is
    filled.proxy.plan = [faults.Throttle(operations={"DescribeTable"})]
    table = await filled.table(options=TTL)
    began = filled.clock.monotonic()
    for number in range(3):
        await table.put_item(Item={"pk": f"new-{number}", "exp": NOW + 60})
    assert filled.clock.monotonic() - began <= 1.0
    assert 0 < filled.proxy.count("DescribeTable") < 10
    asked = filled.proxy.count("DescribeTable")
    await table.put_item(Item={"pk": "new", "exp": NOW + 60})
    assert filled.proxy.count("DescribeTable") == asked


async def test_times_do_not_hide_from_a_batch_what_its_items_weigh(filled):
    table = await filled.table(options=TTL)
    async with table.batch_writer() as batch:
        await batch.put_item(Item={"pk": "a", "exp": NOW + 10.5, "text": "x" * 20_000})
    assert batch.report.consumed_units == 20


async def test_items_are_iterated(filled):
    table = await filled.table(options=TTL)
    assert {item["pk"] async for item in table.scan_items(Limit=1)} == {"live", "text"}
    query = {"KeyConditionExpression": Key("pk").eq("live")}
    assert [item["pk"] async for item in table.query_items(max_items=5, **query)] == ["live"]
    filled.proxy.clear()
    items = table.scan_items(max_items=1)
    assert filled.proxy.count() == 0
    assert (await anext(items))["pk"] in ("live", "text")
    await items.aclose()
    with pytest.raises(TypeError):
        iter(table.scan_items())
    with pytest.raises(ValueError, match="max_items must be 1 or more"):
        table.scan_items(max_items=0)


async def test_paginators_leave_them_out(filled):
    table = await filled.table(options=TTL)
    paginator = table.meta.client.get_paginator("scan")
    pages = [page async for page in paginator.paginate(TableName=filled.name, PaginationConfig={"PageSize": 1})]
    assert keys(item for page in pages for item in page["Items"]) == {"live", "text"}


def test_a_table_for_module_scope_takes_the_options(filled):
    table = aio.table(
        filled.name,
        endpoint_url=filled.proxy.endpoint_url,
        policy=filled.policy(),
        **ACCESS,
        ttl=rddb.TimeToLive("auto", skew=1),
    )
    for _ in range(2):  # two event loops, one lookup
        assert keys(asyncio.run(table.scan())["Items"]) == {"live", "past", "text"}
    assert [seen.operation for seen in filled.proxy.seen].count("DescribeTimeToLive") == 1
    named = aio.table(filled.name, endpoint_url=filled.proxy.endpoint_url, policy=filled.policy(), **ACCESS, **TTL)
    assert keys(asyncio.run(named.scan())["Items"]) == {"live", "text"}
    assert table.__reduce__()[1][1]["ttl"] == {filled.name: rddb.TimeToLive("auto", skew=1)}
    assert named.__reduce__()[1][1]["ttl"] == {filled.name: rddb.TimeToLive("exp")}


@pytest.mark.parametrize("make", [aio.table, lambda *args, **options: asyncio.run(opened(*args, **options))])
def test_options_that_can_not_be_meant_are_refused_at_once(make):
    with pytest.raises(TypeError, match=r"'ttl_filter'; did you mean ttl=TimeToLive\('expires_at', filter=...\)\?"):
        make("orders", ttl="exp", ttl_filter="server", **ACCESS)
    with pytest.raises(TypeError, match="mapping is for a resource"):
        make("orders", ttl={"orders": "exp"}, **ACCESS)
    with pytest.raises(TypeError, match="ttl must be the name of an attribute"):
        make("orders", ttl=5, **ACCESS)


async def opened(name, region_name=None, aws_access_key_id=None, aws_secret_access_key=None, **options):
    async with aio.resource("dynamodb", **ACCESS) as dynamodb:
        dynamodb.Table(name, **options)


async def test_options_are_in_the_recipe_of_an_opened_table(filled):
    table = await filled.table(options={"ttl": rddb.TimeToLive("exp", filter="server")})
    recipe = table.__reduce__()[1][1]
    assert recipe["ttl"] == {filled.name: rddb.TimeToLive("exp", filter="server")}


async def test_an_attribute_that_may_not_be_looked_up_is_an_error(filled):
    filled.proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"DescribeTimeToLive"})]
    table = await filled.table(options={"ttl": "auto"}, fallback=rddb.fallback.response({"Item": {"pk": "?"}}))
    with pytest.raises(ClientError, match="AccessDeniedException") as raised:
        await table.get_item(Key={"pk": "live"})
    assert "name the attribute, as in ttl='expires_at'" in "\n".join(raised.value.__notes__)


async def test_a_ttl_that_was_switched_off_is_noticed_and_one_that_can_not_be_looked_up_stays(filled):
    filled.proxy.plan = [described_as("ENABLED", "exp")]
    table = await filled.table(options={"ttl": "auto"})
    assert "Item" not in await table.get_item(Key={"pk": "past"})
    filled.proxy.plan = [faults.Throttle(operations={"DescribeTimeToLive"})]
    filled.clock.advance(301)
    assert "Item" not in await table.get_item(Key={"pk": "past"})
    filled.proxy.plan = [described_as("DISABLED", "exp")]
    filled.clock.advance(301)
    found = await asyncio.gather(*(table.get_item(Key={"pk": "past"}) for _ in range(5)))
    assert all(each["Item"]["pk"] == "past" for each in found)
    assert filled.proxy.seen[-6].operation == "DescribeTimeToLive"  # one, for all five


async def test_a_replicas_answer_is_looked_through(filled, caplog):
    replica = rddb.fallback.replica(ACCESS["region_name"], endpoint_url=filled.upstream)
    table = await filled.table(options=TTL, retry=ONE, circuit_breaker=None, fallback=replica)
    filled.proxy.plan = [faults.ServerError()]
    filled.direct.put_item(Item={"pk": "milliseconds", "exp": NOW * 1000})
    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        answer = await table.scan(ProjectionExpression="pk")
    assert sorted(answer["Items"], key=str) == [{"pk": key} for key in ("live", "milliseconds", "text")]
    assert answer["ResponseMetadata"]["Resilience"] == {"replica": ACCESS["region_name"]}
    assert "looks like milliseconds" in caplog.text


@pytest.mark.parametrize("fast_path", [True, False])
async def test_without_the_sdks_validation_an_item_expires_too_or_is_not_written(fast_path):
    options = {"config": Config(parameter_validation=False), **ACCESS}
    options["policy"] = rddb.Policy(clock=FakeClock(), fast_path=fast_path)
    with WireStub(lambda *_: {}) as stub:
        async with aio.table("t", endpoint_url=stub.endpoint_url, **options, **TTL) as table:
            for _ in range(3):  # the first call is botocore's in any case
                await table.put_item(Item={"pk": "a"}, ttl_seconds=60)
        assert [sent["Item"]["exp"] for sent in stub.named("PutItem")] == [{"N": str(NOW + 60)}] * 3
        async with aio.table("t", endpoint_url=stub.endpoint_url, **options) as plain:
            for _ in range(3):
                with pytest.raises(KeyError) as raised:
                    await plain.put_item(Item={"pk": "a"}, ttl_seconds=60)
                assert "ttl_seconds is for put_item, on a Table that was made with ttl=..." in raised.value.__notes__
        assert len(stub.named("PutItem")) == 3
