"""What errors say of writes, and which errors are findings by themselves."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from resilient_ddb import CallFacts, ResilienceError

from .model import Told
from .told import complaint, is_condition, may_come_again, told_by, words_of


def error(code="InternalServerError", *, ambiguous=False, kind="transient", **response):
    made = ClientError({"Error": {"Code": code, "Message": "m"}, **response}, "PutItem")
    return with_facts(made, ambiguous=ambiguous, kind=kind)


def with_facts(made, *, ambiguous=False, kind="transient"):
    made.resilience = CallFacts(
        table="t", operation="PutItem", kind=kind, attempts=3, elapsed=0.1, ambiguous=ambiguous, stopped_by="budget"
    )
    return made


def test_the_facts_tell_of_the_write():
    assert told_by(error(ambiguous=True)) is Told.UNSURE
    assert told_by(error()) is Told.NOT_APPLIED
    assert told_by(TimeoutError()) is Told.UNSURE


def test_only_an_answer_to_the_first_request_is_the_only_one():
    assert not may_come_again({"ResponseMetadata": {"RetryAttempts": 0}})
    assert may_come_again({"ResponseMetadata": {"RetryAttempts": 1}})
    assert may_come_again({})


@pytest.mark.parametrize(
    "harmless",
    [
        error(),
        error("ThrottlingException", kind="throttling"),
        error("400", kind="permanent"),  # a body that was damaged: the name is gone
        with_facts(ConnectionClosedError(endpoint_url="u")),
        ResilienceError({"Error": {"Code": "c"}}, "PutItem"),
        TimeoutError(),  # the worker's own
    ],
)
def test_errors_that_may_be(harmless):
    assert complaint(harmless) is None


@pytest.mark.parametrize(
    ("harmful", "words"),
    [
        (KeyError("Table"), "says nothing of the call"),
        (ClientError({"Error": {"Code": "c"}}, "PutItem"), "says nothing of the call"),
        (with_facts(ValueError("v")), "no error of botocore's"),
        (error("ValidationException", kind="permanent"), "blames the request"),
    ],
)
def test_errors_that_must_not_be(harmful, words):
    assert words in complaint(harmful)


def test_a_condition_has_failed_where_that_is_sure():
    assert is_condition(error("ConditionalCheckFailedException"))
    assert not is_condition(error("ConditionalCheckFailedException", ambiguous=True))
    reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}]
    assert is_condition(error("TransactionCanceledException", CancellationReasons=reasons))
    assert not is_condition(error("TransactionCanceledException", CancellationReasons=reasons[:1]))
    assert not is_condition(TimeoutError())
    assert not is_condition(with_facts(HTTPClientError(error="no response came")))


def test_a_finding_has_the_words_of_the_answer():
    assert words_of(error()) == "ClientError (InternalServerError), 3 attempts, stopped by budget"
    assert words_of(TimeoutError()) == "TimeoutError (TimeoutError)"
    assert not words_of({"ResponseMetadata": {}})
