import json

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from resilient_ddb.testing import faults
from resilient_ddb.testing.calls import Call
from resilient_ddb.testing.partitions import TokenBucket, write_units
from resilient_ddb.testing.plan import Plan


class ReferenceBucket:
    """Quarter seconds, one after the other: a quarter of the rate flows in at the end of each."""

    def __init__(self, rate, size):
        self.rate, self.size, self.tokens = rate, size, size

    def quarter_second(self):
        self.tokens = min(self.size, self.tokens + self.rate / 4)

    def take(self, units):
        if units <= self.tokens or self.tokens == self.size:
            self.tokens -= units
            return True
        return False


halves = st.integers(1, 60).map(lambda number: number / 2)


@given(
    rate=st.integers(1, 20),
    size=st.integers(1, 40),
    steps=st.lists(st.tuples(st.integers(0, 12), halves), max_size=60),
)
def test_bucket_does_as_the_plain_model(rate, size, steps):
    # Halves and quarters are exact in binary, so both sides compute the same numbers.
    now = 1000.0
    bucket, reference = TokenBucket(rate, size, now), ReferenceBucket(rate, size)
    for quarters, units in steps:
        for _ in range(quarters):
            reference.quarter_second()
        now += quarters / 4
        assert bucket.take(units, now) == reference.take(units)


@given(steps=st.lists(st.tuples(st.floats(0, 2), st.floats(0.5, 5)), max_size=80))
def test_never_more_than_the_rate_and_the_burst(steps):
    bucket, now, taken = TokenBucket(10, 20, 0.0), 0.0, 0.0
    for wait, units in steps:
        now += wait
        taken += units if bucket.take(units, now) else 0
        assert taken <= 20 + 10 * now + 1e-6


def test_time_that_goes_back_gives_nothing():
    bucket = TokenBucket(10, 10, 100.0)
    assert bucket.take(10, 100.0)
    assert not bucket.take(1, 50.0)
    assert not bucket.take(1, 100.0)
    assert bucket.take(10, 101.0)


@given(st.dictionaries(st.text(max_size=5), st.builds(lambda s: {"S": s}, st.text(max_size=3000)), max_size=5))
def test_write_units_follow_the_wire_size(item):
    size = len(json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode())
    assert write_units(item) == max(1, -(-size // 1024))


def test_write_units():
    assert write_units({"pk": {"S": "a"}}) == 1
    assert write_units({"pk": {"S": "a" * 1024}}) == 2


def plan_of(**settings):
    return Plan([faults.PartitionCapacity(partition_key="pk", **settings)], 0)


def call(operation, at=0.0, **params):
    return Call(operation=operation, params={"TableName": "orders", **params}, at=at)


def passed(plan, calls):
    return sum(plan.decide(one)[1] is None for one in calls)


KEY = {"pk": {"S": "hot"}}


def test_default_limits():
    plan = plan_of()
    assert passed(plan, [call("PutItem", Item=KEY)] * 1500) == 1000
    assert passed(plan, [call("PutItem", Item={"pk": {"S": "cool"}})] * 10) == 10
    assert passed(plan, [call("GetItem", Key=KEY, ConsistentRead=True)] * 4000) == 3000
    assert passed(plan, [call("PutItem", Item=KEY, at=0.5)] * 1500) == 500
    assert passed(plan, [call("GetItem", Key=KEY, at=100.0)] * 9000) == 6000
    assert passed(plan, [call("PutItem", TableName="other", Item=KEY)] * 1500) == 1000


def test_sizes_and_kinds():
    big = {**KEY, "text": {"S": "x" * 5000}}
    assert passed(plan_of(write_units=50), [call("PutItem", Item=big)] * 20) == 10
    update = call("UpdateItem", Key=KEY, ExpressionAttributeValues={":x": {"S": "x" * 5000}})
    assert passed(plan_of(write_units=50), [update] * 20) == 10
    assert passed(plan_of(write_units=5), [call("DeleteItem", Key=KEY)] * 20) == 5
    assert passed(plan_of(write_units=5, burst_seconds=3), [call("DeleteItem", Key=KEY)] * 20) == 15
    free = [call("Scan"), call("GetItem", Key={"other": {"S": "a"}}), call("ListTables")]
    assert passed(plan_of(read_units=0.5), free * 10) == 30


def test_an_item_larger_than_the_bucket_passes_and_leaves_a_debt():
    plan = plan_of(write_units=2)
    big = {**KEY, "text": {"S": "x" * 9000}}
    assert passed(plan, [call("PutItem", Item=big)] * 3) == 1
    assert passed(plan, [call("DeleteItem", Key=KEY, at=3.0)]) == 0
    assert passed(plan, [call("DeleteItem", Key=KEY, at=5.0)]) == 1


@pytest.mark.parametrize(
    ("params", "limited"),
    [
        ({"KeyConditionExpression": "pk = :v"}, True),
        ({"KeyConditionExpression": "(#k = :v AND sk > :w)", "ExpressionAttributeNames": {"#k": "pk"}}, True),
        ({"KeyConditionExpression": "sk = :w AND pk=:v"}, True),
        ({"KeyConditionExpression": "gk = :v"}, False),
        ({"KeyConditionExpression": "pk = :v", "IndexName": "by_pk"}, False),
        ({"KeyConditions": {}}, False),
    ],
)
def test_queries(params, limited):
    values = {":v": {"S": "hot"}, ":w": {"S": "x"}}
    query = call("Query", ExpressionAttributeValues=values, **params)
    assert passed(plan_of(read_units=5), [query] * 30) == (10 if limited else 30)


def test_what_boto3_sees_of_a_hot_key(world):
    world.proxy.plan = [faults.PartitionCapacity(partition_key="pk", write_units=2, read_units=1)]
    for attempt in range(2):
        world.put("hot", n={"N": str(attempt)})
    with pytest.raises(ClientError) as caught:
        world.put("hot", n={"N": "9"})
    response = caught.value.response
    assert response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert response["ThrottlingReasons"][0]["reason"] == "TableWriteKeyRangeThroughputExceeded"
    world.put("cool")
    world.get("hot", ConsistentRead=True)
    with pytest.raises(ClientError) as caught:
        world.get("hot")
    reason = caught.value.response["ThrottlingReasons"][0]["reason"]
    assert reason == "TableReadKeyRangeThroughputExceeded"
    assert world.proxy.count("PutItem", "PartitionCapacity") == 1
    world.clock.advance(1)
    assert world.get("hot")["Item"]["n"] == {"N": "1"}
    world.put("hot")


def test_batches_are_done_in_part(world):
    world.proxy.plan = [faults.PartitionCapacity(partition_key="pk", write_units=1, read_units=1)]
    puts = [{"PutRequest": {"Item": {"pk": {"S": pk}}}} for pk in ("hot", "cool")]
    world.put("hot")
    left = world.client.batch_write_item(RequestItems={"orders": puts})["UnprocessedItems"]
    assert left == {"orders": puts[:1]}
    assert world.stored() == {"hot", "cool"}
    with pytest.raises(ClientError) as caught:
        world.client.batch_write_item(RequestItems=left)
    assert caught.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    world.clock.advance(1)
    assert not world.client.batch_write_item(RequestItems=left)["UnprocessedItems"]

    keys = [{"pk": {"S": "hot"}}, {"pk": {"S": "cool"}}]
    world.get("cool", ConsistentRead=True)
    wanted = {"orders": {"Keys": keys, "ConsistentRead": True}}
    response = world.client.batch_get_item(RequestItems=wanted)
    assert response["Responses"]["orders"] == keys[:1]
    assert response["UnprocessedKeys"] == {"orders": {"Keys": keys[1:], "ConsistentRead": True}}
