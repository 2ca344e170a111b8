"""What DescribeTable says of a table: its keys, and what its indexes have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class _Described:
    """The base of what is described: compared by its slots. It never changes, and is asked on each put."""

    __slots__: tuple[str, ...] = ()

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self.__slots__])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Described) and type(other) is type(self) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())


class KeySchema(_Described):
    """The attributes of a key."""

    __slots__ = ("partition", "sort")

    def __init__(self, partition: str, sort: str | None = None) -> None:
        self.partition = partition
        self.sort = sort

    @property
    def names(self) -> list[str]:
        """The attributes, one or two."""
        return [self.partition] if self.sort is None else [self.partition, self.sort]


class Index(_Described):
    """An index of a table."""

    __slots__ = ("is_global", "key", "keys", "projected")

    def __init__(
        self, *, is_global: bool, keys: frozenset[str], key: KeySchema | None, projected: frozenset[str] | None
    ) -> None:
        """Describe an index.

        Args:
            is_global: whether it is a global one.
            keys: the attributes of its key.
            key: its key; None: the partition key, or the sort key, is made of several attributes.
            projected: the attributes that it has; None: all.
        """
        self.is_global = is_global
        self.keys = keys
        self.key = key
        self.projected = projected

    def has(self, attribute: str) -> bool:
        """Return whether the index has an attribute."""
        return self.projected is None or attribute in self.projected


class TableDescription(_Described):
    """A table, and its indexes by their names."""

    __slots__ = ("indexes", "key")

    def __init__(self, *, key: KeySchema, indexes: Mapping[str, Index]) -> None:
        self.key = key
        self.indexes = indexes

    def key_of(self, index: str | None) -> KeySchema | None:
        """Return the key of an index, or of the table itself; None: it is not known, or of several attributes."""
        if index is None:
            return self.key
        return self.indexes[index].key if index in self.indexes else None

    def has_partition(self, attribute: str) -> bool:
        """Return whether an attribute is the partition key of the table, or of an index."""
        return any(key is not None and key.partition == attribute for key in map(self.key_of, [None, *self.indexes]))


def description_of(table: Mapping[str, Any]) -> TableDescription:
    """Return what the `Table` in DescribeTable's answer says.

    Raises:
        KeyError: it does not say what a table's key is.
    """
    key = _schema(table)
    indexes = {
        index["IndexName"]: _index(index, key, is_global=kind == "GlobalSecondaryIndexes")
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
        for index in table.get(kind) or ()
    }
    return TableDescription(key=key, indexes=indexes)


def _index(index: Mapping[str, Any], table: KeySchema, *, is_global: bool) -> Index:
    elements, projection = index["KeySchema"], index.get("Projection") or {}
    keys = frozenset(element["AttributeName"] for element in elements)
    is_composite = len(elements) > len({element["KeyType"] for element in elements})
    others = projection.get("NonKeyAttributes") or ()
    return Index(
        is_global=is_global,
        keys=keys,
        key=None if is_composite else _schema(index),
        projected=None if projection.get("ProjectionType") == "ALL" else keys.union(table.names, others),
    )


def _schema(described: Mapping[str, Any]) -> KeySchema:
    roles = {element["KeyType"]: element["AttributeName"] for element in described["KeySchema"]}
    return KeySchema(roles["HASH"], roles.get("RANGE"))
