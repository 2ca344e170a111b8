"""What a load would take: sizes, capacity units, time and money, without writing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from resilient_ddb.bulk.pacing import NEW_ON_DEMAND_UNITS, auto_rate
from resilient_ddb.dynamodb.capacity import item_size, write_units

from .errors import RefusedRowError
from .formats import format_of, open_rows
from .limits import KeyAttribute
from .options import LoadOptions
from .prepare import Preparation
from .progress import Figures, Progress, span
from .sources import Position, Source
from .target import indexes

_PRICE_IS = "(on demand, Standard class; 0.625 is us-east-1's price: look up yours, and give it with --price)"


def estimate(
    options: LoadOptions,
    keys: Sequence[KeyAttribute],
    description: Mapping[str, Any],
    figures: Figures,
    shown: Progress,
) -> list[str]:
    """Read all input as a load would, and return the lines that say what the load would take.

    Raises:
        BulkError: a file can't be read.
    """
    rate = options.write_units_per_second if isinstance(options.write_units_per_second, float) else None
    made = Estimate(description, rate, options.price)
    prepare = Preparation(options, keys)
    for name in options.files:
        source = Source(name)
        try:
            form = options.form or format_of(source)
            rows = open_rows(source, form, Position(), options, keys)
            for note in getattr(rows, "notes", ()):
                shown.say(note)
            for row in rows:
                try:
                    made.add(*prepare(row))
                except RefusedRowError as error:
                    figures.note_refusal(source.name, row, str(error), shown.say)
                figures.items = made.items
                shown.tick()
        finally:
            source.close()
    return made.lines(figures.refused)


class Estimate:
    """Adds items up."""

    def __init__(self, description: Mapping[str, Any], units_per_second: float | None, price: float) -> None:
        """Estimate by what DescribeTable said, the rate of the load, and the price of a million units in US dollars."""
        self._indexes = [_Index(index, description) for index in indexes(description)]
        self._described = bool(description)
        if units_per_second is not None:
            self._pace = units_per_second, "the rate given"
        elif description:
            self._pace = auto_rate(description), "the rate of --write-units-per-second auto"
        else:
            self._pace = NEW_ON_DEMAND_UNITS, "what a new on-demand table takes"
        self._price = price
        self.items = self.bytes = self.largest = self.units = self.index_units = 0

    def add(self, item: Mapping[str, Any], size: int) -> None:
        """Add an item of so many bytes."""
        self.items += 1
        self.bytes += size
        self.largest = max(self.largest, size)
        self.units += write_units(size)
        for index in self._indexes:
            projected = index.size(item, size)
            if projected is not None:
                self.index_units += write_units(projected)

    def lines(self, refused: int) -> list[str]:
        """Return the lines that say what came of it."""
        units = self.units + self.index_units
        mean = self.bytes / self.items if self.items else 0.0
        rate, by = self._pace
        if not self._described:
            indexed = "indexes not counted: the table was not described"
        elif self._indexes:
            indexed = f"{self.index_units:,} of them for {len(self._indexes)} indexes, if the items are new"
        else:
            indexed = "the table has no indexes"
        return [
            f"items       {self.items:,}",
            f"refused     {refused:,}",
            f"size        {self.bytes:,} bytes, {mean:,.0f} an item, the largest {self.largest:,}",
            f"write units {units:,} ({indexed})",
            f"time        {span(units / rate)} at {rate:,.0f} units/s, {by}",
            f"cost        ${units * self._price / 1e6:,.2f} at ${self._price:g} a million units {_PRICE_IS}",
        ]


class _Index:
    def __init__(self, index: Mapping[str, Any], description: Mapping[str, Any]) -> None:
        self._keys = {entry["AttributeName"] for entry in index["KeySchema"]}
        projection = index.get("Projection", {})
        self._all = projection.get("ProjectionType") == "ALL"
        own = {entry["AttributeName"] for entry in description["KeySchema"]}
        self._projected = self._keys | own | set(projection.get("NonKeyAttributes", ()))

    def size(self, item: Mapping[str, Any], size: int) -> int | None:
        """Return what the index holds of an item, in bytes; None if it does not hold it."""
        if not item.keys() >= self._keys:
            return None
        return size if self._all else item_size({name: item[name] for name in self._projected & item.keys()})
