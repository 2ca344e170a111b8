"""A decorator for AWS Lambda's handlers: this invocation's deadline, one event loop for all, observers flushed."""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from resilient_ddb.calls.flushing import flush_observers
from resilient_ddb.policy.checks import check_number
from resilient_ddb.policy.deadlines import lambda_deadline
from resilient_ddb.policy.forks import tell_child

from .policy.arguments import names_checked

if TYPE_CHECKING:
    import asyncio

    E = TypeVar("E")
    C = TypeVar("C")
    R = TypeVar("R")

    class _Decorator(Protocol):
        """Makes a handler of a function; that of an async one returns what the function does, not a coroutine."""

        @overload
        def __call__(self, function: Callable[[E, C], Coroutine[Any, Any, R]], /) -> Callable[[E, C], R]: ...
        @overload
        def __call__(self, function: Callable[[E, C], R], /) -> Callable[[E, C], R]: ...


Handler = Callable[[Any, Any], Any]


@overload
def lambda_handler(function: Callable[[E, C], Coroutine[Any, Any, R]], /) -> Callable[[E, C], R]: ...


@overload
def lambda_handler(function: Callable[[E, C], R], /) -> Callable[[E, C], R]: ...


@overload
def lambda_handler(*, margin: float = 0.5) -> _Decorator: ...


@names_checked
def lambda_handler(function: Handler | None = None, /, *, margin: float = 0.5) -> Any:
    """Make a Lambda handler of a function of `event` and `context`, sync or async.

    Its calls have this invocation's deadline: see `lambda_deadline`. An async one runs on an event loop that is kept
    from one invocation to the next, with its connections. As it ends, observers that have a `flush()` are flushed:
    Lambda may freeze the process then. Use it bare, as `@lambda_handler`, or with arguments.

    Args:
        function: the handler.
        margin: seconds of the invocation that are kept back, to answer in.

    Raises:
        TypeError: the function can't be called, or `margin` is no number.
        ValueError: `margin` is negative.
    """
    check_number("margin", margin, least=0)
    if function is None:
        return functools.partial(_decorated, margin=margin)
    return _decorated(function, margin=margin)


def _decorated(function: Handler, *, margin: float) -> Handler:
    if not callable(function):
        raise TypeError(
            "lambda_handler decorates a function of event and context: write @lambda_handler, or "
            f"@lambda_handler(margin=...); got {type(function).__name__}"
        )
    kept = _KeptLoop()

    @functools.wraps(function)
    def handler(event: Any, context: Any) -> Any:
        try:
            with lambda_deadline(context, margin):
                result = function(event, context)
                return kept.run(result) if inspect.isawaitable(result) else result
        finally:
            flush_observers()

    return handler


class _KeptLoop:
    """Runs one awaitable after the other on one event loop, which is closed with the process, or with the handler.

    What another thread runs at the same time has a loop of its own.
    """

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._closing: weakref.finalize[..., Any] | None = None
        self._parents: list[Any] = []
        self._turn = threading.Lock()
        tell_child(self)

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Return what it gives. It runs in a copy of the context that there is now: a Runner keeps its first one."""
        import asyncio  # noqa: PLC0415 - a sync handler does without

        async def awaited() -> Any:
            return await awaitable

        if not self._turn.acquire(blocking=False):  # a Runner that runs on another thread would take it all the same
            with asyncio.Runner() as runner:
                return runner.run(awaited(), context=copy_context())
        try:
            if self._runner is None or self._runner.get_loop().is_closed():
                self._runner = asyncio.Runner()
                self._closing = weakref.finalize(self, _close, self._runner)
            return self._runner.run(awaited(), context=copy_context())
        finally:
            self._turn.release()

    def _in_child(self) -> None:
        """Begin anew in a forked process. The parent's loop is kept, so that nothing closes it here."""
        self._turn = threading.Lock()
        if self._runner is not None and self._closing is not None:
            self._closing.detach()
            self._parents.append(self._runner)
            self._runner = None


def _close(runner: asyncio.Runner) -> None:
    """Close a loop as far as that can be done here: where another one runs, this one can't run to its end."""
    import asyncio  # noqa: PLC0415 - as above

    if runner.get_loop().is_closed():
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        runner.close()
    else:
        runner.get_loop().close()
