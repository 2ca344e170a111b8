"""Handlers for AWS Lambda, async and sync, with tables at module scope and the deadline that Lambda gives.

Run them here, with a made-up invocation, against an emulator:
AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/lambda_handler.py
"""

import resilient_ddb as rddb
from resilient_ddb import aio

# Made once for each execution environment. Nothing is opened here: that happens at the first call.
POLICY = rddb.Policy(timeouts=rddb.Timeouts(connect=0.5, read=1.0))
users_async = aio.table("lambda-users", policy=POLICY)
users = rddb.table("lambda-users", policy=POLICY)


@rddb.lambda_handler(margin=0.25)  # one event loop for all invocations, which keeps connections open between them
async def handler(event, context):
    try:
        response = await users_async.get_item(Key={"id": event["user"]})
    except rddb.CircuitOpenError as error:
        return {"statusCode": 503, "headers": {"Retry-After": str(1 + int(error.retry_after))}}
    except rddb.DeadlineExceededError:
        return {"statusCode": 504}
    return {"statusCode": 200 if "Item" in response else 404}


@rddb.lambda_handler
def sync_handler(event, context):
    users.put_item(Item={"id": event["user"]})
    return {"statusCode": 201}


class MadeUpContext:
    def get_remaining_time_in_millis(self):
        return 3000


if __name__ == "__main__":
    rddb.resource("dynamodb").create_table(
        TableName=users.name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    ).wait_until_exists()
    print("sync:", sync_handler({"user": "ada"}, MadeUpContext()))
    print("async:", handler({"user": "ada"}, MadeUpContext()), handler({"user": "bob"}, MadeUpContext()))
    users.delete()
