"""What the examples of the documentation find: moto's server as DynamoDB, with the tables that they name."""

import importlib.util

import boto3
import pytest

NEEDED = ("aiobotocore", "sybil")
WITH_THEM = ["test_docs_examples.py", "test_docs_api.py", "test_docs_names.py"]
collect_ignore = [] if all(map(importlib.util.find_spec, NEEDED)) else WITH_THEM

REGION = "eu-north-1"
"""One that no other test uses: the examples name their tables plainly."""
TABLES = ("orders", "prices", "sessions")
EVENTS = {
    "TableName": "events",
    "KeySchema": [{"AttributeName": "tenant", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"} for name in ("tenant", "at", "kind", "day_shard")
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": index,
            "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        for index, name in (("by_kind", "kind"), ("by_day", "day_shard"))
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
"""The one table with a sort key and indexes."""


@pytest.fixture
def dynamodb_for_docs(moto_server, monkeypatch):
    """Have boto3 and aiobotocore find moto by themselves, and give its endpoint."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", moto_server.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    client = boto3.Session().client("dynamodb")
    for name in TABLES:
        client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    client.create_table(**EVENTS)
    yield moto_server.endpoint_url
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    client.close()
