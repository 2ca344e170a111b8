"""The sync and the async library behind one face: each operation of the soak is written once, as a coroutine.

On the sync side a call is made as it is awaited, so that a coroutine runs to its end without a pause: `run` drives it
in whatever thread calls it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import resilient_ddb as rddb
from resilient_ddb.sharding import RANDOM


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The tables as one side has them."""

    items: Any
    """Text keys pk and sk."""
    expiring: Any
    """The same, with a TTL."""
    remembering: Any
    """The same, with stale answers in an outage."""
    ledgers: Any
    """A text key pk."""
    spread: Any
    """Sharded by the sort key."""
    scattered: Any
    """Sharded at random."""


def tables_of(items: Any, expiring: Any, remembering: Any, ledgers: Any, spread: Any, scattered: Any) -> Tables:
    """Return the tables, of which the last two are sharded here."""
    return Tables(
        items=items,
        expiring=expiring,
        remembering=remembering,
        ledgers=ledgers,
        spread=spread.sharded(4, by="sk"),
        scattered=scattered.sharded(4, by=RANDOM),
    )


class SyncSide:
    """The sync library, for one thread."""

    name = "sync"

    def __init__(self, tables: Tables) -> None:
        """Work with these tables, which threads may share."""
        self.tables = tables

    async def call(self, function: Callable[..., Any], /, *args: Any, **params: Any) -> Any:
        """Make a call."""
        return function(*args, **params)

    async def listed(self, found: Iterable[Any]) -> list[Any]:
        """Return all that an iterator gives."""
        return list(found)

    async def within(self, seconds: float, call: Coroutine[Any, Any, Any]) -> Any:
        """Make a call that a deadline may end."""
        with rddb.deadline(seconds):
            return await call

    async def together(self, works: Sequence[Coroutine[Any, Any, Any]]) -> list[BaseException]:
        """Do several things at once, each on a thread of its own; return what they raised, when all have ended."""
        with ThreadPoolExecutor(len(works)) as pool:
            done = [pool.submit(copy_context().run, run, work) for work in works]
        return [error for each in done if (error := each.exception()) is not None]

    def entered(self, block: Any) -> Any:
        """Return a block for `async with`."""
        return _Entered(block)

    async def wait_for(self, future: Future[Any]) -> None:
        """Wait for another thread's future."""
        future.result()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)  # noqa: ASYNC251 - there is no event loop on this side

    async def idempotent_update(self, table: Any, **params: Any) -> Any:
        """Make an update that may be sent again."""
        return table.idempotent_update(**params)


class _Entered:
    def __init__(self, block: Any) -> None:
        self._block = block

    async def __aenter__(self) -> Any:
        return self._block.__enter__()

    async def __aexit__(self, *exc_info: object) -> Any:
        return self._block.__exit__(*exc_info)


class AsyncSide:
    """The async library, for one task."""

    name = "async"

    def __init__(self, tables: Tables) -> None:
        """Work with these tables, which tasks may share."""
        self.tables = tables

    async def call(self, function: Callable[..., Any], /, *args: Any, **params: Any) -> Any:
        """Make a call."""
        return await function(*args, **params)

    async def listed(self, found: Any) -> list[Any]:
        """Return all that an iterator gives."""
        return [each async for each in found]

    async def within(self, seconds: float, call: Coroutine[Any, Any, Any]) -> Any:
        """Make a call that is cancelled in the midst, or that a deadline ends: by turns, as the seconds fall."""
        if int(seconds * 1e6) % 2:
            return await asyncio.wait_for(call, seconds)
        with rddb.deadline(seconds):
            return await call

    async def together(self, works: Sequence[Coroutine[Any, Any, Any]]) -> list[BaseException]:
        """Do several things at once, each in a task of its own; return what they raised, when all have ended."""
        ended = await asyncio.gather(*works, return_exceptions=True)
        return [error for error in ended if isinstance(error, BaseException)]

    def entered(self, block: Any) -> Any:
        """Return a block for `async with`."""
        return block

    async def wait_for(self, future: Future[Any]) -> None:
        """Wait for another thread's future."""
        await asyncio.wrap_future(future)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def idempotent_update(self, table: Any, **params: Any) -> Any:
        """Make an update that may be sent again."""
        return await table.idempotent_update(**params)


Side = SyncSide | AsyncSide


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine of the sync side to its end."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    work.close()
    raise RuntimeError("something on the sync side waits for an event loop")
