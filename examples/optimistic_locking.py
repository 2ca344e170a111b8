"""A stock that several threads take from: no piece is sold twice, and an order that is refused says why.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/optimistic_locking.py
"""

from concurrent.futures import ThreadPoolExecutor

import resilient_ddb as rddb

dynamodb = rddb.resource("dynamodb")
stock = dynamodb.Table("stock").versioned()


class SoldOutError(Exception):
    """Raised by a change, it ends `modify`, and nothing is written."""


def create_table():
    try:
        dynamodb.create_table(
            TableName=stock.name,
            KeySchema=[{"AttributeName": "sku", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "sku", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    except dynamodb.meta.client.exceptions.ResourceInUseException:
        return  # it is there already
    stock.wait_until_exists()


def sell(customer):
    """Sell one piece. Gives False where there is none left."""

    def take_one(item):  # called again if another thread was quicker: it may do nothing but change the item
        if not item["left"]:
            raise SoldOutError
        item["left"] -= 1
        item["sold_to"].append(customer)
        return item

    try:
        with rddb.deadline(10.0):
            stock.modify({"sku": "tea"}, take_one, max_attempts=50)
    except SoldOutError:
        return False
    return True


def rename(read, name):
    """Change what was read a while ago, as a form in a browser does. Gives the newer item, if there is one."""
    try:
        stock.put_item(Item={**read, "name": name})
    except rddb.VersionConflictError as error:
        return error.current
    return None


def main():
    create_table()
    stock.modify({"sku": "tea"}, lambda _: {"name": "Tea", "left": 10, "sold_to": []})
    shown = stock.get_item(Key={"sku": "tea"}, ConsistentRead=True)["Item"]

    with ThreadPoolExecutor(4) as pool:
        sold = list(pool.map(sell, [f"customer {number}" for number in range(12)]))
    print(f"sold: {sold.count(True)}, sold out: {sold.count(False)}")

    newer = rename(shown, "Green tea")
    print(f"not renamed: it has been changed since, and {newer['left']} are left")
    assert rename(newer, "Green tea") is None


if __name__ == "__main__":
    main()
