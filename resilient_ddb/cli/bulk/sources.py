"""Input as bytes: files and standard input, unzipped, cut into lines that are never longer than the limit."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from .errors import BulkError
from .limits import MAX_LINE_BYTES

STDIN = "-"
HEAD_BYTES = 1024 * 1024
"""What is looked at to tell a file's format and a column's type."""
_IDENTITY_BYTES = 65_536
_BUFFER_BYTES = 262_144
_GZIP = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
_SHOWN_BYTES = 1000
BROKEN = (OSError, EOFError, zlib.error)
"""What reading raises if a file is damaged, or its disk."""


class Position(NamedTuple):
    """How far a source has been read: a load goes on from here."""

    offset: int = 0
    """Bytes of the text, unzipped; of Parquet, rows."""
    row: int = 0
    """Rows that were read, refused ones included."""
    line: int = 0
    """Lines that were read; 0 in Parquet."""


class Row(NamedTuple):
    """A row of the input: an item, or the reason why it is refused."""

    number: int
    """From 1; headers and empty lines don't count."""
    line: int
    """The line that it begins on, from 1; 0 in Parquet."""
    item: dict[str, Any] | None
    reason: str
    """Why it is refused; nothing if it is an item."""
    text: bytes
    """What was read; of a line that is too long, its beginning; nothing in Parquet."""


class TooLong(NamedTuple):
    """A line over the limit, which was skipped."""

    beginning: bytes
    size: int
    quotes: int
    """How many quotation marks it has: CSV goes on in the next line if they don't pair up."""


class Source:
    """One input: its bytes, unzipped."""

    def __init__(self, name: str) -> None:
        """Open it: a path, or `-` for standard input.

        Raises:
            BulkError: it can't be read.
        """
        self.name = "standard input" if name == STDIN else name
        """For people."""
        self.path = None if name == STDIN else Path(name)
        """None for standard input, which can't be read twice."""
        try:
            self._raw: BinaryIO = _standard_input() if self.path is None else self.path.open("rb")
        except OSError as error:
            raise BulkError(f"{self.name} can't be read: {_why(error)}") from error
        try:
            self._open()
        except BROKEN as error:
            self.close()
            raise BulkError(f"{self.name} can't be read: {_why(error)}") from error

    def _open(self) -> None:
        if self.path is None:
            self.size = None
            beginning = self._raw.read(HEAD_BYTES)
            stream = cast("BinaryIO", io.BufferedReader(_Joined(beginning, self._raw), _BUFFER_BYTES))
        else:
            self.size = os.fstat(self._raw.fileno()).st_size
            beginning = self._raw.read(_IDENTITY_BYTES)
            self._raw.seek(0)
            stream = self._raw
        self._beginning = hashlib.sha256(beginning[:_IDENTITY_BYTES]).hexdigest()
        if beginning[:2] == _GZIP:
            stream = cast("BinaryIO", io.BufferedReader(gzip.GzipFile(fileobj=stream), _BUFFER_BYTES))
        self.head = stream.read(HEAD_BYTES)
        if self.path is not None:
            stream.seek(0)
        elif beginning[:2] == _GZIP or len(self.head) == HEAD_BYTES:
            stream = cast("BinaryIO", io.BufferedReader(_Joined(self.head, stream), _BUFFER_BYTES))
        else:
            stream = io.BytesIO(self.head)
        self.stream = stream

    size: int | None
    """Bytes of the file as it is; None for standard input."""
    head: bytes
    """The beginning of the text, unzipped."""
    stream: BinaryIO

    @property
    def identity(self) -> dict[str, Any]:
        """What tells whether a file is still the one that a checkpoint is about."""
        if self.path is None:
            return {}
        stat = os.fstat(self._raw.fileno())
        return {
            "path": str(self.path.resolve()),
            "bytes": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "sha256_of_beginning": self._beginning,
        }

    def share_read(self) -> float:
        """Return the share of the file that was read, 0 to 1."""
        if not self.size:
            return 0.0
        return min(1.0, self._raw.tell() / self.size)

    def seek(self, offset: int) -> None:
        """Go to where so many bytes of the text were read.

        Raises:
            BulkError: there are not so many, or they can't be read.
        """
        try:
            reached = self.stream.seek(offset)
        except BROKEN as error:
            raise BulkError(f"{self.name} can't be read: {_why(error)}") from error
        if reached < offset or (self.stream is self._raw and offset > (self.size or 0)):
            raise BulkError(f"{self.name} ends before where its checkpoint is; --restart begins anew")

    def close(self) -> None:
        """Close the file; standard input stays."""
        if self.path is not None:
            self._raw.close()


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return sys.stdin.buffer


class _Joined(io.RawIOBase):
    """What was read already, and the rest behind it."""

    def __init__(self, beginning: bytes, rest: BinaryIO) -> None:
        self._beginning = memoryview(beginning)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        taken: bytes | memoryview
        if self._beginning:
            taken = self._beginning[: len(buffer)]
            self._beginning = self._beginning[len(taken) :]
        else:
            taken = self._rest.read(len(buffer))
        buffer[: len(taken)] = taken
        return len(taken)


class Lines:
    """The lines of a source, from a position on. `position` is where the last line ended."""

    def __init__(self, source: Source, position: Position) -> None:
        """Go to the position.

        Raises:
            BulkError: the source can't be read.
        """
        self._source = source
        self.offset, self.number = position.offset, position.line
        if position.offset:
            source.seek(position.offset)

    def __iter__(self) -> Iterator[bytes | TooLong]:
        """Return each line, its end included.

        Raises:
            BulkError: the source can't be read on.
        """
        while True:
            try:
                line = self._source.stream.readline(MAX_LINE_BYTES + 1)
                if not line:
                    return
                found: bytes | TooLong = line
                size = len(line)
                if size > MAX_LINE_BYTES and not line.endswith(b"\n"):
                    found = self._skipped(line)
                    size = found.size
            except BROKEN as error:
                raise self._broken(error) from error
            self.offset += size
            self.number += 1
            yield found

    def _skipped(self, line: bytes) -> TooLong:
        beginning, size, quotes = line[:_SHOWN_BYTES], 0, 0
        while line:
            size += len(line)
            quotes += line.count(b'"')
            if line.endswith(b"\n"):
                break
            line = self._source.stream.readline(MAX_LINE_BYTES)
        return TooLong(beginning, size, quotes)

    def _broken(self, error: BaseException) -> BulkError:
        return BulkError(f"{self._source.name} can't be read after line {self.number:,}: {_why(error)}")


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


TOO_LONG = f"longer than {MAX_LINE_BYTES:,} bytes"
