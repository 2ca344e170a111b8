"""The file beside the input that holds the refused rows: one JSON object a line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO

from .errors import BulkError
from .sources import Row


class Refusals:
    """Refused rows, of one input. Nothing is written while there are none."""

    def __init__(self, path: Path, keep: int) -> None:
        """Begin with the first `keep` bytes of what an earlier run wrote: later ones are found again.

        Raises:
            BulkError: the file can't be written.
        """
        self.path = path
        self._file: IO[bytes] | None = None
        try:
            kept = min(keep, path.stat().st_size) if path.exists() else 0
            if kept:
                self._open("r+b").truncate(kept)
                self._open("r+b").seek(kept)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot(error) from error

    def add(self, row: Row, reason: str) -> None:
        """Note a row and why it was refused."""
        text = row.text.decode(errors="replace")
        line = {"row": row.number, "line": row.line or None, "reason": reason, "text": text}
        told = {name: value for name, value in line.items() if value not in (None, "")}
        try:
            self._open("wb").write(json.dumps(told).encode() + b"\n")
        except OSError as error:
            raise self._cannot(error) from error

    def sync(self) -> int:
        """See to it that what was noted is on the disk, and give the file's size in bytes."""
        if self._file is None:
            return 0
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._cannot(error) from error
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _open(self, mode: str) -> IO[bytes]:
        if self._file is None:
            opener = lambda path, flags: os.open(path, flags, 0o600)  # noqa: E731 - it holds what the input holds
            self._file = open(self.path, mode, opener=opener)  # noqa: SIM115 - closed by `close`
        return self._file

    def _cannot(self, error: OSError) -> BulkError:
        return BulkError(f"{self.path} can't be written: {error.strerror}")
