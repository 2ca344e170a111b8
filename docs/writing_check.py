"""Warns of sentences that are hard to read: `python docs/writing_check.py [FILE ...]`.

It looks at the pages, the README, the changelog, and the package's docstrings. It prints each sentence of more than 28
words, and each word that CONTRIBUTING.md advises against, with file and line; then the median and the 95th percentile
of words a sentence. It always ends with 0.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONG = 28
"""More words than this in a sentence are too many."""
HARD = {
    "be it": "whether",
    "hence": "so",
    "in order to": "to",
    "in vain": "without success",
    "is to be": "must be, or say who does it",
    "lest": "so that ... not",
    "leverage": "use",
    "reckoned": "counted",
    "simply": "nothing",
    "thereof": "of it",
    "thus": "so",
    "upon": "on",
    "utilize": "use",
    "wherein": "in which",
    "whilst": "while",
    "whoever": "a person, a process",
}
"""A word on the list, and what to write in its place."""

_CODE = re.compile(
    r"\.\. (code-block|literalinclude|toctree|invisible-code-block|auto\w+|py:\w+|raw|rooms|image|picture)\b"
)
_ITEM = re.compile(r"(\* - |- |\d+\. |> |\| )")
_HEADING = re.compile(r"([=\-~^])\1{2,}$")
_NAMES = "boto3|aioboto3|botocore|aiobotocore|aiohttp|urllib3|msgspec|pybreaker|tenacity|stamina|moto|pytest|pip"
"""What may begin a sentence in small letters."""
_SECTION = re.compile(r"^[A-Z][a-z]+:$", re.MULTILINE)
_ARGUMENT = re.compile(r"^ {4}(?=[\w*]+: )", re.MULTILINE)


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Return a page's paragraphs and table cells, each with the number of its first line, without code and headings."""
    lines = text.splitlines()
    code_indent: int | None = None
    is_fenced = False
    first, words = 0, ""
    for number, line in enumerate([*lines, ""], 1):
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if stripped.startswith("```"):
            is_fenced = not is_fenced
            stripped = ""
        if code_indent is not None and stripped and indent <= code_indent:
            code_indent = None
        following = lines[number].strip() if number < len(lines) else ""
        is_text = not is_fenced and code_indent is None and not stripped.startswith(("..", "#", ":", "<", "!["))
        if _CODE.match(stripped):
            code_indent = indent
        is_title = bool(_HEADING.match(stripped)) or (bool(_HEADING.match(following)) and indent == 0)
        starts = _ITEM.match(stripped)
        if words and (starts or not stripped or not is_text or is_title):
            yield first, words
            words = ""
        if stripped and is_text and not is_title:
            if not words:
                first = number
            words = f"{words} {stripped[starts.end() :] if starts else stripped}".strip()
    if words:
        yield first, words


def docstrings(text: str) -> Iterator[tuple[int, str]]:
    """Return the paragraphs of a program's docstrings, each with the number of its first line."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            first, _, rest = node.value.value.partition("\n")
            flush = re.sub(rf"^ {{{node.col_offset}}}", "", rest, flags=re.MULTILINE)
            prose = _SECTION.sub("", _without_code(f"{first}\n{flush}"))
            for line, paragraph in paragraphs(_ARGUMENT.sub("  - ", prose)):
                yield node.lineno + line - 1, paragraph


def _without_code(docstring: str) -> str:
    """Return a docstring without its indented blocks: those that begin after an empty line."""
    return re.sub(r"(?<=\n\n)( {4}.*\n+)+", lambda found: "\n" * found[0].count("\n"), docstring)


def plain(paragraph: str) -> str:
    """Return a paragraph as it is read: a literal is one word, a link its text."""
    paragraph = re.sub(r":\w+:`([^`<]+?)(?: <[^`]+>)?`", r"\1", paragraph)
    paragraph = re.sub(r"`([^`<]+) <[^`]+>`_", r"\1", paragraph)
    paragraph = re.sub(r"``.+?``|`[^`]+`", "literal", paragraph)
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", paragraph).replace("*", "")


def sentences(paragraph: str) -> list[str]:
    """Return the sentences of a paragraph, or the cells of a Markdown table's row."""
    parts = re.split(rf"(?<=[.!?])\)?\s+(?=[A-Z\d(\"]|literal|(?:{_NAMES})\b)|\s\|\s", plain(paragraph))
    return [part for part in parts if re.search(r"[a-z]", part)]


def count(sentence: str) -> int:
    """Return how many words a sentence has."""
    return len(re.findall(r"[\w'/.%-]*\w[\w'/.%-]*", sentence))


def warnings(paragraph: str) -> Iterator[str]:
    """Return what is to be said of a paragraph."""
    for sentence in sentences(paragraph):
        if (words := count(sentence)) > LONG:
            yield f"{words} words: {sentence[:70]}..."
        for word, better in HARD.items():
            if re.search(rf"\b{word}\b", sentence, re.IGNORECASE):
                yield f'"{word}": write "{better}"'


def main(names: list[str]) -> None:
    """Print the warnings and the figures of the named files, or of all pages and of the package."""
    paths = [Path(name) for name in names] or [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md")),
        *sorted((*ROOT.glob("docs/*.rst"), *ROOT.glob("docs/*.md"))),
        *sorted(ROOT.glob("resilient_ddb/**/*.py")),
    ]
    found: dict[str, list[int]] = {}
    for path in paths:
        is_program = path.suffix == ".py"
        lengths = found.setdefault("docstrings" if is_program else "pages", [])
        for line, paragraph in (docstrings if is_program else paragraphs)(path.read_text("utf-8")):
            lengths += [count(sentence) for sentence in sentences(paragraph) if sentence.endswith((".", "!", "?", ":"))]
            for warning in warnings(paragraph):
                print(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}:{line}: {warning}")  # noqa: T201
    for kind, lengths in found.items():
        share = sum(length > LONG for length in lengths) / len(lengths)
        percentile = statistics.quantiles(lengths, n=20)[-1]
        print(  # noqa: T201
            f"{kind}: {len(lengths)} sentences, median {statistics.median(lengths):.0f} words, 95th percentile "
            f"{percentile:.0f}, {share:.1%} over {LONG}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
