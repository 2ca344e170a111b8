"""What a batch writer can be told, and what it tells of its work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from resilient_ddb.events import explained
from resilient_ddb.policy.checks import check_callable, check_number, check_whole
from resilient_ddb.policy.clock import SYSTEM_CLOCK

from .token_bucket import Limiter, as_limiter

Request = dict[str, Any]
"""A write as `BatchWriteItem` takes it: `{"PutRequest": {"Item": ...}}` or `{"DeleteRequest": {"Key": ...}}`."""
Rate = float | Literal["auto"] | Limiter | None
OnUnprocessed = Literal["raise"] | Callable[[list[Request]], Any]


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """The parameters of `batch_writer`, which describes them.

    Raises:
        TypeError, ValueError: a value is of the wrong type or out of range.
    """

    flush_amount: int = 25
    overwrite_by_pkeys: Sequence[str] | None = None
    write_units_per_second: Rate = None
    max_workers: int = 1
    max_attempts: int | None = None
    on_unprocessed: OnUnprocessed = "raise"
    flush_on_error: bool = False
    pause_on_exit: float = 0.0
    """Seconds between batches as the block ends: aioboto3's `on_exit_loop_sleep`."""

    def __post_init__(self) -> None:
        check_whole("flush_amount", self.flush_amount, least=1)
        if isinstance(self.overwrite_by_pkeys, str):
            raise TypeError(
                f"overwrite_by_pkeys must be a list of the key's attributes, such as ['pk', 'sk']; "
                f"got {self.overwrite_by_pkeys!r}"
            )
        rate = self.write_units_per_second
        if isinstance(rate, str) and rate != "auto":
            raise ValueError(
                f"write_units_per_second must be a number greater than 0, 'auto', a RateLimiter or None; got {rate!r}"
            )
        if rate is not None and rate != "auto":
            as_limiter("write_units_per_second", rate, SYSTEM_CLOCK)
        check_whole("max_workers", self.max_workers, least=1)
        if self.max_attempts is not None:
            check_whole("max_attempts", self.max_attempts, least=1)
        if self.on_unprocessed != "raise":
            check_callable("on_unprocessed", self.on_unprocessed, takes="a list of write requests, or be 'raise'")
        check_number("on_exit_loop_sleep", self.pause_on_exit, least=0)


@explained
@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """What a batch writer has done so far: `batch.report`."""

    written: int
    """Requests that DynamoDB has acknowledged: puts and deletes."""
    retried: int
    """Requests that had to be sent again: left unprocessed, or in a batch that failed or was taken apart."""
    throttled_batches: int
    """Batches of which items came back, or that took more than one attempt: for a limit, or else for a lost reply."""
    batches: int
    """Batches that were answered."""
    refused: int
    """Requests that can't be written as they are: too large, not serializable, or refused by DynamoDB."""
    consumed_units: float
    """Write capacity units. With a rate, as DynamoDB reported them, indexes included, and one for each item at least;
    else counted by size."""
    average_rate: float
    """Write capacity units a second, over all of `elapsed`."""
    current_rate: float | None
    """The capacity units a second that the writer keeps to now; None if no rate is held."""
    elapsed: float
    """Seconds since the first batch was due; up to now, or to the end of the block."""


class Tally:
    """What a report is made of, as it is counted."""

    def __init__(self) -> None:
        self.written = self.retried = self.throttled = self.batches = 0
        self.sent = 0
        """Batches that were sent, also those without an answer yet."""
        self._started: float | None = None
        self._ended: float | None = None

    def count_batch(self, *, written: int = 0, retried: int = 0, throttled: int = 0) -> None:
        """Count a batch that was answered, and what became of its requests."""
        self.batches += 1
        self.written += written
        self.retried += retried
        self.throttled += throttled

    def begin(self, now: float) -> None:
        """Start the clock: the first batch is due."""
        self._started = now

    def go_on(self) -> None:
        """Start the clock again: more is sent."""
        self._ended = None

    def end(self, now: float) -> None:
        """Stop the clock: the block has ended."""
        self._ended = now

    def report(self, now: float, *, refused: int, consumed: float, current_rate: float | None) -> BatchReport:
        """Return what was done so far."""
        elapsed = 0.0 if self._started is None else (now if self._ended is None else self._ended) - self._started
        return BatchReport(
            written=self.written,
            retried=self.retried,
            throttled_batches=self.throttled,
            batches=self.batches,
            refused=refused,
            consumed_units=consumed,
            average_rate=consumed / elapsed if elapsed > 0 else 0.0,
            current_rate=current_rate,
            elapsed=elapsed,
        )


@explained
@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedItem:
    """Why a request can't be written. Holds the item's key, and no other value of it."""

    key: dict[str, Any] | None
    """The item's key; None if the table's key attributes could not be found out."""
    size: int | None
    """The item's bytes as DynamoDB counts them; None if a value has no place in DynamoDB."""
    reason: str
    """What is wrong, in the words of DynamoDB, or of the SDK, that refused it; without the value, if they quote it."""

    def __str__(self) -> str:
        size = "of unknown size" if self.size is None else f"of {self.size:,} bytes"
        key = "of unknown key" if self.key is None else f"with key {self.key!r}"
        return f"the item {key}, {size}, was refused: {self.reason}"
