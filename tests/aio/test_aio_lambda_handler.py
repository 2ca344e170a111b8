"""Lambda's handlers with an async table at module scope: one connection, this invocation's deadline, a thaw."""

import asyncio
from types import SimpleNamespace

import pytest
from aio_support import ACCESS
from fork_support import FORKS, QUIET, in_child
from wire_server import WireServer, answer

import resilient_ddb as rddb
from resilient_ddb import aio


def context(seconds):
    return SimpleNamespace(get_remaining_time_in_millis=lambda: int(seconds * 1000))


def script(_operation, params, _number):
    return [answer({"Item": params["Key"]})]


@pytest.fixture
def server():
    with WireServer(script) as running:
        yield running


@pytest.fixture
def handler(server):
    orders = aio.table("orders", endpoint_url=server.url, **ACCESS)

    @rddb.lambda_handler
    async def handle(event, _):
        if event == "close":
            await orders.close()
            return None
        return (await orders.get_item(Key={"id": event}))["Item"]["id"]

    yield handle
    handle("close", context(30))


def test_invocations_share_a_connection(handler, server):
    assert [handler(str(number), context(30)) for number in range(4)] == ["0", "1", "2", "3"]
    assert server.connections == 1


def test_an_invocation_goes_by_its_own_time(handler, server):
    assert handler("a", context(30)) == "a"
    with pytest.raises(rddb.DeadlineExceededError) as raised:
        handler("b", context(0.4))  # all of it is kept back
    assert not any("block that has ended" in note for note in raised.value.__notes__)
    assert handler("c", context(30)) == "c"
    assert server.operations == ["GetItem"] * 2


def test_a_runner_s_first_deadline_says_what_it_is(server):
    orders = aio.table("orders", endpoint_url=server.url, **ACCESS)
    runner = asyncio.Runner()
    with rddb.deadline(30.0):
        runner.run(_get(orders))
    with pytest.raises(rddb.DeadlineExceededError) as raised, rddb.deadline(30.0):
        runner.run(_get(orders, late=True))
    assert any("block that has ended" in note for note in raised.value.__notes__)
    runner.run(orders.close())
    runner.close()


async def _get(orders, *, late=False):
    if late:
        from resilient_ddb.policy.deadlines import current_deadline  # noqa: PLC0415 - for this test

        found = current_deadline()
        assert found.has_ended
        object.__setattr__(found, "at", 0.0)  # it has passed
    return await orders.get_item(Key={"id": "a"})


@FORKS
@QUIET
def test_a_forked_process_has_a_loop_of_its_own(handler, server):
    assert handler("a", context(30)) == "a"
    assert in_child(lambda: handler("b", context(30))) == "b"
    assert handler("c", context(30)) == "c"
    assert server.connections == 2
