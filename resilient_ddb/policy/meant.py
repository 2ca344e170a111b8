"""What somebody means who asks for a setting, or for an argument, that there is none of. Loaded only then."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any

WITHIN = {
    "Retry": "retry",
    "RetryBudget": "retry_budget",
    "CircuitBreaker": "circuit_breaker",
    "Timeouts": "timeouts",
}
"""The classes of a policy's parts, and the settings of `Policy` that take them."""

_OTHER_WORDS = {
    "attempts": ("Retry", "max_attempts"),
    "backoff": ("Retry", "base_delay"),
    "backoff_base": ("Retry", "base_delay"),
    "backoff_factor": ("Retry", "base_delay"),
    "base_backoff_ms": ("Retry", "base_delay"),
    "delay": ("Retry", "base_delay"),
    "factor": ("Retry", "base_delay"),
    "initial_delay": ("Retry", "base_delay"),
    "initial_interval": ("Retry", "base_delay"),
    "interval": ("Retry", "base_delay"),
    "max_backoff": ("Retry", "max_delay"),
    "max_interval": ("Retry", "max_delay"),
    "max_retries": ("Retry", "max_attempts"),
    "max_retry_attempts": ("Retry", "max_attempts"),
    "max_tries": ("Retry", "max_attempts"),
    "max_wait": ("Retry", "max_delay"),
    "min_delay": ("Retry", "base_delay"),
    "max": ("Retry", "max_delay"),
    "min": ("Retry", "base_delay"),
    "multiplier": ("Retry", "base_delay"),
    "retries": ("Retry", "max_attempts"),
    "stop_after_attempt": ("Retry", "max_attempts"),
    "total_max_attempts": ("Retry", "max_attempts"),
    "tries": ("Retry", "max_attempts"),
    "wait_duration": ("Retry", "base_delay"),
    "wait_exponential": ("Retry", "wait"),
    "max_tokens": ("RetryBudget", "capacity"),
    "tokens": ("RetryBudget", "capacity"),
    "error_threshold": ("CircuitBreaker", "failure_rate_threshold"),
    "cooldown": ("CircuitBreaker", "open_duration"),
    "fail_max": ("CircuitBreaker", "failure_rate_threshold"),
    "failure_rate": ("CircuitBreaker", "failure_rate_threshold"),
    "failure_threshold": ("CircuitBreaker", "failure_rate_threshold"),
    "half_open_max_calls": ("CircuitBreaker", "half_open_permits"),
    "min_calls": ("CircuitBreaker", "minimum_calls"),
    "min_throughput": ("CircuitBreaker", "minimum_calls"),
    "minimum_number_of_calls": ("CircuitBreaker", "minimum_calls"),
    "open_seconds": ("CircuitBreaker", "open_duration"),
    "permitted_number_of_calls_in_half_open_state": ("CircuitBreaker", "half_open_permits"),
    "recovery_timeout": ("CircuitBreaker", "open_duration"),
    "reset_timeout": ("CircuitBreaker", "open_duration"),
    "sampling_duration": ("CircuitBreaker", "window_seconds"),
    "sliding_window_size": ("CircuitBreaker", "window_calls"),
    "slow_call_duration_threshold": ("CircuitBreaker", "slow_call_duration"),
    "slow_call_rate": ("CircuitBreaker", "slow_call_rate_threshold"),
    "slow_call_seconds": ("CircuitBreaker", "slow_call_duration"),
    "timeout_duration": ("CircuitBreaker", "open_duration"),
    "success_threshold": ("CircuitBreaker", "half_open_permits"),
    "window_size": ("CircuitBreaker", "window_calls"),
    "state_storage": ("CircuitBreaker", "storage"),
    "sync_seconds": ("CircuitBreaker", "sync_interval"),
    "wait_duration_in_open_state": ("CircuitBreaker", "open_duration"),
    "connect_timeout": ("Timeouts", "connect"),
    "connect_timeout_seconds": ("Timeouts", "connect"),
    "deadline": ("Timeouts", "call"),
    "read_timeout": ("Timeouts", "read"),
    "read_timeout_seconds": ("Timeouts", "read"),
    "request_timeout": ("Timeouts", "read"),
    "timeout": ("Timeouts", "call"),
    "total": ("Timeouts", "call"),
    "total_timeout": ("Timeouts", "call"),
    "ambiguous": ("Policy", "on_ambiguous_write"),
    "breaker": ("Policy", "circuit_breaker"),
    "budget": ("Policy", "retry_budget"),
    "logger": ("Policy", "observers"),
    "metrics": ("Policy", "observers"),
    "observer": ("Policy", "observers"),
    "on_ambiguous": ("Policy", "on_ambiguous_write"),
    "rng": ("Policy", "random"),
    "ttl_filter": ("TimeToLive", "filter"),
    "ttl_skew": ("TimeToLive", "skew"),
}
"""Words of other libraries, and of people: what they mean."""

_NO_SETTINGS: dict[str, str] = {
    "ttl": "says what the data is, and is an option of resource(...), client(...) and Table(...)",
    **dict.fromkeys(
        ("config", "endpoint_url", "region_name", "session"),
        "is an argument of resource(...), client(...) and table(...)",
    ),
    "jitter": "is always there: pauses have full jitter, up to max_delay; Retry(wait=...) takes another strategy",
    **dict.fromkeys(
        ("exclude", "ignore_exceptions"),
        "is not needed: what is the application's own, such as a failed condition, never opens a circuit",
    ),
    **dict.fromkeys(
        ("max_pool_connections", "pool_size", "max_connections", "tcp_keepalive", "proxies"),
        "is set in botocore's Config, as in resource(..., config=Config(max_pool_connections=50))",
    ),
}

_RATE = (
    "capacity_units limiter max_rate per_second qps rate rate_limit rate_limiter rps throttle throughput units "
    "units_per_second"
)
_READ_RATE = f"{_RATE} rcu read_capacity_to_consume_per_second read_capacity_units read_rate read_units write_rate"
_WRITE_RATE = f"{_RATE} wcu write_capacity_units write_rate write_units"
_GUESSES = {
    "attribute": "attr attribute_name field name version_attribute",
    "burst": "capacity max_burst",
    "by": "freq granularity interval period shard_by step",
    "called": "callback fn func function",
    "change": "callback fn func mutate mutator update updater",
    "ClientRequestToken": "client_token idempotency_key idempotency_token request_token token",
    "clock": "now time timer",
    "ConditionExpression": "condition",
    "ConsistentRead": "consistent strongly_consistent",
    "end": "stop to until",
    "endpoint_url": "endpoint host url",
    "ExclusiveStartKey": "cursor last_evaluated_key resume start_key",
    "expected_version": "expected if_version version",
    "filter": "mode where",
    "FilterExpression": "filter filter_condition",
    "flush_amount": "batch_size buffer_size chunk_size",
    "flush_on_error": "flush write_on_error",
    "IndexName": "gsi index lsi",
    "Item": "data document record",
    "Key": "partition_key pk primary_key",
    "key": "hash_key partition_key pk",
    "KeyConditionExpression": "condition hash_key key key_condition partition_key pk range_key_condition",
    "keys": "hash_keys ids partition_keys pks",
    "lease_duration": "lease lease_seconds",
    "Limit": "page_size",
    "logger": "log name",
    "margin": "reserve safety_margin seconds timeout_margin",
    "max_age": "age max_age_seconds max_staleness seconds ttl ttl_seconds",
    "max_attempts": "attempts max_retries max_tries retries stop total_max_attempts",
    "max_bytes": "memory",
    "max_items": "count limit max max_entries max_results max_size maxsize n total",
    "max_workers": "concurrency max_concurrency max_threads num_threads parallelism threads workers",
    "meter_provider": "meter metrics",
    "name": "table table_name",
    "namespace": "metric_namespace metrics_namespace name",
    "on_page": "callback checkpoint on_progress progress",
    "on_shard_error": "on_error on_failure on_missing on_partial partial",
    "on_unknown_shard": "unknown_shard",
    "on_unprocessed": "leftovers on_error on_failure on_leftover on_reject",
    "overwrite_by_pkeys": "dedupe dedupe_keys overwrite_by_keys unique_keys",
    "pad": "width zero_pad",
    "partition_keys": "hash_keys keys partition_key pks",
    "plan": "fault faults rules",
    "policy": (
        "circuit_breaker fallback fast_path max_attempts max_retries observers on_ambiguous_write resilience retries "
        "retry retry_budget timeout timeouts"
    ),
    "prefix": "namespace",
    "previous": "from_shards old_shards",
    "ProjectionExpression": "attributes attributes_to_get columns fields projection",
    "rate": "chance p probability share",
    "read_units_per_second": _READ_RATE,
    "reason": "message note text why",
    "region": "aws_region region_name",
    "region_name": "aws_region region",
    "resume": "cursor resume_from resume_token start_from state",
    "ScanIndexForward": "ascending descending forward order reverse",
    "seconds": "duration timeout total",
    "segments": "TotalSegments concurrency max_workers threads total_segments workers",
    "separator": "delimiter sep",
    "session": "profile profile_name",
    "shards": "buckets count n_shards num_shards number_of_shards shard_count",
    "skew": "clock_skew grace leeway skew_seconds",
    "slow_call_duration": "slow slow_call_seconds slow_threshold threshold",
    "start": "begin from_ now time",
    "sync_interval": "interval sync_seconds",
    "table": "name table_name",
    "target": "client resource session table",
    "times": "count limit max max_times n",
    "tracer_provider": "tracer",
    "ttl": "expires_at time_to_live ttl_attribute",
    "units_per_second": f"{_READ_RATE} write_rate write_units write_units_per_second read_units_per_second wcu",
    "upstream": "backend endpoint endpoint_url host target url",
    "write_token": "token token_attribute",
    "write_units_per_second": _WRITE_RATE,
}
"""Arguments of functions, and the words with which they are asked for."""

_OF_READS = (
    *("ConsistentRead", "ExclusiveStartKey", "FilterExpression", "IndexName", "KeyConditionExpression", "Limit"),
    *("ProjectionExpression", "ScanIndexForward"),
)
"""Parameters of reads, which verbs take besides arguments of their own."""

_OF_ITEMS = (
    *("Key", "Item", "UpdateExpression", "ConditionExpression", "ReturnValues", "ClientRequestToken"),
    *("ConsistentRead", "ProjectionExpression"),
)
"""Parameters of verbs for one item."""
_FOR_ONE_ITEM = ("_item", "_update", "_action")

_IN_WORDS = {
    **dict.fromkeys(
        ((verb, "limit") for verb in ("query_items", "scan_items", "query_many_items")),
        "max_items, or boto3's Limit, the size of a page",
    ),
    ("table", "fallback"): "policy=policy.replace(fallback=...)",
    ("table", "ttl_filter"): "ttl=TimeToLive('expires_at', filter=...)",
    ("table", "ttl_skew"): "ttl=TimeToLive('expires_at', skew=...)",
    ("sharded", "attribute"): "shard_attribute",
    ("sharded", "on_partial"): "on_shard_error, 'raise' or 'skip'",
    ("sharded", "random"): "by=resilient_ddb.sharding.RANDOM",
    ("sharded", "ttl"): "ttl of the Table: resource.Table(name, ttl=...)",
    ("sharded", "unknown_shard"): "on_unknown_shard, 'find' or 'raise'",
}
"""What takes more words than a name, by function and argument."""

_MOST_SHOWN = 40


def argument_refusal(
    function: str, name: str, has: Iterable[str], *, is_verb: bool = False, elsewhere: str = ""
) -> TypeError:
    """Return the error for an argument that a function has not, with the one that is meant.

    `has` are the names of its arguments; a verb takes DynamoDB's parameters as well. `elsewhere` is what is said of
    where the argument goes, if none is meant.
    """
    own, further = list(has), []
    if is_verb:
        further = [*(_OF_ITEMS if function.endswith(_FOR_ONE_ITEM) else _OF_READS)]
    meant = meaning(function, name, own, further)
    if meant == "policy":
        meant = "policy=resilient_ddb.Policy(...), which says how calls are made"
    elif meant == "session":
        meant = "session=boto3.Session(...)"
    takes = [*own, "DynamoDB's parameters"] if further else own
    words = f"; did you mean {meant}?" if meant else f"; it takes {', '.join(takes)}"
    if elsewhere and not meant:
        words += f"; {elsewhere}"
    return TypeError(f"{function}() has no argument {name!r}{words}")


def position_refusal(function: str, by_position: Sequence[str], by_name: Sequence[str]) -> TypeError:
    """Return the error for more arguments than a function takes by their position."""
    takes = f"takes {' and '.join(by_position)} by position" if by_position else "takes its arguments by name"
    if not by_name:
        return TypeError(f"{function}() {takes}{', and no more' if by_position else ''}")
    such_as = f"{function}({''.join(f'{one}, ' for one in by_position)}{by_name[0]}=...)"
    return TypeError(f"{function}() {takes}{', and the others by name' if by_position else ''}, such as {such_as}")


def meaning(function: str, name: str, own: Sequence[str], further: Sequence[str] = ()) -> str:
    """Return the argument that is meant, or the parameter of DynamoDB; an empty text if none looks like it."""
    in_words = _IN_WORDS.get((function.lower(), name))
    if in_words is not None:
        return in_words
    known = [*own, *further]
    guessed = [one for one in known if name in _GUESSES.get(one, "").split()]
    found = [*_spelt_alike(name, own), *guessed, *_spelt_alike(name, further), *get_close_matches(name, known, n=1)]
    return found[0] if found else ""


def _spelt_alike(name: str, known: Sequence[str]) -> list[str]:
    return [one for one in known if one.replace("_", "").lower() == name.replace("_", "").lower()]


def refusal(cls: type, settings: Mapping[str, Any], family: Sequence[type]) -> TypeError:
    """Return the error for settings of `cls` that were given by position, or by a name that it has not.

    `family` are the classes of settings that were loaded: one of them may have what is meant.
    """
    own = settings_of(cls)
    if not settings.keys() - set(own):
        required = [field.name for field in fields(cls) if field.default is field.default_factory is MISSING]
        such_as = (required or own)[0]
        return TypeError(f"{cls.__name__} takes its settings by name, such as {cls.__name__}({such_as}=...)")
    name = next(name for name in settings if name not in own)
    is_of_policy = cls.__name__ in (*WITHIN, "Policy")
    if not is_of_policy and _OTHER_WORDS.get(name, ("", ""))[0] != cls.__name__:
        return argument_refusal(cls.__name__, name, own)
    words = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()  # resilience4j writes failureRateThreshold
    home, meant = _OTHER_WORDS.get(words) or _found(cls, words, family)
    return TypeError(f"{cls.__name__} has no {name!r}: {_in_words(cls, name, home, meant, settings[name])}")


def _in_words(cls: type, name: str, home: str, meant: str, value: Any) -> str:
    if home in WITHIN and home != cls.__name__:
        # What counts something else is not to be copied as it is.
        example = _shown(value) if meant == name else "..."
        return f"it is {home}({meant}=...), as in Policy({WITHIN[home]}={home}({meant}={example}))"
    if home:
        return f"it is {home}({meant}=...)"
    if name in _NO_SETTINGS:
        return f"it {_NO_SETTINGS[name]}"
    return f"it has {', '.join(settings_of(cls))}"


def _found(cls: type, name: str, family: Sequence[type]) -> tuple[str, str]:
    """Return the class that has a setting of that name, or of one that looks like it: `cls` first of all."""
    homes = [cls, *(home for home in family if home is not cls and home.__name__ in (*WITHIN, "Policy"))]
    for home in homes:
        if name in settings_of(home):
            return home.__name__, name
    for home in homes:
        for found in get_close_matches(name, settings_of(home), n=1, cutoff=0.75):
            return home.__name__, found
    return "", ""


def settings_of(cls: Any) -> list[str]:
    """Return the names of the settings of a class."""
    return [field.name for field in fields(cls) if field.init]


def _shown(value: Any) -> str:
    shown = repr(value) if isinstance(value, (bool, int, float, str)) or value is None else "..."
    return shown if len(shown) <= _MOST_SHOWN else "..."
