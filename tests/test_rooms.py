"""What may import what: the rooms of the package in their order, and what the pure ones keep away from."""

from __future__ import annotations

import ast

import pytest
from unit_support import ROOT

PACKAGE = ROOT / "resilient_ddb"
# A room may import itself, and rooms with a smaller number.
FLOORS = {
    "_version": 1,
    "_public": 1,
    "events": 1,
    "codec": 1,
    "errors": 2,
    "policy": 2,
    "dynamodb": 2,
    "fallback": 3,
    "observers": 3,
    "testing": 3,
    "calls": 4,
    "ttl": 5,
    "bulk": 5,
    "http": 3,
    "versioning": 6,
    "sharding": 6,
    "hooks": 6,
    "sync": 7,
    "aio": 7,
    "hardening": 8,
    "spark": 8,
    "lambda_handlers": 5,
    "storages": 8,
    "cli": 8,
    "__init__": 9,  # the front doors
    "__main__": 9,
}
PURE = ("events", "codec", "errors", "policy", "dynamodb", "fallback", "observers", "calls", "ttl", "bulk")
PURE = (*PURE, "versioning", "sharding")
IO = {
    *("asyncio", "aiohttp", "aiobotocore", "socket", "concurrent", "multiprocessing", "subprocess", "urllib3"),
    *("requests", "http", "ssl", "select", "selectors"),
}
BOTOCORES_WORDS = {
    *("boto3.dynamodb", "boto3.dynamodb.conditions", "boto3.dynamodb.types", "boto3.dynamodb.table"),
    *("botocore.exceptions", "botocore.parsers"),
}
OF_THREADS = {"Thread", "Timer", "Event", "Condition", "Semaphore", "ThreadPoolExecutor"}
MAY_SYNCHRONISE = {"calls/pybreaker_storage.py"}  # shares circuits with other processes, off the path of calls

FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}


def imported_by(name):
    """Yield (module, names) of every import, whether it is run or for annotations only."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, []
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parts, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield (inner, []) if inner in MODULES else (module, [alias.name])


def own(name):
    return {module for module, _ in imported_by(name) if module in MODULES} - {name}


def room_of(name):
    return "__init__" if name == "resilient_ddb" else name.split(".")[1]


def short(value):
    return value.removeprefix("resilient_ddb.") if isinstance(value, str) else str(value.relative_to(PACKAGE))


@pytest.mark.parametrize("name", sorted(MODULES), ids=short)
def test_imports_go_down_only(name):
    here = room_of(name)
    for module in own(name):
        there = room_of(module)
        assert here == there or FLOORS[there] < FLOORS[here], f"{name} imports {module}, which is not below it"


def test_nothing_imports_in_a_circle():
    left = {name: own(name) for name in MODULES}
    while ready := {name for name, needs in left.items() if not needs & left.keys()}:
        left = {name: needs for name, needs in left.items() if name not in ready}
    assert left == {}


@pytest.mark.parametrize("name", [name for name in sorted(MODULES) if room_of(name) in PURE], ids=short)
def test_the_pure_rooms_do_no_io_and_start_nothing(name):
    used = {node.attr for node in ast.walk(ast.parse(MODULES[name].read_text())) if isinstance(node, ast.Attribute)}
    for module, members in imported_by(name):
        top = module.split(".")[0]
        assert top not in IO
        if top in ("boto3", "botocore"):
            assert module in BOTOCORES_WORDS or (module, members) == ("botocore", ["exceptions"])
        used |= set(members) if module in ("threading", "time") else set()
    assert not used & {"sleep", "Popen", "urlopen"}
    assert short(MODULES[name]) in MAY_SYNCHRONISE or not used & OF_THREADS


@pytest.mark.parametrize("path", FILES, ids=short)
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


@pytest.mark.parametrize("name", [name for name in sorted(MODULES) if room_of(name) == "codec"], ids=short)
def test_the_codec_knows_values_and_json_only(name):
    known = {"boto3.dynamodb", "boto3.dynamodb.conditions", "boto3.dynamodb.types", "msgspec"}
    plain = {"base64", "collections.abc", "copy", "decimal", "functools", "importlib", "json", "operator", "types"}
    foreign = {module for module, _ in imported_by(name) if module not in MODULES or room_of(module) != "codec"}
    assert foreign <= {*known, *plain, "typing", "__future__"}


def test_the_sync_and_the_async_half_of_http_do_not_know_each_other():
    halves = {half: {name for name in MODULES if f".http.{half}_" in name} for half in ("sync", "aio")}
    assert halves["sync"]
    for half, other in (("sync", "aio"), ("aio", "sync")):
        assert not {module for name in halves[half] for module in own(name)} & halves[other]


def test_the_rims_do_not_know_each_other():
    for here, there in (("sync", "aio"), ("aio", "sync")):
        known = {room_of(module) for name in MODULES if room_of(name) == here for module in own(name)}
        assert there not in known
