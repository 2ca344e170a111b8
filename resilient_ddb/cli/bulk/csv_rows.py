"""CSV: the first line names the attributes, and what a column holds is told by its first rows.

Records are cut by Python's own reader, one line at a time, so that a quoted text may have line ends in it. Where a
record's quotes don't pair up, nobody can tell where the next one begins: there the load stops, and writes no garbage.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from resilient_ddb.errors.words import counted

from .conversions import converted, inferred, told
from .errors import BulkError, RefusedRowError
from .limits import MAX_LINE_BYTES, shown
from .sources import HEAD_BYTES, TOO_LONG, Lines, Position, Row, Source, TooLong

_SAMPLE_ROWS = 1000
_NO_LIMIT = 2**31 - 1
_QUOTE = b'"'
_TEXT = ("utf-8-sig", "surrogateescape")  # what is not UTF-8 is refused with its record, whose end is thereby found


class _RecordTooLongError(RefusedRowError):
    pass


class CsvRows:
    """The rows of a source in CSV."""

    def __init__(self, source: Source, position: Position, delimiter: str, types: Mapping[str, str]) -> None:
        """Begin at a position, or behind the header.

        Args:
            source: the input.
            position: where to begin.
            delimiter: what separates cells.
            types: types of columns that are known; the others' are inferred.

        Raises:
            BulkError: there is no header, or it names a column twice.
        """
        csv.field_size_limit(_NO_LIMIT)  # one for the process; records are held to a limit of ours
        self._source = source
        self._delimiter = delimiter
        self._lines = Lines(source, position)
        self._feed = _Feed(self._lines)
        self._records = csv.reader(self._feed, delimiter=delimiter, strict=True)
        self._row = position.row
        self._columns, sample = self._sample()
        if not position.offset:
            self._skip_header()
        self._known = types
        self.types = self._inferred(sample, types)
        """The type of each column."""

    @property
    def position(self) -> Position:
        """Where the last row ended."""
        return Position(self._lines.offset, self._row, self._lines.number)

    def _sample(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the first rows, cut from the beginning of the text."""
        head = self._source.head
        if len(head) == HEAD_BYTES:
            head = head[: head.rfind(b"\n") + 1]
        texts = io.StringIO(head.decode(*_TEXT), newline="")
        records = csv.reader(texts, delimiter=self._delimiter)
        sample: list[list[str]] = []
        try:
            columns = next(records, [])
        except csv.Error as error:
            raise BulkError(f"{self._source.name} is no CSV: {error}") from error
        with suppress(csv.Error):  # it comes again, and is refused, with its row
            sample += islice(records, _SAMPLE_ROWS)
        twice = next((name for name in columns if columns.count(name) > 1), None)
        if twice is not None or not all(columns) or not columns:
            what = f"names {shown(twice)} twice" if twice else "must name every column"
            raise BulkError(f"{self._source.name}: the first line {what}")
        return columns, sample

    def _skip_header(self) -> None:
        try:
            self._record()
        except RefusedRowError as error:
            raise BulkError(f"{self._source.name}: the first line is {error}") from error

    def _inferred(self, sample: list[list[str]], types: Mapping[str, str]) -> dict[str, str]:
        whole = [cells for cells in sample if len(cells) == len(self._columns)]
        found = {name: inferred(cells[index] for cells in whole) for index, name in enumerate(self._columns)}
        return found | {name: kind for name, kind in types.items() if name in found}

    def __iter__(self) -> Iterator[Row]:
        """Return each row.

        Raises:
            BulkError: a record is such that the rows after it can't be told apart.
        """
        while True:
            begins = self._lines.number + 1
            item, reason = None, ""
            try:
                cells = self._record()
                if cells is None:
                    return
                if not cells:
                    continue
                item = self._item(cells)
            except RefusedRowError as error:
                reason = str(error)
            self._row += 1
            yield Row(self._row, begins, item, reason, bytes(self._feed.text).rstrip(b"\r\n"))

    def _record(self) -> list[str] | None:
        """Return the next record's cells, None at the end."""
        begins = self._lines.number + 1
        self._feed.begin()
        try:
            return next(self._records, None)
        except (csv.Error, _RecordTooLongError) as error:
            if self._feed.quotes % 2 and not self._feed.ended:
                raise BulkError(
                    f"{self._source.name}: the record from line {begins:,} has a quote that is not closed ({error}): "
                    "the rows after it can't be told apart"
                ) from error
            if self._feed.ended:
                raise RefusedRowError("has a quote that is not closed: it holds all lines from here on") from error
            raise RefusedRowError(f"not CSV: {str(error).partition(' - ')[0]}") from error

    def _item(self, cells: list[str]) -> dict[str, Any]:
        if len(cells) != len(self._columns):
            raise RefusedRowError(f"has {counted(len(cells), 'cell')} where the first line has {len(self._columns):,}")
        return {
            name: (converted if name in self._known else told)(name, text, self.types[name])
            for name, text in zip(self._columns, cells, strict=True)
            if text
        }


class _Feed:
    """Feeds the reader with lines, and keeps those of the record that is being read."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._iterator = iter(lines)
        self.begin()

    def begin(self) -> None:
        """Record that a record begins."""
        self.text = bytearray()
        self.quotes = 0
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._iterator, None)
        if line is None:
            self.ended = True
            raise StopIteration
        if isinstance(line, TooLong):
            self.text += line.beginning
            self.quotes += line.quotes
            raise _RecordTooLongError(TOO_LONG)
        self.text += line
        self.quotes += line.count(_QUOTE)
        if len(self.text) > MAX_LINE_BYTES:
            raise _RecordTooLongError(TOO_LONG)
        return line.decode(*_TEXT) if self._lines.number == 1 else line.decode("utf-8", _TEXT[1])
