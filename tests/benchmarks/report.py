"""From a run to what is written and printed: a JSON document first, and from that everything else."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import figures
from .contenders import Contender
from .driver import Run
from .scenarios import METRICS, Scenario
from .venvs import Venv

BEGIN = "<!-- results: begin -->"
END = "<!-- results: end -->"
_SHOWN = (
    "boto3",
    "botocore",
    "aioboto3",
    "aiobotocore",
    "aiohttp",
    "aiodynamo",
    "pydynox",
    "pynamodb",
    "urllib3",
    "orjson",
    "msgspec",
)

Document = dict[str, Any]


def document(
    run: Run,
    contenders: Sequence[Contender],
    scenarios: Sequence[Scenario],
    venvs: dict[str, Venv],
    missing: dict[str, str],
    load: float,
) -> Document:
    """Return all that a run found, as JSON has it; `load` is the machine's load average before it began."""
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{_processor()}",
        "load": load,
        "contenders": {
            each.name: {
                "base": each.base,
                "async": each.is_async,
                "typed": each.typed,
                "ours": each.is_ours,
                "facts": run.facts.get(each.name, {}),
                "versions": venvs[each.environment].versions,
            }
            for each in contenders
            if each.name in run.facts
        },
        "scenarios": {
            each.name: {"title": each.title, "metrics": list(each.metrics), "in_chart": each.in_chart}
            for each in scenarios
        },
        "figures": {each.name: _figures(run, each, contenders) for each in scenarios},
        "own": {
            name: {what: figures.middle(values) for what, values in measured.items()}
            for name, measured in run.own.items()
        },
        "missing": missing,
        "refused": run.refused,
        "failed": {name: failed for name, failed in run.failed.items() if failed},
        "samples": run.samples,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f", {platform.processor()}" if platform.processor() else ""
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f", {models[0]}" if models else ""


def _figures(run: Run, scenario: Scenario, contenders: Sequence[Contender]) -> dict[str, dict[str, Any]]:
    samples = run.samples.get(scenario.name, {})
    found: dict[str, dict[str, Any]] = {}
    for contender in contenders:
        for metric in scenario.metrics:
            figure = figures.figure(samples, contender.name, contender.base, metric)
            if figure is not None:
                found.setdefault(contender.name, {})[metric] = figure.as_dict()
    return found


def groups(document: Document) -> dict[str, list[str]]:
    """Return the contenders that were measured by their base line, which is the first of its group."""
    found: dict[str, list[str]] = {}
    for name, contender in document["contenders"].items():
        found.setdefault(contender["base"], []).append(name)
    return {base: [base, *(name for name in names if name != base)] for base, names in found.items() if base in names}


def rows(document: Document, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Return a row for each scenario and metric that a group was measured in: its title and its cells."""
    for name, scenario in document["scenarios"].items():
        measured = document["figures"][name]
        for metric in scenario["metrics"]:
            cells = [measured.get(each, {}).get(metric) for each in names]
            if any(cells):
                yield (
                    row_title(scenario, metric),
                    [cell_text(cell, metric, is_base=at == 0) for at, cell in enumerate(cells)],
                )


def row_title(scenario: dict[str, Any], metric: str) -> str:
    """Return what a figure is of."""
    return f"{scenario['title']}: {METRICS[metric]}" if metric != "bytes" else scenario["title"]


def cell_text(figure: dict[str, Any] | None, metric: str, *, is_base: bool) -> str:
    """Return a figure as text: of the base line the median, of others the ratio and the quartiles of the rounds'."""
    if figure is None:
        return "-"
    if is_base or figure["ratio"] is None:
        return amount(figure["median"], metric)
    if figure["rounds"] < 2:
        return f"{figure['ratio']:.2f}"
    return f"{figure['ratio']:.2f} ({figure['low']:.2f}-{figure['high']:.2f})"


def amount(value: float, metric: str) -> str:
    """Return a median with its unit."""
    if metric == "bytes":
        return f"{value / 1e6:.1f} MB"
    if metric == "rate":
        return f"{value:.0f}/s"
    return f"{value * 1e3:.1f} ms" if value >= 0.01 else f"{value * 1e6:.0f} µs"


def text(document: Document) -> str:
    """Return the plain table."""
    parts = [_where(document)]
    for base, names in groups(document).items():
        table = [("", [f"{base} = 1", *names[1:]]), *rows(document, names)]
        first = max(len(title) for title, _ in table)
        widths = [max(len(cells[at]) for _, cells in table) for at in range(len(names))]
        lines = [
            title.ljust(first) + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
            for title, cells in table
        ]
        parts.append("\n".join(lines))
    parts.extend(_own_lines(document))
    parts.extend(_notes(document))
    return "\n\n".join(parts)


def markdown(document: Document) -> str:
    """Return the tables for the documentation."""
    parts = [_where(document)]
    for base, names in groups(document).items():
        lines = [f"| Ratio to {base} | {base} | {' | '.join(names[1:])} |", "|---" * (len(names) + 1) + "|"]
        lines += [f"| {title} | {' | '.join(cells)} |" for title, cells in rows(document, names)]
        parts.append("\n".join(lines))
    parts.extend(_own_lines(document))
    parts.append("| Measured | With |\n|---|---|\n" + "\n".join(_version_rows(document)))
    parts.extend(_notes(document))
    return "\n\n".join(parts)


def _where(document: Document) -> str:
    return (
        f"Measured on {document['date']}: Python {document['python']}, {document['machine']}; load average "
        f"{document['load']:.1f} before the run."
    )


def _own_lines(document: Document) -> list[str]:
    lines = []
    for name, own in document["own"].items():
        if "decisions" in own:
            lines.append(f"{name}: decisions of a call, without I/O: {own['decisions'] * 1e6:.1f} µs of CPU time.")
        if "overrun" in own:
            lines.append(f"{name}: a call went on for {own['overrun'] * 1e3:.1f} ms after a deadline of 200 ms.")
    return lines


def _version_rows(document: Document) -> Iterator[str]:
    for name, contender in document["contenders"].items():
        versions = contender["versions"]
        shown = ", ".join(f"{package} {versions[package]}" for package in _SHOWN if package in versions)
        yield f"| {name} | {shown} |"


def _notes(document: Document) -> list[str]:
    notes = []
    ttl = {name: each["facts"]["ttl"] for name, each in document["contenders"].items() if "ttl" in each["facts"]}
    if ttl:
        notes.append(
            "TTL: " + ", ".join(f"{name} {'on' if is_on else 'not there'}" for name, is_on in ttl.items()) + "."
        )
    notes += [
        f"{name}: {each['facts']['past']} calls went past the SDK's inside, and through it {_counted(each['facts'])}."
        for name, each in document["contenders"].items()
        if "past" in each["facts"]
    ]
    notes += [f"Could not be installed: {name}: {reason}" for name, reason in document["missing"].items()]
    notes += [f"Not measured: {name}: {reason}" for name, reason in document["refused"].items()]
    notes += [
        f"Failed: {name} in {scenario}: {reason}"
        for name, failed in document["failed"].items()
        for scenario, reason in failed.items()
    ]
    return notes


def _counted(facts: dict[str, Any]) -> str:
    return ", ".join(f"{number} ({reason})" for reason, number in facts["through"].items()) or "none"


def fill(page: str, results: str) -> str:
    """Put results between the markers of a page.

    Raises:
        ValueError: the page has no markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{begin}\n\n{results}\n\n{end}{after}"
