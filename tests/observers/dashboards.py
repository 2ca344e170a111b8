"""Builds what `examples/observability` holds from the names in the code: `python tests/observers/dashboards.py`."""

from __future__ import annotations

import json
from pathlib import Path

from resilient_ddb.observers import metrics
from resilient_ddb.observers.metrics import METRICS, Kind, prometheus_name

HERE = Path(__file__).parents[2] / "examples" / "observability"
PANELS = [
    ("Calls", [metrics.CALLS, metrics.ERRORS, metrics.FALLBACKS]),
    ("Throttled requests", [metrics.THROTTLED]),
    ("Requests and retries", [metrics.ATTEMPTS, metrics.RETRIES]),
    ("Retries that the budget refused", [metrics.BUDGET]),
    ("Writes in doubt", [metrics.AMBIGUOUS]),
    ("Requests left unwritten", [metrics.UNPROCESSED]),
    ("Circuits: 0 closed, 1 half-open, 2 open", [metrics.CIRCUIT_STATE]),
    ("Circuits that opened", [metrics.CIRCUIT_OPENED]),
    ("Duration of calls, p99", [metrics.CALL_DURATION]),
    ("Capacity units consumed", [metrics.CONSUMED]),
]
ALARMS = {
    "Throttling": (
        metrics.THROTTLED,
        "Sum",
        100,
        3,
        "DynamoDB throttles for minutes: look for a hot key or raise capacity",
    ),
    "CircuitOpen": (metrics.CIRCUIT_OPENED, "Sum", 1, 1, "A circuit opened: calls are refused until the table answers"),
    "WritesInDoubt": (metrics.AMBIGUOUS, "Sum", 1, 1, "Writes failed that may have been applied: see the log"),
    "RequestsLeft": (metrics.UNPROCESSED, "Sum", 1, 1, "A batch writer gave up: its requests are not surely written"),
    "Slow": (metrics.CALL_DURATION, "p99", 1, 5, "One call in a hundred takes more than a second, waits included"),
}


def grafana():
    """Return the dashboard for Grafana, on a Prometheus data source."""
    panels = [_grafana_panel(number, *panel) for number, panel in enumerate(PANELS)]
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    query = f"label_values({prometheus_name(metrics.CALLS)}_total, table)"
    table = {"name": "table", "type": "query", "query": query, "multi": True, "includeAll": True, "refresh": 2}
    return {
        "title": "DynamoDB by resilient_ddb",
        "uid": "resilient-ddb",
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, {**table, "datasource": _SOURCE}]},
        "panels": panels,
    }


_SOURCE = {"type": "prometheus", "uid": "${source}"}


def _grafana_panel(number, title, of):
    return {
        "id": number + 1,
        "title": title,
        "type": "timeseries",
        "datasource": _SOURCE,
        "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": "s" if of[0].unit == "seconds" else "short"}, "overrides": []},
        "targets": [
            {
                "refId": chr(65 + place),
                "datasource": _SOURCE,
                "expr": _expression(metric),
                "legendFormat": _legend(metric),
            }
            for place, metric in enumerate(of)
        ],
    }


def _expression(metric):
    name, labels = prometheus_name(metric), ", ".join(metric.labels)
    chosen = '{table=~"$table"}'
    if metric.kind is Kind.GAUGE:
        return f"max by ({labels}) ({name}{chosen})"
    if metric.kind is Kind.HISTOGRAM:
        return f"histogram_quantile(0.99, sum by (le, {labels}) (rate({name}_bucket{chosen}[5m])))"
    return f"sum by ({labels}) (rate({name}_total{chosen}[5m]))"


def _legend(metric):
    return f"{metric.name} {' '.join('{{' + label + '}}' for label in metric.labels)}"


def cloudwatch():
    """Return the CloudFormation template: a dashboard and the alarms for one table, by EmfObserver's metrics."""
    alarms = {name: _alarm(*alarm) for name, alarm in ALARMS.items()}
    widgets = [_widget(number, *panel) for number, panel in enumerate(PANELS)]
    dashboard = {"DashboardBody": {"Fn::Sub": json.dumps({"widgets": widgets})}}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "A dashboard and alarms for one DynamoDB table, by the metrics of resilient_ddb's EmfObserver",
        "Parameters": {
            "Namespace": {"Type": "String", "Description": "EmfObserver's namespace"},
            "Table": {"Type": "String", "Description": "The name of the table"},
            "Topic": {"Type": "String", "Description": "The ARN of the SNS topic that is told"},
        },
        "Resources": {"Dashboard": {"Type": "AWS::CloudWatch::Dashboard", "Properties": dashboard}, **alarms},
    }


def _widget(number, title, of):
    return {
        "type": "metric",
        "x": 12 * (number % 2),
        "y": 6 * (number // 2),
        "width": 12,
        "height": 6,
        "properties": {
            "title": title,
            "region": "${AWS::Region}",
            "period": 60,
            "metrics": [["${Namespace}", metric.name, "table", "${Table}", {"stat": _stat(metric)}] for metric in of],
        },
    }


def _stat(metric):
    return {Kind.COUNTER: "Sum", Kind.GAUGE: "Maximum", Kind.HISTOGRAM: "p99"}[metric.kind]


def _alarm(metric, stat, threshold, minutes, why):
    by = {"ExtendedStatistic": stat} if stat.startswith("p") else {"Statistic": stat}
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": why,
            "Namespace": {"Ref": "Namespace"},
            "MetricName": metric.name,
            "Dimensions": [{"Name": "table", "Value": {"Ref": "Table"}}],
            **by,
            "Period": 60,
            "EvaluationPeriods": minutes,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "Threshold": threshold,
            "TreatMissingData": "notBreaching",
            "AlarmActions": [{"Ref": "Topic"}],
        },
    }


FILES = {"grafana.json": grafana, "cloudwatch.json": cloudwatch}


def text_of(build):
    """Return a file's text."""
    return json.dumps(build(), indent=2) + "\n"


if __name__ == "__main__":
    for file, builder in FILES.items():
        (HERE / file).write_text(text_of(builder))
    assert {metric.name for _, of in PANELS for metric in of} == {metric.name for metric in METRICS}
