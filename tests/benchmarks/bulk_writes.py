"""How many items of 1 KB a batch writer puts a CPU second: ours, next to boto3's.

`PYTHONPATH=. python -m tests.benchmarks.bulk_writes [ITEMS]` writes 100,000 items with each, to the stub, in turns of
5,000, and prints items a CPU second and the ratio. In the environment that it is run in: boto3 is the one that ours
builds on.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3

import resilient_ddb as rddb

from . import items

ITEMS = 100_000
_TURN = 5_000
_ACCESS = {"region_name": "eu-west-1", "aws_access_key_id": "stub", "aws_secret_access_key": "stub"}
Write = Callable[[int, int], object]


def contenders(url: str) -> dict[str, Write]:
    """Return, for each writer, what puts the items of a range."""
    theirs = boto3.Session().resource("dynamodb", endpoint_url=url, **_ACCESS).Table(items.TABLE)
    ours = rddb.resource("dynamodb", endpoint_url=url, **_ACCESS).Table(items.TABLE)
    return {
        "boto3": _writing(theirs),
        "resilient_ddb": _writing(ours),
        "resilient_ddb, with a rate": _writing(ours, write_units_per_second=10**9),
        "resilient_ddb, 4 workers": _writing(ours, overwrite_by_pkeys=["pk", "sk"], max_workers=4),
    }


def _writing(table: Any, **options: Any) -> Write:
    def write(first: int, count: int) -> None:
        several = items.batch()
        with table.batch_writer(**options) as batch:
            for number in range(first, first + count):
                batch.put_item(Item={**several[number % len(several)], "sk": f"order#{number:08}"})

    return write


def measure(writers: dict[str, Write], count: int, turn: int = _TURN) -> dict[str, float]:
    """Return the CPU seconds of each for `count` items: interleaved, so that the machine's moods fall on all."""
    for write in writers.values():
        write(0, len(items.batch()))
    taken = dict.fromkeys(writers, 0.0)
    for first in range(0, count, turn):
        for name, write in writers.items():
            started = time.process_time()
            write(first, min(turn, count - first))
            taken[name] += time.process_time() - started
    return taken


@contextmanager
def stub() -> Iterator[str]:
    """Run the stub, and give its address."""
    command = [sys.executable, "-m", f"{__package__}.stub"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ITEMS
    with stub() as url:
        taken = measure(contenders(url), count)
    base = taken["boto3"]
    for name, seconds in taken.items():
        print(f"{name}: {count / seconds:,.0f} items a CPU second, {base / seconds:.2f} times boto3's")


if __name__ == "__main__":
    main()
