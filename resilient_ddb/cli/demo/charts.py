"""Draws the runs' timelines as SVG, on one axis. Pure: values in, text out; the colours are the style sheet's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from resilient_ddb.errors.words import counted

from .figures import duration, short_name
from .track import Slot, Track

LEFT = 52
RIGHT = 8
TOP = 24
BAND = 14
LETTERS = 38
"""What a panel needs above its bars for its client's name, or a label of the axis needs in width."""
LEAST_WAIT, MOST_WAIT = 0.001, 30.0
"""The ends of the logarithmic scale of waits, in seconds."""


def tag(name: str, text: str | None = None, /, **attributes: object) -> str:
    """Write an element; `text` and attribute values are escaped, and `class_` is `class`."""
    pairs = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items())
    return f"<{name}{pairs}/>" if text is None else f"<{name}{pairs}>{escape(text)}</{name}>"


@dataclass(frozen=True, kw_only=True)
class Scales:
    """The scales that all runs share, so that they can be compared."""

    width: int
    begin: float
    end: float
    """Seconds of work, before and after the first call."""
    calls: int
    requests: int

    @classmethod
    def of(cls, tracks: Sequence[Track], width: int) -> Scales:
        """Return scales that fit these runs, for a picture of that width."""
        every = [slot for track in tracks for slot in track.slots]
        return cls(
            width=width,
            begin=min(track.begin for track in tracks),
            end=max(track.end for track in tracks),
            calls=nice(max(slot.calls for slot in every)),
            requests=nice(max(slot.requests for slot in every)),
        )

    @property
    def second(self) -> float:
        """How wide a second is."""
        return (self.width - LEFT - RIGHT) / max(self.end - self.begin, 1.0)

    def x(self, at: float) -> float:
        """Place a time, in seconds; what is before the axis begins, at its beginning."""
        return round(LEFT + max(at - self.begin, 0.0) * self.second, 2)


def nice(value: float) -> int:
    """Return the next even round number, for the end of an axis that is halved: 2, 4, 6, 8, 10, 20, 40, ..."""
    power = 10 ** math.floor(math.log10(max(value, 2)))
    return int(next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value and step * power > 1))


def _stretches(track: Track, scales: Scales, bottom: float) -> str:
    """Shade the outage, and name the stretches."""
    left, right = (scales.x(at) for at in track.outage)
    edges = [tag("line", class_="edge", x1=x, x2=x, y1=4, y2=bottom) for x in (left, right)]
    return "".join(
        (
            tag("rect", class_="outage", x=left, y=4, width=round(right - left, 2), height=bottom - 4),
            *edges,
            tag("text", f"outage, {track.outage[1] - track.outage[0]:.0f} s", x=left + 5, y=15),
            tag("text", "load", x=LEFT, y=15),
            tag("text", "calls", x=max(scales.x(0), LEFT + LETTERS), y=15),
        )
    )


def _axis(scales: Scales, top: float, height: float, marks: Iterable[tuple[float, str]]) -> str:
    """Draw a panel's lines and labels; marks are shares of its height, from below."""
    parts = []
    for share, label in marks:
        y = round(top + height * (1 - share), 2)
        parts.append(tag("line", class_="grid", x1=LEFT, x2=scales.width - RIGHT, y1=y, y2=y))
        parts.append(tag("text", label, class_="mark", x=LEFT - 6, y=y + 4))
    return "".join(parts)


def _bars(track: Track, values: Iterable[tuple[int, int]], scales: Scales, top: float, height: float, most: int) -> str:
    """Return the path of bars, one for each slot, from (bottom, size): a tenth of the text that elements take."""
    wide = scales.second * track.width * 0.86
    steps = []
    for number, (base, size) in enumerate(values, track.first):
        if size:
            x, y = scales.x(number * track.width), top + height * (1 - base / most)
            tall = height * size / most
            steps.append(f"M{x:.1f} {y:.1f}v{-tall:.1f}h{wide:.1f}v{tall:.1f}z")
    return "".join(steps)


def _calls(track: Track, scales: Scales, top: float, height: float) -> str:
    most = scales.calls
    parts = [_axis(scales, top, height, [(0, "0"), (0.5, f"{most // 2:,}"), (1, f"{most:,}")])]
    below = [0] * len(track.slots)
    for kind in ("ok", "cached", "failed", "wrong"):
        sizes = [getattr(slot, kind) for slot in track.slots]
        path = _bars(track, zip(below, sizes, strict=True), scales, top, height, most)
        parts += [tag("path", class_=kind, d=path)] if path else []
        below = [base + size for base, size in zip(below, sizes, strict=True)]
    return "".join(parts)


def _requests(track: Track, scales: Scales, top: float, height: float) -> str:
    most = scales.requests
    path = _bars(track, [(0, slot.requests) for slot in track.slots], scales, top, height, most)
    return _axis(scales, top, height, [(0, "0"), (1, f"{most:,}")]) + tag("path", class_="requests", d=path)


def _waits(track: Track, scales: Scales, top: float, height: float) -> str:
    marks = [(wait_share(seconds), duration(seconds)) for seconds in (0.001, 0.1)]
    marks += [(wait_share(10), "10 s")]
    steps = []
    for number, slot in enumerate(track.slots, track.first):
        if slot.longest is not None:
            x, y = scales.x((number + 0.5) * track.width), top + height * (1 - wait_share(slot.longest))
            steps.append(f"M{x:.1f} {y:.1f}h0")
    return _axis(scales, top, height, marks) + tag("path", class_="wait", d="".join(steps))


def wait_share(seconds: float) -> float:
    """Place a wait on the logarithmic scale: 0.0 at its lower end, 1.0 at its upper."""
    held = min(max(seconds, LEAST_WAIT), MOST_WAIT)
    return math.log(held / LEAST_WAIT) / math.log(MOST_WAIT / LEAST_WAIT)


Panel = tuple[str, float, Callable[[Track, Scales, float, float], str]]
"""Its title, its height, and what draws a run's part of it."""

PANELS: tuple[Panel, ...] = (
    ("calls that ended, in each {slot}", 84, _calls),
    ("requests sent, in each {slot}", 44, _requests),
    ("longest wait of a call (logarithmic)", 60, _waits),
)


def timeline(tracks: Sequence[Track], *, width: int, kind: str, panels: Sequence[Panel] = PANELS) -> str:
    """Draw the runs beneath each other: calls, requests, waits and circuits over time.

    Args:
        tracks: the runs, cut into slots of the same width.
        width: the picture's width, in units of the letters' size.
        kind: a class for the style sheet.
        panels: what is drawn above the circuits.
    """
    scales = Scales.of(tracks, width)
    parts = []
    y = float(TOP)
    for title, height, draw in panels:
        parts.append(tag("text", title.format(slot=duration(tracks[0].width)), class_="panel", x=LEFT, y=y + 14))
        y += 18
        for track in tracks:
            parts.append(tag("text", short_name(track.client), class_="client", x=width - RIGHT, y=y + 10))
            parts.append(draw(track, scales, y + 14, height))
            y += 14 + height + 8
        y += 8
    for track in tracks:
        if track.circuits:
            title = f"circuits of {short_name(track.client)}"
            parts.append(tag("text", title, class_="panel", x=LEFT, y=y + 14))
            parts.append(_circuits(track, scales, y + 20))
            y += 24 + BAND * len(track.circuits)
    size = f'viewBox="0 0 {width} {y + 36:g}" class="timeline {kind}"'
    title = f"What happened when, with {' and '.join(track.client for track in tracks)}"
    frame = (
        tag("title", title),
        _stretches(tracks[0], scales, y),
        *parts,
        _seconds(scales, y),
        _hover(tracks, scales, y),
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>{"".join(frame)}</svg>'


def _circuits(track: Track, scales: Scales, top: float) -> str:
    parts = []
    for line, (name, spans) in enumerate(track.circuits.items()):
        y = top + line * BAND
        for state, since, until in spans:
            x = scales.x(since)
            wide = max(round(scales.x(until) - x, 2), 1.0)
            parts.append(tag("rect", class_=f"circuit {state}", x=x, y=y, width=wide, height=BAND - 4))
        parts.append(tag("text", name, class_="band", x=LEFT + 4, y=y + BAND - 5))
    return "".join(parts)


def _seconds(scales: Scales, bottom: float) -> str:
    step = next((step for step in (1, 2, 5, 10, 20) if step * scales.second >= LETTERS), 60)
    parts = []
    for second in range(math.ceil(scales.begin / step) * step, math.floor(scales.end) + 1, step):
        x = scales.x(second)
        parts.append(tag("line", class_="tick", x1=x, x2=x, y1=bottom + 3, y2=bottom + 8))
        parts.append(tag("text", f"{second}", class_="second", x=x, y=bottom + 20))
    words = "seconds of work, from the first call on"
    parts.append(tag("text", words, class_="axis", x=scales.width - RIGHT, y=bottom + 34))
    return "".join(parts)


def _hover(tracks: Sequence[Track], scales: Scales, bottom: float) -> str:
    """Lay a strip over each slot that says its numbers when it is pointed at."""
    width = tracks[0].width
    first = min(track.first for track in tracks)
    strips = []
    for number in range(first, max(track.first + len(track.slots) for track in tracks)):
        words = [f"{short_name(track.client)}: {_words(_slot_at(track, number))}" for track in tracks]
        strip = tag("title", f"{number * width:.1f} s. {'. '.join(words)}")
        box = f'x="{scales.x(number * width)}" y="{TOP}" width="{scales.second * width:.2f}" height="{bottom - TOP:g}"'
        strips.append(f'<rect class="hover" {box}>{strip}</rect>')
    return "".join(strips)


def _slot_at(track: Track, number: int) -> Slot:
    index = number - track.first
    return track.slots[index] if 0 <= index < len(track.slots) else Slot()


def _words(slot: Slot) -> str:
    wait = "" if slot.longest is None else f", longest wait {duration(slot.longest)}"
    return (
        f"{slot.ok} answered, {slot.cached} from cache, {slot.failed} failed, {slot.wrong} wrong, "
        f"{counted(slot.requests, 'request')}{wait}"
    )
