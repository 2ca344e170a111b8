"""A relay between clients and DynamoDB Local that makes faults on the wire. It shares no code with the product's.

It runs in a thread of its own. Each request is read whole; then the plan says which fault it meets, and the fault says
what is forwarded, and what the client gets. What was forwarded is forwarded once, whatever becomes of the client.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import re
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from random import Random
from typing import Any, Self
from urllib.parse import urlsplit

from .messages import (
    HEAD_LIMIT,
    Answer,
    BrokenMessageError,
    Request,
    encode_head,
    encode_request,
    read_answer,
    read_request,
)

Meet = Callable[["Passage"], Awaitable[None]]
Plan = Callable[[int, float, Request], tuple[str, Meet]]
"""Given the number of a request, the seconds since the start, and the request: the fault's name, and what it does."""

_HOPS = 20
"""Rounds of the event loop after which whatever had arrived is read: a new connection takes some of them."""
_LONGEST_HOLD = 4.0
"""Seconds that a request is held for a client that does not leave."""
_JOURNAL = 20_000


class Passage:
    """One request on its way through the relay, for the fault that it meets."""

    def __init__(self, relay: Relay, number: int, request: Request, streams: _Streams) -> None:
        """Begin with nothing forwarded and nothing answered."""
        self.relay = relay
        self.number = number
        self.request = request
        self.chance = Random(f"{relay.seed}/passage/{number}")
        self.is_open = True
        """Whether the client's connection can take another request."""
        self._reader, self._writer = streams

    async def forward(self, request: Request | None = None) -> Answer:
        """Forward the request, or another one in its place, and return the server's answer."""
        return await self.relay.exchange(request or self.request)

    def forward_later(self, seconds: float) -> None:
        """Forward the request after a while, whatever becomes of the client; nobody gets the answer."""
        self.relay.hold(self, seconds)

    def next_time(self, name: str, meet: Meet) -> None:
        """Have the same request, if it comes again, meet another fault."""
        self.relay.follow_ups[self.request.body] = (name, meet)

    async def send(self, *pieces: bytes) -> None:
        """Send bytes to the client, each piece by itself."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0)

    async def answer(self, answer: Answer) -> None:
        """Send a whole answer to the client."""
        await self.send(encode_head(answer) + answer.body)

    def reset(self) -> None:
        """Break the client's connection with an RST."""
        self.is_open = False
        sock = self._writer.get_extra_info("socket")
        if sock is not None:  # lingering for zero seconds: closing throws away what is unsent, and resets
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """Close the client's connection in good order."""
        self.is_open = False
        self._writer.close()

    async def client_leaves(self) -> None:
        """Wait until the client has closed the connection."""
        self.is_open = False
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_LONGEST_HOLD):
                while await self._reader.read(2**16):
                    pass


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """The relay. `url` is for clients; a context manager."""

    def __init__(self, upstream: str, plan: Plan, *, seed: int = 0, marks: str = r"k~[\w.~-]+") -> None:
        """Take the server's URL, and the plan.

        Args:
            upstream: the server's URL.
            plan: says which fault each request meets.
            seed: decides what faults do.
            marks: a pattern that finds the keys in a request's body, for `settled` and the journal.
        """
        parts = urlsplit(upstream)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._plan = plan
        self.seed = seed
        self._marks = re.compile(marks.encode())
        self._numbers = 0
        self._in_air: dict[int, tuple[bytes, int]] = {}
        """Bodies of requests that are not over yet, by their number, and how many still hold each."""
        self._idle: list[_Streams] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="soak-relay", daemon=True)
        self._ready = threading.Event()
        self._over: asyncio.Event
        self._server: asyncio.Server | None = None
        self._started = 0.0
        self.url = ""
        self.elsewhere_url = ""
        """Another host's, to which redirects point: nobody should ever come there."""
        self.counts: Counter[str] = Counter()
        """Requests by the fault that they met."""
        self.follow_ups: dict[bytes, tuple[str, Meet]] = {}
        """The fault, and its name, of requests that come again, by their bodies."""
        self.applied: set[bytes] = set()
        """The bodies of transactions that DynamoDB has applied: by their tokens it knows them."""
        self.leaked: list[str] = []
        """Requests that came to the other host."""
        self.journal: deque[tuple[float, int, str, str, tuple[str, ...]]] = deque(maxlen=_JOURNAL)
        """Seconds since the start, number, operation, fault, and the keys in the body."""

    # The thread.

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        self._started = self._loop.time()
        elsewhere = await asyncio.start_server(self._strayed, "127.0.0.1", 0, limit=HEAD_LIMIT)
        with _bound_to(0) as keeper:  # never listens: keeps the port while connections are refused
            self.url, self.elsewhere_url = map(_url_of, (keeper, elsewhere.sockets[0]))
            await self._listen()
            self._ready.set()
            await self._over.wait()
        for server in filter(None, (self._server, elsewhere)):
            server.close()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, writer in self._idle:
            writer.transport.abort()

    async def _listen(self) -> None:
        sock = _bound_to(urlsplit(self.url).port or 0)
        self._server = await asyncio.start_server(self._connected, sock=sock, limit=HEAD_LIMIT, backlog=1024)

    def refuse(self, seconds: float) -> None:
        """Refuse all connections for a while; those that there are stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._add_task(self._listen_after(seconds))

    async def _listen_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._listen()

    def _add_task(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Clients.

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, BrokenMessageError, asyncio.CancelledError):
                while (request := await read_request(reader)) is not None:
                    if not await self._pass(request, (reader, writer)):
                        break
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pass(self, request: Request, streams: _Streams) -> bool:
        """Let a request through, or not; return whether its connection can take another one."""
        self._numbers += 1
        passage = Passage(self, self._numbers, request, streams)
        now = self._loop.time() - self._started
        name, meet = self.follow_ups.get(request.body) or self._plan(passage.number, now, request)
        keys = tuple(mark.decode() for mark in self._marks.findall(request.body))
        self.counts[name] += 1
        self.journal.append((round(now, 3), passage.number, request.operation, name, keys))
        self._enter_air(passage)
        try:
            await meet(passage)
        except (OSError, BrokenMessageError):  # the client has left, or the server has: nothing can be answered
            passage.reset()
        finally:
            self._leave_air(passage)
        return passage.is_open

    async def _strayed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a request that came to the other host, and answer it as a careless stranger does."""
        with contextlib.suppress(OSError, BrokenMessageError):
            request = await read_request(reader)
            if request is not None:
                self.leaked.append(request.operation)
                answer = Answer(200, b"{}", {"content-type": "application/json", "connection": "close"})
                writer.write(encode_head(answer) + answer.body)
        writer.close()

    # What is in the air.

    def _enter_air(self, passage: Passage) -> None:
        _, holders = self._in_air.get(passage.number, (b"", 0))
        self._in_air[passage.number] = (passage.request.body, holders + 1)

    def _leave_air(self, passage: Passage) -> None:
        body, holders = self._in_air.pop(passage.number)
        if holders > 1:
            self._in_air[passage.number] = (body, holders - 1)

    def hold(self, passage: Passage, seconds: float) -> None:
        """Forward a request after a while, on its own."""
        self._enter_air(passage)
        self._add_task(self._forward_held(passage, seconds))

    async def _forward_held(self, passage: Passage, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
            with contextlib.suppress(OSError, BrokenMessageError):
                await self.exchange(passage.request)
        finally:
            self._leave_air(passage)

    def settled(self, *marks: str) -> concurrent.futures.Future[None]:
        """Return a future that is done when nothing in the air holds one of `marks`; without any, nothing at all.

        What a client has sent before this is called counts, even if the relay has not read it yet. A client must
        not send more of it meanwhile.
        """
        return asyncio.run_coroutine_threadsafe(self._settle([mark.encode() for mark in marks]), self._loop)

    async def _settle(self, marks: list[bytes]) -> None:
        for _ in range(_HOPS):
            await asyncio.sleep(0)
        while any(  # noqa: ASYNC110 - nobody counts the keys of each request
            not marks or any(mark in body for mark in marks) for body, _ in self._in_air.values()
        ):
            await asyncio.sleep(0.01)

    # The server.

    async def exchange(self, request: Request) -> Answer:
        """Send a request to the server, once, and return its answer."""
        reader, writer = await self._upstream()
        try:
            writer.write(encode_request(request, f"{self._host}:{self._port}"))
            await writer.drain()
            answer = await read_answer(reader)
        except BaseException:
            writer.transport.abort()
            raise
        self._idle.append((reader, writer))
        if request.operation == "TransactWriteItems" and answer.status == HTTPStatus.OK:
            self.applied.add(request.body)
        return answer

    async def _upstream(self) -> _Streams:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection(self._host, self._port, limit=HEAD_LIMIT)


def _bound_to(port: int) -> socket.socket:
    """Return a socket of a port that others of ours may share; 0 is any free port."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def _url_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://{host}:{port}"
