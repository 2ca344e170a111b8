"""What a client keeps for each table is bounded, whatever names it meets."""

import pytest
from unit_support import ComparedClock, ComparedListener, make_core

import resilient_ddb as rddb
from resilient_ddb.calls import core as core_module
from resilient_ddb.calls.circuit import Forced, HealthSign

ROOM = 5


@pytest.fixture
def core(monkeypatch):
    monkeypatch.setattr(core_module, "_MOST_LANES", ROOM)
    monkeypatch.setattr(core_module, "_MOST_KNOWN", ROOM)
    return make_core()


def lane(core, name, operation="GetItem"):
    return core.lane(operation, {"TableName": name})


def test_the_oldest_lanes_go(core):
    for number in range(1_000):
        lane(core, f"t-{number}")
    assert list(core.circuits) == [f"t-{number}/read" for number in range(1_000 - ROOM, 1_000)]
    assert lane(core, "t-999") is lane(core, "t-999")


def test_an_open_circuit_stays_as_long_as_there_are_others(core):
    opened = lane(core, "down")
    opened.circuit.adopt("open", "another process found it so")
    for number in range(100):
        lane(core, f"t-{number}")
    assert lane(core, "down") is opened
    assert len(core.circuits) == ROOM


def test_where_all_are_open_the_oldest_goes(core):
    for number in range(100):
        lane(core, f"t-{number}").circuit.adopt("open", "an outage")
    assert len(core.circuits) == ROOM


def test_a_call_that_is_under_way_ends_in_its_own_lane(core):
    used = lane(core, "t")
    permit = used.circuit.admit("GetItem")
    for number in range(100):
        lane(core, f"t-{number}")
    used.circuit.record(permit, HealthSign.SUCCESS, 0.0)
    assert lane(core, "t") is not used


@pytest.mark.parametrize("decided", [None, Forced("closed", "it is well")])
def test_what_is_decided_while_a_lane_is_made_holds(core, decided):
    class Asked(type(core.forced)):
        def get(self, name):
            found = super().get(name)
            if found is not None and found is not decided:
                core.force(name, decided)  # another thread, just before this one has held it
            return found

    core.forced = Asked()
    core.force("t/read", Forced("open", "maintenance"))
    assert lane(core, "t").circuit.forced == decided


def of_own_policy(core, policy):
    return core.with_policy(policy, "t").lane("GetItem", {"TableName": "t"})


def test_lanes_go_by_what_can_not_be_hashed(core):
    clock, listener = ComparedClock(), ComparedListener()

    def policy(clock, listener, **more):
        return rddb.Policy(clock=clock, circuit_breaker=rddb.CircuitBreaker(listeners=[listener]), **more)

    kept = of_own_policy(core, policy(clock, listener))
    assert of_own_policy(core, policy(clock, listener, fallback=lambda call, error: None)) is kept
    assert of_own_policy(core, policy(ComparedClock(), listener)) is not kept
    assert of_own_policy(core, policy(clock, ComparedListener())) is not kept
    assert of_own_policy(core, rddb.Policy(clock=clock)) is of_own_policy(core, rddb.Policy(clock=clock))


def taken_away(lane, *names):
    """Return what takes parts of a lane away as it is used, as another thread's `set_policy` may."""

    class Part:
        settings = rddb.CircuitBreaker()
        standing = "open"

        def act(self, *_):
            for name in names:
                setattr(lane, name, None)

        force = earn = act

        @property
        def record(self):
            self.act()
            return self.act

    return Part()


def test_a_circuit_that_another_thread_takes_away_fails_no_call(core):
    used = lane(core, "t")
    used.circuit = taken_away(used, "circuit")
    used.record(0, None, 0.0, "")
    used.circuit = taken_away(used, "circuit")
    used.hold(Forced("open", "maintenance"))
    used.budget = used.hot_budget = taken_away(used, "budget", "hot_budget")
    used.earn({})


def test_a_lane_that_is_made_while_another_policy_is_set_goes_by_it(core, monkeypatch):
    policy = core.policy.replace(circuit_breaker=rddb.CircuitBreaker(minimum_calls=7), retry_budget=None)
    make = core_module.Lane

    def slow(*args):
        made = make(*args)
        core.set_policy(policy)
        return made

    monkeypatch.setattr(core_module, "Lane", slow)
    made = lane(core, "t")
    assert (made.circuit.settings.minimum_calls, made.budget) == (7, None)


def test_views_share_the_bound(core):
    view = core.with_ttl(None)
    for number in range(100):
        lane(view, f"t-{number}")
    assert view.circuits == core.circuits
    assert len(core.circuits) == ROOM


def test_what_was_learnt_of_tables_is_bounded(core):
    for number in range(1_000):
        core.known["Table", f"t-{number}"] = number
        core.known.setdefault(("a warning", (f"t-{number}",)), number)
    assert len(core.known) <= ROOM
    assert core.known["Table", "t-999"] == 999
    core.known["Table", "t-999"] = 0
    assert core.known["Table", "t-999"] == 0


@pytest.mark.parametrize("keep", [lambda known: known.__setitem__("new", 1), lambda known: known.setdefault("new", 1)])
def test_another_thread_that_learns_something_meanwhile_is_no_matter(core, keep):
    class Raced(core_module.Known):
        is_raced = False

        def __iter__(self):
            found = super().__iter__()
            if not self.is_raced:
                self.is_raced = True
                dict.__setitem__(self, "another's", 1)  # between the look and the first step
            return found

    known = Raced()
    for number in range(ROOM):
        known[number] = number
    keep(known)
    assert known.is_raced
    assert "new" in known
    assert len(known) == ROOM
