"""One call, attempt by attempt, without any I/O."""

from __future__ import annotations

import json
import random
import zlib
from types import SimpleNamespace

import pytest
from botocore import exceptions as bx
from botocore.awsrequest import HeadersDict
from unit_support import ADD, GET, KEY, PUT, Made, SleepingClock, attempt_all, call, failed, good, make_core

from resilient_ddb.calls.circuit import CLOSED, HALF_OPEN, OPEN, Forced
from resilient_ddb.calls.ending import cancel
from resilient_ddb.calls.execution import Execution
from resilient_ddb.errors import CircuitOpenError, DeadlineExceededError
from resilient_ddb.events import AttemptEvent, CallEndEvent, CallStartEvent, CircuitEvent, ErrorKind, RetryEvent
from resilient_ddb.hooks.handlers import request_created
from resilient_ddb.policy.circuit_breaker import CircuitBreaker
from resilient_ddb.policy.deadlines import deadline
from resilient_ddb.policy.retry import Retry, RetryBudget
from resilient_ddb.testing import FakeClock

THROTTLED = failed("ThrottlingException")
SERVER = failed("InternalServerError", 500)
CONDITION = failed("ConditionalCheckFailedException", message="The conditional request failed")
LOST = bx.ReadTimeoutError(endpoint_url="https://dynamodb")
FIXED = Retry(base_delay=1.0, max_delay=1.0)


def hot(reason="TableReadKeyRangeThroughputExceeded"):
    return failed("ThrottlingException", throttlingReasons=[{"reason": reason, "resource": "arn:t"}])


# Attempts.


@pytest.mark.parametrize("most", [1, 2, 10])
@pytest.mark.parametrize("outcome", [THROTTLED, SERVER, LOST], ids=["throttled", "server", "lost"])
def test_as_many_requests_are_sent_as_max_attempts_says(most, outcome):
    made = call(make_core(retry=Retry(max_attempts=most)), *GET, [outcome] * most)
    assert (len(made.sent), made.facts.attempts, made.facts.stopped_by) == (most, most, "max_attempts")


def test_the_last_response_says_that_attempts_were_used_up():
    made = call(make_core(retry=Retry(max_attempts=2)), *GET, [failed("ThrottlingException") for _ in range(2)])
    assert made.error.response["ResponseMetadata"]["MaxAttemptsReached"] is True


def test_a_failure_that_is_not_retried_does_not_say_so():
    made = call(make_core(), *GET, [failed("ValidationException")])
    assert "MaxAttemptsReached" not in made.error.response["ResponseMetadata"]
    assert made.facts.stopped_by == "not_retryable"


def counts(outcomes):
    """Return as what a call's attempts count in its circuit, going by what one failure more does to it."""

    def opens(threshold):
        circuit_breaker = CircuitBreaker(minimum_calls=2, failure_rate_threshold=threshold)
        core = make_core(circuit_breaker=circuit_breaker, retry=Retry(max_attempts=len(outcomes)))
        call(core, *GET, outcomes)
        call(core, *GET, [SERVER] * len(outcomes))
        return core.circuits["t/read"].state == OPEN

    return {(True, True): "failure", (True, False): "success", (False, False): "not at all"}[opens(0.5), opens(1.0)]


def test_a_success_ends_a_call_and_counts():
    core = make_core()
    made = call(core, *GET, [THROTTLED, good(Item={})])
    assert made.response["Item"] == {}
    assert (made.execution.attempts, made.execution.stopped_by) == (2, None)
    assert counts([THROTTLED, good(Item={})]) == "success"


def test_delays_grow_by_full_jitter():
    clock = FakeClock()
    call(make_core(clock, random=random.Random(3), circuit_breaker=None), *GET, [THROTTLED] * 10)
    chance = random.Random(3)
    assert clock.waits == [chance.uniform(0.0, min(5.0, 0.025 * 2**number)) for number in range(9)]


def test_the_real_clock_leaves_the_sleeping_to_botocore():
    class Unslept(FakeClock):
        def wait(self, seconds):
            return seconds

    made = call(make_core(Unslept(), retry=FIXED), *GET, [THROTTLED, good()])
    assert made.delays == [1.0, None]


@pytest.mark.parametrize(("asked", "delay"), [("500", 1.0), ("3500", 3.5), ("60000", 6.0), ("x", 1.0)])
def test_a_server_s_wish_to_wait_is_honoured(asked, delay):
    clock = FakeClock()
    wishing = failed("ThrottlingException", headers={"x-amz-retry-after": asked})
    call(make_core(clock, retry=FIXED), *GET, [wishing, good()])
    assert clock.waits == [delay]


def test_a_wish_is_forgotten_by_the_next_failure():
    clock = FakeClock()
    wishing = failed("ThrottlingException", headers={"x-amz-retry-after": "3000"})
    call(make_core(clock, retry=FIXED), *GET, [wishing, LOST, good()])
    assert clock.waits == [3.0, 1.0]


def test_a_transaction_in_progress_is_asked_again_five_seconds_after_the_first_attempt():
    clock = FakeClock()
    in_progress = failed("TransactionInProgressException")
    transaction = ("TransactWriteItems", {"TransactItems": [], "ClientRequestToken": "t"})
    call(make_core(clock, retry=FIXED), *transaction, [in_progress, in_progress, good()], took=0.5)
    assert clock.waits == [4.5, 1.0]


def test_an_expired_token_is_refreshed_once():
    core = make_core()
    made = call(core, *GET, [failed("ExpiredTokenException"), good()])
    assert (made.error, core.host.refreshed) == (None, 1)
    core = make_core()
    made = call(core, *GET, [failed("ExpiredTokenException")] * 2)
    assert (len(made.sent), core.host.refreshed, made.facts.stopped_by) == (2, 1, "not_retryable")


def test_a_throttled_attempt_in_between_does_not_allow_another_refresh():
    core = make_core()
    made = call(core, *GET, [failed("ExpiredTokenException"), THROTTLED, failed("ExpiredTokenException")])
    assert (len(made.sent), core.host.refreshed) == (3, 1)


def test_a_skewed_clock_is_told_by_the_policy_s_clock():
    skewed = failed("RequestExpired", 403, headers={"date": "Tue, 14 Nov 2023 22:13:20 GMT"})
    assert len(call(make_core(FakeClock(1_700_000_000.0)), *GET, [skewed]).sent) == 1
    assert len(call(make_core(FakeClock(1_700_000_300.0)), *GET, [skewed, good()]).sent) == 2


# Deadlines.


def test_no_wait_is_begun_that_would_end_past_the_deadline():
    clock = FakeClock()
    core = make_core(clock, retry=FIXED)
    with deadline(2.5, clock=clock):
        made = call(core, *GET, [THROTTLED] * 3, took=0.5)
    assert clock.waits == [1.0]
    assert isinstance(made.error, DeadlineExceededError)
    assert made.facts.stopped_by == "deadline"
    assert made.code == "ThrottlingException"
    assert made.error.__cause__.response["Error"]["Code"] == "ThrottlingException"


@pytest.mark.parametrize(("left", "waits"), [(1.0, []), (1.001, [1.0])])
def test_a_wait_that_ends_right_at_the_deadline_is_not_begun(left, waits):
    clock = FakeClock()
    with deadline(left, clock=clock):
        call(make_core(clock, retry=FIXED), *GET, [THROTTLED, THROTTLED])
    assert clock.waits == waits


def test_nothing_is_sent_past_a_deadline():
    clock = FakeClock()
    core = make_core(clock)
    with deadline(0, clock=clock):
        made = call(core, *GET, [])
    assert (made.code, made.facts.attempts, made.sent) == ("DeadlineExceeded", 0, [])
    assert (made.facts.kind, made.facts.ambiguous) == (ErrorKind.TRANSIENT, False)
    assert made.error.__cause__ is None


@pytest.mark.parametrize(("outer", "inner"), [(2.5, 60.0), (60.0, 2.5)])
def test_the_earliest_of_nested_deadlines_holds(outer, inner):
    clock = FakeClock()
    with deadline(outer, clock=clock), deadline(inner, clock=clock):
        call(make_core(clock, retry=FIXED), *GET, [THROTTLED] * 3)
    assert clock.waits == [1.0, 1.0]


def test_a_deadline_may_go_by_another_clock():
    policy_clock, other = FakeClock(0.0), FakeClock(5_000.0)
    with deadline(1.5, clock=other):
        made = call(make_core(policy_clock, retry=FIXED), *GET, [THROTTLED, THROTTLED, good()])
        assert made.error is None  # the other clock did not move
        other.advance(1.0)
        made = call(make_core(policy_clock, retry=FIXED), *GET, [THROTTLED])
    assert made.facts.stopped_by == "deadline"


def test_a_deadline_that_passes_while_waiting_ends_the_call():
    class Oversleeping(FakeClock):
        def wait(self, seconds):
            return super().wait(seconds + 10)

    clock = Oversleeping()
    with deadline(5, clock=clock):
        made = call(make_core(clock, retry=FIXED), *GET, [THROTTLED])
    assert isinstance(made.error, DeadlineExceededError)
    assert (made.facts.attempts, made.facts.stopped_by, made.code) == (1, "deadline", "ThrottlingException")


@pytest.mark.parametrize("refused_by", ["the deadline", "the circuit"])
def test_the_error_of_an_attempt_does_not_know_what_refused_the_next_one(refused_by):
    class Oversleeping(FakeClock):
        def wait(self, seconds):
            if refused_by == "the circuit":
                core.force("t/read", Forced(OPEN, "maintenance"))
            return super().wait(seconds + 10)

    clock = Oversleeping()
    core = make_core(clock, retry=FIXED)
    lost, cause = bx.ReadTimeoutError(endpoint_url="http://x"), OSError("lost")
    lost.__cause__ = cause
    with deadline(5 if refused_by == "the deadline" else 100, clock=clock):
        made = call(core, *GET, [lost])
    found = made.error if made.error is lost else made.error.__cause__
    assert found is lost
    assert lost.__context__ is not made.error  # that has the error for its cause: the two would keep each other
    assert lost.__cause__ is cause


@pytest.mark.parametrize(
    ("operation", "ambiguous", "kind"), [(PUT, True, ErrorKind.AMBIGUOUS), (GET, False, ErrorKind.TRANSIENT)]
)
def test_a_write_that_the_deadline_cut_off_in_the_air_is_ambiguous(operation, ambiguous, kind):
    core = make_core()
    execution = Execution(core, *operation)
    execution.admit()
    error = execution.cut_off()
    assert isinstance(error, DeadlineExceededError)
    assert (execution.ambiguous, execution.verdict.kind, execution.stopped_by) == (ambiguous, kind, "deadline")


@pytest.mark.parametrize("breaker", [CircuitBreaker(), None])
def test_a_write_that_was_only_waiting_at_the_deadline_is_not_ambiguous(breaker):
    execution = Execution(make_core(circuit_breaker=breaker), *PUT)
    execution.admit()
    execution.settle(400, failed("ThrottlingException"), None, {"body": b"{}"})
    error = execution.cut_off()
    assert (execution.ambiguous, execution.verdict.kind) == (False, ErrorKind.THROTTLING)
    assert error.response["Error"]["Code"] == "ThrottlingException"


@pytest.mark.parametrize(("operation", "ambiguous"), [(GET, False), (ADD, True)])
def test_an_attempt_that_ends_with_the_deadline_is_ended_by_it(operation, ambiguous):
    clock = FakeClock()
    with deadline(2, clock=clock):
        made = call(make_core(clock), *operation, [LOST], took=2.0)
    assert isinstance(made.error, DeadlineExceededError)
    assert made.error.__cause__ is LOST
    assert (made.facts.stopped_by, made.facts.ambiguous, made.facts.attempts) == ("deadline", ambiguous, 1)


def test_a_response_that_comes_after_the_deadline_is_still_the_answer():
    clock = FakeClock()
    with deadline(2, clock=clock):
        assert call(make_core(clock), *GET, [good(Item={})], took=3.0).response["Item"] == {}
        made = call(make_core(clock), "PutItem", PUT[1], [], took=0)
    assert made.code == "DeadlineExceeded"


def test_an_attempt_s_read_timeout_is_cut_to_what_is_left():
    class Config:
        read_timeout = 5.0

    clock = FakeClock()
    core = make_core(clock)

    def read_timeout(execution):
        context = {"client_config": Config, "resilient_ddb": execution, "retries": {"attempt": 1}}
        request_created(SimpleNamespace(context=context))
        return context.get("read_timeout")

    assert read_timeout(Execution(core, *GET)) is None
    with deadline(60, clock=clock):
        assert read_timeout(Execution(core, *GET)) == 5.0
    with deadline(2, clock=clock):
        execution = Execution(core, *GET)
        assert read_timeout(execution) == 2.0
        clock.advance(5)
        assert read_timeout(execution) == 0.001
        assert execution.remaining() == -3.0
    assert Execution(core, *GET).remaining() is None


# Budgets and circuits.


def test_a_used_up_budget_ends_a_call():
    core = make_core(retry_budget=RetryBudget(capacity=2, refill_per_second=0), retry=FIXED)
    made = call(core, *GET, [THROTTLED] * 3)
    assert (len(made.sent), made.facts.stopped_by) == (3, "budget")
    assert "MaxAttemptsReached" not in made.error.response["ResponseMetadata"]
    assert len(call(core, *GET, [THROTTLED]).sent) == 1


def test_a_condition_that_fails_earns_as_a_success_does():
    """Many writers of one item are no outage: their conflicts must not use up what lost replies need."""
    core = make_core(retry_budget=RetryBudget(capacity=1, refill_per_success=1, refill_per_second=0.01))
    conditional = (PUT[0], {**PUT[1], "ConditionExpression": "attribute_not_exists(pk)"})
    for _ in range(5):
        made = call(core, *conditional, [failed("ThrottlingException"), failed("ConditionalCheckFailedException")])
        assert (made.code, made.facts.attempts) == ("ConditionalCheckFailedException", 2)


def test_each_table_and_kind_has_a_budget_and_a_circuit_of_its_own():
    core = make_core(retry_budget=RetryBudget(capacity=0))
    lanes = [
        core.lane(*GET),
        core.lane("Query", {"TableName": "t"}),
        core.lane(*PUT),
        core.lane("Scan", {"TableName": "u"}),
    ]
    assert lanes[0] is lanes[1]
    assert len({id(lane) for lane in lanes}) == 3
    assert set(core.circuits) == {"t/read", "t/write", "u/read"}
    core.lane("BatchGetItem", {"RequestItems": {"a": {}, "b": {}}})
    core.lane("DescribeTable", {"TableName": "t"})
    assert {"*/read", "t/control"} < set(core.circuits)


def test_a_hot_partition_spends_a_budget_of_its_own():
    core = make_core(retry_budget=RetryBudget(capacity=3, refill_per_second=0), retry=FIXED)
    assert call(core, *GET, [hot() for _ in range(4)]).facts.stopped_by == "budget"
    assert core.lane(*GET).hot_budget.tokens == 0
    assert core.lane(*GET).budget.tokens == 3
    assert call(core, *GET, [hot("TableReadAccountLimitExceeded") for _ in range(4)]).facts.stopped_by == "budget"
    assert core.lane(*GET).budget.tokens == 0


def test_throttling_does_not_open_a_circuit():
    core = make_core(circuit_breaker=CircuitBreaker(minimum_calls=1), retry=Retry(max_attempts=1))
    for _ in range(100):
        call(core, *GET, [THROTTLED])
    assert core.circuits["t/read"].state == CLOSED


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (THROTTLED, OPEN),
        (hot("TableReadAccountLimitExceeded"), OPEN),
        (hot(), CLOSED),
        (hot("IndexWriteKeyRangeThroughputExceeded"), CLOSED),
    ],
    ids=["bare", "account", "hot", "hot index"],
)
def test_a_policy_may_count_throttling_but_never_of_a_key_range(outcome, state):
    core = make_core(
        circuit_breaker=CircuitBreaker(minimum_calls=5, count_throttling=True), retry=Retry(max_attempts=1)
    )
    for _ in range(5):
        call(core, *GET, [outcome])
    assert core.circuits["t/read"].state == state


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [
        (good(), "success"),
        (CONDITION, "success"),
        (SERVER, "failure"),
        (LOST, "failure"),
        (bx.EndpointConnectionError(endpoint_url="u"), "failure"),
        (THROTTLED, "not at all"),
        (failed("ValidationException"), "not at all"),
        (failed("ResourceNotFoundException"), "not at all"),
        (failed("TransactionConflictException"), "not at all"),
        (failed("ExpiredTokenException"), "not at all"),
    ],
)
def test_an_outcome_counts_in_the_circuit_as_the_table_says(outcome, counted):
    assert counts([outcome]) == counted


def test_a_circuit_that_opens_in_mid_call_ends_the_retries():
    clock = FakeClock()
    core = make_core(clock, circuit_breaker=CircuitBreaker(minimum_calls=3), retry=FIXED)
    made = call(core, *GET, [SERVER] * 3)
    assert (len(made.sent), made.facts.stopped_by, made.code) == (3, "circuit", "InternalServerError")
    assert clock.waits == [1.0, 1.0]


def test_an_open_circuit_sends_nothing():
    core = make_core(circuit_breaker=CircuitBreaker(minimum_calls=1), retry=FIXED)
    call(core, *GET, [SERVER])
    made = call(core, *GET, [])
    assert isinstance(made.error, CircuitOpenError)
    assert (made.facts.attempts, made.facts.stopped_by, made.facts.kind) == (0, "circuit", ErrorKind.TRANSIENT)


def test_a_circuit_that_opened_during_the_wait_ends_the_call_with_its_own_error():
    core = make_core(circuit_breaker=CircuitBreaker(minimum_calls=1))
    execution = Execution(core, *GET)
    execution.admit()
    execution.settle(400, failed("ThrottlingException"), None, {"body": b"{}"})
    core.circuits["t/read"].adopt(OPEN, "elsewhere")
    with pytest.raises(bx.ClientError, match="ThrottlingException") as ended:
        execution.admit_again()
    assert not isinstance(ended.value, CircuitOpenError)
    assert execution.stopped_by == "circuit"


def test_without_a_breaker_and_a_budget_only_max_attempts_holds():
    core = make_core(circuit_breaker=None, retry_budget=None, retry=Retry(max_attempts=60))
    assert len(call(core, *GET, [SERVER] * 60).sent) == 60
    assert core.circuits == {}


def test_a_cancelled_call_gives_its_permit_back_and_records_nothing():
    clock, told = FakeClock(), []
    core = make_core(
        clock, circuit_breaker=CircuitBreaker(minimum_calls=1, half_open_permits=1), observers=[told.append]
    )
    call(core, *GET, [failed("InternalServerError", 500)])
    clock.advance(10)
    execution = Execution(core, *GET)
    execution.admit()
    circuit = core.circuits["t/read"]
    assert circuit.state == HALF_OPEN
    cancel(execution)
    cancel(execution)  # twice is as once
    assert circuit.state == HALF_OPEN
    Execution(core, *GET).admit()
    with pytest.raises(CircuitOpenError):
        Execution(core, *GET).admit()
    assert [event.outcome for event in told if isinstance(event, CallEndEvent)][-1] == "cancelled"


def test_a_call_cancelled_while_closed_leaves_no_count():
    core = make_core(circuit_breaker=CircuitBreaker(minimum_calls=2), retry=Retry(max_attempts=1))
    execution = Execution(core, *GET)
    execution.admit()
    cancel(execution)
    call(core, *GET, [SERVER])
    assert core.circuits["t/read"].state == CLOSED  # there was one attempt
    call(core, *GET, [SERVER])
    assert core.circuits["t/read"].state == OPEN


# Lost replies.


def test_a_write_that_may_not_be_repeated_is_not():
    made = call(make_core(), *ADD, [LOST])
    assert made.error is LOST
    facts = made.facts
    assert (facts.kind, facts.ambiguous, facts.stopped_by, facts.attempts) == (
        ErrorKind.AMBIGUOUS,
        True,
        "ambiguous",
        1,
    )


def test_the_policy_may_repeat_it_all_the_same():
    made = call(make_core(on_ambiguous_write="retry"), *ADD, [LOST, SERVER, good()])
    assert (made.error, len(made.sent)) == (None, 3)


def test_what_was_not_sent_is_repeated_even_where_the_write_is_not_safe():
    refused = bx.EndpointConnectionError(endpoint_url="u")
    made = call(make_core(retry=Retry(max_attempts=2)), *ADD, [refused, refused])
    assert (len(made.sent), made.facts.ambiguous, made.facts.kind) == (2, False, ErrorKind.TRANSIENT)


def test_once_ambiguous_a_call_stays_so():
    made = call(make_core(retry=Retry(max_attempts=3)), *PUT, [LOST, THROTTLED, THROTTLED])
    assert (made.facts.ambiguous, made.facts.kind) == (True, ErrorKind.THROTTLING)


def test_a_read_is_never_ambiguous():
    made = call(make_core(retry=Retry(max_attempts=2)), *GET, [LOST, LOST])
    assert (made.facts.ambiguous, made.facts.kind) == (False, ErrorKind.TRANSIENT)


def test_the_wire_s_parameters_decide_and_not_the_application_s():
    core = make_core()
    made = Made(core, "UpdateItem", {"TableName": "t"})  # what the application gave shows no ADD
    made.request["body"] = json.dumps(ADD[1]).encode()
    with pytest.raises(bx.ReadTimeoutError):
        attempt_all(made, [LOST])
    assert made.execution.stopped_by == "ambiguous"


# Damage.


def received(execution, body, headers=None, parsed=None, status=200):
    response = {"body": body, "headers": HeadersDict(headers or {}), "status_code": status}
    execution.received(response, parsed if parsed is not None else good())


def settle_damaged(execution, body=b'{"It', headers=None):
    received(execution, body, headers)
    return execution.settle(200, good(), None, {"body": b"{}"})


@pytest.mark.parametrize(
    ("headers", "error"),
    [({}, bx.HTTPClientError), ({"x-amz-crc32": "5"}, bx.ChecksumError), ({"x-amz-crc32": "²"}, bx.ChecksumError)],
)
def test_a_damaged_response_is_asked_for_again_and_raised_in_the_end(headers, error):
    execution = Execution(make_core(retry=Retry(max_attempts=2)), *GET)
    execution.admit()
    assert settle_damaged(execution, headers=headers) is not None
    execution.admit_again()
    with pytest.raises(error):
        settle_damaged(execution, headers=headers)
    assert execution.stopped_by == "max_attempts"


def test_a_damaged_response_to_an_unsafe_write_is_ambiguous():
    execution = Execution(make_core(), *ADD)
    execution.admit()
    received(execution, b"")
    with pytest.raises(bx.HTTPClientError):
        execution.settle(200, good(), None, {"body": json.dumps(ADD[1])})
    assert (execution.stopped_by, execution.ambiguous) == ("ambiguous", True)


def test_damage_does_not_outlive_its_attempt():
    execution = Execution(make_core(), *GET)
    execution.admit()
    settle_damaged(execution)
    execution.admit_again()
    assert execution.settle(200, good(), None, {"body": b"{}"}) is None
    assert execution.stopped_by is None


@pytest.mark.parametrize(
    ("operation", "body", "headers", "parsed", "whole"),
    [
        ("GetItem", b"{}", {"x-amz-crc32": str(zlib.crc32(b"{}"))}, {}, True),
        ("GetItem", b"{}", {"x-amz-crc32": str(zlib.crc32(b"{}") + 1)}, {}, False),
        ("GetItem", b"{}", {"x-amz-crc32": "1", "content-encoding": "gzip"}, {}, True),
        ("GetItem", b"{}", {}, {}, True),
        ("GetItem", b"", {}, {}, False),
        ("ExecuteStatement", b"", {}, {}, False),
        ("UntagResource", b"", {}, {}, True),
        ("GetItem", b"[]", {}, {}, False),
        ("GetItem", b"null", {}, {}, False),
        ("GetItem", b"\xff\xfe{}", {}, {}, False),
        ("GetItem", b"\xef\xbb\xbf{}", {}, {}, False),
        ("GetItem", b"{\x00}\x00", {}, {}, False),
        ("GetItem", b"\x00\x00\x00{\x00\x00\x00}", {}, {}, False),
        ("GetItem", b'{"a":"\xc3', {}, {}, False),
        ("GetItem", b"[" * 100_000, {}, {}, False),
        ("GetItem", b"{}", {"x-amz-crc32": "0" + str(zlib.crc32(b"{}"))}, {}, True),
        ("GetItem", b"{}", {"x-amz-crc32": "9" * 5000}, {}, False),
        ("GetItem", b"not looked at", {}, {"Item": {}, "ResponseMetadata": {}}, True),
    ],
)
def test_a_response_is_whole_or_it_is_not(operation, body, headers, parsed, whole):
    from resilient_ddb.calls.integrity import find_damage  # noqa: PLC0415 - only here

    response = {"body": body, "headers": HeadersDict(headers), "status_code": 200}
    assert (find_damage(operation, response, parsed) is None) is whole


@pytest.mark.parametrize(
    ("operation", "headers", "parsed", "is_foreign"),
    [
        ("GetItem", {}, {}, True),
        ("GetItem", {"content-type": "application/json"}, {}, True),
        ("GetItem", {"content-type": "application/x-amz-json-1.0"}, {}, False),
        ("GetItem", {"x-amzn-RequestId": "R"}, {}, False),
        ("GetItem", {"x-amz-crc32": "0"}, {}, False),
        ("Query", {"x-amzn-RequestId": "R"}, {"Items": []}, True),
        ("Query", {"x-amzn-RequestId": "R"}, {"Count": 0}, False),
    ],
)
def test_an_answer_is_dynamodbs_or_it_is_not(operation, headers, parsed, is_foreign):
    from resilient_ddb.calls.integrity import find_foreign  # noqa: PLC0415 - only here

    for status in (200, 204, 400, 500):
        response = {"body": b"{}", "headers": HeadersDict(headers), "status_code": status}
        assert (find_foreign(operation, response, parsed) is not None) is (is_foreign and status < 300)
    lower = {name.lower(): value for name, value in headers.items()}
    response = {"body": b"{}", "headers": {}, "status_code": 200}
    parsed = {**parsed, "ResponseMetadata": {"HTTPHeaders": lower}}
    assert (find_foreign(operation, response, parsed) is not None) is is_foreign


WHOLE = {
    "TableName": "t",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "GlobalSecondaryIndexes": [{"IndexName": "i", "KeySchema": [{"AttributeName": "sk", "KeyType": "HASH"}]}],
}


@pytest.mark.parametrize(
    ("change", "is_foreign"),
    [
        ({}, False),
        ({"GlobalSecondaryIndexes": None, "AttributeDefinitions": None}, False),
        ({"TableName": None}, True),
        ({"KeySchema": None}, True),
        ({"KeySchema": []}, True),
        ({"KeySchema": [{"AttributeName": "pk"}]}, True),
        ({"KeySchema": [{"KeyType": "HASH"}]}, True),
        ({"KeySchema": [{"AttributeName": "pk", "KeyType": "RANGE"}]}, True),
        ({"AttributeDefinitions": [{}]}, True),
        ({"GlobalSecondaryIndexes": [None]}, True),
        ({"GlobalSecondaryIndexes": [{"KeySchema": WHOLE["KeySchema"]}]}, True),
        ({"LocalSecondaryIndexes": [{"IndexName": "i"}]}, True),
    ],
)
def test_a_table_is_described_or_it_is_not(change, is_foreign):
    from resilient_ddb.calls.integrity import find_foreign  # noqa: PLC0415 - only here

    table = {name: value for name, value in {**WHOLE, **change}.items() if value is not None}
    response = {"body": b"{}", "headers": HeadersDict({"x-amzn-RequestId": "R"}), "status_code": 200}
    assert (find_foreign("DescribeTable", response, {"Table": table}) is not None) is is_foreign


@pytest.mark.parametrize("operation", ["CreateTable", "UpdateTable", "DeleteTable", "UpdateTimeToLive"])
def test_an_answer_about_a_table_says_something(operation):
    from resilient_ddb.calls.integrity import find_foreign  # noqa: PLC0415 - only here

    response = {"body": b"{}", "headers": HeadersDict({"x-amzn-RequestId": "R"}), "status_code": 200}
    assert find_foreign(operation, response, {}) is not None


def test_an_error_response_needs_no_body():
    from resilient_ddb.calls.integrity import find_damage  # noqa: PLC0415 - only here

    assert find_damage("GetItem", {"body": b"<html>", "headers": {}, "status_code": 503}, {}) is None


# One's own write.

ITEM = {
    "pk": {"S": "1"},
    "n": {"N": "1.0"},
    "tags": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2.0"]},
    "raw": {"B": "AAE="},
    "raws": {"BS": ["AAE=", "AQ=="]},
    "deep": {"M": {"l": {"L": [{"N": "1e1"}, {"NULL": True}]}}},
}
FOUND = {
    "pk": {"S": "1"},
    "n": {"N": "1"},
    "tags": {"SS": ["b", "a"]},
    "numbers": {"NS": ["2", "1"]},
    "raw": {"B": b"\x00\x01"},
    "raws": {"BS": [b"\x01", b"\x00\x01"]},
    "deep": {"M": {"l": {"L": [{"N": "10"}, {"NULL": True}]}}},
}
NOT_QUITE = [
    {**FOUND, "n": {"S": "1"}},
    {**FOUND, "numbers": {"NS": ["1"]}},
    {**FOUND, "raw": {"B": b"\x00"}},
    {**FOUND, "deep": {"M": {"l": {"L": [{"NULL": True}, {"N": "10"}]}}}},
    {name: value for name, value in FOUND.items() if name != "tags"},
]
CONDITIONAL_PUT = {"TableName": "t", "Item": ITEM, "ConditionExpression": "attribute_not_exists(pk)"}
OTHER = {"pk": {"S": "1"}, "n": {"N": "2"}}


def condition(item=None):
    found = failed("ConditionalCheckFailedException", message="The conditional request failed")
    return {**found, "Item": item} if item is not None else found


def test_the_second_request_asks_for_the_item_and_the_first_does_not():
    made = call(make_core(), "PutItem", CONDITIONAL_PUT, [LOST, condition(FOUND)])
    assert [sent.get("ReturnValuesOnConditionCheckFailure") for sent in made.sent] == [None, "ALL_OLD"]


def test_throttling_is_no_reason_to_ask_for_the_item():
    made = call(make_core(), "PutItem", CONDITIONAL_PUT, [THROTTLED, condition()])
    assert made.sent == [CONDITIONAL_PUT] * 2
    assert (made.facts.kind, made.facts.ambiguous) == (ErrorKind.CONDITIONAL, False)


def test_a_put_that_meets_its_own_item_has_succeeded():
    told = []
    made = call(make_core(observers=[told.append]), "PutItem", CONDITIONAL_PUT, [LOST, condition(FOUND)])
    assert made.error is None
    assert set(made.response) == {"ResponseMetadata"}
    assert made.response["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (told[-1].outcome, told[-1].ambiguous) == ("own_write_found", False)


@pytest.mark.parametrize("found", [OTHER, {**FOUND, "extra": {"S": "x"}}, None, {}, *NOT_QUITE])
def test_a_put_that_meets_another_s_item_has_failed_its_condition(found):
    made = call(make_core(), "PutItem", CONDITIONAL_PUT, [LOST, condition(found)])
    assert made.code == "ConditionalCheckFailedException"
    assert (made.facts.kind, made.facts.stopped_by, made.facts.ambiguous) == (
        ErrorKind.CONDITIONAL,
        "not_retryable",
        True,
    )
    assert "Item" not in made.error.response


def test_an_item_that_the_caller_asked_for_stays_in_the_error():
    params = {**CONDITIONAL_PUT, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    made = call(make_core(), "PutItem", params, [LOST, condition(OTHER)])
    assert made.error.response["Item"] == OTHER
    assert made.sent == [params] * 2


def test_a_caller_who_wants_no_item_is_not_overruled_and_nobody_can_know():
    params = {**CONDITIONAL_PUT, "ReturnValuesOnConditionCheckFailure": "NONE"}
    made = call(make_core(), "PutItem", params, [LOST, condition()])
    assert made.error is LOST
    assert (made.facts.stopped_by, made.facts.kind) == ("ambiguous", ErrorKind.AMBIGUOUS)


def conditional_update(expression, values, **more):
    return {
        "TableName": "t",
        "Key": KEY,
        "UpdateExpression": expression,
        "ConditionExpression": "version = :old",
        "ExpressionAttributeValues": {":old": {"N": "1"}, **values},
        **more,
    }


NEW = {":new": {"N": "2"}}
OWN_TRACES = [
    ("SET version = :new", NEW, {"pk": {"S": "1"}, "version": {"N": "2"}}),
    ("SET version = :new", NEW, {"pk": {"S": "1"}, "version": {"N": "3"}}),  # another may have followed on ours
    ("REMOVE gone", {}, {"pk": {"S": "1"}}),
]


@pytest.mark.parametrize(("expression", "values", "found"), OWN_TRACES)
def test_an_update_whose_condition_fails_after_a_lost_reply_may_have_been_applied(expression, values, found):
    made = call(make_core(), "UpdateItem", conditional_update(expression, values), [LOST, condition(found)])
    assert made.error is LOST
    assert (made.facts.stopped_by, made.facts.kind, made.facts.ambiguous) == ("ambiguous", ErrorKind.AMBIGUOUS, True)


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("attribute_not_exists(pk)", "condition"),
        (" attribute_not_exists ( #n0 ) ", "condition"),
        ("version = :old", "lost"),
        ("attribute_not_exists(pk) OR version = :old", "lost"),
    ],
)
def test_a_put_that_met_anothers_item_says_so_only_where_it_was_to_create_one(expression, error):
    params = {"TableName": "t", "Item": {**KEY, "version": {"N": "2"}}, "ConditionExpression": expression}
    found = {**KEY, "version": {"N": "3"}}
    made = call(make_core(), "PutItem", params, [LOST, condition(found)])
    assert (made.error is LOST) is (error == "lost")
    assert made.facts.ambiguous
    if error == "condition":
        assert made.code == "ConditionalCheckFailedException"
        assert "Item" not in made.error.response


@pytest.mark.parametrize(
    "expression", ["SET version = version + :one", "ADD version :one", "SET version = :new + :one"]
)
def test_an_update_that_computes_leaves_no_trace_to_look_for(expression):
    params = conditional_update(expression, {":one": {"N": "1"}, ":new": {"N": "9"}})
    found = {"pk": {"S": "1"}, "version": {"N": "2"}}
    made = call(make_core(on_ambiguous_write="retry"), "UpdateItem", params, [LOST, condition(found)])
    assert made.error is LOST
    assert made.facts.stopped_by == "ambiguous"


@pytest.mark.parametrize("found", [None, {"pk": {"S": "1"}}])
def test_a_delete_whose_condition_fails_after_a_lost_reply_may_have_been_applied(found):
    params = {"TableName": "t", "Key": KEY, "ConditionExpression": "a = :a"}
    made = call(make_core(), "DeleteItem", params, [LOST, condition(found)])
    assert made.error is LOST


def test_what_nobody_can_know_stays_so_when_other_failures_came_in_between():
    params = conditional_update("SET version = :new", NEW)
    found = {"pk": {"S": "1"}, "version": {"N": "2"}}
    made = call(make_core(), "UpdateItem", params, [LOST, THROTTLED, condition(found)])
    assert made.error is LOST
    assert (made.facts.stopped_by, made.facts.kind, made.facts.ambiguous) == ("ambiguous", ErrorKind.AMBIGUOUS, True)
    assert made.facts.attempts == 3


def test_a_lost_reply_that_the_service_sent_is_what_stands_too():
    params = conditional_update("SET version = :new", NEW)
    found = {"pk": {"S": "1"}, "version": {"N": "2"}}
    made = call(make_core(), "UpdateItem", params, [failed("InternalServerError", 500), condition(found)])
    assert made.code == "InternalServerError"
    assert made.facts.kind == ErrorKind.AMBIGUOUS


GATEWAY = {"Error": {"Code": "504", "Message": "Gateway Timeout"}, "ResponseMetadata": {"HTTPStatusCode": 504}}
NO_ID = {"HTTPStatusCode": 500, "HTTPHeaders": {}}
"""An emulator's, which sends no request id."""


@pytest.mark.parametrize("operation", ["TransactWriteItems", "ExecuteTransaction"])
@pytest.mark.parametrize(
    ("reason", "kind"), [("ConditionalCheckFailed", ErrorKind.CONDITIONAL), ("ValidationError", ErrorKind.PERMANENT)]
)
@pytest.mark.parametrize(
    ("earlier", "ambiguous"),
    [
        ([LOST], True),  # it may be on its way still, and find its condition met
        ([GATEWAY], True),
        ([LOST, SERVER], True),
        ([LOST, THROTTLED], True),
        ([SERVER], False),  # DynamoDB has answered: by the token it knows that nothing was applied
        ([{**SERVER, "ResponseMetadata": NO_ID}], False),
        ([bx.EndpointConnectionError(endpoint_url="u")], False),  # never sent
        ([THROTTLED], False),
    ],
)
def test_a_cancelled_transaction_is_in_doubt_while_an_attempt_may_still_arrive(
    operation, reason, kind, earlier, ambiguous
):
    cancelled = failed("TransactionCanceledException", CancellationReasons=[{"Code": reason}])
    params = {"TransactItems": [{"Put": {"TableName": "t"}}], "ClientRequestToken": "x"}
    made = call(make_core(), operation, params, [*earlier, cancelled])
    assert made.code == "TransactionCanceledException"
    assert (made.facts.ambiguous, made.facts.kind, made.facts.stopped_by) == (ambiguous, kind, "not_retryable")
    assert made.sent == [params] * (len(earlier) + 1)


@pytest.mark.parametrize("has_id", [True, False])
@pytest.mark.parametrize(("status", "ambiguous"), [(200, True), (500, False)])
def test_a_damaged_success_stays_in_doubt_though_a_later_attempt_is_cancelled(has_id, status, ambiguous):
    execution = Execution(make_core(), "TransactWriteItems", {"TransactItems": []})
    parsed = good()
    parsed["ResponseMetadata"]["HTTPStatusCode"] = status
    if not has_id:
        del parsed["ResponseMetadata"]["RequestId"]
    execution.admit()
    received(execution, b"{", parsed={})
    assert execution.settle(status, parsed, None, {"body": b"{}"}) is not None
    execution.admit_again()
    cancelled = failed("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])
    execution.settle(400, cancelled, None, {"body": b"{}"})
    assert execution.ambiguous is (ambiguous or not has_id)  # without an id it may be a gateway's


@pytest.mark.parametrize(("earlier", "ambiguous"), [(LOST, True), (SERVER, False)])
def test_a_versioned_write_whose_own_condition_failed_is_in_doubt_while_an_attempt_may_still_arrive(earlier, ambiguous):
    params = {
        "TableName": "t",
        "Key": KEY,
        "UpdateExpression": "SET n = :n, #rddb_version = :rddb_following",
        "ConditionExpression": "(#rddb_version = :rddb_expected) AND (shut = :no)",
        "ExpressionAttributeNames": {"#rddb_version": "version"},
        "ExpressionAttributeValues": {":rddb_expected": {"N": "1"}, ":rddb_following": {"N": "2"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    made = call(make_core(), "UpdateItem", params, [earlier, condition({**KEY, "version": {"N": "1"}})])
    assert made.code == "ConditionalCheckFailedException"
    assert (made.facts.ambiguous, made.facts.kind) == (ambiguous, ErrorKind.CONDITIONAL)


@pytest.mark.parametrize("operation", ["TransactWriteItems", "ExecuteTransaction"])
def test_a_transaction_is_not_sent_again_when_its_token_may_be_forgotten(operation):
    patient = {
        "retry": Retry(max_attempts=60, base_delay=60.0, max_delay=60.0),
        "circuit_breaker": None,
        "retry_budget": None,
    }
    params = {"ClientRequestToken": "x"}

    def tried(*outcomes, **settings):
        clock = FakeClock()
        made = call(make_core(clock, **patient, **settings), operation, params, [*outcomes] * (60 // len(outcomes)))
        return made.facts, sum(clock.waits)

    facts, waited = tried(LOST)
    assert (facts.stopped_by, facts.ambiguous) == ("ambiguous", True)
    assert 450 < waited <= 540
    facts, waited = tried(THROTTLED)  # no attempt can have been applied
    assert (facts.stopped_by, facts.ambiguous) == ("max_attempts", False)
    assert waited > 600
    assert tried(LOST, on_ambiguous_write="retry")[1] > 600
    conflict = failed("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])
    assert tried(SERVER, conflict)[0].stopped_by == "max_attempts"  # cancelled: not applied, and nothing is on its way
    assert tried(LOST, conflict)[0].stopped_by == "ambiguous"


def freeze(clock):
    clock.advance(3600)


def sleep(clock):
    clock.slept += 3600


@pytest.mark.parametrize("stand_still", [freeze, sleep])
@pytest.mark.parametrize("when", ["the attempt is under way", "the next one is due"])
@pytest.mark.parametrize("operation", ["TransactWriteItems", "ExecuteTransaction"])
def test_a_transaction_is_not_sent_again_after_the_process_has_stood_still(operation, when, stand_still):
    clock = SleepingClock()
    execution = Execution(make_core(clock), operation, {"ClientRequestToken": "x"})
    execution.admit()
    if when == "the attempt is under way":
        stand_still(clock)
        assert execution.settle(None, None, LOST, {"body": b"{}"}) is None
    else:
        assert execution.settle(None, None, LOST, {"body": b"{}"}) is not None
        stand_still(clock)
        with pytest.raises(type(LOST)):
            execution.admit_again()
    assert (execution.attempts, execution.stopped_by, execution.ambiguous) == (1, "ambiguous", True)


def test_what_may_be_sent_again_at_any_time_is_also_after_the_process_has_stood_still():
    for operation, params in (("GetItem", {}), ("PutItem", {})):
        clock = SleepingClock()
        execution = Execution(make_core(clock), operation, {"TableName": "t", **params})
        execution.admit()
        assert execution.settle(None, None, LOST, {"body": b"{}"}) is not None
        sleep(clock), freeze(clock)
        execution.admit_again()
        assert execution.attempts == 2


def test_a_legacy_condition_is_not_asked_for_its_item():
    params = {"TableName": "t", "Item": ITEM, "Expected": {"pk": {"Exists": False}}}
    made = call(make_core(), "PutItem", params, [LOST, condition()])
    assert made.sent == [params] * 2
    assert made.error is LOST


# What observers are told.


def test_a_call_is_told_in_order_with_names_numbers_and_codes():
    told = []
    core = make_core(
        observers=[told.append], retry=FIXED, circuit_breaker=CircuitBreaker(minimum_calls=1, half_open_permits=1)
    )
    call(core, *GET, [THROTTLED, good(ConsumedCapacity={"CapacityUnits": 0.5})], took=0.25)
    number = told[0].call
    assert told == [
        CallStartEvent(table="t", operation="GetItem", call=number),
        AttemptEvent(table="t", operation="GetItem", call=number, attempt=1, elapsed=0.25, kind=ErrorKind.THROTTLING,
                     code="ThrottlingException", request_id="R"),
        RetryEvent(table="t", operation="GetItem", call=number, attempt=1, kind=ErrorKind.THROTTLING,
                   code="ThrottlingException", delay=1.0),
        AttemptEvent(table="t", operation="GetItem", call=number, attempt=2, elapsed=0.25, kind=None, code=None,
                     request_id="R"),
        CallEndEvent(table="t", operation="GetItem", call=number, outcome="success", kind=ErrorKind.THROTTLING,
                     code=None, stopped_by=None, attempts=2, elapsed=1.5, ambiguous=False, consumed_capacity=0.5,
                     request_id="R", throttling_reasons=(), index=None, region="eu-west-1", response_bytes=0),
    ]  # fmt: skip
    told.clear()
    call(core, *GET, [LOST])
    assert told[1] == CircuitEvent(
        table="t", operation="", circuit="t/read", old_state=CLOSED, new_state=OPEN,
        reason="1 of 2 attempts failed within 10 s, the last with ReadTimeoutError", forced=False,
    )  # fmt: skip
    assert (told[2].code, told[2].request_id) == ("ReadTimeoutError", None)
    assert (told[-1].outcome, told[-1].kind) == ("error", ErrorKind.TRANSIENT)


def test_capacity_of_several_tables_is_added_up():
    told = []
    units = [{"TableName": "a", "CapacityUnits": 1.5}, {"TableName": "b", "CapacityUnits": 2.0}, {"TableName": "c"}]
    call(make_core(observers=[told.append]), "BatchGetItem", {"RequestItems": {}}, [good(ConsumedCapacity=units)])
    assert told[-1].consumed_capacity == 3.5
    assert told[-1].table is None
