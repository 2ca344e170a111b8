"""The same calls on plain boto3 and on the hardened Table give the same answers and errors, to the key."""

from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore.config import Config
from botocore.exceptions import ClientError

import resilient_ddb as rddb

TWO_ATTEMPTS = Config(retries={"total_max_attempts": 2})  # moto answers some mistakes of the caller's with a 500
OF_THE_REQUEST = {"date", "x-amzn-requestid", "x-amz-crc32"}
ITEM = {
    "pk": "a",
    "sk": "1",
    "text": "täxt",
    "empty": "",
    "none": None,
    "yes": True,
    "number": Decimal("1.50"),
    "large": Decimal(12345678901234567890123456789012345678),
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
    metadata.pop("RetryAttempts")
    metadata["HTTPHeaders"] = {k: v for k, v in metadata["HTTPHeaders"].items() if k not in OF_THE_REQUEST}
    return {**answer, "ResponseMetadata": metadata}


def outcome(call, exceptions):
    """Return what a call returned or raised, in a form to compare."""
    try:
        return "returned", without_chance(call())
    except ClientError as error:
        code = error.response["Error"]["Code"]
        modelled = getattr(exceptions, code, None) if code[0].isalpha() else None
        is_modelled = modelled is not None and isinstance(error, modelled)
        return "raised", type(error).__name__, is_modelled, str(error), without_chance(error.response)
    except Exception as error:  # noqa: BLE001 - whatever plain boto3 raises, the other has to raise too
        return "raised", type(error).__name__, [cls.__name__ for cls in type(error).__mro__], str(error)


def run_both(script, backend, make_table, plain, hardened):
    """Run a script of calls on both, each on a fresh table of the same name, and compare call by call."""
    outcomes = []
    name = None
    for make in (plain, hardened):
        table = make(backend.endpoint_url, config=TWO_ATTEMPTS)
        if name is not None:
            table.Table(name).delete()
            make_table(backend.endpoint_url, sort_key="sk", TableName=name)
        else:
            name = make_table(backend.endpoint_url, sort_key="sk")
        table = table.Table(name)
        exceptions = table.meta.client.exceptions
        outcomes.append({label: outcome(call, exceptions) for label, call in script(table).items()})
    ours_plain, ours = outcomes
    for label, expected in ours_plain.items():
        assert ours[label] == expected, label
    assert list(ours) == list(ours_plain)
    return ours


@pytest.fixture
def both(backend, make_table, plain, hardened):
    return lambda script: run_both(script, backend, make_table, plain, hardened)


def writes(table):
    key = {"pk": "a", "sk": "1"}
    update = {
        "Key": key,
        "UpdateExpression": "SET #n = :n REMOVE #t",
        "ExpressionAttributeNames": {"#n": "number", "#t": "text"},
    }
    return {
        "no item yet": lambda: table.get_item(Key=key),
        "put": lambda: table.put_item(Item=ITEM),
        "get": lambda: table.get_item(Key=key, ConsistentRead=True),
        "put over it": lambda: table.put_item(
            Item=ITEM,
            ReturnValues="ALL_OLD",
            ReturnConsumedCapacity="INDEXES",
            ReturnItemCollectionMetrics="SIZE",
        ),
        **{
            f"update {values}": lambda values=values: table.update_item(
                **update,
                ExpressionAttributeValues={":n": Decimal(len(values))},
                ReturnValues=values,
                ReturnConsumedCapacity="TOTAL",
            )
            for values in ("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")
        },
        "add": lambda: table.update_item(
            Key=key, UpdateExpression="ADD c :one", ExpressionAttributeValues={":one": 1}, ReturnValues="UPDATED_NEW"
        ),
        "update of nothing": lambda: table.update_item(Key={"pk": "new", "sk": "0"}),
        "projection": lambda: table.get_item(
            Key=key,
            ProjectionExpression="#l[3].deep, #m.nested, absent",
            ExpressionAttributeNames={"#l": "list", "#m": "map"},
        ),
        "projection of nothing": lambda: table.get_item(Key=key, ProjectionExpression="absent"),
        "capacity": lambda: table.get_item(Key=key, ReturnConsumedCapacity="TOTAL"),
        "attributes to get": lambda: table.get_item(Key=key, AttributesToGet=["bytes", "numbers"]),
        "delete": lambda: table.delete_item(Key=key, ReturnValues="ALL_OLD", ReturnConsumedCapacity="TOTAL"),
        "delete again": lambda: table.delete_item(Key=key, ReturnValues="ALL_OLD"),
    }


def test_puts_updates_and_deletes_answer_as_on_boto3(both):
    ours = both(writes)
    assert "Item" not in ours["no item yet"][1]
    assert ours["get"][1]["Item"]["bytes"] == Binary(b"\x00\x01")


def reads(table):
    for number in range(7):
        table.put_item(Item={"pk": "q", "sk": str(number), "n": number, "s": {"x", str(number)}, "b": b"b%d" % number})
    table.put_item(Item={"pk": "other", "sk": "0"})
    start = {"pk": "q", "sk": "3"}
    return {
        "query": lambda: table.query(KeyConditionExpression=Key("pk").eq("q")),
        "query with a string": lambda: table.query(
            KeyConditionExpression="pk = :p AND begins_with(sk, :s)", ExpressionAttributeValues={":p": "q", ":s": "1"}
        ),
        "filter": lambda: table.query(
            KeyConditionExpression=Key("pk").eq("q") & Key("sk").between("1", "5"),
            FilterExpression=Attr("n").gt(2) & Attr("s").contains("x") & ~Attr("n").is_in([4]),
            ReturnConsumedCapacity="TOTAL",
        ),
        "limit": lambda: table.query(KeyConditionExpression=Key("pk").eq("q"), Limit=2, ScanIndexForward=False),
        "from a key": lambda: table.query(KeyConditionExpression=Key("pk").eq("q"), ExclusiveStartKey=start),
        "count": lambda: table.query(KeyConditionExpression=Key("pk").eq("q"), Select="COUNT"),
        "projection": lambda: table.query(
            KeyConditionExpression=Key("pk").eq("q"), ProjectionExpression="#b", ExpressionAttributeNames={"#b": "b"}
        ),
        "scan": lambda: table.scan(FilterExpression=Attr("n").exists()),
        "scan a segment": lambda: table.scan(Segment=0, TotalSegments=2),
        "scan a page": lambda: table.scan(Limit=1),
        "no such index": lambda: table.query(IndexName="none", KeyConditionExpression=Key("pk").eq("q")),
        "a condition as key condition": lambda: table.query(KeyConditionExpression=Attr("pk").eq("q")),
    }


def test_queries_and_scans_answer_as_on_boto3(both):
    ours = both(reads)
    assert len(ours["filter"][1]["Items"]) == 2


def legacy(table):
    key = {"pk": "a", "sk": "1"}
    return {
        "put": lambda: table.put_item(Item={**key, "n": 1, "s": {"a"}}, Expected={"pk": {"Exists": False}}),
        "put again": lambda: table.put_item(Item=key, Expected={"pk": {"Exists": False}}),
        "expected value": lambda: table.put_item(
            Item={**key, "n": 2, "s": {"a"}}, Expected={"n": {"Value": Decimal(1), "Exists": True}}
        ),
        "update": lambda: table.update_item(
            Key=key,
            AttributeUpdates={
                "n": {"Action": "ADD", "Value": 5},
                "s": {"Action": "ADD", "Value": {"b"}},
                "new": {"Action": "PUT", "Value": {"deep": [None, b"x"]}},
            },
            ReturnValues="ALL_NEW",
        ),
        "expected list": lambda: table.delete_item(
            Key=key,
            Expected={
                "n": {"ComparisonOperator": "GT", "AttributeValueList": [100]},
                "new": {"ComparisonOperator": "NOT_NULL"},
            },
            ConditionalOperator="AND",
        ),
        "query": lambda: table.query(
            KeyConditions={"pk": {"ComparisonOperator": "EQ", "AttributeValueList": ["a"]}},
            QueryFilter={"n": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [1, 9]}},
        ),
        "scan": lambda: table.scan(
            ScanFilter={
                "n": {"ComparisonOperator": "GT", "AttributeValueList": [0]},
                "s": {"ComparisonOperator": "CONTAINS", "AttributeValueList": ["b"]},
            },
            ConditionalOperator="OR",
        ),
    }


def test_legacy_parameters_answer_as_on_boto3(both):
    ours = both(legacy)
    assert ours["put"][0] == "returned"
    assert ours["put again"][1] == "ConditionalCheckFailedException"


def batches(table):
    client, name = table.meta.client, table.name
    items = [{"pk": "b", "sk": str(n), "v": {"n": n, "b": bytes([n]), "s": {n}}} for n in range(5)]
    statement = f'SELECT * FROM "{name}" WHERE pk = ?'  # noqa: S608 - DynamoDB's own PartiQL, of a test's table
    return {
        "batch write": lambda: client.batch_write_item(
            RequestItems={name: [{"PutRequest": {"Item": item}} for item in items]}, ReturnConsumedCapacity="TOTAL"
        ),
        "batch get": lambda: client.batch_get_item(
            RequestItems={
                name: {
                    "Keys": [{"pk": "b", "sk": "1"}, {"pk": "b", "sk": "none"}],
                    "ProjectionExpression": "v.b, sk",
                    "ConsistentRead": True,
                }
            }
        ),
        "batch delete": lambda: client.batch_write_item(
            RequestItems={name: [{"DeleteRequest": {"Key": {"pk": "b", "sk": "0"}}}]}
        ),
        "duplicate keys": lambda: client.batch_write_item(
            RequestItems={name: [{"PutRequest": {"Item": items[1]}}, {"PutRequest": {"Item": items[1]}}]}
        ),
        "transact write": lambda: client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": name, "Item": {"pk": "t", "sk": "1", "n": 1}}},
                {
                    "Update": {
                        "TableName": name,
                        "Key": {"pk": "b", "sk": "1"},
                        "UpdateExpression": "SET x = :x",
                        "ExpressionAttributeValues": {":x": {b"set"}},
                    }
                },
                {
                    "ConditionCheck": {
                        "TableName": name,
                        "Key": {"pk": "b", "sk": "2"},
                        "ConditionExpression": "attribute_exists(pk)",
                    }
                },
                {"Delete": {"TableName": name, "Key": {"pk": "b", "sk": "3"}}},
            ]
        ),
        "cancelled": lambda: client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": name, "Item": {"pk": "t", "sk": "2"}}},
                {
                    "Put": {
                        "TableName": name,
                        "Item": {"pk": "t", "sk": "1"},
                        "ConditionExpression": "attribute_not_exists(pk)",
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                },
            ]
        ),
        "transact get": lambda: client.transact_get_items(
            TransactItems=[
                {"Get": {"TableName": name, "Key": {"pk": "b", "sk": "1"}}},
                {"Get": {"TableName": name, "Key": {"pk": "none", "sk": "1"}}},
            ]
        ),
        "statement": lambda: client.execute_statement(Statement=statement, Parameters=["b"]),
        "bad statement": lambda: client.execute_statement(Statement="SELECT nothing"),
        "no such table": lambda: client.batch_get_item(RequestItems={"absent-table": {"Keys": [{"pk": "a"}]}}),
    }


def test_batches_transactions_and_partiql_answer_as_on_boto3(both):
    ours = both(batches)
    assert ours["cancelled"][1] == "TransactionCanceledException"
    assert ours["cancelled"][2] is True


def test_partiql_writes_and_batches_of_statements_answer_as_on_boto3(dynamodb_local, make_table, plain, hardened):
    def script(table):
        client, name = table.meta.client, table.name
        insert = f"INSERT INTO \"{name}\" VALUE {{'pk': ?, 'sk': ?, 'v': ?}}"
        select = f"SELECT v FROM \"{name}\" WHERE pk = 'p' AND sk = ?"  # noqa: S608 - as above
        return {
            "insert": lambda: client.execute_statement(Statement=insert, Parameters=["p", "1", {"deep": b"x"}]),
            "insert again": lambda: client.execute_statement(Statement=insert, Parameters=["p", "1", 1]),
            "batch": lambda: client.batch_execute_statement(
                Statements=[{"Statement": select, "Parameters": ["1"]}, {"Statement": select, "Parameters": ["2"]}]
            ),
            "transaction": lambda: client.execute_transaction(
                TransactStatements=[{"Statement": insert, "Parameters": ["p", "2", {1, 2}]}]
            ),
        }

    ours = run_both(script, dynamodb_local, make_table, plain, hardened)
    assert "DuplicateItem" in ours["insert again"][3]


def failures(table):
    client = table.meta.client
    table.put_item(Item={"pk": "c", "sk": "1", "secret": b"old", "n": 3})
    condition = {"Key": {"pk": "c", "sk": "1"}, "ConditionExpression": Attr("n").eq(4)}
    return {
        "condition": lambda: table.put_item(
            Item={"pk": "c", "sk": "1"}, ConditionExpression=Attr("pk").not_exists() & Key("sk").eq("1")
        ),
        "condition, the item asked for": lambda: table.delete_item(
            **condition, ReturnValuesOnConditionCheckFailure="ALL_OLD"
        ),
        "bad expression": lambda: table.update_item(Key={"pk": "c", "sk": "1"}, UpdateExpression="nonsense"),
        "wrong key": lambda: table.get_item(Key={"pk": 1, "sk": "1"}),
        "key missing": lambda: table.put_item(Item={"pk": "c"}),
        "empty set": lambda: table.put_item(Item={"pk": "c", "sk": "2", "s": set()}),
        "mixed set": lambda: table.put_item(Item={"pk": "c", "sk": "2", "s": {1, "a"}}),
        "float": lambda: table.put_item(Item={"pk": "c", "sk": "2", "f": 1.5}),
        "float, deep": lambda: table.put_item(Item={"pk": "c", "sk": "2", "f": [{"x": {"y": 0.1}}]}),
        "too precise": lambda: table.put_item(Item={"pk": "c", "sk": "2", "d": Decimal("1." + "1" * 40)}),
        "infinite": lambda: table.put_item(Item={"pk": "c", "sk": "2", "d": Decimal("Infinity")}),
        "unknown type": lambda: table.put_item(Item={"pk": "c", "sk": "2", "d": object}),
        "float in a condition": lambda: table.scan(FilterExpression=Attr("n").eq(0.5)),
        "unknown parameter": lambda: table.get_item(Key={"pk": "c", "sk": "1"}, Nonsense=1),
        "missing parameter": table.get_item,
        "parameter of a wrong type": lambda: table.query(Limit="1"),
        "no such table": lambda: client.describe_table(TableName="absent-table"),
        "no such table, a read": lambda: client.get_item(TableName="absent-table", Key={"pk": "c"}),
        "table exists": lambda: client.create_table(
            TableName=table.name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        ),
        "wrong limit": lambda: table.scan(Limit=0),
    }


def test_errors_are_those_of_boto3(both):
    ours = both(failures)
    assert ours["float"][:2] == ("raised", "TypeError")
    assert ours["condition"][1:3] == ("ConditionalCheckFailedException", True)
    assert ours["condition, the item asked for"][4]["Item"]["n"] == {"N": "3"}
    assert ours["missing parameter"][1] == "ParamValidationError"


def test_low_level_clients_answer_with_typed_values_as_on_boto3(dynamodb_local, make_table, plain, opened):
    name = make_table(dynamodb_local.endpoint_url)
    theirs = plain(dynamodb_local.endpoint_url)
    ours = rddb.client("dynamodb", endpoint_url=dynamodb_local.endpoint_url)
    opened.callback(ours.close)
    item = {"pk": {"S": "a"}, "b": {"B": b"x"}, "ns": {"NS": ["1", "2"]}, "m": {"M": {"n": {"NULL": True}}}}
    ours.put_item(TableName=name, Item=item)
    typed = ours.get_item(TableName=name, Key={"pk": {"S": "a"}})
    assert {**typed["Item"], "ns": {"NS": sorted(typed["Item"]["ns"]["NS"])}} == item
    native = theirs.Table(name).get_item(Key={"pk": "a"})
    assert native["Item"]["b"].value == b"x"
    assert set(typed) == set(native)


def written_by(table, **options):
    with table.batch_writer(**options) as batch:
        for number in range(60):
            batch.put_item(Item={"pk": "w", "sk": str(number % 40), "n": number})
        batch.delete_item(Key={"pk": "w", "sk": "0"})
    return sorted((item["sk"], item["n"]) for item in table.scan()["Items"])


def test_the_batch_writer_writes_as_boto3s(backend, make_table, plain, hardened):
    name = make_table(backend.endpoint_url, sort_key="sk")
    options = {"overwrite_by_pkeys": ["pk", "sk"]}
    theirs = written_by(plain(backend.endpoint_url).Table(name), **options)
    hardened(backend.endpoint_url).Table(name).delete()
    make_table(backend.endpoint_url, sort_key="sk", TableName=name)
    assert written_by(hardened(backend.endpoint_url).Table(name), **options) == theirs
    assert len(theirs) == 39


def test_the_batch_writer_writes_the_last_of_two_requests_for_one_key_where_boto3s_raises(
    dynamodb_local, make_table, plain, hardened
):
    name = make_table(dynamodb_local.endpoint_url, sort_key="sk")
    with pytest.raises(ClientError, match="duplicates"):
        write_twice(plain(dynamodb_local.endpoint_url).Table(name))
    table = hardened(dynamodb_local.endpoint_url).Table(name)
    write_twice(table)
    assert table.scan()["Items"] == [{"pk": "a", "sk": "1", "n": 2}]


def write_twice(table):
    with table.batch_writer() as batch:
        batch.put_item(Item={"pk": "a", "sk": "1", "n": 1})
        batch.put_item(Item={"pk": "a", "sk": "1", "n": 2})
