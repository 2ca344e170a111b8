"""The async batch writer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE, currentframe
from types import FrameType
from typing import Any, NoReturn, Self

from resilient_ddb.bulk.batch_writer import BatchBuffer, delete_request, put_request
from resilient_ddb.bulk.batching import Answer
from resilient_ddb.bulk.queue import Batch
from resilient_ddb.bulk.settings import Request
from resilient_ddb.bulk.token_bucket import Limiter
from resilient_ddb.calls.flows import Flow, run_async
from resilient_ddb.calls.stamping import stamped
from resilient_ddb.policy.deadlines import Deadline, Stop, current_deadline

from .lazy import opened


class AsyncBatchWriter(BatchBuffer):
    """See `AsyncTable.batch_writer`."""

    def _begin(self, table_name: str, client: Any) -> None:
        super()._begin(table_name, client)
        self._shell = _OneByOne(client) if self._settings.max_workers == 1 else _Tasks(client)
        self._turn = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def put_item(self, Item: Mapping[str, Any], *, ttl_seconds: Any = None) -> None:
        """Put an item, now or with a later batch; on a Table with `ttl=`, one that expires in `ttl_seconds`."""
        if ttl_seconds is not None:
            Item = await self._expiring(Item, ttl_seconds)  # noqa: N806 - as above
        await self._add_and_flush(put_request(Item))

    async def delete_item(self, Key: Mapping[str, Any]) -> None:
        """Delete an item, now or with a later batch."""
        await self._add_and_flush(delete_request(Key))

    async def _expiring(self, item: Mapping[str, Any], ttl_seconds: Any) -> Mapping[str, Any]:
        client = await opened(self._client, "BatchWriteItem")
        return await run_async(stamped(client, self._table_name, item, ttl_seconds))

    async def _add_and_flush(self, request: Request) -> None:
        if self._is_due(request) and not self._is_within:  # else the one who sends goes on with this
            flow = self._batching.flush_flow(self._shell, self._settings.flush_amount)
            await self._in_turn(flow, current_deadline())

    async def flush(self) -> None:
        """Write everything that is buffered, and return when it is answered."""
        self._check_not_within("flush()")
        await self._in_turn(self._batching.flush_flow(self._shell, 1), current_deadline())

    _flush = flush

    async def __aenter__(self) -> Self:
        self._batching.begin_block()
        return self

    async def __aexit__(self, exc_type: object, exc_value: BaseException | None, tb: object) -> None:
        self._check_not_within("the end of the block")
        if isinstance(exc_value, GeneratorExit) and not _may_await(currentframe()):
            self._shell.abandon()
            self._warn()
            return
        self._follow_loop()
        if self._batching.begin_leaving(exc_value):
            self._shell.end_calls()
            if isinstance(exc_value, asyncio.CancelledError):
                self._shell.cancel()
        try:
            deadline = current_deadline() if exc_value is None else None
            await self._in_turn(self._batching.leave_flow(self._shell, exc_value), deadline, self._shell.close)
        finally:
            self._batching.end_block()
            self._tell(self.unprocessed)  # by what is raised here, or has ended the block

    # Of tasks that share the writer, one sends for all. One who leaves the block by an exception waits for its turn
    # whatever the deadline, as in the sync writer.

    async def _in_turn(
        self, flow: Flow[None], deadline: Deadline | None, at_end: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Run a flow while no other task runs one. A deadline holds for the wait as well."""
        self._follow_loop()
        turn = self._turn
        try:
            async with asyncio.timeout(None if deadline is None else deadline.remaining()) as limit:
                await turn.acquire()
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._batching.deadline_error("another task has sent its batch") from None
        try:
            with self._sending(), self._telling():
                await run_async(flow)
        finally:
            try:
                if at_end is not None:
                    await at_end()
            finally:
                turn.release()

    def _follow_loop(self) -> None:
        """Begin with a new turn if the loop of before is closed: nobody there has the turn any more."""
        running = asyncio.get_running_loop()
        if self._loop is None or self._loop.is_closed():
            self._turn = asyncio.Lock()
            self._shell.leave_loop()
            self._loop = running

    def __enter__(self) -> NoReturn:  # boto3's would lose what is buffered
        raise TypeError("batch_writer is the async one: use it with 'async with'")


class _OneByOne:
    """Makes each call within the task that asks for it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._stop = Stop()
        self._sleeping: asyncio.Task[None] | None = None

    async def open(self) -> Any:
        return await opened(self._client, "batch_write_item")

    async def pause(self, seconds: float) -> None:
        self._sleeping = asyncio.create_task(asyncio.sleep(seconds))
        try:
            await asyncio.wait([self._sleeping])
        finally:
            self._sleeping.cancel()
            self._sleeping = None

    async def join(self, limiter: Limiter) -> None:
        if hasattr(limiter, "reserve_async"):
            await limiter.reserve_async(0.0)

    async def start(self, batch: Batch, call: Callable[[], Any]) -> list[Answer]:
        try:
            return [(batch, await self._watched(call))]
        except Exception as error:  # noqa: BLE001 - the flow decides what an error means
            return [(batch, error)]

    async def _watched(self, call: Callable[[], Any]) -> Any:
        with self._stop.watched():
            return await call()

    def holds(self, batch: Batch) -> bool:  # noqa: ARG002 - the call is over when it was made
        return False

    async def collect(self) -> list[Answer]:
        return []

    def end_calls(self) -> None:
        """End what is under way at its next attempt, and a pause at once: in whichever task that is."""
        self._stop.is_set = True
        if self._sleeping is not None:
            self._sleeping.cancel()

    def abandon(self) -> None:
        """End what is under way as far as that can be done where nothing can be awaited."""
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nothing goes on
            self.end_calls()
            self.cancel()

    def cancel(self) -> None:
        """Do nothing: a call ends if its task is cancelled."""

    def leave_loop(self) -> None:
        """Forget what belonged to an event loop that is closed."""
        self._sleeping = None

    async def close(self) -> None:
        """End what is under way: a caller that was cancelled no longer waits for it."""
        self._stop = Stop()


class _Tasks(_OneByOne):
    """Makes calls in tasks of their own."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self._under_way: dict[asyncio.Task[Any], Batch] = {}

    async def start(self, batch: Batch, call: Callable[[], Any]) -> list[Answer]:
        self._under_way[asyncio.create_task(self._watched(call))] = batch
        return []

    def holds(self, batch: Batch) -> bool:
        return batch in self._under_way.values()

    async def collect(self) -> list[Answer]:
        if not self._under_way:
            return []
        if not any(task.done() for task in self._under_way):
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        finished = [task for task in self._under_way if task.done()]
        return [(self._under_way.pop(task), _answer(task)) for task in finished]

    def cancel(self) -> None:
        for task in self._under_way:
            task.cancel()

    def leave_loop(self) -> None:
        """Keep the answers that have come. What was cancelled as the loop ended, or stands still, is never answered."""
        super().leave_loop()
        answered = {task: batch for task, batch in self._under_way.items() if task.done() and not task.cancelled()}
        self._under_way = answered

    async def close(self) -> None:
        if self._under_way:  # the caller that would have waited for them was cancelled
            self.end_calls()
            self.cancel()
            pending = [task for task in self._under_way if not task.done()]
            if pending:
                await asyncio.wait(pending)
            self._under_way.clear()
        await super().close()


def _may_await(frame: FrameType | None) -> bool:
    """Return whether what GeneratorExit ends may await, given its frame.

    An async generator that is left may: `aclose` awaits it. A coroutine that is closed may not. Up to the one or the
    other there may be coroutines that await each other, such as an AsyncExitStack's.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    while frame is not None and frame.f_code.co_flags & (CO_COROUTINE | CO_ITERABLE_COROUTINE | CO_ASYNC_GENERATOR):
        if frame.f_code.co_flags & CO_ASYNC_GENERATOR:
            return True
        frame = frame.f_back
    return False


def _answer(task: asyncio.Task[Any]) -> Any:
    return asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()
