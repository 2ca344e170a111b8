"""Tests of an application's own: what it does when DynamoDB throttles, loses a reply or hangs.

Run them against an emulator:
AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 python -m pytest examples/faults_in_tests.py
"""

import os
import uuid

import boto3
import pytest

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock, FaultProxy, faults


def take_one(table, key):
    """Take one from the stock. The application's code, under test."""
    try:
        table.update_item(
            Key=key,
            UpdateExpression="SET stock = stock - :one",
            ConditionExpression="stock >= :one",
            ExpressionAttributeValues={":one": 1},
        )
    except table.meta.client.exceptions.ConditionalCheckFailedException:
        return "sold out"
    except Exception as error:
        if getattr(error, "resilience", None) is not None and error.resilience.ambiguous:
            return "in doubt"
        raise
    return "taken"


@pytest.fixture
def proxy():
    with FaultProxy(os.environ["AWS_ENDPOINT_URL_DYNAMODB"], seed=1) as running:
        yield running


@pytest.fixture
def direct():
    """A plain table that goes past the proxy: what is really stored."""
    dynamodb = boto3.Session().resource("dynamodb")
    table = dynamodb.create_table(
        TableName=f"stock-{uuid.uuid4().hex}",
        KeySchema=[{"AttributeName": "sku", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "sku", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.wait_until_exists()
    table.put_item(Item={"sku": "tea", "stock": 2})
    yield table
    table.delete()


@pytest.fixture
def table(proxy, direct):
    """The application's table: its pauses take no time, and nobody is waited for long."""
    policy = rddb.Policy(clock=FakeClock(), timeouts=rddb.Timeouts(read=3.0))
    return rddb.table(direct.name, endpoint_url=proxy.endpoint_url, policy=policy)


def stock(direct):
    return direct.get_item(Key={"sku": "tea"}, ConsistentRead=True)["Item"]["stock"]


def test_throttling_is_sat_out(proxy, direct, table):
    proxy.plan = [faults.Throttle(operations={"UpdateItem"}, times=1)]
    assert take_one(table, {"sku": "tea"}) == "taken"
    assert [seen.status for seen in proxy.seen] == [400, 200]
    assert stock(direct) == 1


def test_a_lost_reply_takes_one_and_not_two(proxy, direct, table):
    proxy.plan = [faults.LoseReply(operations={"UpdateItem"}, times=1)]
    assert take_one(table, {"sku": "tea"}) == "in doubt"
    assert stock(direct) == 1


def test_a_deadline_holds_although_nobody_answers(proxy, table):
    proxy.plan = [faults.Hang()]
    with rddb.deadline(1.0), pytest.raises(rddb.DeadlineExceededError):
        table.get_item(Key={"sku": "tea"})
    assert proxy.count("GetItem", faults.Hang) == 1
