"""The HTTP session of a sync client, in the place of botocore's: plain requests go a short way, the others botocore's.

A request is plain if nothing about it needs more than one write and one strict read. That is a POST of bytes, without
a proxy, and without anybody's own parts between botocore and the wire. TLS is made by urllib3, on the very context
and with the settings that botocore made, so that it refuses what botocore's own connections refuse.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from io import BytesIO
from typing import Any, cast

from botocore import exceptions as bx
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.httpsession import URLLib3Session
from urllib3 import exceptions as ux
from urllib3.connection import CertificateError  # type: ignore[attr-defined]  # of urllib3 1.26 as well
from urllib3.response import HTTPResponse

from resilient_ddb.policy.clock import SYSTEM_CLOCK, Clock
from resilient_ddb.policy.deadlines import Deadline, current_deadline
from resilient_ddb.policy.policy import Timeouts

from .fast_path import Counters
from .parser import BrokenResponse, Response
from .plain import Target, is_plain, message_of, target_of
from .sync_connections import Connection, Pool, TakenOver, connect, now, time_left
from .sync_guards import is_untouched

_MOST_SERVERS = 10
"""As many as botocore keeps pools of connections."""
_urllib3_log = logging.getLogger("urllib3.connectionpool")


class LeanSession:
    """Stands in for one client's URLLib3Session, and has it."""

    def __init__(self, original: URLLib3Session, counters: Counters, came_over_the_wire: Callable[[], None]) -> None:
        """Send what is plain; leave the rest to `original`.

        `came_over_the_wire` is called once an answer has been read.
        """
        self.original = original
        self.counters = counters
        self.connection_max_idle: float | None = None
        """Seconds after which a connection that waits is not used again; None: it is, however long it has waited."""
        self.clock: Clock = SYSTEM_CLOCK
        """What those seconds are measured with, by both of its times."""
        self.own_timeouts: Callable[[], Timeouts | None] = lambda: None
        """Returns the timeouts of the present call; None: they are the client's."""
        self.deadline_of_call: Callable[[], Deadline | None] = current_deadline
        """Returns the deadline of the present call; None: it has none."""
        self._came_over_the_wire = came_over_the_wire
        self._pools: dict[tuple[str, str, int], Pool] = {}

    def __getattr__(self, name: str) -> Any:
        """Return what botocore's session has beyond this one's: some programs look into it."""
        if name == "original":  # a copy that is being made
            raise AttributeError(name)
        return getattr(self.original, name)

    def close(self) -> None:
        """Close the connections that wait, and those under way as soon as their answers are there."""
        self.forget()
        self.original.close()

    def forget(self) -> None:
        """Close this session's own connections as `close` does, and leave those of botocore's alone."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def leave_to_parent(self) -> None:
        """Close this process's handles in a forked process: nothing goes over the wire, and the parent's calls go on.

        The calls under way are the parent's. A connection that is open here too would not end as the parent closes it.
        """
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()
            for connection in list(pool.in_use):
                connection.close()

    def counted(self) -> tuple[int, int]:
        """Return how many connections of its own are in use, and how many wait for a request."""
        pools = list(self._pools.values())
        return sum(len(pool.in_use) for pool in pools), sum(pool.waiting for pool in pools)

    def send(self, request: Any) -> AWSResponse:
        """Return the answer to a request that is prepared and signed.

        Raises what botocore's session raises. An error has `nothing_was_sent` if that is sure.
        """
        deadline, end = self._limits(request)
        target, message = self._plain(request)
        if target is None:
            response: AWSResponse = self.original.send(request)
            return response
        return _Answer(request.url, self._deliver(target, message, request, deadline, end))

    # For requests that are bytes already.
    def reason_against(self, target: Target) -> str | None:
        """Return why bytes can't be sent to a place by this session now; None if they can."""
        if self.original._proxy_config._proxies.get(target.scheme):  # noqa: SLF001 - there is no public way
            return "a proxy"
        return self._reason_on_the_way()

    def rendered(self, request: Any) -> tuple[Target, bytes] | None:
        """Return where a request would be sent, and the bytes of it; None for one that is not plain."""
        target = target_of(request.url)
        if target is None or not is_plain(request) or self.reason_against(target):
            return None
        message = message_of(request, target)
        return None if message is None else (target, message)

    def exchange(self, target: Target, message: bytes, request: Any) -> Response:
        """Send bytes, and return the answer. `request` is what they are of: its URL, and its context with timeouts.

        Raises what `send` raises.
        """
        return self._deliver(target, message, request, *self._limits(request))

    def _limits(self, request: Any) -> tuple[Deadline | None, float | None]:
        """Return the deadline, and the moment at which it passes; (None, None) if there is none.

        Raises ConnectTimeoutError: it has passed, for instance while credentials were fetched for the signature.
        """
        deadline = self.deadline_of_call()
        if deadline is None:
            return None, None
        left = deadline.remaining()
        if left <= 0:
            raise _unsent(_too_late(request))
        return deadline, now() + left

    def _deliver(
        self, target: Target, message: bytes, request: Any, deadline: Deadline | None, end: float | None
    ) -> Response:
        self.counters.taken += 1
        answer = self._exchange(target, message, request, deadline, end)
        self._came_over_the_wire()
        return answer

    def _plain(self, request: Any) -> tuple[Target | None, bytes]:
        """Return where a plain request goes and the bytes that are sent; for any other None, and count why."""
        reason = self._reason_against(request)
        if reason is None:
            target = target_of(request.url)
            if target is None:
                reason = "the form of the URL"
            elif self.original._proxy_config._proxies.get(target.scheme):  # noqa: SLF001 - there is no public way
                reason = "a proxy"
            else:
                message = message_of(request, target)
                if message is not None:
                    return target, message
                reason = "the headers"
        self.counters.decline(reason)
        return None, b""

    def _reason_against(self, request: Any) -> str | None:
        return self._reason_on_the_way() if is_plain(request) else "no plain POST of bytes"

    def _reason_on_the_way(self) -> str | None:
        original = self.original
        if original._cert_file is not None:  # noqa: SLF001 - there is no public way
            return "a client certificate"
        if "send" in vars(original) or not is_untouched():
            return "somebody's own parts below botocore"
        if _urllib3_log.isEnabledFor(logging.DEBUG):
            return "a debug log of urllib3's"
        return None

    # The way over the wire.

    def _exchange(
        self, target: Target, message: bytes, request: Any, deadline: Deadline | None, end: float | None
    ) -> Response:
        pool = self._pool_of(target)
        timeout = _read_timeout(self.original, request, self.own_timeouts())
        connection: Connection | None = None
        is_reusable = False
        try:
            connection = pool.take(self.connection_max_idle, (self.clock.monotonic(), self.clock.time()))
            if connection is None:
                connection = self._open(target, request, end)
            pool.in_use.add(connection)
            if deadline is not None and deadline.remaining() <= 0:  # it takes time to connect
                raise _unsent(_too_late(request))
            try:
                connection.send(message, timeout, end)
            except Exception as error:
                raise _of_the_wire(error, request, sending=True) from error
            try:
                answer, is_reusable = connection.receive(timeout, end)
            except Exception as error:
                raise _of_the_wire(error, request) from error
            return answer
        finally:
            if connection is not None:
                pool.in_use.discard(connection)
            if is_reusable and connection is not None:
                pool.give(connection, self.connection_max_idle, (self.clock.monotonic(), self.clock.time()))
            elif connection is not None:
                connection.close()

    def _pool_of(self, target: Target) -> Pool:
        key = (target.scheme, target.host, target.port)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools.setdefault(key, Pool(self.original._max_pool_connections))  # noqa: SLF001 - no public way
            for other in list(self._pools)[:-_MOST_SERVERS]:
                oldest = self._pools.pop(other, None)
                if oldest is not None:
                    oldest.close()
        return pool

    def _open(self, target: Target, request: Any, end: float | None) -> Connection:
        """Return a new connection. Whatever fails here, nothing was sent."""
        original, url = self.original, request.url
        own = self.own_timeouts()
        timeout = _connect_timeout(original) if own is None else own.connect
        connected: Any = None
        taken_over: TakenOver | None = None
        try:
            connected = connect(target.host, target.port, original._socket_options or (), timeout, end)  # noqa: SLF001 - as above
            if target.scheme == "https":
                connected.settimeout(time_left(timeout, end))
                taken_over = TakenOver(connected)
                connected = self._secured(taken_over, url)
            return Connection(connected)
        except BaseException as error:
            if connected is not None:
                connected.close()
            if not isinstance(error, Exception):
                raise
            failure = _unsent(_of_connecting(error, url, in_handshake=connected is not None))
            if taken_over is not None and isinstance(error, TimeoutError):
                failure.client_was_busy = taken_over.is_too_late()  # type: ignore[attr-defined]  # `classification` asks for it
            try:
                raise failure from error
            finally:
                del failure  # it knows this frame: they would keep each other

    def _secured(self, connected: Any, url: str) -> Any:
        """Return a TLS socket over a plain one, made and checked by urllib3 as botocore has it done."""
        original = self.original
        pool = original._get_connection_manager(url).connection_from_url(url)  # noqa: SLF001 - there is no public way to any of this
        original._setup_ssl_cert(pool, url, original._verify)  # noqa: SLF001 - as above
        made = pool._new_conn()  # noqa: SLF001 - as above
        vars(made)["_new_conn"] = lambda: connected
        try:
            pool._validate_conn(made)  # noqa: SLF001 - as above
            secured, made.sock = made.sock, None
        finally:
            del vars(made)["_new_conn"]  # it knows the connection that it is of
        return secured


class _Answer(AWSResponse):  # type: ignore[misc]  # botocore has no types of its own
    """botocore's response, of which all is there."""

    def __init__(self, url: str, answer: Response) -> None:
        self.url = url
        self.status_code = answer.status
        self.headers = _Headers(answer.headers)
        self._content = answer.body

    @cached_property
    def raw(self) -> HTTPResponse:
        """urllib3's response, of which the body has been read."""
        return HTTPResponse(
            BytesIO(), dict(self.headers), self.status_code, preload_content=False, enforce_content_length=False
        )


def headers_by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by their names in lower case. Of a name that is there more than once the values are joined."""
    found: dict[str, str] = {}
    for name, value in pairs:
        lower = name.lower()
        known = found.get(lower)
        found[lower] = value if known is None else f"{known}, {value}"
    return found


class _Headers(HeadersDict):  # type: ignore[misc]  # as above
    """botocore's headers, which are asked for a dozen times in a call: that is quicker by names in lower case.

    Of a name that is there more than once the values are joined, as urllib3 does it.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        found: dict[str, tuple[str, Any]] = {}
        for name, value in pairs:
            lower = name.lower()
            known = found.get(lower)
            found[lower] = (name, value) if known is None else (known[0], f"{known[1]}, {value}")
        self._found = found

    def __getitem__(self, key: str) -> Any:
        return self._found[key.lower()][1]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._found

    def __setitem__(self, key: str, value: Any) -> None:
        lower = key.lower()
        name, _ = self._found.get(lower, (key, None))
        self._found[lower] = (name, value)

    def __delitem__(self, key: str) -> None:
        del self._found[key.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._found.values()])

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return repr(dict(self.items()))


def _connect_timeout(original: Any) -> float | None:
    timeout = original._timeout  # noqa: SLF001 - there is no public way
    return cast("float | None", timeout if isinstance(timeout, int | float) else timeout.connect_timeout)


def _read_timeout(original: Any, request: Any, own: Timeouts | None) -> float | None:
    """Return the seconds without a byte that end an attempt: the request's own if it has any, as botocore has it.

    botocore before 1.43 does not say what the request's are: there the call's `own` hold.
    """
    context = getattr(request, "context", None)
    found: float | None = context.get("read_timeout") if context else None
    if found is not None:
        return found
    if own is not None:
        return own.read
    timeout = original._timeout  # noqa: SLF001 - as above
    if not isinstance(timeout, int | float):
        timeout = timeout.read_timeout
    return cast("float | None", timeout)


# Errors: botocore's, as its own session raises them.


def _unsent(error: Exception) -> Exception:
    error.nothing_was_sent = True  # type: ignore[attr-defined]  # `classification` asks for it
    return error


def _too_late(request: Any) -> Exception:
    late: Exception = bx.ConnectTimeoutError(endpoint_url=request.url, error=TimeoutError("the deadline has passed"))
    return late


def _of_connecting(error: Exception, url: str, *, in_handshake: bool) -> Exception:
    found: Exception
    if isinstance(error, ux.SSLError):
        found = bx.SSLError(endpoint_url=url, error=error)
    elif isinstance(error, ssl.SSLError | CertificateError):
        found = bx.SSLError(endpoint_url=url, error=ux.SSLError(error))
    elif isinstance(error, TimeoutError):  # botocore says "read" of a handshake
        cls = bx.ReadTimeoutError if in_handshake else bx.ConnectTimeoutError
        found = cls(endpoint_url=url, error=error)
    elif isinstance(error, OSError) and in_handshake:
        found = bx.ConnectionClosedError(error=ux.ProtocolError("Connection aborted.", error), endpoint_url=url)
    elif isinstance(error, OSError):
        found = bx.EndpointConnectionError(endpoint_url=url, error=error)
    else:
        found = bx.HTTPClientError(error=error)
    return found


def _of_the_wire(error: Exception, request: Any, *, sending: bool = False) -> Exception:
    found: Exception
    if isinstance(error, ssl.SSLError) and not isinstance(error, TimeoutError):
        found = bx.SSLError(endpoint_url=request.url, error=ux.SSLError(error))
    elif isinstance(error, TimeoutError) and not sending:
        found = bx.ReadTimeoutError(endpoint_url=request.url, error=error)
    elif isinstance(error, OSError | BrokenResponse):
        broken = ux.ProtocolError("Connection aborted.", error)
        found = bx.ConnectionClosedError(error=broken, request=request, endpoint_url=request.url)
    else:  # whatever it was, the request is on its way
        found = bx.HTTPClientError(error=error)
    return found
