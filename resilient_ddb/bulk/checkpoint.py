"""How far a load or an export has come: a small file, replaced as a whole, that is only ever behind the truth.

It is written after what it says has happened, and synced to the disk before it takes the old one's place. Whatever was
done after it is done again: puts of the same items, in the same order.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import BulkError

_VERSION = 1


class Checkpoint:
    """The file."""

    def __init__(self, path: Path, work: Mapping[str, Any]) -> None:
        """Keep a checkpoint at `path` for a piece of work: what tells it from any other, as JSON."""
        self.path = path
        self._work = json.loads(json.dumps(work))

    def read(self) -> dict[str, Any] | None:
        """Give the state that was saved last; None where there is none.

        Raises:
            BulkError: it is of other work, or can't be read.
        """
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise BulkError(f"the checkpoint {self.path} can't be read: {error}") from error
        try:
            saved = json.loads(text)
            version, work, state = saved["version"], saved["work"], saved["state"]
        except (ValueError, TypeError, KeyError) as error:
            raise BulkError(f"the checkpoint {self.path} is damaged; --restart begins anew") from error
        if version != _VERSION:
            raise BulkError(f"the checkpoint {self.path} is of another version; --restart begins anew")
        if work != self._work:
            other = sorted(name for name in {*work, *self._work} if work.get(name) != self._work.get(name))
            raise BulkError(
                f"the checkpoint {self.path} is of other work: it differs in {', '.join(other)}; "
                "finish that as it was begun, or --restart to begin anew"
            )
        if not isinstance(state, dict):
            raise BulkError(f"the checkpoint {self.path} is damaged; --restart begins anew")
        return state

    def write(self, state: Mapping[str, Any]) -> None:
        """Save a state.

        Raises:
            BulkError: it can't be written.
        """
        text = json.dumps({"version": _VERSION, "work": self._work, "state": state})
        beside = self.path.with_name(self.path.name + ".new")
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise BulkError(f"the checkpoint {self.path} can't be written: {error.strerror}") from error

    def try_out(self) -> None:
        """See whether it can be written, before there is anything to say. Raises as `write`."""
        self.write({})
        self.remove()

    def remove(self) -> None:
        """Let go of it: the work is done, or begins anew."""
        self.path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """See to it that a file's new name outlives a power cut."""
    if os.name == "nt":  # there a folder can't be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
