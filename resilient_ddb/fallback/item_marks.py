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
from resilient_ddb.dynamodb.operations import Params, plain_name, statement_tables
from resilient_ddb.dynamodb.reserved import NAMES, VALUES

Mark = frozenset[tuple[str, Any]]
Written = Mapping[str, Any] | None
"""The attributes of an item that was written, its key among them; None: any item of the table."""
_KINDS = ("S", "N", "B")
_OF_ANY_ITEM: Mark = frozenset()
_KEY_OF = {"PutItem": "Item", "UpdateItem": "Key", "DeleteItem": "Key"}
_KEY_IN_TRANSACTION = {"Put": "Item", "Update": "Key", "Delete": "Key"}
_KEY_IN_BATCH = {"PutRequest": "Item", "DeleteRequest": "Key"}


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
    if operation == "BatchGetItem":
        requests = params.get("RequestItems") or {}
        return [_mark(table, key) for table, request in requests.items() for key in request.get("Keys") or ()]
    if operation == "TransactGetItems":
        gets = [entry.get("Get") or {} for entry in params.get("TransactItems") or ()]
        return [_mark(get.get("TableName"), get.get("Key")) for get in gets]
    if operation == "GetItem":
        return [_mark(params.get("TableName"), params.get("Key"))]
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
    if operation in _KEY_OF:
        return [_written(params.get("TableName"), params.get(_KEY_OF[operation]))]
    if operation == "BatchWriteItem":
        return [
            _written(table, (request.get(kind) or {}).get(name))
            for table, requests in (params.get("RequestItems") or {}).items()
            for request in requests
            for kind, name in _KEY_IN_BATCH.items()
            if kind in request
        ]
    if operation == "TransactWriteItems":
        return [
            _written(entry[kind].get("TableName"), entry[kind].get(name))
            for entry in params.get("TransactItems") or ()
            for kind, name in _KEY_IN_TRANSACTION.items()
            if kind in entry
        ]
    tables: list[Any] = statement_tables(params) or [params.get("TableName")]
    return [_written(table, None) for table in tables]


def _written(table: Any, attributes: Any) -> tuple[str | None, Written]:
    return None if table is None else plain_name(str(table)), attributes
