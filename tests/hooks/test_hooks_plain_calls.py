"""Calls that go past botocore's inside: nobody can tell them from those that go through it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr, Key
from hypothesis import given
from hypothesis import strategies as st
from plain_call_support import ANSWERS, CONDITION, GOOD, ITEM, PARAMS, TYPED, Heard, Ways
from properties import examples
from wire_server import HANDS_ON_WHAT_IS_CUT, answer, error

pytestmark = pytest.mark.usefixtures("without_moto")


@pytest.fixture(scope="module")
def server():
    with Heard() as found:
        yield found


@pytest.fixture(scope="module")
def ways(server):
    found = Ways(server).warm()
    yield found
    found.close()


@pytest.fixture(scope="module")
def typed_ways(server):
    found = Ways(server, native=False).warm(TYPED)
    yield found
    found.close()


@pytest.mark.parametrize("operation", PARAMS)
def test_a_plain_call_comes_to_the_same(ways, typed_ways, operation):
    ways.compare(operation, PARAMS[operation], [GOOD[operation]])
    typed_ways.compare(operation, TYPED[operation], [GOOD[operation]])


def said(operation, name):
    """Return an answer as the only one, as the first, and as the last."""
    yield [ANSWERS[name]]
    yield [ANSWERS[name], GOOD[operation]]
    yield [error("InternalServerError", 500), ANSWERS[name]]


@pytest.mark.parametrize("operation", PARAMS)
@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_comes_to_the_same(ways, operation, name):
    for answers in said(operation, name):
        ways.compare(operation, PARAMS[operation], answers)


PAIRS = [
    pytest.param(operation, name, marks=[] if (number - place) % len(PARAMS) == 0 else pytest.mark.long)
    for number, name in enumerate(ANSWERS)
    for place, operation in enumerate(PARAMS)
]
"""Each answer to one operation, and in a long run to all: what is read of it in native values is shown above."""


@pytest.mark.parametrize(("operation", "name"), PAIRS)
def test_every_answer_comes_to_the_same_in_typed_values(typed_ways, operation, name):
    for answers in said(operation, name):
        typed_ways.compare(operation, TYPED[operation], answers)


WRITES = [
    {"TableName": "t", "Item": {"pk": "a", "n": 1}, "ConditionExpression": "attribute_not_exists(pk)"},
    {"TableName": "t", "Item": {"pk": "a", "n": 1}},
]


@pytest.mark.parametrize("params", WRITES, ids=["conditional", "plain"])
@pytest.mark.parametrize("lost", [[None], [answer({})[:-1], None]], ids=["closed", "cut"])
def test_a_write_whose_reply_was_lost_comes_to_the_same(ways, params, lost):
    if lost != [None] and not HANDS_ON_WHAT_IS_CUT:
        pytest.skip("this botocore tells of a body that was cut in words of its own")
    mine = {"pk": {"S": "a"}, "n": {"N": "1"}}
    for then in (GOOD["PutItem"], error(CONDITION), error(CONDITION, Item=mine), error(CONDITION, Item=ITEM), lost):
        ways.compare("PutItem", params, [lost, then])


WRONG = [
    ("GetItem", {}),
    ("GetItem", {"TableName": "t"}),
    ("GetItem", {"TableName": 5, "Key": {"pk": "a"}}),
    ("GetItem", {"TableName": "t", "Key": {"pk": 1.5}}),
    ("GetItem", {"TableName": "t", "Key": {"pk": object}}),
    ("GetItem", {"TableName": "t", "Key": {"pk": "a"}, "Unknown": 1}),
    ("GetItem", {"TableName": "arn:aws:dynamodb:eu-west-1:111111111111:table/t", "Key": {"pk": "a"}}),
    ("GetItem", {"TableName": "arn:aws:no", "Key": {"pk": "a"}}),
    ("PutItem", {"TableName": "t", "Item": {"pk": "\ud800"}}),
    ("PutItem", {"TableName": "t", "Item": {"pk": Decimal("NaN")}}),
    ("PutItem", {"TableName": "t", "Item": {1: "a"}}),
    ("PutItem", {"TableName": "t", "Item": [("pk", "a")]}),
    ("Query", {"TableName": "t", "Limit": 0}),
    ("Query", {"TableName": "t", "Limit": "7"}),
    ("Query", {"TableName": "t", "KeyConditionExpression": Attr("a").eq(1)}),
    ("Query", {"TableName": "t", "KeyConditionExpression": Key("a")}),
    ("BatchGetItem", {"RequestItems": {"t": {}}}),
    ("BatchGetItem", {"RequestItems": {"arn:aws:dynamodb:eu-west-1:111111111111:table/t": {"Keys": [{"pk": "a"}]}}}),
    ("BatchWriteItem", {"RequestItems": {5: []}}),
]


@pytest.mark.parametrize("call", WRONG, ids=lambda call: f"{call[0]}-{call[1]}"[:60])
def test_what_is_unusual_goes_botocores_way(ways, call):
    operation, params = call
    ways.compare(operation, params, [GOOD[operation]], is_taken=False)


TEXTS = st.text(max_size=8)
NUMBERS = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda d: d % 10**9),
)
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none(), st.binary(max_size=8), st.floats())
SETS = st.one_of(st.sets(TEXTS, max_size=3), st.sets(NUMBERS, max_size=3), st.sets(st.binary(max_size=4), max_size=3))
VALUES = st.recursive(
    st.one_of(SCALARS, SETS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
ITEMS = st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=4)
OPTIONS = {
    "GetItem": st.fixed_dictionaries(
        {"TableName": TEXTS, "Key": ITEMS},
        optional={"ConsistentRead": st.booleans() | TEXTS, "ProjectionExpression": TEXTS},
    ),
    "PutItem": st.fixed_dictionaries(
        {"TableName": TEXTS, "Item": ITEMS},
        optional={
            "ConditionExpression": TEXTS | st.just(Attr("pk").not_exists()),
            "ReturnValues": st.sampled_from(["NONE", "ALL_OLD", "X"]),
            "ExpressionAttributeValues": ITEMS,
        },
    ),
    "UpdateItem": st.fixed_dictionaries(
        {"TableName": TEXTS, "Key": ITEMS},
        optional={"UpdateExpression": TEXTS, "ExpressionAttributeValues": ITEMS, "AttributeUpdates": ITEMS},
    ),
    "DeleteItem": st.fixed_dictionaries({"TableName": TEXTS, "Key": ITEMS}, optional={"Expected": ITEMS}),
    "Query": st.fixed_dictionaries(
        {"TableName": TEXTS, "KeyConditionExpression": TEXTS | st.builds(lambda v: Key("pk").eq(v), VALUES)},
        optional={"Limit": st.integers(-1, 5), "ExclusiveStartKey": ITEMS, "KeyConditions": ITEMS},
    ),
    "Scan": st.fixed_dictionaries(
        {"TableName": TEXTS},
        optional={"FilterExpression": st.builds(lambda v: Attr("n").gt(v), VALUES), "TotalSegments": st.integers()},
    ),
    "BatchGetItem": st.fixed_dictionaries(
        {
            "RequestItems": st.dictionaries(
                TEXTS, st.fixed_dictionaries({"Keys": st.lists(ITEMS, max_size=2)}), max_size=2
            )
        }
    ),
    "BatchWriteItem": st.fixed_dictionaries(
        {
            "RequestItems": st.dictionaries(
                TEXTS,
                st.lists(st.fixed_dictionaries({"PutRequest": st.fixed_dictionaries({"Item": ITEMS})})),
                max_size=2,
            )
        }
    ),
}
TYPED_VALUES = st.recursive(
    st.one_of(
        st.fixed_dictionaries({"S": TEXTS}),
        st.fixed_dictionaries({"N": NUMBERS.map(str) | TEXTS}),
        st.fixed_dictionaries({"B": st.sampled_from(["", "AP8=", "x"])}),
        st.fixed_dictionaries({"BOOL": st.booleans()}),
        st.just({"NULL": True}),
        st.fixed_dictionaries({"SS": st.lists(TEXTS, max_size=3)}),
        st.fixed_dictionaries({"NS": st.lists(NUMBERS.map(str), max_size=3)}),
        st.sampled_from([None, {}, {"S": None}, {"S": "a", "N": "1"}, {"X": 1}, "a", {"L": None}]),
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"L": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"M": st.dictionaries(TEXTS, inner, max_size=3)}),
    ),
    max_leaves=5,
)
TYPED_ITEMS = st.dictionaries(TEXTS, TYPED_VALUES, max_size=3)
BODIES = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "Item": TYPED_ITEMS,
            "Attributes": TYPED_ITEMS,
            "Items": st.lists(TYPED_ITEMS, max_size=3),
            "Count": st.integers(0, 9) | st.none(),
            "Responses": st.dictionaries(st.sampled_from(["t", "u"]), st.lists(TYPED_ITEMS, max_size=2), max_size=2),
            "UnprocessedKeys": st.just({})
            | st.dictionaries(TEXTS, st.fixed_dictionaries({"Keys": st.lists(TYPED_ITEMS)})),
            "UnprocessedItems": st.just({}),
            "ConsumedCapacity": st.fixed_dictionaries({"CapacityUnits": st.floats(0, 9)}),
            "__type": st.sampled_from(["x#ValidationException", "x#ThrottlingException", f"x#{CONDITION}"]),
            "message": TEXTS,
        },
    ).map(lambda body: json.dumps(body).encode()),
    st.binary(max_size=30),
)
SAID = st.builds(
    lambda body, status, crc: answer(body, status, crc=crc),
    BODIES,
    st.sampled_from([200, 200, 200, 200, 201, 302, 400, 400, 500, 503]),
    st.booleans(),
)


@given(data=st.data(), operation=st.sampled_from(sorted(PARAMS)), said=st.lists(SAID, min_size=1, max_size=2))
@examples(1600)
def test_whatever_is_asked_and_answered_comes_to_the_same(ways, data, operation, said):
    params = data.draw(st.just(PARAMS[operation]) | OPTIONS[operation])
    ways.compare(operation, params, said, is_taken=None)


@given(operation=st.sampled_from(sorted(TYPED)), said=st.lists(SAID, min_size=1, max_size=2))
@examples(800)
def test_whatever_is_answered_comes_to_the_same_in_typed_values(typed_ways, operation, said):
    typed_ways.compare(operation, TYPED[operation], said)
