"""Items by their keys, through the sync Table, against DynamoDB Local."""

from decimal import Decimal

import pytest
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError

import resilient_ddb as rddb
from resilient_ddb.testing import faults


def keys(*numbers):
    return [{"pk": f"{number:03}"} for number in numbers]


def fill(world, count, **more):
    with world.direct.batch_writer() as batch:
        for number in range(count):
            batch.put_item(Item={"pk": f"{number:03}", "n": number, **more})


def asked(world):
    """Return how many keys each request asked for."""
    batches = [seen for seen in world.proxy.seen if seen.operation == "BatchGetItem"]
    return [len(seen.params["RequestItems"][world.name]["Keys"]) for seen in batches]


def numbers(items):
    return [item["n"] for item in items]


def test_it_gives_what_get_item_gives(world):
    world.direct.put_item(Item={"pk": "000", "b": b"\x00", "s": {1, 2}, "m": {"x": [None, True]}, "d": Decimal("1.5")})
    world.direct.put_item(Item={"pk": "001"})
    table = world.table()
    expected = [table.get_item(Key=key)["Item"] for key in keys(1, 0)]
    assert list(table.get_items(keys(1, 0))) == expected
    assert isinstance(expected[1]["b"], Binary)


def test_any_number_of_keys_a_hundred_a_request(world):
    fill(world, 250)
    table = world.table()
    batch = table.get_items(key for _ in range(2) for key in keys(*range(249, -1, -1), 900))
    assert isinstance(batch, rddb.BatchGet)
    assert numbers(batch) == list(range(249, -1, -1))
    assert batch.missing == keys(900)
    assert asked(world) == [100, 100, 51]


def test_two_attributes_of_a_key_of_any_type(dynamodb_local, make_table, hardened):
    name = make_table(dynamodb_local.endpoint_url, sort_key="sk", sort_type="B")
    table = hardened(dynamodb_local.endpoint_url).Table(name)
    for number in range(3):
        table.put_item(Item={"pk": "a", "sk": bytes([number]), "n": number})
    wanted = [{"sk": Binary(b"\x02"), "pk": "a"}, {"pk": "a", "sk": b"\x00"}, {"pk": "a", "sk": b"\x09"}]
    batch = table.get_items([*wanted, {"pk": "a", "sk": b"\x02"}])
    assert numbers(batch) == [2, 0]
    assert batch.missing == wanted[2:]


@pytest.mark.parametrize("every", [1, 2, 3])
def test_keys_that_are_left_undone_are_asked_for_again(world, every):
    fill(world, 300)
    world.proxy.plan = [faults.Unprocessed(every=every, share=0.5)]
    batch = world.table().get_items(keys(*range(310)))
    assert numbers(batch) == list(range(300))
    assert batch.missing == keys(*range(300, 310))
    assert set(asked(world)[:3]) == {100}  # filled up, not sent half-empty
    assert world.clock.waits == []


def test_it_gives_up_and_goes_on(world):
    fill(world, 120)
    world.proxy.plan = [faults.Unprocessed(share=1.0)]
    table = world.table(retry=rddb.Retry(max_attempts=4, base_delay=1.0, max_delay=2.0))
    batch = table.get_items(keys(*range(120)))
    with pytest.raises(rddb.UnprocessedKeysError, match="100 keys of table") as raised:
        next(batch)
    assert raised.value.keys == keys(*range(100))
    assert world.proxy.count("BatchGetItem") == 4
    assert len(world.clock.waits) == 3
    assert all(waited <= window for waited, window in zip(world.clock.waits, (1.0, 2.0, 2.0), strict=True))
    world.proxy.plan = []
    assert numbers(batch) == list(range(120))


@pytest.mark.parametrize(
    "fault",
    [faults.Throttle(every=2), faults.LoseReply(every=3), faults.ResetBefore(every=3), faults.TruncateBody(every=2)],
    ids=lambda fault: type(fault).__name__,
)
def test_through_trouble_every_item_is_given_once(world, fault):
    fill(world, 300)
    world.proxy.plan = [fault, faults.Unprocessed(every=2)]
    batch = world.table().get_items(keys(*range(305)))
    assert numbers(batch) == list(range(300))
    assert batch.missing == keys(*range(300, 305))


def test_an_error_loses_no_key(world):
    fill(world, 150)
    table = world.table()
    batch = table.get_items(keys(*range(150)))
    given = [next(batch) for _ in range(100)]
    world.proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", times=1)]
    with pytest.raises(ClientError, match="AccessDenied"):
        next(batch)
    assert batch.unread == keys(*range(100, 150))
    assert numbers([*given, *batch]) == list(range(150))


def test_expired_items_are_missing(world):
    fill(world, 4)
    now = int(world.clock.time())
    world.direct.put_item(Item={"pk": "001", "n": 1, "exp": now})
    world.direct.put_item(Item={"pk": "002", "n": 2, "exp": now + 1})
    batch = world.table(options={"ttl": "exp"}).get_items(keys(0, 1, 2, 9), ProjectionExpression="n")
    assert list(batch) == [{"n": 0}, {"n": 2}]
    assert batch.missing == keys(1, 9)


def test_a_projection_is_what_was_asked_for(world):
    fill(world, 2, status="new")
    table = world.table()
    params = {"ProjectionExpression": "#s, n", "ExpressionAttributeNames": {"#s": "status"}, "ConsistentRead": True}
    assert list(table.get_items(keys(1, 0, 5), **params)) == [{"status": "new", "n": 1}, {"status": "new", "n": 0}]
    assert list(table.get_items(keys(1), AttributesToGet=["n"])) == [{"n": 1}]


def test_a_fallback_is_not_asked(world):
    fill(world, 1)
    world.proxy.plan = [faults.Throttle()]
    table = world.table(fallback=rddb.fallback.response({"Responses": {}}), retry=rddb.Retry(max_attempts=2))
    with pytest.raises(ClientError, match="ProvisionedThroughput"):
        list(table.get_items(keys(0)))


def test_reads_keep_to_the_rate(world):
    fill(world, 200, text="x" * 5000)  # a unit each, read eventually
    table = world.table()
    started = world.clock.monotonic()
    assert len(list(table.get_items(keys(*range(200)), read_units_per_second=10))) == 200
    took = world.clock.monotonic() - started
    assert 200 - 10 - 100 <= took * 10 <= 200
    limiter = rddb.RateLimiter(10, clock=world.clock)
    assert len(list(table.get_items(keys(*range(100)), read_units_per_second=limiter))) == 100
    assert limiter.reserve(0) == pytest.approx(5.0)  # what was read beyond the estimate is owed


def test_a_versioned_table_has_it_too(world):
    fill(world, 1)
    assert numbers(world.table().versioned().get_items(keys(0))) == [0]
