"""One connection of an async client: one request at a time, and the answer to it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from math import inf
from typing import Any, cast

import aiohttp

from resilient_ddb.policy.clock import Moment

from .descriptors import asker
from .parser import BrokenResponse, Response, ResponseParser


class Connection(asyncio.Protocol):
    """Sends a request and reads its answer. What fails is raised as aiohttp raises it: aiobotocore's words follow."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: Callable[[Connection], None]) -> None:
        """Make a connection of `loop`; `on_lost` is called once it is there no more."""
        self._loop = loop
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._beneath: asyncio.Transport | None = None
        """Of TLS, the transport that sends what is encrypted."""
        self._ask: Callable[[], bool] | None = None
        self._parser: ResponseParser | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._patience = 0.0
        self._quiet_until = 0.0
        self._unsent = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._apart = Context()
        """Of the timer, which outlives the call that sets it: it must keep nothing of it."""
        self.is_clean = False
        """Whether the last request was sent, and answered, as a whole and with nothing beyond: another may follow."""
        self.idle_since: Moment = (0.0, 0.0)
        self.is_lost = False

    # What the loop tells.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._beneath = _beneath(transport)
        found = transport.get_extra_info("socket")
        if found is not None:
            self._ask = asker(found.fileno())
            with suppress(OSError):  # as aiohttp does
                found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Read on in the answer. What nobody waits for ends the connection."""
        answer, parser = self._answer, self._parser
        if answer is None or parser is None or answer.done():
            self.abort()
            return
        self._quiet_until = self._loop.time() + self._patience
        try:
            response = parser.feed(data)
        except BrokenResponse as error:
            self._fail(error)
            return
        if response is not None:
            self._finish(answer, parser, response)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what is under way."""
        self._transport, self._beneath, self.is_lost = None, None, True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        answer, parser = self._answer, self._parser
        if answer is not None and parser is not None and not answer.done():
            try:
                response = parser.ended()
                if response is not None and exc is None:
                    self._finish(answer, parser, response)
                else:
                    answer.set_exception(_lost(exc, unanswered=False))
            except BrokenResponse as error:
                answer.set_exception(_lost(exc, unanswered=error.unanswered))
        self._on_lost(self)

    # What the session asks for.
    def is_open(self) -> bool:
        """Return whether a request may be sent on it: it is open, as far as is known here, and has nothing to read."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        return self._ask is None or not self._ask()

    async def exchange(self, message: bytes, patience: float | None) -> Response:
        """Send a request, and return its answer.

        Args:
            message: the request.
            patience: seconds without a byte of it sent or of the answer read, after which it has failed.

        Raises:
            aiohttp.ClientError: the connection was lost, or nothing came for too long.
            BrokenResponse: what came is no answer.
        """
        transport = self._transport
        if transport is None:
            raise aiohttp.ServerDisconnectedError
        self.is_clean = False
        answer = self._answer = self._loop.create_future()
        self._parser = ResponseParser()
        self._watch(inf if patience is None else patience)
        transport.write(message)
        self._unsent = self._left_to_send(transport)
        try:
            response: Response = await answer
        finally:
            self._answer = self._parser = None
            del answer  # an error that it has knows this frame: they would keep each other
        return response

    def abort(self) -> None:
        """Close it at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def cut(self) -> None:
        """Close the socket, with no loop that could do it."""
        if self._transport is not None:
            cut(self._transport)

    # Within.
    def _finish(self, answer: asyncio.Future[Response], parser: ResponseParser, response: Response) -> None:
        transport = self._transport
        self.is_clean = (
            response.keep_alive and not parser.surplus and transport is not None and not self._left_to_send(transport)
        )
        answer.set_result(response)

    def _left_to_send(self, transport: asyncio.Transport) -> int:
        """Return how many bytes are not yet sent. A transport of TLS does not count what it has encrypted already."""
        left = transport.get_write_buffer_size()
        return left if self._beneath is None else left + self._beneath.get_write_buffer_size()

    def _fail(self, error: Exception) -> None:
        answer = self._answer
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self.abort()

    def _watch(self, patience: float) -> None:
        """Set the timer to look at the time when nothing was heard for so long. One timer serves many requests."""
        self._patience = patience
        until = self._quiet_until = self._loop.time() + patience
        if self._timer is None or self._timer_at > until:
            self._wake_at(until)

    def _wake_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if moment != inf:
            self._timer_at = moment
            self._timer = self._loop.call_at(moment, self._look, context=self._apart)

    def _look(self) -> None:
        self._timer = None
        transport, answer = self._transport, self._answer
        if transport is None or answer is None or answer.done():
            return
        now = self._loop.time()
        unsent = self._left_to_send(transport)
        if unsent and unsent != self._unsent:  # it is still being sent, and gets on
            self._quiet_until = max(self._quiet_until, now + self._patience)
        self._unsent = unsent
        if now < self._quiet_until:
            self._wake_at(self._quiet_until)
        else:
            self._fail(aiohttp.ServerTimeoutError("Timeout on reading data from socket"))


def cut(transport: Any) -> None:
    """Close a transport's socket, with no loop that could do it."""
    with suppress(Exception):  # the loop is closed: a transport can't schedule its own end
        transport.abort()
    with suppress(Exception):
        transport._call_connection_lost(None)  # noqa: SLF001 - what the loop would have called
    beneath: Any = _beneath(transport)
    with suppress(Exception):  # of TLS: the one below
        beneath._call_connection_lost(None)  # noqa: SLF001 - as above


def _beneath(transport: Any) -> Any:
    """Return the transport beneath one of TLS; None if there is none, or an event loop does not show it."""
    return getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)


def _lost(cause: BaseException | None, *, unanswered: bool) -> Exception:
    if unanswered:
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
            return aiohttp.ClientOSError(*cause.args)
        return aiohttp.ServerDisconnectedError()
    return aiohttp.ClientPayloadError("Response payload is not completed")
