"""The directive `rooms`: a picture of the package's rooms, drawn from the imports in the code.

A room stands on the floor above the highest that it imports. A line leads down to each room that it imports, but for
those that another of its rooms imports for it. Lines and letters have the page's own colour, so that the picture is
right on a light page and on a dark one.
"""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

PACKAGE = Path(__file__).parents[1] / "resilient_ddb"
DOORS = ("__init__", "__main__", "_public", "_version")
"""Files that lead to rooms, or hold a number: they are none."""

Rooms = dict[str, set[str]]

_WIDTH = 720
_FLOOR_HEIGHT = 84
_BOX = 44
_MARGIN = 24
_LETTER = 8.6
_STYLE = """
.rooms { width: 100% }
.rooms line { stroke: currentColor; stroke-opacity: .45 }
.rooms rect { fill: currentColor; fill-opacity: .08; stroke: currentColor }
.rooms text { fill: currentColor; font: 14px monospace; text-anchor: middle }
.rooms .floor { fill-opacity: .6; text-anchor: start }
"""


def room_of(module: str) -> str:
    """Return the room of a module, given its name without that of the package."""
    return module.partition(".")[0] or "__init__"


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms that a file imports from, at its top, within functions, and for annotations."""
    here = (PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            names = [f"{module}.{alias.name}" for alias in node.names] if module == PACKAGE.name else [module]
        else:
            continue
        found |= {room_of(name.removeprefix(f"{PACKAGE.name}.")) for name in names if name.startswith(PACKAGE.name)}
    return found


def rooms() -> Rooms:
    """Return each room with those that it imports from."""
    found: Rooms = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."))
        if room not in DOORS:
            found.setdefault(room, set()).update(imported_rooms(path))
    return {room: (needs & found.keys()) - {room} for room, needs in found.items()}


def below(found: Rooms, room: str) -> set[str]:
    """Return all that a room rests on."""
    return found[room].union(*(below(found, need) for need in found[room]))


def floors(found: Rooms) -> dict[str, int]:
    """Return the floor of each room; the lowest is 1."""
    counted: dict[str, int] = {}

    def floor(room: str) -> int:
        if room not in counted:
            counted[room] = 1 + max(map(floor, found[room]), default=0)
        return counted[room]

    return {room: floor(room) for room in sorted(found)}


def picture(found: Rooms) -> str:
    """Return the SVG of the rooms: the lowest floor at the bottom."""
    floor_of = floors(found)
    top = max(floor_of.values())
    boxes: dict[str, tuple[float, float, float]] = {}  # the middle, the upper edge, the width
    for floor in range(1, top + 1):
        row = [room for room in floor_of if floor_of[room] == floor]
        for index, room in enumerate(row):
            middle = _WIDTH * (index + 1) / (len(row) + 1)
            boxes[room] = (middle, _MARGIN + (top - floor) * _FLOOR_HEIGHT, len(room) * _LETTER + 2 * _MARGIN)
    lines = []
    for room, needs in sorted(found.items()):
        indirect = set().union(*(below(found, need) for need in needs))
        for need in sorted(needs - indirect):
            (x1, y1, _), (x2, y2, _) = boxes[room], boxes[need]
            lines.append(f'<line x1="{x1:.0f}" y1="{y1 + _BOX:.0f}" x2="{x2:.0f}" y2="{y2:.0f}"/>')
    shapes = [
        f'<rect x="{x - width / 2:.0f}" y="{y:.0f}" width="{width:.0f}" height="{_BOX}" rx="8"/>'
        f'<text x="{x:.0f}" y="{y + _BOX / 2 + 5:.0f}">{escape(room)}</text>'
        for room, (x, y, width) in boxes.items()
    ]
    numbers = [
        f'<text x="8" y="{_MARGIN + (top - floor) * _FLOOR_HEIGHT + _BOX / 2 + 5:.0f}" class="floor">{floor}</text>'
        for floor in range(1, top + 1)
    ]
    height = 2 * _MARGIN + (top - 1) * _FLOOR_HEIGHT + _BOX
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" class="rooms" role="img" viewBox="0 0 {_WIDTH} {height}">'
    title = f"<title>The rooms of the package on {top} floors; imports lead down.</title>"
    return "\n".join([opening, title, f"<style>{_STYLE}</style>", *lines, *shapes, *numbers, "</svg>"])


class RoomsDirective(Directive):
    """`.. rooms::`, without arguments."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", picture(rooms()), format="html")]


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("rooms", RoomsDirective)
    return {"parallel_read_safe": True}
