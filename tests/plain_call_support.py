"""What the tests of plain calls share: a server that keeps what it hears, and the two ways of a call, side by side."""

from __future__ import annotations

import contextlib
import copy
import random
import re
import socket
from typing import Any

import boto3
from boto3.dynamodb.conditions import Attr, Key
from codec_calls import ACCESS
from hostile_support import AWAITED, BYTES, policy
from unit_support import core_of
from wire_server import HANDS_ON_WHAT_IS_CUT, MARKS, WireServer, answer, error

import resilient_ddb as rddb

ITEM = {"pk": {"S": "a"}, "n": {"N": "1.50"}, "b": {"B": "AP8="}}
GOOD: dict[str, bytes] = {
    "GetItem": answer({"Item": ITEM}),
    "PutItem": answer({}),
    "UpdateItem": answer({"Attributes": ITEM}),
    "DeleteItem": answer({}),
    "Query": answer({"Count": 1, "ScannedCount": 1, "Items": [ITEM]}),
    "Scan": answer({"Count": 1, "ScannedCount": 1, "Items": [ITEM]}),
    "BatchGetItem": answer({"Responses": {"t": [ITEM]}, "UnprocessedKeys": {}}),
    "BatchWriteItem": answer({"UnprocessedItems": {}}),
}
"""What DynamoDB answers to each operation of the path."""
VERBS: dict[str, str] = {
    "GetItem": "get_item",
    "PutItem": "put_item",
    "UpdateItem": "update_item",
    "DeleteItem": "delete_item",
    "Query": "query",
    "Scan": "scan",
    "BatchGetItem": "batch_get_item",
    "BatchWriteItem": "batch_write_item",
}
_TABLE = {"TableName": "t"}
_KEY = {**_TABLE, "Key": {"pk": "a"}}
PARAMS: dict[str, dict[str, Any]] = {
    "GetItem": {**_KEY, "ConsistentRead": True},
    "PutItem": {**_TABLE, "Item": {"pk": "a", "n": 1}, "ConditionExpression": Attr("pk").not_exists()},
    "UpdateItem": {**_KEY, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}},
    "DeleteItem": _KEY,
    "Query": {**_TABLE, "KeyConditionExpression": Key("pk").eq("a"), "Limit": 10},
    "Scan": {**_TABLE, "FilterExpression": Attr("n").gt(0)},
    "BatchGetItem": {"RequestItems": {"t": {"Keys": [{"pk": "a"}]}}},
    "BatchWriteItem": {"RequestItems": {"t": [{"PutRequest": {"Item": {"pk": "a"}}}]}},
}
"""Parameters of each, in native values."""

TYPED = {
    "GetItem": {"TableName": "t", "Key": {"pk": {"S": "a"}}},
    "PutItem": {"TableName": "t", "Item": {"pk": {"S": "a"}, "b": {"B": b"\x00\xff"}}},
    "UpdateItem": {
        "TableName": "t",
        "Key": {"pk": {"S": "a"}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    },
    "DeleteItem": {"TableName": "t", "Key": {"pk": {"S": "a"}}},
    "Query": {
        "TableName": "t",
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": "a"}},
    },
    "Scan": {"TableName": "t"},
    "BatchGetItem": {"RequestItems": {"t": {"Keys": [{"pk": {"S": "a"}}]}}},
    "BatchWriteItem": {"RequestItems": {"t": [{"DeleteRequest": {"Key": {"pk": {"S": "a"}}}}]}},
}
"""The same in typed values."""

MARK = "x-amzn-requestid: R\r\nContent-Type: application/x-amz-json-1.0\r\n"


def _raw(head: str, body: bytes, status: int = 200) -> bytes:
    return f"HTTP/1.1 {status} X\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


CONDITION = "ConditionalCheckFailedException"
DATED = {**MARKS, "Date": "Sat, 21 Nov 2026 10:00:00 GMT"}
ANSWERS = {
    **{
        f"bytes: {name}": [said, None] if name in AWAITED else said
        for name, said in BYTES.items()
        if name not in ("a long length", "an interim one")  # the transports differ: what is no HTTP is a lost reply
    },
    "nothing": [None],
    **({"a part of the body": [answer({"Item": ITEM})[:-5], None]} if HANDS_ON_WHAT_IS_CUT else {}),
    "another body than its checksum": answer({"Item": ITEM}).replace(b'"a"', b'"c"'),
    "no HTTP": [b"SSH-2.0-x\r\n", None],
    "an empty body": answer(b""),
    "an empty body, accepted": answer(b"", 202),
    "no content": [b"HTTP/1.1 204 X\r\nx-amzn-RequestId: R\r\n\r\n"],
    "a list": answer(b"[]"),
    "null": answer(b"null"),
    "half an object": answer(b'{"Item":', crc=False),
    "null members": answer({"Item": None, "Attributes": None, "Items": None, "Responses": None, "Count": None}),
    "strange members": answer({"Item": [], "Attributes": 5, "Items": {}, "Responses": [], "More": {"a": 1}}),
    "strange values": answer({"Item": {"pk": {"X": 1}}, "Attributes": {"pk": {"S": "a", "N": "1"}}, "Count": 0}),
    "a number too long": answer({"Item": {"n": {"N": "1" * 50}}, "Attributes": {"n": {"N": "1" * 50}}}),
    "no JSON numbers": answer({"Item": {"n": {"N": "x"}}, "Attributes": {"n": {"N": "x"}}}),
    "metadata": answer({"ResponseMetadata": {"a": 1}, "Item": ITEM, "Count": 0}),
    "no marks": _raw("", b"{}"),
    "headers twice": _raw(MARK + "a: b\r\nA: c\r\n", b'{"Count": 0, "Responses": {}}'),
    "a request id twice": _raw(MARK + "x-amzn-requestid: S\r\n", b'{"Count": 0}'),
    "a header in latin-1": _raw(MARK + "a: \xfc\r\n", b'{"Count": 0}'),
    "a validation error": error("ValidationException"),
    "an unknown error": error("NoSuchException", 418),
    "an error without type": answer({"message": "x"}, 400),
    "an error with an item": error("ValidationException", Item=ITEM),
    "an error in HTML": answer(b"<html>", 503, {"Content-Type": "text/html"}),
    "an error without body": answer(b"", 500),
    "a redirect": _raw("Location: http://127.0.0.1:1/\r\n", b"", 307),
    "a condition": error(CONDITION),
    "a condition with the item": error(CONDITION, Item=ITEM),
    "a condition with a strange item": error(CONDITION, Item={"pk": {"X": 1}}),
    "throttled": error("ThrottlingException"),
    "too much": error("ProvisionedThroughputExceededException"),
    "a server error": error("InternalServerError", 500),
    "no such table": error("ResourceNotFoundException"),
    "too old": error("InvalidSignatureException", 400),
    "a token that expired": error("ExpiredTokenException", 400),
    "a dated error": answer({"__type": "x#InternalServerError"}, 500, DATED),
    "a date that is none": answer({"__type": "x#InternalServerError"}, 500, {**MARKS, "Date": "soon"}),
}
"""What a server may answer to any of them."""


EVENTS = (
    *("provide-client-params", "before-parameter-build", "before-endpoint-resolution", "before-call"),
    *("request-created", "choose-signer", "before-sign", "before-send", "before-parse", "response-received"),
    *("needs-retry", "after-call", "after-call-error"),
)
"""The events of a call, at each of which somebody may listen."""


class Heard(WireServer):
    """Answers with what a test puts into `answers`, the last again and again; keeps heads and bodies as they come."""

    def __init__(self) -> None:
        super().__init__(lambda *_: ())
        self.heard: list[tuple[list[str], bytes]] = []
        self.answers: list[Any] = []

    def take(self) -> list[tuple[list[str], bytes]]:
        """Return what was heard since the last time."""
        heard, self.heard = self.heard, []
        return heard

    def reply(self, body: bytes) -> Any:
        """Return what is said to a request."""
        del body
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def _serve(self, connected: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connected, connected.makefile("rb") as reader:
            while lines := list(iter(lambda: reader.readline().rstrip(b"\r\n").decode("latin-1"), "")):
                [length] = [line[16:] for line in lines if line.lower().startswith("content-length: ")]
                body = reader.read(int(length))
                self.heard.append((lines, body))
                said = self.reply(body)
                for piece in said if isinstance(said, list) else [said]:
                    if piece is None:
                        return
                    connected.sendall(piece)


def client_of(url: str, *, fast_path: bool, native: bool = True, told: list[Any] | None = None, **settings: Any) -> Any:
    """Return a hardened client, of low level or of a Table."""
    observers = [] if told is None else [told.append]
    timeouts = rddb.Timeouts(read=settings.pop("read", 30.0), connect=30.0)
    chosen = policy(fast_path=fast_path, timeouts=timeouts, random=random.Random(1), observers=observers, **settings)
    if native:
        return rddb.table("t", endpoint_url=url, policy=chosen, session=boto3.Session(**ACCESS)).meta.client
    return rddb.client(endpoint_url=url, policy=chosen, session=boto3.Session(**ACCESS))


def counters(client: Any) -> Any:
    """Return what a client's fast path took and declined."""
    return core_of(client).host.transport


def primed(client: Any, server: Heard) -> Any:
    """Return a client that has made its very first call: what the path is made of is loaded with the second."""
    server.answers = [answer({"TableNames": []})]
    with contextlib.suppress(Exception):  # of a client that can't sign
        client.list_tables()
    server.take()
    server.answers = [GOOD["GetItem"]]
    return client


def warmed(client: Any, server: Heard, params: dict[str, dict[str, Any]] = PARAMS) -> Any:
    """Return a client that has made its first call of each operation."""
    primed(client, server)
    for operation, found in params.items():
        server.answers = [GOOD[operation]]
        getattr(client, VERBS[operation])(**copy.deepcopy(found))
    server.take()
    return client


def outcome(client: Any, operation: str, params: Any) -> Any:
    """Return what a caller sees of a call."""
    try:
        response = getattr(client, VERBS[operation])(**copy.deepcopy(params))
    except Exception as error:  # noqa: BLE001 - it is what is compared
        return seen_of(error)
    return seen(response)


def seen(response: Any) -> Any:
    """Return a response, with the order of its keys."""
    metadata = response["ResponseMetadata"]
    return response, list(response), list(metadata), list(metadata["HTTPHeaders"]), type(metadata["HTTPHeaders"])


def seen_of(error: Exception) -> Any:
    """Return what can be seen of an error."""
    facts = error.resilience if hasattr(error, "resilience") else None
    told = facts and (facts.kind, facts.attempts, facts.ambiguous, facts.stopped_by, facts.table, facts.operation)
    response = getattr(error, "response", None)
    request = getattr(error, "request", None)
    sent = None if request is None else (request.method, request.url, request.body, _names(request.headers))
    cls = type(error)
    kind = (cls.__module__, cls.__qualname__)  # those of DynamoDB's errors are made for each client
    return kind, _timeless(str(error)), response, told, _timeless(repr(getattr(error, "__notes__", ()))), sent


def _names(headers: Any) -> list[str]:
    return sorted(headers.keys())


def _timeless(text: str) -> str:
    return re.sub(r"in \d+\.\d+ s|elapsed=[^,)]*|call=\d+", "", text)


def _placeless(found: Any) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", repr(found))


def events(told: list[Any]) -> list[str]:
    """Return the events that were told, without their times and the calls' numbers, and forget them."""
    found = [re.sub(r"\bcall=\d+", "call=", _timeless(repr(event))) for event in told]
    told.clear()
    return found


_CHANGING = {
    "x-amz-date": r"\d{8}T\d{6}Z",
    "authorization": r"AWS4-HMAC-SHA256 Credential=\S+/\d{8}/\S+/dynamodb/aws4_request, "
    r"SignedHeaders=[a-z0-9;-]+, Signature=[0-9a-f]{64}",
    "amz-sdk-invocation-id": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
}


def wire(heard: list[tuple[list[str], bytes]]) -> Any:
    """Return what was heard, without the order of headers and sets, times and ids."""
    return [([lines[0], *sorted(map(_steady, lines[1:]))], _ordered(body)) for lines, body in heard]


_SET = re.compile(rb'("(?:SS|NS|BS)":\[)([^\]\[]*)\]')


def _ordered(body: bytes) -> bytes:
    """Return a body with the members of its sets in order: a copy of a set may have another one."""
    return _SET.sub(lambda found: found[1] + b",".join(sorted(found[2].split(b","))) + b"]", body)


def _steady(line: str) -> str:
    name, _, value = line.partition(": ")
    pattern = _CHANGING.get(name.lower())
    if pattern is not None:
        assert re.fullmatch(pattern, value), line
        return name
    return re.sub(r"ttl=\d{8}T\d{6}Z", "ttl=", line)


class Ways:
    """Two clients of one server: one that goes past botocore's inside, and one that goes all the way through."""

    def __init__(self, server: Heard, *, native: bool = True, **settings: Any) -> None:
        self.server = server
        self.told: dict[bool, list[Any]] = {True: [], False: []}
        self.clients = {
            way: client_of(server.url, fast_path=way, native=native, told=told, **settings)
            for way, told in self.told.items()
        }

    def warm(self, params: dict[str, dict[str, Any]] = PARAMS) -> Ways:
        """Make the first call of each operation."""
        for client in self.clients.values():
            warmed(client, self.server, params)
        for told in self.told.values():
            told.clear()
        return self

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    def compare(self, operation: str, params: Any, answers: list[Any], *, is_taken: bool | None = True) -> Any:
        """Make a call both ways, see that it comes to the same, and return what a caller sees."""
        found = {}
        taken = counters(self.clients[True]).calls
        for way, client in self.clients.items():
            self.server.answers = list(answers)
            found[way] = [
                outcome(client, operation, params),
                wire(self.server.take()),
                events(self.told[way]),
            ]
        ours, theirs = found[True], found[False]
        if ours != theirs:  # NaN is not equal to itself
            assert _placeless(ours) == _placeless(theirs)
        if is_taken is not None:
            assert (counters(self.clients[True]).calls > taken) == is_taken, counters(self.clients[True])
        return ours[0]
