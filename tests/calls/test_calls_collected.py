"""What the garbage collector ends: a call, or a writer, that was left. It does so within anything, on any thread."""

import gc
import io
import logging
import threading

import pytest

import resilient_ddb as rddb
from resilient_ddb.events import BudgetEvent, UnprocessedEvent
from resilient_ddb.fallback import Call
from resilient_ddb.fallback.remembered import Remembered
from resilient_ddb.observers.logs import Warnings
from resilient_ddb.testing import FakeClock

LEFT = UnprocessedEvent(table="t", operation="BatchWriteItem", requests=1, code="E")
SPENT = BudgetEvent(table="t", operation="GetItem", call=1, budget="t/read", hot_partition=False)


def made_call(operation, clock, **params):
    return Call(
        operation=operation, params=params, table="t", identity=(), clock=clock, elsewhere=None, began=clock.monotonic()
    )


class Dropped:
    """Something that nobody has any more, and that has something to say as it goes."""

    def __init__(self, say):
        self.itself, self.say = self, say

    def __del__(self):
        self.say()


class CollectingClock(FakeClock):
    """A clock by which something is collected whenever it is read: also under a lock."""

    say = None

    def monotonic(self):
        self._collect()
        return super().monotonic()

    def time(self):
        self._collect()
        return super().time()

    def _collect(self):
        say, self.say = self.say, None
        if say is not None:
            Dropped(say)
            gc.collect(0)
            self.say = say


def the_warnings(clock):
    logger = logging.Logger("of this test")  # noqa: LOG001 - nobody else's
    logger.addHandler(logging.NullHandler())
    warnings = Warnings(logger, clock)
    return lambda: (warnings(LEFT), warnings(SPENT), clock.advance(90), warnings.flush()), lambda: warnings(LEFT)


def the_emf_lines(clock):
    emf = rddb.observers.EmfObserver(namespace="shop", stream=io.StringIO(), clock=clock)
    return lambda: (emf(LEFT), emf(SPENT), emf.flush()), lambda: emf(LEFT)


def a_limiter(clock):
    limiter = rddb.RateLimiter(5, clock=clock)
    return lambda: (limiter.reserve(1), limiter.charge(0)), lambda: limiter.charge(-1)


@pytest.mark.parametrize("make", [the_warnings, the_emf_lines, a_limiter])
def test_what_is_collected_within_a_lock_does_not_wait_for_it(make):
    clock, said = CollectingClock(), []
    use, say = make(clock)
    clock.say = lambda: (say(), said.append(1))
    thread = threading.Thread(target=lambda: [use() for _ in range(5)], daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert len(said) >= 5


@pytest.fixture
def kept_before():
    """The memory of `fallback.stale`, with an answer; that read, and a write that may change it."""
    stale, clock = rddb.fallback.stale(), FakeClock()
    read = made_call("GetItem", clock, TableName="t", Key={"pk": "a"})
    stale.remember(read, {"Item": {"pk": "a"}})
    clock.advance(1)
    other = made_call("GetItem", clock, TableName="t", Key={"pk": "b"})
    return stale, read, other, made_call("PutItem", clock, TableName="t", Item={"pk": "a"})


def test_a_write_that_ends_while_an_answer_is_kept_drops_it(kept_before, monkeypatch):
    stale, read, other, written = kept_before
    keep = Remembered.keep

    def keep_and_collect(answers, *args, **options):
        stale.forget(written)  # as the garbage collector may
        keep(answers, *args, **options)

    monkeypatch.setattr(Remembered, "keep", keep_and_collect)
    stale.remember(read, {"Item": {"pk": "a"}})
    assert stale(read, ValueError()) is None
    stale.remember(other, {"Item": {"pk": "b"}})
    assert stale(other, ValueError()) is not None


def test_what_an_interrupt_has_left_is_dropped_before_anything_is_told(kept_before, monkeypatch):
    stale, read, other, written = kept_before

    def interrupted(*_, **__):
        stale.forget(written)
        raise KeyboardInterrupt

    monkeypatch.setattr(Remembered, "keep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stale.remember(other, {"Item": {"pk": "b"}})
    assert stale(read, ValueError()) is None
