"""Writing an item that another layout may have put elsewhere, so that there is never a second one.

While `shards` grows, some programs write the old layout and others the new one. Each moves an item to where its own
layout has it. So a write goes by what is there at its own moment, not by what was read before:

- Where an item was seen, it is written on condition that it is still there.
- Where none was seen, the item is begun in a transaction that also checks all its other places.

What fails for its place alone is looked for, and written, again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.stamping import stamped
from resilient_ddb.calls.telling import Doubts
from resilient_ddb.calls.unanswered import unanswered
from resilient_ddb.dynamodb.begun import values_begun
from resilient_ddb.dynamodb.expressions import join_condition
from resilient_ddb.dynamodb.operations import OLD_PARAMETERS, RETURN_ON_FAILURE, attributes_changed, is_conditional
from resilient_ddb.dynamodb.reserved import NAMES, SHARDED
from resilient_ddb.errors import attach_facts_of, call_facts
from resilient_ddb.errors.words import is_failed_condition
from resilient_ddb.fallback import Response

from .fan_in import Item
from .fan_in_reading import summed
from .keys import ShardKeys
from .moving import expired_only

_FAILED = "ConditionalCheckFailed"
ROUNDS = 100
"""So often an item may be moved away just before it is written. Each time, another program has got on."""
_ACTIONS = {"put_item": "Put", "update_item": "Update", "delete_item": "Delete"}
_RETURNED = {
    "put_item": ("NONE", "ALL_OLD"),
    "delete_item": ("NONE", "ALL_OLD"),
    "update_item": ("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"),
}
_OF_TRANSACTION = ("ReturnConsumedCapacity", "ReturnItemCollectionMetrics")
_AGGREGATED = ("ConsumedCapacity", "ItemCollectionMetrics")
_CODES = {
    _FAILED: "ConditionalCheckFailedException",
    "ItemCollectionSizeLimitExceeded": "ItemCollectionSizeLimitExceededException",
    "ProvisionedThroughputExceeded": "ProvisionedThroughputExceededException",
    "ThrottlingError": "ThrottlingException",
    "TransactionConflict": "TransactionConflictException",
    "ValidationError": "ValidationException",
}
"""The code of a write by itself for each reason of a transaction that DynamoDB cancels."""
_OF_ANSWER = frozenset({"Item", "CancellationReasons", "Message", "message"})


def rounds_flow(
    tried: Callable[[Doubts], Flow[Response | ClientError]], most: int, what_happened: str
) -> Flow[Response]:
    """Try a write until it is made, `most` times at most. The last error is raised.

    `tried` gives the response, or an error that says no more than that the item was not where it had been seen. A
    request of such a try may still be on its way. It leaves nothing in doubt if a later try is made.
    """
    with Doubts() as doubts:
        for left in reversed(range(most)):
            outcome = yield from tried(doubts)
            if not isinstance(outcome, ClientError):
                return outcome
            last: ClientError = outcome
            if left:
                doubts.go_on(last)
        last.add_note(f"{what_happened} before each of {most} attempts")
        try:
            raise last
        finally:
            del last, outcome  # it knows this frame: they would keep each other


def refuse_old(params: Mapping[str, Any]) -> None:
    """Refuse the conditions and updates of DynamoDB's older API: no condition of ours goes with them.

    Raises:
        ValueError: there is one.
    """
    for name in OLD_PARAMETERS:
        if name in params:
            raise ValueError(
                f"{name} must be left out where the item is looked for first; use an expression in its place"
            )


def attributes_written(write: Mapping[str, Any]) -> set[str]:
    """Return the attributes that a put or an update names."""
    expression = write.get("UpdateExpression")
    changed = attributes_changed(expression, write.get(NAMES) or {}) if isinstance(expression, str) else set()
    return changed.union(write.get("Item") or ())


def if_there(keys: ShardKeys, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a write's parameters, on condition that there is an item, which the error shows."""
    made = join_condition(params, f"attribute_exists({SHARDED})", {SHARDED: keys.key}, {})
    return {**made, RETURN_ON_FAILURE: "ALL_OLD"}


def was_gone(error: ClientError, params: Mapping[str, Any]) -> bool:
    """Return whether a write of `if_there` failed, and surely so, because there was no item.

    The item that the caller did not ask for is taken out of the error.
    """
    if not is_failed_condition(error):
        return False
    is_absent = "Item" not in error.response
    if RETURN_ON_FAILURE not in params:
        error.response.pop("Item", None)
    facts = call_facts(error)
    # Sent twice, what has no condition of the caller's does no more than once.
    return is_absent and not (facts is not None and facts.ambiguous and is_conditional(params))


def absences(table: Any, keys: ShardKeys, key: Item, homes: Sequence[str]) -> list[Item]:
    """Return the entries of a transaction that see to it that an item is in none of some places.

    A delete of nothing needs no permission that moving does not need.
    """
    return [
        {
            "Delete": {
                "TableName": table.name,
                "Key": {**key, keys.key: home},
                "ConditionExpression": f"attribute_not_exists({SHARDED})",
                NAMES: {SHARDED: keys.key},
                RETURN_ON_FAILURE: "ALL_OLD",
            }
        }
        for home in homes
    ]


def has_failed(reason: Mapping[str, Any]) -> bool:
    """Return whether an entry of a transaction failed by its condition."""
    return reason.get("Code") == _FAILED


def is_refused(reason: Mapping[str, Any]) -> bool:
    """Return whether DynamoDB has something against an entry of a transaction."""
    return bool(reason.get("Code", "None") != "None")


def reasons_of(error: ClientError) -> list[Mapping[str, Any]]:
    """Return why each entry of a transaction was cancelled; nothing for an error of another kind."""
    return error.response.get("CancellationReasons") or []


def cleared(table: Any, entries: Sequence[Item], reasons: Sequence[Mapping[str, Any]]) -> Flow[bool]:
    """Return whether entries of `absences` have failed. Delete what they met, if it has expired: no read shows it."""
    met = [entry["Delete"] for entry, reason in zip(entries, reasons, strict=False) if has_failed(reason)]
    condition = expired_only(table) if met else None
    for delete in met if condition else ():
        try:
            yield unanswered(partial(table.delete_item, Key=delete["Key"], **(condition or {})))
        except ClientError as error:
            if not is_failed_condition(error):
                raise
    return bool(met)


class Beginning:
    """A write where no item was seen: one transaction, in which none of the item's places has one."""

    def __init__(self, table: Any, keys: ShardKeys, verb: str, key: Item, params: Mapping[str, Any]) -> None:
        """Make what a verb of `table` does with the item `key`, without its stored key; `params` are the verb's."""
        self._table = table
        self._keys = keys
        self._verb = verb
        self.key = key
        self._params = params

    @property
    def is_possible(self) -> bool:
        """Whether the verb has such `ReturnValues`; DynamoDB itself refuses others."""
        return self._params.get("ReturnValues", "NONE") in _RETURNED[self._verb]

    def entry(self, home: str) -> Flow[Item]:
        """Return the entry of the write itself, on condition that there is no item."""
        left_out = ("ReturnValues", *_OF_TRANSACTION, "ttl_seconds", "Item")
        params = {name: value for name, value in self._params.items() if name not in left_out}
        action = _ACTIONS[self._verb]
        place = {**self.key, self._keys.key: home}
        if self._verb == "put_item":
            item: Mapping[str, Any] = {**self._params["Item"], self._keys.key: home}
            seconds = self._params.get("ttl_seconds")
            if seconds is not None:
                item = yield from stamped(self._table.meta.client, self._table.name, item, seconds)
            params["Item"] = item
        elif self._verb == "update_item" and "UpdateExpression" not in params:  # it only sees to it that there is one
            action, params["Item"] = "Put", place
        else:
            params["Key"] = place
        made = join_condition(params, f"attribute_not_exists({SHARDED})", {SHARDED: self._keys.key}, {})
        return {action: {"TableName": self._table.name, **made, RETURN_ON_FAILURE: "ALL_OLD"}}

    def settings(self) -> Item:
        """Return what is said of the transaction as a whole."""
        return {name: self._params[name] for name in _OF_TRANSACTION if name in self._params}

    def answer(self, response: Mapping[str, Any], home: str) -> Flow[Response]:
        """Return what the verb would have answered."""
        made = {name: value for name, value in response.items() if name not in _AGGREGATED}
        capacities, metrics = response.get("ConsumedCapacity"), response.get("ItemCollectionMetrics") or {}
        if capacities:
            made["ConsumedCapacity"] = summed(capacities)
        for collection in (one for many in metrics.values() for one in many):
            if collection.get("ItemCollectionKey", {}).get(self._keys.key) == home:
                made["ItemCollectionMetrics"] = collection
        returned = self._params.get("ReturnValues", "NONE")
        if returned in ("ALL_NEW", "UPDATED_NEW"):
            place = {**self.key, self._keys.key: home}
            values = values_begun(self._params, place)
            if values is None:  # not told by the expression
                found = yield unanswered(partial(self._table.get_item, Key=place, ConsistentRead=True))
                values = found.get("Item") or {}
            attributes = {**place, **values} if returned == "ALL_NEW" else values
            if attributes:
                made["Attributes"] = attributes
        return made

    def failed(self, error: ClientError, reason: Mapping[str, Any]) -> ClientError:
        """Return the error as the verb by itself would have raised it: by a reason for which DynamoDB cancelled it."""
        code = _CODES.get(reason.get("Code", ""))
        if code is None:
            return error
        kind = self._table.meta.client.exceptions.from_code(code)
        response = {name: value for name, value in error.response.items() if name not in _OF_ANSWER}
        response["Error"] = {"Code": code, "Message": reason.get("Message", error.response["Error"]["Message"])}
        made: ClientError = kind(response, error.operation_name)
        attach_facts_of(error, made)
        return made
