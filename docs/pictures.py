"""The directive `picture`, and the pictures.

Numbers and names come from the code (defaults from the settings, shards from a layout, what is sent again from
`classify`) or from a run that `python -m tests.record` has recorded. Lines and letters have the page's own colour, so
that a picture is right on a light page and on a dark one. `python docs/pictures.py FOLDER` writes them as files.
"""

from __future__ import annotations

import inspect
import itertools
import json
import re
import sys
import textwrap
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from botocore.exceptions import ConnectionClosedError
from docutils import nodes
from docutils.parsers.rst import Directive

import resilient_ddb as rddb
from resilient_ddb.cli.demo.charts import PANELS, timeline
from resilient_ddb.cli.demo.figures import headline, summary
from resilient_ddb.cli.demo.style import CHART
from resilient_ddb.cli.demo.tally import Tally
from resilient_ddb.cli.demo.track import Slot, Track

_LINE = 17
_STYLE = """
.picture { width: 100%; height: auto; color-scheme: light dark }
.picture line, .picture path { stroke: currentColor; stroke-opacity: .6; fill: none }
.picture rect { fill: currentColor; fill-opacity: .07; stroke: currentColor }
.picture .end { fill-opacity: .18 }
.picture text { fill: currentColor; font: 13px sans-serif; text-anchor: middle }
.picture .faint { fill-opacity: 0; stroke-dasharray: 5 4 }
.picture .label { font-size: 12px; fill-opacity: .8 }
.picture .row { font-weight: 600; text-anchor: start }
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

    def bar(self, x: float, bottom: float, width: float, height: float) -> None:
        """Draw a bar that stands on a line."""
        corner = f'x="{x - width / 2:g}" y="{bottom - height:g}"'
        self._shapes.append(f'<rect {corner} width="{width:g}" height="{height:g}" class="end"/>')

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


def pauses() -> str:
    """Draw the windows that pauses are drawn from, one after each attempt."""
    retry = rddb.Retry()
    windows = [retry.delay(attempt, lambda _least, most: most) for attempt in range(1, retry.max_attempts)]
    means = [retry.delay(attempt, lambda least, most: (least + most) / 2) for attempt in range(1, retry.max_attempts)]
    drawing = Drawing("The pause after each attempt: drawn from a window that doubles, up to a limit.", 760, 290)
    gap, bottom, height = 76, 235, 190
    for number, window in enumerate(windows):
        x = 60 + gap * number
        tall = max(window / max(windows) * height, 2)
        drawing.bar(x, bottom, 40, tall)
        drawing.text(x, bottom - tall - 10, _seconds(window), kind="label")
        drawing.text(x, bottom + 18, f"{number + 1}")
    drawing.text(150, 40, "a pause is drawn evenly", "from the whole of its bar")
    drawing.text(150, 95, f"all pauses together: {sum(means):.1f} s", f"on average, {sum(windows):.1f} s at most")
    drawing.text(380, bottom + 42, "after attempt number", kind="label")
    return drawing.svg()


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def frozen() -> str:
    """Draw what becomes of a kept connection while Lambda freezes the process."""
    idle = rddb.Timeouts().connection_max_idle
    margin = inspect.signature(rddb.lambda_handler).parameters["margin"].default
    drawing = Drawing("Two invocations, and the freeze between them: what is kept, and what is asked.", 760, 400)
    drawing.box(120, 45, 190, "invocation 1", "the process runs")
    drawing.box(380, 45, 210, "frozen", "no code runs, no time is seen", kind="faint")
    drawing.box(640, 45, 190, "invocation 2", "the process runs")
    drawing.arrow(215, 45, 273, 45)
    drawing.arrow(487, 45, 543, 45, "thaw")
    drawing.text(28, 101, "kept for the next invocation", kind="row")
    drawing.box(380, 130, 710, "the event loop, the client, circuits, retry budgets, stale answers", kind="end")
    drawing.text(28, 176, "the connection", kind="row")
    drawing.box(120, 212, 190, "opened, with TLS,", "by the first call")
    drawing.arrow(215, 212, 273, 212)
    drawing.box(380, 212, 210, "the server may close it;", "nobody hears of it yet", kind="faint")
    drawing.arrow(487, 212, 543, 212)
    drawing.box(640, 212, 190, "before it is used again:", "is it closed, or has it", f"waited over {idle:g} s?")
    drawing.arrow(600, 246, 520, 290)
    drawing.text(530, 262, "yes", kind="label")
    drawing.arrow(680, 246, 680, 290)
    drawing.text(700, 270, "no", kind="label")
    drawing.box(455, 307, 210, "a new connection", kind="end")
    drawing.box(665, 307, 140, "it is used again", kind="end")
    drawing.text(28, 342, "the deadline", kind="row")
    drawing.box(380, 372, 710, f"each invocation has its own: the time that Lambda leaves it, less {margin:g} s")
    return drawing.svg()


# --- from recordings ----------------------------------------------------------------------------------------------

RECORDINGS = Path(__file__).parent / "recordings"
_DEMO_WIDTH = 760
_DEMO_STYLE = """
.demo { width: 100%; height: auto; font: 13px system-ui, sans-serif }
.demo text { fill: currentColor }
.demo .headline { font-size: 17px; font-weight: 600 }
"""
_LEGEND = (
    ("ok", "answered"),
    ("cached", "from cache, marked so"),
    ("failed", "failed with an error"),
    ("wrong", "wrong, no error said so"),
    ("circuit open", "an open circuit"),
)


def recorded(name: str) -> Any:
    """Return what a run left."""
    return json.loads((RECORDINGS / f"{name}.json").read_text("utf-8"))


def demo_tallies() -> list[Tally]:
    """Return what came of the recorded run of the demo."""
    return [Tally(**facts) for facts in recorded("demo")["tallies"]]


def demo() -> str:
    """Draw what came of the demo, and when."""
    run, tallies = recorded("demo"), demo_tallies()
    names = Slot.__slots__
    tracks = [
        Track(**{**facts, "slots": [Slot(**dict(zip(names, slot, strict=True))) for slot in facts["slots"]]})
        for facts in run["tracks"]
    ]
    headlines = [f"{line}." for line in headline(tallies).rstrip(".").split(". ")]
    title = f"The demo, seed {run['seed']}: {headline(tallies)}"
    parts = [
        f'<text class="headline" x="8" y="{24 + 24 * number}">{line}</text>' for number, line in enumerate(headlines)
    ]
    y = 24 + 24 * len(headlines)
    for tally in tallies:
        for line in textwrap.wrap(summary(tally), 110):
            parts.append(f'<text x="8" y="{y}">{escape(line)}</text>')
            y += 18
        y += 4
    x = 8.0
    for kind, words in _LEGEND:
        parts.append(f'<g class="timeline"><rect class="{kind}" x="{x:g}" y="{y}" width="12" height="12"/></g>')
        parts.append(f'<text x="{x + 18:g}" y="{y + 11}">{words}</text>')
        x += 34 + 6.7 * len(words)
    drawn = timeline(tracks, width=_DEMO_WIDTH, kind="inner", panels=PANELS[:1])
    height = float(re.search(r'viewBox="0 0 \d+ ([\d.]+)"', drawn)[1])
    placed = drawn.replace("<svg ", f'<svg y="{y + 24}" width="{_DEMO_WIDTH}" height="{height:g}" ', 1)
    size = f'viewBox="0 0 {_DEMO_WIDTH} {y + 24 + height:g}"'
    style = f"<style>{CHART}{_DEMO_STYLE}</style>"
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" class="demo" role="img" {size}>'
    return "\n".join([opening, f"<title>{escape(title)}</title>", style, *parts, placed, "</svg>"])


def fill_readme(text: str) -> str:
    """Return the README with the recorded run's numbers in its sentence on the demo."""
    plain, ours = demo_tallies()
    version, seed = ".".join(plain.client.split()[1].split(".")[:2]), recorded("demo")["seed"]
    words = (
        f"In a run of the demo ({plain.calls:,} calls, seed {seed}), boto3 {version} counted "
        f"{plain.counted_twice} calls twice. It said {plain.phantoms} times that an item was missing that was there. "
        f"This library was wrong {ours.wrong} times. "
        f"It failed {ours.failed_calls} calls with an error, and said of {ours.unsure_said} of them that they may have "
        "been applied: `error.resilience.ambiguous`."
    )
    filled = textwrap.fill(words, 118, initial_indent="   ", subsequent_indent="   ", break_on_hyphens=False)
    begin, end = "<!-- demo: begin -->\n", "   <!-- demo: end -->"
    before, rest = text.split(begin)
    return f"{before}{begin}{filled}\n{end}{rest.split(end)[1]}"


_TERMINAL_STYLE = """
.terminal { width: 100%; height: auto }
.terminal rect { fill: #1d2127 }
.terminal text { fill: #e8eaed; font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, monospace; white-space: pre }
.terminal .frame { visibility: hidden; animation: terminal-shown 1s }
.terminal .last { animation: terminal-hidden 1s }
@keyframes terminal-shown { from, to { visibility: visible } }
@keyframes terminal-hidden { from, to { visibility: hidden } }
@media (prefers-reduced-motion: reduce), print {
  .terminal .frame, .terminal .last { animation: none } }
"""
_LETTER, _ROW = 7.2, 18


def load() -> str:
    """Draw what a terminal showed of `load`: it plays once, and the last screen stays."""
    frames = recorded("load")
    width = _LETTER * max(len(line) for _, lines in frames for line in lines) + 24
    height = _ROW * len(frames[-1][1]) + 16
    parts = [f'<rect width="{width:g}" height="{height}" rx="8"/>']
    for (at, lines), (until, _) in itertools.pairwise([*frames, (0.0, [])]):
        is_last = not until
        times = (
            f"animation-duration:{at:g}s"
            if is_last
            else f"animation-delay:{at:g}s;animation-duration:{until - at:.2f}s"
        )
        parts.append(f'<g class="{"last" if is_last else "frame"}" style="{times}">')
        for number, line in enumerate(lines):
            if line.strip():
                size = f'textLength="{_LETTER * len(line):.1f}" lengthAdjust="spacingAndGlyphs"'
                place = f'x="12" y="{_ROW * (number + 1) + 4}"'
                parts.append(f'<text {place} {size} xml:space="preserve">{escape(line)}</text>')
        parts.append("</g>")
    size = f'viewBox="0 0 {width:g} {height}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" class="terminal" role="img" {size}>'
    title = "<title>A terminal: a load is interrupted, and the same command goes on.</title>"
    return "\n".join([opening, title, f"<style>{_TERMINAL_STYLE}</style>", *parts, "</svg>"])


_ALONE = """
svg { color: #1d2127 }
.sheet { fill: #ffffff }
@media (prefers-color-scheme: dark) { svg { color: #e8eaed } .sheet { fill: #14171b } }
"""


def alone(svg: str) -> str:
    """Return a picture for a file of its own: with a sheet behind it, and colours of its own, in light and in dark."""
    opening, rest = svg.split("\n", 1)
    _, _, width, height = re.search(r'viewBox="([^"]+)"', opening)[1].split()
    size = f'width="{width}" height="{height}"'
    sheet = f'<style>{_ALONE}</style><rect class="sheet" {size} rx="8"/>'
    return "\n".join([opening.replace("<svg ", f"<svg {size} ", 1), sheet, rest]) + "\n"


PICTURES: dict[str, Callable[[], str]] = {
    "call": call,
    "circuit": circuit,
    "shards": shards,
    "lost-reply": lost_reply,
    "pauses": pauses,
    "lambda": frozen,
    "load": load,
    "demo": demo,
}


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
        (Path(sys.argv[1]) / f"{name}.svg").write_text(alone(draw()), "utf-8")
