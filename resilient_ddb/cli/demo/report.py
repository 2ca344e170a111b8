"""Builds the demo's report: one HTML page that needs nothing but itself."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from .charts import tag, timeline
from .figures import Figure, headline, summary
from .records import RunRecord
from .scenario import WORKERS, Scenario
from .style import CHART, PAGE
from .tally import tally
from .track import track

_WIDE = 960, 0.1
_NARROW = 360, 0.25
"""A picture's width, and the seconds of its slots: on a desk and in print, and on a phone."""
_LEGEND = (
    ("ok", "answered"),
    ("cached", "answered from cache, and marked so"),
    ("failed", "failed with an error"),
    ("wrong", "wrong, and no error said so"),
    ("outage", "outage"),
    ("circuit closed", "circuit closed"),
    ("circuit half-open", "half-open: probes only"),
    ("circuit open", "open: calls are refused at once"),
)


def write_report(
    path: Path, scenario: Scenario, runs: Sequence[RunRecord], lines: Sequence[Figure], notes: Sequence[str] = ()
) -> None:
    """Write the page to `path`. `notes` say what a reader must know of this machine."""
    where = f"Python {platform.python_version()}, botocore {version('botocore')}, {platform.system()}"
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    path.write_text(page(scenario, runs, lines, notes, footer=f"{when}, {where}"), encoding="utf-8")


def page(
    scenario: Scenario,
    runs: Sequence[RunRecord],
    lines: Sequence[Figure],
    notes: Sequence[str] = (),
    *,
    footer: str,
) -> str:
    """Build the page: the table, the pictures, and what was done."""
    names = " and ".join(run.client for run in runs)
    tallies = [tally(run) for run in runs]
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            tag("title", f"The same trouble: {names}"),
            f"<style>{CHART}\n{PAGE}</style></head><body><main>",
            tag("h1", headline(tallies)),
            *(tag("p", summary(tally), class_="lead") for tally in tallies),
            *(tag("p", note, class_="note") for note in notes),
            tag("p", _work(scenario), class_="lead soft"),
            _table([run.client for run in runs], lines),
            f"<h2>What happened when</h2>{_legend()}{_pictures(runs)}",
            _plan(scenario),
            tag("footer", f"Made by resilient-ddb demo, seed {scenario.seed}. {footer}."),
            "</main></body></html>\n",
        )
    )


def _work(scenario: Scenario) -> str:
    return (
        f"{scenario.rows:,} airports written and {len(scenario.calls):,} calls made, once with each client: the same "
        "code, the same seeded faults. Every number was measured. What was written and counted was read back item "
        "by item from the emulator itself."
    )


def _table(clients: Sequence[str], lines: Sequence[Figure]) -> str:
    heads = "".join(tag("th", client, scope="col") for client in clients)
    bodies = []
    for group, members in groupby(lines, key=lambda line: line.group):
        title = tag("th", group, scope="rowgroup", class_="group", colspan=len(clients) + 1)
        bodies.append(f"<tbody><tr>{title}</tr>{''.join(map(_row, members))}</tbody>")
    return f"<table><thead><tr><td></td>{heads}</tr></thead>{''.join(bodies)}</table>"


def _row(line: Figure) -> str:
    """Write a line: its name, which opens to what it means, and its values."""
    cells = "".join(tag("td", value, class_=tone) for value, tone in zip(line.values, line.tones, strict=True))
    name = f"<details>{tag('summary', line.label)}{tag('p', line.meaning)}</details>"
    return f'<tr><th scope="row">{name}</th>{cells}</tr>'


def _legend() -> str:
    patch = '<svg class="timeline" viewBox="0 0 14 14" aria-hidden="true">{}</svg>'
    items = [
        f"<li>{patch.format(tag('rect', class_=kind, x=1, y=1, width=12, height=12))}{escape(words)}</li>"
        for kind, words in _LEGEND
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'


def _pictures(runs: Sequence[RunRecord]) -> str:
    """Draw the timeline for wide windows and for narrow ones; the style sheet shows one of them."""
    drawn = [
        timeline([track(run, width=seconds) for run in runs], width=width, kind=kind)
        for kind, (width, seconds) in (("wide", _WIDE), ("narrow", _NARROW))
    ]
    return f"<section>{''.join(drawn)}</section>"


def _plan(scenario: Scenario) -> str:
    """Return what was done and what went wrong, from the plan itself."""
    rows = [
        ("load", f"{len(scenario.loaded):,} rows, as fast as it goes, with batch_writer", scenario.load_faults()),
        (
            "calls",
            (
                f"{len(scenario.calls):,} calls at {scenario.calls_per_second:.0f} a second from {WORKERS} workers, "
                f"and {len(scenario.arriving):,} rows that arrive meanwhile, with batch_writer"
            ),
            scenario.call_faults(),
        ),
    ]
    parts = ["<h2>What was done, and what went wrong</h2><dl>"]
    for name, work, plan in rows:
        parts.append(f"{tag('dt', name)}<dd>{escape(work)}<ul>")
        parts += [f"<li>{tag('code', fault_words(fault))}</li>" for fault in plan]
        parts.append("</ul></dd>")
    note = (
        "Each call is made once by the application, and its wait is counted from when it was due: a worker that is "
        "held up holds up the calls behind it. boto3 runs with its defaults, resilient_ddb with a default Policy and "
        "fallback.stale for reads of the airports. The faults that are drawn by chance depend on the order in which "
        "requests arrive, so two runs differ a little."
    )
    return "".join((*parts, "</dl>", tag("p", note)))


def fault_words(fault: object) -> str:
    """Write a fault as it was given: its settings that are not the defaults."""
    fields = type(fault).__dataclass_fields__  # type: ignore[attr-defined]  # every fault is a dataclass
    told = []
    for name, field in fields.items():
        value = getattr(fault, name)
        if value != field.default:
            shown = ", ".join(sorted(value)) if isinstance(value, (set, frozenset)) else f"{value:g}"
            told.append(f"{name}={shown}")
    return f"{type(fault).__name__}({', '.join(told)})"
