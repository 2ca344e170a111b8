"""One write request of a batch: its values, its bytes, and what it is once it has come back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from resilient_ddb.dynamodb.capacity import (
    LEAST_NUMBER_BYTES,
    MAX_ITEM_BYTES,
    MOST_NUMBER_BYTES,
    item_size,
    size_without_numbers,
    wire_size,
    write_units,
)

from .settings import Request

MAX_WIRE_BYTES = 16 * 1024 * 1024


def values_of(request: Request) -> Mapping[str, Any]:
    """Return the item that is put, or the key that is deleted.

    Raises:
        KeyError: it is neither.
    """
    put = request.get("PutRequest")
    values: Mapping[str, Any] = put["Item"] if put else request["DeleteRequest"]["Key"]
    return values


def size_of(request: Request) -> int | None:
    """Return the bytes of what a request writes; None if a value has no place in DynamoDB."""
    try:
        return item_size(values_of(request))
    except (TypeError, AttributeError, RecursionError):
        return None


def weight_of(request: Request) -> tuple[int, int]:
    """Return the bytes of what a request writes, and its write units.

    The units are exact, and so are bytes beyond an item's limit. Fewer bytes may be too many by those of the numbers,
    which are left unmeasured if they make no difference.
    """
    numbers: list[Any] = []
    try:
        rest = size_without_numbers(values_of(request), numbers)
    except (TypeError, AttributeError, RecursionError):
        size = least_size_of(request)
        return size, _units(request, size)
    least, most = rest + LEAST_NUMBER_BYTES * len(numbers), rest + MOST_NUMBER_BYTES * len(numbers)
    units = _units(request, most)
    if most > MAX_ITEM_BYTES or units != _units(request, least):
        most = least_size_of(request)
        units = _units(request, most)
    return most, units


def _units(request: Request, size: int) -> int:
    return write_units(size) if "PutRequest" in request else 1


def least_size_of(request: Request) -> int:
    """Return the bytes of what can be measured: a time, which is written as a number, is left out."""
    size = size_of(request)
    if size is not None:
        return size
    size = 0
    with suppress(TypeError, AttributeError):
        for name, value in values_of(request).items():
            with suppress(TypeError, AttributeError, RecursionError):
                size += item_size({name: value})
    return size


def hashable(value: Any) -> Any:
    """Return bytes for a bytearray, and for one in a `Binary`: they are equal."""
    binary = getattr(value, "value", value)
    return bytes(binary) if isinstance(binary, bytearray) else value


def as_answered(value: Any) -> Any:
    """Return a value in the one form that it has before it is sent and after it came back."""
    if isinstance(value, Mapping):
        return {name: as_answered(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_answered(member) for member in value]
    if isinstance(value, (set, frozenset)):
        return frozenset(map(as_answered, value))
    binary = getattr(value, "value", value)
    return bytes(binary) if isinstance(binary, (bytes, bytearray)) else value


def number_that_fits(requests: list[Request]) -> int:
    """Return how many of the requests, from the first on, fit into one batch. The first always does."""
    total = 0
    for number, request in enumerate(requests):
        with suppress(ValueError, RecursionError):  # such an item is refused before anything is sent
            total += wire_size(request)
        if total > MAX_WIRE_BYTES:
            return max(1, number)
    return len(requests)
