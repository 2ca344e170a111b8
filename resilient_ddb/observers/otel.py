"""Spans and metrics by OpenTelemetry (extra `otel`: the API package only), by its conventions for DynamoDB."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any

from resilient_ddb._version import __version__
from resilient_ddb.events import (
    AnyEvent,
    AttemptEvent,
    BudgetEvent,
    CallEndEvent,
    CallStartEvent,
    FallbackEvent,
    Outcome,
    RetryEvent,
    WaitEvent,
)
from resilient_ddb.policy.arguments import names_checked

from .metrics import CALL_DURATION, METRICS, Kind, labels_of, measured

try:
    from opentelemetry import context, trace
    from opentelemetry.metrics import get_meter
except ImportError as error:
    raise ImportError("OpenTelemetryObserver needs opentelemetry-api: pip install 'resilient_ddb[otel]'") from error

SEMANTIC_CONVENTIONS = "1.37.0"
"""The version of OpenTelemetry's semantic conventions that names and attributes are by."""
PREFIX = "resilient_ddb."
"""What the names of this library's own metrics and attributes begin with."""
_SCHEMA = f"https://opentelemetry.io/schemas/{SEMANTIC_CONVENTIONS}"
_MOST_SPANS = 10_000
_NAME = "resilient_ddb"
_CURRENT: ContextVar[int] = ContextVar("resilient_ddb_otel_current", default=0)
"""The number of the call whose span is current."""


class OpenTelemetryObserver:
    """A span for each call, with its attempts and waits as events, and metrics.

    The span is current while the call is made: spans of botocore's own instrumentation are its children. Safe to share
    between threads and event loops.
    """

    @names_checked
    def __init__(self, tracer_provider: Any = None, meter_provider: Any = None, *, traces: bool = True) -> None:
        """Use these providers of spans and of metrics, by default the global ones; without `traces`, metrics only."""
        tracer = trace.get_tracer(_NAME, __version__, tracer_provider, _SCHEMA)
        self._tracer = tracer if traces else None
        meter = get_meter(_NAME, __version__, meter_provider, _SCHEMA)
        self._duration = meter.create_histogram(
            "db.client.operation.duration", "s", "Duration of database client operations."
        )
        self._metrics = {metric.name: _instrument(meter, metric) for metric in METRICS if metric is not CALL_DURATION}
        self._spans: dict[int, tuple[Any, Any, int]] = {}

    def __call__(self, event: AnyEvent) -> None:
        """Accept an event."""
        labels = None
        for metric, value in measured(event):
            if metric is CALL_DURATION:
                self._duration.record(value, _attributes_of_duration(event))
                continue
            if labels is None:
                labels = dict(zip(metric.labels, labels_of(event), strict=True))
                attributes = {_LABELS.get(name, f"{PREFIX}{name}"): value for name, value in labels.items()}
            instrument = self._metrics[metric.name]
            (instrument.set if metric.kind is Kind.GAUGE else instrument.add)(value, attributes)
        if self._tracer is not None:
            self._trace(event)

    def _trace(self, event: AnyEvent) -> None:
        match event:
            case CallStartEvent():
                self._start(event)
            case CallEndEvent():
                self._end(event)
            case AttemptEvent():
                self._add(event, "attempt", _known(event, "attempt", "elapsed", "kind", "code", "request_id"))
            case RetryEvent():
                self._add(event, "wait", _known(event, "attempt", "delay"))
            case BudgetEvent():
                self._add(event, "budget exhausted", _known(event, "budget", "hot_partition"))
            case FallbackEvent():
                self._add(event, "fallback", _known(event, "fallback", "answered"))
            case WaitEvent():
                trace.get_current_span().add_event("wait", _known(event, "seconds", "waits_for"))

    def _start(self, event: CallStartEvent) -> None:
        attributes = {
            "db.system.name": "aws.dynamodb",
            "db.operation.name": event.operation,
            "rpc.system": "aws-api",
            "rpc.service": "DynamoDB",
            "rpc.method": event.operation,
        }
        if event.table is not None:
            attributes["db.collection.name"] = event.table
        assert self._tracer is not None  # noqa: S101 - the callers ask
        span = self._tracer.start_span(
            f"DynamoDB.{event.operation}", kind=trace.SpanKind.CLIENT, attributes=attributes, start_time=time.time_ns()
        )
        if event.table is not None:
            span.set_attribute("aws.dynamodb.table_names", [event.table])
        while len(self._spans) >= _MOST_SPANS:  # of calls that never ended: their context is gone
            self._spans.pop(next(iter(self._spans)), None)
        self._spans[event.call] = (span, context.attach(trace.set_span_in_context(span)), _CURRENT.get())
        _CURRENT.set(event.call)

    def _add(self, event: Any, name: str, facts: dict[str, Any]) -> None:
        found = self._spans.get(event.call)
        if found is not None:
            found[0].add_event(name, facts)

    def _end(self, event: CallEndEvent) -> None:
        found = self._spans.pop(event.call, None)
        if found is None:
            return
        span, token, outer = found
        if _CURRENT.get() == event.call:  # else what it was current in has ended: a write in doubt is told of later
            context.detach(token)
            _CURRENT.set(outer)
        named = {
            "aws.request_id": event.request_id,
            "aws.dynamodb.index_name": event.index,
            "cloud.region": event.region,
            f"{PREFIX}shard": event.shard,
            f"{PREFIX}attempts": event.attempts,
            f"{PREFIX}outcome": event.outcome.value,
            f"{PREFIX}consumed_units": event.consumed_capacity,
            f"{PREFIX}stopped_by": None if event.stopped_by is None else event.stopped_by.value,
            f"{PREFIX}throttling_reasons": [reason.reason for reason in event.throttling_reasons] or None,
        }
        span.set_attributes({name: value for name, value in named.items() if value is not None})
        if event.ambiguous:
            span.set_attribute(f"{PREFIX}ambiguous", True)
        if event.outcome in (Outcome.ERROR, Outcome.CANCELLED):
            span.set_attribute("error.type", _error_type(event))
            span.set_status(trace.StatusCode.ERROR, _error_type(event))
        span.end(time.time_ns())


_LABELS = {"table": "db.collection.name", "operation": "db.operation.name"}


def _instrument(meter: Any, metric: Any) -> Any:
    make = meter.create_gauge if metric.kind is Kind.GAUGE else meter.create_counter
    return make(f"{PREFIX}{metric.name}", f"{{{metric.unit}}}", metric.help)


def _attributes_of_duration(event: Any) -> dict[str, Any]:
    named = {
        "db.system.name": "aws.dynamodb",
        "db.operation.name": event.operation,
        "db.collection.name": event.table,
        "cloud.region": event.region,
        "error.type": _error_type(event) if event.outcome in (Outcome.ERROR, Outcome.CANCELLED) else None,
    }
    return {name: value for name, value in named.items() if value is not None}


def _error_type(event: Any) -> str:
    return event.code or str(event.outcome.value)


def _known(event: Any, *names: str) -> dict[str, Any]:
    """Return facts of an event as attributes: what is not known can't be one."""
    facts = event.as_dict()
    return {name: facts[name] for name in names if facts[name] is not None}
