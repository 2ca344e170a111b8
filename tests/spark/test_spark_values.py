"""Rows as items and items as rows, without Spark: its types stand in."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal
from types import SimpleNamespace

import pytest
from boto3.dynamodb.types import Binary

from resilient_ddb import spark
from resilient_ddb.spark.values import check_columns, check_schema, item_of, row_of


class Row(tuple):  # noqa: SLOT001 - as there
    """As pyspark's: a tuple that knows its fields."""

    def __new__(cls, **fields):
        made = super().__new__(cls, fields.values())
        made.__fields__ = list(fields)
        return made


def kind(name, **parts):
    return SimpleNamespace(typeName=lambda: name, simpleString=lambda: name, **parts)


def struct(**fields):
    return kind("struct", fields=[SimpleNamespace(name=name, dataType=given) for name, given in fields.items()])


def array(of):
    return kind("array", elementType=of)


def mapping(of, key="string"):
    return kind("map", keyType=kind(key), valueType=of)


def decimal(precision, scale):
    return kind("decimal", precision=precision, scale=scale)


STRING, LONG, DOUBLE, BINARY = kind("string"), kind("long"), kind("double"), kind("binary")


def test_a_row_becomes_an_item():
    row = Row(
        id="a",
        whole=1,
        real=0.1,
        exact=Decimal("1.50"),
        yes=True,
        raw=bytearray(b"x"),
        nothing=None,
        nested=Row(x=1, y=None),
        listed=[1, None, Row(z=2.5)],
        mapped={"k": None, "r": 1.0},
    )
    assert item_of(row, ["id"]) == {
        "id": "a",
        "whole": 1,
        "real": Decimal("0.1"),
        "exact": Decimal("1.50"),
        "yes": True,
        "raw": b"x",
        "nested": {"x": 1},
        "listed": [1, None, {"z": Decimal("2.5")}],
        "mapped": {"k": None, "r": Decimal("1.0")},
    }


def test_a_dict_is_written_as_it_is_with_sets_and_binaries():
    item = {"id": "a", "tags": {"x", "y"}, "raw": Binary(b"x"), "pair": (1, 2)}
    assert item_of(item, ["id"]) == {**item, "pair": [1, 2]}


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (float("nan"), ValueError, r"column 'v' has NaN or an infinity in a row"),
        ([{"a": float("inf")}], ValueError, r"column 'v\[\]{}' has NaN"),
        (dt.datetime.now(dt.UTC), TypeError, r"column 'v' is of type datetime.* unix_timestamp\(v\)"),
        ([dt.date(2020, 1, 1)], TypeError, r"column 'v\[\]' is of type date, .* date_format\(v\[\]"),
        (Row(at=dt.timedelta(1)), TypeError, r"column 'v.at' is of type timedelta, which DynamoDB does not have"),
        ({1: "a"}, TypeError, "column 'v' must have texts for keys: DynamoDB has no other maps; got int"),
        (
            10**38 + 1,
            TypeError,
            "column 'v' has a value of type int in a row that DynamoDB can't hold; numbers have 38",
        ),
        ([Decimal("0." + "1" * 39)], TypeError, r"column 'v\[\]' has a value of type Decimal"),
        (1e300, TypeError, "column 'v' has a value of type Decimal"),
        (Row(s={"x", 1}), TypeError, "column 'v.s' has a value of type set in a row .* sets are of texts"),
        (1 + 2j, TypeError, "column 'v' has a value of type complex in a row that DynamoDB can't hold"),
    ],
)
def test_a_value_that_has_no_place_in_dynamodb_is_refused_by_its_column(value, error, match):
    with pytest.raises(error, match=match):
        item_of({"id": "a", "v": value}, ["id"])


@pytest.mark.parametrize("row", [{"x": 1}, {"id": None, "x": 1}])
def test_a_row_without_its_key_is_refused(row):
    with pytest.raises(ValueError, match="column 'id' is null, or missing, in a row: it is part of the table's key"):
        item_of(row, ["id"])


@pytest.mark.parametrize("row", ["text", (1, 2), 5, None])
def test_what_is_no_row_is_refused(row):
    with pytest.raises(TypeError, match=f"a row must be a Row, or a dict of attributes; got {type(row).__name__}"):
        item_of(row, ["id"])


def test_a_float_of_another_library_is_a_number():
    class Float64(float):
        __slots__ = ()

        def __repr__(self):
            return f"np.float64({float(self)})"

    assert item_of({"id": "a", "v": Float64(0.1)}, ["id"])["v"] == Decimal("0.1")


def test_a_schema_that_can_be_written_passes():
    check_schema(
        struct(id=STRING, at=LONG, d=DOUBLE, n=kind("void"), a=array(struct(m=mapping(kind("boolean")))), b=BINARY),
        ["id", "at"],
    )


@pytest.mark.parametrize(
    ("schema", "error", "match"),
    [
        (struct(a=STRING), ValueError, r"must have a column 'id': it is part of the table's key; it has \['a'\]"),
        (struct(id=DOUBLE), TypeError, "column 'id' must be a string, a whole number, .* it is of type double"),
        (struct(id=array(LONG)), TypeError, "column 'id' must be a string"),
        (struct(id=LONG, t=kind("timestamp")), TypeError, r"column 't' is of type timestamp.* unix_timestamp\(t\)"),
        (struct(id=LONG, t=kind("timestamp_ntz")), TypeError, r"date_format\(t, \.\.\.\)"),
        (struct(id=LONG, t=array(kind("date"))), TypeError, r"column 't\[\]' is of type date"),
        (struct(id=LONG, t=mapping(kind("interval"))), TypeError, r"column 't{}' is of type interval, which Dyn"),
        (struct(id=LONG, t=struct(u=kind("variant"))), TypeError, "column 't.u' is of type variant"),
        (struct(id=LONG, t=mapping(LONG, key="long")), TypeError, "column 't' must have texts for keys"),
    ],
)
def test_a_schema_that_can_not_be_written_is_refused_before_anything_is(schema, error, match):
    with pytest.raises(error, match=match):
        check_schema(schema, ["id"])


def test_a_schema_that_can_not_be_read_by_is_refused_before_anything_is():
    check_columns(struct(id=STRING, n=array(mapping(decimal(38, 0)))))
    with pytest.raises(TypeError, match=r"column 't\[\]' of the schema is of type date, .* such as long or string"):
        check_columns(struct(id=STRING, t=array(kind("date"))))


@pytest.mark.parametrize("digits", ["9999999.999", "-9999999.999", "1E+6", "0.001", "5.0000"])
def test_a_number_that_fits_a_decimal_is_read_whole(digits):
    assert row_of({"v": Decimal(digits)}, struct(v=decimal(10, 3))) == (Decimal(digits),)


def test_an_item_becomes_a_row():
    schema = struct(
        id=STRING,
        whole=LONG,
        real=DOUBLE,
        exact=decimal(38, 18),
        yes=kind("boolean"),
        raw=BINARY,
        missing=LONG,
        nested=struct(x=LONG, y=STRING),
        listed=array(LONG),
        tags=array(STRING),
        blobs=array(BINARY),
        mapped=mapping(DOUBLE),
    )
    item = {
        "id": "a",
        "whole": Decimal(7),
        "real": Decimal("0.1"),
        "exact": Decimal("1.5"),
        "yes": False,
        "raw": Binary(b"x"),
        "nested": {"x": Decimal(1), "z": "left out"},
        "listed": [Decimal(1), None],
        "tags": {"b", "a"},
        "blobs": {Binary(b"2"), Binary(b"1")},
        "mapped": {"k": Decimal(2)},
        "unknown": "left out",
    }
    expected = (
        "a",
        7,
        0.1,
        Decimal("1.5"),
        False,
        b"x",
        None,
        (1, None),
        [1, None],
        ["a", "b"],
        [b"1", b"2"],
        {"k": 2.0},
    )
    assert row_of(item, schema) == expected


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("5", LONG),
        (Decimal("1.5"), LONG),
        (True, LONG),
        (Decimal(2**63), LONG),
        (Decimal(-129), kind("byte")),
        (Decimal("0.0001"), decimal(10, 3)),
        (Decimal("1E+7"), decimal(10, 3)),
        (Decimal("1234567890123456789012345678.5"), decimal(38, 0)),
        ("1", decimal(10, 3)),
        (Decimal("NaN"), LONG),
        (Decimal(1), STRING),
        ("1.5", DOUBLE),
        ("x", BINARY),
        (Decimal(1), kind("boolean")),
        ({"a": "b"}, array(STRING)),
        (["a"], mapping(STRING)),
        ("x", struct(a=STRING)),
        (Decimal(1), kind("timestamp")),
    ],
)
def test_an_attribute_that_does_not_fit_the_schema_is_refused_without_its_value(value, given):
    with pytest.raises(
        TypeError, match=f"attribute 'v' does not fit the schema, which says {given.typeName()}"
    ) as raised:
        row_of({"v": value}, struct(v=given))
    assert repr(value) not in str(raised.value)


@pytest.mark.parametrize("call", [lambda: spark.write_partitions([], "t"), lambda: spark.read_table(None, "t")])
def test_without_pyspark_the_error_says_what_to_install(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(ImportError, match=r"resilient_ddb.spark needs pyspark: pip install 'resilient_ddb\[spark\]'"):
        call()
