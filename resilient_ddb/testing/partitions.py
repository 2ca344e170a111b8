"""Partitions that wear out: token buckets for each partition key value, as DynamoDB has them. Pure.

A partition takes 1,000 write units and 3,000 read units a second, whatever the table's capacity is. More is refused
with a reason that says "key range". That is the hot key which no test against an emulator meets.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from .batches import leave_undone
from .calls import BATCHES, Call
from .plan import Act, Fault, check_number, check_text
from .service_faults import Throttle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .plan import Decision

_WRITE_UNIT_BYTES = 1024
_EVENTUAL, _CONSISTENT = 0.5, 1.0


class TokenBucket:
    """`rate` tokens a second flow in, up to `size`, which it starts with. Time is told, never asked."""

    def __init__(self, rate: float, size: float, now: float) -> None:
        self._rate = rate
        self._size = size
        self._tokens = size
        self._at = now

    def take(self, units: float, now: float) -> bool:
        """Consume `units` if they are there.

        What is larger than the bucket passes when the bucket is full, and leaves a debt: it would never
        pass otherwise.
        """
        elapsed = max(0.0, now - self._at)
        self._tokens = min(self._size, self._tokens + elapsed * self._rate)
        self._at = max(self._at, now)
        if self._tokens < min(units, self._size):
            return False
        self._tokens -= units
        return True


def write_units(values: Mapping[str, Any]) -> float:
    """Estimate the write units of an item: its JSON in wire format by the KB, rounded up, at least one.

    Wire JSON is longer than what DynamoDB charges for: quotes, type tags and base64 count here.
    """
    size = len(json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode())
    return float(max(1, math.ceil(size / _WRITE_UNIT_BYTES)))


@dataclass(frozen=True, kw_only=True)
class PartitionCapacity(Fault):
    """Refuse what is above one partition's capacity; one partition key value is one partition.

    What is charged: for GetItem and each key of a BatchGetItem 0.5 units, or 1 with `ConsistentRead`. That is a read
    of up to 4 KB: the item's size is not known beforehand. Query likewise, as one such read, where its
    `KeyConditionExpression` compares the partition key with a value; its pages are not measured. PutItem and each
    entry of a BatchWriteItem by the size of the item (or of the key), UpdateItem by key and expression
    values: see `write_units`. Scans, transactions, PartiQL and index partitions are unlimited.

    A refused request gets `ProvisionedThroughputExceededException` with the reason
    `TableReadKeyRangeThroughputExceeded` or `TableWriteKeyRangeThroughputExceeded`. Refused entries of a
    batch come back unprocessed; if all are refused, the batch gets the error, as with DynamoDB.
    """

    partition_key: str
    """The attribute that is the table's partition key."""
    read_units: float = 3000.0
    """Read units a second for each partition; above 0."""
    write_units: float = 1000.0
    """Write units a second for each partition; above 0."""
    burst_seconds: float = 1.0
    """How many seconds' worth an idle partition has saved up, which it starts with; above 0."""

    fits: ClassVar[frozenset[str] | None] = BATCHES | {
        "GetItem",
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "Query",
    }

    def _check(self) -> None:
        check_text("partition_key", self.partition_key)
        for name in ("read_units", "write_units", "burst_seconds"):
            value = getattr(self, name)
            check_number(name, value, 0)
            if value == 0:
                raise ValueError(f"{name} must be above 0; got {value!r}")

    def act(self, call: Call, /) -> Act | None:
        """Return what happens to a call that meets rested partitions; a plan remembers more, see `fresh`."""
        return Partitions(self).act(call)

    def fresh(self) -> Decision:
        """Begin with rested partitions."""
        return Partitions(self).act


class Partitions:
    """The partitions that one plan has seen, each with a bucket for reads and one for writes."""

    def __init__(self, limits: PartitionCapacity) -> None:
        self._limits = limits
        self._buckets: dict[tuple[str, str, bool], TokenBucket] = {}

    def act(self, call: Call, /) -> Act | None:
        """Charge the call's partitions; None if all of it passes."""
        refused = {at for at, charge in enumerate(self._charges(call)) if not self._take(call, *charge)}
        if not refused:
            return None
        if call.operation not in BATCHES or len(refused) == len(call.parts):
            reason = f"Table{'Read' if call.reads else 'Write'}KeyRangeThroughputExceeded"
            return Throttle(reasons=(reason,)).act(call)
        return leave_undone(call, refused)

    def _take(self, call: Call, table: str, values: Mapping[str, Any], units: float) -> bool:
        """Charge one partition; what names none is free."""
        value = values.get(self._limits.partition_key)
        if value is None:
            return True
        name = (table, json.dumps(value, sort_keys=True), call.reads)
        if name not in self._buckets:
            rate = self._limits.read_units if call.reads else self._limits.write_units
            self._buckets[name] = TokenBucket(rate, rate * self._limits.burst_seconds, call.at)
        return self._buckets[name].take(units, call.at)

    def _charges(self, call: Call) -> list[tuple[str, Mapping[str, Any], float]]:
        """Return table, key values and units for each entry of the call."""
        params = call.params
        charges = []
        for part in call.parts:
            values = part.values
            if call.operation == "Query":
                values = self._queried(params)
            if call.reads:
                units = _CONSISTENT if _consistent(params, part.table) else _EVENTUAL
            elif call.operation == "UpdateItem":
                units = write_units({**values, **(params.get("ExpressionAttributeValues") or {})})
            else:
                units = write_units(values)
            charges.append((part.table, values, units))
        return charges

    def _queried(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Find the partition that a query reads; none for a query of an index."""
        if "IndexName" in params:
            return {}
        names = params.get("ExpressionAttributeNames") or {}
        values = params.get("ExpressionAttributeValues") or {}
        for name, value in re.findall(r"([#\w.-]+)\s*=\s*(:\w+)", params.get("KeyConditionExpression") or ""):
            if names.get(name, name) == self._limits.partition_key and value in values:
                return {self._limits.partition_key: values[value]}
        return {}


def _consistent(params: Mapping[str, Any], table: str) -> bool:
    """Return whether the reads of that table are strongly consistent."""
    if "RequestItems" not in params:
        return bool(params.get("ConsistentRead"))
    return any(
        wanted.get("ConsistentRead")
        for name, wanted in params["RequestItems"].items()
        if name == table or name.endswith(f":table/{table}")
    )
