"""The API page names everything that is public, and the build of the pages has no warning."""

import ast
import inspect
import re
import subprocess
import sys

import pytest
from listed import DOCS, literals, tables

import resilient_ddb as rddb
from resilient_ddb import aio, events, fallback, observers, sharding, spark, storages, testing, ttl
from resilient_ddb.testing import faults

PAGE = (DOCS / "api.rst").read_text()
MODULES = {"aio", "events", "fallback", "observers", "sharding", "spark", "storages", "testing", "faults", "ttl"}


def own_names(module):
    """Return the public classes and functions that a module without `__all__` defines."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and inspect.getmodule(value) is module
        and (inspect.isclass(value) or callable(value))
    }


def described(module):
    """Return the names that the API page describes under a module's heading."""
    title = f"``{module.__name__}``"
    section = PAGE.split(f"\n{title}\n", 1)[1].split("\n``resilient_ddb.", 1)[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith((".. auto", ".. py:data::"))]
    return {line.rpartition(" ")[2].rpartition(".")[2] for line in lines}


@pytest.mark.parametrize(
    "module", [rddb, aio, sharding, spark, storages, testing, faults, ttl], ids=lambda module: module.__name__
)
def test_every_public_name_is_described(module):
    assert described(module) == set(module.__all__) - MODULES
    for name in MODULES & set(module.__all__):
        assert f"{module.__name__}.{name}``" in PAGE


@pytest.mark.parametrize("name", re.findall(r"^``resilient_ddb\.(\w+)``$", PAGE, re.MULTILINE))
def test_every_module_is_there_without_an_import_of_its_own(name):
    program = f"import resilient_ddb; assert resilient_ddb.{name}.__name__ == 'resilient_ddb.{name}'"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603 - our own


WORDS = {"AnyEvent", "ErrorKind", "Observer", "Record", "ThrottlingReason"}


def test_fallbacks_observers_and_events_are_described():
    assert described(fallback) == set(fallback.__all__)
    assert described(observers) == set(observers.__all__)
    others = {"ErrorKind", "Observer", "Record", "ThrottlingReason", "explained", "fields_of"}
    assert described(events) == own_names(events) - others


def test_the_events_fields_are_listed():
    [rows] = [rows for heading, rows in tables("observers.rst") if heading == "Observers"]
    for name, _, fields in rows:
        cls = getattr(events, literals(name)[0])
        assert literals(fields) == list(cls.__annotations__)
    assert {literals(name)[0] for name, *_ in rows} == described(events) - {"Event", "Outcome", "StopReason"}


def test_every_fault_is_in_the_table_of_faults():
    [rows] = [rows for heading, rows in tables("testing.rst") if heading == "The fault proxy"]
    assert {name for cell, *_ in rows for name in literals(cell)} == set(faults.__all__) - {"Fault"}


def test_the_readme_has_the_two_commands_on_lines_of_their_own():
    lines = (DOCS.parent / "README.md").read_text().splitlines()
    for extra, program in (("demo", "resilient-ddb demo"), ("test", "pytest")):
        command = f'python -m venv .venv && .venv/bin/pip install -e ".[{extra}]" && .venv/bin/{program}'
        assert lines.count(command) == 1


def test_the_index_has_every_page_in_one_of_its_parts():
    index = (DOCS / "index.rst").read_text()
    parts = index.split(".. toctree::")[1:]
    assert [re.search(r":caption: (.+)", part)[1] for part in parts] == ["Start", "How-to", "Explanations", "Reference"]
    entries = [line.strip() for part in parts for line in part.splitlines() if re.match(r"    [\w]", line)]
    names = [re.sub(r".*<(.+)>$", r"\1", entry) for entry in entries]
    pages = {path.stem for path in (*DOCS.glob("*.rst"), *DOCS.glob("*.md"))} - {"index"}
    assert sorted(names) == sorted(pages)


def test_the_readme_links_to_what_is_there():
    root = DOCS.parent
    links = re.findall(r"\]\(([^)#:]+)\)", (root / "README.md").read_text())
    assert [link for link in links if not (root / link).exists()] == []
    main = {f"docs/{name}.rst" for name in ("index", "install", "tour", "moving", "errors", "lost-replies", "api")}
    assert main <= set(links)


def test_every_program_is_named_in_the_pages():
    named = {name for page in DOCS.glob("*.rst") for name in re.findall(r"``examples/(\w+\.py)``", page.read_text())}
    assert named == {program.name for program in (DOCS.parent / "examples").glob("*.py")}


def test_programs_say_what_they_are_for():
    for program in (DOCS.parent / "examples").glob("*.py"):
        assert "AWS_ENDPOINT_URL_DYNAMODB" in ast.get_docstring(ast.parse(program.read_text()))
