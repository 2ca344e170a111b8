"""Prices that are still shown in an outage: the last good answer, and then a list price.

Run it against an emulator: AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python examples/fallback.py
"""

import os

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock, FaultProxy, faults

LIST_PRICES = {"tea": 3, "coffee": 4}


def list_price(call, error):
    """Answer single reads only: None leaves every other call, and every write, to fail as it did."""
    del error
    if call.operation != "GetItem":
        return None
    name = call.params["Key"]["name"]
    return {"Item": {"name": name, "price": LIST_PRICES[name]}} if name in LIST_PRICES else None


def show(response):
    source = rddb.response_info(response).source
    print(f"{response['Item']['name']}: {response['Item']['price']}, from {source}")


def main():
    upstream = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    clock = FakeClock()  # this example waits for nothing; leave the clock out in production
    policy = rddb.Policy(clock=clock, fallback=rddb.fallback.stale(max_age=300) | list_price)
    with FaultProxy(upstream) as proxy:  # stands in for the outage; leave it out in production
        dynamodb = rddb.resource("dynamodb", endpoint_url=proxy.endpoint_url, policy=policy)
        prices = dynamodb.Table("list-of-prices")
        dynamodb.create_table(
            TableName=prices.name,
            KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        prices.wait_until_exists()
        prices.put_item(Item={"name": "tea", "price": 2})
        show(prices.get_item(Key={"name": "tea"}))

        proxy.plan = [faults.Outage(duration=float("inf"))]
        show(prices.get_item(Key={"name": "tea"}))  # the last good answer
        show(prices.get_item(Key={"name": "coffee"}))  # never read before: the list price

        proxy.plan = []
        dynamodb.meta.client.delete_table(TableName=prices.name)


if __name__ == "__main__":
    main()
