"""What a batch was refused for is told, also where its halves meet something else."""

from decimal import Decimal

import pytest
from batch_support import let_go
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock

PREFIX = "com.amazonaws.dynamodb.v20120810#"
REFUSED = (400, {"__type": f"{PREFIX}ValidationException", "message": "the first reason"})
OTHERS = {
    "a denial": (400, {"__type": f"{PREFIX}AccessDeniedException", "message": "no"}),
    "a throttling for good": (400, {"__type": f"{PREFIX}ThrottlingException", "message": "slow down"}),
    "items that are left": None,
    "an outage": (500, {"__type": f"{PREFIX}InternalServerError", "message": "oops"}),
}


def notes_of(error):
    found = []
    while error is not None:
        found += [str(error), *getattr(error, "__notes__", ())]
        error = error.__cause__
    return "\n".join(found)


def first_refused_then(other):
    answers = [REFUSED]

    def answer(_, params):
        if answers:
            return answers.pop()
        return other or {"UnprocessedItems": params["RequestItems"]}

    return answer


def table_on(stub):
    retry = rddb.Retry(max_attempts=2)
    return rddb.table(TABLE, endpoint_url=stub.endpoint_url, policy=rddb.Policy(clock=FakeClock(), retry=retry))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("what", OTHERS)
def test_the_first_reason_is_in_what_the_halves_raise(what, workers):
    with WireStub(first_refused_then(OTHERS[what])) as stub:
        batch = table_on(stub).batch_writer(["pk"], max_workers=workers)
        with pytest.raises(rddb.UnprocessedItemsError) as raised, batch:  # noqa: PT012 - the block raises
            for number in range(4):
                batch.put_item(Item={"pk": str(number)})
        assert notes_of(raised.value).count("the first reason") >= 1
        assert len(raised.value.requests) == 4


def test_a_put_that_raises_has_it_too():
    with WireStub(first_refused_then(OTHERS["a denial"])) as stub:
        batch = table_on(stub).batch_writer(flush_amount=4)
        for number in range(3):
            batch.put_item(Item={"pk": str(number)})
        with pytest.raises(Exception, match="AccessDenied") as raised:
            batch.put_item(Item={"pk": "3"})
        assert "the first reason" in notes_of(raised.value)
        let_go(batch)


def test_a_value_is_in_no_reason():
    with WireStub(lambda *_: OTHERS["a denial"]) as stub:
        batch = table_on(stub).batch_writer()
        with pytest.raises(rddb.UnprocessedItemsError) as raised, batch:  # noqa: PT012 - the block raises
            batch.put_item(Item={"pk": "a"})
            batch.put_item(Item={"pk": "b", "n": 1.25})
        assert "Float types are not supported" in notes_of(raised.value)
        assert "1.25" not in notes_of(raised.value)


def test_what_the_halves_have_cleared_up_is_not_told_again():
    """Only together were they refused: what fails later has other reasons."""
    answers = [REFUSED, {"UnprocessedItems": {}}, {"UnprocessedItems": {}}]
    with WireStub(lambda *_: answers.pop(0) if answers else OTHERS["a denial"]) as stub:
        batch = table_on(stub).batch_writer(flush_amount=2)
        batch.put_item(Item={"pk": "a"})
        batch.put_item(Item={"pk": "b"})
        batch.put_item(Item={"pk": "c", "n": Decimal(1)})
        with pytest.raises(Exception, match="AccessDenied") as raised:
            batch.flush()
        assert "the first reason" not in notes_of(raised.value)
        let_go(batch)


def test_attempts_counts_the_batches_that_were_sent():
    answers = [{"UnprocessedItems": {}}, {"UnprocessedItems": {}}]
    with WireStub(lambda _, params: answers.pop() if answers else {"UnprocessedItems": params["RequestItems"]}) as stub:
        batch = table_on(stub).batch_writer(flush_amount=2)
        with pytest.raises(rddb.UnprocessedItemsError) as raised, batch:  # noqa: PT012 - the block raises
            for number in range(6):
                batch.put_item(Item={"pk": str(number)})
        assert raised.value.resilience.attempts == batch.report.batches == 4  # two that were written, and two passes
        assert len(raised.value.requests) == 2


def test_if_a_call_was_the_reason_its_attempts_are_told():
    with WireStub(lambda *_: OTHERS["a denial"]) as stub:
        batch = table_on(stub).batch_writer()
        with pytest.raises(rddb.UnprocessedItemsError) as raised, batch:
            batch.put_item(Item={"pk": "a"})
        facts = raised.value.resilience
        assert facts == raised.value.__cause__.resilience
        assert (facts.operation, facts.attempts) == ("BatchWriteItem", 1)
