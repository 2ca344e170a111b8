"""A table's items from several segments, through the sync Table, against DynamoDB Local."""

import gc
import json
import random
import time
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError
from thread_support import calling_threads, end_soon

import resilient_ddb as rddb
from resilient_ddb.testing import faults

COUNT = 300


@pytest.fixture
def table(world):
    """The table, with so many items."""
    fill(world.direct)
    return world.table()


def fill(direct, count=COUNT, **more):
    with direct.batch_writer() as batch:
        for number in range(count):
            batch.put_item(Item={"pk": f"{number:03}", "n": number, **more})


def numbers(items):
    return sorted(int(item["n"]) for item in items)


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    if calling_threads():
        gc.collect()  # a reader that was dropped in a circle ends its threads when it is found
    assert end_soon()


def take(scan, count):
    return [item for _, item in zip(range(count), scan, strict=False)]


@pytest.mark.parametrize("segments", ["auto", 1, 4, 50])
def test_every_item_comes_once(world, table, segments):
    scan = table.parallel_scan(segments)
    assert isinstance(scan, rddb.ParallelScan)
    assert numbers(scan) == list(range(COUNT))
    expected = 1 if segments == "auto" else segments
    assert world.proxy.count("Scan") == expected
    assert scan.state["segments"] == ["done"] * expected


def test_items_are_those_that_scan_gives(world, table):
    world.direct.put_item(Item={"pk": "x", "n": 999, "b": b"\x00", "s": {Decimal(1)}})
    by_key = {item["pk"]: item for item in table.parallel_scan(3, FilterExpression=Attr("n").gte(250))}
    assert by_key == {item["pk"]: item for item in table.scan_items() if item["n"] >= 250}


@pytest.mark.parametrize("seed", range(4))
def test_stopped_anywhere_and_resumed_all_is_there(world, table, seed):
    chance = random.Random(seed)
    given, state, twice = [], None, 0
    for _ in range(6):
        with table.parallel_scan(4, Limit=7, resume=state) as scan:
            given += take(scan, chance.randrange(60))
            state = json.loads(json.dumps(scan.state))
        twice += 7
    given += table.parallel_scan(resume=state)
    assert set(numbers(given)) == set(range(COUNT))
    assert len(given) <= COUNT + twice


@pytest.mark.parametrize("page", range(0, 12, 2))
def test_resumed_from_the_state_of_a_page_nothing_comes_twice(table, page):
    before, states = [], [None]
    for item in table.parallel_scan(3, Limit=25, on_page=states.append):
        if len(states) > page:
            break
        before.append(item)
    after = table.parallel_scan(resume=states[page])
    assert numbers([*before, *after]) == list(range(COUNT))


def test_an_index_is_scanned_and_resumed(dynamodb_local, make_table, hardened):
    name = make_table(
        dynamodb_local.endpoint_url,
        sort_key="sk",
        sort_type="N",
        AttributeDefinitions=[{"AttributeName": "g", "AttributeType": "B"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-g",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    table = hardened(dynamodb_local.endpoint_url).Table(name)
    with table.batch_writer() as batch:
        for number in range(60):
            more = {"g": bytes([number % 5])} if number % 2 else {}
            batch.put_item(Item={"pk": "a", "sk": Decimal(number) / 4, "n": number, **more})
    given, state = [], None
    while state is None or state["segments"] != ["done"] * 3:
        pages = []
        for item in table.parallel_scan(3, IndexName="by-g", Limit=4, resume=state, on_page=pages.append):
            if pages:
                break
            given.append(item)
        state = json.loads(json.dumps(pages[-1]))
    assert numbers(given) == list(range(1, 60, 2))
    with pytest.raises(ValueError, match="resume must be a state with the keys"):
        next(table.parallel_scan(resume=state))


def test_expired_items_are_left_out(world):
    now = int(world.clock.time())
    fill(world.direct, 40, exp=now)
    fill(world.direct, 20, exp=now + 1)
    states = []
    scan = world.table(options={"ttl": "exp"}).parallel_scan(2, Limit=5, on_page=states.append)
    assert numbers(scan) == list(range(20))
    assert len(states) >= 8  # pages of which nothing was left count as well


# Trouble.


@pytest.mark.parametrize(
    "fault",
    [faults.Throttle(rate=0.3), faults.LoseReply(rate=0.2), faults.ResetBefore(rate=0.2), faults.BadCrc(rate=0.3)],
    ids=lambda fault: type(fault).__name__,
)
def test_through_trouble_every_item_is_given_once(world, table, fault):
    world.proxy.plan = [fault]
    assert numbers(table.parallel_scan(4, Limit=20)) == list(range(COUNT))
    assert len(world.clock.waits) > 0


class FailSegment(faults.Fault):
    """Refuse what is asked of segment 2, once it has given a page."""

    def act(self, call):
        if call.params.get("Segment") != 2 or "ExclusiveStartKey" not in call.params:
            return None
        return faults.ErrorResponse(code="AccessDeniedException").act(call)


def test_a_segment_that_fails_for_good_stops_the_scan_which_can_be_resumed(world, table):
    world.proxy.plan = [FailSegment(operations={"Scan"})]
    given = []
    with pytest.raises(ClientError, match="AccessDenied") as raised:  # noqa: PT012 - the whole loop is what raises
        for item in table.parallel_scan(4, Limit=10):
            given.append(item)  # noqa: PERF402 - `extend` would say nothing of what came before the error
    assert end_soon()
    asked = world.proxy.count("Scan")
    time.sleep(0.05)
    assert world.proxy.count("Scan") == asked
    assert raised.value.resilience.operation == "Scan"
    state = json.loads(json.dumps(raised.value.scan_state))
    world.proxy.plan = []
    assert numbers([*given, *table.parallel_scan(resume=state)]) == list(range(COUNT))


def test_a_scan_that_was_stopped_by_an_error_is_not_taken_for_read_to_the_end(world, table):
    world.proxy.plan = [FailSegment(operations={"Scan"})]
    scan = table.parallel_scan(4, Limit=10)
    with pytest.raises(ClientError, match="AccessDenied"):
        list(scan)
    world.proxy.plan = []
    with pytest.raises(RuntimeError, match=r"resume=scan\.state"):
        list(scan)
    scan.close()
    assert list(scan) == []


def test_a_table_that_is_not_there(world):
    table = rddb.table("no-such-table", endpoint_url=world.proxy.endpoint_url)
    with pytest.raises(table.meta.client.exceptions.ResourceNotFoundException):
        next(table.parallel_scan())


def test_a_deadline_ends_the_scan_where_it_stands(world, table):
    world.proxy.plan = [faults.Throttle(operations={"Scan"})]
    with rddb.deadline(1.0, clock=world.clock), pytest.raises(rddb.DeadlineExceededError) as raised:
        next(table.parallel_scan(2))
    assert raised.value.scan_state["segments"] == [None, None]


def test_a_reader_that_leaves_during_an_outage_is_not_held_up(world, table):
    retry = rddb.Retry(max_attempts=100_000, base_delay=0.001, max_delay=0.01)
    slow = rddb.Policy(retry=retry, retry_budget=None, circuit_breaker=None)
    rddb.harden(table, policy=slow)
    scan = table.parallel_scan(4, Limit=5)
    next(scan)
    while world.proxy.count("Scan") < 5:  # a page of each segment, and the one after the page that is being given
        time.sleep(0.001)
    world.proxy.plan = [faults.Throttle()]
    take(scan, 5)
    while world.proxy.count("Scan") < 20:  # what is asked for now is refused again and again
        time.sleep(0.001)
    scan.close()
    assert end_soon()
    assert world.proxy.count("Scan") < 10_000  # a segment's next page alone would be asked for 100,000 times


@pytest.mark.parametrize("operation", ["Scan", "DescribeTable"])
def test_a_fallback_is_not_asked(world, table, operation):
    world.proxy.plan = [faults.Throttle(operations={operation})]
    table = world.table(
        fallback=rddb.fallback.response({"Items": [], "Table": {"TableName": "t"}}), retry=rddb.Retry(max_attempts=2)
    )
    with pytest.raises(ClientError):
        list(table.parallel_scan())


# The rate.


def test_pages_keep_to_the_rate(world):
    fill(world.direct, 200, text="x" * 4000)
    table = world.table()
    consumed = []
    events = table.meta.client.meta.events
    events.register("after-call.dynamodb.Scan", lambda parsed, **_: consumed.append(parsed["ConsumedCapacity"]))
    started = world.clock.monotonic()
    scan = table.parallel_scan(2, Limit=10, read_units_per_second=10)
    assert len(list(scan)) == 200
    used = sum(each["CapacityUnits"] for each in consumed)
    assert used >= 100
    assert (world.clock.monotonic() - started) * 10 >= used - 10 - 3 * max(each["CapacityUnits"] for each in consumed)


# States of others.


def test_another_tables_state_is_refused(world, table, dynamodb_local, make_table, hardened):
    with table.parallel_scan(3, Limit=5) as scan:
        take(scan, 20)
    other = hardened(dynamodb_local.endpoint_url).Table(make_table(dynamodb_local.endpoint_url))
    with pytest.raises(ValueError, match=f"resume must be a state of table '.*{other.name}'"):
        next(other.parallel_scan(resume=scan.state))


def test_the_state_of_a_table_that_was_made_anew_is_refused(dynamodb_local, make_table, hardened):
    name = make_table(dynamodb_local.endpoint_url)
    table = hardened(dynamodb_local.endpoint_url).Table(name)
    fill(table, 20)
    with table.parallel_scan(2, Limit=3) as scan:
        take(scan, 8)
    table.delete()
    time.sleep(1.1)  # DynamoDB Local knows a table by the second of its making
    make_table(dynamodb_local.endpoint_url, TableName=name)
    with pytest.raises(ValueError, match="made anew"):
        next(table.parallel_scan(resume=scan.state))


def test_a_state_may_be_kept_in_dynamodb(world, table):
    with table.parallel_scan(3, Limit=5) as scan:
        given = take(scan, 20)
    world.direct.put_item(Item={"pk": "checkpoint", "n": 1000, "state": scan.state})
    kept = table.get_item(Key={"pk": "checkpoint"})["Item"]["state"]
    given += table.parallel_scan(resume=kept)
    assert set(numbers(given)) - {1000} == set(range(COUNT))
