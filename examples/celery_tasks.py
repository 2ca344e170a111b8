"""Celery tasks with prefork workers: a table made before the fork, and a count that is applied once.

Run it here, without a broker, against an emulator:
AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/celery_tasks.py
With a broker: CELERY_CONFIG_MODULE=yours celery --workdir examples -A celery_tasks worker --pool=prefork
"""

import os

from celery import Celery
from celery.signals import worker_init

import resilient_ddb as rddb

app = Celery("views")
app.config_from_envvar("CELERY_CONFIG_MODULE", silent=True)  # your broker and result backend

# Made in the parent, before the fork. Each worker process makes connections of its own.
pages = rddb.resource("dynamodb").Table("pages")


@worker_init.connect
def check_table(**_):
    """Run in the parent: end at once if the table is not there."""
    pages.load()


@app.task(bind=True, acks_late=True, max_retries=8)
def count_view(self, path):
    """Count one view. A task that is run again has the same id, so DynamoDB applies it once within 10 minutes."""
    try:
        with rddb.deadline(20):
            pages.idempotent_update(
                Key={"path": path},
                UpdateExpression="ADD #views :one",
                ExpressionAttributeNames={"#views": "views"},
                ExpressionAttributeValues={":one": 1},
                ClientRequestToken=self.request.id,
            )
    except rddb.CircuitOpenError as error:
        raise self.retry(exc=error, countdown=1 + error.retry_after) from error
    except rddb.DeadlineExceededError as error:
        raise self.retry(exc=error, countdown=5) from error
    return os.getpid()


def create_table():
    dynamodb = rddb.resource("dynamodb")
    try:
        dynamodb.create_table(
            TableName="pages",
            KeySchema=[{"AttributeName": "path", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "path", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        ).wait_until_exists()
    except dynamodb.meta.client.exceptions.ResourceInUseException:
        return  # it is there already


def main():
    create_table()
    for _ in range(3):
        count_view.apply(args=("/",), throw=True)  # in this process
    print(pages.get_item(Key={"path": "/"}, ConsistentRead=True)["Item"])


if __name__ == "__main__":
    main()
