"""How calls are timed: one after the other, on threads, or by tasks on one event loop.

As many calls are made as fill the time that is given, and each thread or task makes as many as the others. Before the
clock runs, connections are up and garbage is collected; the collector runs as it does in any program.
"""

from __future__ import annotations

import asyncio
import gc
import math
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

_TICK = 0.001


def _repeats(seconds: float, one_call: float, at_once: int) -> int:
    """Return how many calls each thread or task is to make: all share one interpreter, mostly."""
    return max(1, math.ceil(seconds / one_call / at_once))


def _result(cpu: float, wall: float, calls: int) -> dict[str, float]:
    """Return what one call took, from the times at the start."""
    now, now_cpu = time.perf_counter(), time.process_time()
    return {"wall": (now - wall) / calls, "cpu": (now_cpu - cpu) / calls, "rate": calls / (now - wall)}


def calls(call: Callable[[], Any], seconds: float, threads: int) -> dict[str, float]:
    """Time sync calls, made by some threads."""
    call()
    started = time.perf_counter()
    call()
    repeats = _repeats(seconds, time.perf_counter() - started, threads)
    if threads > 1:
        return _on_threads(call, repeats, threads)
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        call()
    return _result(cpu, wall, repeats)


def _on_threads(call: Callable[[], Any], repeats: int, threads: int) -> dict[str, float]:
    start, stop = threading.Barrier(threads + 1), threading.Barrier(threads + 1)
    taken_by_calls: list[float] = []

    def work() -> None:
        try:
            call()
            start.wait()
            before = time.perf_counter()
            for _ in range(repeats):
                call()
                now = time.perf_counter()
                taken_by_calls.append(now - before)
                before = now
            stop.wait()
        except BaseException:  # the others, and who waits for them, are not to wait for ever
            start.abort()
            stop.abort()
            raise

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    gc.collect()
    start.wait()
    cpu, wall = time.process_time(), time.perf_counter()
    stop.wait()
    taken = _result(cpu, wall, repeats * threads)
    taken["slow"] = statistics.quantiles(taken_by_calls, n=100, method="inclusive")[-1]
    for worker in workers:
        worker.join()
    return taken


async def tasks(call: Callable[[], Awaitable[Any]], seconds: float, number: int) -> dict[str, float]:
    """Time async calls, made by some tasks."""

    async def work(repeats: int) -> None:
        for _ in range(repeats):
            await call()

    await work(1)
    started = time.perf_counter()
    await work(1)
    repeats = _repeats(seconds, time.perf_counter() - started, number)
    if number > 1:
        await asyncio.gather(*(work(1) for _ in range(number)))
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(work(repeats) for _ in range(number)))
    return _result(cpu, wall, repeats * number)


async def stall(call: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    """Return the longest time that another task, which sleeps for 1 ms again and again, had to wait beyond that."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_TICK)
            longest = max(longest, time.perf_counter() - before - _TICK)

    await call()
    gc.collect()
    ticker = asyncio.create_task(tick())
    await asyncio.sleep(5 * _TICK)
    longest = 0.0
    await call()
    await asyncio.sleep(2 * _TICK)  # the tick that was due meanwhile is counted
    ticker.cancel()
    return {"pause": longest}
