"""The pace of reads: what a request is going to cost is taken from a limiter before it is sent, and settled after.

What a read costs is known from its answer only. So each request is taken for as dear as the last one was, and the
difference is charged when its answer says what it did cost.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from resilient_ddb.calls import telling
from resilient_ddb.calls.flows import Flow
from resilient_ddb.errors import DeadlineExceededError
from resilient_ddb.policy.clock import Clock
from resilient_ddb.policy.deadlines import current_deadline
from resilient_ddb.policy.policy import policy_of

from .token_bucket import Limiter, as_limiter

Sleep = Callable[[float], Any]


class ReadRate:
    """A reader's use of a limiter. Safe to share between threads: what is unknown to one of them is an estimate."""

    def __init__(self, limiter: Limiter, clock: Clock, estimate: float, table: Any = None) -> None:
        """Take so many units from `limiter` for the first request, for each part of it; waits are told of `table`."""
        self._limiter = limiter
        self._table = table
        self._clock = clock
        self.estimate = estimate
        """Units that a part of the next request is taken to cost."""

    def take(self, operation: str, parts: int, sleep: Sleep) -> Flow[float]:
        """Take the units of a request, wait until they may be used, and give them.

        Raises:
            DeadlineExceededError: the deadline comes first; nothing was taken.
        """
        join = getattr(self._limiter, "reserve_async", None) if inspect.iscoroutinefunction(sleep) else None
        if join is not None:  # a rate that is shared may have to ask for its part first: not on the event loop
            yield partial(join, 0.0)
        units = self.estimate * parts
        wait = self._limiter.reserve(units)
        deadline = current_deadline()
        if deadline is not None and wait >= deadline.remaining():
            self._limiter.charge(-units)
            raise DeadlineExceededError(operation_name=operation, attempts=0)
        try:
            if wait:
                self._tell(operation, wait)
                yield partial(sleep, self._clock.wait(wait))
        except BaseException:  # interrupted, or cancelled: what is not used goes back
            self._limiter.charge(-units)
            raise
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
        consumed = _consumed(response)
        if consumed is not None:
            self._limiter.charge(consumed - taken)
            if done:
                self.estimate = consumed / done


def read_rate(rate: Any, table: Any, estimate: float) -> ReadRate | None:
    """Return the pace for a `read_units_per_second` of a table's reads; None where there is none.

    Raises:
        TypeError, ValueError: it is no number above 0, and no limiter.
    """
    if rate is None:
        return None
    clock = policy_of(table).clock
    return ReadRate(as_limiter("read_units_per_second", rate, clock), clock, estimate, table)


def _consumed(response: Mapping[str, Any]) -> float | None:
    """Return the units that an answer says; None where it says nothing of them."""
    found = response.get("ConsumedCapacity")
    entries = found if isinstance(found, list) else [found]
    units = [entry["CapacityUnits"] for entry in entries if entry and "CapacityUnits" in entry]
    return float(sum(units)) if units else None
