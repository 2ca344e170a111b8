"""What a batch writer makes of what its caller was not expected to do."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from batch_support import FakeTable, Writer, values_of
from boto3.dynamodb.types import Binary

from resilient_ddb.bulk.queue import Queue
from resilient_ddb.errors import UnprocessedItemsError


def put(**item):
    return {"PutRequest": {"Item": item}}


@pytest.mark.parametrize("same", [(b"a", bytearray(b"a")), (Binary(bytearray(b"a")), b"a"), (1, Decimal("1.0"))])
def test_keys_that_are_equal_are_one_key_whatever_their_types(same):
    queue = Queue(25, ["pk"])
    for number, pk in enumerate(same):
        queue.add(put(pk=pk, n=number))
    assert queue.buffer == [put(pk=same[1], n=1)]


def test_a_newer_request_replaces_one_that_was_put_back_behind_its_back():
    queue = Queue(25, ["pk"])
    batches = []
    for first in (0, 10):
        for number in range(first, first + 3):
            queue.add(put(pk=number))
        batches.append(queue.cut())
    queue.put_back(batches[0].requests)  # as many as were added last
    for batch in batches:
        queue.end(batch)
    queue.add(put(pk=1, new=True))
    assert queue.buffer == [put(pk=0), put(pk=2), put(pk=1, new=True)]


@pytest.mark.parametrize("time", [1.5e9, datetime.fromtimestamp(1.5e9, UTC)])
def test_what_becomes_a_number_as_it_is_sent_does_not_hide_what_the_rest_weighs(time):
    queue = Queue(25, None)
    queue.add(put(pk="a", text="x" * 20_000, exp=time))
    queue.add(put(pk="b", text="x" * 420_000, exp=time))
    batch = queue.cut()
    assert batch.units == [20]
    assert [request["PutRequest"]["Item"]["pk"] for request in batch.too_large] == ["b"]


def test_what_the_callers_function_failed_for_is_handed_over_again_as_the_block_ends():
    table = FakeTable()
    given, fails = [], [True, False]

    def take(requests):
        if fails.pop(0):
            raise LookupError("the disk is full")
        given.extend(requests)

    with Writer(table, on_unprocessed=take, flush_amount=2) as writer:
        writer.put(pk=1, bad=True)
        with pytest.raises(LookupError):
            writer.put(pk=2)
    assert given == [put(pk=1, bad=True)]
    assert writer.core.unprocessed == []
    fails[:] = [True, True]
    writer = Writer(table, on_unprocessed=take, flush_amount=1)
    with pytest.raises(UnprocessedItemsError) as raised, writer, pytest.raises(LookupError):
        writer.put(pk=3, bad=True)
    assert raised.value.requests == [put(pk=3, bad=True)]
    assert isinstance(raised.value, LookupError)


def test_what_was_refused_is_told_as_the_block_ends_even_if_an_error_within_it_was_caught():
    table = FakeTable()
    with pytest.raises(UnprocessedItemsError) as raised, Writer(table, flush_amount=1, max_attempts=1) as writer:  # noqa: PT012 - the block raises
        writer.put(pk=1, bad=True)
        table.refuse = lambda batch: batch
        with pytest.raises(UnprocessedItemsError):
            writer.put(pk=2)
        table.refuse = lambda batch: []
    assert raised.value.requests == [put(pk=1, bad=True)] == writer.core.unprocessed
    with writer:  # it was told
        writer.put(pk=3)


def nested(levels):
    made = {}
    for _ in range(levels):
        made = {"m": made}
    return made


@pytest.mark.parametrize("poison", [None, "text", [1], {"pk": 9, "n": 10**5000}, {"pk": 9, "deep": nested(5000)}])
def test_what_is_no_item_stands_alone_as_well(poison):
    table = FakeTable()
    write = table.batch_write_item

    def checked(RequestItems, **asked):
        for request in RequestItems["t"]:
            values = values_of(request)
            if not isinstance(values, dict):
                raise TypeError("not a dict")
            str(values.get("n"))
            repr(values.get("deep"))
        return write(RequestItems, **asked)

    table.batch_write_item = checked
    writer = Writer(table, max_workers=1)
    with pytest.raises(UnprocessedItemsError) as raised, writer:  # noqa: PT012 - the block raises
        for number in range(8):
            writer.put(pk=number, b="x" * 390_000)
        writer.request({"PutRequest": {"Item": poison}})
    assert sorted(table.items) == [(number,) for number in range(8)]
    assert [request["PutRequest"]["Item"] is poison for request in raised.value.requests] == [True]
    assert isinstance(raised.value, TypeError | ValueError | RecursionError)  # why it was refused
