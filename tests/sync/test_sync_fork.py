"""Tables and clients that were used before a process was forked: child and parent each get their own answers."""

import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3
import pybreaker
import pytest
from botocore.exceptions import EndpointConnectionError
from emulators import REGION
from fork_support import FORKS, ITEM, QUIET, VERBS, VERSIONED, Relay, in_child, public, self_signed

import resilient_ddb as rddb

pytestmark = [FORKS, QUIET]
KINDS = {
    "table": lambda table: table,
    "ttl table": lambda table: table,
    "sharded": lambda table: table.sharded(2, by="sk"),
    "versioned": lambda table: table.versioned(),
}
OWN = {
    "sharded": {
        "put_item",
        "get_item",
        "update_item",
        "delete_item",
        "query",
        "query_items",
        "query_many",
        "query_many_items",
    }
    | {"batch_writer", "reshard"},
    "versioned": {"put_item", "update_item", "delete_item", "modify"},
}


def verbs():
    dynamodb = rddb.resource("dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    for kind, wrap in KINDS.items():
        table = wrap(dynamodb.Table("t"))
        names = public(table)
        if kind in OWN:
            names = {name for name in vars(type(table)) if name in names}
        yield from (pytest.param(kind, name, id=f"{kind}-{name}") for name in sorted(names))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("certificate") / "certificate.pem")


@pytest.fixture
def relay(dynamodb_local):
    with Relay(dynamodb_local.endpoint_url) as running:
        yield running


@pytest.fixture(scope="module")
def name(dynamodb_local):
    client = boto3.client("dynamodb", endpoint_url=dynamodb_local.endpoint_url)
    keys = {"pk": "HASH", "sk": "RANGE"}
    name = f"fork-{uuid.uuid4().hex}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": role} for key, role in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    yield name
    client.delete_table(TableName=name)
    client.close()


def done(kind, table, verb):
    """Call a verb, and read what it gives to its end."""
    args, params = (VERSIONED if kind == "versioned" else VERBS).get(verb) or VERBS[verb]
    try:
        result = getattr(table, verb)(*args, **params)
    except rddb.VersionConflictError:
        return  # an answer as well
    if verb == "batch_writer":
        with result as batch:
            batch.put_item(Item=ITEM)
    elif result is not None and not isinstance(result, dict | rddb.sharding.ReshardReport):
        list(result)


@pytest.mark.parametrize(("kind", "verb"), list(verbs()))
def test_a_verb_in_the_child_goes_by_connections_of_its_own(kind, verb, relay, name, hardened):
    plain = hardened(relay.endpoint_url).Table(name, ttl="expires_at" if kind == "ttl table" else None)
    plain.put_item(Item=ITEM)
    table = KINDS[kind](plain)
    done(kind, table, verb)
    before, sent = set(relay.requests), len(relay.requests)
    in_child(lambda: done(kind, table, verb))
    ours = set(relay.requests[sent:])
    assert ours
    assert not ours & before
    sent = len(relay.requests)
    plain.get_item(Key=ITEM)
    assert set(relay.requests[sent:]) <= before  # the parent's are as good as they were


def test_a_low_level_client_and_a_hardened_one_go_by_connections_of_their_own(relay, name, plain):
    installed = rddb.harden(plain(relay.endpoint_url).meta.client)
    made = rddb.client("dynamodb", endpoint_url=relay.endpoint_url)
    for client in (installed, made):
        client.describe_table(TableName=name)
        before, sent = set(relay.requests), len(relay.requests)
        in_child(lambda client=client: client.describe_table(TableName=name) and None)
        assert len(relay.requests) == sent + 1
        assert relay.requests[-1] not in before
    made.close()


def test_a_replicas_connections_are_not_shared_either(relay, name, hardened, dynamodb_local):
    fallback = rddb.fallback.replica(REGION, endpoint_url=relay.endpoint_url)
    policy = rddb.Policy(retry=rddb.Retry(max_attempts=1), fallback=fallback, circuit_breaker=None)
    table = hardened("http://127.0.0.1:9", policy).Table(name)
    table.get_item(Key=ITEM)
    before, sent = set(relay.requests), len(relay.requests)
    in_child(lambda: table.get_item(Key=ITEM) and None)
    assert len(relay.requests) == sent + 1
    assert relay.requests[-1] not in before


@pytest.mark.parametrize("workers", [1, 3])
def test_what_a_writer_holds_is_written_by_the_parent_only(workers, relay, name, hardened):
    table = hardened(relay.endpoint_url).Table(name)

    def write():
        with batch:  # goes on in the child as it would in the parent
            left = list(batch.unprocessed)
            batch.put_item(Item={"pk": f"child-{workers}", "sk": "b"})
        return left

    with table.batch_writer(max_workers=workers) as batch:
        batch.put_item(Item={"pk": f"parent-{workers}", "sk": "b"})
        assert in_child(write) == []
        written = {item["pk"] for item in table.scan(ConsistentRead=True)["Items"]}
        assert (f"child-{workers}" in written, f"parent-{workers}" in written) == (True, False)
        assert batch.unprocessed == [{"PutRequest": {"Item": {"pk": f"parent-{workers}", "sk": "b"}}}]
    assert "Item" in table.get_item(Key={"pk": f"parent-{workers}", "sk": "b"}, ConsistentRead=True)


def test_a_scan_that_was_begun_goes_on_in_the_child(relay, name, hardened):
    table = hardened(relay.endpoint_url).Table(name)
    with table.batch_writer() as batch:
        for number in range(40):
            batch.put_item(Item={"pk": f"scanned-{number}", "sk": "b"})
    expected = sorted(item["pk"] for item in table.scan_items(ConsistentRead=True))
    scan = table.parallel_scan(4, ConsistentRead=True, Limit=3)
    begun = [next(scan)["pk"] for _ in range(2)]
    assert sorted(begun + in_child(lambda: [item["pk"] for item in scan])) == expected
    assert sorted(begun + [item["pk"] for item in scan]) == expected


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_parents_open_calls_get_their_answers(scheme, dynamodb_local, name, hardened, certificate, opened):
    relay = opened.enter_context(Relay(dynamodb_local.endpoint_url, certificate if scheme == "https" else None))
    table = hardened(relay.endpoint_url, verify=str(certificate)).Table(name)
    for key in "abcd":
        table.put_item(Item={"pk": key, "sk": "b"})
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: table.get_item(Key=ITEM), range(8)))
        before, sent = set(relay.requests), len(relay.requests)
        relay.hold()
        calls = [threads.submit(table.get_item, Key={"pk": key, "sk": "b"}) for key in "abc"]
        while len(relay.requests) < sent + 3:
            time.sleep(0.001)
        item = in_child(lambda: table.get_item(Key={"pk": "d", "sk": "b"})["Item"])
        again = in_child(lambda: table.get_item(Key={"pk": "d", "sk": "b"})["Item"])
        relay.let_go()
        found = [call.result()["Item"]["pk"] for call in calls]
    assert (item["pk"], again["pk"], found) == ("d", "d", ["a", "b", "c"])
    sent = len(relay.requests)
    assert table.get_item(Key=ITEM)["Item"] == ITEM
    assert set(relay.requests[sent:]) <= before | set(relay.requests[:sent])
    assert {how for _, how in relay.ended} <= {"end"}


def test_a_child_that_ends_as_python_ends_leaves_the_parents_connections(relay, name):
    """Finalizers run then, which `os._exit` leaves out."""
    program = f"""
import os, sys
import resilient_ddb as rddb
table = rddb.table({name!r}, endpoint_url={relay.endpoint_url!r})
table.get_item(Key={ITEM!r})
child = os.fork()
if child == 0:
    table.get_item(Key={ITEM!r})
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
table.get_item(Key={ITEM!r})
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)  # noqa: S603 - our own
    first, second, third = relay.requests
    assert first == third != second


def test_a_circuit_with_a_shared_storage_goes_on_sharing(tmp_path, hardened, opened):
    shared = tmp_path / "state"

    class FileStorage(pybreaker.CircuitMemoryStorage):
        @property
        def state(self):
            return shared.read_text() if shared.exists() else "closed"

        @state.setter
        def state(self, state):
            shared.with_suffix(".new").write_text(state)
            shared.with_suffix(".new").rename(shared)  # whoever reads meanwhile finds the old or the new one

    breaker = rddb.CircuitBreaker(
        storage=lambda _: FileStorage("closed"), sync_interval=0.01, minimum_calls=2, open_duration=60.0
    )
    policy = rddb.Policy(retry=rddb.Retry(max_attempts=1), circuit_breaker=breaker)
    table = hardened("http://127.0.0.1:9", policy).Table("t")

    def call():
        with pytest.raises((rddb.CircuitOpenError, EndpointConnectionError)) as caught:
            table.get_item(Key=ITEM)
        return caught.type.__name__

    def fail():
        codes = [call() for _ in range(3)]
        while not shared.exists() or shared.read_text() != "open":
            time.sleep(0.001)
        return codes

    assert call() == "EndpointConnectionError"
    assert in_child(fail) == ["EndpointConnectionError", "EndpointConnectionError", "CircuitOpenError"]
    while call() != "CircuitOpenError":  # the parent hears of it
        time.sleep(0.001)
