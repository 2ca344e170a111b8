"""A table's items from several segments at once: what a sync Table's `parallel_scan` gives."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Self

from .deadlines import Stop
from .drive import run
from .segments import Item, Request, Segments


class ParallelScan(Iterator[Item]):
    """An iterator over a table's items. Made by `table.parallel_scan(...)`; for one thread at a time.

    Leave it by `close()`, at the end of a `with` block, or by dropping it: requests under way are waited for, and
    no thread is left behind.
    """

    def __init__(self, table: Any, *, on_page: Any, **arguments: Any) -> None:
        """See `ResilientTable.parallel_scan`."""
        if inspect.iscoroutinefunction(on_page):
            raise TypeError("on_page must not be async on the sync Table: async ones are for resilient_ddb.aio")
        self._segments = Segments(table, on_page=on_page, **arguments)
        self._items = _items(self._segments)

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
    """Threads that ask for pages, one each at a time. None of them waits for whoever reads the items."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._arrived: SimpleQueue[tuple[Request, Mapping[str, Any] | None, BaseException | None]] = SimpleQueue()
        self._is_closed = threading.Event()
        self._stop = Stop()
        self._pool = ThreadPoolExecutor(max(1, segments.at_once), thread_name_prefix="parallel_scan")

    def start(self, requests: Iterable[Request]) -> None:
        """Begin with these requests, in the context of whoever reads the items: a deadline holds."""
        for request in requests:
            self._pool.submit(copy_context().run, self._fetch, request)

    def _fetch(self, request: Request) -> None:
        try:
            with self._stop.watched():
                response = run(self._segments.fetch(request, self._sleep))
        except BaseException as error:  # noqa: BLE001 - raised where the items are read
            self._arrived.put((request, None, error))
        else:
            self._arrived.put((request, response, None))

    def _sleep(self, seconds: float) -> None:
        if self._is_closed.wait(seconds):
            raise CancelledError

    def arrival(self) -> tuple[Request, Mapping[str, Any]]:
        """Wait for an answer, and give it with its request; the one that came first."""
        request, response, error = self._arrived.get()
        if response is None:
            assert error is not None  # noqa: S101 - one of the two is there
            self._segments.stopped(error)
            raise error
        return request, response

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.is_set = True
        self._is_closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
