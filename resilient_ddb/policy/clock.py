"""Where time comes from, so that no decision and no test has to wait for it."""

from __future__ import annotations

import time
from typing import Protocol

LATE_SECONDS = 0.05
"""What comes so late after its time comes late because this program was busy, or had no CPU."""
_TURNS = 5
"""So often this program has to have its turn while a connection is made, with TLS."""
_STEP_SECONDS = 1.0


class Clock(Protocol):
    """What the library asks of time. `resilient_ddb.testing.FakeClock` is the other implementation."""

    def monotonic(self) -> float:
        """Return seconds that never go back, from an arbitrary start."""
        ...

    def time(self) -> float:
        """Return seconds since the epoch (UTC)."""
        ...

    def wait(self, seconds: float) -> float:
        """Record a wait of `seconds`, and return how much of it is still to be slept.

        Real clocks give back all of it: botocore or aiobotocore do the sleeping. A fake clock moves on by
        `seconds` and gives back 0.0.
        """
        ...


Moment = tuple[float, float]
"""One moment by both of a clock's times: the monotonic one, which stands still while a machine sleeps or a snapshot of
the process is kept, and the time of day, which somebody may put forward or back."""


def have_passed(seconds: float, since: Moment, now: Moment) -> bool:
    """Return whether they have passed by either time. A time of day that was put back takes nothing off."""
    return now[0] - since[0] >= seconds or now[1] - since[1] >= seconds


class SystemClock:
    """The machine's own clock."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def wait(self, seconds: float) -> float:
        """Leave the whole wait to the transport."""
        return seconds

    def __repr__(self) -> str:
        return "SystemClock()"


SYSTEM_CLOCK = SystemClock()


class Passing:
    """Seconds that have passed for others as well. For one thread at a time.

    A monotonic clock stands still while a machine sleeps, and while AWS Lambda keeps a snapshot of the process. What it
    missed is in the time of day: a step of that forward counts as passed, and one back is not taken off.
    """

    def __init__(self) -> None:
        self._missed = 0.0
        self._ahead: float | None = None
        """By how much the time of day was ahead of the monotonic clock, when that was last looked at."""

    def now(self, clock: Clock) -> float:
        """Return seconds from an arbitrary start, by a clock that is the same each time."""
        steady = clock.monotonic()
        ahead = clock.time() - steady
        if self._ahead is None or abs(ahead - self._ahead) > _STEP_SECONDS:  # less is the pause between two looks
            self._missed += 0.0 if self._ahead is None else max(0.0, ahead - self._ahead)
            self._ahead = ahead
        return steady + self._missed


def is_too_busy(late: float, patience: float) -> bool:
    """Return whether this program could make no connection within `patience` seconds, as it was `late` at their end.

    A program that is less busy, all the time, could make one: else no outage would be seen by it.
    """
    return late > max(LATE_SECONDS, patience / _TURNS)
