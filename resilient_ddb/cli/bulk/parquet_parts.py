"""Parquet as a folder of parts: columns for what the first items have in common, and one for all the rest.

DynamoDB has no schema, Parquet has one. It is made from the items of the first part: an attribute of one type gets a
column, if it is one of the most common. Lists, maps and sets are DynamoDB JSON in a column of text. What does not fit
(an attribute that comes later, another type, a null, a number of too many digits) is kept as DynamoDB JSON in the
column `rddb_rest`. So nothing is lost, and `load` reads all of it back.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from pathlib import Path
from typing import Any

from resilient_ddb.dynamodb.capacity import item_size

from . import own_files
from .errors import BulkError
from .outputs import part_of
from .parquet_rows import REST, TYPE, arrow
from .typed_json import bytes_of, typed

_PART_ROWS = 20_000
_PART_BYTES = 32 * 1024 * 1024
_MOST_COLUMNS = 200
"""Rows times columns is what a part takes in memory, and a map's keys may stand as attributes' names."""
_DIGITS = 38
_EXACT = Context(prec=_DIGITS, traps=[Inexact, InvalidOperation])
_INT64 = 2**63
_UNFIT = object()
_OWN = re.compile(r"part-\d{5,}\.parquet(?:\.new)?")


class ParquetParts:
    """Items in a folder of Parquet files."""

    def __init__(self, path: Path, parts: int) -> None:
        """Begin, or go on behind so many parts.

        Raises:
            BulkError: pyarrow is not installed, the folder is there already, something else is where the parts go to,
                or a part is not there.
        """
        self._pa, self._parquet = arrow()
        if os.path.lexists(path):
            raise BulkError(f"{path} is there already: Parquet is written to a new folder")
        self._path = path
        self._folder = part_of(path)
        if self._folder.is_symlink():
            raise BulkError(f"{self._folder} is a link, and is where the parts go")
        self._folder.mkdir(exist_ok=True)
        self._parts = parts
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0
        self._schema: Any = None
        self._go_on()

    def _go_on(self) -> None:
        found = own_parts(self._folder)
        kept = {self._part(number) for number in range(min(self._parts, len(found)))}
        if len(kept) < self._parts or not kept <= found:
            raise BulkError(f"{self._folder} is not what was written before; --restart begins anew")
        for path in found - kept:  # written after the checkpoint, or before there was one
            path.unlink()
        if kept:
            self._schema = self._parquet.read_schema(self._part(0))

    def _part(self, number: int) -> Path:
        return _part_in(self._folder, number)

    def write(self, item: Mapping[str, Any]) -> None:
        """Accept an item."""
        self._rows.append(item)
        self._bytes += item_size(item)

    def commit(self) -> int | None:
        """Write a part, if there is enough for one, and give how many there are."""
        if len(self._rows) < _PART_ROWS and self._bytes < _PART_BYTES:
            return None
        self._write_part()
        return self._parts

    def complete(self) -> int:
        """Write the last part, and return how many there are."""
        if self._rows or not self._parts:
            self._write_part()
        return self._parts

    def finish(self) -> None:
        """Rename the folder to its final name."""
        self._folder.rename(self._path)
        own_files.sync_folder(self._path.parent)

    def close(self) -> None:
        """Nothing is open between parts."""

    def _write_part(self) -> None:
        if self._schema is None:
            self._schema = self._pa.schema(list(_fields(self._pa, self._rows)))
        path = self._part(self._parts)
        beside = path.with_name(path.name + ".new")
        with own_files.create_anew(beside) as file:
            self._parquet.write_table(_columns(self._pa, self._schema, self._rows), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        own_files.sync_folder(self._folder)
        self._parts += 1
        self._rows, self._bytes = [], 0


def _part_in(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05}.parquet"


def is_whole_folder(path: Path, parts: int) -> bool:
    """Return whether there is a folder of so many parts, and of nothing else."""
    if path.is_symlink() or not path.is_dir():
        return False
    return set(path.iterdir()) == {_part_in(path, number) for number in range(parts)}


def own_parts(folder: Path) -> set[Path]:
    """Return the parts in a folder.

    Raises:
        BulkError: there is something else in it.
    """
    found = set(folder.iterdir())
    if not all(_OWN.fullmatch(path.name) for path in found):  # Spark's parts are named much like ours
        raise BulkError(f"{folder} has something else in it, and is where the parts go")
    return found


def _fields(pa: Any, items: Iterable[Mapping[str, Any]]) -> Iterable[Any]:
    """Return a column for each attribute whose values have one type."""
    values: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        for name, value in item.items():
            values.setdefault(name, []).append(value)
    values.pop(REST, None)
    common = sorted(values, key=lambda name: len(values[name]), reverse=True)[:_MOST_COLUMNS]
    for name in sorted(common):
        field = _field(pa, name, values[name])
        if field is not None:
            yield field
    yield pa.field(REST, pa.string())


def _field(pa: Any, name: str, values: list[Any]) -> Any:
    kinds = {next(iter(typed(value))) for value in values}
    if len(kinds) != 1 or kinds == {"NULL"}:
        return None
    [kind] = kinds
    if kind == "N":
        return pa.field(name, _number_type(pa, values))
    if kind in ("S", "BOOL", "B"):
        return pa.field(name, {"S": pa.string, "BOOL": pa.bool_, "B": pa.binary}[kind]())
    return pa.field(name, pa.string(), metadata={TYPE: kind})


def _number_type(pa: Any, values: list[Decimal]) -> Any:
    scale = max(max(0, -int(value.normalize(_EXACT).as_tuple().exponent)) for value in values)
    if scale == 0 and all(-_INT64 <= value < _INT64 for value in values):
        return pa.int64()
    whole = max(max(0, value.adjusted() + 1) for value in values)
    return pa.decimal128(_DIGITS, max(0, min(scale, _DIGITS - whole)))


def _columns(pa: Any, schema: Any, items: list[Mapping[str, Any]]) -> Any:
    fits = {field.name: _fit(pa, field) for field in schema if field.name != REST}
    columns: dict[str, list[Any]] = {name: [None] * len(items) for name in fits}
    rest: list[str | None] = []
    for at, item in enumerate(items):
        unfit = {}
        for name, value in item.items():
            cell = fits[name](value) if name in fits else _UNFIT
            if cell is _UNFIT:
                unfit[name] = typed(value)
            else:
                columns[name][at] = cell
        rest.append(json.dumps(unfit) if unfit else None)
    return pa.table({**columns, REST: rest}, schema=schema)


def _fit(pa: Any, field: Any) -> Callable[[Any], Any]:
    """Return what makes a cell of a value, or says that it does not fit."""
    if field.metadata and TYPE in field.metadata:
        kind = field.metadata[TYPE].decode()
        return lambda value: json.dumps(made) if kind in (made := typed(value)) else _UNFIT
    if pa.types.is_int64(field.type):
        return _whole
    if pa.types.is_decimal(field.type):
        return _scaled(Decimal(1).scaleb(-field.type.scale))
    if pa.types.is_boolean(field.type):
        return lambda value: value if isinstance(value, bool) else _UNFIT
    if pa.types.is_string(field.type):
        return lambda value: value if isinstance(value, str) else _UNFIT
    return lambda value: bytes_of(value) if "B" in typed(value) else _UNFIT


def _whole(value: Any) -> Any:
    if not isinstance(value, Decimal) or not -_INT64 <= value < _INT64 or value != value.to_integral_value():
        return _UNFIT
    return int(value)


def _scaled(step: Decimal) -> Callable[[Any], Any]:
    def fit(value: Any) -> Any:
        if not isinstance(value, Decimal):
            return _UNFIT
        try:
            return value.quantize(step, context=_EXACT)
        except (Inexact, InvalidOperation):
            return _UNFIT

    return fit
