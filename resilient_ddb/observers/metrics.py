"""What is measured: the metrics that every exporter gives, and what each event adds to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from resilient_ddb.events import (
    AnyEvent,
    AttemptEvent,
    BudgetEvent,
    CallEndEvent,
    CircuitEvent,
    ErrorKind,
    Outcome,
    RetryEvent,
    UnprocessedEvent,
)

STATES: Mapping[str, int] = {"closed": 0, "half-open": 1, "open": 2}
"""What `circuit_state` is in each state."""
NO_TABLE = "*"
"""Stands for the table if a call names none, or several."""


class Kind(Enum):
    """How a metric adds up."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


class Metric(NamedTuple):
    """One metric."""

    name: str
    kind: Kind
    unit: str
    """`seconds`, or what is counted."""
    labels: tuple[str, ...]
    help: str
    """What it tells, for people."""


_OF_CALLS = ("table", "operation")
_OF_CIRCUITS = ("table", "circuit")

CALL_DURATION = Metric("call_duration", Kind.HISTOGRAM, "seconds", _OF_CALLS, "Seconds of a call, waits included")
CALLS = Metric("calls", Kind.COUNTER, "calls", _OF_CALLS, "Calls that ended")
ERRORS = Metric(
    "errors", Kind.COUNTER, "calls", _OF_CALLS, "Calls that ended in an error, other than a failed condition"
)
AMBIGUOUS = Metric("ambiguous", Kind.COUNTER, "calls", _OF_CALLS, "Writes that failed, and may have been applied")
ATTEMPTS = Metric("attempts", Kind.COUNTER, "requests", _OF_CALLS, "Requests that came to their end")
RETRIES = Metric("retries", Kind.COUNTER, "requests", _OF_CALLS, "Further requests that were scheduled")
THROTTLED = Metric("throttled", Kind.COUNTER, "requests", _OF_CALLS, "Requests that DynamoDB throttled")
FALLBACKS = Metric("fallbacks", Kind.COUNTER, "calls", _OF_CALLS, "Calls that a fallback answered")
CONSUMED = Metric("consumed_units", Kind.COUNTER, "units", _OF_CALLS, "Capacity units that DynamoDB told")
BUDGET = Metric("budget_exhausted", Kind.COUNTER, "retries", _OF_CALLS, "Retries that the retry budget refused")
UNPROCESSED = Metric("unprocessed", Kind.COUNTER, "requests", _OF_CALLS, "Requests that batch writers left unwritten")
CIRCUIT_STATE = Metric("circuit_state", Kind.GAUGE, "state", _OF_CIRCUITS, "0: closed, 1: half-open, 2: open")
CIRCUIT_OPENED = Metric("circuit_opened", Kind.COUNTER, "changes", _OF_CIRCUITS, "Times that a circuit opened")

METRICS = (
    *(CALL_DURATION, CALLS, ERRORS, AMBIGUOUS, ATTEMPTS, RETRIES, THROTTLED, FALLBACKS, CONSUMED, BUDGET),
    *(UNPROCESSED, CIRCUIT_STATE, CIRCUIT_OPENED),
)


def prometheus_name(metric: Metric) -> str:
    """Return a metric's name in Prometheus, without the ending that its kind brings."""
    return f"resilient_ddb_{metric.name}{'_seconds' if metric.unit == 'seconds' else ''}"


def cloudwatch_unit(metric: Metric) -> str:
    """Return a metric's unit in CloudWatch."""
    return {"seconds": "Seconds", "state": "None"}.get(metric.unit, "Count")


def labels_of(event: AnyEvent) -> tuple[str, ...]:
    """Return the values of the labels of an event's metrics, in their order."""
    table = event.table or NO_TABLE
    return (table, event.circuit) if isinstance(event, CircuitEvent) else (table, event.operation)


def measured(event: AnyEvent) -> Iterator[tuple[Metric, float]]:
    """Yield what an event adds to which metrics."""
    match event:
        case AttemptEvent(kind=kind):
            yield ATTEMPTS, 1
            if kind is ErrorKind.THROTTLING:
                yield THROTTLED, 1
        case CallEndEvent():
            yield from _measured_at_end(event)
        case RetryEvent():
            yield RETRIES, 1
        case BudgetEvent():
            yield BUDGET, 1
        case UnprocessedEvent():
            yield UNPROCESSED, event.requests
        case CircuitEvent(new_state=state):
            yield CIRCUIT_STATE, STATES[state]
            if state == "open":
                yield CIRCUIT_OPENED, 1
        case _:
            return


def _measured_at_end(event: CallEndEvent) -> Iterator[tuple[Metric, float]]:
    yield CALLS, 1
    yield CALL_DURATION, event.elapsed
    if event.outcome == Outcome.ERROR and event.kind is not ErrorKind.CONDITIONAL:
        yield ERRORS, 1
    if event.ambiguous:
        yield AMBIGUOUS, 1
    if event.outcome == Outcome.FALLBACK:
        yield FALLBACKS, 1
    if event.consumed_capacity:
        yield CONSUMED, event.consumed_capacity
