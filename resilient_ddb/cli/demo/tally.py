"""Counts what came of a run. Pure: everything is worked out from what was written down and read back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .records import CallRecord, Outcome, RunRecord
from .scenario import Verb

_MADE = frozenset({Outcome.OK, Outcome.CACHED, Outcome.PHANTOM, Outcome.FAILED})


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What is shown of one run. Each call adds one to a counter of its own, and is made once by the application."""

    client: str
    rows: int
    """Rows that had to be written."""
    written: int
    """Rows that are in the table."""
    lost_rows: int
    """Rows that are not there, although no error was ever raised about them."""
    failed_rows: int
    """Rows that are not there, and an error said so."""
    counted_twice: int
    """Counters above 1."""
    lost_counts: int
    """Counters at 0, although the call returned."""
    unsure_said: int
    """COUNT calls that raised an error which says that the write may have been applied."""
    counted_unsaid: int
    """Counters at 1 or more although the call raised an error, and the error doesn't say that this may be."""
    phantoms: int
    """Reads of a row that is there which answered 'not found', without an error."""
    failed_calls: int
    """Calls that raised an error."""
    cached: int
    """Reads that were answered with an earlier answer, and marked so."""
    skipped: int
    """Calls that were never made, for lack of time."""
    calls: int
    """Calls that were made."""
    requests: int
    """Requests that were sent, for rows and calls."""
    outage_requests: int
    """Requests that were sent during the outage."""
    seconds: float
    """How long the work took."""
    p50: float
    p99: float
    """The wait, in seconds, that 50% and 99% of the calls stayed within, from the moment they were due."""

    @property
    def wrong(self) -> int:
        """How often something went wrong and no error said so."""
        return self.lost_rows + self.counted_twice + self.lost_counts + self.counted_unsaid + self.phantoms


def tally(run: RunRecord) -> Tally:
    """Count one run."""
    made = calls_made(run)
    counts = [call for call in made if call.verb is Verb.COUNT]
    missing = run.rows - run.found
    waits = [call.wait for call in made]
    return Tally(
        client=run.client,
        rows=len(run.rows),
        written=len(run.rows & run.found),
        lost_rows=len(missing - run.told),
        failed_rows=len(missing & run.told),
        counted_twice=sum(_is_counted_twice(call, run) for call in counts),
        lost_counts=sum(_is_not_counted(call, run) for call in counts),
        unsure_said=sum(call.outcome is Outcome.FAILED and call.ambiguous for call in counts),
        counted_unsaid=sum(_is_counted_unsaid(call, run) for call in counts),
        phantoms=sum(call.outcome is Outcome.PHANTOM for call in made),
        failed_calls=sum(call.outcome is Outcome.FAILED for call in made),
        cached=sum(call.outcome is Outcome.CACHED for call in made),
        skipped=len(run.calls) - len(made),
        calls=len(made),
        requests=len(run.requests),
        outage_requests=sum(run.outage[0] <= request.at < run.outage[1] for request in run.requests),
        seconds=run.busy_seconds,
        p50=percentile(waits, 50),
        p99=percentile(waits, 99),
    )


def calls_made(run: RunRecord) -> list[CallRecord]:
    """Return the calls that the application made."""
    return [call for call in run.calls if call.outcome in _MADE]


def is_wrong(call: CallRecord, run: RunRecord) -> bool:
    """Return whether the application can't know what came of a call: no error says it."""
    if call.verb is not Verb.COUNT:
        return call.outcome is Outcome.PHANTOM
    return _is_counted_twice(call, run) or _is_not_counted(call, run) or _is_counted_unsaid(call, run)


def _is_counted_twice(call: CallRecord, run: RunRecord) -> bool:
    return run.counters.get(call.counter, 0) > 1


def _is_not_counted(call: CallRecord, run: RunRecord) -> bool:
    return call.outcome is Outcome.OK and run.counters.get(call.counter, 0) < 1


def _is_counted_unsaid(call: CallRecord, run: RunRecord) -> bool:
    return call.outcome is Outcome.FAILED and not call.ambiguous and run.counters.get(call.counter, 0) > 0


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` % of the values don't exceed (nearest rank); 0.0 if there is none."""
    if not values:
        return 0.0
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]
