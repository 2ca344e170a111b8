"""A condition that failed within a transaction of one write, told as the same write by itself would tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from resilient_ddb.errors import attach_facts_of

_OF_TRANSACTION = ("CancellationReasons", "Message", "message", "Item")


def reason_of(error: ClientError) -> Mapping[str, Any]:
    """Return why the one write of a transaction was cancelled; nothing where it was not."""
    reasons = error.response.get("CancellationReasons")
    return reasons[0] if isinstance(reasons, list) and len(reasons) == 1 else {}


def failed_condition(error: ClientError, exceptions: Any) -> ClientError | None:
    """Return the client's `ConditionalCheckFailedException` for a transaction that was cancelled by its condition.

    None if something else cancelled it. What is known of the call goes along.

    Args:
        error: what the transaction of one write ended in.
        exceptions: the client's exceptions.
    """
    reason = reason_of(error)
    if reason.get("Code") != "ConditionalCheckFailed":
        return None
    message = reason.get("Message", "The conditional request failed")
    response = {name: value for name, value in error.response.items() if name not in _OF_TRANSACTION}
    response["Error"] = {"Code": "ConditionalCheckFailedException", "Message": message}
    if "Item" in reason:
        response["Item"] = reason["Item"]
    failed: ClientError = exceptions.ConditionalCheckFailedException(response, error.operation_name)
    attach_facts_of(error, failed)
    return failed
