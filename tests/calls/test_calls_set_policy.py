"""Another policy for what is in use: what was learnt of the tables stays."""

from __future__ import annotations

import gc
import itertools
import sys
import threading

import pytest
from unit_support import GET, call, failed, good, make_core

import resilient_ddb as rddb
from resilient_ddb.errors import CircuitOpenError
from resilient_ddb.testing import FakeClock

SERVER = failed("InternalServerError", 500)
ONCE = rddb.Retry(max_attempts=1)
BREAKER = rddb.CircuitBreaker(minimum_calls=4, open_duration=10, open_jitter=0)


def circuit_of(core):
    return core.lane(*GET).circuit


def core_in_outage(clock=None, **settings):
    core = make_core(clock, **{"retry": ONCE, "circuit_breaker": BREAKER, **settings})
    for _ in range(4):
        call(core, *GET, [SERVER])
    assert circuit_of(core).state == "open"
    return core


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"retry": rddb.Retry(max_attempts=5)},
        {"retry_budget": None},
        {"circuit_breaker": BREAKER.replace(failure_rate_threshold=0.9)},
        {"circuit_breaker": BREAKER.replace(minimum_calls=1_000, window_calls=5)},
        {"circuit_breaker": BREAKER.replace(open_duration=1)},
        {"circuit_breaker": BREAKER.replace(listeners=[])},
        {"timeouts": rddb.Timeouts(read=1)},
    ],
    ids=lambda changes: ", ".join(changes) or "the same",
)
def test_an_open_circuit_stays_open_as_long_as_it_was_to(changes):
    clock = FakeClock()
    core = core_in_outage(clock)
    core.set_policy(core.policy.replace(**changes))
    clock.advance(9)
    assert isinstance(call(core, *GET, []).error, CircuitOpenError)
    clock.advance(1.5)
    assert call(core, *GET, [good()]).error is None
    assert circuit_of(core).state == "half-open"


def test_the_next_open_time_is_the_new_one():
    clock = FakeClock()
    core = core_in_outage(clock)
    core.set_policy(core.policy.replace(circuit_breaker=BREAKER.replace(open_duration=100, half_open_permits=1)))
    clock.advance(11)
    call(core, *GET, [SERVER])
    clock.advance(99)
    assert isinstance(call(core, *GET, []).error, CircuitOpenError)


def test_attempts_stay_counted():
    core = make_core(retry=ONCE, circuit_breaker=BREAKER)
    for _ in range(3):
        call(core, *GET, [SERVER])
    core.set_policy(core.policy.replace(circuit_breaker=BREAKER.replace(window_seconds=60)))
    assert circuit_of(core).state == "closed"
    call(core, *GET, [SERVER])
    assert circuit_of(core).state == "open"


def test_attempts_stay_counted_where_the_clock_is_another():
    clock, other = FakeClock(), FakeClock()
    other.advance(5_000)
    core = make_core(clock, retry=ONCE, circuit_breaker=BREAKER)
    for _ in range(3):
        call(core, *GET, [SERVER])
    core.set_policy(core.policy.replace(clock=other))
    call(core, *GET, [SERVER])
    assert circuit_of(core).state == "open"
    core.set_policy(core.policy.replace(clock=clock))
    clock.advance(9)
    assert isinstance(call(core, *GET, []).error, CircuitOpenError)


def test_a_half_open_circuit_closes_though_there_are_fewer_permits_now():
    clock = FakeClock()
    core = core_in_outage(clock, circuit_breaker=BREAKER.replace(half_open_permits=4))
    clock.advance(11)
    for _ in range(2):
        call(core, *GET, [good()])
    core.set_policy(core.policy.replace(circuit_breaker=BREAKER.replace(half_open_permits=1)))
    assert circuit_of(core).state == "half-open"
    clock.advance(61)  # so long a probe may be out
    call(core, *GET, [good()])
    assert circuit_of(core).state == "closed"


def test_a_circuit_goes_and_comes():
    core = core_in_outage()
    policy = core.policy
    core.set_policy(policy.replace(circuit_breaker=None))
    assert call(core, *GET, [good()]).error is None
    core.set_policy(policy)
    assert circuit_of(core).state == "closed"


def test_what_a_budget_has_spent_stays_spent():
    core = make_core(retry_budget=rddb.RetryBudget(capacity=3, refill_per_second=0), circuit_breaker=None)
    assert len(call(core, *GET, [SERVER] * 4).sent) == 4  # three retries
    core.set_policy(core.policy.replace(retry=rddb.Retry(max_attempts=3)))
    assert len(call(core, *GET, [SERVER]).sent) == 1
    core.set_policy(core.policy.replace(retry_budget=rddb.RetryBudget(capacity=50, refill_per_second=0)))
    assert len(call(core, *GET, [SERVER]).sent) == 1
    core.set_policy(core.policy.replace(retry_budget=None))
    assert len(call(core, *GET, [SERVER] * 3).sent) == 3


def test_a_smaller_budget_holds_at_once():
    core = make_core(retry_budget=rddb.RetryBudget(capacity=50, refill_per_second=0), circuit_breaker=None)
    call(core, *GET, [good()])
    core.set_policy(core.policy.replace(retry_budget=rddb.RetryBudget(capacity=1, refill_per_second=0)))
    assert len(call(core, *GET, [SERVER] * 2).sent) == 2


def test_observers_and_fallbacks_are_the_new_ones():
    first, second = [], []
    core = make_core(observers=[first.append], retry=ONCE, circuit_breaker=BREAKER.replace(minimum_calls=1))
    core.lane(*GET)
    core.set_policy(core.policy.replace(observers=[second.append], fallback=rddb.fallback.response({"Item": {}})))
    assert call(core, *GET, [SERVER]).response["Item"] == {}
    assert first == []
    assert "open" in {getattr(event, "new_state", None) for event in second}


def test_a_circuit_is_shared_by_the_new_storage_and_no_longer_by_the_old_one():
    from pybreaker import CircuitMemoryStorage  # noqa: PLC0415 - only here

    old, new = CircuitMemoryStorage("closed"), CircuitMemoryStorage("closed")
    core = core_in_outage(circuit_breaker=BREAKER.replace(storage=lambda _name: old, sync_interval=60))
    wake = circuit_of(core).wake
    core.set_policy(core.policy.replace(circuit_breaker=BREAKER.replace(storage=lambda _name: new, sync_interval=60)))
    assert circuit_of(core).state == "open"
    assert circuit_of(core).wake not in (None, wake)
    core.set_policy(core.policy.replace(circuit_breaker=BREAKER))
    assert circuit_of(core).wake is None


# Views.


def test_views_follow_but_those_with_a_policy_of_their_own():
    core = make_core()
    view, own = core.with_ttl(None), core.with_policy(core.policy.replace(retry=ONCE), "t")
    core.set_policy(core.policy.replace(on_ambiguous_write="retry"))
    assert view.policy is core.policy
    assert (own.policy.retry, own.policy.on_ambiguous_write) == (ONCE, "raise")
    view.set_policy(core.policy.replace(retry=ONCE))
    assert core.policy.retry == ONCE


def test_a_policy_of_a_tables_own_changes_alone_and_for_all_that_have_it():
    core = make_core()
    policy = core.policy.replace(circuit_breaker=BREAKER, retry=ONCE)
    first, second, other = (core.with_policy(policy, name) for name in ("t", "t", "u"))
    for _ in range(4):
        call(first, *GET, [SERVER])
    changed = policy.replace(circuit_breaker=BREAKER.replace(open_duration=50))
    first.set_policy(changed)
    assert (second.policy, other.policy, core.policy.retry) == (changed, policy, core.policy.retry)
    assert isinstance(call(second, *GET, []).error, CircuitOpenError)
    assert isinstance(call(core.with_policy(changed, "t"), *GET, []).error, CircuitOpenError)
    assert call(core.with_policy(policy, "t"), *GET, [good()]).error is None


def test_a_table_that_is_made_anew_for_each_request_finds_its_circuits_and_budgets():
    core = make_core()
    policy = core.policy.replace(circuit_breaker=BREAKER, retry=ONCE)
    for _ in range(4):
        call(core.with_policy(policy.replace(fallback=rddb.fallback.response({})), "t"), *GET, [SERVER])
        gc.collect(1)
    assert isinstance(call(core.with_policy(policy, "t"), *GET, []).error, CircuitOpenError)
    assert call(core, *GET, [good()]).error is None


def test_a_policy_is_set_while_threads_make_tables_with_policies_of_their_own():
    core, interval = make_core(), sys.getswitchinterval()
    policies = [core.policy.replace(retry_budget=rddb.RetryBudget(capacity=capacity)) for capacity in (1, 2)]
    own, is_over = core.with_policy(policies[0], "t"), threading.Event()

    def make_tables():
        for number in itertools.cycle(range(1_000)):
            core.with_policy(core.policy, f"t-{number}")
            if is_over.is_set():
                return

    threads = [threading.Thread(target=make_tables) for _ in range(3)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for number in range(4_000):
            own.set_policy(policies[number % 2])
    finally:
        is_over.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()


def test_tables_with_policies_of_their_own_are_bounded_in_number():
    core = make_core()
    for number in range(1_000):
        core.with_policy(core.policy, f"t-{number}").lane(*GET)
    assert len(core.all_lanes()) <= 500
