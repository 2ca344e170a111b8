"""A stub of DynamoDB on a raw socket, in a process of its own: answers are bytes that were made beforehand.

`python -m tests.benchmarks.stub [DELAY [CERTIFICATE]]` prints its port, and ends when its standard input does. With a
certificate (a file that has its key as well) it speaks TLS. The operation is read from the X-Amz-Target header; of a
query it is looked whether it has a limit, and at nothing else of a request. `GET /last/<operation>` gives the body of
the last such request: that is how it is seen what a library really sends.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import ssl
import sys
import time
import zlib
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from . import cores, items

_TARGET = b"DynamoDB_20120810."
_LIMIT, _FEW = b'"Limit"', b"Query of a few"
_LENGTH = b"content-length:"
_CHUNK = 262_144
_READ = selectors.EVENT_READ
_BOTH = selectors.EVENT_READ | selectors.EVENT_WRITE


def response(body: bytes) -> bytes:
    """Return an HTTP response with the headers that DynamoDB sends."""
    head = (
        "HTTP/1.1 200 OK\r\n"
        "Server: Server\r\n"
        f"Date: {formatdate(usegmt=True)}\r\n"
        "Content-Type: application/x-amz-json-1.0\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: keep-alive\r\n"
        "x-amzn-RequestId: 4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG\r\n"
        f"x-amz-crc32: {zlib.crc32(body)}\r\n\r\n"
    )
    return head.encode() + body


def answers() -> dict[bytes, list[bytes]]:
    """Return the responses to each operation, which are sent in turn."""
    several = [items.typed(item) for item in items.several()]
    page, few = items.page(), items.few()
    bodies: dict[str, list[Any]] = {
        "GetItem": [{"Item": item} for item in several],
        "PutItem": [{}],
        "UpdateItem": [{"Attributes": item} for item in several],
        "DeleteItem": [{}],
        "Query": [{"Items": page, "Count": len(page), "ScannedCount": len(page)}],
        _FEW.decode(): [{"Items": few, "Count": len(few), "ScannedCount": len(few)}],
        "BatchWriteItem": [{"UnprocessedItems": {}}],
        "BatchGetItem": [{"Responses": {items.TABLE: several[: items.BATCH_SIZE]}, "UnprocessedKeys": {}}],
        "DescribeTable": [{"Table": _description()}],
    }
    return {operation.encode(): [response(items.encode(body)) for body in each] for operation, each in bodies.items()}


def _description() -> dict[str, Any]:
    return {
        "TableName": items.TABLE,
        "TableStatus": "ACTIVE",
        "TableArn": f"arn:aws:dynamodb:eu-west-1:123456789012:table/{items.TABLE}",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "CreationDateTime": 1741944413.0,
        "ItemCount": 0,
        "TableSizeBytes": 0,
    }


def split(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Take the first request off what was received: its head, its body and the rest; None while it is not whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end]
    at = head.lower().find(_LENGTH)
    length = int(head[at + len(_LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0
    begin = end + 4
    if len(data) < begin + length:
        return None
    return head, data[begin : begin + length], data[begin + length :]


class Connection:
    """One client's connection."""

    __slots__ = ("_received", "_socket", "_stub", "_unsent")

    def __init__(self, stub: Stub, connected: socket.socket) -> None:
        self._stub = stub
        self._socket = connected
        self._received = b""
        self._unsent = memoryview(b"")

    def ready(self, mask: int) -> None:
        """Read and answer what is there, and send what waits."""
        try:
            if mask & selectors.EVENT_WRITE:
                self._flush()
            if mask & _READ:
                self._read()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self._close()

    def _read(self) -> None:
        data = self._socket.recv(_CHUNK)
        if not data:
            self._close()
            return
        if isinstance(self._socket, ssl.SSLSocket):  # what it has read already, no selector tells of
            while self._socket.pending():
                data += self._socket.recv(_CHUNK)
        self._received += data
        while (request := split(self._received)) is not None:
            head, body, self._received = request
            self._stub.answer(self, head, body)

    def send(self, data: bytes) -> None:
        """Send now what goes, and the rest when it can."""
        with contextlib.suppress(OSError):
            if self._unsent:
                self._unsent = memoryview(bytes(self._unsent) + data)
                return
            sent = self._socket.send(data)
            if sent < len(data):
                self._unsent = memoryview(data)[sent:]
                self._stub.selector.modify(self._socket, _BOTH, self.ready)

    def _flush(self) -> None:
        self._unsent = self._unsent[self._socket.send(self._unsent) :]
        if not self._unsent:
            self._stub.selector.modify(self._socket, _READ, self.ready)

    def _close(self) -> None:
        self._stub.selector.unregister(self._socket)
        self._socket.close()


class Stub:
    """The server."""

    def __init__(self, delay: float, certificate: str | None = None, *, own: Mapping[str, bytes] | None = None) -> None:
        self._tls = None if certificate is None else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self._tls is not None:
            self._tls.load_cert_chain(str(certificate))
        self.selector = selectors.DefaultSelector()
        self._delay = delay
        said = {**answers(), **{operation.encode(): [answer] for operation, answer in (own or {}).items()}}
        self._answers = {operation: itertools.cycle(each) for operation, each in said.items()}
        self._unknown = itertools.repeat(response(b"{}"))
        self._last: dict[bytes, bytes] = {}
        self._due: list[tuple[float, int, Connection, bytes]] = []
        self._count = 0
        self._running = True
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self._listener.setblocking(False)
        self.selector.register(self._listener, _READ, self._accept)
        self.selector.register(sys.stdin, _READ, self._stop)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def _accept(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                connected, _ = self._listener.accept()
                connected.setblocking(False)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    connected = self._tls.wrap_socket(connected, server_side=True, do_handshake_on_connect=False)
                self.selector.register(connected, _READ, Connection(self, connected).ready)

    def _stop(self, _mask: int) -> None:
        self._running = bool(sys.stdin.read(1))

    def answer(self, connection: Connection, head: bytes, body: bytes) -> None:
        """Answer a request, now or after the delay."""
        if head.startswith(b"GET /last/"):
            connection.send(response(self._last.get(head[10:].partition(b" ")[0], b"")))
            return
        operation = head.partition(_TARGET)[2].partition(b"\r\n")[0]
        self._last[operation] = body
        if operation == b"Query" and _LIMIT in body:
            operation = _FEW
        found = next(self._answers.get(operation, self._unknown))
        if not self._delay:
            connection.send(found)
            return
        self._count += 1
        heapq.heappush(self._due, (time.monotonic() + self._delay, self._count, connection, found))

    def serve(self) -> None:
        """Serve until standard input ends."""
        while self._running:
            timeout = None
            if self._due:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    _, _, connection, found = heapq.heappop(self._due)
                    connection.send(found)
                timeout = max(0.0, self._due[0][0] - now) if self._due else None
            for key, mask in self.selector.select(timeout):
                key.data(mask)


def main() -> None:
    """Run the stub."""
    cores.share_one()
    stub = Stub(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0, *sys.argv[2:])
    print(stub.port, flush=True)
    stub.serve()


if __name__ == "__main__":
    main()
