"""Writing in batches: what is sent next, when, and what becomes of the answers. Every decision, and no I/O.

A flow asks its shell to sleep, to start a request and to collect answers. One shell sends one batch after the other,
one has threads, one has tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from resilient_ddb.calls import telling
from resilient_ddb.calls.core import Core
from resilient_ddb.calls.described import description_now
from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.integrity import UnreadableResponseError, foreign_answer
from resilient_ddb.calls.unanswered import unanswered
from resilient_ddb.errors import DeadlineExceededError, UnprocessedItemsError, attach, call_facts
from resilient_ddb.errors.words import code_of_error, counted, name_of_error
from resilient_ddb.events import ErrorKind, StopReason
from resilient_ddb.policy.deadlines import is_beyond_deadline
from resilient_ddb.policy.policy import Policy

from .pacing import Pace
from .passes import Passes
from .queue import Batch, Queue
from .refusals import OPERATION, Refused, is_about_items
from .settings import BatchReport, BatchSettings, Request, Tally
from .token_bucket import Limiter

Answer = tuple[Batch, Any]
"""A batch, and the response to it, or what was raised."""


class Shell(Protocol):
    """Does for a flow what takes time. Each method returns what it says, or something to be awaited for it."""

    def open(self) -> Any:
        """Return the client, open."""

    def pause(self, seconds: float) -> Any:
        """Sleep."""

    def join(self, limiter: Limiter) -> Any:
        """Wait until a limiter that shares its rate with others has its part: this may take a while."""

    def start(self, batch: Batch, call: Callable[[], Any]) -> Any:
        """Make a call for a batch; give the answers that are there by then."""

    def holds(self, batch: Batch) -> bool:
        """Return whether a batch was started and is still to be collected. If not, it is never going to be sent."""

    def collect(self) -> Any:
        """Return the answers to batches under way, at least one."""


_NEXT = "the next pass"
_UNTIL_OPEN = Policy()
"""What a writer goes by until it knows its client's policy."""


class Batching:
    """The state of one batch writer."""

    def __init__(self, table: str, settings: BatchSettings) -> None:
        self.queue = Queue(settings.flush_amount, settings.overwrite_by_pkeys)
        self.refused = Refused(self.queue, table)
        self.is_stopped = False
        """Whether nothing more will be sent: the block is being left by an exception."""
        self.has_block = False
        """Whether a block is going to be left: until then, what was refused need not be told."""
        self._table, self._settings = table, settings
        self._client: Any = None
        self._core: Core | None = None
        self._policy = _UNTIL_OPEN
        self._pace: Pace
        self._failure: BaseException | None = None
        self._throttling: Exception | None = None
        self._passes = Passes(self._policy, settings.max_attempts)
        self._has_no_keys = False
        self._tally = Tally()

    # What is asked of it.

    @property
    def unprocessed(self) -> list[Request]:
        """Return every request that is not surely written, in order."""
        return self.queue.in_order(self.refused.unprocessed)

    @property
    def rates(self) -> tuple[float | None, float | None]:
        """Return the units a second that it keeps to now, and those that it was told to keep to."""
        return (None, None) if self._client is None else (self._pace.current_rate, self._pace.stated_rate)

    @property
    def report(self) -> BatchReport:
        """Return what was done so far."""
        consumed, rate = (0.0, None) if self._client is None else (self._pace.consumed, self._pace.current_rate)
        now = self._policy.clock.monotonic()
        return self._tally.report(now, refused=self.refused.count, consumed=consumed, current_rate=rate)

    def flush_flow(self, shell: Shell, least: int) -> Flow[None]:
        """Send batches for as long as `least` requests wait. With 1: until all are written, and answered."""
        try:
            yield from self._flush(shell, least)
        except Exception as error:
            self.refused.explain(error)
            raise

    def _flush(self, shell: Shell, least: int) -> Flow[None]:
        self._tally.go_on()
        yield from self._open(shell)  # each time: a module-level table's client may have been closed
        while True:
            if self.refused.fresh:
                yield from self._try_to_learn_keys()
                yield from self.refused.deal_with_fresh(self._settings.on_unprocessed)
            elif self._has_room() and self.queue.is_due(least):
                yield from self._send(shell)
                if least == 1 and self._settings.pause_on_exit and len(self.queue):
                    yield partial(shell.pause, self._settings.pause_on_exit)
            elif self.queue.under_way and (least == 1 or len(self.queue) >= least or not self._has_room()):
                yield from self._collect(shell)
            elif self._failure is None:
                break
            else:
                yield from self._fail()
        if self.refused.untold and not self.has_block:
            raise self._of_refused(self.refused.untold)

    def leave_to_parent(self) -> None:
        """Hold nothing in a forked process: a flow that goes on there sends nothing, and waits for nothing."""
        self.is_stopped, self._failure = True, None
        self.queue = Queue(self._settings.flush_amount, self._settings.overwrite_by_pkeys)
        self.refused = Refused(self.queue, self._table)

    def begin_block(self) -> None:
        """Begin a block: what is refused in it is told as it ends."""
        self.has_block, self.is_stopped = True, False

    def end_block(self) -> None:
        """End the block, in whichever way it was left."""
        self.has_block = self.is_stopped = False

    def begin_leaving(self, error: BaseException | None) -> bool:
        """Begin to leave the block, and return whether nothing more will be sent."""
        self.is_stopped = error is not None and not _is_no_failure(error) and not self._settings.flush_on_error
        return self.is_stopped

    def leave_flow(self, shell: Shell, error: BaseException | None) -> Flow[None]:
        """End the block, which `error` may have ended."""
        try:
            if error is None or _is_no_failure(error):
                yield from self._finish(shell)
            elif self.is_stopped:
                while self.queue.under_way:  # nothing more is sent; what was is still answered
                    yield from self._collect(shell)
            else:
                yield from self._try_to_finish(shell, error)
        finally:
            self.is_stopped, self._failure = False, None
            self._tally.end(self._policy.clock.monotonic())

    def _finish(self, shell: Shell) -> Flow[None]:
        self.has_block = True
        take = self._settings.on_unprocessed
        try:
            if self.refused.handing_over and callable(take):  # it raised the last time, and that was caught
                yield from self.refused.hand_over(take)
            if len(self.queue) or self.queue.under_way:
                yield from self.flush_flow(shell, 1)
        except Exception as failure:
            self.refused.are_told()
            if isinstance(failure, UnprocessedItemsError):
                raise
            raise self._because_of(failure) from failure
        if self.refused.untold:
            raise self._of_refused(self.unprocessed)

    def _try_to_finish(self, shell: Shell, error: BaseException) -> Flow[None]:
        try:
            yield from self._finish(shell)
        except Exception as failure:  # noqa: BLE001 - the error that ended the block is the one to be raised
            error.add_note(f"then, as the batch writer wrote what was left: {failure}")

    # Sending.

    def _open(self, shell: Shell) -> Flow[None]:
        client = yield shell.open
        if self._client is None:
            self._begin(client)
        self._client = client

    def _begin(self, client: Any) -> None:
        core = getattr(client, "_resilience", None)
        if core is not None:
            self._core, self._policy = core, core.policy
        self._pace = Pace(self._settings.write_units_per_second, self._policy.clock)
        self._tally.begin(self._policy.clock.monotonic())
        self._passes = Passes(self._policy, self._settings.max_attempts)

    def _has_room(self) -> bool:
        """Return whether a further batch may be under way: one only without progress, or before costs are known."""
        if self.is_stopped or self._failure is not None:
            return False
        one_by_one = self._passes.fruitless or (self._client is not None and not self._pace.knows_cost)
        return self.queue.under_way < (1 if one_by_one else self._settings.max_workers)

    def _send(self, shell: Shell) -> Flow[None]:
        if self._settings.max_workers > 1 and not self.queue.knows_keys:
            try:
                yield from self._learn_keys()
            except Exception as error:
                error.add_note("several workers need the key's attributes: give overwrite_by_pkeys=[...]")
                raise
        yield from self._pace.follow_table(partial(self._client.describe_table, TableName=self._table))
        yield from self._pace.join(shell.join)
        yield from self._wait(shell, self._passes.take_pause(), _NEXT)
        if self.is_stopped:  # meanwhile, by another thread or task
            return
        batch = self.queue.cut()
        for request in batch.too_large:
            self.refused.add_too_large(request)
        batch.too_large.clear()
        if not batch.requests:
            self.queue.end(batch)
            return
        batch.number = self._passes.number
        asked = {"ReturnConsumedCapacity": "INDEXES"} if self._pace.asks else {}
        call = partial(self._client.batch_write_item, RequestItems={self._table: batch.requests}, **asked)
        is_sent = False
        try:
            batch.reserved, wait = self._pace.reserve(sum(batch.units))
            yield from self._wait(shell, wait, "the next units of write capacity")
            if self.is_stopped:
                self._take_back(batch)
                return
            is_sent, batch.sent_at = True, self._policy.clock.monotonic()
            self._tally.sent += 1
            answers = yield partial(shell.start, batch, unanswered(call))  # what a fallback answers is not written
        except BaseException:  # interrupted, or cancelled: nobody is going to answer
            if not is_sent:
                self._take_back(batch)
            elif self.queue.is_under_way(batch) and not shell.holds(batch):
                self.queue.put_back(batch.requests)
                self.queue.end(batch)
            raise
        yield from self._settle(answers)

    def _take_back(self, batch: Batch) -> None:
        """Keep a batch that is not sent after all."""
        self._pace.settle(batch.reserved, 0, None)
        self.queue.put_back(batch.requests)
        self.queue.end(batch)

    def _wait(self, shell: Shell, seconds: float, until: str) -> Flow[None]:
        if not seconds or self.is_stopped:  # stopped meanwhile, by another thread or task
            return
        if is_beyond_deadline(seconds):
            raise self.deadline_error(until)
        if self._core is not None:
            telling.waits(self._core, self._table, OPERATION, seconds, "pass" if until == _NEXT else "rate")
        yield partial(shell.pause, self._policy.clock.wait(seconds))

    def _learn_keys(self) -> Flow[None]:
        """Find out the key's attributes, for each writer anew: by those of an earlier table, items would be lost."""
        described = yield from description_now(self._client, self._table)
        self.queue.know_keys(described.key.names)

    def _try_to_learn_keys(self) -> Flow[None]:
        """Find them out, unless they are known, or can't be had."""
        if self.queue.knows_keys or self._has_no_keys:
            return
        try:
            yield from self._learn_keys()
        except Exception:  # noqa: BLE001 - it would only have told more
            self._has_no_keys = True

    # Answers.

    def _collect(self, shell: Shell) -> Flow[None]:
        answers = yield shell.collect
        if not answers:  # a caller that was interrupted here has taken them along
            self.queue.abandon()
        yield from self._settle(answers)

    def _settle(self, answers: list[Answer]) -> Flow[None]:
        for batch, answer in answers:
            if isinstance(answer, BaseException):
                self._failed(batch, answer)
            else:
                yield from self._answered(batch, answer)
            self.queue.end(batch)

    def _answered(self, batch: Batch, response: dict[str, Any]) -> Flow[None]:
        # One table was sent: whatever comes back is its own, under its name or its ARN.
        parts = (response.get("UnprocessedItems") or {}).values()
        returned = [request for part in parts for request in part or ()]
        left, never_sent = self.queue.originals(batch, returned) if returned else ([], [])
        if never_sent and not self.queue.knows_keys:
            yield from self._try_to_learn_keys()
            left, never_sent = self.queue.originals(batch, returned)
        if never_sent:
            self._failed(batch, self._foreign_answer(batch, response, len(never_sent)))
        else:
            self._took(batch, response, left)

    def _foreign_answer(self, batch: Batch, response: dict[str, Any], number: int) -> UnreadableResponseError:
        elapsed = self._policy.clock.monotonic() - batch.sent_at
        what = f"{counted(number, 'request')} as unprocessed that were not sent"
        error = foreign_answer(OPERATION, self._table, what, response, elapsed)
        if not self.queue.knows_keys:
            error.add_note("without the key's attributes they can't be told for sure: give overwrite_by_pkeys=[...]")
        return error

    def _took(self, batch: Batch, response: dict[str, Any], left: list[Request]) -> None:
        are_left = {id(request) for request in left}
        written = len(batch.requests) - len(left)
        self._pace.settle(batch.reserved, batch.units_without(left), telling.consumed_units(response), written)
        self.queue.done(request for request in batch.requests if id(request) not in are_left)
        had_to_retry = (response.get("ResponseMetadata") or {}).get("RetryAttempts", 0) > 0
        met_limit = bool(left) or had_to_retry
        self._tally.count_batch(written=written, retried=len(left), throttled=int(met_limit))
        self._set_pace(met_limit=met_limit)
        self._tell_of_batch(written, len(left))
        if left:
            self.queue.put_back(left)
        if not written:
            self._made_no_progress(batch, 1)
            return
        self._throttling = None
        if not self.queue.has_parts:
            self.refused.batch_is_written()
        self._passes.made_some(self._error(left, "unprocessed") if left else None)

    def _failed(self, batch: Batch, error: BaseException) -> None:
        facts = call_facts(error)
        if facts is not None and not facts.attempts:  # refused before it was sent, as by an open circuit
            self._tally.sent -= 1
        if not is_about_items(error):
            self.queue.put_back(batch.requests)
        self._tell_of_batch(0, len(batch.requests))
        if isinstance(error, Exception) and facts is not None and facts.kind is ErrorKind.THROTTLING:
            self._pace.settle(batch.reserved, 0, None)
            self._set_pace(met_limit=True)
            self._tally.count_batch(throttled=1, retried=len(batch.requests))
            self._throttling = error
            self._made_no_progress(batch, facts.attempts)
        elif isinstance(error, Exception) and is_about_items(error):
            self._pace.settle(batch.reserved, 0, None)
            is_single = len(batch.requests) == 1
            self._tally.count_batch(retried=0 if is_single else len(batch.requests))
            if is_single:
                self.refused.add(batch.requests[0], error)
            else:
                self.queue.take_apart(batch)
                self.refused.add_batch(error)
        else:  # what was reserved may have been consumed
            self._failure = self._failure or error
            self.queue.join()

    def _set_pace(self, *, met_limit: bool) -> None:
        """Go slower, or faster again."""
        old = self._pace.current_rate
        if met_limit:
            self._pace.met_limit()
        else:
            self._pace.met_none()
        new = self._pace.current_rate
        if self._core is not None and old is not None and new is not None and new != old:
            telling.rate_changed(self._core, self._table, OPERATION, old, new)

    def _tell_of_batch(self, written: int, left: int) -> None:
        if self._core is not None and self._core.observers:
            telling.batch_ended(
                self._core,
                self._table,
                OPERATION,
                written=written,
                left=left,
                total_written=self._tally.written,
                waiting=len(self.queue),
                rate=self._pace.current_rate,
            )

    def tell_unprocessed(self, error: UnprocessedItemsError) -> None:
        """Report that requests are left unwritten: the error that says so is on its way to the caller."""
        if self._core is not None and error.requests:
            cause = error.__cause__
            code = code_of_error(error if cause is None else cause)
            telling.left_unprocessed(self._core, self._table, OPERATION, len(error.requests), code)

    def _made_no_progress(self, batch: Batch, attempts: int) -> None:
        given_up = self._error([], self._why_given_up())
        if not self._passes.made_none(batch.number, attempts, given_up):
            self._failure = self._failure or given_up

    def _why_given_up(self) -> str:
        return f"{counted(self._passes.fruitless, 'pass', 'passes')} made no progress"

    def _fail(self) -> Flow[None]:
        """End with the failure there is; what follows begins anew."""
        failure, self._failure = self._failure, None
        throttling, self._throttling = self._throttling, None
        if failure is None:
            raise RuntimeError("there is no failure")
        if not isinstance(failure, Exception):
            raise failure
        if not isinstance(failure, UnprocessedItemsError):  # what is left goes with it, also to another process
            raise self._because_of(failure) from failure
        why = self._why_given_up()
        self._passes.begin_anew()
        take = self._settings.on_unprocessed
        if callable(take):
            self.refused.handing_over += self.queue.in_order()
            self.queue.empty()
            yield from self.refused.hand_over(take)
            return
        error = self._error(self.unprocessed, why)
        if throttling is None:
            note = error.resilience.note()  # without the reason: it counts the batches of all passes
            attach(error, error.resilience.replaced(stopped_by=StopReason.MAX_ATTEMPTS), note)
        if not self.has_block:  # else that may be caught within it, and what was refused is told again as it ends
            self.refused.are_told()
        raise error if throttling is None else error.because_of(throttling)

    def deadline_error(self, until: str) -> UnprocessedItemsError:
        """Return the error for a deadline that comes first."""
        batches = self._tally.sent
        sent = f"{counted(batches, 'batch', 'batches')} had been sent" if batches else "nothing was sent"
        why, last = f"the deadline comes before {until}", self._throttling
        failed = None if last is None else f"the last one failed: {last}"
        late = DeadlineExceededError(
            operation_name=OPERATION,
            attempts=batches,
            response=getattr(last, "response", None),
            told=f"{why}: {sent}",
            failed=failed,
        )
        late.__cause__ = last
        facts = late.resilience.replaced(table=self._table, elapsed=self.report.elapsed)
        if self._passes.fruitless:  # an error of throttling, or requests that DynamoDB left unprocessed
            known = None if last is None else call_facts(last)
            reasons = () if known is None else known.throttling_reasons
            facts = facts.replaced(kind=ErrorKind.THROTTLING, throttling_reasons=reasons)
        attach(late, facts)
        return self._error(self.unprocessed, why).because_of(late, "; ".join(filter(None, (sent, failed))))

    def _of_refused(self, items: list[Request]) -> UnprocessedItemsError:
        return self.refused.error(items, self._tally.sent, self.report.elapsed)

    def _because_of(self, failure: Exception) -> UnprocessedItemsError:
        return self._error(self.unprocessed, name_of_error(failure)).because_of(failure)

    def _error(self, items: list[Request], why: str) -> UnprocessedItemsError:
        error = UnprocessedItemsError(
            operation_name=OPERATION, table=self._table, requests=items, why=why, attempts=self._tally.sent
        )
        error.resilience = error.resilience.replaced(elapsed=self.report.elapsed)
        return error


def _is_no_failure(error: BaseException) -> bool:
    """Return whether a block that ends so did not fail: nobody reads a generator on, or the program ends."""
    return isinstance(error, GeneratorExit | SystemExit)
