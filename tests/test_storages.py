"""Circuits shared by DynamoDB: what one process finds the others learn, by few requests, and no call waits for it."""

from __future__ import annotations

import contextlib
import gc
import logging
import pickle
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import boto3
import pytest
from emulators import CREDENTIALS, REGION
from no_threads import no_threads
from unit_support import SleepingClock, core_of
from wire_stub import WireStub

import resilient_ddb as rddb
from resilient_ddb import storages
from resilient_ddb.calls.circuit import CLOSED, HALF_OPEN, OPEN, Circuit, Forced, HealthSign
from resilient_ddb.calls.pybreaker_storage import make_breaker, shared_storage
from resilient_ddb.testing import FakeClock, FaultProxy

ACCESS = {"region_name": REGION, **CREDENTIALS}
CONDITION_FAILED = (400, {"__type": "x#ConditionalCheckFailedException", "message": "no"})
SHUT = Forced(OPEN, "maintenance")
DOWN = (500, {"__type": "x#InternalServerError", "message": "down"})


class Items:
    """A table of circuits, as DynamoDB serves it, behind a real socket; `down` takes it away."""

    def __init__(self):
        self.items, self.down = {}, False
        self.stub = WireStub(lambda operation, params: DOWN if self.down else getattr(self, operation)(params))

    def __enter__(self):
        self.stub.__enter__()
        return self

    def __exit__(self, *exc_info):
        self.stub.__exit__(*exc_info)

    def PutItem(self, params):  # noqa: N802 - DynamoDB's name
        item = params["Item"]
        kept = self.items.get(item["circuit"]["S"])
        assert params["ConditionExpression"] == "attribute_not_exists(circuit) OR revision = :seen"
        if kept is not None and kept["revision"] != params["ExpressionAttributeValues"][":seen"]:
            return CONDITION_FAILED
        self.items[item["circuit"]["S"]] = item
        return {}

    def GetItem(self, params):  # noqa: N802 - as above
        found = self.items.get(params["Key"]["circuit"]["S"])
        return {} if found is None else {"Item": found}

    def BatchGetItem(self, params):  # noqa: N802 - as above
        [(name, request)] = params["RequestItems"].items()
        assert request["ConsistentRead"] is True
        assert len(request["Keys"]) <= 100
        found = [self.items[key["circuit"]["S"]] for key in request["Keys"] if key["circuit"]["S"] in self.items]
        return {"Responses": {name: found}, "UnprocessedKeys": {}}

    def table(self):
        policy = rddb.Policy(circuit_breaker=None, retry=rddb.Retry(max_attempts=1))
        return rddb.table("t", endpoint_url=self.stub.endpoint_url, policy=policy, **ACCESS)

    def client(self):
        """Return a client that has made a read, its storage, and its clock."""
        clock = FakeClock()
        storage = Unthreaded(self.table(), "", 5.0, clock)
        policy = rddb.Policy(circuit_breaker=rddb.CircuitBreaker(storage=storage), clock=clock)
        client = rddb.client("dynamodb", endpoint_url=self.stub.endpoint_url, policy=policy, **ACCESS)
        client.get_item(TableName="t", Key={"circuit": {"S": "none"}})
        return SimpleNamespace(client=client, storage=storage, clock=clock)

    def count(self, operation=None):
        return len([name for name, _ in self.stub.requests if operation in (None, name)])


class Unthreaded(storages.DynamoDBStorage):
    """What its thread would do is done where a test says."""

    def _start(self):
        pass


class Process:
    """One process: its circuits and their storage; what its thread would do is done where a test says."""

    def __init__(self, items, *names, open_duration=2.0, prefix="", sync_interval=5.0):
        self.clock = FakeClock()
        self.table = items.table()
        self.storage = Unthreaded(self.table, prefix, sync_interval, self.clock)
        self.settings = rddb.CircuitBreaker(
            minimum_calls=1, half_open_permits=1, open_jitter=0, open_duration=open_duration, storage=self.storage
        )
        self.circuits = [self.add(name) for name in names or ["t/read"]]
        self.circuit = self.circuits[0]

    def add(self, name):
        return Circuit(name, self.settings, self.clock, lambda low, _: low, lambda *_: None, make_breaker)

    def sync(self):
        """Do what the thread does, if it was woken."""
        if self.storage.wake.is_set():
            self.storage.wake.clear()
            self.storage.synchronise()
        return self.circuit.state

    def attempt(self, outcome, circuit=None):
        circuit = circuit or self.circuit
        circuit.record(circuit.admit("GetItem"), outcome, 0.0, "E")

    def call(self):
        """Begin a call, synchronise while it is under way, and return the state."""
        with contextlib.suppress(rddb.CircuitOpenError):
            self.circuit.release(self.circuit.admit("GetItem"))
        return self.sync()

    def later(self, seconds=5.0):
        self.clock.advance(seconds)
        return self.call()


@pytest.fixture
def items():
    with Items() as served:
        yield served


@pytest.fixture
def process(items):
    made = []

    def make(*names, **options):
        made.append(Process(items, *names, **options))
        return made[-1]

    yield make
    for one in made:
        one.table.meta.client.close()


def test_an_open_circuit_opens_the_other_process_s_and_closes_it_again(process):
    one, two = process(), process()
    assert [one.call(), two.call()] == [CLOSED, CLOSED]
    one.attempt(HealthSign.FAILURE)
    assert one.sync() == OPEN
    two.clock.advance(5)
    assert two.call() == OPEN
    assert two.circuit.reason == "another process found it so"
    with pytest.raises(rddb.CircuitOpenError):
        two.circuit.admit("GetItem")
    one.clock.advance(2.0)
    probe = one.circuit.admit("GetItem")
    assert one.sync() == HALF_OPEN
    one.circuit.record(probe, HealthSign.SUCCESS, 0.0)
    assert one.sync() == CLOSED
    assert two.later() == CLOSED


def test_a_process_that_starts_later_takes_over_what_is_there_with_its_first_call(process):
    one = process()
    one.attempt(HealthSign.FAILURE)
    one.sync()
    assert process().call() == OPEN


def test_a_circuit_that_goes_by_another_policy_is_shared_no_more(process, items):
    one, two = process("a/read", "b/read"), process("a/read", "b/read")
    two.call()
    two.circuits[1].follow(two.settings.replace(storage=None), two.clock, lambda low, _: low)
    for circuit in one.circuits:
        one.attempt(HealthSign.FAILURE, circuit)
    one.sync()
    two.later()
    assert [circuit.state for circuit in two.circuits] == [OPEN, CLOSED]
    two.attempt(HealthSign.FAILURE, two.circuits[1])
    before = items.count("PutItem")
    two.later()
    assert items.count("PutItem") == before


class PassingOn:
    """A caller's own storage, which passes on to one of the library's."""

    def __init__(self, inner):
        self.inner, self.calls = inner, 0

    @property
    def wake(self):
        return self.inner.wake

    def share(self, circuit):
        call_begins = self.inner.share(circuit)

        def counted():
            self.calls += 1
            call_begins()

        return counted


def passed_on(process, **changed):
    """Make a process's circuit anew, with a storage of its caller's own."""
    process.settings = process.settings.replace(storage=PassingOn(process.storage), **changed)
    process.circuit = process.add("t/read")
    return process


def test_a_caller_s_own_storage_may_pass_on_to_it(process):
    one, two = passed_on(process()), passed_on(process())
    assert [one.call(), two.call()] == [CLOSED, CLOSED]
    assert two.settings.storage.calls == 1
    one.attempt(HealthSign.FAILURE)
    assert one.sync() == OPEN
    assert two.later() == OPEN
    two.circuit.force(SHUT)
    two.sync()
    one.later()
    assert one.circuit.forced == SHUT
    assert one.circuit.facts()["forced_is_shared"]


def test_what_passed_on_to_it_and_goes_by_another_storage_since_is_shared_no_more(process, items):
    one, two = passed_on(process()), process()
    assert one.call() == CLOSED
    one.circuit.follow(one.settings.replace(storage=None), one.clock, lambda low, _: low)
    two.attempt(HealthSign.FAILURE)
    two.sync()
    one.attempt(HealthSign.SUCCESS)
    one.storage.wake.set()
    one.clock.advance(5)
    one.storage.synchronise()
    assert one.circuit.state == CLOSED
    before = items.count("PutItem")
    one.attempt(HealthSign.FAILURE)
    one.storage.synchronise()
    assert items.count("PutItem") == before


def test_what_passes_on_to_it_has_to_have_all_that_is_asked_of_it():
    class WithoutWake:
        def share(self, circuit):
            pass

    class Later(WithoutWake):
        wake = threading.Event()

        async def share(self, circuit):
            pass

    class NoMethod(Later):
        share = True

    class NoStorage:
        def get(self, name):
            pass

    says = {WithoutWake: "the wake of storage must be", Later: "plain share", NoMethod: "share", NoStorage: "callable"}
    for cls, words in says.items():
        with pytest.raises(TypeError, match=words):
            rddb.CircuitBreaker(storage=cls())


def test_a_function_that_returns_it_is_told_what_to_do(items):
    circuit = Circuit(
        "t/read",
        rddb.CircuitBreaker(storage=lambda name: storages.DynamoDBStorage(items.table(), "", 5.0, FakeClock())),
        FakeClock(),
        lambda low, _: low,
        lambda *_: None,
        lambda circuit: None,
    )
    with pytest.raises(TypeError, match=r"must be .*dynamodb\(.t.\) itself, and no function"):
        shared_storage(circuit)


def test_what_a_process_does_not_hear_while_it_is_frozen_it_asks_for_as_it_thaws(process):
    frozen, other = process(), process()
    frozen.clock = frozen.storage._clock = frozen.circuit.clock = SleepingClock()  # noqa: SLF001 - as it is made
    assert frozen.call() == CLOSED
    other.circuit.force(SHUT)
    other.sync()
    frozen.clock.slept = 5.0
    frozen.call()
    assert frozen.circuit.standing == OPEN


def test_circuits_of_different_names_do_not_share(process, items):
    one = process("a/read", "a/write")
    one.attempt(HealthSign.FAILURE)
    one.sync()
    other = process("a/write")
    assert other.call() == CLOSED
    assert set(items.items) == {"a/read"}
    assert one.circuits[1].state == CLOSED


def test_a_prefix_tells_apart(process, items):
    one, other = process(prefix="eu:"), process(prefix="us:")
    one.attempt(HealthSign.FAILURE)
    one.sync()
    assert other.call() == CLOSED
    assert set(items.items) == {"eu:t/read"}


def test_it_reads_once_an_interval_and_writes_once_a_change(process, items):
    one = process(*(f"t{number}/read" for number in range(20)))
    for _ in range(50):
        one.call()
    assert (items.count("BatchGetItem"), items.count()) == (1, 1)
    one.clock.advance(5)
    for _ in range(50):
        one.call()
    assert items.count() == 2
    one.attempt(HealthSign.FAILURE)
    for _ in range(10):
        one.sync()
        one.call()
    assert (items.count("PutItem"), items.count()) == (1, 3)


def test_more_circuits_than_a_request_takes(process, items):
    one = process(*(f"t{number}/read" for number in range(130)))
    one.call()
    assert items.count("BatchGetItem") == 2


def test_nothing_is_sent_between_calls(process, items):
    one = process()
    one.call()
    one.clock.advance(1_000)
    one.sync()
    assert items.count() == 1


def test_nothing_is_sent_on_the_path_of_calls(process, items):
    one = process()
    for outcome in (HealthSign.SUCCESS, HealthSign.NEITHER, HealthSign.FAILURE):
        one.attempt(outcome)
    with pytest.raises(rddb.CircuitOpenError):
        one.circuit.admit("GetItem")
    assert items.count() == 0


def test_a_table_that_does_not_answer_neither_opens_nor_closes_a_circuit_and_is_logged_once(process, items, caplog):
    one = process()
    one.attempt(HealthSign.FAILURE)
    one.sync()
    items.down = True
    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        for _ in range(3):
            one.clock.advance(5)
            one.circuit.enter(OPEN)
            one.storage.wake.set()
            one.sync()
    assert one.circuit.state == OPEN
    said = [record for record in caplog.records if "can't be shared" in record.getMessage()]
    assert len(said) == 1


def test_a_change_that_could_not_be_written_is_with_a_later_call(process, items):
    one = process(open_duration=100)
    one.call()
    items.down = True
    one.attempt(HealthSign.FAILURE)
    assert one.sync() == OPEN
    asked = items.count()
    for _ in range(20):
        one.call()
    assert items.count() == asked  # not with each call
    items.down = False
    one.later()
    assert items.items["t/read"]["state"] == {"S": OPEN}


def test_a_table_that_forgot_everything_does_not_close_a_circuit(process, items):
    one = process(open_duration=100)
    one.attempt(HealthSign.FAILURE)
    one.sync()
    items.items.clear()
    one.later()
    one.later()
    assert one.circuit.state == OPEN
    assert items.items["t/read"]["state"] == {"S": OPEN}


def test_of_two_changes_at_once_the_later_stands_and_both_know(process, items):
    one, two = process(), process()
    one.call(), two.call()
    one.attempt(HealthSign.FAILURE)
    two.attempt(HealthSign.FAILURE)
    assert [one.sync(), two.sync()] == [OPEN, OPEN]
    assert items.items["t/read"]["revision"] == {"N": "1"}  # the same was there
    one.clock.advance(2)
    one.attempt(HealthSign.SUCCESS)
    one.sync()
    assert (items.items["t/read"]["state"], items.items["t/read"]["revision"]) == ({"S": CLOSED}, {"N": "2"})


def test_a_change_that_comes_while_the_table_is_read_is_still_written(process, items):
    one = process()
    answer = items.BatchGetItem

    def change_meanwhile(params):
        one.attempt(HealthSign.FAILURE)
        return answer(params)

    items.BatchGetItem = change_meanwhile
    items.items["t/read"] = {"circuit": {"S": "t/read"}, "state": {"S": CLOSED}, "revision": {"N": "7"}}
    one.call()
    items.BatchGetItem = answer
    one.sync()
    assert one.circuit.state == OPEN
    assert items.items["t/read"]["state"] == {"S": OPEN}
    assert items.items["t/read"]["revision"] == {"N": "8"}


def test_what_is_forced_in_one_process_is_forced_in_all_until_one_releases_it(process, items):
    one, two = process(), process()
    assert [one.call(), two.call()] == [CLOSED, CLOSED]
    one.circuit.force(SHUT)
    one.sync()
    assert "expires_at" not in items.items["t/read"]
    two.later()
    assert (two.circuit.forced, two.circuit.facts()["forced_is_shared"]) == (SHUT, True)
    assert process().later() == CLOSED  # what attempts say is another matter
    two.circuit.force(None)
    two.sync()
    one.later()
    assert one.circuit.forced is None
    assert "expires_at" in items.items["t/read"]
    assert items.count("PutItem") == 2


@pytest.mark.parametrize("kept", [{}, {"state": {"S": CLOSED}, "revision": {"N": "7"}}])
def test_what_a_person_writes_into_the_item_holds_and_can_be_released_by_a_process(process, items, kept):
    """As docs/circuit-breaker.rst has it done from a console, by `ADD revision :one`."""
    one, two = process(), process()
    if kept:
        items.items["t/read"] = {"circuit": {"S": "t/read"}, **kept}
    one.call(), two.call()
    revision = {"N": str(int(kept["revision"]["N"]) + 1 if kept else 1)}
    by_hand = {"forced": {"S": OPEN}, "reason": {"S": "maintenance"}, "revision": revision}
    items.items["t/read"] = {"circuit": {"S": "t/read"}, **kept, **by_hand}
    one.later(), two.later()
    assert (one.circuit.forced, two.circuit.forced) == (SHUT, SHUT)
    two.circuit.force(None)
    two.sync(), one.later()
    assert (one.circuit.forced, "forced" in items.items["t/read"]) == (None, False)


def test_a_decision_and_a_change_that_come_at_once_are_both_kept(process, items):
    one, two = process(), process()
    one.call(), two.call()
    one.circuit.force(SHUT)
    two.attempt(HealthSign.FAILURE)
    one.sync(), two.sync()
    kept = items.items["t/read"]
    assert (kept["state"], kept["forced"], kept["reason"]) == ({"S": OPEN}, {"S": OPEN}, {"S": "maintenance"})
    two.later()
    one.later()
    assert (two.circuit.forced, one.circuit.forced) == (SHUT, SHUT)
    one.circuit.force(None)
    one.sync()
    assert one.later() == OPEN


def test_what_another_process_has_forced_holds_for_the_client_s_new_circuits_too(items):
    one, two = items.client(), items.client()
    rddb.circuits(one.client)["t/read"].force_open("maintenance")
    one.storage.synchronise()
    with pytest.raises(KeyError):
        rddb.circuits(two.client)["t/write"]
    two.storage.synchronise()
    handle = rddb.circuits(two.client)["t/read"]
    assert (handle.state, handle.reason, handle.forced) == (OPEN, "maintenance", True)
    assert core_of(two.client).forced == {"t/read": SHUT}
    handle.release()
    two.storage.synchronise()
    one.clock.advance(5)
    one.storage.synchronise()
    assert rddb.circuits(one.client)["t/read"].state == CLOSED
    one.client.close(), two.client.close()


def test_each_item_expires(process, items):
    one = process()
    one.attempt(HealthSign.FAILURE)
    one.sync()
    assert int(items.items["t/read"]["expires_at"]["N"]) == int(one.clock.time()) + 86_400


def test_its_thread_works_for_real_clients_and_goes_with_the_storage(items):
    others = set(threading.enumerate())
    storage = storages.dynamodb(items.table())
    breaker = rddb.CircuitBreaker(minimum_calls=2, storage=storage, open_duration=60)
    seen = threading.Event()
    answer = items.PutItem

    def put(params):
        seen.set()
        return answer(params)

    items.PutItem = put
    with WireStub(lambda *_: DOWN) as stub:
        policy = rddb.Policy(circuit_breaker=breaker, retry=rddb.Retry(max_attempts=1))
        client = rddb.client("dynamodb", endpoint_url=stub.endpoint_url, policy=policy, **ACCESS)
        for _ in range(2):
            with pytest.raises(client.exceptions.InternalServerError):
                client.get_item(TableName="t", Key={"pk": {"S": "a"}})
        assert seen.wait(30)
        client.close()
    [thread] = [each for each in threading.enumerate() if each.name == "resilient_ddb circuits" and each not in others]
    del storage, breaker, policy, client
    end = time.monotonic() + 30
    while thread.is_alive() and time.monotonic() < end:  # as long as it writes, it holds the circuit
        gc.collect()
        thread.join(0.05)
    assert not thread.is_alive()


PROGRAM = """
import sys, time
import resilient_ddb as rddb
circuits, dead = sys.argv[1:]
own = rddb.table("{name}", endpoint_url=circuits, policy=rddb.Policy(circuit_breaker=None))
breaker = rddb.CircuitBreaker(minimum_calls=3, open_duration=60, storage=rddb.storages.dynamodb(own, sync_interval=0.2))
policy = rddb.Policy(circuit_breaker=breaker, retry=rddb.Retry(max_attempts=1), timeouts=rddb.Timeouts(connect=0.2))
orders = rddb.table("orders", endpoint_url=dead, policy=policy)
for line in sys.stdin:
    try:
        orders.get_item(Key={{"pk": "a"}})
    except Exception as error:
        print(type(error).__name__, flush=True)
"""


def test_two_processes_learn_of_each_other_s_outage(dynamodb_local, table_name):
    resource = boto3.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url, **ACCESS)
    table = storages.create_table(resource, table_name)
    program = PROGRAM.format(name=table_name)
    with FaultProxy(dynamodb_local.endpoint_url) as proxy:  # it counts
        command = [sys.executable, "-c", program, proxy.endpoint_url, "http://127.0.0.1:9"]
        calls = []
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}

        def call(process):
            calls.append(process)
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as two:  # noqa: S603 - our own
            assert call(two) == "EndpointConnectionError"
            assert [call(one) for _ in range(3)] == ["EndpointConnectionError"] * 3
            assert call(one) == "CircuitOpenError"
            for _ in range(600):
                if table.scan(ConsistentRead=True)["Items"]:
                    break
            heard = [call(two)]
            while heard[-1] != "CircuitOpenError" and len(heard) < 3:
                threading.Event().wait(0.3)
                heard.append(call(two))
            one.stdin.close(), two.stdin.close()
    [item] = table.scan()["Items"]
    table.delete()
    assert heard[-1] == "CircuitOpenError"
    assert (item["circuit"], item["state"]) == ("orders/read", "open")
    reads, writes = proxy.count("BatchGetItem") + proxy.count("GetItem"), proxy.count("PutItem")
    print(f"for circuits: {reads} reads and {writes} writes, of {len(calls)} calls in two processes")  # noqa: T201 - to be read
    assert 2 <= reads <= len(calls)  # each call begins one at most
    assert 1 <= writes <= (1 if len(heard) < 3 else 2)  # the changes; what was heard is not written again


def test_calls_go_on_where_no_thread_can_be_started_and_it_is_tried_again(items, caplog):
    clock = FakeClock()
    storage = storages.DynamoDBStorage(items.table(), "", 5.0, clock)
    policy = rddb.Policy(circuit_breaker=rddb.CircuitBreaker(storage=storage), clock=clock)
    client = rddb.client("dynamodb", endpoint_url=items.stub.endpoint_url, policy=policy, **ACCESS)

    def call():
        client.get_item(TableName="t", Key={"circuit": {"S": "none"}})

    with no_threads():
        call()
        clock.advance(5.0)
        call()
    assert caplog.text.count("circuits can't be shared by DynamoDB for the moment") == 1
    asked = threading.Event()
    items.stub.answer = lambda operation, params: (asked.set(), getattr(items, operation)(params))[1]
    call()
    clock.advance(5.0)
    assert items.count("BatchGetItem") == 0
    call()
    assert asked.wait(20)


# What is refused.


def test_a_table_whose_client_has_circuits_is_refused(items):
    with pytest.raises(ValueError, match="table must be of a client without circuit breakers"):
        storages.dynamodb(rddb.table("t", endpoint_url=items.stub.endpoint_url, **ACCESS))
    storages.dynamodb(boto3.resource("dynamodb", **ACCESS).Table("t"))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"table": ""}, ValueError),
        ({"table": None}, TypeError),
        ({"table": "t", "sync_interval": 0}, ValueError),
        ({"table": "t", "prefix": 5}, TypeError),
        ({"table": "t", "clock": 5}, TypeError),
    ],
)
def test_what_can_not_be_meant_is_refused(arguments, error):
    with pytest.raises(error, match=list(arguments)[-1]):
        storages.dynamodb(**arguments)


def test_it_can_be_pickled_and_seen():
    storage = pickle.loads(pickle.dumps(storages.dynamodb("circuits", prefix="eu:")))  # noqa: S301 - its own
    assert repr(storage) == "resilient_ddb.storages.dynamodb('circuits')"
    _, arguments = storage.__reduce__()
    assert arguments[:2] == ("circuits", "eu:")
    assert rddb.Policy(circuit_breaker=rddb.CircuitBreaker(storage=storage)).circuit_breaker.storage is storage
