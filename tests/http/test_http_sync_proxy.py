"""Calls through a proxy: boto3 has one error for a proxy that can't be reached, and for a reply that was lost."""

from __future__ import annotations

import contextlib
import socket

import pytest
from botocore.config import Config
from botocore.exceptions import ProxyConnectionError
from http_support import PATIENT, Authority, TlsServer, table_at
from wire_server import WireServer

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock

KEY = {"pk": "a"}
ADD = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
NOWHERE = "127.0.0.1:9"


def hangs_up(*_):
    return [None]


class Tunnel(TlsServer):
    """A proxy and the server behind it: it answers CONNECT, and then serves TLS on the same connection."""

    says = b"HTTP/1.1 200 Connection established\r\n\r\n"

    def __enter__(self):
        super().__enter__()
        self.url = self.url.replace("https://", "http://")
        return self

    def _serve(self, connected: socket.socket) -> None:
        with contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connected.recv(1)
            connected.sendall(self.says)
            super()._serve(connected)


class Refusal(Tunnel):
    says = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.certificate("good", "127.0.0.1")


def ends(scheme, proxy, verb, **options):
    """Return what the error of a call says: whether it is ambiguous, and how many attempts were made."""
    policy = rddb.Policy(
        retry=rddb.Retry(max_attempts=2), timeouts=PATIENT, clock=FakeClock(), circuit_breaker=None, fast_path=True
    )
    table = table_at(f"{scheme}://{NOWHERE}", policy=policy, config=Config(proxies={scheme: proxy}), **options)
    try:
        with pytest.raises(ProxyConnectionError) as caught:
            table.get_item(Key=KEY) if verb == "get_item" else table.update_item(Key=KEY, **ADD)
    finally:
        table.meta.client.close()
    return caught.value.resilience.ambiguous, caught.value.resilience.attempts


def test_a_write_whose_reply_a_proxy_lost_is_sent_once_and_is_ambiguous():
    with WireServer(hangs_up) as proxy:
        assert ends("http", proxy.url, "update_item") == (True, 1)
        assert proxy.operations == ["UpdateItem"]
        assert ends("http", proxy.url, "get_item") == (False, 2)
        assert proxy.operations == ["UpdateItem", "GetItem", "GetItem"]


def test_so_is_one_that_goes_through_a_tunnel(authority, certificate):
    with Tunnel(hangs_up, certificate) as proxy:
        assert ends("https", proxy.url, "update_item", verify=str(authority.bundle)) == (True, 1)
        assert proxy.operations == ["UpdateItem"]


def test_a_proxy_that_refuses_has_sent_nothing(certificate):
    with Refusal(hangs_up, certificate) as proxy:
        assert ends("https", proxy.url, "update_item") == (False, 2)
        assert proxy.operations == []


def test_a_proxy_that_is_not_there_has_sent_nothing():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert ends("http", f"http://127.0.0.1:{port}", "update_item") == (False, 2)
    assert ends("https", f"http://127.0.0.1:{port}", "update_item") == (False, 2)
