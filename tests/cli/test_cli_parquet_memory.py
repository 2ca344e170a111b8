"""Parquet files that take far more memory than they have bytes: bounded, and their rows refused."""

import json
import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import resilient_ddb
from resilient_ddb.cli.bulk.errors import BulkError
from resilient_ddb.cli.bulk.parquet_pages import MOST_BYTES, Chunk, OddHeaderError, _structure, chunks_of, rows_at_once
from resilient_ddb.cli.bulk.parquet_rows import ParquetRows
from resilient_ddb.cli.bulk.sources import Position, Source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROOT = Path(resilient_ddb.__file__).parent.parent
MB = 2**20
COUNTED = """
import sys
from pathlib import Path
from resilient_ddb import cli
code = cli.main(sys.argv[1:])
[peak] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(int(peak) // 1024, "MB")
sys.exit(code)
"""


def of_one_text(size):
    return pa.concat_arrays([pa.array(["x"]), pa.array(["y" * size]), pa.array(["z"])])


def zeros(count):
    return pa.ListArray.from_arrays([0, 0, count], pa.nulls(count, pa.int64()).fill_null(0))


def one_text_often(count, size):
    texts = pa.DictionaryArray.from_arrays(pa.nulls(count, pa.int32()).fill_null(0), ["x" * size])
    return pa.ListArray.from_arrays([0, 0, count], texts)


LARGE = {
    "a cell": lambda: (of_one_text(200 * MB), {}),
    "a cell that is in no dictionary": lambda: (of_one_text(200 * MB), {"use_dictionary": False}),
    "a list of zeros": lambda: (zeros(25 * MB), {}),
    "a cell that is repeated": lambda: (pa.array(["x" * 3 * MB] * 100), {"dictionary_pagesize_limit": 10 * MB}),
    "a list of one text": lambda: (one_text_often(400, MB), {}),
    "cells in pages of their own": lambda: (
        pa.array(["x" * (7 * MB) + str(number) for number in range(25)]),
        {"use_dictionary": False, "data_page_size": 1024, "write_batch_size": 1},
    ),
}


FIRST = "a list of one text"
"""Shows what the others do, as far as the whole way from the command to the table is concerned."""


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has taken is counted otherwise elsewhere")
@pytest.mark.parametrize(
    "name", [FIRST, *(pytest.param(name, marks=pytest.mark.long) for name in LARGE if name != FIRST)]
)
def test_a_small_file_takes_little_memory_and_its_large_rows_are_refused(name, table, tmp_path):
    column, options = LARGE[name]()
    count = len(column)
    schema = pa.schema([("pk", pa.string()), ("v", column.type)])
    with pq.ParquetWriter(tmp_path / "items.parquet", schema, **{"compression": "zstd", **options}) as writer:
        for begin, values in (("before", column.slice(0, 0)), ("large", column), ("after", column.slice(0, 0))):
            keys = [f"{begin}-{number}" for number in range(len(values) or 5)]
            writer.write_table(pa.table([keys, values if len(values) else pa.nulls(5, column.type)], schema=schema))
    size = (tmp_path / "items.parquet").stat().st_size
    assert size < MB
    done = subprocess.run(  # noqa: S603  # this interpreter, and our own code
        [sys.executable, "-c", COUNTED, "load", *table.to, "items.parquet"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 3, done.stderr
    assert int(done.stdout.split()[0]) < 300, (size, done.stdout)
    refused = (tmp_path / f"items.parquet.{table.name}.refused.jsonl").read_text().splitlines()
    rows = [json.loads(line)["row"] for line in refused]
    stored = table.stored()
    assert set(stored) >= {f"{begin}-{number}" for begin in ("before", "after") for number in range(5)}
    assert len(stored) + len(rows) == count + 10
    assert set(rows) <= set(range(6, 6 + count))


@pytest.fixture
def source(tmp_path):
    opened = []

    def make(table, **options):
        pq.write_table(table, tmp_path / "items.parquet", **options)
        opened.append(Source(str(tmp_path / "items.parquet")))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def at_once(source, group=0):
    metadata = pq.read_metadata(source.path)
    with source.path.open("rb") as file:
        return rows_at_once(chunks_of(file, metadata.row_group(group), metadata.schema), 256)


@pytest.mark.parametrize("options", [{}, {"data_page_version": "2.0"}, {"use_dictionary": False}])
def test_an_ordinary_file_is_read_at_full_speed(options, source):
    random_ = random.Random(3)
    texts = [f"{random_.random()}" * 3 for _ in range(20_000)]
    lists = [[random_.random()] * (number % 4) for number in range(20_000)]
    table = pa.table({"pk": texts, "n": list(range(20_000)), "of few": ["x", "y"] * 10_000, "l": lists})
    made = source(table, **options)
    assert at_once(made) == 256
    assert sum(row.item is not None for row in ParquetRows(made, Position())) == 20_000


def test_a_large_row_is_refused_and_its_neighbours_are_read(source):
    texts = ["a", "x" * 5 * MB, "b", "y" * 3 * MB, "c"]
    rows = list(ParquetRows(source(pa.table({"pk": texts, "m": [{"v": ["l"]}] * 5})), Position()))
    assert [row.item is None for row in rows] == [False, True, False, False, False]
    assert "longer than" in rows[1].reason
    assert rows[3].item == {"pk": "y" * 3 * MB, "m": {"v": ["l"]}}


def test_reading_goes_on_within_a_group_that_there_is_no_room_for(source):
    column = of_one_text(40 * MB)
    made = source(pa.table({"pk": ["a", "b", "c"], "v": column}), compression="zstd")
    rows = list(ParquetRows(made, Position(1, 1, 0)))
    assert [(row.number, row.item) for row in rows] == [(2, None), (3, None)]
    assert "with fewer rows a group" in rows[0].reason


def test_a_file_that_claims_more_rows_than_it_has_is_refused(source, monkeypatch):
    made = source(pa.table({"pk": ["a"]}))
    reader = ParquetRows(made, Position())
    monkeypatch.setattr(Chunk, "values", property(lambda _self: 0))
    with pytest.raises(BulkError, match="more rows than there are"):
        list(reader)


@pytest.mark.parametrize("number", range(200))
def test_a_damaged_header_is_no_crash(number):
    octets = random.Random(number).randbytes(64)
    try:
        fields, at = _structure(octets, 0)
    except (IndexError, OddHeaderError):
        return
    assert isinstance(fields, dict)
    assert at <= len(octets)


def test_a_damaged_file_is_said_in_one_line(source):
    table = pa.table({"pk": [f"{number}" for number in range(1000)]})
    made = source(table, use_dictionary=False, compression="none")
    whole = made.path.read_bytes()
    random_ = random.Random(1)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[random_.randrange(4, 60)] = random_.randrange(256)
        made.path.write_bytes(damaged)
        with suppress(BulkError):
            assert len(list(ParquetRows(made, Position()))) == 1000


def test_what_reading_takes_is_told_by_pages_and_rows():
    flat = Chunk(compressed=1, is_nested=False, dictionary=10, pages=[(MB, 10), (2 * MB, 20), (MB, 1)])
    assert flat.bytes_for(1) == 2 * 2 * MB + 10
    assert flat.bytes_for(256) == 3 * 2 * MB + 10
    nested = Chunk(compressed=1, is_nested=True, pages=[(MB, 1000)])
    assert nested.bytes_for(1) == nested.bytes_for(256) > MB
    assert Chunk(compressed=MB, is_nested=True, pages=[(9 * MB, 10)]).bytes_for(1) == 0, "large, and no trap"
    pages = Chunk(compressed=1, is_nested=False, pages=[(MOST_BYTES // 5, 1)] * 300)
    assert rows_at_once([pages], 256) == 2
    assert rows_at_once([Chunk(compressed=1, is_nested=True, pages=[(2 * MOST_BYTES, 1)])], 256) == 0


def test_what_pandas_made_up_is_left_out_and_said_once(command, table, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"pk": ["a", "b", "c", "d"], "n": [1, 2, 3, 4]})
    frame[frame["n"].isin([1, 3, 4])].to_parquet(tmp_path / "items.parquet")
    assert "__index_level_0__" in pq.read_schema(tmp_path / "items.parquet").names
    for more in (("--dry-run",), ()):
        done = command("load", *table.to, "items.parquet", *more)
        assert done.code == 0
        assert done.err.count("'__index_level_0__' is the index that pandas gave the rows, and is left out") == 1
    assert table.stored() == {key: {"pk": key, "n": n} for key, n in (("a", 1), ("c", 3), ("d", 4))}
    assert command("load", *table.to, "items.parquet", "--type", "__index_level_0__:N").code == 0
    assert table.stored()["c"] == {"pk": "c", "n": 3, "__index_level_0__": 2}


def test_an_attribute_of_that_name_that_pandas_did_not_make_stays(source):
    [row] = ParquetRows(source(pa.table({"pk": ["a"], "__index_level_0__": [1]})), Position())
    assert row.item == {"pk": "a", "__index_level_0__": 1}


def test_an_index_with_a_name_is_an_attribute(command, table, tmp_path):
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame({"n": [1]}, index=pandas.Index(["a"], name="pk")).to_parquet(tmp_path / "items.parquet")
    assert command("load", *table.to, "items.parquet").code == 0
    assert table.stored() == {"a": {"pk": "a", "n": 1}}
