"""Reads the list-tables of the documentation, for the tests that hold them against the code."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def tables(page):
    """Return the tables of a page under their headings, in order: `[(heading, [row, ...]), ...]`; rows are cells."""
    found = []
    heading = previous = ""
    row = None
    for line in (DOCS / page).read_text().splitlines():
        if re.fullmatch(r"[=\-~]{3,}", line):
            heading = previous
        elif line.startswith(".. list-table::"):
            found.append((heading, []))
            row = None
        elif found and (cell := re.match(r"    (?:\* -|  -)(?: (.*))?$", line)):
            if line.startswith("    * -"):
                row = []
                found[-1][1].append(row)
            row.append(cell[1] or "")
        elif found and row and line.startswith("        "):
            row[-1] += f" {line.strip()}"
        elif line and not line.startswith(" "):
            row = None
        previous = line
    return [(title, rows[1:]) for title, rows in found]  # the first row holds the columns' names


def literals(cell):
    """Return what stands in double backticks."""
    return re.findall(r"``(.+?)``", cell)
