"""The items that are served and written: an order of 20 attributes, in native and in DynamoDB's typed form.

Sizes are those on the wire: bytes of typed JSON without spaces, as DynamoDB sends it. The item that is read and
written has 0.9 KB, those of a batch have 1 KB each, and a page has as many as fit in 1 MB (1,048,576 bytes).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

TABLE = "orders"
ITEM_BYTES = 920
BATCH_ITEM_BYTES = 1024
PAGE_BYTES = 1_048_576
BATCH_SIZE = 25
FEW = 10
"""Items of a small page, which a query asks for by its limit."""
SEVERAL = 64
"""Items that are served and written in turn, as an application reads another one each time."""
KEY = {"pk": "customer#0000042", "sk": "order#00000"}
_NAMES = ("Zoë Müller", "Amara Okafor", "Li Wei", "Nils Holm", "Inés Prado", "Tom Baker", "Aiko Sato", "Ruth Stein")
_STREETS = ("Linienstr.", "Hauptstr.", "Am Markt", "Parkallee", "Ringweg", "Seeufer")
_CITIES = ("Berlin", "Hamburg", "Leipzig", "Bremen", "Köln", "Ulm")
_NOTE = "Leave it with the neighbours, please. "


def native(number: int = 0, size: int = ITEM_BYTES) -> dict[str, Any]:
    """Return an order, as boto3's Table takes and gives it; its note is as long as makes `size` bytes of typed JSON."""
    item = {**_without_note(number), "note": ""}
    missing = size - len(encode(typed(item)))
    item["note"] = (_NOTE * (missing // len(_NOTE) + 1))[:missing]
    return item


def _without_note(number: int) -> dict[str, Any]:
    chance = random.Random(number)
    lines = [
        {
            "sku": f"{chance.choice('ABCDEFGH')}X-{chance.randrange(10_000):04}",
            "quantity": Decimal(chance.randint(1, 9)),
            "price": _price(chance, 100),
        }
        for _ in range(2)
    ]
    return {
        "pk": KEY["pk"],
        "sk": f"order#{number:05}",
        "status": chance.choice(("new", "paid", "sent", "returned")),
        "currency": chance.choice(("EUR", "USD", "GBP")),
        "channel": chance.choice(("web", "app", "shop")),
        "created_at": f"2025-03-{chance.randint(1, 28):02}T{chance.randrange(24):02}:{chance.randrange(60):02}:53Z",
        "updated_at": f"2025-04-{chance.randint(1, 28):02}T{chance.randrange(24):02}:{chance.randrange(60):02}:11Z",
        "expires_at": Decimal(4_102_444_800 + chance.randrange(10_000_000)),
        "version": Decimal(chance.randint(1, 30)),
        "total": _price(chance, 1000),
        "tax": _price(chance, 100),
        "shipping": _price(chance, 10),
        "weight": Decimal(chance.randint(1001, 9999) * 10 + 1) / 10_000,
        "item_count": Decimal(chance.randint(1, 20)),
        "gift": chance.random() < 0.1,
        "paid": chance.random() < 0.9,
        "address": {
            "name": chance.choice(_NAMES),
            "street": f"{chance.choice(_STREETS)} {chance.randint(1, 99)}",
            "postcode": f"{chance.randint(10_000, 99_999)}",
            "city": chance.choice(_CITIES),
            "lat": Decimal(chance.randint(47_001, 54_999)) / 1000,
            "lon": Decimal(chance.randint(6_001, 14_999)) / 1000,
        },
        "lines": lines,
        "tags": chance.sample(("priority", "repeat", "fragile", "export"), 2),
    }


def _price(chance: random.Random, most: int) -> Decimal:
    return Decimal(chance.randint(most, most * 100 - 1)) / 100


@lru_cache(maxsize=1)
def several() -> list[dict[str, Any]]:
    """Return the native items that are served and written in turn."""
    return [native(number) for number in range(SEVERAL)]


@lru_cache(maxsize=1)
def batch() -> list[dict[str, Any]]:
    """Return the native items of a batch."""
    return [native(number, BATCH_ITEM_BYTES) for number in range(BATCH_SIZE)]


class InTurn:
    """Yields one item after the other, for ever. They are made when the first is asked for."""

    def __init__(self, make: Callable[[], Sequence[Any]]) -> None:
        self._make = make
        self._items: Iterator[Any] | None = None

    def __call__(self) -> Any:
        """Return the next one."""
        if self._items is None:
            self._items = itertools.cycle(self._make())
        return next(self._items)


def typed(item: dict[str, Any]) -> dict[str, Any]:
    """Turn a native item into DynamoDB's typed form."""
    return {name: _typed_value(value) for name, value in item.items()}


def _typed_value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"BOOL": value}
        case Decimal() | int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case dict():
            return {"M": typed(value)}
        case list():
            return {"L": [_typed_value(each) for each in value]}
    raise TypeError(f"no typed form for {value!r}")


def untyped(item: dict[str, Any]) -> dict[str, Any]:
    """Turn a typed item into its native form."""
    return {name: _untyped_value(value) for name, value in item.items()}


def _untyped_value(value: dict[str, Any]) -> Any:
    [(kind, content)] = value.items()
    match kind:
        case "N":
            return Decimal(content)
        case "M":
            return untyped(content)
        case "L":
            return [_untyped_value(each) for each in content]
    return content


def encode(value: Any) -> bytes:
    """Return JSON as DynamoDB sends it: UTF-8, without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@lru_cache(maxsize=1)
def page() -> list[dict[str, Any]]:
    """Return the typed items of a page: as many as fit in `PAGE_BYTES` of body."""
    each = ITEM_BYTES + 1  # and a comma
    frame = len(encode({"Items": [], "Count": 10000, "ScannedCount": 10000}))
    return [typed(native(number)) for number in range((PAGE_BYTES - frame) // each)]


@lru_cache(maxsize=1)
def few() -> list[dict[str, Any]]:
    """Return the typed items of a small page."""
    return [typed(native(number)) for number in range(FEW)]


def digest(items: Iterable[dict[str, Any]]) -> str:
    """Return a fingerprint of native items: the same for Decimal, int and float of the same value."""
    text = json.dumps([_plain(item) for item in items], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    match value:
        case bool() | str() | None:
            return value
        case Decimal() | int() | float():
            return f"number {Decimal(str(value)).normalize():f}"
        case dict():
            return {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
    return f"{type(value).__name__} {value!r}"
