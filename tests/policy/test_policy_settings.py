"""Policies refuse what can't be meant; errors, deadlines, observers and what they tell."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle
import threading

import pytest
from botocore.exceptions import ClientError
from unit_support import GET, call, failed, good, make_core

import resilient_ddb as rddb
from resilient_ddb import errors, events
from resilient_ddb.events import ErrorKind, ThrottlingReason
from resilient_ddb.observers import LoggingObserver
from resilient_ddb.policy.deadlines import Deadline, current_deadline, deadline, lambda_deadline
from resilient_ddb.testing import FakeClock

NAN, INFINITY = float("nan"), float("inf")


def numbers(cls, name, *, least=None, above=None):
    """Return the rows of one number's checks: its bound, and below it, and what is no number."""
    bound = least if least is not None else above
    wrong = bound - 0.001 if least is not None else bound
    return [
        (cls, name, wrong, ValueError),
        (cls, name, -1, ValueError),
        (cls, name, NAN, ValueError),
        (cls, name, INFINITY, ValueError),
        (cls, name, "1", TypeError),
        (cls, name, None, TypeError),
        (cls, name, True, TypeError),
    ]


def wholes(cls, name):
    return [
        (cls, name, 0, ValueError),
        (cls, name, -1, ValueError),
        (cls, name, 1.0, TypeError),
        (cls, name, "3", TypeError),
        (cls, name, True, TypeError),
        (cls, name, None, TypeError),
    ]


def shares(name):
    wrong = [
        (0, ValueError),
        (1.01, ValueError),
        (50, ValueError),
        (-0.5, ValueError),
        ("x", TypeError),
        (True, TypeError),
    ]
    return [(rddb.CircuitBreaker, name, value, error) for value, error in wrong]


REFUSED = [
    *wholes(rddb.Retry, "max_attempts"),
    *numbers(rddb.Retry, "base_delay", least=0),
    *numbers(rddb.Retry, "max_delay", least=0),
    (rddb.Retry, "wait", 5, TypeError),
    (rddb.Retry, "stop", 5, TypeError),
    *numbers(rddb.RetryBudget, "capacity", least=0),
    *numbers(rddb.RetryBudget, "refill_per_success", least=0),
    *numbers(rddb.RetryBudget, "refill_per_second", least=0),
    *shares("failure_rate_threshold"),
    *shares("slow_call_rate_threshold"),
    *wholes(rddb.CircuitBreaker, "minimum_calls"),
    *wholes(rddb.CircuitBreaker, "half_open_permits"),
    *numbers(rddb.CircuitBreaker, "window_seconds", above=0),
    *[row for row in numbers(rddb.CircuitBreaker, "slow_call_duration", above=0) if row[2] is not None],
    *numbers(rddb.CircuitBreaker, "open_duration", above=0),
    *numbers(rddb.CircuitBreaker, "open_jitter", least=0),
    *numbers(rddb.CircuitBreaker, "sync_interval", above=0),
    (rddb.CircuitBreaker, "storage", "redis://", TypeError),
    (rddb.CircuitBreaker, "listeners", 5, TypeError),
    (rddb.CircuitBreaker, "listeners", None, TypeError),
    *numbers(rddb.Timeouts, "connect", above=0),
    *numbers(rddb.Timeouts, "read", above=0),
    (rddb.Policy, "retry", 5, TypeError),
    (rddb.Policy, "retry", None, TypeError),
    (rddb.Policy, "retry_budget", 40, TypeError),
    (rddb.Policy, "circuit_breaker", True, TypeError),
    (rddb.Policy, "timeouts", 5.0, TypeError),
    (rddb.Policy, "on_ambiguous_write", "ignore", ValueError),
    (rddb.Policy, "on_ambiguous_write", None, ValueError),
    (rddb.Policy, "observers", print, TypeError),
    (rddb.Policy, "observers", "print", TypeError),
    (rddb.Policy, "observers", [5], TypeError),
    (rddb.Policy, "observers", 5, TypeError),
    (rddb.Policy, "observers", None, TypeError),
    (rddb.Policy, "fallback", 5, TypeError),
    (rddb.Policy, "clock", 5, TypeError),
    (rddb.Policy, "random", 5, TypeError),
    *[(LoggingObserver, *row[1:]) for row in numbers(LoggingObserver, "slow_call_duration", above=0)],
]


@pytest.mark.parametrize(("cls", "name", "value", "error"), REFUSED)
def test_a_value_that_can_not_be_meant_is_refused_by_name_and_value_and_what_is_right(cls, name, value, error):
    with pytest.raises(error) as refused:
        cls(**{name: value})
    text = str(refused.value)
    shown = 5 if isinstance(value, list) else value
    right, _, got = text.partition("; got ")
    assert right.removeprefix("each of ").startswith(name)
    assert got.startswith(repr(shown))
    assert " must " in right or " is a share: greater than 0 and at most 1" in right


@pytest.mark.parametrize("cls", [rddb.Retry, rddb.RetryBudget, rddb.CircuitBreaker, rddb.Timeouts, rddb.Policy])
def test_settings_are_frozen_keyword_only_and_have_defaults(cls):
    made = cls()
    assert made == cls()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(cls)[0].name, 1)
    with pytest.raises(TypeError):
        cls(1)


def test_a_base_delay_above_the_cap_is_refused():
    with pytest.raises(ValueError, match=r"base_delay must not be greater than max_delay; got 2 and 1"):
        rddb.Retry(base_delay=2, max_delay=1)


def test_a_percentage_is_recognised():
    with pytest.raises(ValueError, match=r"failure_rate_threshold is a share.*; got 50; 50 percent is 0.5"):
        rddb.CircuitBreaker(failure_rate_threshold=50)


def test_bounds_themselves_are_taken():
    rddb.Retry(max_attempts=1, base_delay=0, max_delay=0)
    rddb.RetryBudget(capacity=0, refill_per_success=0, refill_per_second=0)
    rddb.CircuitBreaker(
        failure_rate_threshold=1, slow_call_rate_threshold=1, minimum_calls=1, open_jitter=0, half_open_permits=1
    )
    rddb.Policy(
        retry_budget=None,
        circuit_breaker=None,
        fallback=None,
        random=None,
        observers=[print],
        on_ambiguous_write="retry",
    )


def test_a_policy_keeps_its_observers_from_later_changes():
    told = [print]
    policy = rddb.Policy(observers=told)
    told.append(repr)
    assert policy.observers == (print,)


def test_a_policy_can_be_pickled():
    retry, breaker = rddb.Retry(max_attempts=3), rddb.CircuitBreaker(minimum_calls=7)
    policy = rddb.Policy(retry=retry, circuit_breaker=breaker, fallback=rddb.fallback.stale())
    copied = pickle.loads(pickle.dumps(policy))  # noqa: S301 - our own
    assert (copied.retry, copied.circuit_breaker, copied.retry_budget) == (
        policy.retry,
        policy.circuit_breaker,
        policy.retry_budget,
    )


def test_chance_comes_from_where_the_policy_says(monkeypatch):
    class Chance:
        def uniform(self, low, high):
            return ("drawn", low, high)

    assert rddb.Policy(random=Chance()).uniform(1, 2) == ("drawn", 1, 2)
    monkeypatch.setattr("random.uniform", lambda low, high: ("global", low, high))
    assert rddb.Policy().uniform(1, 2) == ("global", 1, 2)


# Deadlines.


def test_a_deadline_holds_within_its_block_only():
    clock = FakeClock()
    assert current_deadline() is None
    with deadline(2.5, clock=clock) as made:
        assert current_deadline() is made
        clock.advance(1)
        assert made.remaining() == 1.5
        clock.advance(2)
        assert made.remaining() == -0.5
    assert current_deadline() is None


@pytest.mark.parametrize(("outer", "inner", "holds"), [(1, 2, "outer"), (2, 1, "inner"), (1, 1, "outer")])
def test_of_nested_deadlines_the_earliest_holds(outer, inner, holds):
    clock = FakeClock()
    with deadline(outer, clock=clock) as first:
        with deadline(inner, clock=clock) as second:
            assert current_deadline() is (first if holds == "outer" else second)
        assert current_deadline() is first


def test_deadlines_on_different_clocks_are_compared_by_what_is_left():
    with deadline(5, clock=FakeClock(1_000_000.0)) as first, deadline(6, clock=FakeClock(0.0)):
        assert current_deadline() is first
    with deadline(5, clock=FakeClock(0.0)), deadline(4, clock=FakeClock(1_000_000.0)) as second:
        assert current_deadline() is second


def test_a_deadline_ends_with_its_block_when_that_raises():
    with pytest.raises(KeyError), deadline(1, clock=FakeClock()):
        raise KeyError
    assert current_deadline() is None


def test_another_thread_has_no_part_in_a_deadline():
    seen = []
    with deadline(1, clock=FakeClock()):
        thread = threading.Thread(target=lambda: seen.append(current_deadline()))
        thread.start()
        thread.join()
    assert seen == [None]


@pytest.mark.parametrize("seconds", [-1, NAN, INFINITY, "1", True])
def test_a_deadline_that_can_not_be_meant_is_refused(seconds):
    with (
        pytest.raises((TypeError, ValueError), match=r"^seconds must be a number of 0 or more; got "),
        deadline(seconds),
    ):
        raise AssertionError


class LambdaContext:
    def __init__(self, milliseconds):
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self):
        return self.milliseconds


def test_a_lambda_deadline_is_what_is_left_less_the_margin(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr("resilient_ddb.policy.deadlines.SYSTEM_CLOCK.monotonic", clock.monotonic)
    for left, margin, remaining in [(3000, 0.5, 2.5), (3000, 0, 3.0), (400, 0.5, 0.0), (0, 0, 0.0)]:
        with lambda_deadline(LambdaContext(left), margin) as made:
            assert made.remaining() == remaining
            assert current_deadline() is made
    with lambda_deadline(LambdaContext(2000)) as made:
        assert made.remaining() == 1.5


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (({},), TypeError, ["context", "get_remaining_time_in_millis", "dict"]),
        ((None,), TypeError, ["context", "NoneType"]),
        ((LambdaContext(1), -1), ValueError, ["margin", "0 or more", "-1"]),
        ((LambdaContext(1), "x"), TypeError, ["margin", "'x'"]),
    ],
)
def test_what_is_no_lambda_context_is_refused(arguments, error, words):
    with pytest.raises(error) as refused, lambda_deadline(*arguments):
        raise AssertionError
    assert [word for word in words if word not in str(refused.value)] == []


def test_a_deadline_is_a_moment_on_a_clock():
    clock = FakeClock(10.0)
    assert Deadline(12.0, clock).remaining() == 2.0


# Errors.

FACTS = errors.CallFacts(
    table="orders", operation="PutItem", kind=ErrorKind.THROTTLING, attempts=3, elapsed=1.23456, ambiguous=True,
    throttling_reasons=(ThrottlingReason(reason="TableWriteKeyRangeThroughputExceeded", resource="arn"),),
    stopped_by="budget",
)  # fmt: skip
LAST = {"Error": {"Code": "ThrottlingException", "Message": "slow"}, "ResponseMetadata": {"RetryAttempts": 2}}


def make_errors():
    return {
        "CircuitOpenError": errors.CircuitOpenError(
            operation_name="GetItem", circuit="t/read", state="open", reason="5 of 9", retry_after=1.5
        ),
        "DeadlineExceededError": errors.DeadlineExceededError(operation_name="GetItem", attempts=0),
        "DeadlineExceededError with a response": errors.DeadlineExceededError(
            operation_name="GetItem", attempts=0, response=LAST
        ),
        "UnprocessedItemsError": errors.UnprocessedItemsError(
            operation_name="BatchWriteItem", table="t", requests=[{"PutRequest": {"Item": {"pk": "1"}}}], why="gave up"
        ),
    }


def pickled(error):
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own


@pytest.mark.parametrize("name", make_errors())
@pytest.mark.parametrize("copied", [pickled, copy.copy, copy.deepcopy])
def test_an_error_survives_being_pickled_whole(name, copied):
    error = make_errors()[name]
    error.resilience = FACTS
    error.add_note("a note")
    back = copied(error)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
    assert back.__dict__ == error.__dict__
    assert (back.resilience, back.__notes__, back.response) == (FACTS, ["a note"], error.response)


def test_the_tree_of_errors_is_as_it_is_drawn():
    own = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, ClientError)}
    own -= {"ClientError", "ResilienceError"}
    assert own >= {"CircuitOpenError", "DeadlineExceededError", "UnprocessedItemsError"}
    assert errors.ResilienceError.__bases__ == (ClientError,)
    for name in own:
        also = (TimeoutError,) if name == "DeadlineExceededError" else ()
        bases = [base for base in getattr(errors, name).__bases__ if not base.__name__.startswith("_")]
        assert bases == [errors.ResilienceError, *also]
        assert f"├ {name} " in errors.__doc__ or f"└ {name} " in errors.__doc__
        assert getattr(rddb, name) is getattr(errors, name)


def test_errors_say_what_they_know():
    made = make_errors()
    assert str(made["CircuitOpenError"]) == (
        "An error occurred (CircuitOpen) when calling the GetItem operation: "
        "circuit 't/read' is open: 5 of 9; nothing was sent, retry after 1.50 s"
    )
    assert "nothing was sent" in str(made["DeadlineExceededError"])
    assert made["DeadlineExceededError"].response["Error"]["Code"] == "DeadlineExceeded"
    late = made["DeadlineExceededError with a response"]
    assert late.response == LAST
    assert str(late).startswith("the deadline passed: nothing was sent; ")
    assert "ThrottlingException" in str(late)
    left = made["UnprocessedItemsError"]
    assert left.requests == [{"PutRequest": {"Item": {"pk": "1"}}}]
    assert "1 request for table 't' is not surely written: gave up" in str(left)
    assert "pk" not in str(left)


def test_the_facts_make_one_line_to_read():
    assert FACTS.note() == (
        "PutItem on orders: DynamoDB throttled the request; 3 attempts in 1.235 s, no more: "
        "the retry budget is used up; "
        "throttled by TableWriteKeyRangeThroughputExceeded; "
        "AMBIGUOUS: an attempt had no certain answer, the write may have been applied"
    )
    plain = errors.CallFacts(
        table=None, operation="Query", kind=ErrorKind.PERMANENT, attempts=1, elapsed=0, ambiguous=False
    )
    assert plain.note() == "Query: the same request will fail again; 1 attempt in 0.000 s"


def test_all_public_names_are_listed_in_order_and_are_there():
    assert rddb.__all__ == sorted(rddb.__all__, key=lambda name: (not name.isupper(), name))  # constants first
    assert len(set(rddb.__all__)) == len(rddb.__all__)
    assert dir(rddb) == sorted(rddb.__all__)
    for name in set(rddb.__all__) - {"aio"}:
        assert getattr(rddb, name) is not None
    with pytest.raises(AttributeError, match="module 'resilient_ddb' has no attribute 'nothing'"):
        rddb.nothing  # noqa: B018 - asked for


# Observers.

SECRET = "s3cr3t-value"


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.DEBUG, "resilient_ddb")
    return caplog


def test_what_is_logged_holds_no_value_of_an_item(logged):
    params = {
        "TableName": "t",
        "Item": {"pk": {"S": SECRET}},
        "ConditionExpression": "a = :v",
        "ExpressionAttributeValues": {":v": {"S": SECRET}},
    }
    core = make_core(
        observers=[LoggingObserver()],
        circuit_breaker=rddb.CircuitBreaker(minimum_calls=2),
        retry=rddb.Retry(max_attempts=4),
        fallback=rddb.fallback.response({"Attributes": {"pk": SECRET}}),
    )
    lost = failed("InternalServerError", 500, message=f"no {SECRET}")
    found = failed("ConditionalCheckFailedException", message=SECRET, Item={"pk": {"S": SECRET}})
    call(core, "PutItem", params, [failed("ThrottlingException", message=SECRET), lost, found])
    call(core, "PutItem", params, [lost])
    call(core, "PutItem", params, [])
    call(core, *GET, [failed("ThrottlingException") for _ in range(4)])
    call(core, *GET, [good(Item={"pk": {"S": SECRET}})])
    text = "\n".join(record.getMessage() for record in logged.records)
    assert SECRET not in text
    assert SECRET not in repr([record.resilience_event for record in logged.records])
    for expected in (
        "attempt 1 failed: throttling (ThrottlingException)",
        "circuit t/write: closed -> open",
        "fallback response answered",
        "PutItem t: own_write_found (conditional)",
        "request id R",
    ):
        assert expected in text


def event(cls, **facts):
    return cls(table="t", operation="GetItem", **facts)


END = {
    "call": 1,
    "kind": None,
    "code": None,
    "stopped_by": None,
    "attempts": 1,
    "ambiguous": False,
    "consumed_capacity": None,
    "request_id": None,
    "throttling_reasons": (),
    "index": None,
    "region": "eu-west-1",
    "response_bytes": 2,
}
LINES = [
    (
        event(events.AttemptEvent, call=1, attempt=1, elapsed=0.5, kind=None, code=None, request_id="R"),
        logging.DEBUG,
        "GetItem t: attempt 1 succeeded in 0.500 s, request id R",
    ),
    (
        event(events.AttemptEvent, call=1, attempt=2, elapsed=0.5, kind=ErrorKind.TRANSIENT, code="E", request_id=None),
        logging.DEBUG,
        "GetItem t: attempt 2 failed: transient (E) in 0.500 s, request id -",
    ),
    (
        event(events.RetryEvent, call=1, attempt=1, kind=ErrorKind.THROTTLING, code="Throttled", delay=0.25),
        logging.INFO,
        "GetItem t: attempt 1 failed: throttling (Throttled); next in 0.250 s",
    ),
    (
        event(events.CircuitEvent, circuit="t/read", old_state="closed", new_state="open", reason="why", forced=False),
        logging.WARNING,
        "circuit t/read: closed -> open: why",
    ),
    (
        event(events.FallbackEvent, call=1, fallback="stale", answered=True),
        logging.INFO,
        "GetItem t: fallback stale answered",
    ),
    (
        event(events.FallbackEvent, call=1, fallback="stale", answered=False),
        logging.WARNING,
        "GetItem t: fallback stale had no answer",
    ),
    (
        event(events.CallEndEvent, outcome="success", elapsed=0.5, **END),
        logging.DEBUG,
        "GetItem t: success after 1 attempt in 0.500 s",
    ),
    (
        event(events.CallEndEvent, outcome="success", elapsed=1.0, **END),
        logging.INFO,
        "GetItem t: success after 1 attempt in 1.000 s",
    ),
    (
        event(
            events.CallEndEvent,
            outcome="error",
            elapsed=0.5,
            **{**END, "kind": ErrorKind.AMBIGUOUS, "code": "E", "attempts": 2, "ambiguous": True},
        ),
        logging.WARNING,
        "GetItem t: error (ambiguous: E) after 2 attempts in 0.500 s: AMBIGUOUS, it may have been applied",
    ),
]


@pytest.mark.parametrize(("told", "level", "line"), LINES)
def test_each_event_is_one_line_at_its_level(logged, told, level, line):
    LoggingObserver()(told)
    [record] = logged.records
    assert (record.levelno, record.getMessage(), record.name) == (level, line, "resilient_ddb")
    assert record.resilience_event is told


def test_a_logger_of_one_s_own_is_written_to_and_its_level_left_alone(caplog):
    logger = logging.getLogger("mine")
    before = logger.level
    with caplog.at_level(logging.WARNING, "mine"):
        observer = LoggingObserver(logger, slow_call_duration=0.1)
        observer(LINES[0][0])
        observer(LINES[3][0])
    assert [record.name for record in caplog.records] == ["mine"]
    assert logger.level == before


def test_an_observer_that_fails_is_logged_once_and_fails_no_call(logged):
    told = []

    def broken(seen):
        raise RuntimeError(seen.operation)

    core = make_core(observers=[broken, told.append])
    for _ in range(3):
        assert call(core, *GET, [failed("ThrottlingException"), good()]).error is None
    assert [record.getMessage() for record in logged.records] == ["observer function failed"]
    assert len(told) == 15


def test_of_two_observers_that_fail_each_is_logged(logged):
    def broken(seen):
        raise RuntimeError

    def broken_too(seen):
        raise RuntimeError

    call(make_core(observers=[broken, broken_too]), *GET, [good()])
    assert len(logged.records) == 2


def test_events_are_frozen():
    with pytest.raises(AttributeError, match="frozen"):
        LINES[0][0].table = "x"
