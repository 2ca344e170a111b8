"""One run, from start to report."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3

import resilient_ddb as rddb
from resilient_ddb import aio

from . import ledgers, listings, registers
from .audit import audit
from .faults import Kind
from .model import Fault, Finding
from .plan import NO_FAULT, FaultPlan
from .relay import Relay
from .sides import AsyncSide, Side, SyncSide, Tables, run, tables_of
from .worker import Operation, Worker
from .world import World

OPERATIONS: tuple[tuple[Operation, int], ...] = (
    (registers.put, 10),
    (registers.put_by_client, 3),
    (registers.put_if, 6),
    (registers.put_for_old, 3),
    (registers.update, 6),
    (registers.update_if, 4),
    (registers.delete, 5),
    (registers.scatter, 6),
    (registers.batch, 4),
    (registers.transact, 5),
    (listings.get, 16),
    (listings.query, 8),
    (listings.scan, 1),
    (listings.get_items, 4),
    (listings.batch_get_by_client, 2),
    (listings.transact_get, 3),
    (listings.fan_in, 3),
    (ledgers.add, 8),
    (ledgers.add_surely, 6),
    (ledgers.append, 4),
    (ledgers.modify, 6),
    (ledgers.write_version, 6),
    (ledgers.add_to_pair, 4),
    (ledgers.read_pair, 3),
    (ledgers.read, 6),
)
"""What workers do, and how often, compared with each other."""

_LONGEST_END = 30.0
"""Seconds that a worker may take to end its last operation."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run is to be like."""

    seed: int
    seconds: float
    threads: int
    tasks: int
    kinds: Sequence[Kind]
    rate: float = 0.2
    """The share of requests that meet a fault."""
    outages: bool = True
    read_timeout: float = 1.0
    """Seconds that the library waits for an answer."""
    most_operations: int | None = None
    """Operations that each worker does at most."""
    operations: tuple[tuple[Operation, int], ...] = OPERATIONS


@dataclass(frozen=True, kw_only=True)
class Report:
    """How a run went."""

    settings: Settings
    elapsed: float
    tally: Counter[tuple[str, str, str]]
    errors: Counter[str]
    faults: Counter[str]
    outages: int
    looked_at: int
    reads: int
    exact_reads: int
    counts: Counter[Fault]
    findings: list[Finding]
    journal: list[Any]

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return not self.counts.total()


def _policy(settings: Settings) -> rddb.Policy:
    """Return a policy that gives up sooner than the default one: a soak is for many calls."""
    return rddb.Policy(
        timeouts=rddb.Timeouts(connect=settings.read_timeout, read=settings.read_timeout),
        retry=rddb.Retry(max_attempts=6, max_delay=0.4),
        circuit_breaker=rddb.CircuitBreaker(open_duration=0.5),
    )


def soak(url: str, access: dict[str, str], settings: Settings, sync_side: type[SyncSide] = SyncSide) -> Report:
    """Soak the library against DynamoDB Local, which must have no tables yet.

    Args:
        url: DynamoDB Local's.
        access: credentials and region, as boto3's Session takes them.
        settings: what the run is to be like.
        sync_side: how the sync workers call the library: a test puts a broken one here.
    """
    started = time.monotonic()
    plan = FaultPlan(settings.seed, settings.kinds, rate=settings.rate, outages=settings.outages)
    with Relay(url, plan, seed=settings.seed) as relay:
        world = World(url, access, relay)
        try:
            _work(world, access, settings, plan, sync_side)
            plan.calm()
            relay.settled().result()
            looked_at = audit(world)
        finally:
            world.close()
        for operation in relay.leaked:
            world.book.report(Fault.WRONG, "redirect", f"a {operation} went to another host")
    return Report(
        settings=settings,
        elapsed=time.monotonic() - started,
        tally=world.tally,
        errors=world.errors,
        faults=relay.counts,
        outages=plan.outages,
        looked_at=looked_at,
        reads=world.book.reads,
        exact_reads=world.book.exact_reads,
        counts=world.book.counts,
        findings=world.book.findings,
        journal=list(relay.journal),
    )


class _Crew:
    """The workers of a run: threads, and one thread more with an event loop for all tasks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._until = time.monotonic() + settings.seconds
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []

    def start(self, target: Callable[[], Any]) -> None:
        """Start a thread. What it raises is the soak's own failure, and ends the run."""

        def work() -> None:
            try:
                target()
            except BaseException as error:  # noqa: BLE001 - raised again by `check`
                self._failures.append(error)

        self._threads.append(threading.Thread(target=work, name="soak-worker", daemon=True))
        self._threads[-1].start()

    def worker(self, world: World, side: Side, number: int) -> Coroutine[Any, Any, None]:
        """Return the work of one worker."""
        left = itertools.count() if self._settings.most_operations is None else range(self._settings.most_operations)
        turns = iter(left)

        def is_over() -> bool:
            return bool(self._failures) or time.monotonic() >= self._until or next(turns, None) is None

        worker = Worker(world, side, f"{self._settings.seed}/{side.name}/{number}")
        return worker.work(self._settings.operations, is_over)

    def wait(self) -> None:
        """Wait until the time is up, or all have done their operations."""
        for thread in self._threads:
            thread.join(max(0.0, self._until - time.monotonic()))

    def end(self) -> int:
        """Wait for the last operations; return how many threads did not end."""
        limit = time.monotonic() + _LONGEST_END
        for thread in self._threads:
            thread.join(max(0.0, limit - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)

    def check(self) -> None:
        """Raise what a worker has raised."""
        if self._failures:
            raise self._failures[0]


def _work(world: World, access: dict[str, str], settings: Settings, plan: FaultPlan, sync_side: type[SyncSide]) -> None:
    """Have all workers work until the time is up."""
    crew = _Crew(settings)
    url = world.relay.url
    with ExitStack() as stack:
        if settings.threads:
            tables = _sync_tables(url, access, settings)
            stack.callback(tables.items.meta.client.close)
            for number in range(settings.threads):
                crew.start(partial(_drive, crew, world, sync_side(tables), number))
        if settings.tasks:
            crew.start(lambda: asyncio.run(_tasks(url, access, settings, partial(crew.worker, world))))
        crew.wait()
        plan.calm()
        if crew.end():
            world.book.report(Fault.WRONG, "end", "an operation did not end, though there are no more faults")
    crew.check()


def _drive(crew: _Crew, world: World, side: SyncSide, number: int) -> None:
    run(crew.worker(world, side, number))


def _tables(policy: rddb.Policy) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the tables that each side opens, with their options, in the order of `tables_of`."""
    return (
        ("items", {}),
        ("items", {"ttl": "expires_at"}),
        ("items", {"policy": policy.replace(fallback=rddb.fallback.stale(max_age=60))}),
        ("ledgers", {}),
        ("spread", {}),
        ("scattered", {}),
    )


def _sync_tables(url: str, access: dict[str, str], settings: Settings) -> Tables:
    session = boto3.Session(**access)
    policy = _policy(settings)
    dynamodb = rddb.resource("dynamodb", endpoint_url=url, policy=policy, session=session)
    return tables_of(*(dynamodb.Table(name, **options) for name, options in _tables(policy)))


async def _tasks(
    url: str, access: dict[str, str], settings: Settings, work: Callable[[Side, int], Coroutine[Any, Any, None]]
) -> None:
    """Run the async workers: every other one on tables that open by themselves."""
    policy = _policy(settings)
    given: dict[str, Any] = {"endpoint_url": url, "policy": policy, **access}
    async with AsyncExitStack() as stack:
        dynamodb = await stack.enter_async_context(aio.resource("dynamodb", **given))
        opened = [await dynamodb.Table(name, **options) for name, options in _tables(policy)]
        lazy = [aio.table(name, **{**given, **options}) for name, options in _tables(policy)]
        for table in lazy:
            stack.push_async_callback(table.close)
        sides = [AsyncSide(tables_of(*tables)) for tables in (opened, lazy)]
        async with asyncio.TaskGroup() as group:
            for each in range(settings.tasks):
                group.create_task(work(sides[each % 2], each))


# The report.


def lines_of(report: Report) -> list[str]:
    """Return the report as lines of text."""
    settings = report.settings
    lines = [
        f"soak: seed {settings.seed}, {report.elapsed:.1f} s, {settings.threads} threads and {settings.tasks} tasks",
        f"operations: {report.tally.total()}",
    ]
    names = sorted({(side, name) for side, name, _ in report.tally})
    for side, name in names:
        outcomes = {outcome: n for (s, o, outcome), n in report.tally.items() if (s, o) == (side, name)}
        shown = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in sorted(outcomes))
        lines.append(f"  {side:5} {name:30} {shown}")
    met = report.faults.total() - report.faults[NO_FAULT]
    lines.append(f"requests: {report.faults.total()}, of which {met} met a fault; {report.outages} outages")
    lines += [f"  {name:30} {number}" for name, number in report.faults.most_common() if name != NO_FAULT]
    lines.append(f"errors that left the library: {report.errors.total()}")
    lines += [f"  {name:60} {number}" for name, number in report.errors.most_common()]
    lines.append(f"items read: {report.reads}, of which {report.exact_reads} could show one value only")
    lines.append(f"read back at the end: {report.looked_at} items")
    lines += [f"FOUND {each.fault}: {each.key}: {each.text}" for each in report.findings[:40]]
    lines.append(", ".join(f"{report.counts[fault]} {fault}" for fault in Fault))
    return lines


def save(report: Report, folder: Path) -> Path:
    """Write the seed and the findings of a run to a file, with what the relay knows of their keys; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"soak-{report.settings.seed}-{int(time.time())}.json"
    keys = {each.key.rpartition("/")[2] for each in report.findings}
    settings = report.settings
    content = {
        "seed": settings.seed,
        "seconds": settings.seconds,
        "threads": settings.threads,
        "tasks": settings.tasks,
        "faults": [kind.name for kind in settings.kinds],
        "counts": report.counts,
        "findings": [asdict(each) for each in report.findings],
        "requests": [entry for entry in report.journal if keys & set(entry[-1])],
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path
