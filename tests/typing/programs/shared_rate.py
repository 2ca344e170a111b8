"""One rate for many processes, by a table of leases."""

import resilient_ddb as rddb
from resilient_ddb import aio

dynamodb = rddb.resource("dynamodb")
leases = rddb.SharedRateLimiter.create_table(dynamodb, "rate-leases")
limiter = rddb.SharedRateLimiter(leases, "orders/write", 400, lease_duration=10)
orders = dynamodb.Table("orders")

with limiter:
    waited: float = limiter.acquire(1)
    orders.put_item(Item={"id": "o-1"})
    with orders.batch_writer(write_units_per_second=limiter) as batch:
        batch.put_item(Item={"id": "o-2"})


async def main() -> None:
    shared = rddb.SharedRateLimiter("rate-leases", "orders/write", 400)
    await shared.acquire_async(1)
    async with aio.table("orders").batch_writer(write_units_per_second=shared) as writer:
        await writer.put_item(Item={"id": "o-3"})
    shared.close()
