"""A table written to a file, by a program that may be stopped at any moment and goes on where it was.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/resumable_scan.py
"""

import json
import os
import tempfile
from pathlib import Path

import resilient_ddb as rddb


def export(table, out, checkpoint, stop_after=None):
    """Write the table's items to `out`, and how far that has got to `checkpoint`. A page may be written twice."""
    done = json.loads(checkpoint.read_text()) if checkpoint.exists() else None

    with out.open("a") as lines:

        def keep(state):
            lines.flush()  # what is written comes first, and then the state that counts it
            os.fsync(lines.fileno())
            new = checkpoint.with_suffix(".new")
            new.write_text(json.dumps(state))
            new.replace(checkpoint)

        with table.parallel_scan(4, read_units_per_second=200, Limit=50, on_page=keep, resume=done) as scan:
            for number, item in enumerate(scan):
                if number == stop_after:
                    return False  # stands for a crash
                lines.write(json.dumps(item, default=str) + "\n")
    return True


def main():
    dynamodb = rddb.resource("dynamodb")
    table = dynamodb.Table("list-of-readings")
    dynamodb.create_table(
        TableName=table.name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.wait_until_exists()
    with table.batch_writer() as batch:
        for number in range(1000):
            batch.put_item(Item={"id": f"reading-{number}", "value": number})

    with tempfile.TemporaryDirectory() as folder:
        out, checkpoint = Path(folder, "readings.jsonl"), Path(folder, "readings.checkpoint")
        while not export(table, out, checkpoint, stop_after=330):
            print(f"stopped with {len(out.read_text().splitlines())} lines written")
        lines = out.read_text().splitlines()
        found = {json.loads(line)["id"] for line in lines}
        print(f"{len(found)} items of 1000, {len(lines) - len(found)} of them written twice")
    dynamodb.meta.client.delete_table(TableName=table.name)


if __name__ == "__main__":
    main()
