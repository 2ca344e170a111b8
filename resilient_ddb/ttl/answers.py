"""The answers to a Table with a TTL: what is left of them.

A `TtlCall` belongs to one call of a read. Items are dropped as early as can be. The codec drops them from the text of
an answer. If others must see botocore's typed values, they are dropped from those, and else at the call's end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from resilient_ddb.dynamodb.operations import same_table
from resilient_ddb.fallback import Response

from . import requests as ttl_requests
from .rule import IsExpired, native_rule, typed_rule

if TYPE_CHECKING:
    from resilient_ddb.calls.execution import Execution

    from .rule import TimeToLive

Warn = Callable[..., None]
"""Writes a warning of an execution's into the log, once: `(execution, text, *args)`."""


class TtlCall:
    """What is left of the answer to one read."""

    __slots__ = ("_attribute", "_execution", "_is_sifted", "_request", "_settings", "_table", "_warn_once")

    def __init__(
        self,
        execution: Execution,
        request: ttl_requests.Request,
        table: str,
        attribute: str,
        settings: TimeToLive,
        warn_once: Warn,
    ) -> None:
        self._execution = execution
        self._request = request
        self._table = table
        self._attribute = attribute
        self._settings = settings
        self._warn_once = warn_once
        self._is_sifted = False

    def begin(self) -> None:
        """Record that an answer has come in."""
        self._is_sifted = False

    # Of values as they come over the wire.

    def sift(self, answer: Response) -> None:
        """Leave expired items out of an answer with typed values, in place."""
        self._sift(answer, self._typed_rule())

    def keeper(self, name: str | None) -> Callable[[int, Any], bool] | None:
        """Return what decides whether a row of the answer is kept, given its position; None if all are.

        Args:
            name: the table's, where rows come by table.
        """
        if name is not None and not same_table(name, self._table):
            return None
        has_expired = self._typed_rule()
        if self._execution.operation != "TransactGetItems":
            return lambda _, row: not has_expired(row)
        positions = self._request.positions or {}

        def keep(position: int, row: Any) -> bool:
            if position in positions and row and has_expired(row.get("Item")):
                del row["Item"]  # the others keep their places
            return True

        return keep

    def was_read(self, answer: Response) -> None:
        """Record an answer of which the codec has left out expired items."""
        recount(answer)
        self._is_sifted = True

    def parsed(self, answer: Response) -> None:
        """Leave expired items out of an answer that botocore has parsed, in place, if that has not been done."""
        if not self._is_sifted:
            self.sift(answer)
            self._is_sifted = True

    def _typed_rule(self) -> IsExpired:
        execution = self._execution
        return typed_rule(self._attribute, self._settings.now(execution.core.clock), self._on_milliseconds)

    # Of values as the client gives them.

    def finish(self, response: Any) -> None:
        """Leave expired items out of a response, in place, if that has not been done."""
        if not self._is_sifted and isinstance(response, dict):
            self._sift(response, self._clients_rule())
            self._is_sifted = True

    def of_fallback(self, answer: Mapping[str, Any]) -> Response:
        """Return a fallback's answer as DynamoDB would have given it. It may be somebody's: it is not changed."""
        made = _shallow(answer)
        self._sift(made, self._clients_rule())
        self.hide(made)
        return made

    def _clients_rule(self) -> IsExpired:
        execution = self._execution
        if not execution.core.host.native:
            return self._typed_rule()
        return native_rule(self._attribute, self._settings.now(execution.core.clock), self._on_milliseconds)

    def hide(self, response: Any) -> None:
        """Remove the TTL attribute again, in place, if the caller did not ask for it."""
        request = self._request
        if not isinstance(response, dict) or request.is_as_given:
            return
        if request.is_hidden:
            for item in self._items(response):
                item.pop(self._attribute, None)
        for position, is_hidden in (request.positions or {}).items():
            if is_hidden:
                entries = response.get("Responses") or ()
                for entry in entries[position : position + 1]:
                    if entry and entry.get("Item"):
                        entry["Item"].pop(self._attribute, None)
        originals = request.originals or {}
        for name, entry in (response.get("UnprocessedKeys") or {}).items() if originals else ():
            _restore(entry, originals.get(name))

    def _items(self, response: Response) -> list[dict[str, Any]]:
        """Return the items of an answer that are of the table, apart from a transaction's."""
        items = [*(response.get("Items") or ()), response.get("Item")]
        responses = response.get("Responses")
        for name, rows in responses.items() if isinstance(responses, dict) else ():
            if same_table(name, self._table):
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
                if same_table(name, self._table):
                    responses[name] = [item for item in items if not has_expired(item)]
        elif responses:
            for position in self._request.positions or ():
                for entry in responses[position : position + 1]:
                    if entry and has_expired(entry.get("Item")):
                        del entry["Item"]

    def _on_milliseconds(self) -> None:
        text = "table %s: %r looks like milliseconds in some items: it is in seconds, and they never expire"
        self._warn_once(self._execution, text, self._table, self._attribute)


def recount(answer: Response) -> None:
    """Set `Count` to the number of items in an answer, if it has any."""
    if "Count" in answer and "Items" in answer:
        answer["Count"] = len(answer["Items"])


def _restore(entry: dict[str, Any], original: Mapping[str, Any] | None) -> None:
    """Put what the caller asked of unprocessed keys back beside them."""
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
