"""Where time comes from, so that no decision and no test has to wait for it."""

from __future__ import annotations

import time
from typing import Protocol


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
