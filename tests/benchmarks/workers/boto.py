"""boto3's Table and client, and ours. Each function imports, and gives a function that makes what is measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

from benchmarks import items

from .made import ARGUMENTS, KEY_CONDITION, POOL, UPDATE_EXPRESSION, UPDATE_NAMES, Made

Make = Callable[[str], Made]


def boto3_table() -> Make:
    boto3 = import_module("boto3")
    config = import_module("botocore.config").Config

    def make(url: str) -> Made:
        pool = config(max_pool_connections=POOL)
        return _table(boto3.resource("dynamodb", endpoint_url=url, config=pool, **ARGUMENTS).Table(items.TABLE))

    return make


def boto3_client() -> Make:
    boto3 = import_module("boto3")
    config = import_module("botocore.config").Config

    def make(url: str) -> Made:
        pool = config(max_pool_connections=POOL)
        return _client(boto3.client("dynamodb", endpoint_url=url, config=pool, **ARGUMENTS))

    return make


def ours_table() -> Make:
    rddb = import_module("resilient_ddb")

    def make(url: str) -> Made:
        table, has_ttl = open_with_ttl(rddb.table, policy=counting_policy(rddb), endpoint_url=url, **ARGUMENTS)
        made = _table(table)
        made.facts["ttl"] = has_ttl
        made.client = lambda: table.meta.client
        return made

    return make


def ours_client() -> Make:
    rddb = import_module("resilient_ddb")

    def make(url: str) -> Made:
        client = rddb.client("dynamodb", policy=counting_policy(rddb), endpoint_url=url, **ARGUMENTS)
        made = _client(client)
        made.client = lambda: client
        return made

    return make


def counted(client: Any) -> dict[str, Any]:
    """Return how many calls went past the SDK's inside, and how many through it, by reason."""
    transport = client._resilience.host.transport  # noqa: SLF001 - what it counts is shown nowhere else
    return {"past": transport.calls, "through": dict(transport.calls_declined)}


def counting_policy(rddb: Any) -> Any:
    """Return the default policy (retries, budget, breaker), with an observer that counts the events."""
    counts: dict[type, int] = {}

    def observe(event: object) -> None:
        counts[type(event)] = counts.get(type(event), 0) + 1

    return rddb.Policy(observers=[observe])


def open_with_ttl(open_table: Callable[..., Any], **arguments: Any) -> tuple[Any, bool]:
    """Return a Table that leaves out expired items, where this version of ours has that; and whether it has."""
    try:
        return open_table(items.TABLE, ttl="expires_at", **arguments), True
    except TypeError:
        return open_table(items.TABLE, **arguments), False


def _table(table: Any) -> Made:
    item = items.InTurn(items.several)

    def write_batch() -> None:
        with table.batch_writer() as writer:
            for each in items.batch():
                writer.put_item(Item=each)

    return Made(
        calls={
            "get_item": lambda: table.get_item(Key=items.KEY),
            "put_item": lambda: table.put_item(Item=item()),
            "update_item": lambda: table.update_item(**native_update()),
            "query": lambda: table.query(**native_query()),
            "query_few": lambda: table.query(**native_query(), Limit=items.FEW),
            "batch": write_batch,
        },
        items=native_items(),
    )


def _client(client: Any) -> Made:
    item, key, update, query = items.InTurn(typed_several), items.typed(items.KEY), typed_update(), typed_query()
    return Made(
        calls={
            "get_item": lambda: client.get_item(TableName=items.TABLE, Key=key),
            "put_item": lambda: client.put_item(TableName=items.TABLE, Item=item()),
            "update_item": lambda: client.update_item(**update),
            "query": lambda: client.query(**query),
            "query_few": lambda: client.query(**query, Limit=items.FEW),
            "batch": lambda: client.batch_write_item(RequestItems=typed_batch()),
        },
        items=typed_items(),
    )


def native_update() -> dict[str, Any]:
    """Return a Table's arguments for update_item."""
    return {
        "Key": items.KEY,
        "UpdateExpression": UPDATE_EXPRESSION,
        "ExpressionAttributeNames": UPDATE_NAMES,
        "ExpressionAttributeValues": {":status": "sent", ":one": 1},
        "ReturnValues": "ALL_NEW",
    }


def native_query() -> dict[str, Any]:
    """Return a Table's arguments for query."""
    return {"KeyConditionExpression": KEY_CONDITION, "ExpressionAttributeValues": {":pk": items.KEY["pk"]}}


def typed_update() -> dict[str, Any]:
    """Return a client's arguments for update_item."""
    return {
        **native_update(),
        "TableName": items.TABLE,
        "Key": items.typed(items.KEY),
        "ExpressionAttributeValues": {":status": {"S": "sent"}, ":one": {"N": "1"}},
    }


def typed_query() -> dict[str, Any]:
    """Return a client's arguments for query."""
    values = {":pk": {"S": items.KEY["pk"]}}
    return {**native_query(), "TableName": items.TABLE, "ExpressionAttributeValues": values}


def typed_several() -> list[dict[str, Any]]:
    """Return the items that are written in turn, in typed form."""
    return [items.typed(each) for each in items.several()]


@lru_cache(maxsize=1)
def typed_batch() -> dict[str, Any]:
    """Return a client's RequestItems for batch_write_item."""
    return {items.TABLE: [{"PutRequest": {"Item": items.typed(each)}} for each in items.batch()]}


def native_items() -> dict[str, Any]:
    """Tell where a Table's answers have their items."""
    return {
        "get_item": lambda answer: [answer["Item"]],
        "update_item": lambda answer: [answer["Attributes"]],
        "query": lambda answer: answer["Items"],
        "query_few": lambda answer: answer["Items"],
    }


def typed_items() -> dict[str, Any]:
    """Tell where a client's answers have their items."""
    return {
        "get_item": lambda answer: [items.untyped(answer["Item"])],
        "update_item": lambda answer: [items.untyped(answer["Attributes"])],
        "query": lambda answer: [items.untyped(each) for each in answer["Items"]],
        "query_few": lambda answer: [items.untyped(each) for each in answer["Items"]],
    }
