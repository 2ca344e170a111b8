"""Which fault a request meets, and what that does to it: decided here, carried out by the proxy. Pure."""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from resilient_ddb.dynamodb.operations import PARTIQL, READS, WRITES
from resilient_ddb.policy.base import Settings
from resilient_ddb.policy.checks import check_whole

if TYPE_CHECKING:
    from .calls import Call, Part
    from .messages import Response


_OF_ITEMS = READS | WRITES | PARTIQL
_OF_TABLES = re.compile(
    r"(Create|Delete(?!Item)|Describe|Disable|Enable|Export|Get(?!Item)|Import|List|Put(?!Item)|Restore|Tag|Untag|"
    r"Update(?!Item)|Start|Cancel)([A-Z][a-z]+)+"
)


class End(Enum):
    """How a connection ends, or does not, where the client gets no answer."""

    RESET = "reset"
    CLOSE = "close"
    HANG = "hang"


Answer: TypeAlias = "Response | End"


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """Forward nothing; the client gets this."""

    answer: Answer


@dataclass(frozen=True, kw_only=True)
class Forward:
    """Forward the request, and turn the upstream's answer into the client's."""

    change: Callable[[Response], Answer] = lambda response: response
    body: bytes | None = None
    """What to forward in place of the request's own body."""
    delay: float = 0.0
    """Seconds to wait before forwarding."""


Act: TypeAlias = Refuse | Forward
Decision: TypeAlias = "Callable[[Call], Act | None]"


def check_number(name: str, value: object, low: float, high: float | None = None) -> None:
    """Refuse what is not a number from `low` to `high`, both included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number; got {value!r}")
    if not (low <= value and (high is None or value <= high)):
        limits = f"{low} or more" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be {limits}; got {value!r}")


def check_text(name: str, value: object) -> None:
    """Refuse what is not a string, or an empty one."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string; got {value!r}")
    if not value:
        raise ValueError(f"{name} must not be empty; got {value!r}")


def check_below_one(name: str, value: float) -> None:
    """Refuse what is not a number from 0 to below 1."""
    check_number(name, value, 0, 1)
    if value == 1:
        raise ValueError(f"{name} must be below 1; got {value!r}")


def check_bytes(name: str, value: object) -> None:
    """Refuse what is not bytes."""
    if not isinstance(value, bytes):
        raise TypeError(f"{name} must be bytes; got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Fault(Settings, ABC):
    """What every fault has: the choice of the requests that it hits.

    A request matches if its operation, its table and its key do. `rate` or `every` then says which of the
    matching requests are hit, and `times` how many at most. The defaults hit every request.

    Raises `ValueError` or `TypeError` for a setting that cannot be meant.
    """

    rate: float = 1.0
    """Probability, 0.0 to 1.0, drawn for each matching request in order of arrival from the proxy's seed."""
    every: int | None = None
    """Hit each n-th matching request instead (1 or more). None, the default: `rate` decides."""
    times: int | None = None
    """Hit so many requests at most. None, the default: no limit."""
    operations: Collection[str] | None = None
    """Names of the API's operations, such as `{"GetItem"}`. None, the default: all that the fault fits."""
    table: str | None = None
    """A table's name. None, the default: any. A batch or a transaction matches if one entry does."""
    key: Mapping[str, Any] | None = None
    """Attribute values in wire format, such as `{"pk": {"S": "hot"}}`, that the request's `Key` or `Item`
    holds, or that of one entry of a batch or a transaction. None, the default: any. Queries, scans and
    PartiQL have neither, and never match a key."""

    fits: ClassVar[frozenset[str] | None] = None
    """The operations that this kind of fault can happen to. None: all."""

    def __post_init__(self) -> None:
        check_number("rate", self.rate, 0, 1)
        if self.every is not None:
            check_whole("every", self.every, least=1)
            if self.rate != 1:
                raise ValueError(f"give rate or every, not both; got {self.rate!r} and {self.every!r}")
        if self.times is not None:
            check_whole("times", self.times, least=0)
        if self.table is not None:
            check_text("table", self.table)
        if self.key is not None and not _is_typed(self.key):
            raise TypeError(f'key must be wire values such as {{"pk": {{"S": "a"}}}}; got {self.key!r}')
        self._check_operations()
        self._check()

    def _check(self) -> None:
        """Check the settings that a kind of fault adds."""

    def _check_operations(self) -> None:
        if self.operations is None:
            return
        if isinstance(self.operations, str) or not isinstance(self.operations, Collection):
            raise TypeError(f'operations must be a set of names such as {{"GetItem"}}; got {self.operations!r}')
        for name in self.operations:
            if not isinstance(name, str) or not (name in _OF_ITEMS or _OF_TABLES.fullmatch(name)):
                raise ValueError(f"operations must be the API's own names such as 'GetItem'; got {name!r}")
        if self.fits is not None and not self.fits.issuperset(self.operations):
            raise ValueError(
                f"operations must be among {sorted(self.fits)} for {type(self).__name__}; got {sorted(self.operations)}"
            )

    def matches(self, call: Call, /) -> bool:
        """Return whether the request is one that this fault may hit."""
        if self.fits is not None and call.operation not in self.fits:
            return False
        if self.operations is not None and call.operation not in self.operations:
            return False
        if self.table is None and self.key is None:
            return True
        return any(self._matches_part(part) for part in call.parts)

    def _matches_part(self, part: Part) -> bool:
        if self.table is not None and part.table != self.table:
            return False
        return all(part.values.get(name) == value for name, value in (self.key or {}).items())

    @abstractmethod
    def act(self, call: Call, /) -> Act | None:
        """Return what happens to a request that is hit; None if it turns out to go unharmed."""

    def fresh(self) -> Decision:
        """Return what decides for one plan. A fault that remembers starts with an empty memory here."""
        return self.act


class _Armed:
    """One fault of a running plan, with its counters."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._decide = fault.fresh()
        self._matched = 0
        self._hit = 0

    def act(self, call: Call, dice: random.Random) -> Act | None:
        fault = self.fault
        if self._hit == fault.times or not fault.matches(call):
            return None
        self._matched += 1
        chosen = dice.random() < fault.rate if fault.every is None else self._matched % fault.every == 0
        act = self._decide(call) if chosen else None
        if act is not None:
            self._hit += 1
        return act


class Plan:
    """A sequence of faults and its counters. The first fault that matches and hits decides."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        if not isinstance(faults, Sequence):
            raise TypeError(f"plan must be a list of faults; got {faults!r}")
        for fault in faults:
            if not isinstance(fault, Fault):
                raise TypeError(f"plan must hold faults such as faults.Throttle(); got {fault!r}")
        self.faults = tuple(faults)
        self._armed = [_Armed(fault) for fault in self.faults]
        self._dice = random.Random(seed)  # noqa: S311 - seeded so that a run can be repeated

    def decide(self, call: Call) -> tuple[Act, str | None]:
        """Return what to do with the request, and the name of the fault that says so."""
        for armed in self._armed:
            act = armed.act(call, self._dice)
            if act is not None:
                return act, type(armed.fault).__name__
        return Forward(), None


def _is_typed(key: Any) -> bool:
    """Return whether a key's values are those of the wire: `{"S": "a"}`."""
    return isinstance(key, Mapping) and all(isinstance(value, Mapping) and len(value) == 1 for value in key.values())
