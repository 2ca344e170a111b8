"""Responses: what the codec reads is what botocore's parser and boto3's handler make of them; it leaves all else."""

import json
from decimal import Clamped, Rounded
from types import SimpleNamespace

import pytest
from botocore.model import ShapeResolver
from codec_support import ENGINES, OPERATIONS, PARSER, boto3_reads, exactly, has_values, outcome
from codec_wire import ODD_JSON, ODD_TOKENS, Members, Token, bodies, damaged, odd_bodies, wire, written
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from resilient_ddb.codec import LARGE_BYTES, Codec, Reader
from resilient_ddb.codec.numbers import boto3_number


def codec_with(engine):
    codec = Codec()
    codec.engine = ENGINES[engine]
    return codec


CODECS = {engine: codec_with(engine) for engine in ENGINES}
READ = [name for name, operation in OPERATIONS.items() if CODECS["standard library"].reader(operation) is not None]
OF_VALUES = [name for name in READ if has_values(OPERATIONS[name].output_shape)]
ITEMS = {"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems", "PutItem", "UpdateItem", "DeleteItem"}
MODES = {"native": True, "typed": False}


def whole(reader, text, number):
    return reader.read(text, number)


def in_steps(reader, text, number):
    """Return what is read row by row, and how often the reading stopped."""
    steps, stops = reader.read_in_steps(text, number), 0
    while True:
        try:
            assert next(steps) is None
        except StopIteration as end:
            return end.value, stops
        stops += 1


def row_by_row(reader, text, number):
    return in_steps(reader, text, number)[0]


ROUNDING = (Rounded, Clamped)
WAYS = {"whole": whole, "row by row": row_by_row}


def compare(name, text, *, must_read=False):
    """What is read is boto3's; nothing is read that boto3 would refuse, but numbers that need no rounding."""
    operation = OPERATIONS[name]
    for mode, native in MODES.items():
        boto3s = outcome(lambda native=native: boto3_reads(text, operation, native=native))
        for engine, codec in CODECS.items():
            for way, read in WAYS.items():
                number = boto3_number() if native else None
                found = outcome(read, codec.reader(operation), text, number)
                if must_read or (found[0] == "gave" and boto3s[1] not in ROUNDING):
                    assert found == boto3s, (mode, engine, way)


# What DynamoDB sends.


@pytest.mark.parametrize("name", READ)
@examples(15)
@given(st.data())
def test_what_dynamodb_sends_is_read_as_boto3_reads_it(name, data):
    compare(name, data.draw(bodies(wire(OPERATIONS[name].output_shape.name))), must_read=True)


def test_operations_on_items_are_read_here():
    assert set(READ) >= ITEMS
    # Those that have a time in their answers are left to botocore, and those that have no answer.
    assert {name for name in OPERATIONS if name not in READ} == {
        name for name, operation in OPERATIONS.items() if not tells_no_time(operation.output_shape)
    }


def tells_no_time(shape):
    if shape is None or shape.type_name == "timestamp":
        return False
    if shape.name == "AttributeValue":
        return True
    if shape.type_name == "structure":
        return all(map(tells_no_time, shape.members.values()))
    return shape.type_name not in ("map", "list") or tells_no_time(
        shape.value if shape.type_name == "map" else shape.member
    )


# What it doesn't.


@examples(500)
@given(st.data(), st.sampled_from([*READ, *OF_VALUES * 4]))
def test_what_is_read_of_unusual_json_is_boto3s(data, name):
    compare(name, data.draw(odd_bodies(OPERATIONS[name].output_shape.name)))


@examples(200)
@given(st.data(), st.sampled_from(OF_VALUES))
def test_what_is_read_of_damaged_bodies_is_boto3s(data, name):
    compare(name, data.draw(damaged(bodies(wire(OPERATIONS[name].output_shape.name)))))


def in_short(value):
    return ascii(value)[:40]


@pytest.mark.parametrize("odd", [*map(Members.of, ODD_JSON), *map(Token, ODD_TOKENS)], ids=in_short)
def test_what_is_read_with_an_odd_value_anywhere_is_boto3s(odd):
    row = Members([["a", Members([["S", "b"]])], ["c", odd]])
    for name, tree in (
        ("GetItem", [["Item", odd]]),
        ("GetItem", [["Item", row]]),
        ("GetItem", [["New", odd], ["Item", Members([["a", Members([["L", [odd]]])]])]]),
        ("GetItem", [["Item", Members()], ["Item", odd]]),
        ("Query", [["Items", odd], ["Count", odd]]),
        ("Query", [["Items", [odd, row]], ["LastEvaluatedKey", odd]]),
        ("Query", [["ConsumedCapacity", Members([["Table", odd], ["CapacityUnits", odd]])]]),
        ("BatchGetItem", [["Responses", odd], ["UnprocessedKeys", Members([["t", Members([["Keys", [odd]]])]])]]),
        ("BatchGetItem", [["Responses", Members([["t", odd], ["u", [odd]], ["t", [row]]])]]),
        ("TransactGetItems", [["Responses", [odd, Members([["Item", odd]])]]]),
        ("BatchWriteItem", [["UnprocessedItems", Members([["t", [Members([["PutRequest", odd]])]]])]]),
        (
            "UpdateItem",
            [["ItemCollectionMetrics", Members([["ItemCollectionKey", odd], ["SizeEstimateRangeGB", odd]])]],
        ),
    ):
        compare(name, written(Members(tree)).encode("utf-8", "surrogatepass"))
    compare("GetItem", written(odd).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize(
    "text", [b"", b" ", b"null", b"[]", b'"a"', b"1", b"<html>", b"{", b'{"Item":', b"\xef\xbb\xbf{}"]
)
def test_what_is_no_object_is_not_read(engine, text):
    reader = CODECS[engine].reader(OPERATIONS["GetItem"])
    for read in WAYS.values():
        assert outcome(read, reader, text, None)[0] == "raised"


# Pages.


def page(rows, **members):
    items = [
        {"pk": {"S": f"k\xe9y{row:100}"}, "n": {"N": str(row)}, "b": {"B": "AAEC"}, "l": {"L": [{"NULL": True}]}}
        for row in range(rows)
    ]
    return json.dumps({"Items": items, "Count": rows, **members}, ensure_ascii=False).encode()


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("native", [True, False])
def test_a_large_page_is_read_as_by_boto3_in_whole_and_in_steps(engine, native):
    text = page(3000, ScannedCount=5, LastEvaluatedKey={"pk": {"B": "AA=="}}, New={"a": 1})
    boto3s = exactly(boto3_reads(text, OPERATIONS["Query"], native=native))
    reader = CODECS[engine].reader(OPERATIONS["Query"])
    number = boto3_number() if native else None
    assert exactly(reader.read(text, number)) == boto3s
    parsed, stops = in_steps(reader, text, number)
    assert exactly(parsed) == boto3s
    assert len(text) / LARGE_BYTES - 2 <= stops <= len(text) / LARGE_BYTES + 2


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize(
    "name", ["Query", "Scan", "ExecuteStatement", "BatchGetItem", "TransactGetItems", "BatchExecuteStatement"]
)
def test_rows_are_read_one_by_one_wherever_there_are_many(engine, name):
    rows = [{"a": {"S": "b" * 10}}] * 4000
    body = {
        "BatchGetItem": {"Responses": {"t": rows, "u": rows, "v": []}, "UnprocessedKeys": {"t": {"Keys": rows[:1]}}},
        "TransactGetItems": {"Responses": [{"Item": row} for row in rows] + [{}]},
        "BatchExecuteStatement": {"Responses": [{"Item": row, "TableName": "t"} for row in rows]},
    }.get(name, {"Items": rows})
    text = json.dumps(body).encode()
    assert len(text) > LARGE_BYTES
    parsed, stops = in_steps(CODECS[engine].reader(OPERATIONS[name]), text, boto3_number())
    assert exactly(parsed) == exactly(boto3_reads(text, OPERATIONS[name], native=True))
    assert stops >= 1


def test_the_largest_rows_are_read_one_at_a_time():
    text = json.dumps({"Items": [{"a": {"S": "b" * 200_000}}] * 3}).encode()
    for codec in CODECS.values():
        assert len(list(codec.reader(OPERATIONS["Query"]).read_in_steps(text, None))) == 3


def of_boto3(text, *, native):
    return outcome(lambda: boto3_reads(text, OPERATIONS["Query"], native=native))


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize(
    "odd", ['{"a":{"S":"x","N":"1"}}', '{"a":{"N":"x"}}', '{"a":{}}', '{"a":tru}', '{"a":{"S":"\xff"}}', "5", '"x"']
)
def test_a_large_page_with_an_odd_row_is_left_to_boto3(engine, odd, place):
    rows = json.dumps([{"a": {"S": "b"}}] * 4000)[1:-1]
    assert len(rows) > LARGE_BYTES
    text = '{"Items":[' + (f"{odd},{rows}" if place == "first" else f"{rows},{odd}") + "]}"
    reader = CODECS[engine].reader(OPERATIONS["Query"])
    octets = text.encode("latin-1")
    for native in (True, False):
        number = boto3_number() if native else None
        found = outcome(reader.read, octets, number)
        assert found[0] == "raised" or found == of_boto3(octets, native=native)


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("damage", [b'"\xff"', b"9" * 5000, b"tru", b"[1,]"], ids=["octet", "digits", "word", "comma"])
def test_what_the_model_does_not_know_is_looked_at_in_a_large_page_too(engine, damage):
    text = page(600)[:-1] + b',"New":' + damage + b"}"
    assert len(text) > LARGE_BYTES
    found = outcome(CODECS[engine].reader(OPERATIONS["Query"]).read, text, None)
    assert found[0] == "raised" or found == of_boto3(text, native=False)


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("damage", [b'"\xff"', b"tru"], ids=["octet", "word"])
def test_what_occurs_twice_is_looked_at_in_a_large_page_too(engine, damage):
    text = b'{"Count":' + damage + b"," + page(600)[1:]
    assert len(text) > LARGE_BYTES
    found = outcome(CODECS[engine].reader(OPERATIONS["Query"]).read, text, None)
    assert found[0] == "raised" or found == of_boto3(text, native=False)


# Shapes that DynamoDB's model does not have, as yet.


def structure(members=(), **traits):
    named = {member: {"shape": shape, "locationName": name} for member, shape, name in members}
    return {"type": "structure", "members": named, **traits}


SHAPES = {
    **{kind: {"type": kind} for kind in ("string", "timestamp", "blob")},
    "Renamed": structure([("Text", "string", "t"), ("B", "blob", "B")]),
    "List": {"type": "list", "member": {"shape": "Renamed"}},
    "Top": structure([("Rows", "List", "r"), ("One", "Renamed", "One")]),
    "Union": structure([("Text", "string", "Text")], union=True),
    "Document": structure(document=True),
    "Tree": structure([("Inner", "Tree", "Inner"), ("Text", "string", "Text")]),
    **{f"With{name}": structure([("A", name, "A")]) for name in ("Union", "Document", "timestamp")},
}


def made_up(name):
    return ShapeResolver(SHAPES).get_shape_by_name(name)


@pytest.mark.parametrize("engine", list(ENGINES))
def test_members_of_other_names_on_the_wire_are_read_as_by_botocore(engine):
    body = {"r": [{"t": "a", "Text": "b", "B": "AA=="}, {}], "Rows": [{}], "One": {"t": None, "Text": "c"}}
    text = json.dumps(body).encode()
    boto3s = PARSER.parse({"status_code": 200, "headers": {}, "body": text}, made_up("Top"))
    del boto3s["ResponseMetadata"]
    for read in WAYS.values():
        assert exactly(read(Reader(made_up("Top"), ENGINES[engine]), text, None)) == exactly(boto3s)


@pytest.mark.parametrize("name", ["Union", "Document", "Tree", "WithUnion", "WithDocument", "Withtimestamp"])
def test_unusual_shapes_are_left_to_botocore(name):
    model = SimpleNamespace(name=name, input_shape=made_up(name), output_shape=made_up(name))
    for params in ({"Text": "a"}, {"A": {"Text": "a"}}, {"A": "a"}, {"A": 1}):
        assert Codec().write(params, model) is None
    assert Codec().reader(model) is None
    renamed = SimpleNamespace(name="Renamed", input_shape=made_up("Renamed"))
    assert Codec().write({"Text": "a"}, renamed) is None


def test_a_codec_reads_and_writes_the_same_before_and_after_it_has_warmed_up():
    codec, operation = Codec(), OPERATIONS["PutItem"]
    text = b'{"Attributes":{"a":{"L":[{"N":"1.50"},{"B":"AA=="}]}}}'
    params = {"TableName": "t", "Item": {"a": {"B": b"\x00"}, "\xe9": {"L": [{"S": "b"}]}}}
    boto3s = exactly(boto3_reads(text, operation, native=True))
    engines = set()
    for _ in range(60):
        assert exactly(codec.reader(operation).read(text, boto3_number())) == boto3s
        assert json.loads(codec.write(params, operation))["Item"] == {"a": {"B": "AA=="}, "\xe9": {"L": [{"S": "b"}]}}
        engines.add(type(codec.engine.loads.__self__))
    assert len(engines) >= 2
