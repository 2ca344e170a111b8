import asyncio

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from resilient_ddb.testing import FaultProxy, faults

AioConfig = pytest.importorskip("aiobotocore.config").AioConfig
get_session = pytest.importorskip("aiobotocore.session").get_session

BROKEN = (ConnectionClosedError, EndpointConnectionError)


@pytest.fixture
async def proxy(tables, upstream_url):
    async with FaultProxy(upstream_url) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy, credentials):
    config = AioConfig(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=60, max_pool_connections=50)
    async with get_session().create_client(
        "dynamodb", endpoint_url=proxy.endpoint_url, config=config, **credentials
    ) as client:
        yield client


def put(client, pk="a"):
    return client.put_item(TableName="orders", Item={"pk": {"S": pk}})


def get(client, pk="a"):
    return client.get_item(TableName="orders", Key={"pk": {"S": pk}})


def stored(direct):
    return {item["pk"]["S"] for item in direct.scan(TableName="orders")["Items"]}


async def test_unharmed(proxy, client):
    await put(client)
    assert (await get(client))["Item"] == {"pk": {"S": "a"}}
    assert [seen.status for seen in proxy.seen] == [200, 200]


async def test_service_errors(proxy, client, direct):
    proxy.plan = [faults.Throttle(times=1), faults.ServerError(applied=True)]
    with pytest.raises(ClientError, match="ProvisionedThroughputExceeded") as caught:
        await put(client, "throttled")
    reasons = caught.value.response["ThrottlingReasons"]
    assert reasons[0]["reason"] == "TableWriteProvisionedThroughputExceeded"
    with pytest.raises(ClientError, match="InternalServerError"):
        await put(client, "applied")
    assert stored(direct) == {"applied"}


@pytest.mark.parametrize("close", [False, True])
async def test_broken_connections(proxy, client, direct, close):
    proxy.plan = [faults.ResetBefore(close=close, times=1), faults.LoseReply(close=close)]
    with pytest.raises(BROKEN):
        await put(client, "before")
    with pytest.raises(BROKEN):
        await put(client, "after")
    assert stored(direct) == {"after"}


async def test_short_body(proxy, client):
    proxy.plan = [faults.ShortBody()]
    with pytest.raises(ConnectionClosedError):
        await get(client)


async def test_spoilt_bodies_look_like_nothing_found(proxy, client):
    await put(client)
    for fault in (faults.TruncateBody(), faults.BadJson(), faults.BadJson(crc=False)):
        proxy.plan = [fault]
        assert "Item" not in await get(client)
    proxy.plan = [faults.BadCrc()]
    assert "Item" in await get(client)  # standard mode does not check


async def test_hang(proxy, credentials):
    proxy.plan = [faults.Hang()]
    config = AioConfig(retries={"total_max_attempts": 1}, read_timeout=0.05)
    async with get_session().create_client(
        "dynamodb", endpoint_url=proxy.endpoint_url, config=config, **credentials
    ) as client:
        with pytest.raises(ReadTimeoutError):
            await get(client)


async def test_a_delay_holds_up_its_own_request_only(proxy, client):
    proxy.plan = [faults.Delay(seconds=3.0, key={"pk": {"S": "slow"}})]
    slow = asyncio.create_task(get(client, "slow"))
    await asyncio.gather(*(get(client, str(number)) for number in range(5)))
    assert not slow.done()
    await slow


async def test_fifty_at_once(proxy, client, direct):
    proxy.plan = [faults.Throttle(every=5)]
    results = await asyncio.gather(*(put(client, str(number)) for number in range(100)), return_exceptions=True)
    assert sum(isinstance(result, ClientError) for result in results) == 20
    assert len(stored(direct)) == 80


async def test_unprocessed(proxy, client, direct):
    proxy.plan = [faults.Unprocessed()]
    puts = [{"PutRequest": {"Item": {"pk": {"S": pk}}}} for pk in "abcd"]
    response = await client.batch_write_item(RequestItems={"orders": puts})
    left = {entry["PutRequest"]["Item"]["pk"]["S"] for entry in response["UnprocessedItems"]["orders"]}
    assert len(left) == 2
    assert stored(direct) == set("abcd") - left
