"""Running a flow of decisions: a generator that yields what to call, and takes in what that gave or raised.

The sync and the async driver are all that differs between the two Tables. What is called runs in a `try` of its own,
so that a StopIteration out of it can't be taken for the flow's end.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")
Flow = Generator[Callable[[], Any], Any, T]


def run(flow: Flow[T]) -> T:
    """Run a flow, calling each step."""
    resume: Callable[[Any], Callable[[], Any]] = flow.send
    step: Any = None
    outcome: Any = None
    try:
        while True:
            try:
                step = resume(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # StopIteration carries Any
            try:
                resume, outcome = flow.send, _no_awaitable(step())
            except Exception as error:  # noqa: BLE001 - the flow decides what an error means
                resume, outcome = flow.throw, error
            except BaseException:  # interrupted, or cancelled: the flow tidies up, and has no say
                flow.close()
                raise
    finally:
        del step, outcome  # an error that leaves knows this frame: they would keep each other


async def run_async(flow: Flow[T]) -> T:
    """Run a flow, calling each step and awaiting what it gives, if that can be awaited."""
    resume: Callable[[Any], Callable[[], Any]] = flow.send
    step: Any = None
    result: Any = None
    outcome: Any = None
    try:
        while True:
            try:
                step = resume(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # StopIteration carries Any
            try:
                result = step()
                resume, outcome = flow.send, await result if inspect.isawaitable(result) else result
            except Exception as error:  # noqa: BLE001 - the flow decides what an error means
                resume, outcome = flow.throw, error
            except BaseException:  # interrupted, or cancelled: the flow tidies up, and has no say
                flow.close()
                raise
    finally:
        del step, result, outcome  # an error that leaves knows this frame: they would keep each other


def _no_awaitable(result: Any) -> Any:
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(
            "what the sync Table or client called gave an awaitable: async changes and async fallbacks are for "
            "resilient_ddb.aio"
        )
    return result
