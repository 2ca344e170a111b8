"""Metrics by way of Powertools for AWS Lambda, for those who have its `Metrics` already."""

from __future__ import annotations

from typing import Any

from resilient_ddb.events import AnyEvent
from resilient_ddb.policy.arguments import names_checked

from .metrics import Kind, cloudwatch_unit, measured


class PowertoolsObserver:
    """Adds metrics to a `Metrics` of Powertools for AWS Lambda, which writes them as it flushes.

    They have the dimensions that this `Metrics` has: not the table, nor the operation. `EmfObserver` has those.
    """

    @names_checked
    def __init__(self, metrics: Any, *, prefix: str = "dynamodb_") -> None:
        """Add to `metrics`, an `aws_lambda_powertools.Metrics`; each name begins with `prefix`.

        Raises:
            TypeError: `metrics` has no `add_metric`.
        """
        if not callable(getattr(metrics, "add_metric", None)):
            raise TypeError(f"metrics must be an aws_lambda_powertools.Metrics; got {type(metrics).__name__}")
        self._metrics = metrics
        self._prefix = prefix

    def __call__(self, event: AnyEvent) -> None:
        """Add what an event measures."""
        for metric, value in measured(event):
            if metric.kind is not Kind.GAUGE:  # of several circuits, without their names, it would say nothing
                name = f"{self._prefix}{metric.name}"
                self._metrics.add_metric(name=name, unit=cloudwatch_unit(metric), value=value)
