"""What observers are told. Frozen, and without item values or credentials: names, numbers and codes only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .classification import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events tell."""

    table: str | None
    """The table's name, or None where the call names none, or several."""
    operation: str
    """The operation, as the service spells it: `GetItem`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEvent(Event):
    """One request came to its end, well or badly."""

    attempt: int
    """The request's number within its call, from 1."""
    elapsed: float
    """Seconds that the request took."""
    kind: Kind | None
    """What its failure was; None where it succeeded."""
    code: str | None
    """The service's error code, or the transport error's class; None where it succeeded."""
    request_id: str | None
    """The service's id of the request, if it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryEvent(Event):
    """Another request was scheduled."""

    attempt: int
    """The number of the request that failed."""
    kind: Kind
    """What its failure was."""
    code: str
    """The service's error code, or the transport error's class."""
    delay: float
    """Seconds until the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitEvent(Event):
    """A circuit changed its state."""

    circuit: str
    """The circuit's name: `table/read`, `table/write` or `table/control`."""
    old_state: str
    """`closed`, `open` or `half-open`."""
    new_state: str
    """`closed`, `open` or `half-open`."""
    reason: str
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackEvent(Event):
    """A fallback was asked."""

    fallback: str
    """The fallback's name."""
    answered: bool
    """False where it had no answer, or failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEndEvent(Event):
    """A call came to its end."""

    outcome: str
    """`success`, `own write found` (a lost reply's write was recognised), `fallback`, `error` or `cancelled`."""
    kind: Kind | None
    """What the last failure was; None where there was none."""
    attempts: int
    """Requests that were begun."""
    elapsed: float
    """Seconds from start to end, waits included."""
    ambiguous: bool
    """True where the call failed, and a write may have been applied although its reply was lost."""
    consumed_capacity: float | None
    """Capacity units that DynamoDB told, where `ReturnConsumedCapacity` asked for them."""


AnyEvent = AttemptEvent | RetryEvent | CircuitEvent | FallbackEvent | CallEndEvent
Observer = Callable[[AnyEvent], object]
"""Called with each event, on the thread or loop of the call: it should be quick. What it raises is logged once and
otherwise ignored."""
