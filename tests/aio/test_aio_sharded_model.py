"""Sharded queries against DynamoDB Local: page by page the same items as one query without shards, sync and async."""

import inspect
import json
import time
import uuid
from decimal import Decimal
from types import SimpleNamespace

import pytest
from boto3.dynamodb.conditions import Attr, Key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resilient_ddb.sharding import RANDOM

SORT_KEYS = {
    "S": st.text("aßz\U0001f600￼", min_size=1, max_size=3),
    "N": st.integers(-50, 50) | st.decimals(-5, 5, places=2),
    "B": st.binary(min_size=1, max_size=3),
}
EXPIRES = {"past": -10_000, "future": 10_000}


@pytest.fixture(params=["S", "N", "B"])
async def tables(request, dynamodb_local, make_table, plain, hardened, hardened_sync):
    """One table three times: as it is, and with and without `ttl=` through the sync library and the async one."""

    def index(name, *sort):
        schema = [{"AttributeName": "st", "KeyType": "HASH"}, *({"AttributeName": s, "KeyType": "RANGE"} for s in sort)]
        return {"IndexName": name, "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}

    url = dynamodb_local.endpoint_url
    name = make_table(
        url,
        sort_key="sk",
        sort_type=request.param,
        AttributeDefinitions=[{"AttributeName": "st", "AttributeType": "S"}],
        GlobalSecondaryIndexes=[index("by-st", "sk"), index("by-st-only")],
    )
    theirs, ours = hardened_sync(url), await hardened(url)
    return SimpleNamespace(
        kind=request.param,
        direct=plain(url).Table(name),
        of={
            None: [theirs.Table(name), await ours.Table(name)],
            "expires": [theirs.Table(name, ttl="expires"), await ours.Table(name, ttl="expires")],
        },
    )


@st.composite
def queries(draw):
    """Draw what is asked, and how."""
    conditions = [{}, {"FilterExpression": Attr("n").lt(2)}, {"FilterExpression": "n <> :one"}]
    projections = [{}, {"ProjectionExpression": "n"}, {"ProjectionExpression": "#s, id", "names": {"#s": "sk"}}]
    return SimpleNamespace(
        shards=draw(st.integers(1, 6)),
        by=draw(st.sampled_from([None, RANDOM, "id", ("id", "n")])),
        forward=draw(st.booleans()),
        limits=draw(st.lists(st.none() | st.integers(1, 9), min_size=1, max_size=3)),
        filter=draw(st.sampled_from(conditions)),
        projection=draw(st.sampled_from(projections)),
        ttl=draw(st.sampled_from([None, "expires"])),
        index=draw(st.sampled_from([None, "by-st", "by-st-only"])),
        count=draw(st.booleans()),
        from_sort_key=draw(st.booleans()),
    )


def items_of(draw, kind, key, ttl):
    keys = draw(st.lists(SORT_KEYS[kind], max_size=25, unique_by=lambda v: Decimal(v) if kind == "N" else v))
    found = []
    for number, value in enumerate(keys):
        item = {"sk": value, "id": f"o-{number}", "n": draw(st.integers(0, 3)), "st": key}
        expiry = draw(st.sampled_from([None, *EXPIRES])) if ttl else None
        found.append({**item, "expires": int(time.time()) + EXPIRES[expiry]} if expiry else item)
    return found


def parameters(asked, key, bound):
    """Return the parameters of the query, with and without shards."""
    attribute = "st" if asked.index else "pk"
    condition = Key(attribute).eq(key)
    if asked.from_sort_key and bound is not None and asked.index != "by-st-only":
        condition &= Key("sk").gte(bound)
    params = {"KeyConditionExpression": condition, "ScanIndexForward": asked.forward, **asked.filter}
    if asked.index:
        params["IndexName"] = asked.index
    if isinstance(asked.filter.get("FilterExpression"), str):
        params["ExpressionAttributeValues"] = {":one": 1}
    if asked.count:
        return {**params, "Select": "COUNT"}
    projection = dict(asked.projection)
    names = projection.pop("names", None)
    return {**params, **projection, **({"ExpressionAttributeNames": names} if names else {})}


def unsharded(direct, params, ttl):
    """Return what one query gives, page after page."""
    if ttl:  # as the documentation of Table(ttl=...) says
        live = Attr("expires").not_exists() | Attr("expires").gt(int(time.time()))
        own = params.get("FilterExpression")
        if isinstance(own, str):
            own = Attr("n").ne(1)
            params = {name: value for name, value in params.items() if name != "ExpressionAttributeValues"}
        params = {**params, "FilterExpression": live if own is None else own & live}
    items, count, scanned = [], 0, 0
    while True:
        page = direct.query(**params)
        items, count, scanned = items + page.get("Items", []), count + page["Count"], scanned + page["ScannedCount"]
        if "LastEvaluatedKey" not in page:
            return items, count, scanned
        params = {**params, "ExclusiveStartKey": page["LastEvaluatedKey"]}


async def pages(table, asked, params):
    found, start = [], {}
    while True:
        limit = asked.limits[len(found) % len(asked.limits)]
        page = table.query(**params, **start, **({} if limit is None else {"Limit": limit}))
        found.append(await page if inspect.isawaitable(page) else page)
        assert limit is None or found[-1]["Count"] <= limit
        if "LastEvaluatedKey" not in found[-1]:
            return found
        start = {"ExclusiveStartKey": json.loads(json.dumps(found[-1]["LastEvaluatedKey"]))}


async def iterated(table, params):
    found = table.query_items(**params)
    return [item async for item in found] if hasattr(found, "__aiter__") else list(found)


def same(found, expected, asked):
    """Compare in order; without a sort key there is none."""
    if asked.index == "by-st-only":
        return sorted(map(repr, found)) == sorted(map(repr, expected))
    return found == expected


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data(), asked=queries())
async def test_the_same_items_as_without_shards(tables, data, asked):
    key, reference = uuid.uuid4().hex, uuid.uuid4().hex
    items = items_of(data.draw, tables.kind, key, asked.ttl)
    with tables.direct.batch_writer() as batch:
        for item in items:
            batch.put_item(Item={**item, "pk": reference, "st": reference})
    bound = data.draw(st.sampled_from(items))["sk"] if items else None
    expected, count, scanned = unsharded(tables.direct, parameters(asked, reference, bound), asked.ttl)
    expected = [{**i, **{name: key for name in ("pk", "st") if name in i}} for i in expected]
    options = {"shards": asked.shards, "by": asked.by, "key": "st" if asked.index else None}
    theirs, ours = (table.sharded(**options) for table in tables.of[asked.ttl])
    with theirs.batch_writer() as batch:
        for item in items:
            batch.put_item(Item={**item, "pk": key})
    params = parameters(asked, key, bound)
    for table in (theirs, ours):
        found = await pages(table, asked, params)
        assert sum(page["Count"] for page in found) == count
        if asked.count:
            assert asked.ttl or sum(page["ScannedCount"] for page in found) == scanned
            continue
        assert same([item for page in found for item in page["Items"]], expected, asked)
        assert same(await iterated(table, params), expected, asked)
