"""What an async Table's verbs give: a coroutine that says what is missing when it is taken for the answer."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from resilient_ddb.calls.flows import Flow, run_async

T = TypeVar("T")


class Pending(Coroutine[Any, Any, T]):
    """A coroutine in every respect. Used like a response before it was awaited, it says so."""

    __slots__ = ("_coroutine", "_name")

    def __init__(self, coroutine: Coroutine[Any, Any, T], name: str) -> None:
        """Wrap `coroutine`, which `name` describes."""
        self._coroutine = coroutine
        self._name = name

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """See `collections.abc.Coroutine`."""
        return self._coroutine.send(value)

    def throw(self, typ: Any, val: BaseException | object = None, tb: TracebackType | None = None) -> Any:
        """See `collections.abc.Coroutine`."""
        return self._coroutine.throw(typ) if val is None else self._coroutine.throw(typ, val, tb)

    def close(self) -> None:
        """See `collections.abc.Coroutine`."""
        self._coroutine.close()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        self._coroutine.close()
        raise TypeError(
            f"{self._name} is async, and gives a coroutine, which must be awaited first: write "
            f"'await {self._name}', or use the sync Table of resilient_ddb.table(...)"
        )

    if not TYPE_CHECKING:  # a checker says what is missing by itself
        __getitem__ = __contains__ = __iter__ = __len__ = get = keys = values = items = _refuse

    def __bool__(self) -> bool:
        """As any coroutine. asyncio asks for it where it describes a task, from Python 3.12 on."""
        return True

    def __repr__(self) -> str:
        return f"<{self._name}: not awaited; write 'await {self._name}'>"


def pending(flow: Flow[T], name: str) -> Pending[T]:
    """Return a coroutine that runs a flow; `name` is that of the verb, with what it is of."""

    async def call() -> T:
        return await run_async(flow)

    call.__name__, call.__qualname__ = name.rpartition(".")[2], name  # for "... was never awaited"
    return Pending(call(), f"{name}(...)")
