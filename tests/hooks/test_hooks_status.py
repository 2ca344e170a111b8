"""The state of a client, as a value: what it tells, that it is of one moment, and that nothing is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import botocore.session
import pybreaker
import pytest
from botocore.exceptions import ClientError
from emulators import CREDENTIALS, REGION
from operator_support import KEY, Server
from unit_support import GET, call, failed, make_core

import resilient_ddb as rddb
from resilient_ddb.calls.circuit import Circuit, HealthSign
from resilient_ddb.calls.pybreaker_storage import make_breaker
from resilient_ddb.testing import FakeClock

ONE = rddb.Retry(max_attempts=1)


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def rim(request):
    return request.param


def test_it_tells_of_an_outage(rim, server):
    clock = FakeClock()
    policy = rddb.Policy(clock=clock, retry=ONE, circuit_breaker=rddb.CircuitBreaker(minimum_calls=4, open_jitter=0))
    side = server.side(rim, policy)
    side.call("get_item", Key=KEY)
    server.down = True
    side.many("get_item", 10, Key=KEY)
    asked = server.count()
    state = rddb.status(side.table)
    assert state.policy is policy
    [circuit] = state.circuits
    assert (circuit.name, circuit.state, circuit.forced, circuit.retry_after) == ("t/read", "open", False, 2.0)
    assert circuit.reason == "3 of 4 attempts failed within 10 s, the last with InternalServerError"
    [budget] = state.budgets
    assert (budget.name, budget.tokens) == ("t/read", budget.capacity)
    assert state.last_errors["transient"].code == "InternalServerError"
    assert state.last_errors["transient"].time == clock.time()
    assert (state.writer, state.stale) == (None, ())
    if state.fast_path is not None:  # the async client's loop has ended, and the client with it
        assert (state.fast_path.is_on, state.fast_path.reason, state.fast_path.taken > 0) == (True, None, True)
    assert server.count() == asked
    side.close()


def test_it_goes_through_json(server, rim):
    side = server.side(rim, rddb.Policy(observers=[print], fallback=rddb.fallback.stale(60)))
    side.call("get_item", Key=KEY)
    rddb.circuits(side.table)["write"].force_open("maintenance")
    side.many("put_item", 1, Item=KEY)
    told = json.loads(json.dumps(rddb.status(side.table).as_dict(), allow_nan=False))
    assert told["policy"]["retry"]["max_attempts"] == 10
    assert told["policy"]["observers"] == ["print"]
    assert [(one["name"], one["state"], one["forced"]) for one in told["circuits"]] == [
        ("t/read", "closed", False),
        ("t/write", "open", True),
    ]
    assert told["stale"][0]["answers"] == 1
    assert 0 < told["stale"][0]["size"] < told["stale"][0]["max_bytes"]
    side.close()


def test_a_module_level_table_may_be_asked_before_it_is_open(server):
    policy = rddb.Policy(retry=ONE)
    side = server.side("async", policy)
    rddb.circuits(side.table)["write"].force_open("not yet")
    state = rddb.status(side.table)
    assert (state.policy, state.connections, state.budgets, state.last_errors) == (policy, None, (), {})
    assert [(circuit.name, circuit.state, circuit.reason) for circuit in state.circuits] == [
        ("t/write", "open", "not yet")
    ]
    json.dumps(state.as_dict())
    assert server.count() == 0


def test_a_circuit_that_is_held_before_its_first_call_is_told(rim, server):
    side = server.side(rim, rddb.Policy(retry=ONE))
    side.call("get_item", Key=KEY)
    rddb.circuits(side.table)["write"].force_open("maintenance")
    rddb.circuits(side.table)["control"].force_closed("needed")
    for target in (side.table, side.table.meta.client):
        assert told_of(target) == [
            ("t/control", "closed", "needed"),
            ("t/read", "closed", ""),
            ("t/write", "open", "maintenance"),
        ]
    held = rddb.status(side.table).circuits[2]
    assert (held.forced, held.forced_is_shared, held.calls, held.failures, held.retry_after) == (
        True,
        False,
        0,
        0,
        None,
    )
    side.many("put_item", 1, Item=KEY)
    assert len(told_of(side.table)) == 3
    rddb.circuits(side.table)["control"].release()
    assert [name for name, *_ in told_of(side.table)] == ["t/read", "t/write"]
    side.close()


@pytest.fixture
def resource(rim, server):
    arguments = {"endpoint_url": server.stub.endpoint_url, "region_name": REGION, **CREDENTIALS}
    if rim == "sync":
        made = rddb.resource("dynamodb", **arguments, policy=OPENS_AT_ONCE)
        yield made
        made.meta.client.close()
    else:
        pytest.importorskip("aiobotocore")
        from resilient_ddb import aio  # noqa: PLC0415 - there are runs without aiobotocore

        yield aio.resource("dynamodb", **arguments, policy=OPENS_AT_ONCE)


OPENS_AT_ONCE = rddb.Policy(
    clock=FakeClock(), retry=ONE, circuit_breaker=rddb.CircuitBreaker(minimum_calls=1, open_jitter=0)
)


def test_a_client_tells_of_tables_with_a_policy_of_their_own(rim, server, resource):
    table, own = resource.Table("t"), resource.Table("t", policy=OPENS_AT_ONCE.replace(retry_budget=None))
    other = resource.Table("u", policy=OPENS_AT_ONCE)
    get(rim, table)
    server.down = True
    get(rim, own, other)
    opened = "1 of 1 attempts failed within 10 s, the last with InternalServerError"
    for target in (resource, resource.meta.client):
        state = rddb.status(target)
        assert [(one.name, one.state, one.own_policy) for one in state.circuits] == [
            ("t/read", "closed", False),
            ("t/read", "open", True),
            ("u/read", "open", True),
        ]
        assert [(one.name, one.own_policy) for one in state.budgets] == [("t/read", False), ("u/read", True)]
        handle = rddb.circuits(target)["t/read"]
        assert (handle.state, handle.reason) == ("open", opened)
        assert list(rddb.circuits(target)) == ["t/read", "u/read"]
    assert told_of(table) == [("t/read", "closed", "")]
    assert told_of(own) == [("t/read", "open", opened)]
    assert (rddb.circuits(table)["read"].state, rddb.circuits(own)["read"].state) == ("closed", "open")
    rddb.circuits(resource)["u/read"].force_closed("needed")
    assert told_of(other) == [("u/read", "closed", "needed")]


def test_a_table_with_a_policy_of_its_own_tells_of_no_other_that_is_held(rim, resource):
    own, other = (resource.Table(name, policy=OPENS_AT_ONCE) for name in ("t", "u"))
    rddb.circuits(own)["write"].force_open("maintenance")
    assert told_of(own) == told_of(resource) == [("t/write", "open", "maintenance")]
    assert told_of(other) == []
    get(rim, other)  # an async client is open from here on
    assert told_of(own) == [("t/write", "open", "maintenance")]
    assert told_of(other) == [("u/read", "closed", "")]
    assert len(told_of(resource)) == 2
    assert [one.own_policy for one in rddb.status(own).circuits] == [True]


def told_of(target):
    return [(one.name, one.state, one.reason) for one in rddb.status(target).circuits]


def get(rim, *tables):
    """Get an item of each table, and pass over errors."""

    async def all_of_them():
        for table in tables:
            with contextlib.suppress(rddb.ResilienceError, ClientError):
                await table.get_item(Key=KEY)

    if rim == "async":
        asyncio.run(all_of_them())
        return
    for table in tables:
        with contextlib.suppress(rddb.ResilienceError, ClientError):
            table.get_item(Key=KEY)


def test_connections_of_a_sync_client(server):
    ready, go = threading.Event(), threading.Event()

    def wait(operation, params):
        ready.set()
        go.wait(30)
        return {}

    side = server.side("sync")
    assert rddb.status(side.table).connections == connections(0, 0)
    side.call("get_item", Key=KEY)
    assert rddb.status(side.table).connections == connections(0, 1)
    server.answer = wait
    with ThreadPoolExecutor(1) as pool:
        pool.submit(side.call, "get_item", Key=KEY)
        ready.wait(30)
        assert rddb.status(side.table).connections == connections(1, 0)
        go.set()
    assert rddb.status(side.table).connections == connections(0, 1)
    side.close()


async def test_connections_of_an_async_client(server):
    ready, go = threading.Event(), threading.Event()

    def wait(operation, params):
        ready.set()
        go.wait(30)
        return {}

    side = server.side("async")
    await side.table.get_item(Key=KEY)
    assert rddb.status(side.table).connections == connections(0, 1)
    server.answer = wait
    under_way = asyncio.create_task(ask(side))
    await asyncio.to_thread(ready.wait, 30)
    assert rddb.status(side.table).connections == connections(1, 0)
    go.set()
    await under_way
    assert rddb.status(side.table).connections == connections(0, 1)
    await side.table.close()


async def ask(side):
    return await side.table.get_item(Key=KEY)


def connections(in_use, idle):
    from resilient_ddb.hooks.status import ConnectionStatus  # noqa: PLC0415 - only here

    return ConnectionStatus(in_use=in_use, idle=idle)


def test_a_writer_tells_its_rate_and_how_far_it_was_lowered(server):
    clock = FakeClock()
    side = server.side("sync", rddb.Policy(clock=clock))
    throttled = [True]

    def answer(operation, params):
        if throttled and throttled.pop():
            return {"UnprocessedItems": params["RequestItems"]}
        return {"UnprocessedItems": {}}

    server.answer = answer
    writer = side.table.batch_writer(write_units_per_second=100)
    before = rddb.status(writer).writer
    assert (before.rate, before.stated_rate, before.lowered_by, before.waiting) == (None, None, 0.0, 0)
    with writer:
        for number in range(30):
            writer.put_item(Item={"pk": str(number)})
        during = rddb.status(writer).writer
    assert (during.stated_rate, during.waiting) == (100.0, 5)
    assert during.rate < 100
    assert during.lowered_by == pytest.approx(1 - during.rate / 100)
    assert rddb.status(side.table.sharded(2, by="sk").batch_writer()).writer is not None
    json.dumps(rddb.status(writer).as_dict())
    side.close()


@pytest.mark.parametrize(
    "make",
    [lambda: None, lambda: "orders", rddb.Policy, lambda: boto3.client("dynamodb", region_name=REGION, **CREDENTIALS)],
)
def test_what_is_not_hardened_is_refused_with_how(make):
    with pytest.raises(TypeError, match=r"status takes a hardened .*: harden it first, by resilient_ddb.harden"):
        rddb.status(make())


def aio_session():
    pytest.importorskip("aiobotocore")
    from aiobotocore.session import get_session  # noqa: PLC0415 - there are runs without aiobotocore

    return rddb.aio.harden(get_session())


@pytest.mark.parametrize("ask", [rddb.status, rddb.circuits])
@pytest.mark.parametrize(
    "make", [lambda: rddb.harden(boto3.Session()), lambda: rddb.harden(botocore.session.get_session()), aio_session]
)
def test_a_session_is_said_to_have_no_circuits_of_its_own(ask, make):
    session = make()
    with pytest.raises(TypeError, match=f"got a {type(session).__name__}: a Session has no circuits of its own"):
        ask(session)


def test_the_last_error_of_each_kind_is_kept():
    core = make_core(retry=ONE)
    call(core, *GET, [failed("ThrottlingException")])
    core.clock.advance(5)
    call(core, *GET, [failed("ValidationException")])
    call(core.with_ttl(None), *GET, [TimeoutError()])
    assert {kind.value: code for kind, (code, _) in core.last_errors.items()} == {
        "throttling": "ThrottlingException",
        "permanent": "ValidationException",
        "transient": "TimeoutError",
    }
    assert core.last_errors["permanent"][1] - core.last_errors["throttling"][1] == 5


def test_it_is_of_one_moment_while_32_threads_are_at_work():
    """While a circuit opens, is probed and closes, each look fits together."""
    clock = FakeClock()
    settings = rddb.CircuitBreaker(minimum_calls=2, open_duration=1, open_jitter=0, half_open_permits=1)
    circuit = Circuit("t/read", settings, clock, lambda low, high: low, lambda *_: None, make_breaker)
    done = threading.Event()
    looks = []

    def work(number):
        for turn in range(150):
            try:
                permit = circuit.admit("GetItem")
            except rddb.CircuitOpenError:
                clock.advance(0.5)
                continue
            circuit.record(permit, HealthSign.FAILURE if (turn + number) % 3 else HealthSign.SUCCESS, 0.0, "E")

    def look():
        while not done.is_set():
            looks.append(circuit.facts())

    watcher = threading.Thread(target=look)
    watcher.start()
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(work, range(32)))
    done.set()
    watcher.join()
    assert {facts["state"] for facts in looks} >= {"open"} or len(looks) < 50
    for facts in looks:
        assert 0 <= facts["failures"] <= facts["calls"] <= 100
        assert (facts["retry_after"] is not None) == (facts["state"] == "open")
        assert (facts["reason"] == "") == (facts["state"] == "closed")


def test_a_listener_that_takes_its_time_is_not_waited_for():
    held, go = threading.Event(), threading.Event()

    class Slow(pybreaker.CircuitBreakerListener):
        def success(self, cb):
            held.set()
            go.wait(30)

    settings = rddb.CircuitBreaker(listeners=[Slow()])
    circuit = Circuit("t/read", settings, FakeClock(), lambda low, high: low, lambda *_: None, make_breaker)
    permit = circuit.admit("GetItem")
    holder = threading.Thread(target=circuit.record, args=(permit, HealthSign.SUCCESS, 0.0))
    holder.start()
    assert held.wait(30)
    assert circuit.facts()["state"] == "closed"
    assert holder.is_alive()
    go.set()
    holder.join()
