"""The pages of a Parquet file: what reading them takes in memory, told by their headers alone.

A cell of gigabytes fits into a file of kilobytes. Pages are compressed, and equal values are counted, not repeated.
pyarrow reads a page as a whole, so it has to be known before. Headers are Thrift's compact protocol, of which no more
is read here than a page's sizes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, BinaryIO, NamedTuple

MOST_BYTES = 32 * 1024 * 1024
"""So much may be taken for a moment; it takes three times that until what was taken before is free again."""
_HEADER_BYTES, _MOST_HEADER_BYTES = 4096, 1024 * 1024
_AMPLIFIED = 10
"""What takes no more than this many times its size in the file is no trap, but large."""
_VALUE_BYTES = 24
"""What a value within a list takes at most, with its levels and its offset."""
_SMALL = 4096
"""In a dictionary of so many bytes the longest entry is not looked for."""
_LENGTH = struct.Struct("<I")
_CODECS = {"LZ4": "lz4_raw"}
_TYPE, _UNCOMPRESSED, _COMPRESSED, _DATA, _DICTIONARY, _DATA_2 = 1, 2, 3, 5, 7, 8
_NUMBER = 1
_BOOLEANS = (1, 2)
_VARINTS, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT = (4, 5, 6), 7, 8, (9, 10), 11, 12
_LONG = 15


class OddHeaderError(ValueError):
    """A page has no header that can be read."""


@dataclass(slots=True, kw_only=True)
class Chunk:
    """What the pages of one column in a group of rows take."""

    compressed: int
    """Bytes in the file."""
    is_nested: bool
    """Whether a row may have several values."""
    dictionary: int = 0
    """Bytes of the dictionary."""
    entry: int = 0
    """Bytes of its longest entry, which is made anew each time it occurs."""
    pages: list[tuple[int, int]] = field(default_factory=list)
    """The bytes and the number of values of each."""

    @property
    def values(self) -> int:
        """How many values there are, nulls included."""
        return sum(values for _, values in self.pages)

    def bytes_for(self, rows: int) -> int:
        """Return what it takes to read so many rows at once."""
        if self.is_nested:  # they may all be one row's
            taken = sum(size for size, _ in self.pages) + self.values * (_VALUE_BYTES + self.entry)
        else:
            least = min((values for _, values in self.pages[:-1]), default=0)
            touched = min(len(self.pages), 2 + rows // least if least else rows)
            taken = touched * max((size for size, _ in self.pages), default=0) + rows * self.entry
        taken += self.dictionary
        return taken if taken > _AMPLIFIED * self.compressed else 0


def rows_at_once(chunks: Sequence[Chunk], most: int) -> int:
    """Return how many rows can be read at once, `most` or less; 0 if there is no room for one."""
    rows = most
    while rows and sum(chunk.bytes_for(rows) for chunk in chunks) > MOST_BYTES:
        rows //= 2
    return rows


def chunks_of(file: BinaryIO, group: Any, schema: Any) -> list[Chunk]:
    """Return the columns of a group of rows, by the headers of their pages.

    Args:
        file: the Parquet file.
        group: its metadata, as pyarrow has it.
        schema: the file's schema, as Parquet has it.

    Raises:
        OddHeaderError: a header can't be read.
        OSError: the file can't be read.
    """
    made = []
    for index in range(group.num_columns):
        column = group.column(index)
        is_nested = schema.column(index).max_repetition_level > 0
        chunk = Chunk(compressed=max(1, column.total_compressed_size), is_nested=is_nested)
        starts = [at for at in (column.dictionary_page_offset, column.data_page_offset) if at]
        for page in _pages(file, min(starts, default=0), column.total_compressed_size):
            if page.kind != _DICTIONARY:
                chunk.pages.append((page.size, page.values))
                continue
            chunk.dictionary += page.size
            if column.physical_type == "BYTE_ARRAY":
                chunk.entry = max(chunk.entry, _longest(file, page, column.compression))
        made.append(chunk)
    return made


def _longest(file: BinaryIO, page: _Page, compression: str) -> int:
    """Return the bytes of a dictionary's longest entry, or of all of them if that can't be told."""
    if not _SMALL < page.size <= MOST_BYTES:
        return page.size
    file.seek(page.at)
    octets = file.read(page.compressed)
    if compression != "UNCOMPRESSED":
        from pyarrow import ArrowException, decompress  # noqa: PLC0415 - it is loaded by now

        try:
            octets = decompress(octets, page.size, _CODECS.get(compression, compression.lower()), asbytes=True)
        except (ArrowException, OSError, ValueError):
            return page.size
    at = longest = 0
    while at + _LENGTH.size <= len(octets):
        [length] = _LENGTH.unpack_from(octets, at)
        at += _LENGTH.size + length
        longest = max(longest, length)
    return longest if at == len(octets) else page.size


class _Page(NamedTuple):
    kind: int
    size: int
    """Bytes."""
    values: int
    """How many values it has."""
    at: int
    """Where it begins, behind its header."""
    compressed: int
    """Bytes in the file."""


def _pages(file: BinaryIO, at: int, length: int) -> Iterator[_Page]:
    """Yield each page."""
    end = at + length
    while at < end:
        fields, size = _header(file, at)
        kind = next((kind for kind in (_DATA, _DATA_2, _DICTIONARY) if kind in fields), 0)
        compressed, uncompressed = fields.get(_COMPRESSED), fields.get(_UNCOMPRESSED)
        if not isinstance(compressed, int) or not isinstance(uncompressed, int) or compressed < 0 or uncompressed < 0:
            raise OddHeaderError("a page has no size")
        if kind:
            values = fields[kind].get(_NUMBER) if isinstance(fields[kind], dict) else None
            if not isinstance(values, int) or values < 0:
                raise OddHeaderError("a page has no number of values")
            yield _Page(kind, uncompressed, values, at + size, compressed)
        at += size + compressed


def _header(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """Return a header's fields, and its bytes."""
    wanted = _HEADER_BYTES
    while True:
        file.seek(at)
        octets = file.read(wanted)
        try:
            return _structure(octets, 0)
        except IndexError:
            if len(octets) < wanted or wanted >= _MOST_HEADER_BYTES:
                raise OddHeaderError("a page's header is not whole") from None
        except RecursionError:
            raise OddHeaderError("a page's header is nested far too deep") from None
        wanted *= 16


# Thrift's compact protocol. Whatever is cut raises an IndexError.


def _structure(octets: bytes, at: int) -> tuple[dict[int, Any], int]:
    fields: dict[int, Any] = {}
    name = 0
    while True:
        head = octets[at]
        at += 1
        if not head:
            return fields, at
        if head >> 4:
            name += head >> 4
        else:
            name, at = _signed(octets, at)
        fields[name], at = _value(octets, at, head & 15)


def _value(octets: bytes, at: int, kind: int) -> tuple[Any, int]:  # noqa: PLR0911 - one row for each type
    if kind in _BOOLEANS:
        return kind == 1, at
    if kind in _VARINTS:
        return _signed(octets, at)
    if kind == _STRUCT:
        return _structure(octets, at)
    if kind == _BINARY:
        length, at = _varint(octets, at)
        return None, _behind(octets, at + length)
    if kind in _LISTS:
        head = octets[at]
        length, at = (head >> 4, at + 1) if head >> 4 != _LONG else _varint(octets, at + 1)
        return None, _members(octets, at, repeat((head & 15,), length))
    if kind == _MAP:
        length, at = _varint(octets, at)
        if not length:
            return None, at
        return None, _members(octets, at + 1, repeat((octets[at] >> 4, octets[at] & 15), length))
    if kind == _DOUBLE:
        return None, _behind(octets, at + 8)
    if kind == 3:  # noqa: PLR2004 - a byte
        return None, _behind(octets, at + 1)
    raise OddHeaderError("a page's header is none")


def _members(octets: bytes, at: int, members: Iterable[tuple[int, ...]]) -> int:
    for kinds in members:
        for kind in kinds:
            _, at = _value(octets, _behind(octets, at + (kind in _BOOLEANS)), kind)
    return at


def _behind(octets: bytes, at: int) -> int:
    if at > len(octets):
        raise IndexError
    return at


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = octets[at]
        at += 1
        value |= (octet & 127) << shift
        shift += 7
        if octet < 128:  # noqa: PLR2004 - the last one
            return value, at
        if shift > 63:  # noqa: PLR2004 - as many bits as there are
            raise OddHeaderError("a page's header holds a number of too many digits")


def _signed(octets: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(octets, at)
    return (value >> 1) ^ -(value & 1), at
