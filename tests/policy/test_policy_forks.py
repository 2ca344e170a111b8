"""What a forked process begins anew with: locks that another thread held, permits, leases."""

import ast
import logging
import os
import threading
from contextlib import ExitStack, contextmanager

import boto3
import botocore.session
import pytest
from fork_support import FORKS, QUIET, in_child
from sdk_support import http_session_of
from shortcut_clients import with_credentials
from unit_support import ROOT, core_of

import resilient_ddb as rddb
from resilient_ddb.calls.circuit import HALF_OPEN, Circuit, HealthSign
from resilient_ddb.calls.pybreaker_storage import make_breaker
from resilient_ddb.fallback import Call
from resilient_ddb.fallback.remembered import Remembered
from resilient_ddb.hooks.host import _HARDENING
from resilient_ddb.lambda_handlers import _KeptLoop
from resilient_ddb.observers.emf import _Sums
from resilient_ddb.observers.logs import Warnings
from resilient_ddb.policy.forks import tell_child
from resilient_ddb.policy.retry import RetryBudget, TokenBucket
from resilient_ddb.sync.together import Calls, together
from resilient_ddb.testing import FakeClock

pytestmark = [FORKS, QUIET]
PACKAGE = ROOT / "resilient_ddb"
ELSEWHERE = ("testing", "cli")
"""Nobody forks with these in hand."""


def circuit(breaker=None, clock=None):
    return Circuit(
        "t/read",
        breaker or rddb.CircuitBreaker(),
        clock or FakeClock(),
        lambda low, _: low,
        lambda *_: None,
        make_breaker,
    )


def client():
    return rddb.client("dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")


def writer():
    return rddb.resource("dynamodb", region_name="eu-west-1").Table("t").batch_writer()


def remember_and_recall(stale):
    call = Call(operation="GetItem", params={}, table="t", identity=(), clock=FakeClock(), elsewhere=None)
    stale.remember(call, {"Item": {"pk": "a"}})
    return stale(call, ValueError()) is not None


async def nothing():
    """Return at once."""


class NeverAsked:
    """A lease table that is not asked."""

    def put_item(self, **_): ...

    query = delete_item = put_item


HOLDERS = {
    "Circuit": (circuit, "_lock", lambda held: held.record(held.admit("GetItem"), HealthSign.SUCCESS, 0.0)),
    "TokenBucket": (lambda: TokenBucket(RetryBudget(), FakeClock()), "_lock", TokenBucket.spend),
    "CapacityBucket": (lambda: rddb.RateLimiter(5), "_lock", lambda held: held.reserve(1)),
    "Stale": (rddb.fallback.stale, "_lock", remember_and_recall),
    "ClientHost": (lambda: core_of(client()).host, "lock", lambda held: held.use_native_values()),
    "_Hardening": (lambda: _HARDENING, "lock", lambda _: core_of(client()) and None),
    "_KeptLoop": (_KeptLoop, "_turn", lambda held: held.run(nothing())),
    "SharedRateLimiter": (
        lambda: rddb.SharedRateLimiter(NeverAsked(), "name", 5),
        "_renewing",
        lambda held: held.close(),
    ),
    "Warnings": (lambda: Warnings(logging.getLogger("test")), "_lock", lambda held: held.flush()),
    "_Sums": (lambda: _Sums("shop", None, FakeClock()), "_lock", lambda held: held.flush()),
    "DynamoDBStorage": (lambda: rddb.storages.dynamodb("circuits"), "_turn", lambda held: held.synchronise()),
    "BatchBuffer": (writer, "_lock", lambda held: held.unprocessed),
    "BatchWriter": (writer, "_turn", lambda held: held.flush()),
}
"""Each class that holds a lock: how to make one, the lock's name, and something that takes it."""
IN_AIO = ("LazyClient", "RefreshLock")
"""Those that `tests/aio/test_aio_fork.py` has."""


def classes_with_locks():
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] in ELSEWHERE:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            calls = (
                [call for call in ast.walk(node) if isinstance(call, ast.Call)] if type(node) is ast.ClassDef else []
            )
            if any(ast.unparse(call.func) in ("threading.Lock", "threading.RLock") for call in calls):
                yield node.name


def test_every_class_that_holds_a_lock_is_tested():
    assert set(classes_with_locks()) - {"SyncHost", *IN_AIO} == set(HOLDERS)


@contextmanager
def held(*locks):
    """Have another thread hold locks meanwhile."""
    taken, over = threading.Event(), threading.Event()

    def hold():
        with ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            taken.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


def held_lock_of(kind, holder):
    _, name, _ = HOLDERS[kind]
    return held(getattr(holder, name))


@pytest.mark.parametrize("kind", HOLDERS)
def test_a_lock_that_another_thread_holds_is_free_in_the_child(kind):
    make, _, use = HOLDERS[kind]
    holder = make()
    with held_lock_of(kind, holder):
        in_child(lambda: use(holder) and None)


def test_a_pools_lock_that_another_thread_holds_is_free_in_the_child():
    made = client()
    manager = http_session_of(made)._manager  # noqa: SLF001 - botocore has no public way
    pool = manager.connection_from_url("http://127.0.0.1:9/")
    with held(manager.pools.lock, pool.pool.mutex):
        in_child(made.close)


def test_credentials_that_another_thread_refreshes_are_refreshed_in_the_child():
    credentials = client_with_role()
    with credentials._refresh_lock:  # noqa: SLF001 - as above
        in_child(lambda: credentials.get_frozen_credentials() and None)


def client_with_role():
    from botocore.credentials import RefreshableCredentials  # noqa: PLC0415 - only here

    told = {"access_key": "x", "secret_key": "y", "token": "z", "expiry_time": "2000-01-01T00:00:00Z"}
    later = {**told, "expiry_time": "2999-01-01T00:00:00Z"}
    credentials = RefreshableCredentials.create_from_metadata(told, lambda: later, "test")
    core = with_credentials(botocore.session.get_session(), credentials)
    session = boto3.Session(botocore_session=core, region_name="eu-west-1")
    credentials.kept = rddb.client("dynamodb", session=session)
    return credentials


def test_the_parents_probes_take_no_permit_from_the_child():
    clock = FakeClock()
    probing = circuit(rddb.CircuitBreaker(minimum_calls=1, open_jitter=0.0, half_open_permits=2), clock)
    probing.record(probing.admit("GetItem"), HealthSign.FAILURE, 0.0)
    clock.advance(2.0)
    permits = [probing.admit("GetItem"), probing.admit("GetItem")]
    with pytest.raises(rddb.CircuitOpenError):
        probing.admit("GetItem")

    def probe():
        assert probing.state == HALF_OPEN
        for permit in permits:  # the parent's say nothing here
            probing.record(permit, HealthSign.FAILURE, 0.0)
        for _ in range(2):
            probing.record(probing.admit("GetItem"), HealthSign.SUCCESS, 0.0)
        return probing.state

    assert in_child(probe) == "closed"
    assert probing.state == HALF_OPEN


def test_one_that_can_not_begin_anew_keeps_no_other_from_it():
    class Holder:
        begun = False

        def __init__(self, can):
            self.can = can
            tell_child(self)

        def _in_child(self):
            if not self.can:
                raise ValueError("this one is wrong")
            self.begun = True

    holders = [Holder(can=number % 2) for number in range(20)]
    assert in_child(lambda: [holder.begun for holder in holders]) == [False, True] * 10


def test_answers_are_remembered_in_the_child():
    stale = rddb.fallback.stale()
    remember_and_recall(stale)
    with held_lock_of("Stale", stale):
        kept, *_ = in_child(stale.memory)
    assert kept == 1


def test_answers_that_were_just_being_kept_are_not_remembered_in_the_child(monkeypatch):
    stale, found = rddb.fallback.stale(), []
    remember_and_recall(stale)
    keep = Remembered.keep

    def keep_in_a_fork(answers, *args, **options):
        keep(answers, *args, **options)
        found.append(in_child(stale.memory))

    monkeypatch.setattr(Remembered, "keep", keep_in_a_fork)
    remember_and_recall(stale)
    assert [kept for kept, *_ in found] == [0]


def test_an_open_circuit_is_open_in_the_child_too():
    clock = FakeClock()
    opened = circuit(rddb.CircuitBreaker(minimum_calls=1, open_jitter=0.0), clock)
    opened.record(opened.admit("GetItem"), HealthSign.FAILURE, 0.0, "InternalServerError")

    def ask():
        with pytest.raises(rddb.CircuitOpenError, match="InternalServerError"):
            opened.admit("GetItem")

    in_child(ask)


def test_calls_on_threads_are_made_in_the_child_too():
    made = client()
    together(made, [int] * 10)  # takes room, and gives it back
    assert in_child(lambda: together(made, [int] * 10)) == [0] * 10


def test_calls_under_way_are_made_anew_in_the_child():
    here, let_go, parent = threading.Event(), threading.Event(), os.getpid()
    calls = Calls()

    def call():
        if os.getpid() == parent:
            here.set()
            let_go.wait()
        return os.getpid()

    calls.begin("a", call)
    here.wait()
    ((key, process),) = in_child(calls.collect)
    assert (key, process != parent) == ("a", True)
    let_go.set()
    assert calls.collect() == [("a", parent)]


def test_what_is_gone_is_not_told():
    told = []

    class Holder:
        def __init__(self, name):
            self.name = name
            tell_child(self)

        def _in_child(self):
            told.append(self.name)

    gone, kept = Holder("gone"), Holder("kept")
    del gone
    assert in_child(lambda: told) == [kept.name]
