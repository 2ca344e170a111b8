"""Cuts a run into what is drawn of it: slots of time, and the states of its circuits. Pure.

All runs are told on one axis: seconds of work after the first call. The load comes before it, below zero, and the
time in which the table was read back is left out. So the outage is at the same place in each run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .records import CallRecord, CircuitRecord, Outcome, RunRecord
from .tally import calls_made, is_wrong

Span = tuple[str, float, float]
"""A state, from when, and until when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What ended, and was sent, in a short stretch of a run."""

    ok: int = 0
    cached: int = 0
    failed: int = 0
    """Calls that raised an error."""
    wrong: int = 0
    """Calls that went wrong, and no error said so. They are not among the others."""
    requests: int = 0
    longest: float | None = None
    """The longest wait, in seconds, of a call that ended in it."""

    @property
    def calls(self) -> int:
        """How many calls ended in it."""
        return self.ok + self.cached + self.failed + self.wrong


@dataclass(frozen=True, kw_only=True)
class Track:
    """What is drawn of one run. Times are seconds of work after the first call."""

    client: str
    begin: float
    """When the load began: zero or less."""
    end: float
    outage: tuple[float, float]
    width: float
    """The seconds of a slot."""
    first: int
    """The number of the first slot; slot 0 begins with the first call."""
    slots: Sequence[Slot]
    circuits: Mapping[str, Sequence[Span]]
    """The states of each circuit that changed its state, by name."""


def track(run: RunRecord, *, width: float) -> Track:
    """Cut a run into slots of `width` seconds."""

    def work(at: float) -> float:
        return at - run.calls_from if at >= run.calls_from else min(at - run.loaded_at, 0.0)

    begin, end = work(0.0), work(run.ended_at)
    first = math.floor(begin / width)
    number = max(1, math.ceil(end / width) - first)

    def slot_of(at: float) -> int:
        return min(max(math.floor(work(at) / width) - first, 0), number - 1)

    calls: list[list[CallRecord]] = [[] for _ in range(number)]
    requests = [0] * number
    for call in calls_made(run):
        calls[slot_of(call.ended)].append(call)
    for request in run.requests:
        requests[slot_of(request.at)] += 1
    return Track(
        client=run.client,
        begin=begin,
        end=end,
        outage=(work(run.outage[0]), work(run.outage[1])),
        width=width,
        first=first,
        slots=[_slot(made, sent, run) for made, sent in zip(calls, requests, strict=True)],
        circuits={
            name: [(state, work(since), work(until)) for state, since, until in spans(changes, run.ended_at)]
            for name, changes in _by_circuit(run.circuits).items()
        },
    )


def _slot(calls: Sequence[CallRecord], requests: int, run: RunRecord) -> Slot:
    right = [call.outcome for call in calls if not is_wrong(call, run)]
    return Slot(
        ok=right.count(Outcome.OK),
        cached=right.count(Outcome.CACHED),
        failed=right.count(Outcome.FAILED),
        wrong=len(calls) - len(right),
        requests=requests,
        longest=max((call.wait for call in calls), default=None),
    )


def _by_circuit(changes: Iterable[CircuitRecord]) -> dict[str, list[CircuitRecord]]:
    found: dict[str, list[CircuitRecord]] = {}
    for change in changes:
        found.setdefault(change.circuit, []).append(change)
    return dict(sorted(found.items()))


def spans(changes: Sequence[CircuitRecord], until: float) -> list[Span]:
    """Turn one circuit's changes into (state, from, to); it begins closed."""
    edges = [("closed", 0.0), *((change.state, change.at) for change in changes)]
    ends = [at for _, at in edges[1:]] + [until]
    return [(state, at, end) for (state, at), end in zip(edges, ends, strict=True)]
