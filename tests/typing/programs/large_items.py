"""Items that are packed, or split over several."""

import json
import zlib
from typing import Any

from boto3.dynamodb.conditions import Key

import resilient_ddb as rddb

orders: rddb.Table = rddb.table("orders")
events = rddb.resource("dynamodb").Table("events")

orders.put_item(Item={"id": "o-large", "packed": zlib.compress(json.dumps({"lines": ["a"]}).encode())})
item = orders.get_item(Key={"id": "o-large"}).get("Item", {})
packed: Any = item["packed"]
print(json.loads(zlib.decompress(packed.value)))

events.meta.client.transact_write_items(
    TransactItems=[{"Put": {"TableName": "events", "Item": {"tenant": "report-1", "at": "0000", "part": b"1"}}}]
)
parts = list(events.query_items(KeyConditionExpression=Key("tenant").eq("report-1"), ConsistentRead=True))
print([part["at"] for part in parts])

try:
    with orders.batch_writer() as batch:
        batch.put_item(Item={"id": "o-larger", "text": "x" * 500_000})
except rddb.UnprocessedItemsError as error:
    print([request["PutRequest"]["Item"] for request in error.requests])
