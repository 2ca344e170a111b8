"""From a row's item to the one that is written: types, the TTL attribute, a shard, and a check against every limit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from resilient_ddb.sharding.shard_layout import ShardLayout
from resilient_ddb.ttl.writes import Puts

from .conversions import convert
from .errors import BulkError, RefusedRowError, UsageError
from .limits import KINDS, KeyAttribute, check_item, kind_of, number, shown
from .options import LoadOptions
from .sources import Row


class Preparation:
    """What is done to each item."""

    def __init__(self, options: LoadOptions, keys: Sequence[KeyAttribute]) -> None:
        """Prepare items by the options, and by the keys that items must have, the table's partition key first.

        Raises:
            BulkError: the table can't be sharded so.
        """
        self._types = dict(options.types)
        self._ttl = options.ttl
        self._keys = tuple(keys)
        self._puts = Puts("", options.ttl or "", time.time())
        self._layout = _layout(options, keys)

    def __call__(self, row: Row) -> tuple[dict[str, Any], int]:
        """Return a row's item as it will be written, and its size in bytes.

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
        size = check_item(item, self._keys)
        if self._layout is not None:
            item = self._in_its_shard(item, self._layout)
            size = check_item(item, self._keys)
        return item, size

    def _in_its_shard(self, item: dict[str, Any], layout: ShardLayout) -> dict[str, Any]:
        """Return an item with the key that it is stored under, as the batch writer of a sharded table would."""
        partition = self._keys[0].name
        try:
            return {**item, partition: layout.stored_key(item[partition], item)}
        except (TypeError, ValueError) as error:
            raise RefusedRowError(str(error)) from None

    def _with_ttl(self, item: dict[str, Any], ttl: str) -> dict[str, Any]:
        """Make the TTL attribute a number of seconds: DynamoDB takes any other value for 'never'."""
        value = item[ttl]
        if isinstance(value, str):
            item = item | {ttl: _moment(ttl, value)}
        elif (kind := kind_of(value)) not in ("N", "NULL"):
            raise RefusedRowError(f"{shown(ttl)}, the TTL attribute, is {KINDS[kind]}, and no time")
        try:
            made: dict[str, Any] = self._puts.rewrite("PutItem", {"Item": item})["Item"]
        except (TypeError, ValueError) as error:
            raise RefusedRowError(str(error)) from None
        return made


def _layout(options: LoadOptions, keys: Sequence[KeyAttribute]) -> ShardLayout | None:
    if options.shards is None:
        return None
    partition, *others = [key for key in keys if key.required]
    by = options.shard_by or next((key.name for key in others), None)
    if by is None:
        raise UsageError("--shards needs --shard-by, the attribute that chooses the shard: the table has no sort key")
    if partition.kind not in (None, "S"):
        raise BulkError(f"--shards: {shown(partition.name)}, the table's partition key, is no string and has no suffix")
    try:
        made = ShardLayout(
            options.shards, by=by, separator=options.shard_separator, pad=options.shard_pad, key=partition.name
        )
    except (TypeError, ValueError) as error:
        raise BulkError(f"--shards: {error}") from error
    return made


def _moment(ttl: str, text: str) -> Any:
    """Return the time that a text stands for: seconds, or a datetime in ISO 8601."""
    try:
        return number(text)
    except RefusedRowError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise RefusedRowError(f"{shown(ttl)}, the TTL attribute, is neither a number of seconds nor a time") from None
