"""The items that there are of a few keys, in one answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from resilient_ddb.bulk.batch_get import BatchReads, Drawing
from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.unanswered import unanswered
from resilient_ddb.fallback import Response

from .fan_in import Item
from .fan_in_reading import joined_facts, summed

_RETURNED = "ReturnConsumedCapacity"
_MOST_AT_ONCE = 100
"""Items of a transaction."""
_OF_TRANSACTION = frozenset({"ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"})
"""Parameters that an item of a transaction takes; it is always read consistently."""


class ShardReads(BatchReads):
    """Reads one item from wherever it may be: `BatchGetItem` over all its keys."""

    def __init__(
        self,
        table: Any,
        keys: Sequence[Item],
        params: Mapping[str, Any],
        sleep: Callable[[float], Any],
        as_seen: Callable[[Item], None],
    ) -> None:
        """Ask for `keys`, with the parameters of `get_item`; errors tell them as `as_seen` makes them, in place."""
        asked = dict(params)
        returned = {_RETURNED: asked.pop(_RETURNED)} if _RETURNED in asked else {}
        super().__init__(table, Drawing(keys), asked, None)
        self._returned = returned
        self._places = keys
        self._sleep = sleep
        self._as_seen = as_seen
        self.responses: list[Response] = []

    def all(self) -> Flow[list[Item]]:
        """Return the items that there are, in the order of their keys.

        Raises:
            ClientError: a request failed, or left keys undone for too long.
        """
        items = []
        while not self._is_over:
            item = self._next()
            self._go_on()
            if item is not None:
                items.append(item)
            elif not self._is_over:
                yield from self._ask()
        return items

    def all_at_once(self) -> Flow[list[Item]]:
        """Return the items that there are at one moment, as far as a transaction takes so many keys, or the parameters.

        Raises as `all`.
        """
        if len(self._places) > _MOST_AT_ONCE or not self._params.keys() <= _OF_TRANSACTION:
            return (yield from self.all())
        asked = {name: value for name, value in self._params.items() if name != "ConsistentRead"}
        gets = [{"Get": {"TableName": self._table.name, "Key": place, **asked}} for place in self._places]
        transact = self._table.meta.client.transact_get_items
        response = yield unanswered(partial(transact, TransactItems=gets, **self._returned))
        self.responses.append(dict(response))
        # An item that has none of the attributes asked for is empty, and there all the same.
        return [found["Item"] for found in response.get("Responses") or () if "Item" in found]

    @property
    def unread(self) -> list[Item]:
        """The keys whose items are not read, as callers see them, each once."""
        found: list[Item] = []
        for key in map(dict, super().unread):
            self._as_seen(key)
            if key not in found:
                found.append(key)
        return found

    def _answered(self, wanted: Mapping[str, Item], response: Mapping[str, Any]) -> tuple[str, int]:
        self.responses.append(dict(response))
        return super()._answered(wanted, response)

    def facts(self) -> Response:
        """Return what `get_item` would have said beside the item."""
        facts = joined_facts(self.responses)
        if "ConsumedCapacity" in facts:
            facts["ConsumedCapacity"] = summed([one for many in self.responses for one in many["ConsumedCapacity"]])
        return facts
