"""What only the sync sharded table has to do with: threads, interrupts, pickles; and how much a query reads."""

import copy
import pickle
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError
from thread_support import calling_threads, end_soon

import resilient_ddb as rddb
from resilient_ddb.sharding import RANDOM
from resilient_ddb.testing import faults

ALL = {"KeyConditionExpression": Key("pk").eq("a")}


@pytest.fixture
def shards(dynamodb_local, proxy, make_table, hardened):
    """Return a sharded table with a sort key, through the proxy."""
    name = make_table(dynamodb_local.endpoint_url, sort_key="sk", sort_type="N")

    def make(shards=4, policy=None, fallback=None, **options):
        policy = (policy or rddb.Policy()).replace(fallback=fallback)
        return hardened(proxy.endpoint_url, policy).Table(name).sharded(shards, **options)

    return make


def fill(docs, count):
    with docs.batch_writer() as batch:
        for number in range(count):
            batch.put_item(Item={"pk": "a", "sk": number})


def test_threads_share_a_table(shards):
    docs = shards(5)

    def work(worker):
        for number in range(10):
            docs.put_item(Item={"pk": f"w{worker}", "sk": number})
        query = {"KeyConditionExpression": Key("pk").eq(f"w{worker}")}
        assert docs.query(Limit=4, **query)["Count"] == 4
        return [int(item["sk"]) for item in docs.query_items(**query)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [list(range(10))] * 8


def test_a_table_can_be_copied_and_pickled(shards):
    docs = shards(5, by="sk", previous=(3,), on_shard_error="skip")
    fill(shards(5, by="sk"), 10)
    restored = pickle.loads(pickle.dumps(docs))  # noqa: S301 - our own
    for made in (copy.copy(docs), copy.deepcopy(docs), restored):
        assert repr(made) == repr(docs)
        assert made.query(**ALL)["Count"] == 10
    assert restored.table.name == docs.table.name


def test_a_limit_of_20_over_100_shards_reads_little_more(shards, proxy):
    docs = shards(100, rddb.Policy(random=random.Random(7)))  # which shard an item goes to decides how much is read
    fill(docs, 2500)
    found = docs.query(Limit=20, ReturnConsumedCapacity="TOTAL", **ALL)
    assert [item["sk"] for item in found["Items"]] == list(range(20))
    assert found["ScannedCount"] <= 220
    assert found["ConsumedCapacity"]["CapacityUnits"] > 0
    assert docs.query(Limit=20, ExclusiveStartKey=found["LastEvaluatedKey"], **ALL)["ScannedCount"] <= 220


def test_shards_are_read_at_the_same_time(shards, proxy):
    docs = shards(40)
    docs.query(**ALL)
    proxy.clear()
    proxy.plan = [faults.Delay(seconds=0.2, operations={"Query"})]
    docs.query(**ALL)
    arrivals = [seen.at for seen in proxy.seen]
    assert len(arrivals) == 40
    assert any(later - earlier < 0.2 for earlier, later in zip(arrivals, arrivals[4:], strict=False))  # 5 at once


def test_an_interrupt_leaves_nothing_behind(shards, proxy, ctrl_c):
    docs = shards(200)
    docs.query(**ALL)
    proxy.clear()
    proxy.plan = [faults.Delay(seconds=1.0, operations={"Query"})]
    ctrl_c(lambda: proxy.count("Query"))
    with pytest.raises(KeyboardInterrupt):
        docs.query(**ALL)
    time.sleep(2.0)  # with 128 at once, all would be begun by then
    assert proxy.count("Query") < 200
    proxy.plan = []
    assert docs.query(**ALL)["Count"] == 0


def test_the_threads_end_with_their_calls(shards, proxy):
    docs = shards(10)
    seen = []
    proxy.plan = [faults.Delay(seconds=0.05, operations={"Query"})]
    reader = threading.Thread(target=docs.query, kwargs=ALL)
    reader.start()
    while reader.is_alive():
        seen.append(len(calling_threads()))
        time.sleep(0.001)
    assert max(seen) > 1
    assert end_soon()


def test_a_fallback_may_fan_in_itself(shards, proxy):
    """It runs on a thread of the same client: all of them must not wait for each other."""

    def elsewhere(call, error):
        if call.params.get("Limit") == 7:
            raise error
        count = inner.query(Limit=7, **ALL)["Count"]
        return {"Items": [], "Count": 0, "ScannedCount": count}

    docs = shards(200, policy=rddb.Policy(retry=rddb.Retry(max_attempts=1), circuit_breaker=None), fallback=elsewhere)
    inner = docs.table.sharded(3, by=RANDOM)
    docs.query(Limit=1, **ALL)
    proxy.plan = [faults.Throttle(operations={"Query"})]
    outcome = []

    def run():
        with pytest.raises(ClientError):
            docs.query(**ALL)
        outcome.append("ended")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert outcome == ["ended"], "the threads wait for each other"
