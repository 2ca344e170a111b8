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
from pathlib import Path

RATE = 400
WORKERS = 4
SETTLE, STEADY, AFTER = 6, 20, 15
TABLE, NAME = "rate-leases", "benchmark"
REPOSITORY = Path(__file__).parents[2]


def work(endpoint_url: str) -> None:
    """Take units for as long as this process lives, and print when."""
    import resilient_ddb as rddb  # noqa: PLC0415 - the parent needs it for nothing else

    limiter = rddb.SharedRateLimiter(rddb.table(TABLE, endpoint_url=endpoint_url), NAME, RATE)
    while True:
        limiter.acquire(5)
        print(time.monotonic(), 5, flush=True)  # on Linux, this clock is the same in all processes


def main() -> None:
    """Measure, and print."""
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from emulators import CREDENTIALS, REGION, Emulators  # noqa: PLC0415 - found by the line above

    os.environ |= {
        "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": REGION,
        "PYTHONPATH": str(REPOSITORY),
    }
    import resilient_ddb as rddb  # noqa: PLC0415 - it reads the environment

    pool = Emulators()
    try:
        url = pool.start("dynamodb-local").endpoint_url
        rddb.SharedRateLimiter.create_table(rddb.resource("dynamodb", endpoint_url=url), TABLE)
        measure(url)
    finally:
        pool.stop()


def measure(url: str) -> None:
    """Run the workers, kill one, and print the sums."""
    grants: list[tuple[float, int]] = []

    def read(worker: subprocess.Popen[str]) -> None:
        for line in worker.stdout or ():
            moment, units = line.split()
            grants.append((float(moment), int(units)))

    workers = []
    for _ in range(WORKERS):
        command = [sys.executable, __file__, "--work", url]
        workers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))  # noqa: S603 - ourselves
        threading.Thread(target=read, args=(workers[-1],), daemon=True).start()
    try:
        while not grants:
            time.sleep(0.1)
        began = time.monotonic()
        time.sleep(SETTLE + STEADY)
        workers[0].kill()
        killed = time.monotonic()
        time.sleep(AFTER)
        over = time.monotonic()
    finally:
        for worker in workers:
            worker.kill()

    def used(since: float, until: float) -> float:
        return sum(units for moment, units in list(grants) if since <= moment < until) / (until - since)

    def second_by_second(since: float, until: float) -> list[int]:
        return [round(used(since + n, since + n + 1)) for n in range(int(until - since))]

    steps = [killed + n / 10 for n in range(AFTER * 10 - 10)]
    low = [moment for moment in steps if used(moment, moment + 1) < 0.95 * RATE]
    print(f"rate {RATE} units/s, {WORKERS} processes")
    print("second by second, from the start: ", *second_by_second(began, killed))
    print(f"settled: {used(began + SETTLE, killed):.1f} units/s over {killed - began - SETTLE:.0f} s")
    print("second by second, after the kill: ", *second_by_second(killed, over))
    print(f"one killed: its share was taken up after {max(low, default=killed) - killed + 0.1:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    work(arguments.work) if arguments.work else main()
