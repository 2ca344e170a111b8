"""What observers are told of a call. Events are only made where somebody listens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from resilient_ddb.events import AttemptEvent, CallEndEvent, FallbackEvent, RetryEvent

if TYPE_CHECKING:
    from resilient_ddb.events import ErrorKind, Outcome

    from .classification import Classification
    from .core import Core, Lane


class Told(Protocol):
    """What observers are told of a call: an `Execution` has it."""

    @property
    def core(self) -> Core:
        """Whom to tell."""

    @property
    def lane(self) -> Lane:
        """Of which table."""

    operation: str
    attempts: int
    started: float
    verdict: Classification | None
    ambiguous: bool


def attempt_ended(
    execution: Told, elapsed: float, kind: ErrorKind | None, code: str | None, parsed: Mapping[str, Any] | None
) -> None:
    """Tell that an attempt ended: `kind` and `code` say how it failed, if it did."""
    if execution.core.observers:
        event = AttemptEvent.of(
            {
                "table": execution.lane.table,
                "operation": execution.operation,
                "attempt": execution.attempts,
                "elapsed": elapsed,
                "kind": kind,
                "code": code,
                "request_id": (parsed or {}).get("ResponseMetadata", {}).get("RequestId"),
            }
        )
        execution.core.tell(event)


def retry_scheduled(execution: Told, kind: ErrorKind, code: str, delay: float) -> None:
    """Tell that another attempt follows after `delay` seconds."""
    if execution.core.observers:
        event = RetryEvent(
            table=execution.lane.table,
            operation=execution.operation,
            attempt=execution.attempts,
            kind=kind,
            code=code,
            delay=delay,
        )
        execution.core.tell(event)


def fallback_asked(execution: Told, name: str, *, answered: bool) -> None:
    """Tell that a fallback was asked."""
    if execution.core.observers:
        event = FallbackEvent(
            table=execution.lane.table, operation=execution.operation, fallback=name, answered=answered
        )
        execution.core.tell(event)


def call_ended(execution: Told, outcome: Outcome, response: Mapping[str, Any] | None = None) -> None:
    """Tell that a call ended, and how."""
    if execution.core.observers:
        event = CallEndEvent.of(
            {
                "table": execution.lane.table,
                "operation": execution.operation,
                "outcome": outcome,
                "kind": execution.verdict.kind if execution.verdict else None,
                "attempts": execution.attempts,
                "elapsed": execution.core.clock.monotonic() - execution.started,
                "ambiguous": execution.ambiguous,
                "consumed_capacity": _consumed(response),
            }
        )
        execution.core.tell(event)


def _consumed(response: Mapping[str, Any] | None) -> float | None:
    consumed = (response or {}).get("ConsumedCapacity")
    entries = [consumed] if isinstance(consumed, Mapping) else consumed or []
    units = [entry["CapacityUnits"] for entry in entries if "CapacityUnits" in entry]
    return float(sum(units)) if units else None
