"""What the demo's tests share: one small run, made up, from which everything is counted and drawn."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from resilient_ddb.cli.demo.records import CallRecord, CircuitRecord, Outcome, RequestRecord, RunRecord
from resilient_ddb.cli.demo.scenario import Verb

HAS_DEMO = all(find_spec(name) is not None for name in ("flask", "moto", "rich", "vega_datasets"))

collect_ignore_glob = [] if HAS_DEMO else ["test_*.py"]  # as in the sync-only run


def count(counter, outcome, *, due=1.0, ended=1.25, ambiguous=False):
    return CallRecord(verb=Verb.COUNT, counter=counter, due=due, ended=ended, outcome=outcome, ambiguous=ambiguous)


def read(outcome, *, due=1.0, ended=1.25):
    return CallRecord(verb=Verb.GET, counter="", due=due, ended=ended, outcome=outcome)


@pytest.fixture
def made_up_run():
    return RunRecord(
        client="boto3 <b>&",
        rows=frozenset({"AAA", "BBB", "CCC", "DDD"}),
        told=frozenset({"BBB", "CCC"}),
        found=frozenset({"AAA", "BBB"}),
        counters={"ok": 1, "twice": 2, "unsaid": 1, "unsure": 1},
        calls=[
            count("ok", Outcome.OK),
            count("twice", Outcome.OK),
            count("lost", Outcome.OK),
            count("unsaid", Outcome.FAILED),
            count("unsure", Outcome.FAILED, ambiguous=True),
            count("refused", Outcome.FAILED),
            count("skipped", Outcome.SKIPPED, ended=9.0),
            read(Outcome.OK, due=1.0, ended=3.0),
            read(Outcome.PHANTOM),
            read(Outcome.CACHED),
        ],
        requests=[RequestRecord(at=at, fault=None) for at in (0.0, 1.0, 2.5, 4.0)],
        circuits=[
            CircuitRecord(at=2.2, circuit="airports/read", state="open"),
            CircuitRecord(at=3.2, circuit="airports/read", state="half-open"),
            CircuitRecord(at=3.3, circuit="airports/read", state="closed"),
        ],
        loaded_at=0.5,
        calls_from=1.0,
        outage=(2.0, 4.0),
        ended_at=4.5,
    )


@pytest.fixture
def quick_probe(monkeypatch):
    """Ask the emulator for a moment how fast it is: it answers as fast as it can all the while."""
    monkeypatch.setattr("resilient_ddb.cli.demo.probe._WARM_SECONDS", 0.1)
    monkeypatch.setattr("resilient_ddb.cli.demo.probe._SECONDS", 0.1)
    monkeypatch.setattr("resilient_ddb.cli.demo.probe._PACED_SECONDS", 0.1)
