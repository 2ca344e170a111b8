"""A write that is not safe to repeat, made so: as a transaction of its own, which DynamoDB knows by its token.

A condition that fails within it is told as the same write by itself would tell it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from resilient_ddb.calls.flows import Flow
from resilient_ddb.errors import attach_facts_of
from resilient_ddb.fallback import Response

_OF_UPDATE = frozenset(
    {
        "ConditionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "Key",
        "ReturnValuesOnConditionCheckFailure",
        "UpdateExpression",
    }
)
_OF_TRANSACTION = frozenset({"ClientRequestToken", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics"})
_OF_ERROR = ("CancellationReasons", "Message", "message", "Item")


def idempotent_update(table: Any, params: Mapping[str, Any]) -> Flow[Response]:
    """Return the flow of `idempotent_update` on a table, sync or async: anything with `name` and `meta`."""
    update, settings = _request(table.name, params)
    call = partial(table._transact_write_items, TransactItems=[{"Update": update}], **settings)  # noqa: SLF001 - ours
    return (yield from by_itself(table, call))


def _request(name: str, params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the update, and what is said of the transaction that it is sent in.

    Raises:
        TypeError, ValueError: a transaction can't do what is asked.
    """
    if params.get("ReturnValues", "NONE") != "NONE":
        raise ValueError("ReturnValues can't be had: a transaction gives no item back; read the item afterwards")
    unknown = sorted(params.keys() - _OF_UPDATE - _OF_TRANSACTION - {"ReturnValues"})
    if unknown:
        raise TypeError(f"idempotent_update can't take {unknown[0]!r}: an update within a transaction has none")
    for needed in ("Key", "UpdateExpression"):
        if needed not in params:
            raise TypeError(f"idempotent_update needs {needed}")
    update = {**{name: value for name, value in params.items() if name in _OF_UPDATE}, "TableName": name}
    return update, {name: value for name, value in params.items() if name in _OF_TRANSACTION}


def reason_of(error: ClientError) -> Mapping[str, Any]:
    """Return why the one write of a transaction was cancelled; nothing if it was not."""
    reasons = error.response.get("CancellationReasons")
    return reasons[0] if isinstance(reasons, list) and len(reasons) == 1 else {}


def by_itself(table: Any, call: Callable[[], Any]) -> Flow[Response]:
    """Make a call that sends a transaction of one write to a table, and return its response.

    Raises:
        ConditionalCheckFailedException: the write's condition did not hold. Its cause is the transaction's error.
        ClientError: the transaction failed for another reason.
    """
    try:
        response: Response = yield call
    except ClientError as error:
        if reason_of(error).get("Code") != "ConditionalCheckFailed":
            raise
        raise _failed_condition(error, table.meta.client.exceptions) from error
    return response


def _failed_condition(error: ClientError, exceptions: Any) -> ClientError:
    """Return the client's own exception for a transaction that the condition of its one write cancelled."""
    reason = reason_of(error)
    message = reason.get("Message", "The conditional request failed")
    response = {name: value for name, value in error.response.items() if name not in _OF_ERROR}
    response["Error"] = {"Code": "ConditionalCheckFailedException", "Message": message}
    if "Item" in reason:
        response["Item"] = reason["Item"]
    failed: ClientError = exceptions.ConditionalCheckFailedException(response, error.operation_name)
    attach_facts_of(error, failed)
    return failed
