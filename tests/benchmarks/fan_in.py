"""What a fan-in over ten shards takes: time, next to a query of one shard, and memory, over a million items.

`PYTHONPATH=.:tests python -m tests.benchmarks.fan_in` prints both. For the time, a stub in a process of its own answers
each query after 5 ms with the same ten items of 0.9 KB. For the memory, queries are answered in this process, in pages
of 1,000 items.
"""

from __future__ import annotations

import asyncio
import io
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boto3.dynamodb.conditions import Key
from botocore.awsrequest import AWSResponse

import resilient_ddb as rddb
from resilient_ddb.sharding import RANDOM

from . import items
from .stub import Stub, response

SHARDS, DELAY = 10, 0.005
ITEMS_A_SHARD, ITEMS_A_PAGE = 100_000, 1_000
_ITEMS_OF_STUB = 10
_ROUNDS = 200
_ACCESS = {"region_name": "eu-west-1", "aws_access_key_id": "stub", "aws_secret_access_key": "stub"}
_WHOLE = {"KeyConditionExpression": Key("pk").eq("a")}


# Time.


def serve() -> None:
    """Run the stub."""
    page = [items.typed(items.native(number)) for number in range(_ITEMS_OF_STUB)]
    body = {"Items": page, "Count": len(page), "ScannedCount": len(page)}
    stub = Stub(DELAY, {"Query": response(items.encode(body))})
    print(stub.port, flush=True)
    stub.serve()


@contextmanager
def served() -> Iterator[str]:
    """Return the address of a stub that runs meanwhile."""
    command = [sys.executable, "-m", "tests.benchmarks.fan_in", "stub"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the stub has no pipes")
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.stdin.close()
        process.wait()


def with_threads(url: str, rounds: int = _ROUNDS) -> dict[str, float]:
    """Return the median seconds of a query of one shard, and of ten."""
    table = rddb.table(items.TABLE, endpoint_url=url, **_ACCESS)
    docs = table.sharded(SHARDS, by=RANDOM)
    calls: dict[str, Callable[[], Any]] = {"one": lambda: table.query(**_WHOLE), "ten": lambda: docs.query(**_WHOLE)}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 20):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if turn >= 20:  # by then connections are open
                taken[name].append(time.perf_counter() - started)
    return _medians(taken)


async def with_tasks(url: str, rounds: int = _ROUNDS) -> dict[str, float]:
    """Return the same for the async Table."""
    from resilient_ddb import aio  # noqa: PLC0415 - the rest is for where aiobotocore is missing, too

    async with aio.resource("dynamodb", endpoint_url=url, **_ACCESS) as dynamodb:
        table = await dynamodb.Table(items.TABLE)
        docs = table.sharded(SHARDS, by=RANDOM)
        calls: dict[str, Callable[[], Any]] = {
            "one": lambda: table.query(**_WHOLE),
            "ten": lambda: docs.query(**_WHOLE),
        }
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(rounds + 20):
            for name, call in calls.items():
                started = time.perf_counter()
                await call()
                if turn >= 20:
                    taken[name].append(time.perf_counter() - started)
        return _medians(taken)


def _medians(taken: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of each, and that of its fastest fifth: of what a busy machine disturbed least."""
    found = {name: statistics.median(times) for name, times in taken.items()}
    return {**found, **{f"least {name}": statistics.median(sorted(t)[: len(t) // 5]) for name, t in taken.items()}}


# Memory.


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()


class Endless:
    """Answers queries in this process: each shard has so many items, in pages."""

    def __init__(self, count: int) -> None:
        """Begin with `count` items a shard."""
        self.count = count
        self.read = 0

    def __call__(self, request: Any, **_: Any) -> AWSResponse:
        """Answer a request."""
        asked = json.loads(request.body)
        if "KeyConditionExpression" not in asked:  # DescribeTable
            keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
            return _answered(request, {"Table": {"TableName": "t", "KeySchema": keys}})
        key = asked["ExpressionAttributeValues"][":rddb_shard"]["S"]
        shard = int(key.partition("#")[2])
        start = asked.get("ExclusiveStartKey")
        first = 0 if start is None else (int(start["sk"]["N"]) - shard) // SHARDS + 1
        last = min(first + ITEMS_A_PAGE, self.count)
        numbers = [number * SHARDS + shard for number in range(first, last)]
        found = [{"pk": {"S": key}, "sk": {"N": str(number)}, "note": {"S": "x" * 100}} for number in numbers]
        body: dict[str, Any] = {"Items": found, "Count": len(found), "ScannedCount": len(found)}
        if last < self.count:
            body["LastEvaluatedKey"] = {"pk": {"S": key}, "sk": {"N": str(numbers[-1])}}
        self.read += len(found)
        return _answered(request, body)


def _answered(request: Any, body: dict[str, Any]) -> AWSResponse:
    text = json.dumps(body).encode()
    return AWSResponse(request.url, 200, {"content-type": "application/x-amz-json-1.0"}, _Raw(text))


def resident() -> float:
    """Return the resident memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096 / 1e6


def iterate(count: int) -> dict[str, float]:
    """Iterate over all shards; give the items, those held at most, and resident MB early on and at most after."""
    dynamodb = rddb.resource("dynamodb", **_ACCESS)
    source = Endless(count)
    dynamodb.meta.client.meta.events.register("before-send.dynamodb", source)
    given, held, early, most = 0, 0, 0.0, 0.0
    for item in dynamodb.Table("t").sharded(SHARDS, by=RANDOM).query_items(**_WHOLE):
        if item["sk"] != given:
            raise RuntimeError(f"item {given} is missing")
        given += 1
        if given % 1000 == 0:
            held = max(held, source.read - given)
        if given % (count // 2) == 0:
            early, most = early or resident(), max(most, resident())
    return {"items": given, "held": held, "early MB": early, "most MB": most}


def main() -> None:
    """Print all."""
    if sys.argv[1:] == ["stub"]:
        serve()
        return
    with served() as url:
        for name, found in (("threads", with_threads(url)), ("tasks", asyncio.run(with_tasks(url)))):
            print(
                f"{SHARDS} shards, {DELAY * 1e3:.0f} ms server latency, {name}: one shard {found['one'] * 1e3:.2f} ms, "
                f"all {found['ten'] * 1e3:.2f} ms, ratio {found['ten'] / found['one']:.2f}; least disturbed "
                f"{found['least one'] * 1e3:.2f} ms and {found['least ten'] * 1e3:.2f} ms, "
                f"ratio {found['least ten'] / found['least one']:.2f}"
            )
    found = iterate(ITEMS_A_SHARD)
    print(
        f"{SHARDS} x {ITEMS_A_SHARD} items: {found['items']:.0f} given, {found['held']:.0f} held at most (a page a "
        f"shard: {SHARDS * ITEMS_A_PAGE}), {found['early MB']:.1f} MB after 5%, "
        f"{found['most MB']:.1f} MB at most"
    )


if __name__ == "__main__":
    main()
