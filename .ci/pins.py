"""What pyproject.toml promises, for `.ci/run`, so that CI tests exactly that and there is no second list.

`python pins.py lowest` prints pip constraints: the lowest version of everything that a user installs.
`python pins.py pythons` prints the Python versions that are supported.

It runs before anything is installed: the standard library only.
"""
# ruff: noqa: INP001  # a script, in no package

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

USERS_EXTRAS = ("aio", "redis")
"""What runs beside an application. The other extras bring tools, whose newest versions are good enough."""

MINIMUM = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?>=(?P<version>[\w.]+)$")
CLASSIFIER = re.compile(r"Programming Language :: Python :: (?P<version>3\.\d+)$")


def lowest(project: dict) -> list[str]:
    """Return `name==version` for each direct dependency; one without a lower bound is an error."""
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in USERS_EXTRAS for line in extras[extra])]
    pins = []
    for line in wanted:
        match = MINIMUM.match(line.partition(";")[0].replace(" ", ""))
        if match is None:
            raise SystemExit(f"pyproject.toml gives no plain lower bound: {line}")
        pins.append(f"{match['name']}=={match['version']}")
    return pins


def pythons(project: dict) -> list[str]:
    """Return the versions of the classifiers, as in `3.11`."""
    matches = map(CLASSIFIER.match, project["classifiers"])
    return [match["version"] for match in matches if match]


if __name__ == "__main__":
    answer = {"lowest": lowest, "pythons": pythons}[sys.argv[1]]
    with Path(__file__).parent.with_name("pyproject.toml").open("rb") as file:
        print("\n".join(answer(tomllib.load(file)["project"])))  # noqa: T201
