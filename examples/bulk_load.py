"""Many items at a stated rate, on several threads: none is lost, and what can't be written is told.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/bulk_load.py
"""

import json
import tempfile
from pathlib import Path

import resilient_ddb as rddb

dynamodb = rddb.resource("dynamodb")
sensors = dynamodb.Table("sensors")


def create_table():
    try:
        dynamodb.create_table(
            TableName=sensors.name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    except dynamodb.meta.client.exceptions.ResourceInUseException:
        return  # it is there already
    sensors.wait_until_exists()


def readings(count):
    for number in range(count):
        yield {"id": f"s-{number:05}", "celsius": number % 40, "note": "n" * (number % 300)}
    yield {"id": "s-broken", "celsius": 21.5}  # a float: boto3 takes none
    yield {"id": "s-large", "note": "n" * 500_000}


def load(items, unprocessed):
    """Write items; those that are refused or given up on go to a file, one JSON a line."""

    def keep(requests):
        for request in requests:
            unprocessed.write(json.dumps(request, default=str) + "\n")

    limiter = rddb.RateLimiter(2000)  # may be shared with other writers and threads
    with sensors.batch_writer(
        overwrite_by_pkeys=["id"], write_units_per_second=limiter, max_workers=4, on_unprocessed=keep
    ) as batch:
        for item in items:
            batch.put_item(Item=item)
    return batch


def main():
    create_table()
    path = Path(tempfile.mkdtemp()) / "unprocessed.jsonl"
    with path.open("w") as unprocessed:
        batch = load(readings(3000), unprocessed)
    report = batch.report
    print(f"written: {report.written}, refused: {report.refused}, {report.consumed_units:.0f} units")
    for refusal in batch.refusals:
        print(refusal.key, refusal.size, refusal.reason)
    print(f"not written: {len(path.read_text().splitlines())}")


if __name__ == "__main__":
    main()
