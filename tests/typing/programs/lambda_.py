"""Handlers for AWS Lambda, async and sync: what is decorated keeps its types."""

from collections.abc import Mapping
from typing import Any, Protocol

import resilient_ddb as rddb
from resilient_ddb import aio


class Context(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


Answer = dict[str, int]
orders = aio.table("orders", policy=rddb.Policy(timeouts=rddb.Timeouts(connect=0.5, read=1.0)))
sync_orders = rddb.table("orders")


@rddb.lambda_handler(margin=0.25)
async def handler(event: Mapping[str, Any], context: Context) -> Answer:
    try:
        response = await orders.get_item(Key={"id": event["order"]})
    except rddb.CircuitOpenError:
        return {"statusCode": 503}
    return {"statusCode": 200 if "Item" in response else 404}


@rddb.lambda_handler
async def bare_handler(event: Mapping[str, Any], context: Context) -> int:
    count: int = (await orders.scan(Select="COUNT"))["Count"]
    return count


@rddb.lambda_handler
def sync_handler(event: Mapping[str, Any], context: Context) -> Answer:
    return {"statusCode": 200 if "Item" in sync_orders.get_item(Key={"id": event["order"]}) else 404}


class MadeUpContext:
    def get_remaining_time_in_millis(self) -> int:
        return 3000


answer: Answer = handler({"order": "o-1"}, MadeUpContext())  # no coroutine: the handler ran it
count: int = bare_handler({}, MadeUpContext())
same: Answer = sync_handler({"order": "o-1"}, MadeUpContext())
with rddb.lambda_deadline(MadeUpContext(), margin=0.5):
    sync_orders.get_item(Key={"id": "o-1"})
