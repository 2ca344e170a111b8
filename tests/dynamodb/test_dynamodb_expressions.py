"""Conditions as expressions: boto3's own, without its two traps."""

from __future__ import annotations

import copy
import re
import threading

import botocore.session
import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.transform import TransformationInjector
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from resilient_ddb.dynamodb.expressions import _CONDITIONS, both, inject_condition_expressions

NAMES, VALUES = "ExpressionAttributeNames", "ExpressionAttributeValues"
MODEL = botocore.session.get_session().get_service_model("dynamodb")


def inject(params):
    operation = "TransactWriteItems" if "TransactItems" in params else "Query"
    inject_condition_expressions(
        params, MODEL.operation_model("PutItem" if "ConditionExpression" in params else operation)
    )


def injected(params):
    """Return what is sent for these parameters, which stay as they are."""
    sent = dict(params)
    for name in (NAMES, VALUES):
        if isinstance(sent.get(name), dict):
            sent[name] = dict(sent[name])
    inject(sent)
    return sent


def boto3_s(params, operation):
    sent = {name: dict(value) if name in (NAMES, VALUES) else value for name, value in params.items()}
    TransformationInjector().inject_condition_expressions(sent, MODEL.operation_model(operation))
    return sent


def meaning(text, sent):
    """Put what the placeholders stand for in their places."""
    placed = re.sub(r"#\w+", lambda found: f"<{sent[NAMES][found[0]]}>", text)
    return re.sub(r":\w+", lambda found: repr(sent[VALUES][found[0]]), placed)


names, values = st.sampled_from(["a", "b.c", "l[0]", "a-b"]), st.integers(0, 9) | st.text("xy", max_size=2)
key_leaves = st.one_of(
    st.builds(lambda n, v: Key(n).eq(v), names, values),
    st.builds(lambda n, v: Key(n).begins_with(v), names, values),
    st.builds(lambda n, v, w: Key(n).between(v, w), names, values, values),
)
attr_leaves = st.one_of(
    st.builds(lambda n, v: Attr(n).eq(v), names, values),
    st.builds(lambda n, v: Attr(n).ne(v), names, values),
    st.builds(lambda n, v: Attr(n).contains(v), names, values),
    st.builds(lambda n: Attr(n).exists(), names),
    st.builds(lambda n: Attr(n).not_exists(), names),
    st.builds(lambda n, v: Attr(n).is_in(v), names, st.lists(values, min_size=1, max_size=3)),
    st.builds(lambda n, v: Attr(n).size().gt(v), names, values),
    st.builds(lambda n, v: Attr(n).attribute_type(v), names, values),
)
keys = st.one_of(key_leaves, st.builds(lambda a, b: a & b, key_leaves, key_leaves))
attrs = st.recursive(
    attr_leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        inner.map(lambda a: ~a),
    ),
    max_leaves=5,
)
queries = st.fixed_dictionaries(
    {"TableName": st.just("t"), "KeyConditionExpression": keys}, optional={"FilterExpression": attrs}
)
filters_first = st.fixed_dictionaries({"FilterExpression": attrs, "KeyConditionExpression": keys})
own_of_no_collision = st.fixed_dictionaries(
    {}, optional={NAMES: st.just({"#mine": "status"}), VALUES: st.just({":mine": 5})}
)


@examples(300)
@given(queries | filters_first, own_of_no_collision)
def test_a_query_is_sent_as_boto3_would_where_nothing_collides(query, own):
    assert injected({**query, **own}) == boto3_s({**query, **own}, "Query")


@examples(100)
@given(st.fixed_dictionaries({"Item": st.just({}), "ConditionExpression": attrs}), own_of_no_collision)
def test_a_put_is_sent_as_boto3_would_where_nothing_collides(put, own):
    assert injected({**put, **own}) == boto3_s({**put, **own}, "PutItem")


own_names = st.dictionaries(st.sampled_from(["#n0", "#n1", "#n2", "#mine"]), st.sampled_from(["p", "q"]), max_size=3)
own_values = st.dictionaries(st.sampled_from([":v0", ":v1", ":v3", ":mine"]), st.integers(100, 103), max_size=3)


@examples(400)
@given(queries, own_names, own_values)
def test_what_is_sent_means_what_was_meant_whatever_placeholders_the_caller_has(query, own_n, own_v):
    text = " AND ".join([*own_n, *own_v]) or "nothing"
    sent = injected({**query, "ProjectionExpression": text, NAMES: own_n, VALUES: own_v})
    assert {name: sent[NAMES][name] for name in own_n} == own_n
    assert {name: sent[VALUES][name] for name in own_v} == own_v
    assert sent["ProjectionExpression"] == text
    for name in ("KeyConditionExpression", "FilterExpression"):
        if name in query:
            alone = injected({name: query[name], NAMES: {}, VALUES: {}})
            assert meaning(sent[name], sent) == meaning(alone[name], alone)


def test_a_caller_s_own_value_is_not_overwritten_by_a_key_condition():
    sent = injected(
        {
            "KeyConditionExpression": Key("tenant").eq("tenantA"),
            "FilterExpression": "#s = :v0",
            NAMES: {"#s": "status"},
            VALUES: {":v0": "ACTIVE"},
        }
    )
    assert meaning(sent["FilterExpression"], sent) == "<status> = 'ACTIVE'"
    assert meaning(sent["KeyConditionExpression"], sent) == "<tenant> = 'tenantA'"


def test_key_conditions_and_filters_do_not_share_placeholders():
    sent = injected({"KeyConditionExpression": Key("a").eq(1), "FilterExpression": Attr("b").eq(2)})
    assert sent == {
        "FilterExpression": "#n0 = :v0",
        "KeyConditionExpression": "#n1 = :v1",
        NAMES: {"#n0": "b", "#n1": "a"},
        VALUES: {":v0": 2, ":v1": 1},
    }


@pytest.mark.parametrize(
    "own",
    [
        {VALUES: {":v0": 1, ":rddb_v0": 2}},
        {NAMES: {"#n0": "x", "#rddb_n0": "y"}},
        {NAMES: {"#n0": "x"}, VALUES: {":rddb_v0": 2}},
    ],
)
def test_a_caller_that_takes_the_reserved_names_too_is_refused(own):
    params = {"KeyConditionExpression": Key("a").eq(1), **own}
    before = copy.copy(params)
    with pytest.raises(ValueError, match="must leave the names free") as refused:
        inject(params)
    assert "rddb_" in str(refused.value).split("; got ")[1]
    assert params == before


def test_a_caller_s_own_reserved_name_is_fine_where_nothing_else_collides():
    assert injected({"FilterExpression": Attr("a").eq(1), VALUES: {":rddb_v0": 2}})[VALUES] == {":rddb_v0": 2, ":v0": 1}


def test_the_caller_s_own_mappings_are_not_written_to():
    own = {":mine": 1}
    params = {"FilterExpression": Attr("a").eq(1), VALUES: own}
    inject(params)
    assert own == {":mine": 1}


def test_text_is_left_as_it_is():
    params = {"FilterExpression": "a = :v0", VALUES: {":v0": 1}}
    assert injected(params) == params
    assert injected({"TableName": "t"}) == {"TableName": "t"}


def test_a_condition_in_a_transaction_is_built_within_its_action():
    action = {"TableName": "t", "ConditionExpression": Attr("a").not_exists()}
    params = {
        "TransactItems": [{"Put": dict(action)}, {"ConditionCheck": {**action, VALUES: {":v0": 1}}}, {"Delete": {}}]
    }
    inject(params)
    built = {"TableName": "t", "ConditionExpression": "attribute_not_exists(#n0)", NAMES: {"#n0": "a"}}
    assert params == {
        "TransactItems": [{"Put": built}, {"ConditionCheck": {**built, VALUES: {":v0": 1}}}, {"Delete": {}}]
    }


def test_an_attribute_condition_is_refused_as_a_key_condition_like_boto3_does():
    from boto3.exceptions import DynamoDBNeedsKeyConditionError  # noqa: PLC0415 - only here

    with pytest.raises(DynamoDBNeedsKeyConditionError):
        injected({"KeyConditionExpression": Attr("a").eq(1)})


def condition_members(shape, seen=()):
    if shape is None or shape.name in seen or shape.type_name not in ("structure", "list", "map"):
        return set()
    if shape.type_name == "structure":
        members = shape.members
    else:
        members = {"": shape.member if shape.type_name == "list" else shape.value}
    found = {name for name, member in members.items() if member.name in ("ConditionExpression", "KeyExpression")}
    return found.union(*(condition_members(member, (*seen, shape.name)) for member in members.values()))


def test_every_parameter_of_the_model_that_takes_a_condition_is_looked_at():
    found = set()
    for name in MODEL.operation_names:
        found |= condition_members(MODEL.operation_model(name).input_shape)
    assert found == set(_CONDITIONS)


def test_threads_build_conditions_without_disturbing_each_other():
    wrong, at_once = [], threading.Barrier(8)

    def build(number):
        at_once.wait()
        for turn in range(300):
            condition = Attr(f"a{number}").eq(turn) & Attr(f"b{number}").is_in([turn, number])
            sent = injected({"FilterExpression": condition, "KeyConditionExpression": Key("k").eq(number)})
            if sent != {
                "FilterExpression": "(#n0 = :v0 AND #n1 IN (:v1, :v2))",
                "KeyConditionExpression": "#n2 = :v3",
                NAMES: {"#n0": f"a{number}", "#n1": f"b{number}", "#n2": "k"},
                VALUES: {":v0": turn, ":v1": turn, ":v2": number, ":v3": number},
            }:
                wrong.append(sent)

    threads = [threading.Thread(target=build, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_condition_where_the_operation_takes_none_is_left_to_botocores_validation():
    condition = Attr("a").eq(1)
    params = {"Key": {"pk": "a"}, "FilterExpression": condition}
    inject_condition_expressions(params, MODEL.operation_model("GetItem"))
    assert params == {"Key": {"pk": "a"}, "FilterExpression": condition}


@pytest.mark.parametrize("placeholders", [[("#a", "b")], "#a", 5])
def test_placeholders_of_a_wrong_type_are_left_to_botocores_validation(placeholders):
    condition = Attr("a").eq(1)
    params = {"FilterExpression": condition, NAMES: placeholders}
    inject_condition_expressions(params, MODEL.operation_model("Query"))
    assert params == {"FilterExpression": condition, NAMES: placeholders}


# Joining the caller's expression with ours.


@pytest.mark.parametrize(
    ("own", "joined"),
    [
        ("a = :a", "(a = :a) AND x"),
        ("(a = :a)", "(a = :a) AND x"),
        (" (a = :a) ", " (a = :a)  AND x"),
        ("(a = :a) OR (b = :b)", "((a = :a) OR (b = :b)) AND x"),
        ("((a = :a) OR (b = :b))", "((a = :a) OR (b = :b)) AND x"),
        ("size(a) = :a", "(size(a) = :a) AND x"),
        ("(a) = :a", "((a) = :a) AND x"),
    ],
)
def test_the_callers_expression_gets_one_pair_of_parentheses(own, joined):
    assert both(own, "x") == joined


@pytest.mark.parametrize("own", ["", "  ", "(a = :a", "a = :a)", "a = :a) OR (b = :b", ")("])
def test_an_expression_that_is_none_by_itself_is_not_joined(own):
    assert both(own, "x") is None


expressions = st.recursive(
    st.sampled_from(["True", "False"]),
    lambda inner: st.one_of(
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"not {text}"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
    ),
)


@given(own=expressions, ours=st.sampled_from(["True", "False"]))
def test_both_hold_where_both_do(own, ours):
    joined = both(own, ours).replace("AND", "and")
    assert eval(joined) == (eval(own) and eval(ours))  # noqa: S307 - made of True, False, and, or, not
    assert joined.startswith(own) == _closes_last(own)


def _closes_last(text):
    """Return whether the first parenthesis is closed by the last character."""
    depth = 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return text.startswith("(") and position == len(text) - 1
    return False
