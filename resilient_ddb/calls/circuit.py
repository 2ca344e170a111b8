"""One circuit: closed, open, half-open.

Calls go around pybreaker, not through it: its `call` holds a lock while it runs what it wraps. A call asks
`admit` first, does its I/O with no lock held, and hands the outcome to `record`. That drives a pybreaker breaker with
functions that only return or raise, so its states, listeners and storages all hold. The breaker is made when it is
first needed, for a change of state or for listeners. Until then a circuit costs one counter.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from resilient_ddb.errors import CircuitOpenError
from resilient_ddb.events import RELEASED
from resilient_ddb.policy.forks import tell_child

if TYPE_CHECKING:
    import pybreaker

    from resilient_ddb.policy.circuit_breaker import CircuitBreaker
    from resilient_ddb.policy.clock import Clock
    from resilient_ddb.policy.retry import Uniform

_PROBE_PATIENCE_SECONDS = 60.0
_FACTS_PATIENCE_SECONDS = 0.01
CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"

StateChange = Callable[["Circuit", str, str, str, bool], None]
"""Takes the circuit, its old state, its new one, why, and whether the new one is forced."""
MakeBreaker = Callable[["Circuit"], "pybreaker.CircuitBreaker"]


class HealthSign(Enum):
    """What an attempt says about the health of the table."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEITHER = "neither"


_FAILURE, _NEITHER = HealthSign.FAILURE, HealthSign.NEITHER
"""Python 3.11 takes long to find a member in its class, and each attempt asks for them."""


class Forced(NamedTuple):
    """What a person has decided for a circuit, until it is released."""

    state: str
    """`open` or `closed`."""
    reason: str
    """Why, in the person's words."""


class Held(dict[str, Forced]):
    """The circuits that a person holds, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, Sequence[Any]] = {}
        """The observers that were told of it before there was a circuit."""


class Window:
    """The last attempts, as many as `calls` at most and none older than `seconds`; how many failed, or were slow."""

    def __init__(self, calls: int, seconds: float) -> None:
        self._calls = calls
        self._seconds = seconds
        self._attempts: deque[tuple[float, bool, bool]] = deque()
        self._failed = 0
        self._slow = 0

    def add(self, now: float, *, failed: bool = False, slow: bool = False) -> None:
        """Count one attempt that ended `now`."""
        self._attempts.append((now, failed, slow))
        self._failed += failed
        self._slow += slow
        if len(self._attempts) > self._calls:
            self._forget_oldest()

    def totals(self, now: float) -> tuple[int, int, int]:
        """Return attempts, failures and slow attempts of the window that ends `now`."""
        while self._attempts and self._attempts[0][0] <= now - self._seconds:
            self._forget_oldest()
        return len(self._attempts), self._failed, self._slow

    def resized(self, calls: int, seconds: float, shift: float) -> Window:
        """Return a window of another size with the last of the same attempts, as many as it holds.

        `shift` is what a clock that is now gone by is ahead of the one before, in seconds.
        """
        made = Window(calls, seconds)
        for ended, failed, slow in list(self._attempts)[-calls:]:
            made.add(ended + shift, failed=failed, slow=slow)
        return made

    def counts(self, now: float) -> tuple[int, int]:
        """Return attempts and failures of the window that ends `now`, and change nothing: no lock is needed."""
        recent = [failed for at, failed, _ in tuple(self._attempts) if at > now - self._seconds]
        return len(recent), sum(recent)

    def clear(self) -> None:
        """Forget all."""
        self._attempts.clear()
        self._failed = self._slow = 0

    def _forget_oldest(self) -> None:
        _, failed, slow = self._attempts.popleft()
        self._failed -= failed
        self._slow -= slow


class Circuit:
    """The state of one circuit. Safe to share between threads; no method waits or does I/O."""

    def __init__(
        self,
        name: str,
        breaker: CircuitBreaker,
        clock: Clock,
        uniform: Uniform,
        on_change: StateChange,
        make_breaker: MakeBreaker,
    ) -> None:
        """Start closed.

        `on_change` is told of each change of state, with no lock held. `make_breaker` makes the pybreaker breaker
        behind the circuit, if one is needed.
        """
        self.name = name
        self.state = CLOSED
        """`closed`, `open` or `half-open`: what the attempts say. See `standing` for what holds."""
        self.reason = ""
        """Why it is in that state."""
        self.forced: Forced | None = None
        """What a person has decided; until it is released, nothing that attempts say changes the state."""
        self.lets_all_through = True
        """Whether every attempt goes through: one look, as each call asks for it."""
        self.settings = breaker
        self.clock = clock
        self._uniform = uniform
        self._on_change = on_change
        self._make_breaker = make_breaker
        self._lock = threading.RLock()
        tell_child(self)
        self._window = Window(max(breaker.window_calls, breaker.minimum_calls), breaker.window_seconds)
        self._period = 0
        self._probes = 0
        self._probe_outcomes = 0
        self._probe_failures = 0
        self._reopens_at = self._entered_at = 0.0
        self.hold_by_name: Callable[[str, Forced | None], None] | None = None
        """Holds the circuit of a name, wherever it is kept: for what another process has decided."""
        self.on_forced: Callable[[], None] | None = None
        """Called when a person has decided something: it tells a storage."""
        self.shares_forced = False
        """Whether what a person decides is shared with other processes, by the storage."""
        self.sharing: object = None
        """What stands for its being shared as it is now: another object once it goes by another storage. That storage
        may be the caller's own object, which passes on to one of the library's."""
        self.on_call: Callable[[], None] | None = None
        """Called as each call begins: for a storage that is only looked at while a call is under way."""
        self._changes: list[tuple[str, str, str, bool]] = []
        self._pybreaker: pybreaker.CircuitBreaker | None = None
        self.wake: Any = None
        """The event of the thread that keeps it in step with a shared storage. A thread with another one ends."""
        if breaker.storage is not None:
            self.breaker  # noqa: B018 - made now, so that another process's state is taken over from the start
            self.lets_all_through = self.on_call is None

    def _in_child(self) -> None:
        """Begin anew in a forked process, in the same state: the permits that are out are the parent's.

        The parent may have been in the middle of counting: the window starts empty.
        """
        self._lock = threading.RLock()
        self._pybreaker = None
        self._changes = []
        self._begin_period(self.clock.monotonic())

    def follow(self, breaker: CircuitBreaker, clock: Clock, uniform: Uniform) -> None:
        """Go by other settings from now on. It stays in its state, and so long as it was to; attempts stay counted."""
        with self._lock:
            old, self.settings = self.settings, breaker
            shift = 0.0 if clock is self.clock else clock.monotonic() - self.clock.monotonic()
            self.clock, self._uniform = clock, uniform
            self._reopens_at += shift
            self._entered_at += shift
            calls = max(breaker.window_calls, breaker.minimum_calls)
            self._window = self._window.resized(calls, breaker.window_seconds, shift)
            if _shown(old) == _shown(breaker):
                return
            self._pybreaker = None
            if self.wake is not None:
                self.wake.set()
                self.wake = None
            self.on_call = self.on_forced = self.sharing = None
            self.shares_forced = False
            if breaker.storage is not None:
                self.breaker  # noqa: B018 - made now, as in the beginning
            self.lets_all_through = self.standing == CLOSED and self.on_call is None

    def admit(self, operation: str) -> int:
        """Admit an attempt, and return the permit to hand back with `record` or `release`.

        Raises:
            CircuitOpenError: the circuit is open, or half-open with every permit taken.
        """
        permit = self._period  # read first: a circuit that opens right now must not give out a permit of its open time
        if self.lets_all_through:
            return permit
        if self.on_call is not None:
            self.on_call()
            if self.standing == CLOSED:
                return permit
        with self._lock:
            if self.forced is not None:
                if self.forced.state == CLOSED:
                    return permit
                raise CircuitOpenError(
                    operation_name=operation,
                    circuit=self.name,
                    state=OPEN,
                    reason=self.forced.reason,
                    retry_after=0.0,
                    forced=True,
                )
            now = self.clock.monotonic()
            if self.state == OPEN and now >= self._reopens_at:
                self._because("its open time is over: probing", self.breaker.half_open)
            if self.state == HALF_OPEN and now >= self._entered_at + _PROBE_PATIENCE_SECONDS:
                self._begin_period(now)  # probes that never came back
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

    def record(self, permit: int, sign: HealthSign, elapsed: float, code: str = "") -> None:
        """Accept how an attempt ended: after `elapsed` seconds; `code` names its failure.

        The outcome of an attempt that was let through in an earlier state is dropped.
        """
        with self._lock:
            if permit != self._period:
                return
            if sign is not _NEITHER:
                self._count(sign, elapsed, code)
            elif self.state == HALF_OPEN and self.forced is None:
                self._probes -= 1
        self._tell()

    def release(self, permit: int) -> None:
        """Return a permit unused: the attempt was cancelled, or never came about."""
        self.record(permit, _NEITHER, 0.0)

    @property
    def standing(self) -> str:
        """Return the state that holds: the forced one, or else what the attempts say."""
        forced = self.forced
        return self.state if forced is None else forced.state

    def force(self, forced: Forced | None) -> None:
        """Hold the circuit in a state, or release it with None: what attempts under way say is dropped."""
        with self._lock:
            if forced == self.forced:
                return
            old = self.standing
            self.forced = forced
            self._begin_period(self.clock.monotonic())
            reason = RELEASED if forced is None else forced.reason
            self._changes.append((old, self.standing, reason, forced is not None))
        if self.on_forced is not None:
            self.on_forced()
        self._tell()

    def begin_forced(self, forced: Forced) -> None:
        """Begin in a state that a person has decided, and of which observers were told before."""
        with self._lock:
            self.forced = forced
            self._begin_period(self.clock.monotonic())
        if self.on_forced is not None:
            self.on_forced()

    def adopt_forced(self, forced: Forced | None) -> None:
        """Adopt what a person has decided in another process."""
        if self.hold_by_name is None:
            self.force(forced)
        else:
            self.hold_by_name(self.name, forced)

    def facts(self) -> dict[str, Any]:
        """Return what an operator asks of it, as it is at one moment. No slow listener is waited for."""
        is_whole = self._lock.acquire(timeout=_FACTS_PATIENCE_SECONDS)
        try:
            now = self.clock.monotonic()
            calls, failures = self._window.counts(now)
            forced, state = self.forced, self.standing
            reason = "" if state == CLOSED else self.reason
            waits = forced is None and state == OPEN
            return {
                "name": self.name,
                "state": state,
                "reason": reason if forced is None else forced.reason,
                "forced": forced is not None,
                "forced_is_shared": self.shares_forced,
                "calls": calls,
                "failures": failures,
                "retry_after": max(0.0, self._reopens_at - now) if waits else None,
            }
        finally:
            if is_whole:
                self._lock.release()

    @property
    def breaker(self) -> pybreaker.CircuitBreaker:
        """Return the pybreaker breaker behind this circuit."""
        with self._lock:
            if self._pybreaker is None:
                self._pybreaker = self._make_breaker(self)
            return self._pybreaker

    def adopt(self, state: str, reason: str) -> None:
        """Adopt a state that another process has found."""
        with self._lock:
            if self.forced is not None:
                return
            if state == OPEN and self.state == CLOSED:
                self._because(reason, self.breaker.open)
            elif state == CLOSED and self.state != CLOSED:
                self._because(reason, self.breaker.close)
        self._tell()

    def _count(self, sign: HealthSign, elapsed: float, code: str) -> None:
        limit = self.settings.slow_call_duration
        slow = limit is not None and elapsed > limit
        failed = sign is _FAILURE
        now = self.clock.monotonic()
        if self.forced is not None:
            self._window.add(now, failed=failed, slow=slow)
        elif self.state == CLOSED:
            self._count_closed(now, failed=failed, slow=slow, code=code)
        else:
            self._count_probe((code or "no code") if failed else f"it took {elapsed:.2f} s" if slow else "")

    def _count_closed(self, now: float, *, failed: bool, slow: bool, code: str) -> None:
        self._window.add(now, failed=failed, slow=slow)
        reason = ""
        if failed and self.is_failing():
            reason = self._failing_text(now, code)
        elif slow and self._is_slow(now):
            limits = (self.settings.slow_call_rate_threshold, self.settings.slow_call_duration)
            reason = "{:.0%} or more of the attempts took over {:g} s".format(*limits)
        if self.settings.listeners:
            self._because(reason, partial(self._fail, code) if failed else self._succeed)
        if reason and self.state == CLOSED:
            self._because(reason, self.breaker.open)

    def _count_probe(self, trouble: str) -> None:
        """Count a probe, which failed if there was `trouble`: the rate decides, as soon as it can."""
        self._probe_outcomes += 1
        self._probe_failures += bool(trouble)
        permits = self.settings.half_open_permits
        if trouble and self._probe_failures >= permits * self.settings.failure_rate_threshold:
            reason = f"{self._probe_failures} of {self._probe_outcomes} probes failed, the last: {trouble}"
            self._because(reason, partial(self._fail, trouble))
            return
        for listener in self.breaker.listeners:  # pybreaker itself would open at the first failure
            if trouble:
                listener.failure(self.breaker, AttemptFailedError(trouble))
            else:
                listener.success(self.breaker)
        if self._probe_outcomes >= permits:  # there may be fewer of them now
            self._because(f"{permits - self._probe_failures} of {permits} probes succeeded", self.breaker.close)

    def _is_slow(self, now: float) -> bool:
        calls, _, slow = self._window.totals(now)
        return calls >= self.settings.minimum_calls and slow >= calls * self.settings.slow_call_rate_threshold

    def _succeed(self) -> None:
        self.breaker.call(_return)

    def _fail(self, code: str) -> None:
        with contextlib.suppress(AttemptFailedError):
            self.breaker.call(_raise, code)

    def _failing_text(self, now: float, code: str) -> str:
        calls, failures, _ = self._window.totals(now)
        return f"{failures} of {calls} attempts failed within {self.settings.window_seconds:g} s, the last with {code}"

    def _because(self, reason: str, act: Callable[[], object]) -> None:
        """Run what may change the state, and keep `reason` if it did."""
        period, old = self._period, self.state
        act()
        if self._period != period:
            if self.state != HALF_OPEN:  # there, what had opened it is still the reason
                self.reason = reason
            self._changes.append((old, self.state, reason, False))

    def _tell(self) -> None:
        while self._changes:
            try:
                change = self._changes.pop(0)
            except IndexError:  # another thread was quicker
                return
            self._on_change(self, *change)

    # What pybreaker's storage protocol comes down to: see pybreaker_storage.

    def enter(self, state: str) -> None:
        """Begin a new period in `state`."""
        with self._lock:
            if state == self.state:
                return
            self.state = state
            now = self.clock.monotonic()
            self._begin_period(now)
            if state == OPEN:
                stretch = self._uniform(0.0, self.settings.open_jitter)
                self._reopens_at = now + self.settings.open_duration * (1.0 + stretch)

    def _begin_period(self, now: float) -> None:
        self._entered_at = now
        self._period += 1
        self.lets_all_through = self.standing == CLOSED and self.on_call is None
        self._window.clear()
        self._probes = self._probe_outcomes = self._probe_failures = 0

    def is_failing(self) -> bool:
        """Return whether the window says that the circuit should open."""
        calls, failures, _ = self._window.totals(self.clock.monotonic())
        return calls >= self.settings.minimum_calls and failures >= calls * self.settings.failure_rate_threshold


def _shown(settings: CircuitBreaker) -> tuple[object, ...]:
    """Return the settings that say who sees a circuit's state."""
    return settings.listeners, settings.storage, settings.sync_interval


class AttemptFailedError(Exception):
    """Stands for an attempt's failure towards pybreaker's listeners: its text is the error's code."""


def _return() -> None:
    return None


def _raise(code: str) -> None:
    raise AttemptFailedError(code)
