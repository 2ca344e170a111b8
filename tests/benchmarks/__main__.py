"""Prints the table of measurements. Takes about half a minute."""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiobotocore
import aiobotocore.session
import boto3
from botocore.config import Config

import resilient_ddb as rddb
from resilient_ddb import aio, ending
from resilient_ddb.core import Core

from .stub import stub

_ARGUMENTS = {"region_name": "eu-west-1", "aws_access_key_id": "stub", "aws_secret_access_key": "stub"}
_DELAY = 0.05
_KEY = {"pk": "a"}


def main() -> None:
    print(
        f"Python {platform.python_version()}, boto3 {boto3.__version__}, aiobotocore {aiobotocore.__version__}, "
        f"{os.cpu_count()} cores"
    )
    _print_imports()
    print(f"decisions of a sync call (begin, admit, settle, succeed; no I/O): {_decisions() * 1e6:.1f} us")
    print(f"decisions of an async call, the same through a coroutine: {asyncio.run(_decisions_async()) * 1e6:.1f} us")
    with stub() as url:
        _print_sync_cost(url)
        asyncio.run(_print_async_cost(url))
    with stub(_DELAY) as url:
        _print_threads(url)
        asyncio.run(_print_tasks(url))
    with stub(60.0) as url:
        _print_overrun(url)


def _print_imports() -> None:
    code = "import boto3, time; t = time.process_time(); import {}; print(time.process_time() - t)"
    for module in ("resilient_ddb", "resilient_ddb.session"):
        found = [
            float(subprocess.run([sys.executable, "-c", code.format(module)], capture_output=True, check=True).stdout)  # noqa: S603 - our own interpreter
            for _ in range(5)
        ]
        print(f"import {module}, beyond boto3: {min(found) * 1e3:.1f} ms")


class _Host:
    """A client, as far as decisions about calls that succeed need one."""

    def identity(self) -> tuple[Any, ...]:
        return ()


def _one_call() -> Callable[[], None]:
    core = Core(rddb.Policy(), _Host())  # type: ignore[arg-type]  # no more of it is asked for
    params = {"TableName": "t", "Key": _KEY}
    body = b'{"Item": {"pk": {"S": "a"}}}'
    received = {"headers": {"x-amz-crc32": str(zlib.crc32(body))}, "status_code": 200, "body": body}
    parsed: dict[str, Any] = {"Item": {}, "ResponseMetadata": {"HTTPStatusCode": 200}}

    def call() -> None:
        execution = core.begin("GetItem", params)
        execution.admit()
        execution.received(received, parsed)
        execution.settle(200, parsed, None, {"body": b"{}"})
        ending.succeed(execution, parsed)

    return call


def _decisions(calls: int = 50_000) -> float:
    call = _one_call()
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - started) / calls


async def _decisions_async(calls: int = 50_000) -> float:
    call = _one_call()

    async def awaited() -> None:
        call()

    started = time.perf_counter()
    for _ in range(calls):
        await awaited()
    return (time.perf_counter() - started) / calls


def _tables(url: str) -> dict[str, Any]:
    pool = Config(max_pool_connections=128)
    return {
        "boto3": boto3.resource("dynamodb", endpoint_url=url, config=pool, **_ARGUMENTS).Table("t"),
        "resilient_ddb": rddb.table("t", endpoint_url=url, **_ARGUMENTS),
    }


def _print_sync_cost(url: str) -> None:
    tables = _tables(url)
    cost: dict[str, list[float]] = {name: [] for name in tables}
    for _ in range(8):  # interleaved, so that the machine's moods fall on both
        for name, table in tables.items():
            started = time.process_time()
            for _ in range(300):
                table.get_item(Key=_KEY)
            cost[name].append((time.process_time() - started) / 300)
    _print_ratio("get_item, CPU a call", cost)


async def _print_async_cost(url: str) -> None:
    cost: dict[str, list[float]] = {"aiobotocore's client": [], "resilient_ddb.aio's client": []}
    session = aiobotocore.session.get_session()
    key = {"pk": {"S": "a"}}
    async with (
        session.create_client("dynamodb", endpoint_url=url, **_ARGUMENTS) as plain,
        aio.client("dynamodb", endpoint_url=url, **_ARGUMENTS) as ours,
    ):
        for _ in range(8):
            for name, client in zip(cost, (plain, ours), strict=True):
                started = time.process_time()
                for _ in range(300):
                    await client.get_item(TableName="t", Key=key)
                cost[name].append((time.process_time() - started) / 300)
    _print_ratio("async get_item, CPU a call", cost)


def _print_ratio(what: str, cost: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in cost.items()}
    base, ours = medians.values()
    text = ", ".join(f"{name} {seconds * 1e6:.0f} us" for name, seconds in medians.items())
    print(f"{what}: {text}, ratio {ours / base:.2f}")


def _print_threads(url: str) -> None:
    for name, table in _tables(url).items():
        table.get_item(Key=_KEY)
        waits: list[float] = []

        def work(table: Any = table, waits: list[float] = waits) -> None:
            for _ in range(10):
                started = time.perf_counter()
                table.get_item(Key=_KEY)
                waits.append(time.perf_counter() - started)

        with _wall() as wall:
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        print(
            f"8 threads x 10 calls of 50 ms through one Table, {name}: median {statistics.median(waits) * 1e3:.1f} ms "
            f"a call, {wall[0] * 1e3:.0f} ms in all"
        )


async def _print_tasks(url: str) -> None:
    key = {"pk": {"S": "a"}}
    pool = Config(max_pool_connections=128)
    session = aiobotocore.session.get_session()
    async with (
        session.create_client("dynamodb", endpoint_url=url, config=pool, **_ARGUMENTS) as plain,
        aio.client("dynamodb", endpoint_url=url, **_ARGUMENTS) as ours,
    ):
        for name, client in (("aiobotocore", plain), ("resilient_ddb.aio", ours)):
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda client=client: client.get_item(TableName="t", Key=key)  # type: ignore[misc]
            ] * 100
            await asyncio.gather(*(call() for call in calls))
            waits: list[float] = []

            async def timed(call: Callable[[], Awaitable[Any]], waits: list[float] = waits) -> None:
                started = time.perf_counter()
                await call()
                waits.append(time.perf_counter() - started)

            cpu = time.process_time()
            with _wall() as wall:
                await asyncio.gather(*(timed(call) for call in calls))
            cpu = time.process_time() - cpu
            print(
                f"100 tasks x one call of 50 ms, {name}: median {statistics.median(waits) * 1e3:.1f} ms a call, "
                f"{wall[0] * 1e3:.0f} ms in all, of which {cpu * 1e3:.0f} ms are CPU on the one loop"
            )


def _print_overrun(url: str) -> None:
    table = rddb.table("t", endpoint_url=url, **_ARGUMENTS)
    print(f"overrun of a deadline of 0.2 s, sync: {_overrun(lambda: table.get_item(Key=_KEY)) * 1e3:.0f} ms")
    async_table = aio.table("t", endpoint_url=url, **_ARGUMENTS)

    async def call() -> None:
        await async_table.get_item(Key=_KEY)

    async def measure() -> float:
        started = time.perf_counter()
        try:
            with rddb.deadline(0.2):
                await call()
        except rddb.DeadlineExceededError:
            return time.perf_counter() - started - 0.2
        raise AssertionError("the stub never answers")

    print(f"overrun of a deadline of 0.2 s, async: {asyncio.run(measure()) * 1e3:.0f} ms")


def _overrun(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    try:
        with rddb.deadline(0.2):
            call()
    except rddb.DeadlineExceededError:
        return time.perf_counter() - started - 0.2
    raise AssertionError("the stub never answers")


@contextmanager
def _wall() -> Iterator[list[float]]:
    taken: list[float] = []
    started = time.perf_counter()
    yield taken
    taken.append(time.perf_counter() - started)


if __name__ == "__main__":
    main()
