"""The connections of an async client: requests go nowhere else, and what is read is the answer to what was sent.

aiohttp follows redirects unless it is told not to, and sends the item and the session token there. And it takes what
arrives on a connection that nobody uses for the answer to the next request.

A forked process leaves the connections of its parent alone. The parent's event loop shares its epoll with the child.
A transport that is closed in the child is taken from it, and the parent does not hear of that connection again.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, AsyncExitStack
from functools import cache, partial
from typing import Any, NoReturn

from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import ClientTimeout, TCPConnector
from aiohttp.client_proto import ResponseHandler

from resilient_ddb.hooks.handlers import CURRENT, WITHOUT_BODY, came_over_the_wire, own_timeouts
from resilient_ddb.http.aio_session import ProtocolSession
from resilient_ddb.http.fast_path import ANOTHER_SESSION, SWITCHED_OFF, Counters, is_wanted
from resilient_ddb.policy.contexts import holding
from resilient_ddb.policy.policy import Timeouts

PARENTS: list[Any] = []
"""What belongs to the event loops of the parent, kept as long as the process: if it went, it would be closed."""

_HOMES_OF_CONNECTORS = (TCPConnector.__module__, AIOHTTPSession.__module__)
_LAST = (101, *WITHOUT_BODY)
"""After an answer of these statuses aiohttp reads no more: if there is more, the next request would."""


class _Noted:
    """Mixed into the class of an HTTP session of aiobotocore's: takes note of each response."""

    async def send(self, request: Any) -> Any:
        response = await super().send(request)  # type: ignore[misc]  # mixed in
        came_over_the_wire()
        return response


class _Direct(_Noted):
    """Mixed into the class of one that is aiohttp's."""

    async def _get_session(self, *args: Any) -> _Undirected:
        session = await super()._get_session(*args)  # type: ignore[misc]  # mixed in
        connector = session.connector
        make = getattr(connector, "_factory", None)
        if isinstance(make, partial) and make.func is ResponseHandler:
            connector._factory = partial(_Handler, *make.args, **make.keywords)  # noqa: SLF001 - has no public name
        cls: Any = type(connector)
        if cls.__module__ in _HOMES_OF_CONNECTORS and not issubclass(cls, _Queueing):
            connector.__class__ = _queueing(cls)
        return _Undirected(session)


class _Queueing:
    """Mixed into the class of aiohttp's connections: takes note of a request that waits for its turn on one."""

    async def _wait_for_available_connection(self, *args: Any) -> None:
        execution = CURRENT.get()
        if execution is not None:
            execution.prepares()
        await super()._wait_for_available_connection(*args)  # type: ignore[misc]  # mixed in
        if execution is not None:
            execution.sends()


@cache
def _queueing(cls: type) -> type:
    return type(cls.__name__, (_Queueing, cls), {"__module__": cls.__module__})


class _Undirected:
    """An aiohttp session, as aiobotocore uses it, that follows no redirects."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def request(self, *args: Any, **kwargs: Any) -> Any:
        timeout, own = kwargs.get("timeout"), own_timeouts()
        if own is not None:  # aiobotocore on a botocore before 1.43 says nothing of a request's own
            read = timeout.sock_read if isinstance(timeout, ClientTimeout) else own.read
            kwargs["timeout"] = ClientTimeout(sock_connect=own.connect, sock_read=read)
        return self._session.request(*args, allow_redirects=False, **kwargs)


class _Handler(ResponseHandler):
    """aiohttp's connection, which is not used again once more has arrived on it than was asked for."""

    def is_connected(self) -> bool:
        """Return whether it can be used."""
        return super().is_connected() and not self.should_close

    def feed_data(self, data: Any, *args: Any) -> None:
        """Accept a message's head, with what its body is read from."""
        if data[0].code in _LAST:
            self.force_close()
        super().feed_data(data, *args)


class _Caller:
    """A client, as the session knows it that sends its plain requests."""

    def __init__(self, signer: Any) -> None:
        self._signer = signer

    async def sign(self, request: Any) -> None:
        """Sign a request."""
        execution = CURRENT.get()
        if execution is not None:
            await self._signer.sign(execution.operation, request)

    def is_waiting(self) -> None:
        """Record that nothing of the request is sent yet: it waits for its turn."""
        execution = CURRENT.get()
        if execution is not None:
            execution.prepares()

    def is_connecting(self) -> None:
        """Record that the request waits for a connection that is being made, and no longer for its turn."""
        execution = CURRENT.get()
        if execution is not None:
            execution.asks()

    def own_timeouts(self) -> Timeouts | None:
        """Return the timeouts of the present call; None: they are the client's."""
        return own_timeouts()

    def may_send(self) -> bool:
        """Return whether the request may be sent, and take note that it is from now on."""
        execution = CURRENT.get()
        return execution is None or execution.may_send()

    def apart(self) -> AbstractContextManager[None]:
        """Run something that outlives the call for which it is done: a connection would keep the call, and its item."""
        return holding(CURRENT, None)


def take(http_session: Any, client: Any) -> None:
    """Make one client's HTTP session use such connections, over the transport that its policy names.

    A session class of the caller's own stays as it is. aiobotocore's default becomes ours, whether the client was made
    here or before: a Config of botocore's, and aiobotocore 3.0's `merge`, have no room for `http_session_cls`.
    """
    core = client._resilience  # noqa: SLF001 - the attribute is this library's own
    counters: Counters = core.host.transport
    cls: Any = type(http_session)
    if cls is AIOHTTPSession:
        cls = ProtocolSession
    if not issubclass(cls, _Noted):
        http_session.__class__ = _mixed(cls)
    if not isinstance(http_session, ProtocolSession):
        counters.absent = ANOTHER_SESSION
        return
    signer = getattr(client, "_request_signer", None)  # aiobotocore has no public way to it
    is_on = is_wanted(core.policy) and signer is not None
    counters.absent = None if is_on else SWITCHED_OFF
    http_session.counters = counters
    http_session.connection_max_idle = core.policy.timeouts.connection_max_idle
    http_session.clock = core.policy.clock
    http_session.is_on = is_on
    if is_on:
        http_session.caller = _Caller(signer)


@cache
def _mixed(cls: type) -> type:
    mixin = _Direct if issubclass(cls, AIOHTTPSession) else _Noted
    return type(cls.__name__, (mixin, cls), {"__module__": cls.__module__})


def counted(client: Any) -> tuple[int, int] | None:
    """Return how many connections are in use, and how many are idle; None if the HTTP library does not tell."""
    http = client._endpoint.http_session  # noqa: SLF001 - there is no public way
    in_use, idle = http.counted() if isinstance(http, ProtocolSession) else (0, 0)
    sessions = getattr(http, "_sessions", None)
    found: dict[int, Any] = {}
    for session in list((sessions or {}).values()):
        connector = getattr(session, "connector", None)
        if hasattr(connector, "_acquired"):
            found[id(connector)] = connector
    if not found:
        return (in_use, idle) if isinstance(http, ProtocolSession) else None
    in_use += sum(len(connector._acquired) for connector in found.values())  # noqa: SLF001 - as above
    kept: list[Any] = [waiting for one in found.values() for waiting in list(one._conns.values())]  # noqa: SLF001 - as above
    return in_use, idle + sum(len(waiting) for waiting in kept)


def leave_to_parent(client: Any) -> None:
    """Remove the open connections of an aiobotocore client in a forked process, so that it makes new ones."""
    http = client._endpoint.http_session  # noqa: SLF001 - aiobotocore has no public way to any of this
    if not isinstance(http, AIOHTTPSession):
        client._endpoint.http_session = _ParentsSession()  # noqa: SLF001 - as above
        PARENTS.append(http)
        return
    if isinstance(http, ProtocolSession):
        PARENTS.append(http.leave_connections())
    sessions: dict[Any, Any] | None = http._sessions  # noqa: SLF001 - as above
    if sessions is None:
        return
    for session in sessions.values():
        if session.connector is not None:  # its finalizer would close the connections, as the process ends
            session.connector._closed = True  # noqa: SLF001 - as above
    PARENTS.append((sessions, http._exit_stack, http._sessions_lock))  # noqa: SLF001 - as above
    http._sessions, http._exit_stack = {}, AsyncExitStack()  # noqa: SLF001 - as above
    http._sessions_lock = asyncio.Lock()  # noqa: SLF001 - as above


class _ParentsSession:
    """Stands for connections by another HTTP library, which are only known to be the parent's."""

    async def send(self, request: Any) -> NoReturn:
        """Refuse to send.

        Raises:
            RuntimeError: always.
        """
        del request
        raise RuntimeError("this client was opened before the process was forked: open one of its own in the child")

    async def close(self) -> None:
        """Close nothing."""

    async def __aexit__(self, *_: object) -> None:
        await self.close()
