"""TLS of an async client: what is trusted, and what is refused, is what aiobotocore trusts and refuses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading

import pytest

pytest.importorskip("aiobotocore")
pytest.importorskip("cryptography")

from aiobotocore.httpsession import AIOHTTPSession
from http_async_support import (
    ADD,
    BY_AIOHTTP,
    KEY,
    MovedClock,
    TlsServer,
    certificate,
    end_of,
    goes_by_aiohttp,
    of_key,
    table_at,
)
from wire_server import WireServer, answer

import resilient_ddb as rddb
from resilient_ddb.http.aio_pool import Pool
from resilient_ddb.http.plain import target_of

CHECKS_THE_HOST = hasattr(AIOHTTPSession, "_build_verify_context")
"""aiobotocore 3.0 takes a trusted certificate for any host. Our connections don't."""
TLS_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    return {
        "good": certificate(folder / "good.pem"),
        "another": certificate(folder / "another.pem"),
        "for another host": certificate(folder / "host.pem", names=("dynamodb.example",)),
        "expired": certificate(folder / "expired.pem", days=(-3, -1)),
        "of tomorrow": certificate(folder / "tomorrow.pem", days=(1, 3)),
    }


@pytest.fixture
def serve():
    def make(certificate_file, versions=None):
        return TlsServer(lambda _, params, __: [of_key(params)], certificate_file, versions)

    return make


@pytest.mark.parametrize("versions", [None, TLS_1_2], ids=["TLS 1.3", "TLS 1.2 only"])
async def test_a_bundle_by_argument_is_trusted(versions, serve, certificates):
    with serve(certificates["good"], versions) as server:
        async with table_at(server.url, verify=certificates["good"]) as table:
            for number in range(3):
                assert (await table.get_item(Key={"pk": str(number)}))["Item"] == {"pk": str(number)}
            assert not goes_by_aiohttp(table)
        assert server.connections == 1


async def test_a_bundle_by_the_environment_is_trusted(serve, certificates, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", certificates["good"])
    with serve(certificates["good"]) as server:
        async with table_at(server.url) as table:
            assert (await table.get_item(**KEY))["Item"] == KEY["Key"]


@pytest.mark.parametrize("name", ["good", "for another host", "expired"])
async def test_verify_false_takes_any_certificate(name, serve, certificates):
    with serve(certificates[name]) as server:
        async with table_at(server.url, verify=False) as table:
            assert (await table.get_item(**KEY))["Item"] == KEY["Key"]


@pytest.mark.parametrize(
    ("name", "trusted", "says"),
    [
        ("good", "another", "self-signed certificate"),
        ("good", None, "self-signed certificate"),
        ("for another host", "for another host", "IP address mismatch"),
        ("expired", "expired", "certificate has expired"),
        ("of tomorrow", "of tomorrow", "certificate is not yet valid"),
    ],
)
async def test_what_aiobotocore_refuses_is_refused_in_its_words_and_nothing_is_sent(
    name, trusted, says, serve, certificates
):
    ends = []
    for config in (None, BY_AIOHTTP) if name != "for another host" or CHECKS_THE_HOST else (None,):
        with serve(certificates[name]) as server:
            async with table_at(server.url, config=config, verify=certificates.get(trusted)) as table:
                ends.append(await end_of(table.update_item(**ADD)))
                if config is not None:
                    assert goes_by_aiohttp(table)
            assert server.operations == []
    assert ends[0] == ends[-1]
    assert ends[0][0].__name__ == "SSLError"
    assert says in ends[0][1][0]
    assert ends[0][4] is False


async def test_a_server_without_tls_is_refused(serve, certificates):
    ends = []
    for config in (None, BY_AIOHTTP):
        with WireServer(lambda *_: [b"HTTP/1.1 400 Bad Request\r\n\r\n", None]) as server:
            url = server.url.replace("http:", "https:")
            async with table_at(url, config=config, verify=certificates["good"], attempts=1, connect=0.2) as table:
                ends.append(await end_of(table.update_item(**ADD)))
            assert "UpdateItem" not in server.operations
    assert ends[0] == ends[1]


async def test_many_tasks_over_tls_get_their_own_answers(serve, certificates):
    with serve(certificates["good"]) as server:
        async with table_at(server.url, verify=certificates["good"]) as table:
            found = await asyncio.gather(*(table.get_item(Key={"pk": str(number)}) for number in range(30)))
    assert [item["Item"]["pk"] for item in found] == [str(number) for number in range(30)]


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\0b"])
async def test_a_header_that_would_begin_another_is_never_sent(value):
    with WireServer(lambda _, params, __: [of_key(params)]) as server:
        async with table_at(server.url, attempts=1) as table:
            client = await table.meta.client.current("get_item")

            def add(request, **_):
                request.headers["X-Mine"] = value

            client.meta.events.register("before-send.dynamodb", add)
            end = await end_of(table.get_item(**KEY))
        assert end[0].__name__ == "HTTPClientError"
        assert server.operations == []


@pytest.mark.parametrize("says", [b"", b"\x15\x03\x03\x00\x02\x02\x28"], ids=["closes", "an alert"])
async def test_a_handshake_that_fails_is_surely_not_sent(says, certificates):
    def serve(listening):
        with contextlib.suppress(OSError):
            while True:
                found, _ = listening.accept()
                found.recv(1 << 16)
                found.sendall(says)
                found.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        async with table_at(url, verify=certificates["good"]) as table:
            end = await end_of(table.update_item(**ADD))
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    _, _, kind, attempts, ambiguous, _ = end
    assert (kind, attempts, ambiguous) == ("transient", 2, False)


async def test_a_handshake_that_a_busy_event_loop_times_out_says_nothing_of_the_table():
    breaker, clock = rddb.CircuitBreaker(minimum_calls=1), MovedClock()
    with socket.create_server(("127.0.0.1", 0)) as listening:  # connected by the system, and served by nobody
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        async with table_at(url, attempts=1, circuit_breaker=breaker, clock=clock) as table:
            end = asyncio.create_task(end_of(table.get_item(**KEY)))
            busy = asyncio.create_task(_be_busy_once(listening, clock))
            assert (await end)[0].__name__ == "ConnectTimeoutError"
            await busy
            assert rddb.circuits(table)["read"].state == "closed"


async def test_a_connection_may_be_made_without_any_limit():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        pool = Pool(asyncio.get_running_loop(), 1)
        target = target_of(f"http://127.0.0.1:{listening.getsockname()[1]}")
        connection = await pool.connect(target, None, None)
        assert connection.is_open()
        connection.abort()
        await pool.close()


async def _be_busy_once(listening, clock):
    """Do nothing else for longer than connecting may take, from when a connection is there."""
    loop = asyncio.get_running_loop()
    listening.setblocking(False)
    found, _ = await loop.sock_accept(listening)
    clock.be_busy(26.0)
    found.close()


async def test_a_handshake_that_times_out_on_an_event_loop_with_some_work_counts():
    breaker, clock = rddb.CircuitBreaker(minimum_calls=1), MovedClock()
    with socket.create_server(("127.0.0.1", 0)) as listening:  # connected by the system, and served by nobody
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        async with table_at(url, attempts=1, circuit_breaker=breaker, clock=clock) as table:
            working = asyncio.create_task(_work_on(clock))
            assert (await end_of(table.get_item(**KEY)))[0].__name__ == "ConnectTimeoutError"
            working.cancel()
            assert rddb.circuits(table)["read"].state == "open"


async def _work_on(clock):
    """Leave the loop's other tasks their turn each 60 ms: a connection is made by a few of them."""
    while True:
        clock.be_busy(0.06)
        await asyncio.sleep(0)


class AnswersEarly:
    """Answers one request that it has not read, and reads no more of it before it is told to end."""

    def __init__(self, certificate_file):
        self._context = None
        if certificate_file is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate_file)
        self._is_over = threading.Event()

    def __enter__(self):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        scheme = "http" if self._context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def _serve(self):
        connected, _ = self._listening.accept()
        if self._context is not None:
            connected = self._context.wrap_socket(connected, server_side=True)
        with connected:
            connected.recv(1)
            connected.sendall(answer({}))
            self._is_over.wait(20)

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()
        self._listening.close()


@pytest.mark.parametrize("over_tls", [False, True])
async def test_a_connection_is_not_used_again_while_its_request_is_being_sent(over_tls, certificates):
    certificate_file = certificates["good"] if over_tls else None
    with AnswersEarly(certificate_file) as server:
        pool = Pool(asyncio.get_running_loop(), 1)
        trusting = ssl.create_default_context(cafile=certificate_file) if over_tls else None
        connection = await pool.connect(target_of(server.url), trusting, 20.0)
        assert (await connection.exchange(bytes(16_000_000), 20.0)).status == 200
        assert not connection.is_clean
        await pool.close()
