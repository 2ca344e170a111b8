"""Reading everything back at the end, past the relay, when nothing is in the air."""

from __future__ import annotations

from typing import Any

from .model import Fault
from .world import World, entries_in, item_of

_BY = "the last look"


def audit(world: World) -> int:
    """Hold all that is stored against the histories; return how many items were looked at."""
    number = 0
    for place in ("items", "spread", "scattered"):
        stored = _stored(world, place)
        for shelf in world.shelves:
            if shelf.place != place:
                continue
            for sk, register in shelf.registers.items():
                register.settled()
                values = stored.pop((shelf.pk, sk), [])
                if len(values) > 1:
                    world.book.report(Fault.DOUBLED, register.name, f"{_BY} found it in {len(values)} shards")
                register.read().found(values[0] if values else None, _BY)
                number += 1
        for key in stored:
            world.book.report(Fault.WRONG, "/".join(key), f"{_BY} found an item that nobody has put")
    return number + _audit_ledgers(world)


def _stored(world: World, place: str) -> dict[tuple[str, str], list[int]]:
    """Return the values that are stored, by their keys as workers know them."""
    found: dict[tuple[str, str], list[int]] = {}
    for item in world.listed_directly(place):
        pk, sk, value = item["pk"].partition("#")[0], item["sk"], int(item["v"])
        found.setdefault((pk, sk), []).append(value)
        if {**item, "pk": pk} != item_of(pk, sk, value):
            world.book.report(Fault.WRONG, f"{place}/{pk}/{sk}", f"{_BY} found an item that nobody wrote so")
    return found


def _audit_ledgers(world: World) -> int:
    stored: dict[str, dict[str, Any]] = {item["pk"]: item for item in world.listed_directly("ledgers")}
    ledgers = [ledger for made in world.ledgers.values() for ledger in made]
    for ledger in [*ledgers, *(ledger for pair in world.pairs for ledger in pair)]:
        ledger.found(entries_in(stored.pop(ledger.name, None)), _BY, ledger.read())
    for name in stored:
        world.book.report(Fault.WRONG, name, f"{_BY} found a ledger that nobody began")
    for one, other in world.pairs:
        if one.read() != other.read():
            one.complain(f"{_BY} found additions of a transaction in one of two items only")
    return len(ledgers) + 2 * len(world.pairs)
