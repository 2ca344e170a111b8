"""The calls of a Table with a TTL: what is sent for them, and what is left of their answers.

A `TableTtl` belongs to a Table's view of its client, and never changes; what it learns of the table is kept by the
core, for all its views. A `TtlCall` belongs to one call of a read. Items are dropped as early as can be: from the
text of an answer by the codec, from botocore's typed values where others are to see those, and else at the call's end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from . import ttl_requests, ttl_writes
from .ending import unanswered
from .operations import same_table
from .ttl import AUTO, Expired, IsExpired, TimeToLive, is_expired, native_rule, typed_rule
from .ttl_requests import Index, TableFacts, Want, check_key, check_keys, facts_of
from .ttl_writes import ARGUMENT, Puts

if TYPE_CHECKING:
    from .core import Core
    from .execution import Execution

Response = dict[str, Any]
Ask = Callable[[str, dict[str, Any]], Any]
"""Makes a call of the client's, and gives its answer; awaitable on the async client."""
Steps = Generator[Callable[[], Any], Any, Any]

_RECHECK_SECONDS = 300.0
"""So long is believed what may change: that a table has no TTL, or no such index, or may not be described."""
_ON = ("ENABLED", "ENABLING")
_log = logging.getLogger("resilient_ddb")


class TableTtl:
    """A Table's TTL, as the calls of its client's view need it."""

    def __init__(self, table: str, settings: TimeToLive) -> None:
        """Leave expired items of `table` out, as `settings` say."""
        self.table = table
        self.settings = settings

    def prepare(self, execution: Execution, ask: Ask) -> Steps:
        """Give the parameters to send for a call, and have its answer looked through.

        Raises:
            ClientError: the table's TTL is to be looked up, and can't be.
            TypeError, ValueError: expired items can't be left out of the answer, or a value to put can't be meant.
        """
        operation, params = execution.operation, execution.params
        if operation in ttl_writes.BY_KEY and self.settings.ttl != AUTO:  # they need no more than this
            self._check_written(execution, self.settings.ttl)
        is_read = operation in ttl_requests.OPERATIONS
        if not is_read and operation not in ttl_writes.OPERATIONS:
            return params
        if not ttl_requests.concerns(operation, params, self.table):
            return params
        attribute = yield from self._attribute(execution, ask)
        if attribute is None and ARGUMENT in params and operation == "PutItem":
            raise ValueError(f"{ARGUMENT} needs a TTL attribute, and table {self.table!r} has none that is enabled")
        if attribute is None:
            return params
        if is_read:
            return (yield from self._prepare_read(execution, ask, attribute))
        return (yield from self._prepare_write(execution, ask, attribute))

    def _prepare_read(self, execution: Execution, ask: Ask, attribute: str) -> Steps:
        index: Index | None = None
        name = execution.params.get("IndexName")
        if name is not None:
            facts = yield from self._facts(execution, ask, index=name)
            index = None if facts is None else facts.indexes.get(name)
            check_keys(facts, self.table, attribute)
        want = Want(
            table=self.table,
            attribute=attribute,
            now=self.settings.now(execution.core.clock),
            on_server=self.settings.ttl_filter == "server",
            index=index,
        )
        request = ttl_requests.rewrite(execution.operation, execution.params, want)
        execution.ttl = TtlCall(self, execution, attribute, request)
        execution.request = request.params
        return request.params

    def _prepare_write(self, execution: Execution, ask: Ask, attribute: str) -> Steps:
        puts = Puts(self.table, attribute, execution.core.clock.time())
        params = puts.rewrite(execution.operation, execution.params)
        self._check_written(execution, attribute)
        if puts.has_attribute:
            check_keys((yield from self._facts(execution, ask)), self.table, attribute)
        if puts.converted is not None:
            text = "table %s: %r was put as a %s, and is written as whole seconds since the epoch"
            self.warn_once(execution, text, self.table, attribute, puts.converted)
        return params

    def _check_written(self, execution: Execution, attribute: str) -> None:
        for key in ttl_writes.keys_of(execution.operation, execution.params, self.table):
            check_key("Key", key, self.table, attribute)

    # What is known of the table.

    def _attribute(self, execution: Execution, ask: Ask) -> Steps:
        """Give the TTL attribute's name; None where the table has none that is enabled."""
        if self.settings.ttl != AUTO:
            return self.settings.ttl
        known, key = execution.core.known, ("TTL", self.table)
        name, until = known.get(key, (None, None))
        if name is not None or (until is not None and execution.core.clock.monotonic() < until):
            return name
        try:
            answer = yield from self._asked(ask, "DescribeTimeToLive")
        except ClientError as error:
            error.add_note(
                f"ttl='auto' of table {self.table!r} asks for its TTL before the first read: allow "
                "dynamodb:DescribeTimeToLive, or name the attribute, as in ttl='expires_at'"
            )
            raise
        described = answer.get("TimeToLiveDescription") or {}
        name = described.get("AttributeName") if described.get("TimeToLiveStatus") in _ON else None
        known[key] = (name, execution.core.clock.monotonic() + _RECHECK_SECONDS)
        if name is None:
            self.warn_once(execution, "table %s has no TTL: ttl='auto' drops nothing", self.table)
        return name

    def _facts(self, execution: Execution, ask: Ask, index: str | None = None) -> Steps:
        """Give what DescribeTable says; None where that can't be had: then DynamoDB has the last word."""
        known, key = execution.core.known, ("Table", self.table)
        facts: TableFacts | None
        facts, until = known.get(key, (None, None))
        is_enough = facts is not None and (index is None or index in facts.indexes)
        if is_enough or (until is not None and execution.core.clock.monotonic() < until):
            return facts
        try:
            answer = yield from self._asked(ask, "DescribeTable")
        except (ClientError, BotoCoreError) as error:
            if _code(error) == "ResourceNotFoundException":  # the call itself is going to say so
                return None
            text = "table %s can't be described (%s): its keys and indexes are not checked for ttl"
            self.warn_once(execution, text, self.table, _code(error))
        else:
            facts = facts_of(answer.get("Table") or {})
        known[key] = (facts, execution.core.clock.monotonic() + _RECHECK_SECONDS)
        return facts

    def _asked(self, ask: Ask, operation: str) -> Steps:
        """Describe the table. A fallback knows nothing of that."""
        return (yield unanswered(partial(ask, operation, {"TableName": self.table})))

    def expired(self, item: Mapping[str, Any] | None, core: Core) -> Expired | None:
        """Give an item with native values as one that has expired; None where there is none, or it has not."""
        attribute = self.settings.ttl
        if attribute == AUTO:  # looked up by the call that met the item
            attribute, _ = core.known.get(("TTL", self.table), (None, None))
        if item is None or attribute is None:
            return None
        has_expired = is_expired(item, ttl=attribute, clock=core.clock, skew=self.settings.ttl_skew)
        return Expired(item=item, attribute=attribute) if has_expired else None

    def warn_once(self, execution: Execution, text: str, *args: object) -> None:
        """Write a warning into the log, once for each client and table."""
        known = execution.core.known
        if known.setdefault((text, args), execution) is execution:
            known[(text, args)] = None
            _log.warning(text, *args)


def _code(error: Exception) -> str:
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


class TtlCall:
    """What is left of the answer to one read."""

    __slots__ = ("_attribute", "_execution", "_is_sifted", "_request", "_ttl")

    def __init__(self, ttl: TableTtl, execution: Execution, attribute: str, request: ttl_requests.Request) -> None:
        """Look through the answers to `request`."""
        self._ttl = ttl
        self._execution = execution
        self._attribute = attribute
        self._request = request
        self._is_sifted = False

    def begin(self) -> None:
        """Take note that an answer has come in."""
        self._is_sifted = False

    # Of values as they come over the wire.

    def sift(self, answer: Response) -> None:
        """Leave expired items out of an answer with typed values, in place."""
        self._sift(answer, self._typed_rule())

    def keeper(self, name: str | None) -> Callable[[int, Any], bool] | None:
        """Give what tells whether a row of the answer is kept, given its position; None where all are.

        Args:
            name: the table's, where rows come by table.
        """
        if name is not None and not same_table(name, self._ttl.table):
            return None
        has_expired = self._typed_rule()
        if self._execution.operation != "TransactGetItems":
            return lambda _, row: not has_expired(row)
        positions = self._request.positions

        def keep(position: int, row: Any) -> bool:
            if position in positions and row and has_expired(row.get("Item")):
                del row["Item"]  # the others keep their places
            return True

        return keep

    def was_read(self, answer: Response) -> None:
        """Take note of an answer of which the codec has left out expired items."""
        recount(answer)
        self._is_sifted = True

    def parsed(self, answer: Response) -> None:
        """Leave expired items out of an answer that botocore has parsed, in place, where that has not been done."""
        if not self._is_sifted:
            self.sift(answer)
            self._is_sifted = True

    def _typed_rule(self) -> IsExpired:
        execution = self._execution
        return typed_rule(self._attribute, self._ttl.settings.now(execution.core.clock), self._on_milliseconds)

    # Of native values.

    def finish(self, response: Any) -> None:
        """Leave expired items out of an answer with native values, in place, where that has not been done."""
        if not self._is_sifted and isinstance(response, dict):
            self._sift(response, self._native_rule())
            self._is_sifted = True

    def of_fallback(self, answer: Mapping[str, Any]) -> Response:
        """Give a fallback's answer as DynamoDB would have given it. It may be somebody's: nothing of it is changed."""
        made = _shallow(answer)
        self._sift(made, self._native_rule())
        self.hide(made)
        return made

    def _native_rule(self) -> IsExpired:
        execution = self._execution
        return native_rule(self._attribute, self._ttl.settings.now(execution.core.clock), self._on_milliseconds)

    def hide(self, response: Any) -> None:
        """Take the TTL attribute away again where the caller did not ask for it, in place."""
        request = self._request
        if not isinstance(response, dict):
            return
        if request.is_hidden:
            for item in self._items(response):
                item.pop(self._attribute, None)
        for position, is_hidden in request.positions.items():
            if is_hidden:
                entries = response.get("Responses") or ()
                for entry in entries[position : position + 1]:
                    if entry and entry.get("Item"):
                        entry["Item"].pop(self._attribute, None)
        for name, entry in (response.get("UnprocessedKeys") or {}).items() if request.originals else ():
            _restore(entry, request.originals.get(name))

    def _items(self, response: Response) -> list[dict[str, Any]]:
        """Give the items of an answer that are of the table, apart from a transaction's."""
        items = [*(response.get("Items") or ()), response.get("Item")]
        responses = response.get("Responses")
        for name, rows in responses.items() if isinstance(responses, dict) else ():
            if same_table(name, self._ttl.table):
                items += rows
        return [item for item in items if item]

    # Of either.

    def _sift(self, answer: Response, has_expired: IsExpired) -> None:
        if has_expired(answer.get("Item")):
            del answer["Item"]
        if answer.get("Items"):
            answer["Items"] = [item for item in answer["Items"] if not has_expired(item)]
            recount(answer)
        responses = answer.get("Responses")
        if isinstance(responses, dict):
            for name, items in responses.items():
                if same_table(name, self._ttl.table):
                    responses[name] = [item for item in items if not has_expired(item)]
        elif responses:
            for position in self._request.positions:
                for entry in responses[position : position + 1]:
                    if entry and has_expired(entry.get("Item")):
                        del entry["Item"]

    def _on_milliseconds(self) -> None:
        text = "table %s: %r looks like milliseconds in some items: it is in seconds, and they never expire"
        self._ttl.warn_once(self._execution, text, self._ttl.table, self._attribute)


def recount(answer: Response) -> None:
    """Have `Count` say how many items are in an answer, where it has any."""
    if "Count" in answer and "Items" in answer:
        answer["Count"] = len(answer["Items"])


def _restore(entry: dict[str, Any], original: Mapping[str, Any] | None) -> None:
    """Have keys that are to be asked for again go with what the caller asked of them."""
    if original is None:
        return
    for name in ("ProjectionExpression", "AttributesToGet", "ExpressionAttributeNames"):
        entry.pop(name, None)
        if name in original:
            entry[name] = original[name]


def _shallow(answer: Mapping[str, Any]) -> Response:
    """Copy an answer down to its items, and those."""
    made = dict(answer)
    if isinstance(made.get("Item"), Mapping):
        made["Item"] = dict(made["Item"])
    if made.get("Items"):
        made["Items"] = [dict(item) for item in made["Items"]]
    responses = made.get("Responses")
    if isinstance(responses, Mapping):
        made["Responses"] = {name: [dict(item) for item in items] for name, items in responses.items()}
    elif responses:
        made["Responses"] = [
            {**entry, "Item": dict(entry["Item"])} if entry and entry.get("Item") else entry and dict(entry)
            for entry in responses
        ]
    if isinstance(made.get("UnprocessedKeys"), Mapping):
        made["UnprocessedKeys"] = {name: dict(entry) for name, entry in made["UnprocessedKeys"].items()}
    return made
