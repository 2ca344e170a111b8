"""As in the sync tests: answers to batches that name what was never sent."""

import pytest
from aio_support import ACCESS
from foreign_answers import (
    ASKING,
    HOLLOW,
    NEVER_ASKED,
    NEVER_SENT,
    first_then,
    found,
    hollow,
    sent_keys,
    takes_all,
    unprocessed,
    whole,
)
from wire_server import WireServer
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.calls.integrity import UnreadableResponseError
from resilient_ddb.testing import FakeClock

POLICY = rddb.Policy(clock=FakeClock(), retry=rddb.Retry(max_attempts=3))


def table_on(stub):
    return aio.table(TABLE, endpoint_url=stub.endpoint_url, policy=POLICY, **ACCESS)


async def write_three(batch):
    async with batch:
        for key in "012":
            await batch.put_item(Item={"pk": key})


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("keys", [None, ["pk"]])
@pytest.mark.parametrize("what", NEVER_SENT)
async def test_unprocessed_items_that_were_never_sent_are_an_error(what, keys, workers):
    with WireStub(first_then(unprocessed(NEVER_SENT[what]), takes_all)) as stub:
        async with table_on(stub) as table:
            batch = table.batch_writer(keys, max_workers=workers)
            with pytest.raises(rddb.UnprocessedItemsError, match="that were not sent") as raised:
                await write_three(batch)
            assert isinstance(raised.value, UnreadableResponseError)
            assert raised.value.resilience.ambiguous
            assert len(batch.unprocessed) == len(raised.value.requests) == 3
            assert batch.report.written == 0
            async with batch:
                pass
            assert sent_keys(stub) == ["0", "1", "2"] * 2
            assert batch.report.written == 3


@pytest.mark.parametrize("what", NEVER_ASKED)
async def test_an_answer_with_keys_that_were_not_asked_for_is_asked_for_again(what):
    with WireStub(first_then(whole(NEVER_ASKED[what]), found)) as stub:
        async with table_on(stub) as table:
            reading = table.get_items([{"pk": key} for key in "012"])
            assert [item["pk"] async for item in reading] == ["0", "1", "2"]
            assert reading.missing == []


@pytest.mark.parametrize("what", NEVER_ASKED)
async def test_a_server_that_never_answers_what_was_asked_is_an_error(what):
    with WireStub(lambda *_: whole(NEVER_ASKED[what])) as stub:
        async with table_on(stub) as table:
            reading = table.get_items([{"pk": key} for key in "012"])
            with pytest.raises(rddb.UnprocessedKeysError) as raised:
                [item async for item in reading]
            assert reading.missing == []
            assert isinstance(raised.value.__cause__, UnreadableResponseError)
            assert raised.value.resilience.operation == "BatchGetItem"


async def end(made):
    """Go through all that was made, or write by it."""
    if hasattr(made, "put_item"):
        async with made as batch:
            await batch.put_item(Item={"pk": "0"})
    elif hasattr(made, "__aiter__"):
        [item async for item in made]
    else:
        await made


@pytest.mark.parametrize("what", HOLLOW)
@pytest.mark.parametrize("ask", ASKING)
async def test_a_description_that_describes_no_table_is_an_error_of_the_call(ask, what):
    with WireServer(hollow(what)) as server:
        async with aio.table(TABLE, endpoint_url=server.url, policy=POLICY, **ACCESS) as table:
            with pytest.raises(UnreadableResponseError, match="DescribeTable") as raised:
                await end(ASKING[ask](table))
        assert server.operations == ["DescribeTable"] * 3
        assert raised.value.resilience.attempts == 3
