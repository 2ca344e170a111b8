"""A stock that many take from: no piece is sold twice, and who changes what is old hears of it. Sync and async.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/optimistic_locking.py
"""

import asyncio

import resilient_ddb as rddb
from resilient_ddb import aio

dynamodb = rddb.resource("dynamodb")
stock = dynamodb.Table("stock").versioned()
stock_async = aio.table("stock").versioned()


def take_one(item):
    """Change what was read. Called again if somebody else was quicker: it may do nothing but this."""
    if not item["left"]:
        raise LookupError("sold out")  # ends modify, and nothing is written
    item["left"] -= 1
    return item


def rename(shown, name):
    """Change what was read a while ago, as a form in a browser does. Returns the newer item, if there is one."""
    try:
        stock.put_item(Item={**shown, "name": name})
    except rddb.VersionConflictError as error:
        return error.current
    return None


async def sell(pieces):
    sold = (stock_async.modify({"sku": "tea"}, take_one, max_attempts=50) for _ in range(pieces))
    return await asyncio.gather(*sold, return_exceptions=True)


if __name__ == "__main__":
    dynamodb.create_table(
        TableName=stock.name,
        KeySchema=[{"AttributeName": "sku", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "sku", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    ).wait_until_exists()
    stock.put_item(Item={"sku": "tea", "left": 6})  # there must be none: stored as version 1
    shown = stock.get_item(Key={"sku": "tea"}, ConsistentRead=True)["Item"]
    print("left, sync:", stock.modify({"sku": "tea"}, take_one)["left"])
    print("sold, async:", sum(isinstance(sold, dict) for sold in asyncio.run(sell(8))))
    newer = rename(shown, "Green tea")
    print("changed meanwhile, now at version", newer["version"], "and then:", rename(newer, "Green tea"))
    stock.delete()
