"""The verbs of a versioned table, as flows of decisions that the sync and the async table drive.

Whatever table is behind them, they only use its verbs; `modify` also its transactions, if it offers them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.exceptions import ClientError

from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.telling import Doubts
from resilient_ddb.calls.unanswered import unanswered
from resilient_ddb.codec.values import copied, from_native, item_as_native
from resilient_ddb.errors import DeadlineExceededError, VersionConflictError, attach_facts_of, call_facts
from resilient_ddb.errors.words import counted
from resilient_ddb.events import StopReason
from resilient_ddb.fallback import Response
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.checks import check_callable, check_whole
from resilient_ddb.policy.deadlines import is_beyond_deadline
from resilient_ddb.policy.policy import Policy
from resilient_ddb.policy.retry import Backoff
from resilient_ddb.ttl.rule import AUTO
from resilient_ddb.ttl.writes import whole_seconds

from .idempotent import by_itself, reason_of
from .writes import DELETE, FROM_ITEM, Versioning, Write, comparable

if TYPE_CHECKING:
    from resilient_ddb.calls.core import Core
    from resilient_ddb.ttl.rule import TimeToLive

Change = Callable[[dict[str, Any] | None], Any]
Item = dict[str, Any]
Over = Callable[[Callable[[], Any]], Callable[[], Any]]


def _as_it_is(call: Callable[[], Any]) -> Callable[[], Any]:
    return call


class VersionedVerbs:
    """What the sync and the async versioned table share: the table behind them, and every decision."""

    _sleep: Callable[[float], Any]

    def __init__(self, table: Any, attribute: str = "version", write_token: str | None = None) -> None:
        """Go by versions on `table`: any object with a Table's verbs, `name` and `meta`. See `Table.versioned`."""
        self._table = table
        self._versioning = Versioning(attribute=attribute, write_token=write_token)
        ttl = self._time_to_live()
        for name, value in (("attribute", attribute), ("write_token", write_token)):
            if ttl is not None and value == ttl.attribute != AUTO:
                raise ValueError(f"{name} must be another attribute than the table's TTL; got {value!r} for both")

    @property
    def table(self) -> Any:
        """The table behind this one: what it writes goes by no version."""
        return self._table

    def __repr__(self) -> str:
        return f"{self._table!r}.versioned(attribute={self._versioning.attribute!r})"

    def batch_writer(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: a batch takes no conditions.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "a versioned table has no batch_writer: BatchWriteItem takes no conditions, so it would write over other "
            "versions unseen; use put_item, put_action and the like, or the batch_writer of the table itself"
        )

    def sharded(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: what it gave would go by no version.

        Raises:
            TypeError: always.
        """
        raise TypeError("a versioned table can't be sharded: take table.sharded(...).versioned(...)")

    def idempotent_update(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the version would stay behind.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "a versioned table has no idempotent_update: the version would stay behind; use update_item or modify"
        )

    @names_checked
    def put_action(
        self, Item: Mapping[str, Any], *, expected_version: Any = FROM_ITEM, **params: Any
    ) -> dict[str, Any]:
        """Return the entry of a put for `transact_write_items`, with native values: for a resource's `meta.client`.

        Args:
            Item: the item, with the version that it was read with, or without one to create it. See `put_item`.
            expected_version: see `put_item`.
            params: `ConditionExpression`, `ExpressionAttributeNames`, `ExpressionAttributeValues`.

        Raises:
            TypeError, ValueError: as `put_item`.
        """
        return self._given_entry("Put", self._versioning.put(Item, params, expected_version))

    @names_checked
    def update_action(self, Key: Mapping[str, Any], *, expected_version: int | None, **params: Any) -> dict[str, Any]:
        """Return the entry of an update for `transact_write_items`. See `update_item` and `put_action`."""
        return self._given_entry("Update", self._versioning.update(Key, params, expected_version))

    @names_checked
    def delete_action(self, Key: Mapping[str, Any], *, expected_version: int | None, **params: Any) -> dict[str, Any]:
        """Return the entry of a delete for `transact_write_items`. See `delete_item` and `put_action`."""
        return self._given_entry("Delete", self._versioning.delete(Key, params, expected_version))

    @names_checked
    def check_action(self, Key: Mapping[str, Any], *, expected_version: int | None, **params: Any) -> dict[str, Any]:
        """Return the entry for `transact_write_items` that checks an item's version, and writes nothing.

        The transaction is made only if the item is still as it was read. See `delete_item` and `put_action`.
        """
        return self._given_entry("ConditionCheck", self._versioning.delete(Key, params, expected_version))

    def _given_entry(self, action: str, write: Write) -> dict[str, Any]:
        """Return an entry for the Table's client, which knows of no suffixes."""
        if getattr(self._table, "_stores_other_keys", False):
            raise TypeError(
                "a sharded table has no entries for transactions: its keys are stored with suffixes, which the client "
                "that takes them would not add"
            )
        return self._entry(action, write)

    def _entry(self, action: str, write: Write) -> dict[str, Any]:
        return {action: {**write.params, "TableName": self._table.name}}

    def _put(self, item: Any, params: Mapping[str, Any], expected: Any) -> Flow[Response]:
        with Doubts() as doubts:
            send = partial(self._send, "put_item", over=doubts.over)
            _, response = yield from self._past_expired(send, self._versioning.put(item, params, expected), doubts)
        return response

    def _update(self, key: Any, params: Mapping[str, Any], expected: Any) -> Flow[Response]:
        return (yield from self._send("update_item", self._versioning.update(key, params, expected)))

    def _delete(self, key: Any, params: Mapping[str, Any], expected: Any) -> Flow[Response]:
        return (yield from self._send("delete_item", self._versioning.delete(key, params, expected)))

    def _send(self, verb: str, write: Write, over: Over = _as_it_is) -> Flow[Response]:
        return (yield from self._judged(write, _asked(over(partial(getattr(self._table, verb), **write.params)))))

    def _judged(self, write: Write, sent: Flow[Response]) -> Flow[Response]:
        try:
            response = yield from sent
        except ClientError as error:
            conflict = self._versioning.conflict(write, error, self._table.name)
            if conflict is None:
                raise
            try:
                raise conflict from None
            finally:
                del conflict  # it knows this frame: they would keep each other
        return self._versioning.with_version(write, response)

    def _past_expired(
        self, send: Callable[[Write], Flow[Response]], write: Write, doubts: Doubts
    ) -> Flow[tuple[Write, Response]]:
        """Send a write, and the one that it is where only an expired item stands in the way of a new one."""
        while True:
            try:
                return write, (yield from send(write))
            except VersionConflictError as conflict:
                again = self._anew(write, conflict)
                if again is None:
                    raise
                doubts.settle(conflict)
                write = again

    def _anew(self, write: Write, conflict: VersionConflictError) -> Write | None:
        """Return the write that takes the place of the expired item that was met; None if it was not one."""
        if write.remade is None or not _is_lost_race(conflict):
            return None
        if conflict.current is None:  # what had expired has been deleted meanwhile
            return write.remade()
        if write.over is not None:  # another was quicker
            return None
        core = self._core()
        ttl = None if core is None or core.ttl is None else core.ttl.of(self._table.name)
        met = None if ttl is None else ttl.expired(conflict.current, core)
        try:
            return None if met is None else write.remade(over=met)
        except (TypeError, ValueError):  # its version is none: let it be seen
            return None

    # Read, change, write.

    def _modify(self, key: Any, change: Change, max_attempts: int) -> Flow[Item | None]:
        check_callable("change", change, takes="the item, or None if there is none")
        check_whole("max_attempts", max_attempts, least=1)
        self._versioning.check_key(key)
        key = copied(dict(key))
        backoff: Backoff | None = None
        attempt = 0
        while True:
            attempt += 1
            response = yield unanswered(partial(self._table.get_item, Key=key, ConsistentRead=True))
            found: Item | None = response.get("Item")
            expected = self._version_of(found)
            wanted = yield partial(change, copied(found))
            write = self._write_of(key, found, expected, wanted)
            if write is None:
                return found
            with Doubts() as doubts:
                try:
                    write, _ = yield from self._past_expired(partial(self._send_once, doubts), write, doubts)
                except ClientError as error:
                    if not _is_lost_race(error):
                        raise
                    failure = error
                else:
                    return self._as_stored(write.params.get("Item"))
                policy = self._policy
                now = policy.clock.monotonic()
                if backoff is None:
                    backoff = Backoff(replace(policy.retry, max_attempts=max_attempts, stop=None), policy.uniform, now)
                delay = backoff.delay(attempt, failure, now)
                if delay is None:
                    failure.add_note(f"modify: {counted(attempt, 'attempt')}, each overtaken by another write")
                    try:
                        raise failure
                    finally:
                        del failure  # it knows this frame: they would keep each other
                if is_beyond_deadline(delay):
                    raise _too_late(failure, attempt) from failure
                doubts.settle(failure)
            yield partial(self._sleep, policy.clock.wait(delay))

    def _as_stored(self, item: Item | None) -> Item | None:
        """Return an item that was written as a read gives it: its numbers are Decimals."""
        if item is None:
            return None
        has_ttl = self._time_to_live() is not None
        return {name: _read_again(whole_seconds(value) if has_ttl else value) for name, value in item.items()}

    def _version_of(self, found: Item | None) -> int | None:
        return None if found is None else self._versioning.version_in(found, f"the item in table {self._table.name!r}")

    def _write_of(self, key: Item, found: Item | None, expected: int | None, wanted: Any) -> Write | None:
        """Return the write that makes of `found` what is wanted; None if there is nothing to write.

        Raises:
            TypeError, ValueError: what is wanted can't be written.
        """
        versioning = self._versioning
        if wanted is DELETE:
            return None if found is None else versioning.delete(key, {}, expected)
        if wanted is None:
            raise TypeError(
                "change returned None: was its 'return' forgotten? It must return the item to write, or rddb.DELETE"
            )
        if not isinstance(wanted, Mapping):
            raise TypeError(f"change must return the item to write, or rddb.DELETE; got {type(wanted).__name__}")
        for name, value in key.items():
            if name in wanted and comparable(wanted[name]) != comparable(value):
                raise ValueError(f"change must leave the key as it is; it returned another {name!r}")
        item = {**key, **wanted}
        if found is None:
            item.pop(versioning.attribute, None)
            return versioning.put(item, {}, key=key)
        if versioning.content(item) == versioning.content(found):
            return None
        for name in (versioning.attribute, versioning.write_token or versioning.attribute):
            item.pop(name, None)
            if name in found:
                item[name] = found[name]
        return versioning.put(item, {}, expected, key=key, is_there=True)

    def _send_once(self, doubts: Doubts, write: Write) -> Flow[Response]:
        """Send a write so that it is applied once, whatever becomes of its reply.

        Without a write token, an item that another has made equal could not be told from this one's. There it goes as
        a transaction, which DynamoDB recognises when it is sent again.
        """
        verb = "put_item" if "Item" in write.params else "delete_item"
        transact = getattr(self._table, "_transact_write_items", None)
        if self._versioning.write_token is not None or transact is None:
            sent = _asked(doubts.over(unanswered(partial(getattr(self._table, verb), **write.params))))
        else:
            entry = self._entry("Put" if "Item" in write.params else "Delete", write)
            sent = by_itself(self._table, doubts.over(unanswered(partial(transact, TransactItems=[entry]))))
        return (yield from self._judged(write, sent))

    # What the table's client knows: asked for when it is needed, as a module-level async table opens it with the first
    # request.

    def _core(self) -> Core | None:
        return getattr(self._table.meta.client, "_resilience", None)

    @property
    def _policy(self) -> Policy:
        core = self._core()
        return core.policy if core is not None else Policy()

    def _time_to_live(self) -> TimeToLive | None:
        core = self._core()
        if core is None:  # a client that is not open yet knows this, or it is a plain one
            return getattr(self._table.meta.client, "time_to_live", None)
        ttl = None if core.ttl is None else core.ttl.of(self._table.name)
        return None if ttl is None else ttl.settings


def _asked(call: Callable[[], Any]) -> Flow[Response]:
    response: Response = yield call
    return response


def _read_again(value: Any) -> Any:
    try:
        return item_as_native({"": from_native(value)})[""]
    except (TypeError, ArithmeticError):  # a handler of the program's own has typed it
        return value


def _is_lost_race(error: ClientError) -> bool:
    """Return whether a write was surely not made, because of another one, and won't be made beside the next one."""
    facts = call_facts(error)
    if facts is not None and facts.ambiguous:
        # An attempt to begin an item that still arrives meets the item that is there.
        return isinstance(error, VersionConflictError) and error.expected is None and error.current is not None
    return isinstance(error, VersionConflictError) or reason_of(error).get("Code") == "TransactionConflict"


def _too_late(failure: ClientError, attempts: int) -> DeadlineExceededError:
    error = DeadlineExceededError(
        operation_name=failure.operation_name,
        attempts=attempts,
        response=failure.response,
        before="the next attempt",
    )
    attach_facts_of(failure, error, stopped_by=StopReason.DEADLINE)
    return error
