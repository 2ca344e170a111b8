"""The items of one Query or Scan, page after page, at a stated rate if one is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.unanswered import unanswered

from .pacing import Sleep, read_rate
from .paging import Pages


class Items:
    """Reads a table's items. Holds those of one page."""

    def __init__(
        self, table: Any, verb: str, params: Mapping[str, Any], max_items: int | None, rate: Any, *, sleep: Sleep
    ) -> None:
        """Read by one of `table`'s verbs, `query` or `scan`.

        Raises:
            TypeError, ValueError: an argument can't be meant.
        """
        self._rate = read_rate(rate, table, params)
        if self._rate is not None and params.get("ReturnConsumedCapacity", "NONE") == "NONE":
            params = {**params, "ReturnConsumedCapacity": "TOTAL"}
        self._pages = Pages(verb, params, max_items, table=table.name)
        self._read = getattr(table, verb)
        self._operation = verb.title()
        self._sleep = sleep

    @property
    def is_over(self) -> bool:
        """Whether there is no further page to ask for."""
        return self._pages.is_over

    def items(self) -> Iterator[dict[str, Any]]:
        """Return the items of the page that was read last, but those that were given."""
        return self._pages.page

    def more(self) -> Flow[None]:
        """Read the next page.

        Raises:
            DeadlineExceededError: the deadline comes before the rate lets the page be read.
            PaginationError: the page leads back to one of before.
        """
        taken = 0.0 if self._rate is None else (yield from self._rate.take(self._operation, 1, self._sleep))
        response = yield unanswered(partial(self._read, **self._pages.params))
        if self._rate is not None:
            self._rate.settle(taken, 1, response)
        self._pages.items(response)
