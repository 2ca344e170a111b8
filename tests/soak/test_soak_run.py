"""Runs of the soak against DynamoDB Local: a sound library passes, and broken ones are found."""

from __future__ import annotations

import json
import uuid
from functools import partial
from types import SimpleNamespace

import pytest

pytest.importorskip("aiobotocore")

from emulators import REGION

from resilient_ddb import CallFacts, ResilienceError

from . import __main__, ledgers, listings, registers
from .faults import chosen
from .model import Fault
from .run import OPERATIONS, Settings, lines_of, save, soak
from .sides import SyncSide

PUT = ((registers.put, 3), (registers.update, 1), (listings.get, 3))
ADD = ((ledgers.add, 3), (ledgers.modify, 1), (ledgers.read, 2))


@pytest.fixture
def access():
    """Credentials of a run: DynamoDB Local keeps the tables of each apart."""
    return {
        "region_name": REGION,
        "aws_access_key_id": f"soak{uuid.uuid4().hex}",
        "aws_secret_access_key": "testing",
    }


def settings(**changed):
    calm = {"seed": 1, "seconds": 60.0, "threads": 1, "tasks": 0, "kinds": (), "most_operations": 60}
    return Settings(**{**calm, "outages": False, "read_timeout": 30.0, **changed})


def test_every_operation_passes_through_all_faults(dynamodb_local, access):
    kinds = chosen("all,-hang,-late-after-hang,-stall")  # these wait for a timeout
    through = {"threads": 2, "tasks": 2, "kinds": kinds, "most_operations": 50, "seed": 5}
    report = soak(dynamodb_local.endpoint_url, access, settings(**through))
    assert report.findings == []
    assert report.is_good
    assert report.faults.total() - report.faults["none"] > 10
    assert {side for side, _, _ in report.tally} == {"sync", "async"}
    assert report.looked_at > 10


@pytest.mark.parametrize("operation", [operation for operation, _ in OPERATIONS], ids=lambda each: each.__name__)
def test_each_operation_does_something(dynamodb_local, access, operation):
    first = ((operation, 5), (registers.put, 2), (ledgers.add, 1), (registers.batch, 1))
    report = soak(dynamodb_local.endpoint_url, access, settings(operations=first, tasks=1, most_operations=12))
    assert report.findings == []
    assert report.errors.keys() <= {
        "ConditionalCheckFailedException (ConditionalCheckFailedException)",
        "TransactionCanceledException (TransactionCanceledException)",
        "VersionConflictError (ConditionalCheckFailedException)",
        "DeadlineExceededError (DeadlineExceeded)",
        "TimeoutError (TimeoutError)",
    }


# Broken libraries.


class Broken(SyncSide):
    """Breaks every third call of one verb."""

    verb = ""
    number = 0

    async def call(self, function, /, *args, **params):
        if function.__name__ != self.verb:
            return function(*args, **params)
        self.number += 1
        return (function if self.number % 3 else partial(self.broken, function))(*args, **params)


class Dropping(Broken):
    verb = "put_item"

    def broken(self, function, **params):
        return {"ResponseMetadata": {"HTTPStatusCode": 200, "RetryAttempts": 0}}


class AddingTwice(Broken):
    verb = "update_item"

    def broken(self, function, **params):
        function(**params)
        return function(**params)


class ModifyingTwice(Broken):
    verb = "modify"

    def broken(self, function, *args):
        function(*args)
        return function(*args)


class Remembering(SyncSide):
    """Returns the first answer to a read again and again."""

    def __init__(self, tables):
        super().__init__(tables)
        self.answers = {}

    async def call(self, function, /, *args, **params):
        if function.__name__ != "get_item":
            return function(*args, **params)
        key = repr(params["Key"])
        if key not in self.answers:
            self.answers[key] = function(**params)
        return self.answers[key]


class Blind(Broken):
    verb = "get_item"

    def broken(self, function, **params):
        return {"ResponseMetadata": {"HTTPStatusCode": 200, "RetryAttempts": 0}}


class Denying(Broken):
    verb = "put_item"

    def broken(self, function, **params):
        function(**params)
        error = ResilienceError({"Error": {"Code": "InternalServerError"}}, "PutItem")
        error.resilience = CallFacts(
            table="items", operation="PutItem", kind="transient", attempts=1, elapsed=0.0, ambiguous=False
        )
        raise error


class PuttingAgain(SyncSide):
    """Puts the item of before once more after a put, as if a lost request had been sent again and not been told of."""

    def __init__(self, tables):
        super().__init__(tables)
        self.puts = {}

    async def call(self, function, /, *args, **params):
        answer = function(*args, **params)
        if function.__name__ == "put_item":
            before = self.puts.get(params["Item"]["sk"])
            if before is not None:
                function(**before)
            self.puts[params["Item"]["sk"]] = params
        return answer


class Raw(Broken):
    verb = "get_item"

    def broken(self, function, **params):
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


@pytest.mark.parametrize(
    ("side", "operations", "fault"),
    [
        (Dropping, PUT, Fault.LOST),
        (AddingTwice, ADD, Fault.DOUBLED),
        (ModifyingTwice, ADD, Fault.DOUBLED),
        (Remembering, PUT, Fault.STALE),
        (Blind, PUT, Fault.WRONG),
        (Blind, ADD, Fault.STALE),
        (Denying, PUT, Fault.WRONG),
        (PuttingAgain, PUT, Fault.LOST),
        (Raw, PUT, Fault.WRONG),
    ],
)
def test_a_broken_library_is_found(dynamodb_local, access, side, operations, fault):
    report = soak(dynamodb_local.endpoint_url, access, settings(operations=operations), side)
    assert fault in report.counts, report.findings
    assert not report.is_good


def test_the_findings_are_printed_and_saved_with_the_seed(dynamodb_local, access, tmp_path):
    report = soak(dynamodb_local.endpoint_url, access, settings(operations=PUT, seed=77), Dropping)
    text = "\n".join(lines_of(report))
    assert "seed 77" in text
    assert "FOUND lost: items/" in text
    assert f"{report.counts[Fault.LOST]} lost, 0 doubled" in text
    saved = json.loads(save(report, tmp_path / "new").read_text("utf-8"))
    assert saved["seed"] == 77
    assert saved["counts"]["lost"] == len([each for each in saved["findings"] if each["fault"] == "lost"])
    assert saved["findings"][0]["recent"]
    assert {entry[2] for entry in saved["requests"]} <= {"PutItem", "GetItem", "UpdateItem", "DeleteItem", "Query"}


@pytest.fixture
def program(dynamodb_local, monkeypatch):
    """The program, with an emulator that runs already."""
    emulators = SimpleNamespace(start=lambda _: dynamodb_local, stop=lambda: None)
    monkeypatch.setattr("soak.__main__.Emulators", lambda: emulators)
    return __main__.main


def test_the_program_ends_well(program, capsys):
    seed = uuid.uuid4().int % 10**12
    assert program(["--seconds", "0", "--seed", str(seed), "--threads", "1", "--tasks", "1"]) == 0
    assert f"seed {seed}" in capsys.readouterr().out


def test_the_program_fails_and_says_where_the_findings_are(program, capsys, monkeypatch, tmp_path):
    def broken(url, access, _):
        return soak(url, access, settings(operations=PUT, seed=3), Dropping)

    monkeypatch.setattr("soak.__main__.soak", broken)
    assert program(["--seed", str(uuid.uuid4().int % 10**12), "--out", str(tmp_path)]) == 1
    [path] = tmp_path.iterdir()
    assert str(path) in capsys.readouterr().out


def test_a_failure_of_the_soak_itself_is_no_finding(dynamodb_local, access):
    async def fail(_):
        raise LookupError("a mistake in an operation")

    with pytest.raises(LookupError, match="a mistake"):
        soak(dynamodb_local.endpoint_url, access, settings(operations=((fail, 1),)))
