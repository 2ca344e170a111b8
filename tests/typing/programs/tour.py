"""The tour: a first call, a batch at a rate, a deadline, and what an error says."""

import resilient_ddb as rddb

dynamodb = rddb.resource("dynamodb", region_name="eu-west-1")
orders = dynamodb.Table("orders")


def fill(names: list[str]) -> list[object]:
    with orders.batch_writer(write_units_per_second=50) as batch:
        for name in names:
            batch.put_item(Item={"id": name})
    return list(batch.unprocessed)


def look(name: str) -> str:
    try:
        with rddb.deadline(2):
            item = orders.get_item(Key={"id": name}).get("Item")
    except rddb.CircuitOpenError as error:
        return f"try again in {error.retry_after} s"
    except rddb.ResilienceError as error:
        facts = rddb.call_facts(error)
        return "" if facts is None else f"{facts.attempts} attempts, {facts.kind}"
    return str(item)


print(fill(["o-1"]), look("o-1"), rddb.status(orders).as_dict())
