"""Requests that can't be written as they are: what was said of each, and who has to be told."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from resilient_ddb.calls.flows import Flow
from resilient_ddb.errors import UnprocessedItemsError, attach, call_facts
from resilient_ddb.errors.words import code_of_error
from resilient_ddb.events import ErrorKind, StopReason

from .queue import Queue
from .requests import size_of
from .settings import OnUnprocessed, RejectedItem, Request

OPERATION = "BatchWriteItem"
_ABOUT_ITEMS = ("ValidationException", "ItemCollectionSizeLimitExceededException", "413")
_TOO_LARGE = {"Error": {"Code": "ValidationException", "Message": "Item size has exceeded the maximum allowed size"}}
_VALUES = re.compile(r' for value ".*"|, value: .*(?=, type: )', re.DOTALL)
"""Where boto3's serializer and botocore's validator quote a value."""
_REMEMBERED = 1000
_NAMED = 3
"""Refusals that an error's message describes."""


class Refused:
    """What a batch writer's requests were refused for."""

    def __init__(self, queue: Queue, table: str) -> None:
        self.count = 0
        self.latest: deque[RejectedItem] = deque(maxlen=_REMEMBERED)
        self.fresh: list[tuple[Request, Exception]] = []
        """Those that are still to be dealt with."""
        self.kept: list[Request] = []
        """Those that stay with the writer."""
        self.handing_over: list[Request] = []
        """Requests that are the caller's function's once it has returned."""
        self.untold: list[Request] = []
        """Those of them that no error has told of."""
        self._queue = queue
        self._table = table
        self._first: Exception | None = None
        self._of_batch: str | None = None
        """What a batch was refused for of which it is not known yet which request it was."""

    def add(self, request: Request, error: Exception) -> None:
        """Record that a request was refused."""
        self.fresh.append((request, error))
        self.count += 1
        self._of_batch = None

    def add_batch(self, error: Exception) -> None:
        """Remember that a batch was refused: its parts are going to show for which request."""
        self._of_batch = self._of_batch or _reason(error)

    def batch_is_written(self) -> None:
        """Forget what a batch was refused for: all its parts went through, and only together were they refused."""
        self._of_batch = None

    def explain(self, error: Exception) -> None:
        """Add to an error what a batch was refused for, unless a part of it has shown that since."""
        reason, self._of_batch = self._of_batch, None
        if reason is not None:
            error.add_note(f"before, a batch was refused, and taken apart to find the request: {reason}")

    def add_too_large(self, request: Request) -> None:
        """Record a request that was not sent: DynamoDB would have refused it, in these words."""
        self.add(request, ClientError(_TOO_LARGE, OPERATION))

    @property
    def unprocessed(self) -> list[Request]:
        """Return all of them that are nobody else's yet."""
        return [*self.kept, *self.handing_over, *(request for request, _ in self.fresh)]

    def deal_with_fresh(self, take: OnUnprocessed) -> Flow[None]:
        """Keep the fresh ones, or hand them over."""
        requests = self._describe()
        if take == "raise":
            self.kept += requests
            self.untold += requests
        else:
            self.handing_over += requests
        self.fresh.clear()
        if take != "raise" and requests:
            yield from self.hand_over(take)

    def hand_over(self, take: Callable[[list[Request]], Any]) -> Flow[None]:
        """Pass requests to the caller's function. They are unprocessed until it has returned."""
        requests = list(self.handing_over)
        yield partial(take, requests)
        self.handing_over.clear()
        self._queue.done(requests)

    def _describe(self) -> list[Request]:
        """Return the fresh ones, and keep why they were refused."""
        for request, error in self.fresh:
            refusal = RejectedItem(key=self._queue.key_of(request), size=size_of(request), reason=_reason(error))
            self.latest.append(refusal)
        if self._first is None:
            self._first = self.fresh[0][1]
        return [request for request, _ in self.fresh]

    def error(self, items: list[Request], sent: int, elapsed: float) -> UnprocessedItemsError:
        """Return the error that tells of what was not told yet; `sent` batches were in `elapsed` seconds."""
        number, first = len(self.untold), self._first
        told = [str(refusal) for refusal in list(self.latest)[-number:][:_NAMED]]
        if number > _NAMED:
            told.append(f"and {number - _NAMED} more")
        self.are_told()
        error = UnprocessedItemsError(
            operation_name=OPERATION,
            table=self._table,
            requests=items,
            why="; ".join(each.removesuffix(".") for each in told),
        )
        if first is not None:
            error = error.because_of(first, _reason(first))
        if first is None or call_facts(first) is None:  # no call has ended in it
            facts = error.resilience.replaced(
                kind=ErrorKind.PERMANENT, stopped_by=StopReason.NOT_RETRYABLE, attempts=sent, elapsed=elapsed
            )
            note = f"{OPERATION} on {self._table}: what was refused was not sent, and will be refused again"
            attach(error, facts, note)
        return error

    def are_told(self) -> None:
        """Record that an error has told of all."""
        self.untold, self._first = [], None


def _reason(error: Exception) -> str:
    return _VALUES.sub("", str(error))


def is_about_items(error: Any) -> bool:
    """Return whether a batch was refused because of what is in it: by the service, or before it was sent."""
    if isinstance(error, ClientError):
        return code_of_error(error) in _ABOUT_ITEMS
    return isinstance(error, ParamValidationError | TypeError | ValueError | ArithmeticError | RecursionError)
