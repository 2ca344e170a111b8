"""Operations on ledgers: items that all workers add to, in every way that there is to add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import resilient_ddb as rddb

from .model import Fault, Ledger, Told
from .told import words_of
from .worker import Call, Worker
from .world import entries_in

_ADD = "ADD n :one, marks :marks"
_APPEND = "SET trail = list_append(if_not_exists(trail, :none), :names), n = if_not_exists(n, :zero) + :one"
_APPEND_TO_THERE = "SET trail = list_append(trail, :names), n = n + :one"
_KINDS = {"versioned": None, "marked": "write_token"}
"""Kinds of versioned ledgers, by the attribute that keeps the marks of their writes."""
_READ = ("add", "append", *_KINDS)


async def _addition(worker: Worker, ledger: Ledger, name: str, operation: str, call: Call) -> None:
    """Make an addition, and hold what it gives back against the history."""
    must = ledger.read()
    ledger.began(name)
    told, outcome = await worker.write(operation, call)
    ledger.ended(name, told, words_of(outcome))
    if told is Told.APPLIED and isinstance(outcome, dict) and "Attributes" in outcome:
        ledger.found(entries_in(outcome["Attributes"]), worker.by(operation), must | {name})
    if isinstance(outcome, rddb.VersionConflictError) and outcome.current is not None:
        ledger.found(entries_in(outcome.current), worker.by(operation), must)


async def add(worker: Worker) -> None:
    """Add to a number and a set."""
    ledger, name = worker.world.ledger("add", worker.chance), worker.world.new_name()
    params = _adding(ledger, name)
    if worker.chance.random() < 0.5:
        params["ReturnValues"] = worker.chance.choice(("UPDATED_NEW", "ALL_NEW"))
    table = worker.side.tables.ledgers
    await _addition(worker, ledger, name, "update_item ADD", lambda: worker.side.call(table.update_item, **params))


async def add_surely(worker: Worker) -> None:
    """Add to a number and a set, in a way that may be sent again."""
    ledger, name = worker.world.ledger("add", worker.chance), worker.world.new_name()
    table, params = worker.side.tables.ledgers, _adding(ledger, name)
    operation = "idempotent_update"
    await _addition(worker, ledger, name, operation, lambda: worker.side.idempotent_update(table, **params))


async def append(worker: Worker) -> None:
    """Append to a list."""
    ledger, name = worker.world.ledger("append", worker.chance), worker.world.new_name()
    params = {
        "Key": {"pk": ledger.name},
        "UpdateExpression": _APPEND,
        "ExpressionAttributeValues": {":names": [name], ":none": [], ":one": 1, ":zero": 0},
    }
    table = worker.side.tables.ledgers
    operation = "update_item list_append"
    await _addition(worker, ledger, name, operation, lambda: worker.side.call(table.update_item, **params))


def _adding(ledger: Ledger, name: str) -> dict[str, Any]:
    return {
        "Key": {"pk": ledger.name},
        "UpdateExpression": _ADD,
        "ExpressionAttributeValues": {":one": 1, ":marks": {name}},
    }


# With versions.


async def modify(worker: Worker) -> None:
    """Read, change and write an item with a version."""
    kind, table = _versioned(worker)
    ledger, name = worker.world.ledger(kind, worker.chance), worker.world.new_name()
    operation = f"modify, {kind}"
    must = ledger.read()
    ledger.began(name)
    call = worker.side.call
    told, outcome = await worker.write(
        operation, lambda: call(table.modify, {"pk": ledger.name}, _change(ledger, name))
    )
    ledger.ended(name, told, words_of(outcome))
    if told is Told.APPLIED:
        ledger.found(entries_in(outcome), worker.by(operation), must | {name})


def _change(ledger: Ledger, name: str) -> Callable[[dict[str, Any] | None], dict[str, Any]]:
    def change(item: dict[str, Any] | None) -> dict[str, Any]:
        item = item or {"n": 0, "trail": []}
        if name in item["trail"]:
            ledger.complain(f"modify asks for the change {name} again, which was made", Fault.DOUBLED)
        item["n"] += 1
        item["trail"].append(name)
        return item

    return change


async def write_version(worker: Worker) -> None:
    """Read an item with a version, and put or update it under that version."""
    kind, table = _versioned(worker)
    ledger, name = worker.world.ledger(kind, worker.chance), worker.world.new_name()
    key = {"pk": ledger.name}
    must = ledger.read()
    answer = await worker.read(
        "get_item, versioned", lambda: worker.side.call(table.get_item, Key=key, ConsistentRead=True)
    )
    if answer is None:
        return
    item = answer.get("Item")
    ledger.found(entries_in(item), worker.by("get_item, versioned"), must)
    if item is None or worker.chance.random() < 0.5:
        changed = {**key, **_change(ledger, name)(item)}
        call: Call = lambda: worker.side.call(table.put_item, Item=changed)  # noqa: E731 - as below
        await _addition(worker, ledger, name, f"put_item, {kind}", call)
        return
    params: dict[str, Any] = {
        "Key": key,
        "expected_version": item["version"],
        "UpdateExpression": _APPEND_TO_THERE,
        "ExpressionAttributeValues": {":names": [name], ":one": 1},
    }
    if worker.chance.random() < 0.5:
        params["ReturnValues"] = "ALL_NEW"
    call = lambda: worker.side.call(table.update_item, **params)  # noqa: E731 - as above
    await _addition(worker, ledger, name, f"update_item, {kind}", call)


def _versioned(worker: Worker) -> tuple[str, Any]:
    kind = worker.chance.choice(list(_KINDS))
    return kind, worker.side.tables.ledgers.versioned(write_token=_KINDS[kind])


# Two at once.


async def add_to_pair(worker: Worker) -> None:
    """Add to two items in one transaction."""
    pair, name = worker.world.pair(worker.chance), worker.world.new_name()
    table = worker.side.tables.ledgers
    entries = [{"Update": {"TableName": table.name, **_adding(ledger, name)}} for ledger in pair]
    for ledger in pair:
        ledger.began(name)
    told, outcome = await worker.write(
        "transact_write_items ADD",
        lambda: worker.side.call(table.meta.client.transact_write_items, TransactItems=entries),
    )
    for ledger in pair:
        ledger.ended(name, told, words_of(outcome))


async def read_pair(worker: Worker) -> None:
    """Read two items in one transaction: an addition is in both, or in none."""
    pair = worker.world.pair(worker.chance)
    table = worker.side.tables.ledgers
    entries = [{"Get": {"TableName": table.name, "Key": {"pk": ledger.name}}} for ledger in pair]
    musts = [ledger.read() for ledger in pair]
    name = "transact_get_items of a pair"
    answer = await worker.read(
        name, lambda: worker.side.call(table.meta.client.transact_get_items, TransactItems=entries)
    )
    responses = None if answer is None else worker.part(name, answer, "Responses")
    if responses is None:
        return
    found = [entries_in(entry.get("Item") or None) for entry in responses]
    for ledger, entries_found, must in zip(pair, found, musts, strict=True):
        ledger.found(entries_found, worker.by(name), must)
    if set(found[0].names) != set(found[1].names):
        pair[0].complain(f"{worker.by(name)} found additions of a transaction in one of two items only")


async def read(worker: Worker) -> None:
    """Read a ledger."""
    ledger = worker.world.ledger(worker.chance.choice(_READ), worker.chance)
    must = ledger.read()
    params = {"Key": {"pk": ledger.name}, "ConsistentRead": worker.chance.random() < 0.5}
    table = worker.side.tables.ledgers
    name = "get_item of a ledger"
    answer = await worker.read(name, lambda: worker.side.call(table.get_item, **params))
    if answer is not None:
        ledger.found(entries_in(answer.get("Item")), worker.by(name), must)
