"""`resilient-ddb export`: a table's items into a file, page by page, with a checkpoint now and then."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from resilient_ddb.errors.words import counted

from . import own_files
from .checkpoint import Checkpoint
from .errors import BulkError, CannotWriteError
from .options import ExportOptions
from .outputs import LineFile, Output, Stream, finish_whole, is_whole_file, part_of
from .parquet_parts import ParquetParts, is_whole_folder, own_parts
from .plain_lines import PlainLines
from .progress import Figures, Progress
from .target import Target
from .typed_json import exported_line

_COMMIT_SECONDS = 1.0
_WHOLE = "whole"
"""In the state of an export that has read the whole table: the bytes, or the parts, that it has written."""


class Export:
    """One run of the command."""

    def __init__(self, options: ExportOptions, target: Target, figures: Figures, shown: Progress) -> None:
        """Go to where an earlier run was stopped, if one was.

        Raises:
            BulkError: what was written before can't be gone on with.
        """
        self._options, self._target, self._figures, self._shown = options, target, figures, shown
        self._plain = PlainLines()
        self._checkpoint = self._opened_checkpoint()
        state = (self._checkpoint.read() if self._checkpoint else None) or {}
        self._scan_state: Mapping[str, Any] | None = state.get("scan")
        if self._checkpoint is not None and not isinstance(self._scan_state, dict | None):
            raise self._checkpoint.damaged()
        self._before, position = (
            self._checkpoint.count(state, name) if self._checkpoint else 0 for name in ("items", "output")
        )
        self._is_saved = bool(state)
        """Whether there is a checkpoint."""
        self._expected = int(target.description.get("ItemCount", 0))
        if state:
            figures.share = self._share()
            figures.share_before = figures.share or 0.0
        try:
            self._output = None if self._was_whole(state) else self._open(position)
        except OSError as error:
            raise (CannotWriteError if error.errno in own_files.FULL else BulkError)(self._why(error)) from error
        if state:
            rest = "; that is all of it" if self._output is None else ""
            shown.say(f"{counted(self._before, 'item was', 'items were')} read before{rest}")

    def _opened_checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint of an export to a file; what another run began is removed, if this one begins anew."""
        output = self._options.output
        if output is None:
            return None
        work = {"format": self._options.form, "ttl": self._options.ttl, **self._target.identity}
        checkpoint = Checkpoint(output.with_name(output.name + ".checkpoint"), work)
        if self._options.restart:
            checkpoint.remove()
            _remove_part(part_of(output))
        return checkpoint

    def _open(self, position: int) -> Output:
        form, output = self._options.form, self._options.output
        line = exported_line if form == "dynamodb-json" else self._plain.line
        if output is None:
            return Stream(line)
        if form == "parquet":
            return ParquetParts(output, position)
        return LineFile(output, line, position)

    def _was_whole(self, state: Mapping[str, Any]) -> bool:
        """Return whether an earlier run has read the whole table. What it has written has its name then.

        Raises:
            BulkError: it is not there.
            OSError: it can't be moved.
        """
        output = self._options.output
        if _WHOLE not in state or self._checkpoint is None or output is None:
            return False
        is_whole = is_whole_folder if self._options.form == "parquet" else is_whole_file
        size = self._checkpoint.count(state, _WHOLE)
        finish_whole(output, lambda path: is_whole(path, size))
        return True

    def run(self) -> None:
        """Read the table.

        Raises:
            BulkError: the table is not the one that was begun with.
            CannotWriteError: the output can't be written.
            ClientError, BotoCoreError: AWS has something against it, or the way there is closed.
        """
        if self._output is not None:
            try:
                self._write(self._output)
            except OSError as error:
                raise CannotWriteError(self._why(error)) from error
            finally:
                self._output.close()
        if self._checkpoint is not None:
            self._checkpoint.remove()
        for hint in self._plain.hints():
            self._shown.say(hint)

    def _write(self, output: Output) -> None:
        self._read(output)
        size = output.complete()
        if self._is_saved and self._checkpoint is not None:  # else a run that is killed from here on leaves nothing
            items = self._before + self._figures.items
            self._checkpoint.write({_WHOLE: size, "items": items})
        output.finish()

    def _read(self, output: Output) -> None:
        self._due = time.monotonic() + _COMMIT_SECONDS
        options, figures, shown, write = self._options, self._figures, self._shown, output.write
        try:
            scan = self._target.table.parallel_scan(
                segments=options.segments,
                read_units_per_second=options.read_units_per_second,
                on_page=partial(self._page_given, output),
                resume=self._scan_state,
                **({"ConsistentRead": True} if options.consistent_read else {}),
            )
            with scan as items:
                for item in items:
                    write(item)
                    figures.items += 1
                    shown.tick()
        except ValueError as error:
            hint = "" if self._scan_state is None else "; --restart begins anew"
            raise BulkError(f"{error}{hint}") from error

    def _page_given(self, output: Output, scan_state: Mapping[str, Any]) -> None:
        """Commit what was written, if it is time to: all items that `scan_state` counts as given are."""
        self._figures.share = self._share()
        if time.monotonic() < self._due:
            return
        position = output.commit()
        if position is not None and self._checkpoint is not None:
            items = self._before + self._figures.items
            self._checkpoint.write({"scan": dict(scan_state), "output": position, "items": items})
            self._is_saved = True
        self._due = time.monotonic() + _COMMIT_SECONDS

    def _share(self) -> float | None:
        """Return the share of the table that was read: by the number of items that DescribeTable gives, hours old."""
        if not self._expected:
            return None
        return min(1.0, (self._before + self._figures.items) / self._expected)

    def _why(self, error: OSError) -> str:
        return f"{self._options.output or 'standard output'} can't be written: {own_files.why(error)}"


def _remove_part(part: Path) -> None:
    """Remove what another run has begun to write.

    Raises:
        BulkError: it is a folder with something else in it.
    """
    if part.is_symlink() or not part.is_dir():
        part.unlink(missing_ok=True)
        return
    for path in own_parts(part):
        path.unlink()
    part.rmdir()
