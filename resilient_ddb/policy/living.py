"""What a set of weak references holds, while other threads add to it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import weakref

T = TypeVar("T")


def living(members: weakref.WeakSet[T]) -> list[T]:
    """Return the members that are alive. A WeakSet can't be read while another thread adds to it: it is read again."""
    while True:
        with suppress(RuntimeError):
            return list(members)
