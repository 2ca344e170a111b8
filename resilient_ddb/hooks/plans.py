"""What the requests of one operation have in common: learnt from one that the SDK made, signed and sent.

A plan is kept only if the request that it was learnt from, made anew by the plan, comes to the same headers and the
same signature. So whatever makes up a signature (path, host, region, awscrt) is as the SDK has it, or there is no plan.
"""

from __future__ import annotations

import os
import re
import time
from hashlib import sha256
from typing import Any

import botocore.auth

from resilient_ddb.codec.originals import home_of, part

from .signing import SigningMemory

_FIXED = frozenset({"host", "accept-encoding", "content-type", "x-amz-target", "user-agent"})
"""The headers that stay the same; of each there is one."""
_MADE = frozenset({"x-amz-date", "authorization", "amz-sdk-invocation-id", "amz-sdk-request", "content-length"})
"""Those that are made anew; of each there is one."""
_MAYBE = frozenset({"x-amz-security-token", "x-amzn-trace-id"})
_SIGNED = "content-type;host;x-amz-date;x-amz-target"
_SIGNED_WITH_TOKEN = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"  # noqa: S105 - names of headers
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)
_SOUND = re.compile(r"[\x21-\x7e]+")
_FIRST_ATTEMPT = "attempt=1"
_TIMESTAMP = "%Y%m%dT%H%M%SZ"


class NoPlanError(Exception):
    """A request is another than those that plans make."""


class Keys:
    """Credentials as they are put into requests."""

    __slots__ = ("access_key", "secret_key", "token")

    def __init__(self, frozen: Any) -> None:
        """Copy the SDK's frozen credentials.

        Raises:
            ValueError: they have what can't stand in a header as it is.
        """
        self.access_key, self.secret_key, self.token = frozen.access_key, frozen.secret_key, frozen.token or None
        for text in (self.access_key, self.secret_key, *([self.token] if self.token else ())):
            if type(text) is not str or not _SOUND.fullmatch(text):
                raise ValueError("the credentials have characters that can't be signed as they are")


class Plan:
    """What the requests of one operation to one place have in common."""

    def __init__(
        self, url: str, where: Any, message: bytes, model: Any, account: Any, method: Any, memory: SigningMemory
    ) -> None:
        """Learn from the bytes of a request to a URL, as they are sent to `where`, for an operation.

        Raises:
            NoPlanError: it is another request than those that plans make.
        """
        head, _, self._learnt_body = message.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        fixed = [first]
        for line in lines:
            name, _, value = line.partition(": ")
            lower = name.lower()
            if lower in headers:
                raise NoPlanError(lower)
            headers[lower] = value
            if lower in _FIXED:
                fixed.append(line)
        if not headers.keys() >= _FIXED | _MADE or not headers.keys() <= _FIXED | _MADE | _MAYBE:
            raise NoPlanError("headers")
        found = _AUTHORIZATION.fullmatch(headers["authorization"])
        if found is None or headers["amz-sdk-request"] != _FIRST_ATTEMPT:
            raise NoPlanError("signature")
        self._access_key, date, self._region, self._service, signed, _ = found.groups()
        if signed != (_SIGNED_WITH_TOKEN if "x-amz-security-token" in headers else _SIGNED):
            raise NoPlanError("signed headers")
        if not headers["x-amz-date"].startswith(date):
            raise NoPlanError("date")
        self.url = url
        self.where = where
        self.model = model
        self.account = account
        self.method = method
        self._memory = memory
        self._learnt = headers
        self._lines = lines
        self._head = "\r\n".join(fixed)
        target = first.split(" ")[1]
        self._canonical = (
            f"POST\n{target}\n\ncontent-type:{headers['content-type']}\nhost:{headers['host']}\nx-amz-date:"
        )
        self._canonical_end = f"x-amz-target:{headers['x-amz-target']}\n\n"

    def check(self, keys: Keys) -> None:
        """Check that the request it was learnt from comes out the same, and forget that request.

        Raises:
            NoPlanError: it does not.
        """
        learnt, lines, body = self._learnt, self._lines, self._learnt_body
        del self._learnt, self._lines, self._learnt_body
        made = self.message(
            body,
            keys,
            timestamp=learnt["x-amz-date"],
            invocation=learnt["amz-sdk-invocation-id"],
            attempt=learnt["amz-sdk-request"],
            trace=learnt.get("x-amzn-trace-id"),
        )
        head, _, _ = made.partition(b"\r\n\r\n")
        _, *made_lines = head.decode("latin-1").split("\r\n")
        if sorted(map(_comparable, made_lines)) != sorted(map(_comparable, lines)):
            raise NoPlanError("what the plan makes is another request")

    def message(
        self, body: bytes, keys: Keys, *, timestamp: str, invocation: str, attempt: str, trace: str | None
    ) -> bytes:
        """Return the bytes of a request."""
        date = timestamp[:8]
        scope = f"{date}/{self._region}/{self._service}/aws4_request"
        token = keys.token
        if token is None:
            signed, token_line, token_header = _SIGNED, "", ""
        else:
            signed = _SIGNED_WITH_TOKEN
            token_line, token_header = f"x-amz-security-token:{token}\n", f"\r\nX-Amz-Security-Token: {token}"
        canonical = (
            f"{self._canonical}{timestamp}\n{token_line}{self._canonical_end}{signed}\n{sha256(body).hexdigest()}"
        )
        hashed = sha256(canonical.encode()).hexdigest()
        key = self._memory.signing_key(keys.secret_key, date, self._region, self._service)
        signature = key.sign(f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashed}")
        trace_header = f"\r\nX-Amzn-Trace-Id: {trace}" if trace is not None else ""
        head = (
            f"{self._head}\r\nX-Amz-Date: {timestamp}{token_header}{trace_header}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={signed}, "
            f"Signature={signature}\r\namz-sdk-invocation-id: {invocation}\r\namz-sdk-request: {attempt}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("latin-1") + body


def _comparable(line: str) -> str:
    name, _, value = line.partition(": ")
    return f"{name.lower()}: {value}"


def timestamp_now() -> str:
    """Return the time that a request is signed with. Another clock, where botocore's signer has one, is asked."""
    global _second  # noqa: PLW0603 - of all calls of one second the text is the same
    if botocore.auth.get_current_datetime is not _get_current_datetime:
        asked: str = botocore.auth.get_current_datetime().strftime(_TIMESTAMP)
        return asked
    now = int(time.time())
    known, timestamp = _second
    if known != now:
        timestamp = time.strftime(_TIMESTAMP, time.gmtime(now))
        _second = now, timestamp
    return timestamp


_get_current_datetime = part("botocore.compat", "get_current_datetime")
if home_of(_get_current_datetime) != "botocore.compat":
    _get_current_datetime = None  # somebody's own: it is asked
_second: tuple[int | None, str] = (None, "")
"""A time in seconds since the epoch, and the text of it."""


def new_invocation() -> str:
    """Return an id as botocore makes one for each call: a UUID of version 4."""
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"


_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
"""The digit that a UUID has in place of a random one where it says of which kind it is: two of its bits are given."""
