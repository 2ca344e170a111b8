"""`resilient-ddb load`: files into a table, a stretch at a time, and a checkpoint after each.

A stretch is acknowledged when every item in it is written. Then its refused rows are synced to the disk, and then the
checkpoint. Whenever the program ends, what the checkpoint says is so, and a new run goes on behind it. What was
written after it is written again, in the same order, so that of rows with one key the last one stands.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from .checkpoint import Checkpoint, alone, is_count
from .errors import BulkError, RefusedRowError
from .formats import Rows, format_of, open_rows
from .limits import shown
from .options import LoadOptions
from .prepare import Preparation
from .progress import Figures, Progress
from .refusals import Refusals
from .sink import Sink
from .sources import STDIN, Position, Row, Source
from .target import Target

# The first to come ends a stretch. As it ends, the batches under way are waited for: once a second that costs little,
# and no more than that is done again. The others bound what is held: a stretch's rows are, to be found if refused.
_STRETCH_SECONDS = 1.0
_STRETCH_ROWS = 10_000
_STRETCH_BYTES = 8 * 1024 * 1024


class Load:
    """One run of the command over its files."""

    def __init__(self, options: LoadOptions, target: Target, sink: Sink, figures: Figures, shown: Progress) -> None:
        """Load by what was opened.

        Raises:
            BulkError: a file can't be read, or the table can't be sharded so.
        """
        self.options, self.target, self.sink, self.figures, self.shown = options, target, sink, figures, shown
        self.prepare = Preparation(options, target.keys)
        self.refused: list[Path] = []
        """The files that hold refused rows."""
        self._sizes = [_size(name) for name in options.files]
        self._done = 0

    def run(self) -> None:
        """Load all files.

        Raises:
            BulkError: a file can't be loaded.
            ClientError, BotoCoreError: AWS has something against it, or the way there is closed.
        """
        are_later_forgotten = False
        for index, name in enumerate(self.options.files):
            with alone(self.options.beside(name, "lock")), closing(Source(name)) as source:
                if self.options.restart and index == 0:
                    self._forget()
                file = self._file(index, source)
                if not (file.is_done or are_later_forgotten):  # their rows must replace again what is written now
                    self._forget(index + 1)
                    are_later_forgotten = True
                file.run()
            self._done += self._sizes[index]
        self._forget()

    def _file(self, index: int, source: Source) -> FileLoad:
        name = self.options.files[index]
        form = self.options.form or format_of(source)
        before = hashlib.sha256(os.fsencode("\n".join(self.options.files[:index]))).hexdigest()
        work = {
            "input": source.identity,
            "files_before": before,
            "format": form,
            **self.target.identity,
            **self.options.as_work(),
        }
        checkpoint = None if name == STDIN else Checkpoint(self.options.beside(name, "checkpoint"), work)
        return FileLoad(self, source, form, checkpoint, self.options.beside(name, "refused.jsonl"))

    def _forget(self, begin: int = 0) -> None:
        """Remove the checkpoints, the last file's first: if a file is loaded again, so are those after it."""
        for name in reversed(self.options.files[begin:]):
            if name != STDIN:
                self.options.beside(name, "checkpoint").unlink(missing_ok=True)

    def share(self, of_file: float, size: int) -> float | None:
        """Return the share of all input that is done; None if standard input is a part of it."""
        total = sum(self._sizes)
        return None if STDIN in self.options.files or not total else (self._done + of_file * size) / total


def _size(name: str) -> int:
    if name == STDIN:
        return 0
    path = Path(name)
    try:
        found = path.stat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):  # it could be read once only
            raise BulkError(f"{name} can't be read: it is no file, but - reads standard input")
        with path.open("rb"):
            return found.st_size
    except OSError as error:
        raise BulkError(f"{name} can't be read: {error.strerror}") from error


class FileLoad:
    """The load of one file."""

    def __init__(
        self, load: Load, source: Source, form: str, checkpoint: Checkpoint | None, refused_path: Path
    ) -> None:
        """Go to where an earlier run was stopped, if one was."""
        self._load = load
        self._source = source
        self._checkpoint = checkpoint
        state = (checkpoint.read() if checkpoint else None) or {}
        self.is_done = bool(state.get("done"))
        """Whether an earlier run loaded all of it."""
        self._count, number, kept = (
            checkpoint.count(state, name) if checkpoint else 0 for name in ("refused", "refused_file", "refused_bytes")
        )
        self._size = source.size or 0
        self._rows = self._open(form, _position(state, checkpoint), state)
        self._refusals = Refusals(refused_path, number, kept)
        self._state = {**state, "position": self._rows.position, "columns": self._columns, "done": False}
        if not self._refusals.number:
            self._state["refused_bytes"] = 0  # the person who removed the file has seen to its rows
        if state:
            self._resumed()
        elif checkpoint is not None:
            checkpoint.try_out()

    def _open(self, form: str, position: Position, state: dict[str, Any]) -> Rows:
        options = self._load.options
        rows = open_rows(self._source, form, position, options, self._load.target.keys)
        for note in getattr(rows, "notes", ()):
            self._load.shown.say(note)
        self._columns: dict[str, str] | None = getattr(rows, "types", None)
        if self._columns is not None:
            named = [*((name, "type") for name in options.types), *([(options.ttl, "ttl")] if options.ttl else [])]
            for name, option in named:
                if name not in self._columns:
                    self._load.shown.say(f"{self._source.name} has no column {shown(name)}: its --{option} is not used")
        if state and state.get("columns") != self._columns:
            raise BulkError(f"the columns of {self._source.name} have other types than before; --restart begins anew")
        return rows

    def _resumed(self) -> None:
        figures, rows = self._load.figures, self._rows.position.row
        figures.refused += self._count
        share = self._load.share(1.0 if self.is_done else self._share(), self._size)
        figures.share, figures.share_before = share, share or 0.0
        if self._count and self._refusals.number:
            self._load.refused.append(self._refusals.path)
        self._load.shown.say(f"{self._source.name}: {rows:,} rows were done before")

    def run(self) -> None:
        """Load what is left of it.

        Raises:
            BulkError: the file can't be read on, or what is kept beside it can't be written.
            ClientError, BotoCoreError: AWS has something against it, or the way there is closed.
        """
        try:
            if not self.is_done:
                self._write()
        finally:
            self._refusals.close()

    def _write(self) -> None:
        stretch = _Stretch()
        for row in self._rows:
            stretch.take(self._put(row))
            self._load.shown.tick()
            if stretch.is_due():
                self._acknowledge(done=False)
                stretch = _Stretch()
        self._acknowledge(done=True)

    def _put(self, row: Row) -> int:
        """Hand a row's item to the writer, or refuse it. Gives the bytes that are kept of it for now."""
        try:
            item, size = self._load.prepare(row)
            self._load.sink.put(row, item)
        except RefusedRowError as error:
            self._refuse(row, str(error))
            return len(row.text)
        return max(size, len(row.text))

    def _refuse(self, row: Row, reason: str) -> None:
        if not self._refusals.number:
            self._refusals.begin()
            self._save(refused_file=self._refusals.number)  # before it holds anything: a run that goes on finds it
        self._refusals.add(row, reason)
        self._count += 1
        load = self._load
        load.figures.note_refusal(self._source.name, row, reason, load.shown.say)
        if self._refusals.path not in load.refused:
            load.refused.append(self._refusals.path)

    def _acknowledge(self, *, done: bool) -> None:
        """Wait until all is written, and then say so in the checkpoint."""
        figures, sink = self._load.figures, self._load.sink
        refused = sink.flush()
        for row, reason in refused:
            self._refuse(row, reason)
        refused_bytes = self._refusals.sync()
        figures.items = sink.written
        figures.units, figures.throttled = sink.units, sink.throttled
        figures.share = self._load.share(1.0 if done else self._share(), self._size)
        self._save(
            position=self._rows.position,
            refused=self._count,
            refused_file=self._refusals.number,
            refused_bytes=refused_bytes,
            done=done,
        )

    def _save(self, **state: Any) -> None:
        self._state |= state
        if self._checkpoint is not None:
            self._checkpoint.write(self._state)

    def _share(self) -> float:
        of_rows = getattr(self._rows, "share_read", None)
        return of_rows() if of_rows is not None else self._source.share_read()


def _position(state: dict[str, Any], checkpoint: Checkpoint | None) -> Position:
    """Return where an earlier run was stopped.

    Raises:
        BulkError: the state does not say it.
    """
    found = state.get("position", [0, 0, 0])
    is_one = isinstance(found, list) and len(found) == len(Position._fields)
    if not is_one or not all(map(is_count, found)):
        assert checkpoint is not None  # noqa: S101 - a state comes from one
        raise checkpoint.damaged()
    return Position(*found)


class _Stretch:
    """How much was put since the last checkpoint."""

    def __init__(self) -> None:
        self._rows = self._bytes = 0
        self._until = time.monotonic() + _STRETCH_SECONDS

    def take(self, size: int) -> None:
        """Count a row."""
        self._rows += 1
        self._bytes += size

    def is_due(self) -> bool:
        """Return whether the stretch is long enough."""
        return self._rows >= _STRETCH_ROWS or self._bytes >= _STRETCH_BYTES or time.monotonic() >= self._until
