"""What happened, in frozen words: what a failure is, and what observers are told.

Events are without item values or credentials: names, numbers and codes only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeVar, dataclass_transform

__all__ = [
    "AnyEvent",
    "AttemptEvent",
    "CallEndEvent",
    "CircuitEvent",
    "ErrorKind",
    "Event",
    "FallbackEvent",
    "Observer",
    "Outcome",
    "Record",
    "RetryEvent",
    "StopReason",
    "ThrottlingReason",
]


_Class = TypeVar("_Class")


class ErrorKind(StrEnum):
    """What a failure is. Compares equal to its word: `verdict.kind == "throttling"`."""

    THROTTLING = "throttling"
    """Refused for now, and surely not applied: a capacity, a quota, a rate."""
    TRANSIENT = "transient"
    """Failed without having been applied (or a read failed, which changes nothing): may work the next time."""
    AMBIGUOUS = "ambiguous"
    """A write that failed and may have been applied all the same."""
    CONDITIONAL = "conditional"
    """The application's own condition did not hold: an answer, not a failure."""
    PERMANENT = "permanent"
    """Will fail again in the same way."""


class StopReason(StrEnum):
    """Why no further attempt was made. Compares equal to its word: `facts.stopped_by == "max_attempts"`."""

    NOT_RETRYABLE = "not_retryable"
    """The failure is permanent, or an answer: the same request would fail in the same way."""
    AMBIGUOUS = "ambiguous"
    """A write that is not safe to repeat may have been applied."""
    MAX_ATTEMPTS = "max_attempts"
    """The policy's attempts were used up."""
    BUDGET = "budget"
    """The retry budget was used up."""
    DEADLINE = "deadline"
    """The deadline had passed, or comes before the next attempt."""
    CIRCUIT = "circuit"
    """The circuit is open."""


class Outcome(StrEnum):
    """How a call ended. Compares equal to its word: `event.outcome == "own_write_found"`."""

    SUCCESS = "success"
    """With DynamoDB's response."""
    OWN_WRITE_FOUND = "own_write_found"
    """With success: the condition of a write that was sent again failed because of its own first sending."""
    FALLBACK = "fallback"
    """With a fallback's answer."""
    ERROR = "error"
    """With an error."""
    CANCELLED = "cancelled"
    """From outside: a task was cancelled, or Ctrl-C was pressed."""


class _Explained:
    """The docstring of a class whose fields `help()` explains too: read from its source as somebody asks for it."""

    __slots__ = ("_text",)

    def __init__(self, text: str | None) -> None:
        self._text = text

    def __get__(self, instance: object, owner: type) -> str:
        import inspect  # noqa: PLC0415 - only where somebody reads it

        text = inspect.cleandoc(self._text or "")
        fields = "".join(
            f"\n    {name}: {kind}\n        {' '.join(meaning.split())}"
            for name, (kind, meaning) in fields_of(owner).items()
        )
        return f"{text}\n\n{FIELDS}{fields}" if fields else text


FIELDS = "Fields:"
"""What begins the part of a docstring that is about fields."""


def explained(cls: type[_Class]) -> type[_Class]:
    """Make `help()` explain the fields of a class, as its source does."""
    cls.__doc__ = _Explained(cls.__doc__)  # type: ignore[assignment]  # it is text to those who read it
    return cls


def fields_of(cls: type) -> dict[str, tuple[str, str]]:
    """Return the public fields of a class and its bases by name: their types and meaning, as the source says them.

    There are none if Python does not find the source.
    """
    import ast  # noqa: PLC0415 - only where somebody reads it
    import inspect  # noqa: PLC0415 - as above
    import textwrap  # noqa: PLC0415 - as above

    found: dict[str, tuple[str, str]] = {}
    for home in reversed(cls.__mro__):
        try:
            [made] = ast.parse(textwrap.dedent(inspect.getsource(home))).body
        except (OSError, TypeError, SyntaxError, ValueError):  # of Python's own, or not there
            continue
        body = getattr(made, "body", [])
        for field, after in zip(body, [*body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            name, kind = field.target.id, ast.unparse(field.annotation)
            if not name.startswith("_") and not kind.startswith("ClassVar"):
                value = getattr(getattr(after, "value", None), "value", None)
                found[name] = (kind, value if isinstance(after, ast.Expr) and isinstance(value, str) else "")
    return found


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record:
    """A frozen value of the facts that its annotations name: given by keyword, compared and printed by all of them.

    Events are made on each call that somebody observes. A frozen dataclass of 14 fields takes ten times as long to
    make. It takes longer to define than all of this module takes to load: each one is compiled anew as it is
    imported.
    """

    __slots__ = ("_facts",)
    _facts: Mapping[str, Any]
    _names: ClassVar[tuple[str, ...]] = ()
    _known: ClassVar[frozenset[str]] = frozenset()
    _defaults: ClassVar[Mapping[str, Any]] = {}
    _unprinted: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        """Learn the names of the facts, and what they are if nothing is said."""
        explained(cls)
        own = vars(cls).get("__annotations__", ())
        cls._names = tuple(dict.fromkeys((*cls._names, *own)))
        cls._known = frozenset(cls._names)
        defaults = {name: vars(cls)[name] for name in own if name in vars(cls)}
        cls._defaults = {**cls._defaults, **defaults}
        for name in defaults:
            delattr(cls, name)  # it would stand before the fact

    def __init__(self, **facts: Any) -> None:
        """Make it of all facts, by name; those that have a default may be left out."""
        if self._defaults:
            facts = {**self._defaults, **facts}
        if facts.keys() != self._known:
            wanted = ", ".join(self._names)
            raise TypeError(f"{type(self).__name__} takes {wanted}, each by name; got {', '.join(facts) or 'nothing'}")
        _set_facts(self, facts)

    if not TYPE_CHECKING:  # a checker knows the annotations

        def __getattr__(self, name: str) -> Any:
            if name not in self._known:
                raise AttributeError(f"{type(self).__name__} has no {name!r}", name=name, obj=self)
            return self._facts[name]

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} can't be set", name=name, obj=self)

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} can't be deleted", name=name, obj=self)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._facts == other._facts

    def __hash__(self) -> int:
        return hash((type(self), *map(self._facts.__getitem__, self._names)))

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={self._facts[name]!r}" for name in self._names if name not in self._unprinted)
        return f"{type(self).__name__}({facts})"

    def as_dict(self) -> dict[str, Any]:
        """Return the facts by their names."""
        return dict(self._facts)

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Self:
        """Return one of facts that are known to be all of its own, and nobody else's: in a third of the time."""
        record = object.__new__(cls)
        _set_facts(record, facts)
        return record

    def replaced(self, **facts: Any) -> Self:
        """Return one with other facts in the place of those of the same names."""
        return type(self)(**{**self._facts, **facts})

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._names]

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), dict(self._facts))


_set_facts = Record.__dict__["_facts"].__set__


def _made(cls: type[Record], facts: dict[str, Any]) -> Record:
    return cls(**facts)


class ThrottlingReason(Record):
    """One limit that DynamoDB says was met."""

    reason: str
    """For example `TableReadKeyRangeThroughputExceeded`."""
    resource: str
    """The ARN of the table or index; empty if it was not told."""

    @property
    def is_hot_partition(self) -> bool:
        """Return whether one key range is meant, not the table."""
        return "KeyRange" in self.reason


class Event(Record):
    """What all events tell."""

    table: str | None
    """The table's name, or None if the call names none, or several."""
    operation: str
    """The operation, as the service spells it: `GetItem`."""

    def as_dict(self) -> dict[str, Any]:
        """Return the facts by their names, flat and for `json.dumps`: `event` is the class, codes are text."""
        return {"event": type(self).__name__, **{name: _flat(self._facts[name]) for name in self._names}}


def _flat(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return ", ".join(reason.reason for reason in value)
    return value


class CallStartEvent(Event):
    """A call began: nothing was sent yet."""

    call: int
    """The call's number in this process: the same in all its events."""


class AttemptEvent(Event):
    """One request came to its end, well or badly."""

    call: int
    """The call's number in this process."""
    attempt: int
    """The request's number within its call, from 1."""
    elapsed: float
    """Seconds that the request took."""
    kind: ErrorKind | None
    """What its failure was; None if it succeeded."""
    code: str | None
    """The service's error code, or the transport error's class; None if it succeeded."""
    request_id: str | None
    """The service's id of the request, if it answered."""


class RetryEvent(Event):
    """Another request was scheduled."""

    call: int
    """The call's number in this process."""
    attempt: int
    """The number of the request that failed."""
    kind: ErrorKind
    """What its failure was."""
    code: str
    """The service's error code, or the transport error's class."""
    delay: float
    """Seconds until the next one."""


class BudgetEvent(Event):
    """A retry was refused: the retry budget is used up."""

    call: int
    """The call's number in this process."""
    budget: str
    """Whose budget it is: `table/read`, `table/write` or `table/control`."""
    hot_partition: bool
    """Whether it is that of a hot partition's retries, which pay apart."""


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
    forced: bool
    """True if a person holds it in the new state. See `resilient_ddb.circuits`."""


RELEASED = "released"
"""The reason of the change by which a person releases a circuit."""


class FallbackEvent(Event):
    """A fallback was asked."""

    call: int
    """The call's number in this process."""
    fallback: str
    """The fallback's name."""
    answered: bool
    """False if it had no answer, or failed."""


class CallEndEvent(Event):
    """A call came to its end."""

    call: int
    """The call's number in this process."""
    outcome: Outcome
    """How it ended."""
    kind: ErrorKind | None
    """What the last failure was; None if there was none."""
    code: str | None
    """The code of the error that it ended in, or its class; None if it ended in none."""
    stopped_by: StopReason | None
    """Why no further attempt was made; None if the last one succeeded, or none was made."""
    attempts: int
    """Requests that were begun."""
    elapsed: float
    """Seconds from start to end, waits included."""
    ambiguous: bool
    """True if the call failed, and a write may have been applied although its reply was lost."""
    consumed_capacity: float | None
    """Capacity units that DynamoDB told, where `ReturnConsumedCapacity` asked for them."""
    request_id: str | None
    """The service's id of the last request, if it answered."""
    throttling_reasons: tuple[ThrottlingReason, ...]
    """What DynamoDB named as the limits that were met, if it did."""
    index: str | None
    """The index that was asked; None: the table."""
    region: str | None
    """The client's region."""
    response_bytes: int
    """Bytes of the last response's body."""
    shard: int | None = None
    """The number of the shard that was asked. None: it is no sharded table's call, or one about several shards."""


class WaitEvent(Event):
    """A batch, or a read at a stated rate, is about to wait."""

    seconds: float
    """For how long."""
    waits_for: str
    """`rate`: for units of a stated rate. `pass`: after a pass in which requests were left undone."""


class RateEvent(Event):
    """A batch writer goes slower, because DynamoDB throttles, or faster again."""

    old_rate: float
    """Capacity units a second before."""
    new_rate: float
    """Capacity units a second from now on."""


class BatchEvent(Event):
    """A batch was answered, or failed: how far its writer has come."""

    written: int
    """Requests of this batch that were written."""
    left: int
    """Requests of this batch that were not: they are sent again, or refused."""
    total_written: int
    """Requests that this writer has written so far."""
    waiting: int
    """Requests that wait to be sent."""
    rate: float | None
    """Capacity units a second that the writer keeps to; None if no rate is held."""


class UnprocessedEvent(Event):
    """A batch writer gave up: requests are not surely written."""

    requests: int
    """How many."""
    code: str
    """Why: the code of the error behind it, or its class."""


AnyEvent = (
    CallStartEvent
    | AttemptEvent
    | RetryEvent
    | BudgetEvent
    | CircuitEvent
    | FallbackEvent
    | CallEndEvent
    | WaitEvent
    | RateEvent
    | BatchEvent
    | UnprocessedEvent
)
Observer = Callable[[AnyEvent], object]
"""Called with each event, on the thread or loop of the call: it should be quick. What it raises is logged once and
otherwise ignored."""


def __dir__() -> list[str]:
    return sorted(__all__)
