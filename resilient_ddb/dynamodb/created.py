"""A table of the library's own, such as the one of shared circuits: created once, however many processes ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def create_once(dynamodb: Any, name: str, keys: Sequence[str], expires_at: str) -> Any:
    """Return the table of that name; create it first if there is none.

    A table that exists stays as it is.

    Args:
        dynamodb: a sync resource.
        name: the table's name.
        keys: its partition key, and its sort key if it has one; all are texts.
        expires_at: the attribute for TTL.

    Raises:
        ClientError: the table can't be created.
    """
    table, errors = dynamodb.Table(name), dynamodb.meta.client.exceptions
    try:
        table.load()
    except errors.ResourceNotFoundException:
        is_ours = _create(dynamodb, name, keys)
    else:
        is_ours = False
    table.wait_until_exists()
    if is_ours:
        settings = {"Enabled": True, "AttributeName": expires_at}
        dynamodb.meta.client.update_time_to_live(TableName=name, TimeToLiveSpecification=settings)
    return table


def _create(dynamodb: Any, name: str, keys: Sequence[str]) -> bool:
    """Create the table, and tell whether nobody else was quicker."""
    try:
        dynamodb.create_table(
            TableName=name,
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )
    except dynamodb.meta.client.exceptions.ResourceInUseException:
        return False
    return True
