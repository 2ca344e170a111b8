"""The chart: ratios to the base lines as horizontal bars, in SVG that reads in light and in dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from .report import Document, groups, row_title

_WIDTH = 860
_LEFT = 300
_SCALE = 330
"""Pixels of a ratio of 1."""
_MOST = 1.5
"""Longer bars are cut off here; their number says how long they are."""
_NUMBER = 36
_BAR = 15
_GAP = 8
_LEFT_OUT = {"boto3 1.44 Table": "boto3 1.43 Table"}
"""Base lines whose group is not shown where the other one's is: it says the same."""
_STYLE = """
  svg { color: #1b1f24; font: 12px system-ui, sans-serif; }
  text { fill: currentColor; }
  .panel { fill: #ffffff; }
  .title { font-size: 15px; font-weight: 600; }
  .scenario { font-weight: 600; }
  .ours { fill: #1f6feb; }
  .other { fill: #8c959f; }
  .base { stroke: currentColor; stroke-dasharray: 3 3; }
  @media (prefers-color-scheme: dark) {
    svg { color: #e6edf3; }
    .panel { fill: #0d1117; }
    .ours { fill: #58a6ff; }
    .other { fill: #6e7681; }
  }
"""


def svg(document: Document) -> str:
    """Return the chart."""
    parts: list[str] = []
    y = 24
    shown = groups(document)
    for base, names in shown.items():
        if _LEFT_OUT.get(base) in shown:
            continue
        drawn, y = _group(document, base, names[1:], y)
        parts += drawn
    description = "Bars are ratios to the base line: shorter is better. Bars beyond 1.5 are cut off."
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}" '
        'role="img" aria-labelledby="title description">'
    )
    return "\n".join(
        [
            head,
            '<title id="title">resilient_ddb and others, measured against boto3 and aioboto3</title>',
            f'<desc id="description">{description}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="panel" width="{_WIDTH}" height="{y}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _group(document: Document, base: str, names: Sequence[str], y: int) -> tuple[list[str], int]:
    """Draw a base line's group from `y` on; give where the next begins."""
    parts = [f'<text class="title" x="8" y="{y}">Ratio to {escape(base)}: shorter is better</text>']
    top = y = y + 14
    for title, bars in _bars(document, names):
        y += 16
        parts.append(f'<text class="scenario" x="8" y="{y}">{escape(title)}</text>')
        y += 6
        for name, ratio in bars:
            parts.append(_bar(document, name, ratio, y))
            y += _BAR
        y += _GAP
    x = _LEFT + _SCALE
    parts.append(f'<line class="base" x1="{x}" x2="{x}" y1="{top}" y2="{y - _GAP}"/>')
    parts.append(f'<text x="{x}" y="{top - 2}" text-anchor="middle">1.0</text>')
    return parts, y + 32


def _bars(document: Document, names: Sequence[str]) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Return the scenarios of the chart, each with its bars."""
    for key, scenario in document["scenarios"].items():
        metric = scenario["metrics"][0]
        measured = [(name, document["figures"][key].get(name, {}).get(metric)) for name in names]
        bars = [(name, figure["ratio"]) for name, figure in measured if figure and figure["ratio"] is not None]
        if scenario["in_chart"] and metric != "rate" and bars:
            yield row_title(scenario, metric), bars


def _bar(document: Document, name: str, ratio: float, y: int) -> str:
    contender = document["contenders"][name]
    kind = "ours" if contender["ours"] else "other"
    width = min(ratio, _MOST) * _SCALE
    at = _SCALE if _SCALE - _NUMBER < width < _SCALE else width  # the line does not strike a number through
    label = f"{name} (typed values)" if contender["typed"] else name
    return (
        f'<text x="{_LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(label)}</text>'
        f'<rect class="{kind}" x="{_LEFT}" y="{y + 2}" width="{width:.1f}" height="{_BAR - 4}" rx="2"/>'
        f'<text x="{_LEFT + at + 5:.1f}" y="{y + 11}">{ratio:.2f}</text>'
    )
