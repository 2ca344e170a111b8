"""What stands in for botocore around a call: a host, responses as botocore parses them, and a loop of attempts."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pybreaker
import pytest
from botocore.exceptions import ClientError

from resilient_ddb.calls.core import Core
from resilient_ddb.calls.ending import recover, succeed
from resilient_ddb.calls.execution import Execution
from resilient_ddb.hooks.targets import target_of
from resilient_ddb.policy.policy import Policy
from resilient_ddb.testing import FakeClock

ROOT = Path(__file__).parents[1]
KEY = {"pk": {"S": "1"}}
GET = ("GetItem", {"TableName": "t", "Key": KEY})
PUT = ("PutItem", {"TableName": "t", "Item": {"pk": {"S": "1"}, "n": {"N": "1"}}})
ADD = (
    "UpdateItem",
    {
        "TableName": "t",
        "Key": KEY,
        "UpdateExpression": "ADD c :n",
        "ExpressionAttributeValues": {":n": {"N": "1"}},
    },
)


ALONE = SimpleNamespace(lead=lambda key, mark: None, landed=lambda key, mark: None)
"""A host where nobody else asks for the same at the same time."""


def core_of(target: Any) -> Any:
    """Return what the calls of a hardened Table or client go by: for what no caller, event or status tells."""
    return target_of(target, "a test").core


class SleepingClock(FakeClock):
    """That of a machine that sleeps: the monotonic clock stands still meanwhile, and the other one goes on."""

    slept = 0.0

    def time(self):
        return super().time() + self.slept


class ComparedClock(FakeClock):
    """A clock that is compared by its values, as a dataclass is: it can't be hashed."""

    __hash__ = None

    def __eq__(self, other):
        return isinstance(other, ComparedClock)


class ComparedListener(pybreaker.CircuitBreakerListener):
    """A listener that is compared by its values, as a dataclass is: it can't be hashed."""

    __hash__ = None

    def __eq__(self, other):
        return isinstance(other, ComparedListener)


class FakeHost:
    """The client, as a core sees it."""

    native = True

    def __init__(self) -> None:
        self.refreshed = 0
        self.who: tuple[Any, ...] = ("key", "eu-west-1", "https://dynamodb", True)
        self.asked_elsewhere: list[tuple[Any, ...]] = []
        self.region = "eu-west-1"

    def make_error(self, response, operation):
        return ClientError(response, operation)

    def as_given(self, item):
        return dict(item)

    def expire_credentials(self):
        self.refreshed += 1

    def identity(self):
        return self.who

    def elsewhere(self, core, operation, params, region, endpoint_url):
        del core
        self.asked_elsewhere.append((operation, dict(params), region, endpoint_url))
        return {"Item": {"from": region}}


def full_window(low, high):
    """Draw the widest delay there is: what follows is exact."""
    return high


class WidestRandom:
    """Stands in for random.Random in a policy."""

    uniform = staticmethod(full_window)


def make_core(clock: FakeClock | None = None, **policy: Any) -> Core:
    policy.setdefault("random", WidestRandom())
    return Core(Policy(clock=clock or FakeClock(), **policy), FakeHost())


def failed(code: str, status: int = 400, message: str = "no", headers: Any = None, **top: Any) -> dict[str, Any]:
    return {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}, "RequestId": "R"},
        **top,
    }


def good(**top: Any) -> dict[str, Any]:
    return {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RequestId": "R"}, **top}


class Made:
    """A call that was made: what was sent, and how it ended."""

    def __init__(self, core: Core, operation: str, params: dict[str, Any]) -> None:
        self.execution = Execution(core, operation, params)
        self.request = {"body": json.dumps(params).encode()}
        self.sent: list[dict[str, Any]] = []
        self.delays: list[float | None] = []
        self.response: Any = None
        self.error: Exception | None = None

    @property
    def facts(self):
        return self.error.resilience

    @property
    def code(self):
        return self.error.response["Error"]["Code"]


def attempt_all(made: Made, outcomes: Any, took: float = 0.0) -> dict[str, Any]:
    """Do what botocore does: send, settle, wait, send again; raises what it would raise."""
    execution = made.execution
    execution.admit()
    for outcome in outcomes:
        made.sent.append(json.loads(made.request["body"]))
        if took:
            execution.core.clock.advance(took)
        error = outcome if isinstance(outcome, Exception) else None
        parsed = None if error else copy.deepcopy(outcome)
        status = None if error else parsed["ResponseMetadata"]["HTTPStatusCode"]
        delay = execution.settle(status, parsed, error, made.request)
        made.delays.append(delay)
        if delay is not None:
            execution.admit_again()
            continue
        if error is not None:
            raise error
        if status >= 300:
            raise ClientError(parsed, execution.operation)
        return parsed
    return pytest.fail(f"a further attempt was begun after {len(made.sent)}")  # no Exception: it is not recovered from


def call(core: Core, operation: str, params: dict[str, Any], outcomes: Any, took: float = 0.0) -> Made:
    """Make a call whose attempts have these outcomes: parsed responses, or errors."""
    from resilient_ddb.calls.flows import run  # noqa: PLC0415 - only this needs it

    made = Made(core, operation, params)
    try:
        response = attempt_all(made, outcomes, took)
    except Exception as error:  # noqa: BLE001 - recover decides
        try:
            made.response = run(recover(made.execution, error))
        except Exception as raised:  # noqa: BLE001 - the test looks at it
            made.error = raised
    else:
        made.response = succeed(made.execution, response)
    return made


def python(code: str, *options: str) -> str:
    """Run code in an interpreter of its own, and give what it printed."""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, *options, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def assert_passes_with_the_path_forced(file: str) -> None:
    """Run a file of tests again, with all plain calls going past the SDK's inside: see `forced_path`."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(  # noqa: S603 - our own tests
        [sys.executable, "-m", "pytest", "-p", "forced_path", "-q", "-n0", f"tests/{file}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]
