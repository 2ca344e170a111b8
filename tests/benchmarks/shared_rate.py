"""Four processes share 400 units/s on DynamoDB Local; one is killed: what they use together, second by second.

python -m tests.benchmarks.shared_rate
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

RATE = 400
WORKERS = 4
TABLE, NAME = "rate-leases", "benchmark"
Grants = list[tuple[float, int]]
"""When units were granted, and how many."""
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the workers used together, in units a second."""

    settled: float
    """On average, once they had settled."""
    before: list[int]
    """Second by second, from the first unit to the kill."""
    after: list[int]
    """Second by second, after the kill."""
    taken_up: float
    """Seconds from the kill until they used 95% of the rate again, for good."""


def work(endpoint_url: str, lease_duration: float) -> None:
    """Take units for as long as this process lives, and print when."""
    import resilient_ddb as rddb  # noqa: PLC0415 - the parent may have to find it first

    table = rddb.table(TABLE, endpoint_url=endpoint_url)
    limiter = rddb.SharedRateLimiter(table, NAME, RATE, lease_duration=lease_duration)
    while True:
        limiter.acquire(5)
        print(time.monotonic(), 5, flush=True)  # on Linux, this clock is the same in all processes


@contextmanager
def at_work(endpoint_url: str, lease_duration: float, grants: Grants) -> Iterator[list[subprocess.Popen[str]]]:
    """Have processes share the rate, and note what each of them was granted."""
    import resilient_ddb as rddb  # noqa: PLC0415 - see above

    rddb.SharedRateLimiter.create_table(rddb.resource("dynamodb", endpoint_url=endpoint_url), TABLE)

    def read(worker: subprocess.Popen[str]) -> None:
        for line in worker.stdout or ():
            moment, _, units = line.rstrip().partition(" ")
            grants.append((float(moment), int(units)))

    command = [sys.executable, __file__, "--work", endpoint_url, "--lease-duration", str(lease_duration)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with ExitStack() as running:
        workers = []
        for _ in range(WORKERS):
            worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)  # noqa: S603 - ours
            running.enter_context(worker)
            reader = threading.Thread(target=read, args=(worker,))
            reader.start()
            running.callback(reader.join)
            running.callback(worker.kill)
            workers.append(worker)
        yield workers


def measure(
    endpoint_url: str, *, lease_duration: float = 5.0, settle: float = 6, steady: float = 20, after: float = 15
) -> Figures:
    """Run the workers, kill one, and give what they used."""
    grants: Grants = []
    with at_work(endpoint_url, lease_duration, grants) as workers:
        while not grants:
            time.sleep(0.1)
        began = time.monotonic()
        time.sleep(settle + steady)
        workers[0].kill()
        killed = time.monotonic()
        time.sleep(after)
        over = time.monotonic()

    def used(since: float, until: float) -> float:
        return sum(units for moment, units in grants if since <= moment < until) / (until - since)

    def second_by_second(since: float, until: float) -> list[int]:
        return [round(used(since + n, since + n + 1)) for n in range(int(until - since))]

    windows = [killed + n / 10 for n in range(int(after * 10) - 10)]
    low = [moment for moment in windows if used(moment, moment + 1) < 0.95 * RATE]
    return Figures(
        settled=used(began + settle, killed),
        before=second_by_second(began, killed),
        after=second_by_second(killed, over),
        taken_up=max(low, default=killed) - killed + 0.1,
    )


def main() -> None:
    """Measure, and print."""
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from emulators import CREDENTIALS, REGION, Emulators  # noqa: PLC0415 - found by the line above

    os.environ |= {
        "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": REGION,
    }
    pool = Emulators()
    try:
        figures = measure(pool.start("dynamodb-local").endpoint_url)
    finally:
        pool.stop()
    print(f"rate {RATE} units/s, {WORKERS} processes")
    print("second by second, from the start: ", *figures.before)
    print(f"settled: {figures.settled:.1f} units/s")
    print("second by second, after the kill: ", *figures.after)
    print(f"one killed: its share was taken up after {figures.taken_up:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--lease-duration", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    work(arguments.work, arguments.lease_duration) if arguments.work else main()
