"""Hot keys spread over shards, sync and async, and a layout that is shared."""

from collections.abc import Sequence
from typing import Any

from boto3.dynamodb.conditions import Key

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.sharding import RANDOM, ReshardReport, time_buckets

dynamodb = rddb.resource("dynamodb")
events: rddb.ShardedTable = dynamodb.Table("events").sharded(10)
views = dynamodb.Table("views").sharded(4, by=RANDOM)
layout = rddb.ShardLayout(32, by="order_id", previous=(10,), separator="#")


def first(items: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    return items[0] if items else None


orders = dynamodb.Table("orders").sharded(layout, on_shard_error="skip", on_unknown_shard="raise", on_duplicate=first)
by_tenant = dynamodb.Table("events").sharded({"whale": 16})
key: str = layout.stored_key("shop", {"order_id": "o-1"})
shard: int | None = layout.shard_of("shop", {"order_id": "o-1"})

events.put_item(Item={"tenant": "acme", "at": "2026-11-21"}, ReturnConsumedCapacity="TOTAL")
events.idempotent_update(
    Key={"tenant": "acme", "at": "017"}, UpdateExpression="ADD n :by", ExpressionAttributeValues={":by": 1}
)
page = events.query(KeyConditionExpression=Key("tenant").eq("acme"), Limit=3)
numbers = [item["n"] for item in page["Items"]]
newest = list(events.query_items(KeyConditionExpression=Key("tenant").eq("acme"), max_items=4))
response = events.query_many(["acme", "shop"], on_shard_error="raise")
left_out = rddb.response_info(response).missing_shards
report: ReshardReport = orders.reshard(["whale"], write_units_per_second=100)
print(report.moved, report.occupied, events.item_count, events.name, time_buckets)
locked = orders.versioned()
locked.update_item({"tenant": "acme", "at": "2026-11-21"}, expected_version=3)


async def main(table: aio.Table) -> list[dict[str, Any]]:
    sharded = table.sharded(10, by=("tenant", "at"))
    await sharded.put_item({"tenant": "acme", "at": "2026-11-21"})
    await sharded.delete_item({"tenant": "acme", "at": "2026-11-21"})
    async with sharded.batch_writer() as batch:
        await batch.put_item({"tenant": "acme", "at": "2026-11-22"})
    return [item async for item in sharded.query_items(KeyConditionExpression=Key("tenant").eq("acme"))]
