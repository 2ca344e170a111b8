"""Which items have expired, what reads ask for, and what puts are given, without any I/O."""

import copy
import json
import pickle
from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache

import botocore.session
import pytest
from boto3.dynamodb.conditions import Attr, ConditionExpressionBuilder, Key
from boto3.dynamodb.types import TypeSerializer
from botocore.model import ServiceModel
from hypothesis import given
from hypothesis import strategies as st
from unit_support import make_core

import resilient_ddb as rddb
from resilient_ddb.calls.execution import Execution
from resilient_ddb.codec import Reader, responses
from resilient_ddb.codec.engine import StandardLibrary, fastest
from resilient_ddb.codec.numbers import boto3_number
from resilient_ddb.dynamodb.description import description_of
from resilient_ddb.testing import FakeClock
from resilient_ddb.ttl.answers import TtlCall
from resilient_ddb.ttl.requests import Request, Want, rewrite
from resilient_ddb.ttl.rule import MILLISECONDS, TimeToLive, native_rule, time_to_live, typed_rule
from resilient_ddb.ttl.table import TableTtl
from resilient_ddb.ttl.tables import TtlTables
from resilient_ddb.ttl.writes import Puts

NOW = 1_700_000_000
YEAR = 365 * 86_400
LIVE = "(attribute_not_exists(#rddb_ttl) OR NOT attribute_type(#rddb_ttl, :rddb_number) OR #rddb_ttl > :rddb_now)"
NAMES = {"#rddb_ttl": "exp"}
VALUES = {":rddb_now": NOW, ":rddb_number": "N"}


def want(*, on_server=False, index=None, attribute="exp"):
    settings = TimeToLive(attribute, filter="server" if on_server else "client")
    return Want(table="t", attribute=attribute, settings=settings, clock=FakeClock(NOW), index=index)


def sent(operation, *, on_server=False, index=None, attribute="exp", **params):
    params.setdefault("TableName", "t")
    return rewrite(operation, params, want(on_server=on_server, index=index, attribute=attribute))


@cache
def service_model():
    session = botocore.session.get_session()
    return ServiceModel(session.get_component("data_loader").load_service_model("dynamodb", "service-2"), "dynamodb")


# Which items have expired.


def reference(item, now):
    """Say it as the documentation does: a number of seconds that is not after now."""
    value = item.get("exp")
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool) and value <= now


numbers = st.one_of(
    st.integers(NOW - 10, NOW + 10),
    st.integers(-(10**37), 10**37),
    st.decimals(min_value=NOW - 2, max_value=NOW + 2, places=9),
    st.decimals(min_value=-(10**20), max_value=10**20, places=5),
    st.sampled_from([0, Decimal("1.7E+9"), Decimal("1E-130"), MILLISECONDS, MILLISECONDS - 1, NOW * 1000]),
)
others = st.one_of(
    st.none(), st.booleans(), st.text(), st.binary(), st.sampled_from([str(NOW - 1), "0", {"N": "0"}, [1], {1, 2}])
)
items = st.fixed_dictionaries({"pk": st.text()}, optional={"exp": numbers | others})


@given(items)
def test_the_rule_on_raw_rows_is_the_rule_on_native_values(item):
    serialize = TypeSerializer().serialize
    raw = {name: serialize(value) for name, value in item.items()}
    told = []
    expected = reference(item, NOW)
    assert typed_rule("exp", NOW, lambda: told.append("typed"))(raw) is expected
    assert native_rule("exp", NOW, lambda: told.append("native"))(item) is expected
    value = item.get("exp")
    looks_like_milliseconds = isinstance(value, (int, Decimal)) and value >= MILLISECONDS
    assert told == (["typed", "native"] if looks_like_milliseconds else [])


@pytest.mark.parametrize("text", ["nonsense", "NaN", "Infinity", "1" * 5000])
def test_what_is_no_number_to_dynamodb_has_not_expired(text):
    assert not typed_rule("exp", NOW, list)({"exp": {"N": text}})


def test_there_may_be_no_item():
    assert not typed_rule("exp", NOW, list)(None)
    assert not native_rule("exp", NOW, list)({})
    assert not native_rule("exp", NOW, list)({"exp": Decimal("NaN")})


def test_an_item_expires_at_its_second():
    clock = FakeClock()
    assert rddb.ttl.is_expired({"exp": NOW}, ttl="exp", clock=clock)
    assert not rddb.ttl.is_expired({"exp": NOW + 1}, ttl="exp", clock=clock)
    assert rddb.ttl.is_expired({"exp": NOW - 6 * YEAR}, ttl="exp", clock=clock)
    assert not rddb.ttl.is_expired({"exp": NOW - 5}, ttl="exp", clock=clock, skew=6)
    assert rddb.ttl.is_expired({"exp": NOW - 5}, ttl="exp", clock=clock, skew=5)
    assert not rddb.ttl.is_expired({"exp": 2 * 10**9}, ttl="exp")
    assert rddb.ttl.is_expired({"exp": {"N": str(NOW)}}, ttl="exp", clock=clock)  # as in an error
    for never in ({"exp": {"N": str(NOW + 1)}}, {"exp": {"S": "1"}}, {"exp": {}}, {}):
        assert not rddb.ttl.is_expired(never, ttl="exp", clock=clock)


# Pages, as the codec reads them.


def page_of(found):
    serialize = TypeSerializer().serialize
    rows = [{name: serialize(value) for name, value in item.items()} for item in found]
    return json.dumps(
        {"Count": len(rows), "ScannedCount": len(rows), "Items": rows}, default=lambda value: b64encode(value).decode()
    ).encode()


def sieve_of(operation="Scan", positions=None):
    core = make_core(FakeClock())
    params = {"TableName": "t"}
    request = Request(params=params, positions=positions or {})
    return TtlCall(
        Execution(core, operation, params),
        request,
        table="t",
        attribute="exp",
        settings=TimeToLive("exp"),
        warn_once=TableTtl("t", TimeToLive("exp")).warn_once,
    )


def last(steps):
    """Return what a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("engine", [StandardLibrary, fastest])
@given(found=st.lists(items, max_size=20))
def test_a_page_is_read_without_what_has_expired(found, engine, large):
    reader = Reader(service_model().operation_model("Scan").output_shape, engine())
    text = page_of(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(responses, "LARGE_BYTES", 1 if large else 10**9)
        patch.setattr(responses, "STEP_BYTES", 1)
        whole = reader.read(text, boto3_number())
        sieve = sieve_of()
        sifted = reader.read(text, boto3_number(), sieve)
        sieve.was_read(sifted)
        stepwise = last(reader.read_in_steps(text, boto3_number(), sieve))
        typed = reader.read(text, None, sieve)
    live = [item for item in whole["Items"] if not reference(item, NOW)]
    assert sifted == {"Count": len(live), "ScannedCount": len(found), "Items": live}
    assert stepwise["Items"] == live
    assert len(typed["Items"]) == len(live)


def test_items_of_a_transaction_keep_their_places():
    sieve = sieve_of("TransactGetItems", {0: False, 2: False, 5: False})
    past = {"Item": {"exp": {"N": "0"}}}
    rows = [copy.deepcopy(past), copy.deepcopy(past), {}, None]
    answer = {"Responses": copy.deepcopy(rows)}
    sieve.sift(answer)
    assert answer == {"Responses": [{}, past, {}, None]}
    keep = sieve.keeper(None)
    assert all(keep(position, row) for position, row in enumerate(rows))
    assert rows == answer["Responses"]


def test_rows_of_other_tables_are_not_looked_at():
    sieve = sieve_of("BatchGetItem")
    assert sieve.keeper("other") is None
    assert sieve.keeper("t")(0, {"exp": {"N": str(NOW + 1)}})
    assert not sieve.keeper("t")(0, {"exp": {"N": str(NOW)}})


# Options.


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ((5, {}), TypeError, "attribute must be the name of an attribute, such as 'expires_at', or 'auto'; got 5"),
        (("", {}), ValueError, "attribute must be the name"),
        (("exp", {"filter": "both"}), ValueError, "filter must be 'client' or 'server'; got 'both'"),
        (("exp", {"skew": -1}), ValueError, "skew must be a number of 0 or more; got -1"),
        (("exp", {"skew": "5"}), TypeError, "skew must be a number"),
        (("exp", {"ttl_skew": 5}), TypeError, r"TimeToLive has no 'ttl_skew': it is TimeToLive\(skew=...\)"),
        (("exp", {"ttl_filter": 5}), TypeError, r"it is TimeToLive\(filter=...\)"),
    ],
)
def test_options_that_can_not_be_meant_are_refused(options, error, text):
    with pytest.raises(error, match=text):
        TimeToLive(options[0], **options[1])


def test_a_name_stands_for_a_time_to_live():
    assert time_to_live("exp") == TimeToLive("exp") == TimeToLive(attribute="exp", filter="client", skew=0.0)
    assert time_to_live(TimeToLive("exp", skew=2.5)).now(FakeClock()) == NOW - 3
    with pytest.raises(TypeError, match="ttl must be the name of an attribute, such as 'expires_at', or 'auto', or a"):
        time_to_live(5)


def test_a_time_to_live_is_a_value():
    made = TimeToLive("exp", filter="server")
    assert made.replace(skew=1) == TimeToLive("exp", filter="server", skew=1)
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - made here
    assert len({made, TimeToLive("exp", filter="server")}) == 1


# The condition.


def test_a_put_if_absent_takes_an_expired_item_for_absent():
    condition = rddb.ttl.absent_or_expired("pk", ttl="exp", clock=FakeClock(), skew=2)
    joined = condition & Attr("kind").eq("lock")
    built = ConditionExpressionBuilder().build_expression(joined)
    assert built.condition_expression == "((attribute_not_exists(#n0) OR #n1 <= :v0) AND #n2 = :v1)"
    assert built.attribute_name_placeholders == {"#n0": "pk", "#n1": "exp", "#n2": "kind"}
    assert built.attribute_value_placeholders == {":v0": NOW - 2, ":v1": "lock"}


def test_the_conditions_clock_is_the_machines_where_none_is_given():
    [_, expired] = rddb.ttl.absent_or_expired("pk", ttl="exp").get_expression()["values"]
    assert abs(expired.get_expression()["values"][1] - datetime.now(UTC).timestamp()) < 60


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"key": 5, "ttl": "exp"}, TypeError, "key must be the name"),
        ({"key": "pk", "ttl": ""}, ValueError, "ttl must be the name"),
        ({"key": "exp", "ttl": "exp"}, ValueError, "ttl must not be an attribute of the table's key"),
        ({"key": "pk", "ttl": "a.b"}, ValueError, "ttl must name an attribute without"),
        ({"key": "pk", "ttl": "exp", "skew": -1}, ValueError, "skew must be"),
        ({"key": "pk", "ttl": "exp", "clock": 5}, TypeError, "clock must be"),
    ],
)
def test_a_condition_that_can_not_be_meant_is_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        rddb.ttl.absent_or_expired(**arguments)


# What is asked for.


@pytest.mark.parametrize("projection", ["pk", "pk, #e.a", "a[0], b.c"])
def test_a_projection_that_leaves_the_attribute_out_asks_for_it(projection):
    given_params = {"Key": {"pk": "a"}, "ProjectionExpression": projection, "ExpressionAttributeNames": {"#e": "other"}}
    request = sent("GetItem", **given_params)
    assert request.is_hidden
    assert request.params["ProjectionExpression"] == f"{projection}, #rddb_ttl"
    assert request.params["ExpressionAttributeNames"] == {"#e": "other", **NAMES}
    assert given_params["ExpressionAttributeNames"] == {"#e": "other"}


@pytest.mark.parametrize("projection", ["exp", " pk , exp", "pk,#e", "#e, pk.a"])
def test_a_projection_that_has_the_attribute_is_left_alone(projection):
    names = {"#e": "exp"}
    request = sent("Scan", ProjectionExpression=projection, ExpressionAttributeNames=names)
    assert not request.is_hidden
    assert request.params["ProjectionExpression"] == projection
    assert request.params["ExpressionAttributeNames"] == names


@pytest.mark.parametrize("params", [{}, {"ProjectionExpression": ""}, {"ProjectionExpression": 5}, {"Select": "ALL"}])
def test_without_a_projection_nothing_is_asked_for(params):
    request = sent("Scan", **params)
    assert (request.params, request.is_hidden) == ({"TableName": "t", **params}, False)


def test_a_part_of_the_attribute_can_not_be_projected():
    with pytest.raises(ValueError, match="must not name a part of the TTL attribute 'exp'"):
        sent("Scan", ProjectionExpression="exp.a")


def test_the_legacy_projection_asks_too():
    request = sent("Query", AttributesToGet=["pk"])
    assert (request.params["AttributesToGet"], request.is_hidden) == (["pk", "exp"], True)
    assert not sent("Query", AttributesToGet=["exp"]).is_hidden


def test_each_table_of_a_batch_is_asked_for_itself():
    items = {
        "t": {"Keys": [{"pk": "a"}], "ProjectionExpression": "pk"},
        "other": {"Keys": [{"pk": "a"}], "ProjectionExpression": "pk"},
    }
    request = rewrite("BatchGetItem", {"RequestItems": items}, want())
    assert request.is_hidden
    assert request.params["RequestItems"]["other"] is items["other"]
    assert request.params["RequestItems"]["t"]["ProjectionExpression"] == "pk, #rddb_ttl"
    assert request.originals == {"t": {"Keys": [{"pk": "a"}], "ProjectionExpression": "pk"}}


def test_each_item_of_a_transaction_is_asked_for_itself():
    entries = [
        {"Get": {"TableName": "other", "Key": {"pk": "a"}, "ProjectionExpression": "pk"}},
        {"Get": {"TableName": "t", "Key": {"pk": "a"}}},
        {"Get": {"TableName": "arn:aws:dynamodb:eu-west-1:1:table/t", "Key": {"pk": "a"}, "ProjectionExpression": "b"}},
    ]
    request = rewrite("TransactGetItems", {"TransactItems": entries}, want())
    assert request.positions == {1: False, 2: True}
    assert request.params["TransactItems"][0] is entries[0]
    assert request.params["TransactItems"][2]["Get"]["ProjectionExpression"] == "b, #rddb_ttl"


@pytest.mark.parametrize(
    ("operation", "params", "expected"),
    [
        ("GetItem", {"TableName": "t"}, True),
        ("GetItem", {"TableName": "arn:aws:dynamodb:eu-west-1:1:table/t"}, True),
        ("GetItem", {"TableName": "tt"}, False),
        ("GetItem", {}, False),
        ("BatchGetItem", {"RequestItems": {"other": {}, "t": {}}}, True),
        ("BatchGetItem", {"RequestItems": {"other": {}}}, False),
        ("BatchGetItem", {"RequestItems": 5}, False),
        ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "t"}}]}, True),
        ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "other"}}, 5, {"Get": 5}]}, False),
        ("TransactGetItems", {"TransactItems": 5}, False),
    ],
)
def test_a_request_names_the_table_or_not(operation, params, expected):
    execution = Execution(make_core(), operation, params)
    last(TtlTables({"t": TimeToLive("exp")}).prepare(execution, None))
    assert (execution.ttl is not None) is expected


# What DynamoDB is to filter.


@pytest.mark.parametrize(
    ("own", "merged"),
    [
        (None, LIVE),
        ("a = :a", f"(a = :a) AND {LIVE}"),
        ("a = :a OR b = :a", f"(a = :a OR b = :a) AND {LIVE}"),
        ("(a = :a OR b = :a)", f"(a = :a OR b = :a) AND {LIVE}"),  # a second pair of parentheses is refused
        ("(a = :a) OR (b = :a)", f"((a = :a) OR (b = :a)) AND {LIVE}"),
        ("a IN (:a)", f"(a IN (:a)) AND {LIVE}"),
    ],
)
@pytest.mark.parametrize("how", [{"Select": "COUNT"}, {"on_server": True}])
def test_a_filter_is_joined_with_the_callers(own, merged, how):
    params = {"ExpressionAttributeValues": {":a": 1}}
    if own is not None:
        params["FilterExpression"] = own
    request = sent("Scan", **params, **how)
    assert request.params["FilterExpression"] == merged
    assert request.params["ExpressionAttributeNames"] == NAMES
    assert request.params["ExpressionAttributeValues"] == {":a": 1, **VALUES}
    assert params["ExpressionAttributeValues"] == {":a": 1}


def test_condition_objects_are_joined_too():
    condition = Key("pk").eq("a")
    request = sent(
        "Query",
        on_server=True,
        KeyConditionExpression=condition,
        FilterExpression=Attr("b").eq(1) | Attr("c").exists(),
        ExpressionAttributeNames={"#n0": "d"},
        ProjectionExpression="#n0",
    )
    params = request.params
    assert params["KeyConditionExpression"] == "#rddb_n2 = :rddb_v1"
    assert params["FilterExpression"] == f"(#rddb_n0 = :rddb_v0 OR attribute_exists(#rddb_n1)) AND {LIVE}"
    assert params["ProjectionExpression"] == "#n0, #rddb_ttl"
    assert params["ExpressionAttributeNames"] == {
        "#n0": "d", "#rddb_n0": "b", "#rddb_n1": "c", "#rddb_n2": "pk", **NAMES
    }  # fmt: skip
    assert params["ExpressionAttributeValues"] == {":rddb_v0": 1, ":rddb_v1": "a", **VALUES}


@pytest.mark.parametrize("own", ["", "a = :a)", "a = :a) OR (b = :b", "(a = :a", 5])
def test_what_is_no_filter_stays_as_it_is(own):
    assert sent("Scan", FilterExpression=own, Select="COUNT").params["FilterExpression"] == own


@pytest.mark.parametrize("argument", ["ExpressionAttributeNames", "ExpressionAttributeValues"])
def test_what_is_no_map_of_placeholders_stays_as_it_is(argument):
    request = sent("Scan", ProjectionExpression="pk", on_server=True, **{argument: 5})
    assert request.params[argument] == 5


@pytest.mark.parametrize(
    ("params", "taken"),
    [
        ({"ExpressionAttributeNames": {"#rddb_ttl": "other"}}, "#rddb_ttl"),
        ({"ExpressionAttributeValues": {":rddb_now": "mine"}}, ":rddb_now"),
        ({"ExpressionAttributeValues": {":rddb_number": "S"}}, ":rddb_number"),
    ],
)
def test_a_placeholder_of_ours_is_not_overwritten(params, taken):
    with pytest.raises(ValueError, match=f"must leave the name '{taken}' free"):
        sent("Scan", on_server=True, FilterExpression="a = :a", **params)


@pytest.mark.parametrize("legacy", ["QueryFilter", "ScanFilter", "KeyConditions", "ConditionalOperator"])
def test_legacy_parameters_are_filtered_here_or_refused(legacy):
    params = {legacy: {"a": {}}, "TableName": "t"}
    assert sent("Query", on_server=True, **params).params == params
    with pytest.raises(ValueError, match=f"{legacy} must not be given with Select='COUNT'"):
        sent("Query", Select="COUNT", **params)


def test_points_are_never_filtered_there():
    assert "FilterExpression" not in sent("GetItem", on_server=True, Key={"pk": "a"}).params


# TTL attributes that are keys, and indexes.


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("GetItem", {"Key": {"pk": "a", "exp": 1}}),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": [{"exp": 1}]}}}),
        ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "t", "Key": {"exp": 1}}}]}),
        ("Query", {"KeyConditionExpression": Key("pk").eq("a") & Key("exp").gt(1)}),
        ("Query", {"KeyConditionExpression": "pk = :exp AND exp > :v"}),
        ("Query", {"KeyConditionExpression": "#a = :v", "ExpressionAttributeNames": {"#a": "exp"}}),
        ("Query", {"KeyConditions": {"exp": {}}}),
        ("Scan", {"ExclusiveStartKey": {"pk": "a", "exp": 1}}),
    ],
)
def test_a_key_can_not_be_the_attribute(operation, params):
    with pytest.raises(ValueError, match=r"ttl must not be an attribute of the table's key.*'exp'"):
        sent(operation, **params)


@pytest.mark.parametrize("condition", ["pk = :exp", "#exp = :v AND expo > :v", Key("pk").eq("exp")])
def test_other_keys_can(condition):
    names = {"#exp": "pk"}
    sent("Query", KeyConditionExpression=condition, ExpressionAttributeNames=names)


def key(*names):
    return [{"AttributeName": name, "KeyType": role} for name, role in zip(names, ("HASH", "RANGE"), strict=False)]


DESCRIBED = {
    "KeySchema": key("pk", "sk"),
    "GlobalSecondaryIndexes": [
        {"IndexName": "all", "KeySchema": key("a"), "Projection": {"ProjectionType": "ALL"}},
        {"IndexName": "keys", "KeySchema": key("a"), "Projection": {"ProjectionType": "KEYS_ONLY"}},
        {
            "IndexName": "some",
            "KeySchema": key("a"),
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["exp"]},
        },
        {
            "IndexName": "by_expiry",
            "KeySchema": key("a", "exp"),
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        },
    ],
    "LocalSecondaryIndexes": [
        {"IndexName": "local", "KeySchema": key("pk"), "Projection": {"ProjectionType": "KEYS_ONLY"}}
    ],
}
INDEXES = description_of(DESCRIBED).indexes


def query(name, *, on_server=False, **params):
    return sent("Query", on_server=on_server, index=INDEXES[name], IndexName=name, **params)


@pytest.mark.parametrize("name", ["all", "some", "by_expiry"])
def test_an_index_with_the_attribute_is_read_as_a_table(name):
    assert query(name).params == {"TableName": "t", "IndexName": name}


@pytest.mark.parametrize("params", [{}, {"Select": "COUNT"}, {"ProjectionExpression": "pk"}])
def test_a_global_index_without_it_is_refused(params):
    with pytest.raises(
        ValueError, match=r"IndexName must be that of an index that has the TTL attribute 'exp'; 'keys'"
    ):
        query("keys", **params)


def test_a_local_index_without_it_has_it_fetched_where_that_was_asked():
    assert query("local", ProjectionExpression="pk").is_hidden
    assert not query("local", Select="ALL_ATTRIBUTES").is_hidden
    assert "FilterExpression" not in query("local", on_server=True, Select="ALL_ATTRIBUTES").params
    for params in ({}, {"Select": "ALL_PROJECTED_ATTRIBUTES"}, {"Select": "COUNT"}):
        with pytest.raises(ValueError, match="'local' has not: project it, or have DynamoDB get it from the table"):
            query("local", **params)


def test_a_filter_can_not_name_a_key_of_the_index():
    assert "FilterExpression" not in query("by_expiry", on_server=True).params
    with pytest.raises(ValueError, match="Select must not be 'COUNT' where the TTL attribute 'exp' is a key"):
        query("by_expiry", Select="COUNT")
    params = {"IndexName": "unknown", "KeyConditionExpression": Key("a").eq(1) & Key("exp").gt(1)}
    assert "FilterExpression" not in sent("Query", on_server=True, **params).params
    with pytest.raises(ValueError, match="Select must not be 'COUNT'"):
        sent("Query", Select="COUNT", **params)


def test_an_index_of_which_nothing_is_known_is_read_as_a_table():
    assert LIVE in sent("Query", Select="COUNT", IndexName="unknown").params["FilterExpression"]


# What is put.


def put(item, **params):
    return Puts("t", "exp", NOW + 0.25).rewrite("PutItem", {"TableName": "t", "Item": item, **params})["Item"]


def test_seconds_to_live_are_stamped_into_a_copy():
    item = {"pk": "a", "exp": 5}
    made = Puts("t", "exp", NOW + 0.25).rewrite("PutItem", {"TableName": "t", "Item": item, "ttl_seconds": 60})
    assert made == {"TableName": "t", "Item": {"pk": "a", "exp": NOW + 61}}
    assert item == {"pk": "a", "exp": 5}
    assert put({"pk": "a"}, ttl_seconds=0.5) == {"pk": "a", "exp": NOW + 1}
    assert put({"pk": "a"}, ttl_seconds=Decimal("59.5")) == {"pk": "a", "exp": NOW + 60}
    assert put({"pk": "a"}, ttl_seconds=None) == {"pk": "a"}


@pytest.mark.parametrize(
    "seconds", [0, -1, Decimal(-1), Decimal("NaN"), float("nan"), "60", True, timedelta(60), NOW + 60, 3_600_000_000]
)
def test_seconds_to_live_that_can_not_be_meant_are_refused(seconds):
    with pytest.raises((TypeError, ValueError), match="ttl_seconds"):
        put({"pk": "a"}, ttl_seconds=seconds)


@pytest.mark.parametrize(
    "value", [NOW, 0, -5, Decimal(NOW), Decimal("1.5"), "soon", None, True, {1}, float("inf"), Decimal("NaN")]
)
def test_what_is_put_stays_as_it_is(value):
    item = {"pk": "a", "exp": value}
    assert put(item) is item


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (NOW + 0.5, NOW + 1),
        (float(NOW), NOW),
        (datetime.fromtimestamp(NOW, UTC), NOW),
        (datetime.fromtimestamp(NOW + 0.5, timezone(timedelta(hours=5))), NOW + 1),
    ],
)
def test_a_float_or_datetime_is_written_as_whole_seconds(value, written):
    item = {"pk": "a", "exp": value}
    puts = Puts("t", "exp", NOW)
    for operation, params, path in puts_of(item):
        made = puts.rewrite(operation, params)
        for step in path:
            made = made[step]
        assert made == {"pk": "a", "exp": written}
        assert type(made["exp"]) is int
    assert puts.converted == type(value).__name__
    assert puts.has_attribute
    assert item["exp"] is value


def puts_of(item):
    yield "PutItem", {"TableName": "t", "Item": item}, ["Item"]
    yield (
        "BatchWriteItem",
        {"RequestItems": {"t": [{"DeleteRequest": {}}, {"PutRequest": {"Item": item}}]}},
        ["RequestItems", "t", 1, "PutRequest", "Item"],
    )
    yield (
        "TransactWriteItems",
        {"TransactItems": [{"Delete": {}}, {"Put": {"TableName": "t", "Item": item}}]},
        ["TransactItems", 1, "Put", "Item"],
    )


@pytest.mark.parametrize("value", [NOW * 1000, float(NOW * 1000), Decimal(NOW * 1000), NOW * 10**6])
def test_milliseconds_are_refused_without_their_value(value):
    for operation, params, _ in puts_of({"pk": "a", "exp": value}):
        with pytest.raises(ValueError, match=r"Item\['exp'\] must be in seconds.*looks like milliseconds") as raised:
            Puts("t", "exp", NOW).rewrite(operation, params)
        assert str(NOW) not in str(raised.value)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="a datetime with a time zone"):
        put({"exp": datetime(2030, 1, 1)})  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("PutItem", {"Item": 5}),
        ("PutItem", {}),
        ("BatchWriteItem", {"RequestItems": 5}),
        ("BatchWriteItem", {"RequestItems": {"t": 5, "other": [{"PutRequest": {"Item": {"exp": 1.5}}}]}}),
        ("BatchWriteItem", {"RequestItems": {"t": [5, {"PutRequest": 5}, {"PutRequest": {"Item": 5}}]}}),
        ("TransactWriteItems", {"TransactItems": 5}),
        ("TransactWriteItems", {"TransactItems": [5, {"Put": 5}, {"Put": {"TableName": "o", "Item": {"exp": 1.5}}}]}),
    ],
)
def test_what_is_none_of_ours_is_left_to_botocore(operation, params):
    assert Puts("t", "exp", NOW).rewrite(operation, params) == params
