"""What observers are told. Events are only made where somebody listens, or must be warned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, Self

from resilient_ddb.errors import CallFacts, attach, call_facts
from resilient_ddb.errors.words import code_of_error
from resilient_ddb.events import (
    AttemptEvent,
    BatchEvent,
    BudgetEvent,
    CallEndEvent,
    CallStartEvent,
    FallbackEvent,
    RateEvent,
    RetryEvent,
    UnprocessedEvent,
    WaitEvent,
)
from resilient_ddb.policy.contexts import holding

from .unanswered import inside

if TYPE_CHECKING:
    from resilient_ddb.events import ErrorKind, Outcome, StopReason

    from .classification import Classification
    from .core import Core, Lane

_numbers = count(1)
_DOUBTS: ContextVar[Doubts | None] = ContextVar("resilient_ddb_doubts", default=None)
_ASKED_SHARD: ContextVar[int | None] = ContextVar("resilient_ddb_asked_shard", default=None)


class Told(Protocol):
    """What observers are told of a call: an `Execution` has it."""

    @property
    def core(self) -> Core:
        """Whom to tell."""

    @property
    def lane(self) -> Lane:
        """Of which table."""

    operation: str
    params: Mapping[str, Any]
    number: int
    attempts: int
    started: float
    verdict: Classification | None
    ambiguous: bool
    stopped_by: StopReason | None
    response_bytes: int


def call_started(execution: Told) -> None:
    """Report that a call began, and number it."""
    execution.number = next(_numbers)
    event = CallStartEvent.of(
        {"table": execution.lane.table, "operation": execution.operation, "call": execution.number}
    )
    execution.core.tell(event)


def attempt_ended(
    execution: Told, elapsed: float, kind: ErrorKind | None, code: str | None, parsed: Mapping[str, Any] | None
) -> None:
    """Report that an attempt ended: `kind` and `code` say how it failed, if it did."""
    if kind is not None and code is not None:
        execution.core.last_errors[kind] = (code, execution.core.clock.time())
    if execution.core.observers:
        event = AttemptEvent.of(
            {
                "table": execution.lane.table,
                "operation": execution.operation,
                "call": execution.number,
                "attempt": execution.attempts,
                "elapsed": elapsed,
                "kind": kind,
                "code": code,
                "request_id": _request_id(parsed),
            }
        )
        execution.core.tell(event)


def retry_scheduled(execution: Told, kind: ErrorKind, code: str, delay: float) -> None:
    """Report that another attempt follows after `delay` seconds."""
    if execution.core.observers:
        event = RetryEvent(
            table=execution.lane.table,
            operation=execution.operation,
            call=execution.number,
            attempt=execution.attempts,
            kind=kind,
            code=code,
            delay=delay,
        )
        execution.core.tell(event)


def budget_ran_out(execution: Told, *, hot_partition: bool) -> None:
    """Report that a retry was refused by the retry budget."""
    event = BudgetEvent(
        table=execution.lane.table,
        operation=execution.operation,
        call=execution.number,
        budget=execution.lane.name,
        hot_partition=hot_partition,
    )
    execution.core.warn(event)


def fallback_asked(execution: Told, name: str, *, answered: bool) -> None:
    """Report that a fallback was asked."""
    if execution.core.observers:
        event = FallbackEvent(
            table=execution.lane.table,
            operation=execution.operation,
            call=execution.number,
            fallback=name,
            answered=answered,
        )
        execution.core.tell(event)


def call_ended(
    execution: Told,
    outcome: Outcome,
    response: Mapping[str, Any] | None = None,
    error: BaseException | None = None,
) -> None:
    """Report that a call ended, and how: with a response, or, if there was one, after an error."""
    core = execution.core
    if not core.observers and not execution.ambiguous:
        return
    verdict, params = execution.verdict, execution.params
    answer = response if error is None else getattr(error, "response", None)
    event = CallEndEvent.of(
        {
            "table": execution.lane.table,
            "operation": execution.operation,
            "call": execution.number,
            "outcome": outcome,
            "kind": verdict.kind if verdict else None,
            "code": None if error is None else code_of_error(error),
            "stopped_by": execution.stopped_by,
            "attempts": execution.attempts,
            "elapsed": core.clock.monotonic() - execution.started,
            "ambiguous": execution.ambiguous,
            "consumed_capacity": consumed_units(response) if response else None,
            "request_id": _request_id(answer),
            "throttling_reasons": verdict.throttling_reasons if verdict else (),
            "index": params.get("IndexName"),
            "region": core.host.region,
            "response_bytes": execution.response_bytes,
            "shard": _ASKED_SHARD.get(),
        }
    )
    if not execution.ambiguous:
        core.tell(event)
        return
    facts, doubts = None if error is None else call_facts(error), _DOUBTS.get()
    if facts is None or doubts is None or not doubts.hold(facts, core, event):
        core.warn(event)


class Doubts:
    """What a flow keeps from being told too early: calls of its own that left a write in doubt.

    A flow may find out what became of such a write, or go on so that it does not matter. Then nobody has to look for
    it. The flow makes the call `over` this, and says by `settle` that it is so, or by `go_on` that it will be if the
    flow ends well. What is not settled as the block ends is told as a write in doubt.
    """

    def __init__(self) -> None:
        self._held: list[tuple[CallFacts, Core, CallEndEvent]] = []
        self._passed: list[CallFacts | None] = []
        self._is_over = False

    def over(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """Return a call that is not told as in doubt before this ends."""
        return inside(partial(holding, _DOUBTS, self), call)

    def hold(self, facts: CallFacts, core: Core, event: CallEndEvent) -> bool:
        """Keep a call's end in doubt for later; false if it is too late: a task may outlive the flow that began it."""
        if not self._is_over:
            self._held.append((facts, core, event))
        return not self._is_over

    def settle(self, error: BaseException) -> None:
        """Report that the call which ended in an error, if it is held, has left nothing in doubt."""
        self._settle(call_facts(error))

    def go_on(self, error: BaseException) -> None:
        """Record that the flow sends its write again. A request of the call that ended in an error may arrive later."""
        self._passed.append(call_facts(error))

    def _settle(self, settled: CallFacts | None) -> None:
        for held in [held for held in self._held if held[0] is settled]:
            self._held.remove(held)
            _, core, event = held
            core.tell(event.replaced(ambiguous=False))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._is_over = True
        if error is None:
            for passed in self._passed:
                self._settle(passed)
        elif any(held[0] is passed for held in self._held for passed in self._passed):
            _say_in_doubt(error)
            known = call_facts(error)
            if known is not None:  # a flow around this one that finds out what became of the write settles that error
                self._held = [(known, core, event) for _, core, event in self._held]
        outer = _DOUBTS.get()
        for facts, core, event in self._held:
            if outer is None or not outer.hold(facts, core, event):
                core.warn(event)
        self._held.clear()


def _say_in_doubt(error: BaseException) -> None:
    """Mark the error that ends a flow as ambiguous: an earlier request of its write may be applied, now or later."""
    facts = call_facts(error)
    if isinstance(error, Exception) and facts is not None and not facts.ambiguous:
        note = "AMBIGUOUS: the reply to an earlier request of this write was lost, it may have been applied"
        attach(error, facts.replaced(ambiguous=True), note)


def in_shard(number: int | None, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return a call whose events say the number of the shard that it asks."""
    return call if number is None else inside(partial(holding, _ASKED_SHARD, number), call)


# What batches are told of: they know the core of their client, and no call.


def waits(core: Core, table: str, operation: str, seconds: float, waits_for: str) -> None:
    """Report that a batch is about to wait."""
    if core.observers:
        core.tell(WaitEvent(table=table, operation=operation, seconds=seconds, waits_for=waits_for))


def rate_changed(core: Core, table: str, operation: str, old_rate: float, new_rate: float) -> None:
    """Report that a writer goes slower, or faster again."""
    if core.observers:
        core.tell(RateEvent(table=table, operation=operation, old_rate=old_rate, new_rate=new_rate))


def batch_ended(core: Core, table: str, operation: str, **facts: Any) -> None:
    """Report how far a writer has come. See `BatchEvent`."""
    if core.observers:
        core.tell(BatchEvent(table=table, operation=operation, **facts))


def left_unprocessed(core: Core, table: str, operation: str, requests: int, code: str) -> None:
    """Report that requests are left unwritten."""
    core.warn(UnprocessedEvent(table=table, operation=operation, requests=requests, code=code))


def _request_id(answer: Any) -> str | None:
    if not answer:
        return None
    found: str | None = answer.get("ResponseMetadata", {}).get("RequestId")
    return found


def consumed_units(response: Mapping[str, Any]) -> float | None:
    """Return the capacity units that an answer says were consumed; None if it says nothing of them."""
    consumed = response.get("ConsumedCapacity")
    if not consumed:
        return None
    entries = [consumed] if isinstance(consumed, Mapping) else consumed
    units = [entry["CapacityUnits"] for entry in entries if entry and "CapacityUnits" in entry]
    return float(sum(units)) if units else None
