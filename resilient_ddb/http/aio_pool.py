"""The connections of an async client on one event loop: so many are in use at most, and each serves one request."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from errno import ECONNRESET
from functools import lru_cache
from socket import gaierror
from typing import Any, NamedTuple, NoReturn

import aiohttp

from resilient_ddb.policy.clock import Moment, have_passed, is_too_busy

from .aio_connection import Connection
from .aio_names import Names
from .plain import Target

try:  # what aiohttp connects with
    from aiohappyeyeballs import start_connection
except ImportError:  # before aiohttp 3.10
    start_connection = None  # type: ignore[assignment]  # there is no other way to say that it may be missing

_ATTEMPT_DELAY = 0.25
"""Seconds after which the next address of a name is tried as well. As aiohttp has it."""
_NO_LIMIT = 1 << 30

_NoSuchName = getattr(aiohttp, "ClientConnectorDNSError", aiohttp.ClientConnectorError)  # since aiohttp 3.10

Origin = tuple[str, str, int]


class _Key(NamedTuple):
    """What aiohttp's errors say of a connection that could not be made."""

    host: str
    port: int
    is_ssl: bool
    ssl: bool = True


class Pool:
    """Connections of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        """Allow `most` to be in use at a time; 0 is no limit, as with aiohttp."""
        self.loop = loop
        self.permits = asyncio.Semaphore(most or _NO_LIMIT)
        """One for each request under way: first come, first served."""
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._names = Names(loop)
        self.is_closed = False
        """Whether no request is sent on its connections any more."""
        self._emptied: asyncio.Future[None] | None = None

    def counted(self) -> tuple[int, int]:
        """Return how many connections are in use, and how many wait for a request."""
        waiting = sum(len(those) for those in list(self._idle.values()))
        return max(0, len(self._open) - waiting), waiting

    def idle(self, target: Target, now: Moment, max_idle: float | None) -> Connection | None:
        """Return a connection that waits to be used, the last used first; None if none is fit for it."""
        waiting = self._idle.get(target[:3])
        while waiting:
            found = waiting.pop()
            is_late = max_idle is not None and have_passed(max_idle, found.idle_since, now)
            if not is_late and found.is_open():
                return found
            found.abort()
        return None

    def check(self, connection: Connection, target: Target) -> None:
        """Refuse a connection that was lost before anything was sent on it.

        Raises:
            aiohttp.ClientConnectorError: it was lost.
        """
        if not connection.is_open():
            key: Any = _Key(target.host, target.port, target.scheme == "https")
            raise aiohttp.ClientConnectorError(key, ConnectionResetError(ECONNRESET, "Closed before it was used"))

    def refuse(self, target: Target) -> NoReturn:
        """Raise the error for a connection that was there too late.

        Raises:
            aiohttp.ServerTimeoutError: always. Nothing was sent.
        """
        raise aiohttp.ServerTimeoutError(f"Connection to host {target.host_header} was there after the deadline")

    def put_back(self, target: Target, connection: Connection, now: Moment) -> None:
        """Keep a connection for the next request, if it may have one."""
        if connection.is_clean and not self.is_closed:
            connection.idle_since = now
            self._idle.setdefault(target[:3], []).append(connection)
        else:
            connection.abort()

    async def connect(self, target: Target, context: ssl.SSLContext | None, patience: float | None) -> Connection:
        """Make a connection.

        Args:
            target: where to.
            context: TLS as the SDK sets it up; None: without.
            patience: seconds for all of it: the look-up of the name, all its addresses, TLS.

        Raises:
            aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError: it could not be made. Nothing was sent.
        """
        key: Any = _Key(target.host, target.port, context is not None)
        limit, ended_at = asyncio.timeout(patience), list[float]()
        try:
            async with limit:
                made = await self._connected_by(limit.when(), ended_at, target, context)
        except ssl.CertificateError as error:
            raise aiohttp.ClientConnectorCertificateError(key, error) from error
        except ssl.SSLError as error:
            raise aiohttp.ClientConnectorSSLError(key, error) from error
        except gaierror as error:
            raise _NoSuchName(key, error) from error
        except OSError as error:
            if limit.expired():
                late = aiohttp.ServerTimeoutError(
                    f"Connection timeout to host {target.scheme}://{target.host_header}{target.path}"
                )
                by = min([*ended_at, self.loop.time()]) - (limit.when() or 0.0)
                late.client_was_busy = is_too_busy(by, patience or 0.0)  # type: ignore[attr-defined]  # `_in_aiobotocores_words` asks for it
                raise late from error
            raise aiohttp.ClientConnectorError(key, error) from error
        return made

    async def _connected_by(
        self, end: float | None, ended_at: list[float], target: Target, context: ssl.SSLContext | None
    ) -> Connection:
        """Return a connection. If `end` passes meanwhile, the event loop says in `ended_at` when it saw that.

        The task that waits is told some turns later, each of which may be long.
        """
        if end is None:
            return await self._connected(target, context)
        watch = self.loop.call_at(end, lambda: ended_at.append(self.loop.time()))
        try:
            return await self._connected(target, context)
        finally:
            watch.cancel()

    async def _connected(self, target: Target, context: ssl.SSLContext | None) -> Connection:
        tls: dict[str, Any] = {}
        if context is not None:
            tls = {"ssl": context, "server_hostname": target.host.rstrip(".")}
        if start_connection is None or _is_address(target.host):
            _, made = await self.loop.create_connection(self._new, target.host, target.port, **tls)
        else:
            addresses = await self._names.addresses(target.host, target.port)
            found = await start_connection(addresses, happy_eyeballs_delay=_ATTEMPT_DELAY, interleave=1, loop=self.loop)
            _, made = await self.loop.create_connection(self._new, sock=found, **tls)
        if made.is_lost:
            raise ConnectionResetError(ECONNRESET, "Closed before it was used")
        self._open.add(made)
        return made

    def _new(self) -> Connection:
        return Connection(self.loop, self._forget)

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        for waiting in self._idle.values():
            if connection in waiting:
                waiting.remove(connection)
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)

    async def close(self) -> None:
        """Close all connections, also those in use, whose requests fail; return when they are closed."""
        self.is_closed = True
        self._idle.clear()
        if self._open:
            self._emptied = self.loop.create_future()
            for connection in list(self._open):
                connection.abort()
            await self._emptied

    def abandon(self) -> None:
        """Close the sockets of a loop that can't run any more."""
        self._idle.clear()
        for connection in list(self._open):
            connection.cut()
        self._open.clear()


@lru_cache(maxsize=32)
def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
