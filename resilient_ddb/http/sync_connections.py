"""One connection of a sync client: how it is made, what goes over it, and the pool in which it waits for the next call.

Connecting, sending and reading each end with the timeout that the client was given. All of them end with `end`: the
moment, on the machine's monotonic clock, at which the caller's deadline passes.
"""

from __future__ import annotations

import socket
import time
import weakref
from collections import deque
from collections.abc import Iterable
from errno import ECONNRESET, EPIPE, EPROTOTYPE
from typing import Any

from urllib3.util import connection as urllib3_connection

from resilient_ddb.policy.clock import Moment, have_passed, is_too_busy

from .descriptors import asker
from .parser import BrokenResponse, Response, ResponseParser

_READ_BYTES = 65_536
_LEFT_EARLY = (EPIPE, EPROTOTYPE, ECONNRESET)
"""A server may answer, and leave, before it has read the whole request: its answer is there all the same."""

now = time.monotonic


def time_left(timeout: float | None, end: float | None) -> float | None:
    """Return the seconds for the next step, or None if there is no limit.

    Raises TimeoutError if the deadline has passed.
    """
    if end is None:
        return timeout
    left = end - now()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left if timeout is None or left < timeout else timeout


def connect(
    host: str, port: int, options: Iterable[tuple[Any, ...]], timeout: float | None, end: float | None
) -> socket.socket:
    """Return a socket that is connected to the first of a host's addresses that answers.

    Each address has `timeout` seconds, all of them together have until `end`. A lookup of names can't be interrupted:
    if it takes longer, nothing is connected.

    Raises OSError (TimeoutError, socket.gaierror): no address answers, or in time.
    """
    failure: OSError | None = None
    family = urllib3_connection.allowed_gai_family()
    for family_of_address, kind, protocol, _, address in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM):
        limit = time_left(timeout, end)
        made = None
        try:
            made = socket.socket(family_of_address, kind, protocol)
            for option in options:
                made.setsockopt(*option)
            made.settimeout(limit)
            made.connect(address)
        except OSError as error:
            failure = error
            if made is not None:
                made.close()
        except BaseException:
            if made is not None:
                made.close()
            raise
        else:
            return made
    try:
        raise failure or OSError("getaddrinfo returns an empty list")
    finally:
        failure = None  # the error knows this frame: they would keep each other


class TakenOver:
    """A socket as TLS takes it over. It is asked for its timeout as the handshake begins.

    Only then: before that, what is trusted is loaded, which takes long where there is little CPU.
    """

    def __init__(self, connected: socket.socket) -> None:
        """Wrap a socket that is connected, and has the timeout of the handshake."""
        self._connected = connected
        self._patience = connected.gettimeout()
        self._begun_at: float | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connected, name)

    def gettimeout(self) -> float | None:
        """Return the seconds that the handshake may take."""
        self._begun_at = now()
        return self._patience

    def is_too_late(self) -> bool:
        """Return whether the handshake, if it began, ends now so late that this program was too busy for it."""
        if self._begun_at is None or self._patience is None:
            return False
        return is_too_busy(now() - self._begun_at - self._patience, self._patience)


class Connection:
    """A connection on which one request at a time is sent, and its answer read."""

    __slots__ = ("_receive", "_send", "_socket", "_timeout", "is_readable", "waits_since")

    def __init__(self, connected: Any) -> None:
        self._socket = connected
        self._send = connected.sendall
        self._receive = connected.recv
        self._timeout = connected.gettimeout()
        self.waits_since: Moment = (0.0, 0.0)
        self.is_readable = asker(connected.fileno())
        """Returns whether something can be read: while no answer is due, the connection is closed, or out of step."""

    def close(self) -> None:
        """Close it, as far as this process has it: TLS says no goodbye, which a forked process's parent would hear."""
        self._socket.close()

    def send(self, message: bytes, timeout: float | None, end: float | None) -> None:
        """Send a whole request.

        Raises OSError: the connection is broken, or has taken too long.
        """
        self._limit(time_left(timeout, end))
        try:
            self._send(message)
        except OSError as error:
            if error.errno not in _LEFT_EARLY:
                raise

    def receive(self, timeout: float | None, end: float | None) -> tuple[Response, bool]:
        """Return the answer, and whether the connection may be used again.

        Raises:
            BrokenResponse: what comes is no answer, or not a whole one.
            OSError: the connection is broken.
            TimeoutError: nothing came for `timeout` seconds, or not all before `end`.
        """
        parser = ResponseParser()
        while True:
            self._limit(time_left(timeout, end))
            data = self._receive(_READ_BYTES)
            response = parser.feed(data) if data else _ended(parser)
            if response is not None:
                return response, response.keep_alive and not parser.surplus

    def _limit(self, seconds: float | None) -> None:
        if seconds != self._timeout:
            self._socket.settimeout(seconds)
            self._timeout = seconds


def _ended(parser: ResponseParser) -> Response | None:
    """Return the answer that ends with the connection. One that was cut is handed on, as botocore's session does.

    Its checksum, or its JSON, tells then.
    """
    try:
        return parser.ended()
    except BrokenResponse as cut:
        if cut.received is None:
            raise
        return cut.received


class Pool:
    """The connections to one server that wait for a request; the one used last is used first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[Connection] = deque()
        self.in_use: set[Connection] = set()
        """Those under way."""
        self._is_closed = False
        weakref.finalize(self, _close_all, self._waiting)  # as urllib3's: few programs close their clients

    @property
    def waiting(self) -> int:
        """Return how many connections wait for a request."""
        return len(self._waiting)

    def take(self, longest_wait: float | None, moment: Moment) -> Connection | None:
        """Return a connection that can be used, or None. `moment` is now, for those that have waited too long."""
        while True:
            try:
                connection = self._waiting.pop()
            except IndexError:
                return None
            is_late = longest_wait is not None and have_passed(longest_wait, connection.waits_since, moment)
            if not is_late and not connection.is_readable():
                return connection
            connection.close()

    def give(self, connection: Connection, longest_wait: float | None, moment: Moment) -> None:
        """Keep a connection for the next request; let go of one too many, and of those that have waited too long."""
        connection.waits_since = moment
        self._waiting.append(connection)
        waiting = self._waiting
        while len(waiting) > self._most or self._is_closed or _is_late(waiting, longest_wait, moment):
            try:
                waiting.popleft().close()
            except IndexError:  # another thread was quicker
                return

    def close(self) -> None:
        """Close all, and those under way as they are given back. No lock is waited for: it serves a forked process."""
        self._is_closed = True
        _close_all(self._waiting)


def _close_all(waiting: deque[Connection]) -> None:
    while waiting:
        try:
            waiting.pop().close()
        except IndexError:  # another thread was quicker
            return


def _is_late(waiting: deque[Connection], longest_wait: float | None, moment: Moment) -> bool:
    if longest_wait is None:
        return False
    try:
        return have_passed(longest_wait, waiting[0].waits_since, moment)
    except IndexError:
        return False
