"""Signature Version 4, in a shorter way for the requests that DynamoDB's clients make.

botocore's own signer walks the headers four times, and prepares the request twice only to see its body. It derives
the signing key anew for each request, though that stays the same for a day. What is not overridden here is
botocore's, and requests that are not plain are signed by it altogether.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Any

import botocore.auth
from botocore.auth import SigV4Auth

from resilient_ddb.codec.originals import Original

_LEFT_TO_BOTOCORE = frozenset({"host", "x-amz-content-sha256"})
METHODS = (
    *("canonical_request", "canonical_headers", "canonical_query_string", "signed_headers", "headers_to_sign"),
    *("payload", "signature", "_header_value", "_normalize_url_path", "_sign"),
)
"""Of botocore's signer: what is done here in another way, or relied on."""
_SIGNING = Original(SigV4Auth, METHODS, botocore.auth.__name__)
HAS_BLACKLIST = hasattr(botocore.auth, "SIGNED_HEADERS_BLACKLIST")
"""Whether botocore says which headers it does not sign."""


def botocore_signs_as_usual() -> bool:
    """Return whether botocore's signer is as it was made: some programs replace its methods."""
    return HAS_BLACKLIST and _SIGNING.stands()


class SigningKey:
    """HMAC-SHA256 by one key (RFC 2104), whose two hashes are begun once: `hmac.digest` takes twice as long."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        """Sign by a key of at most 64 bytes."""
        padded = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(padded.translate(_INNER_PAD))
        self._outer = sha256(padded.translate(_OUTER_PAD))

    def sign(self, text: str) -> str:
        """Return a text's signature."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return outer.hexdigest()


_BLOCK_BYTES = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class SigningMemory:
    """What one client's signatures have in common, as of the last one."""

    def __init__(self) -> None:
        self.key: tuple[tuple[str, ...], SigningKey] = ((), SigningKey(b""))
        """What the signing key was derived from, and the key. The secret is in memory anyway, in the credentials."""
        self.url: tuple[str | None, tuple[str, str, str]] = (None, ("", "", ""))
        """A URL, and its path, query and host in canonical form."""

    def signing_key(self, secret: str, date: str, region: str, service: str) -> SigningKey:
        """Return what a day's requests are signed with."""
        derived_from = (secret, date, region, service)
        known, key = self.key
        if known != derived_from:
            derived = f"AWS4{secret}".encode()
            for part in (*derived_from[1:], "aws4_request"):
                derived = hmac.digest(derived, part.encode(), "sha256")
            key = SigningKey(derived)
            self.key = derived_from, key
        return key


class QuickSigV4Auth(SigV4Auth):  # type: ignore[misc]  # botocore has no types of its own
    """botocore's signer, which gives the same signatures in a quarter of the time."""

    memory: SigningMemory
    _signed_headers: str | None = None

    def canonical_request(self, request: Any) -> str:
        """Return the request's canonical form."""
        self._signed_headers = None
        found = self._plain_canonical_request(request)
        if found is None:
            canonical: str = super().canonical_request(request)
            return canonical
        return found

    def _plain_canonical_request(self, request: Any) -> str | None:
        headers: dict[str, str] = {}
        unsigned = botocore.auth.SIGNED_HEADERS_BLACKLIST
        for name, value in request.headers.raw_items():
            lower = name.lower()
            if lower in unsigned:
                continue
            if type(value) is not str or not value.isascii() or lower in headers or lower != lower.strip():
                return None
            headers[lower] = " ".join(value.split())
        if not headers.keys().isdisjoint(_LEFT_TO_BOTOCORE):
            return None
        context, body = request.context, request.data
        checksum = context.get("checksum") or {}
        if request.params or type(body) is not bytes or not body or checksum.get("request_algorithm"):
            return None
        if not context.get("payload_signing_enabled", True):
            return None
        path, query, host = self._canonical_url(request)
        headers["host"] = host
        names = sorted(headers)
        self._signed_headers = ";".join(names)
        canonical_headers = "".join([f"{name}:{headers[name]}\n" for name in names])
        payload = sha256(body).hexdigest()
        return f"{request.method.upper()}\n{path}\n{query}\n{canonical_headers}\n{self._signed_headers}\n{payload}"

    def _canonical_url(self, request: Any) -> tuple[str, str, str]:
        url, found = self.memory.url
        if url != request.url:
            _, path, query, *_ = super().canonical_request(request).split("\n")
            found = path, query, super().headers_to_sign(request)["host"]
            self.memory.url = request.url, found
        return found

    def signature(self, string_to_sign: str, request: Any) -> str:
        """Return the signature."""
        secret, date = self.credentials.secret_key, request.context["timestamp"][:8]
        return self.memory.signing_key(secret, date, self._region_name, self._service_name).sign(string_to_sign)

    def signed_headers(self, headers_to_sign: Any) -> str:
        """Return the names of the headers that are signed."""
        if self._signed_headers is None:
            names: str = super().signed_headers(headers_to_sign)
            return names
        return self._signed_headers

    def headers_to_sign(self, request: Any) -> Any:
        """Return the headers that are signed; none where `signed_headers` already knows their names."""
        return super().headers_to_sign(request) if self._signed_headers is None else {}
