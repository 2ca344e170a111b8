"""`parallel_scan` against a table in memory: what is given, what is held, and what a state goes on from."""

from __future__ import annotations

import copy
import gc
import json
import threading
import time
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from thread_support import calling_threads, end_soon
from unit_support import WidestRandom

import resilient_ddb as rddb
from resilient_ddb.bulk import scan_state
from resilient_ddb.dynamodb.keys import identity
from resilient_ddb.policy.clock import SYSTEM_CLOCK
from resilient_ddb.policy.deadlines import current_deadline
from resilient_ddb.sync.parallel_scan import ParallelScan
from resilient_ddb.testing import FakeClock

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/t"
DESCRIPTION = {
    "TableName": "t",
    "TableArn": ARN,
    "TableId": "id-1",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "B"},
        {"AttributeName": "sk", "AttributeType": "N"},
        {"AttributeName": "g", "AttributeType": "S"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "IndexSizeBytes": 9,
            "ItemCount": 3,
        }
    ],
    "TableSizeBytes": 0,
    "ItemCount": 0,
}


def item(number):
    return {"pk": bytes([number // 256, number % 256]), "sk": Decimal(number) / 4, "n": number}


def items(count):
    return [item(number) for number in range(count)]


class Service:
    """A table that Scan reads, segment by segment, in pages of `page` items; `fate(params)` may raise, or wait."""

    def __init__(self, stored=(), page=3, description=None, units=None, fate=lambda _: None, **policy):
        self.stored = sorted(stored, key=lambda each: each["n"])
        self.page = page
        self.description = {**DESCRIPTION, **(description or {})}
        self.units = units
        self.fate = fate
        self.clock = FakeClock()
        self.lock = threading.Lock()
        self.asked = []
        self.scanned = 0
        self.under_way = self.most_under_way = 0
        policy = rddb.Policy(**{"clock": self.clock, "random": WidestRandom(), **policy})
        config = SimpleNamespace(max_pool_connections=10)
        client = SimpleNamespace(
            _resilience=SimpleNamespace(policy=policy, observers=()),
            describe_table=self.describe_table,
            meta=SimpleNamespace(config=config),
        )
        self.table = SimpleNamespace(name="t", scan=self.scan, meta=SimpleNamespace(client=client))

    def describe_table(self, TableName):
        assert TableName == "t"
        return {"Table": copy.deepcopy(self.description)}

    def scan(self, **params):
        with self.lock:
            self.asked.append(params)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self.fate(params)
            return self._page(params)
        finally:
            with self.lock:
                self.under_way -= 1

    def _page(self, params):
        total, segment = params["TotalSegments"], params["Segment"]
        found = [each for each in self.stored if zlib.crc32(bytes(each["pk"])) % total == segment]
        start = params.get("ExclusiveStartKey")
        if start is not None:
            places = [identity({"pk": each["pk"], "sk": each["sk"]}) for each in found]
            found = found[places.index(identity(start)) + 1 :]
        page = found[: self.page]
        with self.lock:
            self.scanned += len(page)
        response = {"Items": [dict(each) for each in page], "Count": len(page)}
        if len(found) > len(page):
            response["LastEvaluatedKey"] = {"pk": page[-1]["pk"], "sk": page[-1]["sk"]}
        if self.units is not None:
            response["ConsumedCapacity"] = {"TableName": "t", "CapacityUnits": self.units}
        return response

    def parallel_scan(self, segments="auto", *, rate=None, on_page=None, resume=None, **params):
        return ParallelScan(self.table, segments=segments, rate=rate, on_page=on_page, resume=resume, params=params)


def numbers(given_):
    return sorted(each["n"] for each in given_)


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    if calling_threads():
        gc.collect()  # a reader that was dropped in a circle ends its threads when it is found
    assert end_soon()


COUNTS = st.integers(0, 60)
SEGMENTS = st.integers(1, 7)
PAGES = st.integers(1, 9)


@given(count=COUNTS, segments=SEGMENTS, page=PAGES)
@examples(40)
def test_every_item_is_given_once(count, segments, page):
    service = Service(items(count), page)
    states = []
    scan = service.parallel_scan(segments, on_page=states.append)
    assert scan.state is None
    assert numbers(scan) == list(range(count))
    assert len(states) == len(service.asked) >= segments
    assert scan.state == states[-1]
    assert states[-1]["segments"] == ["done"] * segments
    assert list(scan) == []
    assert list(service.parallel_scan(resume=states[-1])) == []


@given(count=COUNTS, segments=SEGMENTS, page=PAGES, stops=st.lists(st.integers(0, 25), max_size=6))
@examples(60)
def test_resumed_wherever_it_was_stopped_nothing_is_missing_and_at_most_a_page_comes_twice(
    count, segments, page, stops
):
    service = Service(items(count), page)
    given_, state, twice = [], None, 0
    for stop in stops:
        before = len(given_)
        with service.parallel_scan(segments, resume=state) as scan:
            for _, each in zip(range(stop), scan, strict=False):
                given_.append(each)
            state = json.loads(json.dumps(scan.state))
        counted = 0 if state is None else counted_in(state, service)
        twice += len(set(numbers(given_[before:])) & still_to_come(state, service))
        assert len(set(numbers(given_))) >= counted
    given_ += service.parallel_scan(segments, resume=state)
    assert set(numbers(given_)) == set(range(count))
    assert len(given_) - count <= twice <= page * len(stops)


def still_to_come(state, service):
    """Return the numbers of the items that a state says are still to be given: by the model, not by the code."""
    if state is None:
        return {each["n"] for each in service.stored}
    found = set()
    for segment, position in enumerate(state["segments"]):
        mine = [each for each in service.stored if zlib.crc32(bytes(each["pk"])) % len(state["segments"]) == segment]
        if position == "done":
            continue
        after = -1 if position is None else Decimal(position["sk"]["N"]) * 4
        found |= {each["n"] for each in mine if each["n"] > after}
    return found


def counted_in(state, service):
    return len(service.stored) - len(still_to_come(state, service))


@given(count=COUNTS, segments=SEGMENTS, page=PAGES, at=st.integers(0, 30))
@examples(60)
def test_from_the_state_of_a_page_on_nothing_comes_twice(count, segments, page, at):
    service = Service(items(count), page)
    states, given_at = [None], [0]
    given_ = []

    def on_page(state):
        states.append(json.loads(json.dumps(state)))
        given_at.append(len(given_))

    for each in service.parallel_scan(segments, on_page=on_page):
        given_.append(each)  # noqa: PERF402 - `on_page` looks at it meanwhile
    at = min(at, len(states) - 1)
    again = list(service.parallel_scan(segments, resume=states[at]))
    assert sorted(numbers(given_[: given_at[at]]) + numbers(again)) == list(range(count))


def test_a_page_counts_once_the_reader_comes_back_from_its_last_item():
    service = Service(items(4), page=2)
    scan = service.parallel_scan(1)
    next(scan)
    assert scan.state["segments"] == [None]
    next(scan)
    assert scan.state["segments"] == [None]  # the reader has not said yet that the second one is dealt with
    next(scan)
    assert scan.state["segments"] == [{"pk": {"B": "AAE="}, "sk": {"N": "0.25"}}]
    scan.close()
    assert numbers(service.parallel_scan(resume=scan.state)) == [2, 3]


# What is held.


def test_no_more_than_a_page_of_a_segment_is_held_however_slow_the_reader_is():
    service = Service(items(200), page=5)
    scan = service.parallel_scan(4)
    for number, _ in enumerate(scan, start=1):
        while service.under_way:
            threading.Event().wait(0.0005)
        given_pages = -(-number // 5)
        assert len(service.asked) <= given_pages + 4
    assert service.most_under_way <= 4


def test_many_segments_are_scanned_so_many_at_a_time():
    service = Service(items(100), page=2)  # of its client's connections, there are 10
    scan = service.parallel_scan(40)
    next(scan)
    assert len(calling_threads()) <= 10
    assert len(service.asked) <= 11
    scan.close()
    assert numbers(service.parallel_scan(40)) == list(range(100))
    assert service.most_under_way <= 10


def test_a_state_may_be_resumed_from_as_often_as_one_likes():
    service = Service(items(20), page=5)
    scan = service.parallel_scan(2)
    next(scan)
    state = scan.state
    kept = json.dumps(state)
    for _ in range(2):
        assert len(list(service.parallel_scan(resume=state))) == 20
    assert json.dumps(state) == kept


# Leaving early.


def test_a_reader_that_leaves_leaves_no_thread():
    service = Service(items(100))
    for _ in service.parallel_scan(4):
        break
    assert end_soon()
    with pytest.raises(OSError, match="the reader's"):  # noqa: PT012 - the whole loop is what raises
        for _ in service.parallel_scan(4):
            raise OSError("the reader's")
    assert end_soon()
    scan = service.parallel_scan(4)
    next(scan)
    scan.close()
    assert end_soon()
    assert list(scan) == []
    del scan
    service.parallel_scan(4).close()  # not begun: nothing was asked for
    scan = service.parallel_scan(4)
    next(scan)
    del scan
    assert end_soon()


def test_what_waits_for_the_rate_when_the_reader_leaves_sends_nothing_and_gives_back_what_it_took():
    described = {"ItemCount": 100, "TableSizeBytes": 100}
    service = Service(items(100), units=1.0, description=described, clock=SYSTEM_CLOCK)
    limiter = rddb.RateLimiter(0.001, burst=1)  # the second page is due in a quarter of an hour
    scan = service.parallel_scan(1, rate=limiter)
    next(scan)
    time.sleep(0.01)
    scan.close()
    assert len(service.asked) == 1
    assert limiter.reserve(0) < 1.0


def test_what_is_under_way_when_the_reader_leaves_makes_no_further_attempt():
    is_there, is_stopped, goes_on = threading.Event(), threading.Event(), threading.Event()

    def fate(params):
        if params["Segment"] == 1:
            is_there.set()
            while current_deadline().remaining() > 0 and not goes_on.wait(0.001):
                pass
            is_stopped.set()
            goes_on.wait(60)
        else:
            is_there.wait(60)

    service = Service(items(100), fate=fate)
    scan = service.parallel_scan(2)
    next(scan)
    closing = threading.Thread(target=scan.close)
    closing.start()
    stopped = is_stopped.wait(60)
    closing.join(0.05)
    is_waiting = closing.is_alive()  # for what is under way
    goes_on.set()
    closing.join()
    assert (stopped, is_waiting) == (True, True)


def test_a_readers_deadline_holds_for_what_its_threads_do():
    remaining = []
    service = Service(items(10), fate=lambda _: remaining.append(current_deadline().remaining()))
    with rddb.deadline(7, clock=service.clock):
        list(service.parallel_scan(2))
    assert set(remaining) == {7.0}


# Failures.


def denied(*_, **__):
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Scan")


def test_a_segment_that_fails_stops_the_others_and_says_where_to_go_on():
    def fate(params):
        if params["Segment"] == 2 and "ExclusiveStartKey" in params:
            denied(params)

    service = Service(items(100), fate=fate)
    given_ = []
    with pytest.raises(ClientError, match="AccessDenied") as raised:
        given_.extend(service.parallel_scan(4, on_page=lambda _: None))
    error = raised.value
    assert end_soon()
    assert any("resume=error.scan_state goes on" in note for note in error.__notes__)
    state = json.loads(json.dumps(error.scan_state))
    assert state["segments"][2] != "done"
    service.fate = lambda _: None
    # `extend` takes what it was given before the error: all pages given were given whole
    again = list(service.parallel_scan(resume=state))
    assert sorted(numbers(given_) + numbers(again)) == list(range(100))


def test_a_table_that_can_not_be_described_says_what_is_missing():
    service = Service()
    service.table.meta.client.describe_table = denied
    scan = service.parallel_scan()
    with pytest.raises(ClientError, match="AccessDenied") as raised:
        next(scan)
    assert any("allow dynamodb:DescribeTable" in note for note in raised.value.__notes__)
    assert raised.value.scan_state is None


def test_on_page_may_fail():
    def on_page(state):
        raise OSError("disk full")

    service = Service(items(10), page=5)
    scan = service.parallel_scan(1, on_page=on_page)
    with pytest.raises(OSError, match="disk full"):
        list(scan)
    assert numbers(service.parallel_scan(resume=scan.state)) == [5, 6, 7, 8, 9]


# The rate.


def test_pages_keep_to_the_rate():
    size = {"ItemCount": 400, "TableSizeBytes": 400 * 10_240}
    service = Service(items(400), page=10, units=12.5, description=size)
    started = service.clock.monotonic()
    list(service.parallel_scan(4, rate=25, Limit=10))
    consumed = 12.5 * len(service.asked)
    took = service.clock.monotonic() - started
    assert consumed - 25 - 5 * 12.5 <= took * 25 <= consumed
    assert {each["ReturnConsumedCapacity"] for each in service.asked} == {"TOTAL"}


@pytest.mark.parametrize(
    ("description", "params", "units"),
    [
        ({}, {}, 128.0),
        ({}, {"ConsistentRead": True}, 256.0),
        ({"ItemCount": 10, "TableSizeBytes": 10 * 2**30}, {}, 128.0),
        ({"ItemCount": 10_000, "TableSizeBytes": 10_000 * 1024}, {"Limit": 8}, 1.0),
        ({"ItemCount": 8, "TableSizeBytes": 8 * 1024}, {}, 1.0),
    ],
)
def test_a_first_page_is_taken_for_as_dear_as_it_may_be(description, params, units):
    least = 1.0 if params.get("ConsistentRead") else 0.5
    service = Service((), description=description, units=0.1)  # less than any page costs
    taken = []
    limiter = SimpleNamespace(reserve=lambda units: taken.append(units) or 0.0, charge=taken.append)
    list(service.parallel_scan(1, rate=limiter, **params))
    assert taken == [units, least - units]


@pytest.mark.parametrize(
    ("size", "segments"), [(0, 1), (1, 1), (2 * 2**30, 1), (2 * 2**30 + 1, 2), (20 * 2**30, 10), (2**50, 32)]
)
def test_auto_is_a_segment_for_each_2_gb(size, segments):
    scan = Service(description={"TableSizeBytes": size}).parallel_scan()
    list(scan)
    assert len(scan.state["segments"]) == segments


def test_an_index_has_a_size_and_keys_of_its_own():
    service = Service(description={"TableSizeBytes": 2**40})
    scan = service.parallel_scan(IndexName="by-g")
    list(scan)
    assert scan.state["segments"] == ["done"]
    assert scan.state["keys"] == {"pk": "B", "sk": "N", "g": "S"}


# States.


@pytest.fixture
def paused():
    """A service, and the state of a scan of it of which a part was given."""
    service = Service(items(50))
    with service.parallel_scan(3, FilterExpression=Attr("n").gte(0)) as scan:
        for _ in zip(range(20), scan, strict=False):
            pass
        state = scan.state
    return service, state  # its threads are at their end, and ask for nothing more


FILTER = {"FilterExpression": Attr("n").gte(0)}


def test_a_state_is_plain_json(paused):
    service, state = paused
    assert json.loads(json.dumps(state)) == state
    assert state["table"] == ARN
    assert numbers(service.parallel_scan(resume=state, **FILTER))


@pytest.mark.parametrize(
    ("description", "params", "message"),
    [
        ({"TableArn": ARN + "2"}, FILTER, r"resume must be a state of table 'arn.*table/t2'; got one of '.*table/t'"),
        ({"TableArn": ARN.replace("west", "east")}, FILTER, r"resume must be a state of table"),
        ({"TableId": "id-2"}, FILTER, r"as it is; got one from before it was made anew"),
        (
            {"KeySchema": DESCRIPTION["KeySchema"][:1]},
            FILTER,
            r"resume must be a state with the keys \[\('pk', 'B'\)\]",
        ),
        ({}, {}, r"resume must be a state of a scan with the same parameters"),
        ({}, {"FilterExpression": Attr("n").gte(1)}, r"with the same parameters"),
        ({}, {**FILTER, "ConsistentRead": True}, r"with the same parameters"),
    ],
)
def test_another_scans_state_is_refused_before_anything_is_read(paused, description, params, message):
    service, state = paused
    service.description.update(description)
    service.asked.clear()
    with pytest.raises(ValueError, match=message):
        next(service.parallel_scan(resume=state, **params))
    assert service.asked == []


def test_a_table_without_an_id_is_known_by_its_age(paused):
    service, _ = paused
    service.description.update(TableId=None, CreationDateTime=datetime(2026, 1, 1, tzinfo=UTC))
    scan = service.parallel_scan(1)
    next(scan)
    scan.close()
    service.description.update(CreationDateTime=datetime(2026, 1, 2, tzinfo=UTC))
    with pytest.raises(ValueError, match="made anew"):
        next(service.parallel_scan(resume=scan.state))


def test_the_size_of_pages_may_differ(paused):
    service, state = paused
    params = {"FilterExpression": "#n0 >= :v0", "ExpressionAttributeNames": {"#n0": "n"}}
    params["ExpressionAttributeValues"] = {":v0": Decimal("0.0")}
    service.page = 1
    assert numbers(service.parallel_scan(3, resume=state, Limit=1, **params))


@given(place=st.integers(0, 9_999), with_=st.sampled_from(["", "0", "x", '"', "}", "]", "1,", "A"]))
@examples(150)
def test_a_damaged_state_is_refused(place, with_):
    service = Service(items(30))
    with service.parallel_scan(3) as scan:
        for _ in zip(range(14), scan, strict=False):
            pass
        state = json.loads(json.dumps(scan.state))
    text = json.dumps(state)
    at = place % len(text)  # how long it is depends on which thread was first
    spoilt = text[:at] + with_ + text[at + 1 :]
    try:
        damaged = json.loads(spoilt)
    except ValueError:
        return
    if damaged == state:
        return
    with pytest.raises((ValueError, TypeError), match=r"resume must be|each key"):
        next(service.parallel_scan(resume=damaged))


@pytest.mark.parametrize("state", ["{}", b"{}", [], 5, json.dumps({"format": 1})])
def test_what_is_no_dict_is_no_state(state):
    with pytest.raises(TypeError, match=r"resume must be a state of a parallel_scan, as a dict; got"):
        Service().parallel_scan(resume=state)


@pytest.mark.parametrize(
    "change", [{"format": "2"}, {"format": 1}, {"segments": []}, {"segments": "done"}, {"more": 1}, {"check": ""}]
)
def test_what_is_not_shaped_like_a_state_is_refused(paused, change):
    service, state = paused
    with pytest.raises(ValueError, match=r"resume must be a state of a parallel_scan"):
        service.parallel_scan(resume={**state, **change})


@pytest.mark.parametrize("position", [5, "half", {}, {"pk": {"S": "a"}}, {"pk": 1, "sk": 2}, ["pk"], True])
def test_positions_that_were_not_written_here_are_refused(position):
    service = Service(items(5))
    list(scan := service.parallel_scan(1))
    known = scan.state
    source = scan_state.Source(table=known["table"], table_id=known["table_id"], keys=known["keys"], size=0, items=0)
    state = scan_state.written(source, known["params"], [position])  # with its check
    with pytest.raises(ValueError, match=r"resume must"):
        next(service.parallel_scan(resume=state))


def test_the_number_of_segments_is_the_states(paused):
    service, state = paused
    with pytest.raises(ValueError, match=r"segments must be those of the state to resume, 3, or 'auto'; got 4"):
        service.parallel_scan(4, resume=state, **FILTER)
    assert service.parallel_scan(3, resume=state, **FILTER).state == state


@given(
    one=st.dictionaries(
        st.sampled_from("abc"), st.sampled_from([1, Decimal("1.0"), "1", b"1", True, None, frozenset("ab")])
    ),
    other=st.dictionaries(
        st.sampled_from("abc"), st.sampled_from([1, Decimal("1.0"), "1", b"1", True, None, frozenset("ab")])
    ),
)
def test_a_fingerprint_tells_parameters_apart(one, other):
    first, second = ({"ExpressionAttributeValues": values, "Limit": 5} for values in (one, other))
    same = {name: (type(value) is bool, value) for name, value in one.items()} == {
        name: (type(value) is bool, value) for name, value in other.items()
    }
    assert (scan_state.fingerprint(first) == scan_state.fingerprint({**second, "Limit": 6})) == same


def test_the_order_of_a_set_is_none_of_a_fingerprints():
    one, other = {0, 8}, {8, 0}
    assert list(one) != list(other)
    assert len({scan_state.fingerprint({"ExpressionAttributeValues": {":s": each}}) for each in (one, other)}) == 1


# Bad input.

BAD = {
    "no segments": (ValueError, r"segments must be 1 or more; got 0", {"segments": 0}),
    "half a segment": (TypeError, r"segments must be a whole number", {"segments": 1.5}),
    "a word": (TypeError, r"segments must be a whole number.*got 'all'", {"segments": "all"}),
    "too many": (ValueError, r"segments must be 1,000,000 or less", {"segments": 1_000_001}),
    "its own segment": (ValueError, r"Segment must be left to parallel_scan", {"Segment": 0}),
    "its own total": (ValueError, r"TotalSegments must be left", {"TotalSegments": 2}),
    "its own start": (ValueError, r"ExclusiveStartKey must be left", {"ExclusiveStartKey": {}}),
    "counts": (ValueError, r"Select must not be 'COUNT'", {"Select": "COUNT"}),
    "no function": (TypeError, r"on_page must be callable", {"on_page": 5}),
    "no rate": (ValueError, r"read_units_per_second must be", {"rate": -1}),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_at_the_door(name):
    error, message, arguments = BAD[name]
    with pytest.raises(error, match=message):
        Service().parallel_scan(**arguments)


def test_an_async_on_page_is_for_the_async_table():
    async def on_page(state): ...

    with pytest.raises(TypeError, match="on_page must not be async on the sync Table"):
        Service().parallel_scan(on_page=on_page)
