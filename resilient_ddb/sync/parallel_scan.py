"""A table's items from several segments at once: what a sync Table's `parallel_scan` gives."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Self

from resilient_ddb.bulk.segments import Item, Request, Segments
from resilient_ddb.calls.flows import run
from resilient_ddb.policy.checks import check_not_async
from resilient_ddb.policy.deadlines import Stop

from .together import Calls


class ParallelScan(Iterator[Item]):
    """An iterator over a table's items. Made by `table.parallel_scan(...)`; for one thread at a time.

    Leave it by `close()`, at the end of a `with` block, or by dropping it: requests under way are waited for, and
    no thread is left behind.
    """

    def __init__(self, table: Any, *, on_page: Any, **arguments: Any) -> None:
        """See `ResilientTable.parallel_scan`."""
        check_not_async("on_page", on_page)
        self._segments = Segments(table, on_page=on_page, **arguments)
        self._items = _items(self._segments)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of table {self._segments.table.name!r}>"

    @property
    def state(self) -> dict[str, Any] | None:
        """Where the scan stands, for `resume=`: a dict for `json.dumps`. None: nothing was asked for yet.

        Items count as given, a page at a time, once the next item after the page's last was asked for.
        """
        return self._segments.state

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        try:
            return next(self._items)
        except StopIteration:
            self._segments.check_end()
            raise
        except BaseException:
            self._items.close()  # if it could go on, an interrupt came as an item was on its way
            raise

    def close(self) -> None:
        """Stop: what is under way is waited for, and its answer dropped."""
        self._segments.is_closed = True
        self._items.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _items(segments: Segments) -> Generator[Item, None, None]:  # it does not know the iterator: that can be dropped
    run(segments.begin())
    with _Workers(segments) as workers:
        while not segments.is_over:
            workers.start(segments.wanted())
            page = segments.take_up(*workers.arrival())
            workers.start(segments.wanted())
            yield from page.items
            run(segments.given(page))


class _Workers:
    """Threads that ask for pages, one each at a time. None of them waits for the reader of the items."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._calls: Calls[Request] = Calls()
        self._arrived: deque[tuple[Request, Any]] = deque()
        self._closed: SimpleQueue[None] = SimpleQueue()
        """Wakes up each thread that sleeps, once nobody reads the items any more."""
        self._stop = Stop()

    def start(self, requests: Iterable[Request]) -> None:
        """Begin with these requests, in the context of the reader of the items: a deadline holds."""
        for request in requests:
            self._calls.begin(request, partial(self._fetch, request))

    def _fetch(self, request: Request) -> Mapping[str, Any]:
        with self._stop.watched():
            return run(self._segments.fetch(request, self._sleep))

    def _sleep(self, seconds: float) -> None:
        with suppress(Empty):
            self._closed.get(timeout=seconds)
            raise CancelledError

    def arrival(self) -> tuple[Request, Mapping[str, Any]]:
        """Wait for an answer, and return it with its request; the one that came first."""
        if not self._arrived:
            self._arrived.extend(self._calls.collect())
        request, outcome = self._arrived.popleft()
        if isinstance(outcome, BaseException):
            self._segments.stopped(outcome)
            try:
                raise outcome
            finally:
                del outcome  # it knows this frame: they would keep each other
        return request, outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.is_set = True
        for _thread in range(self._segments.at_once):
            self._closed.put(None)
        while self._calls.collect():
            pass
