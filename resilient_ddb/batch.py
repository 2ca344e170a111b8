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
from botocore.exceptions import ClientError, ParamValidationError

from .deadlines import current_deadline
from .drive import run
from .errors import UnprocessedItemsError
from .policy import Policy
from .retry import Backoff

_OPERATION = "BatchWriteItem"
_ABOUT_ITEMS = ("ValidationException", "ItemCollectionSizeLimitExceededException", "413")
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
        self._items_buffer = self._items_buffer[self._flush_amount :]
        try:
            yield from self._send(batch)
        except Exception as error:
            if not _is_about_items(error):
                raise
            yield from self._send_one_by_one(batch, error)

    def _send(self, batch: list[Request]) -> Generator[Callable[[], Any], Any, None]:
        if not batch:
            return
        try:
            response = yield partial(self._client.batch_write_item, RequestItems={self._table_name: batch})
        except BaseException as error:  # also where the flow is closed: the caller was interrupted, or cancelled
            if not _is_about_items(error):
                self._items_buffer = self._still_wanted(batch) + self._items_buffer
            raise
        # One table was sent: whatever comes back is its own, under its name or its ARN.
        left = [request for requests in (response["UnprocessedItems"] or {}).values() for request in requests]
        self._items_buffer = self._still_wanted(left) + self._items_buffer  # in front: a newer put must come later
        self._fruitless = self._fruitless + 1 if len(left) >= len(batch) else 0

    def _send_one_by_one(self, batch: list[Request], error: Exception) -> Generator[Callable[[], Any], Any, None]:
        """Send the requests of a batch that was refused one after the other: a bad item must not fail its neighbours.

        Now, not later: what comes after them in the buffer may be for the same keys.
        """
        alone = len(batch) == 1 or "duplicates" in str(error)  # two requests for one key: as on boto3, all are refused
        refused = list(batch) if alone else []
        for index, request in enumerate([] if alone else batch):
            try:
                yield from self._send(self._still_wanted([request]))
            except BaseException as failure:
                if not _is_about_items(failure):
                    # `_send` has put the request back in front: what was to follow it belongs right behind it.
                    behind = int(self._items_buffer[:1] == [request])
                    self._items_buffer[behind:behind] = self._still_wanted(batch[index + 1 :])
                    self._refused += refused
                    raise
                refused.append(request)
        if refused:
            self._refused += refused
            error.items = refused  # type: ignore[attr-defined]  # this library's addition, as UnprocessedItemsError has it
            error.add_note(f"{len(refused)} of {len(batch)} items in this batch were refused: error.items")
            raise error

    @property
    def leftovers(self) -> list[Request]:
        """Every request that is not surely written, in order: those that were refused, and those in the buffer."""
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


def _is_about_items(error: BaseException) -> bool:
    """Tell whether a batch was refused because of what is in it: by the service, or before it was sent."""
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code") in _ABOUT_ITEMS
    return isinstance(error, ParamValidationError | TypeError | ValueError | ArithmeticError)


class BatchWriter(BatchBuffer):
    """See `ResilientTable.batch_writer`."""

    def _add_request_and_process(self, request: Request) -> None:
        if self.add(request):
            self._flush()

    def _flush(self) -> None:
        run(self.flush_flow(time.sleep))

    def __exit__(self, exc_type: object, exc_value: object, tb: object) -> None:
        run(self.drain_flow(time.sleep))
