"""What the keys of a table and its indexes are: asked of DynamoDB once, and kept by the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from .drive import Flow
from .ending import unanswered


@dataclass(frozen=True, slots=True)
class KeySchema:
    """The attributes of a key."""

    partition: str
    sort: str | None = None

    @property
    def names(self) -> list[str]:
        """The attributes, one or two."""
        return [self.partition] if self.sort is None else [self.partition, self.sort]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySchemas:
    """The keys of a table, and of its indexes by their names."""

    table: KeySchema
    indexes: Mapping[str, KeySchema]

    @property
    def partitions(self) -> set[str]:
        """The attributes that are a partition key."""
        return {self.table.partition, *(index.partition for index in self.indexes.values())}


def key_schemas(client: Any, table: str, index: str | None = None, partition: str | None = None) -> Flow[KeySchemas]:
    """Give the keys of a table: from DescribeTable, where it is not yet known, or no index of this name or key is.

    Raises:
        ClientError: the table can't be described.
    """
    known = _known(client).get(("KeySchemas", table))
    has_index = known is not None and (index is None or index in known.indexes)
    if known is not None and has_index and (partition is None or partition in known.partitions):
        return known  # type: ignore[no-any-return]  # what is known is of many types
    answer = yield unanswered(partial(client.describe_table, TableName=table))
    found = _schemas(answer["Table"])
    _known(client)[("KeySchemas", table)] = found  # a module-level async table has its client from here on
    return found


def _known(client: Any) -> dict[Any, Any]:
    core = getattr(client, "_resilience", None)
    return {} if core is None else core.known


def _schemas(description: Mapping[str, Any]) -> KeySchemas:
    return KeySchemas(
        table=_schema(description),
        indexes={
            index["IndexName"]: _schema(index)
            for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
            for index in description.get(kind) or ()
        },
    )


def _schema(description: Mapping[str, Any]) -> KeySchema:
    roles = {element["KeyType"]: element["AttributeName"] for element in description["KeySchema"]}
    return KeySchema(roles["HASH"], roles.get("RANGE"))
