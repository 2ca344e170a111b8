"""`get_items` against a service in memory that leaves keys undone as it likes, and a plain model of what it gives."""

from __future__ import annotations

import pickle
from decimal import Decimal
from types import SimpleNamespace

import botocore.exceptions as bx
import pytest
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from unit_support import WidestRandom

import resilient_ddb as rddb
from resilient_ddb.sync.batch_get import BatchGet
from resilient_ddb.testing import FakeClock


class Service:
    """A table that BatchGetItem reads; `undone(keys)` says which of a request's keys are left undone."""

    def __init__(self, items=(), undone=lambda _: (), units=None, **policy):
        self.items = {self.key_of(item): item for item in items}
        self.undone = undone
        self.units = units
        self.clock = FakeClock()
        self.requests = []
        self.asked = []
        policy = rddb.Policy(**{"clock": self.clock, "random": WidestRandom(), **policy})
        core = SimpleNamespace(policy=policy, observers=())
        client = SimpleNamespace(_resilience=core, batch_get_item=self.batch_get_item)
        self.table = SimpleNamespace(name="t", meta=SimpleNamespace(client=client))

    @staticmethod
    def key_of(item):
        return Decimal(item["pk"]) if isinstance(item["pk"], int) else item["pk"]

    def batch_get_item(self, **request):
        [(name, entry)] = request["RequestItems"].items()
        keys = entry["Keys"]
        found = [self.key_of(key) for key in keys]
        assert name == "t"
        assert 1 <= len(keys) <= 100
        assert len(set(found)) == len(found), "DynamoDB refuses a batch with a key twice"
        self.requests.append(found)
        self.asked.append({**request, "RequestItems": {key: value for key, value in entry.items() if key != "Keys"}})
        undone = set(self.undone(found))
        items = [dict(self.items[key]) for key in reversed(found) if key in self.items and key not in undone]
        left = [{"pk": key} for key in found if key in undone]
        response = {"Responses": {name: items}, "UnprocessedKeys": {name: {"Keys": left}} if left else {}}
        if self.units is not None:
            response["ConsumedCapacity"] = [{"TableName": name, "CapacityUnits": self.units * (len(keys) - len(left))}]
        return response

    def get_items(self, keys, rate=None, **params):
        return BatchGet(self.table, keys, params, rate)


def keys(*numbers):
    return [{"pk": number} for number in numbers]


@given(
    wanted=st.lists(st.integers(0, 400), max_size=700),
    there=st.sets(st.integers(0, 400)),
    fate=st.randoms(use_true_random=False),
    share=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_items_come_in_the_order_of_their_keys_once_and_the_rest_is_missing(wanted, there, fate, share):
    def undone(found):
        left = [key for key in found if fate.random() < share]
        return left if len(left) < len(found) else left[1:]

    service = Service([{"pk": number, "x": "y"} for number in there], undone)
    batch = service.get_items(iter(keys(*wanted)))
    distinct = list(dict.fromkeys(wanted))
    assert [item["pk"] for item in batch] == [number for number in distinct if number in there]
    assert [key["pk"] for key in batch.missing] == [number for number in distinct if number not in there]
    assert batch.unread == []
    assert list(batch) == []
    assert service.clock.waits == []  # there was progress all along


def test_requests_are_filled_up_with_the_keys_that_follow():
    service = Service((), lambda found: found[(len(found) + 1) // 2 :])
    list(service.get_items(keys(*range(1000))))
    assert [len(request) for request in service.requests] == [100] * 19 + [50, 25, 12, 6, 3, 1]
    for before, request in zip(service.requests, service.requests[1:], strict=False):
        left = before[(len(before) + 1) // 2 :]
        assert request[: len(left)] == left


def test_no_more_is_held_than_was_said():
    drawn = []

    def source():
        for number in range(1000):
            drawn.append(number)
            yield {"pk": number}

    service = Service([{"pk": number} for number in range(1000)], lambda found: [key for key in found if key == 0])
    batch = service.get_items(source())
    with pytest.raises(rddb.UnprocessedKeysError) as raised:
        next(batch)
    assert len(drawn) == 200
    assert raised.value.keys == batch.unread == keys(*range(200))
    service.undone = lambda _: ()
    assert [item["pk"] for item in batch] == list(range(1000))


def test_keys_are_drawn_as_they_are_needed():
    drawn = []

    def source():
        for number in range(1000):
            drawn.append(number)
            yield {"pk": number}

    service = Service([{"pk": number} for number in range(1000)])
    batch = service.get_items(source())
    assert drawn == []
    for number in range(300):
        assert next(batch)["pk"] == number
        assert len(drawn) == 100 * (number // 100 + 1)


# Passes without progress.


def test_an_attempt_is_spent_only_on_a_pass_without_progress():
    passes = iter(range(1000))

    def undone(found):
        return found[1:] if next(passes) % 3 == 2 else found  # two passes without progress, one with

    retry = rddb.Retry(max_attempts=3, base_delay=1.0, max_delay=60.0)
    service = Service([{"pk": number} for number in range(40)], undone, retry=retry)
    assert len(list(service.get_items(keys(*range(40))))) == 40
    assert service.clock.waits == [1.0, 2.0] * 40
    assert len(service.requests) == 120


def test_it_gives_up_with_the_keys_that_are_not_read_and_goes_on_when_asked_again():
    service = Service(
        [{"pk": number} for number in range(4)],
        lambda found: [key for key in found if key in (1, 4)],
        retry=rddb.Retry(max_attempts=3),
    )
    batch = service.get_items(keys(0, 1, 5, 4, 2, 3))
    assert next(batch) == {"pk": 0}
    for _ in range(2):  # a second time it begins anew
        service.requests.clear()
        with pytest.raises(rddb.UnprocessedKeysError, match="3 passes made no progress") as raised:
            next(batch)
        assert raised.value.keys == keys(1, 5, 4, 2, 3)
        assert isinstance(raised.value, rddb.ResilienceError)
        assert "[5]" not in str(raised.value)
    assert service.requests == [[1, 4]] * 3
    service.undone = lambda _: ()
    assert [item["pk"] for item in batch] == [1, 2, 3]
    assert batch.missing == keys(5, 4)


def test_an_error_of_a_request_leaves_its_keys_to_be_asked_for_again():
    service = Service([{"pk": number} for number in range(150)])
    batch = service.get_items(keys(*range(150)))
    given_ = [next(batch) for _ in range(100)]
    service.table.meta.client.batch_get_item = None  # can't be called
    with pytest.raises(TypeError):
        next(batch)
    assert batch.unread == keys(*range(100, 150))
    service.table.meta.client.batch_get_item = service.batch_get_item
    assert [item["pk"] for item in [*given_, *batch]] == list(range(150))


def test_the_deadline_comes_before_the_next_pass():
    retry = rddb.Retry(base_delay=1.0, max_delay=60.0)
    service = Service((), lambda found: found, retry=retry)
    batch = service.get_items(keys(1))
    with rddb.deadline(2.5, clock=service.clock), pytest.raises(rddb.UnprocessedKeysError) as raised:
        next(batch)
    error = raised.value
    why = "the deadline comes before the next pass"
    assert str(error) == f"2 passes made no progress; 1 key of table 't' not read: {why}"
    assert str(error.__cause__).endswith(f": {why}: 2 passes made no progress")
    assert isinstance(error, rddb.DeadlineExceededError)
    assert (error.resilience.stopped_by, error.resilience.table, error.resilience.attempts) == ("deadline", "t", 2)
    assert service.clock.waits == [1.0]
    assert error.keys == batch.unread == keys(1)


THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "BatchGetItem")
OPEN = rddb.CircuitOpenError(
    operation_name="BatchGetItem", circuit="t/read", state="open", reason="5 of 9", retry_after=1.5
)


@pytest.mark.parametrize(
    "failure",
    [
        rddb.DeadlineExceededError(operation_name="BatchGetItem", attempts=1),
        OPEN,
        THROTTLED,
        bx.ReadTimeoutError(endpoint_url="http://x"),
        bx.ParamValidationError(report="bad"),
        ConnectionResetError(104, "reset"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_whatever_ends_a_request_the_error_has_the_keys_and_is_of_its_class_too(failure):
    service = Service([{"pk": number} for number in range(5)])
    batch = service.get_items(iter(keys(*range(5))))

    def fail(**_):
        raise failure

    service.table.meta.client.batch_get_item = fail
    with pytest.raises(type(failure)) as raised:
        next(batch)
    error = raised.value
    assert isinstance(error, rddb.UnprocessedKeysError)
    assert error.__cause__ is failure
    assert error.keys == batch.unread == keys(*range(5))
    name = "ThrottlingException" if failure is THROTTLED else type(failure).__name__
    assert str(error) == f"{failure}; 5 keys of table 't' not read: {name}"
    assert (getattr(failure, "response", None) or error.response) == error.response
    assert error.resilience.table == "t"
    if failure is OPEN:
        assert error.retry_after == 1.5
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (back.keys, str(back)) == (error.keys, str(error))
    service.table.meta.client.batch_get_item = service.batch_get_item
    assert [item["pk"] for item in batch] == list(range(5))


def test_a_rate_that_the_deadline_does_not_wait_for_tells_the_keys_too():
    service = Service([{"pk": number} for number in range(300)], units=1.0)
    batch = service.get_items(keys(*range(300)), rate=1)
    with rddb.deadline(5, clock=service.clock), pytest.raises(rddb.DeadlineExceededError) as raised:
        list(batch)
    assert isinstance(raised.value, rddb.UnprocessedKeysError)
    assert raised.value.keys == batch.unread != []
    assert "the deadline comes before the next units: none was taken" in str(raised.value)
    assert "passed" not in str(raised.value)


def test_an_error_of_the_keys_themselves_stays_as_it_is():
    def broken():
        yield {"pk": 1}
        raise rddb.DeadlineExceededError(operation_name="Query", attempts=1)

    with pytest.raises(rddb.DeadlineExceededError) as raised:
        list(Service([{"pk": 1}]).get_items(broken()))
    assert type(raised.value) is rddb.DeadlineExceededError


# The rate.


def test_reads_keep_to_the_rate():
    service = Service([{"pk": number} for number in range(1000)], units=2.5)  # items of 20 KB
    started = service.clock.monotonic()
    list(service.get_items(keys(*range(1000)), rate=100))
    took = service.clock.monotonic() - started
    assert 2500 - 100 - 250 <= took * 100 <= 2500
    assert {each["ReturnConsumedCapacity"] for each in service.asked} == {"TOTAL"}


def test_what_was_left_undone_costs_nothing():
    fates = iter([lambda found: found, lambda found: found[:90], lambda _: ()])
    service = Service([{"pk": number} for number in range(100)], lambda found: next(fates)(found), units=1.0)  # noqa: PLW0108 - another one each time
    taken = []
    limiter = SimpleNamespace(reserve=lambda units: taken.append(units) or 0.0, charge=taken.append)
    list(service.get_items(keys(*range(100)), rate=limiter))
    assert taken == [50.0, -50.0, 50.0, -40.0, 90.0, 0.0]


@pytest.mark.parametrize(("params", "least"), [({}, 0.5), ({"ConsistentRead": True}, 1.0)])
def test_a_key_costs_something_whatever_the_answer_says(params, least):
    service = Service([{"pk": number} for number in range(0, 1000, 2)], units=0.01)
    list(service.get_items(keys(*range(1000)), rate=100, **params))
    assert 1000 * least - 100 - 100 <= sum(service.clock.waits) * 100 <= 1000 * least


def test_readers_share_a_limiter():
    service = Service([{"pk": number} for number in range(100)], units=1.0)
    limiter = rddb.RateLimiter(10, burst=100, clock=service.clock)
    for _ in range(3):
        list(service.get_items(keys(*range(100)), rate=limiter, ConsistentRead=True))
    assert service.clock.waits == pytest.approx([10.0, 10.0])


def test_what_was_taken_goes_back_where_the_deadline_comes_first():
    service = Service([{"pk": 1}], units=0.5)
    limiter = rddb.RateLimiter(1, burst=1, clock=service.clock)
    limiter.charge(10)
    batch = service.get_items(keys(1), rate=limiter)
    with rddb.deadline(1, clock=service.clock), pytest.raises(rddb.DeadlineExceededError):
        next(batch)
    assert service.requests == []
    assert limiter.reserve(0) == pytest.approx(9.0)
    assert list(batch) == [{"pk": 1}]


def test_no_rate_asks_for_no_capacity():
    service = Service([{"pk": 1}])
    list(service.get_items(keys(1)))
    assert service.asked == [{"RequestItems": {}}]


# Keys, and what is asked for with them.


def test_keys_that_dynamodb_takes_for_one_are_one():
    service = Service([{"pk": Decimal(1), "n": 1}])
    batch = service.get_items([{"pk": 1}, {"pk": Decimal("1.0")}, {"pk": Decimal("1E0")}])
    assert list(batch) == [{"pk": 1, "n": 1}]
    service = Service([{"pk": Binary(b"\x00")}])
    service.key_of = lambda item: Binary(item["pk"]) if isinstance(item["pk"], bytes) else item["pk"]
    assert len(list(service.get_items([{"pk": b"\x00"}, {"pk": Binary(b"\x00")}]))) == 1


def test_a_callers_dict_may_change_meanwhile():
    key = {"pk": 0}

    def source():
        for number in range(3):
            key["pk"] = number
            yield key

    service = Service([{"pk": number} for number in range(3)])
    assert [item["pk"] for item in service.get_items(source())] == [0, 1, 2]


@pytest.mark.parametrize(
    ("params", "sent", "given_"),
    [
        ({}, {}, {"pk": 1, "a": 2}),
        ({"ProjectionExpression": "a"}, {"ProjectionExpression": "a, #rddb_key0"}, {"a": 2}),
        ({"ProjectionExpression": "a, pk"}, {"ProjectionExpression": "a, pk"}, {"pk": 1, "a": 2}),
        (
            {"ProjectionExpression": "#k,a", "ExpressionAttributeNames": {"#k": "pk"}},
            {"ProjectionExpression": "#k,a", "ExpressionAttributeNames": {"#k": "pk"}},
            {"pk": 1, "a": 2},
        ),
        ({"AttributesToGet": ["a"]}, {"AttributesToGet": ["a", "pk"]}, {"a": 2}),
        ({"ConsistentRead": True}, {"ConsistentRead": True}, {"pk": 1, "a": 2}),
    ],
)
def test_the_key_is_asked_for_and_taken_away_again(params, sent, given_):
    service = Service([{"pk": 1, "a": 2}])
    batch = service.get_items(keys(1, 2), **params)
    assert list(batch) == [given_]
    assert batch.missing == keys(2)
    if "#rddb_key0" in str(sent):
        sent["ExpressionAttributeNames"] = {"#rddb_key0": "pk"}
    assert service.asked[0]["RequestItems"] == sent


BAD = {
    "one key": (TypeError, r"keys must be an iterable of keys, .*; got one dict", {"keys": {"pk": 1}}),
    "a text": (TypeError, r"keys must be an iterable of keys, .*; got one str", {"keys": "pk"}),
    "nothing": (TypeError, r"NoneType", {"keys": None}),
    "TableName": (TypeError, r"unknown parameter 'TableName'; it takes ConsistentRead", {"TableName": "t"}),
    "Limit": (TypeError, r"unknown parameter 'Limit'", {"Limit": 5}),
    "no rate": (ValueError, r"read_units_per_second must be .*; got 0", {"rate": 0}),
    "no limiter": (TypeError, r"read_units_per_second must be .*RateLimiter; got 'fast'", {"rate": "fast"}),
}


@pytest.mark.parametrize("name", BAD)
def test_arguments_are_refused_at_the_door(name):
    error, message, arguments = BAD[name]
    service = Service()
    with pytest.raises(error, match=message):
        service.get_items(**{"keys": keys(1), **arguments})


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ("a-secret", TypeError, "a key must be a dict"),
        ({}, ValueError, "keys must have the attributes of the table's key; got one with none"),
        ({"pk": 1.5}, TypeError, "got float for 'pk'"),
        ({"pk": 1, "sk": 2}, ValueError, r"keys must all have the attributes \['pk'\]; got one with \['pk', 'sk'\]"),
        ({"sk": 2}, ValueError, r"got one with \['sk'\]"),
    ],
)
def test_what_is_no_key_is_refused_and_its_neighbours_are_read(key, error, message):
    service = Service([{"pk": 0}, {"pk": 1}])
    first = [] if key == {} else keys(0)
    batch = service.get_items([*first, key, {"pk": 1}])
    with pytest.raises(error, match=message) as raised:
        next(batch)
    assert "a-secret" not in str(raised.value)
    assert service.requests == []
    assert list(batch) == [*first, {"pk": 1}]


def test_a_part_of_the_key_can_not_be_asked_for():
    batch = Service([{"pk": 1}]).get_items(keys(1, 2), ProjectionExpression="pk.part")
    for _ in range(2):
        with pytest.raises(ValueError, match="must not name a part of the key attribute 'pk'; ask for all of it"):
            next(batch)


def test_a_source_of_keys_that_fails_fails_the_read():
    def source():
        yield from keys(*range(150))
        raise OSError("no more")

    batch = Service([{"pk": number} for number in range(150)]).get_items(source())
    given = []
    with pytest.raises(OSError, match="no more"):
        given.extend(batch)
    assert given + batch.unread == keys(*range(150))
    for _ in range(2):  # Python takes a generator that failed for one that has ended
        with pytest.raises(RuntimeError, match="which ones follow is not known"):  # noqa: PT012 - the whole loop is what raises
            for item in batch:
                given.append(item)  # noqa: PERF402 - what is given before it raises
    assert given == keys(*range(150))


def test_a_source_of_keys_that_fails_once_goes_on():
    class Source:
        def __init__(self):
            self.left = [1, 2, OSError("for now"), 3]

        def __iter__(self):
            return self

        def __next__(self):
            if not self.left:
                raise StopIteration
            key = self.left.pop(0)
            if isinstance(key, OSError):
                raise key
            return {"pk": key}

    batch = Service([{"pk": 1}, {"pk": 2}, {"pk": 3}]).get_items(Source())
    with pytest.raises(OSError, match="for now"):
        next(batch)
    assert list(batch) == keys(1, 2, 3)


def test_async_keys_are_for_the_async_table():
    async def source():
        yield {"pk": 1}

    with pytest.raises(TypeError, match="keys must not be async on the sync Table"):
        Service().get_items(source())


def test_only_so_many_keys_are_remembered(monkeypatch):
    monkeypatch.setattr("resilient_ddb.bulk.batch_get._REMEMBERED", 100)
    service = Service([{"pk": number} for number in range(200)])
    batch = service.get_items(keys(*range(200), 100, 0))
    assert [item["pk"] for item in batch] == [*range(200), 0]
