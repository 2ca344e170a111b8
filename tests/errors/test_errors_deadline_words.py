"""What an error says, on both rims, of a deadline that comes before what is next: it has not passed yet."""

import asyncio
import random
import threading

import pytest
from both_rims import SYNC_AND_ASYNC
from operator_support import KEY, Server

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture(params=SYNC_AND_ASYNC)
def side(request, server):
    made = server.side(request.param, rddb.Policy(clock=FakeClock(), random=random.Random(1)))
    yield made
    made.close()


def write(side, number, **options):
    clock = side.table_clock

    async def written():
        with rddb.deadline(1.5, clock=clock):
            async with side.table.batch_writer(**options) as batch:
                for each in range(number):
                    await batch.put_item(Item={"pk": str(each)})

    if side.rim == "async":
        asyncio.run(written())
        return
    with rddb.deadline(1.5, clock=clock), side.table.batch_writer(**options) as batch:
        for each in range(number):
            batch.put_item(Item={"pk": str(each)})


def write_large(side):
    items = [{"pk": "large", "text": "x" * 500_000}, {"pk": "small"}]

    async def written():
        async with side.table.batch_writer(overwrite_by_pkeys=["pk"]) as batch:
            for item in items:
                await batch.put_item(Item=item)

    if side.rim == "async":
        asyncio.run(written())
        return
    with side.table.batch_writer(overwrite_by_pkeys=["pk"]) as batch:
        for item in items:
            batch.put_item(Item=item)


def note_of(error):
    [note] = error.__notes__
    return note


def read(side, **options):
    async def first():
        with rddb.deadline(1.5, clock=side.table_clock):
            async for _ in side.table.get_items([KEY], **options):
                pass

    if side.rim == "async":
        asyncio.run(first())
        return
    with rddb.deadline(1.5, clock=side.table_clock):
        list(side.table.get_items([KEY], **options))


def make(side, begin):
    """Make what `begin` makes of the table, within the deadline: a call, or what is iterated over."""

    async def made():
        with rddb.deadline(1.5, clock=side.table_clock):
            begun = begin(side.table)
            if not hasattr(begun, "__aiter__"):
                await begun
                return
            async for _ in begun:
                pass

    if side.rim == "async":
        asyncio.run(made())
        return
    with rddb.deadline(1.5, clock=side.table_clock):
        list(begin(side.table))


@pytest.fixture(autouse=True)
def clock(side):
    side.table_clock = rddb.status(side.table).policy.clock


THROTTLED = (400, {"__type": "x#ThrottlingException", "message": "slow"})
PUT = {"Put": {"TableName": "t", "Item": {"pk": {"S": "a"}}}}
BEGIN = {
    "a call": lambda table: table.get_item(Key=KEY),
    "a write": lambda table: table.put_item(Item=KEY),
    "a page": lambda table: table.query_items(KeyConditionExpression="pk = :a", ExpressionAttributeValues={":a": "a"}),
    "a scan": lambda table: table.scan_items(),
    "a parallel scan": lambda table: table.parallel_scan(1),
    "keys": lambda table: table.get_items([KEY]),
    "several keys": lambda table: table.query_many_items(["a"]),
    "a transaction": lambda table: table.meta.client.transact_write_items(TransactItems=[PUT]),
    "a modification": lambda table: table.versioned().modify(Key=KEY, change=lambda item: {**KEY, "n": 1}),
    "a shard": lambda table: table.sharded(2, by="n").get_item(Key={**KEY, "n": 1}),
    "the TTL": lambda table: table.meta.client.describe_time_to_live(TableName="t"),
}


@pytest.fixture
def steady(side):
    """A policy whose pauses last 1 s each."""
    policy = rddb.status(side.table).policy
    rddb.set_policy(side.table, policy.replace(retry=rddb.Retry(wait=lambda state: 1.0)))


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize("what", BEGIN)
def test_whatever_is_tried_again(side, server, what):
    server.answer = lambda operation, params: THROTTLED
    with pytest.raises(rddb.DeadlineExceededError) as raised:
        make(side, BEGIN[what])
    error = raised.value
    assert "the deadline comes before the next attempt: 2 attempts had been made; the last attempt failed: " in str(
        error
    )
    assert "passed" not in f"{error} {error.__cause__} {error.__notes__}"
    [note] = [note for note in error.__notes__ if "the deadline comes first" in note]
    assert "DynamoDB throttled the request; 2 attempts in 1." in note


@pytest.mark.usefixtures("steady")
def test_a_modification_that_others_overtake(side, server):
    failed = (
        400,
        {
            "__type": "x#ConditionalCheckFailedException",
            "message": "no",
            "Item": {"pk": {"S": "a"}, "version": {"N": "7"}},
        },
    )
    cancelled = {
        "__type": "x#TransactionCanceledException",
        "message": "no",
        "CancellationReasons": [{"Code": "ConditionalCheckFailed", "Item": failed[1]["Item"]}],
    }
    answers = {"GetItem": {}, "TransactWriteItems": (400, cancelled)}
    server.answer = lambda operation, params: answers.get(operation, failed)
    with pytest.raises(rddb.DeadlineExceededError) as raised:
        make(side, BEGIN["a modification"])
    assert str(raised.value).startswith("the deadline comes before the next attempt: 2 attempts had been made; ")


def test_a_writer_before_its_next_units(side, server):
    server.answer = lambda operation, params: {"UnprocessedItems": {}}
    with pytest.raises(rddb.UnprocessedItemsError) as raised:
        write(side, 300, write_units_per_second=20)
    error, sent = raised.value, server.count()
    assert isinstance(error, rddb.DeadlineExceededError)
    assert error.resilience.attempts == sent > 0
    assert f"{sent} batch{'es' if sent > 1 else ''} had been sent; 25 requests for table 't'" in str(error)
    assert "passed" not in f"{error} {error.__cause__}"
    assert note_of(error).startswith(f"BatchWriteItem on t: a failure that may pass; {sent} attempt")
    assert note_of(error).endswith(" s, no more: the deadline comes first")


def test_a_writer_before_its_next_pass(side, server):
    server.answer = lambda operation, params: {"UnprocessedItems": params["RequestItems"]}
    with pytest.raises(rddb.UnprocessedItemsError, match="the deadline comes before the next pass") as raised:
        write(side, 25, max_attempts=1_000)
    assert raised.value.resilience.attempts == server.count() > 1
    assert str(raised.value).startswith(f"{server.count()} batches had been sent; 25 requests")
    note, elapsed = note_of(raised.value), raised.value.resilience.elapsed
    assert 0 < elapsed < 1.5
    assert note.endswith(f"; {server.count()} attempts in {elapsed:.3f} s, no more: the deadline comes first")


def test_a_writer_that_is_throttled_before_its_next_pass(side, server):
    server.answer = lambda operation, params: THROTTLED
    retry = rddb.Retry(max_attempts=2, wait=lambda state: 0.4)
    rddb.set_policy(side.table, rddb.Policy(clock=side.table_clock, retry=retry))
    with pytest.raises(rddb.UnprocessedItemsError) as raised:
        write(side, 1, max_attempts=1_000)
    error = raised.value
    assert isinstance(error, rddb.DeadlineExceededError)
    assert "batches had been sent; the last one failed: An error occurred (ThrottlingException)" in str(error)
    assert str(error).endswith("1 request for table 't' is not surely written: the deadline comes before the next pass")
    assert note_of(error).startswith("BatchWriteItem on t: DynamoDB throttled the request; ")
    assert note_of(error).endswith(" s, no more: the deadline comes first")
    assert (error.response["Error"]["Code"], error.resilience.stopped_by) == ("ThrottlingException", "deadline")
    assert type(error.__cause__) is rddb.DeadlineExceededError
    assert error.__cause__.__cause__.response["Error"]["Code"] == "ThrottlingException"


def test_a_writer_and_a_reader_whose_passes_are_used_up(side, server):
    server.answer = lambda operation, params: (
        {"UnprocessedItems": params["RequestItems"]}
        if operation == "BatchWriteItem"
        else {"Responses": {}, "UnprocessedKeys": params["RequestItems"]}
    )
    rddb.set_policy(
        side.table, rddb.Policy(clock=side.table_clock, retry=rddb.Retry(max_attempts=3, wait=lambda state: 0.25))
    )
    with pytest.raises(rddb.UnprocessedItemsError) as raised:
        write(side, 1)
    assert note_of(raised.value) == "BatchWriteItem on t: DynamoDB throttled the request; 3 attempts in 0.500 s"
    assert raised.value.resilience.stopped_by == "max_attempts"
    with pytest.raises(rddb.UnprocessedKeysError) as raised:
        read(side)
    told = (
        "BatchGetItem on t: DynamoDB throttled the request; 3 attempts in 0.500 s, no more: the policy allows so many"
    )
    assert note_of(raised.value) == told
    assert raised.value.resilience.stopped_by == "max_attempts"


def test_a_reader_of_keys_before_its_next_pass(side, server):
    server.answer = lambda operation, params: {"Responses": {}, "UnprocessedKeys": params["RequestItems"]}
    rddb.set_policy(side.table, rddb.Policy(clock=side.table_clock, retry=rddb.Retry(wait=lambda state: 1.0)))
    with pytest.raises(rddb.UnprocessedKeysError, match="the deadline comes before the next pass") as raised:
        read(side)
    told = "BatchGetItem on t: DynamoDB throttled the request; 2 attempts in 1.000 s, no more: the deadline comes first"
    assert note_of(raised.value) == told


def test_a_reader_of_keys_before_its_first_unit(side, server):
    clock = side.table_clock
    limiter = rddb.RateLimiter(1, burst=1, clock=clock)
    limiter.reserve(100)
    with pytest.raises(rddb.UnprocessedKeysError, match="nothing was sent for them; 1 key") as raised:
        read(side, read_units_per_second=limiter)
    assert "passed" not in str(raised.value)
    assert (raised.value.resilience.attempts, server.count()) == (0, 0)
    assert note_of(raised.value) == "BatchGetItem: a failure that may pass; nothing was sent: the deadline comes first"


def test_a_limiter_that_is_asked_by_itself(side):
    limiter = rddb.RateLimiter(1, burst=1, clock=side.table_clock)
    limiter.reserve(100)

    with pytest.raises(rddb.DeadlineExceededError, match="the deadline comes before the next units") as raised:
        make(side, lambda table: limiter.acquire(1) if side.rim == "sync" else limiter.acquire_async(1))
    assert note_of(raised.value).endswith(": a failure that may pass; nothing was sent: the deadline comes first")


def test_an_item_that_is_too_large(side, server):
    server.answer = lambda operation, params: {"UnprocessedItems": {}}
    with pytest.raises(rddb.UnprocessedItemsError) as raised:
        write_large(side)
    assert note_of(raised.value) == "BatchWriteItem on t: what was refused was not sent, and will be refused again"
    facts = raised.value.resilience
    assert (facts.kind, facts.stopped_by, facts.attempts) == ("permanent", "not_retryable", 1)
    assert [list(each["RequestItems"].values()) for each in server.stub.named("BatchWriteItem")] == [
        [[{"PutRequest": {"Item": {"pk": {"S": "small"}}}}]]
    ]


def test_an_attempt_that_the_deadline_ends_is_not_one_that_failed(side, server):
    may_answer = threading.Event()

    def late(operation, params):
        may_answer.wait(30)
        return {}

    server.answer = late
    try:
        with rddb.deadline(0.2), pytest.raises(rddb.DeadlineExceededError) as raised:
            side.call("get_item", Key=KEY)
    finally:
        may_answer.set()
    assert str(raised.value).endswith("the deadline passed: 1 attempt had been made")
