"""When to stop asking: the settings of the circuit breakers.

The semantics are resilience4j's (failure rate and slow-call rate over a sliding window, a minimum number of
calls, permits while half-open); states, listeners and storages are pybreaker's. `circuit.py` holds the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from resilient_ddb.events import explained

from .base import Settings
from .checks import check_methods, check_number, check_plain, check_plain_methods, check_share, check_whole

if TYPE_CHECKING:
    from pybreaker import CircuitBreakerListener, CircuitBreakerStorage

StorageFactory = Callable[[str], "CircuitBreakerStorage"]


class SharedCircuits(Protocol):
    """A storage that shares the states of many circuits by itself: `resilient_ddb.storages.dynamodb`."""

    wake: Any
    """An event that is set when a circuit's state changes."""

    def share(self, circuit: Any) -> Callable[[], None]:
        """Share a circuit's state from now on, and return what each of its calls has to call as it begins."""
        ...


@explained
@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class CircuitBreaker(Settings):
    """One circuit for each table and operation kind (read, write, control) opens by these rules.

    Transport failures, 5xx and timeouts count as failures. Conditional checks count as successes. Throttling,
    conflicts and the caller's own mistakes count as neither. An attempt that a deadline cut counts as a failure if it
    had 100 ms or more, or `slow_call_duration`, if that is less.

    Raises:
        TypeError, ValueError: a value is of the wrong type or out of range.
    """

    failure_rate_threshold: float = 0.5
    """The circuit opens when this share of the attempts in the window failed: 0.5 for half of them."""
    window_calls: int = 100
    """How many attempts the window holds at most (`minimum_calls`, if that is more): the last ones. The busier a
    table, the sooner an outage shows."""
    window_seconds: float = 10.0
    """Seconds after which an attempt falls out of the window."""
    minimum_calls: int = 50
    """Attempts that must lie in the window before any rate is looked at."""
    slow_call_duration: float | None = None
    """An attempt that takes longer is slow; None: none ever is."""
    slow_call_rate_threshold: float = 0.8
    """The circuit opens when this share of the attempts in the window was slow."""
    open_duration: float = 2.0
    """Seconds that an open circuit refuses calls for, at least."""
    open_jitter: float = 0.5
    """Each open time is lengthened by up to this share of it, drawn evenly, so that clients don't return together."""
    half_open_permits: int = 3
    """Probes that a half-open circuit lets through. It opens again if `failure_rate_threshold` of them failed, and
    closes otherwise. A probe that was cancelled, or throttled, gives its permit back."""
    count_throttling: bool = False
    """Whether throttling of a table or an account counts as a failure. A hot partition's never does."""
    listeners: Sequence[CircuitBreakerListener] = ()
    """pybreaker listeners, told of each circuit's calls and changes. They run under the circuit's lock."""
    storage: CircuitBreakerStorage | StorageFactory | SharedCircuits | None = None
    """Where the state is shared: `resilient_ddb.storages.dynamodb(...)`, or a callable that takes the circuit's name
    and gives a pybreaker storage. Or a `CircuitRedisStorage`: each circuit uses a namespace of its own in it.
    None: this client's memory."""
    sync_interval: float = 1.0
    """How often a shared storage is read and written, off the path of calls."""

    def __post_init__(self) -> None:
        check_share("failure_rate_threshold", self.failure_rate_threshold)
        check_whole("window_calls", self.window_calls, least=1)
        check_whole("minimum_calls", self.minimum_calls, least=1)
        check_number("window_seconds", self.window_seconds, above=0)
        if self.slow_call_duration is not None:
            check_number("slow_call_duration", self.slow_call_duration, above=0)
        check_share("slow_call_rate_threshold", self.slow_call_rate_threshold)
        check_number("open_duration", self.open_duration, above=0)
        check_number("open_jitter", self.open_jitter, least=0)
        check_whole("half_open_permits", self.half_open_permits, least=1)
        check_number("sync_interval", self.sync_interval, above=0)
        if not isinstance(self.listeners, Iterable):
            raise TypeError(f"listeners must be a sequence of pybreaker listeners; got {self.listeners!r}")
        object.__setattr__(self, "listeners", tuple(self.listeners))
        for listener in self.listeners:
            check_plain_methods("each of listeners", listener, *_LISTENS)
        if hasattr(self.storage, "share"):  # `resilient_ddb.storages.dynamodb`, or what passes on to one
            check_methods("storage", self.storage, "share")
            check_methods("the wake of storage", getattr(self.storage, "wake", None), "set")
        elif self.storage is not None and not _is_pybreaker_storage(self.storage):
            takes = "a circuit's name and giving a pybreaker storage, such as lambda name: CircuitRedisStorage(...)"
            check_plain("storage", self.storage, takes=takes)


_LISTENS = ("before_call", "success", "failure", "state_change")
"""The methods of a pybreaker listener."""


def _is_pybreaker_storage(storage: Any) -> bool:
    """Distinguish pybreaker's own storages from callables, without importing pybreaker (which may import redis)."""
    return any(
        cls.__module__ == "pybreaker" and cls.__name__ in ("CircuitMemoryStorage", "CircuitRedisStorage")
        for cls in type(storage).__mro__
    )
