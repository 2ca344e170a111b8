"""The batch writer: boto3's, but nothing is lost, no rate is exceeded, and a table under load is given time.

boto3's own takes a batch out of its buffer before it sends it, resends what DynamoDB did not take at once, without end,
and writes its buffer also where the block ended in an exception. `batching` has the decisions; here is what makes the
requests: one after the other, or on threads.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

from boto3.dynamodb.table import BatchWriter as _BotoBatchWriter

from .batch_queue import Batch
from .batch_settings import BatchReport, BatchSettings, Refusal, Request
from .batch_shell import Answer
from .batching import Batching
from .deadlines import Stop
from .drive import run
from .threads import Calls
from .token_bucket import Limiter


class BatchBuffer(_BotoBatchWriter):  # type: ignore[misc]  # boto3 has no types of its own
    """What both batch writers share: boto3's attributes, and what there is to see."""

    def __init__(self, table_name: str, client: Any, settings: BatchSettings) -> None:
        """Write to a table by means of a client."""
        self._settings = settings
        self._batching = Batching(table_name, settings)
        super().__init__(table_name, client, settings.flush_amount, settings.overwrite_by_pkeys)

    @property
    def _items_buffer(self) -> list[Request]:
        """What waits to be sent. boto3's name, which tests of others read and write."""
        return self._batching.queue.buffer

    @_items_buffer.setter
    def _items_buffer(self, requests: list[Request]) -> None:
        self._batching.queue.buffer[:] = requests

    def _is_due(self, request: Request) -> bool:
        """Take a request in, and tell whether a batch is due."""
        queue = self._batching.queue
        queue.add(request)
        return len(queue.buffer) >= self._settings.flush_amount

    @property
    def leftovers(self) -> list[Request]:
        """Every request that is not surely written, in order: refused, under way, and waiting."""
        return self._batching.leftovers

    @property
    def refusals(self) -> list[Refusal]:
        """Why requests were refused, in order, of the last 1,000: each with `key`, `size` in bytes, and `reason`."""
        return list(self._batching.refused.latest)

    @property
    def report(self) -> BatchReport:
        """What was done so far: written, retried, throttled, batches, refused, consumed_units, rate, elapsed."""
        return self._batching.report


def put_request(item: Any) -> Request:
    """Give the request for an item, which is copied: whoever fills one dict anew for each item means several."""
    return {"PutRequest": {"Item": dict(item) if isinstance(item, dict) else item}}


def delete_request(key: Any) -> Request:
    """Give the request to delete the item of a key, which is copied as well."""
    return {"DeleteRequest": {"Key": dict(key) if isinstance(key, dict) else key}}


class BatchWriter(BatchBuffer):
    """See `ResilientTable.batch_writer`."""

    def __init__(self, table_name: str, client: Any, settings: BatchSettings) -> None:
        """Write to a table by means of a client.

        Raises:
            TypeError: `on_leftover` is async.
        """
        if inspect.iscoroutinefunction(settings.on_leftover):
            raise TypeError("on_leftover must not be async on the sync Table: async ones are for resilient_ddb.aio")
        super().__init__(table_name, client, settings)
        workers = settings.max_workers
        self._shell = _OneByOne(client) if workers == 1 else _Threads(client)

    def put_item(self, Item: Mapping[str, Any]) -> None:  # noqa: N803 - boto3's name
        """Put an item, now or with a later batch."""
        self._add_request_and_process(put_request(Item))

    def delete_item(self, Key: Mapping[str, Any]) -> None:  # noqa: N803 - boto3's name
        """Delete an item, now or with a later batch."""
        self._add_request_and_process(delete_request(Key))

    def _add_request_and_process(self, request: Request) -> None:
        if self._is_due(request):
            run(self._batching.flush_flow(self._shell, self._settings.flush_amount))

    def flush(self) -> None:
        """Write everything that is buffered, and return when it is answered."""
        run(self._batching.flush_flow(self._shell, 1))

    _flush = flush

    def __enter__(self) -> Self:
        self._batching.has_block = True
        return self

    def __exit__(self, exc_type: object, exc_value: BaseException | None, tb: object) -> None:
        self._shell.stop.is_set = self._batching.begin_leaving(exc_value)
        try:
            run(self._batching.leave_flow(self._shell, exc_value))
        finally:
            self._batching.has_block = False
            self._shell.close()


class _OneByOne:
    """Makes each call at once."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.stop = Stop()

    def open(self) -> Any:
        return self._client

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def join(self, limiter: Limiter) -> None:
        if hasattr(limiter, "reserve_async"):
            limiter.reserve(0.0)

    def start(self, batch: Batch, call: Callable[[], Any]) -> list[Answer]:
        try:
            return [(batch, call())]
        except Exception as error:  # noqa: BLE001 - the flow decides what an error means
            return [(batch, error)]

    def holds(self, batch: Batch) -> bool:  # noqa: ARG002 - the call is over when it was made
        return False

    def collect(self) -> list[Answer]:
        return []

    def close(self) -> None:
        self.stop.is_set = True  # for what whoever was interrupted here no longer waits for
        self.stop = Stop()


class _Threads(_OneByOne):
    """Makes calls on threads. What was left by an exception ends at the next attempt."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self._calls: Calls[Batch] = Calls()

    def start(self, batch: Batch, call: Callable[[], Any]) -> list[Answer]:
        self._calls.begin(batch, partial(self._watched, call))
        return []

    def _watched(self, call: Callable[[], Any]) -> Any:
        with self.stop.watched():
            return call()

    def holds(self, batch: Batch) -> bool:
        return self._calls.holds(batch)

    def collect(self) -> list[Answer]:
        return self._calls.collect()

    def close(self) -> None:
        super().close()
        self._calls = Calls()
