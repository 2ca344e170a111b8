"""What a load or an export keeps: no other file is lost for it, and what can't be written is said."""

import io
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

import resilient_ddb
from resilient_ddb.cli.bulk import export as export_module
from resilient_ddb.cli.bulk import load as load_module
from resilient_ddb.cli.bulk.progress import printable
from resilient_ddb.testing import FaultProxy, faults

needs_pyarrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="Parquet needs pyarrow")
if sys.platform == "win32":
    pytest.skip("Windows has neither such links nor such limits", allow_module_level=True)
import resource  # noqa: E402 - Windows has none

ROOT = Path(resilient_ddb.__file__).parent.parent
FULL = Path("/dev/full")
GOOD, BAD = '{"pk": "a"}\n', '{"no": "key"}\n'


def texts(path):
    return [json.loads(line)["text"] for line in path.read_text().splitlines()]


# Refused rows of one load are not removed by the next.


def load_stdin(command, table, monkeypatch, rows, *more):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(rows.encode())))
    return command("load", *table.to, "-", "--format", "jsonl", *more)


def test_the_next_load_from_standard_input_keeps_what_the_last_one_refused(command, table, tmp_path, monkeypatch):
    said = [load_stdin(command, table, monkeypatch, f'{{"n": {number}}}\n{GOOD}').err for number in range(3)]
    assert load_stdin(command, table, monkeypatch, GOOD).code == 0
    names = [f"stdin.{table.name}.refused{ending}.jsonl" for ending in ("", "-2", "-3")]
    assert [texts(tmp_path / name) for name in names] == [[f'{{"n": {number}}}'] for number in range(3)]
    assert all(f"see {name}\n" in line for name, line in zip(names, said, strict=True))


@pytest.mark.parametrize("restart", [(), ("--restart",)])
def test_two_files_of_one_name_keep_what_was_refused_of_each(restart, command, table, tmp_path):
    for folder in ("one", "two", "work"):
        (tmp_path / folder).mkdir()
    for folder in ("one", "two"):
        (tmp_path / folder / "items.jsonl").write_text(f'{{"of": "{folder}"}}\n' + GOOD)
        assert command("load", *table.to, f"{folder}/items.jsonl", "--work-dir", "work", *restart).code == 3
    refused = [tmp_path / "work" / f"items.jsonl.{table.name}.refused{ending}.jsonl" for ending in ("", "-2")]
    assert [texts(path) for path in refused] == [['{"of": "one"}'], ['{"of": "two"}']]


def test_a_file_that_was_corrected_keeps_what_was_refused_of_it_before(command, table, tmp_path):
    for rows in (BAD, '{"other": 1}\n' + GOOD, GOOD):
        (tmp_path / "items.jsonl").write_text(rows)
        command("load", *table.to, "items.jsonl")
    refused = [tmp_path / f"items.jsonl.{table.name}.refused{ending}.jsonl" for ending in ("", "-2")]
    assert [texts(path) for path in refused] == [[BAD.strip()], ['{"other": 1}']]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_load_that_goes_on_keeps_its_own_file_and_no_row_twice(command, table, tmp_path, monkeypatch):
    monkeypatch.setattr(load_module, "_STRETCH_ROWS", 50)
    (tmp_path / f"items.jsonl.{table.name}.refused.jsonl").write_text("an earlier load's\n")
    rows = [f"bad {number}" if number % 10 == 5 else json.dumps({"pk": f"{number}"}) for number in range(300)]
    (tmp_path / "items.jsonl").write_text("\n".join(rows))
    with FaultProxy(table.url) as proxy:
        through = (table.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1")
        for every in (1, 4, 3):  # none is acknowledged at first
            proxy.plan = [
                faults.ErrorResponse(code="AccessDeniedException", operations={"BatchWriteItem"}, every=every)
            ]
            assert command("load", *through, "items.jsonl").code in (1, 4)
        proxy.plan = []
        assert command("load", *through, "items.jsonl").code == 3
    path = tmp_path / f"items.jsonl.{table.name}.refused.jsonl"
    assert path.read_text() == "an earlier load's\n"
    assert texts(path.with_name(f"items.jsonl.{table.name}.refused-2.jsonl")) == [f"bad {n}" for n in range(5, 300, 10)]
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("last", ["", BAD], ids=["nothing more", "one more"])
def test_a_load_whose_refused_rows_were_removed_names_no_other_file(last, command, table, tmp_path, monkeypatch):
    monkeypatch.setattr(load_module, "_STRETCH_ROWS", 50)
    (tmp_path / f"items.jsonl.{table.name}.refused.jsonl").write_text("an earlier load's\n")
    (tmp_path / "items.jsonl").write_text(BAD + "".join(f'{{"pk": "{number}"}}\n' for number in range(300)) + last)
    own = f"items.jsonl.{table.name}.refused-2.jsonl"
    with FaultProxy(table.url) as proxy:
        through = (table.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1")
        proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"BatchWriteItem"}, every=7)]
        assert command("load", *through, "items.jsonl").code == 4
        (tmp_path / own).unlink()
        proxy.plan = []
        done = command("load", *through, "items.jsonl")
    assert done.code == 3
    assert ("2 rows refused" if last else "1 row refused") in done.err.splitlines()[-1]
    assert ("refused.jsonl" in done.err, f"see {own}" in done.err) == (False, bool(last))


# No other file is written to through a link.

PLACES = ["checkpoint.new", "checkpoint", "lock", "refused.jsonl"]


@pytest.mark.parametrize("is_there", [True, False], ids=["link", "link to nothing"])
@pytest.mark.parametrize("place", PLACES)
def test_a_load_writes_through_no_link(place, is_there, command, table, tmp_path):
    other = tmp_path / "other"
    if is_there:
        other.write_text("kept")
    (tmp_path / f"items.jsonl.{table.name}.{place}").symlink_to(other)
    (tmp_path / "items.jsonl").write_text(BAD + GOOD)
    done = command("load", *table.to, "items.jsonl")
    assert done.code in (1, 3)
    assert done.code == 3 or "it is a link" in done.err
    assert other.exists() == is_there
    assert not is_there or other.read_text() == "kept"


def test_a_load_that_goes_on_writes_through_no_link(command, table, tmp_path, monkeypatch):
    monkeypatch.setattr(load_module, "_STRETCH_ROWS", 50)
    (tmp_path / "items.jsonl").write_text(BAD + "".join(f'{{"pk": "{number}"}}\n' for number in range(300)))
    refused = tmp_path / f"items.jsonl.{table.name}.refused.jsonl"
    with FaultProxy(table.url) as proxy:
        through = (table.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1")
        proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"BatchWriteItem"}, every=7)]
        assert command("load", *through, "items.jsonl").code == 4
        (tmp_path / "other").write_text("kept" * 100)
        refused.unlink()
        for link in (refused.symlink_to, refused.hardlink_to):
            link(tmp_path / "other")
            done = command("load", *through, "items.jsonl")
            assert (done.code, f"{refused.name} can't be written: it is" in done.err) == (1, True)
            refused.unlink()
    assert (tmp_path / "other").read_text() == "kept" * 100


@pytest.mark.parametrize("is_there", [True, False], ids=["link", "link to nothing"])
@pytest.mark.parametrize("place", ["part", "lock", "checkpoint.new", "checkpoint"])
def test_an_export_writes_through_no_link(place, is_there, command, table, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "_COMMIT_SECONDS", 0.0)
    table.plain.put_item(Item={"pk": "a"})
    other = tmp_path / "other"
    if is_there:
        other.write_text("kept")
    (tmp_path / f"out.{place}").symlink_to(other)
    done = command("export", table.name, *table.where, "--output", "out")
    assert done.code in (0, 1)
    assert done.code == 0 or "it is a link" in done.err
    assert other.exists() == is_there
    assert not is_there or other.read_text() == "kept"
    if done.code == 0:
        assert (tmp_path / "out").read_text() == '{"pk":"a"}\n'
        assert not (tmp_path / "out").is_symlink()


@needs_pyarrow
@pytest.mark.parametrize("restart", [(), ("--restart",)])
@pytest.mark.parametrize("place", ["out", "out.part"])
def test_parts_are_written_to_no_other_folder(place, restart, command, table, tmp_path):
    table.plain.put_item(Item={"pk": "a"})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "part-00007.parquet").write_text("kept")
    (tmp_path / place).symlink_to("other")
    done = command("export", table.name, *table.where, "--format", "parquet", "--output", "out", *restart)
    assert done.code == (0 if restart and place == "out.part" else 1)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["part-00007.parquet"]
    assert (tmp_path / "other" / "part-00007.parquet").read_text() == "kept"


@needs_pyarrow
def test_restart_removes_nothing_but_parts(command, table, tmp_path):
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "notes.txt").write_text("kept")
    for form in ("parquet", "jsonl"):
        done = command("export", table.name, *table.where, "--format", form, "--output", "out", "--restart")
        assert (done.code, "something else in it" in done.err) == (1, True)
    assert (tmp_path / "out.part" / "notes.txt").read_text() == "kept"


# What can't be written is said, with why.


@pytest.fixture
def alone(tmp_path):
    """Return a function that runs the program in a process of its own, in an empty folder, for its code and errors."""

    def run(*arguments, largest=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE):
        limit, environment = None, os.environ | {"PYTHONPATH": str(ROOT)}
        if largest is not None:
            limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))  # noqa: E731 - of this process
            environment.pop("COVERAGE_PROCESS_CONFIG", None)  # coverage could not write what it measures either
        done = subprocess.run(  # noqa: S603  # this interpreter, and this package
            [sys.executable, "-m", "resilient_ddb", *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            stdout=stdout,
            stderr=stderr,
            preexec_fn=limit,  # this process has no threads that hold locks
            timeout=60,
            check=False,
        )
        return done.returncode, (done.stderr or b"").decode()

    return run


def test_refused_rows_that_there_is_no_room_for_stop_the_load(alone, command, table, tmp_path):
    (tmp_path / "items.jsonl").write_text(GOOD + "".join(f'{{"no": "{"x" * 900}{n}"}}\n' for n in range(100)))
    code, said = alone("load", *table.to, "items.jsonl", largest=20_000)
    name = f"items.jsonl.{table.name}"
    assert said.splitlines()[-2:] == [
        f"resilient-ddb: error: {name}.refused.jsonl can't be written: File too large",
        "resilient-ddb: stopped; the same command goes on from the last checkpoint",
    ]
    assert code == 4
    assert command("load", *table.to, "items.jsonl").code == 3
    assert len(texts(tmp_path / f"{name}.refused.jsonl")) == 100


@pytest.mark.parametrize("size", [3000, 0], ids=["later", "from the beginning"])
def test_a_checkpoint_that_there_is_no_room_for_stops_the_load(size, alone, command, table, tmp_path):
    (tmp_path / "items.csv").write_text(f"pk,{'x' * 5000}\na,1\n")
    code, said = alone("load", *table.to, "items.csv", largest=size)
    name = f"items.csv.{table.name}"
    assert f"resilient-ddb: error: the checkpoint {name}.checkpoint can't be written: File too large\n" in said
    assert (code, said.count("\n")) == (4, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items.csv"]
    assert command("load", *table.to, "items.csv").code == 0


@pytest.mark.parametrize("form", ["jsonl", pytest.param("parquet", marks=needs_pyarrow)])
def test_an_export_that_there_is_no_room_for_is_stopped(form, alone, command, table):
    with table.plain.batch_writer() as batch:
        for number in range(30):
            batch.put_item(Item={"pk": f"{number}", "text": os.urandom(5000).hex()})
    export = ("export", table.name, *table.where, "--output", "out", "--format", form)
    code, said = alone(*export, largest=100_000)
    assert said.splitlines()[-2:] == [
        "resilient-ddb: error: out can't be written: File too large",
        "resilient-ddb: stopped; the same command goes on from the last checkpoint",
    ]
    assert code == 4
    assert command(*export).code == 0


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_said(alone, table):
    table.plain.put_item(Item={"pk": "a"})
    with FULL.open("wb") as full:
        code, said = alone("export", table.name, *table.where, stdout=full)
    assert (code, "standard output can't be written: No space left on device" in said) == (1, True)
    assert "unexpected" not in said


# Nobody needs to listen.


@contextmanager
def deaf_pipe():
    """Return a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_a_load_that_nobody_listens_to_goes_on(alone, table, tmp_path):
    rows = "".join(f'{{"pk": "{number}"}}\n{BAD}' for number in range(200))
    (tmp_path / "items.jsonl").write_text(rows)
    with deaf_pipe() as pipe:
        assert alone("load", *table.to, "items.jsonl", stdout=pipe, stderr=pipe)[0] == 3
    assert len(table.stored()) == 200
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "items.jsonl",
        f"items.jsonl.{table.name}.refused.jsonl",
    ]


def test_an_estimate_that_is_read_in_part_is_no_failure(alone, table, tmp_path):
    (tmp_path / "items.jsonl").write_text(GOOD)
    with deaf_pipe() as pipe:
        assert alone("load", *table.to, "items.jsonl", "--dry-run", stdout=pipe) == (0, "")


# Hostile names and checkpoints.

HOSTILE = "\x1b[2Jred\r\n.jsonl"


def test_the_names_of_files_cannot_move_the_cursor(command, table, tmp_path):
    (tmp_path / HOSTILE).write_text(BAD + GOOD)
    done = command("load", *table.to, HOSTILE)
    assert done.code == 3
    assert "\\x1b[2Jred\\r\\n.jsonl, line 1: has no 'pk'" in done.err
    missing = command("load", *table.to, f"no{HOSTILE}")
    exported = command("export", table.name, *table.where, "--output", f"no/{HOSTILE}")
    for said in (done.err, missing.err, exported.err):
        assert all(line.isprintable() for line in said.split("\n")), said


@pytest.mark.parametrize(
    ("line", "shown"),
    [("plain é €", "plain é €"), ("a\nb\x1b\x9b\u202e", "a\\nb\\x1b\\x9b\\u202e"), ("\udcff", "\\udcff")],
)
def test_what_is_said_is_one_printable_line(line, shown):
    assert printable(line) == shown


TAMPERED = [
    *({"position": value} for value in (None, 5, "x", [], [0, 0], [0, 0, 0, 0], ["0", 0, 0], [-1, 0, 0], [0.5, 0, 0])),
    *({"position": value} for value in ([10**9, 1, 1], [10**30, 1, 1], [True, 0, 0], [{}, 0, 0])),
    *({"refused": value} for value in (-1, "1", None, [], 1.5)),
    *({"refused_file": value} for value in (-1, "/etc/passwd", None)),
    *({"refused_bytes": value} for value in (-1, "1")),
]


@pytest.mark.parametrize(
    "name",
    [
        "items.jsonl",
        pytest.param("items.jsonl.gz", marks=pytest.mark.long),
        pytest.param("items.parquet", marks=needs_pyarrow),
    ],
)
def test_a_tampered_checkpoint_of_a_load_is_said_in_one_line(name, command, table, tmp_path, monkeypatch):
    monkeypatch.setattr(load_module, "_STRETCH_ROWS", 50)
    write(tmp_path / name, [{"pk": f"{number}"} for number in range(300)])
    with FaultProxy(table.url) as proxy:
        through = (table.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1")
        proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"BatchWriteItem"}, every=7)]
        assert command("load", *through, name).code == 4
        path = tmp_path / f"{name}.{table.name}.checkpoint"
        check_tampered(path, TAMPERED, lambda: command("load", *through, name))


def test_a_tampered_checkpoint_of_an_export_is_said_in_one_line(command, table, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "_COMMIT_SECONDS", 0.0)
    with table.plain.batch_writer() as batch:
        for number in range(300):
            batch.put_item(Item={"pk": f"{number}", "text": "x" * 9000})
    with FaultProxy(table.url) as proxy:
        where = (table.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1", "--segments", "2")
        proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"Scan"}, every=3)]
        assert command("export", *where, "--output", "out").code == 4
        tampered = [
            *({"output": value} for value in (-1, "1", None, 10**30, 1.5)),
            *({"items": value} for value in (-1, "1", None)),
            *({"whole": value} for value in (-1, "1", None, 10**30, 5)),
            *({"scan": value} for value in (5, "x", [], {"segments": 5}, {"\x1b": 1})),
        ]
        path = tmp_path / "out.checkpoint"
        check_tampered(path, tampered, lambda: command("export", *where, "--output", "out"))


def check_tampered(path, changes, run):
    whole = json.loads(path.read_text())
    texts = [json.dumps({**whole, "state": {**whole["state"], **change}}) for change in changes]
    texts += [json.dumps({**whole, "work": {**whole["work"], "\x1b[2J": 1}}), json.dumps({**whole, "work": []})]
    texts += ["[" * 100_000, "\udcff", json.dumps({**whole, "state": []}), "5", '"x"']
    for text in texts:
        path.write_text(text, errors="surrogateescape")
        done = run()
        said = done.err.splitlines()
        assert (done.code, len(said)) in ((1, 1), (1, 2)), (text[:200], done.err)
        assert "--restart" in said[-1], text[:200]
        assert len(said) == 1 or said[0].endswith("items were read before")
        assert "unexpected" not in done.err
        assert all(line.isprintable() for line in said)


def write(path, items):
    if path.suffix == ".parquet":
        import pyarrow as pa  # noqa: PLC0415 - where it is installed
        from pyarrow import parquet  # noqa: PLC0415 - as above

        parquet.write_table(pa.Table.from_pylist(items), path)
        return
    text = "".join(json.dumps(item) + "\n" for item in items)
    if path.suffix == ".gz":
        import gzip  # noqa: PLC0415 - only here

        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
