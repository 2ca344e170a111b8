"""An update that is not safe to repeat, made so: as a transaction of its own, which DynamoDB knows by its token."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from resilient_ddb.calls.flows import Flow, run
from resilient_ddb.fallback import Response

from .verbs import VersionedVerbs

_OF_UPDATE = frozenset(
    {
        "ConditionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "Key",
        "ReturnValuesOnConditionCheckFailure",
        "TableName",
        "UpdateExpression",
    }
)
_OF_TRANSACTION = frozenset({"ClientRequestToken", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics"})


def idempotent_update(target: Any, **params: Any) -> Response:
    """Update an item so that the request can be sent again without being applied twice: a counter, a list that grows.

    The update is sent as a transaction of one item, which DynamoDB recognises for 10 minutes by its token: after a
    lost reply it is sent again, and the answer is certain. It takes twice the write units of `update_item`.

    Args:
        target: a Table, or a client; with a client, `TableName` is needed, and values are as the client takes them.
        params: `update_item`'s: `Key`, `UpdateExpression`, `ConditionExpression`, `ExpressionAttributeNames` and
            `ExpressionAttributeValues`, `ReturnValuesOnConditionCheckFailure`, `ReturnConsumedCapacity` and
            `ReturnItemCollectionMetrics`. And `ClientRequestToken`: a token of your own, for a call that you mean to
            repeat yourself; up to 36 characters, one for each update. By default each call has a new one.

    Returns:
        The response of `transact_write_items`.

    Raises:
        TransactionCanceledException: the condition did not hold, or the update can't be made; its reasons say which.
        TypeError, ValueError: a transaction can't do what is asked, such as give `ReturnValues`.
    """
    return run(update_flow(target, params))


def update_flow(target: Any, params: Mapping[str, Any]) -> Flow[Response]:
    """Return the flow of an `idempotent_update`, for either Table."""
    send, update, settings = _request(target, params)
    response: Response = yield partial(send, TransactItems=[{"Update": update}], **settings)
    return response


def _request(target: Any, params: Mapping[str, Any]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return what sends the transaction, the update in it, and what is said of the transaction."""
    if params.get("ReturnValues", "NONE") != "NONE":
        raise ValueError("ReturnValues can't be had: a transaction gives no item back; read the item afterwards")
    unknown = sorted(params.keys() - _OF_UPDATE - _OF_TRANSACTION - {"ReturnValues"})
    if unknown:
        raise TypeError(f"idempotent_update can't take {unknown[0]!r}: an update within a transaction has none")
    update = {name: value for name, value in params.items() if name in _OF_UPDATE}
    if isinstance(target, VersionedVerbs):
        raise TypeError("target must not be a versioned table: its version would stay behind; use its update_item")
    if hasattr(target, "transact_write_items"):
        send = target.transact_write_items
    elif isinstance(getattr(target, "name", None), str) and hasattr(target, "meta"):
        send = getattr(target, "_transact_write_items", None) or target.meta.client.transact_write_items
        update["TableName"] = target.name
    else:
        raise TypeError(f"target must be a Table or a client; got {type(target).__name__}")
    for name in ("TableName", "Key", "UpdateExpression"):
        if name not in update:
            raise TypeError(f"idempotent_update needs {name}")
    return send, update, {name: value for name, value in params.items() if name in _OF_TRANSACTION}
