"""`resilient-ddb load` against DynamoDB Local."""

import gzip
import json
import os
import pty
import subprocess
import sys
import time
from contextlib import suppress
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest
from bulk_support import lines_of

import resilient_ddb as rddb
from resilient_ddb.cli.bulk import target
from resilient_ddb.testing import FaultProxy, faults

ROOT = Path(rddb.__file__).parent.parent


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def refused(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_lines_are_written_with_their_types_and_digits(command, table, tmp_path):
    (tmp_path / "items.jsonl").write_text(
        '{"pk": "a", "n": 12345678901234567890123456789012345678, "d": 0.1, "b": true, "z": null}\n'
        "\n"
        '{"pk": "b", "l": [1, {"m": "x"}], "e": ""}\n'
    )
    done = command("load", *table.to, "items.jsonl")
    assert (done.code, done.out) == (0, "")
    assert "2 items written" in done.err
    assert table.stored() == {
        "a": {
            "pk": "a",
            "n": 12345678901234567890123456789012345678,
            "d": Decimal("0.1"),
            "b": True,
            "z": None,
        },
        "b": {"pk": "b", "l": [1, {"m": "x"}], "e": ""},
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items.jsonl"]


def test_csv_columns_get_the_types_of_what_is_in_them(command, table, tmp_path):
    (tmp_path / "items.csv").write_bytes(
        b"\xef\xbb\xbfpk,zip,price,ok,note,code\r\n"
        b'1,01234,9.50,true,"two\r\nlines, ""quoted""",1e5\r\n'
        b"2,94110,10,FALSE,,2e5\r\n"
    )
    assert command("load", *table.to, "items.csv").code == 0
    assert table.stored() == {
        "1": {
            "pk": "1",
            "zip": "01234",
            "price": Decimal("9.5"),
            "ok": True,
            "note": 'two\r\nlines, "quoted"',
            "code": "1e5",
        },
        "2": {"pk": "2", "zip": "94110", "price": 10, "ok": False, "code": "2e5"},
    }


def test_types_that_are_given_go_before_those_that_are_told(command, table, tmp_path):
    (tmp_path / "items.csv").write_text('pk;n;tags;blob\n1;7;"[""a"",""b""]";AAE=\n')
    code = command(
        "load", *table.to, "items.csv", "--delimiter", ";", "--type", "n:S", "--type", "tags:SS", "--type", "blob:B"
    ).code
    assert code == 0
    [item] = table.stored().values()
    assert (item["n"], item["tags"], item["blob"].value) == ("7", {"a", "b"}, b"\0\1")


def test_one_row_is_one_row(command, table, tmp_path):
    (tmp_path / "items.csv").write_text("pk,v\na,1\nb\n")
    assert lines_of(command("load", *table.to, "items.csv").err) == [
        "items.csv, line 3: has 1 cell where the first line has 2",
        f"1 item written to {table.name} in M:SS",
        f"1 row refused: see items.csv.{table.name}.refused.jsonl",
    ]


def test_an_option_for_no_column_is_told(command, table, tmp_path):
    (tmp_path / "items.csv").write_text("pk,price\n1,7\n")
    done = command("load", *table.to, "items.csv", "--type", "prise:S", "--ttl", "exp")
    assert done.code == 0
    assert done.err.splitlines()[:2] == [
        "items.csv has no column 'prise': its --type is not used",
        "items.csv has no column 'exp': its --ttl is not used",
    ]


def test_what_aws_exports_is_loaded_from_gzipped_files(command, table, tmp_path):
    typed = {
        "pk": {"S": "a"},
        "n": {"N": "1.50"},
        "ss": {"SS": ["x", "y"]},
        "ns": {"NS": ["1", "2"]},
        "bs": {"BS": ["AA=="]},
        "m": {"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}, {"B": "AQ=="}]}}},
    }
    (tmp_path / "part.json.gz").write_bytes(gzip.compress(json.dumps({"Item": typed}).encode() + b"\n"))
    assert command("load", *table.to, "part.json.gz").code == 0
    [item] = table.stored().values()
    assert (item["n"], item["ss"], item["ns"]) == (Decimal("1.5"), {"x", "y"}, {1, 2})
    assert [member.value for member in item["bs"]] == [b"\0"]
    assert item["m"]["l"] == [None, False, b"\1"]


def test_a_bad_first_row_of_an_export_refuses_itself_only(command, table, tmp_path):
    bad = ("not JSON", '{"Item": {"pk": {"X": "a"}}}', '{"Item": {"pk": {"S": "b"}, "n": {"N": "x"}}}')
    (tmp_path / "part.json").write_text("\n".join((*bad, '{"Item": {"pk": {"S": "c"}}}')))
    done = command("load", *table.to, "part.json")
    assert done.code == 3
    assert "3 rows refused" in done.err
    assert table.stored() == {"c": {"pk": "c"}}


@pytest.mark.parametrize("form", ["dynamodb-json", "jsonl"])
def test_a_first_row_that_is_longer_than_what_is_looked_at_tells_its_format(form, command, table, tmp_path):
    numbers = [n % 10 for n in range(130_000)]  # 390 KB as an item, and 1.4 MB as DynamoDB JSON
    if form == "jsonl":
        row = json.dumps({"pk": "a", "v": numbers}) + " " * 1_000_000
    else:
        row = json.dumps({"Item": {"v": {"L": [{"N": str(n)} for n in numbers]}, "pk": {"S": "a"}}})
    (tmp_path / "part.json").write_text(row + "\n")
    done = command("load", *table.to, "part.json")
    assert done.code == 0, done.err
    assert table.stored() == {"a": {"pk": "a", "v": numbers}}


def test_standard_input_is_read(start, table):
    process = start("load", *table.to, "-", stdin=-1)
    _, said = process.communicate(b'{"pk": "a"}\n{"pk": "b"}\nnot json\n', timeout=60)
    assert process.returncode == 3, said
    assert sorted(table.stored()) == ["a", "b"]


def test_a_standard_input_that_is_closed_is_said_in_one_line(start, table):
    process = start("load", *table.to, "-", closed="<&-")
    _, said = process.communicate(timeout=60)
    assert said == b"resilient-ddb: error: standard input can't be read: Bad file descriptor\n"
    assert process.returncode == 1


def test_bad_rows_are_refused_one_by_one_and_named(command, table, tmp_path):
    rows = ['{"pk": "a"}', "{", '{"no": 1}', '{"pk": 1}', '{"pk": ""}', "[1]", '{"pk": "b", "x": 1e999}', '{"pk": "c"}']
    (tmp_path / "items.jsonl").write_text("\n".join(rows))
    done = command("load", *table.to, "items.jsonl")
    assert done.code == 3
    assert sorted(table.stored()) == ["a", "c"]
    found = refused(tmp_path / f"items.jsonl.{table.name}.refused.jsonl")
    assert [(entry["row"], entry["line"], entry["text"]) for entry in found] == [
        (number, number, rows[number - 1]) for number in (2, 3, 4, 5, 6, 7)
    ]
    assert "has no 'pk', the table's partition key" in found[1]["reason"]
    assert "must be a string (S)" in found[2]["reason"]
    assert "items.jsonl, line 2: not JSON" in done.err
    assert "Traceback" not in done.err


def test_what_only_dynamodb_refuses_is_named_and_its_neighbours_are_written(command, make, tmp_path, monkeypatch):
    monkeypatch.setattr("resilient_ddb.cli.bulk.prepare.check_item", lambda _item, _keys: 100)
    table = make()
    rows = [{"pk": str(number), **({"": 1} if number == 30 else {})} for number in range(60)]
    write_lines(tmp_path / "items.jsonl", rows)
    assert command("load", *table.to, "items.jsonl").code == 3
    assert set(table.stored()) == {str(number) for number in range(60)} - {"30"}
    [found] = refused(tmp_path / f"items.jsonl.{table.name}.refused.jsonl")
    assert found["row"] == 31


def test_of_rows_with_one_key_the_last_one_stands(command, table, tmp_path):
    write_lines(tmp_path / "items.jsonl", [{"pk": str(number % 7), "n": number} for number in range(200)])
    assert command("load", *table.to, "items.jsonl").code == 0
    assert {key: item["n"] for key, item in table.stored().items()} == {str(n % 7): n for n in range(193, 200)}


def test_keys_of_indexes_are_checked(command, make, tmp_path):
    table = make(
        AttributeDefinitions=[{"AttributeName": "score", "AttributeType": "N"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_score",
                "KeySchema": [{"AttributeName": "score", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    write_lines(tmp_path / "items.jsonl", [{"pk": "a"}, {"pk": "b", "score": "x"}, {"pk": "c", "score": 5}])
    done = command("load", *table.to, "items.jsonl")
    assert done.code == 3
    assert sorted(table.stored()) == ["a", "c"]
    assert "'score', the partition key of index 'by_score', must be a number" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("missing.jsonl",), "missing.jsonl can't be read: No such file"),
        (("array.json",), "is one JSON array"),
        (("data.bin",), "its name does not tell its format"),
        (("twice.csv",), "names 'a' twice"),
        (("cut.jsonl.gz",), "can't be read"),
        (("semicolons.csv",), "has no column 'pk', the table's partition key"),
        (("semicolons.csv", "--dry-run"), "See --delimiter"),
        (("utf16.csv",), "is UTF-16"),
        (("folder",), "folder can't be read: Is a directory"),
        (("pipe", "--format", "jsonl"), "pipe can't be read: it is no file, but - reads standard input"),
        (("items.jsonl", "--key", "id"), "the key of"),
        (("items.jsonl", "--profile", "nobody"), "nobody"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments, says, command, table, tmp_path):
    (tmp_path / "items.jsonl").write_text('{"pk": "a"}\n')
    (tmp_path / "array.json").write_text('[{"pk": "a"}]\n')
    (tmp_path / "data.bin").write_bytes(b"\0\1")
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    (tmp_path / "semicolons.csv").write_text("pk;n\na;1\n")
    (tmp_path / "utf16.csv").write_text("pk,n\na,1\n", encoding="utf-16")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"pk": "a"}\n' * 1000)[:-20])
    done = command("load", *table.to, *arguments)
    assert done.code == 1
    assert done.err.startswith("resilient-ddb: error: ")
    assert says in done.err
    assert done.err.count("\n") == 1
    assert table.stored() == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("items.jsonl", "items.jsonl"), "would share the checkpoint"),
        (("items.jsonl", "--shard-by", "x"), "--shard-by needs --shards"),
        (("items.jsonl", "--write-units-per-second", "0"), "must be a number above 0, or auto"),
        (("items.jsonl", "--type", "price"), "must be NAME:TYPE"),
        (("items.jsonl", "--key", "a,b,c"), "must be one name, or two"),
        (("items.jsonl", "--delimiter", ",,"), "must be one character"),
        (("items.jsonl", "--endpoint-url", "localhost"), "must be a URL"),
        (("items.jsonl", "--shards", "0"), "must be a whole number, 1 or more"),
        ((), "required: FILE"),
    ],
)
def test_a_wrong_usage_ends_with_2(arguments, says, command, tmp_path, capsys):
    (tmp_path / "items.jsonl").write_text('{"pk": "a"}\n')
    try:
        done = command("load", "t", *arguments)
        code, said = done.code, done.err
    except SystemExit as ended:
        code, said = ended.code, capsys.readouterr().err
    assert (code, says in said) == (2, True), said


def test_with_the_key_given_the_table_need_not_be_described(command, table, tmp_path):
    write_lines(tmp_path / "items.jsonl", [{"pk": str(n)} for n in range(100)] + [{"pk": 1}, {"pk": []}])
    with FaultProxy(
        table.url, plan=[faults.ErrorResponse(code="AccessDeniedException", operations={"DescribeTable"})]
    ) as proxy:
        where = (table.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1")
        done = command("load", *where, "items.jsonl")
        assert (done.code, "load does without it if --key names the table's key" in done.err) == (1, True)
        done = command("load", *where, "items.jsonl", "--key", "pk")
    assert done.code == 3
    assert len(table.stored()) == 100
    found = refused(tmp_path / f"items.jsonl.{table.name}.refused.jsonl")
    assert sorted(entry["row"] for entry in found) == [101, 102]  # the first by DynamoDB, at the end of the stretch


def test_a_missing_table_is_said_in_one_line(command, table, tmp_path):
    (tmp_path / "items.jsonl").write_text('{"pk": "a"}\n')
    done = command("load", "not-there", "items.jsonl", *table.where)
    assert (done.code, done.err) == (1, f"resilient-ddb: error: there is no table 'not-there' in {table.url}\n")


def test_missing_credentials_are_said_in_one_line(command, table, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    (tmp_path / "items.jsonl").write_text('{"pk": "a"}\n')
    done = command("load", *table.to, "items.jsonl")
    assert done.code == 1
    assert done.err.startswith("resilient-ddb: error: no AWS credentials were found")
    assert done.err.count("\n") == 1


def test_times_become_seconds_in_the_ttl_attribute(command, table, tmp_path):
    rows = [
        {"pk": "a", "exp": "2030-01-01T00:00:00Z"},
        {"pk": "b", "exp": 1893456000},
        {"pk": "c", "exp": 1893456000000},
        {"pk": "d", "exp": "soon"},
        {"pk": "e"},
        {"pk": "f", "exp": "2030-01-01"},
        {"pk": "g", "exp": True},
        {"pk": "h", "exp": [1893456000]},
        {"pk": "i", "exp": None},
    ]
    write_lines(tmp_path / "items.jsonl", rows)
    done = command("load", *table.to, "items.jsonl", "--ttl", "exp")
    assert done.code == 3
    assert {key: item.get("exp") for key, item in table.stored().items()} == {
        "a": 1893456000,
        "b": 1893456000,
        "e": None,
        "i": None,
    }
    assert "milliseconds" in done.err
    reasons = [row["reason"] for row in refused(tmp_path / f"items.jsonl.{table.name}.refused.jsonl")]
    assert reasons[-2:] == [
        "'exp', the TTL attribute, is a boolean, and no time",
        "'exp', the TTL attribute, is a list, and no time",
    ]


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(command, table, tmp_path):
    write_lines(tmp_path / "items.jsonl", [{"pk": str(n), "v": "x" * 2000} for n in range(500)] + [{}])
    done = command("load", *table.to, "items.jsonl", "--dry-run", "--write-units-per-second", "100", "--price", "2")
    assert done.code == 3
    said = dict(line.split(maxsplit=1) for line in done.out.splitlines() if not line.startswith("write units"))
    assert (said["items"], said["refused"]) == ("500", "1")
    assert "write units 1,000 (the table has no indexes)" in done.out
    assert said["time"].startswith("0:10 at 100 units/s")
    assert said["cost"].startswith("$0.00 at $2 a million units")
    assert table.stored() == {}
    assert [path.name for path in tmp_path.iterdir()] == ["items.jsonl"]


def test_a_dry_run_with_the_key_given_needs_no_aws(command, tmp_path):
    write_lines(tmp_path / "items.jsonl", [{"id": "a"}])
    done = command("load", "t", "items.jsonl", "--key", "id", "--dry-run")
    assert done.code == 0
    assert "not counted" in done.out


def test_the_rate_is_kept_and_batches_go_out_side_by_side(command, table, tmp_path):
    write_lines(tmp_path / "items.jsonl", [{"pk": str(n), "v": "x" * 900} for n in range(300)])
    began = time.monotonic()
    done = command("load", *table.to, "items.jsonl", "--write-units-per-second", "100", "--max-workers", "4")
    assert done.code == 0
    assert len(table.stored()) == 300
    assert time.monotonic() - began > 1.9  # 300 units, of which 100 at once


def test_a_table_that_takes_nothing_ends_the_load_resumably(command, table, tmp_path, monkeypatch):
    monkeypatch.setattr(target, "_PATIENT", rddb.Retry(max_attempts=3, base_delay=0))
    write_lines(tmp_path / "items.jsonl", [{"pk": str(n)} for n in range(100)])
    with FaultProxy(table.url, plan=[faults.Unprocessed(share=1.0)]) as proxy:
        where = (table.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1")
        done = command("load", *where, "items.jsonl")
    assert done.code == 4
    assert "not surely written" in done.err.splitlines()[0]
    assert "goes on from the last checkpoint" in done.err
    assert table.stored() == {}


def test_half_of_every_batch_refused_loses_nothing(command, table, tmp_path):
    write_lines(tmp_path / "items.jsonl", [{"pk": str(n % 250), "n": n} for n in range(500)])
    with FaultProxy(table.url, plan=[faults.Unprocessed(share=0.5, rate=0.7)], seed=3) as proxy:
        where = (table.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1")
        assert command("load", *where, "items.jsonl").code == 0
    assert {key: item["n"] for key, item in table.stored().items()} == {str(n): n + 250 for n in range(250)}


def test_through_lost_replies_throttling_and_damaged_answers_the_last_rows_stand(command, table, tmp_path):
    write_lines(tmp_path / "items.jsonl", [{"pk": str(n % 400), "n": n} for n in range(1000)])
    plan = [
        faults.LoseReply(rate=0.1),
        faults.Throttle(rate=0.1),
        faults.BadCrc(rate=0.1),
        faults.ServerError(rate=0.1, applied=True),
        faults.Unprocessed(rate=0.3),
    ]
    with FaultProxy(table.url, plan=plan, seed=11) as proxy:
        where = (table.name, "--endpoint-url", proxy.endpoint_url, "--region", "eu-west-1")
        done = command("load", *where, "items.jsonl")
    assert done.code == 0, done.err
    assert {key: item["n"] for key, item in table.stored().items()} == {str(n % 400): n for n in range(600, 1000)}


def test_a_row_that_a_refused_one_replaced_is_told_of_too(command, table, tmp_path, monkeypatch):
    monkeypatch.setattr("resilient_ddb.cli.bulk.prepare.check_item", lambda _item, _keys: 100)
    write_lines(tmp_path / "items.jsonl", [{"pk": "a", "n": 1}, {"pk": "b"}, {"pk": "a", "": 2}])
    assert command("load", *table.to, "items.jsonl").code == 3
    found = refused(tmp_path / f"items.jsonl.{table.name}.refused.jsonl")
    assert [entry["row"] for entry in found] == [1, 3]
    assert "row 3 has the same key" in found[0]["reason"]


def test_refused_rows_with_one_key_are_told_of_once(command, table, tmp_path, monkeypatch):
    monkeypatch.setattr("resilient_ddb.cli.bulk.prepare.check_item", lambda _item, _keys: 100)
    rows = [{"pk": "a", "": 1}, *({"pk": str(n)} for n in range(30)), {"pk": "a", "": 2}]
    write_lines(tmp_path / "items.jsonl", rows)
    done = command("load", *table.to, "items.jsonl", "--max-workers", "1")
    assert (done.code, f"30 items written to {table.name}" in done.err) == (3, True)
    found = refused(tmp_path / f"items.jsonl.{table.name}.refused.jsonl")
    assert sorted(entry["row"] for entry in found) == [1, 32]


def test_an_interrupt_before_anything_runs_is_no_traceback(command, monkeypatch):
    def interrupt(_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("resilient_ddb.cli.bulk.commands.load", interrupt)
    done = command("load", "t", "items.jsonl")
    assert (done.code, done.err) == (130, "resilient-ddb: interrupted\n")


def test_only_the_first_refusals_are_shown(command, table, tmp_path):
    (tmp_path / "items.jsonl").write_text("x\n" * 100)
    done = command("load", *table.to, "items.jsonl")
    assert lines_of(done.err)[4:] == [
        "items.jsonl, line 5: not JSON: Expecting value, at character 1",
        "further refused rows are not shown here",
        f"0 items written to {table.name} in M:SS",
        f"100 rows refused: see items.jsonl.{table.name}.refused.jsonl",
    ]


def test_plain_lines_tell_of_progress(command, table, tmp_path, monkeypatch):
    monkeypatch.setattr("resilient_ddb.cli.bulk.progress.Progress.every", 0.0)
    monkeypatch.setattr("resilient_ddb.cli.bulk.load._STRETCH_ROWS", 50)
    write_lines(tmp_path / "items.jsonl", [{"pk": str(n)} for n in range(100)])
    done = command("load", *table.to, "items.jsonl")
    last = [line for line in done.err.splitlines() if "items/s" in line][-1]
    assert last.startswith(f"load {table.name}: 50 items, ")
    assert "0.0% throttled" in last
    assert last.endswith(" left")


@pytest.mark.skipif(find_spec("rich") is None, reason="rich draws the bar")
@pytest.mark.parametrize("columns", ["80", "150"])
def test_on_a_terminal_there_is_a_bar(table, tmp_path, columns):
    write_lines(tmp_path / "items.jsonl", [{"pk": str(n)} for n in range(100)])
    own, theirs = pty.openpty()
    arguments = [argument for argument in table.to if argument != "--no-progress"]
    process = subprocess.Popen(  # noqa: S603  # this interpreter, and this package
        [sys.executable, "-m", "resilient_ddb", "load", *arguments, "items.jsonl"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": columns},
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    with suppress(OSError):  # so a terminal says that nobody writes any more
        while data := os.read(own, 65536):
            said += data
    os.close(own)
    assert process.wait(60) == 0
    assert b"100 items" in said
    assert b"100%" in said
    assert b" left" in said  # and nothing of it is cut off
    assert b"100 items written" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("load", "items.jsonl", "--table", "t"),
            "there is no --table: the table is named first, as in load TABLE FILE",
        ),
        (("load", "--table=t", "items.jsonl"), "the table is named first"),
        (("load", "t", "items.jsonl", "--write-units", "5"), "its name is --write-units-per-second"),
        (("load", "t", "items.jsonl", "--write-units=auto"), "its name is --write-units-per-second"),
        (("export", "--table", "t"), "there is no --table: the table is named first, as in export TABLE"),
        (("export", "t", "--read-units", "5"), "its name is --read-units-per-second"),
    ],
)
def test_a_name_that_is_meant_for_another_is_told(arguments, says, command, capsys):
    with pytest.raises(SystemExit) as ended:
        command(*arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_the_table_stands_before_the_files_wherever_options_stand(command, table, tmp_path):
    write_lines(tmp_path / "1.jsonl", [{"pk": "a"}])
    write_lines(tmp_path / "2.jsonl", [{"pk": "b"}])
    assert command("load", table.name, "1.jsonl", "2.jsonl", *table.where).code == 0
    assert command("load", *table.where, table.name, "1.jsonl", "2.jsonl").code == 0
    assert set(table.stored()) == {"a", "b"}
