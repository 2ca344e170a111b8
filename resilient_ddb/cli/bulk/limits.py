"""What an item may be: DynamoDB's own limits, held before anything is sent, so that a refusal names its row.

By "Constraints in Amazon DynamoDB" in its Developer Guide, and tried on DynamoDB Local. An item is the first of 32
levels, so 31 lists and maps may stand within each other. Zeros at the end of a number are no digits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from resilient_ddb.dynamodb.capacity import MAX_ITEM_BYTES, item_size, value_size

from .errors import RefusedRowError

MAX_LINE_BYTES = 4 * 1024 * 1024
"""A row's text may not be longer. An item of 400 KB takes up to eight times that as DynamoDB JSON with spaces."""
MAX_NESTING = 32
MAX_DIGITS = 38
MAX_NAME_BYTES = 65_535
MAX_KEY_BYTES = {"HASH": 2048, "RANGE": 1024}
_MAX_NUMBER_LENGTH = 512
_LARGEST, _SMALLEST = 125, -130
"""The powers of ten of the first digit."""
_SMALLEST_OF_ALL_DIGITS, _LAST_PLACE = -128, -165
"""From here on boto3's decimal context holds 38 digits; a smaller number's digits end at its last place."""
_FEW_DIGITS = 15
_EXACT = Context(prec=_MAX_NUMBER_LENGTH)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?", re.ASCII)

KINDS = {
    "S": "a string",
    "N": "a number",
    "B": "binary",
    "BOOL": "a boolean",
    "NULL": "null",
    "L": "a list",
    "M": "a map",
    "SS": "a string set",
    "NS": "a number set",
    "BS": "a binary set",
}
"""DynamoDB's types, in words."""


def number(text: str) -> int | Decimal:
    """Return the number that a text stands for, with all its digits.

    Raises:
        RefusedRowError: it is none, or none that DynamoDB can hold.
    """
    if len(text) > _MAX_NUMBER_LENGTH:
        raise RefusedRowError(f"a number is longer than {_MAX_NUMBER_LENGTH} characters")
    if not _NUMBER.fullmatch(text):
        raise RefusedRowError("not a number")
    if len(text) <= _FEW_DIGITS and text.lstrip("+-").isdigit():
        return int(text)
    return holdable(Decimal(text))


def shortest(value: Decimal) -> int | Decimal:
    """Return a number without the zeros at its end. Raises as `holdable`."""
    return holdable(value.normalize(_EXACT) if value.is_finite() else value)


def holdable(value: Decimal) -> int | Decimal:
    """Return a number as DynamoDB can hold it: the same value, maybe with fewer zeros at its end.

    Raises:
        RefusedRowError: it has too many digits, or is too large or too small.
    """
    if not value.is_finite():
        raise RefusedRowError("a number is infinite, or none (NaN)")
    if not value:
        return 0
    if not _SMALLEST <= value.adjusted() <= _LARGEST:
        raise RefusedRowError("a number is out of DynamoDB's range, 1E-130 to 9.99E+125")
    if len(value.as_tuple().digits) > MAX_DIGITS:
        value = value.normalize(_EXACT)
        if len(value.as_tuple().digits) > MAX_DIGITS:
            raise RefusedRowError(f"a number has more than {MAX_DIGITS} digits")
    if value.adjusted() < _SMALLEST_OF_ALL_DIGITS and int(value.as_tuple().exponent) < _LAST_PLACE:
        value = value.normalize(_EXACT)
        if int(value.as_tuple().exponent) < _LAST_PLACE:
            raise RefusedRowError(f"a number has digits behind the {-_LAST_PLACE}th place, which boto3 can't write")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAttribute:
    """An attribute of the table's key, or of an index's."""

    name: str
    kind: str | None
    """`S`, `N` or `B`; None if the table was not described."""
    role: str
    """In words: `the table's partition key`."""
    max_bytes: int
    required: bool = True
    """Whether an item must have it: those of an index may be left out."""


def check_item(item: Mapping[str, Any], keys: Sequence[KeyAttribute]) -> int:
    """Return an item's size in bytes.

    Raises:
        RefusedRowError: DynamoDB would not take it.
    """
    for name, value in item.items():
        _check_name(name)
        if type(value) is not str or not value.isascii():
            try:
                _check_value(value, 2)
            except RefusedRowError as error:
                raise RefusedRowError(f"{shown(name)}: {error}") from None
    for key in keys:
        _check_key(item, key)
    size = item_size(item)
    if size > MAX_ITEM_BYTES:
        raise RefusedRowError(f"the item has {size:,} bytes; DynamoDB takes {MAX_ITEM_BYTES:,}")
    return size


def _check_value(value: Any, level: int) -> None:
    """Check what parsers let through: numbers they have checked. `level` is the level that a container would be."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (dict, list)):
        if level > MAX_NESTING:
            raise RefusedRowError(f"nested more than {MAX_NESTING} levels deep, the item included")
        if isinstance(value, dict):
            for name in value:
                _check_name(name)
        for member in value.values() if isinstance(value, dict) else value:
            _check_value(member, level + 1)
    elif isinstance(value, set):
        _check_set(value, level)


def _check_set(members: set[Any], level: int) -> None:
    if not members:
        raise RefusedRowError("a set is empty; DynamoDB has no empty sets")
    for member in members:
        _check_value(member, level)


def _check_name(name: str) -> None:
    if not name:
        raise RefusedRowError("an attribute's name is empty")
    _check_text(name)
    if len(name) > MAX_NAME_BYTES // 4 and len(name.encode()) > MAX_NAME_BYTES:
        raise RefusedRowError(f"an attribute's name has more than {MAX_NAME_BYTES:,} bytes")


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RefusedRowError("a text is not UTF-8") from None


def _check_key(item: Mapping[str, Any], key: KeyAttribute) -> None:
    if key.name not in item:
        if key.required:
            raise RefusedRowError(f"has no {shown(key.name)}, {key.role}")
        return
    value = item[key.name]
    kind = kind_of(value)
    if kind != key.kind and (key.kind is not None or kind not in ("S", "N", "B")):
        wanted = "string, number or binary" if key.kind is None else f"{KINDS[key.kind]} ({key.kind})"
        hint = f"; --type {key.name}:{key.kind} may convert it" if key.kind else ""
        raise RefusedRowError(f"{shown(key.name)}, {key.role}, must be {wanted}; it is {KINDS[kind]}{hint}")
    if value in ("", b""):
        raise RefusedRowError(f"{shown(key.name)}, {key.role}, is empty")
    if kind != "N" and (size := value_size(value)) > key.max_bytes:
        raise RefusedRowError(f"{shown(key.name)}, {key.role}, has {size:,} bytes; DynamoDB takes {key.max_bytes:,}")


def kind_of(value: Any) -> str:
    """Return the DynamoDB type of a native value, as readers give them."""
    if isinstance(value, set):
        return kind_of(next(iter(value), "")) + "S"
    for types, kind in _KINDS:
        if isinstance(value, types):
            return kind
    return "NULL"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "S"),
    (bool, "BOOL"),
    ((int, Decimal), "N"),
    ((bytes, bytearray), "B"),
    (list, "L"),
    (dict, "M"),
)


def shown(name: str) -> str:
    """Return an attribute's name as it is shown to people: a hostile one is cut, and can't move the cursor."""
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")


_SHOWN = 60
