"""Expired items, on every path that a Table with a TTL reads by."""

import copy
import itertools
import logging
import math
import pickle
from datetime import UTC, datetime
from decimal import Decimal

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.transform import TransformationInjector
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError
from botocore.stub import Stubber
from emulators import CREDENTIALS
from sdk_support import http_session_of
from ttl_support import described_as
from unit_support import core_of
from wire_stub import WireStub

import resilient_ddb as rddb
from resilient_ddb.codec import responses
from resilient_ddb.codec.values import UnusualError
from resilient_ddb.hooks import values as native
from resilient_ddb.testing import FakeClock, faults

NOW = int(FakeClock().time())
YEAR = 365 * 86_400
ONCE = rddb.Retry(max_attempts=1)
OUTAGE = [faults.ServerError()]
TTL = {"ttl": "exp"}
NEVER = {"text": "1", "flag": True, "null": None, "set": {Decimal(1)}, "list": [1], "map": {"N": 1}, "bytes": b"1"}
ITEMS = [
    {"pk": "live", "exp": NOW + 60},
    {"pk": "now", "exp": NOW},
    {"pk": "past", "exp": NOW - 1},
    {"pk": "long past", "exp": NOW - 6 * YEAR},
    {"pk": "zero", "exp": 0},
    {"pk": "no ttl"},
    *({"pk": kind, "exp": value} for kind, value in NEVER.items()),
]
LIVE = {"live", "no ttl", *NEVER}
EXPIRED = {item["pk"] for item in ITEMS} - LIVE
OPEN_READ = ["codec", "botocore", "boto3", "late"]


def keys(items):
    return {item["pk"] for item in items}


def listen(table, how):
    """Have answers go the ordinary ways, too."""
    events = table.meta.client.meta.events
    if how == "botocore":  # somebody sees typed values: botocore parses
        events.register_first("after-call.dynamodb", lambda **_: None)
    elif how == "boto3":  # somebody sees the text
        events.register_last("before-parse.dynamodb", lambda **_: None)
    elif how == "late":  # somebody has taken the value handlers' events away
        events.unregister("after-call.dynamodb", unique_id="dynamodb-attr-value-output")
        events.register("after-call.dynamodb", TransformationInjector().inject_attribute_value_output)


@pytest.fixture
def filled(world):
    for item in ITEMS:
        world.direct.put_item(Item={**item, "body": "x" * 10})
    return world


@pytest.fixture(params=OPEN_READ)
def table(request, filled):
    made = filled.table(options=TTL)
    listen(made, request.param)
    return made


# Every path.


def test_get_item_has_no_item_where_it_has_expired(table):
    for key in EXPIRED:
        assert table.get_item(Key={"pk": key}, ReturnConsumedCapacity="TOTAL").keys() == {
            "ConsumedCapacity", "ResponseMetadata"
        }  # fmt: skip
    for key in LIVE:
        assert table.get_item(Key={"pk": key})["Item"]["pk"] == key


def test_a_scan_counts_what_it_gives(table, filled):
    plain = filled.direct.scan(ReturnConsumedCapacity="TOTAL")
    answer = table.scan(ReturnConsumedCapacity="TOTAL")
    assert keys(answer["Items"]) == LIVE
    assert answer["Count"] == len(LIVE)
    assert answer["ScannedCount"] == plain["ScannedCount"] == len(ITEMS)
    assert answer["ConsumedCapacity"] == plain["ConsumedCapacity"]
    short = table.scan(Limit=4)
    assert short["ScannedCount"] == 4
    assert short["Count"] == len(short["Items"])
    assert short["LastEvaluatedKey"] == filled.direct.scan(Limit=4)["LastEvaluatedKey"]


def test_a_query_leaves_them_out(table):
    for key in (*LIVE, *EXPIRED):
        answer = table.query(KeyConditionExpression=Key("pk").eq(key))
        assert (keys(answer["Items"]), answer["Count"]) == (({key}, 1) if key in LIVE else (set(), 0))


def test_batches_and_transactions_leave_them_out(table, filled, make_table, dynamodb_local, plain):
    other = make_table(dynamodb_local.endpoint_url)
    plain(dynamodb_local.endpoint_url).Table(other).put_item(Item={"pk": "past", "exp": NOW - 1})
    wanted = [{"pk": key} for key in sorted(LIVE | EXPIRED)]
    client = table.meta.client
    requests = {filled.name: {"Keys": wanted}, other: {"Keys": [{"pk": "past"}]}}
    found = client.batch_get_item(RequestItems=requests)["Responses"]
    assert keys(found[filled.name]) == LIVE
    assert keys(found[other]) == {"past"}  # that table is none with a TTL
    gets = [{"Get": {"TableName": filled.name, "Key": key}} for key in wanted]
    gets.insert(3, {"Get": {"TableName": other, "Key": {"pk": "past"}}})
    answers = client.transact_get_items(TransactItems=gets)["Responses"]
    assert answers[3]["Item"]["pk"] == "past"
    assert [entry == {} for entry in answers[:3] + answers[4:]] == [key["pk"] in EXPIRED for key in wanted]
    assert client.get_item(TableName=other, Key={"pk": "past"})["Item"]["exp"] == NOW - 1


def test_paginators_leave_them_out(table, filled):
    pages = list(
        table.meta.client.get_paginator("scan").paginate(TableName=filled.name, PaginationConfig={"PageSize": 2})
    )
    assert len(pages) > len(ITEMS) // 2
    assert keys(item for page in pages for item in page["Items"]) == LIVE
    whole = table.meta.client.get_paginator("scan").paginate(TableName=filled.name).build_full_result()
    assert (whole["Count"], whole["ScannedCount"]) == (len(LIVE), len(ITEMS))


@pytest.mark.parametrize("how", OPEN_READ)
@pytest.mark.parametrize("operation", ["get", "scan", "batch", "transaction"])
def test_large_answers_leave_them_out(world, how, operation, monkeypatch):
    text = "x" * 30_000
    for number in range(12):
        world.direct.put_item(
            Item={"pk": str(number), "exp": NOW - number % 2, "body": text, "n": number, "l": [{"a"}]}
        )
    live = world.table(options={"ttl": rddb.TimeToLive("exp", skew=1)})  # those of now are still given
    listen(live, how)
    monkeypatch.setattr(responses, "STEP_BYTES", 1)
    client, wanted = live.meta.client, [{"pk": str(number)} for number in range(12)]
    kept = {str(number) for number in range(0, 12, 2)}
    if operation == "get":
        world.direct.put_item(Item={"pk": "big", "exp": NOW - 1, "body": "x" * 100_000})
        assert "Item" not in live.get_item(Key={"pk": "big"})
        world.direct.put_item(Item={"pk": "big", "exp": NOW, "body": "x" * 100_000})
        assert live.get_item(Key={"pk": "big"})["Item"]["exp"] == NOW
    elif operation == "scan":
        answer = live.scan()
        assert (keys(answer["Items"]), answer["Count"], answer["ScannedCount"]) == (kept, 6, 12)
        assert {item["n"] for item in answer["Items"]} == set(map(Decimal, range(0, 12, 2)))
        assert all(item["l"] == [{"a"}] for item in answer["Items"])
    elif operation == "batch":
        found = client.batch_get_item(RequestItems={world.name: {"Keys": wanted}})["Responses"]
        assert keys(found[world.name]) == kept
    else:
        gets = [{"Get": {"TableName": world.name, "Key": key}} for key in wanted]
        answers = client.transact_get_items(TransactItems=gets)["Responses"]
        assert [entry.get("Item", {}).get("pk") for entry in answers] == [
            str(number) if number % 2 == 0 else None for number in range(12)
        ]


def test_no_value_of_an_expired_item_is_decoded(filled, monkeypatch):
    made = []
    monkeypatch.setattr(native, "boto3_number", lambda: lambda text: made.append(text) or Decimal(text))
    filled.table(options=TTL).scan()
    assert str(NOW + 60) in made
    assert not {str(NOW), str(NOW - 1), str(NOW - 6 * YEAR)} & set(made)


def test_what_the_codec_leaves_to_botocore_is_looked_through(filled, monkeypatch):
    def unusual(*_):
        raise UnusualError

    monkeypatch.setattr(responses, "map_to_native", unusual)
    table = filled.table(options=TTL)
    answer = table.scan()
    assert (keys(answer["Items"]), answer["Count"]) == (LIVE, len(LIVE))
    assert "Item" not in table.get_item(Key={"pk": "past"})


def test_time_is_the_policys_when_an_answer_comes_in(filled):
    table = filled.table(options=TTL, retry=rddb.Retry(wait=lambda _: 61.0))
    assert "Item" in table.get_item(Key={"pk": "live"})
    filled.proxy.plan = [faults.Throttle(times=1)]
    assert "Item" not in table.get_item(Key={"pk": "live"})  # it has expired while the retry was waited for


def test_a_skew_keeps_items_longer(filled):
    patient = filled.table(options={"ttl": rddb.TimeToLive("exp", skew=1)})
    assert keys(patient.scan()["Items"]) == LIVE | {"now"}
    assert "Item" not in patient.get_item(Key={"pk": "past"})


def test_other_tables_of_the_resource_have_them(filled, hardened):
    dynamodb = hardened(filled.proxy.endpoint_url, filled.policy())
    plain_one, with_ttl = dynamodb.Table(filled.name), dynamodb.Table(filled.name, ttl="exp")
    assert keys(plain_one.scan()["Items"]) == LIVE | EXPIRED
    assert keys(with_ttl.scan()["Items"]) == LIVE
    wanted = {filled.name: {"Keys": [{"pk": "past"}]}}
    assert dynamodb.batch_get_item(RequestItems=wanted)["Responses"][filled.name]
    assert not with_ttl.meta.client.batch_get_item(RequestItems=wanted)["Responses"][filled.name]
    assert with_ttl == plain_one
    assert http_session_of(with_ttl.meta.client) is http_session_of(plain_one.meta.client)
    [reads] = rddb.status(with_ttl).circuits
    assert (reads.name, reads.calls) == (f"{filled.name}/read", 4)  # those of both


def test_writes_give_back_what_there_was(filled):
    table = filled.table(options=TTL)
    old = table.put_item(Item={"pk": "past", "exp": NOW - 2}, ReturnValues="ALL_OLD")
    assert old["Attributes"]["exp"] == NOW - 1
    with pytest.raises(ClientError) as raised:
        table.put_item(
            Item={"pk": "past"},
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert raised.value.response["Item"]["exp"] == {"N": str(NOW - 2)}


def test_a_stubs_answer_is_looked_through(filled):
    table = filled.table(options=TTL)
    with Stubber(table.meta.client) as stub:
        stub.add_response("get_item", {"Item": {"pk": {"S": "a"}, "exp": {"N": "5"}}})
        assert "Item" not in table.get_item(Key={"pk": "a"})


# Projections.


@pytest.mark.parametrize("how", OPEN_READ)
def test_a_projection_has_only_what_was_asked_for(filled, how):
    table = filled.table(options=TTL)
    listen(table, how)
    answer = table.scan(ProjectionExpression="pk, #p", ExpressionAttributeNames={"#p": "body"})
    assert keys(answer["Items"]) == LIVE
    assert all(item.keys() == {"pk", "body"} for item in answer["Items"])
    legacy = table.scan(AttributesToGet=["pk"])
    assert keys(legacy["Items"]) == LIVE
    assert all(item.keys() == {"pk"} for item in legacy["Items"])
    assert table.get_item(Key={"pk": "live"}, ProjectionExpression="body")["Item"] == {"body": "x" * 10}
    assert table.get_item(Key={"pk": "live"}, ProjectionExpression="nothing")["Item"] == {}
    assert "Item" not in table.get_item(Key={"pk": "past"}, ProjectionExpression="body")
    assert table.get_item(Key={"pk": "live"}, ProjectionExpression="exp")["Item"] == {"exp": NOW + 60}
    client = table.meta.client
    wanted = {"Keys": [{"pk": "live"}, {"pk": "past"}], "ProjectionExpression": "pk"}
    assert client.batch_get_item(RequestItems={filled.name: wanted})["Responses"] == {filled.name: [{"pk": "live"}]}
    gets = [
        {"Get": {"TableName": filled.name, "Key": {"pk": key}, **projection}}
        for key, projection in (("live", {"ProjectionExpression": "pk"}), ("text", {}), ("past", {}))
    ]
    whole = {"pk": "text", "exp": "1", "body": "x" * 10}
    answers = client.transact_get_items(TransactItems=gets)["Responses"]
    assert answers == [{"Item": {"pk": "live"}}, {"Item": whole}, {}]


def test_keys_that_were_not_processed_can_be_asked_for_again(filled):
    table = filled.table(options=TTL, retry=ONCE)
    wanted = {
        "Keys": [{"pk": "live"}, {"pk": "no ttl"}],
        "ProjectionExpression": "#k",
        "ExpressionAttributeNames": {"#k": "pk"},
    }
    filled.proxy.plan = [faults.Unprocessed(share=1.0)]
    answer = table.meta.client.batch_get_item(RequestItems={filled.name: wanted})
    left = answer["UnprocessedKeys"][filled.name]
    assert {name: left[name] for name in wanted if name != "Keys"} == {k: v for k, v in wanted.items() if k != "Keys"}
    filled.proxy.plan = []
    again = table.meta.client.batch_get_item(RequestItems=answer["UnprocessedKeys"])
    assert sorted(item["pk"] for item in again["Responses"][filled.name]) == ["live", "no ttl"]
    assert all(item.keys() == {"pk"} for item in again["Responses"][filled.name])


# Filters that DynamoDB applies.


def sent(table):
    """Return what a call sends: the parameters as they are typed."""
    bodies = []
    table.meta.client.meta.events.register("before-call.dynamodb", lambda params, **_: bodies.append(params["body"]))
    return bodies


FILTERS = [
    None,
    Attr("pk").ne("list"),
    Attr("pk").eq("list") | Attr("pk").ne("live"),
    "pk <> :v0",
    "(pk <> :v0)",
    "(pk <> :v0) OR (pk = :v0)",
]


@pytest.mark.parametrize("own", FILTERS)
def test_dynamodb_filters_by_the_same_rule(filled, own):
    more = {} if own is None else {"FilterExpression": own}
    if isinstance(own, str):
        more["ExpressionAttributeValues"] = {":v0": "list"}
    here, there = filled.table(options=TTL), filled.table(options={"ttl": rddb.TimeToLive("exp", filter="server")})
    bodies = sent(there)
    expected = keys(here.scan(**more)["Items"])
    answer = there.scan(**more)
    assert keys(answer["Items"]) == expected
    assert answer["ScannedCount"] == len(ITEMS)
    assert b"#rddb_ttl > :rddb_now" in bodies[0]
    assert here.scan(Select="COUNT", **more)["Count"] == len(expected)
    assert "Items" not in here.scan(Select="COUNT", **more)


def test_a_query_is_counted_there(filled):
    table = filled.table(options=TTL)
    for key in (*LIVE, *EXPIRED):
        answer = table.query(KeyConditionExpression=Key("pk").eq(key), Select="COUNT")
        assert (answer["Count"], answer["ScannedCount"]) == (int(key in LIVE), 1)


def test_a_projection_and_a_filter_go_together(filled):
    table = filled.table(options={"ttl": rddb.TimeToLive("exp", filter="server")})
    answer = table.query(
        KeyConditionExpression=Key("pk").eq("live"), FilterExpression=Attr("body").exists(), ProjectionExpression="pk"
    )
    assert answer["Items"] == [{"pk": "live"}]
    assert (
        keys(table.scan(ScanFilter={"pk": {"AttributeValueList": ["a"], "ComparisonOperator": "NE"}})["Items"]) == LIVE
    )


def test_both_filters_of_moto(moto_aws, table_name):
    dynamodb = rddb.resource("dynamodb", region_name="eu-west-1", policy=rddb.Policy(clock=FakeClock()))
    dynamodb.create_table(
        TableName=table_name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for item in ITEMS:
        dynamodb.Table(table_name).put_item(Item=item)
    for where in ("client", "server"):
        table = dynamodb.Table(table_name, ttl=rddb.TimeToLive("exp", filter=where))
        assert keys(table.scan(FilterExpression=Attr("pk").ne("list"))["Items"]) == LIVE - {"list"}
        assert table.scan(Select="COUNT")["Count"] == len(LIVE)


@pytest.mark.parametrize("placeholder", [{"#rddb_ttl": "pk"}])
def test_a_placeholder_of_ours_is_refused(filled, placeholder):
    table = filled.table(options=TTL)
    with pytest.raises(ValueError, match="must leave the name '#rddb_ttl' free"):
        table.scan(ProjectionExpression="#rddb_ttl", ExpressionAttributeNames=placeholder)


def test_a_key_can_not_be_the_attribute(filled):
    table = filled.table(options={"ttl": "pk"})
    with pytest.raises(ValueError, match="ttl must not be an attribute of the table's key"):
        table.get_item(Key={"pk": "a"})
    with pytest.raises(ValueError, match="ttl must not be an attribute of the table's key"):
        table.query(KeyConditionExpression=Key("pk").eq("a"))
    with pytest.raises(ValueError, match="ttl must not be an attribute of the table's key"):
        table.put_item(Item={}, ttl_seconds=60)
    assert keys(filled.direct.scan()["Items"]) == LIVE | EXPIRED


@pytest.mark.parametrize(
    ("verb", "params"),
    [
        ("put_item", {"Item": {"pk": "new"}}),
        ("update_item", {"Key": {"pk": "live"}, "UpdateExpression": "REMOVE body"}),
        ("delete_item", {"Key": {"pk": "live"}}),
        ("batch_write_item", [{"PutRequest": {"Item": {"pk": "new"}}}]),
        ("batch_write_item", [{"DeleteRequest": {"Key": {"pk": "live"}}}]),
        ("transact_write_items", {"Put": {"Item": {"pk": "new"}}}),
        ("transact_write_items", {"Update": {"Key": {"pk": "live"}, "UpdateExpression": "REMOVE body"}}),
        ("transact_write_items", {"Delete": {"Key": {"pk": "live"}}}),
    ],
)
def test_nothing_is_written_where_a_key_is_the_attribute(filled, verb, params):
    table, before = filled.table(options={"ttl": "pk"}), filled.direct.scan()["Items"]
    call = getattr(table if verb in ("put_item", "update_item", "delete_item") else table.meta.client, verb)
    if verb == "batch_write_item":
        params = {"RequestItems": {filled.name: params}}
    elif verb == "transact_write_items":
        [(action, what)] = params.items()
        params = {"TransactItems": [{action: {"TableName": filled.name, **what}}]}
    with pytest.raises(ValueError, match="ttl must not be an attribute of the table's key"):
        call(**params)
    assert filled.direct.scan()["Items"] == before


def test_an_attribute_that_was_looked_up_is_held_against_keys(filled):
    table = filled.table(options={"ttl": "auto"})
    core_of(table).known["TTL", filled.name] = ("pk", (math.inf, math.inf))  # no emulator has TTL on a key
    with pytest.raises(ValueError, match="ttl must not be an attribute of the table's key"):
        table.delete_item(Key={"pk": "live"})
    assert not filled.proxy.seen


def test_no_put_waits_long_for_the_table_to_be_described(filled, caplog, monkeypatch):
    monkeypatch.setattr("resilient_ddb.ttl.table._SOON_SECONDS", 1.0)  # as it is
    filled.proxy.plan = [faults.Throttle(operations={"DescribeTable"})]
    table, began = filled.table(options=TTL), filled.clock.monotonic()
    for number in range(3):
        table.put_item(Item={"pk": f"new-{number}", "exp": NOW + 60})
    assert filled.clock.monotonic() - began <= 1.0
    [record] = caplog.records
    assert "can't be described" in record.getMessage()
    asked = filled.proxy.count("DescribeTable")
    filled.proxy.plan = []
    filled.clock.advance(301)
    table.put_item(Item={"pk": "new", "exp": NOW + 600})
    table.put_item(Item={"pk": "newer", "exp": NOW + 600})
    assert filled.proxy.count("DescribeTable") == asked + 1


def test_another_table_may_have_the_attribute_for_its_key(filled, make_table, dynamodb_local):
    other = make_table(dynamodb_local.endpoint_url)
    client = filled.table(options={"ttl": "pk"}).meta.client
    client.update_item(TableName=other, Key={"pk": "a"})
    client.batch_write_item(RequestItems={other: [{"DeleteRequest": {"Key": {"pk": "a"}}}]})
    client.transact_write_items(TransactItems=[{"Delete": {"TableName": other, "Key": {"pk": "a"}}}])


# Indexes.


@pytest.fixture
def indexed(world, make_table, dynamodb_local, plain, hardened):
    def index(name, projection, *attributes, others=None):
        schema = [
            {"AttributeName": name, "KeyType": kind} for name, kind in zip(attributes, ("HASH", "RANGE"), strict=False)
        ]
        kind = {"ProjectionType": projection, **({"NonKeyAttributes": others} if others else {})}
        return {"IndexName": name, "KeySchema": schema, "Projection": kind}

    name = make_table(
        dynamodb_local.endpoint_url,
        sort_key="sk",
        AttributeDefinitions=[
            {"AttributeName": "a", "AttributeType": "S"},
            {"AttributeName": "exp", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            index("all", "ALL", "a"),
            index("keys", "KEYS_ONLY", "a"),
            index("some", "INCLUDE", "a", others=["exp"]),
            index("by_expiry", "KEYS_ONLY", "a", "exp"),
        ],
        LocalSecondaryIndexes=[index("local", "KEYS_ONLY", "pk", "a")],
    )
    direct = plain(dynamodb_local.endpoint_url).Table(name)
    for number in range(4):
        direct.put_item(Item={"pk": "p", "sk": str(number), "a": "x", "exp": NOW + 60 * (-1) ** number, "o": 1})
    dynamodb = hardened(world.proxy.endpoint_url, world.policy())
    return lambda **options: dynamodb.Table(name, **{**TTL, **options})


@pytest.mark.parametrize("where", ["client", "server"])
@pytest.mark.parametrize("index", ["all", "some", "by_expiry"])
def test_indexes_that_have_the_attribute_are_filtered(indexed, index, where):
    table = indexed(ttl=rddb.TimeToLive("exp", filter=where))
    query = {"IndexName": index, "KeyConditionExpression": Key("a").eq("x")}
    assert {item["sk"] for item in table.query(**query)["Items"]} == {"0", "2"}
    assert table.query(ProjectionExpression="sk", **query)["Items"] == [{"sk": "0"}, {"sk": "2"}] or index != "all"
    if index == "by_expiry":
        with pytest.raises(ValueError, match="Select must not be 'COUNT'"):
            table.query(Select="COUNT", **query)
    else:
        assert table.query(Select="COUNT", **query)["Count"] == 2


def test_indexes_that_have_not_are_refused(indexed, world):
    table = indexed()
    for verb in (table.query, table.scan):
        condition = {"KeyConditionExpression": Key("a").eq("x")} if verb == table.query else {}
        with pytest.raises(ValueError, match=r"'keys' has not, and expired items can't be told there: project"):
            verb(IndexName="keys", **condition)
    local = {"IndexName": "local", "KeyConditionExpression": Key("pk").eq("p")}
    with pytest.raises(ValueError, match="'local' has not: project it"):
        table.query(**local)
    assert [item["sk"] for item in table.query(Select="ALL_ATTRIBUTES", **local)["Items"]] == ["0", "2"]
    assert table.query(ProjectionExpression="sk", **local)["Items"] == [{"sk": "0"}, {"sk": "2"}]
    assert world.proxy.count("DescribeTable") == 1


def test_the_table_is_described_once_for_all_of_its_tables(indexed, world):
    for _ in range(3):
        table = indexed()
        for index in ("all", "some"):
            table.scan(IndexName=index)
        table.scan()
        table.query_many(["p"])
    assert world.proxy.count("DescribeTable") == 1
    with pytest.raises(ClientError, match="ValidationException"):
        table.scan(IndexName="absent")  # that may be new: asked again, but not all the time
    with pytest.raises(ClientError, match="ValidationException"):
        table.scan(IndexName="absent")
    assert world.proxy.count("DescribeTable") == 1
    world.clock.advance(301)
    with pytest.raises(ClientError, match="ValidationException"):
        table.scan(IndexName="absent")
    assert world.proxy.count("DescribeTable") == 2


def test_where_the_table_may_not_be_described_dynamodb_has_the_last_word(indexed, world, caplog):
    world.proxy.plan = [faults.ErrorResponse(code="AccessDeniedException", operations={"DescribeTable"})]
    table = indexed()
    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        for _ in range(3):
            assert len(table.scan(IndexName="all")["Items"]) == 2
        table.put_item(Item={"pk": "p", "sk": "new"}, ttl_seconds=60)
    [record] = caplog.records
    assert "can't be described (AccessDeniedException)" in record.getMessage()
    assert world.proxy.count("DescribeTable") == 1


# Fallbacks.


def test_a_stale_answer_leaves_out_what_has_expired_since(filled):
    table = filled.table(options=TTL, retry=ONCE, circuit_breaker=None, fallback=rddb.fallback.stale(max_age=1000))
    reads = [
        lambda: table.get_item(Key={"pk": "live"}),
        lambda: table.get_item(Key={"pk": "live"}, ProjectionExpression="pk"),
        lambda: table.scan(ProjectionExpression="pk"),
        table.scan,
    ]
    fresh = [read() for read in reads]
    filled.proxy.plan = OUTAGE
    filled.clock.advance(30)
    for read, before in zip(reads, fresh, strict=True):
        stale = read()
        assert stale["ResponseMetadata"]["Resilience"] == {"stale": True, "age": 30.0}
        assert [stale.get(name) for name in ("Item", "Items", "Count")] == [
            before.get(name) for name in ("Item", "Items", "Count")
        ]
    assert fresh[1]["Item"] == {"pk": "live"}
    filled.clock.advance(30)
    for read in reads[:2]:
        stale = read()
        assert "Item" not in stale
        assert stale["ResponseMetadata"]["Resilience"]["stale"]
    for read in reads[2:]:
        stale = read()
        assert (keys(stale["Items"]), stale["Count"]) == (LIVE - {"live"}, len(LIVE) - 1)


def test_a_stale_answer_is_not_shared_by_tables_with_other_options(filled, hardened):
    stale = rddb.fallback.stale()
    dynamodb = hardened(filled.proxy.endpoint_url, filled.policy(retry=ONCE, circuit_breaker=None, fallback=stale))
    plain_one, with_ttl = dynamodb.Table(filled.name), dynamodb.Table(filled.name, ttl="exp")
    with_ttl.scan()
    plain_one.get_item(Key={"pk": "past"})
    filled.proxy.plan = OUTAGE
    with pytest.raises(ClientError):
        plain_one.scan()
    with pytest.raises(ClientError):
        with_ttl.get_item(Key={"pk": "past"})
    assert plain_one.get_item(Key={"pk": "past"})["Item"]["exp"] == NOW - 1
    assert keys(with_ttl.scan()["Items"]) == LIVE


def test_a_replicas_answer_is_looked_through(filled, dynamodb_local, opened):
    far = boto3.Session(region_name="us-west-2", **CREDENTIALS).resource(
        "dynamodb", endpoint_url=dynamodb_local.endpoint_url
    )
    opened.callback(far.meta.client.close)
    copy = far.create_table(
        TableName=filled.name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    opened.callback(copy.delete)
    for item in ITEMS:
        copy.put_item(Item=item)
    replica = rddb.fallback.replica("us-west-2", endpoint_url=dynamodb_local.endpoint_url)
    table = filled.table(options=TTL, retry=ONCE, circuit_breaker=None, fallback=replica)
    filled.proxy.plan = OUTAGE
    answer = table.scan(ProjectionExpression="pk")
    assert answer["ResponseMetadata"]["Resilience"] == {"replica": "us-west-2"}
    assert keys(answer["Items"]) == LIVE
    assert all(item.keys() == {"pk"} for item in answer["Items"])
    assert table.scan(Select="COUNT")["Count"] == len(LIVE)
    assert "Item" not in table.get_item(Key={"pk": "past"})


def test_no_answer_of_a_fallback_is_changed(filled):
    past, live = {"pk": "a", "exp": NOW - 1}, {"pk": "b", "exp": NOW + 1}
    answers = {
        "GetItem": {"Item": live},
        "Scan": {"Items": [past, live], "Count": 2},
        "BatchGetItem": {"Responses": {filled.name: [past, live], "other": [past]}},
        "TransactGetItems": {"Responses": [{"Item": past}, {"Item": live}, {}, None]},
    }
    before = pickle.dumps(answers)
    table = filled.table(
        options=TTL, retry=ONCE, circuit_breaker=None, fallback=lambda call, _error: answers.get(call.operation)
    )
    filled.proxy.plan = OUTAGE
    assert table.get_item(Key={"pk": "b"}, ProjectionExpression="pk")["Item"] == {"pk": "b"}
    found = table.scan(ProjectionExpression="pk")
    assert (found["Items"], found["Count"]) == ([{"pk": "b"}], 1)
    client = table.meta.client
    batch = {"Keys": [{"pk": "a"}], "ProjectionExpression": "pk"}
    assert client.batch_get_item(RequestItems={filled.name: batch})["Responses"] == {
        filled.name: [{"pk": "b"}], "other": [past]
    }  # fmt: skip
    gets = [{"Get": {"TableName": filled.name, "Key": {"pk": "a"}, "ProjectionExpression": "pk"}}] * 4
    assert client.transact_get_items(TransactItems=gets)["Responses"] == [{}, {"Item": {"pk": "b"}}, {}, None]
    assert pickle.dumps(answers) == before


def test_options_are_kept_when_the_policy_is_replaced(filled, hardened):
    dynamodb = hardened(filled.proxy.endpoint_url, filled.policy())
    table = dynamodb.Table(filled.name, ttl="exp")
    value = rddb.fallback.response({"Item": {"pk": "?", "exp": NOW + 5}})
    rddb.harden(dynamodb, policy=filled.policy(retry=ONCE, fallback=value))
    assert keys(table.scan()["Items"]) == LIVE
    filled.proxy.plan = OUTAGE
    assert table.get_item(Key={"pk": "live"})["Item"]["pk"] == "?"
    filled.clock.advance(5)
    assert "Item" not in table.get_item(Key={"pk": "live"})


def test_a_table_with_options_can_be_pickled(filled):
    table = filled.table(options={"ttl": rddb.TimeToLive("exp", filter="server", skew=2.0)})
    core = core_of(copy.deepcopy(pickle.loads(pickle.dumps(table))))  # noqa: S301 - made here
    assert core.ttl.settings == core_of(table).ttl.settings
    assert core.ttl.of(table.name).settings == rddb.TimeToLive("exp", filter="server", skew=2.0)


# ttl="auto".


@pytest.fixture
def enabled(filled):
    client = filled.direct.meta.client
    client.update_time_to_live(
        TableName=filled.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "deadline"}
    )
    late = 4_000_000_000  # DynamoDB Local deletes what has expired by the machine's clock
    filled.clock.advance(late - NOW)
    for number in range(4):
        filled.direct.put_item(Item={"pk": f"auto {number}", "deadline": late + number - 1})
    return filled


def test_the_attribute_is_looked_up_once(enabled, hardened):
    dynamodb = hardened(enabled.proxy.endpoint_url, enabled.policy())
    for _ in range(2):
        table = dynamodb.Table(enabled.name, ttl="auto")
        found = keys(table.scan()["Items"])
        assert {"auto 2", "auto 3"} == {key for key in found if key.startswith("auto")}
        assert "Item" not in table.get_item(Key={"pk": "auto 0"})
    assert [seen.operation for seen in enabled.proxy.seen].count("DescribeTimeToLive") == 1
    assert enabled.proxy.seen[0].operation == "DescribeTimeToLive"


def test_an_attribute_that_may_not_be_looked_up_is_an_error(enabled):
    answers = []
    enabled.proxy.plan = [
        faults.ErrorResponse(code="AccessDeniedException", operations={"DescribeTimeToLive"}, times=1)
    ]
    table = enabled.table(options={"ttl": "auto"}, fallback=lambda call, _: answers.append(call.operation) or {})
    with pytest.raises(ClientError, match="AccessDeniedException") as raised:
        table.get_item(Key={"pk": "live"})
    assert "allow dynamodb:DescribeTimeToLive, or name the attribute" in "\n".join(raised.value.__notes__)
    assert answers == []
    assert table.get_item(Key={"pk": "live"})["Item"]["pk"] == "live"


def test_a_table_without_a_ttl_is_told_of_once_and_asked_again_later(filled, caplog):
    table = filled.table(options={"ttl": "auto"})
    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        for _ in range(3):
            assert len(table.scan()["Items"]) == len(ITEMS)
    assert [record.getMessage() for record in caplog.records] == [
        f"table {filled.name} has no TTL: ttl='auto' drops nothing"
    ]
    assert filled.proxy.count("DescribeTimeToLive") == 1
    with pytest.raises(ValueError, match="ttl_seconds needs a TTL attribute"):
        table.put_item(Item={"pk": "a"}, ttl_seconds=5)
    filled.clock.advance(301)
    table.scan()
    assert filled.proxy.count("DescribeTimeToLive") == 2


@pytest.mark.parametrize("status", ["DISABLED", "DISABLING"])
def test_a_ttl_that_was_switched_off_is_noticed(filled, status):
    filled.proxy.plan = [described_as("ENABLED", "exp")]
    table = filled.table(options={"ttl": "auto"})
    assert keys(table.scan()["Items"]) == LIVE
    filled.proxy.plan = [described_as(status, "exp")]
    filled.clock.advance(299)
    assert "Item" not in table.get_item(Key={"pk": "past"})
    filled.clock.advance(2)
    assert table.get_item(Key={"pk": "past"})["Item"]["pk"] == "past"
    assert keys(table.scan()["Items"]) == LIVE | EXPIRED
    assert filled.proxy.count("DescribeTimeToLive") == 2


def test_a_ttl_that_was_moved_to_another_attribute_is_noticed(filled):
    filled.proxy.plan = [described_as("ENABLED", "before")]
    table = filled.table(options={"ttl": "auto"})
    assert len(table.scan()["Items"]) == len(ITEMS)
    filled.proxy.plan = [described_as("ENABLED", "exp")]
    filled.clock.advance(301)
    table.put_item(Item={"pk": "new"}, ttl_seconds=600)
    assert filled.direct.get_item(Key={"pk": "new"})["Item"].keys() == {"pk", "exp"}
    assert "past" not in keys(table.scan()["Items"])


def test_a_ttl_that_can_not_be_looked_up_again_is_what_it_was(filled, caplog, monkeypatch):
    monkeypatch.setattr("resilient_ddb.ttl.table._SOON_SECONDS", 1.0)  # as it is
    filled.proxy.plan = [described_as("ENABLED", "exp")]
    table = filled.table(options={"ttl": "auto"})
    table.scan()
    for fault in (faults.Throttle, faults.ServerError):
        filled.proxy.plan = [fault(operations={"DescribeTimeToLive"})]
        filled.clock.advance(301)
        began = filled.clock.monotonic()
        with caplog.at_level(logging.WARNING, "resilient_ddb"):
            assert keys(table.scan()["Items"]) == LIVE - {"live"}
        assert filled.clock.monotonic() - began <= 1.0
    asked = filled.proxy.count("DescribeTimeToLive")
    table.scan()
    assert filled.proxy.count("DescribeTimeToLive") == asked
    assert "can't be asked for its TTL again" in caplog.text


def test_other_calls_need_no_ttl(filled):
    table = filled.table(options={"ttl": "auto"})
    table.load()
    table.update_item(Key={"pk": "live"}, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": 1})
    table.meta.client.list_tables()
    assert filled.proxy.count("DescribeTimeToLive") == 0


# Iterators.


@pytest.fixture
def many(world, make_table, dynamodb_local, plain, hardened):
    name = make_table(dynamodb_local.endpoint_url, sort_key="sk", sort_type="N")
    with plain(dynamodb_local.endpoint_url).Table(name).batch_writer() as batch:
        for number in range(100):
            batch.put_item(Item={"pk": "p", "sk": number, "exp": NOW + (60 if number % 10 == 0 else -60)})
    return hardened(world.proxy.endpoint_url, world.policy()).Table(name, ttl="exp")


def test_items_are_read_on_until_there_are_enough(many, world):
    query = {"KeyConditionExpression": Key("pk").eq("p")}
    assert [item["sk"] for item in many.query_items(max_items=3, **query)] == [0, 10, 20]
    assert [seen.operation for seen in world.proxy.seen] == ["Query"] * 3  # of 3, 6 and 12 items
    world.proxy.clear()
    assert [item["sk"] for item in many.query_items(**query)] == list(range(0, 100, 10))
    assert [item["sk"] for item in many.query_items(max_items=3, ScanIndexForward=False, **query)] == [90, 80, 70]
    assert len(list(many.scan_items(max_items=1000, Limit=7))) == 10
    assert len(list(many.scan_items(FilterExpression=Attr("sk").gt(50), max_items=2))) == 2


def test_pages_are_asked_for_when_they_are_needed(many, world):
    items = many.query_items(KeyConditionExpression=Key("pk").eq("p"), Limit=10)
    assert world.proxy.count() == 0
    assert next(items)["sk"] == 0
    assert world.proxy.count() == 1
    assert [item["sk"] for item in itertools.islice(items, 2)] == [10, 20]
    assert world.proxy.count() == 3


def test_tables_without_a_ttl_have_iterators_too(filled):
    assert keys(filled.table().scan_items(Limit=3)) == LIVE | EXPIRED


def test_what_iterators_can_not_give_is_refused_at_once(many):
    with pytest.raises(ValueError, match="max_items must be 1 or more"):
        many.query_items(max_items=0)
    with pytest.raises(ValueError, match="Select must not be 'COUNT'"):
        many.scan_items(Select="COUNT")


# Puts.


def test_an_item_is_put_for_so_many_seconds(filled):
    table = filled.table(options=TTL)
    item = {"pk": "a", "exp": 1}
    table.put_item(Item=item, ttl_seconds=90)
    assert item == {"pk": "a", "exp": 1}
    assert filled.stored() == {"pk": "a", "exp": NOW + 90}
    filled.clock.advance(89)
    assert "Item" in table.get_item(Key={"pk": "a"})
    filled.clock.advance(1)
    assert "Item" not in table.get_item(Key={"pk": "a"})
    assert filled.proxy.count("DescribeTable") == 1


def test_seconds_are_for_puts_to_tables_with_a_ttl(filled):
    with pytest.raises(ParamValidationError, match="ttl_seconds") as raised:
        filled.table().put_item(Item={"pk": "a"}, ttl_seconds=90)
    assert "ttl_seconds is for put_item, on a Table that was made with ttl=..." in raised.value.__notes__
    with pytest.raises(ParamValidationError, match="ttl_seconds"):
        filled.table(options=TTL).update_item(Key={"pk": "a"}, ttl_seconds=90)
    assert filled.stored() is None


def test_floats_and_datetimes_become_whole_seconds_and_are_told_of_once(filled, caplog):
    table = filled.table(options=TTL)
    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        for _ in range(2):
            table.put_item(Item={"pk": "a", "exp": NOW + 10.5})
            assert filled.stored()["exp"] == NOW + 11
            with table.batch_writer() as batch:
                batch.put_item(Item={"pk": "b", "exp": datetime.fromtimestamp(NOW + 20, UTC)})
            assert filled.stored("b")["exp"] == NOW + 20
    assert [record.getMessage() for record in caplog.records] == [
        f"table {filled.name}: 'exp' was put as a {kind}, and is written as whole seconds since the epoch"
        for kind in ("float", "datetime")
    ]


def test_times_do_not_hide_from_a_batch_what_its_items_weigh(filled):
    with filled.table(options=TTL).batch_writer() as batch:
        batch.put_item(Item={"pk": "a", "exp": NOW + 10.5, "text": "x" * 20_000})
        batch.put_item(Item={"pk": "b", "exp": datetime.fromtimestamp(NOW, UTC), "text": "x" * 20_000})
    assert batch.report.consumed_units == 40


def test_milliseconds_are_refused_and_nothing_is_written(filled):
    table = filled.table(options=TTL)
    with pytest.raises(ValueError, match="looks like milliseconds"):
        table.put_item(Item={"pk": "a", "exp": NOW * 1000})
    batch = table.batch_writer()
    batch.put_item(Item={"pk": "a", "exp": NOW * 1000})
    batch.put_item(Item={"pk": "b", "exp": NOW})
    with pytest.raises(ValueError, match="looks like milliseconds") as raised:
        batch.flush()
    assert [request["PutRequest"]["Item"]["pk"] for request in raised.value.requests] == ["a"]
    assert filled.stored() is None
    assert filled.stored("b")["exp"] == NOW


def test_milliseconds_that_are_there_never_expire_and_are_told_of_once(filled, caplog):
    filled.direct.put_item(Item={"pk": "a", "exp": (NOW - 1) * 1000})
    with caplog.at_level(logging.WARNING, "resilient_ddb"):
        for table in (
            filled.table(options=TTL),
            filled.table(options={"ttl": rddb.TimeToLive("exp", filter="server")}),
        ):
            for _ in range(2):
                assert "a" in keys(table.scan()["Items"])
                assert "Item" in table.get_item(Key={"pk": "a"})
    assert [record.getMessage() for record in caplog.records] == [
        f"table {filled.name}: 'exp' looks like milliseconds in some items: it is in seconds, and they never expire"
    ] * 2  # two clients


def test_a_put_if_absent_replaces_what_has_expired(filled):
    table = filled.table(options=TTL)

    def put(key, **more):
        condition = rddb.ttl.absent_or_expired("pk", ttl="exp", clock=filled.clock)
        table.put_item(Item={"pk": key, "mine": True}, ConditionExpression=condition, **more)

    for key in (*EXPIRED, "absent"):
        put(key)
        assert filled.stored(key) == {"pk": key, "mine": True}
    for key in LIVE:
        with pytest.raises(table.meta.client.exceptions.ConditionalCheckFailedException):
            put(key)
        assert "mine" not in filled.stored(key)


@pytest.mark.parametrize("fast_path", [True, False])
def test_without_the_sdks_validation_an_item_expires_too_or_is_not_written(fast_path):
    unchecked = {"config": Config(parameter_validation=False), "region_name": "eu-west-1"}
    policy = rddb.Policy(clock=FakeClock(), fast_path=fast_path)
    with WireStub(lambda *_: {"UnprocessedItems": {}}) as stub:
        table = rddb.table("t", endpoint_url=stub.endpoint_url, policy=policy, **unchecked, **TTL)
        for _ in range(3):  # the first call is botocore's in any case
            table.put_item(Item={"pk": "a"}, ttl_seconds=60)
        with table.batch_writer() as batch:
            batch.put_item(Item={"pk": "a"}, ttl_seconds=60)
        written = {"pk": {"S": "a"}, "exp": {"N": str(NOW + 60)}}
        assert [sent["Item"] for sent in stub.named("PutItem")] == [written] * 3
        assert stub.named("BatchWriteItem") == [{"RequestItems": {"t": [{"PutRequest": {"Item": written}}]}}]
        with pytest.raises(KeyError):
            table.update_item(Key={"pk": "a"}, ttl_seconds=90)
        plain = rddb.table("t", endpoint_url=stub.endpoint_url, policy=policy, **unchecked)
        for _ in range(3):
            with pytest.raises(KeyError) as raised:
                plain.put_item(Item={"pk": "a"}, ttl_seconds=60)
            assert "ttl_seconds is for put_item, on a Table that was made with ttl=..." in raised.value.__notes__
        assert len(stub.named("PutItem")) == 3
