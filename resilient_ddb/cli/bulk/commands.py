"""`resilient-ddb load` and `resilient-ddb export`: their exit codes, and one line for whatever goes wrong."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import stat
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from resilient_ddb.calls.classification import classify
from resilient_ddb.errors import UnprocessedItemsError
from resilient_ddb.errors.words import counted
from resilient_ddb.events import ErrorKind

from .arguments import export_options, load_options
from .checkpoint import alone
from .errors import BulkError, CannotWriteError, UsageError
from .estimate import estimate
from .export import Export
from .load import Load
from .options import ExportOptions, LoadOptions
from .own_files import why
from .progress import Figures, progress, say, silence, span
from .sink import Sink
from .sources import STDIN
from .target import connect, keys_by_name, one_line

DONE, CANNOT, USAGE, REFUSED, STOPPED = 0, 1, 2, 3, 4
GoOn = tuple[int, str]
"""The exit code of what was stopped, and what to do then."""
_FROM_THE_BEGINNING = (STOPPED, "the same command with the same input writes all of it: what is written stays")
_FROM_NOTHING = (CANNOT, "there is nothing to go on from: with --output there would be")
_NOTHING_DONE = (CANNOT, "it was a dry run: nothing was written")
_PASSES = (ErrorKind.THROTTLING, ErrorKind.TRANSIENT, ErrorKind.AMBIGUOUS)


def load(parsed: argparse.Namespace) -> int:
    """Run `resilient-ddb load`; gives its exit code."""
    options = load_options(parsed)
    figures = Figures(began=time.monotonic())
    if parsed.dry_run:
        return _guarded(lambda: _estimate(options, figures), figures, _NOTHING_DONE, verbose=parsed.verbose)
    go_on = _FROM_THE_BEGINNING if STDIN in options.files else _from_the_checkpoint(restart=options.restart)
    return _guarded(lambda: _load(options, figures), figures, go_on, verbose=parsed.verbose)


def export(parsed: argparse.Namespace) -> int:
    """Run `resilient-ddb export`; gives its exit code."""
    options = export_options(parsed)
    figures = Figures(began=time.monotonic())
    go_on = _FROM_NOTHING if options.output is None else _from_the_checkpoint(restart=options.restart)
    return _guarded(lambda: _export(options, figures), figures, go_on, verbose=parsed.verbose)


def _from_the_checkpoint(*, restart: bool) -> GoOn:
    return STOPPED, f"the same command{' without --restart' * restart} goes on from the last checkpoint"


def _load(options: LoadOptions, figures: Figures) -> int:
    options.check()
    target = connect(options.access, key=options.key)
    with (
        progress(f"load {options.access.short_name}", figures, live=options.live) as shown,
        Sink(target, options) as sink,
    ):
        running = Load(options, target, sink, figures, shown)
        running.run()
    took = span(time.monotonic() - figures.began)
    say(f"{counted(figures.items, 'item')} written to {options.access.short_name} in {took}")
    if not figures.refused:
        return DONE
    where = f": see {', '.join(map(str, running.refused))}" if running.refused else ""
    say(f"{counted(figures.refused, 'row')} refused{where}")
    return REFUSED


def _export(options: ExportOptions, figures: Figures) -> int:
    if options.form == "parquet" and options.output is None:
        raise UsageError("Parquet needs --output, a folder")
    output = options.output
    if output is not None and options.form != "parquet" and _is_no_file(output):
        raise BulkError(f"{output} is a folder, a device, a pipe or a link: --output must be a file")
    target = connect(options.access, ttl=options.ttl)
    with (
        nullcontext() if output is None else alone(output.with_name(output.name + ".lock")),
        progress(f"export {options.access.short_name}", figures, live=options.live) as shown,
    ):
        Export(options, target, figures, shown).run()
    took = span(time.monotonic() - figures.began)
    where = output or "standard output"
    say(f"{counted(figures.items, 'item')} of {options.access.short_name} written to {where} in {took}")
    return DONE


def _is_no_file(path: Path) -> bool:
    """Return whether there is something at a path that a file must not take the place of, such as /dev/stdout."""
    return os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode)


def _estimate(options: LoadOptions, figures: Figures) -> int:
    options.check()
    if options.key:
        keys, description = keys_by_name(options.key), {}
    else:
        target = connect(options.access)
        keys, description = target.keys, dict(target.description)
    with progress("dry run", figures, live=options.live) as shown:
        lines = estimate(options, keys, description, figures, shown)
    _print(lines)
    return REFUSED if figures.refused else DONE


def _print(lines: Iterable[str]) -> None:
    """Print what was asked for.

    Raises:
        BulkError: it can't be written. A reader that has read enough is no failure.
    """
    try:
        print("\n".join(lines), flush=True)  # noqa: T201 - a program speaks
    except OSError as error:
        silence(sys.stdout)
        if error.errno != errno.EPIPE:
            raise BulkError(f"standard output can't be written: {why(error)}") from error


def _guarded(work: Callable[[], int], figures: Figures, go_on: GoOn, *, verbose: bool) -> int:
    """Run the work, print in one line what stops it, and return the exit code."""
    if verbose:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("resilient_ddb").setLevel(logging.INFO)  # botocore's would show items
    try:
        with _terminable():
            return work()
    except KeyboardInterrupt:
        return _stopped("interrupted", go_on)
    except (BulkError, BotoCoreError, ClientError) as error:
        _trace(error, verbose=verbose)
        known = isinstance(error, BulkError)
        reason = error.__cause__ if isinstance(error, UnprocessedItemsError) else None
        reason = reason if isinstance(reason, (BotoCoreError, ClientError)) else error
        say(f"resilient-ddb: error: {error if known else one_line(reason)}")
        if isinstance(error, UsageError):
            return USAGE
        passes = isinstance(reason, UnprocessedItemsError | CannotWriteError)
        return _ended(figures, go_on, passes=passes or (not known and classify(reason).kind in _PASSES))
    except OSError as error:
        _trace(error, verbose=verbose)
        say(f"resilient-ddb: error: {error.filename or 'a file'}: {why(error)}")
        return _ended(figures, go_on, passes=False)
    except Exception as error:  # noqa: BLE001 - whatever it is: its text could hold values, and a traceback helps few
        _trace(error, verbose=verbose)
        say(f"resilient-ddb: error: unexpected {type(error).__name__}; --verbose says where from")
        return _ended(figures, go_on, passes=False)


def _trace(error: BaseException, *, verbose: bool) -> None:
    if verbose:
        for line in "".join(traceback.format_exception(error)).splitlines():
            say(line)


def _ended(figures: Figures, go_on: GoOn, *, passes: bool) -> int:
    return _stopped("stopped", go_on) if passes or figures.items else CANNOT


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():  # only there Python takes signals
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stopped(how: str, go_on: GoOn) -> int:
    code, line = go_on
    say(f"resilient-ddb: {how}; {line}")
    return code
