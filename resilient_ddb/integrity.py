"""Whether a response arrived whole: a body cut short must not pass for "no such item".

botocore's standard mode gives a truncated GetItem body back as a success without an Item, and both of its modes do
so for a body that is no JSON. Pure, and shared by the sync and the async client.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ChecksumError, HTTPClientError
from botocore.parsers import ResponseParserError

from .classification import Kind
from .errors import CallFacts
from .operations import PARTIQL, READS, WRITES

_ALWAYS_ANSWERED = READS | WRITES | PARTIQL
_SUCCESS = range(200, 300)


class UnreadableResponseError(HTTPClientError):  # type: ignore[misc]  # botocore has no types of its own
    """A response that is no JSON object. boto3 has no error for that: it takes such a response for an empty one."""

    fmt = "The response can't be read: {error}"


def find_damage(
    operation: str, response: Mapping[str, Any], parsed: Mapping[str, Any]
) -> ChecksumError | HTTPClientError | None:
    """Give the error that a damaged response amounts to, or None where it is whole.

    Args:
        operation: the operation's name.
        response: botocore's response dict: `headers`, `status_code` and `body` (bytes).
        parsed: what botocore's parser made of it.
    """
    body = response["body"]
    headers = response["headers"]
    expected = headers.get("x-amz-crc32")
    if expected is not None and "content-encoding" not in headers:
        actual = zlib.crc32(body)
        if not expected.isdecimal() or int(expected) != actual:
            return ChecksumError(checksum_type="crc32", expected_checksum=expected, actual_checksum=str(actual))
    # botocore makes an empty result of what it can't read: only that is worth a second look.
    if len(parsed) <= 1 and response["status_code"] in _SUCCESS and not _is_json_object(operation, body):
        text = f"the response to {operation} is no JSON object: {len(body)} bytes that can't be read"
        return UnreadableResponseError(error=ResponseParserError(text))
    return None


def foreign_answer(
    operation: str, table: str, what: str, response: Mapping[str, Any], elapsed: float
) -> UnreadableResponseError:
    """Return the error, with its facts, for an answer to a batch that names what the batch never had.

    Args:
        operation: the operation's name.
        table: the table's name.
        what: what the answer names, in words, without values.
        response: the answer.
        elapsed: seconds that the call took.
    """
    is_write = operation in WRITES
    error = UnreadableResponseError(error=f"the answer to {operation} for table {table!r} names {what}")
    error.resilience = CallFacts(
        table=table,
        operation=operation,
        kind=Kind.AMBIGUOUS if is_write else Kind.TRANSIENT,
        attempts=1 + (response.get("ResponseMetadata") or {}).get("RetryAttempts", 0),
        elapsed=elapsed,
        ambiguous=is_write,
        stopped_by="not retryable",
    )
    error.add_note(error.resilience.note())
    return error


def parseable(status: int, body: bytes) -> bytes:
    """Give a body that botocore's parser can take: it fails with an AttributeError on JSON that is no object.

    An empty object stands in for such a body. `find_damage` then sees what really came.
    """
    if body.lstrip()[:1] in (b"{", b""):
        return body
    if status in _SUCCESS:
        return b"{}"
    try:
        json.loads(body)
    except ValueError:
        return body  # HTML and the like: botocore makes an error of it
    return b"{}"


def _is_json_object(operation: str, body: bytes) -> bool:
    if not body:
        return operation not in _ALWAYS_ANSWERED
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False
