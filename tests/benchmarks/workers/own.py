"""What only ours has: `python -m benchmarks.workers.own WHAT CONTENDER URL [sync|async]`.

`decisions` is the CPU time of what a call decides, without I/O: may it be sent, is its answer whole, what is told.
`overrun` is for how long a call goes on after its deadline, on a stub that doesn't answer in time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks import items

from .boto import counting_policy
from .made import ARGUMENTS

_CALLS = 20_000
_DEADLINE = 0.2


class _Host:
    """A client, as far as decisions about calls that succeed need one."""

    region = ARGUMENTS["region_name"]

    def identity(self) -> tuple[Any, ...]:
        return ()


def _one_call() -> Callable[[], None]:
    execution_of = import_module("resilient_ddb.calls.execution").Execution
    succeed = import_module("resilient_ddb.calls.ending").succeed
    core = import_module("resilient_ddb.calls.core").Core(counting_policy(import_module("resilient_ddb")), _Host())
    params = {"TableName": items.TABLE, "Key": items.KEY}
    body = items.encode({"Item": items.typed(items.native())})
    received = {"headers": {"x-amz-crc32": str(zlib.crc32(body))}, "status_code": 200, "body": body}
    parsed: dict[str, Any] = {"Item": {}, "ResponseMetadata": {"HTTPStatusCode": 200}}

    def call() -> None:
        execution = execution_of(core, "GetItem", params)
        execution.admit()
        execution.received(received, parsed)
        execution.settle(200, parsed, None, {"body": b"{}"})
        succeed(execution, parsed)

    return call


def _decisions(_url: str, _kind: str) -> dict[str, float]:
    call = _one_call()
    for _ in range(_CALLS // 10):
        call()
    started = time.process_time()
    for _ in range(_CALLS):
        call()
    return {"cpu": (time.process_time() - started) / _CALLS}


def _overrun(url: str, kind: str) -> dict[str, float]:
    rddb = import_module("resilient_ddb")
    library = import_module("resilient_ddb.aio") if kind == "async" else rddb
    table = library.table(items.TABLE, endpoint_url=url, **ARGUMENTS)

    async def call_async() -> None:
        await table.get_item(Key=items.KEY)

    async def measure_async() -> float:
        started = time.perf_counter()
        try:
            with rddb.deadline(_DEADLINE):
                await call_async()
        except rddb.DeadlineExceededError:
            return time.perf_counter() - started - _DEADLINE
        raise AssertionError("the stub answered")

    def measure() -> float:
        started = time.perf_counter()
        try:
            with rddb.deadline(_DEADLINE):
                table.get_item(Key=items.KEY)
        except rddb.DeadlineExceededError:
            return time.perf_counter() - started - _DEADLINE
        raise AssertionError("the stub answered")

    return {"wall": asyncio.run(measure_async()) if kind == "async" else measure()}


def main() -> None:
    """Measure, and print."""
    what, _, url, kind = sys.argv[1:]
    print("\n" + json.dumps({"decisions": _decisions, "overrun": _overrun}[what](url, kind)))


if __name__ == "__main__":
    main()
