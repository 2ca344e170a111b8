"""Whether a response arrived whole, and is DynamoDB's: what is not must not pass for "no such item" or "written".

botocore's standard mode gives a truncated GetItem body back as a success without an Item. Both of its modes do so for
a body that is no JSON. Pure, and shared by the sync and the async client.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.exceptions import ChecksumError, HTTPClientError
from botocore.parsers import ResponseParserError, create_parser

from resilient_ddb.dynamodb.operations import PARTIQL, READS, WRITES
from resilient_ddb.errors import CallFacts, attach
from resilient_ddb.events import ErrorKind, StopReason

_ALWAYS_ANSWERED = READS | WRITES | PARTIQL
_ALWAYS_THERE: Mapping[str, str] = {
    "Query": "Count",
    "Scan": "Count",
    "BatchWriteItem": "UnprocessedItems",
    "BatchGetItem": "Responses",
    "TransactGetItems": "Responses",
    "DescribeTable": "Table",
    "DescribeTimeToLive": "TimeToLiveDescription",
    "ListTables": "TableNames",
    "CreateTable": "TableDescription",
    "UpdateTable": "TableDescription",
    "DeleteTable": "TableDescription",
    "UpdateTimeToLive": "TimeToLiveSpecification",
}
"""What DynamoDB's answer to an operation never goes without."""
_SUCCESS = range(200, 300)
_FIRST_FINAL = 200
_CHECKSUM = "x-amz-crc32"
_CONTENT_TYPE = "application/x-amz-json-1."
_MOST_DIGITS = 20
_NO_JSON = (ValueError, RecursionError)
"""What Python raises for a text that it can't read: also for one that is nested too deep."""
_NOTHING: Mapping[str, Any] = {}


class UnreadableResponseError(HTTPClientError):  # type: ignore[misc]  # botocore has no types of its own
    """A response that is no answer of DynamoDB's. boto3 has no error for that: it takes it for an empty answer."""

    fmt = "The response can't be read: {error}"


def find_damage(
    operation: str, response: Mapping[str, Any], parsed: Mapping[str, Any]
) -> ChecksumError | HTTPClientError | None:
    """Return the error that a damaged response amounts to, or None if it is whole.

    Args:
        operation: the operation's name.
        response: botocore's response dict: `headers`, `status_code` and `body` (bytes).
        parsed: what botocore's parser made of it.
    """
    body, status = response["body"], response["status_code"]
    headers = _headers(response, parsed)
    expected = headers.get(_CHECKSUM)
    if expected is not None:
        actual = zlib.crc32(body)
        if expected != str(actual) and not _is_number(expected, actual) and "content-encoding" not in headers:
            said = expected[:_MOST_DIGITS]
            return ChecksumError(checksum_type="crc32", expected_checksum=said, actual_checksum=str(actual))
    if status < _FIRST_FINAL:
        return _unreadable(f"the response to {operation} is an interim one: HTTP status {status}")
    # botocore makes an empty result of what it can't read: only that is worth a second look.
    if len(parsed) <= 1 and status in _SUCCESS and not _is_json_object(operation, body):
        return _unreadable(f"the response to {operation} is no JSON object: {len(body)} bytes that can't be read")
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
    facts = CallFacts(
        table=table,
        operation=operation,
        kind=ErrorKind.AMBIGUOUS if is_write else ErrorKind.TRANSIENT,
        attempts=1 + (response.get("ResponseMetadata") or {}).get("RetryAttempts", 0),
        elapsed=elapsed,
        ambiguous=is_write,
        stopped_by=StopReason.NOT_RETRYABLE,
    )
    attach(error, facts)
    return error


def find_foreign(operation: str, response: Mapping[str, Any], parsed: Mapping[str, Any]) -> HTTPClientError | None:
    """Return the error that a success amounts to which is no answer of DynamoDB's to the operation; None if it is one.

    A gateway, or a captive portal, answers 200 with JSON of its own. Only for what came over the wire: what a stub
    answers has no need of headers. The arguments are those of `find_damage`.
    """
    if response["status_code"] not in _SUCCESS:
        return None
    member = _ALWAYS_THERE.get(operation)
    if member is not None and member not in parsed:
        return _unreadable(f"the response to {operation} is not DynamoDB's: it has no {member}")
    if operation == "DescribeTable" and not _describes(parsed["Table"]):
        return _unreadable(
            f"the response to {operation} is not DynamoDB's: its table, or an index, has no name or no key"
        )
    headers = _headers(response, parsed)
    if _CHECKSUM in headers or "x-amzn-requestid" in headers:
        return None
    if headers.get("content-type", "").lower().startswith(_CONTENT_TYPE):
        return None
    return _unreadable(
        f"the response to {operation} is not DynamoDB's: it has no request id, no checksum and another content type"
    )


def _describes(table: Mapping[str, Any]) -> bool:
    """Return whether a table's description has what DynamoDB's never goes without: names and keys."""
    try:
        indexes = [*table.get("GlobalSecondaryIndexes", ()), *table.get("LocalSecondaryIndexes", ())]
        keys = [part["KeySchema"] for part in (table, *indexes)]
        elements = [element for key in keys for element in key]
        return (
            "TableName" in table
            and all("IndexName" in index for index in indexes)
            and all(any(element["KeyType"] == "HASH" for element in key) for key in keys)
            and all("AttributeName" in element for element in (*elements, *table.get("AttributeDefinitions", ())))
        )
    except (AttributeError, KeyError, TypeError):
        return False


def parseable(status: int, body: bytes) -> bytes:
    """Return a body that botocore's parser can take: it fails on what is no UTF-8, and on JSON that is no object.

    An empty object stands in for such a body of a success: `find_damage` then sees what really came. Of an error,
    what can be read is left.
    """
    try:
        body.decode()
    except UnicodeDecodeError:
        return b"{}" if status in _SUCCESS else body.decode(errors="replace").encode()
    if body.lstrip()[:1] in (b"{", b""):
        return body
    if status in _SUCCESS:
        return b"{}"
    try:
        json.loads(body.decode())
    except RecursionError:
        return b"{}"
    except ValueError:
        return body  # HTML and the like: botocore makes an error of it
    return b"{}"


def is_of_shape(model: Any, response: Mapping[str, Any]) -> bool:
    """Return whether botocore's parser takes a response to an operation of this model."""
    try:
        parser = botocores_parser(model.service_model.resolved_protocol)
        parsed = parser.parse(response, model.output_shape)
        shape = model.service_model.shape_for_error_code(parsed.get("Error", _NOTHING).get("Code"))
        if shape is not None:
            parser.parse(response, shape)
    except Exception:  # noqa: BLE001 - it fails in many ways
        return False
    return True


@cache
def botocores_parser(protocol: str) -> Any:
    """Return botocore's parser: one for all, as each is a cycle of its own."""
    return create_parser(protocol)


def misshapen(operation: str) -> HTTPClientError:
    """Return the error that a response amounts to which botocore's parser does not take."""
    return _unreadable(f"the response to {operation} is not DynamoDB's: its JSON is of another shape")


def _headers(response: Mapping[str, Any], parsed: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the headers by their names in lower case: botocore's own dict of them takes ten times as long to ask."""
    headers: Mapping[str, str] = parsed.get("ResponseMetadata", _NOTHING).get("HTTPHeaders") or response["headers"]
    return headers


def _is_number(text: str, number: int) -> bool:
    # A number of thousands of digits is none that Python reads.
    return text.isdecimal() and len(text) < _MOST_DIGITS and int(text) == number


def _is_json_object(operation: str, body: bytes) -> bool:
    if not body:
        return operation not in _ALWAYS_ANSWERED
    try:
        return isinstance(json.loads(body.decode()), dict)  # of bytes, json would also read UTF-16 and UTF-32
    except _NO_JSON:
        return False


def _unreadable(text: str) -> UnreadableResponseError:
    return UnreadableResponseError(error=ResponseParserError(text))
