"""What a batch writer's core asks of whoever makes the requests: one after the other, on threads, or in tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .queue import Batch
from .token_bucket import Limiter

Answer = tuple[Batch, Any]
"""A batch, and the response to it, or what was raised."""


class Shell(Protocol):
    """What does for a flow what takes time. Each gives what it says, or something to be awaited for it."""

    def open(self) -> Any:
        """Return the client, open."""

    def pause(self, seconds: float) -> Any:
        """Sleep."""

    def join(self, limiter: Limiter) -> Any:
        """Wait until a limiter that shares its rate with others has its part: this may take a while."""

    def start(self, batch: Batch, call: Callable[[], Any]) -> Any:
        """Make a call for a batch; give the answers that are there by then."""

    def holds(self, batch: Batch) -> bool:
        """Return whether a batch was started and is still to be collected. If not, it is never going to be sent."""

    def collect(self) -> Any:
        """Return the answers to batches under way, at least one."""
