"""Prometheus: the metrics that all exporters have, by table and operation."""

from __future__ import annotations

import pytest
from unit_support import GET, call, failed, good, make_core

import resilient_ddb as rddb

prometheus_client = pytest.importorskip("prometheus_client")
PrometheusObserver = rddb.observers.PrometheusObserver


def test_calls_are_counted_by_table_and_operation():
    registry = prometheus_client.CollectorRegistry()
    core = make_core(observers=[PrometheusObserver(registry)])
    call(core, *GET, [failed("ThrottlingException"), good(ConsumedCapacity={"CapacityUnits": 0.5})])
    core.lane(*GET).circuit.adopt("open", "elsewhere")
    labels = {"table": "t", "operation": "GetItem"}

    def value(name, labels=labels):
        return registry.get_sample_value(f"resilient_ddb_{name}", labels)

    assert (value("calls_total"), value("attempts_total"), value("throttled_total")) == (1, 2, 1)
    assert (value("consumed_units_total"), value("call_duration_seconds_count")) == (0.5, 1)
    circuit = {"table": "t", "circuit": "t/read"}
    assert (value("circuit_state", circuit), value("circuit_opened_total", circuit)) == (2, 1)


def test_a_registry_has_them_once():
    registry = prometheus_client.CollectorRegistry()
    PrometheusObserver(registry)
    with pytest.raises(ValueError, match="make one PrometheusObserver, and share it"):
        PrometheusObserver(registry)
