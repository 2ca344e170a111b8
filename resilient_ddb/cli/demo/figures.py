"""The lines of the result's table, for terminal and report alike. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    label: str
    values: Sequence[str]
    """What is shown for each run."""
    good: Sequence[bool | None]
    """For each run: whether that is as it should be; None where it is neither good nor bad."""
    meaning: str
    """Exactly what was counted."""


def figures(tallies: Sequence[Tally]) -> list[Figure]:
    """Return the lines for these runs, in the order in which a person would ask."""

    def harm(label: str, number: Callable[[Tally], int], meaning: str) -> Figure:
        numbers = [number(tally) for tally in tallies]
        return Figure(
            label=label,
            values=[f"{value:,}" for value in numbers],
            good=[not value for value in numbers],
            meaning=meaning,
        )

    def fact(label: str, text: Callable[[Tally], str], meaning: str) -> Figure:
        return Figure(
            label=label, values=[text(tally) for tally in tallies], good=[None] * len(tallies), meaning=meaning
        )

    lines = [
        Figure(
            label="rows written",
            values=[f"{tally.written:,} of {tally.rows:,}" for tally in tallies],
            good=[tally.written == tally.rows for tally in tallies],
            meaning="rows that are in the table afterwards, read from the emulator itself",
        ),
        harm(
            "rows lost in silence",
            lambda tally: tally.lost_rows,
            "batch.put_item returned, no error ever named the row, and it is not in the table",
        ),
        harm(
            "rows failed, and said so",
            lambda tally: tally.failed_rows,
            "an error was raised about the row, and it is not in the table",
        ),
        harm(
            "counted twice",
            lambda tally: tally.counted_twice,
            "counters above 1; each is incremented by one call, made once",
        ),
        harm(
            "counts lost",
            lambda tally: tally.lost_counts,
            "counters at 0 although update_item returned",
        ),
        harm(
            "counted, but reported as failed",
            lambda tally: tally.counted_unsaid,
            "update_item raised an error that does not say the write may have been applied, and it was",
        ),
        fact(
            "unsure, and said so",
            lambda tally: f"{tally.unsure_said:,}",
            "update_item raised an error that says the write may have been applied (error.resilience.ambiguous)",
        ),
        harm(
            "phantom not-founds",
            lambda tally: tally.phantoms,
            "get_item of a row that is there gave no Item, and no error",
        ),
        harm(
            "calls failed with an error",
            lambda tally: tally.failed_calls,
            "get_item, update_item and query calls that raised, the unsure ones included, and those that an open "
            "circuit refused at once: that is what it does in an outage, where boto3 makes its callers wait",
        ),
        fact(
            "reads answered from cache",
            lambda tally: f"{tally.cached:,}",
            "reads answered with an earlier answer and marked as stale (fallback.stale)",
        ),
    ]
    if any(tally.skipped for tally in tallies):
        lines.append(harm("calls never made", lambda tally: tally.skipped, "no worker was free before time ran out"))
    return [
        *lines,
        fact("requests sent", lambda tally: f"{tally.requests:,}", "all requests on the wire, retries included"),
        fact(
            "- of those, in the outage",
            lambda tally: f"{tally.outage_requests:,}",
            "requests sent to a service that could not answer",
        ),
        fact("time", lambda tally: f"{tally.seconds:.1f} s", "from the first row to the last call or row"),
        fact(
            "median wait",
            lambda tally: duration(tally.p50),
            "half of the calls, failed ones included, took no longer, from when they were due",
        ),
        fact(
            "p99 wait",
            lambda tally: duration(tally.p99),
            "99% of the calls, failed ones included, took no longer, from when they were due",
        ),
    ]


def duration(seconds: float) -> str:
    """Write a time as a person would."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
