"""What the tests of `resilient-ddb load` and `export` share: the command, run in this process and in one of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from emulators import CREDENTIALS, REGION

import resilient_ddb
from resilient_ddb import cli

ROOT = Path(resilient_ddb.__file__).parent.parent
collect_ignore = [] if find_spec("hypothesis") else ["test_cli_values.py"]


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Return a function that runs the program in this process, in an empty folder; gives its code and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return SimpleNamespace(code=code, out=said.out, err=said.err)

    return run


@pytest.fixture
def start(tmp_path):
    """Return a function that starts the program in a process of its own, in an empty folder; `closed`: as `2>&-`."""
    running = []

    def begin(*arguments, closed="", **options):
        shell = ["sh", "-c", f'exec "$@" {closed}', "sh"] if closed else []
        process = subprocess.Popen(  # noqa: S603  # this interpreter, and this package
            [*shell, sys.executable, "-m", "resilient_ddb", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def table(dynamodb_local, make_table):
    """Return a table on DynamoDB Local: its name, the options that lead to it, and plain boto3's Table of it."""
    return _table(dynamodb_local.endpoint_url, make_table(dynamodb_local.endpoint_url))


@pytest.fixture
def make(dynamodb_local, make_table):
    """Return a function that makes such a table with other keys or indexes."""
    return lambda **arguments: _table(dynamodb_local.endpoint_url, make_table(dynamodb_local.endpoint_url, **arguments))


def _table(url, name):
    plain = boto3.Session(region_name=REGION, **CREDENTIALS).resource("dynamodb", endpoint_url=url).Table(name)

    def stored(key="pk"):
        items, page = [], {}
        while not items or "LastEvaluatedKey" in page:
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]} if "LastEvaluatedKey" in page else {}
            page = plain.scan(ConsistentRead=True, **start)
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                break
        return {item[key]: item for item in items}

    where = ("--endpoint-url", url, "--region", REGION, "--no-progress")
    return SimpleNamespace(name=name, url=url, plain=plain, stored=stored, where=where, to=(name, *where))
