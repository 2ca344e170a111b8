"""Moving an item from one shard to another: in one transaction, if it is still what was read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.telling import Doubts
from resilient_ddb.calls.unanswered import unanswered
from resilient_ddb.dynamodb.description import KeySchema
from resilient_ddb.dynamodb.reserved import MOVED, NAMES, NOW, PREFIX, TTL, VALUES

from .keys import ShardKeys

_MOST_ATTRIBUTES = 140
"""A condition takes 300 operators: an equality and an AND for each attribute."""


class Moved(Enum):
    """What became of an item that had to be moved."""

    MOVED = "moved"
    OVERTAKEN = "overtaken"
    """It was changed, or deleted, meanwhile: nothing was written."""
    OCCUPIED = "occupied"
    """There is an item with its key where it belongs: nothing was written."""


def is_comparable(item: Mapping[str, Any]) -> bool:
    """Return whether a condition can say that an item is still what was read."""
    return len(item) <= _MOST_ATTRIBUTES


def move(
    table: Any, keys: ShardKeys, item: Mapping[str, Any], home: str, written: Collection[str] = ()
) -> Flow[tuple[Moved, Any]]:
    """Move an item, as it is stored, to another stored key; gives what became of it, and the response.

    It is in one place or the other at any moment; reads that take several requests may still miss it, or meet it twice.
    An attribute that somebody adds meanwhile, without changing another, is not noticed. One of `written` is: those that
    the program is about to write, as others like it may be.

    Raises:
        ClientError: the transaction failed otherwise.
        ValueError: the item has too many attributes to compare.
    """
    if not is_comparable(item):
        raise ValueError(
            f"an item of {len(item)} attributes can't be moved: {_MOST_ATTRIBUTES} at most can be compared with what "
            "was read"
        )
    schema = keys.described.key
    put = {"Item": {**item, schema.partition: home}, **_unless_taken(table, schema.partition)}
    delete = {"Key": {name: item[name] for name in schema.names}, **_if_unchanged(item, schema, written)}
    transact = partial(
        table.meta.client.transact_write_items,
        TransactItems=[{"Put": {"TableName": table.name, **put}}, {"Delete": {"TableName": table.name, **delete}}],
        ReturnConsumedCapacity="TOTAL",
    )
    with Doubts() as doubts:
        try:
            response = yield doubts.over(unanswered(transact))
        except ClientError as error:
            reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons") or ()]
            if "ConditionalCheckFailed" not in reasons:
                raise
            doubts.settle(error)  # whether it is moved now, later or never: it is the same item
            # Where both failed, another may have moved it there.
            return (Moved.OVERTAKEN if reasons[1] == "ConditionalCheckFailed" else Moved.OCCUPIED), error.response
    return Moved.MOVED, response


def _if_unchanged(item: Mapping[str, Any], schema: KeySchema, written: Collection[str]) -> dict[str, Any]:
    """Return the condition that there is the item, and that its attributes have the values that were read.

    And that it has none of `written` that it had not, as far as a condition can say so.
    """
    others = {name: value for name, value in item.items() if name not in schema.names}
    room = _MOST_ATTRIBUTES - len(item)
    missing = sorted(name for name in written if name not in item)[:room]
    unchanged = [f"#{PREFIX}{number} = :{PREFIX}{number}" for number in range(len(others))]
    absent = [f"attribute_not_exists(#{PREFIX}{number})" for number in range(len(others), len(others) + len(missing))]
    names = {f"#{PREFIX}{number}": name for number, name in enumerate([*others, *missing])}
    made: dict[str, Any] = {
        "ConditionExpression": " AND ".join([f"attribute_exists(#{PREFIX}key)", *unchanged, *absent]),
        NAMES: {f"#{PREFIX}key": schema.partition, **names},
    }
    if others:
        made[VALUES] = {f":{PREFIX}{at}": value for at, value in enumerate(others.values())}
    return made


def _unless_taken(table: Any, partition: str) -> dict[str, Any]:
    """Return the condition that there is no item with the key; one that has expired is none: no read gives it."""
    expired = expired_only(table)
    absent = f"attribute_not_exists({MOVED})"
    if expired is None:
        return {"ConditionExpression": absent, NAMES: {MOVED: partition}}
    return {
        "ConditionExpression": f"{absent} OR {expired['ConditionExpression']}",
        NAMES: {MOVED: partition, **expired[NAMES]},
        VALUES: expired[VALUES],
    }


def expired_only(table: Any) -> dict[str, Any] | None:
    """Return the condition that there is an item, and that it has expired; None for a Table without a TTL."""
    core = getattr(table.meta.client, "_resilience", None)
    ttl = None if core is None or core.ttl is None else core.ttl.of(table.name)
    until = None if ttl is None else ttl.until(core)
    if until is None:
        return None
    attribute, now = until
    return {"ConditionExpression": f"{TTL} <= {NOW}", NAMES: {TTL: attribute}, VALUES: {NOW: now}}
