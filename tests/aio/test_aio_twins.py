"""One script through the sync Table and the async one: the same results, facts, events, requests and waits."""

import inspect
import random

import pytest
from boto3.dynamodb.conditions import Attr
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock, faults

KEY = {"pk": "a"}
GET = ("get_item", {"Key": KEY, "ConsistentRead": True})
PUT = ("put_item", {"Item": {"pk": "a", "n": 1}})
PUT_NEW = ("put_item", {"Item": {"pk": "a", "n": 1}, "ConditionExpression": Attr("pk").not_exists()})
PUT_OTHER = ("put_item", {"Item": {"pk": "a", "n": 2}, "ConditionExpression": Attr("pk").not_exists()})
ADD = ("update_item", {"Key": KEY, "UpdateExpression": "ADD c :one", "ExpressionAttributeValues": {":one": 1}})
SET_IF = (
    "update_item",
    {
        "Key": KEY,
        "UpdateExpression": "SET n = :new",
        "ConditionExpression": "n = :old",
        "ExpressionAttributeValues": {":new": 2, ":old": 1},
    },
)
DELETE_IF = ("delete_item", {"Key": KEY, "ConditionExpression": "attribute_exists(pk)"})
BAD = ("update_item", {"Key": KEY, "UpdateExpression": "nonsense"})
FLOAT = ("put_item", {"Item": {"pk": "a", "f": 0.5}})
TRIPS = rddb.CircuitBreaker(minimum_calls=3, open_jitter=0.0)
VALUE = rddb.fallback.response({"Item": {"pk": "fallback"}})

SCENARIOS = {
    "all well": ([], {}, [PUT, GET, ADD, SET_IF, DELETE_IF, GET]),
    "throttled": ([faults.Throttle(times=3)], {}, [PUT, GET]),
    "always throttled": ([faults.Throttle()], {"retry": rddb.Retry(max_attempts=4)}, [PUT, GET, ADD]),
    "a hot key": ([faults.Throttle(reasons=["TableReadKeyRangeThroughputExceeded"])], {}, [GET]),
    "asked to wait": ([faults.Throttle(times=1, retry_after_ms=2500)], {}, [GET]),
    "throttled, out of budget": (
        [faults.Throttle()],
        {"retry_budget": rddb.RetryBudget(capacity=2, refill_per_second=0.01)},
        [GET, GET],
    ),
    "500": ([faults.ServerError(times=2)], {}, [GET, PUT]),
    "500 to an ADD": ([faults.ServerError(times=1)], {}, [ADD, ADD, GET]),
    "HTML": ([faults.HtmlError(times=2)], {}, [GET, PUT_NEW, ADD]),
    "bad checksums": ([faults.BadCrc(times=3)], {}, [PUT, GET, ADD]),
    "bad JSON": ([faults.BadJson(times=2)], {}, [GET, PUT, ADD]),
    "truncated": ([faults.TruncateBody(times=2)], {}, [PUT, GET]),
    "bad checksums without end": ([faults.BadCrc()], {"retry": rddb.Retry(max_attempts=3)}, [GET, ADD]),
    "a lost reply to a put": ([faults.LoseReply(times=1)], {}, [PUT, GET]),
    "a lost reply to a conditional put": ([faults.LoseReply(times=1)], {}, [PUT_NEW, GET]),
    "a lost reply to another's put": ([faults.LoseReply(times=1, operations={"PutItem"})], {}, [PUT_NEW, PUT_OTHER]),
    "a reset before another's put": ([faults.ResetBefore(every=2, times=1)], {}, [PUT_NEW, PUT_OTHER]),
    "a lost reply to an ADD": ([faults.LoseReply(times=1)], {}, [ADD, ADD, GET]),
    "an ADD to be repeated": ([faults.LoseReply(times=1)], {"on_ambiguous_write": "retry"}, [ADD, GET]),
    "a lost reply to a conditional update": ([faults.LoseReply(every=2, times=1)], {}, [PUT, SET_IF, GET]),
    "a lost reply to a conditional delete": ([faults.LoseReply(every=2, times=1)], {}, [PUT, DELETE_IF, GET]),
    "the caller's mistakes": ([], {}, [BAD, FLOAT, ("get_item", {}), SET_IF, GET]),
    "a circuit that opens": (
        [faults.ServerError(times=5)],
        {"retry": rddb.Retry(max_attempts=2), "circuit_breaker": TRIPS},
        [GET, GET, GET, PUT, 10.0, GET, GET, GET, GET],
    ),
    "a probe that fails": ([faults.ServerError(times=4)], {"circuit_breaker": TRIPS}, [GET, 10.0, GET, 10.0, GET]),
    "no retries": (
        [faults.ServerError()],
        {"retry": rddb.Retry(max_attempts=1), "circuit_breaker": None},
        [GET, PUT, ADD],
    ),
    "a fallback": (
        [faults.Throttle(every=2)],
        {"retry": rddb.Retry(max_attempts=1), "fallback": VALUE},
        [PUT, GET, ADD, BAD],
    ),
    "a stale answer": (
        [faults.Throttle(every=3)],
        {"retry": rddb.Retry(max_attempts=1), "fallback": rddb.fallback.stale(max_age=60)},
        [PUT, GET, 7.0, GET],
    ),
    "an expired token": ([faults.ErrorResponse(code="ExpiredTokenException", times=1)], {}, [GET]),
    "a token that stays expired": ([faults.ErrorResponse(code="ExpiredTokenException")], {}, [GET]),
    "a skewed clock": (
        [faults.ErrorResponse(code="InvalidSignatureException", date="Mon, 01 Jan 2024 00:00:00 GMT")],
        {},
        [GET],
    ),
    "a deadline between attempts": (
        [faults.Throttle()],
        {"retry": rddb.Retry(base_delay=1.0, max_delay=1.0)},
        ["deadline", GET],
    ),
    "a deadline that has passed": ([], {}, ["passed", GET, ADD]),
}

_LOST = {EndpointConnectionError.__name__: "connection lost", ConnectionClosedError.__name__: "connection lost"}


def facts_of(error):
    facts = getattr(error, "resilience", None)
    return None if facts is None else facts.as_dict()


def failure(error):
    lost = isinstance(error, (EndpointConnectionError, ConnectionClosedError))
    text = "" if lost else str(error)
    response = {}
    if isinstance(error, ClientError):
        response = {key: value for key, value in error.response.items() if key != "ResponseMetadata"}
    return "raised", _LOST.get(type(error).__name__, type(error).__name__), text, response, facts_of(error)


def event_of(event):
    told = {"event": type(event).__name__, **event.as_dict()}
    told.pop("request_id", None)
    told.pop("call", None)
    if told.get("code") in _LOST:
        told["code"] = "connection lost"
    for key in ("reason",):
        for name, text in _LOST.items():
            if key in told:
                told[key] = told[key].replace(name, text)
    return told


async def play(world, scenario, table_of):
    """Play a scenario on a fresh table, and give all that could be seen of it."""
    plan, settings, steps = scenario
    for item in world.direct.scan()["Items"]:
        world.direct.delete_item(Key={"pk": item["pk"]})
    clock, events = FakeClock(), []
    settings = {**settings, "clock": clock, "random": random.Random(7), "observers": [events.append]}
    if getattr(settings.get("fallback"), "name", "") == "stale":
        settings["fallback"] = rddb.fallback.stale(max_age=60)
    made = table_of(config=Config(read_timeout=5), policy_fallback=settings.pop("fallback", None), **settings)
    table = await made if inspect.iscoroutine(made) else made
    world.proxy.plan = plan
    world.proxy.clear()
    results = []
    limit = None
    for step in steps:
        if isinstance(step, float):
            clock.advance(step)
            continue
        if isinstance(step, str):
            limit = rddb.deadline(2.5 if step == "deadline" else 0.0, clock=clock)
            continue
        verb, params = step
        entered = limit.__enter__() if limit else None
        try:
            answer = getattr(table, verb)(**params)
            answer = await answer if inspect.isawaitable(answer) else answer
            metadata = answer.pop("ResponseMetadata", {})
            kept = {key: metadata[key] for key in ("HTTPStatusCode", "RetryAttempts", "Resilience") if key in metadata}
            results.append(("returned", answer, kept))
        except Exception as error:  # noqa: BLE001 - whatever it is, the twin has to raise it too
            results.append(failure(error))
        finally:
            if entered is not None:
                limit.__exit__(None, None, None)
                limit = rddb.deadline(max(0.0, entered.remaining()), clock=clock)
    requests = [(seen.operation, seen.fault, seen.status, seen.forwarded) for seen in world.proxy.seen]
    return {
        "results": results,
        "events": [event_of(event) for event in events],
        "requests": requests,
        "waits": clock.waits,
        "item": world.stored(),
    }


@pytest.mark.parametrize("name", SCENARIOS)
async def test_both_tables_do_the_same(world, name):
    def sync_table(policy_fallback=None, **settings):
        return world.sync_table(fallback=policy_fallback, **settings)

    def async_table(policy_fallback=None, **settings):
        return world.table(fallback=policy_fallback, **settings)

    theirs = await play(world, SCENARIOS[name], sync_table)
    ours = await play(world, SCENARIOS[name], async_table)
    for part, expected in theirs.items():
        assert ours[part] == expected, part
    assert ours["events"]
