"""What is done and what goes wrong: one plan, drawn from a seed, that both clients meet. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from resilient_ddb.testing import faults

from .airports import Row

FULL_SECONDS = 11.0
"""How long calls are made for, with the whole data set."""
LEAST_SECONDS = 6.0
"""How long calls are made for, with a handful of records: long enough to see the outage end."""
FULL_RECORDS = 3376
LOADED_SHARE = 0.7
"""The share of the rows that is loaded at first; the others arrive while calls are made."""
POPULAR = 60
"""How many rows are read again and again, as some always are."""
CALLS_PER_SECOND = 100.0
WORKERS = 16
LOADERS = 4


class Verb(StrEnum):
    """What a call does."""

    GET = "get_item"
    COUNT = "update_item"
    QUERY = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One call that the application is going to make."""

    due: float
    """Seconds after the calls begin."""
    verb: Verb
    state: str
    iata: str
    """The airport: its code, with `state` the key of its row."""
    counter: str
    """For a COUNT: the name of a counter that no other call touches."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Everything that is the same for both clients."""

    seed: int
    """Where chance comes from: which rows are read, and which requests meet trouble."""
    loaded: Sequence[Row]
    """Rows that are written at first, as fast as it goes."""
    arriving: Sequence[Row]
    """Rows that are written while the calls are made, evenly over their time."""
    calls: Sequence[Planned]
    """The calls, in the order in which they are due."""
    seconds: float
    """How long calls are made for."""
    outage_start: float
    """Seconds after the calls begin."""
    outage_seconds: float = 3.0
    calls_per_second: float = CALLS_PER_SECOND

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return len(self.loaded) + len(self.arriving)

    def load_faults(self) -> list[faults.Fault]:
        """Return what goes wrong while the first rows are loaded."""
        batches = {"BatchWriteItem"}
        return [
            faults.Throttle(operations=batches, rate=0.15),
            faults.LoseReply(operations=batches, rate=0.03),
            faults.Unprocessed(rate=0.2, share=0.4),
        ]

    def call_faults(self) -> list[faults.Fault]:
        """Return what goes wrong while calls are made."""
        return [
            faults.Outage(start=self.outage_start, duration=self.outage_seconds),
            faults.Throttle(rate=0.05),
            faults.LoseReply(operations={"UpdateItem"}, rate=0.05),
            faults.LoseReply(operations={"BatchWriteItem"}, rate=0.03),
            faults.TruncateBody(operations={"GetItem"}, rate=0.015),
            faults.BadJson(operations={"GetItem"}, rate=0.015),
        ]


def make_scenario(rows: Sequence[Row], seed: int, calls_per_second: float = CALLS_PER_SECOND) -> Scenario:
    """Lay the plan: which rows come when, and which calls are made. At another pace they are the same calls."""
    dice = random.Random(seed)  # noqa: S311 - seeded so that a run can be repeated
    mixed = dice.sample(list(rows), len(rows))
    cut = max(1, round(len(mixed) * LOADED_SHARE))
    share = min(1.0, len(rows) / FULL_RECORDS)
    count = round((LEAST_SECONDS + (FULL_SECONDS - LEAST_SECONDS) * share) * CALLS_PER_SECOND)
    seconds = count / calls_per_second
    return Scenario(
        seed=seed,
        loaded=mixed[:cut],
        arriving=mixed[cut:],
        calls=_plan_calls(mixed[:cut], count, calls_per_second, dice),
        seconds=seconds,
        outage_start=seconds / 4,
        calls_per_second=calls_per_second,
    )


def _plan_calls(rows: Sequence[Row], count: int, per_second: float, dice: random.Random) -> list[Planned]:
    popular = dice.sample(list(rows), min(POPULAR, len(rows)))
    verbs = dice.choices([Verb.GET, Verb.COUNT, Verb.QUERY], weights=[62, 35, 3], k=count)
    calls = []
    for number, verb in enumerate(verbs):
        row = dice.choice(popular)
        calls.append(
            Planned(
                due=number / per_second,
                verb=verb,
                state=row["state"],
                iata=row["iata"],
                counter=f"visit-{number:05}",
            )
        )
    return calls
