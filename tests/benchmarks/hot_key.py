"""A hot key: 5,000 writes a second offered to one partition key, as it is and with ten shards.

`python -m tests.benchmarks.hot_key` prints the share that is throttled. Time is simulated: the writes go through the
whole client, each with one attempt, and are answered in this process by FaultProxy's `PartitionCapacity` (1,000 write
units a second for each partition, of which a second's worth is saved up) as if they came 0.2 ms after each other.
"""

from __future__ import annotations

import io
import json
import random
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

import resilient_ddb as rddb
from resilient_ddb.sharding import RANDOM
from resilient_ddb.testing import faults
from resilient_ddb.testing.calls import Call

WRITES_A_SECOND, SECONDS, SHARDS = 5_000, 6, 10
_ACCESS = {"region_name": "eu-west-1", "aws_access_key_id": "stub", "aws_secret_access_key": "stub"}
_POLICY = rddb.Policy(retry=rddb.Retry(max_attempts=1), circuit_breaker=None, random=random.Random(1))
_KEYS = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()


class Partitions:
    """Answers writes at the time that it is told."""

    def __init__(self) -> None:
        """Begin with rested partitions."""
        self.now = 0.0
        self._act = faults.PartitionCapacity(partition_key="pk").fresh()

    def __call__(self, request: Any, **_: Any) -> AWSResponse:
        """Answer a request."""
        target = request.headers["X-Amz-Target"]
        operation = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        if operation == "DescribeTable":
            return _answered(request, 200, {"Table": {"TableName": "t", "KeySchema": _KEYS}})
        if self._act(Call(operation=operation, params=json.loads(request.body), at=self.now)) is None:
            return _answered(request, 200, {})
        code = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
        return _answered(request, 400, {"__type": code, "message": "too many writes for one partition"})


def _answered(request: Any, status: int, body: dict[str, Any]) -> AWSResponse:
    headers = {"content-type": "application/x-amz-json-1.0"}
    return AWSResponse(request.url, status, headers, _Raw(json.dumps(body).encode()))


def throttled(shards: int | None, seconds: float = SECONDS) -> float:
    """Return the share of the writes that was throttled; `None`: the key as it is."""
    dynamodb = rddb.resource("dynamodb", policy=_POLICY, **_ACCESS)
    partitions = Partitions()
    dynamodb.meta.client.meta.events.register("before-send.dynamodb", partitions)
    table: Any = dynamodb.Table("t")
    docs = table if shards is None else table.sharded(shards, by=RANDOM)
    offered, refused = int(seconds * WRITES_A_SECOND), 0
    for number in range(offered):
        partitions.now = number / WRITES_A_SECOND
        try:
            docs.put_item(Item={"pk": "hot", "sk": f"{number:08}"})
        except ClientError:
            refused += 1
    return refused / offered


def main() -> None:
    """Print both."""
    print(f"{WRITES_A_SECOND} writes/s offered to one key for {SECONDS} simulated seconds:")
    for shards in (None, SHARDS):
        print(f"{'unsharded' if shards is None else f'shards={shards}'}: {throttled(shards):.1%} throttled")


if __name__ == "__main__":
    main()
