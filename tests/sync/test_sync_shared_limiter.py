"""One rate for many workers, against DynamoDB Local: joining, leaving, outages, threads, tasks."""

import asyncio
import os
import pickle
import threading
import time

import boto3
import pytest
from botocore.exceptions import ClientError
from fork_support import FORKS, QUIET, Relay, in_child
from no_threads import no_threads

import resilient_ddb as rddb
from resilient_ddb.policy.clock import SYSTEM_CLOCK
from resilient_ddb.testing import FakeClock
from resilient_ddb.testing.faults import Delay, LoseReply, Outage, Throttle

RATE = 400
ONCE = rddb.Retry(max_attempts=1)


@pytest.fixture(scope="module")
def leases(dynamodb_local):
    """Return a lease table, as a plain boto3 Table."""
    dynamodb = rddb.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url)
    table = rddb.SharedRateLimiter.create_table(dynamodb, f"leases-{os.getpid()}")
    plain = boto3.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url).Table(table.name)
    yield plain
    table.delete()


@pytest.fixture
def clock():
    """Return a clock that begins now: DynamoDB Local deletes by its own what has expired."""
    return FakeClock(start=time.time())


@pytest.fixture
def name(request):
    return request.node.name


@pytest.fixture
def limiter(leases, proxy, opened, clock, name):
    """Return workers of one limiter, on virtual time unless told otherwise."""

    def make(rate=RATE, policy=None, **settings):
        clocks = {"clock": clock, **settings}
        policy = policy or rddb.Policy(clock=clocks["clock"], retry=ONCE, circuit_breaker=None)
        table = rddb.table(leases.name, endpoint_url=proxy.endpoint_url, policy=policy)
        opened.callback(table.meta.client.close)
        return opened.enter_context(rddb.SharedRateLimiter(table, name, rate, **clocks))

    return make


@pytest.fixture
def items(leases, name):
    def read():
        answer = leases.query(
            KeyConditionExpression="limiter = :name", ExpressionAttributeValues={":name": name}, ConsistentRead=True
        )
        return answer["Items"]

    return read


def comes_true(condition, seconds=60):
    """Return whether a condition comes true before long."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_a_worker_joins_when_it_is_first_used_and_leaves_when_it_is_closed(limiter, items, clock):
    with limiter() as worker:
        assert (worker.units_per_second, worker.burst, worker.share) == (RATE, RATE, 0)
        assert items() == []
        joined = int(clock.time())
        assert worker.acquire(40) == pytest.approx(0.1)
        assert worker.share == RATE
        [item] = items()
        assert (item["claim"], item["rate"], item["lease_duration"]) == (RATE, RATE, 5)
        assert item["expires_at"] == joined + 5 + 7 * 86_400
    assert worker.share == 0
    assert items() == []
    worker.acquire()
    assert len(items()) == 1


def test_who_was_never_used_sends_nothing(limiter, proxy):
    with limiter():
        pass
    assert proxy.count() == 0


def test_the_second_worker_waits_until_the_first_has_made_room(limiter, clock):
    first = limiter(clock=SYSTEM_CLOCK, lease_duration=3)
    second = limiter(clock=SYSTEM_CLOCK, lease_duration=3)
    first.acquire()
    second.acquire()
    assert (first.share, second.share) == (200, 200)
    first.close()
    assert comes_true(lambda: second.share == RATE)


def test_a_thread_renews_the_lease_while_nobody_asks_and_gives_it_back_when_nobody_did_for_long(limiter, items):
    worker = limiter(clock=SYSTEM_CLOCK, lease_duration=3)
    worker.acquire()
    [joined] = items()
    assert comes_true(lambda: worker.share == RATE and any(item["renewal"] > joined["renewal"] + 2 for item in items()))
    assert comes_true(lambda: worker.share == 0)
    assert comes_true(lambda: items() == [])


def renewed(worker):
    """Do what a worker's thread does when a renewal is due, and return the seconds until the next one."""
    return worker._keep()  # noqa: SLF001 - the thread goes by the machine's clock


def test_who_owes_units_is_not_idle(limiter, items, clock):
    """Who leaves and joins anew owes nothing: a slow reader of dear pages would never pay."""
    worker = limiter()
    worker.acquire()
    worker.charge(RATE * 30)
    for _ in range(25):
        clock.advance(1)
        assert renewed(worker) is not None
    assert worker.reserve(0) == pytest.approx(5, abs=0.1)
    assert len(items()) == 1
    for _ in range(16):
        clock.advance(1)
        renewed(worker)
    assert items() == []  # all of it has come in, two leases ago


def test_who_owes_units_owes_them_after_it_was_closed(limiter):
    with limiter() as worker:
        worker.acquire()
        worker.charge(RATE * 2.5)
    assert worker.reserve(0) == pytest.approx(2.5)
    worker.close()
    assert worker.reserve(RATE) == pytest.approx(3.5)


def test_a_renewal_that_is_due_as_the_limiter_is_closed_does_not_join_again(limiter, items):
    worker = limiter()
    worker.acquire()
    worker.close()
    assert renewed(worker) is None  # what its thread does next, if it was past the look whether to stop
    assert items() == []


def test_a_limiter_that_was_forgotten_is_not_renewed(leases, proxy, name, items):
    table = rddb.table(leases.name, endpoint_url=proxy.endpoint_url)
    worker = rddb.SharedRateLimiter(table, name, RATE, lease_duration=3)
    worker.acquire()
    [thread] = [each for each in threading.enumerate() if each.name == f"resilient_ddb rate {name}"]
    del worker
    thread.join(60)
    assert not thread.is_alive()
    assert len(items()) == 1  # the lease ends by itself
    table.meta.client.close()


def test_threads_share_a_worker(limiter, items, proxy):
    worker = limiter(clock=SYSTEM_CLOCK, lease_duration=30)  # not renewed meanwhile
    threads = [threading.Thread(target=worker.acquire) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(items()) == 1
    assert proxy.count("PutItem") == 2


def test_without_a_lease_table_the_error_says_so(limiter, leases):
    limiter = rddb.SharedRateLimiter(
        rddb.table("no-such-table", endpoint_url=leases.meta.client.meta.endpoint_url), "x", RATE
    )
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        limiter.acquire()


def test_in_an_outage_a_worker_goes_on_until_its_lease_ends_and_then_meets_the_error(limiter, proxy, clock):
    worker = limiter()
    worker.acquire()
    proxy.plan = [Outage(duration=float("inf"))]
    worker.acquire(400)
    clock.advance(3)
    assert worker.acquire(4) == 0
    clock.advance(2)
    with pytest.raises(ClientError):
        worker.acquire()
    proxy.plan = []
    worker.acquire()
    assert worker.share == RATE


def test_a_join_is_retried_by_the_policy(limiter, proxy, clock):
    proxy.plan = [Throttle(times=2)]
    limiter(policy=rddb.Policy(clock=clock)).acquire()
    assert proxy.count(fault=Throttle) == 2


@pytest.mark.parametrize("operation", ["PutItem", "Query"])
def test_a_lost_reply_does_no_harm(limiter, proxy, clock, items, operation):
    proxy.plan = [LoseReply(operations=(operation,), times=1)]
    worker = limiter(policy=rddb.Policy(clock=clock))
    worker.acquire()
    assert worker.share == RATE
    assert [item["claim"] for item in items()] == [RATE]


def test_no_fallback_answers_for_the_lease_table(limiter, proxy, clock):
    stale = rddb.fallback.response({"Items": []})
    worker = limiter(policy=rddb.Policy(clock=clock, retry=ONCE, fallback=stale))
    proxy.plan = [Throttle(operations=("Query",))]
    with pytest.raises(ClientError, match="ProvisionedThroughputExceeded"):
        worker.acquire()


@pytest.mark.parametrize("odd", [{}, {"claim": "x", "rate": 1, "renewal": 1, "lease_duration": 2}])
def test_an_odd_item_stops_nobody(limiter, leases, name, caplog, odd):
    leases.put_item(Item={"limiter": name, "worker": "odd", **odd})
    first, second = limiter(), limiter()
    for worker in (first, second):
        assert worker.acquire(4) >= 0
    assert first.share + second.share <= RATE
    assert second.share > 0
    first.close()
    first.acquire(4)  # as another worker of the same process
    told = [text for text in caplog.messages if "is no worker's" in text]
    assert len(told) == 2  # once by each limiter


def test_a_renewal_that_fails_is_logged_and_tried_again(limiter, proxy, items, caplog):
    worker = limiter(clock=SYSTEM_CLOCK, lease_duration=9)
    worker.acquire()
    [before] = items()
    proxy.plan = [Throttle(times=1)]
    assert comes_true(lambda: items()[0]["renewal"] > before["renewal"] + 1)
    assert worker.share == RATE
    [line] = caplog.text.splitlines()
    assert "its lease could not be renewed: ProvisionedThroughputExceededException: " in line


def test_callers_renew_the_lease_where_no_thread_can_be_started(limiter, clock, items, caplog):
    worker = limiter()
    with no_threads():
        assert worker.acquire(40) == pytest.approx(0.1)
        [before] = items()
        clock.advance(6)
        worker.acquire(40)
        [after] = items()
    assert worker.share == RATE
    assert after["expires_at"] > before["expires_at"]
    assert "its lease could not be handed to a thread: RuntimeError: " in caplog.text


def test_a_share_that_can_not_be_given_back_is_logged(limiter, proxy, caplog):
    worker = limiter()
    worker.acquire()
    proxy.plan = [Throttle()]
    worker.close()
    assert "could not be given back" in caplog.text
    assert worker.share == 0


def test_the_deadline_counts_while_a_worker_waits_for_its_share(limiter):
    first, second = limiter(lease_duration=60), limiter(lease_duration=60)
    first.acquire()
    with rddb.deadline(4), pytest.raises(rddb.DeadlineExceededError) as raised:
        second.acquire(4)
    assert raised.value.__notes__ == ["SharedRateLimiter.reserve: no more: the deadline comes first"]


def test_the_deadline_counts_while_a_worker_waits_for_units(limiter):
    worker = limiter()
    with rddb.deadline(5), pytest.raises(rddb.DeadlineExceededError):
        worker.acquire(40_000)
    assert worker.acquire(4) == pytest.approx(0.01)


def test_what_was_not_used_goes_back(limiter):
    worker = limiter()
    worker.charge(5)  # nothing is taken yet
    assert worker.reserve(40) == pytest.approx(0.1)
    worker.charge(-36)
    assert worker.acquire(0) == pytest.approx(0.01)


def test_tasks_take_units_without_blocking_the_event_loop_also_in_one_loop_after_another(limiter, proxy):
    worker = limiter(clock=SYSTEM_CLOCK)
    proxy.plan = [Delay(seconds=0.2, operations=("Query",))]

    async def handle():
        is_joining = not worker.share
        taking = asyncio.create_task(worker.acquire_async(4))
        turns = 0
        while not taking.done():
            turns += 1
            await asyncio.sleep(0.01)
        assert turns > 1 or not is_joining
        return await taking

    for _ in range(2):
        assert asyncio.run(handle()) < 0.1

    async def leave():
        async with worker:
            await worker.acquire_async()

    asyncio.run(leave())
    assert worker.share == 0


def test_a_task_that_is_cancelled_while_it_joins_takes_nothing(limiter, proxy):
    worker = limiter(clock=SYSTEM_CLOCK)
    proxy.plan = [Delay(seconds=1.0, operations=("Query",), times=1)]

    async def cancelled():
        taking = asyncio.create_task(worker.acquire_async(4000))
        while not proxy.count("Query"):  # noqa: ASYNC110 - of another thread: there is no event to wait for
            await asyncio.sleep(0.01)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

    asyncio.run(cancelled())
    assert worker.acquire(4) < 0.2


def test_it_pickles_as_a_recipe_and_is_another_worker_then(limiter, items):
    worker = limiter(lease_duration=70)
    worker.acquire()
    restored = pickle.loads(pickle.dumps(worker))  # noqa: S301 - our own
    _, (*_, lease_duration, _) = restored.__reduce__()
    assert (restored.units_per_second, restored.share, lease_duration) == (RATE, 0, 70)
    with restored, rddb.deadline(4), pytest.raises(rddb.DeadlineExceededError):
        restored.acquire()
    assert repr(restored) == repr(worker)


@FORKS
@QUIET
@pytest.mark.parametrize("make_table", ["hardened", "plain"])
def test_a_forked_process_is_another_worker(make_table, request, leases, dynamodb_local, name, clock, items):
    """It has neither the lease nor the connections of its parent."""
    with Relay(dynamodb_local.endpoint_url) as relay:
        table = request.getfixturevalue(make_table)(relay.endpoint_url).Table(leases.name)
        with rddb.SharedRateLimiter(table, name, RATE, lease_duration=60, clock=clock) as worker:
            worker.acquire()
            [before] = items()
            sent, connections = len(relay.requests), set(relay.requests)

            def ask():
                worker.close()  # not this process's to close
                kept = items()
                with rddb.deadline(4, clock=clock), pytest.raises(rddb.DeadlineExceededError):
                    worker.acquire()
                return kept, worker.share

            assert in_child(ask) == ([before], 0.0)
            assert {item["worker"] for item in items()} > {before["worker"]}
            assert len(items()) == 2
            assert len(relay.requests) > sent
            assert not connections & set(relay.requests[sent:])
            assert worker.share == RATE


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"table": 5}, TypeError, r"table must be an object with put_item\(\), query\(\), delete_item\(\)"),
        ({"name": ""}, TypeError, "name must be a text that is not empty; got ''"),
        ({"name": 5}, TypeError, "name must be a text"),
        ({"units_per_second": 0}, ValueError, "units_per_second must be a number greater than 0; got 0"),
        ({"lease_duration": "5"}, TypeError, "lease_duration must be a number greater than 0; got '5'"),
        ({"lease_duration": 86_401}, ValueError, r"lease_duration must be 86400 \(a day\) or less; got 86401"),
        ({"clock": 5}, TypeError, "clock must be an object with"),
    ],
)
def test_what_can_not_be_meant_is_refused(change, error, match):
    settings = {"table": rddb.table("t", region_name="eu-west-1"), "name": "n", "units_per_second": 5, **change}
    with pytest.raises(error, match=match):
        rddb.SharedRateLimiter(**settings)


def test_a_negative_number_of_units_is_refused_before_anything_is_sent(limiter, proxy):
    with pytest.raises(ValueError, match="units must be a number of 0 or more; got -1"):
        limiter().acquire(-1)
    assert proxy.count() == 0


# A batch writer with a rate that it shares.


def test_a_batch_writer_goes_at_its_share_of_the_rate(limiter, world, clock):
    worker = limiter(rate=100)
    start = clock.monotonic()
    with world.table().batch_writer(write_units_per_second=worker) as batch:
        for number in range(300):
            batch.put_item(Item={"pk": str(number)})
    assert batch.report.written == 300
    assert clock.monotonic() - start == pytest.approx(3, rel=0.05)  # a newcomer has no burst
    assert world.direct.scan(Select="COUNT")["Count"] == 300


def test_a_batch_writer_that_can_not_join_loses_nothing(world, dynamodb_local):
    missing = rddb.table("no-such-table", endpoint_url=dynamodb_local.endpoint_url)
    batch = world.table().batch_writer(write_units_per_second=rddb.SharedRateLimiter(missing, "x", 5))
    with pytest.raises(ClientError, match="ResourceNotFoundException"), batch:
        batch.put_item(Item={"pk": "a"})
    assert batch.unprocessed == [{"PutRequest": {"Item": {"pk": "a"}}}]
