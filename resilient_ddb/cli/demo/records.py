"""What is written down during a run: plain values, from which everything that is shown is counted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .scenario import Verb


class Outcome(StrEnum):
    """How a call ended, as the application saw it."""

    OK = "ok"
    CACHED = "from cache"
    """Answered with an earlier answer, and marked as such."""
    PHANTOM = "phantom"
    """No item and no error, although the row is there."""
    FAILED = "failed"
    """It raised an error."""
    SKIPPED = "skipped"
    """Never made: all workers were still busy with earlier calls when time ran out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call of the application. Times are seconds after the run began."""

    verb: Verb
    counter: str
    """The counter that it adds one to, if it is a COUNT."""
    due: float
    """When the application wanted to make it."""
    ended: float
    outcome: Outcome
    error: str = ""
    """The class of the error that it raised."""
    ambiguous: bool = False
    """Whether the error said that the write may have been applied."""

    @property
    def wait(self) -> float:
        """How long the application waited for it, in seconds: from when it was due."""
        return self.ended - self.due


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request that was sent."""

    at: float
    """Seconds after the run began."""
    fault: str | None
    """The fault that it met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRecord:
    """A circuit changed its state."""

    at: float
    """Seconds after the run began."""
    circuit: str
    """`airports/read` and the like."""
    state: str
    """`closed`, `open` or `half-open`."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run: the whole scenario with one client. Times are seconds after it began."""

    client: str
    """`boto3 1.43.117` and the like."""
    rows: frozenset[str]
    """The rows that were handed to the batch writer, by code."""
    told: frozenset[str]
    """The rows that an error was raised about."""
    found: frozenset[str]
    """The rows that are in the table afterwards, read without the proxy."""
    counters: Mapping[str, int]
    """What the counters stand at afterwards, read without the proxy."""
    calls: Sequence[CallRecord]
    requests: Sequence[RequestRecord]
    circuits: Sequence[CircuitRecord]
    loaded_at: float
    """When the first rows were loaded."""
    calls_from: float
    """When calls began; in between the table was read back."""
    outage: tuple[float, float]
    """When the outage began and ended."""
    ended_at: float
    """When the last call, and the last row, was done."""

    @property
    def busy_seconds(self) -> float:
        """How long the work took, without reading the table back."""
        return self.loaded_at + self.ended_at - self.calls_from
