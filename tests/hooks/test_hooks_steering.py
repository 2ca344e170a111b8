"""Circuits in a person's hand: what is forced holds, for new circuits and under another policy, and is told."""

from __future__ import annotations

import pickle

import boto3
import pytest
from emulators import CREDENTIALS, REGION
from operator_support import KEY, Server, recorded
from unit_support import GET, PUT, call, good, make_core

import resilient_ddb as rddb
from resilient_ddb.calls.circuit import CLOSED, HALF_OPEN, OPEN, Circuit, Forced, HealthSign
from resilient_ddb.calls.pybreaker_storage import make_breaker
from resilient_ddb.events import CircuitEvent
from resilient_ddb.testing import FakeClock

ONE = rddb.Retry(max_attempts=1)
SHUT = Forced(OPEN, "maintenance")


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def side(request, server):
    made = server.side(request.param, rddb.Policy(clock=FakeClock(), retry=ONE))
    yield made
    made.close()


def test_a_circuit_that_is_forced_open_sends_nothing(side, server):
    rddb.circuits(side.table)["write"].force_open("maintenance until 4")
    errors = side.many("put_item", 500, Item=KEY)
    rddb.set_policy(side.table, rddb.Policy(clock=FakeClock(), retry=ONE, circuit_breaker=None))
    errors += side.many("put_item", 500, Item=KEY)
    assert len(errors) == 1_000
    assert {type(error) for error in errors} == {rddb.CircuitOpenError}
    assert server.count() == 0
    error = errors[0]
    assert (error.forced, error.state, error.reason, error.retry_after) == (True, OPEN, "maintenance until 4", 0.0)
    assert "circuit 't/write' is forced open: maintenance until 4" in str(error)
    assert pickle.loads(pickle.dumps(error)).forced  # noqa: S301 - its own
    side.call("get_item", Key=KEY)
    assert server.count() == 1
    rddb.circuits(side.table)["write"].release()
    side.call("put_item", Item=KEY)
    assert server.count() == 2


def test_a_circuit_that_is_forced_closed_lets_every_call_through(side, server):
    server.down = True
    rddb.circuits(side.table)["t/read"].force_closed("it is needed")
    errors = side.many("get_item", 120, Key=KEY)
    assert rddb.CircuitOpenError not in {type(error) for error in errors}
    assert server.count() == 120
    handle = rddb.circuits(side.table)["read"]
    assert (handle.state, handle.forced, handle.reason) == (CLOSED, True, "it is needed")
    handle.release()
    errors = side.many("get_item", 120, Key=KEY)
    assert [type(error) for error in errors].index(rddb.CircuitOpenError) == 50
    assert (handle.state, handle.forced) == (OPEN, False)
    assert handle.reason.startswith("50 of 50 attempts failed")


@pytest.mark.parametrize("breaker", [rddb.CircuitBreaker(minimum_calls=2), None], ids=["another", "none"])
def test_another_policy_leaves_a_forced_circuit_so(server, breaker):
    client = rddb.client("dynamodb", endpoint_url=server.stub.endpoint_url, region_name=REGION, **CREDENTIALS)
    client.get_item(TableName="t", Key={"pk": {"S": "a"}})
    rddb.circuits(client)["t/read"].force_open("maintenance")
    rddb.harden(client, policy=rddb.Policy(circuit_breaker=breaker))
    with pytest.raises(rddb.CircuitOpenError, match="maintenance"):
        client.get_item(TableName="t", Key={"pk": {"S": "a"}})
    rddb.circuits(client)["t/read"].release()
    client.get_item(TableName="t", Key={"pk": {"S": "a"}})
    assert server.count() == 2
    client.close()


def test_views_of_a_client_and_a_resource_share_what_is_forced(server):
    made = rddb.resource("dynamodb", endpoint_url=server.stub.endpoint_url, region_name=REGION, **CREDENTIALS)
    with_ttl = made.Table("t", ttl="expires")
    others = (made.Table("t").versioned(), made.Table("t").sharded(2, by="sk"), made.Table("t").batch_writer())
    for number, target in enumerate((with_ttl, *others)):
        rddb.circuits(target)["write"].force_open(f"number {number}")
        with pytest.raises(rddb.CircuitOpenError, match=f"number {number}"):
            made.Table("t").put_item(Item=KEY)
        rddb.circuits(made)["t/write"].release()
    assert server.count() == 0
    made.meta.client.close()


def test_an_unknown_name_says_which_there_are(side):
    there = rddb.circuits(side.table)
    assert list(there) == ["t/read", "t/write", "t/control"]
    assert len(there) == 3
    assert "orders/read" not in there
    with pytest.raises(KeyError, match="no circuit is named 'wirte': there are 't/read', 't/write', 't/control'"):
        there["wirte"]
    assert "t/read: closed" in repr(there)


def test_a_client_knows_the_circuits_that_had_a_call_or_are_forced(server):
    made = rddb.resource("dynamodb", endpoint_url=server.stub.endpoint_url, region_name=REGION, **CREDENTIALS)
    with pytest.raises(KeyError, match="no circuit is named 't/read': there is none yet; one that has had no call"):
        rddb.circuits(made)["t/read"]
    made.Table("t").get_item(Key=KEY)
    rddb.circuits(made.Table("u"))["write"].force_open("not yet")
    assert list(rddb.circuits(made.meta.client)) == ["t/read", "u/write"]
    made.meta.client.close()


@pytest.mark.parametrize(
    ("target", "named"),
    [
        (lambda: boto3.client("dynamodb", region_name=REGION, **CREDENTIALS), "a DynamoDB"),
        (lambda: boto3.resource("dynamodb", region_name=REGION, **CREDENTIALS).Table("t"), "a dynamodb.Table"),
        (lambda: rddb.Policy, "the class Policy"),
        (lambda: None, "a NoneType"),
        (lambda: "orders", "a str"),
    ],
)
def test_what_is_not_hardened_is_refused_with_how(target, named):
    with pytest.raises(TypeError, match=f"circuits takes a hardened .*; got {named}: harden it first"):
        rddb.circuits(target())


@pytest.mark.parametrize(("reason", "error"), [("", ValueError), (" ", ValueError), (None, TypeError), (5, TypeError)])
def test_a_reason_is_asked_for(side, reason, error):
    with pytest.raises(error, match="reason must"):
        rddb.circuits(side.table)["read"].force_open(reason)
    with pytest.raises(error, match="reason must"):
        rddb.circuits(side.table)["read"].force_closed(reason)


def test_what_is_forced_is_told(server):
    told = recorded()
    side = server.side("sync", rddb.Policy(observers=[told.observe]))
    side.call("get_item", Key=KEY)
    handle = rddb.circuits(side.table)["read"]
    handle.force_open("maintenance")
    handle.force_open("maintenance")
    handle.release()
    changes = [event for event in told.events if isinstance(event, CircuitEvent)]
    assert [(event.old_state, event.new_state, event.reason, event.forced) for event in changes] == [
        ("closed", "open", "maintenance", True),
        ("open", "closed", "released", False),
    ]
    side.close()


def test_a_circuit_that_is_made_anew_is_forced():
    core = make_core()
    core.force("t/read", SHUT)
    assert isinstance(call(core, *GET, [good()]).error, rddb.CircuitOpenError)
    for number in range(2_000):  # so many that the first has no room any more
        core.lane("GetItem", {"TableName": f"t-{number}"})
    assert "t/read" not in core.circuits
    assert isinstance(call(core, *GET, [good()]).error, rddb.CircuitOpenError)
    assert call(core, *PUT, [good()]).error is None
    assert core.with_ttl(None).lane(*GET).circuit.forced == SHUT


# The circuit itself.


def made_circuit(clock, **settings):
    said = []
    circuit = Circuit(
        "t/read",
        rddb.CircuitBreaker(open_jitter=0, **settings),
        clock,
        lambda low, high: low,
        lambda _, *change: said.append(change),
        make_breaker,
    )
    circuit.said = said
    return circuit


def test_attempts_that_were_under_way_say_nothing_of_a_circuit_that_was_forced_meanwhile():
    circuit = made_circuit(FakeClock(), minimum_calls=1)
    permit = circuit.admit("GetItem")
    circuit.force(Forced(CLOSED, "needed"))
    circuit.record(permit, HealthSign.FAILURE, 0.0, "E")
    while_forced = circuit.admit("GetItem")
    circuit.force(None)
    circuit.record(while_forced, HealthSign.FAILURE, 0.0, "E")
    assert (circuit.standing, circuit.facts()["calls"]) == (CLOSED, 0)


def test_while_a_circuit_is_forced_closed_its_window_goes_on():
    circuit = made_circuit(FakeClock(), minimum_calls=2)
    circuit.force(Forced(CLOSED, "needed"))
    for _ in range(5):
        circuit.record(circuit.admit("GetItem"), HealthSign.FAILURE, 0.0, "E")
    assert circuit.facts() == {
        "name": "t/read",
        "state": CLOSED,
        "reason": "needed",
        "forced": True,
        "forced_is_shared": False,
        "calls": 5,
        "failures": 5,
        "retry_after": None,
    }


@pytest.mark.parametrize("forced", [Forced(CLOSED, "needed"), SHUT])
def test_a_circuit_that_is_released_goes_on_from_the_state_that_it_had_come_to(forced):
    clock = FakeClock()
    circuit = made_circuit(clock, minimum_calls=1, open_duration=2)
    circuit.record(circuit.admit("GetItem"), HealthSign.FAILURE, 0.0, "E")
    circuit.force(forced)
    circuit.adopt(CLOSED, "another process found it so")
    circuit.force(None)
    assert circuit.standing == OPEN
    clock.advance(2)
    circuit.admit("GetItem")
    assert circuit.standing == HALF_OPEN
    circuit.force(forced)
    circuit.force(None)
    for _ in range(3):
        circuit.record(circuit.admit("GetItem"), HealthSign.SUCCESS, 0.0)
    assert circuit.standing == CLOSED


def test_an_open_circuit_says_when_it_is_tried():
    clock = FakeClock()
    circuit = made_circuit(clock, minimum_calls=1, open_duration=2)
    circuit.record(circuit.admit("GetItem"), HealthSign.FAILURE, 0.0, "E")
    clock.advance(0.5)
    facts = circuit.facts()
    assert (facts["state"], facts["retry_after"], facts["forced"]) == (OPEN, 1.5, False)
    assert facts["reason"] == "1 of 1 attempts failed within 10 s, the last with E"
