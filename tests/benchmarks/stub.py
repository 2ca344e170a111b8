"""A stub of DynamoDB in a process of its own: answers every request with the same item, after a delay."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import zlib
from collections.abc import Iterator
from multiprocessing.connection import Connection

_BODY = b'{"Item":{"pk":{"S":"a"},"n":{"N":"1"}}}'
_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: STUB\r\n"
    b"x-amz-crc32: %d\r\nContent-Length: %d\r\n\r\n%s" % (zlib.crc32(_BODY), len(_BODY), _BODY)
)


class _Connection(asyncio.Protocol):
    """One connection: reads requests by their Content-Length, answers each after the delay."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP transport can write

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        asyncio.get_running_loop().call_later(self._delay, self._answer)

    def _answer(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_RESPONSE)


async def _serve(delay: float, ready: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(delay), "127.0.0.1", 0, backlog=2048)
    ready.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _run(delay: float, ready: Connection) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(delay, ready))


@contextlib.contextmanager
def stub(delay: float = 0.0) -> Iterator[str]:
    """Run a stub that answers after `delay` seconds, and give its address."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(delay, theirs), daemon=True)
    process.start()
    try:
        if not ours.poll(timeout=30):
            raise RuntimeError("the stub did not start within 30 s")
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()
