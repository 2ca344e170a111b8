"""What may import what: imports point up, and above the rim there is no I/O."""

from __future__ import annotations

import ast

import pytest
from unit_support import ROOT

PACKAGE = ROOT / "resilient_ddb"
# design.md's list, from the top; a module may import those of its own line and those above it.
LAYERS = [
    {"_version", "events", "settings", "clock", "parts", "reserved", "forks"},
    {"operations", "errors", "portable_errors", "ttl", "paging"},
    {
        "classification",
        "retry",
        "breaker",
        "integrity",
        "deadlines",
        "observers",
        "own_write",
        "expressions",
        "ttl_writes",
        "token_bucket",
        "capacity",
        "projections",
    },
    {"circuit", "pybreaker_storage", "fallback", "item_marks", "remembered", "policy", "ttl_requests"},
    {"batch_settings", "batch_requests", "batch_queue", "batch_passes", "batch_refusals", "batch_shell", "pacing"},
    {
        "execution",
        "core",
        "telling",
        "ending",
        "unanswered",
        "options",
        "batch_buffer",
        "drive",
        "ttl_answers",
        "ttl_calls",
        "versioning",
        "version_numbers",
        "versioned_verbs",
        "idempotent",
        "cursors",
        "read_rate",
        "batch_reads",
        "scan_state",
        "segments",
        "key_schemas",
        "single_flight",
        "batching",
        "fan_in",
        "fan_in_requests",
        "fan_in_flows",
        "shard_layout",
        "shard_reads",
        "sharded_keys",
        "sharded_verbs",
        "sharded_queries",
        "sharded_batches",
        "moving",
        "resharding",
        "sharding",
        "rate_leases",
    },
]
DATA = {"codec.values"}  # below the policies, above what makes calls of several requests
PURE = set().union(*LAYERS)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
BEHIND_A_DOOR = {
    # "Only for annotations" is allowed anywhere; this is a late import that breaks a circle.
    ("circuit", "pybreaker_storage"),
}
FORBIDDEN = (
    "asyncio",
    "aiohttp",
    "aiobotocore",
    "socket",
    "concurrent",
    "multiprocessing",
    "subprocess",
    "urllib3",
    "requests",
)
BOTOCORE = {
    "botocore.exceptions",
    "botocore.parsers",
    "botocore",  # `from botocore import exceptions`
    "boto3.dynamodb.conditions",
}


def tree(name):
    return ast.parse((PACKAGE / f"{name}.py").read_text("utf-8"))


def annotation_only(module):
    """Give the nodes within `if TYPE_CHECKING:`."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found.update(id(inner) for child in node.body for inner in ast.walk(child))
    return found


def imports(name):
    """Give (imported module, names, whether relative) of every import that is run."""
    module = tree(name)
    skipped = annotation_only(module)
    for node in ast.walk(module):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, [], False
        elif isinstance(node, ast.ImportFrom):
            imported = [alias.name for alias in node.names]
            if node.level and not node.module:
                for alias in imported:
                    yield alias, [], True
            else:
                yield node.module, imported, bool(node.level)


@pytest.mark.parametrize("name", sorted(PURE))
def test_imports_point_up(name):
    for imported, _, relative in imports(name):
        if not relative or (name, imported) in BEHIND_A_DOOR:
            continue
        if imported in DATA:
            assert LEVEL[name] == len(LAYERS) - 1
            continue
        assert imported in PURE, f"{name} imports {imported}, which is at the rim"
        assert LEVEL[imported] <= LEVEL[name], f"{name} imports {imported}, which is below it"


@pytest.mark.parametrize("name", ["classification", "retry", "breaker"])
def test_policies_do_not_import_each_other(name):
    imported = {module for module, _, relative in imports(name) if relative}
    assert imported <= {"settings", "operations", "errors", "forks"}


@pytest.mark.parametrize("name", sorted(PURE))
def test_above_the_rim_nothing_does_io(name):
    for imported, names, relative in imports(name):
        assert relative or imported.split(".")[0] not in FORBIDDEN
        if imported.split(".")[0] in ("botocore", "boto3"):
            assert imported in BOTOCORE
            assert (imported, names) == ("botocore", ["exceptions"]) or imported != "botocore"
        assert "sleep" not in names


@pytest.mark.parametrize("name", sorted(PURE))
def test_above_the_rim_nothing_sleeps_or_starts_threads(name):
    used = {node.attr for node in ast.walk(tree(name)) if isinstance(node, ast.Attribute)}
    imported = {member for module, members, _ in imports(name) for member in members if module in ("threading", "time")}
    assert not (used | imported) & {"sleep", "ThreadPoolExecutor", "Popen", "urlopen"}
    if name != "pybreaker_storage":  # shares state with other processes, off the path of calls
        assert not (used | imported) & {"Thread", "Timer", "Event", "Condition", "Semaphore"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_outgrows_500_lines(path):
    assert len(path.read_text("utf-8").splitlines()) <= 500


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_every_module_of_the_pure_part_is_in_the_list():
    rim = {
        "session",
        "clients",
        "connections",
        "tables",
        "table_reads",
        "host",
        "native",
        "listeners",
        "endpoints",
        "hooks",
        "batch",
        "limiter",
        "shared_limiter",
        "spark",
        "spark_values",
        "versioned_tables",
        "sharded_tables",
        "threads",
        "resource_classes",
        "batch_get",
        "parallel_scan",
        "cli",
        "__init__",
        "__main__",
    }
    names = {path.stem for path in PACKAGE.glob("*.py")}
    assert PURE - names == set()
    pure_but_unlisted = {
        name
        for name in names - PURE - rim
        if not any(module.split(".")[0] in (*FORBIDDEN, "boto3", "botocore") for module, _, _ in imports(name))
    }
    assert pure_but_unlisted == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "codec").glob("*.py")), ids=lambda path: path.stem)
def test_the_codec_knows_values_and_json_only(path):
    own = {file.stem for file in (PACKAGE / "codec").glob("*.py")}
    known = {"boto3.dynamodb", "boto3.dynamodb.conditions", "boto3.dynamodb.types", "msgspec", "resilient_ddb.parts"}
    plain = {"base64", "collections.abc", "copy", "decimal", "functools", "json", "operator", "typing", "__future__"}
    imported = {module for module, _, _ in imports(f"codec/{path.stem}")}
    assert imported <= own | known | plain
