"""A counter that counts each visit once although replies are lost: `idempotent_update`, sync and async.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/count_once.py
"""

import asyncio
import os

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import FakeClock, FaultProxy, faults

ADD_ONE = {"UpdateExpression": "ADD visits :one", "ExpressionAttributeValues": {":one": 1}}
OPEN_ONLY = {**ADD_ONE, "ConditionExpression": "attribute_not_exists(closed)"}


def count(pages):
    pages.idempotent_update(Key={"page": "home"}, **ADD_ONE)
    pages.put_item(Item={"page": "old", "visits": 7, "closed": True})
    try:
        pages.idempotent_update(Key={"page": "old"}, **OPEN_ONLY)
    except pages.meta.client.exceptions.ConditionalCheckFailedException as error:
        print(rddb.call_facts(error).note().split(";")[0])


async def count_async(dynamodb, name):
    pages = dynamodb.Table(name)
    await pages.idempotent_update(Key={"page": "home"}, **ADD_ONE)
    return (await pages.get_item(Key={"page": "home"}, ConsistentRead=True))["Item"]["visits"]


def main():
    upstream = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    policy = rddb.Policy(clock=FakeClock())  # this example waits for nothing; leave the clock out in production
    lost = faults.LoseReply(operations={"TransactWriteItems"}, every=2)
    with FaultProxy(upstream, plan=[lost]) as proxy:  # stands in for a bad network; leave it out in production
        dynamodb = rddb.resource("dynamodb", endpoint_url=proxy.endpoint_url, policy=policy)
        pages = dynamodb.create_table(
            TableName="pages-counted-once",
            KeySchema=[{"AttributeName": "page", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "page", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        pages.wait_until_exists()
        count(pages)
        twin = aio.resource("dynamodb", endpoint_url=proxy.endpoint_url, policy=policy)
        print(f"{asyncio.run(count_async(twin, pages.name))} visits")
        pages.delete()


if __name__ == "__main__":
    main()
