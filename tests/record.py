"""Records the runs that the documentation's pictures show.

    python -m tests.record demo     # boto3 and this library through the same faults: a minute, on an idle machine
    python -m tests.record load     # `resilient-ddb load` on a terminal, interrupted and run again, on DynamoDB Local
    python -m tests.record redraw   # runs nothing: the README's picture again, from what is recorded

The first two write their file in `docs/recordings`. The first one also draws the README's picture, and fills in its
numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import pty
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

import pictures
from emulators import CREDENTIALS, REGION, Emulators

from resilient_ddb.cli.demo.run import Options, measure
from resilient_ddb.cli.demo.screen import Screen
from resilient_ddb.cli.demo.tally import tally
from resilient_ddb.cli.demo.track import Slot, Track, track
from resilient_ddb.testing import FaultProxy, faults

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
SEED = 5

COLUMNS = 116
ITEMS = 4000
BAD_LINE = 3000
"""The line of the file that has no key."""
ENOUGH = 1500
"""How many items are written when Ctrl-C comes."""
COMMAND = ("load", "orders", "orders.jsonl", "--write-units-per-second", "500")
FAULTS = (faults.Throttle(rate=0.02), faults.LoseReply(rate=0.02))
_FRAME_SECONDS = 0.4
_PAUSE = 0.8
"""Seconds between the two commands."""


def demo() -> None:
    """Run the demo, and write what came of it."""
    options = Options(endpoint_url=None, seed=SEED, records=None, report=Path(), progress=False)
    _, runs, notes = measure(options, Screen(progress=False))
    recorded = {
        "made": f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.system()}",
        "seed": SEED,
        "notes": notes,
        "tallies": [asdict(tally(run)) for run in runs],
        "tracks": [_as_json(track(run, width=0.25)) for run in runs],
    }
    (DOCS / "recordings" / "demo.json").write_text(json.dumps(recorded) + "\n", "utf-8")
    write_demo()


def write_demo() -> None:
    """Draw the README's picture, and fill in its numbers, from the recording."""
    (DOCS / "_static" / "demo.svg").write_text(pictures.alone(pictures.demo()), "utf-8")
    README.write_text(pictures.fill_readme(README.read_text("utf-8")), "utf-8")


def _as_json(cut: Track) -> dict[str, object]:
    """Return a track whose slots are lists of numbers: a tenth of the text."""
    return {**asdict(cut), "slots": [[getattr(slot, name) for name in Slot.__slots__] for slot in cut.slots]}


class Terminal:
    """A terminal's screen: it knows what a line of rich's asks of it, and no more."""

    def __init__(self) -> None:
        self._lines = [""]
        self._row = 0

    def feed(self, text: str) -> None:
        """Take what a program writes."""
        for code, plain in re.findall(r"(\x1b\[[?\d;]*[A-Za-z]|\r|\n)|([^\x1b\r\n]+)", text):
            if code == "\n":
                self._row += 1
                self._lines += [""] * (self._row + 1 - len(self._lines))
            elif code.endswith("K"):
                self._lines[self._row] = ""
            elif code.endswith("A"):
                self._row -= int(code[2:-1] or 1)
            elif plain:
                self._lines[self._row] += plain

    def shown(self) -> list[str]:
        """Return the lines down to the last that holds something."""
        return "\n".join(self._lines).rstrip().split("\n")


def load() -> None:
    """Load a file on a terminal, interrupt it, run the same command again, and write what was seen."""
    emulators = Emulators()
    try:
        server = emulators.start("dynamodb-local")
        client = server.client()
        client.create_table(
            TableName="orders",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        with tempfile.TemporaryDirectory() as folder, FaultProxy(server.endpoint_url, seed=SEED, plan=FAULTS) as proxy:
            (Path(folder) / "orders.jsonl").write_text("".join(rows()), "utf-8")
            frames = list(_frames(folder, proxy.endpoint_url))
        stored = sum(page["Count"] for page in client.get_paginator("scan").paginate(TableName="orders"))
        if stored != ITEMS - 1:
            raise RuntimeError(f"{stored} items are stored")
    finally:
        emulators.stop()
    (DOCS / "recordings" / "load.json").write_text(json.dumps(frames, ensure_ascii=False, indent=0) + "\n", "utf-8")


def rows() -> Iterator[str]:
    """Return the lines of the file that is loaded."""
    for number in range(1, ITEMS + 1):
        row = {"id": f"o-{number:05}", "status": "new"} if number != BAD_LINE else {"status": "new"}
        yield json.dumps(row) + "\n"


def _frames(folder: str, endpoint_url: str) -> Iterator[tuple[float, list[str]]]:
    """Run the command twice; yield the seconds and the screen whenever it has changed."""
    terminal = Terminal()
    clock = 0.0
    for interrupted in (True, False):
        terminal.feed(f"$ resilient-ddb {' '.join(COMMAND)}\n")
        yield clock, terminal.shown()
        began = last = None
        for now, text in _run(folder, endpoint_url, until=ENOUGH if interrupted else None):
            began = now if began is None else began
            terminal.feed(text)
            at = round(clock + _PAUSE + now - began, 2)
            if last is None or at - last >= _FRAME_SECONDS:
                last = at
                yield at, terminal.shown()
        clock = at
        yield clock, terminal.shown()
        clock += _PAUSE


def _run(folder: str, endpoint_url: str, *, until: int | None) -> Iterator[tuple[float, str]]:
    """Run the command on a terminal; yield what it writes, and press Ctrl-C when so many items are written."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ.update(
            AWS_ENDPOINT_URL_DYNAMODB=endpoint_url,
            AWS_ACCESS_KEY_ID=CREDENTIALS["aws_access_key_id"],
            AWS_SECRET_ACCESS_KEY=CREDENTIALS["aws_secret_access_key"],
            AWS_DEFAULT_REGION=REGION,
            COLUMNS=str(COLUMNS),
            NO_COLOR="1",
            TERM="xterm",
            PYTHONPATH=str(ROOT),
        )
        os.execv(sys.executable, [sys.executable, "-m", "resilient_ddb", *COMMAND])  # noqa: S606 - this interpreter
    with suppress(OSError):  # which is how a terminal ends
        while data := os.read(terminal, 65536):
            text = data.decode("utf-8", "replace")
            yield time.monotonic(), text.replace("^C", "")
            written = re.search(r"([\d,]+) items,", text)
            if until is not None and written and int(written[1].replace(",", "")) >= until:
                until = None
                os.write(terminal, b"\x03")
    os.waitpid(child, 0)
    os.close(terminal)


RECORDINGS: dict[str, Callable[[], None]] = {"demo": demo, "load": load, "redraw": write_demo}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.record", description=__doc__)
    parser.add_argument("recording", choices=list(RECORDINGS))
    RECORDINGS[parser.parse_args().recording]()
