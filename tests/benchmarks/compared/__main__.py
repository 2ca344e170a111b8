"""Runs each contender through the same faults, and writes the tables of the page that compares them.

`PYTHONPATH=.:tests python -m benchmarks.compared` takes some ten minutes, on DynamoDB Local. The contenders are
installed into environments of their own, outside the repository. `--write-docs` keeps the results for the page.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import platform
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from emulators import CREDENTIALS, REGION, Emulators

from benchmarks import venvs
from benchmarks.processes import Lines
from resilient_ddb.testing import FaultProxy

from .callers import STATE_TABLE, TEXT
from .contenders import CONTENDERS, Contender, environments
from .page import RESULTS, write
from .scenarios import READS, SCENARIOS, Stage, warm_up

_PATIENCE = 500.0
"""Seconds for one scenario: some wait longer and longer."""
_AT_ONCE = 5
"""Contenders that run at the same time. They wait most of it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compared", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="these contenders; their results alone change"
    )
    parser.add_argument("--fresh", action="store_true", help="make the virtual environments anew, with what is newest")
    parser.add_argument("--write-docs", action="store_true", help="keep the results, and fill the documentation's page")
    args = parser.parse_args(arguments)
    chosen = [each for each in CONTENDERS if not args.only or each.name in args.only]
    made, missing = venvs.make(environments(), fresh=args.fresh)
    for name, why in missing.items():
        print(f"{name} is left out: {why}", file=sys.stderr)
    emulators = Emulators()
    try:
        upstream = emulators.start("dynamodb-local").endpoint_url
        there = [each for each in chosen if each.environment in made]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(lambda each: compare(each, made[each.environment], upstream), there))
    finally:
        emulators.stop()
    results = json.loads(RESULTS.read_text("utf-8")) if args.only and RESULTS.exists() else {"contenders": {}}
    results["date"] = dt.datetime.now(tz=dt.UTC).date().isoformat()
    results["python"] = platform.python_version()
    results["contenders"] |= {each.name: result for each, result in zip(there, found, strict=True)}
    print(json.dumps(results, indent=1))
    if args.write_docs:
        write(results)


def compare(contender: Contender, venv: venvs.Venv, upstream: str) -> dict[str, Any]:
    """Return what became of a contender's calls in each scenario."""
    table = "".join(each if each.isalnum() else "-" for each in contender.name)
    with contextlib.ExitStack() as stack:
        config = Config(proxies={}, retries={"total_max_attempts": 1})
        direct = boto3.Session(region_name=REGION, **CREDENTIALS).resource(
            "dynamodb", endpoint_url=upstream, config=config
        )
        for name in (table, STATE_TABLE):
            make_table(direct, name)
        with direct.Table(table).batch_writer() as batch:
            for number in range(READS):
                batch.put_item(Item={"id": f"read-{number}", "text": TEXT})
        proxy = stack.enter_context(FaultProxy(upstream, seed=1))
        command = [str(venv.python), "-m", "benchmarks.compared.worker", contender.maker, proxy.endpoint_url, table]

        def items() -> dict[str, dict[str, Any]]:
            pages = direct.meta.client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
            return {item["id"]: item for page in pages for item in page["Items"]}

        results: dict[str, Any] = {}
        for name in contender.only or SCENARIOS:
            # a process for each: what one scenario used up, of a budget for retries or so, is not the next one's
            lines = Lines(command, ours=contender.is_ours, timeout=_PATIENCE)
            with contextlib.closing(lines):
                lines.ask()
                stage = Stage(
                    lambda lines=lines, **request: json.loads(lines.ask(json.dumps(request))), proxy, items, table
                )
                warm_up(stage)
                results[name] = SCENARIOS[name](stage)
            print(f"{contender.name}, {name}: {results[name]}", file=sys.stderr, flush=True)
        versions = {
            name: venv.versions[key]
            for name in contender.packages
            for key in (name, name.replace("_", "-"))
            if key in venv.versions
        }
        return {"versions": versions, "results": results}


def make_table(dynamodb: Any, name: str) -> None:
    """Make a table, unless it is there."""
    with contextlib.suppress(dynamodb.meta.client.exceptions.ResourceInUseException):
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )


if __name__ == "__main__":
    main()
