"""A setting that there is none of: the error says which one is meant. And `replace`."""

import copy
import pickle

import pytest

import resilient_ddb as rddb

SETTINGS = [rddb.Policy, rddb.Retry, rddb.RetryBudget, rddb.CircuitBreaker, rddb.Timeouts]


@pytest.mark.parametrize(
    ("cls", "given", "says"),
    [
        (
            rddb.Policy,
            {"max_attempts": 5},
            "Policy has no 'max_attempts': it is Retry(max_attempts=...), as in Policy(retry=Retry(max_attempts=5))",
        ),
        (
            rddb.Policy,
            {"max_retries": 5},
            "it is Retry(max_attempts=...), as in Policy(retry=Retry(max_attempts=...))",  # which counts the first
        ),
        (rddb.Policy, {"breaker": None}, "Policy has no 'breaker': it is Policy(circuit_breaker=...)"),
        (rddb.Policy, {"budget": None}, "it is Policy(retry_budget=...)"),
        (rddb.Policy, {"ambiguous": "retry"}, "it is Policy(on_ambiguous_write=...)"),
        (rddb.Policy, {"timeout": 2}, "it is Timeouts(call=...), as in Policy(timeouts=Timeouts(call=...))"),
        (rddb.Policy, {"read": 2}, "it is Timeouts(read=...), as in Policy(timeouts=Timeouts(read=2))"),
        (rddb.Policy, {"ttl": "expires_at"}, "says what the data is"),
        (rddb.Policy, {"region_name": "eu-west-1"}, "it is an argument of resource(...)"),
        (rddb.Policy, {"fallbacks": None}, "it is Policy(fallback=...)"),
        (rddb.Policy, {"nonsense": object()}, "it has retry, retry_budget, circuit_breaker,"),
        (rddb.Timeouts, {"total": 3}, "Timeouts has no 'total': it is Timeouts(call=...)"),
        (rddb.Timeouts, {"read_timeout": 3}, "it is Timeouts(read=...)"),
        (rddb.CircuitBreaker, {"failure_threshold": 5}, "it is CircuitBreaker(failure_rate_threshold=...)"),
        (rddb.CircuitBreaker, {"failure_rate": 0.5}, "it is CircuitBreaker(failure_rate_threshold=...)"),
        (rddb.CircuitBreaker, {"slow_call_rate": 0.5}, "it is CircuitBreaker(slow_call_rate_threshold=...)"),
        (rddb.CircuitBreaker, {"open_seconds": 2}, "it is CircuitBreaker(open_duration=...)"),
        (rddb.CircuitBreaker, {"slow_call_seconds": 2}, "it is CircuitBreaker(slow_call_duration=...)"),
        (rddb.CircuitBreaker, {"sync_seconds": 2}, "it is CircuitBreaker(sync_interval=...)"),
        (rddb.Retry, {"on_ambiguous_write": "retry"}, "it is Policy(on_ambiguous_write=...)"),
        (rddb.Retry, {"max_atempts": 5}, "it is Retry(max_attempts=...)"),
        (rddb.RetryBudget, {"tokens": 5}, "it is RetryBudget(capacity=...)"),
    ],
)
def test_a_setting_that_there_is_none_of_says_what_is_meant(cls, given, says):
    with pytest.raises(TypeError) as caught:
        cls(**given)
    assert says in str(caught.value)
    with pytest.raises(TypeError) as again:
        cls().replace(**given)
    assert str(again.value) == str(caught.value)


@pytest.mark.parametrize("cls", SETTINGS)
def test_settings_are_given_by_name(cls):
    with pytest.raises(TypeError, match=f"{cls.__name__} takes its settings by name, such as"):
        cls(1)


def test_the_one_that_is_required_is_named():
    with pytest.raises(TypeError, match=r"such as Delay\(seconds=\.\.\.\)"):
        rddb.testing.faults.Delay(0.8)


@pytest.mark.parametrize("cls", SETTINGS)
def test_settings_are_copied_and_pickled(cls):
    made = cls()
    assert copy.copy(made) == made
    if cls is not rddb.Policy:  # its clock is equal to itself only
        assert copy.deepcopy(made) == made
        assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - made here


def test_a_value_that_may_be_long_or_secret_is_not_shown():
    with pytest.raises(TypeError) as caught:
        rddb.Policy(wait="x" * 100)
    assert "xxx" not in str(caught.value)


def test_replace_changes_what_is_named_and_checks_it():
    policy = rddb.Policy(retry=rddb.Retry(max_attempts=3), circuit_breaker=None)
    changed = policy.replace(retry=policy.retry.replace(base_delay=0.5))
    assert (changed.retry.max_attempts, changed.retry.base_delay, changed.circuit_breaker) == (3, 0.5, None)
    assert policy.retry.base_delay == 0.025
    with pytest.raises(ValueError, match="max_attempts must be 1 or more"):
        policy.retry.replace(max_attempts=0)
