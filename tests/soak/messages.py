"""HTTP/1.1 messages, as far as DynamoDB's clients and DynamoDB Local speak it."""

from __future__ import annotations

import asyncio
import json
import zlib
from dataclasses import dataclass, field, replace
from http.client import responses
from typing import Any

HEAD_LIMIT = 2**20
_TARGET = "x-amz-target"
_HOP_BY_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})


class BrokenMessageError(Exception):
    """The peer's message ends early, or is none."""


@dataclass(frozen=True)
class Request:
    """A request as a client has sent it."""

    method: str
    target: str
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def operation(self) -> str:
        """The operation of DynamoDB: `GetItem`."""
        return self.headers.get(_TARGET, "").rpartition(".")[2]


@dataclass(frozen=True)
class Answer:
    """An answer to a client."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def with_body(self, body: bytes) -> Answer:
        """Return the answer with another body, and the checksum that belongs to it."""
        return replace(self, body=body, headers=self.headers | {"x-amz-crc32": str(zlib.crc32(body))})

    def with_checksum(self) -> Answer:
        """Return the answer with the checksum of its body: DynamoDB Local sends none with errors."""
        return self.with_body(self.body)

    def without(self, *names: str) -> Answer:
        """Return the answer without some of its headers."""
        return replace(self, headers={name: value for name, value in self.headers.items() if name not in names})


def json_answer(status: int, content: Any, number: int = 0) -> Answer:
    """Return an answer as DynamoDB makes it, with its three marks."""
    headers = {"content-type": "application/x-amz-json-1.0", "x-amzn-requestid": f"RELAY{number:027}"}
    return Answer(status, json.dumps(content).encode(), headers).with_checksum()


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read a request; None if the client is done."""
    head = await _read_head(reader)
    if head is None:
        return None
    start, headers = head
    method, _, rest = start.partition(" ")
    return Request(method, rest.partition(" ")[0], headers, await _read_body(reader, headers))


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read the server's answer."""
    head = await _read_head(reader)
    if head is None:
        raise BrokenMessageError("no answer")
    start, headers = head
    body = await _read_body(reader, headers)
    kept = {name: value for name, value in headers.items() if name not in _HOP_BY_HOP}
    return Answer(int(start.split(" ")[1]), body, kept)


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BrokenMessageError("the head is cut") from error
        return None
    start, *lines = head[:-4].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return start, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    try:
        if "chunked" in headers.get("transfer-encoding", ""):
            return await _read_chunks(reader)
        return await reader.readexactly(int(headers.get("content-length", "0")))
    except asyncio.IncompleteReadError as error:
        raise BrokenMessageError("the body is cut") from error


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(chunks)


def encode_request(request: Request, host: str) -> bytes:
    """Return a request's bytes, for another host."""
    headers = request.headers | {"host": host, "content-length": str(len(request.body))}
    headers.pop("transfer-encoding", None)
    return _encode(f"{request.method} {request.target} HTTP/1.1", headers) + request.body


def encode_head(answer: Answer, length: int | None = None) -> bytes:
    """Return the bytes of an answer's head, which states the length of the body, or another one."""
    stated = len(answer.body) if length is None else length
    start = f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Unknown')}"
    return _encode(start, answer.headers | {"content-length": str(stated)})


def _encode(start: str, headers: dict[str, str]) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")
