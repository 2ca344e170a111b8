"""Runs the scenario: once with boto3 and once with resilient_ddb, and writes down what happened."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from resilient_ddb import fallback
from resilient_ddb._version import __version__
from resilient_ddb.events import AnyEvent, CircuitEvent
from resilient_ddb.policy.policy import Policy
from resilient_ddb.sync.session import resource
from resilient_ddb.testing import FaultProxy

from .airports import read_airports
from .emulator import running_emulator
from .errors import DemoError
from .figures import figures
from .pace import calls_per_second, note_after, note_before, note_waits
from .probe import probing
from .records import CircuitRecord, RequestRecord, RunRecord
from .report import write_report
from .scenario import Scenario, make_scenario
from .screen import Screen
from .tables import Names, Store, new_session, plain_environment, saying
from .tally import calls_made, percentile, tally
from .workload import Application


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says."""

    endpoint_url: str | None
    seed: int
    records: int | None
    report: Path
    progress: bool


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """One client: how its tables are made."""

    name: str
    version: str
    airports: Callable[[str, str], Any]
    """Makes the Table from an endpoint's URL and a name."""
    counters: Callable[[str, str], Any]


def run_demo(options: Options) -> None:
    """Run the scenario with both clients, show the table and write the report.

    Raises:
        DemoError: it can't be run here.
    """
    started = time.monotonic()
    _check_report(options.report)
    screen = Screen(progress=options.progress)
    scenario, runs, notes = measure(options, screen)
    tallies = [tally(run) for run in runs]
    lines = figures(tallies)
    write_report(options.report, scenario, runs, lines, notes)
    screen.result(tallies, lines)
    screen.done(options.report, time.monotonic() - started)


def measure(options: Options, screen: Screen) -> tuple[Scenario, list[RunRecord], list[str]]:
    """Run the scenario with both clients; return it, the runs, and what a reader must know of this machine.

    Raises:
        DemoError: it can't be run here.
    """
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # boto3's default pool of 10 warns of 16 threads
    rows = read_airports(options.records)
    scenario = make_scenario(rows, options.seed)
    circuits: list[tuple[float, CircuitEvent]] = []
    with plain_environment(), _endpoint(options.endpoint_url) as endpoint_url:
        store = Store(endpoint_url)
        with probing(store, endpoint_url, scenario) as probe:
            before = probe.answered()
            pace = calls_per_second(before)
            scenario = make_scenario(rows, options.seed, pace)
            screen.intro(scenario, options.endpoint_url)
            notes = _noted(note_before(before, pace), screen)
            runs = [
                _run(candidate, scenario, store, endpoint_url, circuits, screen) for candidate in _candidates(circuits)
            ]
            notes += _noted(note_after(probe.answered(), pace), screen)
            waits = [percentile([call.wait for call in calls_made(run)], 99) for run in runs]
            notes += _noted(note_waits(probe.p99_wait(pace), min(waits)), screen)
    return scenario, runs, notes


def _noted(note: str | None, screen: Screen) -> list[str]:
    """Show a note, if there is one, and return it for the report."""
    if note is None:
        return []
    screen.note(note)
    return [note]


def _check_report(path: Path) -> None:
    """Find out before the work whether its result can be written; leave nothing behind."""
    existed = path.exists()
    try:
        with path.open("a", encoding="utf-8"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise DemoError(f"the report can't be written to {path}: {error.strerror}") from error


@contextmanager
def _endpoint(url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with running_emulator() as embedded:
        yield embedded


def _candidates(circuits: list[tuple[float, CircuitEvent]]) -> Iterator[_Candidate]:
    """Return the two clients, each as most people would make it."""

    def plain(endpoint_url: str, name: str) -> Any:
        return new_session().resource("dynamodb", endpoint_url=endpoint_url).Table(name)

    low_level = new_session().client("dynamodb")
    mode = low_level.meta.config.retries["mode"]  # boto3's default: it differs between 1.43 and 1.44
    low_level.close()
    yield _Candidate(name="boto3", version=f"{boto3.__version__} ({mode})", airports=plain, counters=plain)

    def observe(event: AnyEvent) -> None:
        if isinstance(event, CircuitEvent):
            circuits.append((time.monotonic(), event))

    observe.writes_warnings = True  # type: ignore[attr-defined]  # what the log would say is shown on the screen
    policy = Policy(observers=[observe])

    def hardened(endpoint_url: str, name: str, policy: Policy) -> Any:
        return resource("dynamodb", session=new_session(), endpoint_url=endpoint_url, policy=policy).Table(name)

    yield _Candidate(
        name="resilient_ddb",
        version=__version__,
        airports=lambda url, name: hardened(url, name, policy.replace(fallback=fallback.stale(max_age=60))),
        counters=lambda url, name: hardened(url, name, policy),
    )


def _run(
    candidate: _Candidate,
    scenario: Scenario,
    store: Store,
    endpoint_url: str,
    circuits: list[tuple[float, CircuitEvent]],
    screen: Screen,
) -> RunRecord:
    """Run the whole scenario with one client."""
    names = Names.new(candidate.name)
    title = f"{candidate.name} {candidate.version}"
    with (
        store.tables(names),
        FaultProxy(endpoint_url, seed=scenario.seed) as proxy,
        saying(f"at its work with {candidate.name}"),
    ):
        airports = candidate.airports(proxy.endpoint_url, names.airports)
        counters = candidate.counters(proxy.endpoint_url, names.counters)
        began = time.monotonic()
        app = Application(airports=airports, counters=counters, clock=lambda: time.monotonic() - began)
        proxy.plan = scenario.load_faults()
        with screen.phase(title, "loading", len(scenario.loaded)) as tick:
            app.load(scenario.loaded, tick)
        loaded_at = app.clock()
        known = store.rows(names)
        proxy.plan = scenario.call_faults()
        calls_from = app.clock()
        with screen.phase(title, "calling", len(scenario.calls) + len(scenario.arriving)) as tick:
            gap = scenario.seconds / max(1, len(scenario.arriving))
            with ThreadPoolExecutor(1) as feeder:
                feed = feeder.submit(app.write, scenario.arriving, tick, gap=gap)
                calls = app.call(scenario.calls, known, tick)
                feed.result()
        ended_at = app.clock()
        requests = [RequestRecord(at=seen.at - began, fault=seen.fault) for seen in proxy.seen]
        proxy.plan = ()
        outage_at = calls_from + scenario.outage_start
        return RunRecord(
            client=title,
            rows=frozenset(row["iata"] for row in (*scenario.loaded, *scenario.arriving)),
            told=frozenset(app.told),
            found=store.rows(names),
            counters=store.counters(names),
            calls=calls,
            requests=requests,
            circuits=[
                CircuitRecord(at=at - began, circuit=_short(event.circuit, names), state=event.new_state)
                for at, event in circuits
                if at >= began
            ],
            loaded_at=loaded_at,
            calls_from=calls_from,
            outage=(outage_at, outage_at + scenario.outage_seconds),
            ended_at=ended_at,
        )


def _short(circuit: str, names: Names) -> str:
    """Return a circuit's name without the tables' long ones."""
    return circuit.replace(names.airports, "airports").replace(names.counters, "counters")
