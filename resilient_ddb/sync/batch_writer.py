"""The batch writer: boto3's, but nothing is lost, no rate is exceeded, and a table under load is given time.

boto3's own takes a batch out of its buffer before it sends it. It resends what DynamoDB did not take at once, without
end. It writes its buffer also if the block ended in an exception. `batching` has the decisions; here is what makes
the requests: one after the other, or on threads.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Self

from resilient_ddb.bulk.batch_writer import BatchBuffer, delete_request, put_request
from resilient_ddb.bulk.batching import Answer
from resilient_ddb.bulk.queue import Batch
from resilient_ddb.bulk.settings import BatchSettings, Request
from resilient_ddb.bulk.token_bucket import Limiter
from resilient_ddb.calls.flows import Flow, run
from resilient_ddb.calls.stamping import stamped
from resilient_ddb.policy.checks import check_not_async
from resilient_ddb.policy.deadlines import Deadline, Stop, current_deadline

from .together import Calls

_log = logging.getLogger("resilient_ddb")


class BatchWriter(BatchBuffer):
    """See `ResilientTable.batch_writer`."""

    def __init__(self, table_name: str, client: Any, settings: BatchSettings) -> None:
        """Write to a table by means of a client.

        Raises:
            TypeError: `on_unprocessed` is async.
        """
        check_not_async("on_unprocessed", settings.on_unprocessed)
        super().__init__(table_name, client, settings)

    def _begin(self, table_name: str, client: Any) -> None:
        super()._begin(table_name, client)
        self._turn = threading.RLock()
        self._shell = _OneByOne(client) if self._settings.max_workers == 1 else _Threads(client)

    def put_item(self, Item: Mapping[str, Any], *, ttl_seconds: Any = None) -> None:
        """Put an item, now or with a later batch; on a Table with `ttl=`, one that expires in `ttl_seconds`."""
        if ttl_seconds is not None:
            Item = self._expiring(Item, ttl_seconds)  # noqa: N806 - as above
        self._add_request_and_process(put_request(Item))

    def delete_item(self, Key: Mapping[str, Any]) -> None:
        """Delete an item, now or with a later batch."""
        self._add_request_and_process(delete_request(Key))

    def _expiring(self, item: Mapping[str, Any], ttl_seconds: Any) -> Mapping[str, Any]:
        return run(stamped(self._client, self._table_name, item, ttl_seconds))

    def _add_request_and_process(self, request: Request) -> None:
        if self._is_due(request) and not self._is_within:  # else the one who sends goes on with this
            flow = self._batching.flush_flow(self._shell, self._settings.flush_amount)
            self._in_turn(self._run, flow, current_deadline())

    def flush(self) -> None:
        """Write everything that is buffered, and return when it is answered."""
        self._check_not_within("flush()")
        self._in_turn(self._run, self._batching.flush_flow(self._shell, 1), current_deadline())

    _flush = flush

    def __enter__(self) -> Self:
        self._batching.begin_block()
        return self

    def __exit__(self, exc_type: object, exc_value: BaseException | None, tb: object) -> None:
        self._check_not_within("the end of the block")
        if self._batching.begin_leaving(exc_value):
            self._shell.end_calls()
        try:
            self._in_turn(self._leave, exc_value, current_deadline() if exc_value is None else None)
        finally:
            self._batching.end_block()
            self._tell(self.unprocessed)  # by what is raised here, or has ended the block

    def _leave(self, error: BaseException | None) -> None:
        try:
            self._run(self._batching.leave_flow(self._shell, error))
        finally:
            self._shell.close()

    # Of threads that share the writer, one sends for all. One who leaves the block by an exception waits for its turn
    # whatever the deadline: the exception has to pass through, and what is sent meanwhile ends with its attempt.

    def _in_turn(self, work: Callable[[Any], None], argument: Any, deadline: Deadline | None) -> None:
        """Run what sends, while no other thread does. A deadline holds for the wait as well."""
        if deadline is None:
            with self._turn:  # Ctrl-C can't come between the two steps of this
                work(argument)
            return
        try:
            if not self._turn.acquire(timeout=min(max(0.0, deadline.remaining()), threading.TIMEOUT_MAX)):
                with self._lock:
                    raise self._batching.deadline_error("another thread has sent its batch")
            work(argument)
        finally:
            try:  # noqa: SIM105 - Ctrl-C could come within suppress(), before the turn is given back
                self._turn.release()
            except RuntimeError:  # it was not taken: where Ctrl-C comes just then, nothing else can tell
                pass

    def _run(self, flow: Flow[None]) -> None:
        copy_context().run(self._run_within, flow)  # the mark goes with the context, wherever Ctrl-C comes

    def _run_within(self, flow: Flow[None]) -> None:
        with self._sending(), self._telling():
            run(_Guarded(flow, self._lock))


class _Guarded(Generator[Callable[[], Any], Any, None]):
    """A flow whose decisions are made under a lock; what it asks for is done without."""

    def __init__(self, flow: Flow[None], lock: AbstractContextManager[Any]) -> None:
        self._flow = flow
        self._lock = lock

    def send(self, value: Any) -> Callable[[], Any]:
        with self._lock:
            return self._flow.send(value)

    def throw(self, *error: Any) -> Callable[[], Any]:
        with self._lock:
            return self._flow.throw(*error)

    def close(self) -> None:
        with self._lock:
            self._flow.close()


class _OneByOne:
    """Makes each call at once."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._begin()

    def _begin(self) -> None:
        self._stop = Stop()
        self._woken: SimpleQueue[None] = SimpleQueue()

    def open(self) -> Any:
        return self._client

    def pause(self, seconds: float) -> None:
        with suppress(Empty):
            self._woken.get(timeout=seconds)

    def join(self, limiter: Limiter) -> None:
        if hasattr(limiter, "reserve_async"):
            limiter.reserve(0.0)

    def start(self, batch: Batch, call: Callable[[], Any]) -> list[Answer]:
        try:
            return [(batch, _watched(self._stop, call))]
        except Exception as error:  # noqa: BLE001 - the flow decides what an error means
            return [(batch, error)]

    def holds(self, batch: Batch) -> bool:  # noqa: ARG002 - the call is over when it was made
        return False

    def collect(self) -> list[Answer]:
        return []

    def end_calls(self) -> None:
        """End what is under way at its next attempt, and a pause at once: on whichever thread that is."""
        self._stop.is_set = True
        self._woken.put(None)

    def close(self) -> None:
        """End what is under way: a caller that was interrupted no longer waits for it."""
        self.end_calls()
        self._begin()


class _Threads(_OneByOne):
    """Makes calls on threads. What was left by an exception ends at the next attempt."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self._calls: Calls[Batch] = Calls()

    def start(self, batch: Batch, call: Callable[[], Any]) -> list[Answer]:
        self._calls.begin(batch, partial(_watched, self._stop, call))
        return []

    def holds(self, batch: Batch) -> bool:
        return self._calls.holds(batch)

    def collect(self) -> list[Answer]:
        return self._calls.collect()

    def close(self) -> None:
        super().close()
        self._calls = Calls()


def _watched(stop: Stop, call: Callable[[], Any]) -> Any:
    """Make a call that ends with what it was begun for: a thread may come to it when that is over."""
    with stop.watched():
        return call()
