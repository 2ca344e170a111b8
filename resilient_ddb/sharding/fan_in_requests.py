"""What a query over several partition keys sends for each, and what its place looks like between two pages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from resilient_ddb.codec.values import from_native
from resilient_ddb.dynamodb import expressions
from resilient_ddb.dynamodb.description import KeySchema, TableDescription
from resilient_ddb.dynamodb.expressions import asking_for
from resilient_ddb.dynamodb.keys import digest, from_json, identity, to_json
from resilient_ddb.dynamodb.reserved import KEY, NAMES, SHARD, SHARDED, VALUES
from resilient_ddb.policy.checks import check_whole

from .fan_in import Key, Order, Place

_CONDITION, _LEGACY_CONDITION, _START = "KeyConditionExpression", "KeyConditions", "ExclusiveStartKey"
CURSOR = "rddb_cursor"
"""The one attribute of a `LastEvaluatedKey` over several partition keys."""
_FORM = 1
Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A query's parameters without its partition key, and what was asked of that."""

    params: Mapping[str, Any]
    """The parameters, still without the partition key's value."""
    legacy: str | None
    """Under which name it stands in `KeyConditions`; None: in the expression."""
    key: Any
    """The value that the caller asked for; None if the caller asked for none."""

    def of(self, stored: Any) -> dict[str, Any]:
        """Return the parameters that ask for one partition key."""
        if self.legacy is not None:
            equality = {"ComparisonOperator": "EQ", "AttributeValueList": [stored]}
            return {**self.params, _LEGACY_CONDITION: {**self.params[_LEGACY_CONDITION], self.legacy: equality}}
        return {**self.params, VALUES: {**self.params.get(VALUES, {}), SHARD: stored}}


def without_key(params: Params, attribute: str, stored_in: str) -> Condition:
    """Return a query's condition without the partition key.

    Args:
        params: the parameters of the query.
        attribute: the partition key, as the caller names it.
        stored_in: the attribute that holds it.

    Raises:
        ValueError: the condition does not say which partition key is meant.
    """
    made = dict(params)
    expressions.inject(made)
    condition = made.get(_CONDITION)
    legacy = made.get(_LEGACY_CONDITION)
    if condition is None and isinstance(legacy, Mapping) and isinstance(legacy.get(attribute), Mapping):
        values = legacy[attribute].get("AttributeValueList") or []
        if legacy[attribute].get("ComparisonOperator") == "EQ" and len(values) == 1:
            rest = {name: entry for name, entry in legacy.items() if name != attribute}
            return Condition(params={**made, _LEGACY_CONDITION: rest}, legacy=stored_in, key=values[0])
    names, values = dict(made.get(NAMES) or {}), dict(made.get(VALUES) or {})
    found = _find_equality(condition, names, attribute)
    if found is None or found[2] not in values:
        raise ValueError(
            f"{_CONDITION} must say which partition key is meant, as in Key({attribute!r}).eq(...): it decides which "
            "shards are asked"
        )
    text, name, placeholder = found
    key = values[placeholder]
    made[_CONDITION] = text
    _drop_unused(made, names, name)
    _drop_unused(made, values, placeholder)
    return _filled_in(made, names, values, stored_in, key)


def with_key(params: Params, stored_in: str) -> Condition:
    """Return a query's condition, if there is any, the partition key that it must not name.

    Raises:
        ValueError: it names one.
    """
    made = dict(params)
    expressions.inject(made)
    names, values = dict(made.get(NAMES) or {}), dict(made.get(VALUES) or {})
    condition = made.get(_CONDITION)
    if _LEGACY_CONDITION in made:
        raise ValueError(
            f"{_LEGACY_CONDITION} must not be given beside partition_keys; use {_CONDITION}, on the sort key alone"
        )
    if _find_equality(condition, names, stored_in) is not None:
        raise ValueError(
            f"{_CONDITION} must leave the partition key {stored_in!r} out: `partition_keys` says which are read"
        )
    ours = f"{SHARDED} = {SHARD}"
    made[_CONDITION] = ours if condition is None else f"{ours} AND {condition}"
    return _filled_in(made, names, values, stored_in, None)


def _filled_in(made: dict[str, Any], names: Params, values: Params, stored_in: str, key: Any) -> Condition:
    for argument, own, ours in ((NAMES, names, SHARDED), (VALUES, values, SHARD)):
        if ours in own:
            raise ValueError(f"{argument} must leave the name {ours!r} free")
    made[NAMES] = {**names, SHARDED: stored_in}
    made[VALUES] = values
    return Condition(params=made, legacy=None, key=key)


def _find_equality(condition: Any, names: Params, attribute: str) -> tuple[str, str, str] | None:
    """Return a condition with our own placeholders in the equality on an attribute, and the caller's two."""
    for pattern in expressions.EQUALITIES if isinstance(condition, str) else ():
        for match in re.finditer(pattern, condition):
            name, value = match["name"], match["value"]
            if names.get(name, name) == attribute:
                return f"{condition[: match.start()]}{SHARDED} = {SHARD}{condition[match.end() :]}", name, value
    return None


def _drop_unused(params: Params, placeholders: dict[str, Any], name: str) -> None:
    """Drop a placeholder that nothing names any more: DynamoDB would refuse it."""
    texts = (params.get(parameter) for parameter in (_CONDITION, "FilterExpression", "ProjectionExpression"))
    pattern = re.compile(rf"{re.escape(name)}(?!\w)")
    if not any(isinstance(text, str) and pattern.search(text) for text in texts):
        placeholders.pop(name, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A query over several partition keys."""

    table: str
    condition: Condition
    stored: Sequence[Any]
    """The partition keys to read, in the order in which items with equal sort keys come."""
    order: Order
    added: Sequence[str]
    """The attributes that were asked for on top of what the caller asked for."""
    limit: int | None
    """How many items are wanted: the caller's `Limit`."""
    place: Place | None
    """Where an earlier page stopped."""
    identity: str
    """Stands for all that two pages of one query have in common."""

    @property
    def is_count(self) -> bool:
        """Whether only the number of items is asked for."""
        return self.condition.params.get("Select") == "COUNT"

    def params(self, index: int, position: Key | None, page: int | None) -> dict[str, Any]:
        """Return the parameters of one source's next page, which has `page` items at most."""
        stored = self.stored[index]
        made = self.condition.of(stored)
        if page is not None:
            made["Limit"] = page
        if position is not None:
            made[_START] = {**position, self.condition_attribute: stored}
        return made

    @property
    def condition_attribute(self) -> str:
        """The attribute that holds the partition keys."""
        return self.condition.legacy or str(self.condition.params[NAMES][SHARDED])

    def last_evaluated_key(self, place: Place | None) -> Key | None:
        """Return a place as the `LastEvaluatedKey` of a response: a plain dict, for JSON as well."""
        if place is None:
            return None
        return {
            CURSOR: {
                "form": _FORM,
                "query": self.identity,
                "last": None if place.last is None else to_json(place.last),
                "source": place.source,
                "positions": {
                    str(index): position and to_json(position) for index, position in place.positions.items()
                },
                "late": sorted(place.late),
            }
        }


def request_for(
    params: Params,
    condition: Condition,
    stored: Sequence[Any],
    described: TableDescription,
    *,
    table: str,
    sharded: str,
) -> Request:
    """Return the request of a query over several partition keys.

    Args:
        params: the parameters of the query, as the caller gave them.
        condition: what is sent of them.
        stored: the partition keys to read.
        described: the table and its indexes.
        table: the table's name.
        sharded: the attribute that holds the partition keys.

    Raises:
        TypeError, ValueError: `Limit` is no number, or `ExclusiveStartKey` is of another query.
    """
    index = params.get("IndexName")
    read = described.key_of(index) or KeySchema(sharded)
    names = [*read.names, *(described.key.names if index is not None else ())]
    order = Order(
        sort=read.sort,
        forward=params.get("ScanIndexForward", True) is not False,
        position=tuple(dict.fromkeys(name for name in names if name != sharded)),
    )
    limit = params.get("Limit")
    if limit is not None:
        check_whole("Limit", limit, least=1)
    condition, added = _asking_for_position(condition, order)
    query = _identity(table, index, condition, stored, order)
    return Request(
        table=table,
        condition=condition,
        stored=stored,
        order=order,
        place=_place_after(params.get(_START), query, len(stored), order),
        added=added,
        limit=limit,
        identity=query,
    )


def _asking_for_position(condition: Condition, order: Order) -> tuple[Condition, list[str]]:
    """Return a condition whose answer says from where to read on, and the attributes that were added for it."""
    sent: Mapping[str, Any] = {name: value for name, value in condition.params.items() if name not in ("Limit", _START)}
    added = []
    for number, name in enumerate(order.position if sent.get("Select") != "COUNT" else ()):
        sent, is_added = asking_for(sent, name, f"{KEY}{number}", "the key attribute")
        added += [name] if is_added else []
    return replace(condition, params=sent), added


def _identity(table: str, index: Any, condition: Condition, stored: Sequence[Any], order: Order) -> str:
    """Return what tells one query from another: its table, index, keys, condition and direction."""
    names, values = condition.params.get(NAMES) or {}, condition.params.get(VALUES) or {}

    def meant(match: re.Match[str]) -> str:
        word = match[0]
        return json.dumps(from_native(values[word]), default=str) if word in values else str(names.get(word, word))

    text = re.sub(r"[#:]?\w+", meant, str(condition.params.get(_CONDITION, condition.params.get(_LEGACY_CONDITION))))
    keys = [identity({"": key}) for key in stored]
    counts = condition.params.get("Select") == "COUNT"
    return digest([_FORM, table, index, keys, text, order.forward, counts])


def _place_after(start: Any, query: str, count: int, order: Order) -> Place | None:
    if start is None:
        return None
    wrong = (
        f"{_START} must be the LastEvaluatedKey of an earlier page of this query: of the same table, index, partition "
        "key, condition and direction, with the same shards"
    )
    cursor = start.get(CURSOR) if isinstance(start, Mapping) else None
    if not isinstance(cursor, Mapping) or len(start) != 1:
        raise ValueError(f"{wrong}; got one that has no {CURSOR!r}, as a query of one partition key gives it")
    if cursor.get("query") != query:
        raise ValueError(f"{wrong}; got that of another query, or from before the number of shards was changed")
    try:
        return _place(cursor, count, order)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{wrong}; got one that was changed: {error}") from None


def _place(cursor: Mapping[str, Any], count: int, order: Order) -> Place:
    positions = {int(index): position and from_json(position) for index, position in cursor["positions"].items()}
    last, source, late = cursor["last"], int(cursor["source"]), frozenset(map(int, cursor["late"]))
    if not all(0 <= index < count for index in (*positions, *late)) or not -1 <= source < count:
        raise ValueError("it names a source that there is not")
    if len(positions) == count and all(position is None for position in positions.values()):
        raise ValueError("nothing is left")
    if any(position is not None and set(position) != set(order.position) for position in positions.values()):
        raise ValueError("a position is of other attributes")
    found = None if last is None else from_json(last)
    if found is not None and (set(found) != {order.sort} or positions.get(source) is None):
        raise ValueError("its last item is no such one")
    typed = [value for value in (*cursor["positions"].values(), last) if value]
    kinds = {(name, *value) for key in typed for name, value in key.items()}
    if len(kinds) > len(order.position):
        raise ValueError("an attribute is of several types")
    return Place(found, source, positions, late)
