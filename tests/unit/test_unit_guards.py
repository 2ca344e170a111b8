"""What others hand in, or send, must not fail a call: listeners, answers, storages, bodies."""

import logging

import pybreaker
import pytest
from unit_support import GET, failed, make_core

from resilient_ddb.breaker import Breaker
from resilient_ddb.circuit import CLOSED, OPEN, Circuit, Outcome
from resilient_ddb.drive import run
from resilient_ddb.ending import recover
from resilient_ddb.integrity import parseable
from resilient_ddb.pybreaker_storage import synchronise
from resilient_ddb.testing import FakeClock


class RaisingListener(pybreaker.CircuitBreakerListener):
    def failure(self, cb, exc):
        raise RuntimeError("the pager is down")

    def state_change(self, cb, old_state, new_state):
        raise RuntimeError("the pager is down")


def circuit_of(**settings):
    return Circuit("t/read", Breaker(**settings), FakeClock(), lambda low, high: low, lambda *_: None)


def test_a_listener_that_fails_is_logged_and_the_circuit_opens_all_the_same(caplog):
    circuit = circuit_of(minimum_calls=1, listeners=[RaisingListener()])
    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        circuit.record(circuit.admit("GetItem"), Outcome.FAILURE, 0.1, "InternalServerError")
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
    circuit.record(circuit.admit("GetItem"), Outcome.FAILURE, 0.1, "InternalServerError")
    deaf, hearing = DeafStorage(CLOSED), pybreaker.CircuitMemoryStorage(CLOSED)
    pushed = synchronise(circuit, deaf, CLOSED)
    assert pushed == CLOSED
    assert synchronise(circuit, hearing, pushed) == OPEN
    assert (hearing.state, circuit.state) == (OPEN, OPEN)


def test_an_answer_that_is_no_response_is_refused_by_name():
    core = make_core(fallback=lambda call, error: 42)
    execution = core.begin(*GET)
    execution.admit()
    execution.stopped_by = "max attempts"
    with pytest.raises(TypeError, match="must give a response, which is a mapping, or None; gave <class 'int'>"):
        run(recover(execution, RuntimeError()))


def test_a_cancelled_transaction_was_not_applied_by_an_earlier_attempt_either():
    core = make_core()
    params = {"TransactItems": [{"Put": {"TableName": "t", "Item": {"pk": {"S": "1"}}}}]}
    execution = core.begin("TransactWriteItems", params)
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
    ],
)
def test_botocores_parser_is_given_what_it_can_take(status, body, given):
    assert parseable(status, body) == given
