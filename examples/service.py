"""A service that answers in time, or says at once that it can't: sync and async.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/service.py
"""

import asyncio

import resilient_ddb as rddb
from resilient_ddb import aio

# One of each for the whole process: threads and tasks share them, with their connections and circuits.
dynamodb = rddb.resource("dynamodb", policy=rddb.Policy(timeouts=rddb.Timeouts(connect=0.5, read=1.0)))
orders = dynamodb.Table("service-orders")
orders_async = aio.resource("dynamodb").Table(orders.name)


def answer(order_id):
    try:
        with rddb.deadline(2.0):  # for all that is within: attempts, pauses, several calls
            orders.update_item(
                Key={"id": order_id}, UpdateExpression="SET seen = :yes", ExpressionAttributeValues={":yes": True}
            )
            return 200, orders.get_item(Key={"id": order_id})["Item"]
    except rddb.CircuitOpenError as error:
        return 503, {"Retry-After": error.retry_after}
    except rddb.DeadlineExceededError:
        return 504, {}


@rddb.deadline(2.0)  # the same for each call of a function
async def find(order_id):
    response = await orders_async.get_item(Key={"id": order_id})
    return response.get("Item")


if __name__ == "__main__":
    dynamodb.create_table(
        TableName=orders.name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    ).wait_until_exists()
    print("sync:", *answer("o-1"))
    print("async:", asyncio.run(find("o-1")))
    orders.delete()
