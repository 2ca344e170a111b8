"""Draws a run's timeline as SVG. Pure: values in, text out; the colours are the page's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from resilient_ddb.errors.words import counted

from .figures import duration
from .records import CircuitRecord, RunRecord
from .tally import Slot, slots

SLOT_SECONDS = 0.1
WIDTH = 960
LEFT = 58
RIGHT = 10
TOP = 58
GAP = 26
BAND = 14
LEAST_WAIT, MOST_WAIT = 0.001, 30.0
"""The ends of the logarithmic scale of waits, in seconds."""


def tag(name: str, text: str | None = None, /, **attributes: object) -> str:
    """Write an element; `text` and attribute values are escaped, and `class_` is `class`."""
    pairs = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items())
    return f"<{name}{pairs}/>" if text is None else f"<{name}{pairs}>{escape(text)}</{name}>"


@dataclass(frozen=True, kw_only=True)
class Scales:
    """The scales that all runs' pictures share, so that they can be compared."""

    seconds: float
    calls: int
    requests: int

    @classmethod
    def of(cls, runs: Sequence[RunRecord]) -> Scales:
        """Return scales that fit these runs."""
        cut = [slot for run in runs for slot in slots(run, width=SLOT_SECONDS)]
        return cls(
            seconds=max((run.ended_at for run in runs), default=1.0),
            calls=nice(max((slot.ok + slot.cached + slot.failed for slot in cut), default=1)),
            requests=nice(max((slot.requests for slot in cut), default=1)),
        )

    def x(self, at: float) -> float:
        """Place a time, in seconds."""
        return round(LEFT + at / self.seconds * (WIDTH - LEFT - RIGHT), 2)


def nice(value: float) -> int:
    """Return the next even round number, for the end of an axis that is halved: 2, 4, 6, 8, 10, 20, 40, ..."""
    power = 10 ** math.floor(math.log10(max(value, 2)))
    return int(next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value and step * power > 1))


def timeline(run: RunRecord, scales: Scales) -> str:
    """Draw one run: calls, requests, waits and circuits over time."""
    cut = slots(run, width=SLOT_SECONDS)
    panels = [_calls(cut, scales, TOP), _requests(cut, scales, TOP + 110 + GAP)]
    bottom = TOP + 110 + GAP + 64 + GAP
    panels.append(_waits(cut, scales, bottom))
    bottom += 84
    if run.circuits:
        bottom += GAP
        panels.append(_circuits(run, scales, bottom))
        bottom += BAND * len({change.circuit for change in run.circuits})
    height = bottom + 38
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">',
        tag("title", f"What happened over time with {run.client}"),
        _phases(run, scales, bottom),
        *panels,
        _seconds(scales, bottom),
        _hover(cut, scales, bottom),
        "</svg>",
    ]
    return "".join(parts)


def _phases(run: RunRecord, scales: Scales, bottom: float) -> str:
    """Shade the outage, and name the stretches."""
    left, right = (scales.x(at) for at in run.outage)
    back, calls = scales.x(run.loaded_at), scales.x(run.calls_from)
    parts = [
        tag("rect", class_="outage", x=left, y=20, width=round(right - left, 2), height=bottom - 20),
        tag("text", f"outage, {run.outage[1] - run.outage[0]:.0f} s", class_="outage-label", x=left + 5, y=33),
        tag("rect", class_="pause", x=back, y=20, width=round(calls - back, 2), height=bottom - 20),
        tag("text", "load", class_="phase", x=LEFT, y=14),
        tag("text", "read back, then calls and arriving rows", class_="phase", x=max(back, LEFT + 34), y=14),
    ]
    return "".join(parts)


def _axis(title: str, top: float, height: float, marks: Iterable[tuple[float, str]]) -> str:
    """Draw a panel's title, lines and labels; marks are shares of its height, from below."""
    parts = [tag("text", title, class_="panel", x=LEFT, y=top - 6)]
    for share, label in marks:
        y = round(top + height * (1 - share), 2)
        parts.append(tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y))
        parts.append(tag("text", label, class_="mark", x=LEFT - 6, y=y + 4))
    return "".join(parts)


def _bars(values: Sequence[tuple[int, int]], scales: Scales, top: float, height: float, most: int, kind: str) -> str:
    """Draw bars, one for each slot, from (bottom, size): as one path, which is a tenth of the text."""
    wide = (scales.x(SLOT_SECONDS) - scales.x(0)) * 0.86
    steps = []
    for number, (base, size) in enumerate(values):
        if size:
            x, y = scales.x(number * SLOT_SECONDS), top + height * (1 - base / most)
            tall = height * size / most
            steps.append(f"M{x:.1f} {y:.1f}v{-tall:.1f}h{wide:.1f}v{tall:.1f}z")
    return tag("path", class_=kind, d="".join(steps)) if steps else ""


def _calls(cut: Sequence[Slot], scales: Scales, top: float) -> str:
    height, most = 110, scales.calls
    title = f"calls that ended, per {SLOT_SECONDS * 1000:.0f} ms"
    return "".join(
        (
            _axis(title, top, height, [(0, "0"), (0.5, f"{most // 2:,}"), (1, f"{most:,}")]),
            _bars([(0, slot.ok) for slot in cut], scales, top, height, most, "ok"),
            _bars([(slot.ok, slot.cached) for slot in cut], scales, top, height, most, "cached"),
            _bars([(slot.ok + slot.cached, slot.failed) for slot in cut], scales, top, height, most, "failed"),
        )
    )


def _requests(cut: Sequence[Slot], scales: Scales, top: float) -> str:
    height, most = 64, scales.requests
    title = f"requests sent, per {SLOT_SECONDS * 1000:.0f} ms"
    return _axis(title, top, height, [(0, "0"), (0.5, f"{most // 2:,}"), (1, f"{most:,}")]) + _bars(
        [(0, slot.requests) for slot in cut], scales, top, height, most, "requests"
    )


def _waits(cut: Sequence[Slot], scales: Scales, top: float) -> str:
    height = 84
    marks = [(wait_share(seconds), duration(seconds)) for seconds in (0.001, 0.01, 0.1)]
    marks += [(wait_share(seconds), f"{seconds} s") for seconds in (1, 10)]
    steps = []
    for number, slot in enumerate(cut):
        if slot.longest is not None:
            x, y = scales.x((number + 0.5) * SLOT_SECONDS), top + height * (1 - wait_share(slot.longest))
            steps.append(f"M{x:.1f} {y:.1f}h0")
    title = "longest wait of a call that ended then (logarithmic)"
    return _axis(title, top, height, marks) + tag("path", class_="wait", d="".join(steps))


def wait_share(seconds: float) -> float:
    """Place a wait on the logarithmic scale: 0.0 at its lower end, 1.0 at its upper."""
    held = min(max(seconds, LEAST_WAIT), MOST_WAIT)
    return math.log(held / LEAST_WAIT) / math.log(MOST_WAIT / LEAST_WAIT)


def spans(changes: Sequence[CircuitRecord], until: float) -> list[tuple[str, float, float]]:
    """Turn one circuit's changes into (state, from, to); it begins closed."""
    edges = [("closed", 0.0), *((change.state, change.at) for change in changes)]
    ends = [at for _, at in edges[1:]] + [until]
    return [(state, at, end) for (state, at), end in zip(edges, ends, strict=True)]


def _circuits(run: RunRecord, scales: Scales, top: float) -> str:
    parts = [tag("text", "circuits", class_="panel", x=LEFT, y=top - 6)]
    for line, name in enumerate(sorted({change.circuit for change in run.circuits})):
        y = top + line * BAND
        changes = [change for change in run.circuits if change.circuit == name]
        for state, begin, end in spans(changes, run.ended_at):
            x = scales.x(begin)
            wide = max(round(scales.x(end) - x, 2), 1.0)
            parts.append(tag("rect", class_=f"circuit {state}", x=x, y=y, width=wide, height=BAND - 3))
        parts.append(tag("text", name, class_="band", x=LEFT + 4, y=y + BAND - 5))
    return "".join(parts)


def _seconds(scales: Scales, bottom: float) -> str:
    step = 1 if scales.seconds <= 12 else 2  # noqa: PLR2004 - a dozen labels fit
    parts = []
    for second in range(0, math.floor(scales.seconds) + 1, step):
        x = scales.x(second)
        parts.append(tag("line", class_="tick", x1=x, x2=x, y1=bottom + 3, y2=bottom + 8))
        parts.append(tag("text", f"{second}", class_="second", x=x, y=bottom + 20))
    parts.append(tag("text", "seconds since the run began", class_="axis", x=WIDTH - RIGHT, y=bottom + 34))
    return "".join(parts)


def _hover(cut: Sequence[Slot], scales: Scales, bottom: float) -> str:
    """Lay a strip over each slot that says its numbers when it is pointed at."""
    wide = round(scales.x(SLOT_SECONDS) - scales.x(0), 2)
    strips = []
    for number, slot in enumerate(cut):
        wait = "" if slot.longest is None else f", longest wait {duration(slot.longest)}"
        words = (
            f"{slot.ok} ok, {slot.cached} from cache, {slot.failed} failed, {counted(slot.requests, 'request')}{wait}"
        )
        strip = tag("title", f"{number * SLOT_SECONDS:.1f} s: {words}")
        x = scales.x(number * SLOT_SECONDS)
        strips.append(f'<rect class="hover" x="{x}" y="{TOP}" width="{wide}" height="{bottom - TOP}">{strip}</rect>')
    return "".join(strips)
