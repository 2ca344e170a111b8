"""What a set of weak references holds, while other threads add to it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")


def living(members: Iterable[T]) -> list[T]:
    """Return the members of a WeakSet, or the keys of a WeakKeyDictionary, that are alive.

    It can't be read while another thread adds to it: it is read again.
    """
    while True:
        with suppress(RuntimeError):
            return list(members)
