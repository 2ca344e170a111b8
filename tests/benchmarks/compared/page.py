"""From the results of a run to the tables of `docs/compared.rst`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .callers import UndoneError
from .scenarios import ITEMS, READS, STUCK_LIMIT, UPDATES

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[3] / "docs" / "compared.rst"
BEGIN, END = ".. results: begin", ".. results: end"

Result = dict[str, Any]
Column = tuple[str, Callable[[dict[str, Result]], str]]


def seconds(value: float | None) -> str:
    """Return a time as it is read: three places of milliseconds are nobody's."""
    if value is None:
        return "none failed"
    if value < 0.001:
        return "under 1 ms"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _lost(results: dict[str, Result]) -> str:
    found = results["lost_updates"]
    return f"{found['doubled']} of {found['lost_replies']}"


def _lost_errors(results: dict[str, Result]) -> str:
    found = results["lost_updates"]
    if not found["errors"]:
        return "none"
    return f"{found['errors']}, {found['unsure'] or 'none'} of them marked ambiguous"


def _created(results: dict[str, Result]) -> str:
    found = results.get("lost_creations")
    return f"{found['wrong_condition']} of {found['lost_replies']}" if found else "not tried"


def _batch(results: dict[str, Result]) -> str:
    found = results["unprocessed"]
    return f"{found['missing']}{', and it says so' if found['missing'] and found['told'] else ''}"


def _stuck(results: dict[str, Result]) -> str:
    found = results["stuck"]
    if found["told"] == UndoneError.__name__:
        return f"{found['requests']}, and the answer names what is undone"
    end = (
        f"ended with ``{found['told']}``"
        if found["told"]
        else "ended without an error"
        if found["ended"]
        else "went on"
    )
    return f"{found['requests']}, and {end}"


def _back(results: dict[str, Result]) -> str:
    after = results["outage"]["back_after"]
    return "not yet" if after is None else seconds(after)


def _slow(results: dict[str, Result]) -> str:
    found = results["slow"]
    if not found["ended"]:
        return f"no end in {seconds(found['seconds'])}"
    return seconds(found["seconds"]) + ("" if found["ok"] else ", then an error")


TABLES: list[tuple[str, list[Column]]] = [
    (
        "Lost replies",
        [
            ("Updates applied more than once, of replies lost", _lost),
            (f"Errors of {UPDATES} updates", _lost_errors),
            ("Own creations taken for somebody else's, of replies lost", _created),
        ],
    ),
    (
        "Damaged answers",
        [
            (f"Told that an item is missing which is there, of {READS} reads", lambda r: str(r["damaged"]["wrong"])),
            ("Errors", lambda r: str(r["damaged"]["errors"])),
        ],
    ),
    (
        "Throttling",
        [
            (f"Errors of {READS} reads", lambda r: str(r["throttled"]["errors"])),
            ("Requests", lambda r: str(r["throttled"]["requests"])),
            ("Longest call", lambda r: seconds(r["throttled"]["longest"])),
        ],
    ),
    (
        "An outage of 20 seconds",
        [
            ("Requests sent in it", lambda r: str(r["outage"]["requests"])),
            ("Calls that failed", lambda r: str(r["outage"]["failed_calls"])),
            ("Median of a failed call", lambda r: seconds(r["outage"]["failed_median"])),
            ("Longest call", lambda r: seconds(r["outage"]["longest"])),
            ("All served again, after its end", _back),
        ],
    ),
    ("A request without an answer", [("The read took", _slow)]),
    (
        "Unprocessed items",
        [
            (f"Missing of {ITEMS} items", _batch),
            (f"Requests in {STUCK_LIMIT:.0f} s for a batch of which nothing is taken", _stuck),
        ],
    ),
]


def tables(results: dict[str, Any]) -> str:
    """Return the tables, as reStructuredText."""
    lines = [f"Measured on {results['date']}, with Python {results['python']}.", ""]
    for title, columns in TABLES:
        lines += [title, "~" * len(title), ""]
        names = {name: each["results"] for name, each in results["contenders"].items()}
        scenario_names = _needs(title)
        rows = [
            [_named(name), *(show(found) for _, show in columns)]
            for name, found in names.items()
            if scenario_names <= set(found)
        ]
        lines += [*_table(["", *(head for head, _ in columns)], rows), ""]
    rows = [
        [_named(name), ", ".join(f"{package} {version}" for package, version in each["versions"].items())]
        for name, each in results["contenders"].items()
    ]
    return "\n".join([*lines, "Versions", "~~~~~~~~", "", *_table(["", "Measured with"], rows)])


def _needs(title: str) -> set[str]:
    return {
        "Lost replies": {"lost_updates"},
        "Damaged answers": {"damaged"},
        "Throttling": {"throttled"},
        "An outage of 20 seconds": {"outage"},
        "A request without an answer": {"slow"},
        "Unprocessed items": {"unprocessed", "stuck"},
    }[title]


def _named(name: str) -> str:
    words = {"tenacity": "boto3, tenacity around it", "stamina": "boto3, stamina around it"}
    words["Powertools' breaker"] = "boto3, Powertools' circuit breaker around it"
    return words.get(name, name)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from (".. list-table::", "    :header-rows: 1", "")
    for row in (head, *rows):
        for at, cell in enumerate(row):
            yield f"    {'* -' if at == 0 else '  -'} {cell}".rstrip()


def fill(page: str, results: dict[str, Any]) -> str:
    """Put the tables between the markers of a page."""
    before, _, rest = page.partition(f"{BEGIN}\n")
    _, _, after = rest.partition(f"{END}\n")
    if not after:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}\n{after}"


def write(results: dict[str, Any]) -> None:
    """Keep the results, and fill the page."""
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=False) + "\n", "utf-8")
    PAGE.write_text(fill(PAGE.read_text("utf-8"), results), "utf-8")
