"""Parquet, read by pyarrow a few rows at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from .conversions import loads
from .errors import BulkError, RefusedRowError
from .limits import holdable, shortest, shown
from .sources import Position, Row, Source
from .typed_json import native_item, native_value

REST = "rddb_rest"
"""The column in which `export` keeps, as DynamoDB JSON, what does not fit an item's other columns."""
TYPE = b"dynamodb_type"
"""The metadata with which `export` marks a column that holds values as DynamoDB JSON."""
_BATCH_ROWS = 256
_FEW_FLOAT_DIGITS = range(6, 10)
Convert = Callable[[Any], Any]


class ParquetRows:
    """The rows of a Parquet file."""

    def __init__(self, source: Source, position: Position) -> None:
        """Begin at a position, whose offset is a number of rows.

        Raises:
            BulkError: pyarrow is not installed, the file is none of Parquet's, or it ends before the position.
        """
        try:
            import pyarrow as pa  # noqa: PLC0415 - 60 MB that only Parquet needs
            from pyarrow import parquet  # noqa: PLC0415 - as above
        except ImportError:
            raise BulkError("Parquet needs pyarrow: pip install 'resilient_ddb[bulk]'") from None
        if source.path is None:
            raise BulkError("Parquet can't be read from standard input: its index is at the end")
        pa.set_memory_pool(pa.system_memory_pool())  # this program's: Arrow's own keeps what it once had
        self._source = source
        self._broken = (pa.ArrowException, OSError)
        try:
            self._file = parquet.ParquetFile(source.path, pre_buffer=False, buffer_size=1024 * 1024)
            self._columns = [(field.name, _column(field)) for field in self._file.schema_arrow]
        except self._broken as error:
            raise BulkError(f"{source.name} can't be read as Parquet: {_first_line(error)}") from error
        names = [name for name, _ in self._columns]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise BulkError(f"{source.name} has the column {shown(twice)} twice")
        self.total: int = self._file.metadata.num_rows
        """Rows in the file."""
        self._row = position.offset
        if self._row > self.total:
            raise BulkError(f"{source.name} ends before where its checkpoint is; --restart begins anew")

    @property
    def position(self) -> Position:
        """Behind the last row."""
        return Position(self._row, self._row, 0)

    def share_read(self) -> float:
        """Give the share of the rows that was read, 0 to 1."""
        return self._row / self.total if self.total else 1.0

    def __iter__(self) -> Iterator[Row]:
        """Give each row.

        Raises:
            BulkError: the file can't be read on.
        """
        try:
            for batch in self._batches():
                columns = [(name, convert, batch.column(index)) for index, (name, convert) in enumerate(self._columns)]
                for at in range(batch.num_rows):
                    self._row += 1
                    yield self._made(columns, at)
        except self._broken as error:
            where = f"{self._source.name} can't be read after row {self._row:,}"
            raise BulkError(f"{where}: {_first_line(error)}") from error

    def _batches(self) -> Iterator[Any]:
        """Give the rest of the file in batches, without reading the groups of rows before it."""
        before = 0
        for group in range(self._file.metadata.num_row_groups):
            skip = max(0, self._row - before)
            before += self._file.metadata.row_group(group).num_rows
            if before <= self._row:
                continue
            for batch in self._file.iter_batches(_BATCH_ROWS, row_groups=[group], use_threads=False):
                if skip < batch.num_rows:
                    yield batch.slice(skip)
                skip = max(0, skip - batch.num_rows)

    def _made(self, columns: list[tuple[str, Convert, Any]], at: int) -> Row:
        item: dict[str, Any] = {}
        for name, convert, values in columns:
            try:
                value = values[at].as_py()
                if value is None:
                    continue
                if name == REST:
                    item |= _rest(value, item)
                else:
                    item[name] = convert(value)
            except RefusedRowError as error:
                return self._refused(name, str(error))
            except (ValueError, TypeError, ArithmeticError):  # Python has no such value: nanoseconds, the year 10,000
                return self._refused(name, f"a value of Parquet's type {values.type} that Python can't hold")
        return Row(self._row, 0, item, "", b"")

    def _refused(self, name: str, reason: str) -> Row:
        return Row(self._row, 0, None, f"{shown(name)}: {reason}", b"")


def _rest(text: str, item: Mapping[str, Any]) -> dict[str, Any]:
    found = native_item(loads(text))
    if found.keys() & item.keys():
        raise RefusedRowError("has an attribute that has a column of its own")
    return found


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _column(field: Any) -> Convert:
    from pyarrow import types  # noqa: PLC0415 - loaded by whoever gets here

    if field.metadata and TYPE in field.metadata and types.is_string(field.type):
        return lambda text: native_value(loads(text), 2)
    return _converter(field.type)


def _converter(kind: Any) -> Convert:
    """Give what makes a native value of one that Arrow gives for a type."""
    from pyarrow import types  # noqa: PLC0415 - loaded by whoever gets here

    if types.is_float32(kind) or types.is_float16(kind):
        return _float32
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        member = _converter(kind.value_type)
        return lambda values: [None if value is None else member(value) for value in values]
    if types.is_struct(kind):
        members = {kind.field(index).name: _converter(kind.field(index).type) for index in range(kind.num_fields)}
        return lambda values: {name: None if value is None else members[name](value) for name, value in values.items()}
    if types.is_map(kind):
        key, member = _converter(kind.key_type), _converter(kind.item_type)
        return lambda pairs: _map((key(name), None if value is None else member(value)) for name, value in pairs)
    return _scalar


def _map(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if isinstance(key, bool) or not isinstance(key, (str, int, Decimal)):
            raise RefusedRowError("a map's key is neither text nor a number")
        name = str(key)
        if name in made:
            raise RefusedRowError(f"has {shown(name)} twice")
        made[name] = value
    return made


def _scalar(value: Any) -> Any:
    if isinstance(value, (str, bool, bytes, int)):  # whole numbers have 64 bits at most
        return value
    if isinstance(value, float):
        return _decimal(repr(value))
    if isinstance(value, Decimal):
        return shortest(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    raise RefusedRowError(f"Parquet's type {type(value).__name__} has no counterpart in DynamoDB")


def _decimal(text: str) -> int | Decimal:
    return holdable(Decimal(text))


def _float32(value: float) -> int | Decimal:
    """Give the shortest decimal number that stands for a float of 32 bits: 0.1, not 0.10000000149011612."""
    for digits in _FEW_FLOAT_DIGITS:
        text = f"{value:.{digits}g}"
        if text in ("inf", "-inf", "nan") or struct.unpack("f", struct.pack("f", float(text)))[0] == value:
            break
    return _decimal(text)
