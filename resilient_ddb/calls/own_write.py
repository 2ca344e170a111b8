"""Telling one's own write from another's, after a reply was lost.

A conditional write that is sent again can meet its own first writing: the condition no longer holds, because it did
hold. The second request asks for the item in the error (`ReturnValuesOnConditionCheckFailure=ALL_OLD`), so that it
can be seen whose it is. A write that goes by the item's version asks for it from the first, and the version, and the
write token if there is one, say more. Everything here works on the wire's JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

from resilient_ddb.dynamodb import reserved
from resilient_ddb.dynamodb.operations import RETURN_ON_FAILURE, Params, has_token, is_conditional

_ONLY_CREATES = re.compile(r"\s*attribute_not_exists\s*\([^()]+\)\s*", re.IGNORECASE)


class Finding(Enum):
    """Whose the item is that a failed condition met."""

    OWN = "own"
    """The item is, to the last attribute, the one that was put: the write was applied."""
    MAYBE_OWN = "maybe own"
    """It can't be told whether the condition failed because of this write or another's."""
    ANOTHERS = "another's"
    """The item is not the one that was put, and no more was asked than that there be none."""
    NOT_APPLIED = "not applied"
    """The item's version shows that this write was not made, and has moved on: it never will be."""
    NOT_YET = "not yet"
    """This write was not made so far. An attempt that is still on its way may be applied, should its condition hold."""


def ask_for_item(operation: str, body: bytes, params: Params) -> bytes | None:
    """Return the body that also asks for the item if the condition fails; None if that is not to be changed."""
    if operation != "PutItem" or not is_conditional(params) or "Expected" in params:
        return None
    if RETURN_ON_FAILURE in params:
        return None
    return json.dumps({**json.loads(body), RETURN_ON_FAILURE: "ALL_OLD"}).encode()


def judge(operation: str, params: Params, response: Mapping[str, Any]) -> Finding:
    """Return whose doing it is that a condition failed which may have met this call's own first writing.

    Args:
        operation: the operation's name.
        params: the parameters of the request whose condition failed, as on the wire.
        response: the error response, with the item that the condition met if the request asked for it.
    """
    if has_token(operation):  # DynamoDB itself knows what it has applied
        return _judge_transaction(params, response)
    if params.get(RETURN_ON_FAILURE) != "ALL_OLD" or operation not in ("PutItem", "UpdateItem"):
        return Finding.MAYBE_OWN  # a delete leaves nothing to be told by
    if reserved.is_versioned(params):
        return _judge_by_version(operation, params, response.get("Item") or {})
    if operation != "PutItem":
        return Finding.MAYBE_OWN
    if _same_item(response.get("Item") or {}, params.get("Item", {})):
        return Finding.OWN if params.get("ReturnValues", "NONE") == "NONE" else Finding.MAYBE_OWN
    # That there is an item is all that a failed creation says, and it is so. Any other condition may have failed
    # because of this write, on which another has followed: redoing the change would apply it twice.
    is_creation = _ONLY_CREATES.fullmatch(str(params.get("ConditionExpression", ""))) is not None
    return Finding.ANOTHERS if is_creation else Finding.MAYBE_OWN


def _judge_by_version(operation: str, params: Params, item: Mapping[str, Any]) -> Finding:
    names, values = params[reserved.NAMES], params.get(reserved.VALUES) or {}
    attribute, is_put = names[reserved.VERSION], operation == "PutItem"
    found, expected = normalise(item.get(attribute)), normalise(values.get(reserved.EXPECTED))
    following = normalise(params.get("Item", {}).get(attribute) if is_put else values.get(reserved.FOLLOWING))
    mark = _text(values.get(reserved.WRITE_TOKEN))
    marks = _text(item.get(names.get(reserved.WRITE_TOKEN_NAME)))
    is_own = mark in marks.split() if mark else is_put and _same_item(item, params.get("Item", {}))
    if is_own:
        asked = params.get("ReturnValues", "NONE")
        is_known = asked == "NONE" or (asked == "ALL_NEW" and not is_put and found == following)
        return Finding.OWN if is_known else Finding.MAYBE_OWN
    if item and found == expected:  # the caller's own condition is what failed, or an item without a version is there
        return Finding.NOT_YET
    # A version is written once: what this write would have left at the following one is not there.
    if (mark or is_put) and item and (found == following or reserved.has_mark_of_another(marks, mark)):
        return Finding.NOT_APPLIED if _has_moved_on(found, expected) else Finding.NOT_YET
    return Finding.MAYBE_OWN


def _judge_transaction(params: Params, response: Mapping[str, Any]) -> Finding:
    """Judge a transaction that was cancelled: none of its writes was made, nor will be if the version of one can't."""
    entries, reasons = params.get("TransactItems") or (), response.get("CancellationReasons") or ()
    for entry, reason in zip(entries, reasons, strict=False):
        for write in entry.values():
            if reserved.is_versioned(write):
                found = (reason.get("Item") or {}).get(write[reserved.NAMES][reserved.VERSION])
                expected = (write.get(reserved.VALUES) or {}).get(reserved.EXPECTED)
                if _has_moved_on(normalise(found), normalise(expected)):
                    return Finding.NOT_APPLIED
    return Finding.NOT_YET


def _has_moved_on(found: Any, expected: Any) -> bool:
    """Return whether an item is past the version that a write expects. One that expects none may find none again."""
    version, wanted = _version(found), _version(expected)
    return version is not None and wanted is not None and version > wanted


def _version(normalised: Any) -> Decimal | None:
    value = normalised[1] if isinstance(normalised, tuple) else None
    return value if isinstance(value, Decimal) else None


def _text(attribute: Any) -> str:
    return str(attribute["S"]) if isinstance(attribute, Mapping) and "S" in attribute else ""


def _same_item(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return {k: normalise(v) for k, v in one.items()} == {k: normalise(v) for k, v in other.items()}


def normalise(attribute: Any) -> Any:  # noqa: PLR0911 - one row for each type of value
    """Return an attribute value in one form, whatever order its sets have and however its numbers are written."""
    if not isinstance(attribute, Mapping) or len(attribute) != 1:
        return attribute
    [(kind, value)] = attribute.items()
    if kind == "N":
        return (kind, _number(value))
    if kind == "NS":
        return (kind, frozenset(_number(member) for member in value))
    if kind in ("B", "BS"):
        return (kind, frozenset(map(_base64, value)) if kind == "BS" else _base64(value))
    if kind == "SS":
        return (kind, frozenset(value))
    if kind == "L":
        return (kind, [normalise(member) for member in value])
    if kind == "M":
        return (kind, {name: normalise(member) for name, member in value.items()})
    return (kind, value)


def _number(text: Any) -> Any:
    try:
        return Decimal(str(text))
    except InvalidOperation:
        return text


def _base64(value: Any) -> Any:
    """Return bytes (as botocore parses binary values) in the form that they have on the wire."""
    if isinstance(value, (bytes, bytearray)):
        import base64  # noqa: PLC0415 - rare

        return base64.b64encode(value).decode()
    return value
