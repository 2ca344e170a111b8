"""HTTP/1.1 over asyncio streams: as much of it as DynamoDB's clients and emulators speak."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus
from typing import TypeAlias
from urllib.parse import urlsplit

from .messages import Headers, Request, Response, header

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HEAD_LIMIT = 2**20
"""Bytes of a message's head, at most."""

_IDLE_SECONDS = 5.0  # a kept connection is not used again after this: the upstream may be closing it
_FIRST_FINAL_STATUS = 200
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1."""


class UnreachableError(Exception):
    """No connection to the upstream: nothing was sent."""


class BrokenUpstreamError(Exception):
    """The upstream's connection broke after the request was sent."""


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read a request; None if the client is done."""
    try:
        start, headers = await _read_head(reader)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    parts = start.split(" ")
    match parts:
        case [method, target, ("HTTP/1.1" | "HTTP/1.0") as version]:
            body = await _read_body(reader, headers) or b""
            stays = version == "HTTP/1.1" and not _closes(headers)
            return Request(method=method, target=target, headers=headers, body=body, keep_alive=stays)
    raise ProtocolError(f"not a request line: {start!r}")


async def read_response(reader: asyncio.StreamReader, method: str) -> tuple[Response, bool]:
    """Read the answer to a request, and whether the connection can be used again."""
    while True:
        start, headers = await _read_head(reader)
        found = re.match(r"HTTP/1\.([01]) (\d{3})", start)
        if found is None:
            raise ProtocolError(f"not a status line: {start!r}")
        status = int(found[2])
        if status >= _FIRST_FINAL_STATUS:
            break
    body: bytes | None = b""
    if method != "HEAD" and status not in _BODILESS:
        body = await _read_body(reader, headers)
    reusable = found[1] == "1" and not _closes(headers) and body is not None
    if body is None:  # neither a length nor chunks: it ends with the connection
        body = await reader.read()
    kept = tuple(pair for pair in headers if pair[0].lower() not in _HOP_BY_HOP)
    return Response(status=status, headers=kept, body=body), reusable


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, Headers]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ProtocolError("the head of the message is too long") from error
    start, *lines = head[:-4].decode("latin-1").split("\r\n")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ProtocolError(f"not a header: {line!r}")
        headers.append((name.strip(), value.strip()))
    return start, tuple(headers)


async def _read_body(reader: asyncio.StreamReader, headers: Headers) -> bytes | None:
    """Read a body by its length or its chunks; None if neither is given."""
    if "chunked" in (header(headers, "transfer-encoding") or "").lower():
        return await _read_chunks(reader)
    length = header(headers, "content-length")
    if length is None:
        return None
    if not length.isdecimal():
        raise ProtocolError(f"not a length: {length!r}")
    return await reader.readexactly(int(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = re.match(rb"[0-9a-fA-F]+", line)
        if size is None:
            raise ProtocolError(f"not a chunk: {line!r}")
        length = int(size[0], 16)
        if length == 0:
            break
        chunks.append(await reader.readexactly(length))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return b"".join(chunks)


def _closes(headers: Headers) -> bool:
    return "close" in (header(headers, "connection") or "").lower()


def _encode(start: str, headers: Headers, body: bytes) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


async def send_response(writer: asyncio.StreamWriter, request: Request, response: Response) -> bool:
    """Send the answer to `request`; say whether the connection can take another request."""
    stays = request.keep_alive and response.cut is None
    headers = [*response.headers, ("Content-Length", str(len(response.body)))]
    if header(response.headers, "date") is None:
        headers.append(("Date", formatdate(usegmt=True)))
    if not request.keep_alive:
        headers.append(("Connection", "close"))
    if response.interim is not None:
        writer.write(_encode(_status_line(response.interim), (), b""))
        await writer.drain()
        await asyncio.sleep(response.late)
    body = b"" if request.method == "HEAD" else response.body[: response.cut]
    writer.write(_encode(_status_line(response.status), tuple(headers), body))
    await writer.drain()
    return stays


def _status_line(status: int) -> str:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Fault"
    return f"HTTP/1.1 {status} {phrase}"


def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection with an RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        # On for zero seconds: closing throws away what is unsent and resets.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close the connection, and wait until it is."""
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


class Upstream:
    """Where requests go, with connections kept for the next one. Belongs to one event loop."""

    def __init__(self, url: str) -> None:
        """Send requests to an `http://` or `https://` URL without a path."""
        if not isinstance(url, str):
            raise TypeError(f"upstream must be a URL such as 'http://127.0.0.1:8000'; got {url!r}")
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:  # not a number, or too large
            port = 0
        known = parts.scheme in {"http", "https"} and parts.hostname
        if not known or port == 0 or parts.path.strip("/") or parts.query:
            raise ValueError(f"upstream must be a URL such as 'http://127.0.0.1:8000'; got {url!r}")
        self.url = url
        self._authority = parts.netloc.rpartition("@")[2]
        self._host = parts.hostname or ""
        self._port = port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._idle: list[tuple[Streams, float]] = []

    async def exchange(self, request: Request) -> Response:
        """Send the request, once, and return the answer."""
        reader, writer = await self._connect()
        kept = tuple(pair for pair in request.headers if pair[0].lower() not in _HOP_BY_HOP)
        headers = (("Host", self._authority), *kept, ("Content-Length", str(len(request.body))))
        try:
            writer.write(_encode(f"{request.method} {request.target} HTTP/1.1", headers, request.body))
            await writer.drain()
            response, reusable = await read_response(reader, request.method)
        except (OSError, EOFError, ProtocolError) as error:
            writer.transport.abort()
            raise BrokenUpstreamError(f"{self.url}: {error}") from error
        except BaseException:
            writer.transport.abort()
            raise
        if reusable:
            self._idle.append(((reader, writer), asyncio.get_running_loop().time()))
        else:
            await hang_up(writer)
        return response

    async def _connect(self) -> Streams:
        oldest = asyncio.get_running_loop().time() - _IDLE_SECONDS
        while self._idle:
            (reader, writer), since = self._idle.pop()
            if since >= oldest and not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        try:
            return await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=HEAD_LIMIT)
        except OSError as error:
            raise UnreachableError(f"{self.url}: {error}") from error

    async def close(self) -> None:
        """Close the kept connections."""
        while self._idle:
            (_, writer), _ = self._idle.pop()
            writer.transport.abort()
            await hang_up(writer)


def with_body(request: Request, body: bytes | None) -> Request:
    """Replace a request's body; None leaves it."""
    return request if body is None else replace(request, body=body)
