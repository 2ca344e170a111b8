"""Answers when DynamoDB has none: stale ones, other regions, functions."""

from typing import Any

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.fallback import Call


def from_cache(call: Call, error: Exception) -> dict[str, Any] | None:
    if call.operation != "GetItem":
        return None
    return {"Item": {"id": call.params["Key"]["id"], "price": 0, "because": str(error)}}


async def from_elsewhere(call: Call, error: Exception) -> dict[str, Any] | None:
    return from_cache(call, error) if call.is_read else None


def into_the_queue(call: Call, error: Exception) -> dict[str, Any] | None:
    print(call.operation, error)
    return {}


policy = rddb.Policy(fallback=rddb.fallback.stale(max_age=60) | rddb.fallback.replica("eu-west-2") | from_cache)
dynamodb = rddb.resource("dynamodb", policy=policy)
prices = dynamodb.Table("prices")
queued = dynamodb.Table("orders", policy=policy.replace(fallback=rddb.fallback.function(into_the_queue, writes=True)))
fixed = dynamodb.Table("settings", policy=policy.replace(fallback=rddb.fallback.response({"Item": {"id": "a"}})))

answer = prices.get_item(Key={"id": "tea"})
info: rddb.ResponseInfo = rddb.response_info(answer)
if info.source != "dynamodb" and (info.age or 0.0) > 30:
    print("shown as it was a while ago")


async def main() -> str:
    table = aio.table("prices", policy=rddb.Policy(fallback=from_elsewhere))
    response = await table.get_item(Key={"id": "tea"})
    return rddb.response_info(response).source
