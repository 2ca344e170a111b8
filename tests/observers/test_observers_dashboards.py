"""The dashboards and alarms of the examples have the names that the code gives, and show every metric."""

from __future__ import annotations

import json
import re

import pytest
from dashboards import ALARMS, FILES, HERE, PANELS, text_of
from unit_support import GET, call, good, make_core

import resilient_ddb as rddb
from resilient_ddb.observers.metrics import METRICS


@pytest.mark.parametrize("file", FILES)
def test_the_examples_are_built_from_the_names_in_the_code(file):
    assert (HERE / file).read_text("utf-8") == text_of(FILES[file]), "run tests/observers/dashboards.py"


def test_every_metric_is_shown():
    assert {metric for _, of in PANELS for metric in of} == set(METRICS)


def test_the_alarms_are_on_metrics_that_emf_writes_for_a_table(capsys):
    observer = rddb.observers.EmfObserver(namespace="shop")
    call(make_core(observers=[observer]), *GET, [good()])
    observer.flush()
    directive = json.loads(capsys.readouterr().out)["_aws"]["CloudWatchMetrics"][0]
    assert ["table"] in directive["Dimensions"]
    template = json.loads((HERE / "cloudwatch.json").read_text())
    alarms = [one["Properties"] for one in template["Resources"].values() if one["Type"].endswith("Alarm")]
    assert len(alarms) == len(ALARMS)
    for alarm in alarms:
        assert alarm["MetricName"] in {metric.name for metric in METRICS}
        assert [dimension["Name"] for dimension in alarm["Dimensions"]] == ["table"]


def test_the_queries_are_on_metrics_that_prometheus_has():
    client = pytest.importorskip("prometheus_client")
    registry = client.CollectorRegistry()
    rddb.observers.PrometheusObserver(registry)
    known = {family.name for family in registry.collect()}
    dashboard = (HERE / "grafana.json").read_text()
    asked = set(re.findall(r"resilient_ddb_\w+", dashboard))
    assert {re.sub(r"_(total|bucket)$", "", name) for name in asked} == known
