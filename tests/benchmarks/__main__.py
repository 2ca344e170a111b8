"""Runs the benchmarks, prints a table, and writes JSON and an SVG chart."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from . import chart, driver, report, venvs
from .contenders import REPOSITORY, Contender, contenders, environments
from .processes import stub
from .scenarios import SCENARIOS, Scenario

_ROUNDS = 8
_QUICK_ROUNDS = 3
_SLOW = 60.0
_BUILD = REPOSITORY / "build" / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    parser = _parser()
    args = parser.parse_args(arguments)
    try:
        chosen, scenarios = choose(args.only)
    except ValueError as error:
        parser.error(str(error))
    document = _read(args.read) if args.read else _run(chosen, scenarios, args)
    print(report.text(document))
    print()
    if not args.read:
        _write(args.json, json.dumps(document, indent=1) + "\n")
    _write(args.svg, chart.svg(document))
    if args.write_docs:
        page = args.docs.read_text(encoding="utf-8")
        _write(args.docs, report.fill(page, report.markdown(document)))
        _write(args.docs.parent / "_static" / "performance.svg", chart.svg(document))


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(scenario.name for scenario in SCENARIOS)
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and calls, for a first look")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"scenarios ({names}), and words of contenders' names; their base lines come along",
    )
    parser.add_argument("--rounds", type=int, help=f"{_ROUNDS} where left out, or {_QUICK_ROUNDS} with --quick")
    parser.add_argument("--fresh", action="store_true", help="make the virtual environments anew, with what is newest")
    parser.add_argument("--read", type=Path, metavar="PATH", help="measure nothing: take the JSON of an earlier run")
    parser.add_argument("--json", type=Path, default=_BUILD / "results.json", metavar="PATH")
    parser.add_argument("--svg", type=Path, default=_BUILD / "performance.svg", metavar="PATH")
    parser.add_argument("--write-docs", action="store_true", help="fill the documentation's page, and its chart")
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs" / "performance.md", metavar="PATH")
    return parser


def choose(only: Sequence[str]) -> tuple[list[Contender], list[Scenario]]:
    """Return the contenders and scenarios that are asked for; all where none is.

    Raises:
        ValueError: a name fits neither.
    """
    everybody = contenders()
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in only]
    words = [name.lower() for name in only if all(name != scenario.name for scenario in SCENARIOS)]
    for word in words:
        if not any(word in each.name.lower() for each in everybody):
            raise ValueError(f"{word!r} is no scenario, and in no contender's name")
    named = [each for each in everybody if any(word in each.name.lower() for word in words)]
    bases = {each.base for each in named}
    chosen = [each for each in everybody if each in named or each.name in bases]
    return (chosen if words else everybody), (scenarios or list(SCENARIOS))


def _run(chosen: Sequence[Contender], scenarios: Sequence[Scenario], args: argparse.Namespace) -> report.Document:
    needed = {each.environment for each in chosen}
    wanted = [each for each in environments() if each.name in needed]
    known = {each.name for each in wanted} | {other for each in wanted for other in each.same.values()}
    made, missing = venvs.make([each for each in environments() if each.name in known], fresh=args.fresh)
    there = [each for each in chosen if each.environment in made]
    rounds = args.rounds or (_QUICK_ROUNDS if args.quick else _ROUNDS)
    if args.quick:
        scenarios = [scenario.quick() for scenario in scenarios if scenario.in_chart or args.only]
    started, load = time.monotonic(), os.getloadavg()[0]
    with stub() as url, stub(tls=True) as tls_url, stub(_SLOW) as slow_url:
        run = driver.measure(there, made, scenarios, url, tls_url, rounds)
        if not args.only:
            driver.measure_own(run, there, made, slow_url, times=1 if args.quick else 3)
    driver.say(f"measured for {time.monotonic() - started:.0f} s")
    return report.document(run, there, scenarios, made, missing, load)


def _read(path: Path) -> report.Document:
    document: report.Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
