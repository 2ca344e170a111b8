"""Deadlines as a block and as a decorator, and how to lift one."""

import asyncio

import resilient_ddb as rddb
from resilient_ddb import aio

orders = rddb.resource("dynamodb").Table("orders")
orders_async = aio.table("orders", policy=rddb.Policy(timeouts=rddb.Timeouts(call=2.0, connection_max_idle=30.0)))


def save(name: str, seconds: float | None) -> bool:
    try:
        with rddb.deadline(seconds) as deadline:
            orders.put_item(Item={"id": name})
            print(deadline.remaining())
    except rddb.DeadlineExceededError as error:
        print(error.resilience.attempts, isinstance(error, TimeoutError))
        return False
    return True


@rddb.deadline(2)
def read(name: str) -> dict[str, object] | None:
    item = orders.get_item(Key={"id": name}).get("Item")
    return dict(item) if item else None


@rddb.deadline(2)
async def read_async(name: str) -> bool:
    response = await orders_async.get_item(Key={"id": name})
    return "Item" in response


def count_later(name: str) -> None:
    with rddb.no_deadline():
        orders.update_item(Key={"id": name}, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": 1})


found: dict[str, object] | None = read("o-1")
is_there: bool = asyncio.run(read_async("o-1"))
