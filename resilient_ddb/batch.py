"""The batch writer: boto3's, but nothing is lost when a request fails, and a table under load is given time.

boto3's own takes a batch out of its buffer before it sends it, and resends what DynamoDB did not take at once,
without end. Here a batch stays in the buffer until it is answered; passes that make no progress are spaced by the
policy's back-off, and after `max_attempts` of them the items are handed back in an `UnprocessedItemsError`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

from boto3.dynamodb.table import BatchWriter as _BotoBatchWriter

from .classification import Kind, classify
from .deadlines import current_deadline
from .drive import run
from .errors import UnprocessedItemsError
from .policy import Policy
from .retry import Backoff

_OPERATION = "BatchWriteItem"
Request = dict[str, Any]


class BatchBuffer(_BotoBatchWriter):  # type: ignore[misc]  # boto3 has no types of its own
    """What both batch writers share: boto3's buffer, and every decision."""

    _items_buffer: list[Request]
    _flush_amount: int
    _backoff: Backoff

    def __init__(
        self,
        table_name: str,
        client: Any,
        flush_amount: int = 25,
        overwrite_by_pkeys: Sequence[str] | None = None,
    ) -> None:
        """Take boto3's parameters."""
        super().__init__(table_name, client, flush_amount=flush_amount, overwrite_by_pkeys=overwrite_by_pkeys)
        self._fruitless = 0
        self._refused: list[Request] = []

    @property
    def _policy(self) -> Policy:
        """Asked for when it is needed: a module-level async table opens its client with the first request."""
        core = getattr(self._client, "_resilience", None)
        return core.policy if core is not None else Policy()

    def add(self, request: Request) -> bool:
        """Take a request in, and tell whether a batch is due."""
        if self._overwrite_by_pkeys:
            self._remove_dup_pkeys_request_if_any(request)
        self._items_buffer.append(request)
        return len(self._items_buffer) >= self._flush_amount

    def flush_flow(self, sleep: Callable[[float], Any]) -> Generator[Callable[[], Any], Any, None]:
        """Send one batch, if there is one; wait first, if the last one made no progress."""
        if self._fruitless:
            yield partial(sleep, self._pause())
        batch = self._items_buffer[: self._flush_amount]
        if not batch:
            return
        self._items_buffer = self._items_buffer[self._flush_amount :]
        try:
            response = yield partial(self._client.batch_write_item, RequestItems={self._table_name: batch})
        except BaseException as error:  # also where the flow is closed: the caller was interrupted, or cancelled
            if isinstance(error, Exception) and classify(error, operation=_OPERATION).kind is Kind.PERMANENT:
                self._refused += batch  # it would only fail again, and hold up all that come after it
            else:
                self._items_buffer = self._still_wanted(batch) + self._items_buffer
            raise
        # One table was sent: whatever comes back is its own, under its name or its ARN.
        left = [request for requests in (response["UnprocessedItems"] or {}).values() for request in requests]
        self._items_buffer = self._still_wanted(left) + self._items_buffer  # in front: a newer put must come later
        self._fruitless = self._fruitless + 1 if len(left) >= len(batch) else 0

    @property
    def leftovers(self) -> list[Request]:
        """Every request that is not surely written, in order: of batches that were refused, and of the buffer."""
        return [*self._refused, *self._items_buffer]

    def _still_wanted(self, requests: list[Request]) -> list[Request]:
        """Leave out requests for keys that came into the buffer anew while they were under way: the last one wins."""
        if not self._overwrite_by_pkeys:
            return requests
        newer = [self._extract_pkey_values(request) for request in self._items_buffer]
        return [request for request in requests if self._extract_pkey_values(request) not in newer]

    def drain_flow(self, sleep: Callable[[float], Any]) -> Generator[Callable[[], Any], Any, None]:
        """Send until the buffer is empty."""
        while self._items_buffer:
            yield from self.flush_flow(sleep)

    def _pause(self) -> float:
        """Give the seconds to sleep before the next pass.

        Raises:
            UnprocessedItemsError: enough passes made no progress, or the deadline comes before the next one.
        """
        policy = self._policy
        given_up = self._given_up(f"{self._fruitless} passes made no progress")
        now = policy.clock.monotonic()
        if self._fruitless == 1:
            self._backoff = Backoff(policy.retry, policy.uniform, now)
        delay = self._backoff.delay(self._fruitless, given_up, now)
        if delay is None:
            raise given_up
        deadline = current_deadline()
        if deadline is not None and delay >= deadline.remaining():
            raise self._given_up("the deadline comes before the next pass")
        return policy.clock.wait(delay)

    def _given_up(self, why: str) -> UnprocessedItemsError:
        return UnprocessedItemsError(operation_name=_OPERATION, table=self._table_name, items=self.leftovers, why=why)


class BatchWriter(BatchBuffer):
    """See `ResilientTable.batch_writer`."""

    def _add_request_and_process(self, request: Request) -> None:
        if self.add(request):
            self._flush()

    def _flush(self) -> None:
        run(self.flush_flow(time.sleep))

    def __exit__(self, exc_type: object, exc_value: object, tb: object) -> None:
        run(self.drain_flow(time.sleep))
