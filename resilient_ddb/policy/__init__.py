"""All that can be set, as frozen values; with the clock, deadlines, and the checks of arguments."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .circuit_breaker import CircuitBreaker
    from .clock import Clock
    from .policy import Policy, Timeouts
    from .retry import Retry, RetryBudget

__all__ = ["CircuitBreaker", "Clock", "Policy", "Retry", "RetryBudget", "Timeouts"]

_HOMES = {
    "CircuitBreaker": "circuit_breaker",
    "Clock": "clock",
    "Policy": "policy",
    "Retry": "retry",
    "RetryBudget": "retry",
    "Timeouts": "policy",
}


if not TYPE_CHECKING:  # a checker sees the imports above, and finds names that are not there

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
