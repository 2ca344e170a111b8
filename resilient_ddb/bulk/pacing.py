"""How fast a batch writer goes, and a reader.

A writer goes at a stated rate, which it never exceeds. It goes slower for as long as DynamoDB says that it is too
fast. That is additive increase and multiplicative decrease, as TCP has it (Chiu and Jain, "Analysis of the increase
and decrease algorithms for congestion avoidance", 1989).

What a read costs is known from its answer only. Each request is taken for as dear as the last one was, and the
difference is charged when its answer says what it did cost.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from resilient_ddb.calls import telling
from resilient_ddb.calls.flows import Flow
from resilient_ddb.dynamodb.capacity import least_read_units
from resilient_ddb.policy.clock import Clock
from resilient_ddb.policy.policy import policy_of

from .settings import Rate
from .token_bucket import CapacityBucket, Limiter, as_limiter, taking_flow

PROVISIONED_SHARE = 0.5
"""The share of a provisioned table's capacity that `"auto"` takes, as EMR's and Glue's DynamoDB connectors do."""
NEW_ON_DEMAND_UNITS = 4000.0
"""What a new on-demand table takes a second, where DescribeTable does not say."""
_REREAD_SECONDS = 300.0
_DECREASE = 0.7
_DECREASE_SECONDS = 1.0
"""At most one decrease in this time: what was sent before it says nothing about it."""
_INCREASE_SHARE = 0.05
"""Share of the stated rate that is won back a second."""
_SLOWEST_SHARE = 0.02
"""Share of the stated rate below which it never goes: after an outage, the next batch must come within reach."""
_LEAST_STATED = 1.0
_LEARNING = 0.3
_log = logging.getLogger("resilient_ddb")

Sleep = Callable[[float], Any]


class Pace:
    """Reserves capacity for batches, and learns from the answers."""

    def __init__(self, rate: Rate, clock: Clock) -> None:
        """Begin at the stated rate; None: as fast as it goes."""
        self._clock = clock
        self._is_auto = rate == "auto"
        self._limiter: Limiter | None = (
            None if rate is None or self._is_auto else as_limiter("write_units_per_second", rate, clock)
        )
        self._read_again_at = clock.monotonic()
        self._slower: CapacityBucket | None = None
        self._changed_at = self._decreased_at = self._started = clock.monotonic()
        self._ratio = 1.0
        """Units consumed for each unit by size: indexes, and larger items that were replaced."""
        self._has_learnt = False
        self.consumed = 0.0

    @property
    def asks(self) -> bool:
        """Return whether to ask DynamoDB what was consumed."""
        return self._is_auto or self._limiter is not None

    @property
    def knows_cost(self) -> bool:
        """Return whether it is known what a unit by size costs; if no rate is held, it does not matter."""
        return self._has_learnt or not self.asks

    @property
    def current_rate(self) -> float | None:
        """Return the units a second that batches keep to now; None if no rate is held."""
        if self._limiter is None:
            return None
        return self._stated() if self._slower is None else self._slower.units_per_second

    @property
    def stated_rate(self) -> float | None:
        """Return the units a second that it was told to keep to; None if no rate is held."""
        return None if self._limiter is None else self._stated()

    def follow_table(self, describe: Callable[[], Any]) -> Flow[None]:
        """See what the rate is, if it is the table's: at first, and every five minutes."""
        now = self._clock.monotonic()
        if not self._is_auto or now < self._read_again_at:
            return
        try:
            rate = auto_rate((yield describe)["Table"])
        except Exception as error:
            if self._limiter is None:
                raise
            _log.warning("write_units_per_second='auto': %s; the rate that was read last goes on holding", error)
            rate = None
        self._read_again_at = now + _REREAD_SECONDS
        if isinstance(self._limiter, CapacityBucket) and rate is not None:
            self._limiter.units_per_second = rate
        elif rate is not None:
            self._limiter = CapacityBucket(rate, clock=self._clock)

    def join(self, join: Callable[[Limiter], Any]) -> Flow[None]:
        """Join a rate that is shared with others, before anything is taken from the queue."""
        if self._limiter is not None:
            yield partial(join, self._limiter)

    def reserve(self, units: float) -> tuple[float, float]:
        """Reserve what units by size are going to cost; return that, and the seconds to wait before they are sent."""
        if self._limiter is None:
            return 0.0, 0.0
        cost = units * self._ratio
        wait = self._limiter.reserve(cost)
        return cost, wait if self._slower is None else max(wait, self._slower.reserve(cost))

    def settle(self, reserved: float, units: float, consumed: float | None, written: int = 0) -> None:
        """Correct a reservation.

        Args:
            reserved: what was taken.
            units: by size, of what was written.
            consumed: what DynamoDB says; None if it does not. An emulator may say too little.
            written: how many items were written: each takes a unit at least.
        """
        cost = units * self._ratio if consumed is None else max(consumed, float(written))
        self.consumed += cost
        if consumed is not None and units:
            learnt = cost / units
            self._ratio += (learnt - self._ratio) * (_LEARNING if self._has_learnt else 1.0)
            self._has_learnt = True
        if self._limiter is not None and cost != reserved:
            self._limiter.charge(cost - reserved)
            if self._slower is not None and cost > reserved:  # what came back was too much: it is not sent at once
                self._slower.charge(cost - reserved)

    def met_limit(self) -> None:
        """Go slower."""
        if self._limiter is None:
            return
        now = self._clock.monotonic()
        if self._slower is None:
            self._slower = CapacityBucket(self._stated() * _DECREASE, clock=self._clock)
            self._slower.charge(self._slower.burst)
        elif now - self._decreased_at >= _DECREASE_SECONDS:
            slowest = self._stated() * _SLOWEST_SHARE
            self._slower.units_per_second = max(slowest, self._slower.units_per_second * _DECREASE)
        else:
            return
        self._decreased_at = self._changed_at = now

    def met_none(self) -> None:
        """Go faster again, up to the stated rate."""
        if self._slower is None:
            return
        now = self._clock.monotonic()
        stated = self._stated()
        rate = self._slower.units_per_second + stated * _INCREASE_SHARE * (now - self._changed_at)
        self._changed_at = now
        if rate >= stated:
            self._slower = None
        else:
            self._slower.units_per_second = rate

    def _stated(self) -> float:
        """Return the limiter's rate, or its part of a shared one; of one that shows none, what went through so far."""
        limiter = self._limiter
        rate = getattr(limiter, "share", None) or getattr(limiter, "units_per_second", None)
        if isinstance(rate, (int, float)):
            return float(rate)
        return max(_LEAST_STATED, self.consumed / max(self._clock.monotonic() - self._started, 1.0))


def auto_rate(table: Mapping[str, Any]) -> float:
    """Return the write units a second that a table can be asked for, from `DescribeTable`'s answer.

    A share of what is provisioned; for an on-demand table its warm throughput, but no more than the maximum that it may
    have been given. Global secondary indexes have units of their own, which are added: what they consume is counted,
    too.
    """
    mode = (table.get("BillingModeSummary") or {}).get("BillingMode", "PROVISIONED")
    parts = [table, *(table.get("GlobalSecondaryIndexes") or ())]
    if mode == "PROVISIONED":
        units = sum((part.get("ProvisionedThroughput") or {}).get("WriteCapacityUnits") or 0 for part in parts)
        return max(_LEAST_STATED, float(units) * PROVISIONED_SHARE)
    return sum(map(_on_demand_units, parts))


def _on_demand_units(part: Mapping[str, Any]) -> float:
    warm = (part.get("WarmThroughput") or {}).get("WriteUnitsPerSecond") or NEW_ON_DEMAND_UNITS
    most = (part.get("OnDemandThroughput") or {}).get("MaxWriteRequestUnits") or 0
    return float(min(warm, most) if most > 0 else warm)  # -1: there is no maximum


class ReadRate:
    """A reader's use of a limiter. Safe to share between threads: what is unknown to one of them is an estimate."""

    def __init__(
        self, limiter: Limiter, clock: Clock, estimate: float, table: Any = None, *, least: float | None = None
    ) -> None:
        """Acquire so many units from `limiter` for the first request, for each part of it; waits are told of `table`.

        A part costs `least` units at least, whatever an answer says; the estimate if left out.
        """
        self._least = estimate if least is None else least
        self._limiter = limiter
        self._table = table
        self._clock = clock
        self.estimate = estimate
        """Units that a part of the next request is taken to cost."""

    def take(self, operation: str, parts: int, sleep: Sleep) -> Flow[float]:
        """Return the units of a request, once they are reserved and may be used.

        Raises:
            DeadlineExceededError: the deadline comes first; nothing was taken.
        """
        join = getattr(self._limiter, "reserve_async", None) if inspect.iscoroutinefunction(sleep) else None
        if join is not None:  # a rate that is shared may have to ask for its part first: not on the event loop
            yield partial(join, 0.0)
        units = self.estimate * parts
        tell = partial(self._tell, operation)
        yield from taking_flow(self._limiter, units, self._clock, self._limiter.reserve, sleep, operation, tell)
        return units

    def _tell(self, operation: str, wait: float) -> None:
        core = None if self._table is None else getattr(self._table.meta.client, "_resilience", None)
        if core is not None:
            telling.waits(core, self._table.name, operation, wait, "rate")

    def settle(self, taken: float, done: int, response: Mapping[str, Any]) -> None:
        """Charge what a request cost beyond what was taken for it, or give back what it did not.

        Args:
            taken: the units that `take` gave.
            done: the parts of the request that were done.
            response: its answer.
        """
        consumed = telling.consumed_units(response)
        if consumed is not None:
            consumed = max(consumed, self._least * done)
            self._limiter.charge(consumed - taken)
            if done:
                self.estimate = consumed / done


def read_rate(rate: Any, table: Any, params: Mapping[str, Any], estimate: float | None = None) -> ReadRate | None:
    """Return the pace for a `read_units_per_second` of a table's reads; None if there is none.

    A key, or a page, that is read by `params` costs something at least. The first is taken to cost just that, unless
    there is an estimate.

    Raises:
        TypeError, ValueError: it is no number above 0, and no limiter.
    """
    if rate is None:
        return None
    clock = policy_of(table).clock
    least = least_read_units(params)
    limiter = as_limiter("read_units_per_second", rate, clock)
    return ReadRate(limiter, clock, least if estimate is None else estimate, table, least=least)
