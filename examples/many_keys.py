"""The items of many keys, in the order of the keys, and those that there are not: sync and async.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/many_keys.py
"""

import asyncio

import resilient_ddb as rddb
from resilient_ddb import aio

dynamodb = rddb.resource("dynamodb")
products = dynamodb.Table("products")
products_async = aio.table(products.name)


def prices(skus):
    found = products.get_items(({"sku": sku} for sku in skus), read_units_per_second=500)
    of_sku = {item["sku"]: item["price"] for item in found}  # asked for 100 at a time, as this goes on
    return of_sku, [key["sku"] for key in found.missing]


async def prices_async(skus):
    found = products_async.get_items({"sku": sku} for sku in skus)
    of_sku = {item["sku"]: item["price"] async for item in found}
    return of_sku, [key["sku"] for key in found.missing]


if __name__ == "__main__":
    dynamodb.create_table(
        TableName=products.name,
        KeySchema=[{"AttributeName": "sku", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "sku", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    ).wait_until_exists()
    with products.batch_writer() as batch:
        for number in range(250):
            batch.put_item(Item={"sku": f"p-{number}", "price": number})

    wanted = [f"p-{number}" for number in range(240, -2, -1)]
    for found, missing in (prices(wanted), asyncio.run(prices_async(wanted))):
        print(f"{len(found)} prices, first that of {next(iter(found))}; not there: {', '.join(missing)}")
    products.delete()
