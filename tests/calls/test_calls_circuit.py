"""Circuits, held against plain models of a window and of a state machine."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pybreaker
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from properties import examples

from resilient_ddb.calls.circuit import CLOSED, HALF_OPEN, OPEN, Circuit, HealthSign, Window
from resilient_ddb.calls.pybreaker_storage import make_breaker
from resilient_ddb.errors import CircuitOpenError
from resilient_ddb.policy.circuit_breaker import CircuitBreaker
from resilient_ddb.testing import FakeClock

SUCCESS, FAILURE, NEITHER = HealthSign.SUCCESS, HealthSign.FAILURE, HealthSign.NEITHER


def lowest(low, high):
    return low


def highest(low, high):
    return high


def make_circuit(clock=None, uniform=lowest, on_change=None, make=make_breaker, **breaker):
    changes = []
    circuit = Circuit(
        "t/read",
        CircuitBreaker(**breaker),
        clock or FakeClock(),
        uniform,
        on_change or (lambda _, old, new, reason, _forced: changes.append((old, new, reason))),
        make,
    )
    circuit.seen = changes
    return circuit


def attempt(circuit, outcome, elapsed=0.0, code="E"):
    circuit.record(circuit.admit("GetItem"), outcome, elapsed, code)


def opened(**settings):
    circuit = make_circuit(minimum_calls=1, **settings)
    attempt(circuit, FAILURE)
    assert circuit.state == OPEN
    return circuit


# The window.


class ModelWindow:
    """Keeps every attempt there was."""

    def __init__(self, calls, seconds):
        self.calls, self.seconds = calls, seconds
        self.entries = []

    def add(self, now, failed, slow):
        self.entries.append((now, failed, slow))

    def totals(self, now):
        recent = [entry for entry in self.entries[-self.calls :] if entry[0] > now - self.seconds]
        return len(recent), sum(entry[1] for entry in recent), sum(entry[2] for entry in recent)


@examples(300)
@given(
    st.sampled_from([1, 2, 5, 100]),
    st.sampled_from([0.5, 1.0, 7.0, 10.0]),
    st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.3, 1.0, 2.7, 9.99, 10.0, 40.0]), st.booleans(), st.booleans())),
    st.booleans(),
)
def test_a_window_counts_what_its_model_counts(calls, seconds, attempts, looked_at):
    now, window, model = 1_700_000_000.0, Window(calls, seconds), ModelWindow(calls, seconds)
    for passed, failed, slow in attempts:
        now += passed
        window.add(now, failed=failed, slow=slow)
        model.add(now, failed, slow)
        if looked_at:  # looking changes nothing
            assert window.totals(now) == model.totals(now)
    assert window.totals(now) == model.totals(now)
    assert window.totals(now + 3) == model.totals(now + 3)


def test_a_window_covers_its_seconds_and_no_more():
    window = Window(100, 10.0)
    window.add(100.0)
    assert window.totals(109.9)[0] == 1
    assert window.totals(110.0)[0] == 0


def test_a_window_holds_no_more_attempts_than_it_may():
    window = Window(3, 10.0)
    for failed in (True, True, False, False):
        window.add(1.0, failed=failed)
    assert window.totals(1.0) == (3, 1, 0)


def test_an_outage_shows_however_long_all_was_well_before():
    circuit = make_circuit(minimum_calls=5, window_calls=10)
    for _ in range(1000):
        attempt(circuit, SUCCESS)
    for number in range(5):
        assert circuit.state == CLOSED, number
        attempt(circuit, FAILURE)
    assert circuit.state == OPEN


def test_a_window_holds_the_minimum_of_calls_at_least():
    circuit = make_circuit(minimum_calls=5, window_calls=2)
    for number in range(5):
        assert circuit.state == CLOSED, number
        attempt(circuit, FAILURE)
    assert circuit.state == OPEN


def test_a_cleared_window_is_empty():
    window = Window(5, 10.0)
    window.add(5.0, failed=True, slow=True)
    window.clear()
    assert window.totals(5.0) == (0, 0, 0)


# Opening.


def test_four_failures_of_five_open_a_circuit_that_counts_in_a_row_never_would():
    circuit = make_circuit(minimum_calls=10, failure_rate_threshold=0.8)
    for outcome in [FAILURE, FAILURE, FAILURE, FAILURE, SUCCESS] * 2:
        assert circuit.state == CLOSED
        attempt(circuit, outcome)
    assert circuit.state == CLOSED  # 8 of 10; only a failure is looked at
    attempt(circuit, FAILURE)
    assert circuit.state == OPEN
    assert circuit.seen == [(CLOSED, OPEN, "9 of 11 attempts failed within 10 s, the last with E")]


@pytest.mark.parametrize(("failures", "state"), [(4, CLOSED), (5, OPEN)])
def test_a_circuit_opens_at_exactly_its_failure_rate(failures, state):
    circuit = make_circuit(minimum_calls=10, failure_rate_threshold=0.5)
    for number in range(10):
        attempt(circuit, SUCCESS if number < 10 - failures else FAILURE)
    assert circuit.state == state


@pytest.mark.parametrize(("calls", "state"), [(9, CLOSED), (10, OPEN)])
def test_no_rate_is_looked_at_below_the_minimum_of_calls(calls, state):
    circuit = make_circuit(minimum_calls=10)
    for _ in range(calls):
        attempt(circuit, FAILURE)
    assert circuit.state == state


def test_what_is_neither_counts_for_nothing():
    circuit = make_circuit(minimum_calls=3)
    for _ in range(50):
        attempt(circuit, NEITHER)
    attempt(circuit, FAILURE)
    attempt(circuit, FAILURE)
    assert circuit.state == CLOSED
    attempt(circuit, FAILURE)
    assert circuit.state == OPEN


def test_failures_that_are_too_old_do_not_count():
    clock = FakeClock()
    circuit = make_circuit(clock, minimum_calls=3, window_seconds=10.0)
    attempt(circuit, FAILURE)
    attempt(circuit, FAILURE)
    clock.advance(10.0)
    attempt(circuit, FAILURE)
    attempt(circuit, FAILURE)
    assert circuit.state == CLOSED
    attempt(circuit, FAILURE)
    assert circuit.state == OPEN


# Slow calls.


def test_slow_successes_open_a_circuit():
    circuit = make_circuit(minimum_calls=5, slow_call_duration=1.0, slow_call_rate_threshold=0.8)
    attempt(circuit, SUCCESS, elapsed=1.0)  # not slower than that
    for _ in range(3):
        attempt(circuit, SUCCESS, elapsed=1.01)
    assert circuit.state == CLOSED
    attempt(circuit, SUCCESS, elapsed=2.0)
    assert circuit.state == OPEN
    assert circuit.reason == "80% or more of the attempts took over 1 s"


def test_an_attempt_is_slow_only_beyond_the_limit():
    circuit = make_circuit(minimum_calls=5, slow_call_duration=1.0)
    for _ in range(10):
        attempt(circuit, SUCCESS, elapsed=1.0)
    assert circuit.state == CLOSED


def test_slow_failures_count_as_failures():
    circuit = make_circuit(
        minimum_calls=10, failure_rate_threshold=0.5, slow_call_duration=1.0, slow_call_rate_threshold=0.9
    )
    for _ in range(5):
        attempt(circuit, SUCCESS)
    for _ in range(5):
        assert circuit.state == CLOSED
        attempt(circuit, FAILURE, elapsed=5.0)
    assert circuit.state == OPEN
    assert circuit.reason == "5 of 10 attempts failed within 10 s, the last with E"


def test_a_slow_failure_is_one_attempt():
    circuit = make_circuit(minimum_calls=3, slow_call_duration=1.0, slow_call_rate_threshold=1.0)
    attempt(circuit, FAILURE, elapsed=5.0)
    attempt(circuit, FAILURE, elapsed=5.0)
    assert circuit.state == CLOSED
    attempt(circuit, FAILURE, elapsed=5.0)
    assert circuit.state == OPEN


def test_slow_calls_reach_the_listeners_too():
    told = Listener()
    circuit = make_circuit(minimum_calls=50, slow_call_duration=1.0, listeners=[told])
    attempt(circuit, SUCCESS, elapsed=2.0)
    attempt(circuit, FAILURE, elapsed=2.0)
    assert told.calls == ["success", "failure"]


def test_a_slow_probe_opens_the_circuit_again():
    clock = FakeClock()
    circuit = opened(clock=clock, slow_call_duration=1.0, half_open_permits=1)
    clock.advance(2.0)
    attempt(circuit, SUCCESS, elapsed=1.5)
    assert (circuit.state, circuit.reason) == (OPEN, "1 of 1 probes failed, the last: it took 1.50 s")


# Open, and half-open.


def test_an_open_circuit_refuses_and_says_for_how_long():
    clock = FakeClock()
    circuit = opened(clock=clock, open_duration=2.0, open_jitter=0.5)
    clock.advance(0.5)
    with pytest.raises(CircuitOpenError) as refused:
        circuit.admit("GetItem")
    assert (refused.value.circuit, refused.value.state, refused.value.retry_after) == ("t/read", OPEN, 1.5)
    assert refused.value.reason == "1 of 1 attempts failed within 10 s, the last with E"
    assert refused.value.operation_name == "GetItem"


@pytest.mark.parametrize(("uniform", "seconds"), [(lowest, 2.0), (highest, 3.0)])
def test_the_open_time_is_lengthened_by_chance(uniform, seconds):
    clock = FakeClock()
    circuit = opened(clock=clock, uniform=uniform, open_duration=2.0, open_jitter=0.5)
    clock.advance(seconds - 0.01)
    with pytest.raises(CircuitOpenError):
        circuit.admit("GetItem")
    clock.advance(0.01)
    circuit.admit("GetItem")
    assert circuit.state == HALF_OPEN


def test_as_many_good_probes_as_there_are_permits_close_a_circuit():
    clock = FakeClock()
    circuit = opened(clock=clock, half_open_permits=3)
    clock.advance(2.0)
    for _ in range(3):
        assert circuit.state != CLOSED
        attempt(circuit, SUCCESS)
    assert circuit.state == CLOSED
    assert [change[:2] for change in circuit.seen] == [(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, CLOSED)]
    attempt(circuit, SUCCESS)
    assert circuit.state == CLOSED  # the window starts anew: what failed before would be half of it


def test_as_many_failed_probes_as_the_rate_says_open_it_again():
    clock = FakeClock()
    circuit = opened(clock=clock, half_open_permits=4, failure_rate_threshold=0.5)
    clock.advance(2.0)
    for outcome in (FAILURE, SUCCESS):
        attempt(circuit, outcome)
    assert circuit.state == HALF_OPEN
    attempt(circuit, FAILURE, code="InternalServerError")
    assert (circuit.state, circuit.reason) == (OPEN, "2 of 3 probes failed, the last: InternalServerError")


def test_a_failure_that_has_no_code_is_a_failure_of_a_probe_too():
    clock = FakeClock()
    circuit = opened(clock=clock, half_open_permits=1)
    clock.advance(2.0)
    attempt(circuit, FAILURE, code="")
    assert (circuit.state, circuit.reason) == (OPEN, "1 of 1 probes failed, the last: no code")


def test_fewer_failed_probes_than_that_do_not_keep_it_from_closing():
    clock = FakeClock()
    circuit = opened(clock=clock, half_open_permits=3, failure_rate_threshold=0.5)
    clock.advance(2.0)
    for outcome in (SUCCESS, FAILURE, SUCCESS):
        assert circuit.state != CLOSED
        attempt(circuit, outcome)
    assert (circuit.state, circuit.reason) == (CLOSED, "2 of 3 probes succeeded")


def test_a_half_open_circuit_admits_no_more_than_its_permits():
    clock = FakeClock()
    circuit = opened(clock=clock, half_open_permits=2)
    clock.advance(2.0)
    first, _ = circuit.admit("GetItem"), circuit.admit("GetItem")
    with pytest.raises(CircuitOpenError) as refused:
        circuit.admit("GetItem")
    assert (refused.value.state, refused.value.retry_after) == (HALF_OPEN, 0.0)
    circuit.release(first)
    circuit.admit("GetItem")


def test_a_probe_that_was_answered_gives_no_permit_back():
    clock = FakeClock()
    circuit = opened(clock=clock, half_open_permits=2)
    clock.advance(2.0)
    attempt(circuit, SUCCESS)
    circuit.admit("GetItem")
    with pytest.raises(CircuitOpenError):
        circuit.admit("GetItem")


def test_a_probe_that_said_nothing_gives_its_permit_to_the_next():
    clock = FakeClock()
    circuit = opened(clock=clock, half_open_permits=2)
    clock.advance(2.0)
    first, _ = circuit.admit("GetItem"), circuit.admit("GetItem")
    circuit.record(first, NEITHER, 0.0)
    circuit.admit("GetItem")
    with pytest.raises(CircuitOpenError):
        circuit.admit("GetItem")


def test_outcomes_of_calls_from_an_earlier_state_are_dropped():
    clock = FakeClock()
    circuit = make_circuit(clock, minimum_calls=1, half_open_permits=1)
    late_failure, late_success = circuit.admit("GetItem"), circuit.admit("GetItem")
    attempt(circuit, FAILURE)
    clock.advance(2.0)
    probe = circuit.admit("GetItem")
    circuit.record(late_failure, FAILURE, 0.0)
    circuit.record(late_success, SUCCESS, 0.0)
    assert circuit.state == HALF_OPEN
    with pytest.raises(CircuitOpenError):  # nor do they give back the probe's permit
        circuit.admit("GetItem")
    circuit.record(probe, SUCCESS, 0.0)
    assert circuit.state == CLOSED
    circuit.record(late_failure, FAILURE, 0.0)
    assert circuit.state == CLOSED


def test_a_probe_s_outcome_that_comes_twice_is_taken_once():
    clock = FakeClock()
    circuit = opened(clock=clock, half_open_permits=1)
    clock.advance(2.0)
    probe = circuit.admit("GetItem")
    circuit.record(probe, FAILURE, 0.0)
    circuit.record(probe, SUCCESS, 0.0)
    assert circuit.state == OPEN


class OpensAsItIsRead(Circuit):
    """Opens at the very moment at which another thread has read that it is closed."""

    tripwire = False

    @property
    def lets_all_through(self):
        found = self.__dict__["now"]
        if self.tripwire and found:
            self.tripwire = False
            self.adopt(OPEN, "test")
        return found

    @lets_all_through.setter
    def lets_all_through(self, whether):
        self.__dict__["now"] = whether


def test_a_call_let_through_as_the_circuit_opens_belongs_to_the_closed_time():
    circuit = OpensAsItIsRead("c", CircuitBreaker(minimum_calls=1), FakeClock(), lowest, lambda *_: None, make_breaker)
    circuit.tripwire = True
    permit = circuit.admit("GetItem")
    assert circuit.state == OPEN
    circuit.record(permit, SUCCESS, 0.0)  # dropped; pybreaker would refuse it
    circuit.record(permit, FAILURE, 0.0)
    assert circuit.state == OPEN


@pytest.mark.parametrize("callers", [1000])
def test_a_thousand_callers_at_half_open_send_no_more_than_the_permitted_probes(callers):
    clock = FakeClock()
    circuit = opened(clock=clock, half_open_permits=3)
    clock.advance(2.0)
    at_once = threading.Barrier(8)

    def ask(number):
        if number < 8:
            at_once.wait()
        try:
            return circuit.admit("GetItem") is not None
        except CircuitOpenError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(callers))) == 3


def test_threads_lose_no_count():
    circuit = make_circuit(minimum_calls=4001, failure_rate_threshold=0.25)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: attempt(circuit, FAILURE if n % 4 == 0 else SUCCESS), range(4000)))
    assert circuit.state == CLOSED
    attempt(circuit, FAILURE)  # the 4001st, and the 1001st failure: with one less of either it would stay closed
    assert circuit.state == OPEN


def test_no_lock_is_held_while_observers_are_told():
    told = []

    def on_change(circuit, old, new, reason, _forced):
        def other_thread():
            circuit.record(0, SUCCESS, 0.0)
            told.append((old, new))

        thread = threading.Thread(target=other_thread, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive(), "the circuit's lock is held"

    clock = FakeClock()
    circuit = make_circuit(clock, minimum_calls=1, half_open_permits=1, on_change=on_change)
    attempt(circuit, FAILURE)
    clock.advance(2.0)
    attempt(circuit, SUCCESS)
    circuit.adopt(OPEN, "elsewhere")
    assert told == [(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, CLOSED), (CLOSED, OPEN)]


# pybreaker.


class Listener(pybreaker.CircuitBreakerListener):
    def __init__(self):
        self.calls = []

    def failure(self, cb, exc):
        self.calls.append("failure")

    def success(self, cb):
        self.calls.append("success")

    def state_change(self, cb, old_state, new_state):
        self.calls.append((old_state.name, new_state.name))


def test_a_pybreaker_listener_hears_of_everything():
    clock, told = FakeClock(), Listener()
    circuit = make_circuit(clock, minimum_calls=2, half_open_permits=2, listeners=[told])
    attempt(circuit, SUCCESS)
    attempt(circuit, FAILURE)
    clock.advance(2.0)
    attempt(circuit, SUCCESS)
    attempt(circuit, SUCCESS)
    assert told.calls == [
        "success", "failure", (CLOSED, OPEN), (OPEN, HALF_OPEN), "success", "success", (HALF_OPEN, CLOSED),
    ]  # fmt: skip


def test_the_pybreaker_breaker_is_in_the_circuit_s_state():
    clock = FakeClock()
    circuit = opened(clock=clock)
    assert (circuit.breaker.current_state, circuit.breaker.name) == (OPEN, "t/read")
    clock.advance(2.0)
    circuit.admit("GetItem")
    assert circuit.breaker.current_state == HALF_OPEN
    circuit.breaker.close()
    assert circuit.state == CLOSED
    circuit.admit("GetItem")


def test_a_circuit_that_only_sees_successes_makes_no_pybreaker_breaker():
    made = []
    circuit = make_circuit(make=made.append)
    attempt(circuit, SUCCESS)
    assert made == []


@pytest.mark.parametrize(
    ("before", "told", "after"),
    [
        (CLOSED, OPEN, OPEN),
        (CLOSED, HALF_OPEN, CLOSED),
        (OPEN, CLOSED, CLOSED),
        (OPEN, HALF_OPEN, OPEN),
        (OPEN, OPEN, OPEN),
    ],
)
def test_another_process_s_state_is_taken_over(before, told, after):
    circuit = opened() if before == OPEN else make_circuit()
    circuit.adopt(told, "elsewhere")
    assert circuit.state == after


# The state machine, against a plain model.

PERMITS, MINIMUM, CALLS, RATE, OPEN_FOR = 3, 4, 6, 0.5, 3.0  # 2 s, and half of it by chance


class CircuitMachine(RuleBasedStateMachine):
    """Does the same to a circuit and to a model of one."""

    @initialize()
    def begin(self):
        self.clock = FakeClock(0.0)
        self.told = Listener()
        self.circuit = make_circuit(
            self.clock,
            highest,
            minimum_calls=MINIMUM,
            window_calls=CALLS,
            failure_rate_threshold=RATE,
            half_open_permits=PERMITS,
            open_duration=2.0,
            window_seconds=10.0,
            listeners=[self.told],
        )
        self.state, self.period, self.counted, self.opened_at = CLOSED, 0, [], 0.0
        self.probes = self.good_probes = self.bad_probes = 0
        self.flying = []
        self.changes = []

    def enter(self, state):
        self.changes.append((self.state, state))
        self.state, self.counted = state, []
        self.period += 1
        self.probes = self.good_probes = self.bad_probes = 0
        if state == OPEN:
            self.opened_at = self.clock.monotonic()

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, 11.0]))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def a_call_asks(self):
        if self.state == OPEN and self.clock.monotonic() >= self.opened_at + OPEN_FOR:
            self.enter(HALF_OPEN)
        admitted = self.state == CLOSED or (self.state == HALF_OPEN and self.probes < PERMITS)
        if admitted:
            self.probes += self.state == HALF_OPEN
            self.flying.append((self.circuit.admit("GetItem"), self.period))
            return
        with pytest.raises(CircuitOpenError) as refused:
            self.circuit.admit("GetItem")
        left = self.opened_at + OPEN_FOR - self.clock.monotonic() if self.state == OPEN else 0.0
        assert refused.value.retry_after == left
        assert refused.value.state == self.state

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), outcome=st.sampled_from([SUCCESS, FAILURE, FAILURE, NEITHER, "release"]))
    def a_call_ends(self, data, outcome):
        permit, period = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        if outcome == "release":
            self.circuit.release(permit)
        else:
            self.circuit.record(permit, outcome, 0.0)
        if period != self.period:
            return
        if self.state == HALF_OPEN:
            self.a_probe_ends(outcome)
        elif outcome in (SUCCESS, FAILURE):
            self.counted.append((self.clock.monotonic(), outcome is FAILURE))
            recent = [failed for at, failed in self.counted[-CALLS:] if at > self.clock.monotonic() - 10]
            if outcome is FAILURE and len(recent) >= MINIMUM and sum(recent) >= RATE * len(recent):
                self.enter(OPEN)

    def a_probe_ends(self, outcome):
        if outcome not in (SUCCESS, FAILURE):
            self.probes -= 1
            return
        self.good_probes += outcome is SUCCESS
        self.bad_probes += outcome is FAILURE
        if outcome is FAILURE and self.bad_probes >= RATE * PERMITS:
            self.enter(OPEN)
        elif self.good_probes + self.bad_probes == PERMITS:
            self.enter(CLOSED)

    @rule(state=st.sampled_from([OPEN, CLOSED, HALF_OPEN]))
    def another_process_says(self, state):
        self.circuit.adopt(state, "elsewhere")
        if (state, self.state) == (OPEN, CLOSED) or (state == CLOSED and self.state != CLOSED):
            self.enter(state)

    @invariant()
    def both_agree(self):
        if not hasattr(self, "circuit"):
            return
        assert self.circuit.state == self.state
        assert [change[:2] for change in self.circuit.seen] == self.changes
        assert [call for call in self.told.calls if isinstance(call, tuple)] == self.changes


TestCircuitMachine = CircuitMachine.TestCase
TestCircuitMachine.settings = examples(150, stateful_step_count=40)
