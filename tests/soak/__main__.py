"""`python -m tests.soak`: see the package."""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from emulators import CREDENTIALS, REGION, Emulators, cache_folder

from . import STARTED
from .faults import KINDS, chosen
from .run import Settings, lines_of, save, soak


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Soak the library in faults.")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="until the work ends, from the start; 60 by default"
    )
    parser.add_argument("--seed", type=int, default=None, help="decides operations and faults; drawn by default")
    parser.add_argument("--threads", type=int, default=6, help="workers of the sync library; 6 by default")
    parser.add_argument("--tasks", type=int, default=10, help="workers of the async library; 10 by default")
    parser.add_argument("--rate", type=float, default=0.2, help="the share of requests that meet a fault")
    parser.add_argument("--no-outages", action="store_true", help="never let everything fail for a while")
    parser.add_argument(
        "--faults", default="all", help=f"kinds, with commas: 'all', '-name' to leave out. {'; '.join(KINDS)}"
    )
    parser.add_argument("--out", type=Path, default=None, help="the folder for findings; the tests' cache by default")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Soak, print the report, and return the exit code."""
    options = arguments(given)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    access = {"region_name": REGION, **CREDENTIALS, "aws_access_key_id": f"soak{seed}"}
    emulators = Emulators()
    try:
        server = emulators.start("dynamodb-local")
        settings = Settings(
            seed=seed,
            seconds=options.seconds - (time.monotonic() - STARTED),
            threads=options.threads,
            tasks=options.tasks,
            kinds=chosen(options.faults),
            rate=options.rate,
            outages=not options.no_outages,
        )
        report = soak(server.endpoint_url, access, settings)
    finally:
        emulators.stop()
    sys.stdout.write("\n".join(lines_of(report)) + "\n")
    if report.is_good:
        return 0
    path = save(report, options.out or cache_folder() / "soak")
    sys.stdout.write(f"seed {seed} failed; the findings are in {path}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
