"""An HTTP session for aiobotocore's clients: plain requests on connections of our own, all others as aiobotocore does.

It is aiobotocore's own session, with another way through `send`. Its settings, its TLS and its errors are those of
aiobotocore, word for word. A program that comes between aiobotocore and aiohttp (vcrpy, aioresponses,
instrumentation) gets to see every request: then none goes this way.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore.awsrequest import AWSRequest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import create_urllib3_context

from resilient_ddb.codec.originals import Original, Parts
from resilient_ddb.policy.clock import SYSTEM_CLOCK, Clock
from resilient_ddb.policy.policy import Timeouts

from .aio_connection import Connection
from .aio_pool import Pool
from .fast_path import SWITCHED_OFF, Counters
from .headers import AnswerHeaders
from .message import render
from .parser import BrokenResponse, Response
from .plain import Target, headers_of, is_plain, message_of, target_of

_SIGNED_LONG_AGO = 1.0
"""Seconds that a request may have waited for its connection without being signed anew."""
_USUAL_CONNECTOR = AioConfig().connector_args
"""aiobotocore puts it in by itself. Of a connection's age the policy decides."""
_PLAIN_SOCKET_OPTIONS = {(socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.SOL_SOCKET, socket.SO_KEEPALIVE)}
"""What asyncio and this library set anyway."""

_BETWEEN = Original(
    Parts(session=AIOHTTPSession, client=aiohttp.ClientSession, connector=aiohttp.TCPConnector),
    [
        *("session.send", "session._get_session", "session.__init__"),
        *("client.__init__", "client._request", "client.request"),
        *("connector.__init__", "connector.connect", "connector._create_connection"),
    ],
    *(AIOHTTPSession.__module__, aiohttp.ClientSession.__module__, aiohttp.TCPConnector.__module__),
)
_CLASSES = (aiohttp.ClientSession, aiohttp.TCPConnector)


class Caller(Protocol):
    """The client's side of the requests that a session sends."""

    async def sign(self, request: Any) -> None:
        """Sign a request."""

    def is_waiting(self) -> None:
        """Record that nothing of the request is sent yet: it waits for its turn."""

    def is_connecting(self) -> None:
        """Record that the request waits for a connection that is being made, and no longer for its turn."""

    def own_timeouts(self) -> Timeouts | None:
        """Return the timeouts of the present call; None: they are the client's."""
        ...

    def may_send(self) -> bool:
        """Return whether the request may be sent, and take note that it is from now on."""
        ...

    def apart(self) -> AbstractContextManager[None]:
        """Run something that must keep nothing of the call that it is done for."""


class ProtocolSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore has no types of its own
    """aiobotocore's HTTP session, whose plain requests go over connections of ours."""

    # These are set late: a session that exists already may be made one of this class.
    caller: Caller | None = None
    """Whose requests they are. Once it is set it stays: a call may be under way while this is switched off."""
    is_on = False
    """Whether requests go over connections of ours; if not, all go as aiobotocore sends them."""
    counters: Counters
    """Set with `caller`."""
    connection_max_idle: float | None = None
    """Seconds after which a connection that waits is not used again; None: it is, however long it has waited."""
    clock: Clock = SYSTEM_CLOCK
    """What those seconds are measured with, by both of its times."""
    _pool: Pool | None = None
    _is_set_up_otherwise: bool | None = None

    def counted(self) -> tuple[int, int]:
        """Return how many connections of its own are in use, and how many wait for a request."""
        return (0, 0) if self._pool is None else self._pool.counted()

    async def send(self, request: Any) -> Any:
        """Send a request, and return its response."""
        caller = self.caller if self.is_on else None
        plain = None if caller is None else self._plain(request)
        if caller is None or plain is None:
            return await super().send(request)
        pool, target, message = plain
        again = partial(self._signed_anew, caller, request, target)
        return _Answer(request.url, await self._deliver(caller, pool, target, message, request, again))

    # For requests that are bytes already.
    def reason_against(self, target: Target) -> str | None:
        """Return why bytes can't be sent to a place by this session now; None if they can."""
        del target
        if not self.is_on:
            return SWITCHED_OFF
        return self._reason_on_the_way() or (None if self._pool_here() else "another event loop")

    def rendered(self, request: Any) -> tuple[Target, bytes] | None:
        """Return where a request would be sent, and the bytes of it; None for one that is not plain."""
        target = self._target_of(request.url)
        if isinstance(target, str) or not is_plain(request) or self.reason_against(target):
            return None
        message = message_of(request, target)
        return None if message is None else (target, message)

    async def exchange(
        self, target: Target, message: bytes, request: Any, again: Callable[[], Awaitable[bytes]]
    ) -> Response:
        """Send bytes, and return the answer.

        Args:
            target: where to, as `rendered` returns it.
            message: the bytes.
            request: what they are of: its URL, and its context with timeouts.
            again: returns the bytes with a new signature; called if they have waited for long.

        Raises what `send` raises.
        """
        caller, pool = self.caller, self._pool_here()
        if caller is None or pool is None:
            raise RuntimeError("the session changed between the question whether it sends, and the sending")
        return await self._deliver(caller, pool, target, message, request, again)

    async def __aexit__(self, *exc_info: object) -> None:
        pool, self._pool = self._pool, None
        try:
            if pool is not None and pool.loop is asyncio.get_running_loop():
                await pool.close()
            elif pool is not None and pool.loop.is_closed():
                pool.abandon()
        finally:
            await super().__aexit__(*exc_info)

    def abandon(self) -> None:
        """Close the connections of a loop that can't run any more, as far as that can be done without it."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.abandon()

    def leave_connections(self) -> Any:
        """Return the open connections, and know of none any more: in a forked process they are the parent's."""
        pool, self._pool = self._pool, None
        return pool

    # Whether it goes this way.
    def _plain(self, request: Any) -> tuple[Pool, Target, bytes] | None:
        """Return what a plain request goes by and the bytes that are sent; for any other None, and count why."""
        reason = self._reason_against(request)
        target = reason or self._target_of(request.url)
        if not isinstance(target, str):
            pool = self._pool_here()
            reason = "another event loop" if pool is None else "the headers"
            message = None if pool is None else message_of(request, target)
            if pool is not None and message is not None:
                return pool, target, message
        self.counters.decline(reason or str(target))
        return None

    def _reason_against(self, request: Any) -> str:
        reason = self._reason_on_the_way()
        return reason or ("" if is_plain(request) else "no plain POST of bytes")

    def _reason_on_the_way(self) -> str:
        if self._is_set_up_otherwise is None:
            self._is_set_up_otherwise = self._has_settings_of_aiohttp()
        if self._sessions is None:
            return "a closed client"
        if self._is_set_up_otherwise:
            return "settings of the socket or the connector"
        return "" if _nobody_between() else "somebody's own parts below botocore"

    def _has_settings_of_aiohttp(self) -> bool:
        """Return whether the caller's Config asks for what only aiohttp does."""
        options = self._socket_options or []
        plain_options = all(option[:2] in _PLAIN_SOCKET_OPTIONS and option[2] == 1 for option in options)
        return not plain_options or self._connector_args != _USUAL_CONNECTOR

    def _target_of(self, url: str) -> Target | str:
        """Return where a URL leads, or why its requests go as aiobotocore sends them."""
        target = target_of(url)
        if target is None:
            return "the form of the URL"
        has_proxy = self._proxy_config._proxies.get(target.scheme)  # noqa: SLF001 - there is no public way
        return "a proxy or a client certificate" if has_proxy or self._cert_file else target

    def _pool_here(self) -> Pool | None:
        """Return the pool of the running loop; None if there is one of another loop that is still open."""
        loop = asyncio.get_running_loop()
        pool = self._pool
        if pool is not None and pool.loop is loop:
            return pool
        if pool is not None:
            if not pool.loop.is_closed():
                return None
            self.abandon()
        pool = self._pool = Pool(loop, self._max_pool_connections)
        return pool

    # The way.
    async def _deliver(
        self,
        caller: Caller,
        pool: Pool,
        target: Target,
        message: bytes,
        request: Any,
        again: Callable[[], Awaitable[bytes]],
    ) -> Response:
        self.counters.taken += 1
        caller.is_waiting()
        context = getattr(request, "context", None)  # botocore before 1.43 has none there
        patience = None if context is None else context.get("read_timeout")
        own = caller.own_timeouts()
        if patience is None:
            patience = self._timeout.sock_read if own is None else own.read
        signed_at = pool.loop.time()
        try:
            async with pool.permits:
                self._check_open(pool)
                moment = (self.clock.monotonic(), self.clock.time())
                connection = pool.idle(target, moment, self.connection_max_idle)
                if connection is None:
                    caller.is_connecting()
                    with caller.apart():
                        tls = await self._tls() if target.scheme == "https" else None
                        connect_seconds = self._timeout.sock_connect if own is None else own.connect
                        connection = await pool.connect(target, tls, connect_seconds)
                try:
                    self._check_open(pool)  # it may have been closed while this waited, and while it connected
                    if context is not None and pool.loop.time() - signed_at > _SIGNED_LONG_AGO:
                        message = await again()
                        pool.check(connection, target)
                    if not caller.may_send():
                        pool.refuse(target)
                    response = await _answer(connection, message, patience)
                except BaseException:
                    connection.abort()
                    raise
                pool.put_back(target, connection, (self.clock.monotonic(), self.clock.time()))
                return response
        except (aiohttp.ClientError, BrokenResponse) as error:
            raise _in_aiobotocores_words(error, request)  # noqa: B904 - as aiobotocore raises it

    def _check_open(self, pool: Pool) -> None:
        """Refuse to send for a client that was closed.

        Raises:
            HTTPClientError: it was closed.
        """
        if pool.is_closed or self._sessions is None:
            closed = HTTPClientError(error=RuntimeError("the client was closed before the request was sent"))
            closed.client_was_closed = True  # `classification` asks for it
            raise closed

    async def _tls(self) -> ssl.SSLContext:
        """Return the context that aiobotocore made for its own connections.

        Raises:
            HTTPClientError: it can't be made, for instance as there is no such bundle of certificates.
        """
        session = self._sessions.get(None)
        if session is None:
            try:
                await self._get_session(None)
                session = self._sessions[None]
            except Exception as error:
                unmade = HTTPClientError(error=error)  # as aiobotocore's own `send` raises it
                unmade.nothing_was_sent = True
                raise unmade from error
        found = session.connector._ssl  # noqa: SLF001 - aiohttp has no public name for it
        if isinstance(found, ssl.SSLContext):
            if self._verify:
                found.check_hostname = True  # aiobotocore 3.0 leaves it to nobody; botocore, and 3.10, check it
            return found
        context: ssl.SSLContext = create_urllib3_context()  # aiobotocore 3.0 has none if nothing is verified
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    async def _signed_anew(self, caller: Caller, request: Any, target: Target) -> bytes:
        headers = {
            name: value.decode("latin-1") if isinstance(value, bytes) else value
            for name, value in request.headers.items()
            if name.lower() != "content-length"  # it is put in again, and is not signed
        }
        fresh = AWSRequest(request.method, request.url, headers, request.body)
        fresh.context = request.context
        await caller.sign(fresh)
        request.headers = fresh.prepare().headers
        return render("POST", target.path, headers_of(request, target) or [], request.body)


async def _answer(connection: Connection, message: bytes, patience: float | None) -> Response:
    try:
        return await connection.exchange(message, patience)
    except (aiohttp.ClientError, BrokenResponse):
        raise
    except Exception as error:  # whatever it was, the request may be on its way
        raise HTTPClientError(error=RuntimeError(repr(error))) from error


class _Answer(AioAWSResponse):  # type: ignore[misc]  # aiobotocore has no types of its own
    """aiobotocore's response, of which all is there: aiobotocore reads it in `send` as well."""

    def __init__(self, url: str, response: Response) -> None:
        self.url, self.status_code = url, response.status
        self.headers = AnswerHeaders(response.headers)
        self.raw = _Raw(response.body)
        self._content = response.body


class _Raw:
    """A response's body, as it is read from aiohttp."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


def _nobody_between() -> bool:
    """Return whether all that comes between aiobotocore and the wire is as it was made."""
    session, connector = _CLASSES
    return aiohttp.ClientSession is session and aiohttp.TCPConnector is connector and _BETWEEN.stands()


def _in_aiobotocores_words(error: Exception, request: Any) -> HTTPClientError:
    """Return the error that aiobotocore raises where aiohttp raises this one."""
    found = _in_botocores_words(error, request)
    if isinstance(error, aiohttp.ClientConnectorError) or isinstance(found, ConnectTimeoutError):
        found.nothing_was_sent = True  # `classification` asks for it
        found.client_was_busy = getattr(error, "client_was_busy", False)  # as above
    return found


def _in_botocores_words(error: Exception, request: Any) -> HTTPClientError:
    url = request.url
    if isinstance(error, aiohttp.ClientSSLError):
        return SSLError(endpoint_url=url, error=error)
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return ConnectionClosedError(error=error, request=request, endpoint_url=url)
    if isinstance(error, aiohttp.ServerTimeoutError):
        if str(error).startswith("Connection"):
            return ConnectTimeoutError(endpoint_url=url, error=error)
        return ReadTimeoutError(endpoint_url=url, error=error)
    if isinstance(error, aiohttp.ClientConnectionError):
        return EndpointConnectionError(endpoint_url=url, error=error)
    return HTTPClientError(error=error)
