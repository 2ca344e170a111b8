"""Types of attributes: those that were asked for (`--type price:N`), and those that a column of text suggests."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from .errors import RefusedRowError
from .limits import KINDS, kind_of, number, shown

TYPES = ("S", "N", "B", "BOOL", "SS", "NS", "BS", "L", "M")
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,37})(?:\.\d+)?", re.ASCII)
"""What is taken for a number unasked: `007` and `12e4` are more often names of things."""
_BOOLEANS = {"true": True, "false": False}


def type_option(text: str) -> tuple[str, str]:
    """Return an attribute's name and its type from `NAME:TYPE`.

    Raises:
        ValueError: it is not of that form.
    """
    name, _, kind = text.rpartition(":")
    if not name or kind not in TYPES:
        raise ValueError(f"must be NAME:TYPE with a type of {', '.join(TYPES)}; got {text!r}")
    return name, kind


def inferred(texts: Iterable[str]) -> str:
    """Return the type that a column's texts have in common: `N`, `BOOL` or `S`. Empty ones say nothing."""
    told = [text for text in texts if text]
    if told and all(map(_is_plain_number, told)):
        return "N"
    if told and all(text.lower() in _BOOLEANS for text in told):
        return "BOOL"
    return "S"


def _is_plain_number(text: str) -> bool:
    if not _PLAIN_NUMBER.fullmatch(text):
        return False
    try:
        number(text)
    except RefusedRowError:
        return False
    return True


def told(name: str, text: str, kind: str) -> Any:
    """Return a cell in the type that its column's first rows told: `01234` is no number then, wherever it stands.

    Raises:
        RefusedRowError: it is not of that type.
    """
    if kind == "N" and not _PLAIN_NUMBER.fullmatch(text):
        raise RefusedRowError(f"{shown(name)}: not a plain number, as in the first rows: give the column's --type")
    return converted(name, text, kind)


def convert(item: dict[str, Any], types: Mapping[str, str]) -> None:
    """Convert an item's attributes to the types asked for, in place.

    Raises:
        RefusedRowError: a value can't be of that type.
    """
    for name, kind in types.items():
        if name in item:
            item[name] = converted(name, item[name], kind)


def converted(name: str, value: Any, kind: str) -> Any:
    """Return a value in a type.

    Raises:
        RefusedRowError: it can't be of that type.
    """
    if kind_of(value) == kind:
        return value
    try:
        return _CONVERSIONS[kind](value)
    except RefusedRowError as error:
        raise RefusedRowError(f"{shown(name)}: {error}") from None


def _cannot(value: Any, kind: str) -> RefusedRowError:
    return RefusedRowError(f"{KINDS[kind_of(value)]} can't be made {KINDS[kind]} ({kind})")


def _string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(value)
    raise _cannot(value, "S")


def _number(value: Any) -> int | Decimal:
    if isinstance(value, str):
        return number(value.strip())
    raise _cannot(value, "N")


def _boolean(value: Any) -> bool:
    found = _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise _cannot(value, "BOOL") if not isinstance(value, str) else RefusedRowError("not true or false")
    return found


def binary(value: Any) -> bytes:
    """Return the bytes of a text in base64.

    Raises:
        RefusedRowError: it is none.
    """
    if not isinstance(value, str):
        raise _cannot(value, "B")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedRowError("not base64") from None


def _set(kind: str) -> Callable[[Any], set[Any]]:
    def made(value: Any) -> set[Any]:
        members = _from_text(value, list, kind)
        if not members:
            raise RefusedRowError("empty; DynamoDB has no empty sets")
        return {_member(member, kind[0]) for member in members}

    return made


def _member(value: Any, kind: str) -> Any:
    if kind_of(value) == kind:
        return value
    if isinstance(value, (list, dict)):
        raise _cannot(value, kind)
    return _CONVERSIONS[kind](value)


def _container(kind: str, cls: type) -> Callable[[Any], Any]:
    return lambda value: _from_text(value, cls, kind)


def _from_text(value: Any, cls: type, kind: str) -> Any:
    """Return a list or a map: as it is, or from a text in JSON, as a cell of CSV has it."""
    found = loads(value) if isinstance(value, str) else value
    if not isinstance(found, cls):
        raise _cannot(found, kind)
    return found


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "S": _string,
    "N": _number,
    "BOOL": _boolean,
    "B": binary,
    "SS": _set("SS"),
    "NS": _set("NS"),
    "BS": _set("BS"),
    "L": _container("L", list),
    "M": _container("M", dict),
}


# JSON, with the digits of its numbers kept, and what is ambiguous refused.


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RefusedRowError(f"has {shown(twice)} twice")
    return made


def _no_number(name: str) -> Any:
    raise RefusedRowError(f"has {name}, which is no number to DynamoDB")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=number, parse_float=number, parse_constant=_no_number)


def loads(text: str) -> Any:
    """Read JSON.

    Raises:
        RefusedRowError: it is none, has a name twice in an object, or a number that DynamoDB can't hold.
    """
    try:
        return _decoder.decode(text)
    except RefusedRowError:
        raise
    except json.JSONDecodeError as error:
        raise RefusedRowError(f"not JSON: {error.msg}, at character {error.pos + 1}") from None
    except RecursionError:
        raise RefusedRowError("nested far too deep") from None


def loads_object(text: str) -> dict[str, Any]:
    """Read a JSON object. Raises as `loads`, and for anything else."""
    value = loads(text)
    if type(value) is not dict:
        raise RefusedRowError("not a JSON object")
    return value
