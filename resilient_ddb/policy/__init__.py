"""All that can be set, as frozen values; with the clock, deadlines, and the checks of arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_ddb._public import public_names

if TYPE_CHECKING:
    from .circuit_breaker import CircuitBreaker
    from .clock import Clock
    from .policy import Policy, Timeouts
    from .retry import Retry, RetryBudget

__all__ = ["CircuitBreaker", "Clock", "Policy", "Retry", "RetryBudget", "Timeouts"]

_HOMES = {
    "circuit_breaker": ("CircuitBreaker",),
    "clock": ("Clock",),
    "policy": ("Policy", "Timeouts"),
    "retry": ("Retry", "RetryBudget"),
}

if not TYPE_CHECKING:  # a checker sees the imports above, and finds names that are not there
    __getattr__, __dir__ = public_names(__name__, __all__, _HOMES)
