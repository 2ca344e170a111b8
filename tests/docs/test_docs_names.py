"""Every name that prose gives is there: of a module, of a class, and of the objects that pages call by one name.

Examples run. What prose and tables say beside them does not, so names are held here.
"""

import ast
import importlib.util
import inspect
import keyword
import re
from pathlib import Path

import pytest
from listed import DOCS, literals, tables

import resilient_ddb as rddb
from resilient_ddb import aio, events, fallback, observers, sharding, spark, storages, testing, ttl

spec = importlib.util.spec_from_file_location("writing_check", DOCS / "writing_check.py")
writing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(writing)

ROOT = DOCS.parent
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.rst")), DOCS / "performance.md"]
MODULES = {
    "rddb": rddb,
    "resilient_ddb": rddb,
    **{module.__name__.rpartition(".")[2]: module for module in (aio, fallback, observers, sharding, storages, ttl)},
}
"""What a name with a dot begins with. `events` and `spark` are a table and a session in examples."""
CLASSES = {
    name: value
    for module in (rddb, aio, events, fallback, sharding, spark, testing)
    for name, value in vars(module).items()
    if inspect.isclass(value)
} | {name: getattr(rddb, name) for name in rddb.__all__ if name[0].isupper() and inspect.isclass(getattr(rddb, name))}
ERRORS = [value for value in CLASSES.values() if issubclass(value, rddb.ResilienceError)]
TABLES = [rddb.Table, rddb.VersionedTable, rddb.ShardedTable]
FACTS = [rddb.CallFacts]
OBJECTS = {
    "error": ERRORS,
    "error.resilience": FACTS,
    "resilience": FACTS,
    "batch": [rddb.BatchWriter],
    "batch.report": [rddb.BatchReport],
    "found": [rddb.BatchGet],
    "scan": [rddb.ParallelScan],
    "proxy": [testing.FaultProxy],
    "event": [value for value in CLASSES.values() if value.__module__ == events.__name__],
    "policy": [rddb.Policy],
    "retry": [rddb.Retry],
    **dict.fromkeys(("table", "orders", "docs", "events", "sharded", "grown"), TABLES),
}
"""What pages call an object of these classes."""
OF_BOTO3 = {"get_item", "meta", "name", "put_item", "query", "scan", "table_status"}
"""Attributes of a Table that its resource model has."""
OF_BOTOCORE = {"__cause__", "response", "scan_state", "type"}
"""Attributes of errors that other classes have, or that are added to them; `error.type` is OpenTelemetry's."""
BEGINNING = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?!\.\w)")
BESIDE = re.compile(r"\b(?:[Aa]s|[Ii]ts|whose|has)\s+`{1,2}([a-z_]+)`")
"""How prose names an attribute of a class that it names, too: "with its requests as `requests`"."""


def attributes(cls):
    """Return what an object of a class has: what the class has, and what is set in its making."""
    names = set(dir(cls))
    for base in cls.__mro__:
        names |= set(inspect.get_annotations(base))
        if inspect.isfunction(begin := base.__dict__.get("__init__")) and begin.__code__.co_filename != "<string>":
            names |= set(re.findall(r"self\.(\w+)(?:: [^=\n]+)? =", inspect.getsource(begin)))
    return names


def is_there(name):
    """Say whether a dotted name is one of this library's that there is; None: it is not this library's."""
    parts = name.split(".")
    if parts[0] in MODULES:
        found = MODULES[parts[0]]
        for part in parts[1:]:
            if not (hasattr(found, part) or (inspect.isclass(found) and part in attributes(found))):
                return False
            found = getattr(found, part, None)
        return True
    if parts[0] in CLASSES:
        return parts[1] in attributes(CLASSES[parts[0]])
    for beginning in (".".join(parts[:2]), parts[0]):
        classes = OBJECTS.get(beginning)
        rest = parts[beginning.count(".") + 1 :]
        if classes and rest:
            others = OF_BOTO3 if classes is TABLES else OF_BOTOCORE if classes is ERRORS else set()
            return rest[0] in others or any(rest[0] in attributes(cls) for cls in classes)
    return None


def named(text):
    """Return the dotted names at the beginning of the literals in a text. A file's name is none."""
    for literal in re.findall(r"``(.+?)``|(?<!`)`([^`\n]+)`(?!`)", text):
        found = BEGINNING.match("".join(literal))
        if found and not found[0].endswith((".py", ".md", ".rst", ".typed")):
            yield found[0]


def wrong_names(text):
    return [name for name in named(text) if is_there(name) is False]


def wrong_attributes(paragraph):
    """Return what a paragraph says of the errors and reports that it names, and that none of them has."""
    classes = [
        cls
        for name, cls in CLASSES.items()
        if re.search(rf"`{name}`", paragraph) and (cls in ERRORS or name.endswith(("Facts", "Report", "Info", "Event")))
    ]
    if not classes:
        return []
    there = set.union(*map(attributes, classes)) | OF_BOTOCORE
    return [name for name in BESIDE.findall(paragraph) if name not in there and not keyword.iskeyword(name)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_with_a_dot_are_there(page):
    assert wrong_names(page.read_text("utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_attributes_beside_an_error_or_a_report_are_there(page):
    assert [
        (line, names)
        for line, paragraph in writing.paragraphs(page.read_text("utf-8"))
        if (names := wrong_attributes(paragraph))
    ] == []


@pytest.mark.parametrize("wrong", [wrong_names, wrong_attributes])
def test_what_docstrings_name_is_there(wrong):
    paths = [*Path(rddb.__file__).parent.rglob("*.py"), *(ROOT / "examples").glob("*.py")]
    assert [
        (path.name, line, names)
        for path in paths
        for line, paragraph in writing.docstrings(path.read_text("utf-8"))
        if (names := wrong(paragraph))
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "``rddb.fallback.value(response)``",
        "``fallback.value``",
        "``UnprocessedItemsError.items``",
        "``error.resilience.key``",
        "``batch.report.throttled``",
        "``rddb.install(client)``",
        "``error.item``",
    ],
)
def test_a_wrong_name_is_found(text):
    assert wrong_names(f"Call {text} then.")


def test_what_is_not_this_librarys_is_not_looked_into():
    text = "``asyncio.run(main())``, ``time.sleep``, ``events.py``, ``spark.task.maxFailures``"
    assert [is_there(name) for name in named(text)] == [None, None, None]


def test_a_wrong_attribute_beside_its_error_is_found():
    said = "``UnprocessedItemsError`` has every request that is not surely written, in order, as ``{}``."
    assert wrong_attributes(said.format("items")) == ["items"]
    assert wrong_attributes(said.format("requests")) == []
    assert wrong_attributes("It is a ``DuplicateShardItemError``, whose ``items`` are both.") == []


# Tables that list what a class or function has.


def fields(cls):
    return set(cls.__annotations__)


def parameters(*functions):
    return {name for function in functions for name in inspect.signature(function).parameters} - {"self", "params"}


LISTED = [
    ("bulk-writes.rst", "How it went", fields(rddb.BatchReport)),
    (
        "bulk-writes.rst",
        "Bulk writes: a batch writer with a rate limit",
        parameters(rddb.Table.batch_writer, aio.Table.batch_writer),
    ),
    ("bulk-reads.rst", "A whole table", parameters(rddb.Table.parallel_scan) - {"scan_params"}),
    ("operating.rst", "Asking a client", fields(rddb.Status)),
    ("sharding.rst", "Moving everything", fields(sharding.ReshardReport)),
    ("sharding.rst", "Options", parameters(rddb.Table.sharded)),
    ("ttl.rst", "TTL: expired items", fields(rddb.TimeToLive)),
]


@pytest.mark.parametrize(("page", "heading", "there"), LISTED, ids=[f"{page} {heading}" for page, heading, _ in LISTED])
def test_a_table_lists_all_that_there_is_and_nothing_else(page, heading, there):
    [rows] = [rows for title, rows in tables(page) if title == heading]
    assert {name for cell, *_ in rows for name in literals(cell)} == there


def test_the_table_of_fallbacks_has_each_with_its_parameters():
    [rows] = [rows for title, rows in tables("fallbacks.rst") if title == "When it is asked"]
    listed = {}
    for cell, *_ in rows:
        call = ast.parse(literals(cell)[0].replace(" MB", "_000_000"), mode="eval").body
        if isinstance(call, ast.Call):  # a function of the reader's own is none
            listed[call.func.id] = len(call.args) + len(call.keywords)
    assert listed == {name: len(parameters(getattr(fallback, name))) for name in set(fallback.__all__) - {"Call"}}


def test_the_extras_are_listed():
    text = (ROOT / "pyproject.toml").read_text()
    section = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    [rows] = [rows for title, rows in tables("install.rst") if title == "Extras"]
    there = set(re.findall(r"^([\w-]+) = ", section, re.MULTILINE))
    assert {name for cell, *_ in rows for name in literals(cell)} == there


@pytest.mark.parametrize("page", PAGES[1:-1], ids=lambda page: page.name)
def test_no_cell_of_a_table_is_read_as_a_numbered_list(page):
    cells = [cell for _, rows in tables(page.name) for row in rows for cell in row]
    assert [cell for cell in cells if re.match(r"\d+\. ", cell)] == []
