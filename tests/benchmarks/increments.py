"""Counts what is lost or doubled: 2,000 increments of one item by `modify`, with 5% of all replies lost.

`PYTHONPATH=.:tests python -m tests.benchmarks.increments` prints a line each for 16 threads and 100 tasks, with and
without a write token. Takes some minutes, on DynamoDB Local.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from emulators import CREDENTIALS, REGION, Emulators

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import FaultProxy, faults

KEY = {"pk": "counter"}
INCREMENTS, THREADS, TASKS = 2000, 16, 100
ACCESS = {"region_name": REGION, **CREDENTIALS}
# The circuit and the budget would, rightly, not go along with 5% of lost replies for that long.
POLICY = rddb.Policy(retry_budget=None, circuit_breaker=None, retry=rddb.Retry(max_delay=0.5))
CONFIG = Config(max_pool_connections=TASKS)


def add_one(item: dict[str, Any] | None) -> dict[str, Any]:
    item = item or {"n": 0}
    item["n"] += 1
    return item


def with_threads(name: str, url: str, write_token: str | None) -> Counter[str]:
    table = rddb.table(name, endpoint_url=url, policy=POLICY, config=CONFIG, session=boto3.Session(**ACCESS))
    docs = table.versioned(write_token=write_token)

    def increment(_: int) -> str:
        try:
            docs.modify(KEY, add_one, max_attempts=200)
        except Exception as error:  # noqa: BLE001 - counted
            return _kind(error)
        return "returned"

    with ThreadPoolExecutor(THREADS) as pool:
        return Counter(pool.map(increment, range(INCREMENTS)))


async def with_tasks(name: str, url: str, write_token: str | None) -> Counter[str]:
    async with aio.resource("dynamodb", endpoint_url=url, policy=POLICY, config=CONFIG, **ACCESS) as dynamodb:
        docs = (await dynamodb.Table(name)).versioned(write_token=write_token)
        ended: Counter[str] = Counter()
        left = iter(range(INCREMENTS))

        async def work() -> None:
            for _ in left:
                try:
                    await docs.modify(KEY, add_one, max_attempts=200)
                except Exception as error:  # noqa: BLE001 - counted
                    ended[_kind(error)] += 1
                else:
                    ended["returned"] += 1

        await asyncio.gather(*(work() for _ in range(TASKS)))
        return ended


def _kind(error: Exception) -> str:
    facts = getattr(error, "resilience", None)
    return "ambiguous" if facts is not None and facts.ambiguous else type(error).__name__


def main() -> None:
    emulators = Emulators()
    try:
        upstream = emulators.start("dynamodb-local").endpoint_url
        direct = boto3.Session(**ACCESS).resource("dynamodb", endpoint_url=upstream)
        for workers, write_token in (("threads", None), ("threads", "_wt"), ("tasks", None), ("tasks", "_wt")):
            name = f"increments-{workers}-{write_token}"
            table = direct.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            started = time.monotonic()
            with FaultProxy(upstream, seed=1, plan=[faults.LoseReply(rate=0.05)]) as proxy:
                url = proxy.endpoint_url
                ended = (
                    with_threads(name, url, write_token)
                    if workers == "threads"
                    else asyncio.run(with_tasks(name, url, write_token))
                )
                lost = proxy.count(fault=faults.LoseReply)
                operations = Counter(seen.operation for seen in proxy.seen)
            final = table.get_item(Key=KEY, ConsistentRead=True)["Item"]["n"]
            print(
                f"{THREADS if workers == 'threads' else TASKS} {workers}, write_token={write_token!r}: {dict(ended)}, "
                f"final count {final}, lost {max(0, ended['returned'] - final)}, "
                f"twice {max(0, final - ended['returned'] - ended['ambiguous'])}; "
                f"{lost} replies lost of {sum(operations.values())} requests, {time.monotonic() - started:.0f} s"
            )
    finally:
        emulators.stop()


if __name__ == "__main__":
    main()
