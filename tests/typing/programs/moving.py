"""A program that was written for boto3, and one for aioboto3."""

import asyncio
import copy
from decimal import Decimal

import boto3
from botocore.config import Config

import resilient_ddb as rddb
from resilient_ddb import aio

dynamodb = rddb.resource("dynamodb", region_name="eu-west-1")
client = rddb.client("dynamodb")
orders = dynamodb.Table("orders")


def is_stored(table: rddb.Table, name: str) -> bool:
    table.put_item(Item={"id": name, "total": Decimal("12.50"), "tags": {"new"}, "lines": [{"sku": "A-1"}]})
    stored = table.get_item(Key={"id": name}, ConsistentRead=True).get("Item", {})
    return bool(stored.get("total") == Decimal("12.50"))


made: rddb.Table = dynamodb.create_table(
    TableName="made",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
)
made.wait_until_exists()
print(orders.item_count, orders.key_schema[0]["AttributeName"], client.list_tables()["TableNames"])
session = rddb.harden(boto3.Session(), policy=rddb.Policy())
patient = rddb.table("orders", config=Config(read_timeout=20))
assert is_stored(copy.copy(patient), "o-1")
rddb.set_policy(orders, rddb.Policy(on_ambiguous_write="retry"))


async def main() -> int:
    async with aio.resource("dynamodb") as dynamodb:
        table = await dynamodb.Table("orders")
        response = await table.query(KeyConditionExpression="id = :id", ExpressionAttributeValues={":id": "o-1"})
        count: int = response["Count"] + await table.item_count
    return count


count: int = asyncio.run(main())
lazily: aio.Table = aio.resource("dynamodb").Table("orders")
