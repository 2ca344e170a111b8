"""Powertools' idempotency on a client of this library: an event that comes twice is handled once.

Run it here, with a made-up event that comes twice, against an emulator:
AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/powertools_idempotency.py
"""

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

import resilient_ddb as rddb

# Once for each execution environment. Powertools keeps its records by this client, and so with these retries.
client = rddb.client("dynamodb", policy=rddb.Policy(timeouts=rddb.Timeouts(connect=0.5, read=1.0)))
records = DynamoDBPersistenceLayer("idempotency", boto3_client=client)
config = IdempotencyConfig(expires_after_seconds=24 * 3600)
payments = []


@idempotent_function(data_keyword_argument="order", persistence_store=records, config=config)
def pay(order):
    payments.append(order)  # what must not happen twice
    return {"paid": order["id"]}


@rddb.lambda_handler
def handler(event, context):
    config.register_lambda_context(context)  # so that a record outlives no invocation that died
    return pay(order=event["order"])


class MadeUpContext:
    def get_remaining_time_in_millis(self):
        return 3000


if __name__ == "__main__":
    rddb.resource("dynamodb").create_table(
        TableName="idempotency",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    ).wait_until_exists()
    event = {"order": {"id": "o-1"}}
    print([handler(event, MadeUpContext()) for _ in range(2)], "payments:", len(payments))
    client.delete_table(TableName="idempotency")
