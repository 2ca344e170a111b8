"""A load of 50,000 items into DynamoDB Local, killed with SIGKILL at 20 random moments and started again each time.

`python -m tests.benchmarks.bulk_kills [ITEMS] [KILLS] [SEED]` prints what it did, and then what is in the table: every
key with its last row is to be there. A tenth of the rows are for keys that came before, with other values.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from emulators import CREDENTIALS, REGION, Emulators

from .bulk_memory import done
from .contenders import REPOSITORY
from .processes import environment

_ITEMS, _KILLS = 50_000, 20
_LONGEST = 2.5
_UNITS = "4000"
"""A second: fewer than DynamoDB Local would take, so that the load is not done before the last kill."""
_TABLE = "killed"
_LOAD = "from resilient_ddb.cli import main; raise SystemExit(main())"


def write(path: Path, count: int, chance: random.Random) -> dict[str, int]:
    """Write the rows, of which a tenth replace earlier ones; gives what the table is to hold."""
    wanted: dict[str, int] = {}
    with path.open("w", encoding="utf-8") as file:
        while len(wanted) < count:
            number = len(wanted)
            key = f"k-{number:06}"
            if wanted and chance.random() < 0.1:
                key = f"k-{chance.randrange(max(0, number - 200), number):06}"
            value = chance.randrange(10**9)
            wanted[key] = value
            file.write(json.dumps({"pk": key, "n": value, "text": "x" * chance.randrange(500)}) + "\n")
    return wanted


def start(path: Path, url: str) -> subprocess.Popen[bytes]:
    """Start the load."""
    command = [sys.executable, "-c", _LOAD, "load", _TABLE, str(path), "--endpoint-url", url]
    access = {name.upper(): value for name, value in CREDENTIALS.items()}
    return subprocess.Popen(  # noqa: S603 - our own program
        [*command, "--region", REGION, "--no-progress", "--write-units-per-second", _UNITS],
        env=environment(ours=False) | access | {"PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
    )


def stored(client: Any) -> dict[str, int]:
    """Return what is in the table."""
    pages = client.get_paginator("scan").paginate(TableName=_TABLE, ConsistentRead=True)
    return {item["pk"]["S"]: int(item["n"]["N"]) for page in pages for item in page["Items"]}


def main() -> None:
    """Run it, and print what came of it."""
    given = [int(text) for text in sys.argv[1:]]
    count, kills, seed = [*given, *(_ITEMS, _KILLS, 1)[len(given) :]]
    chance = random.Random(seed)
    os.environ["NO_PROXY"] = "127.0.0.1"
    emulators = Emulators()
    try:
        server = emulators.start("dynamodb-local")
        client = server.client()
        client.create_table(
            TableName=_TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        with tempfile.TemporaryDirectory() as name:
            _run(Path(name), server.endpoint_url, count, kills, chance, client)
    finally:
        emulators.stop()


def _run(folder: Path, url: str, count: int, kills: int, chance: random.Random, client: Any) -> None:
    path = folder / "items.jsonl"
    wanted = write(path, count, chance)
    print(f"{count:,} items, {kills} kills, DynamoDB Local")
    made = 0
    while made < kills:
        process = start(path, url)
        time.sleep(chance.uniform(0.1, _LONGEST))
        if process.poll() is None:
            made += 1
            process.kill()
            process.communicate()
            print(f"kill {made:>2}: {done(folder):>7,} rows acknowledged", flush=True)
        else:
            print(f"it was done before the kill: {process.communicate()[1].decode()}")
            break
    process = start(path, url)
    _, said = process.communicate()
    found = stored(client)
    stale = sum(found.get(key, value) != value for key, value in wanted.items())
    print(said.decode().strip().replace(str(folder), "..."))
    print(
        f"exit code {process.returncode}, {made} kills: {len(found):,} items, {len(wanted.keys() - found.keys())} "
        f"missing, {stale} not of the last row, {len(found.keys() - wanted.keys())} unknown"
    )


if __name__ == "__main__":
    main()
