"""Deadlines as blocks and as decorators: what holds where."""

import asyncio
import inspect

import pytest

import resilient_ddb as rddb
from resilient_ddb.policy.deadlines import Stop, current_deadline
from resilient_ddb.testing import FakeClock


def left():
    deadline = current_deadline()
    return None if deadline is None else deadline.remaining()


def test_none_adds_no_limit():
    clock = FakeClock()
    with rddb.deadline(None) as made:
        assert left() is None
        assert made.remaining() == float("inf")
    with rddb.deadline(5, clock=clock), rddb.deadline(None):
        assert left() == 5


def test_no_deadline_lifts_what_is_outside_and_only_within():
    clock = FakeClock()
    with rddb.deadline(5, clock=clock):
        with rddb.no_deadline():
            assert left() is None
            with rddb.deadline(50, clock=clock):
                assert left() == 50
        assert left() == 5


def test_no_deadline_goes_on_being_stopped():
    stop = Stop()
    with stop.watched(), rddb.no_deadline(), rddb.deadline(3):
        assert left() > 0
        stop.is_set = True
        assert left() == 0


def test_stops_nest():
    outer, inner = Stop(), Stop()
    with outer.watched(), inner.watched():
        outer.is_set = True
        assert left() == 0


def test_each_call_of_a_decorated_function_has_a_deadline_of_its_own():
    clock = FakeClock()

    @rddb.deadline(2, clock=clock)
    def work(seconds):
        """Work."""
        clock.advance(seconds)
        return left()

    assert (work(1), work(1.5), left()) == (1, 0.5, None)
    assert (work.__name__, work.__doc__) == ("work", "Work.")


def test_it_decorates_async_functions_and_methods():
    clock = FakeClock()

    class Service:
        @rddb.deadline(2, clock=clock)
        async def work(self, seconds):
            clock.advance(seconds)
            await asyncio.sleep(0)
            return left()

    async def main():
        return await asyncio.gather(Service().work(0), Service().work(0)), left()

    assert asyncio.run(main()) == ([2, 2], None)
    assert inspect.iscoroutinefunction(Service.work)


def test_no_deadline_decorates_too():
    @rddb.no_deadline()
    def work():
        return left()

    with rddb.deadline(2):
        assert work() is None


def test_a_generator_is_not_decorated():
    def numbers():
        yield 1

    async def async_numbers():
        yield 1

    for function in (numbers, async_numbers):
        with pytest.raises(TypeError, match="function must be a function without 'yield'"):
            rddb.deadline(2)(function)


def test_one_block_at_a_time():
    bound = rddb.deadline(2)
    with bound:
        with pytest.raises(RuntimeError, match="make one for each 'with'"), bound:
            pass
        assert left() is not None
    assert left() is None


@pytest.mark.parametrize("seconds", [-1, float("nan"), "2", True])
def test_what_is_no_time_is_refused(seconds):
    with pytest.raises((TypeError, ValueError), match="seconds must be a number of 0 or more"):
        rddb.deadline(seconds)
