"""OpenTelemetry: one span a call, attempts and waits as its events, the right parents, and the metrics."""

from __future__ import annotations

import asyncio
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from operator_support import KEY, SERVER_ERROR, Server
from unit_support import ADD, GET, call, failed, good, make_core

import resilient_ddb as rddb

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

OpenTelemetryObserver = rddb.observers.OpenTelemetryObserver


class Told:
    """An observer with the SDK's in-memory exporters behind it."""

    def __init__(self, **options):
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.observer = OpenTelemetryObserver(self.tracers, self.meters, **options)
        self.tracer = self.tracers.get_tracer("test")

    def spans(self, name=None):
        return [span for span in self.exporter.get_finished_spans() if name in (None, span.name)]

    def metrics(self):
        found = self.reader.get_metrics_data()
        scopes = [scope for resource in found.resource_metrics for scope in resource.scope_metrics]
        return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def rim(request):
    return request.param


def policy(told, **settings):
    clock = rddb.testing.FakeClock()
    return rddb.Policy(observers=[told.observer], clock=clock, **settings)


def test_a_call_is_one_span_with_its_attempts_and_waits(rim, server, told):
    answers = [SERVER_ERROR, {}]
    server.answer = lambda operation, params: answers.pop(0)
    side = server.side(rim, policy(told))
    with told.tracer.start_as_current_span("handler") as handler:
        side.call("get_item", Key=KEY)
    [span] = told.spans("DynamoDB.GetItem")
    assert span.parent.span_id == handler.get_span_context().span_id
    assert span.kind is trace.SpanKind.CLIENT
    assert [event.name for event in span.events] == ["attempt", "wait", "attempt"]
    assert span.events[0].attributes["code"] == "InternalServerError"
    assert span.attributes["db.system.name"] == "aws.dynamodb"
    assert span.attributes["db.operation.name"] == span.attributes["rpc.method"] == "GetItem"
    assert span.attributes["aws.dynamodb.table_names"] == ("t",)
    assert span.attributes["aws.request_id"] == "made-by-a-test"
    assert span.attributes["cloud.region"] == "eu-west-1"
    assert span.attributes["resilient_ddb.attempts"] == 2
    assert "error.type" not in span.attributes
    assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.37.0"
    side.close()


def test_a_call_that_fails_says_how(told):
    core = make_core(observers=[told.observer], retry=rddb.Retry(max_attempts=1))
    call(core, *ADD, [failed("InternalServerError", 500)])
    [span] = told.spans()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.attributes["error.type"] == "InternalServerError"
    assert span.attributes["resilient_ddb.ambiguous"] is True
    assert span.attributes["resilient_ddb.stopped_by"] == "ambiguous"


def test_no_span_stays_current_after_its_call(told):
    before = trace.get_current_span()
    core = make_core(observers=[told.observer], retry=rddb.Retry(max_attempts=1))
    call(core, *GET, [good()])
    call(core, *GET, [failed("ValidationException")])
    assert trace.get_current_span() is before
    assert told.observer._spans == {}  # noqa: SLF001 - memory that must not grow


def test_a_write_that_is_told_as_in_doubt_later_ends_its_span_without_a_word(rim, server, told, caplog):
    server.answer = lambda operation, params: SERVER_ERROR
    side = server.side(rim, policy(told, retry=rddb.Retry(max_attempts=2)))
    side.table = side.table.versioned()
    with told.tracer.start_as_current_span("handler") as handler:
        [error] = side.many("put_item", 1, Item=KEY)
        assert rddb.call_facts(error).ambiguous
        assert trace.get_current_span() is handler
    [span] = told.spans("DynamoDB.PutItem")
    assert span.parent.span_id == handler.get_span_context().span_id
    assert span.attributes["resilient_ddb.ambiguous"] is True
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []
    side.close()


def test_a_span_that_another_instrumentation_begins_is_the_child_of_ours(server, told):
    side = server.side("sync", policy(told))

    def instrumented(**_):
        told.tracer.start_span("botocore's").end()

    side.table.meta.client.meta.events.register("before-send.dynamodb", instrumented)
    side.call("get_item", Key=KEY)
    [ours], [theirs] = told.spans("DynamoDB.GetItem"), told.spans("botocore's")
    assert theirs.parent.span_id == ours.context.span_id
    side.close()


def test_threads_have_the_parents_that_they_were_begun_with(server, told):
    side = server.side("sync", policy(told))

    def handle(number):
        with told.tracer.start_as_current_span(f"handler {number}"):
            for _ in range(3):
                side.call("get_item", Key=KEY)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(handle, range(16)))
    spans = told.spans("DynamoDB.GetItem")
    parents = {number: told.spans(f"handler {number}")[0].context.span_id for number in range(16)}
    assert sorted(span.parent.span_id for span in spans) == sorted([*parents.values()] * 3)
    side.close()


async def test_tasks_have_the_parents_that_they_were_begun_with(server, told):
    side = server.side("async", policy(told))

    async def handle(number):
        with told.tracer.start_as_current_span(f"handler {number}"):
            for _ in range(3):
                await side.table.get_item(Key=KEY)

    await asyncio.gather(*(handle(number) for number in range(16)))
    spans = told.spans("DynamoDB.GetItem")
    parents = [told.spans(f"handler {number}")[0].context.span_id for number in range(16)]
    assert sorted(span.parent.span_id for span in spans) == sorted(parents * 3)
    await side.table.close()


def test_a_fan_in_has_the_parent_of_whoever_asked(rim, server, told):
    server.answer = lambda operation, params: {"Items": [], "Count": 0, "ScannedCount": 0}
    side = server.side(rim, policy(told))

    def read():
        return list(side.table.parallel_scan(4))

    async def read_async():
        return [item async for item in side.table.parallel_scan(4)]

    with told.tracer.start_as_current_span("handler") as handler:
        assert (read() if rim == "sync" else asyncio.run(read_async())) == []
    spans = told.spans("DynamoDB.Scan")
    assert len(spans) == 4
    assert {span.parent.span_id for span in spans} == {handler.get_span_context().span_id}
    side.close()


async def test_a_call_that_is_cancelled_ends_its_span(server, told):
    import threading  # noqa: PLC0415 - only here

    begun, go = threading.Event(), threading.Event()

    def wait(operation, params):
        begun.set()
        go.wait(30)
        return {}

    server.answer = wait
    side = server.side("async", policy(told))

    async def ask():
        await side.table.get_item(Key=KEY)

    asking = asyncio.create_task(ask())
    await asyncio.to_thread(begun.wait, 30)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    go.set()
    [span] = told.spans("DynamoDB.GetItem")
    assert span.attributes["error.type"] == "cancelled"
    await side.table.close()


def test_metrics_are_by_table_and_operation(told):
    core = make_core(observers=[told.observer], retry=rddb.Retry(max_attempts=2))
    call(core, *GET, [failed("ThrottlingException"), good(ConsumedCapacity={"CapacityUnits": 0.5})])
    core.lane(*GET).circuit.adopt("open", "elsewhere")
    call(core, *GET, [])
    metrics = told.metrics()
    of_calls = {"db.collection.name": "t", "db.operation.name": "GetItem"}
    [first, second] = metrics["db.client.operation.duration"]
    about = {**of_calls, "db.system.name": "aws.dynamodb", "cloud.region": "eu-west-1"}
    assert dict(first.attributes) == about
    assert dict(second.attributes) == {**about, "error.type": "CircuitOpen"}
    [throttled] = metrics["resilient_ddb.throttled"]
    assert (throttled.value, dict(throttled.attributes)) == (1, of_calls)
    [state] = metrics["resilient_ddb.circuit_state"]
    assert (state.value, dict(state.attributes)) == (2, {"db.collection.name": "t", "resilient_ddb.circuit": "t/read"})
    assert metrics["resilient_ddb.consumed_units"][0].value == 0.5


def test_without_traces_there_are_metrics_only():
    told = Told(traces=False)
    call(make_core(observers=[told.observer]), *GET, [good()])
    assert told.spans() == []
    assert told.metrics()["resilient_ddb.calls"][0].value == 1


def test_an_exporter_that_fails_fails_no_call(server, rim):
    class Broken(InMemorySpanExporter):
        def export(self, spans):
            raise RuntimeError("no")

    told = Told()
    told.tracers.add_span_processor(SimpleSpanProcessor(Broken()))
    side = server.side(rim, policy(told))
    with warnings.catch_warnings():
        side.call("get_item", Key=KEY)
    side.close()


def test_without_any_provider_nothing_is_done():
    core = make_core(observers=[OpenTelemetryObserver()])
    assert call(core, *GET, [good()]).error is None


def test_beside_botocore_s_own_instrumentation_each_has_its_span(server, rim):
    botocore = pytest.importorskip("opentelemetry.instrumentation.botocore")
    told = Told()
    instrumentor = botocore.BotocoreInstrumentor()
    instrumentor.instrument(tracer_provider=told.tracers)
    try:
        answers = [SERVER_ERROR, {}]
        server.answer = lambda operation, params: answers.pop(0)
        side = server.side(rim, policy(told))
        with told.tracer.start_as_current_span("handler") as handler:
            side.call("get_item", Key=KEY)
        side.close()
    finally:
        instrumentor.uninstrument()
    [ours] = [span for span in told.spans() if span.instrumentation_scope.name == "resilient_ddb"]
    theirs = [span for span in told.spans() if "botocore" in span.instrumentation_scope.name]
    assert ours.parent.span_id == handler.get_span_context().span_id
    assert [event.name for event in ours.events] == ["attempt", "wait", "attempt"]
    assert [span.parent.span_id for span in theirs] == [ours.context.span_id] * (rim == "sync")  # it knows no async one
