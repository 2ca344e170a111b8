"""Whole calls on boto3 and on ours: the same answer, or error, of the same text, for the same arguments."""

import json
import zlib
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore.exceptions import ChecksumError
from codec_calls import GOOD, KEY, both_sides, end, least_params, our_side, same
from codec_support import MODEL, OPERATIONS, changed, exactly, has_values, natives, odd_arguments, params_of
from codec_wire import Members, bodies, damaged, odd_bodies, wire
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from shortcut_clients import by_name

import resilient_ddb as rddb
from resilient_ddb.calls.integrity import UnreadableResponseError
from resilient_ddb.testing import FakeClock

ANSWERED = [name for name, operation in OPERATIONS.items() if operation.output_shape is not None]
OF_VALUES = [name for name in ANSWERED if has_values(OPERATIONS[name].output_shape)]
OF_EXPRESSIONS = ("ExpressionAttributeNames", "ExpressionAttributeValues")
ERRORS = [shape.name for shape in MODEL.error_shapes]


@pytest.fixture(scope="module")
def sides(aws_env):
    """Return boto3's and ours, whose compiled parts stay from test to test."""
    with both_sides() as found:
        yield found


# Answers.


def same_answers(sides, operation, body, status=200, headers=()):
    """Compare the answers of both clients to an operation; what boto3 can't read, or takes for empty, is an error."""
    for client in ("native", "typed"):
        ends = []
        for side in sides:
            side.canned.answer(body, status, headers)
            ends.append(side.end(client, operation, least_params(operation, client)))
        theirs, ours = ends
        is_damage = ours[1][0] == "UnreadableResponseError" and not is_object(body)
        is_refusal = theirs[1][0] == "UnicodeDecodeError" and "ClientError" in ours[1]
        assert ours == theirs or is_damage or is_refusal, client
        assert len({len(side.canned.sent) for side in sides}) == 1


def is_object(body):
    try:
        return isinstance(json.loads(body.decode()), dict)
    except ValueError:
        return False


@examples(150)
@given(data=st.data(), name=st.sampled_from([*ANSWERED, *OF_VALUES * 2]))
def test_answers_are_boto3s(sides, data, name):
    same_answers(sides, name, data.draw(bodies(wire(OPERATIONS[name].output_shape.name))))


@examples(250)
@given(data=st.data(), name=st.sampled_from([*ANSWERED, *OF_VALUES * 3]))
def test_unusual_answers_are_boto3s(sides, data, name):
    same_answers(sides, name, data.draw(odd_bodies(OPERATIONS[name].output_shape.name)))


@examples(100)
@given(data=st.data(), name=st.sampled_from(OF_VALUES))
def test_damaged_answers_are_boto3s_or_raise(sides, data, name):
    same_answers(sides, name, data.draw(damaged(bodies(wire(OPERATIONS[name].output_shape.name)))))


@pytest.mark.parametrize("status", [200, 201, 204, 299, 300])
def test_answers_of_any_status_are_boto3s(sides, status):
    same_answers(sides, "GetItem", json.dumps(GOOD).encode(), status)


@pytest.mark.parametrize("operation", ["Query", "BatchGetItem", "TransactGetItems"])
def test_large_answers_are_boto3s(sides, operation):
    rows = [{"pk": {"S": f"k\xe9y{row:20}"}, "n": {"N": str(row)}, "l": {"L": [{"B": "AA=="}]}} for row in range(900)]
    members = {
        "Query": {"Items": rows, "Count": 900, "LastEvaluatedKey": rows[0]},
        "BatchGetItem": {"Responses": {"t": rows, "u": rows[:5]}, "UnprocessedKeys": {"t": {"Keys": rows[:2]}}},
        "TransactGetItems": {"Responses": [{"Item": row} for row in rows]},
    }[operation]
    body = json.dumps(members).encode()
    assert len(body) > 64 * 1024
    same_answers(sides, operation, body)
    same_answers(sides, operation, json.dumps({**members, "New": {"a": None}}).encode())
    same_answers(sides, operation, body.replace(b'{"N": "899"}', b'{"N": "8 99"}'))


# Errors.


WITH_ITEMS = ["ConditionalCheckFailedException", "TransactionCanceledException"]


@st.composite
def error_bodies(draw):
    name = draw(st.sampled_from([*ERRORS, *WITH_ITEMS * 8]))
    odd = st.sampled_from([None, "x", [], Members()])
    fields = draw(wire(name) if draw(st.booleans()) else changed(wire(name), odd))
    if not isinstance(fields, Members):
        return Members()
    prefix = draw(st.sampled_from(["", "com.amazonaws.dynamodb.v20120810#", "com.amazon.coral.service#"]))
    return Members([["__type", f"{prefix}{name}"], *fields, ["message", draw(st.text(max_size=5))]])


@examples(150)
@given(body=bodies(error_bodies()), status=st.sampled_from([400, 400, 413, 500, 503]))
def test_errors_are_boto3s(sides, body, status):
    same_answers(sides, "TransactWriteItems", body, status)


CANCELLED = {
    "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
    "Message": "no",
    "CancellationReasons": [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": {"b": {"B": "AA=="}}}],
}
FAILED = {"__type": "x#ConditionalCheckFailedException", "message": "no", "Item": {"b": {"B": "AA=="}, "n": {"N": "1"}}}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((400, CANCELLED), (400, FAILED), (400, {}), (400, {"__type": "New"}), (400, b""), (400, b"<html>")),
        *((500, b"<html><body>"), (500, b" <html>"), (500, b""), (500, b"{"), (503, b"no"), (500, {"message": "no"})),
        *(
            (301, b""),
            (302, {"Item": {}}),
            (404, b"<html>"),
            (400, {"__type": "a:b#c", "Message": "M"}),
        ),
    ],
)
def test_error_answers_are_boto3s(sides, status, body):
    same_answers(sides, "PutItem", body if isinstance(body, bytes) else json.dumps(body).encode(), status)


def test_an_error_answer_that_is_no_utf_8_is_an_error_as_one_in_html_is(sides):
    ours = sides[1]
    for client in ("native", "typed"):
        ours.canned.answer(b"gew\xe4hrt", 403)
        raised = ours.end(client, "PutItem", least_params("PutItem", client))
        assert raised[:3:2] == ("raised", "An error occurred (403) when calling the PutItem operation: gew\ufffdhrt")


def test_items_of_failed_conditions_stay_typed_as_in_boto3(sides):
    for side in sides:
        side.canned.answer(FAILED, 400)
        with pytest.raises(side.native.exceptions.ConditionalCheckFailedException) as raised:
            side.table.put_item(Item=KEY)
        assert raised.value.response["Item"] == {"b": {"B": b"\x00"}, "n": {"N": "1"}}
        side.canned.answer(CANCELLED, 400)
        with pytest.raises(side.native.exceptions.TransactionCanceledException) as raised:
            side.native.transact_write_items(TransactItems=[{"Put": {"TableName": "t", "Item": KEY}}])
        assert raised.value.response["CancellationReasons"][1]["Item"] == {"b": {"B": b"\x00"}}


# Arguments.


def arguments(kind, operation):
    """Draw what a caller might give by name."""
    drawn = changed(params_of(operation, kind), odd_arguments | natives if kind == "any" else odd_arguments)
    return drawn.filter(are_by_name)


def are_by_name(params):
    if not isinstance(params, dict) or not all(isinstance(name, str) for name in params):
        return False
    return all(isinstance(params.get(name, {}), dict) for name in OF_EXPRESSIONS)  # boto3 fails: see below


def same_requests(sides, client, operation, params):
    """Compare what is sent, or raised, for the same arguments, which stay as they are."""
    before = exactly(params)
    ends = []
    for side in sides:
        side.canned.answer({})
        found = side.end(client, operation, params)
        ends.append((found, side.canned.bodies()))
        assert exactly(params) == before
    assert ends[1] == ends[0]


@examples(150)
@given(data=st.data(), name=st.sampled_from([*OPERATIONS, *OF_VALUES * 3]))
def test_native_arguments_are_sent_or_refused_as_by_boto3(sides, data, name):
    same_requests(sides, "native", name, data.draw(arguments("any", name)))


@examples(150)
@given(data=st.data(), name=st.sampled_from([*OPERATIONS, *OF_VALUES * 3]))
def test_typed_arguments_are_sent_or_refused_as_by_boto3(sides, data, name):
    same_requests(sides, "typed", name, data.draw(arguments("typed", name)))


WRONG = [
    *({}, {"Key": None}, {"Key": "a"}, {"Key": ["a"]}, {"Key": {}}, {"Key": {1: "a"}}, {"Key": KEY, "New": 1}),
    *({"Key": {"pk": 1.5}}, {"Key": {"pk": object}}, {"Key": {"pk": {1, "a"}}}, {"Key": {"pk": [float("nan")]}}),
    *({"Key": KEY, "ConsistentRead": "yes"}, {"Key": KEY, "ConsistentRead": 1, "AttributesToGet": ["a", 2]}),
    *({"Key": KEY, "AttributesToGet": []}, {"Key": KEY, "AttributesToGet": ("a",)}, {"Key": KEY, "TableName": "u"}),
    *({"Key": KEY, "ExpressionAttributeNames": {"#a": 1}}, {"Key": KEY, "ProjectionExpression": None}),
    *({"Key": KEY, "TableName": 1}, {"Key": KEY, "TableName": ""}, {"Key": KEY, "ReturnConsumedCapacity": "NEW"}),
]


@pytest.mark.parametrize("validates", [True, False])
def test_wrong_arguments_are_refused_in_boto3s_words(aws_env, validates):
    with both_sides(parameter_validation=validates) as sides:
        for _ in range(2):  # the first call of an operation is botocore's in any case
            for arguments in WRONG:
                same_requests(sides, "native", "GetItem", {"TableName": "t", **arguments})
            same(sides, lambda side: end(side.table.get_item, Key=KEY))


def test_placeholders_that_are_none_are_refused_in_botocores_words(sides):
    """boto3 fails with an AttributeError: it has no word for it."""
    for name in OF_EXPRESSIONS:
        for value in (None, 5, [], "a"):
            theirs, ours = [end(side.table.put_item, Item=KEY, **{name: value}) for side in sides]
            assert theirs[1][0] == "AttributeError"
            assert ours[1][0] == "ParamValidationError"
            assert f"Invalid type for parameter {name}, value: {value}, type: {type(value)}" in ours[2]


def test_conditions_that_an_operation_does_not_take_are_refused_in_boto3s_words(sides):
    same(sides, lambda side: end(side.table.get_item, Key=KEY, FilterExpression=Attr("a").eq(1)))
    same(sides, lambda side: end(side.table.get_item, Key=KEY, ConditionExpression=Attr("a").exists()))
    same(sides, lambda side: end(side.table.put_item, Item=KEY, KeyConditionExpression=Attr("a").eq(1)))
    same(sides, lambda side: end(side.table.put_item, Item=KEY, KeyConditionExpression=Key("a").eq(1)))


@pytest.mark.parametrize("items", [5, True, "ab", {}, [5], [{"Put": 5}], [{"Put": {}}], [{"New": {}}], None])
@pytest.mark.parametrize("client", ["native", "typed"])
def test_transact_items_of_a_wrong_type_are_refused_in_boto3s_words(sides, items, client):
    same_requests(sides, client, "TransactWriteItems", {"TransactItems": items})
    same_requests(sides, client, "TransactGetItems", {"TransactItems": items})


def test_the_text_of_a_refusal_is_botocores(sides):
    ours = same(sides, lambda side: end(side.table.put_item, Item={"a": 1}, Expected={"b": {"Exists": 1}}, New=2))
    assert ours[1][0] == "ParamValidationError"
    assert 'Unknown parameter in input: "New", must be one of: TableName, Item' in ours[2]
    assert "Invalid type for parameter Expected.b.Exists, value: 1" in ours[2]


# Guards.


@pytest.mark.parametrize("client", ["native", "typed"])
def test_a_checksum_that_does_not_fit_raises(aws_env, client):
    side = our_side()
    octets = json.dumps(GOOD).encode()
    side.canned.answer(octets, headers={"x-amz-crc32": str(zlib.crc32(octets))})
    params = least_params("GetItem", client)
    assert side.end(client, "GetItem", params)[0] == "gave"
    side.canned.answer(octets.replace(b"1.50", b"1.51"), headers={"x-amz-crc32": str(zlib.crc32(octets))})
    with pytest.raises(ChecksumError):
        by_name(getattr(side, client), "GetItem")(**params)
    side.close()


@pytest.mark.parametrize("client", ["native", "typed"])
@pytest.mark.parametrize("damage", [slice(0), slice(1), slice(20), slice(-1)])
def test_a_body_cut_short_raises(aws_env, client, damage):
    side = our_side()
    for body in (GOOD, {"Items": [{"a": {"S": "b" * 9000}}] * 8}):
        side.canned.answer(json.dumps(body).encode()[damage])
        for operation in ("GetItem", "Query"):
            with pytest.raises(UnreadableResponseError):
                by_name(getattr(side, client), operation)(**least_params(operation, client))
    side.close()


FAILING = json.dumps({"__type": "x#InternalServerError"}).encode()
WHOLE = json.dumps(GOOD).encode()
LEFT_TO_BOTO3 = WHOLE.replace(b'{"S": "a"}', b'{"S": "a", "New": 1}')
NOT_FITTING = {"x-amz-crc32": "1"}


@pytest.mark.parametrize(
    "answers",
    [
        [(WHOLE[:30], 200), (FAILING, 500), (WHOLE, 200)],
        [(WHOLE, 200, NOT_FITTING), (WHOLE, 200, NOT_FITTING), (LEFT_TO_BOTO3, 200)],
        [(LEFT_TO_BOTO3, 200, NOT_FITTING), (FAILING, 500), (WHOLE, 200)],
    ],
)
def test_a_damaged_answer_is_asked_for_again(aws_env, answers):
    side = our_side(rddb.Policy(retry=rddb.Retry(max_attempts=3), clock=FakeClock()))
    left = iter(answers)
    side.on("request-created.dynamodb", lambda **_: side.canned.answer(*next(left)))
    answer = side.table.get_item(Key=KEY)
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
    assert answer["Item"] == {"pk": "a", "n": Decimal("1.50"), "b": Binary(b"\x00"), "s": {Decimal(1)}}
    side.close()
