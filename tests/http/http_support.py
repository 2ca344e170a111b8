"""Certificates, and a server that answers over TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
from codec_calls import ACCESS
from sdk_support import http_session_of
from wire_server import Script, WireServer

import resilient_ddb as rddb

PATIENT = rddb.Timeouts(connect=30.0, read=30.0)
"""No attempt fails because the machine paused."""


def table_at(url: str, *, policy: rddb.Policy | None = None, **options: Any) -> Any:
    """Return a hardened Table `t` at an endpoint."""
    policy = policy or rddb.Policy(timeouts=PATIENT, fast_path=True)
    return rddb.table("t", endpoint_url=url, policy=policy, session=boto3.Session(**ACCESS), **options)


def counters(table: Any) -> Any:
    """Return what a Table's transport took and declined."""
    return rddb.status(table).fast_path


def lean(table: Any) -> Any:
    """Return a Table's HTTP session."""
    return http_session_of(table.meta.client)


class TlsServer(WireServer):
    """A `WireServer` with a certificate."""

    def __init__(self, script: Script, certificate: Path, *, only: ssl.TLSVersion | None = None) -> None:
        super().__init__(script)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        if only is not None:
            self._context.minimum_version = self._context.maximum_version = only
        self.versions: list[str | None] = []
        self.names: list[str | None] = []
        self._context.sni_callback = lambda _, name, __: self.names.append(name)

    def __enter__(self):
        super().__enter__()
        self.url = self.url.replace("http://", "https://")
        return self

    def _serve(self, connected: socket.socket) -> None:
        try:
            secured = self._context.wrap_socket(connected, server_side=True)
        except OSError:  # the client does not trust it
            connected.close()
            return
        self._sockets.append(secured)
        self.versions.append(secured.version())
        super()._serve(secured)
        with contextlib.suppress(OSError):
            secured.close()


class Authority:
    """Signs certificates."""

    def __init__(self, room: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - slow to import

        self._room = room
        self._new_key = lambda: ec.generate_private_key(ec.SECP256R1())
        self._key = self._new_key()
        self.bundle = self._write("authority", self._made("authority", self._key, None, 1), None)

    def certificate(self, name: str, *hosts: str, days: int = 1, self_signed: bool = False) -> Path:
        """Return a file with a certificate for hosts, and its key. `days` from now it ends."""
        key = self._new_key()
        made = self._made(name, key, hosts, days, self_signed=self_signed)
        return self._write(name, made, key)

    def _made(self, name, key, hosts, days, *, self_signed=False):
        from cryptography import x509  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - as above

        def called(text):
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        is_own = hosts is None or self_signed
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(called(name))
            .issuer_name(called(name if is_own else "authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=9))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=hosts is None, path_length=None), critical=True)
        )
        if hosts:
            names = [x509.IPAddress(ip_address(h)) if h[0].isdigit() else x509.DNSName(h) for h in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(key if is_own else self._key, hashes.SHA256())

    def _write(self, name, certificate, key):
        from cryptography.hazmat.primitives import serialization as s  # noqa: PLC0415 - as above

        text = certificate.public_bytes(s.Encoding.PEM)
        if key is not None:
            text += key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
        path = self._room / f"{name}.pem"
        path.write_bytes(text)
        return path
