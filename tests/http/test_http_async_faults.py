"""What goes wrong on the wire ends a call as it does over aiohttp: same error, attempts, note, ambiguity."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

import pytest

pytest.importorskip("aiobotocore")

from hostile_support import BYTES
from http_async_support import ADD, BY_AIOHTTP, KEY, end_of, goes_by_aiohttp, of_key, table_at
from wire_server import WireServer, answer, error

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
                assert await goes_by_aiohttp(table) is (config is not None)
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


async def test_bytes_that_drip_in_are_life():
    drip = [piece for at in range(0, len(WHOLE), 20) for piece in (WHOLE[at : at + 20], 0.02)]
    with WireServer(lambda *_: drip) as server:
        async with table_at(server.url, read=0.15, attempts=1) as table:
            assert (await table.get_item(**KEY))["Item"] == {"pk": "a"}


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
