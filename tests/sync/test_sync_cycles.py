"""Failed calls leave nothing behind that only the garbage collector takes away: neither item nor body nor error."""

import contextlib
import gc
import weakref

import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import BotoCoreError, ClientError
from cycle_support import ours_in_cycles, without_collector
from thread_support import end_soon

import resilient_ddb as rddb
from resilient_ddb.testing import faults

ONCE = rddb.Retry(max_attempts=1)
TWICE = rddb.Retry(max_attempts=2)
NONE = Attr("pk").not_exists()
# A transport's error is not among these: urllib3 and botocore leave cycles then, without this library too.
FAULTS = {
    "condition": list,
    "throttled": lambda: [faults.Throttle()],
    "500": lambda: [faults.ServerError()],
    "refused": lambda: [faults.ErrorResponse(code="AccessDeniedException")],
    "then well": lambda: [faults.ServerError(times=1)],
    "checksum": lambda: [faults.BadCrc()],
    "checksum, then well": lambda: [faults.BadCrc(times=1)],
}


def write(table, item, max_workers=1):
    with table.batch_writer(["pk"], max_workers=max_workers) as batch:
        batch.put_item(Item=item)


VERBS = {
    "put_item": lambda table, item: table.put_item(Item=item, ConditionExpression=NONE),
    "update_item": lambda table, item: table.update_item(
        Key={"pk": "a"},
        UpdateExpression="SET v = :v",
        ConditionExpression=NONE,
        ExpressionAttributeValues={":v": item["v"]},
    ),
    "delete_item": lambda table, _: table.delete_item(Key={"pk": "a"}, ConditionExpression=NONE),
    "get_item": lambda table, _: table.get_item(Key={"pk": "a"}),
    "query_items": lambda table, _: list(
        table.query_items(KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": "a"})
    ),
    "get_items": lambda table, _: list(table.get_items([{"pk": "a"}])),
    "query_many": lambda table, _: table.query_many(["a", "b"]),
    "parallel_scan": lambda table, _: list(table.parallel_scan(2)),
    "batch_writer": write,
    "batch_writer, workers": lambda table, item: write(table, item, max_workers=2),
    "sharded put": lambda table, item: table.sharded(2, by="v").put_item(Item=item, ConditionExpression=NONE),
    "sharded get": lambda table, _: table.sharded(2, by="v").get_item(Key={"pk": "a"}),
    "versioned put": lambda table, item: table.versioned().put_item(Item=item),
    "modify": lambda table, item: table.versioned().modify({"pk": "a"}, lambda _: item),
    "idempotent_update": lambda table, _: table.idempotent_update(
        Key={"pk": "a"},
        UpdateExpression="ADD n :one",
        ConditionExpression="attribute_not_exists(pk)",
        ExpressionAttributeValues={":one": 1},
    ),
}


class Noted(str):
    """A text that can be seen to be gone."""

    __slots__ = ("__weakref__",)


@pytest.fixture(scope="module", autouse=True)
def no_collector():
    with without_collector():
        yield


def silent(call, error):
    """Return no answer, and hold on to nothing."""


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_call_leaves_no_cycle(fault, verb, world):
    world.direct.put_item(Item={"pk": "a"})
    retry = TWICE if "then well" in fault else ONCE
    table = world.table(retry=retry, circuit_breaker=None, fallback=silent)
    for warm in (True, False):
        world.proxy.plan = FAULTS[fault]()
        item = {"pk": "a", "v": Noted("v" * 100)}
        seen = weakref.ref(item["v"])
        with contextlib.suppress(ClientError, BotoCoreError):
            VERBS[verb](table, item)
        del item
        assert end_soon()  # a thread that made a call holds on to it for a moment
        if warm:
            gc.collect(0)
    assert seen() is None
    assert ours_in_cycles() == []
