"""Batch writers: at a rate, with what is left over, for plain and sharded tables."""

import json
from typing import Any, TextIO

import resilient_ddb as rddb
from resilient_ddb import aio

Item = dict[str, Any]


def load(orders: rddb.Table, items: list[Item], rejected: TextIO) -> rddb.BatchReport:
    def keep(requests: list[dict[str, Any]]) -> None:
        rejected.writelines(json.dumps(request, default=str) + "\n" for request in requests)

    limiter = rddb.RateLimiter(2000, burst=100)
    with orders.batch_writer(
        overwrite_by_pkeys=["id"], write_units_per_second=limiter, max_workers=4, on_unprocessed=keep, max_attempts=5
    ) as batch:
        for item in items:
            batch.put_item(Item=item)
        batch.delete_item(Key={"id": "o-7"})
    for refusal in batch.refusals:
        print(refusal.key, refusal.size, refusal.reason)
    return batch.report


def load_or_say_so(orders: rddb.Table, items: list[Item]) -> list[Item]:
    try:
        with orders.batch_writer(write_units_per_second=500, flush_on_error=True) as batch:
            for item in items:
                batch.put_item(item, ttl_seconds=3600)
    except rddb.UnprocessedItemsError as error:
        return [dict(request) for request in error.requests]
    report = batch.report
    print(report.written, report.average_rate, report.throttled_batches)
    return batch.unprocessed


def load_sharded(events: rddb.ShardedTable, items: list[Item]) -> float:
    with events.batch_writer(["tenant", "at"], write_units_per_second=100) as batch:
        for item in items:
            batch.put_item(Item=item)
    return batch.report.consumed_units


async def main(items: list[Item]) -> None:
    async with aio.table("orders").batch_writer(write_units_per_second="auto", max_workers=2) as batch:
        for item in items:
            await batch.put_item(Item=item)
        await batch.flush()
    assert batch.report.written == len(items)
