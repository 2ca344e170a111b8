import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from cycle_support import collected_afterwards
from sdk_support import sockets_at

from resilient_ddb.testing import FakeClock, FaultProxy, faults


def connect(proxy):
    parts = urlsplit(proxy.endpoint_url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def get(client, pk="a"):
    return client.get_item(TableName="orders", Key={"pk": {"S": pk}})


def test_operations_tables_and_keys_are_chosen(world):
    world.proxy.plan = [
        faults.Throttle(operations={"GetItem"}, key={"pk": {"S": "hot"}}),
        faults.ServerError(table="other"),
    ]
    world.put("hot")
    world.get("cool")
    with pytest.raises(ClientError, match="ProvisionedThroughput"):
        world.get("hot")
    with pytest.raises(ClientError, match="InternalServerError"):
        world.client.scan(TableName="other")
    assert world.proxy.count() == 4
    assert world.proxy.count("GetItem") == 2
    assert world.proxy.count("GetItem", "Throttle") == 1
    assert world.proxy.count(fault=faults.ServerError) == 1


def test_the_plan_can_be_replaced_and_seen_be_cleared(world):
    plan = [faults.Throttle(every=2)]
    world.proxy.plan = plan
    world.get()
    world.proxy.plan = plan
    assert world.proxy.plan == (plan[0],)
    world.get()  # counted from one again
    with pytest.raises(ClientError):
        world.get()
    world.proxy.clear()
    assert world.proxy.seen == ()
    world.get()
    with pytest.raises(ClientError):
        world.get()
    assert world.proxy.count() == 2


def test_outage_by_the_fake_clock(world):
    world.clock.advance(100)
    world.proxy.plan = [
        faults.Outage(start=10, duration=5),
        faults.Outage(start=20, duration=5, mode="reset"),
    ]
    world.put()
    world.clock.advance(10)
    with pytest.raises(ClientError, match="InternalServerError"):
        world.put("b")
    world.clock.advance(5)
    world.get()
    world.clock.advance(5)
    with pytest.raises(ConnectionClosedError):
        world.get()
    world.clock.advance(5)
    world.get()
    assert world.stored() == {"a"}
    assert [seen.at - world.proxy.seen[0].at for seen in world.proxy.seen] == [0, 10, 15, 20, 25]


def run_seeded(url, seed, make_client):
    plan = [faults.Throttle(rate=0.2), faults.LoseReply(rate=0.2)]
    with FaultProxy(url, plan=plan, seed=seed) as proxy:
        client = make_client(proxy.endpoint_url)
        for _ in range(40):
            with suppress(ClientError, ConnectionClosedError):
                get(client)
        return [seen.fault for seen in proxy.seen]


@pytest.mark.usefixtures("tables")
def test_a_seeded_run_repeats(upstream_url, make_client):
    first = run_seeded(upstream_url, 1, make_client)
    assert run_seeded(upstream_url, 1, make_client) == first
    assert run_seeded(upstream_url, 2, make_client) != first
    assert set(first) == {None, "Throttle", "LoseReply"}


def test_eight_threads(world):
    world.proxy.plan = [
        faults.Throttle(every=10),
        faults.LoseReply(every=15),
        faults.TruncateBody(every=7, operations={"GetItem"}),
    ]

    def work(number):
        outcomes = []
        for turn in range(25):
            try:
                world.put(f"{number}-{turn}")
                outcomes.append("ok")
            except ClientError:
                outcomes.append("throttled")
            except ConnectionClosedError:
                outcomes.append("lost")
        return outcomes

    with ThreadPoolExecutor(8) as pool:
        outcomes = [outcome for results in pool.map(work, range(8)) for outcome in results]
    assert outcomes.count("throttled") == world.proxy.count(fault="Throttle") == 20
    assert outcomes.count("lost") == world.proxy.count(fault="LoseReply") == 12
    assert len(world.stored()) == 180
    assert world.proxy.count() == 200


@pytest.mark.usefixtures("tables")
def test_stopped_and_started_again(upstream_url, make_client):
    proxy = FaultProxy(upstream_url, plan=[faults.Throttle(every=2)])
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = proxy.endpoint_url
    assert "stopped" in repr(proxy)
    proxy.stop()  # not started: nothing to do
    for _ in range(2):
        proxy.start()
        assert proxy.endpoint_url in repr(proxy)
        with pytest.raises(RuntimeError, match="already"):
            proxy.start()
        client = make_client(proxy.endpoint_url)
        get(client)
        proxy.stop()
        proxy.stop()
    assert proxy.count() == 2


@pytest.mark.usefixtures("tables")
def test_stopping_breaks_what_hangs_and_leaves_no_thread(upstream_url, make_client):
    with collected_afterwards():  # what was left open would warn then
        with FaultProxy(upstream_url, plan=[faults.Hang(), faults.Delay(seconds=60)]) as proxy:
            idle = connect(proxy)
            client = make_client(proxy.endpoint_url)
            with ThreadPoolExecutor(1) as pool:
                hanging = pool.submit(get, client)
                deadline = time.monotonic() + 30
                while not proxy.seen and time.monotonic() < deadline:
                    time.sleep(0.005)
                proxy.stop()
                assert isinstance(hanging.exception(30), ConnectionClosedError)
            idle.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "FaultProxy"]


def test_a_port_that_is_taken(upstream_url):
    with FaultProxy(upstream_url) as proxy:
        port = urlsplit(proxy.endpoint_url).port
        second = FaultProxy(upstream_url, port=port)
        with pytest.raises(OSError, match="in use"):
            second.start()
        assert "stopped" in repr(second)


def test_an_upstream_that_is_not_there(make_client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with FaultProxy(url) as proxy:
        client = make_client(proxy.endpoint_url)
        with pytest.raises(ClientError, match="UpstreamUnreachable") as caught:
            get(client)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 502
        (seen,) = proxy.seen
        assert (seen.forwarded, seen.status, seen.fault) == (False, 502, None)


def test_a_hang_ends_when_the_client_leaves(world, make_client):
    world.proxy.plan = [faults.Hang()]
    client = make_client(world.proxy.endpoint_url, read_timeout=0.05)
    with pytest.raises(ReadTimeoutError):
        get(client)
    client.close()
    deadline = time.monotonic() + 30
    left = sockets_at(world.proxy.endpoint_url)
    while any(each.fileno() != -1 for each in left) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert sockets_at(world.proxy.endpoint_url) == []


def test_the_seen_hold_the_whole_request(world):
    world.proxy.plan = [faults.ResetBefore()]
    with pytest.raises(ConnectionClosedError):
        world.put("hot")
    (seen,) = world.proxy.seen
    assert json.loads(json.dumps(seen.params)) == {"TableName": "orders", "Item": {"pk": {"S": "hot"}}}
    with pytest.raises(AttributeError):
        seen.status = 1


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"upstream": "127.0.0.1:8000"}, ValueError, "upstream must be a URL"),
        ({"upstream": "ftp://127.0.0.1"}, ValueError, "upstream"),
        ({"upstream": "http://127.0.0.1/path"}, ValueError, "upstream"),
        ({"upstream": "http://127.0.0.1:99999"}, ValueError, "upstream"),
        ({"upstream": None}, TypeError, "upstream"),
        ({"port": -1}, ValueError, "port"),
        ({"seed": "1"}, TypeError, "seed"),
        ({"host": ""}, ValueError, "host"),
        ({"plan": [None]}, TypeError, "plan"),
    ],
)
def test_settings_that_cannot_be_meant(settings, error, words):
    with pytest.raises(error, match=words):
        FaultProxy(**{"upstream": "http://127.0.0.1:8000", **settings})


def test_the_fake_clock_is_the_clock(upstream_url):
    clock = FakeClock(start=5.0)
    with FaultProxy(upstream_url, clock=clock) as proxy, connect(proxy) as client:
        clock.advance(2)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 ")
        assert proxy.seen[0].at == 7.0
