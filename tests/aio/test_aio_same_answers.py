"""The same calls on plain boto3 and on the async Table give the same answers and errors, to the key."""

import asyncio
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError

KEY = {"pk": "a", "sk": "1"}
OF_THE_REQUEST = {"date", "x-amzn-requestid", "x-amz-crc32"}
ITEM = {
    **KEY,
    "text": "täxt",
    "empty": "",
    "none": None,
    "yes": True,
    "number": Decimal("1.50"),
    "large": Decimal("-1.2345678901234567890123456789012345678"),
    "negative": -7,
    "bytes": b"\x00\x01",
    "binary": Binary(b"\xff"),
    "array": bytearray(b"xyz"),
    "strings": {"b", "a"},
    "numbers": {1, Decimal("2.5")},
    "binaries": {b"1", Binary(b"2")},
    "list": [1, "x", None, {"deep": [{"er": b"\x07"}], "set": {3}}],
    "map": {"nested": {"none": None, "empty": {}, "list": []}},
}


def without_chance(answer):
    """Take out what differs from request to request."""
    if not isinstance(answer, dict) or "ResponseMetadata" not in answer:
        return answer
    metadata = dict(answer["ResponseMetadata"])
    metadata.pop("RequestId", None)
    metadata["HTTPHeaders"] = {k: v for k, v in metadata["HTTPHeaders"].items() if k not in OF_THE_REQUEST}
    return {**answer, "ResponseMetadata": metadata}


def raised(error, exceptions):
    if not isinstance(error, ClientError):
        return "raised", type(error).__name__, [cls.__name__ for cls in type(error).__mro__], str(error)
    code = error.response["Error"]["Code"]
    modelled = getattr(exceptions, code, None) if code[0].isalpha() else None
    is_modelled = modelled is not None and isinstance(error, modelled)
    return "raised", type(error).__name__, is_modelled, str(error), without_chance(error.response)


def steps(*calls):
    """Name each step: `(verb, parameters)`; a verb of the client is spelt `client.verb`."""
    return {f"{number}: {verb}": (verb, params) for number, (verb, params) in enumerate(calls)}


def target(table, verb):
    owner = table.meta.client if verb.startswith("client.") else table
    return getattr(owner, verb.removeprefix("client."))


@pytest.fixture
def compare(emulator, make_table, plain, hardened):
    """Run steps on plain boto3, then on the async Table, each on a fresh table of the same name."""

    async def run(make_steps):
        name = make_table(emulator.endpoint_url, sort_key="sk")
        sync = plain(emulator.endpoint_url).Table(name)
        theirs = {}
        for label, (verb, params) in make_steps(name).items():
            try:
                theirs[label] = "returned", without_chance(target(sync, verb)(**params))
            except Exception as error:  # noqa: BLE001 - whatever plain boto3 raises, the other has to raise too
                theirs[label] = raised(error, sync.meta.client.exceptions)
        sync.delete()
        make_table(emulator.endpoint_url, sort_key="sk", TableName=name)
        table = await (await hardened(emulator.endpoint_url)).Table(name)
        ours = {}
        for label, (verb, params) in make_steps(name).items():
            try:
                ours[label] = "returned", without_chance(await target(table, verb)(**params))
            except Exception as error:  # noqa: BLE001 - as above
                ours[label] = raised(error, table.meta.client.exceptions)
            assert ours[label] == theirs[label], label
        return list(ours.values())

    return run


def single_items(_name):
    update = {
        "Key": KEY,
        "UpdateExpression": "SET #n = :n REMOVE #t",
        "ExpressionAttributeNames": {"#n": "number", "#t": "text"},
    }
    return steps(
        ("get_item", {"Key": KEY}),
        ("put_item", {"Item": ITEM}),
        ("get_item", {"Key": KEY, "ConsistentRead": True, "ReturnConsumedCapacity": "TOTAL"}),
        ("put_item", {"Item": ITEM, "ReturnValues": "ALL_OLD", "ReturnConsumedCapacity": "INDEXES"}),
        *(
            ("update_item", {**update, "ExpressionAttributeValues": {":n": len(values)}, "ReturnValues": values})
            for values in ("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")
        ),
        ("get_item", {"Key": KEY, "ProjectionExpression": "absent"}),
        ("get_item", {"Key": KEY, "AttributesToGet": ["bytes", "numbers"]}),
        ("delete_item", {"Key": KEY, "ReturnValues": "ALL_OLD"}),
        ("delete_item", {"Key": KEY, "ReturnValues": "ALL_OLD"}),
    )


async def test_puts_updates_and_deletes_answer_as_on_boto3(compare):
    ours = await compare(single_items)
    assert "Item" not in ours[0][1]
    item = ours[2][1]["Item"]
    assert item["bytes"] == Binary(b"\x00\x01")
    assert item["numbers"] == {Decimal(1), Decimal("2.5")}
    assert item["map"] == ITEM["map"]


def reads(name):
    items = [
        {"pk": "q", "sk": str(number), "n": number, "s": {"x", str(number)}, "b": b"b%d" % number}
        for number in range(7)
    ]
    query = {"KeyConditionExpression": Key("pk").eq("q")}
    return steps(
        ("client.batch_write_item", {"RequestItems": {name: [{"PutRequest": {"Item": item}} for item in items]}}),
        ("query", query),
        ("query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": "q"}}),
        (
            "query",
            {
                "KeyConditionExpression": Key("pk").eq("q") & Key("sk").between("1", "5"),
                "FilterExpression": Attr("n").gt(2) & Attr("s").contains("x") & ~Attr("n").is_in([4]),
                "ReturnConsumedCapacity": "TOTAL",
            },
        ),
        ("query", {**query, "Limit": 2, "ScanIndexForward": False}),
        ("query", {**query, "ExclusiveStartKey": {"pk": "q", "sk": "3"}}),
        ("query", {**query, "Select": "COUNT"}),
        ("scan", {"FilterExpression": Attr("n").exists()}),
        ("scan", {"Limit": 1}),
        ("query", {**query, "IndexName": "none"}),
        ("query", {"KeyConditionExpression": Attr("pk").eq("q")}),
        (
            "client.batch_get_item",
            {
                "RequestItems": {
                    name: {"Keys": [{"pk": "q", "sk": "1"}, {"pk": "q", "sk": "x"}], "ProjectionExpression": "b, sk"}
                }
            },
        ),
        ("client.transact_get_items", {"TransactItems": [{"Get": {"TableName": name, "Key": KEY}}]}),
    )


async def test_queries_and_scans_answer_as_on_boto3(compare):
    ours = await compare(reads)
    assert [item["n"] for item in ours[3][1]["Items"]] == [3, 5]


def legacy(_name):
    return steps(
        ("put_item", {"Item": {**KEY, "n": 1, "s": {"a"}}, "Expected": {"pk": {"Exists": False}}}),
        ("put_item", {"Item": KEY, "Expected": {"pk": {"Exists": False}}}),
        (
            "update_item",
            {
                "Key": KEY,
                "AttributeUpdates": {
                    "n": {"Action": "ADD", "Value": 5},
                    "s": {"Action": "ADD", "Value": {"b"}},
                    "new": {"Action": "PUT", "Value": {"deep": [None, b"x"]}},
                },
                "ReturnValues": "ALL_NEW",
            },
        ),
        (
            "delete_item",
            {
                "Key": KEY,
                "Expected": {"n": {"ComparisonOperator": "GT", "AttributeValueList": [100]}},
                "ConditionalOperator": "AND",
            },
        ),
        (
            "query",
            {
                "KeyConditions": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": ["a"]}},
                "QueryFilter": {"n": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [1, 9]}},
            },
        ),
        ("scan", {"ScanFilter": {"s": {"ComparisonOperator": "CONTAINS", "AttributeValueList": ["b"]}}}),
    )


async def test_legacy_parameters_answer_as_on_boto3(compare):
    ours = await compare(legacy)
    assert ours[0][0] == "returned"
    assert ours[1][1] == "ConditionalCheckFailedException"


def failures(_name):
    put = {"pk": "c", "sk": "2"}
    return steps(
        ("put_item", {"Item": {"pk": "c", "sk": "1", "secret": b"old", "n": 3}}),
        ("put_item", {"Item": {"pk": "c", "sk": "1"}, "ConditionExpression": Attr("pk").not_exists()}),
        (
            "delete_item",
            {
                "Key": {"pk": "c", "sk": "1"},
                "ConditionExpression": Attr("n").eq(4),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            },
        ),
        ("update_item", {"Key": KEY, "UpdateExpression": "nonsense"}),
        ("get_item", {"Key": {"pk": 1, "sk": "1"}}),
        ("put_item", {"Item": {"pk": "c"}}),
        ("put_item", {"Item": {**put, "s": set()}}),
        ("put_item", {"Item": {**put, "s": {1, "a"}}}),
        ("put_item", {"Item": {**put, "f": [{"x": {"y": 0.1}}]}}),
        ("put_item", {"Item": {**put, "d": Decimal("1." + "1" * 40)}}),
        ("scan", {"FilterExpression": Attr("n").eq(0.5)}),
        ("get_item", {"Key": KEY, "Nonsense": 1}),
        ("get_item", {}),
        ("query", {"Limit": "1"}),
        ("client.describe_table", {"TableName": "absent-table"}),
        ("client.get_item", {"TableName": "absent-table", "Key": KEY}),
        ("scan", {"Limit": 0}),
        ("client.execute_statement", {"Statement": "SELECT nothing"}),
    )


async def test_errors_are_those_of_boto3(compare):
    ours = await compare(failures)
    assert ours[1][1:3] == ("ConditionalCheckFailedException", True)
    assert ours[8][:2] == ("raised", "TypeError")
    assert ours[12][1] == "ParamValidationError"


def transactions(name):
    put = {"TableName": name, "Item": {"pk": "t", "sk": "1", "n": 1}}
    once = {**put, "ConditionExpression": "attribute_not_exists(pk)"}
    return steps(
        (
            "client.transact_write_items",
            {
                "TransactItems": [
                    {"Put": once},
                    {
                        "Update": {
                            "TableName": name,
                            "Key": KEY,
                            "UpdateExpression": "SET x = :x",
                            "ExpressionAttributeValues": {":x": {b"set"}},
                        }
                    },
                ]
            },
        ),
        (
            "client.transact_write_items",
            {
                "TransactItems": [
                    {"Put": {"TableName": name, "Item": {"pk": "t", "sk": "2"}}},
                    {"Put": {**once, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}},
                ]
            },
        ),
        ("client.transact_get_items", {"TransactItems": [{"Get": {"TableName": name, "Key": KEY}}]}),
        ("client.batch_write_item", {"RequestItems": {name: [{"PutRequest": {"Item": KEY}}] * 2}}),
    )


async def test_transactions_answer_as_on_boto3(compare):
    ours = await compare(transactions)
    assert ours[1][1] == "TransactionCanceledException"


async def test_condition_builders_are_not_shared_between_tasks(dynamodb_local, make_table, hardened):

    table = await (await hardened(dynamodb_local.endpoint_url)).Table(make_table(dynamodb_local.endpoint_url))
    await asyncio.gather(*(table.put_item(Item={"pk": str(n), "n": n, "m": -n}) for n in range(50)))

    async def ask(number):
        found = await table.scan(FilterExpression=Attr("n").eq(number) & Attr("m").eq(-number))
        return [item["pk"] for item in found["Items"]]

    assert await asyncio.gather(*(ask(n) for n in range(50))) == [[str(n)] for n in range(50)]
