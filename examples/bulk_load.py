"""Many items at a stated rate: none is lost, and what can't be written is told. Sync and async.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/bulk_load.py
"""

import asyncio

import resilient_ddb as rddb
from resilient_ddb import aio

dynamodb = rddb.resource("dynamodb")
readings = dynamodb.Table("readings")


def items(prefix):
    for number in range(1000):
        yield {"id": f"{prefix}-{number:04}", "celsius": number % 40}
    yield {"id": f"{prefix}-broken", "celsius": 21.5}  # a float: boto3 takes none


def load(source, unprocessed):
    with readings.batch_writer(write_units_per_second=2000, max_workers=4, on_unprocessed=unprocessed.extend) as batch:
        for item in source:
            batch.put_item(Item=item)
    for refusal in batch.refusals:
        print(refusal.key, refusal.reason)
    return batch.report


async def load_async(source):
    limiter = rddb.RateLimiter(2000)  # may be shared with other writers
    try:
        async with aio.table(readings.name).batch_writer(write_units_per_second=limiter) as batch:
            for item in source:
                await batch.put_item(Item=item)
    except rddb.UnprocessedItemsError as error:  # all else is written
        return batch.report, error.requests
    return batch.report, []


if __name__ == "__main__":
    dynamodb.create_table(
        TableName=readings.name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    ).wait_until_exists()
    left = []
    print(f"sync: {load(items('a'), left).written} written, {len(left)} not")
    report, left = asyncio.run(load_async(items("b")))
    print(f"async: {report.written} written, {len(left)} not")
    readings.delete()
