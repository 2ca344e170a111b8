"""What items weigh, and what reading and writing them costs in capacity units.

By AWS's published rules: "DynamoDB item sizes and formats" and "DynamoDB read and write operations" in the Amazon
DynamoDB Developer Guide. A number's size is given there as approximate; for a negative one a byte is added here, as its
sign is stored as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

MAX_ITEM_BYTES = 400 * 1024
"""An item may not be larger, names of attributes included."""
_WRITE_UNIT_BYTES = 1024
_READ_UNIT_BYTES = 4096
_CONTAINER_BYTES = 3
LEAST_NUMBER_BYTES, MOST_NUMBER_BYTES = 2, 21
"""What a number that DynamoDB takes has: 38 digits at most."""
_WRAPPED = 16
"""Bytes of JSON around a value: its type, quotes, braces, a comma."""
_ESCAPED = 12
"""Bytes of JSON for a character that is escaped: `\\u0000`, or two of these."""


def write_units(size: int) -> int:
    """Return the write capacity units of an item of so many bytes: one for each 1 KB begun, indexes not included."""
    return max(1, -(-size // _WRITE_UNIT_BYTES))


def read_units(size: int, *, consistent: bool = False) -> float:
    """Return the read capacity units of so many bytes: a half for each 4 KB begun, one if strongly consistent."""
    units = max(1, -(-size // _READ_UNIT_BYTES))
    return float(units) if consistent else units / 2


def least_read_units(params: Mapping[str, Any]) -> float:
    """Return what a read by these parameters costs at least, of one key or one page, also if there is nothing."""
    return read_units(0, consistent=bool(params.get("ConsistentRead")))


def item_size(item: Mapping[str, Any]) -> int:
    """Return the bytes that DynamoDB counts for an item with native values, as boto3's Table takes them.

    Raises:
        TypeError: a value is of a type that DynamoDB has no place for.
    """
    numbers: list[int | Decimal] = []
    size = size_without_numbers(item, numbers)
    return size + sum(map(number_size, numbers))


def size_without_numbers(item: Mapping[str, Any], numbers: list[int | Decimal]) -> int:
    """Return the bytes of an item but for its numbers, which are added to `numbers`. Raises as `item_size`.

    Numbers take three quarters of the time, and who asks for a size often has no need to know it to the byte.
    """
    texts = list(item)
    size = _size_beside(item.values(), texts, numbers)
    return size + _utf8("".join(texts))


def _size_beside(values: Iterable[Any], texts: list[str], numbers: list[int | Decimal]) -> int:
    """Return the bytes of values but for their texts and numbers, which are added to `texts` and `numbers`."""
    size = 0
    for value in values:
        kind = type(value)
        if kind is str:
            texts.append(value)
        elif kind is Decimal or kind is int:
            numbers.append(value)
        elif kind is dict:
            texts += value
            size += _CONTAINER_BYTES + len(value) + _size_beside(value.values(), texts, numbers)
        elif kind is list:
            size += _CONTAINER_BYTES + len(value) + _size_beside(value, texts, numbers)
        elif kind is bool:
            size += 1
        else:
            size += value_size(value)
    return size


def value_size(value: Any) -> int:
    """Return the bytes of a native value, without its name.

    Raises:
        TypeError: it is of a type that DynamoDB has no place for.
    """
    sizer = _SIZERS.get(type(value))
    if sizer is None:
        sizer = next((sizer for kind, sizer in _SIZERS.items() if isinstance(value, kind)), None)
    if sizer is not None:
        return sizer(value)
    if isinstance(getattr(value, "value", None), (bytes, bytearray)):  # boto3's Binary
        return len(value.value)
    raise TypeError(f"DynamoDB has no place for a {type(value).__name__}")


def number_size(number: int | Decimal) -> int:
    """Return the bytes of a number: one for each two significant digits, and one; another one for a sign."""
    try:
        text = str(number)
    except ValueError as error:  # more digits than Python writes out
        raise TypeError(f"DynamoDB has no place for such an {type(number).__name__}: {error}") from error
    digits = text.partition("E")[0].lstrip("-").replace(".", "").strip("0")
    if digits and not digits.isdecimal():
        raise TypeError(f"DynamoDB has no place for the number {text}")
    return ((len(digits) + 1) // 2 or 1) + 1 + (number < 0)


def _map_size(value: Mapping[str, Any]) -> int:
    return _CONTAINER_BYTES + len(value) + item_size(value)


def _list_size(value: Iterable[Any]) -> int:
    size = _CONTAINER_BYTES
    for member in value:
        size += 1 + value_size(member)
    return size


def _set_size(value: Iterable[Any]) -> int:
    return sum(map(value_size, value))


def _one(_: Any) -> int:
    return 1


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


_SIZERS: dict[type, Callable[[Any], int]] = {
    str: _utf8,
    bool: _one,
    Decimal: number_size,
    int: number_size,
    type(None): _one,
    dict: _map_size,
    list: _list_size,
    tuple: _list_size,
    bytes: len,
    bytearray: len,
    set: _set_size,
    Mapping: _map_size,
    AbstractSet: _set_size,
}
"""How values of each type are measured: by exact type, or else by the first that a value is an instance of."""


def wire_size(value: Any) -> int:
    """Return the bytes that a native value has in a request's JSON at most, about."""
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
