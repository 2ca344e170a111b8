"""Checks that every policy makes of what it was given."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any


def check_number(name: str, value: Any, *, above: float | None = None, least: float | None = None) -> None:
    """Refuse what is no finite number, is not greater than `above`, or is less than `least`."""
    bound = f"greater than {above:g}" if above is not None else f"of {least:g} or more"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number {bound}; got {value!r}")
    too_low = value <= above if above is not None else value < (least or 0)
    if not math.isfinite(value) or too_low:
        raise ValueError(f"{name} must be a number {bound}; got {value!r}")


def check_whole(name: str, value: Any, *, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number, is less than `least`, or is more than `most`."""
    bound = f"{least} or more" if most is None else f"from {least} to {most}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, {bound}; got {value!r}")
    if value < least or (most is not None and value > most):
        raise ValueError(f"{name} must be {bound}; got {value!r}")


def check_share(name: str, value: Any) -> None:
    """Refuse what is no share of a whole: greater than 0 and at most 1."""
    check_number(name, value, above=0)
    if value > 1:
        percent = f"; {value:g} percent is {value / 100:g}" if value <= 100 else ""  # noqa: PLR2004 - percent
        raise ValueError(f"{name} is a share: greater than 0 and at most 1; got {value!r}{percent}")


def check_callable(name: str, value: Any, *, takes: str) -> None:
    """Refuse what can't be called."""
    if not callable(value):
        raise TypeError(f"{name} must be callable, taking {takes}; got {value!r}")
    if isinstance(value, type):
        raise TypeError(f"{name} must be callable, taking {takes}; got the class {value.__name__}: write it with ()")
    if _is_of(inspect.isgeneratorfunction, value) or _is_of(inspect.isasyncgenfunction, value):
        raise TypeError(f"{name} must be a function without 'yield', taking {takes}: nobody would run {value!r}")


def is_async(value: Any) -> bool:
    """Return whether what a call gives must be awaited. An object may have an async `__call__`."""
    return _is_of(inspect.iscoroutinefunction, value)


def _is_of(is_kind: Callable[[Any], bool], value: Any) -> bool:
    while isinstance(value, partial):
        value = value.func
    return is_kind(value) or is_kind(getattr(type(value), "__call__", None))  # noqa: B004 - the function itself


def check_not_async(name: str, value: Any) -> None:
    """Refuse what is async where nobody awaits."""
    if is_async(value):
        raise TypeError(f"{name} must not be async on the sync Table: async ones are for resilient_ddb.aio")


def check_plain(name: str, value: Any, *, takes: str) -> None:
    """Refuse what can't be called, or gives what nobody would await."""
    check_callable(name, value, takes=takes)
    if is_async(value):
        raise TypeError(f"{name} must be a plain function, taking {takes}: nobody would await the async {value!r}")


def check_callables(name: str, value: Any, *, takes: str) -> tuple[Any, ...]:
    """Return a sequence of plain functions as a tuple, and refuse what is none."""
    if callable(value) or isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a sequence of callables, such as [print]; got {value!r}")
    members = tuple(value)
    for member in members:
        check_plain(f"each of {name}", member, takes=takes)
    return members


def check_methods(name: str, value: Any, *methods: str) -> None:
    """Refuse what lacks one of `methods`."""
    if not all(callable(getattr(value, method, None)) for method in methods):
        calls = ", ".join(f"{method}()" for method in methods)
        raise TypeError(f"{name} must be an object with {calls}; got {value!r}")
    check_plain_methods(name, value, *methods)


def check_plain_methods(name: str, value: Any, *methods: str) -> None:
    """Refuse what has one of `methods`, but async."""
    for method in methods:
        if is_async(getattr(value, method, None)):
            raise TypeError(f"{name} must have a plain {method}(): nobody would await the async one of {value!r}")


def check_sync_table(value: Any, *methods: str) -> None:
    """Refuse what is no sync Table: a thread will call its `methods`, also on behalf of async code."""
    check_methods("table", value, *methods)
    if hasattr(type(value), "__aenter__"):
        raise TypeError(
            f"table must be a sync Table, for async code too: a name, or resilient_ddb.table(...); got {value!r}"
        )


def check_fallback(value: Any) -> None:
    """Refuse what can't be called with a call and an error."""
    check_callable("fallback", value, takes="(call, error), and giving a response or None")
    try:
        inspect.signature(value).bind("call", "error")
    except TypeError as error:
        name = getattr(value, "__name__", type(value).__name__)
        raise TypeError(f"fallback must take (call, error); {name} does not ({error}): was it to be called?") from None
    except ValueError:  # it has no signature that Python knows of
        return
    if getattr(value, "makes_fallback", False):
        raise TypeError(f"fallback must be made first: write {value.__name__}(...), not {value.__name__}")
