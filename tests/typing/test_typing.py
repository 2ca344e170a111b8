"""What type checkers say of programs that use the library: nothing where they are right, and each mistake where not."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import boto3
import pytest

import resilient_ddb as rddb

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = sorted(HERE.glob("programs/*.py"))
PAGES = {path.stem.replace("-", "_") for path in (*ROOT.glob("docs/*.rst"), *ROOT.glob("docs/*.md"))}
WITHOUT_CODE = {
    *("api", "architecture", "bulk_load", "changelog", "compared"),
    *("examples", "index", "install", "limits", "performance"),
}
"""Pages that show no code of their own: what is said of the command line, of programs and of measurements."""
OF_FRAMEWORKS = {"celery", "django", "fastapi", "flask", "from_aioboto3", "from_tenacity", "powertools"}
"""Pages whose programs are in examples/, or run only with what they are about."""
WITHOUT_TYPES = """
[mypy-types_boto3_dynamodb.*,types_aiobotocore_dynamodb.*]
follow_imports = skip
follow_imports_for_stubs = true
"""
"""What is skipped is as unknown as what is not installed."""
MISTAKE = re.compile(r"#: (?P<code>[\w-]+)$")

CHECKERS = pytest.mark.checkers
pytestmark = pytest.mark.timeout(600)  # a checker reads much, and other tests run beside it


def mypy(cache, *arguments, config=HERE / "mypy.ini"):
    for needed in ("mypy", "types_boto3_dynamodb", "types_aiobotocore_dynamodb"):
        pytest.importorskip(needed, reason="comes with the extra dev")
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--cache-dir", str(cache)]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(  # noqa: S603 - our own
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("mypy")


def test_each_page_of_the_documentation_has_a_program():
    assert {path.stem.rstrip("_") for path in PROGRAMS} == PAGES - WITHOUT_CODE - OF_FRAMEWORKS


@CHECKERS
def test_mypy_has_nothing_to_say_of_the_programs(cache):
    assert mypy(cache, *PROGRAMS) == []


@CHECKERS
def test_mypy_has_nothing_to_say_of_them_where_the_types_of_boto3_are_not_installed(tmp_path):
    config = tmp_path / "mypy.ini"
    config.write_text((HERE / "mypy.ini").read_text() + WITHOUT_TYPES)
    assert mypy(tmp_path, *PROGRAMS, config=config) == []


HAS_STUBS = {"types-boto3", "types-aioboto3"} <= {found.name for found in distributions()}
MISTAKES = [
    "mistakes.py",
    pytest.param(
        "mistakes_with_stubs.py", marks=pytest.mark.skipif(not HAS_STUBS, reason="needs types-boto3 and types-aioboto3")
    ),
]


@CHECKERS
@pytest.mark.parametrize("name", MISTAKES)
def test_mypy_finds_each_mistake(cache, name):
    path = HERE / name
    marked = {
        (number, found["code"])
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (found := MISTAKE.search(line))
    }
    told = [
        re.fullmatch(r".*?:(\d+): error: .*\[([\w-]+)\]", line) for line in mypy(cache, path) if ": error: " in line
    ]
    assert {(int(found[1]), found[2]) for found in told} == marked
    assert len(marked) >= path.read_text().count("def a") > 0


@CHECKERS
@pytest.mark.skipif(shutil.which("pyright") is None, reason="needs pyright, which comes from npm: see .ci/run")
def test_pyright_has_nothing_to_say_of_the_programs():
    command = ["pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - as above
    told = json.loads(done.stdout)
    assert told["generalDiagnostics"] == []
    assert told["summary"]["filesAnalyzed"] == len(PROGRAMS)


# A versioned and a sharded table show what the Table has.


def shown(table):
    """Return what boto3's resource model gives a Table: verbs, and attributes."""
    model = table.meta.resource_model
    shape = table.meta.client.meta.service_model.shape_for(model.shape)
    verbs = {action.name for action in model.actions} | {waiter.name for waiter in model.waiters}
    return verbs | {"load", "reload", "get_available_subresources"}, set(model.get_attributes(shape))


def classes(room):
    """Return the Table, the versioned one and the sharded one."""
    if room == "sync":
        return rddb.Table, rddb.VersionedTable, rddb.ShardedTable
    pytest.importorskip("aiobotocore")
    return rddb.aio.Table, rddb.aio.AsyncVersionedTable, rddb.aio.AsyncShardedTable


@pytest.fixture(scope="module")
def boto3_table():
    session = boto3.Session("a", "b", region_name="eu-north-1")
    return session.resource("dynamodb").Table("t")


OURS = {"query_items", "scan_items", "get_items", "parallel_scan", "query_many", "query_many_items"}
OWN = {
    "versioned": {"put_item", "update_item", "delete_item"},
    "sharded": {"put_item", "update_item", "delete_item", "get_item", "query"},
}
NOT_SHARDED = {"scan", "scan_items", "parallel_scan", "get_items"}


@CHECKERS
@pytest.mark.parametrize("room", ["sync", "aio"])
def test_every_verb_and_attribute_has_the_types_of_the_table(room, cache, tmp_path, boto3_table):
    verbs, attributes = shown(boto3_table)
    prefix, types = ("rddb.aio.Async", "types_aiobotocore") if room == "aio" else ("rddb.", "types_boto3")
    names = {
        "versioned": sorted((verbs | attributes | {"name"} | OURS) - OWN["versioned"]),
        "sharded": sorted((verbs | attributes | {"name"}) - OWN["sharded"] - NOT_SHARDED),
    }
    lines = [
        "import resilient_ddb as rddb",
        f"from {types}_dynamodb.service_resource import Table",
        f"def check(table: {prefix}ResilientTable, boto3: Table, versioned: {prefix}VersionedTable, "
        f"sharded: {prefix}ShardedTable) -> None:".replace("AsyncResilientTable", "AsyncTable"),
    ]
    asked = [(kind, name) for kind, some in names.items() for name in some]
    for kind, name in asked:
        same = "table" if name in OURS else "boto3"
        lines += [f"    reveal_type({same}.{name})", f"    reveal_type({kind}.{name})"]
    program = tmp_path / "verbs.py"
    program.write_text("\n".join(lines) + "\n")
    told = mypy(cache, program)
    revealed = [found[1] for line in told if (found := re.search(r'note: Revealed type is "(.*)"', line))]
    assert len(revealed) == 2 * len(asked), told
    for (kind, name), theirs, ours in zip(asked, revealed[::2], revealed[1::2], strict=True):
        assert ours == theirs, (kind, name)


@pytest.mark.parametrize("room", ["sync", "aio"])
def test_every_verb_can_be_seen_and_says_what_it_does(room, boto3_table):
    verbs, _ = shown(boto3_table)
    _, versioned, sharded = classes(room)
    for cls, wanted in ((versioned, verbs | OURS), (sharded, verbs - NOT_SHARDED)):
        for name in wanted:
            verb = inspect.getattr_static(cls, name)
            assert inspect.getdoc(verb), (cls, name)


@pytest.mark.parametrize("room", ["sync", "aio"])
def test_a_sharded_tables_batch_writer_takes_what_the_tables_takes(room):
    table, _, sharded = classes(room)
    assert inspect.signature(sharded.batch_writer).parameters == inspect.signature(table.batch_writer).parameters


@pytest.mark.parametrize("room", ["sync", "aio"])
def test_what_is_handed_on_takes_what_the_table_takes(room):
    table, versioned, _ = classes(room)
    for name in OURS:
        assert inspect.signature(getattr(versioned, name)) == inspect.signature(getattr(table, name)), name


def test_dir_names_what_the_table_behind_has(boto3_table):
    table = rddb.harden(boto3_table)
    verbs, attributes = shown(table)
    assert verbs | attributes | OURS <= set(dir(table.versioned()))
    assert (verbs | attributes) - NOT_SHARDED <= set(dir(table.sharded(2)))
    assert not NOT_SHARDED & set(dir(table.sharded(2)))
