"""What a DynamoDB request asks for, as far as a fault has to know. Pure.

A single-item operation has one part; a batch or a transaction has one per entry, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from resilient_ddb.dynamodb.operations import plain_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

READS = frozenset({"GetItem", "BatchGetItem", "TransactGetItems", "Query", "Scan", "DescribeTable", "ListTables"})
BATCHES = frozenset({"BatchWriteItem", "BatchGetItem"})
TRANSACTIONS = frozenset({"TransactWriteItems", "TransactGetItems", "ExecuteTransaction"})


@dataclass(frozen=True, kw_only=True)
class Part:
    """One entry of a request: a table, and the key or the whole item in wire format."""

    table: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to the API, as a fault sees it."""

    operation: str
    """Such as `GetItem`."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The request's JSON."""
    at: float = 0.0
    """Seconds since the proxy was started or its plan was set."""
    request_id: str = ""
    """What an answer that is made up carries as `x-amzn-RequestId`."""

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The request's entries; none for a request that is not well-formed."""
        try:
            return tuple(_parts(self.operation, self.params))
        except (AttributeError, KeyError, TypeError, ValueError):
            return ()

    @property
    def table(self) -> str | None:
        """The one table that the request names; None if it names none, or several."""
        tables = {part.table for part in self.parts}
        return tables.pop() if len(tables) == 1 else None

    @property
    def reads(self) -> bool:
        """Whether the operation only reads."""
        return self.operation in READS


def table_arn(name: str | None) -> str:
    """Make up a table's ARN, for the errors that carry one."""
    return f"arn:aws:dynamodb:us-east-1:000000000000:table/{name or '*'}"


def _parts(operation: str, params: Mapping[str, Any]) -> Iterator[Part]:
    if operation == "BatchWriteItem":
        for table, requests in params["RequestItems"].items():
            for request in requests:
                ((_, body),) = request.items()
                yield Part(table=plain_name(table), values=body.get("Item") or body["Key"])
    elif operation == "BatchGetItem":
        for table, wanted in params["RequestItems"].items():
            for key in wanted["Keys"]:
                yield Part(table=plain_name(table), values=key)
    elif operation in {"TransactWriteItems", "TransactGetItems"}:
        for entry in params["TransactItems"]:
            ((_, body),) = entry.items()
            yield Part(table=plain_name(body["TableName"]), values=body.get("Item") or body["Key"])
    elif "TableName" in params:
        values = params.get("Item") or params.get("Key") or {}
        yield Part(table=plain_name(params["TableName"]), values=values)
