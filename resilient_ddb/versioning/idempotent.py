"""An update that is not safe to repeat, made so: as a transaction of its own, which DynamoDB knows by its token."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from resilient_ddb.calls.flows import Flow
from resilient_ddb.fallback import Response

from .failed import by_itself

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
