"""What goes wrong on the wire ends a call as it does over aiohttp: same error, attempts, note, ambiguity."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest

pytest.importorskip("aiobotocore")

import aiohttp
from hostile_support import BYTES
from http_async_support import ADD, BY_AIOHTTP, KEY, end_of, goes_by_aiohttp, of_key, table_at
from wire_server import WireServer, answer, error

from resilient_ddb.http.aio_connection import Connection

WHOLE = answer({"Item": {"pk": {"S": "a"}}})
CUT = len(WHOLE) - 5
CHUNKED = b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: R\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b'{"Item": {"pk": {"S": "a"}}}'
CASES = {
    "whole": [WHOLE],
    "in two": [WHOLE[:50], 0.02, WHOLE[50:]],
    "byte by byte": [WHOLE[at : at + 1] for at in range(len(WHOLE))],
    "closed unanswered": [None],
    "closed in the head": [WHOLE[:30], None],
    "closed in the body": [WHOLE[:CUT], None],
    "until close": [b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: R\r\n\r\n" + BODY, None],
    "1.0": [WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"), None],
    "chunked": [CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)],
    "chunked, cut": [CHUNKED + b"%x\r\n%b" % (len(BODY), BODY[:9]), None],
    "interim": [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", WHOLE],
    "100 first": [b"HTTP/1.1 100 Continue\r\n\r\n", WHOLE],
    "500": [error("InternalServerError", 500)],
    "400 with an item": [error("ValidationException", 400, Item={"pk": {"S": "a"}})],
    "throttled": [error("ProvisionedThroughputExceededException", 400)],
    "503 in HTML": [answer(b"<html>busy</html>", 503, {"Content-Type": "text/html"})],
    "redirect": [answer(b"", 307, {"Location": "http://127.0.0.1:1/"})],
    "204": [b"HTTP/1.1 204 No Content\r\nx-amzn-RequestId: R\r\n\r\n"],
    "wrong CRC": [WHOLE.replace(b"x-amz-crc32: ", b"x-amz-crc32: 1")],
    "two lengths": [WHOLE.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n", 1)],
    "garbage": [b"\x16\x03\x01 what is this\r\n\r\n", None],
    **{f"hostile: {name}": [said] for name, said in BYTES.items()},
}
IN_OTHER_WORDS = {"garbage", "two lengths", "hostile: an interim one", "hostile: a long length"}
"""There the parser of the transport itself says what is wrong, and in its own words."""


@pytest.mark.parametrize("verb", ["get_item", "update_item"])
@pytest.mark.parametrize("case", CASES)
async def test_a_call_ends_as_it_does_over_aiohttp(case, verb):
    ends, counts = [], []
    for config in (None, BY_AIOHTTP):
        with WireServer(lambda _, params, number: CASES[case] if number == 1 else [of_key(params)]) as server:
            async with table_at(server.url, config=config) as table:
                ends.append(await end_of(getattr(table, verb)(**(KEY if verb == "get_item" else ADD))))
                assert goes_by_aiohttp(table) is (config is not None)
                counts.append((server.operations, await end_of(table.get_item(**KEY))))
    if case in IN_OTHER_WORDS and isinstance(ends[0][0], type):
        ends = [end[2:] for end in ends]
    assert ends[0] == ends[1]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("verb", ["get_item", "update_item"])
async def test_no_answer_in_time_is_a_read_timeout(verb):
    ends = []
    for config in (None, BY_AIOHTTP):
        with WireServer(lambda *_: [30.0]) as server:
            async with table_at(server.url, config=config, read=0.05, attempts=1) as table:
                ends.append(await end_of(getattr(table, verb)(**(KEY if verb == "get_item" else ADD))))
    assert ends[0] == ends[1]
    assert ends[0][0].__name__ == "ReadTimeoutError"
    assert ends[0][4] is (verb == "update_item")


async def test_nobody_listens_and_nothing_was_sent():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    ends = []
    for config in (None, BY_AIOHTTP):
        async with table_at(url, config=config) as table:
            ends.append(await end_of(table.update_item(**ADD)))
    assert ends[0] == ends[1]
    assert ends[0][0].__name__ == "EndpointConnectionError"
    assert ends[0][4] is False


async def test_a_name_that_is_none_ends_the_same():
    ends = []
    for config in (None, BY_AIOHTTP):
        async with table_at("http://nobody.invalid:8000", config=config) as table:
            ends.append(await end_of(table.update_item(**ADD)))
    assert ends[0] == ends[1]
    assert ends[0][4] is False


class Resets:
    """Reads a request, or some of it, and resets the connection."""

    def __enter__(self):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def _serve(self):
        with suppress(OSError):
            while True:
                found, _ = self._listening.accept()
                found.recv(1 << 16)
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                found.close()

    def __exit__(self, *_):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.mark.parametrize("verb", ["get_item", "update_item"])
async def test_a_connection_that_is_reset_leaves_a_write_open(verb):
    ends = []
    for config in (None, BY_AIOHTTP):
        with Resets() as server:
            async with table_at(server.url, config=config) as table:
                ends.append(await end_of(getattr(table, verb)(**(KEY if verb == "get_item" else ADD))))
    assert ends[0] == ends[1]
    assert ends[0][4] is (verb == "update_item")


class SlowTransport:
    """Has so many bytes left to send, whenever it is asked."""

    def __init__(self, left):
        self.left, self.is_aborted = left, False

    def get_extra_info(self, _):
        return None

    def write(self, data):
        pass

    def get_write_buffer_size(self):
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]

    def is_closing(self):
        return self.is_aborted

    def abort(self):
        self.is_aborted = True


class TlsTransport(SlowTransport):
    """Has encrypted all that it was given, as asyncio's does at once: another one has it to send."""

    def __init__(self, beneath):
        super().__init__([0])
        self._ssl_protocol = SimpleNamespace(_transport=beneath)


@pytest.mark.parametrize("over_tls", [False, True])
@pytest.mark.parametrize("left", [[0], [90], [90, 60, 30, 10], [90, 60, 30, 0]])
async def test_a_request_fails_once_it_is_not_sent_on_and_nothing_is_heard(left, over_tls):
    sends = SlowTransport(list(left))
    transport = TlsTransport(sends) if over_tls else sends
    connection = Connection(asyncio.get_running_loop(), lambda _: None)
    connection.connection_made(transport)
    with pytest.raises(aiohttp.ServerTimeoutError):
        await connection.exchange(b"request", 0.005)
    assert sends.left == left[-1:]  # it was waited for as long as there were fewer
    assert transport.is_aborted


async def test_without_a_timeout_nothing_is_timed():
    transport = SlowTransport([0])
    connection = Connection(asyncio.get_running_loop(), lambda _: None)
    connection.connection_made(transport)
    with pytest.raises(aiohttp.ServerTimeoutError):
        await connection.exchange(b"request", 0.005)
    transport.is_aborted = False
    waiting = asyncio.ensure_future(connection.exchange(b"request", None))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    connection.data_received(WHOLE)
    assert (await waiting).status == 200


class StubLoop:
    """A loop whose time is moved by hand."""

    def __init__(self):
        self.now, self.timers = 0.0, []
        self.create_future = asyncio.get_running_loop().create_future

    def time(self):
        return self.now

    def call_at(self, moment, act, *, context):
        assert context is not None
        timer = SimpleNamespace(moment=moment, act=act, cancel=lambda: self.timers.remove(timer))
        self.timers.append(timer)
        return timer

    def advance(self, moment):
        self.now = moment
        for timer in [timer for timer in self.timers if timer.moment <= moment]:
            self.timers.remove(timer)
            timer.act()


async def test_bytes_that_drip_in_are_life():
    loop = StubLoop()
    connection = Connection(loop, lambda _: None)
    connection.connection_made(SlowTransport([0]))
    for end in ("in time", "too late"):
        waiting = asyncio.ensure_future(connection.exchange(b"request", 10.0))
        await asyncio.sleep(0)
        began = loop.now
        for number in range(5):
            loop.advance(began + 9.0 * (number + 1))
            connection.data_received(WHOLE[number * 10 : number * 10 + 10])
        assert len(loop.timers) == 1
        loop.advance(loop.now + (9.0 if end == "in time" else 10.0))
        if end == "in time":
            connection.data_received(WHOLE[50:])
            assert (await waiting).status == 200
        else:
            with pytest.raises(aiohttp.ServerTimeoutError):
                await waiting


@pytest.mark.parametrize("error", [MemoryError, AttributeError, RuntimeError])
async def test_whatever_fails_once_a_write_is_on_its_way_leaves_it_open(error, monkeypatch):
    with WireServer(lambda _, params, __: [of_key(params)]) as server:
        async with table_at(server.url, attempts=1) as table:
            await table.get_item(**KEY)

            async def fail(*_):
                raise error("odd")

            with monkeypatch.context() as patch:
                patch.setattr(Connection, "exchange", fail)
                end = await end_of(table.update_item(**ADD))
            assert (end[0].__name__, end[4]) == ("HTTPClientError", True)
            assert (await table.get_item(**KEY))["Item"] == KEY["Key"]
            assert server.connections == 2
