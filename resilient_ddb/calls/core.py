"""What outlives a call: the circuits and budgets of one client, and whom to tell."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from resilient_ddb.dynamodb.operations import OF_ONE_ITEM, Params, operation_kind, table_of
from resilient_ddb.dynamodb.reserved import SHARD, VALUES
from resilient_ddb.events import RELEASED, CircuitEvent, ErrorKind
from resilient_ddb.fallback import Chain, Fallback, FallbackFunction
from resilient_ddb.policy.base import Settings
from resilient_ddb.policy.circuit_breaker import CircuitBreaker
from resilient_ddb.policy.forks import tell_child
from resilient_ddb.policy.living import living
from resilient_ddb.policy.policy import Policy, Timeouts
from resilient_ddb.policy.retry import TokenBucket

from .circuit import CLOSED, OPEN, Circuit, Forced, HealthSign, Held
from .flushing import flush_at_end

if TYPE_CHECKING:
    import pybreaker

    from resilient_ddb.events import AnyEvent

    from .classification import Classification
    from .options import TableOption

_MOST_HOT_KEYS = 1_000
_MOST_LANES = 2_000
_MOST_KNOWN = 5_000
_MOST_OWN = 500
_SUCCESS = HealthSign.SUCCESS
_TELLING_SECONDS = 0.1
"""What DynamoDB answers a call about one item within, if it is well: several times over. A deadline that cut an attempt
sooner says nothing of the table."""
_TELLING_SECONDS_OF_MANY = 1.0
"""The same for a page, a batch or a transaction: a megabyte takes its time."""
_log = logging.getLogger("resilient_ddb")
_telling: ContextVar[bool] = ContextVar("resilient_ddb.calls.telling", default=False)


class Host(Protocol):
    """What a core asks of the client that it serves: the rim's part."""

    @property
    def native(self) -> bool:
        """Whether the client takes and gives native values."""
        ...

    @property
    def region(self) -> str | None:
        """The region that the client asks."""
        ...

    def make_error(self, response: Mapping[str, Any], operation: str) -> Exception:
        """Return the client's own exception for an error response."""
        ...

    def as_given(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return an item of an error response in the values that the client gives."""
        ...

    def expire_credentials(self) -> None:
        """Ensure that the next request is signed with credentials that were fetched anew."""
        ...

    def identity(self) -> tuple[Any, ...]:
        """Return who asks whom: credentials, region, endpoint, and whether values are native."""
        ...

    def elsewhere(
        self, core: Core, operation: str, params: Mapping[str, Any], region: str, endpoint_url: str | None
    ) -> Any:
        """Make a call in another region, by the policy of `core`, and mark its answer."""
        ...

    def lead(self, key: Any, mark: object) -> Any:
        """Return when nobody else asks for `key`. See `single_flight`."""
        ...

    def landed(self, key: Any, mark: object) -> None:
        """End the turn of `mark`. See `single_flight`."""
        ...


class Lane:
    """What is kept for one table and operation kind."""

    __slots__ = ("_core", "_hot_budgets", "budget", "circuit", "hot_budget", "name", "table")

    def __init__(self, table: str | None, kind: str, core: Core) -> None:
        self.table = table
        self.name = circuit_name(table, kind)
        self._core = core
        self.circuit: Circuit | None = None
        self.budget: TokenBucket | None = None
        # A hot partition's retries are paid for apart, so that they can't use up those of all other keys.
        self.hot_budget: TokenBucket | None = None
        self._hot_budgets: dict[str, TokenBucket] = {}
        """Those of keys that were hot, as far as requests tell their key: one shard does not pay for another."""
        self.follow()

    def follow(self) -> None:
        """Go by the core's policy as it is now. What there is already, and is still asked for, keeps its state."""
        policy, clock = self._core.policy, self._core.clock
        settings = policy.circuit_breaker
        if settings is None:
            if self.circuit is not None and self.circuit.forced is None:  # what a person holds stays held
                self.circuit = None
        elif self.circuit is not None:
            self.circuit.follow(settings, clock, policy.uniform)
        else:
            self.circuit = self._make_circuit(settings, self._core)
        budget = policy.retry_budget
        if budget is None:
            self.budget = self.hot_budget = None
            self._hot_budgets.clear()
        elif self.budget is None:
            self.budget, self.hot_budget = TokenBucket(budget, clock), TokenBucket(budget, clock)
        else:
            for bucket in filter(None, (self.budget, self.hot_budget, *list(self._hot_budgets.values()))):
                bucket.follow(budget, clock)

    def _make_circuit(self, settings: CircuitBreaker, core: Core) -> Circuit:
        made = Circuit(self.name, settings, core.clock, core.policy.uniform, core.circuit_changed, _make_breaker)
        made.hold_by_name = core.force
        return made

    def hold(self, forced: Forced | None) -> None:
        """Hold the circuit in a state, or release it with None. Without circuit breakers, one is there only then."""
        if forced is not None:
            self._held_circuit().force(forced)
            return
        circuit = self.circuit
        if circuit is not None:
            circuit.force(None)
            if self._core.policy.circuit_breaker is None:
                self.circuit = None

    def begin_held(self, forced: Forced) -> None:
        """Begin with the circuit held in a state, of which observers were told before."""
        self._held_circuit().begin_forced(forced)

    # Another thread may take a circuit, or the budgets, away at any moment: each is looked at once.

    def _held_circuit(self) -> Circuit:
        circuit = self.circuit
        if circuit is None:
            circuit = self.circuit = self._make_circuit(CircuitBreaker(), self._core)
        return circuit

    def record(self, permit: int, verdict: Classification | None, elapsed: float, code: str) -> None:
        """Record with the circuit how an attempt ended: None for a success."""
        circuit = self.circuit
        if circuit is not None:
            circuit.record(permit, _sign_of(verdict, circuit.settings), elapsed, code)

    def record_cut(
        self, permit: int, verdict: Classification | None, elapsed: float, code: str, operation: str
    ) -> None:
        """Record an attempt that the deadline cut with the circuit, if it had the time that a healthy answer takes."""
        circuit = self.circuit
        if circuit is None:
            return
        slow = circuit.settings.slow_call_duration
        enough = _TELLING_SECONDS if operation in OF_ONE_ITEM else _TELLING_SECONDS_OF_MANY
        if elapsed < (enough if slow is None else min(enough, slow)):
            self.release(permit)
        else:
            self.record(permit, verdict, elapsed, code)

    def release(self, permit: int) -> None:
        """Return a permit: its attempt says nothing about the table."""
        circuit = self.circuit
        if circuit is not None:
            circuit.release(permit)

    def earn(self, params: Params) -> None:
        """Note a success."""
        budget, hot_budget = self.budget, self.hot_budget
        if budget is not None and hot_budget is not None:
            budget.earn()
            hot_budget.earn()
            if self._hot_budgets:
                own = self._hot_budgets.get(self._partition(params) or "")
                if own is not None:
                    own.earn()

    def spend(self, verdict: Classification, params: Params) -> bool:
        """Pay for a retry; False if the budget is used up."""
        bucket = self._hot_budget_of(params) if verdict.is_hot_partition else self.budget
        return bucket is None or bucket.spend()

    def _hot_budget_of(self, params: Params) -> TokenBucket | None:
        settings, partition = self._core.policy.retry_budget, self._partition(params)
        if settings is None or partition is None:
            return self.hot_budget
        found = self._hot_budgets.get(partition)
        if found is None:
            _make_room(self._hot_budgets, _MOST_HOT_KEYS)
            found = self._hot_budgets.setdefault(partition, TokenBucket(settings, self._core.clock))
        return found

    def _partition(self, params: Params) -> str | None:
        """Return what stands for a request's partition key; None if it can't be told."""
        values, key = params.get(VALUES), params.get("Key") or params.get("Item")
        if isinstance(values, Mapping) and SHARD in values:
            return repr(values[SHARD])
        described, _ = self._core.known.get(("Table", self.table), (None, None))  # as `described` keeps it
        if described is None or not isinstance(key, Mapping):
            return None
        return repr(key.get(described.key.partition))

    def refuses_retries(self) -> bool:
        """Return whether the circuit is open: a retry would only be refused later."""
        circuit = self.circuit
        return circuit is not None and circuit.standing == OPEN


class Known(dict[Any, Any]):
    """What was learnt of tables: so much at most, the oldest goes first, and is asked for again."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if key not in self:
            _make_room(self, _MOST_KNOWN)
        super().__setitem__(key, value)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return what is known, and else keep `default`."""
        if key not in self:
            _make_room(self, _MOST_KNOWN)
        return super().setdefault(key, default)


Lanes = dict[tuple[str | None, str], Lane]
"""By table and kind of operation."""


class Core:
    """The part of a hardened client that changes. Shared by the views that Tables with options have of it."""

    def __init__(self, policy: Policy, host: Host) -> None:
        self.host = host
        self.ttl: TableOption | None = None
        self.known = Known()
        """What was learnt of tables on behalf of their options."""
        self.timeouts: Timeouts | None = None
        """Those that hold for each request, if they are not the ones that the client was made with."""
        self.forced = Held()
        """The circuits that a person holds, by name: apart from the lanes, so that another policy leaves them held."""
        self.last_errors: dict[ErrorKind, tuple[str, float]] = {}
        """The code and the time (since the epoch) of the last failed attempt of each kind."""
        self._base = self
        self._has_own_policy = False
        self._lanes: Lanes = {}
        self._own_lanes: dict[Any, Lanes] = {}
        """The lanes of Tables with a policy of their own: a Table that is made anew for each request finds them."""
        self._views: weakref.WeakSet[Core] = weakref.WeakSet()
        self.keepers: dict[int, weakref.ref[Fallback]] = {}
        """The fallbacks that remember answers: this core's and its views'. A write is told to all of them."""
        self._go_by(policy)
        tell_child(self)
        flush_at_end(self)

    def _in_child(self) -> None:
        """Begin anew in a forked process, as far as circuits share their state: it is taken over from the storage.

        The threads that keep it in step are the parent's.
        """
        for lanes in (self._lanes, *self._own_lanes.values()):  # the views have these very dicts
            for key, lane in list(lanes.items()):
                if lane.circuit is not None and lane.circuit.settings.storage is not None:
                    del lanes[key]

    def set_policy(self, policy: Policy) -> None:
        """Go by another policy from now on. Circuits and budgets stay in their state.

        A Table with a policy of its own changes alone, with what else is made with that for the same table. Any other
        changes the whole client, but for Tables with policies of their own.
        """
        base = self._base
        if self._has_own_policy:
            kept = list(base._own_lanes.items())  # noqa: SLF001 - its own; a copy, as threads make Tables meanwhile
            for key in [key for key, lanes in kept if lanes is self._lanes]:
                base._own_lanes.pop(key, None)  # noqa: SLF001 - as above
                base._own_lanes[(key[0], *lane_settings(policy))] = self._lanes  # noqa: SLF001 - as above
            for view in self._all_views():
                if view._lanes is self._lanes:  # noqa: SLF001 - as above
                    view._go_by(policy)  # noqa: SLF001 - as above
                    view.timeouts = policy.timeouts
        else:
            if policy.timeouts != base.policy.timeouts:
                base.timeouts = policy.timeouts
            base._go_by(policy)  # noqa: SLF001 - as above
            for view in self._all_views():
                if not view._has_own_policy:  # noqa: SLF001 - as above
                    view._go_by(policy)  # noqa: SLF001 - as above
                    view.timeouts = base.timeouts
        for lane in list(self._lanes.values()):
            lane.follow()

    def _go_by(self, policy: Policy) -> None:
        self.policy = policy
        self.clock = policy.clock
        self.observers = policy.observers
        self._failed_observers: set[int] = set()
        fallback: FallbackFunction | None = policy.fallback
        self.fallback = fallback
        self.remembering = () if fallback is None else Chain(fallback).remembering
        keepers = self.keepers
        for member in self.remembering:
            number = id(member)
            keepers[number] = weakref.ref(member, lambda _, number=number: keepers.pop(number, None))  # type: ignore[misc]  # mypy does not see the default

    def with_policy(self, policy: Policy, table: str | None) -> Core:
        """Return this core with a policy of a Table's own, and with circuits and budgets of its own."""
        view = self._view()
        base = self._base
        key = (table, *lane_settings(policy))
        if key not in base._own_lanes:  # noqa: SLF001 - one of its own
            _make_room(base._own_lanes, _MOST_OWN)  # noqa: SLF001 - as above
        view._lanes = base._own_lanes.setdefault(key, {})  # noqa: SLF001 - as above
        view._has_own_policy = True  # noqa: SLF001 - as above
        view.timeouts = policy.timeouts
        view._go_by(policy)  # noqa: SLF001 - as above
        return view

    def with_ttl(self, ttl: TableOption | None) -> Core:
        """Return this core with another option for the TTLs of tables: the same circuits, budgets and observers."""
        view = self._view()
        view.ttl = ttl
        return view

    def with_host(self, host: Host) -> Core:
        """Return this core for another client: the same circuits, budgets and observers."""
        view = self._view()
        view.host = host
        return view

    def _view(self) -> Core:
        view = object.__new__(Core)
        view.__dict__.update(self.__dict__)
        base = self._base
        base._views.add(view)  # noqa: SLF001 - one of its own
        if not view._has_own_policy and view.policy is not base.policy:
            view._go_by(base.policy)
            view.timeouts = base.timeouts
        return view

    def _all_views(self) -> list[Core]:
        return living(self._base._views)  # noqa: SLF001 - one of its own

    @property
    def own_policy(self) -> Policy | None:
        """Return the policy of the Table whose view this is, if that is not its client's."""
        return self.policy if self._has_own_policy else None

    @property
    def client_policy(self) -> Policy:
        """Return the policy of the client."""
        return self._base.policy

    @property
    def client_timeouts(self) -> Timeouts | None:
        """Return the client's timeouts, if they are not the ones that it was made with."""
        return self._base.timeouts

    def policy_elsewhere(self) -> Policy:
        """Return the policy for a fallback's call in another region.

        Its circuits are this process's own: what a storage shares is the state of the circuits of this region.
        """
        circuits = self.policy.circuit_breaker
        own = None if circuits is None else circuits.replace(storage=None)
        return self.policy.replace(fallback=None, circuit_breaker=own)

    def lane(self, operation: str, params: Mapping[str, Any]) -> Lane:
        """Return what is kept for the table and the kind of an operation."""
        table = table_of(operation, params)
        key = (table, operation_kind(operation, params))
        lane = self._lanes.get(key)
        if lane is None:  # two threads may both make one: setdefault keeps the first
            self._make_room()
            policy = self.policy
            lane = self._lanes.setdefault(key, Lane(*key, self))
            if self.policy is not policy:  # another one was set before others could find this
                lane.follow()
            if self.forced:  # now that others can find it: what is forced from now on does
                forced = self.forced.get(lane.name)
                if forced is not None and self.forced.told.get(lane.name) == self.observers:
                    lane.begin_held(forced)
                else:
                    lane.hold(forced)
                decided = self.forced.get(lane.name)
                if decided is not forced:  # by another thread meanwhile, which may have been here before
                    lane.hold(decided)
        return lane

    def force(self, name: str, forced: Forced | None) -> None:
        """Hold the circuit of that name in a state, or release it with None: now, and whenever it is made anew."""
        before = self.forced.pop(name, None)
        self.forced.told.pop(name, None)
        if forced is not None:
            self.forced[name] = forced
        lanes = [lane for lane in self._base.all_lanes() if lane.name == name]
        for lane in lanes:
            lane.hold(self.forced.get(name))
        if not lanes and before != forced:  # no circuit is there yet to tell of it
            self.forced.told[name] = self.observers
            old, new = (CLOSED if held is None else held.state for held in (before, forced))
            self._tell_change(name, old, new, RELEASED if forced is None else forced.reason, forced is not None)

    def _make_room(self) -> None:
        """Remove the oldest lane if there are many: one whose circuit is closed, if there is any."""
        if len(self._lanes) >= _MOST_LANES:
            lanes = list(self._lanes.items())
            closed = (key for key, lane in lanes if (circuit := lane.circuit) is None or circuit.state == CLOSED)
            self._lanes.pop(next(closed, lanes[0][0]), None)

    def all_lanes(self) -> list[Lane]:
        """Return what is kept by the client, and for Tables with policies of their own."""
        return [*self._base.lanes(), *self.lanes_of_own_policies()]

    def lanes_of_own_policies(self) -> list[Lane]:
        """Return what is kept for Tables with policies of their own."""
        return [lane for lanes in list(self._own_lanes.values()) for lane in list(lanes.values())]

    def lanes(self) -> list[Lane]:
        """Return what is kept, for each table and kind of operation."""
        return list(self._lanes.values())

    @property
    def circuits(self) -> dict[str, Circuit]:
        """Return the circuits there are, by name."""
        found = (lane.circuit for lane in self.lanes())
        return {circuit.name: circuit for circuit in found if circuit is not None}

    def circuit_changed(self, circuit: Circuit, old: str, new: str, reason: str, forced: bool) -> None:  # noqa: FBT001 - told as it is
        """Report a circuit's change to the observers."""
        self._tell_change(circuit.name, old, new, reason, forced)

    def _tell_change(self, name: str, old: str, new: str, reason: str, forced: bool) -> None:  # noqa: FBT001 - as above
        table = name.rpartition("/")[0]
        self.warn(
            CircuitEvent(
                table=None if table == "*" else table,
                operation="",
                circuit=name,
                old_state=old,
                new_state=new,
                reason=reason,
                forced=forced,
            )
        )

    def warn(self, event: AnyEvent) -> None:
        """Report what an operator must hear of: to the observers, and to the log unless one of them writes it."""
        self.tell(event)
        if not any(getattr(observer, "writes_warnings", False) for observer in self.observers):
            try:
                self._base._written(event)  # noqa: SLF001 - one of its own
            except Exception:  # noqa: BLE001 - a handler's own affair: it fails no call
                _log.debug("a warning could not be written", exc_info=True)

    def _written(self, event: AnyEvent) -> None:
        warnings = self.__dict__.get("_warnings")
        if warnings is None:
            from resilient_ddb.observers.logs import Warnings  # noqa: PLC0415 - loaded where there is something to say

            made = Warnings(_log, self.clock)
            warnings = self.__dict__.setdefault("_warnings", made)
            if warnings is made:  # at exit, or as the client goes
                weakref.finalize(self, made.flush)
        warnings(event)

    def flushed(self) -> Sequence[Any]:
        """Return what may have a `flush`: the observers, and the lines that are written without one."""
        return (self._base.__dict__.get("_warnings"), *self.observers)

    def flush(self) -> None:
        """Write what was counted and not yet written: here, and by each observer that has a `flush`."""
        for each in self.flushed():
            flush = getattr(each, "flush", None)
            if flush is not None:
                try:
                    flush()
                except Exception:  # noqa: BLE001 - an observer's own affair
                    self._log_failure(each)

    def tell(self, event: AnyEvent) -> None:
        """Report an event to every observer. One that fails is logged, once, and never fails the call."""
        if not self.observers or _telling.get():  # an observer that calls a table is not told of its own calls
            return
        _telling.set(True)
        try:
            for observer in self.observers:
                try:
                    observer(event)
                except Exception:  # noqa: BLE001 - whatever an observer raises is its own affair
                    self._log_failure(observer)
        finally:
            _telling.set(False)

    def _log_failure(self, observer: Any) -> None:
        if id(observer) not in self._failed_observers:
            self._failed_observers.add(id(observer))
            _log.warning("observer %s failed", type(observer).__name__, exc_info=True)


def circuit_name(table: str | None, kind: str) -> str:
    """Return the name of the circuit of a table's reads, writes or other calls."""
    return f"{table or '*'}/{kind}"


def lane_settings(policy: Policy) -> tuple[Any, ...]:
    """Return what lanes go by. Policies that differ in other things only, such as a fallback, have the same lanes."""
    settings = (policy.circuit_breaker, policy.retry_budget, policy.clock, policy.random)
    try:
        hash(settings)
    except TypeError:  # of a clock or a listener that is compared by its values, as a dataclass is
        return tuple(map(_hashable, settings))
    return settings


class _Itself:
    """Stands for an object that can't be hashed: it is equal to that very object only."""

    __slots__ = ("_found",)

    def __init__(self, found: Any) -> None:
        self._found = found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other._found is self._found

    def __hash__(self) -> int:
        return id(self._found)


def _hashable(setting: Any) -> Any:
    if isinstance(setting, Settings):
        return tuple(map(_hashable, vars(setting).values()))
    if isinstance(setting, tuple):
        return tuple(map(_hashable, setting))
    try:
        hash(setting)
    except TypeError:
        return _Itself(setting)
    return setting


def _make_breaker(circuit: Circuit) -> pybreaker.CircuitBreaker:
    from .pybreaker_storage import make_breaker  # noqa: PLC0415 - it may import redis

    return make_breaker(circuit)


def _make_room(kept: dict[Any, Any], most: int) -> None:
    """Remove the oldest until one more is no more than `most`. Other threads may do so at the same time."""
    while len(kept) >= most:
        with suppress(RuntimeError):  # another thread came between the look and the first step
            kept.pop(next(iter(kept), None), None)


def _sign_of(verdict: Classification | None, settings: CircuitBreaker) -> HealthSign:
    """Return what an attempt says about the health of its table."""
    if verdict is None or verdict.kind is ErrorKind.CONDITIONAL:
        return _SUCCESS
    if verdict.counts_against_breaker:
        return HealthSign.FAILURE
    if settings.count_throttling and verdict.kind is ErrorKind.THROTTLING and not verdict.is_hot_partition:
        return HealthSign.FAILURE
    return HealthSign.NEITHER
