"""Recorders, mocks and tracers of others, as they are installed: each gets of ours what it gets of boto3."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from unit_support import ROOT
from wire_stub import WireStub

PROGRAM = Path(__file__).with_name("instrumented.py")
LIBRARIES = {
    "vcrpy": "vcr",
    "httpretty": "httpretty",
    "responses": "responses",
    "sentry_sdk": "sentry_sdk",
    "opentelemetry_botocore": "opentelemetry.instrumentation.botocore",
    "opentelemetry_urllib3": "opentelemetry.instrumentation.urllib3",
    "aws_xray_sdk": "aws_xray_sdk",
    "ddtrace": "ddtrace",
}
"""The programs, and what has to be installed for each."""
CALLS, GOOD_CALLS = 4, 3
"""What the program makes, and those of them that succeed: one that fails teaches nothing of the next one's request."""
SEES_NOTHING = {"responses"}
"""Those that stand before `requests`, which nothing of botocore uses: calls go past botocore's inside as ever."""
SEES_NEW_CONNECTIONS_ONLY = {"httpretty"}
"""Of boto3's calls these see nothing while one that was open before is used. Of ours they do: another one is."""


def is_installed(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a parent
        return False


def answer(operation, _):
    if operation == "Query":
        return {"Count": 0, "ScannedCount": 0, "Items": []}
    if operation == "DeleteItem":
        return 400, {"__type": "x#ConditionalCheckFailedException", "message": "no"}
    return {}


def recorded(library, kind, when):
    with WireStub(answer) as server:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DD_"))}
        run = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, str(PROGRAM), library, kind, when, server.endpoint_url],
            env={**environment, "PYTHONPATH": str(ROOT), "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr[-3000:]
        text = run.stdout.splitlines()[-1].replace(server.endpoint_url.rpartition(":")[2], "PORT")
        return json.loads(text)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_it_gets_what_it_gets_of_boto3(library, when):
    if not is_installed(LIBRARIES[library]):
        pytest.skip(f"{library} is not installed")
    if library in SEES_NEW_CONNECTIONS_ONLY and when == "before":
        pytest.skip("of boto3 it sees nothing")
    boto3s, ours = recorded(library, "boto3", when), recorded(library, "ours", when)
    assert ours["recorded"] == boto3s["recorded"]
    if library in SEES_NOTHING:
        assert ours["recorded"] == []
        assert ours["taken"] == GOOD_CALLS
    else:
        assert len(ours["recorded"]) >= CALLS
        assert ours["taken"] == 0
