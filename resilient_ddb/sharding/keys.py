"""Between the keys that a caller of a sharded table uses, and those that are stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resilient_ddb.dynamodb.description import TableDescription
from resilient_ddb.dynamodb.expressions import inject, join_assignments
from resilient_ddb.dynamodb.operations import attributes_changed
from resilient_ddb.dynamodb.reserved import NAMES, PREFIX
from resilient_ddb.policy.retry import Uniform

from .fan_in import Item
from .fan_in_requests import CURSOR
from .layout import Layout, text_of

_EXISTS = re.compile(r"attribute_(?:not_)?exists\s*\(\s*#?\w+\s*\)", re.IGNORECASE)
_FIRST_OF_PATH = re.compile(r"(?<![\w.#:])#?\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardKeys:
    """Which attribute of a table is spread over shards, and how."""

    layout: Layout
    described: TableDescription
    key: str
    """The attribute, as callers see it."""
    stored_in: str
    """The attribute that holds its stored form: the same, or one that callers don't see."""

    @property
    def is_of_table(self) -> bool:
        """Whether it is the table's partition key; else it is an index's, and items have one place in the table."""
        return self.stored_in == self.described.key.partition

    def stored_item(self, item: Any, uniform: Uniform) -> Item:
        """Return a whole item as it is stored.

        Raises:
            TypeError, ValueError: its shard can't be told.
        """
        if not isinstance(item, Mapping):
            raise TypeError(f"Item must be a dict; got {type(item).__name__}")
        if self.stored_in != self.key and self.stored_in in item:
            raise ValueError(f"Item must leave out {self.stored_in!r}: it is made from {self.key!r}")
        if self.key not in item:
            if self.is_of_table:
                raise ValueError(f"Item must have the partition key {self.key!r}")
            return dict(item)  # it is not in the index
        return {**item, self.stored_in: self.layout.home(self.text(item[self.key]), item, uniform)}

    def text(self, key: Any) -> Any:
        """Return a key as the text that a suffix is added to, where it is stored apart."""
        return key if self.stored_in == self.key else text_of(key)

    def split(self, key: Any) -> tuple[Item, Any]:
        """Return the key of an item as DynamoDB takes it, and the caller's partition key.

        Attributes that the shard is calculated from may stand in `Key` beside it.

        Raises:
            TypeError, ValueError: `Key` is no key of this table.
        """
        if not isinstance(key, Mapping):
            raise TypeError(f"Key must be a dict; got {type(key).__name__}")
        if self.key not in key:
            raise ValueError(f"Key must have the partition key {self.key!r}")
        names = self.described.key.names
        return {name: value for name, value in key.items() if name in names or name not in self.layout.by}, key[
            self.key
        ]

    def one_place(self, key: Any) -> Item:
        """Return the key under which an item is stored, where that can be told.

        Raises:
            TypeError, ValueError: it can't; or `Key` is no key of this table.
        """
        if not self.is_of_table:
            return dict(key)
        table_key, value = self.split(key)
        homes = self.layout.homes(value, key)
        if len(homes) > 1 and not self.layout.knows(key):
            raise ValueError(
                "Key must tell the item's shard: have it calculated, with by=, and give the attributes that it is "
                "calculated from"
            )
        return {**table_key, self.key: homes[0]}

    def beginning(self, key: Mapping[str, Any], update: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an update that, where it begins the item, leaves in it what its shard was calculated from.

        The caller can't: `refuse_moving` refuses it. An item without could not be placed when the layout changes.

        Raises:
            ValueError: the caller's placeholders take names of ours.
        """
        found = self._beside(key)
        expression = update.get("UpdateExpression")
        is_ours_to_extend = expression is None or (isinstance(expression, str) and expression.strip())
        if not found or "AttributeUpdates" in update or not is_ours_to_extend:  # DynamoDB says what is wrong with it
            return update
        names = {f"#{PREFIX}by{number}": name for number, name in enumerate(found)}
        values = {f":{PREFIX}by{number}": key[name] for number, name in enumerate(found)}
        assignments = ", ".join(
            f"{name} = if_not_exists({name}, {value})" for name, value in zip(names, values, strict=True)
        )
        return join_assignments(update, assignments, names, values)

    def unbegun(self, response: dict[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
        """Remove, in place, what an update has written beside what the caller asked for."""
        if str(update.get("ReturnValues", "NONE")).startswith("UPDATED") and "Attributes" in response:
            for name in self.layout.by:
                response["Attributes"].pop(name, None)
            if not response["Attributes"]:
                del response["Attributes"]
        return response

    def _beside(self, key: Mapping[str, Any]) -> list[str]:
        names = self.described.key.names
        return [name for name in self.layout.by if name not in names and name in key]

    def as_seen(self, item: Item) -> None:
        """Make of a stored item what callers see, in place."""
        if self.stored_in != self.key:
            item.pop(self.stored_in, None)
        elif self.key in item:
            item[self.key] = self.layout.key_of(item[self.key])

    def is_in_position(self, index: str | None) -> bool:
        """Return whether a position in an index, or the table, names the stored key beside the partition key."""
        read = self.described.key_of(index)
        if read is None or self.stored_in != self.key or self.key == read.partition:
            return False
        return self.key in read.names or self.key in self.described.key.names

    def token_as_seen(self, last: dict[str, Any]) -> dict[str, Any]:
        """Return a `LastEvaluatedKey` of several sources with the key as callers see it, and the shard beside it."""
        cursor, shards = dict(last[CURSOR]), {}
        cursor["positions"] = dict(cursor["positions"])
        for within, name in _places(cursor):
            stored = (within[name] or {}).get(self.key, {}).get("S")
            number = self.layout.number_of(stored)
            if number is not None:
                within[name] = {**within[name], self.key: {"S": self.layout.key_of(stored)}}
                shards[name] = number
        return {CURSOR: {**cursor, "shards": shards}}

    def token_as_stored(self, start: Any) -> Any:
        """Return an `ExclusiveStartKey` as `token_as_seen` took it; what is none stays as it is, and is refused later.

        Raises:
            ValueError: it was changed.
        """
        cursor = start.get(CURSOR) if isinstance(start, Mapping) else None
        if not isinstance(cursor, Mapping) or "shards" not in cursor:
            return start
        try:
            made = {**cursor, "positions": dict(cursor["positions"])}
            shards = made.pop("shards")
            for within, name in _places(made):
                if name in shards:
                    stored = self.layout.stored_key(within[name][self.key]["S"], shards[name])
                    within[name] = {**within[name], self.key: {"S": stored}}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"ExclusiveStartKey must be a LastEvaluatedKey of this query; got one changed: {error}"
            ) from None
        return {**start, CURSOR: made}

    def refuse_moving(self, params: Mapping[str, Any]) -> None:
        """Refuse an update that would change where the item belongs.

        Raises:
            ValueError: it changes an attribute that the shard depends on.
        """
        places = {*self.layout.by} if self.is_of_table else {*self.layout.by, self.key, self.stored_in}
        places.difference_update(self.described.key.names)
        for name in _changed(params):
            if name in places:
                raise ValueError(
                    f"UpdateExpression must not change {name!r}: the item's shard depends on it; put the item whole"
                )

    def refuse_comparison(self, argument: str, params: Mapping[str, Any]) -> None:
        """Refuse a condition or a filter that compares the key with something: what is stored has a suffix.

        Raises:
            ValueError: it does.
        """
        if argument not in params or self.stored_in != self.key:
            return
        if isinstance(params[argument], Mapping):  # of the older API
            entry = params[argument].get(self.key) or {}
            is_compared = bool(entry.get("AttributeValueList")) or "Value" in entry
        else:
            made = dict(params)
            inject(made)
            names, text = made.get(NAMES) or {}, _EXISTS.sub("", str(made[argument]))
            is_compared = any(names.get(word, word) == self.key for word in _FIRST_OF_PATH.findall(text))
        if is_compared:
            raise ValueError(
                f"{argument} must not compare {self.key!r}, which is stored with a suffix; attribute_exists and "
                "attribute_not_exists are all that it takes"
            )

    def refuse_conditions(self, key: Any, params: Mapping[str, Any]) -> None:
        """Refuse a put that asks about what is there, where that may be in any shard.

        Raises:
            ValueError: it does.
        """
        if self.layout.by or not self.is_of_table or len(self.layout.stored_keys(key)) == 1:
            return
        for name in ("ConditionExpression", "Expected"):
            if name in params:
                raise ValueError(
                    f"{name} must not be given to put_item with a random suffix: it would be held against one shard of "
                    "several; have the shard calculated, with by="
                )
        if params.get("ReturnValues", "NONE") != "NONE":
            raise ValueError(
                "ReturnValues must be 'NONE' for put_item with a random suffix: an earlier item may be in any shard; "
                "have the shard calculated, with by="
            )


def _places(cursor: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Return where a cursor has keys: each position, and the last item given."""
    return [*((cursor["positions"], name) for name in cursor["positions"]), (cursor, "last")]


def _changed(params: Mapping[str, Any]) -> set[str]:
    expression, legacy = params.get("UpdateExpression"), params.get("AttributeUpdates")
    found = set(legacy) if isinstance(legacy, Mapping) else set()
    return found | attributes_changed(expression, params.get(NAMES) or {}) if isinstance(expression, str) else found
