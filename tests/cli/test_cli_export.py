"""`resilient-ddb export` against DynamoDB Local, and what `load` makes of it again."""

import json
import os
import time
from decimal import Decimal
from importlib.util import find_spec

import boto3
import pytest
from bulk_support import wait_until
from emulators import CREDENTIALS, REGION
from paging_rings import Ring

from resilient_ddb.cli.bulk import export as export_module
from resilient_ddb.cli.bulk import parquet_parts
from resilient_ddb.testing import FaultProxy, faults

FORMATS = ["dynamodb-json", *(["parquet"] if find_spec("pyarrow") else [])]
ITEMS = [
    {"pk": "plain", "s": 'x\n"y"', "n": Decimal("12345678901234567890.5"), "t": True, "none": None, "e": ""},
    {"pk": "nested", "l": [1, {"m": [None, {"b": b"\1"}]}], "m": {"a": {1, 2}}, "n": 7},
    {"pk": "sets", "ss": {"a", "b"}, "ns": {Decimal("1.5"), 2}, "bs": {b"\0"}, "b": b"\0\xff"},
    {"pk": "other", "n": "text", "s": 5, "t": None, "l": {"no": "list"}, "late": "é€😀"},
    {"pk": "digits", "n": Decimal("1E-130"), "big": Decimal("9.9E+37")},
]


@pytest.fixture
def filled(table):
    for item in ITEMS:
        table.plain.put_item(Item=item)
    return table


@pytest.fixture
def many(table):
    with table.plain.batch_writer() as batch:
        for number in range(600):
            batch.put_item(Item={"pk": f"{number:04}", "n": number, "text": "x" * 9000})
    return table


def lines(path):
    return [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_exported_is_loaded_as_it_was(form, command, filled, make, tmp_path):
    done = command("export", filled.name, *filled.where, "--format", form, "--output", f"out.{form}")
    assert (done.code, done.out) == (0, "")
    assert "5 items" in done.err
    files = sorted((tmp_path / "out.parquet").iterdir()) if form == "parquet" else [f"out.{form}"]
    other = make()
    assert command("load", *other.to, *files, "--format", form).code == 0
    assert other.stored() == filled.stored()
    assert len(filled.stored()) == len(ITEMS)


def test_json_lines_go_to_standard_output_with_hints_for_what_json_has_not(start, filled, command, make, tmp_path):
    process = start("export", filled.name, *filled.where)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    found = {item["pk"]: item for item in (json.loads(line, parse_float=Decimal) for line in out.splitlines())}
    assert set(found) == {item["pk"] for item in ITEMS}
    assert found["plain"]["n"] == Decimal("12345678901234567890.5")
    assert found["sets"]["ss"] == ["a", "b"]
    assert b"'ss' is a string set: to load it, give --type ss:SS" in said
    assert b"'m' has sets or binary values inside" in said
    (tmp_path / "again.jsonl").write_bytes(out)
    other = make()
    types = [option for each in ("ss:SS", "ns:NS", "bs:BS", "b:B") for option in ("--type", each)]
    assert command("load", *other.to, "again.jsonl", *types).code == 0
    for key in ("plain", "sets", "other", "digits"):
        assert other.stored()[key] == filled.stored()[key]


@pytest.mark.parametrize("length", [1, 2])
def test_a_table_whose_pages_lead_back_is_not_read_for_ever(command, filled, length):
    with FaultProxy(filled.url, plan=[Ring(tail=2, length=length, keys=("n",))]) as proxy:
        where = ("--endpoint-url", proxy.endpoint_url, *filled.where[2:])
        done = command("export", filled.name, *where, "--output", "out.jsonl")
        assert proxy.count("Scan") == 2 + length + 1
    assert done.code != 0
    assert f"table '{filled.name}' gives a LastEvaluatedKey (of 'pk', 'n') a second time" in done.err
    assert "Traceback" not in done.err


def test_expired_items_are_left_out(command, table, tmp_path):
    now = int(time.time())
    for name, expires in (("old", now - 60), ("new", now + 600), ("never", None)):
        table.plain.put_item(Item={"pk": name, **({"exp": expires} if expires else {})})
    assert command("export", table.name, *table.where, "--ttl", "exp", "--output", "out.jsonl").code == 0
    assert {item["pk"] for item in lines(tmp_path / "out.jsonl")} == {"new", "never"}


@pytest.mark.parametrize("form", ["jsonl", *FORMATS[1:]])
def test_an_export_that_is_stopped_goes_on_where_it_was(form, command, many, make, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "_COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(parquet_parts, "_PART_ROWS", 50)
    options = ("--segments", "3", "--format", form, "--output", "out")
    with FaultProxy(many.url) as proxy:
        where = (many.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1")
        proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"Scan"}, every=5)]
        done = command("export", *where, *options)
        assert done.code == 4
        assert not (tmp_path / "out").exists()
        before = json.loads((tmp_path / "out.checkpoint").read_text())["state"]["items"]
        assert 0 < before < 600
        assert command("export", *where, *options, "--ttl", "exp").code == 1
        proxy.plan = []
        done = command("export", *where, *options)
    assert done.code == 0
    assert f"{before} items were read before" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    if form == "jsonl":
        found = [item["pk"] for item in lines(tmp_path / "out")]
        assert sorted(found) == [f"{number:04}" for number in range(600)]
    else:
        other = make()
        assert command("load", *other.to, *(tmp_path / "out").iterdir()).code == 0
        assert other.stored() == many.stored()


ENDINGS = [
    ("outputs.LineFile", "finish"),
    ("parquet_parts.ParquetParts", "finish"),
    ("checkpoint.Checkpoint", "remove"),
]


@pytest.fixture
def cut(command, many, monkeypatch):
    """Return a function that exports, and ends as if killed in its last steps; what it returns exports once more."""
    monkeypatch.setattr(export_module, "_COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(parquet_parts, "_PART_ROWS", 50)

    with FaultProxy(many.url) as proxy:
        where = (many.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1", "--segments", "3")

        def run(form, before):
            arguments = ("export", *where, "--format", form, "--output", "out")
            with monkeypatch.context() as patched:
                for name, method in before:
                    patched.setattr(f"resilient_ddb.cli.bulk.{name}.{method}", interrupted)
                assert command(*arguments).code == 4
            proxy.clear()
            return lambda *more: (command(*arguments, *more), proxy.count("Scan"))

        yield run


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("form", ["jsonl", *FORMATS[1:]])
@pytest.mark.parametrize("is_named", [True, False])
def test_an_export_that_was_killed_as_it_ended_is_complete(form, is_named, cut, tmp_path):
    again = cut(form, ENDINGS[2:] if is_named else ENDINGS[:2])
    assert (tmp_path / "out").exists() == is_named
    done, pages = again()
    assert (done.code, pages) == (0, 0), done.err
    assert "600 items were read before; that is all of it" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    if form == "jsonl":
        assert sorted(item["pk"] for item in lines(tmp_path / "out")) == [f"{number:04}" for number in range(600)]


@pytest.mark.parametrize("form", ["jsonl", *FORMATS[1:]])
def test_an_export_that_was_complete_and_is_not_there_is_said(form, cut, tmp_path):
    again = cut(form, ENDINGS[2:])
    (tmp_path / "out").rename(tmp_path / "moved")
    done, _ = again()
    assert (done.code, "out is not what was written before; --restart begins anew" in done.err) == (1, True)
    done, _ = again("--restart")
    assert done.code == 0


def test_a_damaged_output_is_not_gone_on_with(command, many, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "_COMMIT_SECONDS", 0.0)
    with FaultProxy(many.url) as proxy:
        where = (many.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1", "--segments", "3")
        proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"Scan"}, every=5)]
        assert command("export", *where, "--output", "out").code == 4
        proxy.plan = []
        (tmp_path / "out.part").write_text("")
        done = command("export", *where, "--output", "out")
        assert (done.code, "--restart begins anew" in done.err) == (1, True)
        assert command("export", *where, "--output", "out", "--restart").code == 0
    assert len(lines(tmp_path / "out")) == 600


def test_the_rate_is_kept(command, many, tmp_path):
    began = time.monotonic()
    done = command("export", many.name, *many.where, "--read-units-per-second", "200", "--output", "out.jsonl")
    assert done.code == 0
    assert len(lines(tmp_path / "out.jsonl")) == 600
    assert time.monotonic() - began > 0.4  # 300 units, of which 200 at once


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("not-there",), 1, "there is no table 'not-there'"),
        (("--format", "parquet"), 2, "Parquet needs --output"),
        (("--output", "no/such/folder"), 1, "can't be written"),
        (("--output", "."), 1, "is a folder"),
        (("--segments", "1000001"), 1, "segments must be 1,000,000 or less"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments, code, says, command, table):
    name = () if arguments[0] == "not-there" else (table.name,)
    done = command("export", *name, *arguments, *table.where)
    assert (done.code, done.err.count("\n")) == (code, 1)
    assert says in done.err


@pytest.mark.parametrize("kind", ["pipe", "link", "link to nothing"])
def test_the_output_takes_no_pipes_or_links_place(kind, command, table, tmp_path):
    if kind == "pipe":
        os.mkfifo(tmp_path / "out")
    else:
        (tmp_path / "out").symlink_to("there")
    if kind == "link":
        (tmp_path / "there").write_text("kept")
    before = sorted(tmp_path.iterdir())
    done = command("export", table.name, "--output", "out", *table.where)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "out is a folder, a device, a pipe or a link" in done.err
    assert sorted(tmp_path.iterdir()) == before
    assert not (tmp_path / "out").is_file() or (tmp_path / "there").read_text() == "kept"


NUMBERS = [
    *("1E+100", "-9.8765432109876543210987654321098765432E+125", "1E+125", "1E-130", "1.5E-129", "1.23E+39", "0"),
    *("1.2345678901234567890123456789012345678E-128", "-1." + "1" * 35 + "E-130"),
]


@pytest.mark.parametrize("form", ["jsonl", *FORMATS])
def test_every_number_is_exported_to_the_digit_and_loaded_again(form, command, table, make, tmp_path):
    low = boto3.client("dynamodb", endpoint_url=table.url, region_name=REGION, **CREDENTIALS)
    for place, text in enumerate(NUMBERS):
        low.put_item(TableName=table.name, Item={"pk": {"S": f"{place}"}, "n": {"N": text}, "l": {"L": [{"N": text}]}})
    assert command("export", table.name, *table.where, "--format", form, "--output", "out").code == 0
    other = make()
    files = sorted((tmp_path / "out").iterdir()) if form == "parquet" else ["out"]
    done = command("load", *other.to, *files, "--format", form)
    assert (done.code, done.err.count("refused")) == (0, 0)
    rows = [low.scan(TableName=name)["Items"] for name in (table.name, other.name)]
    here, there = [{row["pk"]["S"]: row for row in found} for found in rows]
    assert len(here) == len(NUMBERS)
    assert there == here
    low.close()


def test_what_boto3_cannot_write_is_exported_to_the_digit_and_refused_when_it_is_loaded(command, table, tmp_path):
    number = "1.2345678901234567890123456789012345678E-130"
    low = boto3.client("dynamodb", endpoint_url=table.url, region_name=REGION, **CREDENTIALS)
    low.put_item(TableName=table.name, Item={"pk": {"S": "a"}, "n": {"N": number}})
    assert command("export", table.name, *table.where, "--output", "out.jsonl").code == 0
    assert lines(tmp_path / "out.jsonl") == [{"pk": "a", "n": Decimal(number)}]
    done = command("load", *table.to, "out.jsonl")
    assert done.code == 3
    assert "behind the 165th place" in done.err
    low.close()


@pytest.mark.parametrize("keys", [{"sort_key": "n", "sort_type": "N"}])
def test_keys_of_large_numbers_are_gone_on_from(keys, command, make, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "_COMMIT_SECONDS", 0.0)
    table = make(**keys)
    expected = [Decimal(f"{number}E+120") for number in range(1, 300)]
    with table.plain.batch_writer() as batch:
        for number in expected:
            batch.put_item(Item={"pk": "a", "n": number, "text": "x" * 9000})
    with FaultProxy(table.url) as proxy:
        where = (table.name, "--endpoint-url", proxy.endpoint_url, "--region", REGION, "--segments", "1")
        proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"Scan"}, every=2)]
        assert command("export", *where, "--output", "out").code == 4
        proxy.plan = []
        assert command("export", *where, "--output", "out").code == 0
    assert sorted(item["n"] for item in lines(tmp_path / "out")) == expected


def test_an_empty_table_gives_an_empty_file(command, table, tmp_path):
    assert command("export", table.name, *table.where, "--output", "out.jsonl").code == 0
    assert (tmp_path / "out.jsonl").read_text() == ""


def test_a_reader_that_goes_away_is_no_traceback(start, many):
    process = start("export", many.name, *many.where)
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait(60) == 1
    assert said.decode().splitlines() == [
        "resilient-ddb: error: standard output can't be written: Broken pipe",
        "resilient-ddb: stopped; there is nothing to go on from: with --output there would be",
    ]


def test_with_nobody_to_speak_to_only_items_are_written(start, filled):
    out, said = start("export", filled.name, *filled.where, closed="2>&-").communicate(timeout=60)
    assert (len([json.loads(line) for line in out.splitlines()]), said) == (5, b"")


def test_a_standard_output_that_is_closed_is_said_in_one_line(start, filled):
    process = start("export", filled.name, *filled.where, closed=">&-")
    _, said = process.communicate(timeout=60)
    assert said == b"resilient-ddb: error: standard output can't be written: Bad file descriptor\n"
    assert process.returncode == 1


def test_verbose_says_where_an_error_comes_from(command, table):
    done = command("export", "not-there", *table.where, "--verbose")
    assert done.code == 1
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("resilient-ddb: error: there is no table")


def test_two_exports_to_one_file_do_not_mix(start, command, many, tmp_path):
    arguments = ("export", many.name, *many.where, "--output", "out.jsonl")
    process = start(*arguments, "--read-units-per-second", "20")
    wait_until((tmp_path / "out.jsonl.part").exists)  # its lock's file is there a moment before it is locked
    done = command(*arguments)
    assert (done.code, done.err) == (
        1,
        "resilient-ddb: error: another program is at the same work: it holds out.jsonl.lock\n",
    )
    process.kill()
    process.communicate()
    assert command(*arguments).code == 0
    assert sorted(item["pk"] for item in lines(tmp_path / "out.jsonl")) == [f"{number:04}" for number in range(600)]


def test_what_nobody_has_foreseen_is_said_in_one_line_without_its_text(command, table, monkeypatch):
    def fail(*_args, **_kwargs):
        raise LookupError("a value")

    monkeypatch.setattr("resilient_ddb.cli.bulk.commands.Export", fail)
    done = command("export", table.name, *table.where)
    assert (done.code, done.err.count("\n"), "a value" in done.err) == (1, 1, False)
    assert "a value" in command("export", table.name, *table.where, "--verbose").err


def test_a_killed_export_goes_on_and_gives_every_item_once(start, many, tmp_path):
    arguments = (
        "export",
        many.name,
        *many.where,
        "--segments",
        "6",
        "--read-units-per-second",
        "60",
        "--output",
        "out.jsonl",
    )
    process = start(*arguments)
    wait_until((tmp_path / "out.jsonl.checkpoint").exists)
    process.kill()
    process.communicate()
    assert not (tmp_path / "out.jsonl").exists()
    process = start(*arguments[:-4], *arguments[-2:])
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert b"items were read before" in said
    assert sorted(item["pk"] for item in lines(tmp_path / "out.jsonl")) == [f"{number:04}" for number in range(600)]
