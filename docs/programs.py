"""The directive `programs`: the programs of `examples/`, each with its text."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

EXAMPLES = Path(__file__).parents[1] / "examples"


class ProgramsDirective(Directive):
    """`.. programs::`, without arguments."""

    def run(self) -> list[nodes.Node]:
        return [_section(path) for path in sorted(EXAMPLES.glob("*.py"))]


def _section(path: Path) -> nodes.section:
    text = path.read_text("utf-8")
    what = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    section = nodes.section(ids=[path.stem.replace("_", "-")], names=[path.name])
    section += nodes.title(text=path.name)
    section += nodes.paragraph(text=what)
    section += nodes.literal_block(text, text, language="python")
    return section


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("programs", ProgramsDirective)
    return {"parallel_read_safe": True}
