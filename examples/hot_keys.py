"""A tenant that takes more than one partition can: throttled without shards, and not with them; read as one, and grown.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/hot_keys.py
"""

import os

from boto3.dynamodb.conditions import Key

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock, FaultProxy, faults

ORDERS = [{"tenant": "whale", "order_id": f"o-{number:03d}", "total": number} for number in range(100)]


def create_table(dynamodb, name):
    table = dynamodb.create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": "tenant", "KeyType": "HASH"},
            {"AttributeName": "order_id", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "tenant", "AttributeType": "S"},
            {"AttributeName": "order_id", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    table.wait_until_exists()


def throttled(table):
    """Put all orders, and count those that were refused."""
    refused = 0
    for order in ORDERS:
        try:
            table.put_item(Item=order)
        except table.meta.client.exceptions.ProvisionedThroughputExceededException:
            refused += 1
    return refused


def main():
    dynamodb = rddb.resource("dynamodb")
    for name in ("orders-without-shards", "orders-with-shards"):
        create_table(dynamodb, name)

    # A partition takes 1,000 write units a second. Here it is 25, and the clock stands still: all comes at once.
    hot = faults.PartitionCapacity(partition_key="tenant", write_units=25)
    with FaultProxy(os.environ["AWS_ENDPOINT_URL_DYNAMODB"], plan=[hot], clock=FakeClock()) as proxy:
        once = rddb.Policy(retry=rddb.Retry(max_attempts=1))  # shows each refusal; leave it out in production
        limited = rddb.resource("dynamodb", endpoint_url=proxy.endpoint_url, policy=once)
        plain = limited.Table("orders-without-shards")
        print(f"without shards: {throttled(plain)} of {len(ORDERS)} orders throttled")
        # The sort key, order_id, tells an order's shard.
        spread = limited.Table("orders-with-shards").sharded(8)
        print(f"with 8 shards: {throttled(spread)} of {len(ORDERS)} orders throttled")

    orders = dynamodb.Table("orders-with-shards").sharded(8)
    newest = {"KeyConditionExpression": Key("tenant").eq("whale"), "ScanIndexForward": False}
    page = orders.query(**newest, Limit=3)
    print("the newest three:", ", ".join(order["order_id"] for order in page["Items"]))
    page = orders.query(**newest, Limit=3, ExclusiveStartKey=page["LastEvaluatedKey"])
    print("the next three:", ", ".join(order["order_id"] for order in page["Items"]))
    one = orders.get_item(Key={"tenant": "whale", "order_id": "o-042"})["Item"]
    print("one, from its shard:", one["tenant"], one["order_id"])

    grown = dynamodb.Table(orders.name).sharded(12, previous=(8,))
    print(f"with 12 shards, before anything was moved: {sum(1 for _ in grown.query_items(**newest))} orders")
    report = grown.reshard(["whale"], write_units_per_second=10_000)
    print(f"moved: {report.moved}, left over: {report.occupied + report.unplaced}")
    settled = dynamodb.Table(orders.name).sharded(12)
    print(f"with 12 shards alone: {sum(1 for _ in settled.query_items(**newest))} orders")

    for name in ("orders-without-shards", "orders-with-shards"):
        dynamodb.meta.client.delete_table(TableName=name)


if __name__ == "__main__":
    main()
