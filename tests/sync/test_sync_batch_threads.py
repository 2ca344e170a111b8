"""Threads that share a batch writer, as they may with boto3's: each request is sent once, and nobody waits for ever."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from foreign_answers import sent_keys, takes_all
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb
from resilient_ddb.policy.clock import SYSTEM_CLOCK
from resilient_ddb.testing import FakeClock

OPTIONS = {
    "plain": {},
    "by keys": {"overwrite_by_pkeys": ["pk"]},
    "workers": {"max_workers": 4},
    "a rate": {"write_units_per_second": 1e6},
    "small batches": {"flush_amount": 3},
}


def table_on(stub, **policy):
    policy = rddb.Policy(**{"clock": FakeClock(), **policy})
    return rddb.table(TABLE, endpoint_url=stub.endpoint_url, policy=policy)


@pytest.fixture(params=[False, True], ids=["plain", "sharded"])
def share(request):
    """Return what makes a Table of the kind, and the key that an item is sent with."""
    if request.param:
        return lambda table: table.sharded(1, by="n")
    return lambda table: table


def some_left(seed):
    """Leave a third of each batch unprocessed."""
    chance = Random(seed)

    def answer(_, params):
        [requests] = params["RequestItems"].values()
        left = [request for request in requests if chance.random() < 0.3]
        return {"UnprocessedItems": {TABLE: left} if left else {}}

    return answer


@pytest.mark.parametrize("options", OPTIONS)
def test_each_request_is_sent_once(options, share):
    with WireStub(lambda _, params: takes_all(params)) as stub:
        table = share(table_on(stub))
        with table.batch_writer(**OPTIONS[options]) as batch, ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: batch.put_item(Item={"pk": str(n), "n": n}), range(400)))
        assert Counter(sent_keys(stub)) == Counter(map(str, range(400)))
        assert batch.report.written == 400
        assert batch.unprocessed == []


@pytest.mark.parametrize("options", OPTIONS)
def test_what_comes_back_is_sent_until_it_is_written(options):
    with WireStub(some_left(1)) as stub:
        with table_on(stub).batch_writer(**OPTIONS[options]) as batch, ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: batch.put_item(Item={"pk": str(n)}), range(200)))
        assert set(sent_keys(stub)) == set(map(str, range(200)))
        assert batch.report.written == 200
        assert len(sent_keys(stub)) == 200 + batch.report.retried


@pytest.mark.parametrize("workers", [1, 4])
def test_a_timer_may_flush(workers):
    with WireStub(lambda _, params: takes_all(params)) as stub:
        over = threading.Event()
        with table_on(stub).batch_writer(max_workers=workers) as batch:

            def flush():
                while not over.wait(0.001):
                    batch.flush()

            timer = threading.Thread(target=flush)
            timer.start()
            for number in range(300):
                batch.put_item(Item={"pk": str(number)})
            over.set()
            timer.join()
        assert Counter(sent_keys(stub)) == Counter(map(str, range(300)))


@pytest.mark.parametrize("workers", [1, 4])
def test_what_another_thread_waits_for_does_not_hold_up_the_end_of_the_block(workers):
    """It is 50 minutes until the next pass: the block ends now, and nothing more is sent."""
    with WireStub(lambda _, params: {"UnprocessedItems": params["RequestItems"]}) as stub:
        table = table_on(stub, clock=SYSTEM_CLOCK, retry=rddb.Retry(wait=lambda _: 3000.0))
        batch = table.batch_writer(["pk"], flush_amount=2, max_workers=workers)
        pool = ThreadPoolExecutor(2)
        with pytest.raises(RuntimeError, match="mine"), batch:  # noqa: PT012 - the block raises
            waiting = [pool.submit(batch.put_item, Item={"pk": str(number)}) for number in range(2)]
            while not stub.named("BatchWriteItem"):
                time.sleep(0.001)
            raise RuntimeError("mine")
        for future in waiting:
            future.result(20)
        assert sorted(request["PutRequest"]["Item"]["pk"] for request in batch.unprocessed) == ["0", "1"]
        assert len(stub.named("BatchWriteItem")) == 1
        pool.shutdown()


def test_a_deadline_holds_while_another_thread_sends():
    answer = threading.Event()

    def late(_, params):
        answer.wait(20)
        return takes_all(params)

    with WireStub(late) as stub, table_on(stub).batch_writer(flush_amount=1) as batch:
        sender = threading.Thread(target=batch.put_item, kwargs={"Item": {"pk": "0"}})
        sender.start()
        while not stub.named("BatchWriteItem"):
            time.sleep(0.001)
        with rddb.deadline(0.05), pytest.raises(rddb.DeadlineExceededError) as raised:
            batch.put_item(Item={"pk": "1"})
        assert [request["PutRequest"]["Item"]["pk"] for request in raised.value.requests] == ["0", "1"]
        answer.set()
        sender.join()
    assert sent_keys(stub) == ["0", "1"]
    assert batch.unprocessed == []


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("flush_on_error", [False, True])
def test_an_exception_passes_through_a_block_whose_deadline_comes_while_another_thread_sends(workers, flush_on_error):
    answer = threading.Event()

    def late(_, params):
        answer.wait(20)
        return takes_all(params)

    with WireStub(late) as stub:
        options = {"flush_amount": 1, "max_workers": workers, "flush_on_error": flush_on_error}
        batch = table_on(stub).batch_writer(["pk"], **options)
        with pytest.raises(RuntimeError, match="mine"), rddb.deadline(0.05), batch:  # noqa: PT012 - the block raises
            sender = threading.Thread(target=batch.put_item, kwargs={"Item": {"pk": "0"}})
            sender.start()
            while not stub.named("BatchWriteItem"):
                time.sleep(0.001)
            threading.Timer(0.1, answer.set).start()
            raise RuntimeError("mine")
        sender.join(20)
        with batch:  # and it can go on
            batch.put_item(Item={"pk": "1"})
        assert sent_keys(stub) == ["0", "1"]
        assert batch.unprocessed == []


def test_what_the_writer_calls_may_put_but_not_flush():
    told = []

    def take(requests):
        for _ in requests:
            batch.put_item(Item={"pk": f"again-{len(told)}"})
        with pytest.raises(RuntimeError, match=r"flush\(\) of a batch writer must not be called") as raised:
            batch.flush()
        told.append(raised.value)

    with WireStub(lambda _, params: takes_all(params)) as stub:
        with table_on(stub).batch_writer(flush_amount=1, on_unprocessed=take) as batch:
            batch.put_item(Item={"pk": "too large", "b": "x" * 500_000})
        assert sent_keys(stub) == ["again-0"]
        assert len(told) == 1


def test_whoever_finds_out_raises_and_nothing_is_lost():
    def refused(_, params):
        [requests] = params["RequestItems"].values()
        keys = {request["PutRequest"]["Item"]["pk"]["S"] for request in requests}
        if "33" in keys:
            return 400, {"__type": "com.amazonaws.dynamodb.v20120810#AccessDeniedException", "message": "no"}
        return takes_all(params)

    with WireStub(refused) as stub:
        batch = table_on(stub).batch_writer()
        with pytest.raises(rddb.UnprocessedItemsError, match="AccessDenied"), batch, ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(batch.put_item, Item={"pk": str(number)}) for number in range(100)]
        errors = [future.exception() for future in futures if future.exception() is not None]
        assert errors
        assert all("AccessDenied" in str(error) for error in errors)
        left = {request["PutRequest"]["Item"]["pk"] for request in batch.unprocessed}
        assert "33" in left
        assert len(left) + batch.report.written == 100


def test_an_error_of_a_sharded_writers_flush_has_the_keys_as_callers_see_them():
    with WireStub(lambda *_: (400, {"__type": "x#ValidationException", "message": "no"})) as stub:
        batch = table_on(stub).sharded(2, by="n").batch_writer()
        batch.put_item(Item={"pk": "a", "n": 1})
        with pytest.raises(rddb.UnprocessedItemsError) as raised:
            batch.flush()
        assert raised.value.requests == [{"PutRequest": {"Item": {"pk": "a", "n": 1}}}] == batch.unprocessed
