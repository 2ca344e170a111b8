"""The lines of the result's table, and the sentences above it, for terminal and report alike. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from resilient_ddb.errors.words import counted

from .tally import Tally


class Tone(StrEnum):
    """What a number's colour means: the same in the table, in the pictures and in the terminal."""

    PLAIN = "plain"
    WRONG = "wrong"
    """It went wrong, and no error said so."""
    FAILED = "failed"
    """It failed with an error."""
    CACHED = "cached"
    """It was answered with an earlier answer, and marked so."""


class Group(StrEnum):
    """What a line is about."""

    RESULT = "What was done"
    WRONG = "What went wrong, and no error said so"
    SAID = "What did not work, and was said"
    COST = "What it took"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    group: Group
    label: str
    values: Sequence[str]
    """What is shown for each run."""
    tones: Sequence[Tone]
    meaning: str
    """Exactly what was counted."""


_TOOK_NO_LONGER = "calls, failed ones included, took no longer, from when they were due."
_NUMBERS: Mapping[tuple[Group, Tone], Mapping[str, tuple[str, str]]] = {
    (Group.WRONG, Tone.WRONG): {
        "lost_rows": ("rows lost", "batch.put_item returned, no error ever named the row, and it is not in the table."),
        "counted_twice": (
            "counted twice",
            "Counters above 1. Each is incremented by one call, which the application makes once.",
        ),
        "lost_counts": ("answered, but not counted", "Counters at 0, although update_item returned."),
        "counted_unsaid": (
            "counted, but reported as failed",
            "update_item raised an error that does not say the write may have been applied, and it was.",
        ),
        "phantoms": ("'not found' of a row that is there", "get_item gave no Item, and no error."),
    },
    (Group.SAID, Tone.FAILED): {
        "failed_rows": (
            "rows failed with an error",
            "An error was raised about the row, and it is not in the table.",
        ),
        "failed_calls": (
            "calls failed with an error",
            (
                "get_item, update_item and query calls that raised. Those are among them that an open circuit refused "
                "at once: this is what it does in an outage, in which boto3 makes its callers wait."
            ),
        ),
        "unsure_said": (
            "of these: perhaps counted",
            "update_item raised an error that says the write may have been applied (error.resilience.ambiguous).",
        ),
    },
    (Group.SAID, Tone.CACHED): {
        "cached": (
            "reads answered from cache",
            "Reads answered with an earlier answer, and marked as stale (fallback.stale).",
        ),
    },
}
"""The numbers that are shown, by their fields in a `Tally`: the label, and exactly what was counted."""


def figures(tallies: Sequence[Tally]) -> list[Figure]:
    """Return the lines for these runs, group by group."""

    def line(group: Group, label: str, text: Callable[[Tally], str], meaning: str) -> Figure:
        values = [text(tally) for tally in tallies]
        return Figure(group=group, label=label, values=values, tones=[Tone.PLAIN] * len(tallies), meaning=meaning)

    def number(group: Group, tone: Tone, name: str, label: str, meaning: str) -> Figure:
        numbers = [getattr(tally, name) for tally in tallies]
        tones = [tone if value else Tone.PLAIN for value in numbers]
        return Figure(
            group=group, label=label, values=[f"{value:,}" for value in numbers], tones=tones, meaning=meaning
        )

    lines = [
        line(
            Group.RESULT,
            "rows written",
            lambda tally: f"{tally.written:,} of {tally.rows:,}",
            "Rows that are in the table afterwards, read from the emulator itself.",
        ),
        *(number(*kind, name, *words) for kind, numbers in _NUMBERS.items() for name, words in numbers.items()),
    ]
    if any(tally.skipped for tally in tallies):
        why = "No worker was free before time ran out."
        lines.append(number(Group.SAID, Tone.FAILED, "skipped", "calls never made", why))
    costs: Sequence[tuple[str, Callable[[Tally], str], str]] = (
        ("requests sent", lambda tally: f"{tally.requests:,}", "All requests on the wire, retries included."),
        (
            "of these: in the outage",
            lambda tally: f"{tally.outage_requests:,}",
            "Requests sent to a service that could not answer.",
        ),
        ("time", lambda tally: f"{tally.seconds:.1f} s", "From the first row to the last call or row."),
        ("median wait", lambda tally: duration(tally.p50), f"Half of the {_TOOK_NO_LONGER}"),
        ("p99 wait", lambda tally: duration(tally.p99), f"99% of the {_TOOK_NO_LONGER}"),
    )
    return [*lines, *(line(Group.COST, *cost) for cost in costs)]


def headline(tallies: Sequence[Tally]) -> str:
    """Return how often each client was wrong without a word."""
    first, *others = [f"{short_name(tally.client)} was wrong {counted(tally.wrong, 'time')}" for tally in tallies]
    return " ".join([f"{first}, and no error said so.", *(f"{other}." for other in others)])


def summary(tally: Tally) -> str:
    """Return what came of one run, in one or two sentences."""
    wrong = [
        f"{counted(number, noun)} {words}"
        for number, noun, words in (
            (tally.lost_rows, "row", "lost"),
            (tally.counted_twice, "call", "counted twice"),
            (tally.lost_counts, "call", "answered and not counted"),
            (tally.counted_unsaid, "call", "counted and reported as failed"),
            (tally.phantoms, "time", "'not found' of a row that is there"),
        )
        if number
    ]
    said = [
        f"{counted(number, noun)} {words}"
        for number, noun, words in (
            (tally.failed_calls, "call", "failed with an error"),
            (tally.cached, "read", "came from cache, marked so"),
        )
        if number
    ]
    return (
        f"{short_name(tally.client)}: {', '.join(wrong) or 'nothing went wrong without a word'}. "
        f"{', '.join(said) or 'No call failed'}. Half of the calls waited {duration(tally.p50)} or less."
    )


def short_name(client: str) -> str:
    """Return a client's name without its version."""
    return client.split(" ", 1)[0]


def duration(seconds: float) -> str:
    """Write a time as a person would."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
