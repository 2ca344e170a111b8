"""A run: workers are started and checked, and measured in rounds, in each of which everybody has a turn."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import items
from .contenders import Contender
from .processes import Worker, WorkerError, once
from .scenarios import FRESH, Scenario
from .venvs import Venv

_STARTED = time.monotonic()
_WRITTEN = {"put_item": "PutItem", "update_item": "UpdateItem", "batch": "BatchWriteItem"}

Samples = dict[str, dict[str, list[dict[str, float] | None]]]
"""By scenario and contender, a sample for each round."""


@dataclass(kw_only=True)
class Run:
    """What a run found."""

    samples: Samples = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Contenders that gave or sent something else than the items, or failed, with what they did."""
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    """By contender and scenario, how it failed."""
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    own: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """What only ours has, by contender: see `workers.own`."""


def say(text: str) -> None:
    """Tell what is going on."""
    print(f"{time.monotonic() - _STARTED:4.0f} s: {text}", file=sys.stderr, flush=True)


def measure(
    contenders: Sequence[Contender],
    venvs: dict[str, Venv],
    scenarios: Sequence[Scenario],
    url: str,
    tls_url: str,
    rounds: int,
) -> Run:
    """Measure contenders in scenarios, over rounds."""
    run = Run()
    workers = _start(run, contenders, venvs, url)
    try:
        fit = [each for each in contenders if each.name in workers]
        steady = [scenario for scenario in scenarios if scenario.do not in FRESH]
        fresh = [scenario for scenario in scenarios if scenario.do in FRESH]
        _rounds(run, fit, steady, rounds, lambda each, scenario: _timed(workers[each.name], scenario, tls_url))
        for name, worker in workers.items():  # once more: what was counted meanwhile
            with contextlib.suppress(WorkerError):
                run.facts[name] = worker.ask(do="facts")
    finally:
        for worker in workers.values():
            worker.close()
    _rounds(
        run,
        fit,
        fresh,
        rounds,
        lambda each, scenario: once(
            "workers.fresh", scenario.do, each, venvs[each.environment], url, has_bytecode=scenario.has_bytecode
        ),
    )
    return run


def _start(run: Run, contenders: Sequence[Contender], venvs: dict[str, Venv], url: str) -> dict[str, Worker]:
    workers = {}
    for contender in contenders:
        say(f"starting and checking {contender.name}")
        try:
            worker = Worker(contender, venvs[contender.environment], url)
        except WorkerError as error:
            run.refused[contender.name] = str(error)
            continue
        try:
            check(worker, url)
            run.facts[contender.name] = worker.ask(do="facts")
        except (WorkerError, AssertionError) as error:
            run.refused[contender.name] = str(error)
            worker.close()
        else:
            workers[contender.name] = worker
    return workers


def check(worker: Worker, url: str) -> None:
    """Have each call made once, and see that it gives, and sends, what it is to give and send.

    Raises:
        AssertionError: it does not.
    """
    one_of_several = {items.digest([item]) for item in items.several()}
    given = {
        "get_item": one_of_several,
        "update_item": one_of_several,
        "query": {items.digest(items.untyped(each) for each in items.page())},
        "query_few": {items.digest(items.untyped(each) for each in items.few())},
    }
    sent = {"put_item": one_of_several, "batch": {items.digest(items.batch())}}
    for call in ("get_item", "put_item", "update_item", "query", "query_few", "batch"):
        digest = worker.ask(do="check", call=call)["digest"]
        if digest not in given.get(call, {None}):
            raise AssertionError(f"{call} gives something else than the items")
        if call not in _WRITTEN:
            continue
        request = last_request(url, _WRITTEN[call])
        if call in sent and items.digest(written(request)) not in sent[call]:
            raise AssertionError(f"{call} sends something else than the items")
        if call == "update_item" and request.get("ReturnValues") != "ALL_NEW":
            raise AssertionError("update_item does not ask for ALL_NEW")


def last_request(url: str, operation: str) -> dict[str, Any]:
    """Return the last request of an operation that the stub got."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/last/{operation}") as response:
        request: dict[str, Any] = json.load(response)
    return request


def written(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the native items that a PutItem or BatchWriteItem request has, sorted by key."""
    if "Item" in request:
        return [items.untyped(request["Item"])]
    found = [items.untyped(each["PutRequest"]["Item"]) for each in request["RequestItems"][items.TABLE]]
    return sorted(found, key=lambda item: str(item["sk"]))


def _timed(worker: Worker, scenario: Scenario, tls_url: str) -> dict[str, float]:
    return worker.ask(
        do=scenario.do,
        call=scenario.call,
        seconds=scenario.seconds,
        at_once=scenario.at_once,
        one_core=scenario.one_core,
        url=tls_url if scenario.tls else None,
    )


def _rounds(
    run: Run,
    contenders: Sequence[Contender],
    scenarios: Sequence[Scenario],
    rounds: int,
    sample: Callable[[Contender, Scenario], dict[str, float]],
) -> None:
    """Go round: in each scenario everybody in turn, and in each round somebody else first."""
    most = max((min(rounds, scenario.most_rounds) for scenario in scenarios), default=0)
    for number in range(most):
        due = [scenario for scenario in scenarios if number < scenario.most_rounds]
        say(f"round {number + 1} of {most}: {', '.join(scenario.name for scenario in due)}")
        for scenario in due:
            takes_part = [each for each in contenders if scenario.is_for(each)]
            first = number % max(1, len(takes_part))
            for contender in takes_part[first:] + takes_part[:first]:
                of_scenario = run.samples.setdefault(scenario.name, {})
                of_scenario.setdefault(contender.name, []).append(_try(run, contender, scenario, sample))


def _try(
    run: Run, contender: Contender, scenario: Scenario, sample: Callable[[Contender, Scenario], dict[str, float]]
) -> dict[str, float] | None:
    failed = run.failed.setdefault(contender.name, {})
    if scenario.name in failed:
        return None
    try:
        return sample(contender, scenario)
    except WorkerError as error:
        failed[scenario.name] = str(error)
        return None


def measure_own(run: Run, contenders: Sequence[Contender], venvs: dict[str, Venv], slow_url: str, times: int) -> None:
    """Measure what only ours has: what its decisions cost, and for how long a call outlives its deadline."""
    for contender in contenders:
        if not contender.is_ours or contender.typed or contender.name not in run.facts:
            continue
        for what, metric in (("overrun", "wall"), ("decisions", "cpu")):
            try:
                found = [
                    once("workers.own", what, contender, venvs[contender.environment], slow_url)[metric]
                    for _ in range(times)
                ]
            except WorkerError as error:
                run.failed.setdefault(contender.name, {})[what] = str(error)
            else:
                run.own.setdefault(contender.name, {})[what] = found
