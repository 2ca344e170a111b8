"""What programs replace in boto3, or look at it with, does the same to ours; and ours does so without msgspec."""

import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Context, Decimal
from pathlib import Path

import pytest
from boto3.dynamodb import transform, types
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.history import HISTORY_RECORDER, BaseHistoryHandler
from botocore.stub import Stubber
from codec_calls import ITEM, KEY, PAGE, both_sides, calls, end, least_params, our_side, same
from codec_support import exactly, fresh

from resilient_ddb.codec import Codec, Reader

TESTS = Path(__file__).parents[1]


# What programs replace in boto3.


def _floats(self, value):
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


PATCHES = {
    "floats out": (TypeDeserializer, "_deserialize_n", lambda self, value: float(value)),
    "bytes out": (TypeDeserializer, "_deserialize_b", lambda self, value: value),
    "lists out": (TypeDeserializer, "_deserialize_ns", lambda self, value: list(value)),
    "anything out": (TypeDeserializer, "deserialize", lambda self, value: repr(value)),
    "floats in": (TypeSerializer, "_is_number", _floats),
    "empty is null": (TypeSerializer, "_is_null", lambda self, value: value is None or value == ""),
    "text in": (TypeSerializer, "_serialize_s", lambda self, value: value.upper()),
    "anything in": (TypeSerializer, "serialize", lambda self, value: {"S": repr(value)}),
    "no traps": (types, "DYNAMODB_CONTEXT", Context(Emin=-128, Emax=126, prec=38, traps=[])),
    "few digits": (types, "DYNAMODB_CONTEXT", Context(prec=1, traps=[])),
    "own binary": (types, "Binary", type("Binary", (types.Binary,), {})),
}
OF_CLASSES = {
    "serializer": (transform, "TypeSerializer", type("S", (TypeSerializer,), {"_serialize_s": lambda self, s: s * 2})),
    "deserializer": (
        transform,
        "TypeDeserializer",
        type("D", (TypeDeserializer,), {"_deserialize_n": lambda self, n: n}),
    ),
    "output": (
        transform.TransformationInjector,
        "inject_attribute_value_output",
        lambda self, parsed, model, **_: None,
    ),
    "input": (transform.TransformationInjector, "inject_attribute_value_input", lambda self, params, model, **_: None),
    "transformer": (transform.ParameterTransformer, "transform", lambda self, *args: None),
}


@pytest.mark.parametrize("name", [*PATCHES, *OF_CLASSES])
def test_what_is_replaced_in_boto3_before_a_resource_is_made_is_replaced_in_ours(aws_env, monkeypatch, name):
    monkeypatch.setattr(*{**PATCHES, **OF_CLASSES}[name])
    with both_sides() as sides:
        same(sides, calls)


@pytest.mark.parametrize("name", [*PATCHES, *OF_CLASSES])
def test_what_is_replaced_in_boto3_between_calls_is_replaced_in_ours(sides, monkeypatch, name):
    usual = same(sides, calls)
    monkeypatch.setattr(*{**PATCHES, **OF_CLASSES}[name])
    same(sides, calls)
    monkeypatch.undo()
    assert same(sides, calls) == usual


# The rest.


@pytest.mark.parametrize("client", ["native", "typed"])
def test_a_stubbed_client_answers_as_boto3s(sides, client):
    def script(side):
        params = least_params("GetItem", client)
        with Stubber(getattr(side, client)) as stubber:
            stubber.add_response("get_item", {"Item": {"a": {"N": "1"}}}, least_params("GetItem", "typed"))
            stubber.add_response("get_item", {"Item": {"a": {"B": b"1"}}}, {"TableName": "other", "Key": {}})
            stubber.add_client_error(
                "get_item", "ConditionalCheckFailedException", modeled_fields={"Item": {"a": {"N": "1"}}}
            )
            stubbed = [side.end(client, "GetItem", params) for _ in range(4)]
        return stubbed, side.end(client, "GetItem", params)

    same(sides, script)


class Recording(BaseHistoryHandler):
    def __init__(self):
        self.kept = []

    def emit(self, event_type, payload, source):
        if event_type in ("API_CALL", "HTTP_RESPONSE", "PARSED_RESPONSE"):
            self.kept.append((event_type, exactly(fresh(payload))))


def test_botocores_history_and_log_are_the_same(new_sides, caplog, monkeypatch):
    def script(side):
        recording = Recording()
        monkeypatch.setattr(HISTORY_RECORDER, "_handlers", [recording])
        HISTORY_RECORDER.enable()
        try:
            side.table.get_item(Key=KEY)
        finally:
            HISTORY_RECORDER.disable()
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "botocore.parsers"):
            side.table.get_item(Key=KEY)
        return recording.kept, [record.getMessage() for record in caplog.records if record.name == "botocore.parsers"]

    same(new_sides, script)


def test_requests_are_written_here_from_the_second_on(aws_env, monkeypatch):
    written = []
    original = Codec.write

    def write(self, params, model):
        written.append(original(self, params, model))
        return written[-1]

    monkeypatch.setattr(Codec, "write", write)
    side = our_side()
    for _ in range(3):
        side.table.put_item(Item=ITEM)
        side.typed.get_item(TableName="t", Key={"pk": {"S": "a"}})
    assert list(map(type, written)) == [bytes] * 4
    side.close()


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_values_are_made_native_as_they_are_read(aws_env, monkeypatch, mode):
    numbers = []
    original = Reader.read

    def read(self, text, number, sieve=None):
        numbers.append(number)
        return original(self, text, number, sieve)

    monkeypatch.setattr(Reader, "read", read)
    side = our_side(retries={"mode": mode})
    for client in ("native", "typed"):
        side.end(client, "GetItem", least_params("GetItem", client))
    assert [number is not None for number in numbers] == [True, False]
    side.close()


def test_pages_are_followed_as_by_boto3(sides):
    def script(side):
        side.canned.answer(PAGE)
        pages = side.native.get_paginator("query").paginate(TableName="t", KeyConditionExpression="a")
        return [end(list, pages), side.canned.bodies(), end(lambda: pages.build_full_result()["Count"])]

    same(sides, script)


def test_threads_share_what_is_compiled(sides):
    expected = [same(sides[:1] * 2, lambda side: end(side.table.get_item, Key=KEY))] * 8
    side = our_side()
    barrier = threading.Barrier(8)

    def work(_):
        barrier.wait()
        return [end(side.table.get_item, Key=KEY) for _ in range(20)][-1]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == expected
    side.close()


PURE = """
import sys
sys.modules["msgspec"] = None
from codec_calls import GOOD, KEY, both_sides, calls, end, same
with both_sides() as sides:
    same(sides, calls)
    assert type(sides[1].native._resilience.host.values.codec.engine.loads.__self__).__name__ == "StandardLibrary"
    for side in sides:
        side.canned.answer({"__type": "x#ConditionalCheckFailedException", "Item": GOOD["Item"]}, 400)
    assert same(sides, lambda side: end(side.table.put_item, Item=KEY))[0] == "raised"
print(sys.modules["msgspec"])
"""


def test_all_works_without_msgspec(aws_env):
    paths = f"import sys; sys.path[:0] = [{str(TESTS.parent)!r}, {str(TESTS)!r}]\n"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", paths + PURE], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "None"), done.stderr
