"""Values and rows, without any table: what is read is what was written, and what is hostile is refused."""

import base64
import csv
import io
import json
import random
import string
from contextlib import suppress
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest
from boto3.dynamodb.types import DYNAMODB_CONTEXT, TypeSerializer
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from resilient_ddb.cli.bulk import csv_rows, parquet_parts
from resilient_ddb.cli.bulk.conversions import inferred, loads, type_option
from resilient_ddb.cli.bulk.csv_rows import CsvRows
from resilient_ddb.cli.bulk.errors import BulkError, RefusedRowError
from resilient_ddb.cli.bulk.json_rows import dynamodb_json, json_lines
from resilient_ddb.cli.bulk.limits import MAX_LINE_BYTES, KeyAttribute, check_item, number
from resilient_ddb.cli.bulk.parquet_parts import ParquetParts
from resilient_ddb.cli.bulk.parquet_rows import ParquetRows
from resilient_ddb.cli.bulk.plain_lines import PlainLines
from resilient_ddb.cli.bulk.sources import Position, Source
from resilient_ddb.cli.bulk.typed_json import exported_line, native_item, typed_item

KEYS = (KeyAttribute(name="pk", kind="S", role="the table's partition key", max_bytes=2048),)
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=10)
numbers = st.builds(
    lambda digits, exponent, sign: Decimal((sign, tuple(map(int, str(digits))), exponent)),
    st.integers(0, 10**38 - 1),
    st.integers(-120, 80),
    st.integers(0, 1),
)
scalars = st.one_of(texts, numbers, st.booleans(), st.none(), st.binary(max_size=20))
values = st.recursive(
    st.one_of(
        scalars,
        st.sets(texts, min_size=1, max_size=4),
        st.sets(numbers, min_size=1, max_size=4),
        st.sets(st.binary(max_size=5), min_size=1, max_size=4),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)
items = st.dictionaries(names, values, max_size=5)


@pytest.fixture
def source(tmp_path):
    """Return a function that makes a source of bytes."""
    opened = []

    def make(data, name="input.jsonl"):
        path = tmp_path / name
        path.write_bytes(data)
        made = Source(str(path))
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()


def nested(levels, leaf="x"):
    for _ in range(levels):
        leaf = [leaf]
    return leaf


# Values.


@given(items)
@QUICK
def test_dynamodb_json_gives_back_what_was_written(item):
    assert native_item(loads(exported_line(item))["Item"]) == item


@given(items)
@QUICK
def test_the_typed_form_is_boto3s(item):
    serialized = TypeSerializer().serialize(item)
    assert_same({"M": typed_item(item)}, serialized)


def assert_same(own, boto3s):
    """Compare typed values: numbers as numbers, sets without their order, binary ones by their base64."""
    [(kind, mine)], [(other, its)] = own.items(), boto3s.items()
    assert kind == other
    if kind == "M":
        assert mine.keys() == its.keys()
        for name in mine:
            assert_same(mine[name], its[name])
    elif kind == "L":
        for member, its_member in zip(mine, its, strict=True):
            assert_same(member, its_member)
    else:
        read = {"N": Decimal, "NS": lambda each: set(map(Decimal, each)), "SS": set, "BS": set}.get(
            kind, lambda each: each
        )
        if kind in ("B", "BS"):
            its = encoded(its) if kind == "B" else list(map(encoded, its))
        assert read(mine) == read(its)


def encoded(data):
    return base64.b64encode(bytes(getattr(data, "value", data))).decode()


@given(items)
@QUICK
def test_json_lines_are_json_with_every_digit(item):
    line = PlainLines().line(item)
    assert "\n" not in line
    read = json.loads(line, parse_float=Decimal, parse_int=Decimal)
    for name, value in item.items():
        if isinstance(value, (str, Decimal, bool)) or value is None:
            assert read[name] == value


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "x" * 10_000])
def test_the_name_of_an_attribute_can_not_move_the_cursor(name):
    lines = PlainLines()
    lines.line({name: {"a"}})
    [hint] = lines.hints()
    assert hint.isprintable()
    assert hint.endswith("give --type NAME:SS")
    assert len(hint) < 200


@given(numbers)
@QUICK
def test_a_number_that_dynamodb_holds_keeps_its_value(value):
    made = number(str(value))
    assert made == value
    DYNAMODB_CONTEXT.create_decimal(made)


@pytest.mark.parametrize(
    "text",
    ["", "x", "1 ", "1_000", "0x1", "NaN", "Infinity", "-", ".", "1e", "٣", "1" * 39, "1e126", "1e-131", "1" * 600],
)
def test_what_is_no_number_of_dynamodbs_is_refused(text):
    with pytest.raises(RefusedRowError):
        number(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0e999", 0),
        ("-0", 0),
        ("1" + "0" * 100, Decimal("1e100")),
        ("1" * 38, int("1" * 38)),
        ("1e-130", Decimal("1e-130")),
        ("9.9e125", Decimal("9.9e125")),
        ("007", 7),
    ],
)
def test_numbers_at_the_edges_are_taken(text, value):
    assert number(text) == value
    DYNAMODB_CONTEXT.create_decimal(number(text))


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (["1", "-2.5", "0", ""], "N"),
        (["01234", "94110"], "S"),
        (["1e5", "2"], "S"),
        (["+1"], "S"),
        (["true", "False", "TRUE"], "BOOL"),
        (["true", "1"], "S"),
        (["", ""], "S"),
        (["1" * 39], "S"),
        (["NaN"], "S"),
    ],
)
def test_a_columns_type_is_told_by_what_all_cells_are(column, kind):
    assert inferred(column) == kind


@pytest.mark.parametrize("text", ["price", ":N", "price:X", "price:"])
def test_a_type_needs_a_name_and_a_type(text):
    with pytest.raises(ValueError, match="must be NAME:TYPE"):
        type_option(text)


def test_a_type_splits_at_the_last_colon():
    assert type_option("a:b:N") == ("a:b", "N")


# Limits.


def refusal(item):
    with pytest.raises(RefusedRowError) as refused:
        check_item(item, KEYS)
    return str(refused.value)


def test_thirty_two_levels_are_taken_and_no_more():
    check_item({"pk": "a", "v": nested(31)}, KEYS)
    assert "more than 32 levels" in refusal({"pk": "a", "v": nested(32)})


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({}, "has no 'pk'"),
        ({"pk": 1}, "must be a string"),
        ({"pk": "k" * 2049}, "2,049 bytes"),
        ({"pk": "a", "v": "x" * 409_600}, "the item has 409,"),
        ({"pk": "a", "": 1}, "name is empty"),
        ({"pk": "a", "n" * 65_536: 1}, "65,535"),
        ({"pk": "a", "v": "\ud800"}, "not UTF-8"),
        ({"pk": "a", "v": {"\ud800": 1}}, "not UTF-8"),
        ({"pk": "a", "v": set()}, "empty"),
    ],
)
def test_what_dynamodb_would_refuse_is_refused_before(item, says):
    assert says in refusal(item)


def test_a_refusal_holds_no_value_and_no_long_name():
    said = refusal({"pk": "secret" * 1000})
    assert "secret" not in said
    assert len(refusal({"pk": "a", "n" * 5000: nested(40)})) < 200


# Lines.


def rows_of(reader):
    return [(row.number, row.line, row.item, row.reason) for row in reader]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "not JSON"),
        (b"null", "not a JSON object"),
        (b'"\xff"', "not UTF-8, at byte 2"),
        (b'{"a": 1, "a": 2}', "has 'a' twice"),
        (b'{"a": {"b": 1, "b": 1}}', "has 'b' twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e400}', "range"),
        (b"[" * 100_000, "nested far too deep"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested far too deep"),
        (b'{"a": 1} {"b": 2}', "not JSON: Extra data"),
        (b'{"a": "' + b"x" * MAX_LINE_BYTES + b'"}', "longer than"),
        (b'{"a": ' + b"9" * 5000 + b"}", "longer than 512"),
    ],
)
def test_a_bad_line_is_refused_and_the_next_one_read(line, says, source):
    [before, bad, after] = json_lines(source(b'{"pk": "a"}\n' + line + b'\n{"pk": "b"}'), Position())
    assert (before.item, after.item) == ({"pk": "a"}, {"pk": "b"})
    assert says in bad.reason
    assert (bad.number, bad.line) == (2, 2)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"a": 1}', "no 'Item'"),
        ("{}", "no 'Item'"),
        ('{"a": {"S": "x"}, "b": {"N": 1}}', "'b': the value of a N must be a JSON string"),
        ('{"a": {"S": "x"}, "b": 1}', "'b': not a typed value"),
        ('{"Item": 1}', "no object"),
        ('{"Item": {"a": 1}}', "'a': not a typed value"),
        ('{"Item": {"a": {"S": "x", "N": "1"}}}', "not a typed value"),
        ('{"Item": {"a": {"X": "x"}}}', "type that DynamoDB has not"),
        ('{"Item": {"a": {"N": 1}}}', "must be a JSON string"),
        ('{"Item": {"a": {"N": "x"}}}', "not a number"),
        ('{"Item": {"a": {"B": "*"}}}', "not base64"),
        ('{"Item": {"a": {"NULL": false}}}', "must be true"),
        ('{"Item": {"a": {"SS": [1]}}}', "must be a JSON string"),
        ('{"Keys": {}, "NewImage": {}}', "incremental"),
        (json.dumps({"Item": {"a": {"S": "x"}}}).replace('{"S": "x"}', '{"L": [' * 40 + "]}" * 40), "more than 32"),
    ],
)
def test_dynamodb_json_is_read_strictly(line, says, source):
    [row] = dynamodb_json(source(line.encode()), Position())
    assert says in row.reason


def test_reading_goes_on_behind_a_line_that_is_too_long(source):
    text = b'{"pk": "a"}\n{"v": "' + b"x" * 2 * MAX_LINE_BYTES + b'"}\n{"pk": "b"}\n'
    reader = json_lines(source(text), Position())
    rows = iter(reader)
    next(rows)
    next(rows)
    assert [row.item for row in json_lines(source(text), reader.position)] == [{"pk": "b"}]


@given(st.binary(max_size=300))
@QUICK
def test_any_bytes_are_rows_or_refusals(source, data):
    assume(not data.startswith(b"\x1f\x8b"))  # gzip's
    reader = json_lines(source(data), Position())
    for row in reader:
        assert (row.item is None) == bool(row.reason)
    assert reader.position.offset == len(data)


@given(st.lists(st.dictionaries(st.text(string.ascii_letters, min_size=1), st.integers(0, 99))), st.data())
@QUICK
def test_reading_on_from_a_position_gives_the_rest(source, rows, data):
    text = "\n".join(json.dumps(row) for row in rows).encode()
    whole = rows_of(json_lines(source(text), Position()))
    cut = data.draw(st.integers(0, len(whole)))
    reader = json_lines(source(text), Position())
    begun = [row for row, _ in zip(iter(reader), range(cut), strict=False)] if cut else []
    position = reader.position if len(begun) == cut and cut else Position()
    rest = rows_of(json_lines(source(text), position))
    assert rest == whole[position.row :]
    assert [row[2] for row in whole] == rows


# CSV.

cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(cells, cells, cells), max_size=12), st.sampled_from(["\n", "\r\n"]), st.data())
@QUICK
def test_csv_is_read_as_it_was_written_also_from_the_middle(source, table, end, data):
    file = io.StringIO()
    # Python 3.11 leaves a carriage return without quotes where lines don't end with one.
    writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL)
    writer.writerows([("a", "b", "c"), *table])
    text = file.getvalue().encode()
    types = dict.fromkeys("abc", "S")

    def read(position):
        return CsvRows(source(text, "input.csv"), position, ",", types)

    found = read(Position())
    rows, positions = [], [found.position]
    for row in found:
        assert not row.reason
        rows.append(row.item)
        positions.append(found.position)
    wanted = [{name: cell for name, cell in zip("abc", line, strict=True) if cell} for line in table]
    assert rows == wanted
    position = data.draw(st.sampled_from(positions))
    assert [row.item for row in read(position)] == wanted[position.row :]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1", "has 1 cell where the first line has 2"),
        ("1,2,3", "has 3 cells"),
        ("a,x", "'n': not a number"),
        ('"a"b,1', "not CSV"),
        ("a,1e999", "out of DynamoDB's range"),
    ],
)
def test_a_bad_record_is_refused_and_the_next_one_read(line, says, source):
    text = f"pk,n\nfirst,1\n{line}\nlast,2\n".encode()
    [before, bad, after] = CsvRows(source(text, "x.csv"), Position(), ",", {"pk": "S", "n": "N"})
    assert (before.item, after.item) == ({"pk": "first", "n": 1}, {"pk": "last", "n": 2})
    assert says in bad.reason
    assert (bad.number, bad.line) == (2, 3)


def test_a_record_that_is_not_utf8_is_refused_with_all_its_lines(source):
    text = b'pk,v\na,"one\ntwo \xff\nthree"\nb,x\n'
    found = [row.item for row in CsvRows(source(text, "x.csv"), Position(), ",", {})]
    with pytest.raises(RefusedRowError, match="not UTF-8"):
        check_item(found[0], KEYS)
    assert found[1] == {"pk": "b", "v": "x"}


def test_a_quote_that_is_never_closed_stops_the_load(source, monkeypatch):
    monkeypatch.setattr(csv_rows, "MAX_LINE_BYTES", 200)
    text = b'pk,v\na,x\nb,"open\n' + b"c,y\n" * 200
    reader = iter(CsvRows(source(text, "x.csv"), Position(), ",", {}))
    assert next(reader).item == {"pk": "a", "v": "x"}
    with pytest.raises(BulkError, match="record from line 3 has a quote that is not closed"):
        next(reader)


def test_a_record_that_is_cut_at_the_end_is_refused(source):
    rows = list(CsvRows(source(b'pk,v\na,x\nb,"open\nc,y', "x.csv"), Position(), ",", {}))
    assert "quote that is not closed: it holds all lines from here on" in rows[1].reason
    assert (rows[1].line, rows[1].text) == (3, b'b,"open\nc,y')


def test_a_csv_line_that_is_too_long_is_refused(source):
    text = b"pk,v\na,x\nb," + b"y" * MAX_LINE_BYTES + b"\nc,z\n"
    found = [(row.item, row.reason) for row in CsvRows(source(text, "x.csv"), Position(), ",", {})]
    assert [item and item["pk"] for item, _ in found] == ["a", None, "c"]
    assert "longer than" in found[1][1]


def test_a_quote_in_what_was_skipped_stops_the_load(source):
    text = b"pk,v\n" + b"y" * MAX_LINE_BYTES + b'y,"open\nc,z\n'
    with pytest.raises(BulkError, match="record from line 2 has a quote that is not closed"):
        list(CsvRows(source(text, "x.csv"), Position(), ",", {}))


@given(st.binary(max_size=300))
@QUICK
def test_any_bytes_are_csv_rows_or_refusals_or_an_error(source, data):
    found = []
    with suppress(BulkError):  # a quote that is not closed
        found += CsvRows(source(b"pk,v\n" + data, "x.csv"), Position(), ",", {})
    assert all((row.item is None) == bool(row.reason) for row in found)


@pytest.mark.parametrize("late", ["many", "01234", "+4915", "12e4", " 5", "1."])
def test_a_type_that_the_first_rows_told_holds_for_all(late, source):
    rows = ["pk,n"] + [f"{n},{n}" for n in range(3000)] + [f"x,{late}"]
    text = "\n".join(rows).encode()
    found = list(CsvRows(source(text, "x.csv"), Position(), ",", {"pk": "S"}))
    assert found[2999].item == {"pk": "2999", "n": 2999}
    assert found[3000].reason.startswith("'n': not a plain number, as in the first rows")
    known = {"pk": "S", "n": "N"}
    if late == "01234":
        assert list(CsvRows(source(text, "x.csv"), Position(), ",", known))[3000].item == {"pk": "x", "n": 1234}


def test_random_garbage_is_survived(source):
    noise = random.Random(3).randbytes(300_000)
    assert all(row.reason for row in json_lines(source(noise), Position()))


# Parquet, written and read.


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="Parquet needs pyarrow")
@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "c", "rddb_rest"]), values, max_size=3), max_size=8), st.data()
)
@QUICK
def test_parquet_gives_back_every_item_as_it_was(items, data):
    with TemporaryDirectory() as name, mock.patch.object(parquet_parts, "_PART_ROWS", 1):
        path = Path(name, "out")
        parts = ParquetParts(path, 0)
        for item in items:
            parts.write(item)
            if data.draw(st.booleans()):
                parts.commit()
        parts.complete()
        parts.finish()
        found = []
        for part in sorted(path.iterdir()):
            source = Source(str(part))
            found += [row.item for row in ParquetRows(source, Position())]
            source.close()
        assert found == items
