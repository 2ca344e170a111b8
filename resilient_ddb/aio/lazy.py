"""A client that opens on first use, and follows the running event loop.

A client belongs to the loop that it was opened on. An application that calls `asyncio.run` again and again (a Lambda
handler) has a new loop each time: each gets a client of its own, which is closed as the loop shuts down.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from resilient_ddb.errors import CallFacts, DeadlineExceededError
from resilient_ddb.events import ErrorKind, StopReason
from resilient_ddb.policy.deadlines import current_deadline
from resilient_ddb.policy.forks import tell_child

from .connections import PARENTS

if TYPE_CHECKING:
    from resilient_ddb.calls.circuit import Forced
    from resilient_ddb.calls.core import Core
    from resilient_ddb.ttl.rule import TimeToLive

OpenClient = Callable[[], Awaitable[Any]]


class LazyClient:
    """Stands in for an aiobotocore client: the verbs open it, everything else asks for one that is open."""

    def __init__(
        self, open_client: OpenClient, verbs: frozenset[str], table: str, time_to_live: TimeToLive | None
    ) -> None:
        """Open with `open_client`, once for each event loop; `verbs` are the names of the client's operations."""
        self._table = table
        self.time_to_live = time_to_live
        self._open_client = open_client
        self.core: Core | None = None
        """What calls go by, on every event loop: of the first client that was opened."""
        self.held: dict[str, Forced] = {}
        """The circuits that a person holds, also before a client was opened. See `resilient_ddb.circuits`."""
        self._verbs = verbs
        self._begin()
        tell_child(self)

    def _begin(self) -> None:
        self._opening: dict[asyncio.AbstractEventLoop, asyncio.Task[Any]] = {}
        self._entered: dict[asyncio.AbstractEventLoop, int] = {}
        self._keepers: dict[asyncio.AbstractEventLoop, AsyncGenerator[Any, None]] = {}

    def _in_child(self) -> None:
        """Begin anew in a forked process: the clients that are open belong to the parent's event loops."""
        PARENTS.append((self._opening, self._keepers, set(_open)))
        _open.clear()
        self._begin()

    async def current(self, operation: str) -> Any:
        """Return the running loop's client, for an operation.

        Raises:
            DeadlineExceededError: the deadline passed before it was open.
        """
        loop = asyncio.get_running_loop()
        task = self._opening.get(loop)
        if task is None:
            self._forget_closed()
            task = self._opening[loop] = loop.create_task(self._open(loop))
            task.add_done_callback(self._forget_failed)
        deadline = current_deadline()
        try:
            async with asyncio.timeout(None if deadline is None else deadline.remaining()) as limit:
                return await asyncio.shield(task)  # a caller that is cancelled leaves it to the others
        except TimeoutError:
            if limit.expired():
                raise _cut_off(operation, self._table) from None
            raise
        finally:
            del task  # an error that it has knows this frame: they would keep each other

    def clients(self) -> list[Any]:
        """Return the clients that are open, on any event loop."""
        return [task.result() for task in list(self._opening.values()) if _has_succeeded(task)]

    def enter(self) -> None:
        """Begin a block at whose end the running loop's client is closed."""
        loop = asyncio.get_running_loop()
        self._entered[loop] = self._entered.get(loop, 0) + 1

    async def leave(self) -> None:
        """End such a block. The last one to end closes the client: others may be using it until then."""
        loop = asyncio.get_running_loop()
        self._entered[loop] -= 1
        if not self._entered[loop]:
            del self._entered[loop]
            await self.aclose()

    async def aclose(self) -> None:
        """Close the running loop's client, if it is open. The next call opens it anew."""
        keeper = self._keepers.get(asyncio.get_running_loop())
        if keeper is not None:
            await keeper.aclose()

    def __getattr__(self, name: str) -> Any:
        if name in self._verbs:

            async def verb(*args: Any, **kwargs: Any) -> Any:
                return await getattr(await self.current(name), name)(*args, **kwargs)

            return verb
        with contextlib.suppress(RuntimeError):
            task = self._opening.get(asyncio.get_running_loop())
            if task is not None and _has_succeeded(task):
                return getattr(task.result(), name)
        raise AttributeError(
            f"{name!r} is there once the client is open on the running event loop: await one of the table's verbs first"
        )

    async def _open(self, loop: asyncio.AbstractEventLoop) -> Any:
        keeper = self._keep(loop)
        client = await anext(keeper)
        self._keepers[loop] = keeper
        return client

    async def _keep(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[Any, None]:
        """Hold a client open. A loop closes its async generators as it shuts down: that is when this one ends."""
        client = await self._open_client()
        held = (loop, client)
        _open.add(held)
        try:
            yield client
        finally:
            _open.discard(held)
            self._opening.pop(loop, None)
            self._keepers.pop(loop, None)
            await client.__aexit__(None, None, None)

    def _forget_failed(self, task: asyncio.Task[Any]) -> None:
        """Let go of an opening that failed, before its callers hear of it: whoever comes next tries anew."""
        if not _has_succeeded(task):
            self._opening.pop(task.get_loop(), None)

    def _forget_closed(self) -> None:
        """Let go of what belonged to loops that were closed without having been shut down."""
        for loop in list(self._opening):  # a copy: other threads open clients for loops of their own
            if loop.is_closed():
                self._opening.pop(loop, None)
                self._keepers.pop(loop, None)
                self._entered.pop(loop, None)
        _abandon_clients(lambda loop: loop.is_closed())


def _cut_off(operation: str, table: str) -> DeadlineExceededError:
    error = DeadlineExceededError(operation_name=operation, attempts=0)
    error.resilience = CallFacts(
        table=table,
        operation=operation,
        kind=ErrorKind.TRANSIENT,
        attempts=0,
        elapsed=0.0,
        ambiguous=False,
        stopped_by=StopReason.DEADLINE,
    )
    error.add_note(error.resilience.note() + "; the client was still being opened")
    return error


def _has_succeeded(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def abandon(client: Any) -> None:
    """Close the connections of a client whose loop can't run any more, as far as that can be done without it."""
    for sibling in client._resilience.host.open_siblings():  # noqa: SLF001 - this library's own
        abandon(sibling)
    sessions = getattr(client._endpoint.http_session, "_sessions", None) or {}  # noqa: SLF001 - no public way
    for session in sessions.values():
        connector = session.connector
        session.detach()
        for connections in list(getattr(connector, "_conns", {}).values()):
            for protocol, _ in connections:
                _cut(protocol.transport)
        # The first step of an awaitable `close` does what there is to do; with no loop there is no second one.
        with contextlib.suppress(Exception):
            next(iter(connector.close().__await__()))


def _cut(transport: Any) -> None:
    """Close a connection's socket, with no loop to do it."""
    if transport is None:
        return
    with contextlib.suppress(Exception):  # the loop is closed: a transport can't schedule its own end
        transport.abort()
    with contextlib.suppress(Exception):
        transport._call_connection_lost(None)  # noqa: SLF001 - what the loop would have called


async def opened(client: Any, operation: str) -> Any:
    """Return a client that is open on the running loop: the client itself, or what a lazy one stands for."""
    return await client.current(operation) if isinstance(client, LazyClient) else client


_open: set[tuple[asyncio.AbstractEventLoop, Any]] = set()
"""The clients that are open, kept here: they have to be closed also if their table is dropped after its loop."""


def _abandon_clients(is_over: Callable[[asyncio.AbstractEventLoop], bool]) -> None:
    for held in list(_open):
        if is_over(held[0]):
            with contextlib.suppress(KeyError):  # another thread was quicker
                _open.remove(held)
                abandon(held[1])


@atexit.register
def _abandon_all() -> None:
    _abandon_clients(lambda _: True)
