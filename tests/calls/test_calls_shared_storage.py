"""A circuit's state shared through Redis, off the path of calls."""

from __future__ import annotations

import logging
import threading
import weakref

import pybreaker
import pytest
from cycle_support import collected_afterwards
from no_threads import no_threads

from resilient_ddb.calls import pybreaker_storage
from resilient_ddb.calls.circuit import CLOSED, HALF_OPEN, OPEN, Circuit, Forced, HealthSign
from resilient_ddb.calls.pybreaker_storage import make_breaker, shared_storage, synchronise
from resilient_ddb.errors import CircuitOpenError
from resilient_ddb.policy.circuit_breaker import CircuitBreaker
from resilient_ddb.testing import FakeClock

fakeredis = pytest.importorskip("fakeredis")
redis = pytest.importorskip("redis")


class CountingRedis(fakeredis.FakeStrictRedis):
    """Counts the commands that are sent, and is cut off where told."""

    commands = 0
    down = False

    def execute_command(self, *args, **options):
        type(self).commands += 1
        if type(self).down:
            raise redis.ConnectionError("down")
        return super().execute_command(*args, **options)

    def transaction(self, *args, **options):
        type(self).commands += 1
        if type(self).down:
            raise redis.ConnectionError("down")
        return super().transaction(*args, **options)


@pytest.fixture
def server():
    CountingRedis.commands, CountingRedis.down = 0, False
    yield fakeredis.FakeServer()
    CountingRedis.down = False


def factory_form(server):
    return lambda name: pybreaker.CircuitRedisStorage(CLOSED, CountingRedis(server=server), namespace=name)


def instance_form(server):
    return pybreaker.CircuitRedisStorage(CLOSED, CountingRedis(server=server), namespace="app")


def kept(server):
    """Return the states that there are in Redis, by namespace."""
    found = fakeredis.FakeStrictRedis(server=server)
    keys = found.scan_iter("*state")
    return {key.decode().removesuffix("pybreaker:state"): found.get(key).decode() for key in keys}


FORMS = pytest.mark.parametrize("form", [factory_form, instance_form])


class Process:
    """One process: a circuit, its storage, and the synchronising that its thread would do."""

    def __init__(self, storage, monkeypatch, name="t/read"):
        monkeypatch.setattr(pybreaker_storage, "_start_synchronising", lambda *_: None, make_breaker)
        self.clock = FakeClock()
        settings = CircuitBreaker(minimum_calls=1, half_open_permits=1, storage=storage)
        self.circuit = Circuit(name, settings, self.clock, lambda low, _: low, lambda *_: None, make_breaker)
        self.shared = shared_storage(self.circuit)
        self.pushed = CLOSED

    def sync(self):
        self.pushed = synchronise(self.circuit, self.shared, self.pushed)
        return self.circuit.state

    def attempt(self, outcome):
        self.circuit.record(self.circuit.admit("GetItem"), outcome, 0.0, "E")


@FORMS
def test_an_open_circuit_opens_the_other_process_s_and_closes_it_again(form, server, monkeypatch):
    one, two = Process(form(server), monkeypatch), Process(form(server), monkeypatch)
    assert [one.sync(), two.sync()] == [CLOSED, CLOSED]
    one.attempt(HealthSign.FAILURE)
    assert [one.sync(), two.sync()] == [OPEN, OPEN]
    assert two.circuit.reason == "another process found it so"
    with pytest.raises(CircuitOpenError):
        two.circuit.admit("GetItem")
    one.clock.advance(2.0)
    probe = one.circuit.admit("GetItem")
    assert [one.sync(), two.sync()] == [HALF_OPEN, OPEN]
    one.circuit.record(probe, HealthSign.SUCCESS, 0.0)
    assert [one.sync(), two.sync()] == [CLOSED, CLOSED]
    two.circuit.admit("GetItem")


@FORMS
def test_a_process_that_starts_later_takes_over_what_is_there(form, server, monkeypatch):
    one = Process(form(server), monkeypatch)
    one.attempt(HealthSign.FAILURE)
    one.sync()
    assert Process(form(server), monkeypatch).sync() == OPEN


@FORMS
def test_circuits_of_different_names_do_not_share(form, server, monkeypatch):
    storage = form(server)
    one, other = Process(storage, monkeypatch, "a/read"), Process(storage, monkeypatch, "a/write")
    one.attempt(HealthSign.FAILURE)
    assert [one.sync(), other.sync()] == [OPEN, CLOSED]


def test_one_storage_instance_is_given_a_namespace_for_each_circuit(server, monkeypatch):
    given = instance_form(server)
    process = Process(given, monkeypatch)
    process.shared.state = OPEN
    assert given.state == CLOSED
    assert kept(server) == {"app:": CLOSED, "app:t/read:": OPEN}
    bare = pybreaker.CircuitRedisStorage(CLOSED, CountingRedis(server=server))
    Process(bare, monkeypatch).shared.state = OPEN
    assert kept(server) == {"app:": CLOSED, "app:t/read:": OPEN, "": CLOSED, "t/read:": OPEN}


@FORMS
def test_no_redis_command_is_sent_on_the_path_of_calls(form, server, monkeypatch):
    process = Process(form(server), monkeypatch)
    process.sync()
    CountingRedis.commands = 0
    for outcome in (HealthSign.SUCCESS, HealthSign.NEITHER, HealthSign.FAILURE):
        process.attempt(outcome)
    with pytest.raises(CircuitOpenError):
        process.circuit.admit("GetItem")
    process.clock.advance(2.0)
    process.attempt(HealthSign.SUCCESS)
    process.circuit.release(process.circuit.admit("GetItem"))
    assert process.circuit.state == CLOSED
    assert CountingRedis.commands == 0
    process.sync()
    assert CountingRedis.commands > 0


def test_a_change_is_written_with_the_time_of_opening(server, monkeypatch):
    process = Process(instance_form(server), monkeypatch)
    assert process.shared.opened_at is None
    process.attempt(HealthSign.FAILURE)
    process.sync()
    assert process.shared.opened_at is not None


@FORMS
def test_a_redis_that_is_gone_neither_opens_nor_closes_a_circuit(form, server, monkeypatch):
    process = Process(form(server), monkeypatch)
    process.sync()
    process.attempt(HealthSign.FAILURE)
    process.sync()
    CountingRedis.down = True
    assert process.sync() == OPEN
    CountingRedis.down = False
    assert process.sync() == OPEN


@FORMS
def test_a_redis_that_forgot_everything_does_not_close_a_circuit(form, server, monkeypatch):
    process = Process(form(server), monkeypatch)
    process.attempt(HealthSign.FAILURE)
    process.sync()
    CountingRedis(server=server).flushall()
    assert process.sync() == OPEN
    assert process.shared.state == OPEN


class SharesForced(pybreaker.CircuitMemoryStorage):
    """A storage that shares what a person decides, too."""

    kept: list[tuple[str, str] | None]

    def read_forced(self):
        return self.kept[-1]

    def write_forced(self, forced):
        self.kept.append(forced)


def test_a_storage_that_can_shares_what_a_person_decides():
    kept = [None]
    one, two = SharesForced(CLOSED), SharesForced(CLOSED)
    one.kept = two.kept = kept
    mine, theirs = (
        Circuit("t/read", CircuitBreaker(), FakeClock(), max, lambda *_: None, make_breaker) for _ in range(2)
    )
    shut = Forced(OPEN, "maintenance")
    mine.force(shut)
    agreed = pybreaker_storage.synchronise_forced(mine, one, None)
    assert kept[1:] == [("open", "maintenance")]
    heard = pybreaker_storage.synchronise_forced(theirs, two, None)
    assert (theirs.forced, heard, theirs.facts()["forced_is_shared"]) == (shut, shut, True)
    theirs.force(None)
    pybreaker_storage.synchronise_forced(theirs, two, heard)
    assert kept[2:] == [None]
    assert pybreaker_storage.synchronise_forced(mine, one, agreed) is None
    assert mine.forced is None


def test_a_storage_that_can_t_leaves_it_to_the_client():
    circuit = Circuit("t/read", CircuitBreaker(), FakeClock(), max, lambda *_: None, make_breaker)
    circuit.force(Forced(OPEN, "maintenance"))
    assert pybreaker_storage.synchronise_forced(circuit, pybreaker.CircuitMemoryStorage(CLOSED), None) is None
    assert circuit.facts()["forced_is_shared"] is False


def test_memory_storage_is_a_value_and_each_circuit_has_its_own(monkeypatch):
    storage = pybreaker.CircuitMemoryStorage(CLOSED)
    one, two = Process(storage, monkeypatch, "a/read"), Process(storage, monkeypatch, "b/read")
    one.attempt(HealthSign.FAILURE)
    assert [one.sync(), two.sync()] == [OPEN, CLOSED]
    assert storage.state == CLOSED


class BrokenStorage(pybreaker.CircuitBreakerStorage):
    def __init__(self):
        super().__init__("broken")
        self.asked = threading.Semaphore(0)
        self.mended = False

    @property
    def state(self):
        self.asked.release()
        if self.mended:
            return CLOSED
        raise RuntimeError("broken")

    @state.setter
    def state(self, state):
        self.asked.release()
        if not self.mended:
            raise RuntimeError("broken")


def test_a_storage_that_raises_is_logged_and_calls_go_on(caplog):
    storage = BrokenStorage()
    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        settings = CircuitBreaker(minimum_calls=1, storage=lambda _: storage, sync_interval=0.001)
        circuit = Circuit("t/read", settings, FakeClock(), lambda low, _: low, lambda *_: None, make_breaker)
        assert storage.asked.acquire(timeout=10)
        assert storage.asked.acquire(timeout=10)  # it goes on trying
        circuit.record(circuit.admit("GetItem"), HealthSign.FAILURE, 0.0)
        assert circuit.state == OPEN
    assert "circuit t/read: its shared storage failed" in caplog.text
    storage.mended = True  # the thread is quiet from now on


def test_a_circuit_whose_thread_can_not_be_started_is_there_for_this_process(caplog):
    settings = CircuitBreaker(minimum_calls=1, storage=lambda name: pybreaker.CircuitMemoryStorage(CLOSED))
    with no_threads():
        circuit = Circuit("t/read", settings, FakeClock(), lambda low, _: low, lambda *_: None, make_breaker)
    circuit.record(circuit.admit("GetItem"), HealthSign.FAILURE, 0.0)
    assert circuit.state == OPEN
    assert "circuit t/read is not shared: its thread can't be started" in caplog.text


def test_a_factory_that_raises_is_asked_again(caplog):
    asked, mended = threading.Semaphore(0), threading.Event()

    def factory(name):
        asked.release()
        if mended.is_set():
            return pybreaker.CircuitMemoryStorage(CLOSED)
        raise OSError(name)

    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        circuit = Circuit(
            "c", CircuitBreaker(storage=factory, sync_interval=0.001), FakeClock(), max, lambda *_: None, make_breaker
        )
        assert asked.acquire(timeout=10)
        assert asked.acquire(timeout=10)
        assert circuit.state == CLOSED
        mended.set()  # the thread is quiet from now on


def test_a_change_that_comes_while_the_storage_is_read_is_still_written(monkeypatch):
    class Watched(pybreaker.CircuitMemoryStorage):
        @property
        def state(self):
            if meanwhile:
                meanwhile.pop()()
            return self._state

        @state.setter
        def state(self, state):
            self._state = state

    meanwhile = []
    process = Process(lambda _: Watched(CLOSED), monkeypatch)
    meanwhile.append(lambda: process.attempt(HealthSign.FAILURE))
    assert process.sync() == OPEN
    assert process.shared.state == CLOSED
    process.sync()
    assert (process.circuit.state, process.shared.state) == (OPEN, OPEN)


def test_the_thread_pushes_a_change_at_once_and_ends_with_its_circuit():
    states = []
    changed = threading.Event()

    class Recording(pybreaker.CircuitMemoryStorage):
        state = property(
            lambda self: self._state,
            lambda self, state: (states.append(state), setattr(self, "_state", state), changed.set()),
        )

    settings = CircuitBreaker(minimum_calls=1, storage=lambda _: Recording(CLOSED), sync_interval=0.2)
    before = set(threading.enumerate())
    with collected_afterwards():
        circuit = Circuit("c", settings, FakeClock(), lambda low, _: low, lambda *_: None, make_breaker)
        [thread] = set(threading.enumerate()) - before
        circuit.record(circuit.admit("GetItem"), HealthSign.FAILURE, 0.0)
        assert changed.wait(10)
        assert states == [OPEN]
        assert thread.daemon
        gone = weakref.ref(circuit)
        del circuit
    thread.join(10)
    assert not thread.is_alive()
    assert gone() is None
