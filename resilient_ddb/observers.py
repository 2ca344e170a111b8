"""Observers that come with the library: `Policy(observers=[LoggingObserver()])`."""

from __future__ import annotations

import logging

from .errors.words import counted
from .events import AnyEvent, AttemptEvent, CallEndEvent, CircuitEvent, FallbackEvent, RetryEvent
from .policy.checks import check_number

__all__ = ["LoggingObserver"]


class LoggingObserver:
    """Writes what happens to a logger: table, operation, codes and numbers, never an item's values.

    Circuit changes, fallbacks without an answer and writes that may have been applied are warnings; retries, fallbacks'
    answers and failed calls are info; everything else, and calls that succeed, are debug. The logger's level is left as
    it is.
    """

    def __init__(self, logger: logging.Logger | None = None, *, slow_call_duration: float = 1.0) -> None:
        """Log to `logger` (by default `resilient_ddb`); calls slower than `slow_call_duration` are logged as info.

        Raises:
            TypeError, ValueError: `slow_call_duration` is no number above 0.
        """
        check_number("slow_call_duration", slow_call_duration, above=0)
        self._logger = logger or logging.getLogger("resilient_ddb")
        self._slow_call_seconds = slow_call_duration

    def __repr__(self) -> str:
        return f"LoggingObserver({self._logger.name!r}, slow_call_duration={self._slow_call_seconds!r})"

    def __call__(self, event: AnyEvent) -> None:
        """Write one event."""
        level = self._level(event)
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", _describe(event), extra={"resilience_event": event})

    def _level(self, event: AnyEvent) -> int:
        match event:
            case CircuitEvent() | FallbackEvent(answered=False) | CallEndEvent(ambiguous=True):
                return logging.WARNING
            case RetryEvent() | FallbackEvent():
                return logging.INFO
            case CallEndEvent(outcome=outcome, elapsed=elapsed):
                quiet = outcome == "success" and elapsed < self._slow_call_seconds
                return logging.DEBUG if quiet else logging.INFO
            case _:
                return logging.DEBUG


def _describe(event: AnyEvent) -> str:
    call = f"{event.operation} {event.table or '-'}"
    match event:
        case AttemptEvent(attempt=attempt, elapsed=elapsed, kind=kind, code=code, request_id=request_id):
            end = f"failed: {kind} ({code})" if kind else "succeeded"
            return f"{call}: attempt {attempt} {end} in {elapsed:.3f} s, request id {request_id or '-'}"
        case RetryEvent(attempt=attempt, kind=kind, code=code, delay=delay):
            return f"{call}: attempt {attempt} failed: {kind} ({code}); next in {delay:.3f} s"
        case CircuitEvent(circuit=circuit, old_state=old, new_state=new, reason=reason):
            return f"circuit {circuit}: {old} -> {new}: {reason}"
        case FallbackEvent(fallback=fallback, answered=answered):
            return f"{call}: fallback {fallback} {'answered' if answered else 'had no answer'}"
        case CallEndEvent():
            ambiguous = ", AMBIGUOUS" if event.ambiguous else ""
            kind_text = f" ({event.kind})" if event.kind else ""
            return (
                f"{call}: {event.outcome}{kind_text}{ambiguous} after "
                f"{counted(event.attempts, 'attempt')} in {event.elapsed:.3f} s"
            )


def __dir__() -> list[str]:
    return sorted(__all__)
