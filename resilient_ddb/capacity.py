"""What items weigh, and what reading and writing them costs in capacity units.

By AWS's published rules: "DynamoDB item sizes and formats" and "DynamoDB read and write operations" in the Amazon
DynamoDB Developer Guide. A number's size is given there as approximate; for a negative one a byte is added here, as its
sign is stored as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal, InvalidOperation
from typing import Any

MAX_ITEM_BYTES = 400 * 1024
"""An item may not be larger, names of attributes included."""
_WRITE_UNIT_BYTES = 1024
_READ_UNIT_BYTES = 4096
_CONTAINER_BYTES = 3
_SMALL = 100
_WRAPPED = 16
"""Bytes of JSON around a value: its type, quotes, braces, a comma."""
_ESCAPED = 12
"""Bytes of JSON for a character that is escaped: `\\u0000`, or two of these."""


def write_units(size: int) -> int:
    """Give the write capacity units of an item of so many bytes: one for each 1 KB begun, indexes not included."""
    return max(1, -(-size // _WRITE_UNIT_BYTES))


def read_units(size: int, *, consistent: bool = False) -> float:
    """Give the read capacity units of so many bytes: a half for each 4 KB begun, one if strongly consistent."""
    units = max(1, -(-size // _READ_UNIT_BYTES))
    return float(units) if consistent else units / 2


def item_size(item: Mapping[str, Any]) -> int:
    """Give the bytes that DynamoDB counts for an item with native values, as boto3's Table takes them.

    Raises:
        TypeError: a value is of a type that DynamoDB has no place for.
    """
    size = 0
    for name, value in item.items():
        size += len(name) if name.isascii() else _utf8(name)
        if type(value) is str and value.isascii():
            size += len(value)
        else:
            size += value_size(value)
    return size


def value_size(value: Any) -> int:  # noqa: PLR0911 - one row for each type of value
    """Give the bytes of a native value, without its name."""
    if isinstance(value, str):
        return _utf8(value)
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, (int, Decimal)):
        return number_size(value)
    if isinstance(value, Mapping):
        return _CONTAINER_BYTES + len(value) + item_size(value)
    if isinstance(value, (list, tuple)):
        return _CONTAINER_BYTES + len(value) + sum(map(value_size, value))
    if isinstance(value, (bytes, bytearray)):
        return len(value)
    if isinstance(value, AbstractSet):
        return sum(map(value_size, value))
    if isinstance(getattr(value, "value", None), (bytes, bytearray)):  # boto3's Binary
        return len(value.value)
    raise TypeError(f"DynamoDB has no place for a {type(value).__name__}")


def typed_item_size(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Give the bytes of an item with typed values (`{"S": "a"}`), binary ones as bytes or in base64."""
    return sum(_utf8(name) + _typed_size(value) for name, value in item.items())


def _typed_size(typed: Mapping[str, Any]) -> int:  # noqa: PLR0911 - one row for each type of value
    [(kind, value)] = typed.items()
    match kind:
        case "S":
            return _utf8(value)
        case "N":
            return number_size(Decimal(value))
        case "B":
            return _binary_size(value)
        case "NULL" | "BOOL":
            return 1
        case "M":
            return _CONTAINER_BYTES + len(value) + typed_item_size(value)
        case "L":
            return _CONTAINER_BYTES + len(value) + sum(map(_typed_size, value))
        case "SS" | "NS" | "BS":
            return sum(_typed_size({kind[0]: member}) for member in value)
    raise TypeError(f"DynamoDB has no type {kind!r}")


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _binary_size(value: Any) -> int:
    if isinstance(value, str):  # base64: three bytes for each four characters, less the padding
        return len(value) * 3 // 4 - value[-2:].count("=")
    return len(value)


def number_size(number: int | Decimal) -> int:
    """Give the bytes of a number: one for each two significant digits, and one."""
    if type(number) is int and 0 <= number < _SMALL:
        return 2
    try:
        digits = len(str(abs(number)).rstrip("0")) if isinstance(number, int) else _significant(number)
    except (InvalidOperation, ValueError) as error:  # not finite, or too many digits for Python to write out
        raise TypeError(f"DynamoDB has no place for the number {type(number).__name__}: {error}") from error
    return max(1, (digits + 1) // 2) + 1 + (number < 0)


def _significant(number: Decimal) -> int:
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise InvalidOperation(f"{number} is not finite")
    end = len(digits)
    while end > 1 and digits[end - 1] == 0:
        end -= 1
    return end


def wire_size(value: Any) -> int:
    """Give the bytes that a native value has in a request's JSON at most, about."""
    if isinstance(value, str):
        if value.isascii() and value.isprintable():
            return _WRAPPED + len(value) + value.count('"') + value.count("\\")
        return _WRAPPED + _ESCAPED * len(value)
    if isinstance(value, Mapping):
        return _WRAPPED + sum(wire_size(name) + wire_size(member) for name, member in value.items())
    if isinstance(value, (list, tuple, AbstractSet)):
        return _WRAPPED + sum(map(wire_size, value))
    if isinstance(value, (int, Decimal)):
        return _WRAPPED + len(str(value))
    binary = getattr(value, "value", value)
    return _WRAPPED + (len(binary) * 4 // 3 if isinstance(binary, (bytes, bytearray)) else 0)
