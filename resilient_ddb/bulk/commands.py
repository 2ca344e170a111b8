"""`resilient-ddb load` and `resilient-ddb export`: their exit codes, and one line for whatever goes wrong."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from resilient_ddb.classification import Kind, classify
from resilient_ddb.errors import UnprocessedItemsError

from .arguments import export_options, load_options
from .errors import BulkError, UsageError
from .estimate import estimate
from .export import Export
from .figures import Figures, span
from .load import Load
from .options import ExportOptions, LoadOptions
from .progress import progress, say
from .sink import Sink
from .sources import STDIN
from .target import connect, keys_by_name, one_line

DONE, CANNOT, USAGE, REFUSED, STOPPED = 0, 1, 2, 3, 4
GoOn = tuple[int, str]
"""The exit code of what was stopped, and what to do then."""
_FROM_THE_CHECKPOINT = (STOPPED, "the same command goes on from the last checkpoint")
_FROM_THE_BEGINNING = (STOPPED, "the same command with the same input writes all of it: what is written stays")
_FROM_NOTHING = (CANNOT, "there is nothing to go on from: with --output there would be")
_PASSES = (Kind.THROTTLING, Kind.TRANSIENT, Kind.AMBIGUOUS)


def load(parsed: argparse.Namespace) -> int:
    """Run `resilient-ddb load`; gives its exit code."""
    options = load_options(parsed)
    figures = Figures(began=time.monotonic())
    run = _estimate if parsed.dry_run else _load
    go_on = _FROM_THE_BEGINNING if STDIN in options.files else _FROM_THE_CHECKPOINT
    return _guarded(lambda: run(options, figures), figures, go_on, verbose=parsed.verbose)


def export(parsed: argparse.Namespace) -> int:
    """Run `resilient-ddb export`; gives its exit code."""
    options = export_options(parsed)
    figures = Figures(began=time.monotonic())
    go_on = _FROM_NOTHING if options.output is None else _FROM_THE_CHECKPOINT
    return _guarded(lambda: _export(options, figures), figures, go_on, verbose=parsed.verbose)


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
    say(f"{figures.items:,} items written to {options.access.short_name} in {took}")
    if not figures.refused:
        return DONE
    say(f"{figures.refused:,} rows refused: see {', '.join(map(str, running.refused))}")
    return REFUSED


def _export(options: ExportOptions, figures: Figures) -> int:
    if options.form == "parquet" and options.output is None:
        raise UsageError("Parquet needs --output, a folder")
    target = connect(options.access, ttl=options.ttl)
    with progress(f"export {options.access.short_name}", figures, live=options.live) as shown:
        Export(options, target, figures, shown).run()
    took = span(time.monotonic() - figures.began)
    where = options.output or "standard output"
    say(f"{figures.items:,} items of {options.access.short_name} written to {where} in {took}")
    return DONE


def _estimate(options: LoadOptions, figures: Figures) -> int:
    options.check()
    if options.key:
        keys, description = keys_by_name(options.key), {}
    else:
        target = connect(options.access)
        keys, description = target.keys, dict(target.description)
    with progress("dry run", figures, live=options.live) as shown:
        lines = estimate(options, keys, description, figures, shown)
    for line in lines:
        print(line)  # noqa: T201 - what was asked for
    return REFUSED if figures.refused else DONE


def _guarded(work: Callable[[], int], figures: Figures, go_on: GoOn, *, verbose: bool) -> int:
    """Say in one line what stops the work."""
    if verbose:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("resilient_ddb").setLevel(logging.INFO)  # botocore's would show items
    try:
        with _terminable():
            return work()
    except KeyboardInterrupt:
        return _stopped("interrupted", go_on)
    except (BulkError, BotoCoreError, ClientError) as error:
        if verbose:
            traceback.print_exc()
        known = isinstance(error, BulkError)
        say(f"resilient-ddb: error: {error if known else one_line(error)}")
        if isinstance(error, UsageError):
            return USAGE
        passes = isinstance(error, UnprocessedItemsError) or (not known and classify(error).kind in _PASSES)
        if not passes and not figures.items:
            return CANNOT
        return _stopped("stopped", go_on)


@contextmanager
def _terminable() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C."""
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
