"""What both batch writers share: boto3's attributes, what there is to see, and the requests that they make."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from boto3.dynamodb.table import BatchWriter as _BotoBatchWriter

from resilient_ddb.errors import UnprocessedItemsError
from resilient_ddb.errors.words import counted
from resilient_ddb.policy.contexts import holding
from resilient_ddb.policy.forks import tell_child

from .batching import Batching
from .settings import BatchReport, BatchSettings, RejectedItem, Request

_log = logging.getLogger("resilient_ddb")


class BatchBuffer(_BotoBatchWriter):  # type: ignore[misc]  # boto3 has no types of its own
    """What both batch writers share: boto3's attributes, and what there is to see."""

    def __init__(self, table_name: str, client: Any, settings: BatchSettings) -> None:
        self._settings = settings
        self._begin(table_name, client)
        super().__init__(table_name, client, settings.flush_amount, settings.overwrite_by_pkeys)
        tell_child(self)

    def __repr__(self) -> str:
        left = counted(len(self.unprocessed), "request")
        return f"<{type(self).__name__} of table {self._table_name!r}, {left} to write>"

    def _begin(self, table_name: str, client: Any) -> None:  # noqa: ARG002 - for those who make requests
        """Begin with nothing to write, and with locks that nobody holds."""
        self._batching = Batching(table_name, self._settings)
        self._lock = threading.RLock()
        """Guards what the writer holds, for moments: never while a request is under way."""
        self._told: list[Request] = []
        """Leftovers that somebody was told of, by an error or as the block ended by one."""

    def _in_child(self) -> None:
        """Begin anew in a forked process: what the writer holds is written by the parent, and only there."""
        self._batching.leave_to_parent()
        self._begin(self._table_name, self._client)

    @property
    def _items_buffer(self) -> list[Request]:
        """What waits to be sent. boto3's name, which tests of others read and write."""
        return self._batching.queue.buffer

    @_items_buffer.setter
    def _items_buffer(self, requests: list[Request]) -> None:
        self._batching.queue.replace(requests)

    def _is_due(self, request: Request) -> bool:
        """Accept a request, and return whether a batch is due."""
        queue = self._batching.queue
        with self._lock:
            queue.add(request)
            return len(queue.buffer) >= self._settings.flush_amount

    @property
    def unprocessed(self) -> list[Request]:
        """Every request that is not surely written, in order: refused, under way, and waiting."""
        with self._lock:
            return self._batching.unprocessed

    @property
    def rates(self) -> tuple[float | None, float | None]:
        """The capacity units a second that it keeps to now, and those that it was told to keep to; None: no rate."""
        with self._lock:
            return self._batching.rates

    @property
    def refusals(self) -> list[RejectedItem]:
        """Why requests were refused, in order, of the last 1,000: each with `key`, `size` in bytes, and `reason`."""
        with self._lock:
            return list(self._batching.refused.latest)

    @property
    def report(self) -> BatchReport:
        """What was done so far: see `BatchReport`."""
        with self._lock:
            return self._batching.report

    # A writer that is dropped with requests that nobody was told of.

    def _tell(self, requests: Iterable[Mapping[str, Any]]) -> None:
        """Remember that somebody was told of requests."""
        known = {id(request) for request in (*self._told, *requests)}
        self._told = [request for request in self._batching.unprocessed if id(request) in known]

    def _warn(self) -> None:
        """Warn of requests that are dropped, if there are any."""
        told = set(map(id, self._told))
        left = [request for request in self._batching.unprocessed if id(request) not in told]
        if not left:
            return
        self._tell(left)
        requests = counted(len(left), "request that is", "requests that are")
        text = (
            f"a batch writer of table {self._table_name!r} was dropped with {requests} not surely written: "
            "leave its block in the usual way, or call flush()"
        )
        _log.warning("%s", text)
        warnings.warn(text, ResourceWarning, stacklevel=3, source=self)

    def __del__(self) -> None:
        if hasattr(self, "_told"):  # its making was not refused
            self._warn()

    # What the writer calls as it sends, such as `on_unprocessed`, must not wait for the writer.

    @property
    def _is_within(self) -> bool:
        """Whether this was called by the writer as it sends."""
        return any(sending.lock is self._lock and not sending.is_over for sending in _sendings.get())

    def _check_not_within(self, what: str) -> None:
        """Refuse what would have to wait for itself.

        Raises:
            RuntimeError: this was called by the writer as it sends.
        """
        if self._is_within:
            raise RuntimeError(
                f"{what} of a batch writer must not be called by what the writer calls, such as on_unprocessed: it "
                "would wait for itself; what is put there is sent later"
            )

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Remember what an error tells of."""
        try:
            yield
        except UnprocessedItemsError as error:
            self._tell(error.requests)
            self._batching.tell_unprocessed(error)
            raise

    @contextmanager
    def _sending(self) -> Iterator[None]:
        """Mark what is called within, on whichever thread or in whichever task, as called by the writer."""
        sending = _Sending(self._lock)
        try:
            with holding(_sendings, (*_sendings.get(), sending)):
                yield
        finally:
            sending.is_over = True


class _Sending:
    """A writer's sending; its lock stands for the writer, which may be dropped before the context is."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.is_over = False


_sendings: ContextVar[tuple[_Sending, ...]] = ContextVar("resilient_ddb.sendings", default=())


def put_request(item: Any) -> Request:
    """Return the request for an item, which is copied: a caller that fills one dict anew each time means several."""
    return {"PutRequest": {"Item": dict(item) if isinstance(item, dict) else item}}


def delete_request(key: Any) -> Request:
    """Return the request to delete the item of a key, which is copied as well."""
    return {"DeleteRequest": {"Key": dict(key) if isinstance(key, dict) else key}}
