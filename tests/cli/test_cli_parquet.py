"""Parquet: its types, its place to go on from, and what is no Parquet."""

import struct
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from resilient_ddb.cli.bulk.errors import BulkError
from resilient_ddb.cli.bulk.parquet_rows import ParquetRows
from resilient_ddb.cli.bulk.sources import Position, Source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def source(tmp_path):
    opened = []

    def make(table, **options):
        path = tmp_path / "items.parquet"
        pq.write_table(table, path, **options)
        opened.append(Source(str(path)))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_arrows_types_become_dynamodbs(source):
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    table = pa.table(
        {
            "s": ["a"],
            "i": [2**62],
            "u": pa.array([2**64 - 1], pa.uint64()),
            "f": [0.1],
            "f32": pa.array([0.1], pa.float32()),
            "d": pa.array([Decimal("12345678901234567890.500")], pa.decimal128(38, 3)),
            "b": [b"\0\1"],
            "t": [True],
            "l": [[1.5, None]],
            "m": [{"x": 1, "y": [b"z"]}],
            "pairs": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "at": pa.array([moment], pa.timestamp("us", tz="UTC")),
            "day": [date(2026, 1, 2)],
            "none": pa.array([None], pa.string()),
        }
    )
    [row] = ParquetRows(source(table), Position())
    assert row.item == {
        "s": "a",
        "i": 2**62,
        "u": 2**64 - 1,
        "f": Decimal("0.1"),
        "f32": Decimal("0.1"),
        "d": Decimal("12345678901234567890.5"),
        "b": b"\0\1",
        "t": True,
        "l": [Decimal("1.5"), None],
        "m": {"x": 1, "y": [b"z"]},
        "pairs": {"k": 1},
        "at": "2026-01-02T03:04:05+00:00",
        "day": "2026-01-02",
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_a_number_that_dynamodb_has_not_refuses_its_row(value, source):
    rows = list(ParquetRows(source(pa.table({"pk": ["a", "b"], "f": [1.0, value]})), Position()))
    assert rows[0].item == {"pk": "a", "f": 1}
    assert "'f': " in rows[1].reason
    assert rows[1].number == 2


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (pa.array([2**53], pa.timestamp("ms")), "that Python can't hold"),
        (pa.array([10**8], pa.date32()), "that Python can't hold"),
        (pa.array([pa.scalar(1, pa.duration("s"))]), "no counterpart"),
        (pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64())), "has 'k' twice"),
        (pa.array([[(b"k", 1)]], pa.map_(pa.binary(), pa.int64())), "neither text nor a number"),
        (
            pa.Array.from_buffers(
                pa.string(), 1, [None, pa.py_buffer(struct.pack("2i", 0, 2)), pa.py_buffer(b"a\xff")]
            ),
            "that Python can't hold",
        ),
    ],
)
def test_a_value_that_can_not_be_kept_refuses_its_row(value, says, source):
    [row] = ParquetRows(source(pa.table({"pk": ["a"], "v": value})), Position())
    assert row.item is None
    assert row.reason.startswith("'v': ")
    assert says in row.reason


def test_nanoseconds_are_kept_or_refused(source):
    rows = ParquetRows(source(pa.table({"at": pa.array([1, 1_000], pa.timestamp("ns"))})), Position())
    [odd, even] = rows
    assert odd.item in (None, {"at": "1970-01-01T00:00:00.000000001"})  # pandas, where it is installed, can hold them
    assert even.item == {"at": "1970-01-01T00:00:00.000001"}


@pytest.mark.parametrize(("text", "says"), [('{"pk": {"S": "b"}}', "column of its own"), (5, "can't hold")])
def test_what_did_not_fit_takes_no_columns_place(text, says, source):
    [row] = ParquetRows(source(pa.table({"pk": ["a"], "rddb_rest": [text]})), Position())
    assert says in row.reason


def test_a_column_that_is_there_twice_is_said(source):
    made = source(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["v", "v"]))
    with pytest.raises(BulkError, match="has the column 'v' twice"):
        ParquetRows(made, Position())


def test_floats_of_32_bits_keep_their_value(source):
    values = [struct.unpack("f", struct.pack("f", number))[0] for number in (1 / 3, 16777217.0, 1e-10, 3.4e38, 0.0)]
    rows = ParquetRows(source(pa.table({"f": pa.array(values, pa.float32())})), Position())
    for value, row in zip(values, rows, strict=True):
        assert struct.unpack("f", struct.pack("f", float(row.item["f"])))[0] == value


@pytest.mark.parametrize("begin", [0, 1, 99, 100, 101, 555, 999, 1000])
def test_reading_on_gives_the_rest(begin, source):
    made = source(pa.table({"n": list(range(1000))}), row_group_size=100)
    reader = ParquetRows(made, Position(begin, begin, 0))
    assert [row.item["n"] for row in reader] == list(range(begin, 1000))
    assert reader.position == (1000, 1000, 0)


def test_what_is_no_parquet_is_said(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 and no more")
    source = Source(str(path))
    with pytest.raises(BulkError, match="can't be read as Parquet"):
        ParquetRows(source, Position())
    source.close()


def test_a_parquet_file_is_loaded(command, table, tmp_path):
    pq.write_table(pa.table({"pk": ["a", "b", None], "n": [1, None, 3]}), tmp_path / "items.parquet")
    done = command("load", *table.to, "items.parquet")
    assert done.code == 3
    assert table.stored() == {"a": {"pk": "a", "n": 1}, "b": {"pk": "b"}}
    assert "items.parquet, row 3: has no 'pk'" in done.err


def test_without_pyarrow_the_extra_is_named(command, table, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "items.parquet").write_bytes(b"PAR1")
    done = command("load", *table.to, "items.parquet")
    assert (done.code, done.err) == (
        1,
        "resilient-ddb: error: Parquet needs pyarrow: pip install 'resilient_ddb[bulk]'\n",
    )
