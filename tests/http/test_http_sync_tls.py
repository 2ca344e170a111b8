"""TLS of the sync transport: it trusts and refuses what botocore's own connections do, in the same words."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time

import pytest
from botocore.exceptions import ReadTimeoutError, SSLError
from http_support import PATIENT, Authority, TlsServer, counters, lean, table_at
from sdk_support import sockets_to
from urllib3.exceptions import InsecureRequestWarning
from wire_server import answer

import resilient_ddb as rddb
from resilient_ddb.http import sync_connections
from resilient_ddb.testing import FakeClock

ITEM = {"pk": "a"}
GOOD = answer({"Item": {"pk": {"S": "a"}}})
WAYS = (True, False)


def script(*_):
    return [GOOD]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def good(authority):
    return authority.certificate("good", "127.0.0.1", "localhost")


@pytest.fixture(autouse=True)
def no_bundle(monkeypatch):
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def get(url, *, fast_path, **options):
    """Return what a caller sees of a GetItem."""
    retry = rddb.Retry(max_attempts=2)
    policy = rddb.Policy(fast_path=fast_path, timeouts=PATIENT, retry=retry, clock=FakeClock(), circuit_breaker=None)
    table = table_at(url, policy=policy, **options)
    try:
        answers = [table.get_item(Key=ITEM)["Item"] for _ in range(2)]
    except SSLError as error:
        return type(error), re.sub(r"\(_ssl\.c:\d+\)", "", str(error)), error.resilience.kind, error.resilience.attempts
    else:
        assert answers == [ITEM, ITEM]
        return "an item"
    finally:
        assert bool(counters(table).taken) == fast_path
        table.meta.client.close()


def test_a_server_that_is_trusted_is_asked_on_one_connection(authority, good):
    for way in WAYS:
        with TlsServer(script, good) as server:
            assert get(server.url, fast_path=way, verify=str(authority.bundle)) == "an item"
            assert (server.connections, server.names) == (1, [None])  # an address is no name


def test_the_name_of_the_server_is_sent_and_checked(authority, good):
    for way in WAYS:
        with TlsServer(script, good) as server:
            url = server.url.replace("127.0.0.1", "localhost")
            assert get(url, fast_path=way, verify=str(authority.bundle)) == "an item"
            assert server.names == ["localhost"]


REFUSED = {
    "for another host": {"hosts": ["example.org"]},
    "without a host": {"hosts": []},
    "expired": {"hosts": ["127.0.0.1"], "days": -1},
    "self-signed": {"hosts": ["127.0.0.1"], "self_signed": True},
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_certificate_that_botocore_refuses_is_refused_in_the_same_words(authority, kind):
    asked = dict(REFUSED[kind])
    certificate = authority.certificate(kind.replace(" ", "-"), *asked.pop("hosts"), **asked)
    with TlsServer(script, certificate) as server:
        ours, theirs = (get(server.url, fast_path=way, verify=str(authority.bundle)) for way in WAYS)
        assert ours[:2] == theirs[:2]
        assert ours[0] is SSLError
        assert ours[2] in ("permanent", "transient")
        assert server.operations == []


def test_an_authority_that_is_not_known_is_refused(good):
    with TlsServer(script, good) as server:
        ours, theirs = (get(server.url, fast_path=way) for way in WAYS)
        assert ours == theirs
        assert ours[0] is SSLError
        assert server.operations == []


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_the_environment_names_whom_to_trust(authority, good, monkeypatch, name):
    monkeypatch.setenv(name, str(authority.bundle))
    for way in WAYS:
        with TlsServer(script, good) as server:
            assert get(server.url, fast_path=way) == "an item"


def test_a_bundle_that_is_not_there_is_an_error_in_the_same_words(good, tmp_path):
    with TlsServer(script, good) as server:
        ours, theirs = (get(server.url, fast_path=way, verify=str(tmp_path / "none.pem")) for way in WAYS)
        assert ours[:2] == theirs[:2]
        assert server.operations == []


def test_whoever_wants_no_check_has_none_and_is_warned(authority):
    certificate = authority.certificate("nobody", "example.org", days=-1, self_signed=True)
    for way in WAYS:
        with TlsServer(script, certificate) as server, pytest.warns(InsecureRequestWarning):
            assert get(server.url, fast_path=way, verify=False) == "an item"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_one_version_of_tls_only(authority, good, version):
    for way in WAYS:
        with TlsServer(script, good, only=version) as server:
            assert get(server.url, fast_path=way, verify=str(authority.bundle)) == "an item"
            assert server.versions == [version.name.replace("_", ".")]


@pytest.fixture
def no_tls():
    """Return the address of a server that says at once what is no TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connected, _ = listener.accept()
                    with connected:
                        connected.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                        connected.recv(10_000)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_server_without_tls_is_refused_in_the_same_words(no_tls):
    ours, theirs = (get(no_tls, fast_path=way) for way in WAYS)
    assert ours[:2] == theirs[:2]
    assert ours[0] is SSLError


def test_a_write_whose_handshake_failed_was_surely_not_applied(no_tls):
    policy = rddb.Policy(timeouts=PATIENT, clock=FakeClock(), retry=rddb.Retry(max_attempts=2))
    table = table_at(no_tls, policy=policy)
    with pytest.raises(SSLError) as raised:
        table.update_item(Key=ITEM, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": 1})
    table.meta.client.close()
    facts = raised.value.resilience
    assert (facts.kind, facts.ambiguous, facts.attempts) == ("transient", False, 2)


def test_a_handshake_that_does_not_end_ends_with_the_deadline_and_nothing_was_sent():
    with socket.create_server(("127.0.0.1", 0)) as listener:  # connected by the system, and served by nobody
        table = table_at(f"https://127.0.0.1:{listener.getsockname()[1]}")
        begun = time.monotonic()
        with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(0.2):
            table.update_item(Key=ITEM, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": 1})
        table.meta.client.close()
    assert time.monotonic() - begun < 20  # or 30
    assert (raised.value.resilience.ambiguous, raised.value.resilience.attempts) == (False, 1)


@pytest.fixture
def busy(monkeypatch):
    """Return what moves the time by so many seconds: as if this program had been busy for so long."""
    added = []
    monkeypatch.setattr(sync_connections, "now", lambda: time.monotonic() + sum(added))
    return added.append


@pytest.mark.parametrize(("late", "state"), [(0.0, "open"), (0.3, "closed")])
def test_a_handshake_that_times_out_late_says_nothing_of_the_table(late, state, busy):
    """This program had no CPU meanwhile, or another thread had the interpreter."""
    breaker = rddb.CircuitBreaker(minimum_calls=1)
    timeouts = rddb.Timeouts(connect=0.2)
    policy = rddb.Policy(circuit_breaker=breaker, retry=rddb.Retry(max_attempts=1), timeouts=timeouts)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # connected by the system, and served by nobody
        table = table_at(f"https://127.0.0.1:{listener.getsockname()[1]}", policy=policy)

        def time_out(connected, _):
            busy(connected.gettimeout() + late)
            raise TimeoutError("The handshake operation timed out")

        lean(table)._secured = time_out  # noqa: SLF001 - the handshake itself can't be held up from outside
        with pytest.raises(ReadTimeoutError) as raised:
            table.get_item(Key=ITEM)
        assert raised.value.resilience.kind == "transient"
        assert rddb.circuits(table)["read"].state == state
        table.meta.client.close()


def test_a_handshake_that_begins_late_counts_if_it_times_out(monkeypatch, busy):
    """To load what is trusted takes long where there is little CPU. The server has all of its time after that."""
    load = ssl.SSLContext.load_verify_locations

    def load_slowly(context, *args, **kwargs):
        busy(0.3)
        load(context, *args, **kwargs)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load_slowly)
    breaker = rddb.CircuitBreaker(minimum_calls=1)
    timeouts = rddb.Timeouts(connect=0.2)
    policy = rddb.Policy(circuit_breaker=breaker, retry=rddb.Retry(max_attempts=1), timeouts=timeouts)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # connected by the system, and served by nobody
        table = table_at(f"https://127.0.0.1:{listener.getsockname()[1]}", policy=policy)
        with pytest.raises(ReadTimeoutError):
            table.get_item(Key=ITEM)
        assert rddb.circuits(table)["read"].state == "open"
        table.meta.client.close()


def test_the_context_is_botocores_own(authority, good):
    with TlsServer(script, good) as server:
        table = table_at(server.url, verify=str(authority.bundle))
        table.get_item(Key=ITEM)
        [connection] = sockets_to(server.url)
        botocores = lean(table).original._manager  # noqa: SLF001 - botocore has no public way
        assert connection.context is botocores.connection_pool_kw["ssl_context"]
        assert connection.context.verify_mode is ssl.CERT_REQUIRED
        table.meta.client.close()
