"""From a row's item to the one that is written: types, the TTL attribute, and a check against every limit."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from resilient_ddb.ttl_writes import Puts

from .conversions import convert
from .errors import RefusedRowError
from .limits import KeyAttribute, check_item, number, shown
from .sources import Row


class Preparation:
    """What is done to each item."""

    def __init__(self, types: Mapping[str, str], ttl: str | None, keys: Sequence[KeyAttribute]) -> None:
        """Take the types asked for, the name of the TTL attribute, and the keys that items must have."""
        self._types = dict(types)
        self._ttl = ttl
        self._keys = tuple(keys)
        self._puts = Puts("", ttl or "", time.time())

    def __call__(self, row: Row) -> tuple[dict[str, Any], int]:
        """Give a row's item as it is to be written, and its size in bytes.

        Raises:
            RefusedRowError: it can't be written.
        """
        item = row.item
        if item is None:
            raise RefusedRowError(row.reason)
        if self._types:
            convert(item, self._types)
        if self._ttl in item:
            item = self._with_ttl(item, self._ttl)
        return item, check_item(item, self._keys)

    def _with_ttl(self, item: dict[str, Any], ttl: str) -> dict[str, Any]:
        """Have the TTL attribute be a number of seconds: DynamoDB takes any other value for 'never'."""
        value = item[ttl]
        if isinstance(value, str):
            item = item | {ttl: _moment(ttl, value)}
        try:
            made: dict[str, Any] = self._puts.rewrite("PutItem", {"Item": item})["Item"]
        except (TypeError, ValueError) as error:
            raise RefusedRowError(str(error)) from None
        return made


def _moment(ttl: str, text: str) -> Any:
    """Give the time that a text stands for: seconds, or a datetime in ISO 8601."""
    try:
        return number(text)
    except RefusedRowError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise RefusedRowError(f"{shown(ttl)}, the TTL attribute, is neither a number of seconds nor a time") from None
