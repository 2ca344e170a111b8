"""DynamoDB JSON, the form with types (`{"S": "a"}`): read strictly, and written."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from .conversions import binary
from .errors import RefusedRowError
from .limits import KINDS, MAX_NESTING, number, shown


def exported_item(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item in a line of AWS's export to S3, or that is the line itself, with native values.

    Raises:
        RefusedRowError: there is none, or a value is not in DynamoDB's typed form.
    """
    if "Item" in row and (len(row) == 1 or not is_typed(row)):
        return native_item(row["Item"])
    if any(map(_has_type, row.values())):
        return native_item(row)
    if "NewImage" in row or "OldImage" in row:
        raise RefusedRowError("is of an incremental export (NewImage, OldImage): only full exports can be loaded")
    raise RefusedRowError(
        "has no 'Item' and no typed values: DynamoDB JSON has one item a line, such as "
        '{"Item": {"id": {"S": "a"}}} or {"id": {"S": "a"}}'
    )


def is_typed(row: Mapping[str, Any]) -> bool:
    """Return whether an object has typed values, and no others."""
    return bool(row) and all(map(_has_type, row.values()))


def _has_type(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in KINDS


def native_item(item: Any) -> dict[str, Any]:
    """Return an item in typed form with native values.

    Raises:
        RefusedRowError: it is not in typed form.
    """
    if not isinstance(item, dict):
        raise RefusedRowError("'Item' is no object")
    made = {}
    for name, value in item.items():
        try:
            made[name] = native_value(value, 2)
        except RefusedRowError as error:
            raise RefusedRowError(f"{shown(name)}: {error}") from None
    return made


def native_value(value: Any, level: int) -> Any:
    """Return the native value of a typed one; `level` is the level that a container would be."""
    if not isinstance(value, dict) or len(value) != 1:
        raise RefusedRowError('not a typed value such as {"S": "a"}')
    [(kind, inner)] = value.items()
    if kind not in KINDS:
        raise RefusedRowError(f"has a type that DynamoDB has not: {shown(kind)}")
    if level > MAX_NESTING and kind in ("L", "M"):
        raise RefusedRowError(f"nested more than {MAX_NESTING} levels deep, the item included")
    wanted = _JSON_TYPES[kind]
    if type(inner) is not wanted:
        raise RefusedRowError(f"the value of a {kind} must be a JSON {_NAMES[wanted]}")
    return _READERS[kind](inner, level)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise RefusedRowError("a member of a set must be a JSON string")
    return value


def _null(value: bool, _level: int) -> None:  # noqa: FBT001 - the value that is read
    if value is not True:
        raise RefusedRowError("the value of a NULL must be true")


_NAMES = {str: "string", bool: "boolean", list: "array", dict: "object"}
_JSON_TYPES: dict[str, type] = {
    **dict.fromkeys(("S", "N", "B"), str),
    **dict.fromkeys(("BOOL", "NULL"), bool),
    **dict.fromkeys(("L", "SS", "NS", "BS"), list),
    "M": dict,
}
_READERS: dict[str, Callable[[Any, int], Any]] = {
    "S": lambda inner, _: inner,
    "N": lambda inner, _: number(inner),
    "B": lambda inner, _: binary(inner),
    "BOOL": lambda inner, _: inner,
    "NULL": _null,
    "L": lambda inner, level: [native_value(member, level + 1) for member in inner],
    "M": lambda inner, level: {name: native_value(member, level + 1) for name, member in inner.items()},
    "SS": lambda inner, _: set(map(_text, inner)),
    "NS": lambda inner, _: {number(_text(member)) for member in inner},
    "BS": lambda inner, _: {binary(_text(member)) for member in inner},
}


# Writing. Sets are sorted, so that the same table gives the same lines.


def typed(value: Any) -> dict[str, Any]:  # noqa: PLR0911 - one row for each type of value
    """Return the typed form of a native value, as the Table gives it, ready for JSON."""
    if isinstance(value, str):
        return {"S": value}
    if value is None or isinstance(value, bool):
        return {"NULL": True} if value is None else {"BOOL": value}
    if isinstance(value, (int, Decimal)):
        return {"N": str(value)}
    if isinstance(value, dict):
        return {"M": typed_item(value)}
    if isinstance(value, list):
        return {"L": [typed(member) for member in value]}
    if isinstance(value, (set, frozenset)):
        members = [typed(member) for member in value]
        [kind] = {kind for member in members for kind in member}
        return {f"{kind}S": sorted(member[kind] for member in members)}
    return {"B": base64.b64encode(bytes_of(value)).decode()}


def typed_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item in typed form, ready for JSON."""
    return {name: typed(value) for name, value in item.items()}


def bytes_of(value: Any) -> bytes:
    """Return the bytes of a binary value: boto3's Binary, or bytes."""
    return bytes(getattr(value, "value", value))


def exported_line(item: Mapping[str, Any]) -> str:
    """Return the line of DynamoDB JSON for an item."""
    return json.dumps({"Item": typed_item(item)}, ensure_ascii=False, separators=(",", ":"))
