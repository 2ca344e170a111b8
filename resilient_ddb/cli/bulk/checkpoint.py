"""How far a load or an export has come: a small file, replaced as a whole, that is only ever behind the truth.

It is written after what it says has happened, and synced to the disk before it takes the old one's place. Whatever was
done after it is done again: puts of the same items, in the same order.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from . import own_files
from .errors import BulkError, CannotWriteError

_VERSION = 1
_TOO_MANY = 2**63


class Checkpoint:
    """The file."""

    def __init__(self, path: Path, work: Mapping[str, Any]) -> None:
        """Keep a checkpoint at `path` for a piece of work: what tells it from any other, as JSON."""
        self.path = path
        self._work = json.loads(json.dumps(work))

    def read(self) -> dict[str, Any] | None:
        """Return the state that was saved last; None if there is none.

        Raises:
            BulkError: it is of other work, or can't be read.
        """
        try:
            text = own_files.read(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BulkError(f"the checkpoint {self.path} can't be read: {own_files.why(error)}") from error
        try:
            saved = json.loads(text.decode())
            version, work, state = saved["version"], saved["work"], saved["state"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self.damaged() from error
        if version != _VERSION:
            raise BulkError(f"the checkpoint {self.path} is of another version; --restart begins anew")
        if not isinstance(work, dict) or not isinstance(state, dict):
            raise self.damaged()
        if work != self._work:
            other = sorted(name for name in {*work, *self._work} if work.get(name) != self._work.get(name))
            raise BulkError(
                f"the checkpoint {self.path} is of other work: it differs in {', '.join(other)}; "
                "finish that as it was begun, or --restart to begin anew"
            )
        return state

    def count(self, state: Mapping[str, Any], name: str) -> int:
        """Return a count that a state holds; 0 if it holds none.

        Raises:
            BulkError: it is none.
        """
        found = state.get(name, 0)
        if not is_count(found):
            raise self.damaged()
        return int(found)

    def damaged(self) -> BulkError:
        """Return the error that says that the file is not as it was written."""
        return BulkError(f"the checkpoint {self.path} is damaged; --restart begins anew")

    def write(self, state: Mapping[str, Any]) -> None:
        """Save a state.

        Raises:
            CannotWriteError: it can't be written.
        """
        text = json.dumps({"version": _VERSION, "work": self._work, "state": state})
        beside = self.path.with_name(self.path.name + ".new")
        try:
            with own_files.create_anew(beside) as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
            own_files.sync_folder(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            why = own_files.why(error)
            raise CannotWriteError(f"the checkpoint {self.path} can't be written: {why}") from error

    def try_out(self) -> None:
        """Check that it can be written, before there is anything to say.

        Raises:
            BulkError: it can't be.
            CannotWriteError: there is no room for it.
        """
        try:
            self.write({})
        except CannotWriteError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in own_files.FULL:
                raise
            raise BulkError(str(error)) from error
        self.remove()

    def remove(self) -> None:
        """Remove it: the work is done, or begins anew."""
        self.path.unlink(missing_ok=True)


def is_count(value: Any) -> bool:
    """Return whether a value can be a number of things, or of bytes in a file."""
    return type(value) is int and 0 <= value < _TOO_MANY


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock at `path`: no other program is at this piece of work. A program that is killed lets go of it.

    Raises:
        BulkError: another program is at it, or there can be no file.
    """
    try:
        import fcntl  # noqa: PLC0415 - Windows has none: there nothing is locked
    except ImportError:
        yield
        return
    try:
        file = own_files.open_to_lock(path)
    except OSError as error:
        raise BulkError(f"{path} can't be written: {own_files.why(error)}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(file.fileno()), path.stat())  # no, where its holder has just removed it
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        except OSError:  # a file system without locks
            is_ours = True
        if not is_ours:
            raise BulkError(f"another program is at the same work: it holds {path}")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
