"""What goes wrong between a response and its end: never a call that says that nothing was sent."""

from __future__ import annotations

import functools

import pytest
from boto3.dynamodb import transform
from boto3.dynamodb.types import TypeDeserializer
from botocore import handlers
from codec_calls import GOOD, KEY, our_side

UPDATE = {"Key": KEY, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}


@pytest.fixture
def side(aws_env):
    made = our_side()
    yield made
    made.close()


class Duck:
    """All that boto3 asks of a deserializer."""

    def deserialize(self, value):
        return "duck", value


def test_a_deserializer_that_only_deserializes_does_not_lose_an_answer(side, monkeypatch):
    side.canned.answer({"Attributes": {"n": {"N": "1"}}})
    assert side.table.update_item(**UPDATE)["Attributes"] == {"n": 1}
    monkeypatch.setattr(transform, "TypeDeserializer", Duck)
    assert side.table.update_item(**UPDATE)["Attributes"] == {"n": 1}, "boto3 holds on to the one it had"
    monkeypatch.setattr(transform, "TypeDeserializer", TypeDeserializer)
    monkeypatch.delattr(TypeDeserializer, "_deserialize_null")
    assert side.table.update_item(**UPDATE)["Attributes"] == {"n": 1}


@pytest.mark.parametrize(
    ("body", "error"), [({"Attributes": [1]}, AttributeError), ({"Attributes": {"n": {"B": 5}}}, TypeError)]
)
def test_an_answer_that_botocore_fails_on_was_an_answer(side, body, error):
    side.canned.answer(body)
    with pytest.raises(error) as raised:
        side.table.update_item(**UPDATE)
    facts = raised.value.resilience
    assert (facts.attempts, facts.ambiguous) == (1, True)
    assert len(side.canned.sent) == 1


def test_a_handler_that_fails_on_an_answer_leaves_it_open_whether_the_write_was_applied(side):
    def fail(**_):
        raise ValueError("mine")

    table = side.table
    table.meta.client.meta.events.register("before-parse.dynamodb", fail)
    with pytest.raises(ValueError, match="mine") as raised:
        table.put_item(Item=KEY)
    assert (raised.value.resilience.attempts, raised.value.resilience.ambiguous) == (1, True)
    with pytest.raises(ValueError, match="mine") as raised:
        table.get_item(Key=KEY)
    assert (raised.value.resilience.attempts, raised.value.resilience.ambiguous) == (1, False)


def test_a_handler_that_goes_by_botocores_name_sees_typed_values(side):
    seen = []

    @functools.wraps(handlers.add_recursion_detection_header)
    def handler(parsed_response, **_):
        seen.append(dict(parsed_response["Item"]))

    table = side.table
    table.meta.client.meta.events.register("response-received.dynamodb.GetItem", handler)
    side.canned.answer(GOOD)
    table.get_item(Key=KEY)
    assert seen[0]["n"] == {"N": "1.50"}
