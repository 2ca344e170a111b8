"""The newest ten items of a key: not a page, which may hold fewer, but ten. Sync and async.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/newest_of_a_key.py
"""

import asyncio

from boto3.dynamodb.conditions import Attr, Key

import resilient_ddb as rddb
from resilient_ddb import aio

dynamodb = rddb.resource("dynamodb")
messages = dynamodb.Table("messages")
messages_async = aio.table(messages.name)


def newest_of(room):
    """Return what `query` takes: the items of a key that are not hidden, the newest first."""
    return {
        "KeyConditionExpression": Key("room").eq(room),
        "FilterExpression": Attr("hidden").ne(True),
        "ScanIndexForward": False,
    }


async def newest_async(room):
    return [message["at"] async for message in messages_async.query_items(**newest_of(room), max_items=10)]


if __name__ == "__main__":
    dynamodb.create_table(
        TableName=messages.name,
        KeySchema=[{"AttributeName": "room", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("room", "at")],
        BillingMode="PAY_PER_REQUEST",
    ).wait_until_exists()
    with messages.batch_writer() as batch:
        for minute in range(50):
            batch.put_item(Item={"room": "lobby", "at": f"09:{minute:02d}", "hidden": minute % 2 == 0})

    print("sync:", *(message["at"] for message in messages.query_items(**newest_of("lobby"), max_items=10)))
    print("async:", *asyncio.run(newest_async("lobby")))
    messages.delete()
