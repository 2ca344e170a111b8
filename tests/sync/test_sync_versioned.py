"""Optimistic locking through the sync Table, against DynamoDB Local."""

import copy
import json
import pickle
from decimal import Decimal

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError
from codec_calls import ACCESS

import resilient_ddb as rddb

KEY = {"pk": "a"}


@pytest.fixture
def docs(world):
    return world.table().versioned()


def test_an_item_is_created_replaced_and_deleted(world, docs):
    item = {"pk": "a", "text": "one"}
    made = docs.put_item(Item=item)
    assert item == {"pk": "a", "text": "one"}
    assert made["ResponseMetadata"]["Resilience"] == {"version": 1}
    assert json.dumps(made["ResponseMetadata"]["Resilience"])
    read = docs.get_item(Key=KEY)["Item"]
    assert read == {"pk": "a", "text": "one", "version": 1}
    read["text"] = "two"
    assert docs.put_item(Item=read)["ResponseMetadata"]["Resilience"]["version"] == 2
    assert read["version"] == 1
    assert world.stored() == {"pk": "a", "text": "two", "version": 2}
    docs.delete_item(Key=KEY, expected_version=2)
    assert world.stored() is None
    assert docs.scan()["Items"] == docs.query(KeyConditionExpression=Key("pk").eq("a"))["Items"] == []


def test_an_update_moves_the_version_on(world, docs):
    docs.put_item(Item={"pk": "a", "n": 1})
    answer = docs.update_item(
        Key=KEY,
        UpdateExpression="REMOVE gone SET #n = #n + :one",
        ExpressionAttributeNames={"#n": "n"},
        ExpressionAttributeValues={":one": 1},
        ReturnValues="ALL_NEW",
        expected_version=Decimal(1),
    )
    assert answer["Attributes"] == {"pk": "a", "n": 2, "version": 2}
    assert answer["ResponseMetadata"]["Resilience"] == {"version": 2}
    docs.update_item(Key=KEY, UpdateExpression="add n :one", ExpressionAttributeValues={":one": 1}, expected_version=2)
    docs.update_item(Key=KEY, expected_version=3)
    assert world.stored() == {"pk": "a", "n": 3, "version": 4}


WRITES = {
    "put": lambda docs, version: docs.put_item(Item={"pk": "a", "version": version, "n": 9}),
    "put apart": lambda docs, version: docs.put_item(Item={"pk": "a", "n": 9}, expected_version=version),
    "update": lambda docs, version: docs.update_item(
        Key=KEY, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": 9}, expected_version=version
    ),
    "delete": lambda docs, version: docs.delete_item(Key=KEY, expected_version=version),
}


@pytest.mark.parametrize("write_token", [None, "_wt"])
@pytest.mark.parametrize("write", WRITES)
def test_a_conflict_says_what_there_is_now(world, write, write_token):
    docs = world.table().versioned(write_token=write_token)
    item = {"pk": "a", "version": 3, "b": b"\x00", "s": {"x"}, "d": Decimal("1.5")}
    world.direct.put_item(Item=item)
    conditional = docs.meta.client.exceptions.ConditionalCheckFailedException
    world.proxy.clear()
    with pytest.raises(conditional) as caught:
        WRITES[write](docs, 2)
    error = caught.value
    assert isinstance(error, rddb.VersionConflictError)
    assert isinstance(error, rddb.ResilienceError)
    assert isinstance(error, ClientError)
    assert (error.expected, error.current) == (2, {**item, "b": Binary(b"\x00")})
    assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert error.response["Item"]["version"] == {"N": "3"}
    assert (error.resilience.kind, error.resilience.ambiguous, error.resilience.table) == (
        "conditional",
        False,
        world.name,
    )
    assert not rddb.classify(error).retryable
    assert rddb.classify(error).kind == "conditional"
    assert "1.5" not in str(error)
    assert world.name in str(error)
    assert len(world.proxy.seen) == 1  # no further read
    assert world.stored() == {**item, "b": Binary(b"\x00")}
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is rddb.VersionConflictError
    assert (again.expected, again.current, str(again)) == (error.expected, error.current, str(error))
    assert again.resilience == error.resilience
    assert copy.copy(error).current == error.current


def test_one_exception_class_for_each_client(world, docs):
    classes = set()
    for _ in range(2):
        with pytest.raises(rddb.VersionConflictError) as caught:
            docs.delete_item(Key=KEY, expected_version=1)
        assert caught.value.current is None
        classes.add(type(caught.value))
    assert len(classes) == 1


def test_creating_does_not_write_over_what_is_there(world, docs):
    for there in ({"pk": "a", "old": 1}, {"pk": "a", "version": 0}, {"pk": "a", "version": "x"}):
        world.direct.put_item(Item=there)
        with pytest.raises(rddb.VersionConflictError) as caught:
            docs.put_item(Item={"pk": "a", "n": 1, "blob": b"b", "list": [1]})
        assert (caught.value.expected, caught.value.current) == (None, there)
        assert world.stored() == there


def test_version_0_is_not_no_version(world, docs):
    world.direct.put_item(Item={"pk": "a", "version": 0})
    docs.put_item(Item={"pk": "a", "version": 0, "n": 1})
    assert world.stored() == {"pk": "a", "version": 1, "n": 1}
    world.direct.put_item(Item={"pk": "b"})
    with pytest.raises(rddb.VersionConflictError):
        docs.update_item(Key={"pk": "b"}, expected_version=0)
    with pytest.raises(rddb.VersionConflictError):
        docs.delete_item(Key={"pk": "b"}, expected_version=0)
    world.direct.put_item(Item={"pk": "c", "version": 0})
    for verb in (docs.update_item, docs.delete_item):
        with pytest.raises(rddb.VersionConflictError) as caught:
            verb(Key={"pk": "c"}, expected_version=None)
        assert caught.value.expected is None
    assert world.stored("c") == {"pk": "c", "version": 0}


def test_an_item_without_a_version_is_adopted_where_that_is_said(world, docs):
    for key, adopt in (
        ("a", lambda: docs.put_item(Item={"pk": "a", "n": 2}, expected_version=None)),
        ("b", lambda: docs.update_item(Key={"pk": "b"}, expected_version=None)),
        ("c", lambda: docs.modify({"pk": "c"}, lambda item: {**item, "n": item["n"] + 1})),
    ):
        world.direct.put_item(Item={"pk": key, "n": 1})
        adopt()
        assert world.stored(key)["version"] == 1
        with pytest.raises(rddb.VersionConflictError) as caught:
            docs.put_item(Item={"pk": key}, expected_version=None)
        assert caught.value.expected is None


# The caller's own condition.


@pytest.mark.parametrize(
    "condition",
    [
        "#s = :v0",
        "(#s = :v0)",
        "(#s = :v0) AND (#s = :v0)",
        Attr("status").eq("open"),
        Attr("status").eq("open") & Attr("status").exists(),
        ~Attr("status").ne("open"),
    ],
)
@pytest.mark.parametrize("write", ["put", "update", "delete"])
def test_the_callers_condition_has_to_hold_as_well(world, docs, write, condition):
    own = {"ConditionExpression": condition}
    if isinstance(condition, str):
        own.update(ExpressionAttributeNames={"#s": "status"}, ExpressionAttributeValues={":v0": "open"})

    def send(version):
        if write == "put":
            return docs.put_item(Item={"pk": "a", "status": "done"}, expected_version=version, **own)
        if write == "update":
            values = {**own.get("ExpressionAttributeValues", {}), ":n1": "done"}
            params = {**own, "UpdateExpression": "SET outcome = :n1", "ExpressionAttributeValues": values}
            return docs.update_item(Key=KEY, expected_version=version, **params)
        return docs.delete_item(Key=KEY, expected_version=version, **own)

    conditional = docs.meta.client.exceptions.ConditionalCheckFailedException
    world.direct.put_item(Item={"pk": "a", "status": "shut", "version": 3})
    with pytest.raises(conditional) as caught:
        send(3)
    assert type(caught.value) is conditional
    with pytest.raises(rddb.VersionConflictError):
        send(2)
    world.direct.put_item(Item={"pk": "a", "status": "open", "version": 3})
    with pytest.raises(rddb.VersionConflictError):
        send(2)
    send(3)


def test_an_or_does_not_get_round_the_version(world, docs):
    world.direct.put_item(Item={"pk": "a", "version": 3})
    with pytest.raises(rddb.VersionConflictError):
        docs.delete_item(Key=KEY, expected_version=2, ConditionExpression="attribute_exists(pk) OR attribute_exists(x)")


def test_a_condition_that_fails_on_creation_is_the_callers(docs):
    conditional = docs.meta.client.exceptions.ConditionalCheckFailedException
    with pytest.raises(conditional) as caught:
        docs.put_item(Item={"pk": "a"}, ConditionExpression="attribute_exists(x)")
    assert type(caught.value) is conditional


# Transactions, batches.


def test_entries_for_a_transaction(world, docs):
    for key in "bcd":
        world.direct.put_item(Item={"pk": key, "version": 1})
    entries = [
        docs.put_action(Item={"pk": "a", "tags": {"x"}}),
        docs.put_action(Item={"pk": "b", "version": 1}, ConditionExpression=Attr("gone").not_exists()),
        docs.update_action(
            Key={"pk": "c"}, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": 1}, expected_version=1
        ),
        docs.delete_action(Key={"pk": "d"}, expected_version=1),
    ]
    client = docs.meta.client
    client.transact_write_items(TransactItems=entries)
    assert world.stored("a") == {"pk": "a", "version": 1, "tags": {"x"}}
    assert world.stored("b") == {"pk": "b", "version": 2}
    assert world.stored("c") == {"pk": "c", "version": 2, "n": 1}
    assert world.stored("d") is None
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        client.transact_write_items(TransactItems=entries)
    reasons = caught.value.response["CancellationReasons"]
    assert {reason["Code"] for reason in reasons} == {"ConditionalCheckFailed"}
    assert reasons[1]["Item"] == {"pk": {"S": "b"}, "version": {"N": "2"}}


def test_batches_are_refused(docs):
    with pytest.raises(TypeError, match=r"BatchWriteItem takes no conditions"):
        docs.batch_writer(overwrite_by_pkeys=["pk"])


# Bad input: nothing is sent.


def modify_to(wanted):
    return lambda docs: docs.modify(KEY, lambda _: wanted)


BAD = {
    "a text as version": (TypeError, r"expected_version must be a whole number.*str", WRITES["delete"], "2"),
    "a bool as version": (TypeError, r"expected_version.*bool", WRITES["update"], True),
    "a float as version": (TypeError, r"expected_version.*float", WRITES["update"], 1.0),
    "a fraction as version": (ValueError, r"expected_version.*fraction", WRITES["put apart"], Decimal("1.5")),
    "NaN": (ValueError, r"expected_version.*no number", WRITES["delete"], Decimal("NaN")),
    "a text in the item": (TypeError, r"attribute 'version' of Item.*str", WRITES["put"], "2"),
    "None in the item": (TypeError, r"attribute 'version' of Item.*NoneType", WRITES["put"], None),
    "two versions": (
        ValueError,
        r"must agree",
        lambda docs, _: docs.put_item(Item={"pk": "a", "version": 1}, expected_version=2),
        None,
    ),
    "none and one": (
        ValueError,
        r"must agree",
        lambda docs, _: docs.put_item(Item={"pk": "a", "version": 1}, expected_version=None),
        None,
    ),
    "Expected": (
        ValueError,
        r"Expected does not go",
        lambda docs, _: docs.delete_item(Key=KEY, expected_version=1, Expected={}),
        None,
    ),
    "AttributeUpdates": (
        ValueError,
        r"AttributeUpdates does not go",
        lambda docs, _: docs.update_item(Key=KEY, expected_version=1, AttributeUpdates={}),
        None,
    ),
    "no old item": (
        ValueError,
        r"always 'ALL_OLD'",
        lambda docs, _: docs.put_item(Item=KEY, ReturnValuesOnConditionCheckFailure="NONE"),
        None,
    ),
    "our placeholder": (
        ValueError,
        r"leave the names free.*#rddb_version",
        lambda docs, _: docs.put_item(
            Item=KEY, ConditionExpression="#rddb_version = :x", ExpressionAttributeNames={"#rddb_version": "pk"}
        ),
        None,
    ),
    "our placeholder of Attr": (
        ValueError,
        r"leave the names free.*:rddb_v0",
        lambda docs, _: docs.update_item(
            Key=KEY,
            expected_version=1,
            UpdateExpression="SET a = :rddb_v0",
            ExpressionAttributeValues={":rddb_v0": 1},
            ConditionExpression=Attr("x").eq(1),
        ),
        None,
    ),
    "no condition": (
        TypeError,
        r"ConditionExpression must be",
        lambda docs, _: docs.put_item(Item=KEY, ConditionExpression=5),
        None,
    ),
    "no expression": (
        TypeError,
        r"UpdateExpression must be",
        lambda docs, _: docs.update_item(Key=KEY, expected_version=1, UpdateExpression=5),
        None,
    ),
    "no names": (
        TypeError,
        r"ExpressionAttributeNames must be",
        lambda docs, _: docs.put_item(Item=KEY, ExpressionAttributeNames=[]),
        None,
    ),
    "no item": (TypeError, r"Item must be a dict", lambda docs, _: docs.put_item(Item=[1]), None),
    "no key": (TypeError, r"Key must be a dict", lambda docs, _: docs.modify("a", lambda item: item), None),
    "a version in the key": (
        ValueError,
        r"Key must not hold",
        lambda docs, _: docs.delete_item(Key={"pk": "a", "version": 1}, expected_version=1),
        None,
    ),
    "no expected version": (TypeError, r"expected_version", lambda docs, _: docs.delete_item(Key=KEY), None),
    "too many possible keys": (
        ValueError,
        r"101 attributes.*modify",
        lambda docs, _: docs.put_item(Item={f"a{number}": "x" for number in range(101)}),
        None,
    ),
    "no function": (TypeError, r"change must be callable", lambda docs, _: docs.modify(KEY, None), None),
    "no attempts": (
        ValueError,
        r"attempts must be 1 or more",
        lambda docs, _: docs.modify(KEY, lambda item: item, max_attempts=0),
        None,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_at_the_door(world, docs, name):
    expected, message, send, version = BAD[name]
    with pytest.raises(expected, match=message):
        send(docs, version)
    assert not world.proxy.seen


@pytest.mark.parametrize(
    ("arguments", "expected", "message"),
    [
        ({"attribute": ""}, ValueError, "attribute must be"),
        ({"attribute": None}, TypeError, "attribute must be"),
        ({"attribute": 5}, TypeError, "attribute must be"),
        ({"write_token": ""}, ValueError, "write_token must be"),
        ({"write_token": True}, TypeError, "write_token must be"),
        ({"write_token": "version"}, ValueError, "two attributes"),
    ],
)
def test_attributes_that_can_not_be(world, arguments, expected, message):
    with pytest.raises(expected, match=message):
        world.table().versioned(**arguments)


@pytest.mark.parametrize("argument", ["attribute", "write_token"])
def test_the_attribute_of_the_ttl_holds_no_version(world, argument):
    table = world.table(options={"ttl": "exp"})
    for before in (table, table.sharded(4, by="id")):
        with pytest.raises(ValueError, match=f"{argument} must be another attribute than the table's TTL; got 'exp'"):
            before.versioned(**{argument: "exp"})


def test_a_stored_version_that_is_no_number(world, docs):
    for bad in ("x", True, None, [1], Decimal("1.5")):
        world.direct.put_item(Item={"pk": "a", "version": bad})
        world.proxy.clear()
        with pytest.raises((TypeError, ValueError), match=r"attribute 'version' of the item in table .* whole number"):
            docs.modify(KEY, lambda item: {**item, "n": 1})
        assert [seen.operation for seen in world.proxy.seen] == ["GetItem"]
        with pytest.raises(rddb.VersionConflictError) as caught:
            docs.update_item(Key=KEY, expected_version=1)
        assert caught.value.current == {"pk": "a", "version": bad}


def test_an_item_with_many_attributes_is_created(world, docs):
    item = {"pk": "a", **{f"attribute{number}": number for number in range(99)}}
    docs.put_item(Item=item)
    with pytest.raises(rddb.VersionConflictError):
        docs.put_item(Item=item)
    assert world.stored() == {**item, "version": 1}


# What else a Table has.


def test_all_else_is_the_tables(world, docs):
    assert docs.name == world.name
    assert docs.key_schema == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert "versioned" in repr(docs)
    assert not hasattr(docs, "no_such_verb")
    for twin in (copy.copy(docs), copy.deepcopy(docs), pickle.loads(pickle.dumps(docs))):  # noqa: S301 - our own
        assert twin.name == world.name
        assert twin.table == docs.table
    copy.copy(docs).put_item(Item=KEY)
    assert world.stored() == {"pk": "a", "version": 1}


def test_another_attribute_and_a_sort_key(dynamodb_local, make_table, hardened):
    name = make_table(dynamodb_local.endpoint_url, sort_key="sk", sort_type="N")
    docs = hardened(dynamodb_local.endpoint_url).Table(name).versioned(attribute="a.b revision")
    for sort in (1, 2):
        docs.put_item(Item={"pk": "a", "sk": sort, "m": {"version": "x"}})
        with pytest.raises(rddb.VersionConflictError):
            docs.put_item(Item={"pk": "a", "sk": sort})
        docs.modify({"pk": "a", "sk": sort}, lambda item: {**item, "n": 1})
        assert docs.get_item(Key={"pk": "a", "sk": sort})["Item"]["a.b revision"] == 2


# Versions at the end of what DynamoDB can count to.

LAST = 10**38 - 1
TOO_LARGE = ["1" + "0" * 38, "1E+60", "-1E+38"]


def store(world, text):
    """Store a version that boto3's Table may refuse to write."""
    low = boto3.client("dynamodb", endpoint_url=world.direct.meta.client.meta.endpoint_url, **ACCESS)
    low.put_item(TableName=world.name, Item={"pk": {"S": "a"}, "version": {"N": text}, "n": {"N": "1"}})
    low.close()


@pytest.mark.parametrize("write_token", [None, "mark"])
def test_the_last_version_is_reached_and_none_after_it(world, write_token):
    docs = world.table().versioned(write_token=write_token)
    store(world, str(LAST - 1))
    docs.modify(KEY, lambda item: {**item, "n": 2})
    assert docs.get_item(Key=KEY)["Item"]["version"] == LAST
    world.proxy.clear()
    writes = [
        lambda: docs.put_item(Item={**KEY, "version": LAST}),
        lambda: docs.put_item(Item=KEY, expected_version=Decimal(LAST)),
        lambda: docs.update_item(Key=KEY, expected_version=LAST),
        lambda: docs.update_action(Key=KEY, expected_version=LAST),
        lambda: docs.put_action(Item={**KEY, "version": LAST}),
        lambda: docs.modify(KEY, lambda item: {**item, "n": 3}),
    ]
    for write in writes:
        with pytest.raises(ValueError, match="nothing follows it"):
            write()
    assert {seen.operation for seen in world.proxy.seen} == {"GetItem"}
    docs.delete_item(Key=KEY, expected_version=LAST)
    assert world.stored() is None


@pytest.mark.parametrize("text", TOO_LARGE)
def test_a_version_of_too_many_digits_is_refused_before_anything_is_sent(world, text):
    docs = world.table().versioned()
    store(world, text)
    found = docs.get_item(Key=KEY)["Item"]
    assert found["version"] == Decimal(text)
    world.proxy.clear()
    writes = [
        lambda: docs.put_item(Item=found),
        lambda: docs.put_item(Item=KEY, expected_version=int(Decimal(text))),
        lambda: docs.update_item(Key=KEY, expected_version=Decimal(text)),
        lambda: docs.delete_item(Key=KEY, expected_version=Decimal(text)),
        lambda: docs.modify(KEY, lambda item: {**item, "n": 3}),
    ]
    for write in writes:
        with pytest.raises(ValueError, match="more than 38 digits"):
            write()
    assert {seen.operation for seen in world.proxy.seen} == {"GetItem"}
    with pytest.raises(rddb.VersionConflictError) as raised:
        docs.put_item(Item=KEY)
    assert raised.value.current == found


def test_an_expired_item_at_the_last_version_is_not_replaced_in_silence(world):
    docs = world.table(options={"ttl": "expires"}).versioned()
    world.direct.put_item(Item={**KEY, "version": LAST, "expires": 1})
    with pytest.raises(rddb.VersionConflictError) as raised:
        docs.put_item(Item=KEY)
    assert raised.value.current["version"] == LAST
