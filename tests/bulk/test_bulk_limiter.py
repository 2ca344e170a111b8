"""The rate limiter: against the other formulation of the same algorithm, and by what it promises."""

import asyncio
import threading
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import resilient_ddb as rddb
from resilient_ddb.bulk.token_bucket import CapacityBucket, as_limiter
from resilient_ddb.testing import FakeClock

# Halves and quarters are exact in binary, so that the model and the code must agree to the last bit.
EXACT = st.integers(0, 4000).map(lambda n: n / 4)
SOME = st.integers(1, 4000).map(lambda n: n / 4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), EXACT),
        st.tuples(st.just("charge"), st.integers(-400, 400).map(lambda n: n / 4)),
        st.tuples(st.just("advance"), st.integers(0, 40).map(lambda n: n / 4)),
    ),
    max_size=60,
)


class Gcra:
    """The same limit as a theoretical arrival time (ITU-T I.371's generic cell rate algorithm), in exact fractions."""

    def __init__(self, rate, burst):
        self.rate, self.tolerance = Fraction(rate), Fraction(burst) / Fraction(rate)
        self.arrival = -self.tolerance

    def take(self, units, now):
        begin = max(self.arrival, now - self.tolerance)
        self.arrival = max(begin + Fraction(units) / self.rate, now - self.tolerance)
        return max(Fraction(0), self.arrival - now)


@given(st.sampled_from([0.5, 1.0, 4.0, 64.0, 512.0]), SOME, STEPS)
def test_it_is_what_the_reference_model_says(rate, burst, steps):
    clock = FakeClock(start=0.0)
    bucket, model = CapacityBucket(rate, burst=burst, clock=clock), Gcra(rate, burst)
    for name, amount in steps:
        if name == "advance":
            clock.advance(amount)
        elif name == "charge":
            bucket.charge(amount)
            model.take(amount, Fraction(clock.monotonic()))
        else:
            assert bucket.reserve(amount) == model.take(amount, Fraction(clock.monotonic()))


@given(SOME, SOME, STEPS)
def test_what_was_used_is_never_more_than_rate_times_time_and_burst(rate, burst, steps):
    clock = FakeClock(start=0.0)
    limiter = rddb.RateLimiter(rate, burst=burst, clock=clock)
    used = []
    for name, amount in steps:
        if name == "advance":
            clock.advance(amount)
        elif name == "reserve":
            used.append((clock.monotonic() + limiter.reserve(amount), amount))
    assert [at for at, _ in used] == sorted(at for at, _ in used)  # whoever reserved first goes first
    total = 0.0
    for at, units in used:
        total += units
        assert total <= (rate * at + burst) * (1 + 1e-9)


def test_it_is_full_at_the_start_and_holds_one_second_unless_told():
    clock = FakeClock()
    limiter = rddb.RateLimiter(100, clock=clock)
    assert (limiter.units_per_second, limiter.burst) == (100, 100)
    assert limiter.reserve(100) == 0
    assert limiter.reserve(50) == 0.5
    clock.advance(3600)
    assert limiter.reserve(100) == 0  # an hour unused is no reason for more than the burst
    assert limiter.reserve(10) == 0.1
    assert rddb.RateLimiter(100, burst=5).burst == 5


def test_a_clock_that_goes_back_takes_nothing_away():
    class SetBack(FakeClock):
        seconds = 0

        def monotonic(self):
            return super().monotonic() - self.seconds

    clock = SetBack()
    limiter = rddb.RateLimiter(10, clock=clock)
    clock.seconds = 100
    assert limiter.reserve(10) == 0


def test_a_rate_that_changes_counts_from_now():
    clock = FakeClock()
    limiter = rddb.RateLimiter(100, clock=clock)
    limiter.reserve(100)
    clock.advance(0.5)
    limiter.units_per_second = 10
    assert (limiter.units_per_second, limiter.burst) == (10, 10)
    assert limiter.reserve(20) == 1.0  # 50 had come in, of which an unused bucket now holds 10
    with pytest.raises(ValueError, match="units_per_second must be a number greater than 0; got 0"):
        limiter.units_per_second = 0


def test_acquire_waits_and_says_how_long():
    clock = FakeClock()
    limiter = rddb.RateLimiter(8, clock=clock)
    assert limiter.acquire(8) == 0
    assert clock.waits == []
    assert limiter.acquire() == 0.125
    assert asyncio.run(limiter.acquire_async(2)) == 0.25
    assert clock.waits == [0.125, 0.25]


def test_a_deadline_that_comes_first_takes_nothing():
    clock = FakeClock()
    limiter = rddb.RateLimiter(10, clock=clock)
    limiter.acquire(10)
    with rddb.deadline(1.0, clock=clock):
        with pytest.raises(
            rddb.DeadlineExceededError, match="the deadline comes before the next units: none was taken"
        ):
            limiter.acquire(10)
        with pytest.raises(rddb.DeadlineExceededError):
            asyncio.run(limiter.acquire_async(10))
        assert limiter.acquire(5) == 0.5
    assert clock.waits == [0.5]


def test_a_wait_that_is_given_up_gives_its_units_back():
    async def cancelled():
        limiter = rddb.RateLimiter(10, burst=1, clock=Stopped())
        waiting = asyncio.create_task(limiter.acquire_async(1000))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return limiter.reserve(1)

    assert asyncio.run(cancelled()) == 0


def test_an_interrupt_while_it_waits_gives_the_units_back(monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    limiter = rddb.RateLimiter(10, burst=1, clock=Stopped())
    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        limiter.acquire(1000)
    assert limiter.reserve(1) == 0


class Stopped:
    """A clock that stands still."""

    def monotonic(self):
        return 0.0

    def time(self):
        return 0.0

    def wait(self, seconds):
        return seconds


def test_threads_share_it_without_losing_units():
    limiter = rddb.RateLimiter(1000, burst=1, clock=Stopped())
    waits = []

    def take():
        for _ in range(250):
            waits.append(limiter.reserve(1))  # noqa: PERF401 - one by one is the point

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == pytest.approx([n / 1000 for n in range(1000)])


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: rddb.RateLimiter(0), ValueError, "units_per_second must be a number greater than 0; got 0"),
        (lambda: rddb.RateLimiter("5"), TypeError, "units_per_second must be a number greater than 0; got '5'"),
        (lambda: rddb.RateLimiter(5, burst=-1), ValueError, "burst must be a number greater than 0; got -1"),
        (lambda: rddb.RateLimiter(5, clock=time), TypeError, r"clock must be an object with monotonic\(\)"),
        (lambda: rddb.RateLimiter(5).reserve(-1), ValueError, "units must be a number of 0 or more; got -1"),
        (lambda: rddb.RateLimiter(5).acquire(float("inf")), ValueError, "units must be a number of 0 or more; got inf"),
        (lambda: rddb.RateLimiter(5).charge("1"), TypeError, "units must be a number; got '1'"),
        (lambda: rddb.RateLimiter(5).charge(float("nan")), ValueError, "units must be a finite number; got nan"),
        (lambda: as_limiter("rate", -1, FakeClock()), ValueError, "rate must be a number greater than 0; got -1"),
        (lambda: as_limiter("rate", "fast", FakeClock()), TypeError, "rate must be .* or a limiter such as"),
        (lambda: as_limiter("rate", True, FakeClock()), TypeError, "rate must be a number greater than 0; got True"),
    ],
)
def test_what_can_not_be_meant_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_a_rate_is_a_number_or_a_limiter():
    clock = FakeClock()
    shared = rddb.RateLimiter(5, clock=clock)
    assert as_limiter("rate", shared, clock) is shared
    made = as_limiter("rate", 20, clock)
    assert made.reserve(30) == 0.5
    assert repr(shared) == "RateLimiter(5, burst=5)"
