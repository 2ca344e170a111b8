"""Requests: values are typed where boto3 types them, and JSON is written of what botocore accepts, and of no more."""

import json
from unittest.mock import patch

import botocore.serialize
import pytest
from boto3.dynamodb.conditions import Attr
from boto3.dynamodb.types import TypeSerializer
from botocore.validate import ParamValidator
from codec_support import (
    ENGINES,
    INJECTOR,
    OPERATIONS,
    Dictionary,
    Frozen,
    Level,
    Listing,
    Mood,
    Text,
    Whole,
    changed,
    exactly,
    fresh,
    has_values,
    natives,
    odd_arguments,
    outcome,
    params_of,
    plain_natives,
)
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from resilient_ddb.codec import Codec
from resilient_ddb.codec.values import from_native

SERIALIZER = botocore.serialize.create_serializer("json", include_validation=False)
OF_VALUES = [name for name, operation in OPERATIONS.items() if has_values(operation.input_shape)]
# Typing the values.


def same_typing(params, operation):
    theirs = fresh(params)
    found = outcome(Codec().typing(operation), params)
    assert found == outcome(INJECTOR.inject_attribute_value_input, theirs, operation)
    if found[0] == "gave":
        assert exactly(params) == exactly(theirs)


@examples(200)
@given(st.data(), st.sampled_from(OF_VALUES))
def test_native_values_are_typed_where_boto3_types_them(data, name):
    same_typing(data.draw(params_of(name, "native")), OPERATIONS[name])


@examples(400)
@given(st.data(), st.sampled_from([*OPERATIONS, *OF_VALUES * 3]))
def test_unusual_parameters_are_typed_or_refused_as_by_boto3(data, name):
    params = data.draw(changed(params_of(name, "any"), odd_arguments | natives))
    same_typing(params, OPERATIONS[name])


WRONG = [
    *(None, [], (), "Item", Frozen({"Item": {"a": 1}}), Dictionary(Item={"a": 1}), {"Item": Frozen({"a": 1})}),
    *({"Item": Dictionary(a=1)}, {"Item": [("a", 1)]}, {"Item": None}, {Text("Item"): {"a": 1}}),
    *({"Expected": {"a": {"AttributeValueList": values}}} for values in ([1], (1,), Listing([1]), {1}, "ab", None)),
    *({"Expected": {"a": {"Value": value}}} for value in (None, 1.5, (1, [2]), Frozen({}))),
    *({"Expected": Frozen({"a": {"Value": 1}})}, {"Expected": {"a": Frozen({"Value": 1})}}, {"Expected": {"a": 1}}),
    *({"Item": {"a": 1.5}, "Expected": {"b": object}}, {"Expected": {"b": {"Value": object}}, "Item": {"a": 1.5}}),
    *({"Item": {1: 1, None: None}}, {"Item": {}}, {"Key": {"a": 1}}, {"ExpressionAttributeValues": {":a": {"b"}}}),
]


@pytest.mark.parametrize("params", WRONG, ids=repr)
def test_wrong_containers_are_typed_or_refused_as_by_boto3(params):
    same_typing(params, OPERATIONS["PutItem"])


# Writing.


def codec_with(engine):
    codec = Codec()
    codec.engine = ENGINES[engine]
    return codec


CODECS = {engine: codec_with(engine) for engine in ENGINES}


def refuses(params, operation):
    """Return whether botocore refuses parameters, or fails on them."""
    try:
        return ParamValidator().validate(params, operation.input_shape).has_errors()
    except OverflowError:  # a time that is too far away
        return True


def check_writing(params, operation):
    """What is written, botocore accepts and writes to the same effect; gives what was written."""
    before = exactly(params)
    is_refused = refuses(params, operation)
    written = {name: codec.write(params, operation) for name, codec in CODECS.items()}
    assert exactly(params) == before
    for name, body in written.items():
        assert body is None or not is_refused, name
        if body is not None:
            theirs = SERIALIZER.serialize_to_request(params, operation)["body"]
            assert exactly(json.loads(body)) == exactly(json.loads(theirs)), name
    return list(written.values())


@examples(500)
@given(st.data(), st.sampled_from([*OPERATIONS, *OF_VALUES * 2]))
def test_what_is_written_botocore_accepts_and_writes_to_the_same_effect(data, name):
    check_writing(data.draw(changed(params_of(name, "typed"), odd_arguments)), OPERATIONS[name])


@pytest.mark.parametrize("name", list(OPERATIONS))
@examples(8)
@given(st.data())
def test_plain_parameters_are_written_here(name, data):
    assert None not in check_writing(data.draw(params_of(name, "typed", only_plain=True)), OPERATIONS[name])


@examples(150)
@given(st.data(), st.sampled_from(OF_VALUES))
def test_native_values_once_typed_are_written_here(data, name):
    params = data.draw(params_of(name, "native", only_plain=True))
    Codec().typing(OPERATIONS[name])(params)
    assert None not in check_writing(params, OPERATIONS[name])


LEAST = {"TableName": "t", "Item": {"a": {"S": "b"}}}
REFUSED = [
    *(None, [], "a", {}, {"TableName": "t"}, {**LEAST, "New": 1}, {**LEAST, "TableName": None}, {**LEAST, "Item": [1]}),
    *({**LEAST, "Item": {"a": value}} for value in ("b", None, [], {"S": 1}, {"X": "b"}, {"BOOL": 1}, {"B": 1})),
    *({**LEAST, "Item": {1: {"S": "b"}}}, {**LEAST, "TableName": ""}, {**LEAST, "TableName": 1}),
    *({**LEAST, "ReturnValues": 1}, {**LEAST, "Expected": {"a": {"Exists": "true"}}}, {**LEAST, "Expected": {"a": []}}),
    *({**LEAST, "Expected": {"a": {"AttributeValueList": "ab"}}}, {**LEAST, "ExpressionAttributeNames": {"#a": 1}}),
]


@pytest.mark.parametrize("params", REFUSED, ids=repr)
def test_what_botocore_refuses_is_not_written(params):
    assert refuses(params, OPERATIONS["PutItem"])
    assert check_writing(params, OPERATIONS["PutItem"]) == [None] * len(CODECS)


ODD_TEXTS = ["\ud800", "", "\x00\x1f\x7f\u2028\U0001f600</script>", "\"\\/'"]
UNUSUAL = [
    *({**LEAST, "Item": {"a": {"S": text}}} for text in ODD_TEXTS),
    *({**LEAST, "Item": {name: {"S": ""}}} for name in (*ODD_TEXTS, Text("a"), Mood.FINE)),
    *({**LEAST, "Item": {"a": {"B": value}}} for value in (b"", b"\xff\xfe\xfd", bytearray(b"a"), "text")),
    *({**LEAST, "TableName": name} for name in (Text("t"), Mood.FINE, "\ud800")),
    *({Text("TableName"): "t", "Item": {}}, {Mood.FINE: 1, **LEAST}, Dictionary(LEAST)),
    *({**LEAST, "Item": Dictionary()}, {**LEAST, "Expected": {"a": {"AttributeValueList": ({"S": "a"},)}}}),
]


@pytest.mark.parametrize("params", UNUSUAL, ids=ascii)
def test_unusual_parameters_are_left_to_botocore_or_written_to_the_same_effect(params):
    check_writing(params, OPERATIONS["PutItem"])


@pytest.mark.parametrize("limit", [1, 0, -1, 2**63, 2**64, 10**30, -(10**30), True, Whole(5), Level.LOW, 1.0, "1"])
def test_numbers_of_any_size_are_written_to_the_same_effect(limit):
    check_writing({"TableName": "t", "Limit": limit}, OPERATIONS["Scan"])


@examples(150)
@given(plain_natives)
def test_both_engines_write_the_same(value):
    params = {"TableName": "t", "Item": {"a": from_native(value)}}
    written = [json.loads(codec.write(params, OPERATIONS["PutItem"])) for codec in CODECS.values()]
    assert all(exactly(found) == exactly(written[0]) for found in written)


# Typing and writing in one walk.


def check_walk(params, operation):
    """What is written in one walk is what boto3 types of a copy, and botocore accepts and writes; gives what it was."""
    before = exactly(params)
    theirs = fresh(params)
    written = {name: codec.write_native(params, operation) for name, codec in CODECS.items()}
    assert exactly(params) == before
    if any(body is not None for body in written.values()):
        INJECTOR.inject_attribute_value_input(theirs, operation)
        assert not refuses(theirs, operation)
        expected = exactly(json.loads(SERIALIZER.serialize_to_request(theirs, operation)["body"]))
        assert all(body is None or exactly(json.loads(body)) == expected for body in written.values())
    return list(written.values())


@examples(500)
@given(st.data(), st.sampled_from([*OPERATIONS, *OF_VALUES * 2]))
def test_what_is_written_in_one_walk_boto3_and_botocore_write_to_the_same_effect(data, name):
    check_walk(data.draw(changed(params_of(name, "any"), odd_arguments | natives)), OPERATIONS[name])


@pytest.mark.parametrize("name", list(OPERATIONS))
@examples(8)
@given(st.data())
def test_plain_native_parameters_are_written_in_one_walk(name, data):
    assert None not in check_walk(data.draw(params_of(name, "native", only_plain=True)), OPERATIONS[name])


@examples(150)
@given(st.data(), st.sampled_from(OF_VALUES))
def test_one_walk_writes_all_that_is_written_in_three(data, name):
    params = data.draw(changed(params_of(name, "any"), odd_arguments | natives))
    operation = OPERATIONS[name]
    for codec in CODECS.values():
        typed = fresh(params)
        if outcome(codec.typing(operation), typed)[0] == "gave":
            found, expected = codec.write_native(params, operation), codec.write(typed, operation)
            assert found is None or found == expected


@pytest.mark.parametrize("params", WRONG, ids=repr)
def test_wrong_containers_are_left_to_boto3_or_written_to_the_same_effect(params):
    check_walk(params, OPERATIONS["PutItem"])


@pytest.mark.parametrize("condition", [Attr("a").eq(1), None, ""])
def test_a_condition_that_is_no_text_is_not_written(condition):
    params = {"TableName": "t", "Item": {"a": 1}, "ConditionExpression": condition}
    written = CODECS["standard library"].write_native(params, OPERATIONS["PutItem"])
    assert (written is None) is (condition != "")


def test_a_replaced_serializer_of_boto3s_is_left_to_write():
    codec, params = CODECS["standard library"], {"TableName": "t", "Item": {"a": 1}}
    with patch.object(TypeSerializer, "_serialize_n", lambda _, value: f"{value}0"):
        assert codec.write_native(params, OPERATIONS["PutItem"]) is None
    assert codec.write_native(params, OPERATIONS["PutItem"]) == b'{"TableName":"t","Item":{"a":{"N":"1"}}}'
