"""What the keys of a table and its indexes are: asked of DynamoDB once, and kept by the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from .flows import Flow
from .single_flight import once
from .unanswered import unanswered


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
    composite: frozenset[str] = frozenset()
    """Further indexes: those whose partition key, or sort key, is made of several attributes."""

    @property
    def partitions(self) -> set[str]:
        """The attributes that are a partition key."""
        return {self.table.partition, *(index.partition for index in self.indexes.values())}


def key_schemas(client: Any, table: str, index: str | None = None, partition: str | None = None) -> Flow[KeySchemas]:
    """Return the keys of a table: from DescribeTable, where it is not yet known, or no index of this name or key is.

    Raises:
        ClientError: the table can't be described.
        ValueError: a key of the index is made of several attributes: its order is not that of one of them.
    """
    core = getattr(client, "_resilience", None)
    if core is None and hasattr(type(client), "current"):  # a module-level async table opens its client now
        client = yield partial(client.current, "DescribeTable")
        core = client._resilience  # noqa: SLF001 - the attribute is this library's own
    key = ("KeySchemas", table)

    def look() -> KeySchemas | None:
        known: KeySchemas | None = None if core is None else core.known.get(key)
        return known if known is not None and _is_enough(known, index, partition) else None

    def learn() -> Flow[KeySchemas]:
        answer = yield unanswered(partial(client.describe_table, TableName=table))
        schemas = _schemas(answer["Table"])
        if core is not None:
            core.known[key] = schemas
        return schemas

    found = yield from (learn() if core is None else once(core.host, (key, index, partition), look, learn))
    if index in found.composite:
        raise ValueError(
            f"IndexName must be that of an index with one partition key attribute, and one sort key attribute at most; "
            f"{index!r} of table {table!r} has several: query it through the Table itself"
        )
    return found


def _is_enough(known: KeySchemas, index: str | None, partition: str | None) -> bool:
    has_index = index is None or index in known.indexes or index in known.composite
    return has_index and (partition is None or partition in known.partitions)


def _schemas(description: Mapping[str, Any]) -> KeySchemas:
    table = _schema(description)
    kinds = ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
    indexes = {index["IndexName"]: index for kind in kinds for index in description.get(kind) or ()}
    composite = frozenset(name for name, index in indexes.items() if _is_composite(index))
    return KeySchemas(
        table=table,
        indexes={name: _schema(index) for name, index in indexes.items() if name not in composite},
        composite=composite,
    )


def _is_composite(description: Mapping[str, Any]) -> bool:
    roles = [element["KeyType"] for element in description["KeySchema"]]
    return len(roles) > len(set(roles))


def _schema(description: Mapping[str, Any]) -> KeySchema:
    roles = {element["KeyType"]: element["AttributeName"] for element in description["KeySchema"]}
    return KeySchema(roles["HASH"], roles.get("RANGE"))
