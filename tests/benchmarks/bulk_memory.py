"""The memory of a load of 1,000,000 rows, against the stub: it is to stay flat, under 150 MB resident.

`python -m tests.benchmarks.bulk_memory [ROWS] [FORMAT]` makes a file of so many rows (about 300 bytes each; `jsonl`,
`dynamodb-json`, `csv` or `parquet`) in a temporary folder, loads it with `resilient-ddb load` in a process of its own,
and prints that process's resident memory at each tenth of the way and at its peak. Linux only: it reads /proc.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import items
from .contenders import REPOSITORY
from .processes import environment, stub

_ROWS = 1_000_000
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
_STREET = "x" * 200
_LOAD = "from resilient_ddb.cli import main; raise SystemExit(main())"


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Return rows with keys of their own."""
    for number in range(count):
        yield {
            "pk": f"c-{number % 1000:04}",
            "sk": f"o-{number:08}",
            "n": number,
            "total": number / 4,
            "street": _STREET,
        }


def write(path: Path, form: str, count: int) -> None:
    """Write a file of rows."""
    if form == "parquet":
        _write_parquet(path, count)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if form == "csv":
            writer = csv.DictWriter(file, ["pk", "sk", "n", "total", "street"])
            writer.writeheader()
            writer.writerows(rows(count))
            return
        for row in rows(count):
            line = row if form == "jsonl" else {"Item": {name: _typed(value) for name, value in row.items()}}
            file.write(json.dumps(line) + "\n")


def _typed(value: Any) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _write_parquet(path: Path, count: int) -> None:
    import pyarrow as pa  # noqa: PLC0415 - only for Parquet
    from pyarrow import parquet  # noqa: PLC0415 - as above

    first = pa.Table.from_pylist(list(rows(1)))
    with parquet.ParquetWriter(path, first.schema) as writer:
        for begin in range(0, count, 100_000):
            made = [{**row, "sk": f"o-{begin + at:08}"} for at, row in enumerate(rows(min(100_000, count - begin)))]
            writer.write_table(pa.Table.from_pylist(made, schema=first.schema))


def resident(pid: int) -> float:
    """Return a process's resident memory in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MB


def done(folder: Path) -> int:
    """Return the rows that the checkpoint says are done."""
    for path in folder.glob("*.checkpoint"):
        try:
            return int(json.loads(path.read_text())["state"]["position"][1])
        except (OSError, ValueError):  # between two of them
            pass
    return 0


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else _ROWS
    form = sys.argv[2] if len(sys.argv) > 2 else "jsonl"
    with tempfile.TemporaryDirectory() as name, stub() as url:
        folder = Path(name)
        path = folder / f"items.{'json' if form == 'dynamodb-json' else form}"
        # In another process: Linux counts what the parent had as it forked among a child's peak.
        writer = multiprocessing.get_context("spawn").Process(target=write, args=(path, form, count))
        writer.start()
        writer.join()
        print(f"{count:,} rows of {form}, {path.stat().st_size / 2**20:,.0f} MB; {os.cpu_count()} CPUs")
        access = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "stub")
        began = time.monotonic()
        command = [sys.executable, "-c", _LOAD, "load", items.TABLE, str(path), "--endpoint-url", url]
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*command, "--region", "eu-west-1", "--no-progress"],
            env=environment(ours=False) | access | {"PYTHONPATH": str(REPOSITORY)},
            stderr=subprocess.PIPE,
            text=True,
        )
        next_tenth = 1
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            if (rows_done := done(folder)) >= next_tenth * count / 10:
                print(f"{rows_done:>12,} rows: {resident(process.pid):6.1f} MB", flush=True)
                next_tenth = int(rows_done / count * 10) + 1
            time.sleep(0.1)
        _, status, usage = ended
        assert process.stderr is not None
        print(process.stderr.read().strip())
        seconds = time.monotonic() - began
        cpu = usage.ru_utime + usage.ru_stime
        print(
            f"exit code {os.waitstatus_to_exitcode(status)}, {seconds:.0f} s, {cpu / count * 1e6:.0f} us of CPU a row, "
            f"peak {usage.ru_maxrss / 1024:.1f} MB resident"
        )


if __name__ == "__main__":
    main()
