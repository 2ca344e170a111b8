"""Many keys, many partition keys, and whole tables: what is given, and what is left over."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from boto3.dynamodb.conditions import Key

import resilient_ddb as rddb
from resilient_ddb import aio


def prices(orders: rddb.Table, names: list[str]) -> dict[str, Decimal]:
    found = orders.get_items(({"id": name} for name in names), read_units_per_second=100, ConsistentRead=True)
    got = {item["id"]: item["price"] for item in found}
    missing: list[Any] = [key["id"] for key in found.missing]
    assert not missing
    return got


def newest(orders: rddb.Table, customer: str) -> Iterator[dict[str, Any]]:
    return orders.query_items(
        KeyConditionExpression=Key("customer").eq(customer),
        ScanIndexForward=False,
        IndexName="by_customer",
        max_items=10,
    )


def export(orders: rddb.Table) -> int:
    states: list[dict[str, Any]] = []
    with orders.parallel_scan(4, read_units_per_second=rddb.RateLimiter(100), on_page=states.append, Limit=50) as scan:
        return sum(1 for _ in scan)


def of_days(events: rddb.Table, days: list[str]) -> list[dict[str, Any]]:
    page = events.query_many(days, IndexName="by_day", Limit=20, on_shard_error="skip")
    missing = rddb.response_info(page).missing_shards
    return [] if missing else list(events.query_many_items(days, IndexName="by_day", max_items=20))


async def main() -> None:
    orders: aio.Table = aio.table("orders")
    found = orders.get_items([{"id": "o-1"}])
    names = [item["id"] async for item in found]
    names += [item["id"] async for item in orders.scan_items(max_items=3, ProjectionExpression="id")]
    async with orders.parallel_scan("auto") as scan:
        names += [item["id"] async for item in scan]
    page = await orders.query_many(names)
    assert page["Count"] == len(found.missing)
