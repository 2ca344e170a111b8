"""An emulator, a proxy before it, and clients that do not retry."""

from contextlib import ExitStack, closing
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from resilient_ddb.testing import FakeClock, FaultProxy

CREDENTIALS = {"region_name": "eu-west-1", "aws_access_key_id": "testing", "aws_secret_access_key": "testing"}


def open_client(url, **config):
    settings = {"retries": {"total_max_attempts": 1, "mode": "standard"}, "read_timeout": 60, **config}
    return boto3.client("dynamodb", endpoint_url=url, config=Config(**settings), **CREDENTIALS)


@pytest.fixture(scope="session")
def credentials():
    return CREDENTIALS


@pytest.fixture
def make_client():
    """Make clients that do not retry, unless told; they are closed after the test."""
    with ExitStack() as opened:
        yield lambda url, **config: opened.enter_context(closing(open_client(url, **config)))


@pytest.fixture(scope="session")
def upstream_url():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="session")
def direct(upstream_url):
    """A client that goes past the proxy."""
    with closing(open_client(upstream_url)) as client:
        yield client


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def tables(direct):
    """Two empty tables, `orders` and `other`, with the partition key `pk`."""
    for name in ("orders", "other"):
        direct.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    yield
    for name in ("orders", "other"):
        direct.delete_table(TableName=name)


@pytest.fixture
def world(tables, upstream_url, direct, clock, make_client):
    """A running proxy on a fake clock, a client through it, and short words for the usual calls."""
    with FaultProxy(upstream_url, clock=clock) as proxy:
        client = make_client(proxy.endpoint_url, max_pool_connections=20)

        def put(pk="a", **more):
            return client.put_item(TableName="orders", Item={"pk": {"S": pk}, **more})

        def get(pk="a", **more):
            return client.get_item(TableName="orders", Key={"pk": {"S": pk}}, **more)

        def stored(table="orders"):
            return {item["pk"]["S"] for item in direct.scan(TableName=table)["Items"]}

        yield SimpleNamespace(proxy=proxy, client=client, direct=direct, clock=clock, put=put, get=get, stored=stored)
