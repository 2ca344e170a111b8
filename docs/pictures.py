"""The directive `picture`: how a call goes, a circuit's states, a key's shards, and what becomes of a lost reply.

Numbers and names come from the code: defaults from the settings, shards from a layout, what is sent again from
`classify`. Lines and letters have the page's own colour, so that a picture is right on a light page and on a dark one.
`python docs/pictures.py FOLDER` writes them as files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from botocore.exceptions import ConnectionClosedError
from docutils import nodes
from docutils.parsers.rst import Directive

import resilient_ddb as rddb

_LINE = 17
_STYLE = """
.picture { width: 100%; height: auto; color-scheme: light dark }
.picture line, .picture path { stroke: currentColor; stroke-opacity: .6; fill: none }
.picture rect { fill: currentColor; fill-opacity: .07; stroke: currentColor }
.picture .end { fill-opacity: .18 }
.picture text { fill: currentColor; font: 13px sans-serif; text-anchor: middle }
.picture .label { font-size: 12px; fill-opacity: .8 }
.picture polygon { fill: currentColor; fill-opacity: .8 }
"""


class Drawing:
    """Boxes and arrows."""

    def __init__(self, title: str, width: int, height: int) -> None:
        self._title = title
        self._size = f"0 0 {width} {height}"
        self._shapes: list[str] = []

    def text(self, x: float, y: float, *lines: str, kind: str = "") -> None:
        """Write lines around a middle."""
        top = y - (len(lines) - 1) * _LINE / 2 + 4
        for number, line in enumerate(lines):
            self._shapes.append(f'<text x="{x:g}" y="{top + number * _LINE:g}" class="{kind}">{escape(line)}</text>')

    def box(self, x: float, y: float, width: float, *lines: str, kind: str = "step") -> None:
        """Draw a box around a middle, as high as its lines."""
        height = len(lines) * _LINE + 16
        corner = f'x="{x - width / 2:g}" y="{y - height / 2:g}"'
        self._shapes.append(f'<rect {corner} width="{width:g}" height="{height}" rx="8" class="{kind}"/>')
        self.text(x, y, *lines)

    def arrow(self, x1: float, y1: float, x2: float, y2: float, label: str = "") -> None:
        """Draw an arrow, with a word at its middle."""
        self._shapes.append(f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>')
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        ux, uy = (x2 - x1) / length, (y2 - y1) / length
        corners = ((0, 0), (-9, 4), (-9, -4))
        points = " ".join(f"{x2 + ux * a - uy * b:.1f},{y2 + uy * a + ux * b:.1f}" for a, b in corners)
        self._shapes.append(f'<polygon points="{points}"/>')
        if label:
            is_upright = abs(uy) > abs(ux)
            self.text((x1 + x2) / 2 + (is_upright and 28), (y1 + y2) / 2 - (not is_upright and 9), label, kind="label")

    def svg(self) -> str:
        """Return the picture."""
        opening = f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" role="img" viewBox="{self._size}">'
        title = f"<title>{escape(self._title)}</title>"
        return "\n".join([opening, title, f"<style>{_STYLE}</style>", *self._shapes, "</svg>"])


def call() -> str:
    """Draw how a call goes."""
    retry = rddb.Retry()
    drawing = Drawing("How a call goes: checks, an attempt, a verdict, and what follows from it.", 760, 470)
    drawing.box(210, 30, 220, "your call")
    drawing.arrow(210, 47, 210, 78)
    drawing.box(210, 103, 260, "has the deadline passed?", "is the circuit open?")
    drawing.arrow(210, 128, 210, 163, "no")
    drawing.box(210, 188, 260, "botocore sends the request;", "the response is checked")
    drawing.arrow(210, 213, 210, 248, "failed")
    drawing.box(210, 282, 260, "what kind of failure?", *_in_rows([kind.value for kind in rddb.ErrorKind]))
    drawing.arrow(210, 316, 210, 351)
    again = f"{retry.max_attempts} attempts at most"
    drawing.box(
        210, 385, 300, "may the same request be sent again?", again, "the retry budget and the time left allow it?"
    )
    drawing.arrow(340, 188, 588, 188, "a sound response")
    drawing.box(670, 188, 160, "a response", kind="end")
    drawing.arrow(340, 103, 588, 103, "yes: nothing is sent")
    drawing.box(670, 103, 160, "a fallback,", "if there is one")
    drawing.arrow(360, 385, 588, 385, "no")
    drawing.box(670, 385, 160, "a fallback,", "if there is one")
    drawing.arrow(670, 360, 670, 307, "none")
    drawing.box(670, 282, 160, "the error, with", "error.resilience", kind="end")
    drawing.arrow(670, 128, 670, 168, "answer")
    drawing.arrow(60, 385, 32, 385)
    drawing.arrow(32, 385, 32, 103, "yes")
    drawing.arrow(32, 103, 78, 103)
    window = f"between 0 and a window that grows from {retry.base_delay:g} s to {retry.max_delay:g} s"
    drawing.text(300, 446, f"before each new attempt: a pause {window}", kind="label")
    return drawing.svg()


def _in_rows(words: list[str]) -> list[str]:
    return [" · ".join(words[:3]), " · ".join(words[3:])]


def circuit() -> str:
    """Draw a circuit's states."""
    rules = rddb.CircuitBreaker()
    drawing = Drawing("A circuit's states: closed, open, half-open.", 760, 250)
    drawing.box(120, 70, 190, "closed", "calls go through")
    drawing.box(640, 70, 190, "open", "calls are refused at once")
    drawing.box(380, 205, 250, "half-open", f"{rules.half_open_permits} probes are let through")
    drawing.arrow(215, 70, 545, 70)
    share = f"{rules.failure_rate_threshold:.0%} or more of the attempts failed"
    window = f"of {rules.minimum_calls} or more, of the last {rules.window_calls}, in {rules.window_seconds:g} s"
    drawing.text(380, 46, share, kind="label")
    drawing.text(380, 90, window, kind="label")
    drawing.arrow(620, 95, 470, 180)
    longest = rules.open_duration * (1 + rules.open_jitter)
    drawing.text(638, 150, f"after {rules.open_duration:g} to {longest:g} s", kind="label")
    drawing.arrow(450, 180, 590, 95)
    drawing.text(455, 130, f"{rules.failure_rate_threshold:.0%} of them failed", kind="label")
    drawing.arrow(300, 180, 140, 95)
    drawing.text(150, 150, "fewer failed", kind="label")
    return drawing.svg()


def shards() -> str:
    """Draw where a layout puts the items of a key, and how a query merges them."""
    layout = rddb.ShardLayout(3, by="at")
    times = [f"09:{minute:02d}" for minute in range(9)]
    placed: dict[str, list[str]] = {stored: [] for stored in layout.stored_keys("acme")}
    for at in times:
        placed[layout.stored_key("acme", {"at": at})].append(at)
    drawing = Drawing(
        "A key's items spread over three shards, and merged by a query in the order of the sort key.", 760, 300
    )
    drawing.box(380, 30, 600, f"put_item: tenant acme, at {times[0]} to {times[-1]}")
    for number, (stored, items) in enumerate(placed.items()):
        x = 130 + 250 * number
        drawing.arrow(x, 47, x, 108)
        drawing.box(x, 142, 220, stored, *_lines_of(items))
        drawing.arrow(x, 176, x, 237)
    drawing.text(255, 78, "the sort key tells the shard", kind="label")
    drawing.text(255, 207, "a query: a request for each shard", kind="label")
    drawing.box(380, 263, 600, "merged, in the order of the sort key, without suffixes", " ".join(times), kind="end")
    return drawing.svg()


def _lines_of(items: list[str]) -> list[str]:
    half = (len(items) + 1) // 2
    return [" ".join(items[:half]), " ".join(items[half:])]


_VALUE = {":v": {"S": "new"}}
_WRITES = [
    ("GetItem, Query, Scan", "GetItem", {}),
    ("PutItem, DeleteItem", "PutItem", {"Item": {}}),
    (
        "UpdateItem: SET to a value",
        "UpdateItem",
        {"UpdateExpression": "SET a = :v", "ExpressionAttributeValues": _VALUE},
    ),
    ("BatchWriteItem", "BatchWriteItem", {}),
    ("TransactWriteItems, idempotent_update", "TransactWriteItems", {}),
    (
        "UpdateItem: ADD a number",
        "UpdateItem",
        {"UpdateExpression": "ADD n :v", "ExpressionAttributeValues": {":v": {"N": "1"}}},
    ),
    (
        "UpdateItem: list_append",
        "UpdateItem",
        {"UpdateExpression": "SET l = list_append(l, :v)", "ExpressionAttributeValues": {":v": {"L": []}}},
    ),
    ("writes that return the old item", "PutItem", {"Item": {}, "ReturnValues": "ALL_OLD"}),
    ("PartiQL writes", "ExecuteStatement", {"Statement": "UPDATE t SET a = 1"}),
]


def sent_again() -> tuple[list[str], list[str]]:
    """Return which requests are sent again after a lost reply, and which are not, as `classify` says."""
    lost = ConnectionClosedError(endpoint_url="https://dynamodb")
    verdicts = [(title, rddb.classify(lost, operation=name, params=params)) for title, name, params in _WRITES]
    return (
        [title for title, verdict in verdicts if verdict.retryable],
        [title for title, verdict in verdicts if not verdict.retryable],
    )


def lost_reply() -> str:
    """Draw what becomes of a request whose reply was lost."""
    again, not_again = sent_again()
    drawing = Drawing("What becomes of a request whose reply was lost.", 760, 420)
    drawing.box(380, 30, 420, "the request went out, and no whole reply came")
    drawing.arrow(380, 47, 380, 80)
    drawing.box(380, 97, 420, "is it the same if it is applied twice?")
    drawing.arrow(300, 114, 190, 150)
    drawing.text(215, 128, "yes", kind="label")
    drawing.arrow(460, 114, 570, 150)
    drawing.text(545, 128, "no", kind="label")
    drawing.box(190, 202, 320, *again)
    drawing.box(570, 202, 320, *not_again)
    drawing.arrow(190, 253, 190, 290)
    drawing.arrow(570, 245, 570, 282)
    drawing.box(190, 307, 320, "is sent again", kind="end")
    drawing.box(570, 307, 320, "the error is raised at once,", "with ambiguous true", kind="end")
    drawing.arrow(190, 324, 190, 360)
    drawing.text(275, 342, "and a condition fails", kind="label")
    drawing.box(
        190,
        385,
        320,
        "PutItem, and an equal item is there: success;",
        "else the first error, ambiguous true",
        kind="end",
    )
    drawing.text(570, 385, 'on_ambiguous_write="retry" sends it again,', "and may apply it twice", kind="label")
    return drawing.svg()


PICTURES: dict[str, Callable[[], str]] = {"call": call, "circuit": circuit, "shards": shards, "lost-reply": lost_reply}


class PictureDirective(Directive):
    """`.. picture:: NAME`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", PICTURES[self.arguments[0]](), format="html")]


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("picture", PictureDirective)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (Path(sys.argv[1]) / f"{name}.svg").write_text(draw(), "utf-8")
