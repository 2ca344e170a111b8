"""What the demo shows in the terminal: a live progress bar, or plain lines if nobody watches, and the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from .figures import Figure, Tone, headline, summary
from .scenario import Scenario
from .tally import Tally

_PIPE_WIDTH = 100


class Screen:
    """The terminal."""

    def __init__(self, *, progress: bool) -> None:
        """Show a live progress bar, unless standard output is no terminal or `progress` is False."""
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(highlight=False, width=_PIPE_WIDTH)
        self._live = progress and self._console.is_terminal

    def intro(self, scenario: Scenario, endpoint_url: str | None) -> None:
        """Print what is going to happen."""
        where = endpoint_url or "an emulator on this machine (moto's server)"
        self._console.print(
            f"{scenario.rows:,} airports and {len(scenario.calls):,} calls at {scenario.calls_per_second:.0f} a second,"
            f" against {where}: through throttling, lost replies, spoilt answers and a {scenario.outage_seconds:.0f} s "
            f"outage. Seed {scenario.seed}.",
            soft_wrap=not self._console.is_terminal,
        )

    def note(self, line: str) -> None:
        """Print what a reader must know of this machine."""
        self._console.print(line, soft_wrap=not self._console.is_terminal)

    @contextmanager
    def phase(self, client: str, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a stretch of work; gives what to call with the number of steps done."""
        if not self._live:
            began = time.monotonic()
            yield lambda _steps: None
            self._console.print(f"{client}: {what}: {total:,} done in {time.monotonic() - began:.1f} s")
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(f"{client}: {what}", total=total)
            yield lambda steps: progress.advance(task, steps)

    def result(self, tallies: Sequence[Tally], lines: Sequence[Figure]) -> None:
        """Show the table, and what it comes to."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("")
        for tally in tallies:
            table.add_column(tally.client, justify="right")
        for group, members in groupby(lines, key=lambda line: line.group):
            table.add_row(Text(f"{group}:", style="bold"))
            for line in members:
                cells = [Text(value, style=_STYLES[tone]) for value, tone in zip(line.values, line.tones, strict=True)]
                table.add_row(f"  {line.label}", *cells)
        self._console.print()
        self._console.print(table)
        for sentence in (headline(tallies), *map(summary, tallies)):
            self._console.print(sentence, soft_wrap=not self._console.is_terminal)

    def done(self, report: Path, seconds: float) -> None:
        """Print where the report is."""
        self._console.print(
            f"Everything was read back from the table itself. Report: {report} ({seconds:.0f} s in all)", soft_wrap=True
        )


_STYLES = {Tone.PLAIN: "", Tone.WRONG: "bold red", Tone.FAILED: "magenta", Tone.CACHED: "yellow"}
