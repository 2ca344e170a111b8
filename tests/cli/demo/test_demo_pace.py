"""How fast the demo asks, what it says of a slow machine, and what it says when something fails."""

import threading

import pytest

from resilient_ddb import cli
from resilient_ddb.cli.demo import run as run_module
from resilient_ddb.cli.demo.airports import read_airports
from resilient_ddb.cli.demo.figures import figures
from resilient_ddb.cli.demo.pace import (
    LEAST_PER_SECOND,
    calls_per_second,
    capacity,
    note_after,
    note_before,
    note_waits,
)
from resilient_ddb.cli.demo.probe import probing
from resilient_ddb.cli.demo.report import page
from resilient_ddb.cli.demo.scenario import CALLS_PER_SECOND, make_scenario
from resilient_ddb.cli.demo.tables import Store
from resilient_ddb.cli.demo.tally import tally
from resilient_ddb.testing import FakeClock, FaultProxy, faults


@pytest.mark.parametrize(
    ("answered", "chosen"), [(1000.0, 100.0), (200.0, 100.0), (150.0, 75.0), (101.5, 50.0), (10.0, 25.0), (0.0, 25.0)]
)
def test_it_asks_for_half_of_what_is_answered(answered, chosen):
    assert calls_per_second(answered) == chosen


def test_nothing_is_said_where_the_emulator_keeps_up():
    assert note_before(250.0, CALLS_PER_SECOND) is None
    assert note_after(250.0, CALLS_PER_SECOND) is None


def test_a_slow_machine_is_said_before_and_after():
    assert "answers 150 calls a second. Calls are made at 75 a second instead of 100" in note_before(150.0, 75.0)
    assert "can't keep up on this machine: it answers 12 calls" in note_before(12.0, LEAST_PER_SECOND)
    assert note_after(150.0, 75.0) is None
    for note in (note_before(12.0, LEAST_PER_SECOND), note_after(80.0, 75.0)):
        assert "p99 wait mean nothing here" in note
    assert "p99" not in note_before(150.0, 75.0)
    assert "could not keep up: at the end it answered 80 calls" in note_after(80.0, 75.0)


def test_waits_that_are_the_machines_are_said():
    assert note_waits(0.05, 0.4) is None
    assert "99% of the calls took up to 150 ms" in note_waits(0.15, 0.4)
    assert "As much of a p99 wait may be this machine's" in note_waits(0.15, 0.4)


@pytest.mark.parametrize("workers", [1, 4])
def test_what_is_answered_is_counted_by_the_clock(workers):
    clock, turn, sent = FakeClock(), threading.Lock(), []

    def send(planned):
        with turn:
            sent.append(planned)
            clock.advance(0.25)

    answered = capacity(send, ["a", "b", "c"], clock.monotonic, seconds=2.0, workers=workers)
    assert answered == pytest.approx(4.0)
    assert 8 <= len(sent) < 8 + workers
    assert sent[:6] == ["a", "b", "c"] * 2 or workers > 1


def test_at_another_pace_the_same_calls_are_made():
    rows = read_airports(200)
    usual, slow = make_scenario(rows, 7), make_scenario(rows, 7, 25.0)
    assert [(call.verb, call.iata) for call in slow.calls] == [(call.verb, call.iata) for call in usual.calls]
    assert (slow.loaded, slow.arriving) == (usual.loaded, usual.arriving)
    assert slow.calls[-1].due == pytest.approx(usual.calls[-1].due * 4)
    assert slow.outage_start + slow.outage_seconds < slow.calls[-1].due


def test_the_report_says_what_the_terminal_said(made_up_run):
    html = page(
        make_scenario(read_airports(50), 1, 25.0), [made_up_run], figures([tally(made_up_run)]), ["<slow>"], footer=""
    )
    assert "&lt;slow&gt;" in html
    assert "calls at 25 a second" in html


@pytest.fixture
def proxy(moto_server):
    with FaultProxy(moto_server.endpoint_url) as running:
        yield running


@pytest.mark.usefixtures("quick_probe")
def test_an_emulator_that_is_slow_is_noticed(proxy):
    proxy.plan = [faults.Delay(seconds=0.7, operations={"GetItem", "UpdateItem", "Query"})]
    with probing(Store(proxy.endpoint_url), proxy.endpoint_url, make_scenario(read_airports(20), 1)) as probe:
        found, wait = probe.answered(), probe.p99_wait(LEAST_PER_SECOND)
    assert found <= 16 / 0.7  # as many workers, each of which waits for so long; none on a machine that is slow itself
    assert wait >= 0.7
    assert calls_per_second(found) == LEAST_PER_SECOND
    assert "can't keep up" in note_before(found, LEAST_PER_SECOND)


@pytest.mark.usefixtures("quick_probe")
@pytest.mark.parametrize(
    ("operation", "code", "says"),
    [
        ("CreateTable", "ValidationException", "the demo failed to make its tables: "),
        ("BatchWriteItem", "AccessDeniedException", "the demo failed to write to the emulator: "),
        ("UpdateItem", "AccessDeniedException", "the demo failed to read from the emulator and to count there: "),
        ("Scan", "AccessDeniedException", "the demo failed to read back what was written: "),
    ],
)
def test_what_fails_is_said_in_one_line(operation, code, says, proxy, moto_server, tmp_path, capsys):
    proxy.plan = [faults.ErrorResponse(code=code, operations={operation})]
    with_tables = moto_server.client()
    before = with_tables.list_tables()["TableNames"]
    arguments = ["--records", "5", "--endpoint-url", proxy.endpoint_url, "--report", str(tmp_path / "report.html")]
    assert cli.main(["demo", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"resilient-ddb: error: {says}")
    assert (code in said, said.count("\n")) == (True, 1)
    assert with_tables.list_tables()["TableNames"] == before
    assert list(tmp_path.iterdir()) == []
    with_tables.close()


@pytest.mark.usefixtures("quick_probe")
def test_a_client_that_fails_at_its_work_is_named(proxy, tmp_path, capsys, monkeypatch):
    new_session = run_module.new_session

    def broken():
        session = new_session()
        make = session.resource

        def resource(*args, **options):
            make(*args, **options).meta.client.describe_table(TableName="not-there")

        session.resource = resource
        return session

    monkeypatch.setattr(run_module, "new_session", broken)
    arguments = ["--records", "5", "--endpoint-url", proxy.endpoint_url, "--report", str(tmp_path / "report.html")]
    assert cli.main(["demo", *arguments]) == 1
    assert (
        "the demo failed at its work with boto3: An error occurred (ResourceNotFoundException)"
        in capsys.readouterr().err
    )
