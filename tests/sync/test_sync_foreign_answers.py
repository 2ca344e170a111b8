"""Answers to batches that name what was never sent: nothing of them is sent, counted or taken for missing."""

from decimal import Decimal

import pytest
from foreign_answers import (
    ASKING,
    HOLLOW,
    NEVER_ASKED,
    NEVER_SENT,
    first_then,
    found,
    hollow,
    put,
    sent_keys,
    takes_all,
    unprocessed,
    whole,
)
from wire_server import WireServer
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb
from resilient_ddb.calls.integrity import UnreadableResponseError
from resilient_ddb.testing import FakeClock

POLICY = rddb.Policy(clock=FakeClock(), retry=rddb.Retry(max_attempts=3))


def table_on(stub, **options):
    return rddb.table(TABLE, endpoint_url=stub.endpoint_url, policy=POLICY, **options)


def puts(*keys):
    return [{"PutRequest": {"Item": {"pk": key}}} for key in keys]


def write_three(batch):
    with batch:
        for key in "012":
            batch.put_item(Item={"pk": key})


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("keys", [None, ["pk"]])
@pytest.mark.parametrize("what", NEVER_SENT)
def test_unprocessed_items_that_were_never_sent_are_an_error(what, keys, workers):
    with WireStub(first_then(unprocessed(NEVER_SENT[what]), takes_all)) as stub:
        batch = table_on(stub).batch_writer(keys, max_workers=workers)
        with pytest.raises(rddb.UnprocessedItemsError, match="that were not sent") as raised:
            write_three(batch)
        assert isinstance(raised.value, UnreadableResponseError)
        assert raised.value.resilience.ambiguous
        assert (raised.value.resilience.table, raised.value.resilience.attempts) == (TABLE, 1)
        assert "never-sent" not in str(raised.value)
        assert batch.unprocessed == raised.value.requests == puts("0", "1", "2")
        assert (batch.report.written, batch.report.batches) == (0, 0)
        with batch:  # it can go on
            pass
        assert sent_keys(stub) == ["0", "1", "2"] * 2
        assert batch.report.written == 3


@pytest.mark.parametrize("keys", [None, ["pk"]])
def test_what_comes_back_twice_is_sent_once_more_and_counted_once(keys):
    with WireStub(first_then(unprocessed([put("0"), put("0")]), takes_all)) as stub:
        batch = table_on(stub).batch_writer(keys)
        write_three(batch)
        assert sent_keys(stub) == ["0", "1", "2", "0"]
        assert (batch.report.written, batch.report.retried) == (3, 1)


def test_what_comes_back_in_other_words_is_known_without_a_further_request():
    returned = [put("0", l={"L": [{"N": "1"}, {"B": "YQ=="}]}, m={"M": {"n": {"N": "1.50"}}}, s={"NS": ["2", "1"]})]
    with WireStub(first_then(unprocessed(returned), takes_all)) as stub:
        with table_on(stub).batch_writer() as batch:
            batch.put_item(Item={"pk": "0", "l": (1, bytearray(b"a")), "m": {"n": Decimal("1.5")}, "s": {1, 2}})
            batch.put_item(Item={"pk": "1"})
        assert sent_keys(stub) == ["0", "1", "0"]
        assert {operation for operation, _ in stub.requests} == {"BatchWriteItem"}


@pytest.mark.parametrize("what", NEVER_ASKED)
def test_an_answer_with_keys_that_were_not_asked_for_is_asked_for_again(what):
    with WireStub(first_then(whole(NEVER_ASKED[what]), found)) as stub:
        reading = table_on(stub).get_items([{"pk": key} for key in "012"])
        assert [item["pk"] for item in reading] == ["0", "1", "2"]
        assert reading.missing == []


@pytest.mark.parametrize("what", NEVER_ASKED)
def test_a_server_that_never_answers_what_was_asked_is_an_error(what):
    with WireStub(lambda *_: whole(NEVER_ASKED[what])) as stub:
        reading = table_on(stub).get_items([{"pk": key} for key in "012"])
        with pytest.raises(rddb.UnprocessedKeysError) as raised:
            list(reading)
        assert raised.value.keys == reading.unread == [{"pk": "0"}, {"pk": "1"}, {"pk": "2"}]
        assert reading.missing == []
        assert isinstance(raised.value.__cause__, UnreadableResponseError)
        assert "not asked for" in str(raised.value.__cause__)
        assert raised.value.resilience.operation == "BatchGetItem"
        assert len(stub.named("BatchGetItem")) == 3


def end(made):
    """Go through all that was made, or write by it."""
    if hasattr(made, "put_item"):
        with made as batch:
            batch.put_item(Item={"pk": "0"})
    list(made)


@pytest.mark.parametrize("what", HOLLOW)
@pytest.mark.parametrize("ask", ASKING)
def test_a_description_that_describes_no_table_is_an_error_of_the_call(ask, what):
    with WireServer(hollow(what)) as server:
        table = rddb.table(TABLE, endpoint_url=server.url, policy=POLICY)
        with pytest.raises(UnreadableResponseError, match="DescribeTable") as raised:
            end(ASKING[ask](table))
        assert server.operations == ["DescribeTable"] * 3
        assert raised.value.resilience.attempts == 3
