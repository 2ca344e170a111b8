"""aioboto3's Table, aiobotocore's client, and ours. Each function imports, and gives a coroutine function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from benchmarks import items

from .boto import (
    counting_policy,
    native_items,
    native_query,
    native_update,
    open_with_ttl,
    typed_batch,
    typed_items,
    typed_query,
    typed_several,
    typed_update,
)
from .made import ARGUMENTS, POOL, Made

Make = Callable[[str], Awaitable[Made]]


def aioboto3_table() -> Make:
    aioboto3 = import_module("aioboto3")
    config = import_module("aiobotocore.config").AioConfig

    async def make(url: str) -> Made:
        pool = config(max_pool_connections=POOL)
        opening = aioboto3.Session().resource("dynamodb", endpoint_url=url, config=pool, **ARGUMENTS)
        resource = await opening.__aenter__()
        return _table(await resource.Table(items.TABLE), lambda: opening.__aexit__(None, None, None))

    return make


def aiobotocore_client() -> Make:
    session = import_module("aiobotocore.session")
    config = import_module("aiobotocore.config").AioConfig

    async def make(url: str) -> Made:
        pool = config(max_pool_connections=POOL)
        opening = session.get_session().create_client("dynamodb", endpoint_url=url, config=pool, **ARGUMENTS)
        return _client(await opening.__aenter__(), lambda: opening.__aexit__(None, None, None))

    return make


def ours_table() -> Make:
    rddb, aio = import_module("resilient_ddb"), import_module("resilient_ddb.aio")

    async def make(url: str) -> Made:
        table, has_ttl = open_with_ttl(aio.table, policy=counting_policy(rddb), endpoint_url=url, **ARGUMENTS)
        made = _table(table, None)
        made.facts["ttl"] = has_ttl
        made.client = lambda: table.meta.client.current("get_item")
        return made

    return make


def ours_client() -> Make:
    rddb, aio = import_module("resilient_ddb"), import_module("resilient_ddb.aio")

    async def make(url: str) -> Made:
        opening = aio.client("dynamodb", policy=counting_policy(rddb), endpoint_url=url, **ARGUMENTS)
        client = await opening.__aenter__()
        made = _client(client, lambda: opening.__aexit__(None, None, None))

        async def itself() -> Any:
            return client

        made.client = itself
        return made

    return make


def _table(table: Any, close: Callable[[], Any] | None) -> Made:
    item = items.InTurn(items.several)

    async def write_batch() -> None:
        async with table.batch_writer() as writer:
            for each in items.batch():
                await writer.put_item(Item=each)

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
        close=close,
    )


def _client(client: Any, close: Callable[[], Any]) -> Made:
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
        close=close,
    )
