"""Whether plain requests go over a transport of this library's own, and what came of it: for sync and async alike."""

from __future__ import annotations

import os
from typing import Protocol

VARIABLE = "RESILIENT_DDB_FAST_PATH"
_OFF = ("0", "false", "no", "off")

SWITCHED_OFF = "switched off"
ANOTHER_SESSION = "another HTTP session"


class Settings(Protocol):
    """What it needs to know of a policy."""

    @property
    def fast_path(self) -> bool | None:
        """Whether it is wanted; None if nothing is said of it."""
        ...


def is_wanted(settings: Settings) -> bool:
    """Return whether a policy asks for the fast path: if it says nothing, the environment does."""
    if settings.fast_path is not None:
        return settings.fast_path
    return os.environ.get(VARIABLE, "").strip().lower() not in _OFF


class Counters:
    """What one client's transport took, and what it left to the SDK's own, by reason.

    Threads count without a lock: a number may be a little too small.
    """

    def __init__(self) -> None:
        self.taken = 0
        """Requests that were sent on the fast path."""
        self.declined: dict[str, int] = {}
        """Requests that went the SDK's own way, by reason."""
        self.absent: str | None = None
        """Why the client has no fast path at all; None if it has one."""
        self.calls = 0
        """Calls that went past the SDK's inside as well, from their parameters to the transport and back."""
        self.calls_declined: dict[str, int] = {}
        """Calls that could have, by kind, and went through the SDK's inside, by reason."""

    def decline(self, reason: str) -> None:
        """Count a request that goes the SDK's own way."""
        self.declined[reason] = self.declined.get(reason, 0) + 1

    def decline_call(self, reason: str) -> None:
        """Count a call that goes through the SDK's inside."""
        self.calls_declined[reason] = self.calls_declined.get(reason, 0) + 1

    def __repr__(self) -> str:
        return (
            f"<Counters taken={self.taken} declined={self.declined} absent={self.absent!r} "
            f"calls={self.calls} calls_declined={self.calls_declined}>"
        )
