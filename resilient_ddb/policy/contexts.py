"""Context variables that are set for a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from contextvars import ContextVar

T = TypeVar("T")


@contextmanager
def holding(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Set a variable to a value within a block."""
    outer = variable.get()
    variable.set(value)
    try:
        yield
    finally:
        variable.set(outer)  # a token could not be used where a coroutine is closed from elsewhere
