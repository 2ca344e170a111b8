"""Sessions that end when they say so, however late DynamoDB deletes them, and a lock that is free once it has expired.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/sessions.py
"""

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock


def take_lock(table, name, owner, clock):
    """Take a lock for 30 seconds, and tell whether it could be had."""
    try:
        table.put_item(
            Item={"id": name, "owner": owner},
            ttl_seconds=30,
            ConditionExpression=rddb.ttl.absent_or_expired("id", ttl="expires_at", clock=clock),
        )
    except table.meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def main():
    clock = FakeClock()  # this example waits for nothing; leave the clock out in production
    dynamodb = rddb.resource("dynamodb", policy=rddb.Policy(clock=clock))
    sessions = dynamodb.Table("list-of-sessions", ttl="expires_at")
    dynamodb.create_table(
        TableName=sessions.name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    sessions.wait_until_exists()
    for number in range(20):
        sessions.put_item(Item={"id": f"session-{number}"}, ttl_seconds=600 if number % 2 else 3600)
    print(f"at first: {sessions.scan(Select='COUNT')['Count']} sessions")
    clock.advance(600)
    print(f"after ten minutes: {sessions.scan(Select='COUNT')['Count']}")
    print(f"still stored: {dynamodb.Table(sessions.name).scan(Select='COUNT')['Count']}")
    print("five of them:", ", ".join(item["id"] for item in sessions.scan_items(max_items=5)))

    print("ann takes the lock:", take_lock(sessions, "lock", "ann", clock))
    print("bob takes the lock:", take_lock(sessions, "lock", "bob", clock))
    clock.advance(30)
    print("bob takes the lock, 30 seconds later:", take_lock(sessions, "lock", "bob", clock))

    dynamodb.meta.client.delete_table(TableName=sessions.name)


if __name__ == "__main__":
    main()
