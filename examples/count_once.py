"""A counter that counts each visit once although replies are lost: sync and async.

Run it against DynamoDB Local: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/count_once.py
(moto takes no notice of a transaction's token, and counts twice)
"""

import asyncio
import os

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import FakeClock, FaultProxy, faults

ADD_ONE = {"UpdateExpression": "ADD visits :one", "ExpressionAttributeValues": {":one": 1}}


def count(pages, page):
    """Count a visit. Returns False if the page is closed."""
    try:
        pages.idempotent_update(Key={"page": page}, **ADD_ONE, ConditionExpression="attribute_not_exists(closed)")
    except pages.meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True


async def count_async(pages, page):
    await pages.idempotent_update(Key={"page": page}, **ADD_ONE)
    return (await pages.get_item(Key={"page": page}, ConsistentRead=True))["Item"]["visits"]


if __name__ == "__main__":
    policy = rddb.Policy(clock=FakeClock())  # this example waits for nothing; leave the clock out in production
    lost = faults.LoseReply(operations={"TransactWriteItems"}, every=2)
    # The proxy stands in for a bad network; leave it out in production.
    with FaultProxy(os.environ["AWS_ENDPOINT_URL_DYNAMODB"], plan=[lost]) as proxy:
        pages = rddb.resource("dynamodb", endpoint_url=proxy.endpoint_url, policy=policy).create_table(
            TableName="pages-counted-once",
            KeySchema=[{"AttributeName": "page", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "page", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        pages.wait_until_exists()
        pages.put_item(Item={"page": "old", "visits": 7, "closed": True})
        print("home:", count(pages, "home"), "old:", count(pages, "old"))
        twin = aio.table(pages.name, endpoint_url=proxy.endpoint_url, policy=policy)
        print(f"visits: {asyncio.run(count_async(twin, 'home'))}")
        pages.delete()
