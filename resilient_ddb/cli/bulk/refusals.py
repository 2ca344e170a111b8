"""The file beside the input that holds the refused rows: one JSON object a line.

Each load has its own, so that no load removes what another one refused: the second is `refused-2.jsonl`.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO

from . import own_files
from .errors import BulkError, CannotWriteError
from .sources import Row


class Refusals:
    """Refused rows, of one input. Nothing is written while there are none."""

    def __init__(self, path: Path, number: int = 0, keep: int = 0) -> None:
        """Begin, or go on behind what an earlier run of the same load wrote.

        Args:
            path: where they go; those of another load may be there already.
            number: which of the files of that name the earlier run wrote; 0 if it wrote none.
            keep: the bytes of it that are kept: later rows are found again.

        Raises:
            BulkError: the earlier run's file can't be written.
        """
        self._path = path
        self.number = number
        """Which of the files of that name it is, from 1; 0 if there is none yet."""
        self._file: IO[bytes] | None = None
        if number:
            try:
                self._file = own_files.reopen(self.path)
                kept = min(keep, os.fstat(self._file.fileno()).st_size)
                self._file.truncate(kept)
                self._file.seek(kept)
            except FileNotFoundError:
                self.number = 0
            except OSError as error:
                raise BulkError(f"{self.path} can't be written: {own_files.why(error)}") from error

    @property
    def path(self) -> Path:
        """Where this load's are."""
        if self.number < 2:  # noqa: PLR2004 - the first has no number in its name
            return self._path
        return self._path.with_name(f"{self._path.stem}-{self.number}{self._path.suffix}")

    def begin(self) -> None:
        """Create the file, under a name that no other has."""
        for self.number in count(1):
            try:
                self._file = own_files.create(self.path, own_files.OWNER_ONLY)  # it holds what the input holds
            except FileExistsError:
                continue
            except OSError as error:
                raise self._cannot(error) from error
            return

    def add(self, row: Row, reason: str) -> None:
        """Note a row and why it was refused.

        Raises:
            CannotWriteError: it can't be written.
        """
        if self._file is None:
            self.begin()
        assert self._file is not None  # noqa: S101 - it was created
        text = row.text.decode(errors="replace")
        line = {"row": row.number, "line": row.line or None, "reason": reason, "text": text}
        told = {name: value for name, value in line.items() if value not in (None, "")}
        try:
            self._file.write(json.dumps(told).encode() + b"\n")
        except OSError as error:
            raise self._cannot(error) from error

    def sync(self) -> int:
        """Ensure that what was noted is on the disk, and return the file's size in bytes.

        Raises:
            CannotWriteError: it can't be written.
        """
        if self._file is None:
            return 0
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._file.tell()
        except OSError as error:
            raise self._cannot(error) from error

    def close(self) -> None:
        """Close the file. What was not synced does not count, and is found again."""
        if self._file is not None:
            with suppress(OSError):  # it writes what is left, and must not hide why that could not be written before
                self._file.close()

    def _cannot(self, error: OSError) -> CannotWriteError:
        return CannotWriteError(f"{self.path} can't be written: {own_files.why(error)}")
