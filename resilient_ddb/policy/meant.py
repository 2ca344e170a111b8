"""What somebody means who asks for a setting that there is none of. Loaded only then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

_WITHIN = {
    "Retry": "retry",
    "RetryBudget": "retry_budget",
    "CircuitBreaker": "circuit_breaker",
    "Timeouts": "timeouts",
}
"""The classes of a policy's parts, and the settings of `Policy` that take them."""

_OTHER_WORDS = {
    "attempts": ("Retry", "max_attempts"),
    "backoff": ("Retry", "base_delay"),
    "initial_delay": ("Retry", "base_delay"),
    "max_backoff": ("Retry", "max_delay"),
    "max_retries": ("Retry", "max_attempts"),
    "max_wait": ("Retry", "max_delay"),
    "retries": ("Retry", "max_attempts"),
    "total_max_attempts": ("Retry", "max_attempts"),
    "max_tokens": ("RetryBudget", "capacity"),
    "tokens": ("RetryBudget", "capacity"),
    "error_threshold": ("CircuitBreaker", "failure_rate_threshold"),
    "fail_max": ("CircuitBreaker", "failure_rate_threshold"),
    "failure_rate": ("CircuitBreaker", "failure_rate_threshold"),
    "failure_threshold": ("CircuitBreaker", "failure_rate_threshold"),
    "minimum_number_of_calls": ("CircuitBreaker", "minimum_calls"),
    "open_seconds": ("CircuitBreaker", "open_duration"),
    "permitted_number_of_calls_in_half_open_state": ("CircuitBreaker", "half_open_permits"),
    "recovery_timeout": ("CircuitBreaker", "open_duration"),
    "reset_timeout": ("CircuitBreaker", "open_duration"),
    "sliding_window_size": ("CircuitBreaker", "window_calls"),
    "slow_call_rate": ("CircuitBreaker", "slow_call_rate_threshold"),
    "slow_call_seconds": ("CircuitBreaker", "slow_call_duration"),
    "state_storage": ("CircuitBreaker", "storage"),
    "sync_seconds": ("CircuitBreaker", "sync_interval"),
    "wait_duration_in_open_state": ("CircuitBreaker", "open_duration"),
    "connect_timeout": ("Timeouts", "connect"),
    "deadline": ("Timeouts", "call"),
    "read_timeout": ("Timeouts", "read"),
    "timeout": ("Timeouts", "call"),
    "total": ("Timeouts", "call"),
    "total_timeout": ("Timeouts", "call"),
    "ambiguous": ("Policy", "on_ambiguous_write"),
    "breaker": ("Policy", "circuit_breaker"),
    "budget": ("Policy", "retry_budget"),
    "observer": ("Policy", "observers"),
    "on_ambiguous": ("Policy", "on_ambiguous_write"),
    "rng": ("Policy", "random"),
    "ttl_filter": ("TimeToLive", "filter"),
    "ttl_skew": ("TimeToLive", "skew"),
}
"""Words of other libraries, and of people: what they mean."""

_NOT_OF_A_POLICY: dict[str, str] = {
    "ttl": "says what the data is, and is an option of resource(...), client(...) and Table(...)",
    **dict.fromkeys(
        ("config", "endpoint_url", "region_name", "session"),
        "is an argument of resource(...), client(...) and table(...)",
    ),
}

_MOST_SHOWN = 40


def refusal(cls: type, settings: Mapping[str, Any], family: Sequence[type]) -> TypeError:
    """Return the error for settings of `cls` that were given by position, or by a name that it has not.

    `family` are the classes of settings that were loaded: one of them may have what is meant.
    """
    own = _names(cls)
    if not settings.keys() - set(own):
        return TypeError(f"{cls.__name__} takes its settings by name, such as {cls.__name__}({own[0]}=...)")
    name = next(name for name in settings if name not in own)
    home, meant = _OTHER_WORDS.get(name) or _found(cls, name, family)
    return TypeError(f"{cls.__name__} has no {name!r}: {_in_words(cls, name, home, meant, settings[name])}")


def _in_words(cls: type, name: str, home: str, meant: str, value: Any) -> str:
    if home in _WITHIN and home != cls.__name__:
        # What counts something else is not to be copied as it is.
        example = _shown(value) if meant == name else "..."
        return f"it is {home}({meant}=...), as in Policy({_WITHIN[home]}={home}({meant}={example}))"
    if home:
        return f"it is {home}({meant}=...)"
    if name in _NOT_OF_A_POLICY:
        return f"it {_NOT_OF_A_POLICY[name]}"
    return f"it has {', '.join(_names(cls))}"


def _found(cls: type, name: str, family: Sequence[type]) -> tuple[str, str]:
    """Return the class that has a setting of that name, or of one that looks like it: `cls` first of all."""
    homes = [cls, *(home for home in family if home is not cls and home.__name__ in (*_WITHIN, "Policy"))]
    for home in homes:
        if name in _names(home):
            return home.__name__, name
    for home in homes:
        for found in get_close_matches(name, _names(home), n=1, cutoff=0.75):
            return home.__name__, found
    return "", ""


def _names(cls: Any) -> list[str]:
    return [field.name for field in fields(cls)]


def _shown(value: Any) -> str:
    shown = repr(value) if isinstance(value, (bool, int, float, str)) or value is None else "..."
    return shown if len(shown) <= _MOST_SHOWN else "..."
