"""Failed calls leave nothing of this library's behind that only the garbage collector takes away."""

import contextlib
import gc

import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import BotoCoreError, ClientError
from cycle_support import ours_in_cycles, without_collector

import resilient_ddb as rddb
from resilient_ddb.testing import faults

NONE = Attr("pk").not_exists()
FAULTS = {
    "condition": list,
    "throttled": lambda: [faults.Throttle()],
    "500": lambda: [faults.ServerError()],
    "checksum": lambda: [faults.BadCrc()],
    "then well": lambda: [faults.ServerError(times=1)],
}


async def write(table, item):
    async with table.batch_writer() as batch:
        await batch.put_item(Item=item)


VERBS = {
    "put_item": lambda table, item: table.put_item(Item=item, ConditionExpression=NONE),
    "get_item": lambda table, _: table.get_item(Key={"pk": "a"}),
    "query_many": lambda table, _: table.query_many(["a", "b"]),
    "batch_writer": write,
    "sharded put": lambda table, item: table.sharded(2, by="v").put_item(Item=item, ConditionExpression=NONE),
    "versioned put": lambda table, item: table.versioned().put_item(Item=item),
}


@pytest.fixture(scope="module", autouse=True)
def no_collector():
    with without_collector():
        yield


async def silent(call, error):
    """Return no answer, and hold on to nothing."""


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failed_call_leaves_no_cycle(fault, verb, world):
    world.direct.put_item(Item={"pk": "a"})
    retry = rddb.Retry(max_attempts=2 if fault == "then well" else 1)
    table = await world.table(retry=retry, circuit_breaker=None, fallback=silent)
    for warm in (True, False):
        world.proxy.plan = FAULTS[fault]()
        item = {"pk": "a", "v": "v" * 100}
        with contextlib.suppress(ClientError, BotoCoreError):
            await VERBS[verb](table, item)
        if warm:
            gc.collect(0)
    assert ours_in_cycles() == []
