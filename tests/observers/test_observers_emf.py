"""CloudWatch's Embedded Metric Format: as it is published, in few lines, and nothing is lost or counted twice."""

from __future__ import annotations

import io
import json
import pickle
import threading

import pytest
from operator_support import KEY, Server
from unit_support import ADD, GET, call, failed, good, make_core

import resilient_ddb as rddb
from resilient_ddb.events import CircuitEvent
from resilient_ddb.observers import EmfObserver, PowertoolsObserver
from resilient_ddb.observers.metrics import METRICS

UNITS = {"Seconds", "Microseconds", "Milliseconds", "Bytes", "Count", "Percent", "Count/Second", "None"}


def check(line):
    """Hold a line against the published format, and return it: what CloudWatch would drop without a word, fails."""
    assert len(line.encode()) <= 256 * 1024
    made = json.loads(line, parse_constant=lambda constant: pytest.fail(f"no number: {constant}"))
    about = made.pop("_aws")
    assert set(about) == {"Timestamp", "CloudWatchMetrics"}
    assert isinstance(about["Timestamp"], int)
    assert about["Timestamp"] > 0
    assert about["CloudWatchMetrics"]
    for directive in about["CloudWatchMetrics"]:
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        assert 1 <= len(directive["Namespace"]) <= 1024
        assert directive["Dimensions"]
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            for name in dimensions:
                assert isinstance(made[name], str)
                assert 1 <= len(made[name]) <= 1024
        assert 1 <= len(directive["Metrics"]) <= 100
        for metric in directive["Metrics"]:
            assert set(metric) <= {"Name", "Unit", "StorageResolution"}
            assert 1 <= len(metric["Name"]) <= 1024
            assert metric["Unit"] in UNITS
            values = made[metric["Name"]]
            values = values if isinstance(values, list) else [values]
            assert 1 <= len(values) <= 100
            assert all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    named = {name for one in about["CloudWatchMetrics"] for dimensions in one["Dimensions"] for name in dimensions}
    metrics = {metric["Name"] for one in about["CloudWatchMetrics"] for metric in one["Metrics"]}
    assert set(made) == named | metrics
    return made


def total(lines, name):
    found = [made[name] for made in map(check, lines) if name in made]
    return sum(len(one) if isinstance(one, list) else one for one in found)


@pytest.fixture
def emf():
    stream = io.StringIO()
    observer = EmfObserver(namespace="shop", stream=stream)
    observer.lines = lambda: stream.getvalue().splitlines()
    return observer


@pytest.mark.parametrize("rim", ["sync", "async"])
def test_500_calls_of_an_invocation_are_few_lines(rim, emf):
    with Server() as server:
        side = server.side(rim, rddb.Policy(observers=[emf]))
        assert side.many("get_item", 300, Key=KEY) == []
        assert side.many("put_item", 200, Item=KEY) == []
        side.close()
    emf.flush()
    assert len(emf.lines()) < 20
    assert total(emf.lines(), "calls") == 500
    assert total(emf.lines(), "call_duration") == 500
    assert {made["operation"] for made in map(check, emf.lines())} == {"GetItem", "PutItem"}


def test_what_matters_is_counted(emf):
    core = make_core(
        observers=[emf], retry=rddb.Retry(max_attempts=2), circuit_breaker=rddb.CircuitBreaker(minimum_calls=3)
    )
    call(core, *GET, [failed("ThrottlingException"), good(ConsumedCapacity={"CapacityUnits": 0.5})])
    call(core, *GET, [failed("ValidationException")])
    call(core, *ADD, [failed("InternalServerError", 500)])
    for _ in range(2):
        call(core, *ADD, [failed("ConditionalCheckFailedException")])
    for _ in range(3):
        call(core, *ADD, [failed("InternalServerError", 500)])
    emf.flush()
    counted = {metric.name: total(emf.lines(), metric.name) for metric in METRICS}
    assert counted == {
        "call_duration": 8,
        "calls": 8,
        "errors": 5,
        "ambiguous": 2,
        "attempts": 7,
        "retries": 1,
        "throttled": 1,
        "fallbacks": 0,
        "consumed_units": 0.5,
        "budget_exhausted": 0,
        "unprocessed": 0,
        "circuit_state": 2,
        "circuit_opened": 1,
    }


def test_a_flush_writes_what_is_new_and_nothing_twice(emf):
    core = make_core(observers=[emf])
    call(core, *GET, [good()])
    emf.flush()
    first = emf.lines()
    emf.flush()
    assert emf.lines() == first
    call(core, *GET, [good()])
    core.flush()
    assert total(emf.lines(), "calls") == 2


def test_a_call_of_no_single_table_has_a_dimension_that_is_not_empty(emf):
    call(make_core(observers=[emf]), "ListTables", {}, [good()])
    emf(CircuitEvent(table=None, operation="", circuit="*/read", old_state="closed", new_state="open", reason="r",
                     forced=True))  # fmt: skip
    emf.flush()
    assert [(made["table"], made.get("circuit")) for made in map(check, emf.lines())] == [("*", None), ("*", "*/read")]


def test_threads_may_share_it(emf):
    def work(number):
        core = make_core(observers=[emf])
        for _ in range(150):
            call(core, *GET, [good()])
        emf.flush()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    emf.flush()
    assert total(emf.lines(), "calls") == total(emf.lines(), "call_duration") == 1_200


def test_it_writes_to_standard_output_and_at_last_as_it_goes(capsys):
    observer = EmfObserver(namespace="shop")
    call(make_core(observers=[observer]), *GET, [good()])
    assert capsys.readouterr().out == ""
    del observer
    import gc  # noqa: PLC0415 - only here

    gc.collect()
    [line] = capsys.readouterr().out.splitlines()
    assert check(line)["calls"] == 1


@pytest.mark.parametrize(
    ("namespace", "error"),
    [("", ValueError), (" ", ValueError), ("x" * 257, ValueError), (None, TypeError), (5, TypeError)],
)
def test_a_namespace_is_asked_for(namespace, error):
    with pytest.raises(error, match="namespace must"):
        EmfObserver(namespace=namespace)


def test_it_can_be_pickled(capsys):
    observer = pickle.loads(pickle.dumps(EmfObserver(namespace="shop")))  # noqa: S301 - its own
    call(make_core(observers=[observer]), *GET, [good()])
    observer.flush()
    [line] = capsys.readouterr().out.splitlines()
    assert {each["Namespace"] for each in json.loads(line)["_aws"]["CloudWatchMetrics"]} == {"shop"}


# Powertools.


def test_powertools_metrics_are_added_to(capsys, monkeypatch):
    powertools = pytest.importorskip("aws_lambda_powertools")
    monkeypatch.setenv("POWERTOOLS_METRICS_FUNCTION_NAME", "f")
    metrics = powertools.Metrics(namespace="shop", service="orders")
    core = make_core(observers=[PowertoolsObserver(metrics)])
    for _ in range(3):
        call(core, *GET, [failed("ThrottlingException"), good()])
    metrics.flush_metrics()
    made = json.loads(capsys.readouterr().out)
    assert sum(made["dynamodb_calls"]) == 3
    assert sum(made["dynamodb_throttled"]) == 3
    assert len(made["dynamodb_call_duration"]) == 3
    metrics.clear_metrics()


def test_what_is_no_metrics_is_refused():
    with pytest.raises(TypeError, match=r"metrics must be an aws_lambda_powertools\.Metrics; got str"):
        PowertoolsObserver("shop")
