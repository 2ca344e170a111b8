"""Shares of a rate by leases: on virtual time, with requests that are lost or late, and clocks that disagree."""

from __future__ import annotations

from decimal import Decimal

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from lease_support import NAME, SIZES, LeaseTable, World
from properties import examples

from resilient_ddb.bulk.rate_leases import RateLease
from resilient_ddb.calls.flows import run
from resilient_ddb.testing import FakeClock

RATE = 400
LARGEST = max(SIZES)
"""Units that a worker of the simulation has reserved at most, when its share shrinks or it goes."""


def held_to_the_rate(world):
    assert world.highest <= RATE
    assert world.excess(RATE) <= RATE + LARGEST * len(world.workers)


@pytest.mark.parametrize("seed", range(20))
def test_four_workers_use_the_whole_rate_and_take_up_what_a_dead_one_leaves(seed):
    world = World(seed)
    workers = [world.join() for _ in range(4)]
    world.run_until(5)
    settled = world.now
    assert world.shares() == RATE
    world.run_until(35)
    assert world.granted(settled) == pytest.approx(30 * RATE, rel=0.05)

    workers[seed % 4].die()
    world.run_until(36)
    assert world.shares() == RATE * 3 / 4
    world.run_until(45)
    assert float(world.shares()) == pytest.approx(RATE, rel=1e-6)
    world.run_until(65)
    assert world.granted(45) == pytest.approx(20 * RATE, rel=0.05)
    held_to_the_rate(world)


@pytest.mark.parametrize("seed", range(5))
def test_who_leaves_is_followed_at_once_and_who_joins_waits_for_the_others(seed):
    world = World(seed)
    first, second = world.join(), world.join()
    world.run_until(5)
    second.leave()
    world.run_until(7)
    assert first.lease.share == RATE
    third = world.join()
    world.run_until(7.2)
    assert third.lease.share in (0, RATE / 2)
    world.run_until(10)
    assert (first.lease.share, third.lease.share) == (RATE / 2, RATE / 2)
    held_to_the_rate(world)


@pytest.mark.parametrize("number", [25, pytest.param(100, marks=pytest.mark.long)])
def test_many_workers_settle(number):
    world = World(1)
    for _ in range(number):
        world.join()
    world.run_until(10)
    assert {worker.lease.share for worker in world.workers} == {RATE / number}
    world.run_until(40)
    assert world.granted(10) == pytest.approx(30 * RATE, rel=0.05)
    held_to_the_rate(world)


def test_without_the_table_a_worker_stops_when_its_lease_ends_and_comes_back_with_it():
    world = World(3)
    workers = [world.join() for _ in range(3)]
    world.run_until(10)
    world.is_down = True
    world.run_until(13)
    assert float(world.shares()) == pytest.approx(RATE)
    world.run_until(15.1)
    assert world.shares() == 0
    world.run_until(30)
    assert world.granted(15.1) <= LARGEST * len(workers)  # what was reserved before keeps its turn
    world.is_down = False
    world.run_until(36)
    assert float(world.shares()) == pytest.approx(RATE)
    held_to_the_rate(world)


def test_workers_that_were_told_different_rates_keep_to_the_lowest():
    world = World(4)
    world.join(rate=400)
    world.run_until(5)
    low = world.join(rate=100)
    world.run_until(12)
    assert world.shares() == 100
    low.leave()
    world.run_until(16)
    assert world.shares() == 400


def test_an_item_that_nobody_renews_holds_a_newcomer_up_for_one_lease_only():
    world = World(5)
    world.join().leave()
    gone = world.join()
    world.run_until(4)
    gone.die()
    world.run_until(60)
    worker = world.join()
    world.run_until(64)
    assert worker.lease.share == 0
    world.run_until(67)
    assert worker.lease.share == RATE
    assert list(world.table.items) == ["w2"]


@pytest.mark.parametrize("hours", [-200, -2, 2, 200])
def test_a_worker_whose_clock_is_far_off_has_its_share_and_no_more(hours):
    world = World(6)
    other, wrong = world.join(), world.join()
    wrong.clock.skew = other.clock.skew + 3600 * hours
    world.run_until(30)
    assert (other.lease.share, wrong.lease.share) == (RATE / 2, RATE / 2)
    held_to_the_rate(world)


def test_an_item_that_has_expired_by_its_ttl_is_gone_after_a_lease_like_any_other():
    world = World(6)
    gone = world.join()
    world.run_until(4)
    gone.die()
    world.run_until(20 * 86_400)
    worker = world.join()
    world.run_until(world.now + 4)
    assert worker.lease.share == 0  # by somebody's clock it may be a live one's
    world.run_until(world.now + 4)
    assert worker.lease.share == RATE


EVENTS = st.lists(
    st.tuples(
        st.floats(0.05, 8, allow_nan=False),
        st.sampled_from(["join", "join", "leave", "die", "down", "up", "cut off", "cut off"]),
        st.integers(0, 9),
    ),
    max_size=14,
)


@examples(60)
@given(
    seed=st.integers(0, 10_000),
    start=st.integers(1, 6),
    events=EVENTS,
    lost=st.sampled_from([0.0, 0.05, 0.4]),
    lease=st.sampled_from([1.0, 5.0]),
)
def test_whatever_happens_the_shares_are_never_more_than_the_rate(seed, start, events, lost, lease):
    world = World(seed, latency=(0.002, 0.4), lost=lost, late=0.2, lease_duration=lease)
    for _ in range(start):
        world.join()
    for seconds, event, which in events:
        world.run_until(world.now + seconds)
        worker = world.workers[which % len(world.workers)]
        if event == "join":
            world.join()
        elif event == "leave" and worker.is_alive:
            worker.leave()
        elif event == "die":
            worker.die()
        elif event in ("down", "up"):
            world.is_down = event == "down"
        else:
            worker.cut_off_until = world.now + 7
    world.run_until(world.now + 10)
    held_to_the_rate(world)


# One worker, request by request.


@pytest.fixture
def table():
    return LeaseTable()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def lease_of(table, clock):
    def make(worker="a", rate=RATE, lease_duration=5.0):
        return RateLease(
            table, NAME, worker, rate, lease_duration=lease_duration, clock=clock, uniform=lambda low, high: high
        )

    return make


def steps(flow, slow="", seconds=0.0, clock=None):
    """Run a flow, giving the name of each request after it was made; one kind takes `seconds`."""
    resume, outcome = flow.send, None
    while True:
        try:
            step = resume(outcome)
        except StopIteration:
            return
        wait = seconds / 2 if step.func.__name__ == slow else 0.0
        if wait:
            clock.advance(wait)
        try:
            resume, outcome = flow.send, step()
        except ClientError as error:
            resume, outcome = flow.throw, error
        if wait:
            clock.advance(wait)
        yield step.func.__name__


def test_the_only_worker_has_the_whole_rate_with_its_first_renewal(lease_of, table):
    lease = lease_of()
    assert lease.reserve(1.0) is None
    assert list(steps(lease.renew())) == ["put_item", "query", "put_item", "query"]
    assert lease.share == RATE
    assert list(steps(lease.renew())) == ["put_item", "query"]
    run(lease.release())
    assert lease.share == 0
    assert table.items == {}


def test_a_newcomer_has_no_burst(lease_of):
    lease = lease_of()
    run(lease.renew())
    assert lease.reserve(10.0) == pytest.approx(10 / RATE)


def test_unused_units_are_kept_for_a_second(lease_of, clock):
    lease = lease_of()
    run(lease.renew())
    clock.advance(4)
    assert lease.reserve(RATE) == 0
    assert lease.reserve(1.0) == pytest.approx(1 / RATE)


def test_what_was_reserved_and_not_used_goes_back(lease_of):
    lease = lease_of()
    lease.charge(-5.0)  # nothing to give back to yet
    run(lease.renew())
    lease.reserve(40.0)
    lease.charge(-40.0)
    assert lease.reserve(4.0) == pytest.approx(4 / RATE)


def test_a_worker_uses_less_before_its_item_says_so(lease_of, table):
    first, second = lease_of("a"), lease_of("b")
    run(first.renew())
    run(second.renew())
    assert second.share == 0
    for _ in steps(first.renew()):
        assert first.share <= table.items["a"]["claim"]
    assert first.share == table.items["a"]["claim"] == RATE / 2


def test_a_worker_uses_more_after_it_has_seen_all_claims(lease_of, table):
    lease = lease_of()
    shares = [(request, lease.share) for request in steps(lease.renew())]
    assert shares == [("put_item", 0), ("query", 0), ("put_item", 0), ("query", 0)]


def test_of_two_that_raise_their_claims_at_once_one_waits(lease_of, table):
    first, second = lease_of("a"), lease_of("b")
    one, other = steps(first.renew()), steps(second.renew())
    for _ in range(2):
        next(one)  # sees nobody
    list(other)  # sees a's item, with no claim yet: half the rate
    assert second.share == RATE / 2
    list(one)
    assert first.share == 0
    assert table.items["a"]["claim"] == 0
    run(first.renew())
    assert first.share == RATE / 2


def test_a_lease_ends_so_long_after_its_renewal_began(lease_of, clock):
    lease = lease_of()
    list(steps(lease.renew(), "put_item", 1.0, clock))  # two of them
    clock.advance(3.9)
    assert lease.share == RATE
    clock.advance(0.2)
    assert lease.share == 0
    assert lease.reserve(1.0) is None


def test_a_renewal_that_arrives_after_the_leases_end_brings_no_share_back(lease_of, clock):
    first, second = lease_of("a"), lease_of("b")
    run(first.renew())
    run(second.renew())
    clock.advance(4)
    assert first.share == RATE
    late = steps(first.renew(), "put_item", 4.0, clock)
    assert [next(late), next(late)] == ["put_item", "query"]
    assert first.share == 0  # the other may have it by now


def test_a_lease_ends_also_by_the_wall_clock(lease_of, clock):
    """A machine that was suspended may find that its monotonic clock stood still."""
    lease = lease_of()
    run(lease.renew())
    start = clock.monotonic()
    clock.monotonic = lambda: start
    clock.advance(5)
    assert lease.share == 0


def test_another_ones_claim_counts_until_its_lease_must_have_ended(lease_of, table, clock):
    gone, lease = lease_of("gone"), lease_of("a")
    run(gone.renew())
    list(steps(lease.renew(), "query", 2.0, clock))  # it may have been renewed when the answer was on its way
    clock.advance(3.9)
    list(steps(lease.renew(), "query", 2.0, clock))  # asked before, answered after
    assert list(table.items) == ["gone", "a"]
    clock.advance(1)
    run(lease.renew())
    assert list(table.items) == ["a"]
    assert lease.share == RATE


WHOLE = {"claim": Decimal(1), "rate": Decimal(100), "renewal": Decimal(1), "lease_duration": Decimal(2)}
ODD = {
    "no attributes": {},
    **{f"no {name}": {key: value for key, value in WHOLE.items() if key != name} for name in WHOLE},
    **{f"{name} a text": {**WHOLE, name: "5"} for name in WHOLE},
    **{f"{name} true": {**WHOLE, name: True} for name in WHOLE},
    "a negative claim": {**WHOLE, "claim": Decimal(-1000)},
    "a rate of nothing": {**WHOLE, "rate": Decimal(0)},
    "a negative rate": {**WHOLE, "rate": Decimal(-5)},
    "half a renewal": {**WHOLE, "renewal": Decimal("1.5")},
    "a renewal of thirty digits": {**WHOLE, "renewal": Decimal(10**30)},
    "a renewal of a hundred zeros": {**WHOLE, "renewal": Decimal("1E+100")},
    "no renewal yet": {**WHOLE, "renewal": Decimal(0)},
    "a lease without a time": {**WHOLE, "lease_duration": Decimal(0)},
    "a lease of 31 years": {**WHOLE, "lease_duration": Decimal(10**9)},
}


@pytest.mark.parametrize("what", ODD)
def test_an_item_that_is_no_worker_s_is_passed_over_and_told_of_once(lease_of, table, clock, caplog, what):
    table.items["odd"] = {"limiter": NAME, "worker": "odd", **ODD[what]}
    lease = lease_of("a")
    for _ in range(5):
        run(lease.renew())
        assert lease.share == RATE
        clock.advance(2)
    other = RateLease(table, NAME, "b", RATE, lease_duration=5, clock=clock, uniform=max, after=lease)
    for _ in range(3):
        run(lease.renew())
        run(other.renew())
    assert (lease.share, other.share) == (RATE / 2, RATE / 2)
    assert table.items["odd"] == {"limiter": NAME, "worker": "odd", **ODD[what]}  # it may be another program's
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("rate limiter jobs: an item in the lease table is no worker's")
    assert "odd" not in record.getMessage()  # no value of an item is told


def test_what_is_odd_about_an_item_is_told_by_its_attribute(lease_of, table, caplog):
    table.items["x"] = {"limiter": NAME, "worker": "x", **WHOLE, "claim": "much"}
    run(lease_of("a").renew())
    assert caplog.messages[0].endswith(": its attribute 'claim' is a str, where a number was expected")


def test_a_worker_whose_item_is_spoilt_has_its_share_until_its_lease_ends(lease_of, table, clock):
    first, second = lease_of("a"), lease_of("b")
    for _ in range(3):
        run(first.renew())
        run(second.renew())
    run(first.renew())
    table.items["b"] = {**table.items["b"], "renewal": "spoilt"}
    for seconds, share in ((2, RATE / 2), (2.9, RATE / 2), (0.2, RATE)):
        clock.advance(seconds)
        run(first.renew())
        assert first.share == share


def test_so_many_odd_items_are_told_of_and_no_more(lease_of, table, caplog):
    for number in range(1_100):
        table.items[f"odd {number}"] = {"limiter": NAME, "worker": f"odd {number}"}
    lease = lease_of("a")
    run(lease.renew())
    assert lease.share == RATE
    assert len(caplog.records) == 1_000


def test_the_others_own_lease_duration_counts(lease_of, table, clock):
    slow, lease = lease_of("slow", lease_duration=60), lease_of("a")
    run(slow.renew())
    for _ in range(10):
        run(lease.renew())
        clock.advance(5)
    assert slow.share == RATE
    assert lease.share == 0


def test_who_renews_as_it_is_about_to_be_removed_stays(lease_of, table, clock):
    silent, lease = lease_of("silent"), lease_of("a")
    run(silent.renew())
    run(lease.renew())
    clock.advance(5)
    flow = steps(lease.renew())
    assert [next(flow), next(flow)] == ["put_item", "query"]
    run(silent.renew())
    assert list(flow) == ["delete_item"]
    assert "silent" in table.items
    assert lease.share == 0


def test_a_renewal_that_comes_twice_is_one(lease_of, table):
    """As when its reply is lost, and the table's own client sends it again."""
    lease = lease_of()
    flow = lease.renew()
    first = next(flow)
    first()
    flow.send(first())
    assert table.items["a"]["renewal"] == 1


def test_a_lease_of_a_day_does_not_expire_before_it_ends(lease_of, clock):
    day = 86_400.0
    first, second = lease_of("a", lease_duration=day), lease_of("b")
    run(first.renew())
    clock.advance(day / 2)
    run(second.renew())
    assert (first.share, second.share) == (RATE, 0)


def test_a_thread_that_asks_as_a_share_comes_meets_no_bucket_of_before(lease_of, clock, monkeypatch):
    lease = lease_of()
    run(lease.renew())
    clock.advance(60)  # a second's worth is saved up, and the lease is over
    waits = []

    def asking(self, name, value):
        object.__setattr__(self, name, value)
        waits.append(self.reserve(4.0))

    monkeypatch.setattr(RateLease, "__setattr__", asking, raising=False)
    run(lease.renew())
    taken = [wait for wait in waits if wait is not None]
    assert taken
    assert 0 not in taken


def test_what_is_owed_is_still_owed_after_a_lapse(lease_of, clock):
    lease = lease_of()
    run(lease.renew())
    assert lease.reserve(10 * RATE) == pytest.approx(10)
    clock.advance(5)  # half of it came in
    clock.advance(60)
    assert lease.share == 0
    run(lease.renew())
    assert lease.reserve(0.0) == pytest.approx(5)


def test_no_units_come_in_without_a_share(lease_of, clock):
    lease = lease_of()
    run(lease.renew())
    clock.advance(60)
    run(lease.renew())
    assert lease.reserve(10.0) == pytest.approx(10 / RATE)


def test_a_newcomer_waits_for_half_of_what_is_due_to_it(lease_of):
    """A wait that is reckoned at a small share would last longer than the share is small."""
    *others, last = (lease_of(name) for name in "abcd")
    for lease in others * 3:
        run(lease.renew())
    run(last.renew())
    run(others[0].renew())
    run(last.renew())
    assert last.share == 0  # a third of it is free
    run(others[1].renew())
    run(last.renew())
    assert last.share == pytest.approx(RATE / 6, rel=1e-4)


def test_the_next_renewal_is_due_in_time_for_three_a_lease_and_soon_while_a_share_is_to_be_had(lease_of, clock):
    first, second = lease_of("a"), lease_of("b")
    run(first.renew())
    assert first.pause() == pytest.approx(5 / 3)
    run(second.renew())
    assert second.pause() == pytest.approx(0.5)
    clock.advance(4.9)
    assert second.pause() == pytest.approx(0.1)  # as the other's lease ends
    clock.advance(0.1)
    assert second.pause() == pytest.approx(0.05)
