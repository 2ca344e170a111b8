"""An application that counts page views from several threads, and knows what to do when a count is in doubt.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/application.py
"""

from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError

import resilient_ddb as rddb

POLICY = rddb.Policy(
    retry=rddb.Retry(max_attempts=5),
    observers=[rddb.observers.LoggingObserver()],
)

# One resource for the whole process: its tables share connections, circuits and budgets, and threads may share them.
dynamodb = rddb.resource("dynamodb", policy=POLICY)
pages = dynamodb.Table("pages")


def create_table():
    try:
        dynamodb.create_table(
            TableName=pages.name,
            KeySchema=[{"AttributeName": "path", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "path", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    except dynamodb.meta.client.exceptions.ResourceInUseException:
        return  # it is there already
    pages.wait_until_exists()


def count_view(path):
    """Count one view. Gives False where it can't be known whether it was counted."""
    try:
        with rddb.deadline(5.0):
            pages.update_item(
                Key={"path": path},
                UpdateExpression="ADD #views :one",
                ExpressionAttributeNames={"#views": "views"},
                ExpressionAttributeValues={":one": 1},
            )
    except (ClientError, BotoCoreError) as error:
        if not error.resilience.ambiguous:
            raise
        return False  # sent, and the reply was lost: a view too few is better than one too many
    return True


def main():
    create_table()
    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(count_view, ["/", "/about"] * 50))
    for path in ("/", "/about"):
        item = pages.get_item(Key={"path": path}, ConsistentRead=True)["Item"]
        print(f"{path}: {item['views']} views")
    print(f"in doubt: {counted.count(False)}")


if __name__ == "__main__":
    main()
