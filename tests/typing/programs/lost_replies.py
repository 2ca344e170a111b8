"""Writes whose reply may be lost: told, checked, or safe to send again."""

from boto3.dynamodb.conditions import Attr
from botocore.exceptions import BotoCoreError, ClientError

import resilient_ddb as rddb
from resilient_ddb import aio

orders = rddb.resource("dynamodb").Table("orders")
careless = rddb.resource("dynamodb", policy=rddb.Policy(on_ambiguous_write="retry")).Table("views")


def add_visit(name: str) -> bool | None:
    try:
        orders.update_item(Key={"id": name}, UpdateExpression="ADD visits :one", ExpressionAttributeValues={":one": 1})
    except (ClientError, BotoCoreError) as error:
        facts = rddb.call_facts(error)
        return None if facts is not None and facts.ambiguous else False
    return True


def create(name: str) -> None:
    orders.put_item(Item={"id": name, "status": "new"}, ConditionExpression=Attr("id").not_exists())


def add_visit_once(name: str, token: str) -> None:
    orders.idempotent_update(
        Key={"id": name},
        UpdateExpression="ADD visits :one",
        ExpressionAttributeValues={":one": 1},
        ClientRequestToken=token,
    )


async def add_visit_once_async(table: aio.Table, name: str) -> None:
    await table.idempotent_update(
        Key={"id": name}, UpdateExpression="ADD visits :one", ExpressionAttributeValues={":one": 1}
    )
