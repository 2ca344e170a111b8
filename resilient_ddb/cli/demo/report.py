"""Builds the demo's report: one HTML page that needs nothing but itself."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from pathlib import Path

from .charts import Scales, tag, timeline
from .figures import Figure
from .records import RunRecord
from .scenario import WORKERS, Scenario
from .style import STYLE

_CLASSES = {True: "good", False: "bad", None: "plain"}
_LEGEND = (
    ("ok", "answered"),
    ("cached", "answered from cache, and marked so"),
    ("failed", "failed, or a phantom not-found"),
    ("requests", "requests"),
    ("outage", "outage"),
    ("circuit closed", "circuit closed"),
    ("circuit half-open", "half-open"),
    ("circuit open", "open"),
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
    scales = Scales.of(runs)
    names = " and ".join(run.client for run in runs)
    pictures = "".join(f"<section>{tag('h2', run.client)}{timeline(run, scales)}</section>" for run in runs)
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            tag("title", f"The same trouble: {names}"),
            f"<style>{STYLE}</style></head><body><main>",
            "<h1>The same work, the same trouble</h1>",
            tag("p", _summary(scenario), class_="lead"),
            *(tag("p", note, class_="lead") for note in notes),
            _table([run.client for run in runs], lines),
            f"<h2>What happened when</h2>{_legend()}{pictures}",
            _plan(scenario),
            tag("footer", f"Made by resilient-ddb demo, seed {scenario.seed}. {footer}."),
            "</main></body></html>\n",
        )
    )


def _summary(scenario: Scenario) -> str:
    return (
        f"{scenario.rows:,} airports written and {len(scenario.calls):,} calls made, once with each client: the same "
        "code, the same seeded faults. Every number was measured; what was written and counted was read back item "
        "by item from the emulator itself."
    )


def _table(clients: Sequence[str], lines: Sequence[Figure]) -> str:
    heads = "".join(tag("th", client, scope="col") for client in clients)
    rows = []
    for line in lines:
        cells = "".join(
            tag("td", value, class_=_CLASSES[good]) for value, good in zip(line.values, line.good, strict=True)
        )
        name = f"{escape(line.label)}{tag('small', line.meaning)}"
        rows.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    return f"<table><thead><tr><td></td>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _legend() -> str:
    items = "".join(f'<li><i class="{kind}"></i>{escape(words)}</li>' for kind, words in _LEGEND)
    return f'<ul class="legend">{items}</ul>'


def _plan(scenario: Scenario) -> str:
    """Say what was done and what went wrong, from the plan itself."""
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
