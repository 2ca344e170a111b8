"""The tables of a run, what is in them, and what of it can be read past the relay."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key
from botocore.config import Config

from .model import NO_ENTRIES, Book, Entries, Ledger, Register, Value
from .relay import Relay

_TIME = 1_700_000_000
"""Seconds since the epoch that have passed: items that expired then have expired."""
_FAR = 10_000_000_000
_HIDDEN = 4
"""Every so many values of a register have expired."""
_LEDGER_SIZE = 40
_LEDGERS_AT_ONCE = 2


def item_of(pk: str, sk: str, value: int) -> dict[str, Any]:
    """Return the item that a register's value stands for: all of it follows from the key and the value."""
    chance = random.Random(f"{sk}/{value}")
    item: dict[str, Any] = {
        "pk": pk,
        "sk": sk,
        "v": value,
        "body": {
            "text": chance.choice(("grün ✓ 漢字 🎉", "plain", '"quoted" \\ \n')) * chance.choice((1, 1, 1, 20, 400)),
            "numbers": [Decimal(chance.randrange(-(10**9), 10**9)) / 1000, chance.randrange(10**30)],
            "bytes": chance.randbytes(chance.randrange(1, 40)),
            "words": {f"w{number}" for number in range(chance.randrange(1, 5))},
            "none": None,
            "yes": chance.random() < 0.5,
        },
    }
    expiry = (_TIME, None, _FAR, "never")[value % _HIDDEN]
    if expiry is not None:
        item["expires_at"] = expiry
    return item


def as_stored(value: Value) -> Value:
    """Return what a Table without a TTL shows of a value."""
    return value


def unexpired(value: Value) -> Value:
    """Return what a Table with a TTL shows of a value."""
    return None if value is not None and value % _HIDDEN == 0 else value


@dataclass(eq=False)
class Shelf:
    """A partition key with its registers: one worker writes them."""

    place: str
    """Which of `Tables` it is in: `items`, `spread` or `scattered`."""
    pk: str
    registers: dict[str, Register] = field(default_factory=dict)
    """By their sort key. Only ever grows."""


class World:
    """What the workers of a run share."""

    def __init__(self, url: str, access: dict[str, str], relay: Relay) -> None:
        """Make the tables, past the relay."""
        self.book = Book()
        self.relay = relay
        self.tally: Counter[tuple[str, str, str]] = Counter()
        """Operations, by side, name and what came of them."""
        self.errors: Counter[str] = Counter()
        self.shelves: list[Shelf] = []
        self._shelf_of: dict[str, Shelf] = {}
        self.ledgers: dict[str, list[Ledger]] = {}
        """All there were of each kind; the last ones are in use."""
        self.pairs: list[tuple[Ledger, Ledger]] = []
        self._numbers = itertools.count(1)
        config = Config(proxies={}, retries={"mode": "standard", "total_max_attempts": 5}, max_pool_connections=50)
        self._client = boto3.Session(**access).resource("dynamodb", endpoint_url=url, config=config)
        self.direct = {name: self._make(name) for name in ("items", "spread", "scattered", "ledgers")}

    def _make(self, name: str) -> Any:
        keys = [("pk", "HASH")] if name == "ledgers" else [("pk", "HASH"), ("sk", "RANGE")]
        return self._client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
            BillingMode="PAY_PER_REQUEST",
        )

    def close(self) -> None:
        """Delete the tables, and close what reads past the relay."""
        for table in self.direct.values():
            table.delete()
        self._client.meta.client.close()

    def note(self, side: str, operation: str, outcome: str) -> None:
        """Count an operation."""
        with self.book.lock:
            self.tally[side, operation, outcome] += 1

    # Registers.

    def new_shelf(self, place: str) -> Shelf:
        """Return a partition key that is new."""
        shelf = Shelf(place, f"p{next(self._numbers)}")
        with self.book.lock:
            self.shelves.append(shelf)
            self._shelf_of[shelf.pk] = shelf
        return shelf

    def register(self, pk: str, sk: str) -> Register | None:
        """Return the register of a key; None where there is none."""
        shelf = self._shelf_of.get(pk)
        return None if shelf is None else shelf.registers.get(sk)

    def new_register(self, shelf: Shelf) -> tuple[str, Register]:
        """Return a sort key that is new, and its register."""
        sk = f"k~{next(self._numbers)}~"
        register = Register(self.book, f"{shelf.place}/{shelf.pk}/{sk}", lambda: self._look(shelf, sk))
        with self.book.lock:
            shelf.registers[sk] = register
        return sk, register

    def _look(self, shelf: Shelf, sk: str) -> Value:
        table = self.direct[shelf.place]
        pks = [shelf.pk] if shelf.place == "items" else [f"{shelf.pk}#{number}" for number in range(4)]
        for pk in pks:
            item = table.get_item(Key={"pk": pk, "sk": sk}, ConsistentRead=True).get("Item")
            if item is not None:
                return int(item["v"])
        return None

    # Ledgers.

    def ledger(self, kind: str, chance: random.Random) -> Ledger:
        """Return one of the ledgers of a kind that are in use."""
        with self.book.lock:
            made = self.ledgers.setdefault(kind, [])
            usable = [ledger for ledger in made[-_LEDGERS_AT_ONCE:] if len(ledger) < _LEDGER_SIZE]
            if len(usable) < _LEDGERS_AT_ONCE:
                made.append(self._new_ledger(kind))
                usable.append(made[-1])
            return chance.choice(usable)

    def pair(self, chance: random.Random) -> tuple[Ledger, Ledger]:
        """Return two ledgers that are only added to together."""
        with self.book.lock:
            usable = [pair for pair in self.pairs[-_LEDGERS_AT_ONCE:] if len(pair[0]) < _LEDGER_SIZE]
            if len(usable) < _LEDGERS_AT_ONCE:
                self.pairs.append((self._new_ledger("pair"), self._new_ledger("pair")))
                usable.append(self.pairs[-1])
            return chance.choice(usable)

    def _new_ledger(self, kind: str) -> Ledger:
        name = f"k~{next(self._numbers)}~{kind}"
        return Ledger(self.book, name, lambda: entries_in(self._look_up(name)))

    def _look_up(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = (
            self.direct["ledgers"].get_item(Key={"pk": name}, ConsistentRead=True).get("Item")
        )
        return found

    def new_name(self) -> str:
        """Return a name for an addition that is new."""
        return f"k~{next(self._numbers)}~a"

    def listed_directly(self, place: str, pk: str | None = None) -> list[dict[str, Any]]:
        """Return all items of a table, or of a key as it is stored, past the relay."""
        table, request = self.direct[place], {"ConsistentRead": True}
        read: Callable[..., Any] = table.scan
        if pk is not None:
            read, request = table.query, request | {"KeyConditionExpression": Key("pk").eq(pk)}
        items: list[dict[str, Any]] = []
        while True:
            page = read(**request)
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return items
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def entries_in(item: dict[str, Any] | None) -> Entries:
    """Return what a ledger's item holds."""
    if item is None:
        return NO_ENTRIES
    version = item.get("version")
    names = item["trail"] if "trail" in item else sorted(item.get("marks", ()))
    return Entries(int(item.get("n", 0)), tuple(names), None if version is None else int(version))
