"""Everything that can be set, in one immutable value."""

from __future__ import annotations

import random as random_module
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from resilient_ddb.events import explained

from .base import Settings
from .checks import check_callables, check_fallback, check_methods, check_number
from .circuit_breaker import CircuitBreaker
from .clock import SYSTEM_CLOCK, Clock
from .retry import Retry, RetryBudget

if TYPE_CHECKING:
    from resilient_ddb.events import Observer
else:  # annotations can be evaluated without loading what only observers need
    Observer = Callable[[Any], object]


@explained
@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Timeouts(Settings):
    """How long one attempt may take, and a whole call.

    A caller's own `Config(connect_timeout=..., read_timeout=...)` wins over the policy that a client is made with.
    A later policy wins over the Config if its timeouts differ from those before in any field.

    Raises:
        TypeError, ValueError: a value is no number above 0.
    """

    connect: float = 1.0
    """Seconds to make a connection in."""
    read: float = 5.0
    """Seconds without a byte of the response, after which the attempt has failed. botocore's own default is 60."""
    connection_max_idle: float | None = 60.0
    """Seconds after which a connection that waited for a request is not used again; None: it is, if it is open still.
    What lies between, a load balancer or NAT, may drop it without a word. Only on the fast path."""
    call: float | None = None
    """Seconds that a whole call may take: all its attempts, and the waits between them. It then ends in a
    `DeadlineExceededError`, as with `resilient_ddb.deadline`; of the two, the earlier holds. None: no bound. A
    fallback in another region has a bound of its own."""

    def __post_init__(self) -> None:
        check_number("connect", self.connect, above=0)
        check_number("read", self.read, above=0)
        if self.connection_max_idle is not None:
            check_number("connection_max_idle", self.connection_max_idle, above=0)
        if self.call is not None:
            check_number("call", self.call, above=0)


@explained
@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Policy(Settings):
    """How calls are made. Immutable, and shared by any number of clients: what changes is kept by each client.

    Raises:
        TypeError, ValueError: a value is of the wrong type or out of range.
    """

    retry: Retry = field(default_factory=Retry)
    """How often, and how far apart, a call is attempted."""
    retry_budget: RetryBudget | None = field(default_factory=RetryBudget)
    """What retries may cost in an outage; None: no bound but `retry`'s."""
    circuit_breaker: CircuitBreaker | None = field(default_factory=CircuitBreaker)
    """When to stop asking; None: never."""
    on_ambiguous_write: Literal["raise", "retry"] = "raise"
    """What becomes of a write whose reply was lost and that may not be sent twice. `raise` the error, with
    `error.resilience.ambiguous` true. Or `retry` it, and risk that it is applied twice."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    """How long one attempt, and a whole call, may take."""
    observers: Sequence[Observer] = ()
    """Plain functions that are told what happens; an async one, which nobody would await, is refused."""
    fallback: Callable[[Any, Exception], Any] | None = None
    """What answers when DynamoDB can't; a Table's own policy may have another."""
    clock: Clock = SYSTEM_CLOCK
    """Where time comes from."""
    random: random_module.Random | None = None
    """Where chance comes from; None: the interpreter's own generator."""
    fast_path: bool | None = None
    """Whether plain calls go past the SDK's inside, and plain requests over this library's own transport. None: yes,
    unless the environment variable `RESILIENT_DDB_FAST_PATH` is `0`. What is unusual goes the SDK's way in any case."""

    def __post_init__(self) -> None:
        _check_type("retry", self.retry, Retry)
        _check_type("retry_budget", self.retry_budget, RetryBudget, none="no budget")
        _check_type("circuit_breaker", self.circuit_breaker, CircuitBreaker, none="no circuit breaker")
        _check_type("timeouts", self.timeouts, Timeouts)
        if self.on_ambiguous_write not in ("raise", "retry"):
            raise ValueError(f"on_ambiguous_write must be 'raise' or 'retry'; got {self.on_ambiguous_write!r}")
        object.__setattr__(self, "observers", check_callables("observers", self.observers, takes="one event"))
        if self.fallback is not None:
            check_fallback(self.fallback)
        check_methods("clock", self.clock, "monotonic", "time", "wait")
        if self.fast_path is not None:
            _check_type("fast_path", self.fast_path, bool, none="what the environment says")
        if self.random is not None:
            check_methods("random", self.random, "uniform")

    def uniform(self, low: float, high: float) -> float:
        """Draw a number evenly between `low` and `high`."""
        return (self.random or random_module).uniform(low, high)


def policy_of(table: Any) -> Policy:
    """Return the policy of a Table. A module-level async one that has not opened its client yet knows its own."""
    client = table.meta.client
    core = getattr(client, "_resilience", None)
    policy: Policy = core.policy if core is not None else getattr(client, "policy", None) or Policy()
    return policy


def _check_type(name: str, value: Any, cls: type, *, none: str = "") -> None:
    if isinstance(value, cls) or (none and value is None):
        return
    alternative = f", or None for {none}" if none else ""
    raise TypeError(f"{name} must be a {cls.__name__}{alternative}; got {value!r}")
