"""A condition that failed within a transaction of one write, told as the same write by itself would tell it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from resilient_ddb.calls.flows import Flow
from resilient_ddb.errors import attach_facts_of
from resilient_ddb.fallback import Response

_OF_TRANSACTION = ("CancellationReasons", "Message", "message", "Item")


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
    response = {name: value for name, value in error.response.items() if name not in _OF_TRANSACTION}
    response["Error"] = {"Code": "ConditionalCheckFailedException", "Message": message}
    if "Item" in reason:
        response["Item"] = reason["Item"]
    failed: ClientError = exceptions.ConditionalCheckFailedException(response, error.operation_name)
    attach_facts_of(error, failed)
    return failed
