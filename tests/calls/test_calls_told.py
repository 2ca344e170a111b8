"""Events are whole, flat in JSON, hold no value of an item, and nothing is made where nobody listens."""

from __future__ import annotations

import inspect
import json

import pytest
from operator_support import KEY, Server
from unit_support import ADD, GET, PUT, call, failed, good, make_core

import resilient_ddb as rddb
from resilient_ddb import events
from resilient_ddb.calls.telling import Doubts
from resilient_ddb.events import CallEndEvent, CallStartEvent, Event

SECRET = "a-value-of-an-item"
ONE = rddb.Retry(max_attempts=1)
HOT = {
    "Error": {"Code": "ThrottlingException", "Message": "no"},
    "ResponseMetadata": {"HTTPStatusCode": 400, "HTTPHeaders": {}, "RequestId": "R"},
    "ThrottlingReasons": [{"reason": "TableReadKeyRangeThroughputExceeded", "resource": "arn:aws:dynamodb:t"}],
}


@pytest.fixture
def server():
    with Server() as running:
        yield running


def kinds(told):
    return [type(event).__name__ for event in told]


def facts_of(kind):
    """Return the names of the facts that an event's classes state."""
    stated = [name for each in kind.__mro__ for name in inspect.get_annotations(each)]
    return {name for name in stated if not name.startswith("_")}


def all_told(core_of, **policy):
    told = []
    return told, core_of(observers=[told.append], **policy)


def test_the_end_of_a_call_says_all_that_is_known_of_it():
    told, core = all_told(make_core, retry=ONE)
    made = call(core, "Query", {"TableName": "t", "IndexName": "by-day"}, [HOT])
    end = told[-1]
    assert end.throttling_reasons == made.facts.throttling_reasons
    assert (end.code, end.stopped_by, end.request_id) == ("ThrottlingException", "max_attempts", "R")
    assert (end.index, end.region, end.response_bytes) == ("by-day", "eu-west-1", 0)
    assert json.loads(json.dumps(end.as_dict())) == {
        "event": "CallEndEvent",
        "table": "t",
        "operation": "Query",
        "call": end.call,
        "outcome": "error",
        "kind": "throttling",
        "code": "ThrottlingException",
        "stopped_by": "max_attempts",
        "attempts": 1,
        "elapsed": 0.0,
        "ambiguous": False,
        "consumed_capacity": None,
        "request_id": "R",
        "throttling_reasons": "TableReadKeyRangeThroughputExceeded",
        "index": "by-day",
        "region": "eu-west-1",
        "response_bytes": 0,
        "shard": None,
    }


def test_a_call_that_is_refused_says_so():
    told, core = all_told(make_core)
    core.lane(*GET).circuit.adopt("open", "elsewhere")
    call(core, *GET, [])
    assert (told[-1].code, told[-1].stopped_by, told[-1].attempts) == ("CircuitOpen", "circuit", 0)


def test_the_events_of_a_call_have_its_number_and_no_two_calls_have_the_same():
    told, core = all_told(make_core)
    call(core, *GET, [failed("ThrottlingException"), good()])
    call(core, *PUT, [good()])
    assert kinds(told) == [
        *("CallStartEvent", "AttemptEvent", "RetryEvent", "AttemptEvent", "CallEndEvent"),
        *("CallStartEvent", "AttemptEvent", "CallEndEvent"),
    ]
    assert [event.call == told[0].call for event in told] == [True] * 5 + [False] * 3


def test_a_budget_that_ran_out_is_told():
    told, core = all_told(make_core, retry_budget=rddb.RetryBudget(capacity=1, refill_per_second=0.1))
    call(core, *GET, [failed("ThrottlingException")] * 2)
    [budget] = [event for event in told if isinstance(event, events.BudgetEvent)]
    assert (budget.budget, budget.hot_partition, budget.call) == ("t/read", False, told[0].call)


@pytest.mark.parametrize("rim", ["sync", "async"])
def test_a_writer_tells_of_its_waits_its_rate_and_its_progress(rim, server):
    told = []
    back = [3, 0, 0]

    def answer(operation, params):
        requests = params["RequestItems"]["t"]
        left = requests[: back.pop(0)] if back else []
        return {"UnprocessedItems": {"t": left} if left else {}}

    server.answer = answer
    clock = rddb.testing.FakeClock()
    side = server.side(rim, rddb.Policy(observers=[told.append], clock=clock))
    options = {"write_units_per_second": 20}

    def write():
        with side.table.batch_writer(**options) as batch:
            for number in range(30):
                batch.put_item(Item={"pk": f"{SECRET}{number}"})

    async def write_async():
        async with side.table.batch_writer(**options) as batch:
            for number in range(30):
                await batch.put_item(Item={"pk": f"{SECRET}{number}"})

    if rim == "sync":
        write()
    else:
        import asyncio  # noqa: PLC0415 - only for the async rim

        asyncio.run(write_async())
    batches = [event for event in told if isinstance(event, events.BatchEvent)]
    assert [(event.written, event.left) for event in batches][:1] == [(22, 3)]
    assert sum(event.written for event in batches) == batches[-1].total_written == 30
    lowered = next(event for event in told if isinstance(event, events.RateEvent))
    assert lowered.new_rate < lowered.old_rate == 20
    assert {event.waits_for for event in told if isinstance(event, events.WaitEvent)} >= {"rate"}
    assert SECRET not in repr(told)
    for event in told:
        assert set(event.as_dict()) == {"event", *facts_of(type(event))}
        assert all(isinstance(fact, (str, int, float, type(None))) for fact in event.as_dict().values())
        json.dumps(event.as_dict(), allow_nan=False)
    side.close()


@pytest.mark.parametrize("rim", ["sync", "async"])
def test_a_reader_tells_of_its_waits_for_a_rate(rim, server):
    told = []
    pages = [{"Items": [], "Count": 0, "LastEvaluatedKey": {"pk": {"S": str(page)}}} for page in range(4)]
    end = {"Items": [], "Count": 0}

    def answer(operation, params):
        return {**(pages.pop(0) if pages else end), "ConsumedCapacity": {"TableName": "t", "CapacityUnits": 50.0}}

    server.answer = answer
    side = server.side(rim, rddb.Policy(observers=[told.append], clock=rddb.testing.FakeClock()))

    async def read():
        return [item async for item in side.table.parallel_scan(1, read_units_per_second=10)]

    if rim == "sync":
        assert list(side.table.parallel_scan(1, read_units_per_second=10)) == []
    else:
        import asyncio  # noqa: PLC0415 - only for the async rim

        assert asyncio.run(read()) == []
    waits = [event for event in told if isinstance(event, events.WaitEvent)]
    assert {(event.table, event.operation, event.waits_for) for event in waits} == {("t", "Scan", "rate")}
    assert max(event.seconds for event in waits) >= 4
    side.close()


@pytest.mark.parametrize("rim", ["sync", "async"])
def test_every_event_of_an_outage_has_all_its_facts(rim, server):
    told = []
    policy = rddb.Policy(
        observers=[told.append],
        clock=rddb.testing.FakeClock(),
        fallback=rddb.fallback.stale(60),
        circuit_breaker=rddb.CircuitBreaker(minimum_calls=3),
        retry_budget=rddb.RetryBudget(capacity=1, refill_per_second=0.1),
    )
    side = server.side(rim, policy)
    side.call("get_item", Key=KEY)
    server.down = True
    side.many("get_item", 3, Key=KEY)
    side.many("put_item", 1, Item=KEY)
    assert {type(event) for event in told} == {
        *(CallStartEvent, events.AttemptEvent, events.RetryEvent, events.BudgetEvent),
        *(events.CircuitEvent, events.FallbackEvent, CallEndEvent),
    }
    for event in told:
        assert set(event.as_dict()) == {"event", *facts_of(type(event))}
        json.dumps(event.as_dict(), allow_nan=False)
    ends = [event for event in told if isinstance(event, CallEndEvent)]
    assert {event.call for event in told if isinstance(event, CallStartEvent)} == {event.call for event in ends}
    assert ends[0].response_bytes == 2
    assert {event.request_id for event in ends[:1]} == {"made-by-a-test"}
    side.close()


def test_nothing_is_made_where_nobody_listens(monkeypatch):
    made = []

    def of(cls, facts):
        made.append(cls)

    monkeypatch.setattr(Event, "of", classmethod(of))
    core = make_core()
    call(core, *GET, [failed("ThrottlingException"), good()])
    assert made == []


async def observe(event):
    """Is never awaited."""


class Observes:
    async def __call__(self, event):
        """Is never awaited."""


@pytest.mark.parametrize("observer", [observe, Observes()], ids=["function", "object"])
def test_an_observer_that_nobody_would_await_is_refused_at_the_door(observer):
    with pytest.raises(TypeError, match="observers must be a plain function"):
        rddb.Policy(observers=[observer])


def doubts_told(told):
    return [event.ambiguous for event in told if isinstance(event, CallEndEvent)]


def lost(core):
    return call(core, *ADD, [failed("InternalServerError", 500)]).error


def test_a_flow_settles_the_call_that_it_made_and_no_other():
    told, core = all_told(make_core, retry=ONE)
    with Doubts() as doubts:
        mine, anothers = (doubts.over(lambda: lost(core))() for _ in range(2))  # such as a handler's, within the call
        assert doubts_told(told) == []
        doubts.settle(mine)
        assert doubts_told(told) == [False]
        doubts.settle(mine)
    assert anothers.resilience.ambiguous
    assert doubts_told(told) == [False, True]


def test_what_a_flow_does_not_settle_is_told_however_it_ends():
    told, core = all_told(make_core, retry=ONE)

    def interrupted():
        with Doubts() as doubts:
            doubts.over(lambda: lost(core))()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert doubts_told(told) == [True]


def test_a_flow_within_a_flow_leaves_its_doubts_to_the_outer_one():
    told, core = all_told(make_core, retry=ONE)

    def inner():
        with Doubts() as doubts:
            return doubts.over(lambda: lost(core))()

    with Doubts() as outer:
        error = outer.over(inner)()
        assert doubts_told(told) == []
        outer.settle(error)
    assert doubts_told(told) == [False]


def test_what_outlives_a_flow_is_told_at_once():
    told, core = all_told(make_core, retry=ONE)
    with Doubts() as doubts:
        late = doubts.over(lambda: lost(core))
    late()
    assert doubts_told(told) == [True]
