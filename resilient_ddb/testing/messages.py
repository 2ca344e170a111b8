"""HTTP messages as plain data, and the answers that the proxy makes up. No I/O."""

from __future__ import annotations

import dataclasses
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Names as they were spelt, in order."""

SERVICE = "com.amazonaws.dynamodb.v20120810#"


def header(headers: Headers, name: str) -> str | None:
    """Return the first header of that (lower-case) name."""
    return next((value for key, value in headers if key.lower() == name), None)


def crc32(body: bytes) -> str:
    """Return what `x-amz-crc32` says about `body`."""
    return str(zlib.crc32(body))


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request of a client, read whole."""

    method: str
    target: str
    headers: Headers
    body: bytes
    keep_alive: bool = True
    """Whether the client goes on using the connection."""

    @property
    def operation(self) -> str:
        """The DynamoDB operation, such as `GetItem`; empty if it is not a call of the API."""
        return (header(self.headers, "x-amz-target") or "").rpartition(".")[2]


@dataclass(frozen=True, kw_only=True)
class Response:
    """One answer, whole."""

    status: int
    headers: Headers
    body: bytes
    cut: int | None = None
    """Send only so many bytes of the body, under the `Content-Length` of all of it, then close."""
    interim: int | None = None
    """Send an interim answer of this status before."""
    late: float = 0.0
    """Seconds between the interim answer and this one."""

    def with_header(self, name: str, value: str | None) -> Response:
        """Replace a header; None takes it away."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return dataclasses.replace(self, headers=kept if value is None else (*kept, (name, value)))

    def with_body(self, body: bytes) -> Response:
        """Replace the body, and the checksum with it."""
        return dataclasses.replace(self, body=body).with_header("x-amz-crc32", crc32(body))


def json_answer(
    status: int, payload: Mapping[str, Any], *, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Make up an answer as DynamoDB would send it: JSON, a request id and a right checksum."""
    body = json.dumps(payload, separators=(",", ":")).encode()
    return Response(
        status=status,
        headers=(
            ("Content-Type", "application/x-amz-json-1.0"),
            ("x-amzn-RequestId", request_id),
            ("x-amz-crc32", crc32(body)),
            *(headers or {}).items(),
        ),
        body=body,
    )


def error_answer(
    status: int,
    code: str,
    message: str,
    *,
    request_id: str,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make up an error of the service; `extra` goes to the top of its body."""
    payload = {"__type": SERVICE + code, "message": message, **(extra or {})}
    return json_answer(status, payload, request_id=request_id, headers=headers)
