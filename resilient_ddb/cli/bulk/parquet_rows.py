"""Parquet, read by pyarrow a few rows at a time."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from .conversions import loads
from .errors import BulkError, RefusedRowError
from .limits import MAX_LINE_BYTES, holdable, shortest, shown
from .parquet_pages import MOST_BYTES, OddHeaderError, chunks_of, rows_at_once
from .sources import TOO_LONG, Position, Row, Source
from .typed_json import native_item, native_value

REST = "rddb_rest"
"""The column in which `export` keeps, as DynamoDB JSON, what does not fit an item's other columns."""
TYPE = b"dynamodb_type"
"""The metadata with which `export` marks a column that holds values as DynamoDB JSON."""
_BATCH_ROWS = 256
_PANDAS = b"pandas"
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_PLACE_BYTES = 8
"""What a value takes at least, in Python."""
_TOO_LARGE = (
    f"is in a group of rows that takes more than {MOST_BYTES // 2**20} MB to read: write the file with smaller pages, "
    "or with fewer rows a group"
)
_FEW_FLOAT_DIGITS = range(6, 10)
Convert = Callable[[Any], Any]


def arrow() -> tuple[Any, Any]:
    """Return pyarrow, and its part for Parquet.

    Raises:
        BulkError: it is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - 60 MB that only Parquet needs
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError:
        raise BulkError("Parquet needs pyarrow: pip install 'resilient_ddb[bulk]'") from None
    return pa, parquet


class ParquetRows:
    """The rows of a Parquet file."""

    def __init__(self, source: Source, position: Position, wanted: Collection[str] = ()) -> None:
        """Begin at a position, whose offset is a number of rows.

        Args:
            source: the file.
            position: where to begin.
            wanted: columns that are read although pandas made them up.

        Raises:
            BulkError: pyarrow is not installed, the file is none of Parquet's, or it ends before the position.
        """
        pa, parquet = arrow()
        if source.path is None:
            raise BulkError("Parquet can't be read from standard input: its index is at the end")
        pa.set_memory_pool(pa.system_memory_pool())  # this program's: Arrow's own keeps what it once had
        self._source = source
        self._broken = (pa.ArrowException, OSError)
        try:
            self._file = parquet.ParquetFile(source.path, pre_buffer=False, buffer_size=1024 * 1024)
            self._metadata, schema = self._file.metadata, self._file.schema_arrow
            self._columns = [(index, field.name, _column(field)) for index, field in enumerate(schema)]
        except self._broken as error:
            raise BulkError(f"{source.name} can't be read as Parquet: {_first_line(error)}") from error
        self.notes: list[str] = []
        """What the person who loads the file should know of it."""
        if _PANDAS in (schema.metadata or {}):
            self._leave_out_index(wanted)
        names = [name for _, name, _ in self._columns]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise BulkError(f"{source.name} has the column {shown(twice)} twice")
        self.total: int = self._metadata.num_rows
        """Rows in the file."""
        self._row = position.offset
        if self._row > self.total:
            raise BulkError(f"{source.name} ends before where its checkpoint is; --restart begins anew")

    def _leave_out_index(self, wanted: Collection[str]) -> None:
        """Leave out what pandas writes of an index that has no name: it is no attribute of anybody's."""
        for column in list(self._columns):
            name = column[1]
            if _PANDAS_INDEX.fullmatch(name) and name not in wanted:
                self._columns.remove(column)
                self.notes.append(
                    f"{self._source.name}: the column {shown(name)} is the index that pandas gave the rows, and is "
                    f"left out; --type {name}:N would load it"
                )

    @property
    def position(self) -> Position:
        """Behind the last row."""
        return Position(self._row, self._row, 0)

    def share_read(self) -> float:
        """Return the share of the rows that was read, 0 to 1."""
        return self._row / self.total if self.total else 1.0

    def __iter__(self) -> Iterator[Row]:
        """Return each row.

        Raises:
            BulkError: the file can't be read on.
        """
        try:
            for batch in self._batches():
                if isinstance(batch, int):
                    yield from self._refused_rows(batch)
                    continue
                columns = [(name, convert, batch.column(index)) for index, name, convert in self._columns]
                is_large = sum(_bytes(values) for _, _, values in columns) > MAX_LINE_BYTES
                for at in range(batch.num_rows):
                    self._row += 1
                    yield self._made(columns, at, is_large=is_large)
        except OddHeaderError as error:
            raise BulkError(f"{self._source.name} can't be read as Parquet: {error}") from error
        except self._broken as error:
            where = f"{self._source.name} can't be read after row {self._row:,}"
            raise BulkError(f"{where}: {_first_line(error)}") from error

    def _batches(self) -> Iterator[Any]:
        """Yield the rest of the file in batches, without reading the groups of rows before it.

        Of a group that there is no room for, yield the number of rows.
        """
        before = 0
        for number in range(self._metadata.num_row_groups):
            group = self._metadata.row_group(number)
            skip = max(0, self._row - before)
            before += group.num_rows
            if before <= self._row:
                continue
            size = self._rows_at_once(group)
            if not size:
                yield group.num_rows - skip
                continue
            left = group.num_rows
            for batch in self._file.iter_batches(size, row_groups=[number], use_threads=False):
                left -= batch.num_rows
                if skip < batch.num_rows:
                    yield batch.slice(skip)
                skip = max(0, skip - batch.num_rows)
            if left:  # pyarrow passes over a page that it does not know
                raise OddHeaderError("it has fewer rows than it says")

    def _rows_at_once(self, group: Any) -> int:
        assert self._source.path is not None  # noqa: S101 - standard input was refused
        with self._source.path.open("rb") as file:
            chunks = chunks_of(file, group, self._metadata.schema)
        if any(chunk.values < group.num_rows for chunk in chunks):
            raise OddHeaderError("it says that it has more rows than there are")
        return rows_at_once(chunks, _BATCH_ROWS)

    def _refused_rows(self, count: int) -> Iterator[Row]:
        for _ in range(count):
            self._row += 1
            yield Row(self._row, 0, None, _TOO_LARGE, b"")

    def _made(self, columns: list[tuple[str, Convert, Any]], at: int, *, is_large: bool) -> Row:
        if is_large and sum(_bytes(values.slice(at, 1)) for _, _, values in columns) > MAX_LINE_BYTES:
            return Row(self._row, 0, None, TOO_LONG, b"")
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


def _bytes(values: Any) -> int:
    """Return the bytes that values take, each as often as it occurs. For those of an array's slice."""
    from pyarrow import compute, types  # noqa: PLC0415 - it is loaded by now

    kind, places = values.type, len(values) * _PLACE_BYTES
    if types.is_dictionary(kind):
        lengths = compute.binary_length(values.dictionary) if _is_text(kind.value_type) else None
        return places + (values.nbytes if lengths is None else compute.sum(lengths.take(values.indices)).as_py() or 0)
    if types.is_map(kind):
        begin, end = (values.offsets[at].as_py() for at in (0, -1))
        return places + _bytes(values.keys.slice(begin, end - begin)) + _bytes(values.items.slice(begin, end - begin))
    if types.is_nested(kind):
        members = values.flatten()
        return places + (sum(map(_bytes, members)) if isinstance(members, list) else _bytes(members))
    return places + int(values.nbytes)


def _is_text(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415 - it is loaded by now

    return bool(
        types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind) or types.is_large_binary(kind)
    )


def _rest(text: str, item: Mapping[str, Any]) -> dict[str, Any]:
    found = native_item(loads(text))
    if found.keys() & item.keys():
        raise RefusedRowError("has an attribute that has a column of its own")
    return found


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _column(field: Any) -> Convert:
    from pyarrow import types  # noqa: PLC0415 - it is loaded by now

    if field.metadata and TYPE in field.metadata and types.is_string(field.type):
        return lambda text: native_value(loads(text), 2)
    return _converter(field.type)


def _converter(kind: Any) -> Convert:
    """Return what makes a native value of one that Arrow gives for a type."""
    from pyarrow import types  # noqa: PLC0415 - it is loaded by now

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
    """Return the shortest decimal number that stands for a float of 32 bits: 0.1, not 0.10000000149011612."""
    for digits in _FEW_FLOAT_DIGITS:
        text = f"{value:.{digits}g}"
        if text in ("inf", "-inf", "nan") or struct.unpack("f", struct.pack("f", float(text)))[0] == value:
            break
    return _decimal(text)
