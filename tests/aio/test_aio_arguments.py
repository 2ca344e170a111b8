"""Functions that nobody would await are refused where they are given, in whatever form they are async."""

from functools import partial

import pytest

import resilient_ddb as rddb
from resilient_ddb.policy.checks import is_async
from resilient_ddb.policy.clock import SYSTEM_CLOCK
from resilient_ddb.sharding import RANDOM


async def function(*_):
    """Be async."""


async def async_generator(*_):
    yield


def generator(*_):
    yield


class WithCall:
    async def __call__(self, *_):
        """Be async."""


class WithMethod:
    async def told(self, *_):
        """Be async."""


ASYNC = {
    "a function": function,
    "a part of one": partial(function, 1),
    "an object": WithCall(),
    "a part of an object": partial(WithCall(), 1),
    "a method": WithMethod().told,
}


GENERATORS = [generator, async_generator, partial(generator, 1)]


class Clock:
    monotonic = staticmethod(SYSTEM_CLOCK.monotonic)
    time = staticmethod(SYSTEM_CLOCK.time)


class Chance:
    """Draws nothing by itself."""


class Limiter:
    def reserve(self, units):
        return 0.0

    def charge(self, units):
        """Do nothing."""


def made(cls, **methods):
    one = cls()
    one.__dict__.update(methods)
    return one


PLACES = {
    "observers": lambda given: rddb.Policy(observers=[given]),
    "wait": lambda given: rddb.Retry(wait=given),
    "stop": lambda given: rddb.Retry(stop=given),
    "storage": lambda given: rddb.CircuitBreaker(storage=given),
    "a listener's method": lambda given: rddb.CircuitBreaker(listeners=[made(Chance, state_change=given)]),
    "a clock's method": lambda given: rddb.Policy(clock=made(Clock, wait=given)),
    "a limiter's clock": lambda given: rddb.RateLimiter(1, clock=made(Clock, wait=given)),
    "random": lambda given: rddb.Policy(random=made(Chance, uniform=given)),
    "a rate": lambda given: table().batch_writer(write_units_per_second=made(Limiter, reserve=given)),
    "a rate of reads": lambda given: table().get_items([], read_units_per_second=made(Limiter, charge=given)),
    "shards": lambda given: table().sharded(given, by=RANDOM),
    "on_unprocessed": lambda given: table().batch_writer(on_unprocessed=given),
    "on_unprocessed of a sharded table": lambda given: table().sharded(2, by=RANDOM).batch_writer(on_unprocessed=given),
    "on_page": lambda given: table().parallel_scan(on_page=given),
    "change": lambda given: table().versioned().modify({"pk": "a"}, given),
}


FUNCTIONS = ["observers", "wait", "stop", "storage", "shards", "on_unprocessed", "on_page", "change"]


def table():
    return rddb.table("t", region_name="eu-west-1", endpoint_url="http://127.0.0.1:9")


@pytest.mark.parametrize("form", ASYNC)
@pytest.mark.parametrize("place", PLACES)
def test_what_nobody_would_await_is_refused_at_the_door(place, form):
    with pytest.raises(TypeError, match="async"):
        PLACES[place](ASYNC[form])


@pytest.mark.parametrize("given", GENERATORS)
@pytest.mark.parametrize("place", FUNCTIONS)
def test_a_generator_which_nobody_would_run_is_refused_too(place, given):
    with pytest.raises(TypeError, match="yield"):
        PLACES[place](given)


@pytest.mark.parametrize("plain", [print, lambda: 1, partial(print), Limiter().reserve, Limiter, None, 1])
def test_what_is_plain_is_not_taken_for_async(plain):
    assert not is_async(plain)
