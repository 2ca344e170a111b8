"""CloudWatch metrics as lines of a log: the Embedded Metric Format, summed up between flushes."""

from __future__ import annotations

import json
import sys
import threading
import weakref
from typing import Any, TextIO

from resilient_ddb.events import AnyEvent
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.clock import SYSTEM_CLOCK, Clock
from resilient_ddb.policy.forks import tell_child

from .metrics import METRICS, Kind, cloudwatch_unit, labels_of, measured

_MOST_VALUES = 100
"""CloudWatch takes no more values of one metric in a line."""
_MOST_GROUPS = 1_000
_LONGEST_NAMESPACE = 256
_METRICS = {metric.name: metric for metric in METRICS}

_Group = dict[str, Any]


class EmfObserver:
    """Writes metrics as JSON lines in CloudWatch's Embedded Metric Format, which Lambda's log makes metrics of.

    Counts are summed up, durations kept one by one, for each table and operation, until `flush`. A hundred durations
    of one of them make a line of their own at once. What is left is written as the client is closed, and at exit. The
    metrics have the dimensions `table` and `operation` (of circuits: `table` and `circuit`), and `table` alone. Safe
    to share between threads.
    """

    @names_checked
    def __init__(self, *, namespace: str, stream: TextIO | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        """Write to `stream`, by default standard output, metrics of a CloudWatch `namespace`.

        Raises:
            TypeError, ValueError: `namespace` is no text, empty, or too long.
        """
        if not isinstance(namespace, str):
            raise TypeError(f"namespace must be text, such as 'shop'; got {type(namespace).__name__}")
        if not namespace.strip() or len(namespace) > _LONGEST_NAMESPACE:
            raise ValueError(f"namespace must have 1 to {_LONGEST_NAMESPACE} characters; got {len(namespace)}")
        self._made_of = {"namespace": namespace, "clock": clock}
        self._sums = _Sums(namespace, stream, clock)
        weakref.finalize(self, self._sums.flush)

    def __call__(self, event: AnyEvent) -> None:
        """Count an event."""
        self._sums.count(event)

    def flush(self) -> None:
        """Write what was counted since the last time, if anything."""
        self._sums.flush()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._made_of,)


def _restored(made_of: dict[str, Any]) -> EmfObserver:
    return EmfObserver(**made_of)


class _Sums:
    """What is counted and not yet written."""

    def __init__(self, namespace: str, stream: TextIO | None, clock: Clock) -> None:
        self._namespace, self._stream, self._clock = namespace, stream, clock
        self._groups: dict[tuple[tuple[str, ...], tuple[str, ...]], _Group] = {}
        self._lock = threading.RLock()  # as the garbage collector may end a call within this
        tell_child(self)

    def _in_child(self) -> None:
        """Begin anew in a forked process: what is counted is the parent's to write."""
        self._lock, self._groups = threading.RLock(), {}

    def count(self, event: AnyEvent) -> None:
        values = labels_of(event)
        lines: list[str] = []
        with self._lock:
            for metric, value in measured(event):
                key = (metric.labels, values)
                if key not in self._groups and len(self._groups) >= _MOST_GROUPS:
                    lines += self._taken()
                group = self._groups.setdefault(key, {})
                if metric.kind is Kind.COUNTER:
                    group[metric.name] = group.get(metric.name, 0) + value
                elif metric.kind is Kind.GAUGE:
                    group[metric.name] = value
                else:
                    kept = group.setdefault(metric.name, [])
                    kept.append(round(value, 6))
                    if len(kept) >= _MOST_VALUES:
                        lines.append(self._line(*key, self._groups.pop(key)))
        self._write(lines)

    def flush(self) -> None:
        with self._lock:
            lines = self._taken()
        self._write(lines)

    def _taken(self) -> list[str]:
        groups, self._groups = self._groups, {}
        return [self._line(*key, group) for key, group in groups.items()]

    def _line(self, labels: tuple[str, ...], values: tuple[str, ...], group: _Group) -> str:
        directive = {
            "Namespace": self._namespace,
            "Dimensions": [list(labels), ["table"]],
            "Metrics": [{"Name": name, "Unit": cloudwatch_unit(_METRICS[name])} for name in group],
        }
        about = {"Timestamp": int(self._clock.time() * 1000), "CloudWatchMetrics": [directive]}
        return json.dumps({"_aws": about, **dict(zip(labels, values, strict=True)), **group})

    def _write(self, lines: list[str]) -> None:
        if lines:
            stream = self._stream or sys.stdout
            stream.write("\n".join(lines) + "\n")
            stream.flush()
