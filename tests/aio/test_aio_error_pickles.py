"""The errors of each verb and fault of the async Table through `pickle` and `copy`."""

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from pickle_support import BATCH, FAULTS, WRITES, check, params, policy

import resilient_ddb as rddb


@pytest.fixture
def failing(proxy, dynamodb_local, make_table, hardened):
    """Return a table whose calls fail as a fault has it; awaited."""
    name = make_table(dynamodb_local.endpoint_url)

    async def make(fault):
        proxy.plan = [] if FAULTS[fault] is None else [FAULTS[fault]]
        url = "http://127.0.0.1:9" if fault == "nobody listens" else proxy.endpoint_url
        return await (await hardened(url, policy(fault))).Table(name)

    return make


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("fault", FAULTS)
async def test_an_error_of_the_wire_survives(fault, verb, failing):
    table = await failing(fault)
    times = 2 if fault == "circuit open" else 1
    for _ in range(times):
        with (
            pytest.raises((BotoCoreError, ClientError)) as caught,
            rddb.deadline(1e-9 if fault == "deadline" else 60.0),
        ):
            await getattr(table, verb)(**params(fault, verb))
    check(caught.value)


async def write(table):
    async with table.batch_writer() as batch:
        for request in BATCH:
            await batch.put_item(**request["PutRequest"])


@pytest.mark.parametrize("fault", [fault for fault, made in FAULTS.items() if made is not None and fault != "deadline"])
async def test_what_a_batch_writer_has_left_survives(fault, failing):
    table = await failing(fault)
    with pytest.raises(rddb.UnprocessedItemsError) as caught:
        await write(table)
    assert caught.value.requests == BATCH
    check(caught.value)
