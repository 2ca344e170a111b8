"""What a load or an export has done so far, told on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, Any

from resilient_ddb.errors.words import counted

from .sources import Row

_LINE_SECONDS = 10.0
_BAR_SECONDS = 0.25
_BAR_COLUMNS = 20
_SAID_REFUSALS = 5
_MINUTE, _HOUR = 60, 3600


@dataclass(slots=True, kw_only=True)
class Figures:
    """Counts since the program began; what an earlier run did is not in its rates."""

    began: float
    """Monotonic seconds."""
    items: int = 0
    """Written, or read, and acknowledged."""
    refused: int = 0
    """Rows that are in the file of refused rows."""
    units: float = 0.0
    """Capacity units consumed."""
    throttled: float | None = None
    """The share of batches that were held up, by a limit or a lost reply, 0 to 1; None if it is not counted."""
    share: float | None = None
    """The share of the work that is done, 0 to 1; None if it can't be known."""
    share_before: float = 0.0
    """The share that an earlier run did."""
    _said: int = 0

    def note_refusal(self, name: str, row: Row, reason: str, say: Callable[[str], None]) -> None:
        """Count a refused row, and say why for the first few."""
        self.refused += 1
        self._said += 1
        if self._said <= _SAID_REFUSALS:
            where = f"line {row.line:,}" if row.line else f"row {row.number:,}"
            say(f"{name}, {where}: {reason}")
        elif self._said == _SAID_REFUSALS + 1:
            say("further refused rows are not shown here")

    def line(self, now: float) -> str:
        """Return it all in one line."""
        elapsed = max(now - self.began, 0.001)
        parts = [counted(self.items, "item"), f"{self.items / elapsed:,.0f} items/s"]
        if self.units:
            parts.append(f"{self.units / elapsed:,.0f} units/s")
        if self.throttled is not None:
            parts.append(f"{self.throttled:.1%} throttled")
        if self.refused:
            parts.append(f"{self.refused:,} refused")
        left = self.seconds_left(now)
        if left is not None:
            parts.append(f"{span(left)} left")
        return ", ".join(parts)

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds that the rest takes at the rate so far; None if that can't be told."""
        if self.share is None or self.share <= self.share_before:
            return None
        return (now - self.began) / (self.share - self.share_before) * (1.0 - self.share)


def span(seconds: float) -> str:
    """Return a time as people say it: `0:42`, `2:05:00`."""
    whole = round(seconds)
    if whole >= _HOUR:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"
    return f"{whole // _MINUTE}:{whole % _MINUTE:02}"


class Progress:
    """Shows figures now and then. This one writes plain lines."""

    every = _LINE_SECONDS
    """Seconds between two looks."""

    def __init__(self, title: str, figures: Figures) -> None:
        self._title = title
        self._figures = figures
        self._due = time.monotonic() + self.every

    def tick(self) -> None:
        """Show the figures, if it is time to. Cheap."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + self.every
            self.show(self._figures.line(now))

    def show(self, line: str) -> None:
        """Show a line of figures."""
        say(f"{self._title}: {line}")

    def say(self, line: str) -> None:
        """Print a line that stays."""
        say(line)

    def close(self) -> None:
        """End it."""


class Bar(Progress):
    """Shows a bar, by rich."""

    every = _BAR_SECONDS

    def __init__(self, title: str, figures: Figures) -> None:
        from rich.console import Console  # noqa: PLC0415 - only on a terminal
        from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn  # noqa: PLC0415 - as above
        from rich.progress import Progress as RichProgress  # noqa: PLC0415 - as above
        from rich.table import Column  # noqa: PLC0415 - as above

        columns = (
            SpinnerColumn(),
            TextColumn("{task.fields[title]}", markup=False),
            BarColumn(_BAR_COLUMNS),
            TaskProgressColumn(),
            TextColumn("{task.fields[line]}", markup=False, table_column=Column()),  # wrapped where there is no room
        )
        self._live: Any = RichProgress(*columns, console=Console(stderr=True, highlight=False))
        self._task = self._live.add_task("", total=None, title=printable(title), line="")
        self._live.start()
        super().__init__(title, figures)

    def show(self, line: str) -> None:
        """Show a line of figures beside the bar."""
        share = self._figures.share
        total = None if share is None else 1.0
        with _heard_or_not():
            self._live.update(self._task, total=total, completed=share or 0.0, line=printable(line))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        with _heard_or_not():
            self._live.console.print(printable(line), markup=False, soft_wrap=True)

    def close(self) -> None:
        """Show the last figures, and leave the bar as it is."""
        self.show(self._figures.line(time.monotonic()))
        with _heard_or_not():
            self._live.stop()


@contextmanager
def progress(title: str, figures: Figures, *, live: bool) -> Iterator[Progress]:
    """Show figures while something is done: on a terminal, with rich installed, and `live` true, as a bar."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    made = (Bar if live and is_terminal and find_spec("rich") is not None else Progress)(title, figures)
    try:
        yield made
    finally:
        made.close()


def say(line: str) -> None:
    """Print a line on standard error: standard output is for data. Nobody needs to listen: the work goes on."""
    if sys.stderr is not None:
        with _heard_or_not():
            print(printable(line), file=sys.stderr, flush=True)  # noqa: T201 - a program speaks


@contextmanager
def _heard_or_not() -> Iterator[None]:
    """Write to standard error; if nobody reads it any more, it goes nowhere from now on, at Python's end as well."""
    try:
        yield
    except OSError:  # such as a pipe whose reader has gone
        silence(sys.stderr)


def silence(stream: IO[str]) -> None:
    """Send whatever else is written to a standard stream nowhere, with what it has buffered: nobody takes it."""
    with suppress(OSError, ValueError):  # a stream of a test has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def printable(line: str) -> str:
    """Return a line that can't move a terminal's cursor: the names of files and attributes may be hostile."""
    return line if line.isprintable() else "".join(map(_printable, line))


def _printable(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]
