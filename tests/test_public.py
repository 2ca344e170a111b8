"""Public names: each is itself, whatever was imported; `dir()` shows them; what is made says what it is."""

import contextlib
import dataclasses
import gc
import importlib.util
import inspect
import json
import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from batch_support import let_go

import resilient_ddb as rddb
from resilient_ddb.bulk import settings
from resilient_ddb.events import Record
from resilient_ddb.hooks import status
from resilient_ddb.testing import FakeClock, FaultProxy, faults

HAS_AIO = importlib.util.find_spec("aiobotocore") is not None
MODULES = ["", "events", "fallback", "observers", "sharding", "spark", "storages", "testing", "testing.faults", "ttl"]
MODULES += ["aio"] if HAS_AIO else []
TELL = """
import importlib, json, pkgutil, sys
import resilient_ddb

def public():
    found = {}
    for name in json.loads(sys.argv[1]):
        module = importlib.import_module("resilient_ddb" + ("." + name if name else ""))
        for one in module.__all__:
            try:
                value = getattr(module, one)
            except ImportError as error:  # an extra that is not installed
                assert "pip install" in str(error) or error.name == "aiobotocore"
                continue
            found[module.__name__ + "." + one] = (type(value).__name__, getattr(value, "__module__", ""))
    return found

def import_all():
    for found in pkgutil.walk_packages(resilient_ddb.__path__, "resilient_ddb."):
        if not found.name.endswith("__main__"):
            try:
                importlib.import_module(found.name)
            except ImportError as error:  # an extra that is not installed
                if (error.name or "").startswith("resilient_ddb"):
                    raise

def as_text():
    return json.dumps(public())

if sys.argv[2] == "first":
    import_all()
print(as_text())
if sys.argv[2] != "first":
    import_all()
    print(as_text())
"""


def told(order):
    done = subprocess.run(  # noqa: S603 - what is run is written above
        [sys.executable, "-c", TELL, json.dumps(MODULES), order],
        env={**os.environ, "PYTHONPATH": str(Path(rddb.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_public_name_is_itself_after_every_submodule_was_imported():
    before, after = told("last")
    [at_once] = told("first")
    assert before == after == at_once
    assert before["resilient_ddb.deadline"][0] == "function"


@pytest.mark.parametrize("name", MODULES)
def test_dir_shows_what_is_public(name):
    module = rddb
    for part in filter(None, name.split(".")):
        module = getattr(module, part)
    if name != "testing.faults":  # a plain module of faults
        assert dir(module) == sorted(module.__all__)
    for one in module.__all__:
        try:
            assert getattr(module, one) is not None
        except ImportError as error:  # an extra that is not installed
            assert "pip install" in str(error)  # noqa: PT017 - only then


def asked(call, error):
    """Answer nothing."""


def made():
    pytest.importorskip("aiobotocore")
    from resilient_ddb import aio  # noqa: PLC0415 - an extra

    table, twin = rddb.table("orders", region_name="eu-west-1"), aio.table("orders")
    stale = rddb.fallback.stale()
    policy = rddb.Policy(observers=[rddb.observers.LoggingObserver()], fallback=stale | asked)
    yield from (policy, policy.retry, policy.retry_budget, policy.circuit_breaker, policy.timeouts, policy.clock)
    yield from (stale, rddb.fallback.replica("us-east-1"), rddb.fallback.function(asked), stale | asked)
    yield from (rddb.fallback.response({"Item": {"pk": "secret"}}), rddb.observers.LoggingObserver())
    for one in (table, twin):
        sharded = one.sharded(4, by="sk")
        yield from (one, sharded, one.versioned(), sharded.versioned(), one.batch_writer(), sharded.batch_writer())
        yield from (one.get_items([]), one.parallel_scan(2))
        yield from (one.query_items(), one.scan_items())
    yield twin.query_many_items(["a"])
    limiter = rddb.RateLimiter(5)
    yield from (limiter, rddb.SharedRateLimiter(table, "n", 5), table.batch_writer().report)
    yield from (aio.resource("dynamodb"), aio.client("dynamodb"), twin.meta.client)
    yield from (FakeClock(), FaultProxy("http://127.0.0.1:1"), faults.Throttle(), rddb.DELETE, rddb.response_info({}))
    yield rddb.classify({"Code": "ThrottlingException"})
    yield rddb.CircuitOpenError(operation_name="GetItem", circuit="t/read", state="open", reason="r", retry_after=1)


def test_what_is_public_says_what_it_is():
    for one in made():
        text = repr(one)
        assert " at 0x" not in text, text
        assert "secret" not in text
        assert type(one).__name__.removeprefix("Async").removeprefix("_") in text or "." in text or "client" in text
    gc.collect()


def test_a_repr_says_how_much_is_left():
    batch = rddb.table("orders", region_name="eu-west-1").batch_writer()
    assert repr(batch) == "<BatchWriter of table 'orders', 0 requests to write>"
    batch.put_item(Item={"pk": "a"})
    assert repr(batch) == "<BatchWriter of table 'orders', 1 request to write>"
    let_go(batch)


def test_an_iterator_says_what_it_runs_over():
    table = rddb.table("orders", region_name="eu-west-1")
    items = table.query_items()
    assert repr(items) == "<ItemIterator of table 'orders', by query_items>"
    items.close()
    assert next(items, "over") == "over"
    assert repr(table.scan_items()).endswith("by scan_items>")


def test_a_chain_reads_as_it_was_written():
    chain = rddb.fallback.replica("us-east-1", endpoint_url="http://x") | asked
    assert repr(chain) == "fallback.replica('us-east-1', endpoint_url='http://x') | asked"


def of_facts():
    """Return the public classes that hold facts or settings, and those that public functions return."""
    homes = [rddb, rddb.events, rddb.sharding, rddb.testing, status, settings]
    found = {one for home in homes for one in vars(home).values() if inspect.isclass(one)}
    for name in rddb.__all__:
        with contextlib.suppress(ImportError):  # an extra that is not installed
            found |= {getattr(rddb, name)} if inspect.isclass(getattr(rddb, name)) else set()
    found.add(rddb.sharding.ReshardReport)
    public = [one for one in found if not one.__name__.startswith("_") and one.__module__.startswith("resilient_ddb")]
    return sorted(filter(names_of, public), key=lambda one: one.__name__)


def names_of(cls):
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls) if field.init and not field.name.startswith("_")]
    return list(cls._names) if issubclass(cls, Record) and cls is not Record else []


INTERNAL = {"BatchSettings"}


@pytest.mark.parametrize("cls", [cls for cls in of_facts() if cls.__name__ not in INTERNAL], ids=lambda c: c.__name__)
def test_help_explains_each_field_of_a_record(cls):
    text = pydoc.plain(pydoc.render_doc(cls))
    explained = inspect.getdoc(cls).partition("Fields:\n")[2]
    for name in names_of(cls):
        assert re.search(rf"^    {name}: \S.*\n        \S", explained, re.MULTILINE), name
    assert " |  Fields:\n" in text


def test_a_record_of_which_no_source_is_there_has_the_words_about_it(monkeypatch):
    def nowhere(_):
        raise OSError("could not get source code")

    monkeypatch.setattr(inspect, "getsource", nowhere)
    assert inspect.getdoc(rddb.BatchReport) == "What a batch writer has done so far: `batch.report`."


def test_no_source_is_read_as_the_package_is_used():
    program = """
import inspect
inspect.getsource = None
import resilient_ddb as rddb
from resilient_ddb.testing import faults
rddb.Policy(), rddb.Policy().replace(fallback=rddb.fallback.stale()), faults.Hang()
rddb.status(rddb.table("orders", region_name="eu-west-1"))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603 - written above


def test_help_of_a_table_s_type_names_boto3s_verbs():
    boto3s = type(boto3.Session(region_name="eu-west-1").resource("dynamodb").Table("orders"))
    verbs = {name for name, value in vars(boto3s).items() if inspect.isfunction(value) and name[0] != "_"}
    assert {"get_item", "wait_until_exists"} <= verbs
    kinds = [rddb.Table] + ([rddb.aio.Table] if HAS_AIO else [])
    for kind in kinds:
        own = {name for name in dir(kind) if name[0] != "_"}
        assert verbs - own <= set(re.findall(r"`(\w+)`", kind.__doc__))


def test_no_sync_object_can_be_awaited():
    assert not inspect.isawaitable(rddb.table("orders", region_name="eu-west-1"))


@pytest.mark.parametrize("name", ["Table", "ResilientTable", "ResilientServiceResource"])
def test_who_makes_a_table_by_its_type_hears_what_makes_one(name):
    with pytest.raises(TypeError, match=r"names a type, for annotations: make one by resilient_ddb\.resource\("):
        getattr(rddb, name)("orders")


@pytest.mark.parametrize("name", ["Table", "AsyncTable", "AsyncServiceResource"])
def test_who_makes_an_async_table_by_its_type_hears_what_makes_one(name):
    aio = pytest.importorskip("resilient_ddb.aio", exc_type=ImportError)
    with pytest.raises(TypeError, match=r"names a type, for annotations: make one by resilient_ddb\.aio\.resource\("):
        getattr(aio, name)("orders")


def test_table_is_the_type_of_what_is_made():
    table = rddb.table("orders", region_name="eu-west-1")
    assert isinstance(table, rddb.Table)
    assert rddb.Table is rddb.ResilientTable
