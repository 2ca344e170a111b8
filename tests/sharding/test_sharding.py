"""Where items are kept, and what a query's condition becomes."""

import copy
import pickle
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from types import SimpleNamespace

import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError
from fan_in_support import index_with
from hypothesis import given
from hypothesis import strategies as st
from unit_support import ROOT

from resilient_ddb.calls.flows import run
from resilient_ddb.dynamodb.description import KeySchema, TableDescription
from resilient_ddb.dynamodb.operations import attributes_changed
from resilient_ddb.sharding.fan_in_requests import with_key, without_key
from resilient_ddb.sharding.keys import ShardKeys
from resilient_ddb.sharding.layout import Layout
from resilient_ddb.sharding.moving import Moved, move
from resilient_ddb.sharding.shard_layout import ShardLayout

V, N, C = "ExpressionAttributeValues", "ExpressionAttributeNames", "KeyConditionExpression"


def lowest(low, high):
    return low


def highest(low, high):
    return high


# The layout.

GOLDEN = {
    ("order_id", "o-1"): 1,
    ("order_id", ""): 0,
    ("order_id", "ß\U0001f600"): 4,
    ("n", 7): 3,
    ("n", Decimal("7.0")): 3,
    ("n", Decimal("-0.5")): 9,
    ("b", b"\x00\xff"): 4,
}
"""Shards of ten. These must never change: items are found by them."""


@pytest.mark.parametrize("attribute", GOLDEN)
def test_the_digest_never_changes(attribute):
    name, value = attribute
    layout = Layout(shards=10, by=(name,))
    assert layout.home("a", {name: value, "other": 1}, lowest) == f"a#{GOLDEN[attribute]}"


def test_the_digest_of_several_attributes_goes_by_their_names():
    layout, other = (Layout(shards=1000, by=by) for by in (("x", "y"), ("y", "x")))
    assert layout.home("a", {"x": "1", "y": 2}, lowest) == other.home("a", {"y": 2, "x": "1"}, lowest) == "a#593"
    assert layout.home("a", {"x": "2", "y": 1}, lowest) != "a#593"


def test_the_digest_is_the_same_in_every_process():
    code = (
        "from resilient_ddb.sharding.layout import Layout as L; print(L(shards=1000, by=('x',)).homes('a', {'x': 'y'}))"
    )
    found = {
        subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {str(Layout(shards=1000, by=("x",)).homes("a", {"x": "y"})) + "\n"}


def test_the_digest_spreads_evenly():
    layout = Layout(shards=10, by=("id",))
    found = Counter(layout.home("a", {"id": f"o-{number}"}, lowest) for number in range(10_000))
    assert len(found) == 10
    assert all(900 < count < 1100 for count in found.values())


def test_a_random_suffix_takes_every_shard_and_no_other():
    layout = Layout(shards=3)
    assert layout.home("a", {}, lowest) == "a#0"
    assert layout.home("a", {}, highest) == "a#2"
    draws = iter((0.3, 0.34, 0.66, 0.67))
    found = [layout.home("a", {}, lambda low, high: high * next(draws)) for _ in range(4)]
    assert found == ["a#0", "a#1", "a#1", "a#2"]


def test_separator_and_padding():
    layout = Layout(shards=11, separator="::", pad=3)
    assert layout.stored_keys("a#b") == [f"a#b::{number:03}" for number in range(11)]
    assert layout.key_of("a#b::007") == "a#b"
    assert layout.number_of("a#b::007") == 7
    for other in ("a#b::7", "a#b::011", "a#b::", "::007", "a", "a::b::007", "a#b::00\uff17", 5, b"a::007"):
        assert layout.key_of(other) == other
        assert layout.number_of(other) is None


@given(
    key=st.text(min_size=1).filter(lambda key: "#" not in key),
    shards=st.integers(1, 30),
    previous=st.lists(st.integers(1, 30), max_size=2),
    pad=st.integers(0, 4),
)
def test_stored_keys_lead_back(key, shards, previous, pad):
    layout = Layout(shards=shards, previous=tuple(previous), pad=pad)
    stored = layout.stored_keys(key)
    assert len(set(stored)) == len(stored) <= shards + sum(previous)
    assert {layout.key_of(name) for name in stored} == {key}
    assert [layout.is_current(key, name) for name in stored] == [at < shards for at in range(len(stored))]


def test_only_hot_keys_are_sharded():
    for shards in ({"hot": 3}, lambda key: 3 if key == "hot" else 1):
        layout = Layout(shards=shards)
        assert layout.stored_keys("hot") == ["hot#0", "hot#1", "hot#2"]
        assert layout.stored_keys("cold") == ["cold"]
        assert layout.home("cold", {}, highest) == "cold"
        assert layout.key_of("cold#1") == "cold#1"  # nobody's shard


def test_earlier_layouts_are_read_and_the_present_one_written():
    layout = Layout(shards=4, previous=(2, 1), by=("id",))
    assert layout.stored_keys("a") == ["a#0", "a#1", "a#2", "a#3", "a"]
    homes = layout.homes("a", {"id": "x"})
    assert homes[0] == layout.home("a", {"id": "x"}, lowest)
    assert homes[-1] == "a"
    assert 2 <= len(homes) <= 3
    assert layout.homes("a", {}) == layout.stored_keys("a")
    assert layout.number_of("a") is None


def test_an_item_of_which_only_the_key_is_known_has_one_home():
    layout = Layout(shards=100)
    assert len({layout.homes_of_key("a", {"pk": "a", "sk": Decimal(value)})[0] for value in ("5", "5.0", "5E0")}) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"shards": 0}, "shards must be .*1"),
        ({"shards": -3}, "shards"),
        ({"shards": True}, "shards"),
        ({"shards": 2.0}, "shards"),
        ({"shards": "10"}, "shards"),
        ({"shards": None}, "shards"),
        ({"shards": 1001}, "shards must be from 1 to 1000"),
        ({"shards": {"a": 0}}, "shards"),
        ({"previous": 10}, r"previous must be a sequence of earlier shards, such as \(10,\)"),
        ({"previous": (0,)}, "each of previous"),
        ({"by": 5}, "by"),
        ({"by": ""}, "by"),
        ({"by": ("a", 5)}, "by must be the name"),
        ({"separator": ""}, "separator"),
        ({"separator": "1#"}, "separator"),
        ({"separator": "#1"}, "separator"),
        ({"separator": None}, "separator must be a text"),
        ({"pad": -1}, "pad"),
        ({"pad": 10}, "pad must be from 0 to 9"),
    ],
)
def test_a_layout_that_cannot_be_meant_is_refused(arguments, says):
    with pytest.raises((TypeError, ValueError), match=says):
        ShardLayout(**{"shards": 10, **arguments})


@pytest.mark.parametrize(("count", "error"), [(0, ValueError), ("3", TypeError), (None, TypeError), (1001, ValueError)])
def test_what_a_callable_gives_is_checked(count, error):
    with pytest.raises(error, match="what shards gives for a key"):
        Layout(shards=lambda key: count).stored_keys("a")


@pytest.mark.parametrize(
    ("key", "error", "says"),
    [
        (5, TypeError, "must be a string, to have a suffix; got int: .*shard_attribute="),
        (None, TypeError, "got NoneType"),
        (b"a", TypeError, "got bytes"),
        ("", ValueError, "must not be empty"),
        ("tenant#1", ValueError, "must not contain the separator '#'.* separator="),
    ],
)
def test_a_key_that_takes_no_suffix_is_refused(key, error, says):
    with pytest.raises(error, match=says) as caught:
        Layout(shards=10).home(key, {}, lowest)
    assert "tenant" not in str(caught.value)


@pytest.mark.parametrize("value", [None, True, [1], {"a": 1}, {1}])
def test_by_takes_texts_numbers_and_bytes(value):
    with pytest.raises(TypeError, match="by must name attributes whose values are text, numbers or bytes"):
        Layout(shards=10, by=("x",)).home("a", {"x": value}, lowest)


def test_by_needs_its_attributes():
    with pytest.raises(ValueError, match="Item must have the attribute 'y'"):
        Layout(shards=10, by=("x", "y")).home("a", {"x": 1}, lowest)


def test_a_layout_can_be_copied_and_pickled():
    layout = Layout(shards=10, by=("x",), previous=(5,))
    assert pickle.loads(pickle.dumps(layout)) == copy.deepcopy(layout) == layout  # noqa: S301 - our own


# What is stored, and what is seen.

TABLE = TableDescription(key=KeySchema("pk", "sk"), indexes={"by-st": index_with(KeySchema("st", "sk"))})


def keys_of(layout=None, key="pk", stored_in=None):
    return ShardKeys(layout=layout or Layout(shards=10), described=TABLE, key=key, stored_in=stored_in or key)


@pytest.mark.parametrize("layout", [Layout(shards=12, pad=3), Layout(shards=1), Layout(shards=1, previous=(12,))])
def test_a_token_that_names_stored_keys_shows_none(layout):
    keys = keys_of(layout)
    for stored in layout.stored_keys("a"):
        cursor = {
            "last": {"pk": {"S": stored}},
            "positions": {"0": {"pk": {"S": stored}, "sk": {"N": "1"}}, "1": None, "2": {"pk": {"S": "x#y"}}},
        }
        token = {"rddb_cursor": cursor}
        before = copy.deepcopy(token)
        seen = keys.token_as_seen(token)
        assert seen["rddb_cursor"]["last"] == {"pk": {"S": "a"}}
        assert seen["rddb_cursor"]["positions"]["0"] == {"pk": {"S": "a"}, "sk": {"N": "1"}}
        assert keys.token_as_stored(seen) == token == before
    for other in (None, "x", {"pk": "a"}, {"rddb_cursor": 5}):
        assert keys.token_as_stored(other) == other


def test_an_index_on_numbers_has_an_attribute_of_its_own():
    keys = keys_of(key="st", stored_in="st_shard")
    for value in (5, Decimal("5.0"), Decimal("5E0")):
        item = {"pk": "a", "sk": 1, "st": value}
        stored = keys.stored_item(item, lowest)
        assert stored == {**item, "st_shard": "5#0"}
        keys.as_seen(stored)
        assert stored == item
    assert keys.stored_item({"pk": "a", "sk": 1}, lowest) == {"pk": "a", "sk": 1}
    with pytest.raises(ValueError, match="Item must leave out 'st_shard'"):
        keys.stored_item({"pk": "a", "st_shard": "5#0"}, lowest)
    with pytest.raises(TypeError, match="shard_attribute="):
        keys.stored_item({"pk": "a", "st": True}, lowest)


@pytest.mark.parametrize(
    ("expression", "names", "changed"),
    [
        ("SET a = :x", {}, {"a"}),
        ("set a=:x, #b.c[0] = :y REMOVE d[1], e.f ADD g :one DELETE h :set", {"#b": "bee"}, set("adegh") | {"bee"}),
        ("SET a = list_append(if_not_exists(a, :e), :x), b = :y", {}, {"a", "b"}),
        ("SET a = if_not_exists(b, :x)", {}, {"a"}),
        ("SET #a = #b + :x", {"#a": "SET", "#b": "b"}, {"SET"}),
        ("SET\n a = :x\nREMOVE\tb", {}, {"a", "b"}),
        ("SET#a = :x", {"#a": "a"}, {"a"}),
    ],
)
def test_the_attributes_that_an_update_changes(expression, names, changed):
    assert attributes_changed(expression, names) == changed


@pytest.mark.parametrize(
    "params",
    [
        {"UpdateExpression": "SET order_id = :x"},
        {"UpdateExpression": "SET n = :x REMOVE #o", "ExpressionAttributeNames": {"#o": "order_id"}},
        {"AttributeUpdates": {"order_id": {"Action": "DELETE"}}},
    ],
)
def test_an_update_must_not_move_an_item(params):
    with pytest.raises(ValueError, match="UpdateExpression must not change 'order_id'"):
        keys_of(Layout(shards=10, by=("order_id",))).refuse_moving(params)
    keys_of().refuse_moving(params)


@pytest.mark.parametrize(
    "condition",
    [Attr("pk").eq("a"), Attr("x").eq(1) & Attr("pk").begins_with("a"), "pk = :p", "size(pk) > :p", "#p IN (:a, :b)"],
)
def test_a_comparison_with_the_stored_key_is_refused(condition):
    params = {"ConditionExpression": condition, "ExpressionAttributeNames": {"#p": "pk"}}
    with pytest.raises(ValueError, match="ConditionExpression must not compare 'pk', which is stored with a suffix"):
        keys_of().refuse_comparison("ConditionExpression", params)


@pytest.mark.parametrize(
    ("argument", "entry"),
    [
        ("Expected", {"Value": "a"}),
        ("Expected", {"ComparisonOperator": "EQ", "AttributeValueList": ["a"]}),
        ("QueryFilter", {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": ["a"]}),
    ],
)
def test_a_comparison_of_the_older_api_is_refused(argument, entry):
    with pytest.raises(ValueError, match=f"{argument} must not compare 'pk', which is stored with a suffix"):
        keys_of().refuse_comparison(argument, {argument: {"x": {"Value": 1}, "pk": entry}})
    keys_of().refuse_comparison(argument, {argument: {"x": entry}})


@pytest.mark.parametrize("entry", [{"Exists": False}, {"ComparisonOperator": "NOT_NULL"}])
def test_the_older_api_may_ask_whether_the_key_is_there(entry):
    keys_of().refuse_comparison("Expected", {"Expected": {"pk": entry}})


@pytest.mark.parametrize(
    "condition",
    [
        Attr("pk").not_exists(),
        "attribute_exists(pk) AND x.pk = :p",
        "attribute_not_exists ( #p ) OR x = :pk",
        "#x = :x",
    ],
)
def test_other_conditions_are_not(condition):
    names = {"#p": "pk", "#x": "x"}
    params = {"ConditionExpression": condition, "ExpressionAttributeNames": names}
    keys_of().refuse_comparison("ConditionExpression", params)
    keys_of(key="st", stored_in="st_shard").refuse_comparison("FilterExpression", {"FilterExpression": "st = :x"})


# Moving an item.


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        (["ConditionalCheckFailed", "None"], Moved.OCCUPIED),
        (["None", "ConditionalCheckFailed"], Moved.OVERTAKEN),
        (["ConditionalCheckFailed", "ConditionalCheckFailed"], Moved.OVERTAKEN),  # by another, who moved it there
    ],
)
def test_what_became_of_a_move(reasons, expected):
    def cancel(**params):
        found = {"Error": {"Code": "Canceled"}, "CancellationReasons": [{"Code": code} for code in reasons]}
        raise ClientError(found, "TransactWriteItems")

    table = SimpleNamespace(name="t", meta=SimpleNamespace(client=SimpleNamespace(transact_write_items=cancel)))
    item = {"pk": "a#1", "sk": 1, "n": 5}
    assert run(move(table, keys_of(), item, "a#2"))[0] is expected


def test_a_move_goes_by_all_that_was_read():
    sent = []
    client = SimpleNamespace(transact_write_items=lambda **params: sent.append(params))
    table = SimpleNamespace(name="t", meta=SimpleNamespace(client=client))
    assert run(move(table, keys_of(), {"pk": "a#1", "sk": 1, "n": 5, "m": [1]}, "a#2"))[0] is Moved.MOVED
    put, delete = (entry[action] for entry, action in zip(sent[0]["TransactItems"], ("Put", "Delete"), strict=True))
    assert put["Item"] == {"pk": "a#2", "sk": 1, "n": 5, "m": [1]}
    assert delete["Key"] == {"pk": "a#1", "sk": 1}
    assert sorted(delete[V].values(), key=str) == [5, [1]]
    assert delete["ConditionExpression"].count(" = ") == 2
    with pytest.raises(ValueError, match="140 at most can be compared"):
        run(move(table, keys_of(), {"pk": "a#1", "sk": 1, **{f"x{number}": 1 for number in range(150)}}, "a#2"))


# What a query's condition becomes.

OURS = "#rddb_shard = :rddb_shard"


@pytest.mark.parametrize(
    ("params", "condition", "names", "values"),
    [
        ({C: "pk = :p", V: {":p": "a"}}, OURS, {}, {}),
        ({C: ":p = pk AND sk > :x", V: {":p": "a", ":x": 1}}, f"{OURS} AND sk > :x", {}, {":x": 1}),
        ({C: "sk > :x AND pk=:p", V: {":p": "a", ":x": 1}}, f"sk > :x AND {OURS}", {}, {":x": 1}),
        (
            {C: "(#p = :p) AND (sk = :x)", N: {"#p": "pk"}, V: {":p": "a", ":x": 1}},
            f"({OURS}) AND (sk = :x)",
            {},
            {":x": 1},
        ),
        (
            {C: "pk = :p AND sk BETWEEN :x AND :y", V: {":p": "a", ":x": 1, ":y": 2}},
            f"{OURS} AND sk BETWEEN :x AND :y",
            {},
            {":x": 1, ":y": 2},
        ),
        (
            {C: "#pp = :pp AND #p = :p", N: {"#p": "pk", "#pp": "sk"}, V: {":p": "a", ":pp": 1}},
            f"#pp = :pp AND {OURS}",
            {"#pp": "sk"},
            {":pp": 1},
        ),
        (
            {C: "#p = :p", "FilterExpression": "#p = :p2 OR x = :p", N: {"#p": "pk"}, V: {":p": "a", ":p2": 1}},
            OURS,
            {"#p": "pk"},
            {":p": "a", ":p2": 1},
        ),
        ({C: "#p = :p", "ProjectionExpression": "x, #p", N: {"#p": "pk"}, V: {":p": "a"}}, OURS, {"#p": "pk"}, {}),
        ({C: Key("pk").eq("a")}, OURS, {}, {}),
        (
            {C: Key("sk").begins_with("b") & Key("pk").eq("a")},
            f"(begins_with(#n0, :v0) AND {OURS})",
            {"#n0": "sk"},
            {":v0": "b"},
        ),
        (
            {C: Key("pk").eq("a"), "FilterExpression": Attr("pk").eq("b")},
            OURS,
            {"#n0": "pk"},
            {":v0": "b"},
        ),
    ],
)
def test_the_partition_key_is_taken_out(params, condition, names, values):
    before = {name: dict(value) if isinstance(value, dict) else value for name, value in params.items()}
    found = without_key(params, "pk", "pk")
    assert found.key == "a"
    made = found.of("a#3")
    assert made[C] == condition
    assert made[N] == {**names, "#rddb_shard": "pk"}
    assert made[V] == {**values, ":rddb_shard": "a#3"}
    assert params == before


def test_legacy_conditions():
    after = {"ComparisonOperator": "GT", "AttributeValueList": [5]}
    equal = {"ComparisonOperator": "EQ", "AttributeValueList": ["a"]}
    found = without_key({"KeyConditions": {"pk": equal, "sk": after}}, "pk", "pk_shard")
    assert found.key == "a"
    assert found.of("a#1") == {
        "KeyConditions": {"sk": after, "pk_shard": {"ComparisonOperator": "EQ", "AttributeValueList": ["a#1"]}}
    }


@pytest.mark.parametrize(
    "params",
    [
        {},
        {C: "sk = :p", V: {":p": "a"}},
        {C: "pk > :p", V: {":p": "a"}},
        {C: "pk = :p"},
        {C: "pk = :p", V: {":q": "a"}},
        {C: Key("sk").eq("a")},
        {C: Key("pk").gt("a")},
        {C: "#p = :p", N: {"#p": "sk"}, V: {":p": "a"}},
        {C: "x.pk = :p", V: {":p": "a"}},
        {"KeyConditions": {"pk": {"ComparisonOperator": "GT", "AttributeValueList": ["a"]}}},
        {"KeyConditions": {"sk": {"ComparisonOperator": "EQ", "AttributeValueList": ["a"]}}},
    ],
)
def test_a_query_that_says_no_partition_key_is_refused(params):
    with pytest.raises(ValueError, match="KeyConditionExpression must say which partition key is meant"):
        without_key(params, "pk", "pk")


def test_our_names_must_be_free():
    taken = {C: "#rddb_shard = :p", "FilterExpression": "#rddb_shard = :p", N: {"#rddb_shard": "pk"}, V: {":p": "a"}}
    with pytest.raises(ValueError, match="must leave the name '#rddb_shard' free"):
        without_key(taken, "pk", "pk")
    with pytest.raises(ValueError, match="must leave the name ':rddb_shard' free"):
        with_key({C: "sk = :rddb_shard", V: {":rddb_shard": 1}}, "pk")


def test_a_condition_for_several_keys():
    assert with_key({}, "pk").of("x") == {C: OURS, N: {"#rddb_shard": "pk"}, V: {":rddb_shard": "x"}}
    assert with_key({C: "sk = :x", V: {":x": 1}}, "pk").of("x")[C] == f"{OURS} AND sk = :x"
    assert with_key({C: Key("sk").gt(1)}, "pk").of("x")[C] == f"{OURS} AND #n0 > :v0"
    for condition in (":x = pk", "pk = :x", Key("pk").eq("a"), Key("pk").eq("a") & Key("sk").eq(1)):
        with pytest.raises(ValueError, match="must leave the partition key 'pk' out"):
            with_key({C: condition}, "pk")
    with pytest.raises(ValueError, match="KeyConditions must not be given beside partition_keys"):
        with_key({"KeyConditions": {}}, "pk")


def test_bytes_are_spread_by_their_content():
    layout = Layout(shards=10, by=("b",))
    assert layout.home("a", {"b": Binary(b"x")}, lowest) == layout.home("a", {"b": b"x"}, lowest)
