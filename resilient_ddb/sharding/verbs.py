"""The verbs of a sharded table, as flows of decisions that the sync and the async table drive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from botocore.exceptions import ClientError

from resilient_ddb.calls.described import description
from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.telling import Doubts, in_shard
from resilient_ddb.dynamodb.operations import expects_version, same_table
from resilient_ddb.errors import DuplicateShardItemError, attach
from resilient_ddb.fallback import Response
from resilient_ddb.policy.checks import check_callable
from resilient_ddb.policy.policy import policy_of

from .fan_in import Item
from .fan_in_reading import OnShardError, Together, check_on_shard_error
from .keys import ShardKeys
from .layout import Layout
from .moving import Moved, move
from .one_place import (
    ROUNDS,
    Beginning,
    absences,
    attributes_written,
    cleared,
    has_failed,
    if_there,
    is_refused,
    reasons_of,
    refuse_old,
    rounds_flow,
    was_gone,
)
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
        homes = self._known_homes(keys, item)
        if len(homes) > 1:
            key = {name: item[name] for name in keys.described.key.names if name in item}
            return (yield from self._write_in_one_place(keys, "put_item", key, homes, {"Item": stored, **params}))
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
            items = yield from again.all_at_once()
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
        error = DuplicateShardItemError(operation_name=operation, table=self._table.name, items=items)
        found_again = "none of the items was chosen, and the same will be found again"
        attach(error, error.resilience, f"{operation} on {self._table.name}: {found_again}")
        return error

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
        if len(homes) > 1 and not keys.layout.knows(key):
            return (yield from self._change_where_it_is(keys, verb, table_key, homes, params))
        made = keys.beginning(key, params) if verb == "update_item" else params
        if len(homes) > 1:
            response = yield from self._write_in_one_place(keys, verb, table_key, homes, made)
        else:
            call = partial(call, Key={**table_key, keys.key: homes[0]}, **made)
            response = yield from self._send(keys, call, homes[0])
        return keys.unbegun(response, params)

    def _change_where_it_is(
        self, keys: ShardKeys, verb: str, key: Item, homes: Sequence[str], params: Mapping[str, Any]
    ) -> Flow[Response]:
        if self._on_unknown_shard == "raise":
            raise ValueError(
                "Key must have the attributes that the shard is calculated from "
                f"({', '.join(keys.layout.by) or 'none: the suffix is random'}); or say on_unknown_shard='find', "
                "to look for the item first"
            )
        refuse_old(params)
        call, there = getattr(self._table, verb), if_there(keys, params)

        def tried(doubts: Doubts) -> Flow[Response | ClientError]:
            found = yield from self._found(keys, key, homes)
            if len(found) > 1:
                raise self._duplicate(keys, found, "UpdateItem" if verb == "update_item" else "DeleteItem")
            if not found:
                return (yield from self._change_nothing(keys, verb, key, params, doubts))
            home = found[0][keys.key]
            write = doubts.over(partial(call, Key={**key, keys.key: home}, **there))
            return (yield from self._tried(keys, write, params, home))

        attempts = policy_of(self._table).retry.max_attempts
        return (yield from rounds_flow(tried, attempts, "the item was moved, or deleted and put anew,"))

    def _change_nothing(
        self, keys: ShardKeys, verb: str, key: Item, params: Mapping[str, Any], doubts: Doubts
    ) -> Flow[Response | ClientError]:
        """Update or delete an item that is in none of the shards; gives the error if it is in one by now."""
        if verb == "update_item" and keys.layout.by and not expects_version(params):  # that begins none
            raise ValueError(
                f"there is no such item to update, and a new one has no shard without {', '.join(keys.layout.by)}: "
                "give that in Key, or use put_item"
            )
        homes = keys.layout.homes_of_key(key[keys.key], key)  # two that begin the same item at once meet there
        beginning = Beginning(self._table, keys, verb, key, params)
        if len(homes) > 1 and verb == "update_item" and beginning.is_possible:
            outcome, _ = yield from self._begun(keys, beginning, homes, doubts)
            return outcome
        call = getattr(self._table, verb)
        return (yield from self._send(keys, partial(call, Key={**key, keys.key: homes[0]}, **params), homes[0]))

    # An item that is in one place, or in that of an earlier layout.

    def _known_homes(self, keys: ShardKeys, attributes: Mapping[str, Any]) -> list[str]:
        """Return where an item may be, the place where it belongs first; nothing if its shard can't be calculated."""
        value = attributes.get(keys.key)
        if not keys.layout.previous or not keys.is_of_table or not keys.layout.knows(attributes):
            return []
        return keys.layout.homes(value, attributes)

    def _write_in_one_place(
        self, keys: ShardKeys, verb: str, key: Item, homes: Sequence[str], params: Mapping[str, Any]
    ) -> Flow[Response]:
        """Write an item that may be elsewhere, and never beside another with its key. See `one_place`."""
        refuse_old(params)
        home = homes[0]
        beginning, there = Beginning(self._table, keys, verb, key, params), if_there(keys, params)
        place = {} if verb == "put_item" else {"Key": {**key, keys.key: home}}
        write = partial(getattr(self._table, verb), **place, **there)
        is_there: bool | None = None

        def tried(doubts: Doubts) -> Flow[Response | ClientError]:
            nonlocal is_there
            if is_there is None:
                is_there = yield from self._brought_home(keys, key, homes, params)
            if is_there or not beginning.is_possible:
                is_there = None
                return (yield from self._tried(keys, doubts.over(write), params, home))
            outcome, is_there = yield from self._begun(keys, beginning, homes, doubts)
            return outcome

        return (yield from rounds_flow(tried, ROUNDS, "the item was moved"))

    def _tried(
        self, keys: ShardKeys, write: Callable[[], Any], params: Mapping[str, Any], home: str
    ) -> Flow[Response | ClientError]:
        """Write an item where it was seen; gives the error if it is not there any more."""
        try:
            return (yield from self._send(keys, write, home))
        except ClientError as error:
            if not was_gone(error, params):
                raise
            return error

    def _begun(
        self, keys: ShardKeys, beginning: Beginning, homes: Sequence[str], doubts: Doubts
    ) -> Flow[tuple[Response | ClientError, bool | None]]:
        """Write an item of which there was none; gives the error if there is one by now.

        And whether that one is where it belongs: None if it has to be looked for.
        """
        home, *others = homes
        checks = absences(self._table, keys, beginning.key, others)
        entry = yield from beginning.entry(home)
        transact = self._table._transact_write_items  # noqa: SLF001 - ours
        call = doubts.over(partial(transact, TransactItems=[entry, *checks], **beginning.settings()))
        try:
            response = yield from self._send(keys, call, home)
        except ClientError as error:
            own, *reasons = reasons_of(error) or [{}]
            if (yield from cleared(self._table, checks, reasons)):
                return error, None
            if has_failed(own) and "Item" in own:
                return error, True
            failed = beginning.failed(error, next(filter(is_refused, (own, *reasons)), own))
            try:
                raise failed from (None if failed is error else error)
            finally:
                del failed  # it knows this frame: they would keep each other
        answer = yield from beginning.answer(response, home)
        self._as_seen(keys, answer)
        return answer, None

    def _found(self, keys: ShardKeys, key: Item, homes: Sequence[str]) -> Flow[list[Item]]:
        """Return the items with a key, as they are stored."""
        return (yield from self._reads(keys, key, homes).all())

    def _reads(
        self, keys: ShardKeys, key: Item, homes: Iterable[str], params: Mapping[str, Any] = _CONSISTENT
    ) -> ShardReads:
        places = [{**key, keys.key: home} for home in homes]
        return ShardReads(self._table, places, params, self._sleep, keys.as_seen)

    def _brought_home(self, keys: ShardKeys, key: Item, homes: Sequence[str], write: Mapping[str, Any]) -> Flow[bool]:
        """Move an item that is about to be written, if it is where an earlier layout has put it.

        Gives whether there is one.
        """
        written = attributes_written(write)
        while True:
            found = yield from self._found(keys, key, homes)
            outcomes = []
            for item in found:
                if item[keys.key] != homes[0]:
                    outcome, _ = yield from move(self._table, keys, item, homes[0], written)
                    outcomes.append(outcome)
            if Moved.OCCUPIED in outcomes:  # both were there at one moment
                found = yield from self._found(keys, key, homes)
                if len(found) > 1:
                    raise self._duplicate(keys, found, "TransactWriteItems")
            elif Moved.OVERTAKEN not in outcomes:
                return bool(found)

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
        self._as_seen(keys, response)
        return response

    @staticmethod
    def _as_seen(keys: ShardKeys, response: Response) -> None:
        metrics = response.get("ItemCollectionMetrics") or {}
        for found in (response.get("Item"), response.get("Attributes"), metrics.get("ItemCollectionKey")):
            if found:
                keys.as_seen(found)

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
        # One token for all rounds: a request of an earlier one, whose reply was lost, may still be on its way.
        params = {"ClientRequestToken": str(uuid4()), **params}

        def tried(doubts: Doubts) -> Flow[Response | ClientError]:
            entries, checks = [], []
            for entry in params["TransactItems"]:
                made = {}
                for action, one in entry.items():
                    made[action] = one
                    if same_table(one.get("TableName"), self._table.name):
                        made[action], others = yield from self._stored_action(keys, one)
                        checks += others
                entries.append(made)
            transact = self._table._transact_write_items  # noqa: SLF001 - ours
            call = doubts.over(partial(transact, **{**params, "TransactItems": entries + checks}))
            try:
                return (yield from self._send(keys, call))
            except ClientError as error:
                reasons = reasons_of(error)
                own, of_checks = reasons[: len(entries)], reasons[len(entries) :]
                if not (yield from cleared(self._table, checks, of_checks)):
                    if of_checks:
                        error.response["CancellationReasons"] = own
                    raise
                return error

        return (yield from rounds_flow(tried, ROUNDS, "an item was moved"))

    def _stored_action(self, keys: ShardKeys, action: Mapping[str, Any]) -> Flow[tuple[Mapping[str, Any], list[Item]]]:
        """Return an action with stored keys, and the entries that keep its item from being elsewhere."""
        keys.refuse_comparison("ConditionExpression", action)
        given = action["Item"] if "Item" in action else action["Key"]
        if "Item" in action:
            made = {**action, "Item": keys.stored_item(given, policy_of(self._table).uniform)}
            keys.refuse_conditions(given.get(keys.key), action)
        else:
            keys.refuse_moving(action)
            begun = keys.beginning(given, action) if "UpdateExpression" in action else action
            made = {**begun, "Key": keys.one_place(given)}
        homes = self._known_homes(keys, given)
        if len(homes) < 2:  # noqa: PLR2004 - one place, and it is that one
            return made, []
        key = {name: given[name] for name in keys.described.key.names if name in given}
        yield from self._brought_home(keys, key, homes, made)
        return made, absences(self._table, keys, key, homes[1:])

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
