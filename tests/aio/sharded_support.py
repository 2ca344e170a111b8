"""What the tests of sharded tables share: calls of either library, and faults of one shard."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from boto3.dynamodb.conditions import Key

from resilient_ddb.testing import faults

ALL = {"KeyConditionExpression": Key("pk").eq("a")}
SET = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": 7}}


async def done(answer):
    if hasattr(answer, "__aiter__"):
        return [item async for item in answer]
    if isinstance(answer, Iterator):
        return list(answer)
    return await answer if inspect.isawaitable(answer) else answer


def operations(world):
    return [seen.operation for seen in world.proxy.seen if seen.operation != "DescribeTable"]


@dataclass(frozen=True, kw_only=True)
class ThrottleShards(faults.Throttle):
    """Throttle the queries of some stored keys."""

    stored: frozenset = frozenset()

    def matches(self, call):
        values = call.params.get("ExpressionAttributeValues") or {}
        return super().matches(call) and values.get(":rddb_shard", {}).get("S") in self.stored
