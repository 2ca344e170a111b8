"""One write request of a batch: its values, its bytes, and what it is once it has come back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from resilient_ddb.dynamodb.capacity import item_size, wire_size

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
    """Return the bytes of what a request writes; None where a value has no place in DynamoDB."""
    try:
        return item_size(values_of(request))
    except (TypeError, AttributeError, RecursionError):
        return None


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
