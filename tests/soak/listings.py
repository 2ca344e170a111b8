"""Operations that read: single items, many by their keys, queries, scans, transactions; of all workers' items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self

from boto3.dynamodb.conditions import Key

from .model import Fault, Reading, Sees, Value
from .worker import Worker
from .world import Shelf, as_stored, item_of, unexpired

_LATEST = 60
"""Of the shelves that there are, so many of the newest are read."""
_VIEWS: tuple[tuple[str, Sees], ...] = (("items", as_stored), ("expiring", unexpired), ("remembering", as_stored))
Item = Mapping[str, Any]


def _shelf(worker: Worker, *places: str) -> Shelf | None:
    """Return a shelf with something on it, of any worker; None where there is none yet."""
    shelves = [each for each in worker.world.shelves[-_LATEST:] if each.place in places and each.registers]
    return worker.chance.choice(shelves) if shelves else None


def _view(worker: Worker, place: str) -> tuple[Any, Sees]:
    """Return a table to read a place by, and what it shows of what is stored."""
    name, sees = worker.chance.choice(_VIEWS) if place == "items" else (place, as_stored)
    return getattr(worker.side.tables, name), sees


class Listing:
    """A read of several registers at once. A context manager, so that all readings end."""

    def __init__(
        self, worker: Worker, name: str, shelves: Iterable[Shelf], only: Collection[str] | None = None
    ) -> None:
        """Begin to read what is on the shelves; `only` names the sort keys that are asked for."""
        self._world = worker.world
        self._by = worker.by(name)
        self._readings: dict[tuple[str, str], Reading] = {
            (shelf.pk, sk): register.read()
            for shelf in shelves
            for sk, register in list(shelf.registers.items())
            if only is None or sk in only
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reading in self._readings.values():
            reading.close()

    def found(self, items: Iterable[Item], sees: Sees = as_stored, *, is_whole: bool = True) -> None:
        """Hold what was given against the history; with `is_whole`, what was not given is not there."""
        given = [(item, (str(item.get("pk")), str(item.get("sk")))) for item in items]
        for key, times in Counter(key for _, key in given).items():
            if times > 1:
                self._report(key, Fault.DOUBLED, f"{self._by} gave an item {times} times")
        values = {key: self._value(item, key) for item, key in given}
        for key, value in values.items():
            reading = self._readings.get(key)
            if reading is not None and value != _UNREADABLE:
                reading.found(value, self._by, sees)
            elif reading is None and self._world.register(*key) is None:  # one may be new since the read began
                self._report(key, Fault.WRONG, f"{self._by} gave an item that nobody has put")
        if is_whole:
            for key in self._readings.keys() - values.keys():
                self._readings[key].found(None, self._by, sees)

    def found_stale(self, items: Iterable[Item]) -> None:
        """Hold items that are said to be stale against the history."""
        for item in items:
            key = (str(item.get("pk")), str(item.get("sk")))
            register, value = self._world.register(*key), self._value(item, key)
            if register is None:
                self._report(key, Fault.WRONG, f"{self._by} gave an item that nobody has put")
            elif value != _UNREADABLE:
                register.found_stale(value, self._by)

    def answered(self, answer: Mapping[str, Any], sees: Sees = as_stored, *, is_whole: bool = True) -> None:
        """Hold the answer of `get_item`, `query` or `scan` against the history, by what it says of itself."""
        items = [answer["Item"]] if "Item" in answer else answer.get("Items", ())
        if answer.get("ResponseMetadata", {}).get("Resilience", {}).get("stale"):
            self.found_stale(items)
        else:
            self.found(items, sees, is_whole=is_whole)

    def _value(self, item: Item, key: tuple[str, str]) -> Value:
        """Return the value that an item stands for; what is no such item is reported."""
        value = item.get("v")
        if value is not None and item == item_of(*key, int(value)):
            return int(value)
        self._report(key, Fault.WRONG, f"{self._by} gave an item that nobody wrote so: v is {value}")
        return _UNREADABLE

    def _report(self, key: tuple[str, str], fault: Fault, text: str) -> None:
        self._world.book.report(fault, "/".join(key), text)


_UNREADABLE = -1


async def get(worker: Worker) -> None:
    """Read an item."""
    shelf = _shelf(worker, "items", "spread", "scattered")
    if shelf is None:
        return
    sk = worker.chance.choice(list(shelf.registers))
    table, sees = _view(worker, shelf.place)
    params: dict[str, Any] = {"Key": {"pk": shelf.pk, "sk": sk}}
    if worker.chance.random() < 0.5:
        params["ConsistentRead"] = True
    name = "get_item" if shelf.place == "items" else f"{shelf.place}.get_item"
    with Listing(worker, name, [shelf], [sk]) as listing:
        answer = await worker.read(name, lambda: worker.side.call(table.get_item, **params))
        if answer is not None:
            listing.answered(answer, sees)


async def query(worker: Worker) -> None:
    """Query a key, page by page, or by `query_items`."""
    shelf = _shelf(worker, "items", "spread", "scattered")
    if shelf is None:
        return
    table, sees = _view(worker, shelf.place)
    params = {"KeyConditionExpression": Key("pk").eq(shelf.pk), "ConsistentRead": True}
    if worker.chance.random() < 0.5:
        params["ScanIndexForward"] = False
    prefix = "" if shelf.place == "items" else f"{shelf.place}."
    how = worker.chance.choice(("query", "query_items", "pages"))
    with Listing(worker, prefix + how, [shelf]) as listing:
        if how == "query":
            answer = await worker.read(prefix + how, lambda: worker.side.call(table.query, **params))
            if answer is not None and worker.part(how, answer, "Items") is not None:
                listing.answered(answer, sees, is_whole="LastEvaluatedKey" not in answer)
            return
        if how == "pages":
            params["Limit"] = worker.chance.randrange(1, 9)
            found = await worker.read(prefix + how, lambda: _pages(worker, table.query, params))
        else:
            found = await worker.read(prefix + how, lambda: worker.side.listed(table.query_items(**params)))
        if found is not None:
            listing.found(found, sees)


async def _pages(worker: Worker, verb: Any, params: Mapping[str, Any]) -> list[Item] | None:
    """Return the items of all pages; None where one of them is stale: what is whole then can't be told."""
    request, items = dict(params), []
    while True:
        page = await worker.side.call(verb, **request)
        if page.get("ResponseMetadata", {}).get("Resilience", {}).get("stale"):
            return None
        found = worker.part("pages", page, "Items")
        if found is None:
            return None
        items += found
        if "LastEvaluatedKey" not in page:
            return items
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


async def scan(worker: Worker) -> None:
    """Read a whole table: by one scan, in parallel, or by the client's paginator."""
    table, sees = _view(worker, "items")
    shelves = [shelf for shelf in list(worker.world.shelves) if shelf.place == "items"]
    ways = ("scan_items", "parallel_scan", "scan pages", "paginator")
    has_paginator = hasattr(table.meta.client, "get_paginator")  # a client that opens by itself may not have yet
    how = worker.chance.choice(ways if has_paginator else ways[:-1])
    limit = worker.chance.choice((20, 50, 300))
    calls = {
        "scan_items": lambda: worker.side.listed(table.scan_items(Limit=limit)),
        "parallel_scan": lambda: worker.side.listed(table.parallel_scan(worker.chance.randrange(1, 5), Limit=limit)),
        "scan pages": lambda: _pages(worker, table.scan, {"Limit": limit}),
        "paginator": lambda: _paginated(worker, table, limit),
    }
    with Listing(worker, how, shelves) as listing:
        found = await worker.read(how, calls[how])
        if found is not None:
            listing.found(found, sees)


async def _paginated(worker: Worker, table: Any, limit: int) -> list[Item] | None:
    pages = table.meta.client.get_paginator("scan").paginate(
        TableName=table.name, PaginationConfig={"PageSize": limit}, ConsistentRead=True
    )
    items: list[Item] = []
    for page in await worker.side.listed(pages):
        if page["ResponseMetadata"].get("Resilience", {}).get("stale"):
            return None
        found = worker.part("paginator", page, "Items")
        if found is None:
            return None
        items += found
    return items


def _chosen(worker: Worker, number: int) -> tuple[list[Shelf], list[dict[str, str]]]:
    """Return shelves, and keys of items on them."""
    shelves = {each.pk: each for each in (_shelf(worker, "items") for _ in range(4)) if each is not None}
    keys = [{"pk": shelf.pk, "sk": sk} for shelf in shelves.values() for sk in list(shelf.registers)]
    worker.chance.shuffle(keys)
    return list(shelves.values()), keys[:number]


async def get_items(worker: Worker) -> None:
    """Read many items by their keys, some of them twice."""
    shelves, keys = _chosen(worker, worker.chance.randrange(1, 20))
    if not keys:
        return
    table, sees = _view(worker, "items")
    asked = [*keys, *keys[:2]]
    with Listing(worker, "get_items", shelves, [key["sk"] for key in keys]) as listing:
        reader = table.get_items(asked, ConsistentRead=True)
        found = await worker.read("get_items", lambda: worker.side.listed(reader))
        if found is None:
            return
        listing.found(found, sees)
        told = sorted([item["sk"] for item in found] + [key["sk"] for key in reader.missing])
        if told != sorted(key["sk"] for key in keys):
            worker.world.book.report(Fault.WRONG, "get_items", f"{len(told)} items and missing keys for {len(keys)}")


async def batch_get_by_client(worker: Worker) -> None:
    """Read items by their keys, with one request."""
    shelves, keys = _chosen(worker, worker.chance.randrange(1, 20))
    if not keys:
        return
    table = worker.side.tables.items
    request = {"RequestItems": {table.name: {"Keys": keys, "ConsistentRead": True}}}
    name = "client.batch_get_item"
    with Listing(worker, name, shelves, [key["sk"] for key in keys]) as listing:
        answer = await worker.read(name, lambda: worker.side.call(table.meta.client.batch_get_item, **request))
        responses = None if answer is None else worker.part(name, answer, "Responses")
        if responses is not None:
            listing.found(responses.get(table.name, []), is_whole=not answer.get("UnprocessedKeys"))


async def transact_get(worker: Worker) -> None:
    """Read items in a transaction."""
    shelves, keys = _chosen(worker, worker.chance.randrange(1, 5))
    if not keys:
        return
    table = worker.side.tables.items
    entries = [{"Get": {"TableName": table.name, "Key": key}} for key in keys]
    name = "transact_get_items"
    with Listing(worker, name, shelves, [key["sk"] for key in keys]) as listing:
        answer = await worker.read(
            name, lambda: worker.side.call(table.meta.client.transact_get_items, TransactItems=entries)
        )
        responses = None if answer is None else worker.part(name, answer, "Responses")
        if responses is not None:
            listing.found(entry["Item"] for entry in responses if entry.get("Item"))


async def fan_in(worker: Worker) -> None:
    """Query several keys at once."""
    place = worker.chance.choice(("items", "spread"))
    shelves = {each.pk: each for each in (_shelf(worker, place) for _ in range(3)) if each is not None}
    if not shelves:
        return
    table = getattr(worker.side.tables, place)
    with Listing(worker, "query_many_items", shelves.values()) as listing:
        found = await worker.read("query_many_items", lambda: worker.side.listed(table.query_many_items(list(shelves))))
        if found is not None:
            listing.found(found)
