"""The bridge to pybreaker: a circuit as one of its storages, and shared storages off the path of calls.

Imported when a circuit first needs it: pybreaker imports redis if that is installed.
"""

from __future__ import annotations

import copy
import logging
import sys
import threading
import weakref
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pybreaker

from .circuit import Forced

if TYPE_CHECKING:
    from .circuit import Circuit

_TRIPPED = 1
_log = logging.getLogger("resilient_ddb")


class CircuitStorage(pybreaker.CircuitBreakerStorage):
    """A circuit, as pybreaker sees it: the circuit counts, and the counter is the trip test."""

    def __init__(self, circuit: Circuit) -> None:
        super().__init__(circuit.name)
        self._circuit = circuit
        self._opened_at: datetime | None = None
        self.wake = threading.Event()
        """Set when the state changed."""

    @property
    def state(self) -> str:
        """Return the circuit's state."""
        return self._circuit.state

    @state.setter
    def state(self, state: str) -> None:
        self._circuit.enter(state)
        self.wake.set()

    def increment_counter(self) -> None:
        """Do nothing: the circuit has counted the failure already."""

    def reset_counter(self) -> None:
        """Do nothing: the circuit has counted the success already."""

    def increment_success_counter(self) -> None:
        """Do nothing: the circuit decides on its probes itself."""

    def reset_success_counter(self) -> None:
        """Do nothing, as above."""

    @property
    def counter(self) -> int:
        """Return 1 if the window says that the circuit should open: pybreaker's `fail_max` is 1."""
        return _TRIPPED if self._circuit.is_failing() else 0

    @property
    def success_counter(self) -> int:
        """Return 0, as above."""
        return 0

    @property
    def opened_at(self) -> datetime | None:
        """Return when the circuit was opened last. Reopening does not go by it, but by the policy's clock."""
        return self._opened_at

    @opened_at.setter
    def opened_at(self, moment: datetime) -> None:
        self._opened_at = moment


class _GuardedListener(pybreaker.CircuitBreakerListener):
    """A caller's listener, which never fails a call: what it raises is logged."""

    def __init__(self, listener: pybreaker.CircuitBreakerListener) -> None:
        self._listener = listener

    def before_call(self, *args: Any, **kwargs: Any) -> None:
        self._tell("before_call", *args, **kwargs)

    def failure(self, *args: Any) -> None:
        self._tell("failure", *args)

    def success(self, *args: Any) -> None:
        self._tell("success", *args)

    def state_change(self, *args: Any) -> None:
        self._tell("state_change", *args)

    def _tell(self, method: str, *args: Any, **kwargs: Any) -> None:
        try:
            getattr(self._listener, method)(*args, **kwargs)
        except Exception:  # noqa: BLE001 - whatever a listener raises is its own affair
            _log.warning("listener %s failed", type(self._listener).__name__, exc_info=True)


def make_breaker(circuit: Circuit) -> pybreaker.CircuitBreaker:
    """Make the pybreaker breaker that holds `circuit`'s state."""
    settings = circuit.settings
    storage = CircuitStorage(circuit)
    breaker = pybreaker.CircuitBreaker(
        fail_max=_TRIPPED,
        success_threshold=sys.maxsize,
        listeners=[_GuardedListener(listener) for listener in settings.listeners],
        state_storage=storage,
        name=circuit.name,
        throw_new_error_on_trip=False,
    )
    share = getattr(settings.storage, "share", None)
    if share is not None:  # it shares the states of many circuits, each time that a call is under way
        storage.wake = settings.storage.wake  # type: ignore[union-attr]  # as it has the one, it has the other
        circuit.shares_forced, circuit.sharing = True, object()
        circuit.on_call = share(circuit)
    elif settings.storage is not None:
        _start_synchronising(circuit, storage.wake)
    circuit.on_forced = storage.wake.set
    return breaker


def synchronise(circuit: Circuit, shared: pybreaker.CircuitBreakerStorage, pushed: str) -> str:
    """Write a state that changed since `pushed` to the shared storage, or else take over the one there.

    Returns the state that both now have.
    """
    mine = circuit.state
    if mine != pushed:
        if mine == pybreaker.STATE_OPEN:
            shared.opened_at = datetime.now(UTC)
        shared.state = mine
        # pybreaker swallows what Redis raises: only what can be read back has arrived.
        return mine if str(shared.state) == mine else pushed
    if isinstance(shared, pybreaker.CircuitRedisStorage):  # what it answers where Redis does not
        shared._fallback_circuit_state = mine  # noqa: SLF001 - pybreaker has no public way
    theirs = str(shared.state)
    if theirs != mine:
        circuit.adopt(theirs, "another process found it so")
        if circuit.state == theirs:
            return theirs
    return mine  # and not its present state: one that came about meanwhile is still to be written


def synchronise_forced(circuit: Circuit, shared: Any, agreed: Forced | None) -> Forced | None:
    """Write what a person has decided here since `agreed`, or else take over what one has elsewhere; return that.

    A storage that shares it has `write_forced`, which is given a state and a reason, or None, and `read_forced`.
    """
    write, read = getattr(shared, "write_forced", None), getattr(shared, "read_forced", None)
    circuit.shares_forced = write is not None and read is not None
    if write is None or read is None:
        return agreed
    mine = circuit.forced
    if mine != agreed:
        write(None if mine is None else tuple(mine))
        return mine
    found = read()
    theirs = None if found is None else Forced(*found)
    if theirs != mine:
        circuit.adopt_forced(theirs)
    return theirs


def shared_storage(circuit: Circuit) -> pybreaker.CircuitBreakerStorage:
    """Make the shared storage of one circuit. This may do I/O."""
    storage: Any = circuit.settings.storage
    if not isinstance(storage, pybreaker.CircuitBreakerStorage):
        made: pybreaker.CircuitBreakerStorage = storage(circuit.name)
        if hasattr(made, "share"):
            raise TypeError(f"storage must be {made!r} itself, and no function that returns it: it shares all circuits")
        return made
    own = copy.copy(storage)  # shares the connection; memory storage is a value
    if isinstance(own, pybreaker.CircuitRedisStorage):
        parts = (own._namespace_name, circuit.name)  # noqa: SLF001 - pybreaker has no public way
        own._namespace_name = ":".join(part for part in parts if part)  # noqa: SLF001 - as above
    return own


def _start_synchronising(circuit: Circuit, wake: threading.Event) -> None:
    circuit.wake = wake
    thread = threading.Thread(
        target=_keep_synchronised,
        args=(weakref.ref(circuit), wake, circuit.settings.sync_interval),
        name=f"resilient_ddb {circuit.name}",
        daemon=True,
    )
    try:
        thread.start()
    except RuntimeError:  # there are too many, or the process is ending: the call goes on all the same
        _log.warning("circuit %s is not shared: its thread can't be started", circuit.name, exc_info=True)


def _keep_synchronised(circuit: weakref.ref[Circuit], wake: threading.Event, seconds: float) -> None:
    """Synchronise until the circuit is gone, or goes by others: at once when it changed, and every `seconds`."""
    pushed = pybreaker.STATE_CLOSED
    forced: Forced | None = None
    shared: pybreaker.CircuitBreakerStorage | None = None
    is_failing = False
    while (alive := circuit()) is not None and alive.wake is wake:
        try:
            shared = shared or shared_storage(alive)
            pushed = synchronise(alive, shared, pushed)
            forced = synchronise_forced(alive, shared, forced)
            is_failing = False
        except Exception:  # noqa: BLE001 - whatever a storage raises, calls go on with what this process knows
            if not is_failing:  # once for each outage
                _log.warning("circuit %s: its shared storage failed", alive.name, exc_info=True)
            is_failing = True
        del alive
        wake.wait(seconds)
        wake.clear()
