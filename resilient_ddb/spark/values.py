"""Rows as items, and items as rows: which of Spark's types DynamoDB has a place for. Needs no pyspark itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal, DecimalException
from typing import Any

from resilient_ddb.codec.values import from_native

Item = dict[str, Any]

_HINTS = {
    "timestamp": "unix_timestamp({name}), for a number as TTL wants it, or date_format({name}, ...)",
    "timestamp_ntz": "date_format({name}, ...)",
    "date": "date_format({name}, 'yyyy-MM-dd')",
}
_WRITTEN = {
    *("string", "char", "varchar", "boolean", "binary", "void"),
    *("byte", "short", "integer", "long", "float", "double", "decimal"),
}
_KEYS = _WRITTEN - {"boolean", "void", "float", "double"}
_BITS = {"byte": 8, "short": 16, "integer": 32, "long": 64}
_EXACT = Context(prec=80)
"""Twice the digits that a number may have: nothing is rounded before it is compared."""
_TEXTS = {"string", "char", "varchar"}


# From rows to items.


def check_schema(schema: Any, keys: Sequence[str]) -> None:
    """Refuse a DataFrame that can't be written.

    Raises:
        TypeError: a column's type has no place in DynamoDB.
        ValueError: an attribute of the table's key is no column.
    """
    names = [field.name for field in schema.fields]
    for key in keys:
        if key not in names:
            raise ValueError(f"the DataFrame must have a column {key!r}: it is part of the table's key; it has {names}")
    for field in schema.fields:
        if field.name in keys and field.dataType.typeName() not in _KEYS:
            raise TypeError(
                f"column {field.name!r} must be a string, a whole number, a decimal or binary: it is part of the "
                f"table's key; it is of type {field.dataType.simpleString()}"
            )
        _check_type(field.dataType, field.name, _no_place)


def check_columns(schema: Any) -> None:
    """Refuse a schema that items can't be read by.

    Raises:
        TypeError: a column's type has no place in DynamoDB.
    """
    for field in schema.fields:
        _check_type(field.dataType, field.name, _no_column)


def _check_type(kind: Any, name: str, refuse: Callable[[str, str, str], TypeError]) -> None:
    match kind.typeName():
        case "array":
            _check_type(kind.elementType, f"{name}[]", refuse)
        case "map":
            if kind.keyType.typeName() not in _TEXTS:
                raise TypeError(
                    f"column {name!r} must have texts for keys: DynamoDB has no other maps; "
                    f"it is of type {kind.simpleString()}"
                )
            _check_type(kind.valueType, f"{name}{{}}", refuse)
        case "struct":
            for field in kind.fields:
                _check_type(field.dataType, f"{name}.{field.name}", refuse)
        case known if known in _WRITTEN:
            return
        case other:
            raise refuse(name, kind.simpleString(), other)


def item_of(row: Any, keys: Sequence[str]) -> Item:
    """Return the item that a Row, or a mapping, is written as.

    Raises:
        TypeError, ValueError: a value has no place in DynamoDB, or an attribute of the key is missing. The message
            names the column, not the value.
    """
    item: Item = _struct(_fields(row, "a row"), "")
    for key in keys:
        if key not in item:
            raise ValueError(f"column {key!r} is null, or missing, in a row: it is part of the table's key")
    return item


def _fields(row: Any, what: str) -> Mapping[str, Any]:
    if isinstance(row, Mapping):
        return row
    names = getattr(row, "__fields__", None)
    if not isinstance(row, tuple) or names is None:
        raise TypeError(f"{what} must be a Row, or a dict of attributes; got {type(row).__name__}")
    return dict(zip(names, row, strict=True))


def _struct(fields: Mapping[str, Any], path: str) -> Item:
    """Return a struct as a map: a field that is null has no value, so it has no attribute."""
    return {name: _value(value, f"{path}{name}") for name, value in fields.items() if value is not None}


def _value(value: Any, name: str) -> Any:  # noqa: C901, PLR0911 - one row for each type of value
    match value:
        case None | bool() | str() | bytes():
            return value
        case float():
            if not math.isfinite(value):
                raise ValueError(f"column {name!r} has NaN or an infinity in a row: DynamoDB has neither")
            return _checked(Decimal(repr(float(value))), name)  # NumPy's floats have another repr
        case bytearray():
            return bytes(value)
        case Mapping():
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(
                        f"column {name!r} must have texts for keys: DynamoDB has no other maps; "
                        f"got {type(key).__name__}"
                    )
            return {key: _value(member, f"{name}{{}}") for key, member in value.items()}
        case tuple() if hasattr(value, "__fields__"):
            return _struct(_fields(value, name), f"{name}.")
        case list() | tuple():
            return [_value(member, f"{name}[]") for member in value]
        case datetime():
            raise _no_place(name, "datetime", "timestamp")
        case date():
            raise _no_place(name, "date", "date")
        case time() | timedelta():
            raise _no_place(name, type(value).__name__, "")
    return _checked(value, name)  # a whole number, a Decimal, a set, boto3's Binary


def _checked(value: Any, name: str) -> Any:
    """Refuse here what boto3 would refuse without saying in which column, and with the value."""
    try:
        from_native(value)
    except (TypeError, ValueError, DecimalException):
        raise TypeError(
            f"column {name!r} has a value of type {type(value).__name__} in a row that DynamoDB can't hold; numbers "
            "have 38 digits at most, sets are of texts, numbers or binaries"
        ) from None
    return value


def _no_place(name: str, kind: str, hint: str) -> TypeError:
    convert = f", for example with {_HINTS[hint].format(name=name)}" if hint in _HINTS else ""
    return TypeError(f"column {name!r} is of type {kind}, which DynamoDB does not have: convert it first{convert}")


def _no_column(name: str, kind: str, _: str) -> TypeError:
    return TypeError(
        f"column {name!r} of the schema is of type {kind}, which DynamoDB does not have: give what its items have, "
        "such as long or string, and convert that then"
    )


# From items to rows.


def row_of(item: Mapping[str, Any], schema: Any) -> tuple[Any, ...]:
    """Return an item as a row of a schema: an attribute that is missing is null, one that is not in the schema goes.

    Raises:
        TypeError: an attribute is of another type than the schema says. The message names it, not its value.
    """
    return _row(item, schema, "")


def _row(item: Mapping[str, Any], schema: Any, path: str) -> tuple[Any, ...]:
    return tuple(_read(item.get(field.name), field.dataType, f"{path}{field.name}") for field in schema.fields)


def _read(value: Any, kind: Any, name: str) -> Any:
    if value is None:
        return None
    name_of_kind = kind.typeName()
    if name_of_kind == "struct" and isinstance(value, Mapping):
        return _row(value, kind, f"{name}.")
    if name_of_kind == "map" and isinstance(value, Mapping):
        return {key: _read(member, kind.valueType, f"{name}{{}}") for key, member in value.items()}
    if name_of_kind == "array" and isinstance(value, list | AbstractSet):
        members = value if isinstance(value, list) else sorted(value, key=_plain)
        return [_read(member, kind.elementType, f"{name}[]") for member in members]
    read = _READ.get(name_of_kind)
    try:
        if read is None:
            raise TypeError  # noqa: TRY301 - one place for what does not fit
        return read(_plain(value), kind)
    except (TypeError, ValueError):
        raise TypeError(
            f"attribute {name!r} does not fit the schema, which says {kind.simpleString()}; "
            f"there is a {type(value).__name__} that can't be read as that"
        ) from None


def _plain(value: Any) -> Any:
    inner = getattr(value, "value", None)  # boto3's Binary
    return bytes(inner) if isinstance(inner, bytes | bytearray) else value


def _only(wanted: type) -> Callable[[Any, Any], Any]:
    def read(value: Any, _: Any) -> Any:
        if not isinstance(value, wanted):
            raise TypeError
        return value

    return read


def _whole(value: Any, kind: Any) -> int:
    limit = 2 ** (_BITS[kind.typeName()] - 1)
    if not isinstance(value, Decimal) or value != value.to_integral_value() or not -limit <= value < limit:
        raise TypeError
    return int(value)


def _decimal(value: Any, kind: Any) -> Decimal:
    if not isinstance(value, Decimal):
        raise TypeError
    scaled = _EXACT.scaleb(value, kind.scale)
    if scaled != scaled.to_integral_value() or abs(scaled) >= 10**kind.precision:  # Spark would round it
        raise TypeError
    return value


def _float(value: Any, _: Any) -> float:
    if not isinstance(value, Decimal):
        raise TypeError
    return float(value)


_READ: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(_TEXTS, _only(str)),
    **dict.fromkeys(_BITS, _whole),
    "float": _float,
    "double": _float,
    "decimal": _decimal,
    "boolean": _only(bool),
    "binary": _only(bytes),
}
