"""JSON Lines and DynamoDB JSON: one object a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from .conversions import loads, loads_object
from .errors import RefusedRowError
from .scan_rows import ScanRows, is_scan_output
from .sources import BOM, TOO_LONG, Lines, Position, Row, Source, TooLong
from .typed_json import exported_item, is_typed

_BEGINS = re.compile(rb'\s*{\s*(?:"Item"\s*:\s*{\s*)?"(?:[^"\\]|\\.)+"\s*:\s*{\s*"(?:[SNBLM]|[SNB]S|BOOL|NULL)"\s*:')


class JsonRows:
    """The rows of a source with one JSON object a line."""

    def __init__(self, source: Source, position: Position, read: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Begin at a position; `read` makes an item of an object, or raises RefusedRowError."""
        self._lines = Lines(source, position)
        self._row = position.row
        self._read = read

    @property
    def position(self) -> Position:
        """Where the last row ended."""
        return Position(self._lines.offset, self._row, self._lines.number)

    def __iter__(self) -> Iterator[Row]:
        """Return each row."""
        for line in self._lines:
            item, reason = None, ""
            if isinstance(line, TooLong):
                text, reason = line.beginning, TOO_LONG
            else:
                text = line.strip()
                if self._lines.number == 1:
                    text = text.removeprefix(BOM)
                if not text:
                    continue
                try:
                    item = self._item(text)
                except RefusedRowError as error:
                    reason = str(error)
            self._row += 1
            yield Row(self._row, self._lines.number, item, reason, text)

    def _item(self, text: bytes) -> dict[str, Any]:
        try:
            decoded = text.decode()
        except UnicodeDecodeError as error:
            raise RefusedRowError(f"not UTF-8, at byte {error.start + 1}") from None
        return self._read(loads_object(decoded))


def json_lines(source: Source, position: Position) -> JsonRows:
    """Read JSON Lines: each object is an item."""
    return JsonRows(source, position, lambda row: row)


def dynamodb_json(source: Source, position: Position) -> JsonRows | ScanRows:
    """Read DynamoDB JSON.

    As AWS's export to S3 writes it (`{"Item": {"id": {"S": "a"}}}`), with the items alone on the lines, or as
    `aws dynamodb scan` writes it.
    """
    return ScanRows(source, position) if is_scan_output(source.head) else JsonRows(source, position, exported_item)


def is_dynamodb_json(head: bytes) -> bool:
    """Return whether the first line that is JSON is of DynamoDB JSON: what is wrong in a value is so in its row only.

    An object with nothing but an 'Item', or with nothing but typed values, is no item. What has keys has a text, a
    number or binary among its values.
    """
    if is_scan_output(head):
        return True
    lines = head.removeprefix(BOM).splitlines()
    for line in lines:
        try:
            row = loads(line.decode())
        except (RefusedRowError, UnicodeDecodeError):
            continue
        return type(row) is dict and (is_typed(row) or (set(row) == {"Item"} and type(row["Item"]) is dict))
    return bool(lines) and _BEGINS.match(lines[-1]) is not None  # the head may end within it
