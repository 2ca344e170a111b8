"""The state of a hardened client, as a value: for a health endpoint, and for a person at 3 a.m."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from resilient_ddb.events import ErrorKind, explained
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.policy import Policy

from .targets import Target, target_of

if TYPE_CHECKING:
    from resilient_ddb.calls.circuit import Held
    from resilient_ddb.calls.core import Core, Lane

_SHOWN_AS_THEY_ARE = (str, int, float, bool, type(None))


@explained
@dataclass(frozen=True, kw_only=True)
class CircuitStatus:
    """One circuit."""

    name: str
    """`table/read`, `table/write` or `table/control`."""
    state: str
    """`closed`, `open` or `half-open`."""
    reason: str
    """Why it is in that state; empty if it is closed, and not forced."""
    forced: bool
    """Whether a person holds it in that state. See `resilient_ddb.circuits`."""
    forced_is_shared: bool
    """Whether that would hold in other processes as well: the circuit breaker's storage shares it.

    Before the circuit's first call it is False: nothing is shared until then.
    """
    own_policy: bool
    """Whether it is that of a Table with a policy of its own, which is apart from the client's of the same name."""
    calls: int
    """Attempts that lie in its window."""
    failures: int
    """Those of them that failed."""
    retry_after: float | None
    """Seconds until it lets a probe through; None unless it is open, and not forced."""


@explained
@dataclass(frozen=True, kw_only=True)
class BudgetStatus:
    """The retry budget of one table and kind of operation."""

    name: str
    """`table/read`, `table/write` or `table/control`."""
    tokens: float
    """Retries left now."""
    capacity: float
    """Retries that it holds at most."""
    own_policy: bool
    """Whether it is that of a Table with a policy of its own, which is apart from the client's of the same name."""


@explained
@dataclass(frozen=True, kw_only=True)
class ConnectionStatus:
    """The connections of the client."""

    in_use: int
    """Those with a request under way."""
    idle: int
    """Those that wait for one."""


@explained
@dataclass(frozen=True, kw_only=True)
class TimeoutStatus:
    """The timeouts of each request, in seconds; None for one that never ends by itself."""

    connect: float | None
    """To make a connection in."""
    read: float | None
    """Without a byte of the response."""


@explained
@dataclass(frozen=True, kw_only=True)
class WriterStatus:
    """A batch writer."""

    rate: float | None
    """Write capacity units a second that it keeps to now; None if no rate is held."""
    stated_rate: float | None
    """What it was told to keep to, or its share of that."""
    lowered_by: float
    """By what share of the stated rate it goes slower, because DynamoDB throttles: 0.3 for 30 percent; 0.0 if not."""
    waiting: int
    """Requests that are not surely written: buffered, under way, or refused."""


@explained
@dataclass(frozen=True, kw_only=True)
class StaleStatus:
    """The memory of one `fallback.stale`."""

    answers: int
    """Answers that are kept."""
    size: int
    """Bytes that they take, about."""
    max_bytes: int
    """Bytes that they may take."""


@explained
@dataclass(frozen=True, kw_only=True)
class LastError:
    """The last failed attempt of one kind."""

    code: str
    """The service's error code, or the transport error's class."""
    time: float
    """When, in seconds since the epoch (UTC)."""


@explained
@dataclass(frozen=True, kw_only=True)
class FastPathStatus:
    """How a client's requests went: over this library's own transport, or over the SDK's."""

    is_on: bool
    """Whether the client has the fast path."""
    reason: str | None
    """Why it has none; None if it has."""
    taken: int
    """Requests that took it."""
    declined: Mapping[str, int]
    """Requests that went the SDK's own way, by reason."""
    calls: int
    """Calls that went past the SDK's inside as well."""
    calls_declined: Mapping[str, int]
    """Calls of the same operations that went through it, by reason."""


@explained
@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of a hardened client. Holds names, numbers and codes: no values of items, and no credentials."""

    policy: Policy
    """How calls are made."""
    timeouts: TimeoutStatus | None
    """The timeouts that hold: the policy's, or those of a Config that wins. None if the client is not open."""
    circuits: tuple[CircuitStatus, ...]
    """Those that have had a call, or that a person holds, by name.

    Of a client or resource: all there are. A Table with a policy of its own has circuits of its own, so a name may be
    there more than once: the client's first, then those with `own_policy`. Of such a Table: its own only. Of any
    other Table: those of the client's policy, of all tables.
    """
    budgets: tuple[BudgetStatus, ...]
    """The retry budgets, by name, of the same tables."""
    connections: ConnectionStatus | None
    """The connections; None if the client is not open, or its HTTP library does not tell."""
    fast_path: FastPathStatus | None
    """Whether plain requests take the fast path, and why not; None if the client was never open."""
    writer: WriterStatus | None
    """The batch writer that was asked about; None for any other target."""
    stale: tuple[StaleStatus, ...]
    """The memories of the client's `fallback.stale`."""
    last_errors: Mapping[ErrorKind, LastError]
    """The last failed attempt of each kind."""

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for `json.dumps`. Objects that are given to a policy are shown by their class."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


@names_checked
def status(target: Any) -> Status:
    """Return the state of a hardened Table, client, resource or batch writer, as it is now.

    It asks DynamoDB nothing, and waits for no call. A module-level async Table may be asked before it is open.

    Raises:
        TypeError: the target is not hardened.
    """
    found = target_of(target, "status")
    core = found.core
    if core is None:
        return _unopened(found)
    lanes = _lanes(found, core)
    circuits = [
        CircuitStatus(**circuit.facts(), own_policy=is_own)
        for lane, is_own in lanes
        if (circuit := lane.circuit) is not None
    ]
    return Status(
        policy=core.policy,
        timeouts=_timeouts(found, core),
        circuits=_with_held(circuits, core.forced, found.table if core.own_policy is not None else None),
        budgets=tuple(
            BudgetStatus(name=lane.name, tokens=budget.tokens, capacity=budget.capacity, own_policy=is_own)
            for lane, is_own in lanes
            if (budget := lane.budget) is not None
        ),
        connections=_connections(found),
        fast_path=_fast_path(found),
        writer=_writer(found),
        stale=_memories(core),
        last_errors={kind: LastError(code=code, time=time) for kind, (code, time) in list(core.last_errors.items())},
    )


def _unopened(found: Target) -> Status:
    own_policy = found.client.own_policy
    return Status(
        policy=found.client.policy or Policy(),
        timeouts=None,
        circuits=_with_held([], found.client.held, found.table if own_policy is not None else None),
        budgets=(),
        connections=None,
        fast_path=None,
        writer=_writer(found),
        stale=(),
        last_errors={},
    )


def _lanes(found: Target, core: Core) -> list[tuple[Lane, bool]]:
    """Return what is kept that a target stands for, by name, and whether it is for a Table with a policy of its own."""
    is_own = core.own_policy is not None
    lanes = [(lane, is_own) for lane in core.lanes()]
    if found.table is None and not is_own:
        lanes += [(lane, True) for lane in core.lanes_of_own_policies()]
    return sorted(lanes, key=lambda lane: lane[0].name)  # of one name, the client's stays first


def _with_held(circuits: list[CircuitStatus], held: Held, table: str | None) -> tuple[CircuitStatus, ...]:
    """Return circuits, and those that a person holds before a first call: of one table only, if one is given."""
    known = {circuit.name for circuit in circuits}
    beforehand = [
        CircuitStatus(
            name=name,
            state=forced.state,
            reason=forced.reason,
            forced=True,
            forced_is_shared=False,
            own_policy=table is not None,
            calls=0,
            failures=0,
            retry_after=None,
        )
        for name, forced in list(held.items())  # a copy: other threads may hold one meanwhile
        if name not in known and table in (None, name.rpartition("/")[0])
    ]
    return tuple(sorted([*circuits, *beforehand], key=lambda circuit: circuit.name))


def _clients(found: Target) -> list[Any]:
    """Return the clients behind a target: one on each event loop."""
    return found.client.clients() if "held" in vars(found.client) else [found.client]


def _timeouts(found: Target, core: Core) -> TimeoutStatus | None:
    own = core.timeouts
    if own is not None:
        return TimeoutStatus(connect=own.connect, read=own.read)
    clients = _clients(found)
    if not clients:
        return None
    config = clients[-1].meta.config
    return TimeoutStatus(connect=config.connect_timeout, read=config.read_timeout)


def _fast_path(found: Target) -> FastPathStatus | None:
    counters = [client._resilience.host.transport for client in _clients(found)]  # noqa: SLF001 - this library's own
    if not counters:
        return None
    declined: Counter[str] = Counter()
    calls_declined: Counter[str] = Counter()
    for each in counters:
        declined.update(dict(each.declined))
        calls_declined.update(dict(each.calls_declined))
    reason = counters[-1].absent
    return FastPathStatus(
        is_on=reason is None,
        reason=reason,
        taken=sum(each.taken for each in counters),
        declined=dict(declined),
        calls=sum(each.calls for each in counters),
        calls_declined=dict(calls_declined),
    )


def _connections(found: Target) -> ConnectionStatus | None:
    """Add up the connections of the clients behind a target."""
    counted = [client._resilience.host.counted(client) for client in _clients(found)]  # noqa: SLF001 - this library's own
    known = [both for both in counted if both is not None]
    if not known:
        return None
    return ConnectionStatus(in_use=sum(in_use for in_use, _ in known), idle=sum(idle for _, idle in known))


def _writer(found: Target) -> WriterStatus | None:
    if found.writer is None:
        return None
    rate, stated = found.writer.rates
    is_lower = rate is not None and stated is not None and rate < stated
    return WriterStatus(
        rate=rate,
        stated_rate=stated,
        lowered_by=1.0 - rate / stated if is_lower else 0.0,
        waiting=len(found.writer.unprocessed),
    )


def _memories(core: Core) -> tuple[StaleStatus, ...]:
    kept = [keeper() for keeper in list(core.keepers.values())]
    memories = [memory() for memory in (getattr(member, "memory", None) for member in kept) if memory is not None]
    return tuple(StaleStatus(answers=answers, size=size, max_bytes=most) for answers, size, most in memories)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, _SHOWN_AS_THEY_ARE):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(_plain(name)): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return getattr(value, "__name__", type(value).__name__)
