"""The formats of input: which one a file has, and what reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Protocol

from .csv_rows import CsvRows
from .errors import BulkError
from .json_rows import dynamodb_json, is_dynamodb_json, json_lines
from .limits import KeyAttribute, shown
from .options import FORMATS, LoadOptions
from .parquet_rows import ParquetRows
from .sources import BOM, Position, Row, Source

_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
_PARQUET = b"PAR1"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = {".tsv": "\t"}


class Rows(Protocol):
    """Reads a source. `position` is where the last row that was given ended.

    Some have `notes`: lines that the person who loads the source should read.
    """

    @property
    def position(self) -> Position:
        """Where to go on from."""
        ...

    def __iter__(self) -> Iterator[Row]:
        """Return each row from the position on."""
        ...


def format_of(source: Source) -> str:
    """Find out a source's format by its name, or by how it begins.

    Raises:
        BulkError: neither tells.
    """
    found = "" if source.path is None else _SUFFIXES.get(_suffix(source), "")
    begins = source.head.removeprefix(BOM).lstrip()[:1]
    if source.head.startswith(_PARQUET):
        return "parquet"
    if found in ("jsonl", "") and begins == b"[":
        raise BulkError(f"{source.name} is one JSON array; make it one object a line: jq -c '.[]' FILE")
    if found == "jsonl" or (not found and begins == b"{"):
        return "dynamodb-json" if is_dynamodb_json(source.head) else "jsonl"
    if not found:
        raise BulkError(f"{source.name}: its name does not tell its format; give --format, one of {', '.join(FORMATS)}")
    return found


def delimiter_of(source: Source) -> str:
    """Return what separates the cells of a source in CSV, by its name."""
    return "," if source.path is None else _DELIMITERS.get(_suffix(source), ",")


def _suffix(source: Source) -> str:
    suffixes = [suffix.lower() for suffix in PurePath(source.name).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def open_rows(
    source: Source, form: str, position: Position, options: LoadOptions, keys: Sequence[KeyAttribute]
) -> Rows:
    """Return what reads a source from a position on.

    Args:
        source: the input.
        form: its format.
        position: where to begin.
        options: what is known of types, and what separates cells; by the source's name if that is None.
        keys: the attributes of the table's keys. Their types hold for CSV, whose cells are all text.

    Raises:
        BulkError: the source is not of that format, or in CSV has no column for the table's key.
    """
    if form == "parquet":
        return ParquetRows(source, position, {*(key.name for key in keys), *options.types})
    if source.head.startswith(_UTF_16):
        raise BulkError(f"{source.name} is UTF-16; make it UTF-8: iconv -f UTF-16 -t UTF-8 FILE")
    if form != "csv":
        return (dynamodb_json if form == "dynamodb-json" else json_lines)(source, position)
    types = {key.name: key.kind for key in keys if key.kind is not None} | dict(options.types)
    rows = CsvRows(source, position, options.delimiter or delimiter_of(source), types)
    for key in keys:
        if key.required and key.name not in rows.types:
            raise BulkError(
                f"{source.name} has no column {shown(key.name)}, {key.role}; "
                "are its cells separated by something else? See --delimiter"
            )
    return rows
