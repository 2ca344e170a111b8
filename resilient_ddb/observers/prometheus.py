"""Metrics for Prometheus, by its own client library (extra `prometheus`)."""

from __future__ import annotations

from typing import Any

from resilient_ddb.events import AnyEvent
from resilient_ddb.policy.arguments import names_checked

from .metrics import METRICS, Kind, labels_of, measured, prometheus_name

try:
    import prometheus_client
except ImportError as error:
    raise ImportError("PrometheusObserver needs prometheus_client: pip install 'resilient_ddb[prometheus]'") from error

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_MADE = {Kind.COUNTER: prometheus_client.Counter, Kind.GAUGE: prometheus_client.Gauge}


class PrometheusObserver:
    """Counts in metrics of `prometheus_client`, by table and operation; those of circuits by table and circuit.

    Make one, and share it among policies: a registry has each metric once.
    """

    @names_checked
    def __init__(self, registry: Any = None) -> None:
        """Register the metrics in `registry`, by default prometheus_client's own.

        Raises:
            ValueError: the registry has them already.
        """
        registry = prometheus_client.REGISTRY if registry is None else registry
        self._metrics: dict[str, Any] = {}
        try:
            for metric in METRICS:
                self._metrics[metric.name] = _made(metric, registry)
        except ValueError as error:
            for made in self._metrics.values():
                registry.unregister(made)
            raise ValueError(
                "registry must not have resilient_ddb's metrics already: make one PrometheusObserver, and share it"
            ) from error

    def __call__(self, event: AnyEvent) -> None:
        """Count an event."""
        labels = labels_of(event)
        for metric, value in measured(event):
            found = self._metrics[metric.name].labels(*labels)
            if metric.kind is Kind.COUNTER:
                found.inc(value)
            elif metric.kind is Kind.GAUGE:
                found.set(value)
            else:
                found.observe(value)


def _made(metric: Any, registry: Any) -> Any:
    name = prometheus_name(metric)
    if metric.kind is Kind.HISTOGRAM:
        return prometheus_client.Histogram(name, metric.help, metric.labels, registry=registry, buckets=_BUCKETS)
    return _MADE[metric.kind](name, metric.help, metric.labels, registry=registry)
