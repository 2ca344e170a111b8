"""Answers to batches that name what was not in them, for the sync and the async tests."""

from boto3.dynamodb.conditions import Key
from wire_server import answer
from wire_stub import DESCRIPTION, TABLE

from resilient_ddb.sharding import RANDOM


def put(pk, **attributes):
    return {"PutRequest": {"Item": {"pk": {"S": pk}, **attributes}}}


NEVER_SENT = {
    "an item": [put("never-sent")],
    "an item beside one that was": [put("0"), put("never-sent")],
    "more than were sent": [put("never-sent")] * 40,
    "a delete": [{"DeleteRequest": {"Key": {"pk": {"S": "never-sent"}}}}],
    "nothing": [{}],
}
"""What a server names as unprocessed of a batch with the keys 0, 1 and 2."""

NEVER_ASKED = {
    "a key as unprocessed": {"UnprocessedKeys": {TABLE: {"Keys": [{"pk": {"S": "never-asked"}}]}}},
    "a key of another table's": {"UnprocessedKeys": {"other": {"Keys": [{"pk": {"S": "never-asked"}}]}}},
    "an item": {"Responses": {TABLE: [{"pk": {"S": "never-asked"}}]}},
    "an item without its key": {"Responses": {TABLE: [{"n": {"N": "1"}}]}},
}
"""What a server answers to a BatchGetItem for the keys 0, 1 and 2."""


def first_then(first, then):
    """Answer the first request so, and those that follow as `then` does."""
    answers = [first]
    return lambda operation, params: answers.pop() if answers else then(params)


def takes_all(params):
    return {"UnprocessedItems": {}}


def unprocessed(requests, table=TABLE):
    return {"UnprocessedItems": {table: requests}}


def found(params):
    keys = params["RequestItems"][TABLE]["Keys"]
    return {"Responses": {TABLE: [{**key, "n": {"N": "1"}} for key in keys]}, "UnprocessedKeys": {}}


def whole(answer):
    return {"Responses": {TABLE: []}, "UnprocessedKeys": {}, **answer}


def sent_keys(stub):
    return [
        request["PutRequest"]["Item"]["pk"]["S"]
        for params in stub.named("BatchWriteItem")
        for request in params["RequestItems"][TABLE]
    ]


HOLLOW = {
    "nothing": {},
    "an empty table": {"Table": {}},
    "a table without a key": {"Table": {"TableName": TABLE, "KeySchema": []}},
    "an index without a name": {"Table": {**DESCRIPTION, "GlobalSecondaryIndexes": [{}]}},
}
"""What a server answers to DescribeTable, with all the marks of DynamoDB's answers."""

ASKING = {
    "sharded": lambda table: table.sharded(2, by=RANDOM).put_item(Item={"pk": "0"}),
    "a query of shards": lambda table: table.sharded(2, by=RANDOM).query(KeyConditionExpression=Key("pk").eq("0")),
    "parallel scan": lambda table: table.parallel_scan(2),
    "several workers": lambda table: table.batch_writer(max_workers=2),
    "the table's rate": lambda table: table.batch_writer(write_units_per_second="auto"),
}
"""What asks for a table's description by itself."""


def hollow(what):
    """Return a script of a WireServer: a table's description, and nothing else, is hollow."""
    return lambda operation, *_: [answer(HOLLOW[what] if operation == "DescribeTable" else takes_all(None))]
