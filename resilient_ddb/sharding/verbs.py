"""The verbs of a sharded table, as flows of decisions that the sync and the async table drive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from resilient_ddb.calls.described import description
from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.telling import in_shard
from resilient_ddb.dynamodb.expressions import join_condition
from resilient_ddb.dynamodb.operations import OLD_PARAMETERS, expects_version, same_table
from resilient_ddb.dynamodb.reserved import SHARDED
from resilient_ddb.errors import DuplicateShardItemError, call_facts
from resilient_ddb.errors.words import is_failed_condition
from resilient_ddb.policy.checks import check_callable
from resilient_ddb.policy.policy import policy_of

from .fan_in import Item
from .fan_in_reading import OnShardError, Response, Together, check_on_shard_error
from .keys import ShardKeys
from .layout import Layout
from .moving import Moved, move
from .reads import ShardReads
from .shard_layout import RANDOM, ShardLayout, placing

OnDuplicate = Callable[[Sequence[Item]], Item | None]
_CONSISTENT = MappingProxyType({"ConsistentRead": True})
_NOT_SHARDED = ("scan", "scan_items", "parallel_scan", "get_items", "sharded")


class ShardedVerbs:
    """What the sync and the async sharded table share: the table behind them, and every decision."""

    _sleep: Callable[[float], Any]
    _together: Together
    _stores_other_keys = True
    name: str
    """The table's name: that of the table behind."""

    def __init__(
        self,
        table: Any,
        layout: ShardLayout,
        on_unknown_shard: Literal["find", "raise"] = "find",
        on_duplicate: OnDuplicate | Literal["raise"] = "raise",
        on_shard_error: OnShardError = "raise",
    ) -> None:
        """Spread the items of `table` as `layout` says. See `Table.sharded`."""
        if on_unknown_shard not in ("find", "raise"):
            raise ValueError(f"on_unknown_shard must be 'find' or 'raise'; got {on_unknown_shard!r}")
        if on_duplicate != "raise":
            check_callable(
                "on_duplicate",
                on_duplicate,
                takes="the items that were found, and returning one of them; or be 'raise'",
            )
        check_on_shard_error(on_shard_error)
        self._table = table
        self._layout = layout
        self._placings: dict[tuple[str, str | None], Layout] = {}
        """What the layout is for a table's keys: they are known at the first call."""
        self._on_unknown_shard = on_unknown_shard
        self._on_duplicate = None if on_duplicate == "raise" else on_duplicate
        self._on_shard_error: OnShardError = on_shard_error

    @property
    def table(self) -> Any:
        """The table behind this one: what it gives and takes has stored keys."""
        return self._table

    if not TYPE_CHECKING:  # a checker finds none of those

        def __getattr__(self, name: str) -> Any:
            if name in _NOT_SHARDED:
                raise AttributeError(
                    f"a sharded table has no {name}(): take sharded.table.{name}(...), with stored keys"
                )
            return super().__getattr__(name)

    def __dir__(self) -> list[str]:
        return sorted(set(super().__dir__()).difference(_NOT_SHARDED))

    def __repr__(self) -> str:
        return f"{self._table!r}.sharded({self._layout!r})"

    def _keys(self, index: str | None = None) -> Flow[ShardKeys]:
        given = self._layout
        stored_in = given.attribute or given.key
        argument = "key" if given.attribute is None else "shard_attribute"
        described = yield from description(self._table.meta.client, self._table.name, index, stored_in)
        if stored_in is not None and not described.has_partition(stored_in):
            raise ValueError(
                f"{argument} must be the partition key of table {self._table.name!r}, or of an index of it; got "
                f"{stored_in!r}"
            )
        own = described.key.names if given.attribute is not None else described.key.names[1:]
        if stored_in in own:
            raise ValueError(
                f"{argument} must leave the key of table {self._table.name!r} as it is: an item could not be found by "
                f"it; got {stored_in!r}; have the suffix kept in an attribute for the index, with shard_attribute="
            )
        key = given.key or described.key.partition
        asked = (key, described.key.sort)
        if asked not in self._placings:
            self._placings[asked] = placing(given, *asked)
        return ShardKeys(layout=self._placings[asked], described=described, key=key, stored_in=stored_in or key)

    # One item.

    def _put(self, item: Any, params: Mapping[str, Any]) -> Flow[Response]:
        keys = yield from self._keys()
        stored = keys.stored_item(item, policy_of(self._table).uniform)
        keys.refuse_conditions(item.get(keys.key), params)
        for argument in ("ConditionExpression", "Expected"):
            keys.refuse_comparison(argument, params)
        yield from self._brought_home(keys, item.get(keys.key), item)
        call = partial(self._table.put_item, Item=stored, **params)
        return (yield from self._send(keys, call, stored.get(keys.stored_in)))

    def _get(self, key: Any, params: Mapping[str, Any]) -> Flow[Response]:
        keys = yield from self._keys()
        if not keys.is_of_table:
            return (yield from self._send(keys, partial(self._table.get_item, Key=key, **params)))
        table_key, value = keys.split(key)
        homes = keys.layout.homes(value, key)
        if len(homes) == 1:
            place = {**table_key, keys.key: homes[0]}
            return (yield from self._send(keys, partial(self._table.get_item, Key=place, **params), homes[0]))
        reads = self._reads(keys, table_key, homes, params)
        items = yield from reads.all()
        if len(items) != 1 and keys.layout.previous:  # it may have been moved while the shards were read one by one
            again = self._reads(keys, table_key, homes, {**params, **_CONSISTENT})
            items = yield from again.all()
            reads.responses += again.responses
        found = yield from self._only(keys, items)
        response = reads.facts()
        return response if found is None else {"Item": found, **response}

    def _only(self, keys: ShardKeys, items: Sequence[Item]) -> Flow[Item | None]:
        if len(items) > 1 and self._on_duplicate is None:
            raise self._duplicate(keys, items, "GetItem")
        for item in items:
            keys.as_seen(item)
        found: Item | None = next(iter(items), None)
        if len(items) > 1 and self._on_duplicate is not None:
            found = yield partial(self._on_duplicate, items)
        return found

    def _duplicate(self, keys: ShardKeys, items: Sequence[Item], operation: str) -> DuplicateShardItemError:
        for item in items:
            keys.as_seen(item)
        return DuplicateShardItemError(operation_name=operation, table=self._table.name, items=items)

    def _change(self, verb: str, key: Any, params: Mapping[str, Any]) -> Flow[Response]:
        """Update or delete an item."""
        keys = yield from self._keys()
        keys.refuse_moving(params)
        for argument in ("ConditionExpression", "Expected"):
            keys.refuse_comparison(argument, params)
        call = getattr(self._table, verb)
        if not keys.is_of_table:
            return (yield from self._send(keys, partial(call, Key=key, **params)))
        table_key, value = keys.split(key)
        homes = keys.layout.homes(value, key)
        if keys.layout.knows(key):
            yield from self._brought_home(keys, value, key)
        elif len(homes) > 1:
            return (yield from self._change_where_it_is(keys, verb, table_key, homes, params))
        made = keys.beginning(key, params) if verb == "update_item" else params
        call = partial(call, Key={**table_key, keys.key: homes[0]}, **made)
        return keys.unbegun((yield from self._send(keys, call, homes[0])), params)

    def _change_where_it_is(
        self, keys: ShardKeys, verb: str, key: Item, homes: Sequence[str], params: Mapping[str, Any]
    ) -> Flow[Response]:
        if self._on_unknown_shard == "raise":
            raise ValueError(
                "Key must have the attributes that the shard is calculated from "
                f"({', '.join(keys.layout.by) or 'none: the suffix is random'}); or say on_unknown_shard='find', "
                "to look for the item first"
            )
        for name in OLD_PARAMETERS:
            if name in params:
                raise ValueError(
                    f"{name} must be left out where the item is looked for first; use an expression in its place"
                )
        call, names = getattr(self._table, verb), {SHARDED: keys.key}
        there = join_condition(params, f"attribute_exists({SHARDED})", names, {})
        there["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        attempts = policy_of(self._table).retry.max_attempts
        for _ in range(attempts):
            found = yield from self._found(keys, key, homes)
            if len(found) > 1:
                raise self._duplicate(keys, found, "UpdateItem" if verb == "update_item" else "DeleteItem")
            if not found:
                return (yield from self._change_nothing(keys, verb, key, params))
            try:
                home = found[0][keys.key]
                return (yield from self._send(keys, partial(call, Key={**key, keys.key: home}, **there), home))
            except ClientError as error:
                facts = call_facts(error)
                has_moved = is_failed_condition(error) and "Item" not in error.response
                if not has_moved or (facts is not None and facts.ambiguous):
                    if "ReturnValuesOnConditionCheckFailure" not in params:
                        error.response.pop("Item", None)
                    raise
                last = error
        last.add_note(f"the item was moved, or deleted and put anew, before each of {attempts} attempts")
        try:
            raise last
        finally:
            del last  # it knows this frame: they would keep each other

    def _change_nothing(self, keys: ShardKeys, verb: str, key: Item, params: Mapping[str, Any]) -> Flow[Response]:
        """Update or delete an item that is in none of the shards."""
        if verb == "update_item" and keys.layout.by and not expects_version(params):  # that begins none
            raise ValueError(
                f"there is no such item to update, and a new one has no shard without {', '.join(keys.layout.by)}: "
                "give that in Key, or use put_item"
            )
        home = keys.layout.home_of_key(key[keys.key], key)  # two that begin the same item at once meet there
        call = getattr(self._table, verb)
        return (yield from self._send(keys, partial(call, Key={**key, keys.key: home}, **params), home))

    def _found(self, keys: ShardKeys, key: Item, homes: Sequence[str]) -> Flow[list[Item]]:
        """Return the items with a key, as they are stored."""
        return (yield from self._reads(keys, key, homes).all())

    def _reads(
        self, keys: ShardKeys, key: Item, homes: Iterable[str], params: Mapping[str, Any] = _CONSISTENT
    ) -> ShardReads:
        places = [{**key, keys.key: home} for home in homes]
        return ShardReads(self._table, places, params, self._sleep, keys.as_seen)

    def _brought_home(self, keys: ShardKeys, value: Any, attributes: Mapping[str, Any]) -> Flow[None]:
        """Move an item, if it is still where an earlier layout has put it, before it is written."""
        if not keys.layout.previous or not keys.is_of_table or not keys.layout.knows(attributes):
            return
        home, *others = keys.layout.homes(value, attributes)
        key = {name: attributes[name] for name in keys.described.key.names if name in attributes}
        outcomes = [Moved.OVERTAKEN] if others else []
        while Moved.OVERTAKEN in outcomes:
            outcomes = []
            for item in (yield from self._reads(keys, key, others).all()):
                outcome, _ = yield from move(self._table, keys, item, home)
                if outcome is Moved.OCCUPIED:
                    found = yield from self._found(keys, key, [home, *others])
                    if len(found) > 1:
                        raise self._duplicate(keys, found, "TransactWriteItems")
                    outcome = Moved.OVERTAKEN
                outcomes.append(outcome)

    def _send(self, keys: ShardKeys, call: Callable[[], Any], stored: Any = None) -> Flow[Response]:
        """Make a call, and give its answer, or its error, as callers see the items in it.

        `stored` is the stored key that it is about, if there is one: observers are told its shard.
        """
        if policy_of(self._table).observers:
            call = in_shard(keys.layout.number_of(stored), call)
        try:
            response: Response = yield call
        except ClientError as error:
            self._unsuffix_error(keys, error)
            raise
        metrics = response.get("ItemCollectionMetrics") or {}
        for found in (response.get("Item"), response.get("Attributes"), metrics.get("ItemCollectionKey")):
            if found:
                keys.as_seen(found)
        return response

    def _unsuffix_error(self, keys: ShardKeys, error: ClientError) -> None:
        for reason in (error.response, *(error.response.get("CancellationReasons") or ())):
            item = reason.get("Item")
            if not isinstance(item, dict):
                continue
            if keys.stored_in != keys.key:
                item.pop(keys.stored_in, None)
            elif isinstance(item.get(keys.key), dict) and "S" in item[keys.key]:
                item[keys.key] = {"S": keys.layout.key_of(item[keys.key]["S"])}

    def _transact(self, params: Mapping[str, Any]) -> Flow[Response]:
        """Write in a transaction whose entries have the keys that callers see."""
        keys = yield from self._keys()
        entries = []
        for entry in params["TransactItems"]:
            made = {}
            for action, one in entry.items():
                is_own = same_table(one.get("TableName"), self._table.name)
                made[action] = (yield from self._stored_action(keys, one)) if is_own else one
            entries.append(made)
        call = partial(self._table._transact_write_items, **{**params, "TransactItems": entries})  # noqa: SLF001 - ours
        return (yield from self._send(keys, call))

    def _stored_action(self, keys: ShardKeys, action: Mapping[str, Any]) -> Flow[Mapping[str, Any]]:
        keys.refuse_comparison("ConditionExpression", action)
        if "Item" in action:
            stored = keys.stored_item(action["Item"], policy_of(self._table).uniform)
            keys.refuse_conditions(action["Item"].get(keys.key), action)
            yield from self._brought_home(keys, action["Item"].get(keys.key), action["Item"])
            return {**action, "Item": stored}
        keys.refuse_moving(action)
        place = keys.one_place(action["Key"])
        yield from self._brought_home(keys, action["Key"].get(keys.key), action["Key"])
        made = keys.beginning(action["Key"], action) if "UpdateExpression" in action else action
        return {**made, "Key": place}

    # What can't be.

    def _refuse_random(self, what: str) -> None:
        """Refuse what needs to know an item's shard.

        Raises:
            ValueError: suffixes are random.
        """
        if self._layout.by is RANDOM and self._layout.key is None:
            raise _unknown(what)

    def _check_batch_writer(self, overwrite_by_pkeys: Any) -> None:
        """Refuse a batch writer that can't do what it should.

        Raises:
            ValueError: items may have to be moved first, or two with one key may go to two shards.
        """
        if overwrite_by_pkeys:
            self._refuse_random("overwrite_by_pkeys")
        if self._layout.by is not RANDOM and self._layout.previous and self._layout.key is None:
            raise _unmoved()

    def _keys_of_batch(self, overwrite_by_pkeys: Any) -> Flow[ShardKeys]:
        keys = yield from self._keys()
        if overwrite_by_pkeys and keys.is_of_table and not keys.layout.by:  # `key` named the table's own
            raise _unknown("overwrite_by_pkeys")
        if keys.layout.by and keys.layout.previous and keys.is_of_table:
            raise _unmoved()
        return keys


def _unknown(what: str) -> ValueError:
    return ValueError(f"{what} needs to know an item's shard: have it calculated, with by=")


def _unmoved() -> ValueError:
    return ValueError(
        "batch_writer() can't move items that are still where `previous` has put them: have them moved first, with "
        "sharded.reshard(), or use put_item"
    )
