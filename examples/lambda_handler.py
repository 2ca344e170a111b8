"""A Lambda handler with an async table at module scope, and a deadline from Lambda's own clock.

Run it here, with a made-up invocation, against an emulator:
AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/lambda_handler.py
"""

import asyncio

import resilient_ddb as rddb
from resilient_ddb import aio

# Made once for each execution environment. Nothing is opened here: that happens at the first call.
sessions = aio.table("sessions", policy=rddb.Policy(timeouts=rddb.Timeouts(connect=0.5, read=1.0)))


# One event loop for all invocations keeps the connection open between them.
@rddb.lambda_handler(margin=0.25)
async def handler(event, context):  # noqa: ARG001 - Lambda gives it
    try:
        response = await sessions.get_item(Key={"id": event["session"]})
    except rddb.CircuitOpenError as error:
        return {"statusCode": 503, "headers": {"Retry-After": str(1 + int(error.retry_after))}}
    except rddb.DeadlineExceededError:
        return {"statusCode": 504}
    return {"statusCode": 200 if "Item" in response else 404}


class MadeUpContext:
    def get_remaining_time_in_millis(self):
        return 3000


async def make_table():
    async with aio.resource("dynamodb") as dynamodb:
        try:
            await dynamodb.create_table(
                TableName=sessions.name,
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        except dynamodb.meta.client.exceptions.ResourceInUseException:
            return  # it is there already
        await sessions.wait_until_exists()
        await sessions.put_item(Item={"id": "s-1", "user": "ada"})


if __name__ == "__main__":
    asyncio.run(make_table())
    print(handler({"session": "s-1"}, MadeUpContext()))
    print(handler({"session": "s-2"}, MadeUpContext()))
