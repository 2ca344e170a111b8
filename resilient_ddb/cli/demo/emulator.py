"""Starts and stops the emulator that the demo runs against.

It is moto's server. ministack was measured beside it, on 2 cores. Both are ready in 0.3 to 0.5 s. ministack answers
800 GetItem a second where moto answers 430, and 370 queries where moto answers 40 to 50. But ministack 1.5 requires
one exact version of botocore (1.43.106), and so would replace the very boto3 that the demo is about. The demo asks
for 100 calls a second, few of them queries, and moto has room for that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .errors import DemoError

READY_SECONDS = 30.0
STOP_SECONDS = 3.0
_PROGRAM = Path(__file__).with_name("moto_process.py")


@contextmanager
def running_emulator(program: Path = _PROGRAM) -> Iterator[str]:
    """Run the emulator in a process of its own, so that it shares no interpreter lock with the client; give its URL.

    Raises:
        DemoError: it did not start.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and a program of this package
            [sys.executable, "-P", str(program)],  # as a file, without its folder: modules here have common names
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C is for the demo, which then stops it in order
        )
        try:
            yield f"http://127.0.0.1:{_read_port(process, log)}"
        finally:
            _stop(process)


def _read_port(process: subprocess.Popen[bytes], log: IO[bytes]) -> int:
    """Wait for the port that it prints."""
    if process.stdout is None:
        raise DemoError("the emulator has no output to read")
    patience = threading.Timer(READY_SECONDS, process.kill)
    patience.start()
    try:
        line = process.stdout.readline().strip()
    finally:
        patience.cancel()
    if not line.isdigit():
        process.wait()
        log.seek(0)
        said = log.read().decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"it said nothing for {READY_SECONDS:.0f} s"
        raise DemoError(f"the embedded emulator (moto's server) did not start: {why}")
    return int(line)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
