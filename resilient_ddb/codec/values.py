"""Attribute values, from DynamoDB's typed form to native Python values and back, as boto3's two type classes have it.

The common types are handled here, by exact type. All others are handed to boto3's own classes, so that what is
unusual is treated, or refused, in boto3's own way and words.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from typing import Any

from boto3.dynamodb import transform, types
from boto3.dynamodb.conditions import ConditionBase
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from .numbers import Deserializer, Number, shortened
from .originals import Original

Typed = dict[str, Any]

_DIGITS = 15
_MANY = 10**_DIGITS
"""Whole numbers below this have so few digits that the context does not come into it."""
_NO_NUMBER = "yN"
"""How `Infinity` and `NaN` end, whatever their sign."""
_IMMUTABLE = frozenset((str, int, Decimal, bool, type(None), bytes, float))
_KINDS = ("null", "bool", "n", "s", "b", "ns", "ss", "bs", "l", "m")
_TYPES = ("null", "boolean", "number", "string", "binary", "set", "type_set", "map", "listlike")
_HOMES = (types.__name__, transform.__name__)
_SERIALIZING = Original(
    transform,
    [
        "TransformationInjector.inject_attribute_value_input",
        "ParameterTransformer.transform",
        "TypeSerializer.serialize",
        "TypeSerializer._get_dynamodb_type",
        *(f"TypeSerializer._is_{kind}" for kind in _TYPES),
        *(f"TypeSerializer._serialize_{kind}" for kind in _KINDS),
    ],
    *_HOMES,
)
_DESERIALIZING = Original(
    transform,
    [
        "TransformationInjector.inject_attribute_value_output",
        "ParameterTransformer.transform",
        "TypeDeserializer.deserialize",
        *(f"TypeDeserializer._deserialize_{kind}" for kind in _KINDS),
    ],
    *_HOMES,
)
_serializer, _deserializer = TypeSerializer(), Deserializer(TypeDeserializer())


class UnusualError(Exception):
    """A value, or a shape of values, that is left to boto3."""


def boto3_serializes_as_usual() -> bool:
    """Return whether boto3 types values as it was made to: some programs replace its methods, or change its context."""
    context = types.DYNAMODB_CONTEXT
    holds_all = context.prec >= _DIGITS and context.Emax >= _DIGITS and context.Emin <= -_DIGITS
    return holds_all and _SERIALIZING.stands()


def boto3_deserializes_as_usual() -> bool:
    """Return whether boto3 makes values native as it was made to: some programs replace its methods."""
    return _DESERIALIZING.stands()


# From the wire to native values, in place.


def to_native(value: Typed, number: Number) -> Any:
    """Return the native value of a typed one as it comes from the wire, and take that apart.

    Raises:
        Exception: any; the value is unusual, and boto3's own classes say what becomes of it.
    """
    kind, inner = value.popitem()
    if value or inner is None:
        raise UnusualError
    if kind == "S":
        return inner
    if kind == "N":
        try:
            return number(inner)
        except DecimalException:
            return number(shortened(inner))
    if kind == "M":
        map_to_native(inner, number)
        return inner
    if kind == "L":
        list_to_native(inner, number)
        return inner
    return _OTHERS_TO_NATIVE[kind](inner, number)


def map_to_native(values: dict[str, Any], number: Number) -> None:
    """Turn a map's typed values into native ones, in place. Raises as `to_native`.

    The lines of `to_native` that most values come through stand here once more: a call for each value would
    make a page a third slower.
    """
    for name, value in values.items():
        kind, inner = value.popitem()
        if value or inner is None:
            raise UnusualError
        if kind == "S":
            values[name] = inner
        elif kind == "N":
            try:
                values[name] = number(inner)
            except DecimalException:
                values[name] = number(shortened(inner))
        elif kind == "M":
            map_to_native(inner, number)
            values[name] = inner
        elif kind == "L":
            list_to_native(inner, number)
            values[name] = inner
        else:
            values[name] = _OTHERS_TO_NATIVE[kind](inner, number)


def list_to_native(values: list[Any], number: Number) -> None:
    """Turn a list's typed values into native ones, in place. Raises as `to_native`."""
    if type(values) is not list:
        raise UnusualError
    for index, value in enumerate(values):
        values[index] = to_native(value, number)


def _numbers(texts: Any, number: Number) -> set[Decimal]:
    try:
        return set(map(number, texts))
    except DecimalException:
        return {number(shortened(text)) for text in texts}


def _binary(text: Any) -> Any:
    return types.Binary(base64.b64decode(text))


_OTHERS_TO_NATIVE: dict[str, Callable[[Any, Number], Any]] = {
    "BOOL": lambda inner, _: inner,
    "NULL": lambda _inner, _: None,
    "SS": lambda inner, _: set(inner),
    "NS": _numbers,
    "B": lambda inner, _: _binary(inner),
    "BS": lambda inner, _: set(map(_binary, inner)),
}


# From the wire to botocore's typed values, in place: binary values are the only ones that differ.


def to_typed(value: Typed) -> None:
    """Turn a value as it comes from the wire into the one that botocore gives, in place.

    Raises:
        Exception: any; the value is unusual, and botocore says what becomes of it.
    """
    [(kind, inner)] = value.items()
    if kind in _SCALARS:
        if inner is None:
            raise UnusualError
    elif kind == "M":
        for member in inner.values():
            to_typed(member)
    elif kind == "B":
        value["B"] = base64.b64decode(inner)
    elif kind not in _LISTS or type(inner) is not list:
        raise UnusualError
    elif kind == "L":
        for member in inner:
            to_typed(member)
    elif kind == "BS":
        value["BS"] = [base64.b64decode(member) for member in inner]


_SCALARS = frozenset(("S", "N", "BOOL", "NULL"))
_LISTS = frozenset(("L", "SS", "NS", "BS"))


# From native values to typed ones.


def from_native(value: Any) -> Typed:
    """Return the typed value of a native one: always a new one.

    Raises:
        TypeError: as boto3 raises it, for a type that DynamoDB has not.
        decimal.DecimalException: as boto3 raises them, for a number that would lose digits.
    """
    try:
        return surely_typed(value)
    except Exception:  # noqa: BLE001 - whatever is unusual: boto3 says what becomes of it
        typed: Typed = _serializer.serialize(value)
        return typed


def surely_typed(value: Any) -> Typed:  # noqa: PLR0911 - one row for each type of value
    """Return the typed value of a native one, which botocore accepts, and which is written to JSON as it stands.

    Raises:
        Exception: any; the value is unusual, and boto3's and botocore's own classes say what becomes of it.
    """
    kind = type(value)
    if kind is str:
        return {"S": value}
    if kind is int and -_MANY < value < _MANY:
        return {"N": str(value)}
    if kind is Decimal:
        return {"N": _digits(value)}
    if kind is dict:
        return {"M": surely_typed_map(value)}
    if kind is list:
        return {"L": list(map(surely_typed, value))}
    if kind is bool:
        return {"BOOL": value}
    if value is None:
        return {"NULL": True}
    if kind is set and value and set(map(type, value)) == _STRINGS:
        return {"SS": list(value)}
    typed: Typed = _serializer.serialize(value)
    if not is_valid(typed):
        raise UnusualError
    return typed


def surely_typed_map(values: Any) -> dict[str, Typed]:
    """Return a map's values typed. Raises as `surely_typed`, of which some lines stand here once more: for speed."""
    if type(values) is not dict:
        raise UnusualError
    typed = {}
    for name, value in values.items():
        if type(name) is not str:
            raise UnusualError
        kind = type(value)
        if kind is str:
            typed[name] = {"S": value}
        elif kind is Decimal:
            typed[name] = {"N": _digits(value)}
        elif kind is dict:
            typed[name] = {"M": surely_typed_map(value)}
        elif kind is bool:
            typed[name] = {"BOOL": value}
        else:
            typed[name] = surely_typed(value)
    return typed


def _digits(number: Decimal) -> str:
    text = str(number)
    if len(text) <= _DIGITS and "E" not in text and number.is_finite():
        return text  # the context does not come into it
    text = str(types.DYNAMODB_CONTEXT.create_decimal(number))
    if text[-1] in _NO_NUMBER:
        raise UnusualError
    return text


def item_as_native(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item that botocore has parsed, as in an error response, with native values."""
    return {name: _deserializer.deserialize(value) for name, value in item.items()}


def copied(value: Any) -> Any:
    """Return a copy that shares nothing with the original that could change.

    boto3 makes it with `copy.deepcopy`; this one takes a fifth of its time on an item. Conditions are not copied: they
    don't change.
    """
    kind = type(value)
    if kind in _IMMUTABLE:
        return value
    if kind is dict:  # without a call for each plain member: twice as fast
        return {name: member if type(member) in _IMMUTABLE else copied(member) for name, member in value.items()}
    if kind is list:
        return [copied(member) for member in value]
    if kind is set:
        return set(map(copied, value))
    if isinstance(value, ConditionBase):
        return value
    return copy.deepcopy(value)


# What botocore's validation would let through, and write as it is.


def is_valid(value: Any) -> bool:
    """Return whether a typed value is one that botocore accepts, and that is written to JSON as it stands."""
    return are_valid({"": value})


def are_valid(values: Any) -> bool:
    """Return whether a map of typed values is one that botocore accepts, and that is written as it stands."""
    if type(values) is not dict:
        return False
    for name, value in values.items():
        if type(name) is not str or type(value) is not dict or len(value) != 1:
            return False
        (kind,) = value
        inner = value[kind]
        if kind in ("S", "N"):
            if type(inner) is not str:
                return False
        elif not _is_valid_inside(kind, inner):
            return False
    return True


def _is_valid_inside(kind: Any, inner: Any) -> bool:
    if kind == "M":
        return are_valid(inner)
    if kind in ("BOOL", "NULL"):
        return type(inner) is bool
    if kind == "B":
        return type(inner) is bytes
    if kind == "L":
        return type(inner) is list and all(map(is_valid, inner))
    if kind in ("SS", "NS"):
        return type(inner) is list and set(map(type, inner)) <= _STRINGS
    return kind == "BS" and type(inner) is list and set(map(type, inner)) <= _BYTES


_STRINGS = frozenset((str,))
_BYTES = frozenset((bytes,))
