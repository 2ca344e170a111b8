"""Tables whose items expire, sync and async."""

from decimal import Decimal

from boto3.dynamodb.conditions import Attr

import resilient_ddb as rddb
from resilient_ddb import aio

dynamodb = rddb.resource("dynamodb", ttl={"sessions": rddb.TimeToLive("expires_at"), "carts": "ends"})
sessions = dynamodb.Table("sessions", ttl=rddb.TimeToLive("expires_at", filter="server", skew=2))
everything = dynamodb.Table("sessions", ttl=None)
locks = rddb.table("locks", ttl="expires_at").versioned()


def log_in(name: str) -> list[str]:
    sessions.put_item(Item={"id": name, "logins": Decimal(1)}, ttl_seconds=3600)
    return [str(item["id"]) for item in sessions.scan_items(max_items=10, FilterExpression=Attr("logins").gt(0))]


def take(owner: str) -> bool:
    free = rddb.ttl.absent_or_expired("id", ttl="expires_at")
    try:
        sessions.put_item(Item={"id": "lock", "owner": owner}, ConditionExpression=free, ttl_seconds=Decimal(30))
    except sessions.meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True


old = sessions.delete_item(Key={"id": "s-1"}, ReturnValues="ALL_OLD")["Attributes"]
has_expired: bool = rddb.ttl.is_expired(old, ttl="expires_at")
locks.put_item({"id": "lock", "owner": "bob"}, ttl_seconds=30)


async def main() -> bool:
    table = aio.table("sessions", ttl="expires_at")
    await table.put_item(Item={"id": "s-1"}, ttl_seconds=60.0)
    return "Item" in await table.get_item(Key={"id": "s-1"})
