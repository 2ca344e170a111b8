"""What is written to the log without being asked for: all that matters, in few lines, and nothing twice."""

from __future__ import annotations

import logging
import pickle
import re
import subprocess
import sys

import pytest
from emulators import CREDENTIALS, REGION
from operator_support import KEY, Server
from unit_support import ADD, GET, ROOT, call, failed, good, make_core

import resilient_ddb as rddb
from resilient_ddb.calls.circuit import Forced
from resilient_ddb.events import BudgetEvent, CallEndEvent, CircuitEvent, ErrorKind, Outcome, UnprocessedEvent
from resilient_ddb.observers import LoggingObserver
from resilient_ddb.observers.logs import Warnings, describe
from resilient_ddb.testing import FakeClock

FAILED = "UpdateItem t: error (ambiguous: InternalServerError) after 1 attempt in 0.000 s"
IN_DOUBT = f"{FAILED}: AMBIGUOUS, it may have been applied"
ONE = rddb.Retry(max_attempts=1)
LOST = failed("InternalServerError", 500)
UP = {"Key": KEY, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.WARNING, "resilient_ddb")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "resilient_ddb"]


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def rim(request):
    return request.param


def counted(texts, what):
    """Add up what lines say: the first, and those of summaries."""
    mine = [text for text in texts if what in text]
    return sum(int(found[1].replace(",", "")) if (found := re.search(r"([\d,]+) more", text)) else 1 for text in mine)


def test_an_outage_of_10_000_calls_is_said_in_few_lines(lines):
    clock = FakeClock()
    core = make_core(clock)
    in_doubt = 0
    for _ in range(10_000):
        made = call(core, *ADD, [LOST] * 10)
        in_doubt += isinstance(made.error, Exception) and made.facts.ambiguous
        clock.advance(0.01)
    clock.advance(5)
    for _ in range(3):
        assert call(core, *ADD, [good()]).error is None
    said = lines()
    assert len(said) <= 9
    assert in_doubt > 100
    assert counted(said, "AMBIGUOUS") == in_doubt
    text = "\n".join(said)
    for change in ("closed -> open", "open -> half-open", "half-open -> open", "half-open -> closed"):
        assert change in text
    assert said[-1].startswith("circuit t/write: half-open -> closed: ")


FLAPS = rddb.CircuitBreaker(minimum_calls=4, window_calls=4, open_duration=0.3, open_jitter=0, half_open_permits=1)
OPENED = "circuit t/read: closed -> open: 4 of 4 attempts failed within 10 s, the last with InternalServerError"
CLOSED_AGAIN = "circuit t/read: half-open -> closed: 1 of 1 probes succeeded"


def fail(core, clock, times=4):
    for _ in range(times):
        call(core, *GET, [LOST])
        clock.advance(0.01)


def test_each_opening_of_a_circuit_that_flaps_is_said_at_once_with_its_reason(lines):
    clock = FakeClock()
    core = make_core(clock, retry=ONE, circuit_breaker=FLAPS)
    for number in range(1, 4):
        fail(core, clock)
        assert lines() == [OPENED, CLOSED_AGAIN] * (number - 1) + [OPENED]
        clock.advance(0.4)
        assert call(core, *GET, [good()]).error is None
        assert lines() == [OPENED, CLOSED_AGAIN] * number
        clock.advance(11)
    core.flush()
    assert lines() == [OPENED, CLOSED_AGAIN] * 3


def test_probes_that_fail_are_summed_up(lines):
    clock = FakeClock()
    core = make_core(clock, retry=ONE, circuit_breaker=FLAPS)
    fail(core, clock)
    for _ in range(300):
        clock.advance(0.4)
        call(core, *GET, [LOST])
    assert len(lines()) == 3  # it opened, and a summary a minute
    clock.advance(0.4)
    assert call(core, *GET, [good()]).error is None
    assert lines()[0] == OPENED
    assert all("more changes within" in line for line in lines()[1:-1])
    assert lines()[-1] == CLOSED_AGAIN
    assert len(lines()) == 5


def test_what_a_person_does_is_said_at_once_with_the_reason(lines):
    clock = FakeClock()
    core = make_core(clock, retry=ONE, circuit_breaker=FLAPS)
    fail(core, clock)
    clock.advance(0.4)
    fail(core, clock, times=1)  # a probe
    core.force("t/read", Forced("open", "maintenance until 5"))
    assert lines()[1:] == ["circuit t/read: open -> forced open: maintenance until 5"]
    core.force("t/read", Forced("closed", "it is in the way"))
    assert lines()[2:] == [
        "circuit t/read: 2 more changes within 1 s: 1 x open -> half-open, 1 x half-open -> open",
        "circuit t/read: open -> forced closed: it is in the way",
    ]
    core.force("t/read", None)
    assert lines()[4:] == ["circuit t/read: forced closed -> open: released"]
    core.force("t/read", Forced("open", "maintenance until 6"))
    core.force("t/read", Forced("open", "maintenance until 6"))
    core.force("t/read", None)
    assert lines()[5:] == [
        "circuit t/read: open -> forced open: maintenance until 6",
        "circuit t/read: forced open -> open: released",
    ]


def test_a_release_says_that_the_circuit_was_forced(lines):
    core = make_core()
    core.force("t/read", Forced("closed", "it is needed"))
    core.force("t/read", None)
    assert lines() == [
        "circuit t/read: closed -> forced closed: it is needed",
        "circuit t/read: forced closed -> closed: released",
    ]


def test_a_circuit_that_is_forced_before_its_first_call_is_said_at_once_and_once(lines):
    told = []
    core = make_core(observers=[told.append])
    core.force("t/read", Forced("open", "maintenance A"))
    said = ["circuit t/read: closed -> forced open: maintenance A"]
    assert lines() == said
    assert isinstance(call(core, *GET, [good()]).error, rddb.CircuitOpenError)
    core.flush()
    assert lines() == said
    core.force("t/read", None)
    core.force("t/write", None)  # it was not held
    core.force("t/write", Forced("open", "maintenance B"))
    core.force("t/write", Forced("open", "maintenance C"))
    core.force("t/write", None)
    assert call(core, *ADD, [good()]).error is None
    said += [
        "circuit t/read: forced open -> closed: released",
        "circuit t/write: closed -> forced open: maintenance B",
        "circuit t/write: open -> forced open: maintenance C",
        "circuit t/write: forced open -> closed: released",
    ]
    assert lines() == said
    assert [describe(event) for event in told if isinstance(event, CircuitEvent)] == said


def test_a_circuit_that_several_tables_have_is_said_to_be_forced_once(lines):
    told, own = [], []
    core = make_core(observers=[told.append])
    view = core.with_policy(core.policy.replace(retry_budget=None, observers=[own.append]), "t")
    call(core, *GET, [good()])
    core.force("t/read", Forced("open", "maintenance"))
    assert isinstance(call(view, *GET, [good()]).error, rddb.CircuitOpenError)
    core.force("t/read", None)
    assert lines() == [
        "circuit t/read: closed -> forced open: maintenance",
        "circuit t/read: forced open -> closed: released",
    ]
    for each in (told, own):  # each has heard of its own circuit
        assert [describe(event) for event in each if isinstance(event, CircuitEvent)] == lines()


@pytest.mark.parametrize("has_own_policy", [False, True])
def test_a_table_of_a_module_is_said_to_be_forced_before_it_is_open(server, lines, has_own_policy):
    aio = pytest.importorskip("resilient_ddb.aio", exc_type=ImportError)
    told = []
    policy = rddb.Policy(observers=[told.append])
    access = {"endpoint_url": server.stub.endpoint_url, "region_name": REGION, **CREDENTIALS}
    if has_own_policy:
        made = aio.resource("dynamodb", **access)
        table = made.Table("t", policy=policy)
    else:
        made = table = aio.table("t", policy=policy, **access)
    handle = rddb.circuits(table)["read"]
    handle.force_open("maintenance")
    said = ["circuit t/read: closed -> forced open: maintenance"]
    assert lines() == said

    async def ask():
        with pytest.raises(rddb.CircuitOpenError, match="maintenance"):
            await table.get_item(Key=KEY)
        handle.release()
        await table.get_item(Key=KEY)
        await made.close()

    run(ask())
    said.append("circuit t/read: forced open -> closed: released")
    assert lines() == said
    assert [describe(event) for event in told if isinstance(event, CircuitEvent)] == said


def test_what_is_not_yet_written_is_as_the_client_is_closed(rim, server, lines):
    server.down = True
    side = server.side(rim, rddb.Policy(clock=FakeClock(), retry=ONE, circuit_breaker=None))
    assert len(side.many("update_item", 5, **UP)) == 5
    if rim == "sync":  # an async table's client is closed with its loop
        assert lines() == [IN_DOUBT]
    side.close()
    assert lines() == [
        IN_DOUBT,
        "t: 4 more writes in doubt within 1 s: AMBIGUOUS, they may have been applied",
    ]


def test_a_summary_is_written_a_minute_at_most(lines):
    clock = FakeClock()
    core = make_core(clock, retry=ONE, circuit_breaker=None)
    for _ in range(1_000):
        call(core, *ADD, [LOST])
        clock.advance(0.25)
    assert len(lines()) == 5
    core.flush()
    assert counted(lines(), "AMBIGUOUS") == 1_000
    clock.advance(61)
    call(core, *ADD, [LOST])
    assert lines()[-1].startswith("UpdateItem t: error (ambiguous: InternalServerError) after ")


def test_a_budget_that_ran_out_is_said(lines):
    core = make_core(retry=rddb.Retry(max_attempts=3), retry_budget=rddb.RetryBudget(capacity=2, refill_per_second=0.1))
    for _ in range(5):
        call(core, *GET, [failed("ThrottlingException")] * 3)
    core.flush()
    assert lines()[0] == "t/read: the retry budget is used up: GetItem t is not retried"
    assert counted(lines(), "retry budget") == 4


def test_requests_that_are_left_unwritten_are_said(rim, server, lines):
    server.answer = lambda operation, params: {"UnprocessedItems": params["RequestItems"]}
    side = server.side(rim, rddb.Policy(clock=FakeClock(), retry=rddb.Retry(max_attempts=2)))

    def write():
        with side.table.batch_writer() as batch:
            batch.put_item(Item=KEY)
            batch.put_item(Item={"pk": "b"})

    async def write_async():
        async with side.table.batch_writer() as batch:
            await batch.put_item(Item=KEY)
            await batch.put_item(Item={"pk": "b"})

    with pytest.raises(rddb.UnprocessedItemsError):
        write() if rim == "sync" else run(write_async())
    assert lines() == ["BatchWriteItem t: 2 requests not surely written: UnprocessedItems"]
    side.close()


def run(work):
    import asyncio  # noqa: PLC0415 - only for the async rim

    asyncio.run(work)


def test_nothing_is_said_twice_where_a_logging_observer_is(lines):
    core = make_core(
        retry=ONE, observers=[LoggingObserver(clock=FakeClock())], circuit_breaker=rddb.CircuitBreaker(minimum_calls=2)
    )
    for _ in range(3):
        call(core, *ADD, [LOST])
    core.flush()
    assert lines() == [
        IN_DOUBT,
        "circuit t/write: closed -> open: 2 of 2 attempts failed within 10 s, the last with InternalServerError",
        "t: 1 more write in doubt within 1 s: AMBIGUOUS, it may have been applied",
    ]


def test_nothing_is_made_for_a_call_that_succeeds():
    core = make_core()
    call(core, *GET, [good()])
    core.flush()
    assert "_warnings" not in core.__dict__


def test_a_handler_that_fails_fails_no_call(monkeypatch):
    class Broken(logging.Handler):
        def handle(self, record):
            raise RuntimeError("no")

    logger = logging.getLogger("resilient_ddb")
    monkeypatch.setattr(logger, "handlers", [Broken(level=logging.WARNING)])
    monkeypatch.setattr(logger, "propagate", False)
    assert call(make_core(retry=ONE, circuit_breaker=None), *ADD, [LOST]).code == "InternalServerError"


def test_each_circuit_that_closes_says_what_is_left_of_its_table_only(lines):
    warnings = Warnings(logging.getLogger("resilient_ddb"), FakeClock())

    def left(table):
        warnings(UnprocessedEvent(table=table, operation="BatchWriteItem", requests=7, code="E"))

    for table in ("a", "a", "a", "b", "b"):
        left(table)
    change = {"old_state": "half-open", "new_state": "closed", "reason": "why", "forced": False}
    warnings(CircuitEvent(table="a", operation="", circuit="a/write", **change))
    assert lines()[2:] == [
        "a: 14 more requests left unwritten within 1 s",
        "circuit a/write: half-open -> closed: why",
    ]
    warnings.flush()
    warnings.flush()
    assert lines()[4:] == ["b: 7 more requests left unwritten within 1 s"]


def test_subjects_are_bounded_and_none_is_lost(lines):
    warnings = Warnings(logging.getLogger("resilient_ddb"), FakeClock())
    for number in range(1_100):
        for _ in range(2):
            warnings(UnprocessedEvent(table=f"t{number}", operation="BatchWriteItem", requests=1, code="E"))
    assert len([text for text in lines() if "1 more request left unwritten" in text]) == 100  # to make room for others
    warnings.flush()
    assert len([text for text in lines() if "1 more request left unwritten" in text]) == 1_100


def test_a_logging_observer_can_be_pickled(caplog):
    observer = pickle.loads(pickle.dumps(LoggingObserver(logging.getLogger("mine"))))  # noqa: S301 - its own
    observer(UnprocessedEvent(table="t", operation="BatchWriteItem", requests=1, code="E"))
    observer.flush()
    assert {record.name for record in caplog.records} == {"mine"}


def test_what_is_left_is_written_at_exit():
    program = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
sys.path[:0] = sys.argv[1:]
from unit_support import *
import resilient_ddb as rddb
core = make_core(retry=rddb.Retry(max_attempts=1), circuit_breaker=None)
for _ in range(4):
    call(core, *ADD, [failed("InternalServerError", 500)])
"""
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", program, *sys.path], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == [
        f"WARNING resilient_ddb {IN_DOUBT}",
        "WARNING resilient_ddb t: 3 more writes in doubt within 1 s: AMBIGUOUS, they may have been applied",
    ]


def test_the_lines_that_the_documentation_explains_are_written_so():
    page = (ROOT / "docs" / "operating.rst").read_text()
    table = {"table": "orders"}
    opened = "50 of 50 attempts failed within 10 s, the last with InternalServerError"
    change = {"circuit": "orders/write", "operation": "", "forced": False, **table}
    in_doubt = {
        "kind": ErrorKind.AMBIGUOUS,
        "outcome": Outcome.ERROR,
        "ambiguous": True,
        "attempts": 1,
        "elapsed": 5.003,
    }
    in_doubt["code"] = "ReadTimeoutError"
    unknown = dict.fromkeys(("stopped_by", "consumed_capacity", "request_id", "index", "region"))
    for event in (
        CircuitEvent(old_state="closed", new_state="open", reason=opened, **change),
        CircuitEvent(old_state="half-open", new_state="closed", reason="3 of 3 probes succeeded", **change),
        CircuitEvent(old_state="closed", new_state="open", reason="maintenance until 4", **{**change, "forced": True}),
        CallEndEvent(
            operation="UpdateItem", call=1, throttling_reasons=(), response_bytes=0, **in_doubt, **unknown, **table
        ),
        UnprocessedEvent(
            operation="BatchWriteItem", requests=3, code="ProvisionedThroughputExceededException", **table
        ),
        BudgetEvent(operation="GetItem", call=1, budget="orders/read", hot_partition=False, **table),
    ):
        assert f"``{describe(event)}``" in page
