"""Libraries that are not built on boto3's interface. Each function imports, and gives a function that makes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from importlib import import_module
from typing import Any

from benchmarks import items

from .made import ARGUMENTS, KEY_CONDITION, POOL, UPDATE_EXPRESSION, UPDATE_NAMES, Made


def aiodynamo() -> Callable[[str], Awaitable[Made]]:
    """Go through its Table, on aiohttp, with numbers as Decimal: its default, float, is not exact."""
    aiohttp, yarl = import_module("aiohttp"), import_module("yarl")
    http = import_module("aiodynamo.http.aiohttp")
    library, models, f = (import_module(f"aiodynamo.{name}") for name in ("client", "models", "expressions"))
    credentials = import_module("aiodynamo.credentials")

    async def make(url: str) -> Made:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=POOL))
        key = credentials.Key(ARGUMENTS["aws_access_key_id"], ARGUMENTS["aws_secret_access_key"])
        client = library.Client(
            http.AIOHTTP(session),
            credentials.StaticCredentials(key),
            ARGUMENTS["region_name"],
            endpoint=yarl.URL(url),
            numeric_type=Decimal,
        )
        table, item = client.table(items.TABLE), items.InTurn(items.several)
        return Made(
            calls={
                "get_item": lambda: table.get_item(items.KEY),
                "put_item": lambda: table.put_item(item()),
                "update_item": lambda: table.update_item(
                    items.KEY,
                    f.F("status").set("sent") & f.F("version").change(1),
                    return_values=models.ReturnValues.all_new,
                ),
                "query": lambda: table.query_single_page(f.HashKey("pk", items.KEY["pk"])),
                "query_few": lambda: table.query_single_page(f.HashKey("pk", items.KEY["pk"]), limit=items.FEW),
                "batch": lambda: client.batch_write(
                    {items.TABLE: models.BatchWriteRequest(items_to_put=items.batch())}
                ),
            },
            items={
                "get_item": lambda item: [item],
                "update_item": lambda item: [item],
                "query": lambda page: page.items,
                "query_few": lambda page: page.items,
            },
            close=session.close,
        )

    return make


def pydynox_sync() -> Callable[[str], Made]:
    """Go through its client, which takes and gives dicts. It gives numbers as int and float, and has no other way."""
    library = import_module("pydynox")

    def make(url: str) -> Made:
        client, item = _pydynox_client(library, url), items.InTurn(items.several)

        def write_batch() -> None:
            with library.SyncBatchWriter(client, items.TABLE) as writer:
                for each in items.batch():
                    writer.put(each)

        return Made(
            calls={
                "get_item": lambda: client.sync_get_item(items.TABLE, items.KEY),
                "put_item": lambda: client.sync_put_item(items.TABLE, item()),
                "update_item": lambda: client.sync_update_item(items.TABLE, items.KEY, **_pydynox_update()),
                "query": lambda: list(client.sync_query(items.TABLE, KEY_CONDITION, **_pydynox_query())),
                "query_few": lambda: list(
                    client.sync_query(items.TABLE, KEY_CONDITION, limit=items.FEW, **_pydynox_query())
                ),
                "batch": write_batch,
            },
            items=_pydynox_items(),
        )

    return make


def pydynox_async() -> Callable[[str], Awaitable[Made]]:
    """See `pydynox_sync`."""
    library = import_module("pydynox")

    async def make(url: str) -> Made:
        client, item = _pydynox_client(library, url), items.InTurn(items.several)

        async def query(**limit: int) -> list[dict[str, Any]]:
            return [each async for each in client.query(items.TABLE, KEY_CONDITION, **limit, **_pydynox_query())]

        async def write_batch() -> None:
            async with library.BatchWriter(client, items.TABLE) as writer:
                for each in items.batch():
                    writer.put(each)

        return Made(
            calls={
                "get_item": lambda: client.get_item(items.TABLE, items.KEY),
                "put_item": lambda: client.put_item(items.TABLE, item()),
                "update_item": lambda: client.update_item(items.TABLE, items.KEY, **_pydynox_update()),
                "query": query,
                "query_few": lambda: query(limit=items.FEW),
                "batch": write_batch,
            },
            items=_pydynox_items(),
        )

    return make


def _pydynox_client(library: Any, url: str) -> Any:
    return library.DynamoDBClient(
        region=ARGUMENTS["region_name"],
        access_key=ARGUMENTS["aws_access_key_id"],
        secret_key=ARGUMENTS["aws_secret_access_key"],
        endpoint_url=url,
    )


def _pydynox_update() -> dict[str, Any]:
    return {
        "update_expression": UPDATE_EXPRESSION,
        "expression_attribute_names": UPDATE_NAMES,
        "expression_attribute_values": {":status": "sent", ":one": 1},
        "return_values": "ALL_NEW",
    }


def _pydynox_query() -> dict[str, Any]:
    return {"expression_attribute_values": {":pk": items.KEY["pk"]}}


def _pydynox_items() -> dict[str, Any]:
    return {
        "get_item": lambda item: [item],
        "update_item": lambda item: [item],
        "query": lambda found: found,
        "query_few": lambda found: found,
    }


def pynamodb() -> Callable[[str], Made]:
    """Go through a Model that declares every attribute. It gives numbers as int and float."""
    attributes = import_module("pynamodb.attributes")
    models = import_module("pynamodb.models")

    def make(url: str) -> Made:
        order = _order_model(models.Model, attributes, url)
        instance = items.InTurn(lambda: [order.from_simple(each) for each in items.several()])
        batch: list[Any] = []

        def update() -> Any:
            # a new instance, as the one that is written is not to change
            updated = order(items.KEY["pk"], items.KEY["sk"])
            updated.update(actions=[order.status.set("sent"), order.version.set(order.version + 1)])
            return updated

        def write_batch() -> None:
            if not batch:  # made with the first one, which is not timed
                batch.extend(order.from_simple(each) for each in items.batch())
            with order.batch_write() as writer:
                for each in batch:
                    writer.save(each)

        return Made(
            calls={
                "get_item": lambda: order.get(items.KEY["pk"], items.KEY["sk"]),
                "put_item": lambda: instance().save(),
                "update_item": update,
                "query": lambda: list(order.query(items.KEY["pk"])),
                "query_few": lambda: list(order.query(items.KEY["pk"], limit=items.FEW)),
                "batch": write_batch,
            },
            items={
                "get_item": lambda found: [_simple(found)],
                "update_item": lambda found: [_simple(found)],
                "query": lambda found: [_simple(each) for each in found],
                "query_few": lambda found: [_simple(each) for each in found],
            },
        )

    return make


def _simple(instance: Any) -> dict[str, Any]:
    simple: dict[str, Any] = instance.to_simple_dict()
    return simple


def _order_model(model: type, attributes: Any, url: str) -> Any:
    """Declare the order. Values of the nested map and lists are read as what they are."""
    meta = {
        "table_name": items.TABLE,
        "host": url,
        "region": ARGUMENTS["region_name"],
        "aws_access_key_id": ARGUMENTS["aws_access_key_id"],
        "aws_secret_access_key": ARGUMENTS["aws_secret_access_key"],
        "max_pool_connections": POOL,
    }
    of_kind = {str: "UnicodeAttribute", bool: "BooleanAttribute", Decimal: "NumberAttribute", list: "ListAttribute"}
    body: dict[str, Any] = {"Meta": type("Meta", (), meta), "__module__": __name__}
    for name, value in items.native().items():
        if isinstance(value, dict):
            fields = {each: getattr(attributes, of_kind[type(part)])() for each, part in value.items()}
            body[name] = type("Address", (attributes.MapAttribute,), fields)()
        else:
            keys = {"hash_key": name == "pk", "range_key": name == "sk"} if name in items.KEY else {}
            body[name] = getattr(attributes, of_kind[type(value)])(**keys)
    body["from_simple"] = classmethod(lambda cls, values: cls(**{name: _float(each) for name, each in values.items()}))
    return type("Order", (model,), body)


def _float(value: Any) -> Any:
    """Return what PynamoDB takes: it has no Decimal."""
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {name: _float(each) for name, each in value.items()}
        case list():
            return [_float(each) for each in value]
    return value
