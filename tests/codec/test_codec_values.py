"""Values: the same as boto3's TypeSerializer and TypeDeserializer make of them, to the digit, type and message."""

import copy
import json
from decimal import Clamped, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, Rounded, Underflow
from functools import partialmethod

import pytest
from boto3.dynamodb import transform, types
from boto3.dynamodb.conditions import Attr
from boto3.dynamodb.transform import copy_dynamodb_params
from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.validate import ParamValidator
from codec_support import (
    MODEL,
    ODD_DECIMALS,
    ODD_INTEGERS,
    PARSER,
    Dictionary,
    Frozen,
    Level,
    Listing,
    Mood,
    Text,
    Whole,
    changed,
    exactly,
    natives,
    outcome,
    plain_natives,
    slots,
    typed,
)
from codec_wire import ODD_JSON, bodies, odd_bodies, wire
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from resilient_ddb.codec.numbers import Deserializer, boto3_number, exact_number, shortened
from resilient_ddb.codec.values import (
    are_valid,
    boto3_deserializes_as_usual,
    boto3_serializes_as_usual,
    copied,
    from_native,
    is_valid,
    map_to_native,
    to_native,
    to_typed,
)

VALUE = MODEL.shape_for("AttributeValue")
CONTEXTS = {
    "boto3's": types.DYNAMODB_CONTEXT,
    "no traps": Context(Emin=-128, Emax=126, prec=38, traps=[]),
    "no traps for lost digits": Context(Emin=-128, Emax=126, prec=38, traps=[Clamped, Overflow]),
    "many digits": Context(prec=100, traps=[Inexact, Rounded]),
    "all traps": Context(Emin=-128, Emax=126, prec=38, traps=[InvalidOperation, DivisionByZero, Inexact, Clamped]),
    "15 digits": Context(prec=15, traps=[]),
    "5 digits": Context(prec=5, traps=[]),
    "small numbers": Context(prec=38, Emin=-3, Emax=3, traps=[Overflow]),
    "no fractions": Context(prec=38, Emin=0, Emax=126, traps=[Underflow]),
    "small letters": Context(prec=38, capitals=0, traps=[]),
}
ROUNDING = (Rounded, Clamped)
"""What boto3 raises for a number that is exact all the same."""
SHORT = ["5 digits", "small numbers", "no fractions"]
"""Contexts that come into numbers of 15 digits."""


@pytest.fixture(params=list(CONTEXTS))
def context(request, monkeypatch):
    monkeypatch.setattr(types, "DYNAMODB_CONTEXT", CONTEXTS[request.param])
    return request.param


def shared(one, other):
    """Return the containers that are in both."""
    kept = {id(holder): holder for holder, _ in slots(one)}
    return [holder for holder, _ in slots(other) if id(holder) in kept]


# From native values.

UNUSUAL = [
    *(1.5, float("inf"), 1j, object, ..., range(3), iter([]), memoryview(b"a"), bytearray(b"a")),
    *(set(), frozenset(), {}.keys(), {"a": 1}.keys(), {"a": 1}.items(), {1: 2}.keys(), frozenset({b"a"}), {"\ud800"}),
    *({1, "a"}, {None}, {1.5}, {True}, {True, "a"}, {Text("a"), "b"}, {Mood.FINE}, {Level.LOW, 2}, {("a",)}),
    *({Decimal(1), Decimal("1.5")}, {Decimal("NaN")}, {Decimal("1" * 39)}, {b"a", Binary(b"b")}, {Binary(b"a"), 1}),
    *((), ("a", (1,)), Listing([1]), Dictionary(a=1), Frozen({"a": Frozen({})}), {1: 1, None: 2, ("a",): 3, b"b": 4}),
    *(Text("t"), Whole(5), Level.HIGH, Mood.EMPTY, True, False, None, "", "\ud800", b"", Binary(b"")),
    *({"a": [{"b": {1.5}}]}, [[[object()]]], {"a": {"b": Decimal("Infinity")}}, [{"c": Decimal("-Infinity")}]),
]


@examples(800)
@given(natives)
def test_any_value_is_typed_or_refused_as_by_boto3(value):
    assert outcome(from_native, value) == outcome(TypeSerializer().serialize, value)


@pytest.mark.parametrize("place", range(len(UNUSUAL)), ids=lambda place: type(UNUSUAL[place]).__name__)
def test_unusual_values_are_typed_or_refused_as_by_boto3(place):
    for value in (UNUSUAL[place], [UNUSUAL[place]], {"a": "b", "c": UNUSUAL[place]}):
        assert outcome(from_native, value) == outcome(TypeSerializer().serialize, value)


def test_numbers_are_typed_in_the_context_that_holds(context):
    whole = [*ODD_INTEGERS, *map(int.__neg__, ODD_INTEGERS), 0, 1, -1, 10**5, 123456, 99999, 10**14 + 1]
    assert boto3_serializes_as_usual() == (context not in SHORT)  # those are left to boto3
    ours = TypeSerializer().serialize if context in SHORT else from_native
    for number in [*map(Decimal, ODD_DECIMALS), *whole]:
        assert outcome(ours, number) == outcome(TypeSerializer().serialize, number), number


def test_traps_that_are_turned_off_in_boto3s_own_context_are_off(monkeypatch):
    monkeypatch.setitem(types.DYNAMODB_CONTEXT.traps, Inexact, False)
    monkeypatch.setitem(types.DYNAMODB_CONTEXT.traps, Rounded, False)
    number = Decimal("0." + "1" * 50)
    assert from_native(number) == TypeSerializer().serialize(number) == {"N": "0." + "1" * 38}
    assert to_native({"N": str(number)}, boto3_number()) == Decimal("0." + "1" * 38)


@examples(150)
@given(natives)
def test_what_is_typed_shares_no_container_with_the_callers(value):
    kind, *_ = outcome(from_native, value)
    assert kind == "raised" or not shared(value, from_native(value))


# To native values.


def boto3_reads_value(text):
    return PARSER._parse_shape(VALUE, json.loads(text))  # noqa: SLF001 - botocore's, whose answers are compared


def compare_value(text):
    """What the codec does not leave to botocore and boto3, it reads as they do."""

    def native():
        return to_native(json.loads(text), boto3_number())

    def native_in_a_map():
        found = {"a": json.loads(text)}
        map_to_native(found, boto3_number())
        return found["a"]

    def in_typed_form():
        value = json.loads(text)
        to_typed(value)
        return value

    def boto3s():
        return TypeDeserializer().deserialize(boto3_reads_value(text))

    for ours, theirs in ((native, boto3s), (native_in_a_map, boto3s), (in_typed_form, lambda: boto3_reads_value(text))):
        found, expected = outcome(ours), outcome(theirs)
        assert found[0] == "raised" or found == expected or expected[1] in ROUNDING, ours.__name__


@examples(500)
@given(odd_bodies("AttributeValue"))
def test_a_value_from_the_wire_is_left_to_boto3_or_the_same(text):
    compare_value(text)


@pytest.mark.parametrize("tree", ODD_JSON, ids=json.dumps)
def test_an_unusual_value_is_left_to_boto3_or_the_same(tree):
    compare_value(json.dumps(tree))
    compare_value(json.dumps({"L": [tree]}))
    compare_value(json.dumps({"M": {"a": {"S": "b"}, "c": tree}}))


@examples(250)
@given(bodies(wire("AttributeValue")))
def test_what_dynamodb_sends_is_taken(text):
    value = json.loads(text)
    to_typed(value)
    assert exactly(value) == exactly(boto3_reads_value(text))
    native = to_native(json.loads(text), boto3_number())
    assert exactly(native) == exactly(TypeDeserializer().deserialize(boto3_reads_value(text)))


def test_numbers_are_made_in_the_context_that_holds(context):
    for text in ODD_DECIMALS:
        found = outcome(to_native, {"N": text}, boto3_number())
        theirs = outcome(TypeDeserializer().deserialize, {"N": text})
        assert found == theirs or (theirs[0] == found[0] == "raised") or _is_exact(text), text


def _is_exact(text):
    """Return whether both ways to read what boto3 would round give the number itself, which boto3 writes again."""
    there = {"a": {"N": text}}
    map_to_native(there, boto3_number())
    [of_a_set] = to_native({"NS": [text]}, boto3_number())
    ways = [to_native({"N": text}, boto3_number()), there["a"], of_a_set]
    ways.append(Deserializer(TypeDeserializer()).deserialize({"L": [{"M": {"a": {"N": text}}}]})[0]["a"])
    ways += Deserializer(TypeDeserializer()).deserialize({"NS": [text]})
    written = {TypeSerializer().serialize(number)["N"] for number in ways}
    return {*map(Decimal, written), *ways} == {Decimal(text)}


@given(st.decimals(allow_nan=False, allow_infinity=False, places=0) | st.sampled_from(ODD_DECIMALS).map(Decimal))
def test_no_number_is_ever_rounded(number):
    if number.is_finite():
        assert exact_number(f"{number:f}") == number
        assert Decimal(shortened(f"{number:f}")) == number


def test_what_is_no_number_is_said_to_be_none():
    for text in ("x", "", "1_0x"):
        with pytest.raises(InvalidOperation):
            shortened(text)


# Whether boto3's classes are as boto3 made them.


def methods_of(cls):
    return [name for name in vars(cls) if not name.endswith("__")]


@pytest.mark.parametrize("name", methods_of(TypeSerializer))
def test_a_serializer_whose_method_was_replaced_is_noticed(name, monkeypatch):
    assert boto3_serializes_as_usual()
    monkeypatch.setattr(TypeSerializer, name, partialmethod(getattr(TypeSerializer, name)))
    assert not boto3_serializes_as_usual()
    monkeypatch.undo()
    assert boto3_serializes_as_usual()


@pytest.mark.parametrize("name", methods_of(TypeDeserializer))
def test_a_deserializer_whose_method_was_replaced_is_noticed(name, monkeypatch):
    assert boto3_deserializes_as_usual()
    monkeypatch.setattr(TypeDeserializer, name, partialmethod(getattr(TypeDeserializer, name)))
    assert not boto3_deserializes_as_usual()
    monkeypatch.undo()
    assert boto3_deserializes_as_usual()


def test_a_class_in_the_place_of_boto3s_is_noticed(monkeypatch):
    monkeypatch.setattr(transform, "TypeSerializer", type("Mine", (TypeSerializer,), {"_serialize_s": len}))
    monkeypatch.setattr(transform, "TypeDeserializer", type("Mine", (TypeDeserializer,), {"_deserialize_n": float}))
    assert not boto3_serializes_as_usual()
    assert not boto3_deserializes_as_usual()


def test_binary_values_are_of_the_class_that_boto3_has(monkeypatch):
    own = type("Own", (Binary,), {})
    monkeypatch.setattr(types, "Binary", own)
    boto3s = TypeDeserializer().deserialize({"B": b"\x00"})
    assert type(to_native({"B": "AA=="}, boto3_number())) is type(boto3s) is own


# Copies.


@examples(250)
@given(natives)
def test_a_copy_is_boto3s(value):
    found = copied(value)
    assert exactly(found) == exactly(copy_dynamodb_params(value))
    assert not shared(value, found)


def test_what_occurs_twice_is_copied_twice():
    once = ["a"]
    found = copied({"one": once, "two": [once, once]})
    assert found == {"one": ["a"], "two": [["a"], ["a"]]}
    assert len({id(found["one"]), *map(id, found["two"]), id(once)}) == 4


@pytest.mark.parametrize("value", [bytearray(b"a"), {1}, Binary(b"a"), ([1],), Listing([[1]]), Dictionary(a=[1])])
def test_what_could_change_is_copied(value):
    found = copied([value])[0]
    assert found is not value
    assert exactly(found) == exactly(value)


def test_a_condition_is_handed_on():
    condition = Attr("a").eq([1]) & ~Attr("b").is_in([{"c": 2}])
    before = copy.deepcopy(condition)
    assert copied({"Filter": condition})["Filter"] == before == condition


@pytest.mark.parametrize("value", [{}.keys(), (number for number in [])])
def test_what_can_not_be_copied_is_refused_in_boto3s_words(value):
    assert outcome(copied, {"a": value}) == outcome(copy_dynamodb_params, {"a": value})


# What botocore would accept.

ODD_TYPED = [
    *(None, {}, [], "a", {"X": "a"}, {"s": "a"}, {1: "S"}, {"S": "a", "N": "1"}),
    *({"S": value} for value in (1, None, b"a", Text("a"), Mood.FINE, "\ud800")),
    *({"N": value} for value in (1, Decimal(1), None, "x")),
    *({"B": value} for value in ("text", bytearray(b"a"), 1, Binary(b"a"), None)),
    *({"SS": value} for value in ((), ("a",), "ab", [1], [None], {"a"}, Listing(["a"]))),
    *({"NS": value} for value in ((), [1], {"1"}, [Decimal(1)])),
    *({"BS": value} for value in ((), ["a"], (b"a",), [None], [bytearray(b"a")])),
    *({kind: value} for kind in ("BOOL", "NULL") for value in (1, "true", None, 0.0)),
    *({"L": value} for value in ((), ({"S": "a"},), [None], [{}], {}, Listing(), "a")),
    *({"M": value} for value in ([], {"a": None}, {1: {"S": "a"}}, {None: {"S": "a"}}, {Text("a"): {"S": "a"}})),
    *({"M": Dictionary()}, {"M": Frozen({})}, Dictionary(S="a"), Frozen({"S": "a"}), {Text("S"): "a"}),
]


def check_validity(value):
    is_refused = ParamValidator().validate(value, VALUE).has_errors()
    assert not (is_refused and is_valid(value))
    assert not (is_refused and are_valid({"a": value}))


@examples(400)
@given(changed(typed, st.sampled_from(ODD_TYPED)))
def test_what_botocore_refuses_is_not_taken_for_valid(value):
    check_validity(value)


@pytest.mark.parametrize("value", ODD_TYPED, ids=repr)
def test_what_botocore_refuses_of_unusual_values_is_not_taken_for_valid(value):
    check_validity(value)
    check_validity({"L": [value]})
    check_validity({"M": {"a": value}})


@examples(150)
@given(typed, plain_natives)
def test_what_dynamodb_takes_is_valid(value, native):
    assert is_valid(value)
    assert is_valid(from_native(native))
    assert are_valid({"": value})
