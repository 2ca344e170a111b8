"""What an export writes: lines to a file or to standard output, or Parquet in parts.

An output is committed now and then, and says then where it stands. What comes after that is dropped when the export
is gone on with. A file or folder gets its name when it is whole; until then `.part` is behind it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from . import own_files
from .errors import BulkError
from .progress import silence

Line = Callable[[Mapping[str, Any]], str]


class Output(Protocol):
    """Takes items. Errors of the disk are OSErrors."""

    def write(self, item: Mapping[str, Any]) -> None:
        """Accept an item."""
        ...

    def commit(self) -> int | None:
        """Write all that was taken to the disk, and return the position; None: not yet."""
        ...

    def complete(self) -> int | None:
        """Write all that was taken to the disk, and return what `is_whole` knows it by; None: nothing can."""
        ...

    def finish(self) -> None:
        """Move all to where it is found, under its name."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


def part_of(path: Path) -> Path:
    """Return the path of what is not whole yet."""
    return path.with_name(path.name + ".part")


def finish_whole(path: Path, is_whole: Callable[[Path], bool]) -> None:
    """Rename what an earlier run has written as a whole to its final name, unless that run has come so far.

    Raises:
        BulkError: it is not there.
        OSError: it can't be moved.
    """
    part = part_of(path)
    if is_whole(part):
        part.replace(path)
        own_files.sync_folder(path.parent)
    elif not is_whole(path):
        raise BulkError(f"{path} is not what was written before; --restart begins anew")


def is_whole_file(path: Path, size: int) -> bool:
    """Return whether there is a file of so many bytes."""
    return not path.is_symlink() and path.is_file() and path.stat().st_size == size


class Stream:
    """Lines to standard output. They can't be taken back."""

    def __init__(self, line: Line) -> None:
        """Write each item as `line` has it.

        Raises:
            OSError: standard output is closed.
        """
        if sys.stdout is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._line = line
        self._write = sys.stdout.buffer.write

    def write(self, item: Mapping[str, Any]) -> None:
        """Accept an item."""
        self._write(self._line(item).encode() + b"\n")

    def commit(self) -> None:
        """Hand on what is buffered."""
        sys.stdout.buffer.flush()

    def complete(self) -> None:
        """Hand on what is buffered."""
        sys.stdout.buffer.flush()

    def finish(self) -> None:
        """Return at once: all is where it is found."""

    def close(self) -> None:
        """Leave it open, as it is not ours. If nobody reads it any more, Python must not write to it at its end."""
        try:
            sys.stdout.flush()
        except OSError:
            silence(sys.stdout)


class LineFile:
    """Lines in a file."""

    def __init__(self, path: Path, line: Line, position: int) -> None:
        """Begin, or go on behind so many bytes.

        Raises:
            BulkError: what was written before is not there.
        """
        self._path = path
        self._line = line
        part = part_of(path)
        if position and (part.is_symlink() or not part.is_file() or part.stat().st_size < position):
            raise BulkError(f"{part} is not what was written before; --restart begins anew")
        self._file = own_files.reopen(part) if position else own_files.create_anew(part)
        self._file.truncate(position)
        self._file.seek(position)

    def write(self, item: Mapping[str, Any]) -> None:
        """Accept an item."""
        self._file.write(self._line(item).encode() + b"\n")

    def commit(self) -> int:
        """Sync, and return the bytes so far."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def complete(self) -> int:
        """Sync, and return the bytes."""
        size = self.commit()
        self._file.close()
        return size

    def finish(self) -> None:
        """Rename the file to its final name."""
        part_of(self._path).replace(self._path)
        own_files.sync_folder(self._path.parent)

    def close(self) -> None:
        """Close the file. What was not committed does not count."""
        with suppress(OSError):  # it writes what is left, and must not hide why that could not be written before
            self._file.close()
