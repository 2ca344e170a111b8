"""Progress on standard error: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from .figures import Figures

_LINE_SECONDS = 10.0
_BAR_SECONDS = 0.25


class Progress:
    """Shows figures now and then. This one writes plain lines."""

    every = _LINE_SECONDS
    """Seconds between two looks."""

    def __init__(self, title: str, figures: Figures) -> None:
        """Begin to show `figures`, which change."""
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
        """Say something that stays."""
        say(line)

    def close(self) -> None:
        """End it."""


class Bar(Progress):
    """Shows a bar, by rich."""

    every = _BAR_SECONDS

    def __init__(self, title: str, figures: Figures) -> None:
        """Begin to show `figures`, which change."""
        from rich.console import Console  # noqa: PLC0415 - only on a terminal
        from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn  # noqa: PLC0415 - as above
        from rich.progress import Progress as RichProgress  # noqa: PLC0415 - as above

        columns = (
            SpinnerColumn(),
            TextColumn("{task.fields[title]}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[line]}", markup=False),
        )
        self._live: Any = RichProgress(*columns, console=Console(stderr=True, highlight=False))
        self._task = self._live.add_task("", total=None, title=title, line="")
        self._live.start()
        super().__init__(title, figures)

    def show(self, line: str) -> None:
        """Show a line of figures beside the bar."""
        share = self._figures.share
        self._live.update(self._task, total=None if share is None else 1.0, completed=share or 0.0, line=line)

    def say(self, line: str) -> None:
        """Say something above the bar."""
        self._live.console.print(line, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the last figures in, and leave the bar as it is."""
        self.show(self._figures.line(time.monotonic()))
        self._live.stop()


@contextmanager
def progress(title: str, figures: Figures, *, live: bool) -> Iterator[Progress]:
    """Show figures while something is done: on a terminal, with rich installed, and `live` true, as a bar."""
    made = (Bar if live and sys.stderr.isatty() and find_spec("rich") is not None else Progress)(title, figures)
    try:
        yield made
    finally:
        made.close()


def say(line: str) -> None:
    """Say a line on standard error: standard output is for data."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a program speaks
