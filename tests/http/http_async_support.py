"""What the tests of the async transport share: tables that go by it, and by aiohttp, and how a call ended."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

from aiobotocore.config import AioConfig
from sdk_support import http_session_of
from wire_server import WireServer, answer

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import FakeClock

ACCESS = {"region_name": "eu-west-1", "aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
KEY = {"Key": {"pk": "a"}}
ADD = {**KEY, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
BY_AIOHTTP = AioConfig(connector_args={"keepalive_timeout": 11})


async def until(condition, within=30.0):
    """Give the loop turns until `condition()` holds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - of a server: there is no event to wait for
            await asyncio.sleep(0.001)


def of_key(params):
    """Return the whole answer to a request: the item of its key, if it reads one."""
    return answer({} if "UpdateExpression" in params else {"Item": params["Key"]})


def table_at(url, *, config=None, attempts=2, read=20.0, connect=20.0, connection_max_idle=60.0, **options):
    """Return an async table whose calls are tried twice, at once."""
    chosen = rddb.Policy(
        retry=rddb.Retry(max_attempts=attempts),
        clock=options.pop("clock", None) or FakeClock(),
        circuit_breaker=options.pop("circuit_breaker", None),
        timeouts=rddb.Timeouts(connect=connect, read=read, connection_max_idle=connection_max_idle),
        fast_path=options.pop("fast_path", None),
    )
    return aio.table("t", endpoint_url=url, policy=chosen, config=config, **ACCESS, **options)


class MovedClock:
    """The real time, also that of the running event loop, and what a test adds: the time for which it was busy."""

    def __init__(self):
        self._added = 0.0
        asyncio.get_running_loop().time = self.monotonic

    def monotonic(self):
        return time.monotonic() + self._added

    def time(self):
        return time.time() + self._added

    def wait(self, seconds):
        return seconds

    def be_busy(self, seconds):
        self._added += seconds


async def session_of(table):
    """Return the HTTP session of a table's client on this loop."""
    return http_session_of(await table.meta.client.current("get_item"))


def goes_by_aiohttp(table):
    """Return whether aiohttp sent all that a table has sent."""
    return rddb.status(table).fast_path.taken == 0


async def end_of(call):
    """Return how a call ended: its answer, or all that its error says. Ports and times are left out."""
    try:
        response = await call
    except Exception as error:  # noqa: BLE001 - that is what is compared
        facts = error.resilience
        said = (str(error), *error.__notes__)
        plain = [re.sub(r"127\.0\.0\.1:\d+|\d+\.\d+ s|in \d+ ms", "", text) for text in said]
        return type(error), plain, facts.kind, facts.attempts, facts.ambiguous, facts.stopped_by
    return response.get("Item"), response["ResponseMetadata"]["RetryAttempts"]


def certificate(path, *, names=("127.0.0.1",), days=(-1, 1), authority=None):
    """Write a certificate with its key into a file; signed by `authority` (a certificate and its key) or by itself."""
    from cryptography import x509  # noqa: PLC0415 - slow to import
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - as above

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.now(dt.UTC)
    begin, end = (now + dt.timedelta(days=day) for day in days)
    found = []
    for each in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(each)))
        except ValueError:
            found.append(x509.DNSName(each))
    issuer, signer = (name, key) if authority is None else (authority[0].subject, authority[1])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName(found), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(
        made.public_bytes(encoding) + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    )
    return str(path)


class TlsServer:
    """Hands TLS connections on to a `WireServer`, as plain ones, and closes what waits when it is told to."""

    def __init__(self, script, certificate_file, versions=None):
        self._inner = WireServer(script)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate_file)
        if versions is not None:
            self._context.minimum_version, self._context.maximum_version = versions
        self._open, self._threads = [], []
        self.connections = 0

    def __enter__(self):
        self._inner.__enter__()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._begin(self._accept)
        return self

    def __exit__(self, *_):
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for client, upstream in self._open:
            for each in (client, upstream):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        self._inner.__exit__()
        for thread in self._threads:
            thread.join()

    @property
    def operations(self):
        return self._inner.operations

    def close_idle(self, *, notify):
        """Close all connections, over TLS with a close_notify or with the end of the socket only."""
        for client, _ in list(self._open):
            with suppress(OSError, ValueError):
                client.unwrap() if notify else client.shutdown(socket.SHUT_WR)

    def _begin(self, act, *args):
        thread = threading.Thread(target=act, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with suppress(OSError):
            while True:
                plain, _ = self._listening.accept()
                self._begin(self._serve, plain)

    def _serve(self, plain):
        try:
            client = self._context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        self.connections += 1
        port = int(self._inner.url.rpartition(":")[2])
        upstream = socket.create_connection(("127.0.0.1", port))
        self._open.append((client, upstream))
        self._begin(self._copy, upstream, client)
        self._copy(client, upstream)

    @staticmethod
    def _copy(one, other):
        with suppress(OSError, ValueError):
            while data := one.recv(1 << 16):
                other.sendall(data)


def context(seconds):
    """Return Lambda's context object, with so many seconds left."""
    return SimpleNamespace(get_remaining_time_in_millis=lambda: int(seconds * 1000))
