"""Forked processes, and a relay before an emulator that knows which connection each request came on."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import ssl
import threading
import traceback
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
PATIENCE_SECONDS = 30
QUIET = pytest.mark.filterwarnings(r"ignore:.*use of fork\(\) may lead to deadlocks:DeprecationWarning")
"""Python warns of forks beside threads: that is what is tested."""


def in_child(act):
    """Do something in a forked process, and give what it gave; what it raised is raised here, as text."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PATIENCE_SECONDS)  # a child that hangs ends by itself
        try:
            outcome = ("gave", act())
        except BaseException:  # noqa: BLE001 - nothing may reach pytest in this process
            outcome = ("raised", traceback.format_exc())
        with os.fdopen(tell, "wb") as out:
            pickle.dump(outcome, out)
        os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as source:
        text = source.read()
    os.waitpid(child, 0)
    assert text, "the child was ended, or hung"
    how, what = pickle.loads(text)  # noqa: S301 - our own child's
    assert how == "gave", what
    return what


class Relay:
    """Hands bytes on between clients and an emulator, over plain http or TLS. Answers can be held back."""

    def __init__(self, endpoint_url, certificate=None):
        upstream = urlsplit(endpoint_url)
        self._upstream = (upstream.hostname, upstream.port)
        self._tls = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        scheme = "http" if certificate is None else "https"
        self.endpoint_url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = []
        """The number of the connection, for each request that came."""
        self.ended = []
        """How each connection's client ended it: the number, and "end" or the error's name."""
        self._gates, self._sockets, self._threads = [], [], []

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self.let_go()
        for opened in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()
        for thread in self._threads:
            thread.join()

    def hold(self):
        """Hold the answers back on the connections that are open."""
        for gate in self._gates:
            gate.clear()

    def let_go(self):
        for gate in self._gates:
            gate.set()

    def _start(self, act, *args):
        thread = threading.Thread(target=act, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                with contextlib.suppress(OSError):
                    client = plain if self._tls is None else self._tls.wrap_socket(plain, server_side=True)
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    upstream = socket.create_connection(self._upstream)
                    number, gate = len(self._gates), threading.Event()
                    gate.set()
                    self._gates.append(gate)
                    self._sockets += (client, upstream)
                    self._start(self._up, client, upstream, number)
                    self._start(self._down, upstream, client, gate)

    def _up(self, client, upstream, number):
        how = "end"
        try:
            while data := client.recv(1 << 16):
                self.requests += [number] * data.count(b"X-Amz-Target: DynamoDB_20120810.")
                upstream.sendall(data)
        except OSError as error:
            how = type(error).__name__
        self.ended.append((number, how))
        with contextlib.suppress(OSError):
            upstream.shutdown(socket.SHUT_WR)

    def _down(self, upstream, client, gate):
        with contextlib.suppress(OSError):
            while data := upstream.recv(1 << 16):
                gate.wait()
                client.sendall(data)


def self_signed(path):
    """Write a certificate for 127.0.0.1 with its key into a file."""
    from cryptography import x509  # noqa: PLC0415 - slow to import
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - as above

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
    )
    certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(
        certificate.public_bytes(encoding) + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    )
    return path


ITEM = {"pk": "a", "sk": "b"}
BY_PARTITION = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": "a"}}
SET = {"UpdateExpression": "SET s = :s", "ExpressionAttributeValues": {":s": 1}}

READERS = {
    "query_items": ((), BY_PARTITION),
    "scan_items": ((), {}),
    "get_items": (([ITEM],), {}),
    "parallel_scan": ((2,), {}),
    "query_many": ((["a", "b"],), {}),
    "query_many_items": ((["a", "b"],), {}),
}
VERBS = {
    "get_item": ((), {"Key": ITEM}),
    "put_item": ((), {"Item": ITEM}),
    "update_item": ((), {"Key": ITEM, **SET}),
    "delete_item": ((), {"Key": ITEM}),
    "idempotent_update": ((), {"Key": ITEM, **SET}),
    "query": ((), BY_PARTITION),
    "scan": ((), {}),
    "batch_writer": ((), {}),
    "load": ((), {}),
    "reload": ((), {}),
    "wait_until_exists": ((), {}),
    "reshard": ((), {}),
    "modify": ((ITEM, lambda item: {**(item or ITEM), "n": 1}), {}),
    **READERS,
}
"""How each verb of a Table is called: what it has that is not here, or in `NOTHING_SENT`, fails the test."""
VERSIONED = {verb: ((), {**VERBS[verb][1], "expected_version": None}) for verb in ("update_item", "delete_item")}
NOTHING_SENT = {"get_available_subresources", "sharded", "versioned", "Batch", "close"}
FOR_THE_TABLE = {"delete", "update", "wait_until_not_exists"}
"""They change the table itself, or wait for its end: by the same client as `load`."""


def public(table):
    """Return the names of a table's verbs."""
    names = {name for name in dir(type(table)) if not name.startswith("_")}
    return {name for name in names if callable(getattr(type(table), name))} - NOTHING_SENT - FOR_THE_TABLE
