"""A client that opens on first use, and follows the running event loop.

A client belongs to the loop that it was opened on. An application that calls `asyncio.run` again and again (a Lambda
handler) has a new loop each time. Each loop gets a client of its own, which is closed as the loop shuts down.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from resilient_ddb.calls.circuit import Held
from resilient_ddb.calls.core import lane_settings
from resilient_ddb.errors import DeadlineExceededError, attach
from resilient_ddb.hooks.config import with_ttl
from resilient_ddb.hooks.host import set_policy, with_options
from resilient_ddb.http.aio_connection import cut
from resilient_ddb.http.aio_session import ProtocolSession
from resilient_ddb.policy.arguments import NOT_GIVEN, NotGiven
from resilient_ddb.policy.deadlines import current_deadline
from resilient_ddb.policy.forks import tell_child
from resilient_ddb.policy.living import living
from resilient_ddb.policy.policy import Policy

from .connections import PARENTS

if TYPE_CHECKING:
    from resilient_ddb.calls.core import Core
    from resilient_ddb.policy.policy import Timeouts
    from resilient_ddb.ttl.rule import TimeToLive
    from resilient_ddb.ttl.tables import TtlTables

OpenClient = Callable[["Policy | None"], Awaitable[Any]]


class Lazy:
    """Stands in for an aiobotocore client: the verbs open it, everything else asks for one that is open."""

    _verbs: frozenset[str]
    time_to_live: TimeToLive | None
    """That of the one table that it is for."""
    recipe: dict[str, Any]
    """What a Table is made anew from in another process, beside the policy. Never credentials."""

    @property
    def policy(self) -> Policy | None:
        """How calls are made; None: by the default one, with what the Config says."""
        raise NotImplementedError

    @property
    def own_policy(self) -> Policy | None:
        """The policy of the Table that this is for, where that is not its client's."""
        return None

    @property
    def timeouts(self) -> Timeouts | None:
        """Those that hold in place of the Config's; None: the Config's do."""
        raise NotImplementedError

    def set_policy(self, policy: Policy) -> None:
        """Go by another policy: the clients that are open, and those that will be."""
        raise NotImplementedError

    async def current(self, operation: str) -> Any:
        """Return the running loop's client, for an operation."""
        raise NotImplementedError

    def opened(self) -> Any:
        """Return the running loop's client if it is open, else None."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_verbs" not in self.__dict__:  # asked for by copy and pickle, before it is made
            raise AttributeError(name)
        if name in self._verbs:

            async def verb(*args: Any, **kwargs: Any) -> Any:
                return await getattr(await self.current(name), name)(*args, **kwargs)

            return verb
        client = self.opened()
        if client is not None:
            return getattr(client, name)
        raise AttributeError(
            f"{name!r} is there once the client is open on the running event loop: await one of the table's verbs first"
        )


class LazyClient(Lazy):
    """Opens a client for each event loop, and closes it as the loop shuts down, or earlier if it is asked to."""

    def __init__(
        self,
        open_client: OpenClient,
        verbs: frozenset[str],
        table: str | None,
        policy: Policy | None,
        ttl: TtlTables | None,
        recipe: dict[str, Any],
    ) -> None:
        """Open with `open_client`, once for each event loop; `verbs` are the names of the client's operations.

        Args:
            open_client: opens a client.
            verbs: the names of the client's operations.
            table: the one table that it is for, if it is for one.
            policy: how calls are made.
            ttl: the tables' TTLs.
            recipe: what a Table is made anew from in another process, beside the policy.
        """
        self._table = table
        self._first = policy
        self._set: Policy | None = None
        """The policy that was set: it goes before the Config, which goes before the first one."""
        self.views: weakref.WeakSet[LazyView] = weakref.WeakSet()
        """As Tables see it that have a policy of their own."""
        self.ttl = ttl
        own = None if ttl is None or table is None else ttl.of(table)
        self.time_to_live = None if own is None else own.settings
        self.recipe = recipe
        self._open_client = open_client
        self.core: Core | None = None
        """What calls go by, on every event loop: of the first client that was opened."""
        self.held = Held()
        """The circuits that a person holds, also before a client was opened. See `resilient_ddb.circuits`."""
        self._verbs = verbs
        self._begin()
        tell_child(self)

    def _begin(self) -> None:
        self.lock = threading.RLock()
        """Held while clients take over what they share, and while the policy changes: loops run in several threads."""
        self._opening: dict[asyncio.AbstractEventLoop, asyncio.Task[Any]] = {}
        self._clients: dict[asyncio.AbstractEventLoop, Any] = {}
        self._entered: dict[asyncio.AbstractEventLoop, int] = {}
        self._keepers: dict[asyncio.AbstractEventLoop, AsyncGenerator[Any, None]] = {}

    def _in_child(self) -> None:
        """Begin anew in a forked process: the clients that are open belong to the parent's event loops."""
        PARENTS.append((self._opening, self._clients, self._keepers, set(_open)))
        _open.clear()
        self._begin()

    @property
    def policy(self) -> Policy | None:
        """How calls are made; None: by the default one, with what the Config says."""
        return (self._set or self._first) if self.core is None else self.core.client_policy

    @property
    def timeouts(self) -> Timeouts | None:
        """Those that were set in place of the ones that the client is made with; None: there are none."""
        if self.core is not None:
            return self.core.client_timeouts
        is_other = self._set is not None and self._set.timeouts != (self._first or Policy()).timeouts
        return self._set.timeouts if self._set is not None and is_other else None

    def set_policy(self, policy: Policy) -> None:
        """Go by another policy: the clients that are open, and those that will be."""
        with self.lock:
            self._set = policy
            if self.core is not None:
                self.core.set_policy(policy)
            for client in self.clients():
                client._resilience.host.follow_policy()  # noqa: SLF001 - the attribute is this library's own

    async def current(self, operation: str) -> Any:
        """Return the running loop's client, for an operation.

        Raises:
            DeadlineExceededError: the deadline passed before it was open.
        """
        loop = asyncio.get_running_loop()
        task = self._opening.get(loop)
        if task is None:
            self._forget_closed()
            # Its context is nobody's: the deadline and the trace of the call that came first are not the others'.
            task = self._opening[loop] = loop.create_task(self._open(loop), context=Context())
            task.add_done_callback(self._forget_failed)
        deadline = current_deadline()
        try:
            async with asyncio.timeout(None if deadline is None else deadline.remaining()) as limit:
                return await asyncio.shield(task)  # a caller that is cancelled leaves it to the others
        except TimeoutError as error:
            if limit.expired() and not isinstance(error, DeadlineExceededError):
                raise _cut_off(operation, self._table) from None
            raise
        finally:
            del task  # an error that it has knows this frame: they would keep each other

    def opened(self) -> Any:
        """Return the running loop's client if it is open, else None."""
        with contextlib.suppress(RuntimeError):  # no loop is running
            return self._clients.get(asyncio.get_running_loop())
        return None

    def clients(self) -> list[Any]:
        """Return the clients that are open, on any event loop."""
        return list(self._clients.values())

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
            await self.close()

    async def close(self) -> None:
        """Close the running loop's client, if it is open. The next call opens it anew."""
        keeper = self._keepers.get(asyncio.get_running_loop())
        if keeper is not None:
            await keeper.aclose()

    def view(self, table: str, policy: Policy | None, ttl: str | TimeToLive | NotGiven | None) -> Lazy:
        """Return this client as a Table sees it that may have a policy, or a TTL, of its own."""
        is_plain = policy is None and ttl is NOT_GIVEN and (self.ttl is None or self.ttl.of(table) is None)
        return self if is_plain else LazyView(self, table, policy, ttl)

    async def __aenter__(self) -> Any:
        """Open the running loop's client, and return it, for a block at whose end it is closed."""
        self.enter()
        try:
            client = await self.current("open")
        except BaseException:
            await self.leave()
            raise
        client._lazy = self  # noqa: SLF001 - this library's own: what holds the client open lives as long as the client
        return client

    async def __aexit__(self, *exc_info: object) -> None:
        await self.leave()

    def __repr__(self) -> str:
        return "<resilient_ddb.aio client of DynamoDB, which opens with its first call>"

    async def _open(self, loop: asyncio.AbstractEventLoop) -> Any:
        keeper = self._keep(loop)
        client = await anext(keeper)
        self._keepers[loop] = keeper
        return client

    async def _keep(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[Any, None]:
        """Hold a client open. A loop closes its async generators as it shuts down: that is when this one ends."""
        client = await self._open_client(self._first)
        self._adopt(client, loop)
        held = (loop, client)
        _open.add(held)
        try:
            yield client
        finally:
            _open.discard(held)
            self._clients.pop(loop, None)
            self._opening.pop(loop, None)
            self._keepers.pop(loop, None)
            await client.__aexit__(None, None, None)

    def _adopt(self, client: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Share the circuits and budgets of the first client with one that was opened; its own, if it is the first.

        They are the table's, not the loop's: a Lambda handler has a new loop each time.
        """
        with self.lock:  # two threads may open their first client at the same time
            self._clients[loop] = client
            if self.core is None:
                core = client._resilience  # noqa: SLF001 - the attribute is this library's own
                core.forced = self.held  # before others can find it: a thread that holds a circuit takes no lock
                self.core = core
                if self._set is not None:  # before it was open, or while it was being opened
                    set_policy(client, self._set)
            else:
                client._resilience = self.core.with_host(client._resilience.host)  # noqa: SLF001 - as above
                client._resilience.host.follow_policy()  # noqa: SLF001 - as above

    def _forget_failed(self, task: asyncio.Task[Any]) -> None:
        """Forget an opening that failed, before its callers hear of it: the next caller tries anew."""
        if not _has_succeeded(task):
            self._opening.pop(task.get_loop(), None)

    def _forget_closed(self) -> None:
        """Forget what belonged to loops that were closed without having been shut down."""
        for loop in list(self._opening):  # a copy: other threads open clients for loops of their own
            if loop.is_closed():
                self._opening.pop(loop, None)
                self._clients.pop(loop, None)
                self._keepers.pop(loop, None)
                self._entered.pop(loop, None)
        _abandon_clients(lambda loop: loop.is_closed())


class LazyView(Lazy):
    """A client that opens on first use, as a Table with options of its own sees it."""

    def __init__(
        self, parent: LazyClient, table: str, policy: Policy | None, ttl: str | TimeToLive | NotGiven | None
    ) -> None:
        """Hold the view that a Table with a policy, or a TTL, of its own has of `parent`'s open client."""
        self._parent = parent
        self._table = table
        self._policy = policy
        self._ttl = ttl
        self._verbs = parent._verbs  # noqa: SLF001 - of the same module
        tables = parent.ttl if ttl is NOT_GIVEN else with_ttl(parent.ttl, table, ttl)
        own = None if tables is None else tables.of(table)
        self.time_to_live = None if own is None else own.settings
        self.recipe = {**parent.recipe, "ttl": None if tables is None else tables.by_table}
        self._views: dict[asyncio.AbstractEventLoop, tuple[Any, Any]] = {}
        self.held = parent.held
        if policy is not None:
            parent.views.add(self)

    @property
    def core(self) -> Core | None:
        """What the Table's calls go by: its own circuits and budgets, if it has a policy of its own."""
        core = self._parent.core
        return core if core is None or self._policy is None else core.with_policy(self._policy, self._table)

    def clients(self) -> list[Any]:
        """Return the clients that are open, on any event loop."""
        return self._parent.clients()

    @property
    def policy(self) -> Policy | None:
        """How calls are made: by the Table's own policy, or else the client's."""
        return self._policy or self._parent.policy

    @property
    def own_policy(self) -> Policy | None:
        """The Table's own policy; None if it has none."""
        return self._policy

    @property
    def timeouts(self) -> Timeouts | None:
        """Those of the Table's own policy, or else what the client's are."""
        return self._parent.timeouts if self._policy is None else self._policy.timeouts

    def set_policy(self, policy: Policy) -> None:
        """Go by another policy: the Table, and what shares its circuits; without a policy of its own, the client."""
        if self._policy is None:
            self._parent.set_policy(policy)
            return
        with self._parent.lock:
            shared = self._lanes()
            for view in living(self._parent.views):
                if view._lanes() == shared:  # noqa: SLF001 - of the same class
                    view._go_by(policy)  # noqa: SLF001 - as above

    def _lanes(self) -> tuple[Any, ...]:
        """Return what stands for the Table's circuits and budgets, as its core knows them."""
        return (self._table, *lane_settings(self._policy or Policy()))

    def _go_by(self, policy: Policy) -> None:
        self._policy = policy
        for _, view in list(self._views.values()):
            view._resilience.set_policy(policy)  # noqa: SLF001 - the attribute is this library's own

    async def current(self, operation: str) -> Any:
        """Return the view of the running loop's client, for an operation. Raises as the client's own."""
        return self._view(await self._parent.current(operation))

    def opened(self) -> Any:
        """Return the view of the running loop's client if it is open, else None."""
        client = self._parent.opened()
        return None if client is None else self._view(client)

    def _view(self, client: Any) -> Any:
        loop = asyncio.get_running_loop()
        base, view = self._views.get(loop, (None, None))
        if base is not client:
            for other in list(self._views):  # a copy: other threads have loops of their own
                if other.is_closed():
                    self._views.pop(other, None)
            with self._parent.lock:
                view = with_options(client, self._table, self._policy, self._ttl)
                self._views[loop] = (client, view)
        return view

    def __repr__(self) -> str:
        return repr(self._parent)


def _cut_off(operation: str, table: str | None) -> DeadlineExceededError:
    error = DeadlineExceededError(operation_name=operation, attempts=0)
    facts = error.resilience.replaced(table=table)
    attach(error, facts, f"{facts.note()}; the client was still being opened")
    deadline = current_deadline()
    if deadline is not None and (words := deadline.words_of_end()):
        error.add_note(words)
    return error


def _has_succeeded(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def abandon(client: Any) -> None:
    """Close the connections of a client whose loop can't run any more, as far as that can be done without it."""
    for sibling in client._resilience.host.open_siblings():  # noqa: SLF001 - this library's own
        abandon(sibling)
    http = client._endpoint.http_session  # noqa: SLF001 - no public way
    if isinstance(http, ProtocolSession):
        http.abandon()
    sessions = getattr(http, "_sessions", None) or {}
    for session in sessions.values():
        connector = session.connector
        session.detach()
        for connections in list(getattr(connector, "_conns", {}).values()):
            for protocol, _ in connections:
                if protocol.transport is not None:
                    cut(protocol.transport)
        # The first step of an awaitable `close` does what there is to do; with no loop there is no second one.
        with contextlib.suppress(Exception):
            next(iter(connector.close().__await__()))


async def opened(client: Any, operation: str) -> Any:
    """Return a client that is open on the running loop: the client itself, or what a lazy one stands for."""
    return await client.current(operation) if isinstance(client, Lazy) else client


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
