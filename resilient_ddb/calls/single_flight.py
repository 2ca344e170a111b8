"""One request for what many want to know at the same time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from .flows import Flow

T = TypeVar("T")


class Turns(Protocol):
    """Who asks first, and who waits."""

    def lead(self, key: Any, mark: object) -> Any:
        """Return at once if nobody else asks for `key`; else when that one has ended, or the deadline has passed.

        One that asks while it asks itself, as an observer may, is nobody else.
        """
        ...

    def landed(self, key: Any, mark: object) -> None:
        """End the turn of `mark`, if it has one: those who wait go on."""
        ...


def once(turns: Turns, key: Any, look: Callable[[], T | None], learn: Callable[[], Flow[T]]) -> Flow[T]:
    """Return what `look` finds, and else what `learn` asks for: once, however many come at the same time.

    If that fails, each one that waited asks for itself: another's deadline or cancellation is not its own.
    """
    found = look()
    if found is not None:
        return found
    mark = object()
    try:
        yield partial(turns.lead, key, mark)
        found = look()
        return found if found is not None else (yield from learn())
    finally:
        turns.landed(key, mark)
