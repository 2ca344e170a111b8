"""The figures that the design promises. Each test prints its own: run with `-s` to see them."""

import itertools
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import botocore
import pytest
from botocore.exceptions import BotoCoreError, ClientError

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock, FaultProxy, faults

ADD = {"UpdateExpression": "ADD c :one", "ExpressionAttributeValues": {":one": 1}}


def show(figure):
    print(f"\n{figure}")  # noqa: T201 - what these tests are for


def get(table, key="a"):
    return table.get_item(Key={"pk": key})


def failures_of(call, calls, clock, seconds_apart=0.0):
    """Make a number of calls, and give what they raised."""
    raised = []
    for _ in range(calls):
        try:
            call()
        except (ClientError, BotoCoreError) as error:
            raised.append(error)
        clock.advance(seconds_apart)
    return raised


def test_an_always_throttled_read_costs_ten_requests_with_full_jitter_between(world):
    table = world.table(retry_budget=None, circuit_breaker=None, random=random.Random(7))
    world.proxy.plan = [faults.Throttle()]
    calls = 60
    for number in range(calls):
        with pytest.raises(ClientError) as raised:
            get(table)
        assert raised.value.resilience.attempts == 10
        assert world.proxy.count() == 10 * (number + 1)
    waits = [world.clock.waits[position::9] for position in range(9)]
    windows = [min(5.0, 0.025 * 2**position) for position in range(9)]
    for position, (drawn, window) in enumerate(zip(waits, windows, strict=True)):
        assert len(drawn) == calls
        assert 0 <= min(drawn) <= max(drawn) <= window, position
        assert max(drawn) > 0.8 * window, position
        assert sum(drawn) / calls == pytest.approx(window / 2, rel=0.3), position
    total = sum(world.clock.waits) / calls
    show(f"always throttled: 10 requests and {total:.2f} s of waiting a call (windows sum to {sum(windows):.2f} s)")


@pytest.mark.parametrize(
    ("breaker", "most"), [(None, 1.05), (rddb.CircuitBreaker(), 0.2)], ids=["no breaker", "breaker"]
)
@pytest.mark.parametrize("seconds_apart", [pytest.param(0.0, marks=pytest.mark.long), 0.01])
def test_an_outage_costs_few_requests(world, breaker, most, seconds_apart):
    table = world.table(circuit_breaker=breaker, random=random.Random(3))
    world.proxy.plan = [faults.ServerError()]
    failed = failures_of(lambda: get(table), 1000, world.clock, seconds_apart)
    assert len(failed) == 1000
    cost = world.proxy.count() / 1000
    show(f"100% errors, {seconds_apart} s apart, circuit_breaker={breaker is not None}: {cost:.3f} requests per call")
    assert cost <= most


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3, 4))])
def test_thirty_percent_of_errors_are_ridden_out(dynamodb_local, hardened, make_table, seed):
    clock = FakeClock()
    with FaultProxy(dynamodb_local.endpoint_url, plan=[faults.ServerError(rate=0.3)], seed=seed) as proxy:
        policy = rddb.Policy(clock=clock, random=random.Random(seed))
        table = hardened(proxy.endpoint_url, policy).Table(make_table(dynamodb_local.endpoint_url))
        failed = failures_of(lambda: get(table), 1000, clock, 0.01)
        cost, success = proxy.count() / 1000, 1 - len(failed) / 1000
    show(f"30% errors, seed {seed}: {success:.1%} succeed at {cost:.3f} requests per call")
    assert success >= 0.97
    assert cost <= 1.45


def test_eight_threads_share_a_table_without_waiting_for_one_another(world):
    world.proxy.plan = [faults.Delay(seconds=0.25)]
    table = world.table()
    barrier = threading.Barrier(8)

    def work(_):
        barrier.wait()
        for _ in range(4):
            get(table)

    start = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    took = time.perf_counter() - start
    arrivals = [seen.at for seen in world.proxy.seen]
    starts = [(at, 1) for at in arrivals] + [(at + 0.25, -1) for at in arrivals]
    in_flight = max(itertools.accumulate(step for _, step in sorted(starts)))
    show(f"8 threads x 4 calls of 250 ms: {took:.2f} s, at most {in_flight} in flight (one by one: 8.0 s)")
    assert len(arrivals) == 32
    assert in_flight == 8


@pytest.mark.parametrize("works", [False, True], ids=["probes fail", "probes work"])
def test_a_thousand_callers_send_no_more_probes_than_are_permitted(world, works):
    table = world.table(
        retry=rddb.Retry(max_attempts=1), circuit_breaker=rddb.CircuitBreaker(minimum_calls=2, half_open_permits=3)
    )
    world.proxy.plan = [faults.ServerError()]
    failures_of(lambda: get(table), 2, world.clock)
    world.clock.advance(3.1)
    world.proxy.clear()
    # A probe that works is held up until all have asked: it would close the circuit, and let the others through.
    held, asked = threading.Event(), threading.Semaphore(0)
    if works:
        world.proxy.plan = []
        table.meta.client.meta.events.register("before-send.dynamodb", lambda **_: held.wait(30) and None)
    barrier = threading.Barrier(50)
    results = []

    def ask(_):
        barrier.wait()
        for _ in range(20):
            try:
                get(table)
                results.append("worked")
            except rddb.CircuitOpenError as error:
                results.append(error.state)
            except ClientError:
                results.append("failed")
            finally:
                asked.release()

    with ThreadPoolExecutor(50) as pool:
        running = [pool.submit(ask, number) for number in range(50)]
        for _ in range(47 * 20):  # all but the three threads whose probes are held
            asked.acquire(timeout=30)
        sent = world.proxy.count()
        refused = Counter(results)
        held.set()
        for done in running:
            done.result()
    counted = Counter(results)
    show(f"half-open, 1,000 callers, probes {'work' if works else 'fail'}: {dict(counted)}")
    assert sum(counted.values()) == 1000
    if works:
        assert sent == 0
        assert refused == {"half-open": 47 * 20}
        assert 3 <= counted["worked"] <= 60  # the first of the three to return may be refused until the last does
        assert rddb.circuits(table)["read"].state == "closed"
    else:
        assert 1 <= world.proxy.count() <= 3
        assert counted["failed"] == world.proxy.count()


def test_a_hot_key_neither_opens_the_circuit_nor_slows_other_keys(world):
    table = world.table()
    reasons = ["TableReadKeyRangeThroughputExceeded"]
    world.proxy.plan = [faults.Throttle(key={"pk": {"S": "hot"}}, reasons=reasons)]
    hot_failures, waited_by_others = [], 0.0
    for number in range(150):
        hot_failures += failures_of(lambda: get(table, "hot"), 1, world.clock)
        before = world.clock.monotonic()
        get(table, f"cool{number}")
        waited_by_others += world.clock.monotonic() - before
    requests = world.proxy.count()
    show(f"hot key, 150 calls: {requests - 150} requests, others waited {waited_by_others} s")
    assert len(hot_failures) == 150
    assert all(error.resilience.throttling_reasons[0].is_hot_partition for error in hot_failures)
    assert waited_by_others == 0
    assert rddb.circuits(table)["read"].state == "closed"


def test_a_hot_key_leaves_the_retries_of_other_keys_alone(world):
    table = world.table()
    hot = faults.Throttle(key={"pk": {"S": "hot"}}, reasons=["TableReadKeyRangeThroughputExceeded"])
    world.proxy.plan = [hot]
    failures_of(lambda: get(table, "hot"), 100, world.clock)
    world.proxy.plan = [hot, faults.ServerError(every=3)]
    assert failures_of(lambda: get(table, "cool"), 60, world.clock) == []


def test_a_lost_reply_never_applies_an_add_twice(world):
    table = world.table()
    world.proxy.plan = [faults.LoseReply(every=10)]
    returned, unsure, sure = 0, 0, 0
    for _ in range(300):
        before = world.proxy.count("UpdateItem")
        try:
            table.update_item(Key={"pk": "a"}, **ADD)
            returned += 1
        except BotoCoreError as error:
            unsure += error.resilience.ambiguous
            sure += not error.resilience.ambiguous
        assert world.proxy.count("UpdateItem") == before + 1
    counter = world.stored()["c"]
    show(f"ADD with every 10th reply lost: {returned} returned, {unsure} ambiguous, the counter says {counter}")
    assert (returned, unsure, sure) == (270, 30, 0)
    assert counter == 300  # each lost reply was of a write that was applied; none was applied twice


def test_a_refused_add_is_counted_once_and_a_500_says_that_it_is_unsure(world):
    table = world.table(circuit_breaker=None)
    world.proxy.plan = [
        faults.Throttle(rate=0.2),
        faults.ServerError(rate=0.1),
        faults.ServerError(rate=0.1, applied=True),
        faults.LoseReply(rate=0.1),
        faults.ResetBefore(rate=0.05),
    ]
    returned, unsure = 0, 0
    for _ in range(300):
        try:
            table.update_item(Key={"pk": "a"}, **ADD)
            returned += 1
        except (ClientError, BotoCoreError) as error:
            unsure += error.resilience.ambiguous
        world.clock.advance(0.1)
    lost = ("LoseReply", "ServerError")
    applied = sum(seen.forwarded and seen.fault in lost for seen in world.proxy.seen)
    counter = world.stored()["c"]
    show(f"ADD under mixed faults: {returned} returned, {unsure} ambiguous of which {applied} were applied")
    assert counter == returned + applied
    assert applied <= unsure


def test_a_deadline_holds_on_the_fake_clock(world):
    world.proxy.plan = [faults.Throttle()]
    table = world.table(retry_budget=None, circuit_breaker=None, random=random.Random(5))
    overruns = []
    for _ in range(50):
        start = world.clock.monotonic()
        with rddb.deadline(1.0, clock=world.clock), pytest.raises(rddb.DeadlineExceededError):
            get(table)
        overruns.append(world.clock.monotonic() - start - 1.0)
    show(f"deadline of 1 s under throttling: the call ended {-max(overruns):.3f} to {-min(overruns):.3f} s before it")
    assert max(overruns) <= 0


def test_a_hanging_attempt_ends_at_the_deadline(world, hardened):
    if tuple(map(int, botocore.__version__.split(".")[:2])) < (1, 43):
        pytest.skip("botocore before 1.43 takes no notice of a read timeout in the request's context")
    world.proxy.plan = [faults.Hang()]
    table = hardened(world.proxy.endpoint_url).Table(world.name)
    get_took = []
    for _ in range(3):
        start = time.perf_counter()
        with rddb.deadline(0.2), pytest.raises(rddb.DeadlineExceededError) as raised:
            get(table)
        get_took.append(time.perf_counter() - start)
    overrun = max(get_took) - 0.2
    show(f"deadline of 0.2 s on a hanging attempt: overrun by {overrun * 1000:.1f} ms at most")
    assert overrun < 4.0  # the attempt would hang for 5 s
    assert raised.value.resilience.stopped_by == "deadline"


def test_a_budget_does_not_starve_after_an_outage(world):
    """Quotas that refill on success only never retry again once they are empty and calls fail in a row."""
    table = world.table(circuit_breaker=None)
    world.proxy.plan = [faults.ServerError()]
    failures_of(lambda: get(table), 300, world.clock)
    world.clock.advance(100)
    world.proxy.plan = [faults.ServerError(times=3)]
    world.proxy.clear()
    get(table)
    assert world.proxy.count() == 4
    show(f"after an outage and 100 s, 3 retries of one call: {world.proxy.count()} requests")
