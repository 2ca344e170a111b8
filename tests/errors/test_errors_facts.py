"""What an error says of its call, to a program and to a person; also an error that a test makes by itself."""

import pickle

import pytest
from botocore.exceptions import ClientError

import resilient_ddb as rddb
from resilient_ddb import errors
from resilient_ddb.errors import CallFacts, conflict_class
from resilient_ddb.events import ErrorKind, StopReason

RESPONSE = {"Error": {"Code": "ConditionalCheckFailedException", "Message": "no"}}
MADE = {
    "CircuitOpenError": lambda: rddb.CircuitOpenError(
        operation_name="GetItem", circuit="orders/read", state="open", reason="5 of 9", retry_after=1.5
    ),
    "DeadlineExceededError": lambda: rddb.DeadlineExceededError(operation_name="GetItem", attempts=2),
    "DuplicateShardItemError": lambda: rddb.DuplicateShardItemError(operation_name="GetItem", table="orders", items=[]),
    "UnprocessedItemsError": lambda: rddb.UnprocessedItemsError(
        operation_name="BatchWriteItem", table="orders", requests=[{}], why="w"
    ),
    "UnprocessedKeysError": lambda: rddb.UnprocessedKeysError(
        operation_name="BatchGetItem", table="orders", keys=[{}], why="w"
    ),
    "VersionConflictError": lambda: rddb.VersionConflictError(
        RESPONSE, "PutItem", table="orders", attribute="version", expected=1, current={"version": 2}
    ),
    "ResilienceError": lambda: rddb.ResilienceError(RESPONSE, "PutItem"),
}


def test_every_error_is_here():
    found = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, ClientError)}
    assert found - {"ClientError"} == set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_an_error_made_by_hand_has_its_facts(name):
    made = MADE[name]()
    for error in (made, pickle.loads(pickle.dumps(made))):  # noqa: S301 - made just now
        facts = rddb.call_facts(error)
        assert isinstance(facts, CallFacts)
        assert facts is error.resilience
        assert facts.operation == error.operation_name
        assert facts.note()
        metadata = error.response["ResponseMetadata"]
        assert (metadata["HTTPStatusCode"], metadata["HTTPHeaders"]) == (0, {})
    assert "ResponseMetadata" not in RESPONSE


def test_what_the_arguments_say_is_in_the_facts():
    facts = {name: make().resilience for name, make in MADE.items()}
    assert facts["CircuitOpenError"].stopped_by is StopReason.CIRCUIT
    assert (facts["CircuitOpenError"].table, facts["CircuitOpenError"].attempts) == ("orders", 0)
    assert (facts["DeadlineExceededError"].stopped_by, facts["DeadlineExceededError"].attempts) == ("deadline", 2)
    assert facts["VersionConflictError"].kind is ErrorKind.CONDITIONAL
    assert facts["UnprocessedItemsError"].kind is ErrorKind.THROTTLING


@pytest.mark.parametrize("name", ["UnprocessedItemsError", "UnprocessedKeysError"])
def test_an_error_because_of_another_shares_nothing_with_it_that_changes(name):
    cause = ClientError({"Error": {"Code": "Throttling", "Message": "slow"}}, "BatchWriteItem")
    cause.add_note("of both")
    error = MADE[name]().because_of(cause)
    error.add_note("of the error")
    cause.add_note("of the cause")
    error.response["Error"]["Message"] += "!"
    error.response["more"] = 1
    assert error.__notes__ == ["of both", "of the error"]
    assert cause.__notes__ == ["of both", "of the cause"]
    assert cause.response == {"Error": {"Code": "Throttling", "Message": "slow"}}


def test_an_error_of_ours_has_a_response_of_its_own():
    last = {"Error": {"Code": "Throttling", "Message": "slow"}, "ResponseMetadata": {"RetryAttempts": 2}}
    error = rddb.DeadlineExceededError(operation_name="GetItem", attempts=3, response=last)
    error.response["Error"]["Message"] += "!"
    error.response["ResponseMetadata"]["RetryAttempts"] = 7
    assert last == {"Error": {"Code": "Throttling", "Message": "slow"}, "ResponseMetadata": {"RetryAttempts": 2}}


def test_a_sentence_of_the_cause_ends_without_its_dot():
    cause = ClientError({"Error": {"Code": "Throttling", "Message": "It is slow."}}, "BatchWriteItem")
    assert "It is slow; 1 request for" in str(MADE["UnprocessedItemsError"]().because_of(cause))


def test_a_note_does_not_say_that_it_may_pass_and_that_it_will_not():
    facts = CallFacts(
        table="orders",
        operation="GetItem",
        kind=ErrorKind.TRANSIENT,  # credentials that had expired, also those that were fetched anew
        attempts=2,
        elapsed=0.5,
        ambiguous=False,
        stopped_by=StopReason.NOT_RETRYABLE,
    )
    assert facts.note() == (
        "GetItem on orders: a failure that may pass; 2 attempts in 0.500 s, no more: "
        "its cause allows no further attempt"
    )


def test_what_failed_outside_of_calls_is_no_throttling():
    assert MADE["UnprocessedItemsError"]().because_of(ValueError("x")).resilience.kind == "permanent"


def test_an_error_because_of_another_has_the_facts_of_that():
    cause = MADE["CircuitOpenError"]()
    assert MADE["UnprocessedItemsError"]().because_of(cause).resilience == cause.resilience
    assert MADE["UnprocessedItemsError"]().because_of(ValueError("x")).resilience.table == "orders"


@pytest.mark.parametrize("error", [ValueError("x"), ClientError(RESPONSE, "PutItem"), KeyboardInterrupt()])
def test_an_error_of_no_such_call_has_none(error):
    assert rddb.call_facts(error) is None


def test_an_odd_attribute_of_the_same_name_is_none():
    error = ValueError("x")
    error.resilience = "mine"
    assert rddb.call_facts(error) is None


def test_a_conflict_of_a_client_has_facts_too():
    class ConditionalError(ClientError):
        pass

    made = conflict_class(ConditionalError)(
        RESPONSE, "PutItem", table="orders", attribute="version", expected=1, current=None
    )
    assert made.resilience.table == "orders"


@pytest.mark.parametrize("kind", ErrorKind)
@pytest.mark.parametrize("stop", [None, *StopReason])
@pytest.mark.parametrize("attempts", [0, 1, 2])
def test_a_note_is_in_words(kind, stop, attempts):
    facts = CallFacts(
        table="orders", operation="PutItem", kind=kind, attempts=attempts, elapsed=0.5, ambiguous=False, stopped_by=stop
    )
    note = facts.note()
    assert note.startswith("PutItem on orders: ")
    assert "_" not in note
    assert kind.value not in note
    assert ["nothing was sent", "1 attempt in", "2 attempts in"][attempts] in note


def test_what_an_engineer_on_call_reads():
    def note(kind, stop, attempts=3):
        return CallFacts(
            table="t", operation="Op", kind=kind, attempts=attempts, elapsed=0.5, ambiguous=False, stopped_by=stop
        ).note()

    refused = "Op on t: DynamoDB refused the condition; 3 attempts in 0.500 s"
    assert note(ErrorKind.CONDITIONAL, StopReason.NOT_RETRYABLE) == refused
    late = "Op on t: a failure that may pass; 3 attempts in 0.500 s, no more: the deadline comes first"
    assert note(ErrorKind.TRANSIENT, StopReason.DEADLINE) == late
    unsent = "Op on t: a failure that may pass; nothing was sent: the circuit is open"
    assert note(ErrorKind.TRANSIENT, StopReason.CIRCUIT, 0) == unsent


@pytest.mark.parametrize(("count", "words"), [(1, "1 key of"), (2, "2 keys of")])
def test_one_is_one(count, words):
    keys = [{"pk": "a"}] * count
    error = rddb.UnprocessedKeysError(operation_name="BatchGetItem", table="t", keys=keys, why="w")
    assert words in str(error)


@pytest.mark.parametrize(
    "cause",
    [
        rddb.DeadlineExceededError(operation_name="BatchWriteItem", attempts=0),
        TimeoutError("late"),
        ConnectionResetError(104, "reset"),
        ClientError(RESPONSE, "BatchWriteItem"),
        ValueError("w"),
    ],
    ids=lambda cause: type(cause).__name__,
)
def test_what_is_not_written_is_of_the_class_of_its_reason_too(cause):
    made = MADE["UnprocessedItemsError"]().because_of(cause)
    assert isinstance(made, rddb.UnprocessedItemsError)
    assert isinstance(made, type(cause))
    assert made.__cause__ is cause
    assert "1 request for table 'orders' is not surely written" in str(made)
