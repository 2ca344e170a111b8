"""Operations that write registers: puts, updates, deletes, batches and transactions of one worker's own items."""

from __future__ import annotations

from typing import Any

from boto3.dynamodb.conditions import Attr

from .model import Fault, Register, Told, Value
from .told import is_condition, words_of
from .worker import Worker
from .world import Shelf, item_of

_SHELVES = 2
_SHELF_SIZE = {"items": 6, "spread": 8, "scattered": 30}
Place = tuple[Shelf, str, Register]
Entry = tuple[Shelf, str, Register, Value]


def _own_shelf(worker: Worker, place: str) -> Shelf:
    """Return one of the worker's shelves; of those that items are only added to, the last one that has room."""
    shelves = worker.own.setdefault(place, [])
    if place == "scattered":
        if not shelves or len(shelves[-1].registers) >= _SHELF_SIZE[place]:
            shelves.append(worker.world.new_shelf(place))
        return shelves[-1]
    if len(shelves) < _SHELVES:
        shelves.append(worker.world.new_shelf(place))
    return worker.chance.choice(shelves)


def _one(worker: Worker, place: str) -> Place:
    """Return one of the worker's own registers."""
    shelf = _own_shelf(worker, place)
    if len(shelf.registers) < _SHELF_SIZE[place]:
        return shelf, *worker.world.new_register(shelf)
    sk = worker.chance.choice([*shelf.registers])
    return shelf, sk, shelf.registers[sk]


def _several(worker: Worker, place: str, number: int) -> list[Place]:
    """Return different registers of the worker's own."""
    found = {one[1]: one for one in (_one(worker, place) for _ in range(number))}
    return list(found.values())


def _table(worker: Worker, shelf: Shelf) -> Any:
    names = ("items", "items", "expiring", "remembering") if shelf.place == "items" else (shelf.place,)
    return getattr(worker.side.tables, worker.chance.choice(names))


def _place(worker: Worker) -> str:
    return worker.chance.choice(("items", "items", "spread"))


# Conditions.


def _condition(worker: Worker, register: Register) -> tuple[Any, bool | None]:
    """Return a condition on what is stored, and whether it holds: None where that is not certain."""
    if not register.is_certain:
        return Attr("pk").exists(), None
    is_right = worker.chance.random() < 0.7
    if register.value is None:
        return (Attr("pk").not_exists() if is_right else Attr("v").eq(register.next_value())), is_right
    return (Attr("v").eq(register.value) if is_right else Attr("pk").not_exists()), is_right


def _judge_condition(register: Register, holds: bool | None, told: Told, outcome: Any) -> None:  # noqa: FBT001
    if holds is False and told is Told.APPLIED:
        register.complain("a write was told as applied whose condition does not hold")
    if holds and isinstance(outcome, Exception) and is_condition(outcome):
        register.complain("a condition that holds was told as failed")


# Single writes.


async def put(worker: Worker) -> None:
    """Put an item."""
    shelf, sk, register = _one(worker, _place(worker))
    table, value = _table(worker, shelf), register.next_value()
    await _write(worker, register, value, "put_item", table.put_item, {"Item": item_of(shelf.pk, sk, value)})


async def put_by_client(worker: Worker) -> None:
    """Put an item through a Table's client."""
    shelf, sk, register = _one(worker, "items")
    table, value = worker.side.tables.items, register.next_value()
    params = {"TableName": table.name, "Item": item_of(shelf.pk, sk, value)}
    await _write(worker, register, value, "client.put_item", table.meta.client.put_item, params)


async def put_if(worker: Worker) -> None:
    """Put an item on a condition."""
    shelf, sk, register = _one(worker, _place(worker))
    condition, holds = _condition(worker, register)
    table, value = _table(worker, shelf), register.next_value()
    params = {"Item": item_of(shelf.pk, sk, value), "ConditionExpression": condition}
    await _write(worker, register, value, "put_item if", table.put_item, params, holds)


async def put_for_old(worker: Worker) -> None:
    """Put an item, and ask for the one that it replaces."""
    shelf, sk, register = _one(worker, _place(worker))
    table, value = _table(worker, shelf), register.next_value()
    params = {"Item": item_of(shelf.pk, sk, value), "ReturnValues": "ALL_OLD"}
    await _write_for_old(worker, register, value, "put_item for old", table.put_item, params)


async def update(worker: Worker) -> None:
    """Set an item's attributes."""
    shelf, sk, register = _one(worker, _place(worker))
    table, value = _table(worker, shelf), register.next_value()
    params = _setting(shelf, sk, value)
    if worker.chance.random() < 0.3:
        params["ReturnValues"] = "ALL_NEW"
    await _write(worker, register, value, "update_item SET", table.update_item, params)


async def update_if(worker: Worker) -> None:
    """Set an item's attributes on a condition."""
    shelf, sk, register = _one(worker, _place(worker))
    condition, holds = _condition(worker, register)
    table, value = _table(worker, shelf), register.next_value()
    params = _setting(shelf, sk, value) | {"ConditionExpression": condition}
    await _write(worker, register, value, "update_item SET if", table.update_item, params, holds)


async def delete(worker: Worker) -> None:
    """Delete an item."""
    shelf, sk, register = _one(worker, _place(worker))
    params: dict[str, Any] = {"Key": {"pk": shelf.pk, "sk": sk}}
    if worker.chance.random() < 0.3:
        params["ReturnValues"] = "ALL_OLD"
        await _write_for_old(worker, register, None, "delete_item for old", _table(worker, shelf).delete_item, params)
    else:
        await _write(worker, register, None, "delete_item", _table(worker, shelf).delete_item, params)


async def scatter(worker: Worker) -> None:
    """Put an item of a key whose shards are drawn at random; or change or delete one that is surely there."""
    table = worker.side.tables.scattered
    shelf = _own_shelf(worker, "scattered")
    there = [sk for sk, each in shelf.registers.items() if each.is_certain and each.value is not None]
    if not there or worker.chance.random() < 0.6:
        sk, register = worker.world.new_register(shelf)
        value = register.next_value()
        params = {"Item": item_of(shelf.pk, sk, value)}
        await _write(worker, register, value, "scattered.put_item", table.put_item, params)
        return
    sk = worker.chance.choice(there)
    register = shelf.registers[sk]
    if worker.chance.random() < 0.7:
        value = register.next_value()
        params = _setting(shelf, sk, value)
        await _write(worker, register, value, "scattered.update_item", table.update_item, params)
    else:
        params = {"Key": {"pk": shelf.pk, "sk": sk}}
        await _write(worker, register, None, "scattered.delete_item", table.delete_item, params)


def _setting(shelf: Shelf, sk: str, value: int) -> dict[str, Any]:
    """Return the parameters of an update after which the item is the one that the value stands for."""
    item = item_of(shelf.pk, sk, value)
    expression, values = "SET v = :v, body = :b", {":v": item["v"], ":b": item["body"]}
    if "expires_at" in item:
        expression, values[":e"] = expression + ", expires_at = :e", item["expires_at"]
    else:
        expression += " REMOVE expires_at"
    return {
        "Key": {"pk": shelf.pk, "sk": sk},
        "UpdateExpression": expression,
        "ExpressionAttributeValues": values,
    }


async def _write(
    worker: Worker,
    register: Register,
    value: Value,
    name: str,
    verb: Any,
    params: dict[str, Any],
    holds: bool | None = None,  # noqa: FBT001 - what is known of its condition
) -> None:
    register.began(value)
    told, outcome = await worker.write(name, lambda: worker.side.call(verb, **params))
    _judge_condition(register, holds, told, outcome)
    if told is Told.APPLIED and params.get("ReturnValues") == "ALL_NEW":
        given = outcome.get("Attributes", {}).get("v")
        if given != value:
            register.complain(f"{worker.by(name)} gave {given} as the new value {value}")
    await worker.end(register, value, told, outcome)


async def _write_for_old(
    worker: Worker, register: Register, value: Value, name: str, verb: Any, params: dict[str, Any]
) -> None:
    reading = register.read()
    register.began(value)
    try:
        told, outcome = await worker.write(name, lambda: worker.side.call(verb, **params))
        if told is Told.APPLIED:
            old = outcome.get("Attributes", {}).get("v")
            if old is not None and old == value:
                register.complain(f"{worker.by(name)} gave its own value as the old one")
            else:
                reading.found(None if old is None else int(old), worker.by(name))
    finally:
        reading.close()
    await worker.end(register, value, told, outcome)


# Several at once.


async def batch(worker: Worker) -> None:
    """Put and delete many items with a batch writer, which threads or tasks may share; some of them more than once."""
    place = worker.chance.choice(("items", "spread", "scattered"))
    if place == "scattered":
        shelf = _own_shelf(worker, place)
        chosen: list[Place] = [
            (shelf, *worker.world.new_register(shelf)) for _ in range(worker.chance.randrange(1, 12))
        ]
    else:
        chosen = _several(worker, place, worker.chance.randrange(1, 40))
        chosen += worker.chance.choices(chosen, k=worker.chance.randrange(3))
    writer = _table(worker, chosen[0][0]).batch_writer(**_batch_options(worker, place))
    parts = _parts(worker, place, chosen)
    handed: dict[str, list[Value]] = {}
    error: BaseException | None = None
    try:
        await worker.side.within(10.0 + worker.chance.random(), _fill(worker, writer, parts, handed))
    except Exception as raised:  # noqa: BLE001 - whatever leaves the library is looked at
        error = raised
        worker.blame("batch_writer", raised)
    # What an error of one thread names, others may have written since.
    named = None if len(parts) > 1 else getattr(error, "items", None)
    left = {_key_in(request)["sk"] for request in named or writer.unprocessed}
    report = writer.report
    again = bool(report.retried or report.throttled_batches)
    worker.world.note(worker.side.name, "batch_writer", Told.APPLIED if error is None else Told.UNSURE)
    number = sum(map(len, handed.values()))
    if report.written > number or (error is None and report.written < len(handed)):
        text = f"{report.written} are told as written, of {number} for {len(handed)} keys"
        worker.world.book.report(Fault.WRONG, worker.by("batch_writer"), text)
    uncertain = []
    for _, sk, register in {one[1]: one for one in chosen if one[1] in handed}.values():
        if error is None and sk in left:
            register.complain("the batch writer ended well, and has the item among its unprocessed")
        told = Told.UNSURE if sk in left else Told.APPLIED
        register.ended(handed[sk], told, may_come_again=again, how=words_of(error))
        if sk in left or again:
            uncertain.append(register)
    await worker.settle(*uncertain)


def _batch_options(worker: Worker, place: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "max_workers": worker.chance.choice((1, 1, 1, 2, 3)),
        "flush_amount": worker.chance.choice((25, 4)),
    }
    if place != "scattered" and worker.chance.random() < 0.5:
        options["overwrite_by_pkeys"] = ["pk", "sk"]
    if worker.chance.random() < 0.3:  # the table is asked about
        options["write_units_per_second"] = "auto"
    return options


def _parts(worker: Worker, place: str, chosen: list[Place]) -> list[list[Entry]]:
    """Return what is to be written, in a part for each who shares the writer: all of a key is in one of them."""
    number = worker.chance.choice((1, 1, 2, 4))
    at: dict[str, int] = {}
    parts: list[list[Entry]] = [[] for _ in range(number)]
    for shelf, sk, register in chosen:
        is_delete = place != "scattered" and worker.chance.random() < 0.2
        entry = (shelf, sk, register, None if is_delete else register.next_value())
        parts[at.setdefault(sk, len(at) % number)].append(entry)
    return [part for part in parts if part]


async def _fill(worker: Worker, writer: Any, parts: list[list[Entry]], handed: dict[str, list[Value]]) -> None:
    async with worker.side.entered(writer) as block:
        if len(parts) == 1:
            await _fill_part(worker, block, parts[0], handed)
            return
        errors = await worker.side.together([_fill_part(worker, block, part, handed) for part in parts])
        for error in errors[1:]:
            worker.blame("batch_writer", error)
        if errors:
            raise errors[0]


async def _fill_part(worker: Worker, block: Any, part: list[Entry], handed: dict[str, list[Value]]) -> None:
    for shelf, sk, register, value in part:
        register.began(value)
        handed.setdefault(sk, []).append(value)
        if value is None:
            await worker.side.call(block.delete_item, Key={"pk": shelf.pk, "sk": sk})
        else:
            await worker.side.call(block.put_item, Item=item_of(shelf.pk, sk, value))


def _key_in(request: dict[str, Any]) -> dict[str, Any]:
    [(action, entry)] = request.items()
    found: dict[str, Any] = entry["Item" if action == "PutRequest" else "Key"]
    return found


async def transact(worker: Worker) -> None:
    """Put, update and delete several items in one transaction, sometimes on a condition."""
    chosen = _several(worker, "items", worker.chance.randrange(1, 4))
    table = worker.side.tables.items
    values: list[Value] = []
    entries, conditions = [], []
    for shelf, sk, register in chosen:
        action = worker.chance.choice(("Put", "Put", "Update", "Delete"))
        condition, holds = _condition(worker, register) if worker.chance.random() < 0.3 else (None, True)
        value = None if action == "Delete" else register.next_value()
        if action == "Put":
            entry: dict[str, Any] = {"Item": item_of(shelf.pk, sk, value or 0)}
        elif action == "Update":
            entry = _setting(shelf, sk, value or 0)
        else:
            entry = {"Key": {"pk": shelf.pk, "sk": sk}}
        if condition is not None:
            entry["ConditionExpression"] = condition
        entries.append({action: {"TableName": table.name, **entry}})
        values.append(value)
        conditions.append(holds)
    for (_, _, register), value in zip(chosen, values, strict=True):
        register.began(value)
    holds = False if False in conditions else None if None in conditions else True
    name = "transact_write_items"
    told, outcome = await worker.write(
        name, lambda: worker.side.call(table.meta.client.transact_write_items, TransactItems=entries)
    )
    _judge_condition(chosen[0][2], holds, told, outcome)
    for (_, _, register), value in zip(chosen, values, strict=True):
        # A lost request that comes after its success is known by its token.
        register.ended([value], told, how=words_of(outcome))
    if told is Told.UNSURE:
        await worker.settle(*(register for _, _, register in chosen))
