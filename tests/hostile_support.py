"""Every verb of every kind of object, found by looking, and bytes that are no answer to any of them.

A verb that is new is found, and called with arguments by their names. If those here do not do, its test fails: say then
what it takes.
"""

from __future__ import annotations

import gzip
import inspect
import json
from typing import Any

import pytest
from boto3.dynamodb.conditions import Key
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError, WaiterError
from codec_calls import least
from codec_support import OPERATIONS
from wire_server import MARKS, answer

import resilient_ddb as rddb
from resilient_ddb.errors import UnprocessedItemsError
from resilient_ddb.testing import FakeClock

KEY = {"pk": "a", "sk": "b"}
ITEM = {**KEY, "version": 1}
OPERATION_OF = {xform_name(name): name for name in OPERATIONS}
SENDS_NOTHING = {
    *("sharded", "versioned", "get_available_subresources", "close", "Table", "table", "meta", "name"),
    *("put_action", "update_action", "delete_action", "check_action"),  # they make an entry of a transaction
    *("can_paginate", "get_paginator", "get_waiter", "generate_presigned_url", "exceptions", "waiter_names"),
}
ARGUMENTS: dict[str, Any] = {
    "Key": KEY,
    "Item": ITEM,
    "expected_version": 1,
    "change": lambda item: {**(item or ITEM), "n": 1},
    "segments": 1,
    "on_shard_error": "raise",
}
OF_VERBS: dict[str, dict[str, Any]] = {
    "query": {"KeyConditionExpression": Key("pk").eq("a")},
    "query_items": {"KeyConditionExpression": Key("pk").eq("a")},
    "query_many": {"partition_keys": ["a"], "KeyConditionExpression": Key("sk").eq("b")},
    "query_many_items": {"partition_keys": ["a"], "KeyConditionExpression": Key("sk").eq("b")},
    "get_items": {"keys": [KEY]},
    "idempotent_update": {"Key": KEY, "UpdateExpression": "REMOVE n"},
}


def policy(**settings: Any) -> rddb.Policy:
    """Return a policy that tries twice, at once, and whose circuits stay out of it."""
    return rddb.Policy(
        retry=rddb.Retry(max_attempts=2), clock=FakeClock(), circuit_breaker=None, retry_budget=None, **settings
    )


# Bytes that are no answer.

TEXT = json.dumps({"Item": {"pk": {"S": "M\u00fcller"}}}, ensure_ascii=False)
GATEWAYS = {"Content-Type": "application/json"}
BYTES: dict[str, bytes] = {
    "cut in a character": answer(TEXT.encode()[: TEXT.encode().index(b"\xbc")], crc=False),
    "latin-1": answer(TEXT.encode("latin-1"), crc=False),
    "gzip": answer(gzip.compress(TEXT.encode(), mtime=0), crc=False),
    "gzip, said": answer(gzip.compress(TEXT.encode(), mtime=0), headers={**MARKS, "Content-Encoding": "gzip"}),
    "UTF-8 with a mark": answer(TEXT.encode("utf-8-sig"), crc=False),
    "UTF-16": answer(TEXT.encode("utf-16")),
    "UTF-16 without a mark": answer(b"{}".decode().encode("utf-16-le")),
    "UTF-32": answer(b"{}".decode().encode("utf-32-be")),
    "nested deep": answer(b'{"Item":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "a gateway's": answer({"message": "Please log in"}, headers=GATEWAYS),
    "a gateway's, empty": answer({}, headers=GATEWAYS),
    "a portal's": answer(b"<html>Please log in</html>", headers={"Content-Type": "text/html"}),
    "an interim one": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "a long checksum": answer({}, headers={**MARKS, "x-amz-crc32": "9" * 5000}),
    "a long length": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n{}",
    "an error in latin-1": answer("Zugriff gew\u00e4hrt nicht".encode("latin-1"), 503, GATEWAYS),
    "an error in HTML, in latin-1": answer("<!DOCTYPE html><p>gew\u00e4hrt".encode("latin-1"), 502, GATEWAYS),
    "an error of a wrong shape": answer({"__type": 5, "message": []}, 500),
    "an error's member of a wrong shape": answer({"__type": "x#ConditionalCheckFailedException", "Item": 5}, 500),
}


def said(name: str, operation: str) -> list[bytes | None]:
    """Return what the server says under a name of `NAMES`."""
    if name in AWAITED:
        return [BYTES[name], None]
    return [BYTES[name] if name in BYTES else of_wrong_shape(operation)]


def of_wrong_shape(operation: str) -> bytes:
    """Return an answer with what an operation's is made of, and none of it of the right type."""
    shape = OPERATIONS[operation].output_shape
    members = {} if shape is None else shape.members
    wrong = {name: 5 for name, inner in members.items() if inner.type_name in ("structure", "map", "list")}
    return answer(wrong) if wrong else BYTES["a gateway's"]


NAMES = [*BYTES, "of a wrong shape"]
AWAITED = ("an interim one", "a long length")
"""After these there is more to come, if the connection is not closed."""


# Verbs.


NOT_THERE = {("versioned and sharded", verb) for verb in ("get_items", "parallel_scan", "scan", "scan_items")}
"""What types show, and a call refuses: a sharded table has none of these."""


def verbs(cls: type) -> list[str]:
    """Return the names of the verbs that send something."""
    found = [name for name in dir(cls) if not name.startswith("_") and name not in SENDS_NOTHING]
    return [name for name in found if callable(getattr(cls, name)) and not _refuses(getattr(cls, name))]


def _refuses(verb: Any) -> bool:
    return getattr(verb, "__annotations__", {}).get("return") == "NoReturn"


def arguments(made: Any, verb: str, *, is_typed: bool = False) -> dict[str, Any]:
    """Return arguments for a verb."""
    value = {"S": "a"} if is_typed else "a"
    if verb in OF_VERBS and not is_typed:
        return OF_VERBS[verb]
    operation = OPERATION_OF.get(verb) or _action(made, verb)
    found = {} if operation is None else least(OPERATIONS[operation].input_shape, value)
    if hasattr(made, "meta") and hasattr(made.meta, "resource_model"):
        found.pop("TableName", None)
    names = inspect.signature(getattr(made, verb)).parameters.values()
    found = {
        name: given for name, given in found.items() if name != "TableName" or is_typed or not hasattr(made, "table")
    }
    if not is_typed:
        found.update({name: ARGUMENTS[name] for name in found if name in ARGUMENTS})
        found.update(
            {each.name: ARGUMENTS[each.name] for each in names if each.name in ARGUMENTS and each.default is each.empty}
        )
    return found


def _action(made: Any, verb: str) -> str | None:
    model = getattr(getattr(made, "meta", None), "resource_model", None)
    actions = [] if model is None else model.actions
    return next((each.request.operation for each in actions if each.name == verb), None)


def check_error(error: BaseException) -> None:
    """Raise an AssertionError unless an error is one that callers know, with the facts of the call."""
    assert isinstance(error, BotoCoreError | ClientError), repr(error)
    says_more = isinstance(error, UnprocessedItemsError | WaiterError)  # of calls that have failed
    assert says_more or error.resilience.kind in ("transient", "ambiguous", "permanent"), repr(error)


PARTS = pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in (1, 2))])


def names_of(part, all_verbs, kind, verb):
    """Return a third of the kinds of bytes: the next verb has the next third, so that the first part has each kind."""
    return NAMES[(all_verbs.index((kind, verb)) + part) % 3 :: 3]
