"""Delays, budgets, and tenacity's strategies."""

from __future__ import annotations

import random
import statistics
import threading
from types import SimpleNamespace

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from unit_support import GET, call, failed, full_window, good, make_core, python

from resilient_ddb.calls.execution import Execution
from resilient_ddb.policy.circuit_breaker import CircuitBreaker
from resilient_ddb.policy.retry import Backoff, Retry, RetryBudget, TokenBucket
from resilient_ddb.testing import FakeClock

THROTTLED = failed("ThrottlingException")


def widest_delays(retry, attempts):
    return [retry.delay(attempt, full_window) for attempt in range(1, attempts + 1)]


def test_the_first_window_is_the_base_and_each_further_one_is_twice_as_wide():
    assert widest_delays(Retry(base_delay=0.025, max_delay=5.0), 6) == [0.025, 0.05, 0.1, 0.2, 0.4, 0.8]


def test_no_window_is_wider_than_the_cap():
    assert widest_delays(Retry(base_delay=1.0, max_delay=5.0), 6) == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert Retry(base_delay=1e-300, max_delay=5.0).delay(10**9, full_window) == 1e-300 * 2.0**63
    assert Retry(base_delay=0.0, max_delay=0.0).delay(10**9, full_window) == 0.0


def test_every_window_begins_at_nothing():
    seen = []
    Retry().delay(3, lambda low, high: seen.append((low, high)) or 0.0)
    assert seen == [(0.0, 0.1)]


def test_delays_are_spread_evenly_over_the_window():
    chance = random.Random(7)
    retry = Retry(base_delay=1.0, max_delay=8.0)
    drawn = [retry.delay(3, chance.uniform) for _ in range(20_000)]
    tenths = [sum(tenth <= delay / 4.0 * 10 < tenth + 1 for delay in drawn) for tenth in range(10)]
    # Pearson's chi-square, 9 degrees of freedom: below 27.9 in 999 of 1,000 even draws.
    assert sum((count - 2000) ** 2 / 2000 for count in tenths) < 27.9
    assert statistics.mean(drawn) == pytest.approx(2.0, abs=0.05)
    assert max(drawn) <= 4.0


def test_the_defaults_are_those_that_the_documents_name():
    assert (Retry().max_attempts, Retry().base_delay, Retry().max_delay) == (10, 0.025, 5.0)
    budget = RetryBudget()
    assert (budget.capacity, budget.refill_per_success, budget.refill_per_second) == (40.0, 0.43, 0.1)


# The budget.


class ModelBucket:
    """The same, written as plainly as can be."""

    def __init__(self, capacity, per_success, per_second):
        self.capacity, self.per_success, self.per_second = capacity, per_success, per_second
        self.tokens = float(capacity)

    def advance(self, seconds):
        self.tokens = min(self.capacity, self.tokens + seconds * self.per_second)

    def earn(self):
        self.tokens = min(self.capacity, self.tokens + self.per_success)

    def spend(self):
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


# Binary fractions: sums of them are exact, so that the model and the bucket can't differ by rounding.
eighths = st.integers(0, 80).map(lambda number: number / 8)
steps = st.one_of(st.just("spend"), st.just("spend"), st.just("earn"), st.tuples(st.just("advance"), eighths))


@examples(400)
@given(st.lists(steps, max_size=60), eighths, eighths, eighths)
def test_a_token_bucket_does_what_its_model_does(actions, capacity, per_success, per_second):
    clock = FakeClock(0.0)
    budget = RetryBudget(capacity=capacity, refill_per_success=per_success, refill_per_second=per_second)
    bucket, model = TokenBucket(budget, clock), ModelBucket(capacity, per_success, per_second)
    for action in actions:
        if action == "spend":
            assert bucket.spend() is model.spend()
        elif action == "earn":
            bucket.earn()
            model.earn()
        else:
            clock.advance(action[1])
            model.advance(action[1])
        assert bucket.tokens == model.tokens


@examples(200)
@given(st.lists(steps, max_size=60))
def test_a_bucket_is_the_same_whether_or_not_it_is_looked_at_in_between(actions):
    clock = FakeClock(0.0)
    budget = RetryBudget(capacity=5, refill_per_success=0.5, refill_per_second=0.25)
    watched, unwatched = TokenBucket(budget, clock), TokenBucket(budget, clock)
    for action in actions:
        if action[0] == "advance":
            clock.advance(action[1])
        else:
            assert getattr(watched, action)() == getattr(unwatched, action)()
        assert watched.tokens >= 0
    assert watched.tokens == unwatched.tokens


def test_an_empty_bucket_is_healed_by_time_alone():
    clock = FakeClock()
    bucket = TokenBucket(RetryBudget(capacity=2, refill_per_second=0.5), clock)
    assert [bucket.spend() for _ in range(3)] == [True, True, False]
    clock.advance(1.99)
    assert not bucket.spend()
    clock.advance(0.02)
    assert bucket.spend()
    assert not bucket.spend()


def test_failing_to_spend_costs_nothing():
    clock = FakeClock()
    bucket = TokenBucket(RetryBudget(capacity=1, refill_per_success=0.5, refill_per_second=0), clock)
    assert bucket.spend()
    for _ in range(50):
        assert not bucket.spend()
    bucket.earn()
    bucket.earn()
    assert bucket.spend()


def test_a_clock_that_goes_back_takes_no_tokens_away():
    now = [100.0]
    bucket = TokenBucket(RetryBudget(capacity=10), SimpleNamespace(monotonic=lambda: now[0]))
    bucket.spend()
    now[0] = 0.0
    assert bucket.tokens == 9.0


def test_threads_can_not_spend_more_than_there_is():
    bucket = TokenBucket(RetryBudget(capacity=100, refill_per_second=0, refill_per_success=0), FakeClock())
    spent = []
    threads = [threading.Thread(target=lambda: spent.extend(bucket.spend() for _ in range(50))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(spent) == 100


def test_a_retry_is_charged_as_it_is_scheduled_and_not_as_it_is_sent():
    core = make_core(retry_budget=RetryBudget(capacity=2, refill_per_second=0))
    calls = [Execution(core, *GET) for _ in range(3)]
    for execution in calls:
        execution.admit()
    delays = [execution.settle(400, dict(THROTTLED), None, {"body": b"{}"}) for execution in calls]
    assert [delay is None for delay in delays] == [False, False, True]
    assert calls[2].stopped_by == "budget"


def test_only_what_is_retried_is_charged():
    core = make_core(retry_budget=RetryBudget(capacity=5, refill_per_second=0), retry=Retry(max_attempts=1))
    call(core, *GET, [THROTTLED])
    call(make_core(), *GET, [failed("ValidationException")])
    assert core.lane(*GET).budget.tokens == 5


def test_successes_pay_for_retries():
    core = make_core(retry_budget=RetryBudget(capacity=5, refill_per_success=0.5, refill_per_second=0))
    call(core, *GET, [THROTTLED, THROTTLED, good()])
    assert core.lane(*GET).budget.tokens == 3.5


def test_a_starved_budget_is_healed_by_time_without_any_success():
    clock = FakeClock()
    core = make_core(
        clock,
        retry_budget=RetryBudget(capacity=1, refill_per_second=0.1),
        retry=Retry(max_attempts=2, base_delay=0, max_delay=0),
        circuit_breaker=None,
    )
    first, second = call(core, *GET, [THROTTLED] * 2), call(core, *GET, [THROTTLED] * 2)
    assert [len(first.sent), len(second.sent)] == [2, 1]
    assert second.facts.stopped_by == "budget"
    clock.advance(10.1)
    assert len(call(core, *GET, [THROTTLED] * 2).sent) == 2


# tenacity.


def tenacity_core(clock, **retry):
    return make_core(clock, retry=Retry(**retry), retry_budget=None, circuit_breaker=None)


def test_wait_fixed_gives_the_same_delay_each_time():
    clock = FakeClock()
    call(tenacity_core(clock, wait=tenacity.wait_fixed(0.7), max_attempts=4), *GET, [THROTTLED] * 4)
    assert clock.waits == [0.7, 0.7, 0.7]


def test_wait_none_waits_for_nothing():
    clock = FakeClock()
    call(tenacity_core(clock, wait=tenacity.wait_none(), max_attempts=3), *GET, [THROTTLED] * 3)
    assert clock.waits == [0.0, 0.0]


def test_wait_random_exponential_has_our_own_windows(monkeypatch):
    monkeypatch.setattr("tenacity.wait.random.uniform", full_window)
    clock = FakeClock()
    wait = tenacity.wait_random_exponential(multiplier=0.025, max=5.0)
    call(tenacity_core(clock, wait=wait, max_attempts=10), *GET, [THROTTLED] * 10)
    assert clock.waits == widest_delays(Retry(base_delay=0.025, max_delay=5.0), 9)


def test_stop_after_attempt_counts_the_first():
    core = tenacity_core(FakeClock(), stop=tenacity.stop_after_attempt(3))
    made = call(core, *GET, [THROTTLED] * 3)
    assert (len(made.sent), made.facts.stopped_by) == (3, "max_attempts")


def test_stop_takes_the_place_of_max_attempts():
    core = tenacity_core(FakeClock(), stop=tenacity.stop_after_attempt(13), max_attempts=2)
    assert len(call(core, *GET, [THROTTLED] * 13).sent) == 13


def test_stop_after_delay_goes_by_our_clock():
    core = tenacity_core(FakeClock(), wait=tenacity.wait_fixed(1), stop=tenacity.stop_after_delay(3))
    assert len(call(core, *GET, [THROTTLED] * 4).sent) == 4


def test_stop_before_delay_looks_at_the_coming_wait():
    core = tenacity_core(FakeClock(), wait=tenacity.wait_fixed(1), stop=tenacity.stop_before_delay(3))
    assert len(call(core, *GET, [THROTTLED] * 3).sent) == 3


def test_stop_before_delay_sees_what_the_server_asks_for():
    core = tenacity_core(FakeClock(), wait=tenacity.wait_fixed(1), stop=tenacity.stop_before_delay(3))
    slow = failed("ThrottlingException", headers={"x-amz-retry-after": "4000"})
    assert len(call(core, *GET, [slow]).sent) == 1


def test_strategies_can_be_combined():
    clock = FakeClock()
    wait = tenacity.wait_fixed(1) + tenacity.wait_incrementing(start=0, increment=2)
    stop = tenacity.stop_after_attempt(4) | tenacity.stop_after_delay(100)
    call(tenacity_core(clock, wait=wait, stop=stop), *GET, [THROTTLED] * 4)
    assert clock.waits == [1, 3, 5]


def test_a_strategy_sees_the_call_as_it_stands():
    seen = []

    def wait(state):
        seen.append((state.attempt_number, state.seconds_since_start, state.idle_for, state.outcome.exception()))
        return 2.0

    call(tenacity_core(FakeClock(), wait=wait, max_attempts=3), *GET, [THROTTLED] * 3, took=0.5)
    assert [row[:3] for row in seen] == [(1, 0.5, 0.0), (2, 3.0, 2.0)]
    assert seen[0][3].response["Error"]["Code"] == "ThrottlingException"


def test_a_negative_wait_is_none_at_all():
    clock = FakeClock()
    call(tenacity_core(clock, wait=lambda state: -1.0, max_attempts=2), *GET, [THROTTLED] * 2)
    assert clock.waits == [0.0]


def test_threads_that_share_strategies_do_not_disturb_each_other():
    retry = Retry(
        wait=tenacity.wait_incrementing(start=1, increment=1),
        stop=tenacity.stop_after_attempt(50) | tenacity.stop_after_delay(10**6),
    )
    outcomes = []

    def one_call():
        backoff = Backoff(retry, full_window, 0.0)
        outcomes.append([backoff.delay(n, ValueError(), float(n)) for n in range(1, 51)])

    threads = [threading.Thread(target=one_call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [[*map(float, range(1, 50)), None]] * 8


IMPORTED = "import sys; print([m for m in ('tenacity', 'pybreaker', 'redis', 'aiohttp') if m in sys.modules])"


def test_nothing_of_tenacity_is_imported_before_the_first_failure():
    script = """
import sys; sys.path.insert(0, "tests")
from unit_support import *
from resilient_ddb.policy.retry import Retry
core = make_core(retry=Retry(wait=lambda state: 0.0, stop=lambda state: True))
call(core, *GET, [good()])
print("tenacity" in sys.modules)
call(core, *GET, [failed("ThrottlingException")])
print("tenacity" in sys.modules)
core = make_core()
"""
    assert python(script).split() == ["False", "True"]


def test_without_strategies_tenacity_is_never_imported():
    script = """
import sys; sys.path.insert(0, "tests")
from unit_support import *
call(make_core(), *GET, [failed("ThrottlingException"), good()])
print("tenacity" in sys.modules)
"""
    assert python(script) == "False"


@pytest.mark.parametrize("module", ["resilient_ddb", "resilient_ddb.calls.core", "resilient_ddb.sync.session"])
def test_importing_the_library_imports_none_of_what_may_never_be_needed(module):
    assert python(f"import {module}; {IMPORTED}") == "[]"


def test_asking_for_every_sync_name_imports_none_of_it_either():
    names = "for n in r.__all__:\n if n not in ('aio', 'testing'): getattr(r, n)"
    assert python(f"import resilient_ddb as r\n{names}\n{IMPORTED}") == "[]"


# What the server asks for.


@pytest.mark.parametrize(
    ("header", "delay"),
    [
        ("", 1.0),
        ("0", 1.0),
        ("999", 1.0),
        ("1001", 1.001),
        ("6000", 6.0),
        ("6001", 6.0),
        ("86400000", 6.0),
        ("-5", 1.0),
        ("soon", 1.0),
        ("1.5", 1.0),
        ("²", 1.0),
        ("9" * 400, 1.0),
        ("9" * 5000, 1.0),
    ],
)
def test_a_server_s_wish_is_honoured_up_to_five_seconds_beyond_our_own_delay(header, delay):
    backoff = Backoff(Retry(base_delay=1.0), full_window, 0.0)
    assert backoff.delay(1, ValueError(), 0.0, retry_after=header) == delay


def test_an_age_that_must_be_reached_comes_after_all_else():
    backoff = Backoff(Retry(base_delay=1.0), full_window, 0.0)
    assert backoff.delay(1, ValueError(), 0.0, least=9.0, retry_after="2000") == 9.0
    assert backoff.delay(1, ValueError(), 0.0, least=-9.0) == 1.0


def test_the_breaker_has_no_part_in_delays():
    clock = FakeClock()
    core = make_core(clock, circuit_breaker=CircuitBreaker(), retry=Retry(max_attempts=3, base_delay=1, max_delay=1))
    call(core, *GET, [THROTTLED] * 3)
    assert clock.waits == [1, 1]
