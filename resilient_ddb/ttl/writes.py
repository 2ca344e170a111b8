"""The TTL attribute of items that are put: stamped from `ttl_seconds`, or seen to that it can be meant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from resilient_ddb.dynamodb.operations import MAPPING, entries_of, same_table
from resilient_ddb.dynamodb.reserved import MOVED, NAMES
from resilient_ddb.policy.checks import check_number

from .rule import MILLISECONDS, is_number

OPERATIONS = frozenset({"PutItem", "BatchWriteItem", "TransactWriteItems"})
BY_KEY = frozenset({"UpdateItem", "DeleteItem"})
ARGUMENT = "ttl_seconds"
"""The argument of `put_item` that is ours."""
_LONGEST = 10**9
"""Seconds, some 30 years: from here on it is a point in time, or milliseconds, by mistake."""


class Puts:
    """What becomes of the items in one request."""

    def __init__(self, table: str, attribute: str, now: float, *, native: bool = True) -> None:
        """Look after the items of `table`; `now` is in seconds since the epoch; values are `native`, or typed."""
        self._native = native
        self._table = table
        self._attribute = attribute
        self._now = now
        self.has_attribute = False
        """Whether an item has the attribute, or is given it."""
        self.converted: str | None = None
        """The type of a value that was turned into whole seconds."""

    def rewrite(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request's parameters with the attribute as it will be written; nothing of the caller's is changed.

        Raises:
            TypeError, ValueError: a value can't be meant.
        """
        made = dict(params)
        if operation == "PutItem":
            seconds = made.pop(ARGUMENT, None)
            if isinstance(made.get("Item"), Mapping):
                made["Item"] = self._item(made["Item"], seconds)
        elif operation == "BatchWriteItem" and isinstance(made.get("RequestItems"), Mapping):
            made["RequestItems"] = {
                name: [self._within(entry, "PutRequest") for entry in entries]
                if isinstance(entries, list) and same_table(name, self._table)
                else entries
                for name, entries in made["RequestItems"].items()
            }
        elif isinstance(made.get("TransactItems"), list):
            made["TransactItems"] = [
                self._within(entry, "Put") if _is_put(entry, self._table) else entry for entry in made["TransactItems"]
            ]
        return made

    def _within(self, entry: Any, action: str) -> Any:
        put = entry.get(action) if isinstance(entry, MAPPING) else None
        item = put.get("Item") if isinstance(put, MAPPING) else None
        if not isinstance(item, MAPPING) or self._attribute not in item:
            return entry
        return {**entry, action: {**put, "Item": self._item(item, None)}}  # type: ignore[dict-item]  # it has an Item

    def _item(self, item: Mapping[str, Any], seconds: Any) -> Mapping[str, Any]:
        if seconds is not None:
            self.has_attribute = True
            return stamped(item, self._attribute, seconds, self._now, native=self._native)
        if self._attribute not in item:
            return item
        self.has_attribute = True
        value = self._settled(item[self._attribute])
        return item if value is item[self._attribute] else {**item, self._attribute: value}

    def _settled(self, value: Any) -> Any:
        """Return a value as it will be written. What is no time at all is left to DynamoDB: it never expires."""
        if isinstance(value, datetime) and value.utcoffset() is None:
            raise ValueError(
                f"Item[{self._attribute!r}] must be a datetime with a time zone, such as datetime.now(UTC), or a "
                "number of seconds since the epoch; got a datetime without a time zone"
            )
        settled = whole_seconds(value if self._native or isinstance(value, datetime | float) else _number(value))
        if is_number(settled) and MILLISECONDS <= settled < math.inf:  # what is infinite, boto3 refuses
            raise ValueError(
                f"Item[{self._attribute!r}] must be in seconds since the epoch, and looks like milliseconds: the item "
                "would never expire; divide it by 1000"
            )
        if not self._native:
            return value
        if settled is not value:
            self.converted = type(value).__name__
        return settled


def stamped(
    item: Mapping[str, Any], attribute: str, seconds: Any, now: float, *, native: bool = True
) -> Mapping[str, Any]:
    """Return an item that expires so many seconds from now.

    Raises:
        TypeError, ValueError: `seconds` is no number above 0, or can't be meant.
    """
    if isinstance(seconds, Decimal):  # as boto3 gives numbers
        seconds = float(seconds)
    check_number(ARGUMENT, seconds, above=0)
    if seconds >= _LONGEST:
        raise ValueError(
            f"{ARGUMENT} is how long the item lives, in seconds; got {seconds!r}, which looks like "
            "milliseconds, or like a point in time"
        )
    stamp = math.ceil(now + seconds)
    return {**item, attribute: stamp if native else {"N": str(stamp)}}


def whole_seconds(value: Any) -> Any:
    """Return a point in time as it is stored, in whole seconds since the epoch; anything else as it is."""
    if isinstance(value, datetime):
        return math.ceil(value.timestamp())
    return math.ceil(value) if isinstance(value, float) and math.isfinite(value) else value


def _number(typed: Any) -> Any:
    """Return the number that a typed value is; None if it is none."""
    try:
        return Decimal(typed["N"])
    except (TypeError, KeyError, ValueError, ArithmeticError):  # botocore, or DynamoDB, has the last word
        return None


def keys_of(operation: str, params: Mapping[str, Any], table: str) -> Iterator[Any]:
    """Return the keys of a table's items that a request updates, deletes or asks about."""
    return (inner.get("Key") for name, _, inner in entries_of(operation, params) if same_table(name, table))


def _is_put(entry: Any, table: str) -> bool:
    put = entry.get("Put") if isinstance(entry, Mapping) else None
    if not isinstance(put, Mapping) or MOVED in (put.get(NAMES) or ()):  # what is moved stays as it is stored
        return False
    return same_table(put.get("TableName"), table)
