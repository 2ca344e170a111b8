"""Versioned tables, sync and async: writes by version, and what a conflict says."""

from decimal import Decimal
from typing import Any

from boto3.dynamodb.conditions import Key

import resilient_ddb as rddb
from resilient_ddb import aio

Item = dict[str, Any]
dynamodb = rddb.resource("dynamodb")
docs: rddb.VersionedTable = dynamodb.Table("docs").versioned()


def add_visit(item: Item | None) -> Item:
    item = item or {"visits": Decimal(0)}
    item["visits"] += 1
    return item


def rename(shown: Item, name: str) -> Item | None:
    try:
        docs.put_item(Item={**shown, "name": name})
    except rddb.VersionConflictError as error:
        print(error.expected)
        return error.current
    return None


def in_one_transaction(first: Item) -> None:
    put = docs.put_action({**first, "read": True})
    check = docs.check_action({"id": "d-2"}, expected_version=3)
    dynamodb.meta.client.transact_write_items(TransactItems=[put, check])


stored = docs.modify({"id": "d-1"}, add_visit, max_attempts=20)
gone = docs.modify({"id": "d-1"}, lambda item: rddb.DELETE)
shown = docs.get_item(Key={"id": "d-1"}, ConsistentRead=True).get("Item", {})
rename(dict(shown), "Green")
found = docs.query(KeyConditionExpression=Key("id").eq("d-1"))["Items"]
some = [item["id"] for item in docs.scan_items(max_items=10)]
docs.update_item({"id": "d-2"}, expected_version=None)
print(docs.name, docs.item_count, docs.table)


async def main(table: aio.AsyncVersionedTable) -> Item | None:
    item = (await table.get_item(Key={"id": "d-1"})).get("Item", {})
    version: int | None = rddb.response_info(await table.put_item({**item, "text": "two"})).version
    await table.delete_item({"id": "d-3"}, expected_version=version)
    return await table.modify({"id": "d-1"}, add_visit)
