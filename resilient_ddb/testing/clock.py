"""A clock that tests move by hand."""

from __future__ import annotations

import threading

from resilient_ddb.policy.arguments import names_checked


class FakeClock:
    """Time that only passes when it is told to, or when the library waits.

    Give it to a policy (`Policy(clock=clock)`): every back-off then moves the clock on at once instead of
    sleeping, and `waits` lists what was waited, in seconds, in order. Safe to share between threads.
    """

    @names_checked
    def __init__(self, start: float = 1_700_000_000.0) -> None:
        """Start at `start` seconds since the epoch; the monotonic clock starts at the same number."""
        self._lock = threading.Lock()
        self._now = start
        self.waits: list[float] = []

    def monotonic(self) -> float:
        """Return the present time of this clock, in seconds."""
        return self._now

    def time(self) -> float:
        """Return the present time of this clock, in seconds since the epoch."""
        return self._now

    def wait(self, seconds: float) -> float:
        """Note the wait, move on by `seconds`, and leave nothing to sleep."""
        with self._lock:
            self.waits.append(seconds)
            self._now += seconds
        return 0.0

    def advance(self, seconds: float) -> None:
        """Advance the clock by `seconds`."""
        if seconds < 0:
            raise ValueError(f"seconds must be 0 or more: time does not go back; got {seconds!r}")
        with self._lock:
            self._now += seconds

    def __reduce__(self) -> tuple[type[FakeClock], tuple[float]]:
        return FakeClock, (self._now,)

    def __repr__(self) -> str:
        return f"FakeClock({self._now!r})"
