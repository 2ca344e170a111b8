"""What a batch writer sends, when, and what it makes of the answers."""

import contextlib
import gc
import math
import pickle
import sys
from decimal import Decimal
from random import Random

import pytest
from batch_support import Concurrent, FakeTable, Immediate, Writer, invalid, places_known
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from thread_support import on_a_thread_of_its_own

import resilient_ddb as rddb
from resilient_ddb.bulk.pacing import Pace, auto_rate
from resilient_ddb.bulk.queue import Queue
from resilient_ddb.bulk.requests import MAX_WIRE_BYTES
from resilient_ddb.calls.flows import run
from resilient_ddb.dynamodb.capacity import item_size, write_units
from resilient_ddb.errors import UnprocessedItemsError
from resilient_ddb.testing import FakeClock


def half(batch):
    return batch[: len(batch) // 2]


def put(**item):
    return {"PutRequest": {"Item": item}}


# Nothing lost, nothing twice, the last one wins.


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["put", "put", "delete"])), max_size=120),
    st.integers(1, 5),
    st.integers(1, 8),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_whatever_comes_back_in_whatever_order_the_last_request_for_a_key_wins(steps, workers, size, by_keys, seed):
    chance = Random(seed)
    table = FakeTable(refuse=lambda batch: [request for request in batch if chance.random() < 0.3])
    shell = Concurrent(table, chance.randrange) if workers > 1 else Immediate(table)
    expected = {}
    keys = ["pk"] if by_keys else None
    with Writer(table, shell, max_workers=workers, flush_amount=size, overwrite_by_pkeys=keys) as writer:
        for number, (key, verb) in enumerate(steps):
            if verb == "put":
                writer.put(pk=key, n=number)
                expected[(key,)] = {"pk": key, "n": number}
            else:
                writer.delete(pk=key)
                expected.pop((key,), None)
    assert table.items == expected
    assert writer.core.unprocessed == []
    assert places_known(writer) == {}  # nothing is remembered of what is written
    assert shell.most <= workers


@given(st.integers(0, 90), st.integers(1, 4), st.integers(0, 12), st.integers(0, 10**6))
def test_whatever_fails_each_request_is_written_or_left_over_in_order(count, workers, failing, seed):
    chance = Random(seed)
    table = FakeTable()
    write = table.batch_write_item

    def sometimes(**params):
        if len(table.batches) == failing:
            table.batches.append([])
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "BatchWriteItem")
        return write(**params)

    table.batch_write_item = sometimes
    table.refuse = lambda batch: [request for request in batch if chance.random() < 0.2]
    shell = Concurrent(table, chance.randrange) if workers > 1 else Immediate(table)
    writer = Writer(table, shell, max_workers=workers, overwrite_by_pkeys=["pk"])
    done = 0
    try:
        with writer:
            for number in range(count):
                done += 1
                writer.put(pk=number)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDeniedException"  # noqa: PT017 - it need not be raised
    left = [request["PutRequest"]["Item"]["pk"] for request in writer.core.unprocessed]
    assert left == sorted(left)
    assert sorted([*left, *(key for (key,) in table.items)]) == list(range(done))


def test_an_item_that_is_refused_stands_alone_and_its_neighbours_are_written():
    table = FakeTable()
    with pytest.raises(UnprocessedItemsError) as raised, Writer(table) as writer:  # noqa: PT012 - the block raises
        for number in range(100):
            writer.put(pk=number, bad=number in (3, 4, 60), b=f"secret-{number}")
    assert len(table.items) == 97
    assert [request["PutRequest"]["Item"]["pk"] for request in raised.value.requests] == [3, 4, 60]
    assert raised.value.response["Error"]["Code"] == "ValidationException"
    assert isinstance(raised.value.__cause__, ClientError)
    assert [refusal.key for refusal in writer.core.refused.latest] == [{"pk": 3}, {"pk": 4}, {"pk": 60}]
    size = item_size({"pk": 3, "bad": True, "b": "secret-3"})
    assert f"the item with key {{'pk': 3}}, of {size} bytes, was refused" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert writer.core.report.refused == 3
    assert table.descriptions == 1  # for the message; nothing else has need of it


def test_an_item_that_is_too_large_is_not_sent_and_is_named_with_its_size():
    table = FakeTable()
    told = r"key {'pk': 7}, of 512,005 bytes, was refused: .*exceeded the max"
    with pytest.raises(UnprocessedItemsError, match=told), Writer(table) as writer:  # noqa: PT012 - the block raises
        for number in range(30):
            writer.put(pk=number, **({"b": "x" * 512_000} if number == 7 else {}))
    assert len(table.items) == 29
    assert all(len(batch) < 26 for batch in table.batches)
    assert sum(map(len, table.batches)) == 29


def test_a_batch_is_cut_where_its_json_would_pass_16_mb():
    table = FakeTable()
    with Writer(table) as writer:
        for number in range(25):
            writer.put(pk=number, b="é" * 199_000)
    assert len(table.items) == 25
    assert len(table.batches) > 1
    for batch in table.batches:
        assert sum(6 * 199_000 for _ in batch) <= MAX_WIRE_BYTES


# Passes, attempts, requests.


@pytest.mark.parametrize("workers", [1, 4])
def test_a_server_that_refuses_half_of_every_batch_costs_about_twice_the_requests(workers):
    table = FakeTable(refuse=half)
    shell = Concurrent(table, lambda number: number - 1) if workers > 1 else None
    with Writer(table, shell, max_workers=workers) as writer:
        for number in range(2500):
            writer.put(pk=number)
    assert sorted(table.writes) == [(number,) for number in range(2500)]  # each once
    assert len(table.batches) <= 2.2 * 100
    report = writer.core.report
    assert report.written == 2500
    assert report.batches == len(table.batches)
    assert report.retried == sum(map(len, table.batches)) - 2500
    full = [len(batch) for batch in table.batches[: -5 * workers]]
    assert set(full) == {25}  # refilled, not sent half-empty


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("max_attempts", [1, 3, 10])
def test_a_server_that_takes_nothing_is_asked_max_attempts_times_and_all_is_handed_back(workers, max_attempts):
    table = FakeTable(refuse=lambda batch: batch)
    shell = Concurrent(table, lambda _: 0) if workers > 1 else None
    options = {"max_workers": workers, "max_attempts": max_attempts}
    taken = 0
    writer = Writer(table, shell, **options)
    with pytest.raises(UnprocessedItemsError, match=r"pass(es)? made no progress") as raised, writer:  # noqa: PT012 - the block raises
        for number in range(1000):
            taken += 1
            writer.put(pk=number)
    assert raised.value.requests == [put(pk=number) for number in range(taken)] == writer.core.unprocessed
    sent = [batch[0]["PutRequest"]["Item"]["pk"] for batch in table.batches]
    assert max(map(sent.count, sent)) <= max_attempts
    assert len(table.batches) <= max_attempts + workers - 1
    assert len(table.clock.waits) == max_attempts - 1  # no pass without a pause before it
    assert writer.core.report.written == 0


def test_an_attempt_is_spent_on_a_pass_without_progress_only():
    taken = iter([0, 0, 1, 0, 0, 1] * 50)

    def refuse(batch):
        return batch[next(taken) :]

    table = FakeTable(refuse=refuse)
    with Writer(table, max_attempts=3) as writer:
        for number in range(25):
            writer.put(pk=number)
    assert len(table.items) == 25


def test_what_comes_back_goes_first_and_in_its_old_order():
    table = FakeTable(refuse=lambda batch: [batch[3], batch[1]] if len(table.batches) == 1 else [])
    with Writer(table) as writer:
        for number in range(30):
            writer.put(pk=number)
    assert [request["PutRequest"]["Item"]["pk"] for request in table.batches[1]] == [1, 3, 25, 26, 27, 28, 29]


def test_what_was_taken_apart_and_comes_back_makes_room_for_newer_requests():
    """As many wait then as waited when the last one was put, but others."""
    queue = Queue(2, ["pk"])
    batches = []
    for keys in ("ab", "cd"):
        for key in keys:
            queue.add(put(pk=key, n=0))
        batches.append(queue.cut())
    refused, written = batches
    queue.take_apart(refused)
    queue.done(written.requests)
    for batch in batches:
        queue.end(batch)
    queue.join()
    queue.add(put(pk="a", n=1))
    assert queue.buffer == [put(pk="b", n=0), put(pk="a", n=1)]


def test_throttled_calls_count_by_their_attempts():
    table = FakeTable()
    throttled = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "BatchWriteItem")
    throttled.resilience = rddb.CallFacts(
        table="t", operation="BatchWriteItem", kind=rddb.ErrorKind.THROTTLING, attempts=4, elapsed=1.0, ambiguous=False
    )
    calls = []

    def refuse(**params):
        calls.append(params)
        raise throttled

    table.batch_write_item = refuse
    with pytest.raises(UnprocessedItemsError, match="slow down") as raised, Writer(table, max_attempts=10) as writer:
        writer.put(pk=1)
    assert len(calls) == 3  # of 4 requests each
    assert raised.value.requests == [put(pk=1)]
    assert raised.value.response["Error"]["Code"] == "ThrottlingException"
    assert raised.value.resilience is throttled.resilience


# Leaving.


def test_leaving_by_an_exception_sends_nothing_more_and_passes_it_on():
    table = FakeTable()
    error = KeyError("mine")
    with pytest.raises(KeyError) as raised, Writer(table) as writer:  # noqa: PT012 - the block raises
        for number in range(30):
            writer.put(pk=number)
        raise error
    assert raised.value is error
    assert not hasattr(error, "__notes__")
    assert len(table.batches) == 1
    assert writer.core.unprocessed == [put(pk=number) for number in range(25, 30)]
    with writer:  # and what is left can still be written
        pass
    assert len(table.items) == 30


def test_what_is_left_is_written_after_an_exception_if_so_wished():
    table = FakeTable()
    with pytest.raises(KeyError), Writer(table, flush_on_error=True) as writer:  # noqa: PT012 - the block raises
        writer.put(pk=1)
        raise KeyError("mine")
    assert table.items == {(1,): {"pk": 1}}
    table.refuse = lambda batch: batch
    with pytest.raises(KeyError) as raised, Writer(table, flush_on_error=True) as writer:  # noqa: PT012 - as above
        writer.put(pk=2)
        raise KeyError("mine")
    assert "1 request for table 't' is not surely written" in raised.value.__notes__[0]
    assert writer.core.unprocessed == [put(pk=2)]


def test_a_failure_as_the_block_ends_is_of_both_classes():
    table = FakeTable()

    class ResourceNotFoundException(ClientError):  # noqa: N818 - the service's name
        pass

    response = {"Error": {"Code": "ResourceNotFoundException", "Message": "no such table"}}
    failure = ResourceNotFoundException(response, "BatchWriteItem")

    def fail(**_):
        raise failure

    table.batch_write_item = fail
    with pytest.raises(ResourceNotFoundException, match="no such table") as raised, Writer(table) as writer:
        writer.put(pk=1)
    assert isinstance(raised.value, UnprocessedItemsError)
    assert raised.value.requests == [put(pk=1)]
    assert raised.value.response == response
    assert raised.value.__cause__ is failure
    restored = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - made here
    assert type(restored) is UnprocessedItemsError
    assert (str(restored), restored.requests) == (str(raised.value), raised.value.requests)


@pytest.mark.parametrize(
    "cause",
    [
        UnicodeDecodeError("utf-8", b"", 0, 1, "bad"),
        TypeError("bad"),
        OSError(1, "bad"),
        ConnectionResetError(104, "bad"),
        rddb.DeadlineExceededError(operation_name="BatchWriteItem", attempts=0),
    ],
)
def test_a_cause_of_whatever_class_is_told(cause):
    error = UnprocessedItemsError(operation_name="BatchWriteItem", table="t", requests=[1], why="so").because_of(cause)
    assert isinstance(error, UnprocessedItemsError)
    assert isinstance(error, type(cause)) or isinstance(cause, UnicodeError)
    assert error.__cause__ is cause
    assert str(error) == f"{cause}; 1 request for table 't' is not surely written: so"
    assert (
        error.response["Error"]["Code"]
        == getattr(cause, "response", {"Error": {"Code": "UnprocessedItems"}})["Error"]["Code"]
    )
    assert getattr(error, "errno", None) == getattr(cause, "errno", None)


def test_what_is_unprocessed_goes_to_the_callers_function():
    table, given = FakeTable(), []
    with Writer(table, on_unprocessed=given.extend) as writer:
        for number in range(60):
            writer.put(pk=number, bad=number == 5)
        assert given == [put(pk=5, bad=True)]  # at once
        table.refuse = lambda batch: batch
    assert given[1:] == [put(pk=number, bad=False) for number in range(50, 60)]
    assert writer.core.unprocessed == []
    assert places_known(writer) == {}
    assert len(table.items) == 49


def test_what_is_unprocessed_is_kept_where_the_callers_function_fails():
    def fail(_):
        raise KeyError("mine")

    table = FakeTable(refuse=lambda batch: batch)
    with pytest.raises(KeyError, match="mine"), Writer(table, on_unprocessed=fail) as writer:
        writer.put(pk=1)
    assert writer.core.unprocessed == [put(pk=1)]


def test_a_deadline_hands_everything_back():
    clock = FakeClock(start=0.0)
    table = FakeTable(clock)
    with rddb.deadline(10, clock=clock):
        writer = Writer(table, write_units_per_second=5)
        with pytest.raises(UnprocessedItemsError, match="deadline comes before the next units") as raised, writer:  # noqa: PT012 - the block raises
            for number in range(500):
                writer.put(pk=number)
    assert isinstance(raised.value, rddb.DeadlineExceededError)
    written = len(table.items)
    assert 25 <= written <= 55
    assert (
        raised.value.requests == [put(pk=number) for number in range(written, written + 25)] == writer.core.unprocessed
    )
    assert sum(clock.waits) <= 10
    error, batches = raised.value, len(table.batches)
    assert error.resilience.attempts == batches > 1
    why = "the deadline comes before the next units of write capacity"
    assert str(error) == f"{batches} batches had been sent; 25 requests for table 't' are not surely written: {why}"
    assert str(error.__cause__).endswith(f": {why}: {batches} batches had been sent")


def test_a_deadline_before_the_next_pass_tells_what_was_sent():
    clock = FakeClock(start=0.0)
    table = FakeTable(clock, refuse=lambda batch: batch)
    writer = Writer(table, max_attempts=1_000)
    with rddb.deadline(3, clock=clock), pytest.raises(UnprocessedItemsError) as raised, writer:
        writer.put(pk=1)
    error, batches = raised.value, len(table.batches)
    assert isinstance(error, rddb.DeadlineExceededError)
    assert error.resilience.attempts == batches > 1
    assert str(error).startswith(f"{batches} batches had been sent; 1 request for table 't' is not surely written: ")


def test_a_deadline_that_has_come_before_the_first_batch_says_that_nothing_was_sent():
    clock = FakeClock(start=0.0)
    limiter = rddb.RateLimiter(1, burst=1, clock=clock)
    limiter.reserve(100)
    writer = Writer(FakeTable(clock), write_units_per_second=limiter)
    with rddb.deadline(3, clock=clock), pytest.raises(UnprocessedItemsError) as raised, writer:
        writer.put(pk=1)
    assert str(raised.value).startswith("nothing was sent; 1 request for table 't' is not surely written: ")
    assert raised.value.resilience.attempts == 0


def test_a_batch_that_the_circuit_refuses_does_not_count_as_sent():
    refused = rddb.CircuitOpenError(
        operation_name="BatchWriteItem", circuit="t/write", state="open", reason="5 of 9", retry_after=1.5
    )
    table = FakeTable()
    write, failing = table.batch_write_item, [refused]
    table.batch_write_item = lambda **params: fail_with(failing.pop()) if failing else write(**params)
    writer = Writer(table, flush_amount=1)
    with pytest.raises(rddb.CircuitOpenError):
        writer.put(pk=1)
    writer.put(pk=2)
    assert writer.core.deadline_error("so").resilience.attempts == len(table.batches) == 2


def fail_with(error):
    raise error


# The rate.


def consumed_by(table, moment):
    return sum(units for at, units in table.consumed if at <= moment)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("ratio", [1, 2])
def test_the_rate_is_held(ratio, workers):
    """500 units a second for a minute, items of 0.1 to 20 KB."""
    clock = FakeClock(start=0.0)
    table = FakeTable(clock, ratio=ratio)
    chance = Random(7)
    text = "x" * 20_480
    shell = Concurrent(table, lambda number: number - 1) if workers > 1 else None
    number = 0
    with Writer(table, shell, write_units_per_second=500, max_workers=workers, overwrite_by_pkeys=["pk"]) as writer:
        while clock.monotonic() < 60:
            writer.put(pk=number, b=text[: chance.randint(100, 20_400)])
            number += 1
    assert all(asked == {"ReturnConsumedCapacity": "INDEXES"} for asked in table.asked)
    for moment, _ in table.consumed:
        assert consumed_by(table, moment) <= 500 * moment + 500 + 1e-6
    assert consumed_by(table, 60) == pytest.approx(500 * 60, rel=0.02)
    assert writer.core.report.consumed_units == sum(units for _, units in table.consumed)


def test_writers_share_a_limiter():
    clock = FakeClock(start=0.0)
    table = FakeTable(clock)
    limiter = rddb.RateLimiter(100, burst=25, clock=clock)
    writers = [Writer(table, write_units_per_second=limiter) for _ in range(4)]
    for number in range(2000):
        writers[number % 4].put(pk=number)
    assert clock.monotonic() == pytest.approx(20, rel=0.03)


def test_what_is_not_consumed_goes_back():
    clock = FakeClock(start=0.0)
    limiter = rddb.RateLimiter(1, burst=100, clock=clock)
    table = FakeTable(clock, refuse=lambda batch: batch)
    with pytest.raises(UnprocessedItemsError), Writer(table, write_units_per_second=limiter, max_attempts=2) as writer:  # noqa: PT012 - the block raises
        for number in range(20):
            writer.put(pk=number)
    assert limiter.reserve(100) <= sum(clock.waits)


def test_what_indexes_cost_is_learnt_from_the_first_answer():
    clock = FakeClock(start=0.0)
    pace = Pace(100.0, clock)
    assert pace.reserve(10) == (10, 0)
    pace.settle(10, 10, 30.0)
    assert pace.reserve(10)[0] == 30
    pace.settle(30, 10, 20.0)
    assert 20 < pace.reserve(10)[0] < 30
    assert pace.consumed == 50


class Understating(FakeTable):
    """Says that a batch has taken one unit, as moto does."""

    def batch_write_item(self, RequestItems, **asked):
        response = super().batch_write_item(RequestItems, **asked)
        response["ConsumedCapacity"] = [{"TableName": "t", "CapacityUnits": 1.0}]
        return response


@pytest.mark.parametrize("workers", [1, 4])
def test_the_rate_is_held_by_items_where_less_is_said_to_be_consumed(workers):
    clock = FakeClock(start=0.0)
    table = Understating(clock, refuse=lambda batch: batch[20:])
    shell = Concurrent(table, lambda number: number - 1) if workers > 1 else None
    with Writer(table, shell, write_units_per_second=100, max_workers=workers, overwrite_by_pkeys=["pk"]) as writer:
        for number in range(600):
            writer.put(pk=number) if number % 2 else writer.delete(pk=number)
    for moment, _ in table.consumed:
        assert consumed_by(table, moment) <= 100 * moment + 100 + 1e-6
    assert writer.core.report.consumed_units == 600


def test_throttling_makes_it_slower_and_calm_faster_again_up_to_the_rate():
    clock = FakeClock(start=0.0)
    pace = Pace(100.0, clock)
    rates = []
    for _ in range(5):
        pace.met_limit()
        pace.met_limit()  # at most once a second
        rates.append(pace.current_rate)
        clock.advance(1)
    assert rates == pytest.approx([100 * 0.7**n for n in range(1, 6)])
    pace.met_none()
    assert pace.current_rate == pytest.approx(rates[-1] + 5)
    for _ in range(100):
        clock.advance(1)
        pace.met_none()
    assert pace.current_rate == 100
    assert pace.reserve(100) == (100, 0)
    assert pace.reserve(100) == (100, 1.0)


@pytest.mark.parametrize("capacity", [50, 200, 400])
def test_it_finds_out_what_a_slower_table_takes_and_offers_little_more(capacity):
    clock = FakeClock(start=0.0)
    pace, table = Pace(500, clock), rddb.RateLimiter(capacity, clock=clock)
    sent = taken = 0
    while clock.monotonic() < 60:
        reserved, wait = pace.reserve(25)
        clock.wait(wait + 0.005)
        room = 25 - math.ceil(table.reserve(25) * capacity)
        done = max(0, room)
        table.charge(done - 25)
        sent, taken = sent + 25, taken + done
        pace.settle(reserved, done, float(done))
        if done < 25:
            pace.met_limit()
        else:
            pace.met_none()
    assert taken >= 0.95 * 60 * capacity
    assert sent <= 1.5 * taken


@given(st.lists(st.tuples(st.sampled_from(["limit", "none", "batch"]), st.floats(0, 5)), max_size=80))
def test_it_is_never_faster_than_stated(steps):
    clock = FakeClock(start=0.0)
    pace = Pace(50.0, clock)
    used = 0.0
    for what, seconds in steps:
        clock.advance(seconds)
        if what == "limit":
            pace.met_limit()
        elif what == "none":
            pace.met_none()
        else:
            reserved, wait = pace.reserve(25)
            clock.advance(wait)
            pace.settle(reserved, 25, 25.0)
            used += 25
            assert used <= 50 * clock.monotonic() + 50 + 1e-6
        assert 1 <= pace.current_rate <= 50


def test_a_limiter_without_a_rate_to_show_is_slowed_down_from_what_went_through():
    class Free:
        def reserve(self, _):
            return 0.0

        def charge(self, _):
            pass

    clock = FakeClock(start=0.0)
    pace = Pace(Free(), clock)
    clock.advance(10)
    pace.settle(0, 200, 200.0)
    pace.met_limit()
    assert pace.current_rate == pytest.approx(14)


# What the table says.


@pytest.mark.parametrize(
    ("table", "rate"),
    [
        ({"ProvisionedThroughput": {"WriteCapacityUnits": 100}}, 50),
        (
            {
                "BillingModeSummary": {"BillingMode": "PROVISIONED"},
                "ProvisionedThroughput": {"WriteCapacityUnits": 100},
                "GlobalSecondaryIndexes": [{"ProvisionedThroughput": {"WriteCapacityUnits": 20}}],
            },
            60,
        ),
        ({"ProvisionedThroughput": {"WriteCapacityUnits": 1}}, 1),
        ({"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}}, 4000),
        (
            {
                "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
                "WarmThroughput": {"WriteUnitsPerSecond": 12_000, "Status": "ACTIVE"},
                "ProvisionedThroughput": {"WriteCapacityUnits": 0},
            },
            12_000,
        ),
        (
            {
                "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
                "WarmThroughput": {"WriteUnitsPerSecond": 12_000, "Status": "ACTIVE"},
                "OnDemandThroughput": {"MaxReadRequestUnits": 50, "MaxWriteRequestUnits": 100},
                "GlobalSecondaryIndexes": [
                    {"OnDemandThroughput": {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -1}},
                    {
                        "WarmThroughput": {"WriteUnitsPerSecond": 30},
                        "OnDemandThroughput": {"MaxWriteRequestUnits": 40},
                    },
                ],
            },
            100 + 4000 + 30,
        ),
    ],
)
def test_auto_is_what_the_table_has(table, rate):
    assert auto_rate(table) == rate


def test_auto_is_looked_up_again_every_five_minutes_and_goes_on_where_that_fails(caplog):
    clock = FakeClock(start=0.0)
    table = FakeTable(clock)
    table.described = {
        "ProvisionedThroughput": {"WriteCapacityUnits": 100},
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    }
    writer = Writer(table, write_units_per_second="auto")
    with writer:
        for number in range(50 * 299):
            writer.put(pk=number)
        assert table.descriptions == 1
        assert clock.monotonic() == pytest.approx(298, abs=2)
        table.described = {**table.described, "ProvisionedThroughput": {"WriteCapacityUnits": 1000}}
        for number in range(5000):
            writer.put(pk=-number)
        assert table.descriptions == 2
        assert clock.monotonic() < 320
        assert not caplog.messages
        table.described = None
        clock.advance(400)
        for number in range(100):
            writer.put(pk=-number)
        assert table.descriptions == 3
    [message] = caplog.messages
    assert message.startswith("write_units_per_second='auto': ")
    assert message.endswith("; the rate that was read last goes on holding")


def test_auto_fails_where_the_table_can_not_be_described():
    table = FakeTable()
    table.described = None
    with pytest.raises(UnprocessedItemsError) as raised, Writer(table, write_units_per_second="auto") as writer:
        writer.put(pk=1)
    assert raised.value.requests == [put(pk=1)]
    assert table.batches == []


def test_plain_use_asks_nothing_that_boto3_does_not():
    table = FakeTable()
    with Writer(table) as writer:
        for number in range(100):
            writer.put(pk=number)
    assert table.asked == [{}] * 4
    assert table.descriptions == 0
    report = writer.core.report
    assert (report.written, report.batches, report.retried, report.throttled_batches, report.refused) == (
        100,
        4,
        0,
        0,
        0,
    )
    assert report.consumed_units == 100  # by size
    assert report.average_rate == 0.0  # no time has passed


def test_the_key_is_looked_up_once_a_writer_for_several_workers():
    table = FakeTable()
    for asked in (1, 2):  # the table may have been made anew, with another key
        with Writer(table, Concurrent(table, lambda _: 0), max_workers=3) as writer:
            for number in range(100):
                writer.put(pk=number % 10)
        assert table.descriptions == asked
    assert len(table.items) == 10


def test_where_the_key_can_not_be_looked_up_the_error_says_what_to_give():
    table = FakeTable()
    table.described = None
    with pytest.raises(TypeError) as raised, Writer(table, Concurrent(table, lambda _: 0), max_workers=2) as writer:  # noqa: PT012 - the block raises
        for number in range(25):
            writer.put(pk=number)
    assert "give overwrite_by_pkeys" in raised.value.__notes__[0]
    assert len(writer.core.unprocessed) == 25


# Arguments.


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"flush_amount": 0}, ValueError, "flush_amount must be 1 or more; got 0"),
        ({"overwrite_by_pkeys": "pk"}, TypeError, r"overwrite_by_pkeys must be a list .* got 'pk'"),
        ({"write_units_per_second": 0}, ValueError, "write_units_per_second must be a number greater than 0; got 0"),
        ({"write_units_per_second": "fast"}, ValueError, "write_units_per_second must be .* 'auto', .*; got 'fast'"),
        ({"write_units_per_second": object()}, TypeError, "write_units_per_second must be .* a limiter such as"),
        ({"max_workers": 0}, ValueError, "max_workers must be 1 or more; got 0"),
        ({"max_attempts": 1.5}, TypeError, "max_attempts must be a whole number, 1 or more; got 1.5"),
        ({"on_unprocessed": "ignore"}, TypeError, "on_unprocessed must be callable, .* or be 'raise'; got 'ignore'"),
        ({"pause_on_exit": -1}, ValueError, "on_exit_loop_sleep must be a number of 0 or more; got -1"),
    ],
)
def test_what_can_not_be_meant_is_refused_at_the_door(settings, error, match):
    with pytest.raises(error, match=match):
        Writer(FakeTable(), **settings)


def test_a_request_without_its_key_is_an_error_as_on_boto3():
    with pytest.raises(KeyError, match="pk"):
        Writer(FakeTable(), overwrite_by_pkeys=["pk"]).put(other=1)


def test_values_that_come_back_in_other_types_are_recognised():
    table = FakeTable(refuse=lambda batch: batch[:1] if len(table.batches) == 1 else [])
    write = table.batch_write_item

    def as_decimals(**params):
        response = write(**params)
        for requests in response["UnprocessedItems"].values():
            requests[:] = [put(pk=Decimal(request["PutRequest"]["Item"]["pk"])) for request in requests]
        return response

    table.batch_write_item = as_decimals
    with Writer(table) as writer:
        writer.put(pk=1)
        writer.put(pk=2)
    assert type(table.batches[1][0]["PutRequest"]["Item"]["pk"]) is int


@pytest.mark.parametrize("keys", [None, ["pk"]])
@pytest.mark.parametrize("rate", [None, 1000])
def test_what_comes_back_in_types_that_are_not_equal_is_not_taken_for_written(keys, rate):
    table = FakeTable(refuse=lambda batch: batch[:6] if len(table.batches) == 1 else [])
    write = table.batch_write_item

    def as_lists(**params):
        response = write(**params)
        for requests in response.get("UnprocessedItems", {}).values():
            requests[:] = [put(pk=request["PutRequest"]["Item"]["pk"], v=[1, 2]) for request in requests]
        return response

    table.batch_write_item = as_lists
    with Writer(table, overwrite_by_pkeys=keys, write_units_per_second=rate) as writer:
        for number in range(10):
            writer.put(pk=number, v=(1, 2))
    assert writer.core.report.consumed_units == writer.core.report.written == 10
    again = table.batches[1][0]["PutRequest"]["Item"]["v"]
    assert again == (1, 2)  # as it was given


def test_units_are_those_of_the_items():
    table = FakeTable()
    with Writer(table, write_units_per_second=1000) as writer:
        writer.put(pk=1, b="x" * 3000)
        writer.delete(pk=2)
    assert writer.core.report.consumed_units == write_units(3005) + 1


def test_a_flow_without_answers_puts_everything_back():
    table = FakeTable()
    shell = Concurrent(table, lambda _: 0)
    writer = Writer(table, shell, max_workers=2, overwrite_by_pkeys=["pk"])
    for number in range(25):
        writer.put(pk=number)
    shell.collect = list
    writer.core.is_stopped = True
    run(writer.core.leave_flow(shell, invalid("mine")))
    assert len(writer.core.unprocessed) == 25 == len(writer.core.queue.buffer)


class Interrupt:
    """Raises KeyboardInterrupt at the nth line that is run in the batch writer's modules."""

    MODULES = ("bulk/batching.py", "bulk/queue.py", "bulk/refusals.py", "calls/flows.py")

    def __init__(self, at):
        self.left = at

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.endswith(self.MODULES):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


@pytest.fixture
def no_garbage_collection():
    """Let flows that were interrupted before end when nobody refers to them, not in the middle of another."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.long)])
@on_a_thread_of_its_own
def test_ctrl_c_between_any_two_lines_loses_nothing(workers, stride):
    """Whatever put_item has taken is written or left over, wherever the interrupt comes."""
    interrupted, at = 0, 0
    while interrupted * stride == at:
        at += stride
        chance = Random(at)
        table = FakeTable(refuse=lambda batch, chance=chance: [request for request in batch if chance.random() < 0.3])
        shell = Concurrent(table, chance.randrange) if workers > 1 else Immediate(table)
        writer = Writer(
            table, shell, max_workers=workers, flush_amount=4, overwrite_by_pkeys=["pk"] if at % 2 else None
        )
        taken, trace = [], sys.gettrace()
        try:
            with writer:
                sys.settrace(Interrupt(at))
                try:
                    for number in range(14):
                        big = {"b": "x" * 500_000} if number == 9 else {}
                        writer.put(pk=number, bad=number in (2, 12), **big)
                        taken.append(number)
                finally:
                    sys.settrace(trace)
        except KeyboardInterrupt:
            interrupted += 1
        except UnprocessedItemsError:
            pass
        left = [request["PutRequest"]["Item"]["pk"] for request in writer.core.unprocessed]
        assert set(taken) <= {*left, *(key for (key,) in table.items)}, f"line {at}"
        assert len(left) == len(set(left))
        with contextlib.suppress(UnprocessedItemsError), writer:  # and it can go on
            pass
        assert set(taken) - {2, 9, 12} <= {key for (key,) in table.items}, f"line {at}"
    assert at > 500
