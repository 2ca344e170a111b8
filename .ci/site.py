"""Checks the built pages: each link within them leads somewhere, and the search finds the words that readers use.

    python .ci/site.py docs/_build/html

Links to other sites are not followed: CI does not depend on them.
"""
# ruff: noqa: INP001, T201  # a script, in no package

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.search.en import SearchEnglish

SEARCHED = (
    "rate limit",
    "OpenTelemetry",
    "Prometheus",
    "FastAPI",
    "Flask",
    "Django",
    "Celery",
    "Docker",
    "Powertools",
    "Lambda",
    "health",
    "migration",
    "write sharding",
    "idempotency",
    "retry budget",
    "hot partition",
)


def broken_links(folder: Path) -> Iterator[str]:
    """Yield each link whose page, file or anchor is not there.

    The texts of modules are left out: what leads back from them may miss the anchor of a name that two modules show.
    """
    pages = {path: path.read_text("utf-8") for path in folder.glob("*.html")}
    anchors = {path: set(re.findall(r'\sid="([^"]+)"', text)) for path, text in pages.items()}
    for page, text in pages.items():
        for link in sorted(set(re.findall(r'<a\s[^>]*?href="([^"]+)"', text))):
            url = urlsplit(unescape(link))
            if url.scheme or url.netloc:
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            if not target.exists():
                yield f"{page.name}: {link} leads nowhere"
            elif url.fragment and target in anchors and unquote(url.fragment) not in anchors[target]:
                yield f"{page.name}: {link} has no such anchor"


def not_found(folder: Path) -> Iterator[str]:
    """Yield what a search finds on no page: Sphinx takes words by their stems, and a page has to have them all."""
    index = json.loads((folder / "searchindex.js").read_text("utf-8").removeprefix("Search.setIndex(").rstrip(";)\n"))
    english = SearchEnglish({})
    for words in SEARCHED:
        found = [_pages(index, english.stem(word.lower())) for word in words.split()]
        if not set.intersection(*found):
            yield f"a search for {words!r} finds nothing"


def _pages(index: dict[str, dict[str, int | list[int]]], stem: str) -> set[int]:
    pages: set[int] = set()
    for part in ("terms", "titleterms"):
        numbers = index[part].get(stem, [])
        pages.update([numbers] if isinstance(numbers, int) else numbers)
    return pages


def main(folder: Path) -> int:
    """Say what is wrong with the pages; give the exit code."""
    faults = [*broken_links(folder.resolve()), *not_found(folder)]
    print("\n".join(faults) or "each link leads somewhere, and the search finds its words")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
