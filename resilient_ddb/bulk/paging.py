"""Items across pages: which page to ask for next, and what of it is given.

Filters, and a Table's TTL, leave items out after DynamoDB has counted them towards `Limit`: a page may be short, or
empty, and not be the last one. A caller that wants so many items has to read on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import PaginationError

from resilient_ddb.policy.checks import check_whole

_LARGEST = 1_000
"""Items asked for in a page at most, where the size of pages is chosen here."""


_RECENT = 16
"""Keys that are remembered: a shorter ring is seen as soon as it closes."""


class Trail:
    """Where a reader has been, in bounded memory: no page may lead back there, or reading on would have no end.

    DynamoDB's pages never do; those of emulators, and of what stands in between, have been seen to.
    """

    def __init__(self, table: str, start: Mapping[str, Any] | None = None) -> None:
        self._table = table
        self._recent: deque[Mapping[str, Any]] = deque(() if start is None else (start,), _RECENT)
        # A longer ring is seen by Brent's method: each key is held against one of before, and that is exchanged for the
        # present one after twice as many keys each time.
        self._before: Mapping[str, Any] | None = None
        self._left = self._stretch = 1

    def follow(self, last_evaluated_key: Mapping[str, Any]) -> None:
        """Go on after the key that a page ends with.

        Raises:
            PaginationError: the reader has been there.
        """
        self.check(last_evaluated_key)
        self.note(last_evaluated_key)

    def check(self, last_evaluated_key: Mapping[str, Any]) -> None:
        """Refuse to go on after a key where the reader has been.

        Raises:
            PaginationError: it has been there.
        """
        if last_evaluated_key in self._recent or last_evaluated_key == self._before:
            names = ", ".join(map(repr, last_evaluated_key))
            what = f"table {self._table!r} gives a LastEvaluatedKey (of {names}) a second time"
            raise PaginationError(message=f"{what}: to read on from there would have no end")

    def note(self, last_evaluated_key: Mapping[str, Any]) -> None:
        """Record that the reader goes on after this key."""
        self._recent.append(last_evaluated_key)
        self._left -= 1
        if not self._left:
            self._before = last_evaluated_key
            self._left = self._stretch = 2 * self._stretch


def refuse_count(operation: str, params: Mapping[str, Any]) -> None:
    """Refuse to give items where only their number is asked for.

    Raises:
        ValueError: `Select` is `COUNT`.
    """
    if params.get("Select") == "COUNT":
        raise ValueError(f"Select must not be 'COUNT' where items are given; call {operation}(...) instead")


class _Place(NamedTuple):
    """Where a reader stands. It is exchanged at once: an interrupt finds a page taken up, or not."""

    params: dict[str, Any]
    """Those of the next page."""
    left: int | None
    is_over: bool
    page: Iterator[Any]
    """What is not given yet of the last page."""


class Pages:
    """The pages of one Query or Scan, until `max_items` items were given. Holds no more than one of them."""

    def __init__(self, operation: str, params: Mapping[str, Any], max_items: int | None, *, table: str) -> None:
        """Begin with the first page. `table` is what the table is called in errors.

        Raises:
            TypeError, ValueError: `max_items` is no whole number of 1 or more, or `params` ask for no items.
        """
        if max_items is not None:
            check_whole("max_items", max_items, least=1)
        refuse_count(operation, params)
        self._trail = Trail(table, params.get("ExclusiveStartKey"))
        self._grows = max_items is not None and "Limit" not in params
        first = {**params, "Limit": max_items} if self._grows else dict(params)
        self._place = _Place(first, max_items, is_over=False, page=iter(()))

    @property
    def is_over(self) -> bool:
        """Whether there is no further page to ask for."""
        return self._place.is_over

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the next page."""
        return dict(self._place.params)

    @property
    def page(self) -> Iterator[Any]:
        """The items of the last page that were not given yet."""
        return self._place.page

    def items(self, response: Mapping[str, Any]) -> Iterator[Any]:
        """Return the items of a page, one by one, and go on to the next.

        Raises:
            PaginationError: a next page is wanted, and is one that was read before.
        """
        cursor = response.get("LastEvaluatedKey") or {}
        items = response.get("Items") or []
        params, left, _, _ = self._place
        if left is not None:
            items = items[:left]
            left -= len(items)
        goes_on = bool(cursor) and left != 0
        if goes_on:
            self._trail.check(cursor)
            params = {**params, "ExclusiveStartKey": cursor}
            if self._grows:  # what is wanted may be rare: few large pages are cheaper than many small ones
                params["Limit"] = max(params["Limit"], min(2 * params["Limit"], _LARGEST))
        self._place = _Place(params, left, not goes_on, iter(items))
        if goes_on:
            self._trail.note(cursor)
        return self._place.page
