"""Handlers of a program's own see and do the same on ours as on boto3."""

import boto3
import pytest
from boto3.dynamodb import transform
from boto3.dynamodb.conditions import Attr
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from codec_calls import (
    ACCESS,
    GOOD,
    ITEM,
    KEY,
    PAGE,
    Side,
    calls,
    end,
    least_params,
    same,
)
from codec_support import exactly, fresh

import resilient_ddb as rddb

# Handlers of requests.


@pytest.mark.parametrize("event", ["provide-client-params", "before-parameter-build", "before-call"])
@pytest.mark.parametrize("rest", ["", ".dynamodb", ".dynamodb.PutItem", ".*.PutItem"])
@pytest.mark.parametrize("position", ["register", "register_first", "register_last"])
def test_a_handler_sees_the_same_arguments_and_may_change_them(sides, event, rest, position):
    def script(side):
        kept, item = [], {"pk": "a", "l": [1, {"b": {2}}]}

        def change(params, **_):
            if event == "before-call":
                kept.append((sorted(params), params["headers"]["X-Amz-Target"], params["url_path"]))
                params["headers"]["X-Mine"] = "1"
            else:
                kept.append(exactly(fresh(params)))
                params["Item"]["l"].append({"S": "c"} if is_typed(params) else "c")

        side.on(event + rest, change, position, ["native"])
        found = [end(side.table.put_item, Item=item) for _ in range(2)]
        bodies, mine = side.canned.bodies(), [sent.headers.get("X-Mine") for sent in side.canned.sent]
        side.clear()
        found.append(end(side.table.put_item, Item=item))
        return found, kept, bodies, mine, side.canned.bodies(), exactly(item)

    same(sides, script)


def is_typed(params):
    return isinstance(params["Item"]["pk"], dict)


def test_what_a_handler_gives_in_place_of_the_arguments_is_sent(sides):
    def script(side):
        item = {"pk": "a", "l": [1]}
        event = "provide-client-params.dynamodb.PutItem"
        side.on(event, lambda params, **_: {**params, "Item": {"pk": [2]}}, clients=["native"])
        return (
            end(side.table.put_item, Item=item),
            end(side.table.put_item, Item=item),
            side.canned.bodies(),
            exactly(item),
        )

    same(sides, script)


def test_callers_conditions_and_values_stay_as_they_are(sides):
    def make():
        return Attr("a").eq([1, {"b": 2}]) & Attr("c").is_in([3, [4]])

    def script(side):
        item, condition = fresh(ITEM), make()
        names, values = {"#d": "d"}, {":e": [5]}
        for _ in range(2):
            side.table.put_item(Item=item, ConditionExpression=condition)
            side.table.query(
                KeyConditionExpression="#d = :e",
                FilterExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        assert condition == make()
        return side.canned.bodies(), [exactly(given) for given in (item, names, values)]

    same(sides, script)


# Handlers of responses.

SEEN = {
    "before-parse": lambda response_dict, customized_response_dict, **_: (
        response_dict["body"],
        customized_response_dict,
    ),
    "response-received": lambda response_dict, parsed_response, **_: (response_dict["body"], parsed_response),
    "needs-retry": lambda response, attempts, **_: (response[1], attempts),
    "after-call": lambda parsed, **_: parsed,
}


@pytest.mark.parametrize("event", list(SEEN))
@pytest.mark.parametrize("rest", ["", ".dynamodb", ".dynamodb.GetItem", ".*.GetItem"])
@pytest.mark.parametrize("position", ["register", "register_first", "register_last"])
def test_a_handler_sees_the_same_response_whenever_it_comes(sides, event, rest, position):
    def script(side):
        kept = []

        def keep(**kwargs):
            kept.append(exactly(SEEN[event](**kwargs)))

        found = [calls(side)]
        side.on(event + rest, keep, position)
        found.append(calls(side))
        side.clear()
        seen = list(kept)
        found.append(calls(side))
        assert len(kept) == len(seen) > 0
        return found, seen

    same(sides, script)


CHANGES = {
    "before-parse.dynamodb.GetItem": lambda response_dict, **_: response_dict.update(body=b'{"Item":{"n":{"N":"2"}}}'),
    "before-parse.dynamodb": lambda response_dict, **_: response_dict.update(body=b"{}"),
    "before-parse": lambda response_dict, **_: response_dict.update(body=b'{"Item":{"n":{"N":"3"}}}'),
    "before-parse.*.*": lambda customized_response_dict, **_: customized_response_dict.update(
        Item={"b": {"S": "c"}}, X=1
    ),
    "before-parse.*": lambda response_dict, **_: response_dict.update(body=b'{"Item":null,"New":1}'),
    "response-received.dynamodb.GetItem": lambda parsed_response, **_: parsed_response["Item"].update(n={"N": "4"}),
    "response-received": lambda parsed_response, **_: parsed_response.update(New={"a": {"S": "b"}}, Item={}),
    "needs-retry.dynamodb": lambda response, **_: response[1]["Item"].pop("pk", None) and None,
    "after-call.dynamodb.GetItem": lambda parsed, **_: parsed["Item"].update(new={"L": [{"N": "5"}]}),
    "after-call": lambda parsed, **_: parsed["Item"].update(new={"L": [{"N": "5"}]}),
}


@pytest.mark.parametrize("event", list(CHANGES))
def test_what_a_handler_makes_of_a_response_is_the_answer(sides, event):
    def script(side):
        side.on(event, CHANGES[event])
        return [side.end(client, "GetItem", least_params("GetItem", client)) for client in ("native", "typed") * 2]

    same(sides, script)


@pytest.mark.parametrize("body", [b"null", b"[]", b"", b"{", b'{"Item":{"a":{"S":"b","N":"1"}}}'])
@pytest.mark.parametrize("client", ["native", "typed"])
def test_a_body_that_a_handler_puts_in_is_boto3s_affair(sides, body, client):
    def script(side):
        side.on("before-parse.dynamodb", lambda response_dict, **_: response_dict.update(body=body))
        return side.end(client, "GetItem", least_params("GetItem", client))

    same(sides, script)


def test_calls_within_calls_do_not_mix(sides):
    def script(side):
        found = []

        def ask(**_):
            side.native.meta.events.unregister("before-parse.dynamodb.GetItem", ask)
            found.extend(side.end(client, "GetItem", least_params("GetItem", client)) for client in ("typed", "native"))
            side.canned.answer(PAGE)
            found.append(end(side.table.scan))
            side.canned.answer(GOOD)

        side.on("before-parse.dynamodb.GetItem", ask, clients=["native"])
        return end(side.table.get_item, Key=KEY), found, end(side.table.get_item, Key=KEY)

    same(sides, script)


def test_without_boto3s_handlers_values_stay_as_they_are(new_sides):
    def script(side):
        events = side.native.meta.events
        calls(side)
        events.unregister("after-call.dynamodb", unique_id="dynamodb-attr-value-output")
        events.unregister("before-parameter-build.dynamodb", unique_id="dynamodb-attr-value-input")
        return calls(side), end(side.table.put_item, Item={"pk": {"S": "a"}}), side.canned.bodies()

    same(new_sides, script)


def test_an_injector_in_the_place_of_boto3s_is_used(new_sides):
    class Deserializer(TypeDeserializer):
        def _deserialize_n(self, value):
            return float(value)

    class Serializer(TypeSerializer):
        def _serialize_s(self, value):
            return value.upper()

    def script(side):
        events, own = (
            side.native.meta.events,
            transform.TransformationInjector(serializer=Serializer(), deserializer=Deserializer()),
        )
        for event, name in (("after-call", "output"), ("before-parameter-build", "input")):
            events.unregister(f"{event}.dynamodb", unique_id=f"dynamodb-attr-value-{name}")
            handler = getattr(own, f"inject_attribute_value_{name}")
            events.register(f"{event}.dynamodb", handler, unique_id=f"dynamodb-attr-value-{name}")
        return calls(side)

    same(new_sides, script)


def test_a_hardened_session_answers_as_boto3(sides):
    session = boto3.Session(**ACCESS)
    rddb.harden(session)
    installed = Side(session.client, session.resource)
    same([sides[0], installed], calls)
    installed.close()
