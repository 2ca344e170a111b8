"""When to send again: full-jitter exponential back-off, and a budget that bounds what retries may cost.

Full jitter is from Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: each delay is
drawn evenly between nothing and a window that doubles. The budget is a token bucket as in the AWS SDKs' retry quota,
with two differences. A token is taken when the retry is scheduled: retries that still wait would otherwise escape it.
The bucket also refills slowly with time: one that only successes refill starves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resilient_ddb.events import explained

from .base import Settings
from .checks import check_number, check_plain, check_whole
from .forks import tell_child

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from .clock import Clock

WaitStrategy = Callable[["RetryCallState"], float]
StopStrategy = Callable[["RetryCallState"], bool]
Uniform = Callable[[float, float], float]

RETRY_AFTER_WINDOW_SECONDS = 5.0
"""A server's wish (`x-amz-retry-after`) is honoured up to this much beyond our own delay."""
_MOST_DIGITS = 15
"""A wish of more digits is none: Python reads no number of thousands of them."""


@explained
@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Retry(Settings):
    """How often, and how far apart, a call is attempted.

    Raises:
        TypeError, ValueError: a value is of the wrong type or out of range.
    """

    max_attempts: int = 10
    """Requests at most, the first included."""
    base_delay: float = 0.025
    """Seconds: the first delay is drawn from [0, base_delay], and each further window is twice as wide."""
    max_delay: float = 5.0
    """Seconds: no window grows beyond this."""
    wait: WaitStrategy | None = None
    """Any tenacity `wait` strategy, in place of `base_delay` and `max_delay`."""
    stop: StopStrategy | None = None
    """Any tenacity `stop` strategy, in place of `max_attempts`."""

    def __post_init__(self) -> None:
        check_whole("max_attempts", self.max_attempts, least=1)
        check_number("base_delay", self.base_delay, least=0)
        check_number("max_delay", self.max_delay, least=0)
        if self.base_delay > self.max_delay:
            raise ValueError(
                f"base_delay must not be greater than max_delay; got {self.base_delay!r} and {self.max_delay!r}"
            )
        if self.wait is not None:
            check_plain("wait", self.wait, takes="a tenacity RetryCallState, and giving seconds")
        if self.stop is not None:
            check_plain("stop", self.stop, takes="a tenacity RetryCallState, and giving True to stop")

    def delay(self, attempt: int, uniform: Uniform) -> float:
        """Draw the full-jitter delay, in seconds, that follows attempt number `attempt` (from 1)."""
        # Beyond 2**63 the window is past any cap: the exponent is held so that it can't overflow.
        window = min(self.max_delay, self.base_delay * 2.0 ** min(attempt - 1, 63))
        return uniform(0.0, window)


@explained
@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class RetryBudget(Settings):
    """What retries may cost: a token bucket for each table and operation kind.

    With the default, a steady failure rate of 30% is retried in full (0.3 / 0.7 = 0.43 retries for each success). An
    outage costs 40 retries and one more every ten seconds, however many calls are made.

    Raises:
        TypeError, ValueError: a value is of the wrong type or out of range.
    """

    capacity: float = 40.0
    """Retries that may be spent at once, from a full bucket."""
    refill_per_success: float = 0.43
    """Retries that each success earns; a condition that failed is one, for DynamoDB has answered."""
    refill_per_second: float = 0.1
    """Retries that each second earns."""

    def __post_init__(self) -> None:
        check_number("capacity", self.capacity, least=0)
        check_number("refill_per_success", self.refill_per_success, least=0)
        check_number("refill_per_second", self.refill_per_second, least=0)


class TokenBucket:
    """The state of one `RetryBudget`. Safe to share between threads."""

    def __init__(self, budget: RetryBudget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._lock = threading.Lock()
        tell_child(self)
        self._tokens = float(budget.capacity)
        self._filled_at = clock.monotonic()

    def _in_child(self) -> None:
        """Begin with a lock of its own in a forked process: a thread of the parent may have held it."""
        self._lock = threading.Lock()

    def follow(self, budget: RetryBudget, clock: Clock) -> None:
        """Go by other settings from now on. What was spent stays spent."""
        with self._lock:
            tokens = self._refill()
            self._budget, self._clock = budget, clock
            self._tokens = min(budget.capacity, tokens)
            self._filled_at = clock.monotonic()

    @property
    def capacity(self) -> float:
        """Return the retries that it holds at most."""
        return float(self._budget.capacity)

    @property
    def tokens(self) -> float:
        """Return the retries left now."""
        with self._lock:
            return self._refill()

    def spend(self) -> bool:
        """Spend a token on a retry that is being scheduled; return False if none is left."""
        with self._lock:
            if self._refill() < 1:
                return False
            self._tokens -= 1
            return True

    def earn(self) -> None:
        """Note a success."""
        if self._tokens >= self._budget.capacity:  # the usual case; a stale look costs at most one success
            return
        with self._lock:
            self._tokens = min(self._budget.capacity, self._refill() + self._budget.refill_per_success)

    def _refill(self) -> float:
        now = self._clock.monotonic()
        earned = (now - self._filled_at) * self._budget.refill_per_second
        self._tokens = min(self._budget.capacity, self._tokens + max(earned, 0.0))
        self._filled_at = now
        return self._tokens


class Backoff:
    """The delays of one call. tenacity's strategies are only entered here, after a first failure."""

    def __init__(self, retry: Retry, uniform: Uniform, started: float) -> None:
        """Begin for a call that started at `started`, on the policy's monotonic clock."""
        self._retry = retry
        self._uniform = uniform
        self._started = started
        self._state: Any = None
        if retry.wait is not None or retry.stop is not None:
            import tenacity  # noqa: PLC0415 - only where one of its strategies was given

            # A state of its own for each call: tenacity's strategies keep none, its Retrying objects do.
            self._state = tenacity.RetryCallState(tenacity.Retrying(), fn=None, args=(), kwargs={})
            self._state.start_time = started

    def delay(
        self, attempt: int, error: BaseException, now: float, *, least: float = 0.0, retry_after: str = ""
    ) -> float | None:
        """Return the seconds to wait after attempt number `attempt` (from 1) failed; None: attempts are used up.

        Args:
            attempt: the number of the attempt that failed.
            error: how it failed.
            now: the present, on the policy's monotonic clock.
            least: seconds before which a further attempt can't help.
            retry_after: what the server asks for (`x-amz-retry-after`): milliseconds, or nothing.
        """
        retry = self._retry
        if retry.stop is None and attempt >= retry.max_attempts:
            return None
        if self._state is not None:
            self._tell_state(attempt, error, now)
        delay = retry.delay(attempt, self._uniform) if retry.wait is None else max(0.0, float(retry.wait(self._state)))
        if retry_after.isdecimal() and len(retry_after) <= _MOST_DIGITS:
            delay = min(max(int(retry_after) / 1000, delay), delay + RETRY_AFTER_WINDOW_SECONDS)
        delay = max(delay, least)
        if self._state is not None:
            self._state.upcoming_sleep = delay
            if retry.stop is not None and retry.stop(self._state):
                return None
            self._state.idle_for += delay
        return delay

    def _tell_state(self, attempt: int, error: BaseException, now: float) -> None:
        self._state.attempt_number = attempt
        self._state.set_exception((type(error), error, error.__traceback__))
        self._state.outcome_timestamp = now  # tenacity's own clock is the machine's
        self._state.upcoming_sleep = 0.0
