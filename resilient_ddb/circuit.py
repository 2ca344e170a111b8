"""One circuit: closed, open, half-open.

Calls go around pybreaker, not through it: its `call` holds a lock while it runs what it wraps. A call asks
`admit` first, does its I/O with no lock held, and hands the outcome to `record`, which drives a pybreaker breaker
with functions that only return or raise: its states, listeners and storages all hold. That breaker is made when it
is first needed, for a change of state or for listeners: until then a circuit costs one counter.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from .errors import CircuitOpenError

if TYPE_CHECKING:
    from pybreaker import CircuitBreaker

    from .breaker import Breaker
    from .clock import Clock
    from .retry import Uniform

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"
_BUCKETS = 10

StateChange = Callable[["Circuit", str, str, str], None]


class Outcome(Enum):
    """What an attempt says about the health of the table."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEITHER = "neither"


class Window:
    """Attempts, failures and slow attempts of the last seconds, counted in ten buckets of time."""

    def __init__(self, seconds: float) -> None:
        """Cover `seconds`."""
        self._width = seconds / _BUCKETS
        self._slots = [[-1, 0, 0, 0] for _ in range(_BUCKETS)]

    def add(self, now: float, *, failed: bool = False, slow: bool = False) -> None:
        """Count one attempt that ended `now`."""
        index = int(now / self._width)
        slot = self._slots[index % _BUCKETS]
        if slot[0] != index:
            slot[:] = (index, 0, 0, 0)
        slot[1] += 1
        slot[2] += failed
        slot[3] += slow

    def totals(self, now: float) -> tuple[int, int, int]:
        """Give attempts, failures and slow attempts of the window that ends `now`."""
        oldest = int(now / self._width) - _BUCKETS + 1
        slots = [slot for slot in self._slots if slot[0] >= oldest]
        return sum(s[1] for s in slots), sum(s[2] for s in slots), sum(s[3] for s in slots)

    def clear(self) -> None:
        """Forget all."""
        for slot in self._slots:
            slot[:] = (-1, 0, 0, 0)


class Circuit:
    """The state of one circuit. Safe to share between threads; no method waits or does I/O."""

    def __init__(self, name: str, breaker: Breaker, clock: Clock, uniform: Uniform, on_change: StateChange) -> None:
        """Start closed. `on_change` is told of each change of state, with no lock held."""
        self.name = name
        self.state = CLOSED
        """`closed`, `open` or `half-open`."""
        self.reason = ""
        """Why it is in that state."""
        self.settings = breaker
        self.clock = clock
        self._uniform = uniform
        self._on_change = on_change
        self._lock = threading.RLock()
        self._window = Window(breaker.window_seconds)
        self._period = 0
        self._probes = 0
        self._probe_successes = 0
        self._reopens_at = 0.0
        self._changes: list[tuple[str, str, str]] = []
        self._pybreaker: CircuitBreaker | None = None
        if breaker.storage is not None:
            self.breaker  # noqa: B018 - made now, so that another process's state is taken over from the start

    def admit(self, operation: str) -> int:
        """Let an attempt through, and give the permit to hand back with `record` or `release`.

        Raises:
            CircuitOpenError: the circuit is open, or half-open with every permit taken.
        """
        if self.state == CLOSED:
            return self._period
        with self._lock:
            now = self.clock.monotonic()
            if self.state == OPEN and now >= self._reopens_at:
                self._because("its open time is over: probing", self.breaker.half_open)
            refused = self.state == OPEN or (
                self.state == HALF_OPEN and self._probes >= self.settings.half_open_permits
            )
            if not refused:
                self._probes += self.state == HALF_OPEN
                permit = self._period
            wait = max(0.0, self._reopens_at - now) if self.state == OPEN else 0.0
            state, reason = self.state, self.reason
        self._tell()
        if refused:
            raise CircuitOpenError(
                operation_name=operation, circuit=self.name, state=state, reason=reason, retry_after=wait
            )
        return permit

    def record(self, permit: int, outcome: Outcome, elapsed: float, code: str = "") -> None:
        """Take in how an attempt ended: after `elapsed` seconds; `code` names its failure.

        The outcome of an attempt that was let through in an earlier state is dropped.
        """
        with self._lock:
            if permit != self._period:
                return
            if self.state == HALF_OPEN:
                self._probes -= 1
            if outcome is not Outcome.NEITHER:
                self._count(outcome, elapsed, code)
        self._tell()

    def release(self, permit: int) -> None:
        """Give a permit back unused: the attempt was cancelled, or never came about."""
        self.record(permit, Outcome.NEITHER, 0.0)

    @property
    def breaker(self) -> CircuitBreaker:
        """Give the pybreaker breaker behind this circuit."""
        with self._lock:
            if self._pybreaker is None:
                from .pybreaker_storage import make_breaker  # noqa: PLC0415 - it may import redis

                self._pybreaker = make_breaker(self)
            return self._pybreaker

    def adopt(self, state: str, reason: str) -> None:
        """Take over a state that another process has found."""
        with self._lock:
            if state == OPEN and self.state == CLOSED:
                self._because(reason, self.breaker.open)
            elif state == CLOSED and self.state != CLOSED:
                self._because(reason, self.breaker.close)
        self._tell()

    def _count(self, outcome: Outcome, elapsed: float, code: str) -> None:
        limit = self.settings.slow_call_seconds
        slow = limit is not None and elapsed > limit
        failed = outcome is Outcome.FAILURE
        now = self.clock.monotonic()
        if self.state == CLOSED:
            self._count_closed(now, failed=failed, slow=slow, code=code)
        elif failed or slow:
            what = f"a probe failed: {code}" if failed else f"a probe took {elapsed:.2f} s"
            self._because(what, self._fail)
        else:
            self._because("probes succeeded", self._succeed)

    def _count_closed(self, now: float, *, failed: bool, slow: bool, code: str) -> None:
        self._window.add(now, failed=failed, slow=slow)
        reason = ""
        if failed and self.is_failing():
            reason = self._failing_text(now, code)
        elif slow and self._is_slow(now):
            limits = (self.settings.slow_call_rate, self.settings.slow_call_seconds)
            reason = "{:.0%} or more of the attempts took over {:g} s".format(*limits)
        if self.settings.listeners:
            self._because(reason, self._fail if failed else self._succeed)
        if reason and self.state == CLOSED:
            self._because(reason, self.breaker.open)

    def _is_slow(self, now: float) -> bool:
        calls, _, slow = self._window.totals(now)
        return calls >= self.settings.minimum_calls and slow >= calls * self.settings.slow_call_rate

    def _succeed(self) -> None:
        self.breaker.call(_return)

    def _fail(self) -> None:
        with contextlib.suppress(_FailureError):
            self.breaker.call(_raise)

    def _failing_text(self, now: float, code: str) -> str:
        calls, failures, _ = self._window.totals(now)
        return f"{failures} of {calls} attempts failed within {self.settings.window_seconds:g} s, the last with {code}"

    def _because(self, reason: str, act: Callable[[], object]) -> None:
        """Do what may change the state, and keep `reason` if it did."""
        period, old = self._period, self.state
        act()
        if self._period != period:
            self.reason = reason
            self._changes.append((old, self.state, reason))

    def _tell(self) -> None:
        while self._changes:
            try:
                old, new, reason = self._changes.pop(0)
            except IndexError:  # another thread was quicker
                return
            self._on_change(self, old, new, reason)

    # What pybreaker's storage protocol comes down to: see pybreaker_storage.

    def enter(self, state: str) -> None:
        """Begin a new period in `state`."""
        with self._lock:
            if state == self.state:
                return
            self.state = state
            self._period += 1
            self._window.clear()
            self._probes = self._probe_successes = 0
            if state == OPEN:
                stretch = self._uniform(0.0, self.settings.open_jitter)
                self._reopens_at = self.clock.monotonic() + self.settings.open_seconds * (1.0 + stretch)

    def is_failing(self) -> bool:
        """Tell whether the window says that the circuit should open."""
        calls, failures, _ = self._window.totals(self.clock.monotonic())
        return calls >= self.settings.minimum_calls and failures >= calls * self.settings.failure_rate

    def count_probe_success(self) -> None:
        """Count one successful probe."""
        self._probe_successes += 1

    def forget_probe_successes(self) -> None:
        """Start counting successful probes anew."""
        self._probe_successes = 0

    @property
    def probe_successes(self) -> int:
        """Give the successful probes of this half-open period."""
        return self._probe_successes


class _FailureError(Exception):
    """Stands for any failure, towards pybreaker."""


def _return() -> None:
    return None


def _raise() -> None:
    raise _FailureError
