"""The real data that the demo works on: the 3,376 airports that vega_datasets ships in its wheel."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .errors import DemoError

Row = dict[str, Any]


def read_airports(limit: int | None = None) -> list[Row]:
    """Read the airports, the first `limit` of them, as items for DynamoDB.

    Raises:
        DemoError: the package, or the file within it, isn't there.
    """
    spec = find_spec("vega_datasets")  # found, not imported: that would import pandas
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(*folders[:1], "_data", "airports.csv")
    if not folders or not path.is_file():
        raise DemoError("vega_datasets has no airports.csv here: pip install 'resilient_ddb[demo]'")
    with path.open(encoding="utf-8", newline="") as file:
        return parse_airports(csv.DictReader(file))[:limit]


def parse_airports(lines: Iterable[dict[str, str]]) -> list[Row]:
    """Turn the file's records into items: keyed by state and code, with exact coordinates, without empty strings."""
    rows = []
    for line in lines:
        row: Row = {name: value for name, value in line.items() if value}
        row["latitude"] = Decimal(line["latitude"])
        row["longitude"] = Decimal(line["longitude"])
        rows.append(row)
    return rows
