"""Many first calls at once describe their table once."""

import threading
import time

import pytest
from unit_support import core_of

import resilient_ddb as rddb
from resilient_ddb.testing import faults

MANY = 12
DESCRIBES = ("DescribeTable", "DescribeTimeToLive")
CALLS = {
    "sharded put": lambda table, n: table.sharded(2, by="v").put_item(Item={"pk": "a", "v": f"{n}"}),
    "ttl": lambda table, n: table.get_item(Key={"pk": f"{n}"}),
    "ttl of an index": lambda table, n: table.query(
        IndexName="by-v", KeyConditionExpression="v = :v", ExpressionAttributeValues={":v": f"{n}"}
    ),
}


def by_turns(table, n):
    """Ask for a table's index on behalf of its TTL, and for its key on behalf of its shards."""
    return CALLS["ttl of an index" if n % 2 else "sharded put"](table, n)


@pytest.fixture
def table(dynamodb_local, proxy, make_table, hardened):
    index = {
        "IndexName": "by-v",
        "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    name = make_table(
        dynamodb_local.endpoint_url,
        GlobalSecondaryIndexes=[index],
        AttributeDefinitions=[{"AttributeName": "v", "AttributeType": "S"}],
    )

    def make(way):
        ttl = {"ttl": "auto", "ttl of an index": "expires_at"}.get(way)
        return hardened(proxy.endpoint_url).Table(name, ttl=ttl)

    return make


def at_once(act):
    barrier, raised = threading.Barrier(MANY), []

    def run(number):
        barrier.wait()
        try:
            act(number)
        except Exception as error:  # noqa: BLE001 - looked at below
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@pytest.mark.parametrize("way", CALLS)
def test_many_threads_describe_once(way, table, proxy):
    proxy.plan = [faults.Delay(seconds=0.2, operations=set(DESCRIBES))]
    made = table(way)
    assert at_once(lambda number: CALLS[way](made, number)) == []
    assert sum(map(proxy.count, DESCRIBES)) == 1


def test_a_ttl_and_shards_share_what_was_asked(table, proxy):
    proxy.plan = [faults.Delay(seconds=0.2, operations=set(DESCRIBES))]
    made = table("ttl of an index")
    assert at_once(lambda number: by_turns(made, number)) == []
    assert sum(map(proxy.count, DESCRIBES)) == 1


@pytest.mark.parametrize("way", CALLS)
def test_where_it_fails_each_asks_for_itself_and_gets_its_own_error(way, table, proxy):
    proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations=set(DESCRIBES))]
    made = table(way)
    raised = at_once(lambda number: CALLS[way](made, number))
    assert len({id(error) for error in raised}) == len(raised)
    assert len(raised) in (0, MANY)  # an index that can't be looked up is left to DynamoDB
    proxy.plan = []
    made = table(way)
    CALLS[way](made, 0)


def test_who_waits_has_its_own_deadline(table, proxy):
    proxy.plan = [faults.Delay(seconds=1.0, operations=set(DESCRIBES))]
    made, leading = table("ttl"), threading.Event()
    first = threading.Thread(target=lambda: leading.set() or made.get_item(Key={"pk": "a"}))
    first.start()
    leading.wait()
    while not sum(map(proxy.count, DESCRIBES)):
        time.sleep(0.001)
    began = time.monotonic()
    with pytest.raises(rddb.DeadlineExceededError), rddb.deadline(0.05):
        made.get_item(Key={"pk": "b"})
    waited = time.monotonic() - began
    assert first.is_alive() or waited > 1.0  # it did not wait for the other's answer
    first.join()
    assert core_of(made).host.flights == {}


def by_an_observer(proxy, make_resource, name, ttl, act):
    seen = []

    def observe(event):
        if event.operation in DESCRIBES and not seen:
            seen.append(event)
            act(made)

    made = make_resource(proxy.endpoint_url, policy=rddb.Policy(observers=[observe])).Table(name, ttl=ttl)
    return made, seen


def by_a_handler(proxy, make_resource, name, ttl, act):
    seen = []

    def handle(**_):
        if not seen:
            seen.append(True)
            act(made)

    made = make_resource(proxy.endpoint_url).Table(name, ttl=ttl)
    for operation in DESCRIBES:
        made.meta.client.meta.events.register(f"before-send.dynamodb.{operation}", handle)
    return made, seen


@pytest.mark.parametrize("by", [by_an_observer, by_a_handler])
@pytest.mark.parametrize("way", CALLS)
def test_who_is_called_while_its_own_thread_asks_does_not_wait_for_itself(way, by, table, proxy, hardened):
    name, ttl = table(way).name, {"ttl": "auto", "ttl of an index": "expires_at"}.get(way)
    made, seen = by(proxy, hardened, name, ttl, lambda table: CALLS[way](table, 1))
    with rddb.deadline(5):
        CALLS[way](made, 0)
    assert seen
    assert core_of(made).host.flights == {}
