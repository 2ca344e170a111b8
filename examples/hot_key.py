"""A key that takes more writes than one partition can: spread over shards, and read as one. Sync and async.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/hot_key.py
"""

import asyncio
import os

from boto3.dynamodb.conditions import Key

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import FakeClock, FaultProxy, faults

LAYOUT = rddb.ShardLayout(8, by="order_id")  # the same wherever the table is used
NEWEST = {"KeyConditionExpression": Key("tenant").eq("whale"), "ScanIndexForward": False}


def throttled(table):
    """Put a hundred orders of one tenant, and count those that DynamoDB refused."""
    refused = 0
    for number in range(100):
        try:
            table.put_item(Item={"tenant": "whale", "order_id": f"o-{number:03d}"})
        except table.meta.client.exceptions.ProvisionedThroughputExceededException:
            refused += 1
    return refused


async def newest_async(name):
    orders = aio.table(name).sharded(LAYOUT)
    return [order["order_id"] async for order in orders.query_items(**NEWEST, max_items=3)]


if __name__ == "__main__":
    # A partition takes 1,000 write units a second. Here it is 25, and the clock stands still: all comes at once.
    hot = faults.PartitionCapacity(partition_key="tenant", write_units=25)
    once = rddb.Policy(retry=rddb.Retry(max_attempts=1))  # shows each refusal; leave it out in production
    with FaultProxy(os.environ["AWS_ENDPOINT_URL_DYNAMODB"], plan=[hot], clock=FakeClock()) as proxy:
        orders = rddb.resource("dynamodb", endpoint_url=proxy.endpoint_url, policy=once).create_table(
            TableName="orders-of-whales",
            KeySchema=[
                {"AttributeName": "tenant", "KeyType": "HASH"},
                {"AttributeName": "order_id", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("tenant", "order_id")],
            BillingMode="PAY_PER_REQUEST",
        )
        orders.wait_until_exists()
        print(f"of 100 orders throttled: {throttled(orders)}; with shards: {throttled(orders.sharded(LAYOUT))}")
        print("sync:", *(order["order_id"] for order in orders.sharded(LAYOUT).query(**NEWEST, Limit=3)["Items"]))
        print("async:", *asyncio.run(newest_async(orders.name)))
        orders.delete()
