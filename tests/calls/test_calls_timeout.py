"""`Timeouts(call=...)`: the time that a whole call may take."""

from __future__ import annotations

import copy
import pickle

import pytest
from botocore.exceptions import ReadTimeoutError
from unit_support import GET, PUT, call, failed, make_core

import resilient_ddb as rddb
from resilient_ddb.calls.execution import Execution
from resilient_ddb.policy.deadlines import Stop, deadline
from resilient_ddb.testing import FakeClock

THROTTLED = failed("ThrottlingException")
STEADY = rddb.Retry(base_delay=1.0, max_delay=1.0)


def core_with(call_timeout, clock):
    return make_core(clock, retry=STEADY, timeouts=rddb.Timeouts(call=call_timeout))


def test_attempts_and_waits_end_within_it():
    clock = FakeClock()
    made = call(core_with(2.5, clock), *GET, [THROTTLED] * 3, took=0.25)
    assert clock.waits == [1.0]  # a second wait would have ended after 2.5 s
    assert isinstance(made.error, rddb.DeadlineExceededError)
    assert (made.facts.stopped_by, made.facts.attempts, made.code) == ("deadline", 2, "ThrottlingException")
    assert "the policy's call timeout of 2.5 s comes before the next attempt: 2 attempts had been made" in str(
        made.error
    )


def test_each_call_has_a_time_of_its_own():
    clock = FakeClock()
    core = core_with(2.5, clock)
    for _ in range(2):
        call(core, *GET, [THROTTLED] * 3, took=0.25)
    assert clock.waits == [1.0, 1.0]


@pytest.mark.parametrize(
    ("outer", "says"), [(1.5, "the deadline comes before the next attempt: 1 attempt"), (50, "call timeout of 2.5 s")]
)
def test_of_a_deadline_and_it_the_earlier_holds(outer, says):
    clock = FakeClock()
    with deadline(outer, clock=clock):
        made = call(core_with(2.5, clock), *GET, [THROTTLED] * 9, took=1.0)
    assert says in str(made.error)


def test_what_passed_with_an_attempt_has_passed():
    clock = FakeClock()
    with deadline(1.5, clock=clock):
        made = call(core_with(None, clock), *GET, [THROTTLED], took=2.0)
    assert str(made.error).startswith("the deadline passed: 1 attempt had been made; the last attempt failed: ")


def test_what_passes_during_a_pause_has_passed():
    class Frozen(FakeClock):
        def wait(self, seconds):
            self.advance(60)  # AWS Lambda froze the process meanwhile
            return super().wait(seconds)

    clock = Frozen()
    with deadline(2.5, clock=clock):
        made = call(core_with(None, clock), *GET, [THROTTLED] * 2)
    assert str(made.error).startswith("the deadline passed: 1 attempt had been made; the last attempt failed: ")


def test_a_failure_without_a_response_is_said_as_well():
    clock = FakeClock()
    with deadline(0.5, clock=clock):
        made = call(core_with(None, clock), *GET, [ReadTimeoutError(endpoint_url="https://there")])
    assert str(made.error) == (
        "An error occurred (DeadlineExceeded) when calling the GetItem operation: the deadline comes before the next "
        'attempt: 1 attempt had been made; the last attempt failed: Read timeout on endpoint URL: "https://there"'
    )


@pytest.mark.parametrize("failure", [THROTTLED, ReadTimeoutError(endpoint_url="https://there")])
def test_an_attempt_that_is_cut_is_not_the_one_that_failed(failure):
    execution = Execution(make_core(), *GET)
    execution.admit()
    is_error = isinstance(failure, Exception)
    execution.settle(None if is_error else 400, None if is_error else failure, failure if is_error else None, {})
    execution.admit_again()
    text = str(execution.cut_off())
    assert "the deadline passed: 2 attempts had been made; an attempt before failed: " in text
    assert "the last attempt failed" not in text


def test_no_deadline_does_not_lift_it():
    clock = FakeClock()
    with deadline(0, clock=clock), rddb.no_deadline():
        made = call(core_with(2.5, clock), *GET, [THROTTLED] * 3, took=0.25)
    assert "call timeout" in str(made.error)


def test_what_is_stopped_from_outside_stops_all_the_same():
    clock = FakeClock()
    stop = Stop()
    stop.is_set = True
    with stop.watched():
        made = call(core_with(2.5, clock), *GET, [THROTTLED])
    assert (made.facts.stopped_by, made.facts.attempts) == ("deadline", 0)


@pytest.mark.parametrize("seconds", [0, -1, "2", float("inf")])
def test_what_is_no_time_is_refused(seconds):
    with pytest.raises((TypeError, ValueError), match="call must be a number greater than 0"):
        rddb.Timeouts(call=seconds)


def deadline_error():
    clock = FakeClock()
    return call(core_with(0.5, clock), *PUT, [THROTTLED]).error


def test_the_error_is_boto3s_and_a_timeout():
    error = deadline_error()
    for caught in (rddb.ResilienceError, TimeoutError, OSError):
        assert isinstance(error, caught)
    assert (error.errno, error.strerror, error.filename) == (None, None, None)
    assert str(error).startswith(
        "the policy's call timeout of 0.5 s comes before the next attempt: 1 attempt had been made"
    )


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
def test_the_error_survives_copies_and_pickles(copied):
    error = deadline_error()
    made = copied(error)
    assert type(made) is rddb.DeadlineExceededError
    assert (str(made), made.args, made.response) == (str(error), error.args, error.response)
    assert (made.resilience, made.operation_name) == (error.resilience, "PutItem")


def test_the_error_is_classified_by_what_is_known_and_not_as_a_lost_connection():
    error = deadline_error()
    assert rddb.classify(error).ambiguous is False  # a bare TimeoutError of a put is ambiguous
    made = rddb.DeadlineExceededError(operation_name="PutItem", attempts=0)  # as a test makes one: nothing was sent
    assert rddb.classify(made).ambiguous is False
