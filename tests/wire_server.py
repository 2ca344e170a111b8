"""A server that says, byte by byte and after pauses, what a test wants said: what no emulator and no proxy would."""

from __future__ import annotations

import contextlib
import inspect
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

import urllib3
from botocore.httpsession import URLLib3Session

HANDS_ON_WHAT_IS_CUT = "enforce_content_length" in inspect.getsource(URLLib3Session.send) or urllib3.__version__ < "2"
"""Whether botocore's own transport hands on a body that was cut: later ones do, as ours: the checksum tells."""
Piece = bytes | float | None
"""Bytes to send, or seconds to wait before what follows; None closes the connection."""
Script = Callable[[str, dict[str, Any], int], Iterable[Piece]]
"""Returns what is said to a request: its operation, its parameters, and its number, from 1."""

_SOON = 20.0
MARKS = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": "R"}


def answer(
    body: Mapping[str, Any] | bytes, status: int = 200, headers: Mapping[str, str] | None = None, *, crc: bool = True
) -> bytes:
    """Return a whole answer, with DynamoDB's own headers unless others are given."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = {**(MARKS if headers is None else headers), "Content-Length": str(len(octets))}
    if crc and headers is None:
        found["x-amz-crc32"] = str(zlib.crc32(octets))
    lines = "".join(f"{name}: {value}\r\n" for name, value in found.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode("latin-1") + octets


def error(code: str, status: int = 400, **more: Any) -> bytes:
    """Return an error of the service."""
    return answer({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "made by the test", **more}, status)


class SaysMore:
    """Says something, and more on the same connection once the first has been read."""

    def __init__(self, first: bytes, more: bytes) -> None:
        self._first, self._more = first, more
        self.is_read, self.is_sent = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Piece]:
        yield self._first
        self.is_read.wait(_SOON)
        yield self._more
        self.is_sent.set()


class WireServer:
    """Serves each connection on a thread of its own, until the block ends."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.operations: list[str] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._begin(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        for each in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):  # the other side was quicker
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in list(self._threads):
            thread.join()

    def _begin(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connected, _ = self._listening.accept()
            except OSError:
                return
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(connected)
            self.connections += 1
            self._begin(self._serve, connected)

    def _serve(self, connected: socket.socket) -> None:
        try:
            with connected.makefile("rb") as reader:
                while head := _head(reader):
                    params = json.loads(reader.read(int(head.get("content-length", 0))) or b"{}")
                    operation = head.get("x-amz-target", "").rpartition(".")[2]
                    with self._lock:
                        self.operations.append(operation)
                        number = len(self.operations)
                    for piece in self.script(operation, params, number):
                        if piece is None:
                            return
                        if isinstance(piece, float):
                            self._over.wait(piece)
                        else:
                            connected.sendall(piece)
        except (OSError, ValueError):
            pass  # the client has left
        finally:
            connected.close()


def _head(reader: Any) -> dict[str, str]:
    reader.readline()
    found = {}
    while line := reader.readline().strip().decode("latin-1"):
        name, _, value = line.partition(":")
        found[name.lower()] = value.strip()
    return found
