"""What others hand in, or send, must not fail a call: listeners, answers, storages, bodies."""

import logging

import botocore.exceptions as bx
import pybreaker
import pytest
from unit_support import GET, PUT, call, failed, good, make_core

from resilient_ddb.calls.circuit import CLOSED, OPEN, Circuit, HealthSign
from resilient_ddb.calls.ending import cancel, recover, succeed
from resilient_ddb.calls.execution import Execution
from resilient_ddb.calls.flows import run
from resilient_ddb.calls.integrity import parseable
from resilient_ddb.calls.pybreaker_storage import make_breaker, synchronise
from resilient_ddb.errors import CircuitOpenError
from resilient_ddb.fallback import Fallback, replica, response, stale
from resilient_ddb.observers import LoggingObserver
from resilient_ddb.policy.circuit_breaker import CircuitBreaker
from resilient_ddb.policy.deadlines import deadline
from resilient_ddb.policy.policy import Policy
from resilient_ddb.testing import FakeClock


class RaisingListener(pybreaker.CircuitBreakerListener):
    def failure(self, cb, exc):
        raise RuntimeError("the pager is down")

    def state_change(self, cb, old_state, new_state):
        raise RuntimeError("the pager is down")


def circuit_of(**settings):
    return Circuit(
        "t/read", CircuitBreaker(**settings), FakeClock(), lambda low, high: low, lambda *_: None, make_breaker
    )


def test_a_listener_that_fails_is_logged_and_the_circuit_opens_all_the_same(caplog):
    circuit = circuit_of(minimum_calls=1, listeners=[RaisingListener()])
    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        circuit.record(circuit.admit("GetItem"), HealthSign.FAILURE, 0.1, "InternalServerError")
    assert circuit.state == OPEN
    assert [record.getMessage() for record in caplog.records] == ["listener RaisingListener failed"] * 2


class DeafStorage(pybreaker.CircuitMemoryStorage):
    """Takes what is written, and forgets it: a Redis whose errors pybreaker swallows."""

    @property
    def state(self):
        return CLOSED

    @state.setter
    def state(self, state):
        pass


def test_a_state_that_did_not_arrive_is_written_again():
    circuit = circuit_of(minimum_calls=1)
    circuit.record(circuit.admit("GetItem"), HealthSign.FAILURE, 0.1, "InternalServerError")
    deaf, hearing = DeafStorage(CLOSED), pybreaker.CircuitMemoryStorage(CLOSED)
    pushed = synchronise(circuit, deaf, CLOSED)
    assert pushed == CLOSED
    assert synchronise(circuit, hearing, pushed) == OPEN
    assert (hearing.state, circuit.state) == (OPEN, OPEN)


def test_an_answer_that_is_no_response_is_refused_by_name():
    core = make_core(fallback=lambda call, error: 42)
    execution = Execution(core, *GET)
    execution.admit()
    execution.stopped_by = "max_attempts"
    with pytest.raises(TypeError, match="must give a response, which is a mapping, or None; gave int"):
        run(recover(execution, RuntimeError()))


def test_a_cancelled_transaction_was_not_applied_by_an_earlier_attempt_either():
    core = make_core()
    params = {"TransactItems": [{"Put": {"TableName": "t", "Item": {"pk": {"S": "1"}}}}]}
    execution = Execution(core, "TransactWriteItems", params)
    request = {"body": b"{}"}
    execution.admit()
    assert execution.settle(500, failed("InternalServerError", 500), None, request) is not None
    assert execution.ambiguous
    execution.admit_again()
    cancelled = failed("TransactionCanceledException", CancellationReasons=[{"Code": "ValidationError"}])
    assert execution.settle(400, cancelled, None, request) is None
    assert not execution.ambiguous


@pytest.mark.parametrize(
    ("status", "body", "given"),
    [
        (200, b'{"Item": {}}', b'{"Item": {}}'),
        (200, b" \n{}", b" \n{}"),
        (200, b"", b""),
        (200, b"[]", b"{}"),
        (200, b"<html>", b"{}"),
        (500, b"<html>", b"<html>"),
        (500, b"[]", b"{}"),
        (500, b"null", b"{}"),
        (400, b'{"__type": "X"}', b'{"__type": "X"}'),
        (200, b'{"a": "\xc3', b"{}"),
        (200, b"\xff\xfe{\x00}\x00", b"{}"),
        (503, b"gew\xe4hrt", "gew\ufffdhrt".encode()),
        (500, b"[" * 100_000, b"{}"),
    ],
)
def test_botocores_parser_is_given_what_it_can_take(status, body, given):
    assert parseable(status, body) == given


class ForgetfulFallback(Fallback):
    name = "forgetful"

    def __call__(self, call, error):
        return None

    def remember(self, call, response):
        raise RuntimeError("the disk is full")


def test_a_write_that_was_made_does_not_fail_because_a_fallback_can_not_remember_it(caplog):
    core = make_core(fallback=ForgetfulFallback())
    execution = Execution(core, *GET)
    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        assert succeed(execution, good(Item=1))["Item"] == 1
    assert [record.getMessage() for record in caplog.records] == ["fallback forgetful can't remember an answer"]


def test_a_fallback_that_raises_the_error_it_was_given_makes_no_circle():
    def again(call, error):
        raise error

    error = ending_of(make_core(fallback=again))
    assert error.__cause__ is None


def test_a_replica_s_failure_does_not_hide_that_of_the_table():
    core = make_core(fallback=replica("us-west-2"))
    core.host.elsewhere = None
    error = ending_of(core)
    assert error.args == ("home",)
    assert error.__notes__[-1] == "fallback replica failed: TypeError"


def ending_of(core):
    execution = Execution(core, *GET)
    execution.admit()
    execution.stopped_by = "max_attempts"
    with pytest.raises(RuntimeError) as raised:
        run(recover(execution, RuntimeError("home")))
    return raised.value


def test_an_observer_that_calls_a_table_is_not_told_of_its_own_calls():
    told = []

    def audit(event):
        told.append(event)
        core.tell(event)

    core = make_core(observers=[audit])
    core.tell("one")
    core.tell("two")
    assert told == ["one", "two"]


def test_an_error_after_a_good_response_to_a_write_does_not_say_that_nothing_was_sent():
    core = make_core()
    execution = Execution(core, *PUT)
    execution.admit()
    assert execution.settle(200, good(), None, {"body": b"{}"}) is None
    with pytest.raises(RuntimeError) as raised:
        run(recover(execution, RuntimeError("a handler failed")))
    assert (raised.value.resilience.attempts, raised.value.resilience.ambiguous) == (1, True)


def test_a_write_cancelled_in_the_air_may_have_been_applied():
    told = []
    core = make_core(observers=[told.append])
    execution = Execution(core, *PUT)
    execution.admit()
    cancel(execution)
    assert (told[-1].outcome, told[-1].ambiguous) == ("cancelled", True)


def cut(core, given, late=0.0, *, queued=False, answered=False, asked=GET):
    """Make an attempt that the deadline cuts after so many seconds, as the async rim does."""
    clock = core.clock
    with deadline(given, clock=clock):
        execution = Execution(core, *asked)
        execution.admit()
        if queued:
            execution.prepares()
        execution.was_answered = answered
        clock.advance(given + late)
        execution.cut_off()
    return core.lane(*asked).circuit


def cut_read(core, given, asked=GET):
    """Make an attempt whose read timeout was cut to what the deadline leaves, as on the sync rim."""
    with deadline(given, clock=core.clock):
        call(core, *asked, [bx.ReadTimeoutError(endpoint_url="http://x")], took=given)
    return core.lane(*asked).circuit


@pytest.mark.parametrize("ends", [cut, cut_read])
@pytest.mark.parametrize(
    ("slow_call_duration", "given", "counted"),
    [
        (None, 0.005, (0, 0)),
        (None, 0.09, (0, 0)),
        (None, 0.11, (1, 1)),
        (None, 0.3, (1, 1)),
        (None, 2.0, (1, 1)),
        (0.25, 0.3, (1, 1)),
        (0.25, 0.2, (1, 1)),  # all in all it is no answer within 200 ms, whatever is called slow
        (0.02, 0.03, (1, 1)),  # who calls 20 ms slow says that the table answers sooner
        (0.02, 0.01, (0, 0)),
    ],
)
def test_an_attempt_that_the_deadline_cut_counts_if_it_had_the_time_of_an_answer(
    ends, slow_call_duration, given, counted
):
    facts = ends(make_core(circuit_breaker=CircuitBreaker(slow_call_duration=slow_call_duration)), given).facts()
    assert (facts["calls"], facts["failures"]) == counted


@pytest.mark.parametrize("ends", [cut, cut_read])
@pytest.mark.parametrize(
    ("operation", "counted_from"),
    [("GetItem", 0.1), ("PutItem", 0.1), ("UpdateItem", 0.1), ("DeleteItem", 0.1)]
    + [(operation, 1.0) for operation in ("Query", "Scan", "BatchGetItem", "TransactGetItems", "TransactWriteItems")],
)
def test_a_page_a_batch_and_a_transaction_have_more_time_than_one_item(ends, operation, counted_from):
    asked = operation, {"TableName": "t", "Key": {"id": "1"}}
    for given, counted in ((0.9 * counted_from, 0), (1.1 * counted_from, 1)):
        core = make_core(circuit_breaker=CircuitBreaker())
        assert ends(core, given, asked=asked).facts()["failures"] == counted


@pytest.mark.parametrize("ends", [cut, cut_read])
def test_a_query_counts_from_what_is_called_slow(ends):
    core = make_core(circuit_breaker=CircuitBreaker(slow_call_duration=0.25))
    assert ends(core, 0.3, asked=("Query", {"TableName": "t"})).facts()["failures"] == 1


@pytest.mark.parametrize("ends", [cut, cut_read])
def test_a_table_that_hangs_opens_the_circuit_of_callers_with_300_ms(ends):
    core = make_core(circuit_breaker=CircuitBreaker(minimum_calls=4))
    assert [ends(core, 0.3).state for _ in range(4)] == [CLOSED] * 3 + [OPEN]


def test_an_attempt_that_the_loop_cut_late_had_only_the_time_until_its_deadline():
    circuit = cut(make_core(circuit_breaker=CircuitBreaker(minimum_calls=1)), 0.02, late=3.0)
    assert (circuit.facts()["calls"], circuit.state) == (0, CLOSED)


@pytest.mark.parametrize(("late", "counted"), [(0.04, (1, 1)), (0.06, (0, 0))])
def test_a_loop_that_cuts_late_did_not_look_whether_there_was_an_answer(late, counted):
    facts = cut(make_core(circuit_breaker=CircuitBreaker()), 0.3, late=late).facts()
    assert (facts["calls"], facts["failures"]) == counted


def test_an_attempt_whose_answer_was_being_read_as_the_deadline_cut_it_says_nothing_against_the_table():
    circuit = cut(make_core(circuit_breaker=CircuitBreaker(minimum_calls=1)), 0.3, answered=True)
    assert (circuit.facts()["calls"], circuit.state) == (0, CLOSED)


def test_an_attempt_that_the_deadline_cut_as_it_waited_for_its_turn_says_nothing_about_the_table():
    circuit = cut(make_core(circuit_breaker=CircuitBreaker(minimum_calls=1)), 3.0, queued=True)
    assert (circuit.facts()["calls"], circuit.state) == (0, CLOSED)


@pytest.mark.parametrize(("left", "counted"), [(0.05, (0, 0)), (0.2, (1, 1))])
@pytest.mark.parametrize("goes_on", [Execution.asks, Execution.sends, Execution.may_send])
def test_an_attempt_that_the_deadline_cut_had_the_time_since_it_was_signed_and_had_its_turn(goes_on, left, counted):
    core = make_core(circuit_breaker=CircuitBreaker())
    with deadline(3.0, clock=core.clock):
        execution = Execution(core, *GET)
        execution.admit()
        execution.prepares()
        core.clock.advance(3.0 - left)
        goes_on(execution)
        core.clock.advance(left)
        execution.cut_off()
    facts = core.lane(*GET).circuit.facts()
    assert (facts["calls"], facts["failures"]) == counted


def test_a_probe_that_a_tight_deadline_cut_gives_its_permit_back():
    clock = FakeClock()
    core = make_core(clock, circuit_breaker=CircuitBreaker(minimum_calls=1, half_open_permits=1, open_jitter=0))
    assert cut(core, 0.3).state == OPEN
    clock.advance(2)
    assert cut(core, 0.01).state == "half-open"
    assert cut(core, 0.3).state == OPEN
    core.flush()  # or its last line comes in the middle of another test


def test_probes_that_never_come_back_do_not_keep_a_circuit_half_open_for_ever():
    clock = FakeClock()
    breaker = CircuitBreaker(minimum_calls=1, half_open_permits=1)
    circuit = Circuit("t/read", breaker, clock, lambda low, high: low, lambda *_: None, make_breaker)
    circuit.record(circuit.admit("GetItem"), HealthSign.FAILURE, 0.1, "InternalServerError")
    clock.advance(2)
    circuit.admit("GetItem")
    with pytest.raises(CircuitOpenError, match="half-open: 1 of 1 attempts failed"):
        circuit.admit("GetItem")
    clock.advance(60)
    circuit.record(circuit.admit("GetItem"), HealthSign.SUCCESS, 0.1)
    assert circuit.state == CLOSED


def test_a_partial_answer_is_not_remembered():
    kept = stale()
    core = make_core(fallback=kept)
    execution = Execution(core, "BatchGetItem", {"RequestItems": {"t": {"Keys": [{"pk": "1"}]}}})
    succeed(execution, good(Responses={"t": [1]}, UnprocessedKeys={}))
    succeed(execution, good(Responses={"t": []}, UnprocessedKeys={"t": {"Keys": [{"pk": "1"}]}}))
    execution = Execution(core, execution.operation, execution.params)
    execution.admit()
    execution.stopped_by = "max_attempts"
    assert run(recover(execution, RuntimeError()))["Responses"] == {"t": [1]}


@pytest.mark.parametrize("forgotten", [stale, replica, response])
def test_a_fallback_whose_parentheses_were_forgotten_is_refused(forgotten):
    with pytest.raises(TypeError, match=f"^fallback must .*{forgotten.__name__}"):
        Policy(fallback=forgotten)


def test_an_observer_whose_parentheses_were_forgotten_is_refused():
    with pytest.raises(TypeError, match=r"got the class LoggingObserver: write it with \(\)"):
        Policy(observers=[LoggingObserver])
