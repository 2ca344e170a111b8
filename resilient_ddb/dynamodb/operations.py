"""What each DynamoDB operation is: a read or a write, on which table, and whether it may be sent twice."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from . import reserved

READS = frozenset({"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems", "SearchVectors"})
"""Reads of items: what a stale answer or a replica can stand in for."""
WRITES = frozenset(
    {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "ExecuteTransaction"}
)
PARTIQL = frozenset({"ExecuteStatement", "BatchExecuteStatement"})
OF_ONE_ITEM = frozenset({"GetItem", "PutItem", "UpdateItem", "DeleteItem"})
OLD_PARAMETERS = ("Expected", "ConditionalOperator", "AttributeUpdates")
"""Parameters of a write that expressions have taken the place of."""
RETURN_ON_FAILURE = "ReturnValuesOnConditionCheckFailure"
_BATCHES = ("BatchGetItem", "BatchWriteItem")
_TRANSACTIONS = ("TransactGetItems", "TransactWriteItems")
_WITH_TOKEN = ("TransactWriteItems", "ExecuteTransaction")
_SECONDS_OF_A_TOKEN = 540.0
"""DynamoDB keeps it for 10 minutes: one is left for the last request to arrive in."""

# Most processes need none of these: `re` compiles each where it is first asked for, and keeps it.
_SELECT = r"(?i)\s*SELECT\b"
_STATEMENT_TABLE = r"""(?i)\b(?:FROM|INTO|UPDATE)\s+["']?([\w.\-]+)"""
# The four clause words are reserved in DynamoDB: they only occur as attribute names behind '#'.
_CLAUSE = r"(?i)(?<![#:\w.])(SET|REMOVE|ADD|DELETE)(?=[\s#])"
_CONSTANT = r"(?i):\w+|if_not_exists\s*\(\s*(?P<path>[^(),]+?)\s*,\s*:\w+\s*\)"
_COMMA_OUTSIDE_PARENTHESES = r",(?![^(]*\))"

Params = Mapping[str, Any]


def params_on_the_wire(body: bytes | str | None) -> Params:
    """Return the parameters in a request's body: what the caller's were turned into."""
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def operation_kind(operation: str, params: Params | None = None) -> str:
    """Return `read`, `write` or `control`: what a circuit is kept for, beside the table."""
    if operation in READS:
        return "read"
    if operation in WRITES:
        return "write"
    if operation in PARTIQL:
        return "read" if _only_selects(params or {}) else "write"
    return "control"


def is_read(operation: str, params: Params | None = None) -> bool:
    """Return whether sending this operation changes nothing."""
    kind = operation_kind(operation, params)
    return kind == "read" or (kind == "control" and operation.startswith(("Describe", "Get", "List")))


def table_of(operation: str, params: Params) -> str | None:
    """Return the one table (or its ARN) that a request names, or None if it names none or several."""
    name = params.get("TableName")
    if isinstance(name, str):
        return name
    tables = set(_tables_within(operation, params))
    return tables.pop() if len(tables) == 1 else None


def same_table(name: Any, other: str) -> bool:
    """Return whether a name, or ARN, is that of the same table as another name, or ARN."""
    return name == other or (isinstance(name, str) and plain_name(name) == plain_name(other))


def plain_name(name: str) -> str:
    """Return the name of a table that may be named by its ARN."""
    return name.partition(":table/")[2].partition("/")[0] or name


def tables_in(operation: str, params: Params) -> list[str]:
    """Return the tables (or their ARNs) that a request names, each as often as it names it."""
    name = params.get("TableName")
    return [name] if isinstance(name, str) else _tables_within(operation, params)


def _tables_within(operation: str, params: Params) -> list[str]:
    if operation in _BATCHES:
        items = params.get("RequestItems")
        return [name for name in items if isinstance(name, str)] if isinstance(items, Mapping) else []
    if operation in PARTIQL or operation == "ExecuteTransaction":
        return statement_tables(params)
    return [table for table, _, _ in entries_of("TransactWriteItems", params) if isinstance(table, str)]


MAPPING = (dict, Mapping)
"""What is a mapping: of a dict this is told in a third of the time."""


def entries_of(operation: str, params: Params) -> Iterator[tuple[Any, str, Params]]:
    """Yield each item's entry in a request: the table, what is done, such as `Get` or `Put`, and its parameters.

    A request about one item is its own entry. What is no entry as DynamoDB takes it is left out: botocore refuses it.
    """
    if operation in _BATCHES:
        named = params.get("RequestItems")
        for table, entries in named.items() if isinstance(named, Mapping) else ():
            if isinstance(entries, Mapping):
                yield from ((table, "Get", {"Key": key}) for key in list_in(entries.get("Keys")))
            else:
                yield from ((table, action, inner) for action, inner in _actions(entries))
    elif operation in _TRANSACTIONS:
        for action, inner in _actions(params.get("TransactItems")):
            yield inner.get("TableName"), action, inner
    else:
        yield params.get("TableName"), operation, params


def _actions(entries: Any) -> Iterator[tuple[str, Params]]:
    for entry in list_in(entries):
        for action, inner in entry.items() if isinstance(entry, MAPPING) else ():
            if isinstance(inner, MAPPING):
                yield action, inner


def statement_tables(params: Params) -> list[str]:
    """Return the tables that a request's PartiQL statements name."""
    return [name for text in _statements(params) for name in re.findall(_STATEMENT_TABLE, text)]


def is_conditional(params: Params) -> bool:
    """Return whether a single-item write carries a condition."""
    return "ConditionExpression" in params or "Expected" in params


def is_safe_to_repeat(operation: str, params: Params | None) -> bool:
    """Return whether a request may be sent again when it may already have been applied.

    True for reads, and for transactions: each carries one idempotency token a logical call. True for writes that
    leave the same item however often they are applied. True for those whose condition on the item's version no longer
    holds once they were applied. False wherever that can't be seen: for an update that adds, appends or copies, for
    PartiQL writes, and for control-plane writes. False for a write whose `ReturnValues` would then show its own doing
    as the old item.
    """
    if is_read(operation, params):
        return True
    if has_token(operation) or operation == "BatchWriteItem":
        return True
    known = params or {}
    if expects_version(known):
        return True
    if known.get("ReturnValues", "NONE") in ("ALL_OLD", "UPDATED_OLD"):
        return False
    if operation in ("PutItem", "DeleteItem"):
        return True
    return operation == "UpdateItem" and params is not None and _is_constant_update(params)


def has_token(operation: str) -> bool:
    """Return whether DynamoDB knows a request by its token when it is sent again: a transaction that writes."""
    return operation in _WITH_TOKEN


def seconds_known(operation: str) -> float:
    """Return how long DynamoDB knows a write for one that it was sent before: a transaction, by its token.

    What may be repeated at any time, or never, is no matter of time.
    """
    return _SECONDS_OF_A_TOKEN if has_token(operation) else math.inf


def expects_version(params: Params) -> bool:
    """Return whether a write is held against a version that the item must have: applied once, it can't be again."""
    if not reserved.is_versioned(params) or not is_conditional(params):
        return False
    # If a write expects no version, its condition holds again once somebody has deleted the item.
    return reserved.EXPECTED in (params.get(reserved.VALUES) or {})


def _is_constant_update(params: Params) -> bool:
    expression = params.get("UpdateExpression")
    if isinstance(expression, str):
        return _is_constant_expression(expression, params.get("ExpressionAttributeValues") or {})
    updates = params.get("AttributeUpdates")
    if isinstance(updates, Mapping):
        return all(
            isinstance(update, Mapping) and (update.get("Action", "PUT") != "ADD" or _is_set(update.get("Value")))
            for update in updates.values()
        )
    return "UpdateExpression" not in params  # an update of nothing makes sure that the item exists


def _is_constant_expression(expression: str, values: Params) -> bool:
    if len(pieces := re.split(_CLAUSE, expression)) == 1 or pieces[0].strip():
        return False
    return all(_is_constant_clause(word, body, values) for word, body in clauses_of(expression))


def clauses_of(expression: str) -> list[tuple[str, str]]:
    """Return the clauses of an update expression: `SET`, `REMOVE`, `ADD` or `DELETE`, and what follows it."""
    pieces = re.split(_CLAUSE, expression)
    return [(word.upper(), body) for word, body in zip(pieces[1::2], pieces[2::2], strict=True)]


def _is_constant_clause(word: str, body: str, values: Params) -> bool:
    if word == "DELETE":  # takes elements out of a set
        return True
    if word == "REMOVE":  # a list's elements move up when one is taken out
        return "[" not in body
    actions = [action.strip() for action in re.split(_COMMA_OUTSIDE_PARENTHESES, body)]
    if word == "ADD":  # to a set: the same set again; to a number: another number
        return all(action and _is_set(values.get(action.rsplit(None, 1)[-1])) for action in actions)
    return all(_is_constant_assignment(action) for action in actions)


def _is_constant_assignment(action: str) -> bool:
    target, _, value = action.partition("=")
    constant = re.fullmatch(_CONSTANT, value.strip())
    if constant is None or "[" in target:  # a list index past the end appends, and would append again
        return False
    return constant["path"] in (None, target.strip())


def _is_set(value: Any) -> bool:
    """Return whether a value is a set: a Python set, or the typed form `{"SS": [...]}`."""
    if isinstance(value, (set, frozenset)):
        return True
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in ("SS", "NS", "BS")


def _only_selects(params: Params) -> bool:
    texts = _statements(params)
    return bool(texts) and all(re.match(_SELECT, text) for text in texts)


def _statements(params: Params) -> list[str]:
    entries = [params, *list_in(params.get("Statements")), *list_in(params.get("TransactStatements"))]
    texts = (entry.get("Statement") for entry in entries if isinstance(entry, Mapping))
    return [text for text in texts if isinstance(text, str)]


def list_in(value: Any) -> list[Any]:
    """Return the members of a list that a request has; none if it has something else."""
    return list(value) if isinstance(value, (list, tuple)) else []


def set_as_well(expression: str | None, assignments: str) -> str:
    """Return an update expression that makes further assignments: its `SET` clause may only be there once."""
    if expression is None:
        return f"SET {assignments}"
    pieces = re.split(_CLAUSE, expression)
    for index, word in enumerate(pieces):
        if index % 2 and word.upper() == "SET":
            return "".join([*pieces[: index + 1], f" {assignments},", *pieces[index + 1 :]])
    return f"SET {assignments} {expression}"


def attributes_changed(expression: str, names: Mapping[str, str]) -> set[str]:
    """Return the top-level attributes that an update expression changes; `names` are its placeholders."""
    pieces = re.split(_CLAUSE, expression)
    actions = [action for body in pieces[2::2] for action in re.split(_COMMA_OUTSIDE_PARENTHESES, body)]
    words = [re.split(r"[\s.\[=]", action.strip(), maxsplit=1)[0] for action in actions]
    return {names.get(word, word) for word in words}
