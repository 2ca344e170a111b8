"""The batch writer with workers, a rate and limits, against DynamoDB Local and through the fault proxy."""

import threading
from collections import Counter
from decimal import Decimal

import boto3
import pytest
from boto3.dynamodb.table import BatchWriter
from botocore.exceptions import ClientError
from thread_support import end_soon

import resilient_ddb as rddb
from resilient_ddb.dynamodb.capacity import item_size, write_units
from resilient_ddb.policy.clock import SYSTEM_CLOCK
from resilient_ddb.sync.together import Calls
from resilient_ddb.testing import FakeClock, faults


def numbered(count, start=0, **more):
    return [{"pk": f"{number:04}", **more} for number in range(start, start + count)]


def puts(items):
    return [{"PutRequest": {"Item": item}} for item in items]


def sent(proxy):
    """Return the keys of each batch that reached the proxy."""
    found = []
    for seen in proxy.seen:
        if seen.operation == "BatchWriteItem":
            [entries] = seen.params["RequestItems"].values()
            values = [next(iter(entry.values())) for entry in entries]
            found.append([(value.get("Item") or value["Key"])["pk"]["S"] for value in values])
    return found


def stored_keys(world):
    found, cursor = [], {}
    while True:
        page = world.direct.scan(ConsistentRead=True, **cursor)
        found += [item["pk"] for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            return sorted(found)
        cursor = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


@pytest.mark.parametrize("workers", [2, 8])
def test_workers_write_everything_once_and_the_last_request_for_a_key_wins(world, workers):
    world.proxy.plan = [faults.Delay(seconds=0.005), faults.Unprocessed(every=3), faults.Throttle(every=7)]
    table = world.table(retry_budget=None)
    with table.batch_writer(max_workers=workers) as batch:
        assert isinstance(batch, BatchWriter)
        for number in range(600):
            batch.put_item(Item={"pk": f"{number % 200:04}", "n": number})
        batch.delete_item(Key={"pk": "0000"})
    assert stored_keys(world) == [f"{number:04}" for number in range(1, 200)]
    assert all(world.stored(f"{number:04}")["n"] == number + 400 for number in (1, 57, 199))
    assert world.proxy.count("DescribeTable") == 1
    assert batch.unprocessed == []


def test_workers_are_under_way_at_once(world):
    busy, most = Counter(), []
    lock, four = threading.Lock(), threading.Barrier(4)
    table = world.table()

    def begin(**_):
        with lock:
            busy["now"] += 1
            most.append(busy["now"])
            is_of_the_first = len(most) <= 4
        if is_of_the_first:
            four.wait(60)

    def end(**_):
        with lock:
            busy["now"] -= 1

    world.proxy.plan = [faults.Delay(seconds=0.01)]
    table.meta.client.meta.events.register("before-send.dynamodb.BatchWriteItem", begin)
    table.meta.client.meta.events.register("response-received.dynamodb.BatchWriteItem", end)
    with table.batch_writer(["pk"], max_workers=4) as batch:
        for item in numbered(300):
            batch.put_item(Item=item)
    assert max(most) == 4
    assert len(stored_keys(world)) == 300
    assert world.proxy.count("DescribeTable") == 0


@pytest.mark.parametrize("workers", [1, 4])
def test_a_server_that_refuses_half_costs_at_most_2_2_times_the_requests(world, workers):
    world.proxy.plan = [faults.Unprocessed(share=0.5)]
    with world.table().batch_writer(["pk"], max_workers=workers) as batch:
        for item in numbered(1000):
            batch.put_item(Item=item)
    assert stored_keys(world) == [item["pk"] for item in numbered(1000)]
    assert world.proxy.count("BatchWriteItem") <= 2.2 * 40
    assert batch.report.written == 1000


@pytest.mark.parametrize("workers", [1, 4])
def test_a_server_that_takes_nothing_is_asked_max_attempts_times(world, workers):
    world.proxy.plan = [faults.Unprocessed(share=1.0)]
    batch = world.table().batch_writer(["pk"], max_workers=workers, max_attempts=5)
    taken = []
    with pytest.raises(rddb.UnprocessedItemsError, match="5 passes made no progress") as raised, batch:  # noqa: PT012 - the block raises
        for item in numbered(500):
            taken.append(item)
            batch.put_item(Item=item)
    assert raised.value.requests == puts(taken) == batch.unprocessed
    assert max(Counter(key for keys in sent(world.proxy) for key in keys).values()) <= 5
    assert world.proxy.count() <= 5 + workers - 1
    assert len(world.clock.waits) == 4


def test_a_table_that_throttles_for_good_hands_everything_back(world):
    world.proxy.plan = [faults.Throttle()]
    with pytest.raises(world.direct.meta.client.exceptions.ClientError) as raised:  # noqa: PT012, SIM117
        with world.table(retry=rddb.Retry(max_attempts=4)).batch_writer() as batch:
            for item in numbered(10):
                batch.put_item(Item=item)
    assert isinstance(raised.value, rddb.UnprocessedItemsError)
    assert raised.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert raised.value.requests == puts(numbered(10))
    assert world.proxy.count() == 4


# What is refused.


def test_items_that_are_too_large_or_can_not_be_serialized_are_refused_one_by_one(world):
    bad = {7: {"b": "x" * 450_000}, 30: {"f": 1.5}, 44: {"s": set()}}
    with pytest.raises(rddb.UnprocessedItemsError) as raised, world.table().batch_writer() as batch:  # noqa: PT012 - the block raises
        for number, item in enumerate(numbered(60)):
            batch.put_item(Item={**item, **bad.get(number, {})})
    assert len(stored_keys(world)) == 57
    assert [request["PutRequest"]["Item"]["pk"] for request in raised.value.requests] == ["0007", "0030", "0044"]
    assert [(refusal.key, refusal.size) for refusal in batch.refusals] == [
        ({"pk": "0007"}, 450_007),
        ({"pk": "0030"}, None),
        ({"pk": "0044"}, 7),
    ]
    assert "the item with key {'pk': '0007'}, of 450,007 bytes, was refused" in str(raised.value)
    assert "Float types are not supported" in batch.refusals[1].reason
    assert batch.report.refused == 3


def test_an_item_just_over_400_kb_is_refused_by_dynamodb_and_stands_alone(world):
    fits, does_not = {"pk": "fits", "b": "x" * 409_590}, {"pk": "over", "b": "x" * 409_592}
    assert (item_size(fits), item_size(does_not)) == (409_597, 409_599)
    does_not["b"] += "xxxx"
    with pytest.raises(rddb.UnprocessedItemsError) as raised, world.table().batch_writer() as batch:  # noqa: PT012 - the block raises
        for item in (*numbered(10), does_not, fits):
            batch.put_item(Item=item)
    assert raised.value.requests == puts([does_not])
    assert len(stored_keys(world)) == 11
    assert batch.refusals[0].size == 409_603
    assert "Item size has exceeded the maximum allowed size" in batch.refusals[0].reason


def test_sizes_are_those_that_dynamodb_counts(world):
    items = [
        {"pk": "a", "s": "é" * 500, "n": Decimal("12345.678"), "b": b"x" * 700},
        {"pk": "b", "m": {"k": [1, True, None, "x" * 1100]}, "set": {"a" * 100, "b" * 100}},
        {"pk": "c", "ns": {1, 22, 333}, "l": ["y" * 30] * 40, "empty": {}},
        *({"pk": f"d{extra}", "s": "x" * (1024 - 5 + extra)} for extra in (-1, 0)),
    ]
    for item in items:
        cost = world.direct.put_item(Item=item, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]["CapacityUnits"]
        assert cost == write_units(item_size(item)), item["pk"]


def test_what_is_refused_or_given_up_goes_to_the_callers_function(world):
    given = []
    table = world.table(retry=rddb.Retry(max_attempts=2))
    with table.batch_writer(on_unprocessed=given.extend) as batch:
        for number, item in enumerate(numbered(50)):
            batch.put_item(Item={**item, "f": 1.5} if number == 3 else item)
        batch.flush()
        assert given == puts([{"pk": "0003", "f": 1.5}])
        world.proxy.plan = [faults.Unprocessed(share=1.0)]
        batch.put_item(Item={"pk": "last"})
    assert given[1:] == puts([{"pk": "last"}])
    assert batch.unprocessed == []
    assert len(stored_keys(world)) == 49


# Leaving.


def write_50_then(batch, plan, world):
    for item in numbered(50):
        batch.put_item(Item=item)
    batch.flush()
    world.proxy.plan = plan


@pytest.mark.parametrize("workers", [1, 3])
def test_leaving_by_an_exception_sends_nothing_more(world, workers):
    error = RuntimeError("mine")
    with pytest.raises(RuntimeError) as raised, world.table().batch_writer(["pk"], max_workers=workers) as batch:  # noqa: PT012 - the block raises
        for item in numbered(60):
            batch.put_item(Item=item)
        raise error
    assert raised.value is error
    assert world.proxy.count("BatchWriteItem") <= 2
    left = [request["PutRequest"]["Item"]["pk"] for request in batch.unprocessed]
    assert sorted({*left, *stored_keys(world)}) == [item["pk"] for item in numbered(60)]
    if workers == 1:
        assert batch.unprocessed == puts(numbered(10, start=50))
    with batch:
        pass
    assert stored_keys(world) == [item["pk"] for item in numbered(60)]


def test_what_is_buffered_is_written_after_an_exception_where_that_is_wished(world):
    with pytest.raises(RuntimeError), world.table().batch_writer(flush_on_error=True) as batch:  # noqa: PT012 - the block raises
        batch.put_item(Item={"pk": "a"})
        raise RuntimeError("mine")
    assert batch.unprocessed == []
    assert stored_keys(world) == ["a"]


@pytest.mark.parametrize("workers", [1, 3])
def test_ctrl_c_leaves_what_is_not_surely_written_in_unprocessed(world, ctrl_c, workers):
    table = world.table(clock=SYSTEM_CLOCK, retry_budget=None, retry=rddb.Retry(wait=lambda _: 0.2, max_attempts=1000))
    batch = table.batch_writer(["pk"], max_workers=workers)
    with pytest.raises(KeyboardInterrupt), batch:  # noqa: PT012 - the block raises
        write_50_then(batch, [faults.Throttle()], world)
        sent_before = world.proxy.count("BatchWriteItem")
        ctrl_c(lambda: world.proxy.count("BatchWriteItem") > sent_before + 1)
        for item in numbered(10_000, start=50):
            batch.put_item(Item=item)
    seen = world.proxy.count("BatchWriteItem")
    written = stored_keys(world)
    left = [request["PutRequest"]["Item"]["pk"] for request in batch.unprocessed]
    assert left == sorted(left)
    assert not set(written) & set(left)
    assert sorted([*written, *left]) == [item["pk"] for item in numbered(len(written) + len(left))]
    assert len(written) == 50
    threading.Event().wait(0.5)
    assert world.proxy.count("BatchWriteItem") == seen  # nothing goes on in the background


@pytest.mark.parametrize("workers", [1, 3])
def test_a_deadline_leaves_what_is_not_surely_written_in_unprocessed(world, workers):
    table = world.table(retry=rddb.Retry(wait=lambda _: 1.0, max_attempts=100))
    batch = table.batch_writer(["pk"], max_workers=workers)
    with rddb.deadline(5, clock=world.clock), pytest.raises(rddb.UnprocessedItemsError, match="deadline") as raised:  # noqa: PT012, SIM117
        with batch:
            write_50_then(batch, [faults.Unprocessed(share=1.0)], world)
            for item in numbered(200, start=50):
                batch.put_item(Item=item)
    assert isinstance(raised.value, rddb.DeadlineExceededError)
    assert stored_keys(world) == [item["pk"] for item in numbered(50)]
    assert batch.unprocessed[:1] == puts(numbered(1, start=50))
    assert sum(world.clock.waits) < 5


@pytest.mark.parametrize("workers", [1, 3])
def test_a_batch_that_failed_for_good_is_in_unprocessed(world, workers):
    batch = world.table().batch_writer(["pk"], max_workers=workers)
    with pytest.raises(ClientError, match="AccessDenied"), batch:  # noqa: PT012 - the block raises
        write_50_then(batch, [faults.ErrorResponse(code="AccessDeniedException")], world)
        for item in numbered(200, start=50):
            batch.put_item(Item=item)
    left = [request["PutRequest"]["Item"]["pk"] for request in batch.unprocessed]
    written = stored_keys(world)
    assert len(written) == 50
    assert sorted([*written, *left]) == [item["pk"] for item in numbered(50 + len(left))]
    assert left == sorted(left)


@pytest.mark.parametrize("workers", [1, 3])
def test_what_a_fallback_answers_is_not_written(world, workers):
    asked = []
    table = world.table(fallback=lambda call, error: asked.append(call) or {})
    world.proxy.plan = [faults.Throttle()]
    batch = table.batch_writer(["pk"], max_workers=workers, max_attempts=2)
    with pytest.raises(rddb.UnprocessedItemsError), batch:  # noqa: PT012 - the block raises
        for item in numbered(30):
            batch.put_item(Item=item)
    assert (stored_keys(world), asked) == ([], [])
    assert batch.unprocessed == puts(numbered(len(batch.unprocessed)))
    assert len(batch.unprocessed) >= 25
    assert table.get_item(Key={"pk": "a"}, ConsistentRead=True)["ResponseMetadata"][
        "Resilience"
    ]  # it goes on answering reads
    assert len(asked) == 1


def test_a_reply_that_was_lost_costs_nothing(world):
    world.proxy.plan = [faults.LoseReply(times=2)]
    with world.table().batch_writer(max_workers=1) as batch:
        for item in numbered(50):
            batch.put_item(Item=item)
    assert stored_keys(world) == [item["pk"] for item in numbered(50)]
    assert batch.report.written == 50


# The rate.


def with_index(make_table, url):
    return make_table(
        url,
        AttributeDefinitions=[{"AttributeName": "g", "AttributeType": "S"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-g",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


def test_a_rate_counts_what_indexes_cost(dynamodb_local, make_table):
    name = with_index(make_table, dynamodb_local.endpoint_url)
    clock = FakeClock()
    table = rddb.table(name, endpoint_url=dynamodb_local.endpoint_url, policy=rddb.Policy(clock=clock))
    with table.batch_writer(write_units_per_second=100) as batch:
        for item in numbered(500, g="x", b="y" * 1000):
            batch.put_item(Item=item)
    assert batch.report.consumed_units == 500 * 2  # a unit for each item, and one for its copy in the index
    assert batch.report.elapsed == pytest.approx((1000 - 100) / 100, rel=0.06)
    assert sum(clock.waits) == pytest.approx(batch.report.elapsed)
    assert batch.report.average_rate == pytest.approx(100, rel=0.12)


def test_auto_takes_the_tables_capacity(dynamodb_local, make_table, world):
    capacity = {
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 40},
    }
    name = make_table(dynamodb_local.endpoint_url, **capacity)
    table = rddb.table(name, endpoint_url=world.proxy.endpoint_url, policy=world.policy())
    with table.batch_writer(write_units_per_second="auto") as batch:
        for item in numbered(400):
            batch.put_item(Item=item)
    assert world.proxy.count("DescribeTable") == 1
    assert batch.report.elapsed == pytest.approx((400 - 20) / 20, rel=0.07)


def test_threads_share_one_limiter_each_with_a_writer(world):
    limiter = rddb.RateLimiter(4000, burst=25)
    table = world.table(clock=SYSTEM_CLOCK)

    def write(start):
        with table.batch_writer(write_units_per_second=limiter) as batch:
            for item in numbered(400, start=start):
                batch.put_item(Item=item)

    threads = [threading.Thread(target=write, args=[400 * number]) for number in range(4)]
    started = SYSTEM_CLOCK.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert SYSTEM_CLOCK.monotonic() - started >= (1600 - 50) / 4000
    assert len(stored_keys(world)) == 1600


def test_throttling_slows_a_rate_down_and_it_recovers(world):
    world.proxy.plan = [faults.Unprocessed(share=0.5, times=5)]
    with world.table().batch_writer(write_units_per_second=250) as batch:
        for item in numbered(3000):
            batch.put_item(Item=item)
    report = batch.report
    assert report.throttled_batches == 5
    assert report.written == 3000
    assert (3000 - 250) / 250 < report.elapsed < 30
    assert world.proxy.count("DescribeTable") == 0


def test_plain_requests_are_boto3s(world):
    with world.table().batch_writer() as batch:
        batch.put_item(Item={"pk": "a"})
    [seen] = world.proxy.seen
    assert list(seen.params) == ["RequestItems"]


def test_options_are_checked_at_the_door(world):
    with pytest.raises(ValueError, match="max_workers must be 1 or more; got 0"):
        world.table().batch_writer(max_workers=0)
    assert world.proxy.count() == 0


def test_moto_takes_a_rate_and_workers(moto_server, make_table):
    name = make_table(moto_server.endpoint_url)
    table = rddb.table(name, endpoint_url=moto_server.endpoint_url)
    with table.batch_writer(write_units_per_second=100_000, max_workers=3) as batch:
        for item in numbered(120):
            batch.put_item(Item=item)
    assert batch.report.written == 120
    assert len(boto3.resource("dynamodb", endpoint_url=moto_server.endpoint_url).Table(name).scan()["Items"]) == 120


def test_moto_is_written_at_the_rate(moto_server, make_table, clock):
    name = make_table(moto_server.endpoint_url)
    table = rddb.table(name, endpoint_url=moto_server.endpoint_url, policy=rddb.Policy(clock=clock))
    with table.batch_writer(write_units_per_second=100) as batch:
        for item in numbered(600):
            batch.put_item(Item=item)
    assert sum(clock.waits) >= 4.5
    assert batch.report.consumed_units >= 600


def test_interrupted_as_the_block_ends_what_is_under_way_is_not_sent_again(world, monkeypatch):
    world.proxy.plan = [faults.Throttle()]
    waits = rddb.Retry(wait=lambda _: 0.05, max_attempts=1000)
    table = world.table(retry=waits, retry_budget=None, clock=SYSTEM_CLOCK)

    def interrupted(_):
        raise KeyboardInterrupt

    batch = table.batch_writer(["pk"], max_workers=3)
    with pytest.raises(KeyboardInterrupt), batch:  # noqa: PT012 - it is the block's end that raises
        for number in range(50):
            batch.put_item(Item={"pk": str(number)})
        monkeypatch.setattr(Calls, "collect", interrupted)
    assert len(batch.unprocessed) == 50
    assert end_soon()  # they would go on for 1,000 attempts, of 50 ms and more


def test_a_table_that_was_made_anew_with_another_key_loses_nothing(world):
    """Of requests for one key the last one stands: by the key that there was, all of these would be for one."""
    table = world.table()
    with table.batch_writer(max_workers=2) as batch:
        batch.put_item(Item={"pk": "a"})
    world.direct.delete()
    world.direct.meta.client.create_table(
        TableName=world.name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    with table.batch_writer(max_workers=2) as batch:
        for number in range(60):
            batch.put_item(Item={"pk": "a", "sk": str(number)})
    assert world.direct.scan(Select="COUNT", ConsistentRead=True)["Count"] == 60
