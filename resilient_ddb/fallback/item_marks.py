"""Which remembered answers a write may have changed: told by the attributes of keys that both of them name.

An answer has marks: names and values of key attributes that every item has which it could hold. A write that has all of
them may have changed it. An answer that could hold any item of its table has an empty mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from resilient_ddb.dynamodb.expressions import EQUALITIES
from resilient_ddb.dynamodb.operations import Params, entries_of, plain_name, statement_tables
from resilient_ddb.dynamodb.reserved import NAMES, VALUES

Mark = frozenset[tuple[str, Any]]
Written = Mapping[str, Any] | None
"""The attributes of an item that was written, its key among them; None: any item of the table."""
_KINDS = ("S", "N", "B")
_OF_ANY_ITEM: Mark = frozenset()
_READS_BY_KEY = ("GetItem", "BatchGetItem", "TransactGetItems")
_WRITES_BY_KEY = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")


def value_of(value: Any) -> tuple[str, Any]:
    """Return a key attribute's value, native or typed, in a form that is equal where DynamoDB takes both for the same.

    Raises:
        TypeError, ArithmeticError: it is none that a key can have.
    """
    if isinstance(value, Mapping):
        [(kind, value)] = value.items() if len(value) == 1 else [("", None)]
        if kind not in _KINDS:
            raise TypeError("no key has an attribute of another type")
        if kind == "N":
            return kind, Decimal(value)
    if isinstance(value, str):
        return "S", value
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return "N", Decimal(value)
    return "B", bytes(memoryview(getattr(value, "value", value)))


def marks_of_read(operation: str, params: Params) -> list[tuple[str, Mark]]:
    """Return the marks of a read's answer, each with its table."""
    if operation in _READS_BY_KEY:
        return [_mark(table, inner.get("Key")) for table, _, inner in entries_of(operation, params)]
    if operation == "Query" and "IndexName" not in params:
        return [_mark(params.get("TableName"), dict(_equalities(params)))]
    return [_mark(params.get("TableName"), None)]


def _mark(table: Any, attributes: Any) -> tuple[str, Mark]:
    mark = _OF_ANY_ITEM
    if isinstance(attributes, Mapping):
        with suppress(TypeError, ArithmeticError):
            mark = frozenset((name, value_of(value)) for name, value in attributes.items())
    return plain_name(str(table)), mark


def _equalities(params: Params) -> Iterator[tuple[str, Any]]:
    """Return the attributes that a query's key condition wants to be equal to a value: the partition key at least."""
    condition = params.get("KeyConditionExpression")
    names, values = params.get(NAMES) or {}, params.get(VALUES) or {}
    if isinstance(condition, str):
        for match in (match for pattern in EQUALITIES for match in re.finditer(pattern, condition)):
            if match["value"] in values:
                yield str(names.get(match["name"], match["name"])), values[match["value"]]
    elif condition is not None:
        yield from _equalities_in(condition)
    for name, entry in (params.get("KeyConditions") or {}).items():
        if entry.get("ComparisonOperator") == "EQ":
            yield name, entry["AttributeValueList"][0]


def _equalities_in(condition: Any) -> Iterator[tuple[str, Any]]:
    found = condition.get_expression()
    if found["operator"] == "AND":
        for part in found["values"]:
            yield from _equalities_in(part)
    elif found["operator"] == "=":
        attribute, value = found["values"]
        yield attribute.name, value


def written_by(operation: str, params: Params) -> list[tuple[str | None, Written]]:
    """Return what a write may have changed: tables, None for one that can't be told, and the attributes of items."""
    if operation in _WRITES_BY_KEY:
        return [
            _written(table, inner.get("Item", inner.get("Key")))
            for table, action, inner in entries_of(operation, params)
            if action != "ConditionCheck"
        ]
    tables: list[Any] = statement_tables(params) or [params.get("TableName")]
    return [_written(table, None) for table in tables]


def _written(table: Any, attributes: Any) -> tuple[str | None, Written]:
    return None if table is None else plain_name(str(table)), attributes
