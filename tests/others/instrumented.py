"""A program under another's instrumentation: `python instrumented.py LIBRARY boto3|ours before|after URL`.

It makes calls of a Table that was made before, or after, the instrumentation was switched on, and prints what that has
recorded of them, as JSON. Calls were made before, so that with ours the path past botocore's inside is known.
"""
# ruff: noqa: PLC0415, T201  # each program imports one library, when it is due

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import boto3

import resilient_ddb as rddb

ACCESS = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "id",
    "aws_secret_access_key": "secret",
}
KEY = {"pk": "a"}
Recording = Callable[[str], AbstractContextManager[Callable[[], list[Any]]]]
"""Given the server's URL, a context in which something is recorded; it gives what returns that."""


def make_table(kind: str, url: str) -> Any:
    """Return a Table, warmed up."""
    if kind == "ours":
        policy = rddb.Policy(fast_path=True, retry=rddb.Retry(max_attempts=1))
        table = rddb.table("t", endpoint_url=url, policy=policy, session=boto3.Session(**ACCESS))
    else:
        table = boto3.resource("dynamodb", endpoint_url=url, **ACCESS).Table("t")
    for _ in range(3):
        call(table)
    return table


def call(table: Any) -> None:
    """Make the calls."""
    table.get_item(Key=KEY)
    table.put_item(Item=KEY)
    table.query(KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": "a"})
    with contextlib.suppress(table.meta.client.exceptions.ConditionalCheckFailedException):
        table.delete_item(Key=KEY, ConditionExpression="attribute_exists(pk)")


@contextmanager
def vcrpy(_url: str) -> Iterator[Callable[[], list[Any]]]:
    """Record what vcrpy keeps of each request and answer."""
    import tempfile

    import vcr

    with tempfile.TemporaryDirectory() as folder, vcr.use_cassette(f"{folder}/it.yaml", record_mode="all") as cassette:
        yield lambda: [
            *(
                [request.method, request.path, str(request.headers["X-Amz-Target"]), _body(request.body)]
                for request in cassette.requests
            ),
            *(response["status"] for response in cassette.responses),
        ]


@contextmanager
def httpretty(url: str) -> Iterator[Callable[[], list[Any]]]:
    """Answer in the place of the server, and record the requests."""
    import httpretty

    answers = {"GetItem": "{}", "PutItem": "{}", "Query": '{"Count": 0, "ScannedCount": 0, "Items": []}'}

    def answer(request: Any, _uri: str, headers: dict[str, str]) -> Any:
        operation = request.headers["X-Amz-Target"].partition(".")[2]
        headers = {**headers, "x-amzn-requestid": "R"}
        if operation in answers:
            return 200, headers, answers[operation]
        return 400, headers, json.dumps({"__type": "x#ConditionalCheckFailedException", "message": "no"})

    with httpretty.enabled():
        httpretty.register_uri(httpretty.POST, f"{url}/", body=answer)
        yield lambda: [
            [request.method, request.path, request.headers["X-Amz-Target"], _body(request.body)]
            for request in httpretty.latest_requests()
        ]


@contextmanager
def responses(_url: str) -> Iterator[Callable[[], list[Any]]]:
    """Record what goes by requests: nothing of botocore does."""
    import responses

    with responses.RequestsMock() as mock:
        yield lambda: [str(made.request.url) for made in mock.calls]


@contextmanager
def sentry_sdk(_url: str) -> Iterator[Callable[[], list[Any]]]:
    """Record the spans of a transaction."""
    import sentry_sdk
    from sentry_sdk.transport import Transport

    kept: list[Any] = []

    class Kept(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            kept.extend(item.payload.json for item in envelope.items if item.type == "transaction")

    sentry_sdk.init("http://key@127.0.0.1:1/1", traces_sample_rate=1.0, transport=Kept)
    transaction = sentry_sdk.start_transaction(name="program")
    transaction.__enter__()

    def found() -> list[Any]:
        transaction.__exit__(None, None, None)
        sentry_sdk.flush()
        return [
            [span["op"], span["description"], span.get("status"), span["data"].get("http.response.status_code")]
            for event in kept
            for span in event["spans"]
        ]

    yield found


@contextmanager
def opentelemetry_botocore(_url: str) -> Iterator[Callable[[], list[Any]]]:
    """Record the spans of botocore's instrumentation."""
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor

    with _spans(BotocoreInstrumentor()) as found:
        yield found


@contextmanager
def opentelemetry_urllib3(_url: str) -> Iterator[Callable[[], list[Any]]]:
    """Record the spans of urllib3's instrumentation."""
    from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor

    with _spans(URLLib3Instrumentor()) as found:
        yield found


@contextmanager
def _spans(instrumentor: Any) -> Iterator[Callable[[], list[Any]]]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor.instrument(tracer_provider=provider)
    yield lambda: [
        [span.name, span.status.status_code.name, sorted((name, str(value)) for name, value in span.attributes.items())]
        for span in exporter.get_finished_spans()
    ]
    instrumentor.uninstrument()


@contextmanager
def aws_xray_sdk(_url: str) -> Iterator[Callable[[], list[Any]]]:
    """Record the subsegments of a segment."""
    from aws_xray_sdk.core import patch, xray_recorder

    xray_recorder.configure(sampling=False, context_missing="RUNTIME_ERROR")
    xray_recorder.emitter = type(
        "Nowhere", (), {"send_entity": lambda *_: None, "set_daemon_address": lambda *_: None}
    )()
    patch(("botocore",))
    segment = xray_recorder.begin_segment("program")
    kept: list[Any] = []  # as each begins: a segment lets go of what it has sent
    add = segment.add_subsegment
    segment.add_subsegment = lambda each: (kept.append(each), add(each))
    yield lambda: [
        [each.name, each.namespace, getattr(each, "error", False), sorted(_without_ids(each.aws).items())]
        for each in kept
    ]


@contextmanager
def ddtrace(_url: str) -> Iterator[Callable[[], list[Any]]]:
    """Record the spans of ddtrace."""
    import ddtrace
    from ddtrace.trace import TraceFilter, tracer

    kept: list[Any] = []

    class Keep(TraceFilter):
        def process_trace(self, trace: Any) -> None:
            kept.extend(trace)

    tracer.configure(trace_processors=[Keep()])
    ddtrace.patch(botocore=True, boto=False)
    yield lambda: [
        [span.name, span.resource, span.error, span.get_tag("aws.operation"), span.get_tag("http.status_code")]
        for span in kept
    ]


def _without_ids(facts: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items() if name != "request_id"}


def _body(body: Any) -> Any:
    return json.loads(body.read() if hasattr(body, "read") else body)


def main() -> None:
    """Make the calls, and print what was recorded."""
    library, kind, when, url = sys.argv[1:]
    record: Recording = globals()[library]
    table = make_table(kind, url) if when == "before" else None
    with record(url) as found:
        if table is None:
            table = make_table(kind, url)
        counters = table.meta.client._resilience.host.transport if kind == "ours" else None  # noqa: SLF001 - of ours
        taken_before = counters.calls if counters else 0
        call(table)
        recorded = found()
        taken = counters.calls - taken_before if counters else 0
    print(json.dumps({"recorded": recorded, "taken": taken, "url": url}))


if __name__ == "__main__":
    main()
