"""Items across pages: which page to ask for next, and what of it is given.

Filters, and a Table's TTL, leave items out after DynamoDB has counted them towards `Limit`: a page may be short, or
empty, and not be the last one. Whoever wants so many items has to read on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .settings import check_whole

_LARGEST = 1_000
"""Items asked for in a page at most, where the size of pages is chosen here."""


class Pages:
    """The pages of one Query or Scan, until `limit` items were given. Holds none of them."""

    def __init__(self, operation: str, params: Mapping[str, Any], limit: int | None) -> None:
        """Begin with the first page.

        Raises:
            TypeError, ValueError: `limit` is no whole number of 1 or more, or `params` ask for no items.
        """
        if limit is not None:
            check_whole("limit", limit, least=1)
        if params.get("Select") == "COUNT":
            raise ValueError(f"Select must not be 'COUNT' where items are to be given; call {operation}(...) instead")
        self._params: dict[str, Any] = dict(params)
        self._left = limit
        self._grows = limit is not None and "Limit" not in params
        if self._grows:
            self._params["Limit"] = limit
        self.is_over = False
        """Whether there is no further page to ask for."""

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the next page."""
        return dict(self._params)

    def items(self, response: Mapping[str, Any]) -> Iterator[Any]:
        """Give the items of a page, one by one, and go on to the next."""
        cursor = response.get("LastEvaluatedKey")
        items = response.get("Items") or []
        if self._left is not None:
            items = items[: self._left]
            self._left -= len(items)
        if not cursor or self._left == 0:
            self.is_over = True
        else:
            self._params["ExclusiveStartKey"] = cursor
            if self._grows:  # what is wanted may be rare: few large pages are cheaper than many small ones
                self._params["Limit"] = max(self._params["Limit"], min(2 * self._params["Limit"], _LARGEST))
        return iter(items)
