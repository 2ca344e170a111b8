"""How calls end: one script of scenarios, driven by the sync and the async driver."""

from __future__ import annotations

import asyncio

import pytest
from botocore import exceptions as bx
from unit_support import ADD, GET, PUT, Made, attempt_all, failed, good, make_core

from resilient_ddb import fallback as fallbacks
from resilient_ddb.calls.ending import cancel, recover
from resilient_ddb.calls.execution import Execution
from resilient_ddb.calls.flows import run, run_async
from resilient_ddb.errors import CircuitOpenError
from resilient_ddb.events import FallbackEvent
from resilient_ddb.policy.circuit_breaker import CircuitBreaker
from resilient_ddb.policy.deadlines import deadline
from resilient_ddb.policy.retry import Retry, RetryBudget
from resilient_ddb.testing import FakeClock

LOST = bx.ReadTimeoutError(endpoint_url="https://dynamodb")
THROTTLED = failed("ThrottlingException")
ONCE = Retry(max_attempts=1)
CONDITIONAL_PUT = ("PutItem", {**PUT[1], "ConditionExpression": "attribute_not_exists(pk)"})


class Member:
    """A fallback that answers, has no answer, or raises, and notes that it was asked."""

    def __init__(self, answer, name="member"):
        self.answer, self.name, self.asked = answer, name, []

    def __call__(self, call, error):
        self.asked.append((call, error))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def answers(*given):
    return [Member(answer, f"m{number}") for number, answer in enumerate(given)]


SCENARIOS = {
    # name: (operation, outcomes, policy, fallbacks' answers, who is asked, how it ends)
    "first answers": (GET, [THROTTLED], {"retry": ONCE}, [{"Item": 1}, {"Item": 2}], ["m0"], {"Item": 1}),
    "none is no answer": (GET, [THROTTLED], {"retry": ONCE}, [None, {"Item": 2}], ["m0", "m1"], {"Item": 2}),
    "an empty answer is one": (GET, [THROTTLED], {"retry": ONCE}, [{}, {"Item": 2}], ["m0"], {}),
    "a failure asks the next": (
        GET,
        [THROTTLED],
        {"retry": ONCE},
        [KeyError("a"), {"Item": 2}],
        ["m0", "m1"],
        {"Item": 2},
    ),
    "nobody answers": (GET, [THROTTLED], {"retry": ONCE}, [None, None], ["m0", "m1"], "ThrottlingException"),
    "the last one fails": (GET, [THROTTLED], {"retry": ONCE}, [None, KeyError("b")], ["m0", "m1"], KeyError),
    "only the first fails": (
        GET,
        [THROTTLED],
        {"retry": ONCE},
        [KeyError("a"), None],
        ["m0", "m1"],
        "ThrottlingException",
    ),
    "max_attempts": (GET, [LOST, LOST], {"retry": Retry(max_attempts=2)}, [{"Item": 1}], ["m0"], {"Item": 1}),
    "budget": (GET, [LOST], {"retry_budget": RetryBudget(capacity=0)}, [{"Item": 1}], ["m0"], {"Item": 1}),
    "circuit in mid call": (
        GET,
        [LOST],
        {"circuit_breaker": CircuitBreaker(minimum_calls=1)},
        [{"Item": 1}],
        ["m0"],
        {"Item": 1},
    ),
    "permanent": (GET, [failed("ValidationException")], {}, [{"Item": 1}], [], "ValidationException"),
    "no such table": (GET, [failed("ResourceNotFoundException")], {}, [{"Item": 1}], [], "ResourceNotFoundException"),
    "conditional": (
        CONDITIONAL_PUT,
        [failed("ConditionalCheckFailedException")],
        {},
        [{}],
        [],
        "ConditionalCheckFailedException",
    ),
    "ambiguous and not to be repeated": (ADD, [LOST], {}, [{"Item": 1}], [], bx.ReadTimeoutError),
    "ambiguous and repeated at one's own risk": (
        ADD,
        [LOST],
        {"retry": ONCE, "on_ambiguous_write": "retry"},
        [{}],
        [],
        bx.ReadTimeoutError,
    ),
    "ambiguous once, then throttled": (
        ADD,
        [LOST, THROTTLED],
        {"retry": Retry(max_attempts=2), "on_ambiguous_write": "retry"},
        [{}],
        [],
        "ThrottlingException",
    ),
    "ambiguous but safe": (PUT, [LOST], {"retry": ONCE}, [{"ok": 1}], ["m0"], {"ok": 1}),
    "an unsafe write surely not applied": (ADD, [THROTTLED], {"retry": ONCE}, [{"ok": 1}], ["m0"], {"ok": 1}),
    "success": (GET, [good(Item=5)], {}, [{"Item": 1}], [], good(Item=5)),
    "stop iteration": (GET, [THROTTLED], {"retry": ONCE}, [StopIteration(7)], ["m0"], RuntimeError),
    "stop iteration, then an answer": (
        GET,
        [THROTTLED],
        {"retry": ONCE},
        [StopIteration(7), {"Item": 2}],
        ["m0", "m1"],
        {"Item": 2},
    ),
    "no fallback": (GET, [THROTTLED], {"retry": ONCE}, [], [], "ThrottlingException"),
}


def drive_sync(flow):
    return run(flow)


def drive_async(flow):
    return asyncio.run(run_async(flow))


def play(scenario, drive, *, deferred=False):
    operation, outcomes, policy, given, *_ = scenario
    members, told = answers(*given), []

    def later(member):
        async def asked(call, error):
            await asyncio.sleep(0)
            return member(call, error)

        asked.name = member.name
        return asked

    if given:
        asked = [fallbacks.function(later(m) if deferred else m, writes=True) for m in members]
        policy = {**policy, "fallback": fallbacks.Chain(*asked)}
    core = make_core(observers=[told.append], **policy)
    made = Made(core, *operation)
    try:
        made.response = attempt_all(made, outcomes)
    except Exception as error:  # noqa: BLE001 - recover decides
        try:
            made.response = drive(recover(made.execution, error))
        except Exception as raised:  # noqa: BLE001 - the test looks at it
            made.error = raised
    return made, [m.name for m in members if m.asked], told, members


DRIVES = {"sync": (drive_sync, False), "async": (drive_async, False), "async fallbacks": (drive_async, True)}
RUNS = [
    pytest.param(name, *drive, id=f"{way}-{name}")
    for way, drive in DRIVES.items()
    for name in SCENARIOS
    if not (way == "async fallbacks" and name.startswith("stop iteration"))  # a coroutine can't raise StopIteration
]


@pytest.mark.parametrize(("name", "drive", "deferred"), RUNS)
def test_a_call_ends_as_the_table_says(name, drive, deferred):
    *_, asked, end = SCENARIOS[name]
    made, were_asked, told, _ = play(SCENARIOS[name], drive, deferred=deferred)
    assert were_asked == asked
    if isinstance(end, dict):
        told_by = {"Resilience": {"fallback": asked[-1]}} if asked else {}
        metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": made.execution.attempts - 1, **told_by}
        assert (made.error, made.response) == (None, {"ResponseMetadata": metadata, **end})
    elif isinstance(end, str):
        assert made.code == end
        assert made.facts.operation == made.execution.operation
        failures = ["fallback m0 failed: KeyError"] if name == "only the first fails" else []
        assert made.error.__notes__ == [made.facts.note(), *failures]
    else:
        assert type(made.error) is end
    events = [event for event in told if isinstance(event, FallbackEvent)]
    assert [event.fallback for event in events] == asked
    last = made.error is None and bool(asked)
    assert [event.answered for event in events] == [False] * (len(asked) - last) + [True] * last
    if made.response != good(Item=5):
        assert told[-1].outcome == ("fallback" if last else "error")


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_drivers_do_the_same(name):
    def summary(drive):
        made, asked, told, _ = play(SCENARIOS[name], drive)
        events = [{**event.as_dict(), "call": None} for event in told]  # each call has a number of its own
        return made.response, repr(made.error), asked, events, made.request, made.execution.stopped_by

    assert summary(drive_sync) == summary(drive_async)


def test_a_fallback_s_failure_has_the_call_s_error_as_its_cause():
    made, *_ = play(SCENARIOS["the last one fails"], drive_sync)
    assert made.error.__cause__.response["Error"]["Code"] == "ThrottlingException"
    assert made.error.__cause__.resilience.stopped_by == "max_attempts"


def test_a_fallback_is_given_the_call_and_its_error_with_the_facts():
    _, _, _, [member] = play(SCENARIOS["max_attempts"], drive_sync)
    [(asked, error)] = member.asked
    assert (asked.operation, asked.params, asked.table) == (*GET, "t")
    assert (asked.identity, asked.is_read) == (("key", "eu-west-1", "https://dynamodb", True), True)
    assert error is LOST
    assert error.resilience.attempts == 2


EVERY_KIND = {
    "read": [GET, ("TransactGetItems", {}), ("ExecuteStatement", {"Statement": "SELECT * FROM t"})],
    "write": [PUT, ("TransactWriteItems", {}), ("BatchWriteItem", {}), ("ExecuteStatement", {"Statement": "DELETE"})],
    "control": [(name, {"TableName": "t"}) for name in ("DescribeTable", "ListTables", "DeleteTable", "TagResource")],
}


class OwnFallback(fallbacks.Fallback):
    """One of the application's own class."""

    def __init__(self, member):
        self.member = member

    def __call__(self, call, error):
        return self.member(call, error)


@pytest.mark.parametrize(
    ("made", "kinds"),
    [
        (lambda member: member, {"read"}),
        (OwnFallback, {"read"}),
        (fallbacks.function, {"read"}),
        (lambda member: fallbacks.function(member, writes=True), {"read", "write"}),
        (lambda member: fallbacks.stale() | member, {"read"}),
        (lambda member: fallbacks.stale() | fallbacks.function(member, writes=True), {"read", "write"}),
    ],
    ids=["function", "own class", "wrapped", "for writes", "in a chain", "for writes, in a chain"],
)
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_fallback_is_asked_about_reads_and_about_writes_only_if_made_so(made, kinds, kind):
    for operation in EVERY_KIND[kind]:
        member = Member({"ok": 1})
        core = make_core(retry=ONCE, fallback=made(member))
        ended = Made(core, *operation)
        with pytest.raises(bx.ClientError) as throttled:
            attempt_all(ended, [THROTTLED])
        if kind in kinds:
            assert run(recover(ended.execution, throttled.value))["ok"] == 1
        else:
            with pytest.raises(bx.ClientError, match="ThrottlingException"):
                run(recover(ended.execution, throttled.value))
        assert len(member.asked) == (kind in kinds)


def refused(core, operation=GET):
    made = Made(core, *operation)
    try:
        attempt_all(made, [])
    except Exception as error:  # noqa: BLE001 - recover decides
        made.response = run(recover(made.execution, error))
    return made


@pytest.mark.parametrize("operation", [GET, PUT, ADD])
def test_a_fallback_is_asked_where_the_circuit_lets_nothing_through(operation):
    member = Member({"ok": 1})
    core = make_core(circuit_breaker=CircuitBreaker(minimum_calls=1), fallback=fallbacks.function(member, writes=True))
    core.lane(*operation).circuit.adopt("open", "test")
    assert refused(core, operation).response["ok"] == 1
    assert isinstance(member.asked[0][1], CircuitOpenError)


@pytest.mark.parametrize("operation", [GET, PUT, ADD])
def test_a_fallback_is_asked_where_the_deadline_lets_nothing_through(operation):
    clock, member = FakeClock(), Member({"ok": 1})
    with deadline(0, clock=clock):
        core = make_core(clock, fallback=fallbacks.function(member, writes=True))
        assert refused(core, operation).response["ok"] == 1


def test_a_fallback_is_asked_when_the_deadline_leaves_no_time_to_wait():
    clock, member = FakeClock(), Member({"ok": 1})
    core = make_core(clock, fallback=member, retry=Retry(base_delay=5.0))
    with deadline(2, clock=clock):
        made = Made(core, *GET)
        with pytest.raises(bx.ClientError) as ended:
            attempt_all(made, [THROTTLED])
        assert run(recover(made.execution, ended.value))["ok"] == 1
    assert member.asked[0][1].resilience.stopped_by == "deadline"


@pytest.mark.parametrize(("operation", "asked"), [(GET, 1), (PUT, 1), (ADD, 0)])
def test_a_call_cut_off_in_the_air_asks_a_fallback_unless_it_may_have_been_applied(operation, asked):
    member = Member({"ok": 1})
    execution = Execution(make_core(fallback=fallbacks.function(member, writes=True)), *operation)
    execution.admit()
    error = execution.cut_off()
    if asked:
        assert run(recover(execution, error))["ok"] == 1
    else:
        with pytest.raises(bx.ClientError) as raised:
            run(recover(execution, error))
        assert raised.value is error
        assert error.resilience.ambiguous
    assert len(member.asked) == asked


def test_the_end_of_a_call_gives_its_permit_back():
    clock = FakeClock()
    core = make_core(clock, circuit_breaker=CircuitBreaker(minimum_calls=1, half_open_permits=1), retry=ONCE)
    core.lane(*GET).circuit.adopt("open", "test")
    clock.advance(10)
    execution = Execution(core, *GET)
    execution.admit()
    error = bx.ParamValidationError(report="before it was sent")
    with pytest.raises(bx.ParamValidationError):
        run(recover(execution, error))
    Execution(core, *GET).admit()  # the permit is free again


def test_an_error_before_anything_was_sent_has_facts_too():
    execution = Execution(make_core(), *GET)
    execution.admit()
    error = bx.ParamValidationError(report="no")
    with pytest.raises(bx.ParamValidationError):
        run(recover(execution, error))
    facts = error.resilience
    assert (facts.kind, facts.attempts, facts.stopped_by, facts.ambiguous) == ("permanent", 0, None, False)


@pytest.mark.parametrize("awaitable", ["coroutine", "future"])
def test_an_async_fallback_on_the_sync_client_is_refused_and_the_next_is_asked(awaitable):
    class Later:
        def __await__(self):
            yield

    async def coroutine(call, error):
        raise AssertionError("never run")

    def future(call, error):
        return Later()

    first = coroutine if awaitable == "coroutine" else future
    core = make_core(retry=ONCE, fallback=first)
    made = Made(core, *GET)
    with pytest.raises(bx.ClientError) as ended:
        attempt_all(made, [THROTTLED])
    with pytest.raises(TypeError, match=r"async fallbacks are for resilient_ddb\.aio"):
        run(recover(made.execution, ended.value))
    core = make_core(retry=ONCE, fallback=fallbacks.Chain(first, Member({"ok": 1})))
    made = Made(core, *GET)
    with pytest.raises(bx.ClientError) as ended:
        attempt_all(made, [THROTTLED])
    assert run(recover(made.execution, ended.value))["ok"] == 1


def test_a_plain_function_is_named_by_its_name():
    told = []

    def my_own(call, error):
        return {}

    core = make_core(retry=ONCE, fallback=my_own, observers=[told.append])
    made = Made(core, *GET)
    with pytest.raises(bx.ClientError) as ended:
        attempt_all(made, [THROTTLED])
    run(recover(made.execution, ended.value))
    assert [event.fallback for event in told if isinstance(event, FallbackEvent)] == ["my_own"]


@pytest.mark.parametrize("drive", [drive_sync, drive_async])
def test_an_interrupted_fallback_ends_the_flow(drive):
    ended = []

    def flow():
        try:
            yield interrupt
        finally:
            ended.append(True)

    def interrupt():
        raise KeyboardInterrupt

    running = flow()  # held here: it is not the garbage collector that ends it
    with pytest.raises(KeyboardInterrupt):
        drive(running)
    assert ended == [True]


def test_a_cancelled_async_fallback_ends_the_flow():
    ended = []

    def flow():
        try:
            yield lambda: asyncio.sleep(3600)
        finally:
            ended.append(True)

    running = flow()

    async def main():
        task = asyncio.create_task(run_async(running))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended == [True]


@pytest.mark.parametrize("drive", [drive_sync, drive_async])
def test_a_flow_takes_in_what_its_steps_gave_and_raised(drive):
    def flow():
        first = yield lambda: 1
        try:
            yield lambda: 1 / 0
        except ZeroDivisionError as error:
            second = type(error).__name__
        return first, second, (yield lambda: None)

    assert drive(flow()) == (1, "ZeroDivisionError", None)


def test_a_cancelled_call_is_told_as_such():
    told = []
    execution = Execution(make_core(observers=[told.append]), *PUT)
    execution.admit()
    cancel(execution)
    assert [(event.outcome, event.attempts) for event in told[1:]] == [("cancelled", 1)]
