"""What outlives a call: the circuits and budgets of one client, and whom to tell."""

from __future__ import annotations

import dataclasses
import logging
import weakref
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from resilient_ddb.dynamodb.operations import Params, operation_kind, table_of
from resilient_ddb.dynamodb.reserved import SHARD, VALUES
from resilient_ddb.events import ErrorKind
from resilient_ddb.fallback import Chain, Fallback, FallbackFunction
from resilient_ddb.policy.circuit_breaker import CircuitBreaker
from resilient_ddb.policy.forks import tell_child
from resilient_ddb.policy.policy import Policy
from resilient_ddb.policy.retry import TokenBucket

from .circuit import CLOSED, OPEN, Circuit, HealthSign
from .flushing import flush_at_end

if TYPE_CHECKING:
    import pybreaker

    from resilient_ddb.events import AnyEvent

    from .classification import Classification
    from .options import TableOption

_MOST_HOT_KEYS = 1_000
_MOST_LANES = 2_000
_MOST_KNOWN = 5_000
_log = logging.getLogger("resilient_ddb")
_telling: ContextVar[bool] = ContextVar("resilient_ddb.calls.telling", default=False)


class Host(Protocol):
    """What a core asks of the client that it serves: the rim's part."""

    def make_error(self, response: Mapping[str, Any], operation: str) -> Exception:
        """Return the client's own exception for an error response."""
        ...

    def as_given(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return an item of an error response in the values that the client gives."""
        ...

    def expire_credentials(self) -> None:
        """See to it that the next request is signed with credentials that were fetched anew."""
        ...

    def identity(self) -> tuple[Any, ...]:
        """Return who asks whom: credentials, region, endpoint, and whether values are native."""
        ...

    def elsewhere(self, operation: str, params: Mapping[str, Any], region: str, endpoint_url: str | None) -> Any:
        """Make a call in another region, and mark its answer."""
        ...

    def lead(self, key: Any, mark: object) -> Any:
        """Return when nobody else asks for `key`. See `single_flight`."""
        ...

    def landed(self, key: Any, mark: object) -> None:
        """End the turn of `mark`. See `single_flight`."""
        ...


class Lane:
    """What is kept for one table and operation kind."""

    __slots__ = ("_core", "_hot_budgets", "budget", "circuit", "hot_budget", "table")

    def __init__(self, table: str | None, kind: str, core: Core) -> None:
        """Begin with a closed circuit and full budgets."""
        policy = core.policy
        self.table = table
        self.circuit: Circuit | None = None
        if policy.circuit_breaker is not None:
            name = f"{table or '*'}/{kind}"
            self.circuit = Circuit(
                name, policy.circuit_breaker, core.clock, policy.uniform, core.circuit_changed, _make_breaker
            )
        # A hot partition's retries are paid for apart, so that they can't use up those of all other keys.
        self.budget = None if policy.retry_budget is None else TokenBucket(policy.retry_budget, core.clock)
        self.hot_budget = None if policy.retry_budget is None else TokenBucket(policy.retry_budget, core.clock)
        self._hot_budgets: dict[str, TokenBucket] = {}
        """Those of keys that were hot, as far as requests tell their key: one shard does not pay for another."""
        self._core = core

    def record(self, permit: int, verdict: Classification | None, elapsed: float, code: str) -> None:
        """Tell the circuit how an attempt ended: None for a success."""
        if self.circuit is not None:
            self.circuit.record(permit, _sign_of(verdict, self.circuit.settings), elapsed, code)

    def release(self, permit: int) -> None:
        """Return a permit: its attempt says nothing about the table."""
        if self.circuit is not None:
            self.circuit.release(permit)

    def earn(self, params: Params) -> None:
        """Note a success."""
        if self.budget is not None and self.hot_budget is not None:
            self.budget.earn()
            self.hot_budget.earn()
            if self._hot_budgets:
                own = self._hot_budgets.get(self._partition(params) or "")
                if own is not None:
                    own.earn()

    def spend(self, verdict: Classification, params: Params) -> bool:
        """Pay for a retry; False where the budget is used up."""
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
        """Return what stands for a request's partition key; None where it can't be told."""
        values, key = params.get(VALUES), params.get("Key") or params.get("Item")
        if isinstance(values, Mapping) and SHARD in values:
            return repr(values[SHARD])
        schemas = self._core.known.get(("KeySchemas", self.table))
        if schemas is None or not isinstance(key, Mapping):
            return None
        return repr(key.get(schemas.table.partition))

    def refuses_retries(self) -> bool:
        """Return whether the circuit is open: a retry would only be refused later."""
        return self.circuit is not None and self.circuit.state == OPEN


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


class Core:
    """The part of a hardened client that changes. Shared by the views that Tables with options have of it."""

    def __init__(self, policy: Policy, host: Host) -> None:
        """Begin with no circuits: each is made at the first call to its table."""
        self.host = host
        self.ttl: TableOption | None = None
        self.known = Known()
        """What was learnt of tables on behalf of their options."""
        self._base = self
        self._own_fallback: FallbackFunction | None = None
        self._views: weakref.WeakSet[Core] = weakref.WeakSet()
        self.keepers: dict[int, weakref.ref[Fallback]] = {}
        """The fallbacks that remember answers: this core's and its views'. A write is told to all of them."""
        self.renew(policy)
        tell_child(self)
        flush_at_end(self)

    def _in_child(self) -> None:
        """Begin anew in a forked process, as far as circuits share their state: it is taken over from the storage.

        The threads that keep it in step are the parent's.
        """
        if self.policy.circuit_breaker is not None and self.policy.circuit_breaker.storage is not None:
            self._lanes.clear()  # the views have this very dict

    def renew(self, policy: Policy) -> None:
        """Go by another policy from now on, with closed circuits; views keep their own options."""
        if self._base is not self:
            self._base.renew(policy)
            return
        self.policy = policy
        self.clock = policy.clock
        self.observers = policy.observers
        self._failed_observers: set[int] = set()
        self._lanes: dict[tuple[str | None, str], Lane] = {}
        self._answer_with(policy.fallback)
        for view in self._views:
            view._follow(view._own_fallback, view.ttl, view.host)  # noqa: SLF001 - one of its own

    def _answer_with(self, fallback: FallbackFunction | None) -> None:
        self.fallback = fallback
        self.remembering = () if fallback is None else Chain(fallback).remembering
        keepers = self.keepers
        for member in self.remembering:
            number = id(member)
            keepers[number] = weakref.ref(member, lambda _, number=number: keepers.pop(number, None))  # type: ignore[misc]  # mypy does not see the default

    def view(
        self,
        *,
        fallback: FallbackFunction | None = None,
        ttl: TableOption | None = None,
        host: Host | None = None,
    ) -> Core:
        """Return this core with a Table's options, or for another host: the same circuits, budgets and observers.

        What is left out is as it is here.
        """
        view = object.__new__(Core)
        view._base = self._base
        view._follow(fallback or self._own_fallback, ttl or self.ttl, host or self.host)
        self._base._views.add(view)  # noqa: SLF001 - one of its own
        return view

    def _follow(self, fallback: FallbackFunction | None, ttl: TableOption | None, host: Host) -> None:
        self.__dict__.update(self._base.__dict__)
        self.host = host
        self.ttl = ttl
        self._own_fallback = fallback
        self._answer_with(self.policy.fallback if fallback is None else fallback)

    def options(self) -> dict[str, Any]:
        """Return the options of the Table whose view this is."""
        return {"fallback": self._own_fallback, **(self.ttl.settings.options() if self.ttl else {})}

    def policy_without_fallback(self) -> Policy:
        """Return the policy for a call that is itself a fallback's."""
        return dataclasses.replace(self.policy, fallback=None)

    def lane(self, operation: str, params: Mapping[str, Any]) -> Lane:
        """Return what is kept for the table and the kind of an operation."""
        table = table_of(operation, params)
        key = (table, operation_kind(operation, params))
        lane = self._lanes.get(key)
        if lane is None:  # two threads may both make one: setdefault keeps the first
            self._make_room()
            lane = self._lanes.setdefault(key, Lane(*key, self))
        return lane

    def _make_room(self) -> None:
        """Let the oldest lane go where there are many: one whose circuit is closed, if there is any."""
        if len(self._lanes) >= _MOST_LANES:
            lanes = list(self._lanes.items())
            closed = (key for key, lane in lanes if lane.circuit is None or lane.circuit.state == CLOSED)
            self._lanes.pop(next(closed, lanes[0][0]), None)

    @property
    def circuits(self) -> dict[str, Circuit]:
        """Return the circuits there are, by name."""
        lanes = list(self._lanes.values())
        return {lane.circuit.name: lane.circuit for lane in lanes if lane.circuit is not None}

    def circuit_changed(self, circuit: Circuit, old: str, new: str, reason: str) -> None:
        """Tell the observers of a circuit's change."""
        if self.observers:
            from resilient_ddb.events import CircuitEvent  # noqa: PLC0415 - loaded where somebody listens

            table = circuit.name.rpartition("/")[0]
            self.tell(
                CircuitEvent(
                    table=None if table == "*" else table,
                    operation="",
                    circuit=circuit.name,
                    old_state=old,
                    new_state=new,
                    reason=reason,
                )
            )

    def tell(self, event: AnyEvent) -> None:
        """Tell every observer. One that fails is logged, once, and never fails the call."""
        if _telling.get():  # an observer that calls a table is not told of its own calls
            return
        _telling.set(True)
        try:
            for observer in self.observers:
                try:
                    observer(event)
                except Exception:  # noqa: BLE001 - whatever an observer raises is its own affair
                    if id(observer) not in self._failed_observers:
                        self._failed_observers.add(id(observer))
                        _log.warning("observer %s failed", type(observer).__name__, exc_info=True)
        finally:
            _telling.set(False)


def _make_breaker(circuit: Circuit) -> pybreaker.CircuitBreaker:
    from .pybreaker_storage import make_breaker  # noqa: PLC0415 - it may import redis

    return make_breaker(circuit)


def _make_room(kept: dict[Any, Any], most: int) -> None:
    """Let the oldest go until one more is no more than `most`. Other threads may do so at the same time."""
    while len(kept) >= most:
        with suppress(RuntimeError):  # another thread came between the look and the first step
            kept.pop(next(iter(kept), None), None)


def _sign_of(verdict: Classification | None, settings: CircuitBreaker) -> HealthSign:
    """Return what an attempt says about the health of its table."""
    if verdict is None or verdict.kind is ErrorKind.CONDITIONAL:
        return HealthSign.SUCCESS
    if verdict.counts_against_breaker:
        return HealthSign.FAILURE
    if settings.count_throttling and verdict.kind is ErrorKind.THROTTLING and not verdict.is_hot_partition:
        return HealthSign.FAILURE
    return HealthSign.NEITHER
