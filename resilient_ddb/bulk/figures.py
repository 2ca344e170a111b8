"""What a load or an export has done so far, and the line that says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .sources import Row

_SAID_REFUSALS = 5
_MINUTE, _HOUR = 60, 3600


@dataclass(slots=True, kw_only=True)
class Figures:
    """Counts since the program began; what an earlier run did is not in its rates."""

    began: float
    """Monotonic seconds."""
    items: int = 0
    """Written, or read, and acknowledged."""
    refused: int = 0
    """Rows that are in the file of refused rows."""
    units: float = 0.0
    """Capacity units consumed."""
    throttled: float | None = None
    """The share of batches that met a limit, 0 to 1; None where it is not counted."""
    share: float | None = None
    """The share of the work that is done, 0 to 1; None where it can't be known."""
    share_before: float = 0.0
    """The share that an earlier run did."""
    _said: int = 0

    def note_refusal(self, name: str, row: Row, reason: str, say: Callable[[str], None]) -> None:
        """Count a refused row, and say why for the first few."""
        self.refused += 1
        self._said += 1
        if self._said <= _SAID_REFUSALS:
            where = f"line {row.line:,}" if row.line else f"row {row.number:,}"
            say(f"{name}, {where}: {reason}")
        elif self._said == _SAID_REFUSALS + 1:
            say("further refused rows are not shown here")

    def line(self, now: float) -> str:
        """Say it all in one line."""
        elapsed = max(now - self.began, 0.001)
        parts = [f"{self.items:,} items", f"{self.items / elapsed:,.0f} items/s"]
        if self.units:
            parts.append(f"{self.units / elapsed:,.0f} units/s")
        if self.throttled is not None:
            parts.append(f"{self.throttled:.1%} throttled")
        if self.refused:
            parts.append(f"{self.refused:,} refused")
        left = self.seconds_left(now)
        if left is not None:
            parts.append(f"{span(left)} left")
        return ", ".join(parts)

    def seconds_left(self, now: float) -> float | None:
        """Give the seconds that the rest takes at the rate so far; None where that can't be told."""
        if self.share is None or self.share <= self.share_before:
            return None
        return (now - self.began) / (self.share - self.share_before) * (1.0 - self.share)


def span(seconds: float) -> str:
    """Give a time as people say it: `0:42`, `2:05:00`."""
    whole = round(seconds)
    if whole >= _HOUR:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"
    return f"{whole // _MINUTE}:{whole % _MINUTE:02}"
