"""A table that takes batches, and a shell whose requests are under way for as long as a test likes."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace

from botocore.exceptions import ClientError
from unit_support import ALONE, WidestRandom

from resilient_ddb.bulk.batching import Batching
from resilient_ddb.bulk.settings import BatchSettings
from resilient_ddb.calls.flows import run
from resilient_ddb.dynamodb.capacity import item_size, write_units
from resilient_ddb.policy.policy import Policy
from resilient_ddb.testing import FakeClock


def values_of(request):
    return request["PutRequest"]["Item"] if "PutRequest" in request else request["DeleteRequest"]["Key"]


class LeftError(Exception):
    """Ends a block in which nothing is wrong."""


def let_go(batch):
    """End a block of a writer by an error: nothing is sent, and it no longer warns of what it holds."""
    with suppress(LeftError), batch:
        raise LeftError


class FakeTable:
    """Has the items, and counts what they cost. `refuse(batch)` gives the requests that it leaves unprocessed."""

    def __init__(self, clock=None, refuse=lambda batch: [], ratio=1, keys=("pk",)):
        self.clock = clock or FakeClock(start=0.0)
        self.items, self.batches, self.consumed, self.asked = {}, [], [], []
        self.writes = []
        self.refuse, self.ratio, self.keys = refuse, ratio, keys
        self._resilience = SimpleNamespace(
            policy=Policy(clock=self.clock, random=WidestRandom()),
            known={},
            host=ALONE,
            observers=(),
            warn=lambda event: None,
        )
        schema = zip(keys, ("HASH", "RANGE"), strict=False)
        self.described = {"KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in schema]}
        self.descriptions = 0

    def describe_table(self, TableName):
        self.descriptions += 1
        return {"Table": self.described}

    def batch_write_item(self, RequestItems, **asked):
        [batch] = RequestItems.values()
        self.batches.append(list(batch))
        self.asked.append(asked)
        assert 1 <= len(batch) <= 25
        keys = [self.key(request) for request in batch]
        if len(set(keys)) < len(keys):
            raise invalid("Provided list of item keys contains duplicates")
        if any(values_of(request).get("bad") for request in batch):
            raise invalid("One or more parameter values were invalid")
        left = self.refuse(batch)
        units = 0
        for request in batch:
            if any(request is other for other in left):
                continue
            units += write_units(item_size(values_of(request))) if "PutRequest" in request else 1
            self.writes.append(self.key(request))
            if "PutRequest" in request:
                self.items[self.key(request)] = values_of(request)
            else:
                self.items.pop(self.key(request), None)
        self.consumed.append((self.clock.monotonic(), units * self.ratio))
        response = {"UnprocessedItems": {"t": [dict(request) for request in left]} if left else {}}
        if asked:
            response["ConsumedCapacity"] = [{"TableName": "t", "CapacityUnits": float(units * self.ratio)}]
        return response

    def key(self, request):
        return tuple(values_of(request)[name] for name in self.keys)


def invalid(message):
    return ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "BatchWriteItem")


class Immediate:
    """Makes each call at once."""

    def __init__(self, table):
        self.table = table
        self.most = 0

    def open(self):
        return self.table

    def pause(self, seconds):
        assert seconds == 0, "the clock is a fake one"

    def join(self, limiter):
        """Its rate is its own."""

    def start(self, batch, call):
        return [(batch, outcome(call))]

    def holds(self, batch):
        return False

    def collect(self):
        return []


class Concurrent(Immediate):
    """Has requests under way; `choose(number)` says which of them comes to its end next, and when it is applied."""

    def __init__(self, table, choose):
        super().__init__(table)
        self.choose = choose
        self.under_way = []

    def start(self, batch, call):
        keys = [self.table.key(request) for entry in self.under_way for request in entry[0].requests]
        assert not {*keys} & {self.table.key(request) for request in batch.requests}, "a key is twice in flight"
        applied = [outcome(call)] if self.choose(2) else []
        self.under_way.append((batch, call, applied))
        self.most = max(self.most, len(self.under_way))
        return []

    def holds(self, batch):
        return any(batch is other for other, *_ in self.under_way)

    def collect(self):
        if not self.under_way:
            return []
        batch, call, applied = self.under_way.pop(self.choose(len(self.under_way)))
        return [(batch, applied[0] if applied else outcome(call))]


def outcome(call):
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - what a shell does
        return error


def places_known(writer):
    """Return the places in the order that are kept for requests: those of requests to write, and no more."""
    return writer.core.queue._order  # noqa: SLF001 - memory that must not grow


class Writer:
    """A batch writer of which only the core is real."""

    def __init__(self, table, shell=None, **settings):
        self.settings = BatchSettings(**settings)
        self.core = Batching("t", self.settings)
        self.shell = shell or Immediate(table)

    def request(self, request):
        self.core.queue.add(request)
        if len(self.core.queue.buffer) >= self.settings.flush_amount:
            run(self.core.flush_flow(self.shell, self.settings.flush_amount))

    def put(self, **item):
        self.request({"PutRequest": {"Item": item}})

    def delete(self, **key):
        self.request({"DeleteRequest": {"Key": key}})

    def __enter__(self):
        self.core.has_block = True
        return self

    def __exit__(self, exc_type, error, tb):
        self.core.begin_leaving(error)
        run(self.core.leave_flow(self.shell, error))
