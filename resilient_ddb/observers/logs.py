"""Lines in a log: what an operator must hear of in few lines, and, for those who ask, everything else."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import Counter
from typing import Any, NamedTuple

from resilient_ddb.errors.words import counted
from resilient_ddb.events import (
    RELEASED,
    AnyEvent,
    AttemptEvent,
    BatchEvent,
    BudgetEvent,
    CallEndEvent,
    CallStartEvent,
    CircuitEvent,
    FallbackEvent,
    RateEvent,
    RetryEvent,
    UnprocessedEvent,
    WaitEvent,
)
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.checks import check_methods, check_number
from resilient_ddb.policy.clock import SYSTEM_CLOCK, Clock
from resilient_ddb.policy.forks import tell_child

_SUMMARY_SECONDS = 60.0
_MOST_SUBJECTS = 1_000
_PROBING = (("open", "half-open"), ("half-open", "open"))
"""Changes of a circuit that stays in trouble."""
_ONE_PROBE = {"open -> half-open": 1}


class _Subject(NamedTuple):
    """What is counted together: one kind of thing that happens to one table."""

    kind: str
    name: str
    table: str | None


class _Tally:
    """What happened to one subject since the last line about it."""

    def __init__(self, now: float) -> None:
        self.said_at = now
        self.since = now
        self.times = 0
        self.requests = 0
        self.changes: Counter[str] = Counter()
        self.last: AnyEvent | None = None
        self.decided = ""
        """What a person has decided, in the words of the line about it."""

    def add(self, event: AnyEvent, now: float) -> None:
        if not self.times:
            self.since = now
        self.times += 1
        self.last = event
        if isinstance(event, CircuitEvent):
            self.changes[_change(event)] += 1
        elif isinstance(event, UnprocessedEvent):
            self.requests += event.requests


class Warnings:
    """Writes what an operator must hear of: a circuit that changes, a write in doubt, requests left, a budget used up.

    For each table and kind, the first at once; then a summary a minute at most, with the next event after it. What is
    counted and not yet written is when the circuit closes, and by `flush`. A circuit that opens or closes, and what a
    person does with one, is written at once: of a circuit only the changes between open and half-open are counted.
    Safe to share between threads.
    """

    def __init__(self, logger: logging.Logger, clock: Clock = SYSTEM_CLOCK) -> None:
        self._logger = logger
        self._clock = clock
        self._tallies: dict[_Subject, _Tally] = {}
        self._lock = threading.RLock()  # a batch writer that is dropped warns, wherever the garbage collector finds it
        tell_child(self)

    def _in_child(self) -> None:
        """Begin anew in a forked process: what is counted is the parent's to write."""
        self._lock, self._tallies = threading.RLock(), {}

    def __call__(self, event: AnyEvent) -> None:
        """Write an event, or count it."""
        subject = _subject_of(event)
        if subject is None:
            return
        now = self._clock.monotonic()
        with self._lock:
            if isinstance(event, CircuitEvent):
                lines = self._changed(subject, event, now)
            else:
                lines = self._count(subject, event, now)
        self._write(lines)

    def flush(self) -> None:
        """Write what is counted and not yet written."""
        with self._lock:
            lines = self._rest(None, self._clock.monotonic())
        self._write(lines)

    def _changed(self, subject: _Subject, event: CircuitEvent, now: float) -> list[tuple[str, AnyEvent | None]]:
        is_decided = event.forced or event.reason == RELEASED
        if not is_decided and (event.old_state, event.new_state) in _PROBING:
            return self._count(subject, event, now)
        lines: list[tuple[str, AnyEvent | None]] = []
        line = describe(event)
        if event.new_state == "closed":
            tally = self._tallies.get(subject)
            if tally is not None and tally.changes == _ONE_PROBE:  # that it closes says so
                self._tallies[subject] = _Tally(now)
            lines += self._rest(subject.table, now)
        if subject not in self._tallies:
            lines += self._begin(subject, now)
        tally = self._tallies[subject]
        if is_decided and tally.decided == line:  # a Table with a policy of its own has a circuit of the same name
            return lines
        tally.decided = line if is_decided else ""
        if not tally.times:
            tally.said_at = now
        return [*lines, (line, event)]

    def _count(self, subject: _Subject, event: AnyEvent, now: float) -> list[tuple[str, AnyEvent | None]]:
        tally = self._tallies.get(subject)
        if tally is None:
            return [*self._begin(subject, now), (describe(event), event)]
        if not tally.times and now - tally.said_at >= _SUMMARY_SECONDS:
            tally.said_at = now
            return [(describe(event), event)]
        tally.add(event, now)
        if now - tally.said_at < _SUMMARY_SECONDS:
            return []
        lines = _summary(subject, tally, now)
        self._tallies[subject] = _Tally(now)
        return lines

    def _begin(self, subject: _Subject, now: float) -> list[tuple[str, AnyEvent | None]]:
        """Begin to count a subject, and return what to write of the oldest one, if that makes room for this."""
        lines: list[tuple[str, AnyEvent | None]] = []
        if len(self._tallies) >= _MOST_SUBJECTS:
            oldest = next(iter(self._tallies))
            lines = _summary(oldest, self._tallies.pop(oldest), now)
        self._tallies[subject] = _Tally(now)
        return lines

    def _rest(self, table: str | None, now: float) -> list[tuple[str, AnyEvent | None]]:
        """Return the lines about a table, or about all for None, and begin to count anew."""
        lines: list[tuple[str, AnyEvent | None]] = []
        for subject, tally in list(self._tallies.items()):
            if tally.times and table in (None, subject.table):
                lines += _summary(subject, tally, now)
                self._tallies[subject] = _Tally(now)
        return lines

    def _write(self, lines: list[tuple[str, AnyEvent | None]]) -> None:
        for text, event in lines:
            self._logger.warning("%s", text, extra={"resilience_event": event})

    def __reduce__(self) -> tuple[Any, ...]:
        return Warnings, (self._logger, self._clock)


class LoggingObserver:
    """Writes what happens to a logger: table, operation, codes and numbers, never an item's values.

    Circuit changes, retry budgets that ran out, writes that may have been applied, requests left unwritten and
    fallbacks without an answer are warnings. All but the last are summed up, a line a minute at most for each table
    and kind. A circuit that opens or closes, and what a person does with one, is written at once, with its reason.
    Retries, rates that change, fallbacks' answers and failed calls are info; everything else, and calls
    that succeed, are debug. The logger's level is left as it is. It takes the place of the lines that are written
    without it.
    """

    writes_warnings = True
    """Whether this observer writes what an operator must hear of: the library then does not."""

    @names_checked
    def __init__(
        self, logger: logging.Logger | None = None, *, slow_call_duration: float = 1.0, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """Log to `logger` (by default `resilient_ddb`); calls slower than `slow_call_duration` are logged as info.

        `clock` tells when a summary is due.

        Raises:
            TypeError, ValueError: `logger` is no logger, or `slow_call_duration` is no number above 0.
        """
        check_number("slow_call_duration", slow_call_duration, above=0)
        if logger is not None:
            check_methods("logger", logger, "log", "isEnabledFor")
        self._logger = logger or logging.getLogger("resilient_ddb")
        self._slow_call_seconds = slow_call_duration
        self._clock = clock
        self._warnings = Warnings(self._logger, clock)
        weakref.finalize(self, self._warnings.flush)  # at exit, or as it goes

    def __call__(self, event: AnyEvent) -> None:
        """Write one event."""
        if _subject_of(event) is not None:
            self._warnings(event)
            return
        level = self._level(event)
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", describe(event), extra={"resilience_event": event})

    def flush(self) -> None:
        """Write what is counted and not yet written."""
        self._warnings.flush()

    def __repr__(self) -> str:
        return f"LoggingObserver({self._logger.name!r}, slow_call_duration={self._slow_call_seconds!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._logger, self._slow_call_seconds, self._clock)

    def _level(self, event: AnyEvent) -> int:
        match event:
            case FallbackEvent(answered=False):
                return logging.WARNING
            case RetryEvent() | FallbackEvent() | RateEvent():
                return logging.INFO
            case CallEndEvent(outcome=outcome, elapsed=elapsed):
                quiet = outcome == "success" and elapsed < self._slow_call_seconds
                return logging.DEBUG if quiet else logging.INFO
            case _:
                return logging.DEBUG


def _restored(logger: logging.Logger, slow_call_duration: float, clock: Clock) -> LoggingObserver:
    return LoggingObserver(logger, slow_call_duration=slow_call_duration, clock=clock)


def _subject_of(event: AnyEvent) -> _Subject | None:
    match event:
        case CircuitEvent():
            return _Subject("circuit", event.circuit, event.table)
        case CallEndEvent(ambiguous=True):
            return _Subject("doubt", event.table or "*", event.table)
        case BudgetEvent():
            return _Subject("budget", event.budget, event.table)
        case UnprocessedEvent():
            return _Subject("left", event.table or "*", event.table)
        case _:
            return None


def _summary(subject: _Subject, tally: _Tally, now: float) -> list[tuple[str, AnyEvent | None]]:
    if not tally.times:
        return []
    within = f"within {max(1, round(now - tally.said_at))} s"
    more = f"{tally.times:,} more"
    match subject.kind:
        case "circuit":
            changes = ", ".join(f"{times:,} x {change}" for change, times in tally.changes.items())
            text = f"circuit {subject.name}: {more} change{'' if tally.times == 1 else 's'} {within}: {changes}"
        case "doubt":
            writes, they = ("write", "it") if tally.times == 1 else ("writes", "they")
            text = f"{subject.name}: {more} {writes} in doubt {within}: AMBIGUOUS, {they} may have been applied"
        case "budget":
            text = f"{subject.name}: {more} refused by the retry budget {within}"
        case _:
            requests = "request" if tally.requests == 1 else "requests"
            text = f"{subject.name}: {tally.requests:,} more {requests} left unwritten {within}"
    return [(text, tally.last)]


def _change(event: CircuitEvent) -> str:
    was_forced = not event.forced and event.reason == RELEASED
    old, new = ("forced " if held else "" for held in (was_forced, event.forced))
    return f"{old}{event.old_state} -> {new}{event.new_state}"


def describe(event: AnyEvent) -> str:  # noqa: C901, PLR0911 - a branch for each event
    """Return an event as a line."""
    call = f"{event.operation} {event.table or '-'}"
    match event:
        case CallStartEvent():
            return f"{call}: begins"
        case AttemptEvent(attempt=attempt, elapsed=elapsed, kind=kind, code=code, request_id=request_id):
            end = f"failed: {kind} ({code})" if kind else "succeeded"
            return f"{call}: attempt {attempt} {end} in {elapsed:.3f} s, request id {request_id or '-'}"
        case RetryEvent(attempt=attempt, kind=kind, code=code, delay=delay):
            return f"{call}: attempt {attempt} failed: {kind} ({code}); next in {delay:.3f} s"
        case BudgetEvent(budget=budget, hot_partition=is_hot):
            return (
                f"{budget}: the retry budget{' of a hot partition' if is_hot else ''} is used up: {call} is not retried"
            )
        case CircuitEvent(circuit=circuit, reason=reason):
            return f"circuit {circuit}: {_change(event)}: {reason}"
        case FallbackEvent(fallback=fallback, answered=answered):
            return f"{call}: fallback {fallback} {'answered' if answered else 'had no answer'}"
        case CallEndEvent():
            ambiguous = ": AMBIGUOUS, it may have been applied" if event.ambiguous else ""
            code = f": {event.code}" if event.code else ""
            kind_text = f" ({event.kind}{code})" if event.kind else ""
            return (
                f"{call}: {event.outcome}{kind_text} after "
                f"{counted(event.attempts, 'attempt')} in {event.elapsed:.3f} s{ambiguous}"
            )
        case WaitEvent(seconds=seconds, waits_for=waits_for):
            return f"{call}: waits {seconds:.3f} s for the {'next pass' if waits_for == 'pass' else 'rate'}"
        case RateEvent(old_rate=old, new_rate=new):
            return f"{call}: {'slower' if new < old else 'faster'}, {old:g} -> {new:g} units a second"
        case BatchEvent():
            return f"{call}: {event.written} written, {event.left} left; {event.total_written:,} so far"
        case UnprocessedEvent(requests=requests, code=code):
            return f"{call}: {requests:,} request{'' if requests == 1 else 's'} not surely written: {code}"
