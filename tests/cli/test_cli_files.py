"""What is kept beside the input and the output: whatever was written after the last checkpoint does not count."""

import json
from decimal import Decimal
from importlib.util import find_spec

import pytest

from resilient_ddb.cli.bulk import parquet_parts
from resilient_ddb.cli.bulk.checkpoint import Checkpoint
from resilient_ddb.cli.bulk.errors import BulkError
from resilient_ddb.cli.bulk.outputs import LineFile, part_of
from resilient_ddb.cli.bulk.parquet_parts import ParquetParts
from resilient_ddb.cli.bulk.parquet_rows import ParquetRows
from resilient_ddb.cli.bulk.refusals import Refusals
from resilient_ddb.cli.bulk.sources import Position, Row, Source

ROWS = [Row(number, number, None, "bad", b"text %d" % number) for number in range(1, 6)]


def noted(path):
    return [json.loads(line)["row"] for line in path.read_text().splitlines()]


def test_refusals_after_the_checkpoint_are_dropped(tmp_path):
    path = tmp_path / "refused.jsonl"
    first = Refusals(path)
    first.add(ROWS[0], "bad")
    kept = first.sync()
    first.add(ROWS[1], "bad")
    first.close()
    second = Refusals(path, first.number, kept)
    second.add(ROWS[2], "bad")
    second.sync()
    second.close()
    assert noted(path) == [1, 3]
    assert path.stat().st_mode & 0o777 == 0o600


def test_refusals_of_an_earlier_load_stay_and_a_later_one_has_a_file_of_its_own(tmp_path):
    path = tmp_path / "items.orders.refused.jsonl"
    for row in ROWS[:3]:
        refusals = Refusals(path)
        refusals.add(row, "bad")
        refusals.close()
    Refusals(path).close()
    names = ["items.orders.refused-2.jsonl", "items.orders.refused-3.jsonl", "items.orders.refused.jsonl"]
    assert sorted(found.name for found in tmp_path.iterdir()) == names
    assert [noted(tmp_path / name) for name in names] == [[2], [3], [1]]


def test_refusals_that_were_taken_away_are_not_made_up(tmp_path):
    path = tmp_path / "refused.jsonl"
    refusals = Refusals(path, 1, 1000)
    refusals.add(ROWS[0], "bad")
    refusals.close()
    assert noted(path) == [1]


def test_lines_after_the_checkpoint_are_dropped(tmp_path):
    path = tmp_path / "out.jsonl"
    first = LineFile(path, json.dumps, 0)
    first.write({"n": 1})
    position = first.commit()
    first.write({"n": 2, "more": "x" * 100})
    first.close()
    assert not path.exists()
    second = LineFile(path, json.dumps, position)
    second.write({"n": 3})
    second.complete()
    second.finish()
    assert path.read_text() == '{"n": 1}\n{"n": 3}\n'
    assert not part_of(path).exists()


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="Parquet needs pyarrow")
def test_parts_after_the_checkpoint_are_dropped(tmp_path, monkeypatch):
    from pyarrow import parquet  # noqa: PLC0415 - where it is installed

    monkeypatch.setattr(parquet_parts, "_PART_ROWS", 1)
    path = tmp_path / "out"
    first = ParquetParts(path, 0)
    for number in range(3):
        first.write({"n": Decimal(number)})
        assert first.commit() == number + 1
    (part_of(path) / "part-00003.parquet.new").write_text("cut")
    second = ParquetParts(path, 2)
    second.write({"n": Decimal(7)})
    second.complete()
    second.finish()
    assert sorted(name.name for name in path.iterdir()) == [f"part-0000{number}.parquet" for number in range(3)]
    found = [parquet.read_table(path / f"part-0000{number}.parquet")["n"].to_pylist() for number in range(3)]
    assert found == [[0], [1], [7]]
    with pytest.raises(BulkError, match="is there already"):
        ParquetParts(path, 0)


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="Parquet needs pyarrow")
def test_parts_from_before_there_was_a_checkpoint_are_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_parts, "_PART_ROWS", 1)
    path = tmp_path / "out"
    for number in range(2):  # the first one is killed
        written = ParquetParts(path, 0)
        written.write({"n": Decimal(number)})
        assert written.commit() == 1
    written.complete()
    written.finish()
    [part] = path.iterdir()
    source = Source(str(part))
    assert [row.item for row in ParquetRows(source, Position())] == [{"n": 1}]
    source.close()


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="Parquet needs pyarrow")
@pytest.mark.parametrize("name", ["notes.txt", "part-00000-5c1d.c000.snappy.parquet", "part-00000.parquet.crc"])
def test_what_is_not_ours_is_not_dropped(name, tmp_path):
    part_of(tmp_path / "out").mkdir()
    (part_of(tmp_path / "out") / name).write_text("kept")
    with pytest.raises(BulkError, match="something else in it"):
        ParquetParts(tmp_path / "out", 0)
    assert (part_of(tmp_path / "out") / name).read_text() == "kept"


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="Parquet needs pyarrow")
def test_attributes_without_number_do_not_become_columns_without_number(tmp_path):
    from pyarrow import parquet  # noqa: PLC0415 - where it is installed

    written = ParquetParts(tmp_path / "out", 0)
    items = [{f"user-{number}": Decimal(1), "pk": str(number)} for number in range(1000)]
    for item in items:
        written.write(item)
    written.complete()
    written.finish()
    [path] = (tmp_path / "out").iterdir()
    names = parquet.read_schema(path).names
    assert len(names) == 201
    assert "pk" in names
    source = Source(str(path))
    assert [row.item for row in ParquetRows(source, Position())] == items
    source.close()


def test_a_checkpoint_is_replaced_as_a_whole(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "c", {"a": 1})
    checkpoint.write({"n": 1})

    def fail(_file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("resilient_ddb.cli.bulk.checkpoint.os.fsync", fail)
    with pytest.raises(BulkError, match="can't be written: No space left"):
        checkpoint.write({"n": 2})
    assert checkpoint.read() == {"n": 1}


def test_a_checkpoint_is_of_its_own_work(tmp_path):
    Checkpoint(tmp_path / "c", {"a": 1, "b": 2}).write({"n": 1})
    with pytest.raises(BulkError, match="differs in a, c"):
        Checkpoint(tmp_path / "c", {"a": 2, "b": 2, "c": 3}).read()
    assert Checkpoint(tmp_path / "d", {}).read() is None
