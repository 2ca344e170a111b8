"""A token bucket in capacity units: the rate that writers, readers and threads share.

Taking is a reservation: it always succeeds, may leave the bucket in debt, and says how long the taker has to wait
before it uses what it took. The one who reserves first waits least, so the order is fair and nobody starves. Whatever
the sizes, what was used is never more than `rate x time + burst`. What a request really consumed is settled afterwards.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from resilient_ddb.calls.flows import Flow
from resilient_ddb.errors import DeadlineExceededError, attach
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.checks import check_methods, check_number, check_plain_methods
from resilient_ddb.policy.clock import SYSTEM_CLOCK, Clock
from resilient_ddb.policy.deadlines import is_beyond_deadline
from resilient_ddb.policy.forks import tell_child


class Limiter(Protocol):
    """What the library asks of a limiter, wherever it takes a rate."""

    def reserve(self, units: float) -> float:
        """Reserve units, and return the seconds to wait before they may be used."""
        ...

    def charge(self, units: float) -> None:
        """Settle the difference between what was consumed and what was reserved."""
        ...


class CapacityBucket:
    """Capacity units that come in at a rate, and are taken as they are used. Safe to share between threads.

    Raises:
        TypeError, ValueError: the rate or `burst` is no number above 0, or `clock` is no clock.
    """

    @names_checked
    def __init__(self, units_per_second: float, *, burst: float | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        """Make a bucket, full at the start.

        Args:
            units_per_second: capacity units that come in, a second.
            burst: units that an unused bucket holds at most; one second's worth by default.
            clock: where monotonic time comes from; the machine's by default.
        """
        check_number("units_per_second", units_per_second, above=0)
        if burst is not None:
            check_number("burst", burst, above=0)
        check_methods("clock", clock, "monotonic", "time", "wait")
        self._clock = clock
        self._lock = threading.RLock()  # a task that waits, and is dropped, gives its units back within anything
        tell_child(self)
        self._rate, self._burst = units_per_second, burst
        self._level = self.burst
        """Units at hand at `_at`; below 0 if more is reserved than came in."""
        self._at = clock.monotonic()

    def _in_child(self) -> None:
        """Begin with a lock of its own in a forked process: a thread of the parent may have held it."""
        self._lock = threading.RLock()

    @property
    def units_per_second(self) -> float:
        """Capacity units that come in, a second. May be set: what was reserved before keeps its wait."""
        return self._rate

    @units_per_second.setter
    def units_per_second(self, rate: float) -> None:
        check_number("units_per_second", rate, above=0)
        with self._lock:
            self._refill()
            self._rate = rate
            self._level = min(self._level, self.burst)

    @property
    def burst(self) -> float:
        """Units that an unused bucket holds at most."""
        return self._rate if self._burst is None else self._burst

    def reserve(self, units: float) -> float:
        """Reserve units now, into debt if need be, and return the seconds to wait before they may be used.

        More than `burst` may be taken at once: the wait is longer then.

        Raises:
            TypeError, ValueError: `units` is no number of 0 or more.
        """
        check_number("units", units, least=0)
        with self._lock:
            self._refill()
            self._level -= units
            return max(0.0, -self._level / self._rate)

    def charge(self, units: float) -> None:
        """Settle what was consumed beyond what was reserved; less than 0 gives back. Never waits.

        Raises:
            TypeError, ValueError: `units` is no finite number.
        """
        if isinstance(units, bool) or not isinstance(units, (int, float)):
            raise TypeError(f"units must be a number; got {units!r}")
        if not math.isfinite(units):
            raise ValueError(f"units must be a finite number; got {units!r}")
        with self._lock:
            self._refill()
            self._level = min(self.burst, self._level - units)

    def _refill(self) -> None:
        now = self._clock.monotonic()
        self._level = min(self.burst, self._level + max(0.0, now - self._at) * self._rate)
        self._at = now

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._rate!r}, burst={self.burst!r})"


def taking_flow(
    limiter: Limiter,
    units: float,
    clock: Clock,
    reserve: Callable[[float], Any],
    sleep: Callable[[float], Any],
    operation: str,
    tell: Callable[[float], None] | None = None,
) -> Flow[float]:
    """Acquire units by `reserve`: wait until they may be used, and return the seconds waited. `tell` is told first.

    Raises:
        DeadlineExceededError: the deadline comes first; nothing was taken.
    """
    wait: float = yield partial(reserve, units)
    if is_beyond_deadline(wait):
        limiter.charge(-units)
        told = "the deadline comes before the next units: none was taken, and nothing was sent for them"
        late = DeadlineExceededError(operation_name=operation, attempts=0, told=told)
        attach(late, late.resilience)
        raise late
    try:
        if wait:
            if tell is not None:
                tell(wait)
            yield partial(sleep, clock.wait(wait))
    except BaseException:  # interrupted, or cancelled: what is not used goes back
        limiter.charge(-units)
        raise
    return wait


def as_limiter(name: str, rate: Any, clock: Clock) -> Limiter:
    """Return the limiter that a rate stands for: a bucket of its own for a number, any other limiter as it is.

    Raises:
        TypeError, ValueError: it is no number above 0, and nothing with `reserve` and `charge`.
    """
    if isinstance(rate, (int, float)):
        check_number(name, rate, above=0)
        return CapacityBucket(rate, clock=clock)
    if not all(callable(getattr(rate, method, None)) for method in ("reserve", "charge")):
        raise TypeError(
            f"{name} must be capacity units a second, a number greater than 0, or a limiter such as "
            f"resilient_ddb.RateLimiter; got {rate!r}"
        )
    check_plain_methods(name, rate, "reserve", "charge")
    limiter: Limiter = rate
    return limiter
