"""Calls of an async client that go past aiobotocore's inside: nobody can tell them from those that go through it."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import random
from unittest import mock

import aiobotocore.client
import aiobotocore.endpoint
import aiobotocore.hooks
import aiobotocore.httpsession
import aiobotocore.signers
import pytest
from aiobotocore.credentials import AioCredentials, AioRefreshableCredentials
from aiobotocore.session import AioSession
from codec_calls import ACCESS
from hostile_support import policy
from plain_call_support import (
    ANSWERS,
    CONDITION,
    EVENTS,
    GOOD,
    ITEM,
    PARAMS,
    VERBS,
    Heard,
    counters,
    events,
    seen,
    seen_of,
    wire,
)
from shortcut_clients import AioGiven, Rotation, keys, with_credentials
from shortcut_support import NOW, at
from wire_server import answer, error

import resilient_ddb as rddb
from resilient_ddb import aio

pytestmark = pytest.mark.usefixtures("without_moto")

KEY = PARAMS["GetItem"]


@pytest.fixture
def server():
    with Heard() as found:
        found.answers = [GOOD["GetItem"]]
        yield found


def listening(**_):
    """Do nothing: that somebody listens is enough."""


async def client_of(server, *, told=None, listens=False, warm=True, credentials=None, **settings):
    """Return the client of an async Table, that has made its first call of each operation."""
    who = dict(ACCESS)
    if credentials is not None:
        session = with_credentials(AioSession(), credentials, AioGiven)
        who = {"region_name": ACCESS["region_name"], "session": session}
    chosen = policy(
        timeouts=rddb.Timeouts(read=30.0, connect=30.0),
        random=random.Random(1),
        observers=[] if told is None else [told.append],
        **{"fast_path": True, **settings},
    )
    table = aio.table("t", endpoint_url=server.url, policy=chosen, **who)
    client = await table.meta.client.current("get_item")
    client.its_table = table  # with which it would be closed
    server.answers = [answer({"TableNames": []})]
    await client.list_tables()  # what the path is made of is loaded with the second call
    server.answers = [GOOD["GetItem"]]
    if listens:
        client.meta.events.register("before-sign.dynamodb", listening)
    if warm:
        for operation, params in PARAMS.items():
            server.answers = [GOOD[operation]]
            await getattr(client, VERBS[operation])(**copy.deepcopy(params))
        server.answers = [GOOD["GetItem"]]
    server.take()
    return client


async def outcome(client, operation, params):
    """Return what a caller sees of a call."""
    try:
        response = await getattr(client, VERBS[operation])(**copy.deepcopy(params))
    except Exception as error_:  # noqa: BLE001 - it is what is compared
        return seen_of(error_)
    return seen(response)


async def is_taken(client, params=KEY):
    """Make a call, and return whether it went past aiobotocore's inside."""
    before = counters(client).calls
    await client.get_item(**params)
    return counters(client).calls > before


class Ways:
    """Two clients of one server, over one transport: on the events of one of them somebody listens."""

    def __init__(self, server):
        self.server = server
        self.told = {True: [], False: []}
        self.clients = {}

    async def __aenter__(self):
        for way, told in self.told.items():
            self.clients[way] = await client_of(self.server, told=told, listens=not way)
            told.clear()
        return self

    async def __aexit__(self, *_):
        for client in self.clients.values():
            await client.close()

    async def compare(self, operation, params, answers):
        found = {}
        taken = counters(self.clients[True]).calls
        for way, client in self.clients.items():
            self.server.answers = list(answers)
            seen_ = await outcome(client, operation, params)
            found[way] = repr([seen_, wire(self.server.take()), events(self.told[way])])
        assert found[True] == found[False]
        assert counters(self.clients[True]).calls == taken + 1


@pytest.mark.parametrize("operation", PARAMS)
async def test_every_answer_comes_to_the_same(server, operation):
    async with Ways(server) as ways:
        await ways.compare(operation, PARAMS[operation], [GOOD[operation]])
        for said in ANSWERS.values():
            for answers in ([said], [said, GOOD[operation]], [error("InternalServerError", 500), said]):
                await ways.compare(operation, PARAMS[operation], answers)
        assert counters(ways.clients[False]).calls == 0


async def test_a_write_whose_reply_was_lost_comes_to_the_same(server):
    mine = {"pk": {"S": "a"}, "n": {"N": "1"}}
    async with Ways(server) as ways:
        for lost in ([None], [answer({})[:-1], None]):
            for then in (GOOD["PutItem"], error(CONDITION), error(CONDITION, Item=mine), error(CONDITION, Item=ITEM)):
                await ways.compare("PutItem", PARAMS["PutItem"], [lost, then])


@pytest.mark.parametrize("size", [50_000, 400_000])
async def test_a_large_page_is_the_same(server, size):
    rows = [{"pk": {"S": str(number)}, "text": {"S": "x" * 1000}} for number in range(size // 1000)]
    page = answer({"Items": rows, "Count": len(rows), "ScannedCount": len(rows)})
    broken = answer({"Items": [*rows, {"pk": {"X": 1}}], "Count": len(rows), "ScannedCount": len(rows)})
    async with Ways(server) as ways:
        for said in (page, broken):
            await ways.compare("Query", PARAMS["Query"], [said])


async def test_every_operation_goes_past_the_installed_aiobotocore_after_its_first_call(server):
    client = await client_of(server, warm=False)
    for number, operation in enumerate(PARAMS, 1):
        server.answers = [GOOD[operation]]
        for _ in range(3):
            await outcome(client, operation, PARAMS[operation])
        assert counters(client).calls == 2 * number
        assert counters(client).calls_declined == {"the first call": number}
    await client.close()


@pytest.mark.parametrize("event", EVENTS)
async def test_a_handler_of_anothers_is_called(server, event):
    client, calls = await client_of(server), []
    assert await is_taken(client)
    client.meta.events.register(f"{event}.dynamodb", lambda **_: calls.append(1))
    server.answers = [[None], GOOD["GetItem"]]
    assert not await is_taken(client)
    assert calls or event == "after-call-error"
    await client.close()


CLASSES = {
    "_make_api_call": aiobotocore.client.AioBaseClient,
    "_make_request": aiobotocore.client.AioBaseClient,
    "_emit_api_params": aiobotocore.client.AioBaseClient,
    "create_request": aiobotocore.endpoint.AioEndpoint,
    "_send_request": aiobotocore.endpoint.AioEndpoint,
    "_do_get_response": aiobotocore.endpoint.AioEndpoint,
    "sign": aiobotocore.signers.AioRequestSigner,
    "_emit": aiobotocore.hooks.AioHierarchicalEmitter,
    "send": aiobotocore.httpsession.AIOHTTPSession,
}


@pytest.mark.parametrize("name", CLASSES)
async def test_a_function_that_is_put_into_a_class_is_called(server, name):
    client, calls = await client_of(server), []
    owner, original = CLASSES[name], getattr(CLASSES[name], name)

    async def function(*args, **kwargs):
        calls.append(name)
        return await original(*args, **kwargs)

    with mock.patch.object(owner, name, function):
        assert not await is_taken(client)
        assert calls
    assert await is_taken(client)
    await client.close()


@pytest.mark.parametrize("part", ["_endpoint", "_request_signer", "_endpoint.http_session"])
async def test_a_function_that_is_put_into_an_object_is_called(server, part):
    client, calls = await client_of(server), []
    name = {"_endpoint": "_send", "_request_signer": "sign"}.get(part, "send")
    owner = client
    for attribute in part.split("."):
        owner = getattr(owner, attribute)
    original = getattr(owner, name)

    async def function(*args, **kwargs):
        calls.append(name)
        return await original(*args, **kwargs)

    with mock.patch.object(owner, name, function):
        assert not await is_taken(client)
    assert calls
    await client.close()


async def test_the_debug_log_is_written(server, caplog):
    client = await client_of(server)
    with caplog.at_level(logging.DEBUG, logger="botocore.endpoint"):
        assert not await is_taken(client)
    assert caplog.records
    assert await is_taken(client)
    await client.close()


# Signatures.

GIVEN = {
    "static": lambda: AioCredentials(**keys(1)),
    "with a token": lambda: AioCredentials("AKID1", "secret", "a/token+of=many//parts"),
    "with an account": lambda: AioCredentials(**keys(1, "1" * 12), method="env"),
    "refreshed": lambda: _refreshed(Rotation()),
}


def _refreshed(rotation):
    async def refresh():
        return rotation.refresh()

    return AioRefreshableCredentials(refresh_using=refresh, **rotation.first())


@pytest.mark.parametrize("given", GIVEN)
async def test_signatures_are_the_sdks(server, given):
    sent = {}
    with at(NOW):
        for way in (True, False):
            client = await client_of(server, listens=not way, warm=False, credentials=GIVEN[given]())
            await client.get_item(**KEY)
            server.take()
            await client.get_item(**KEY)
            sent[way] = [sorted(x for x in head if not x.startswith("amz-sdk-inv")) for head, _ in server.take()]
            assert counters(client).calls == way
            await client.close()
    assert sent[True] == sent[False]


async def test_credentials_that_expire_are_fetched_anew(server):
    rotation = Rotation()

    async def refresh():
        return rotation.refresh()

    credentials = AioRefreshableCredentials(refresh_using=refresh, **rotation.first())
    client = await client_of(server, warm=False, credentials=credentials)
    assert [await is_taken(client) for _ in range(2)] == [False, True]
    rotation.advance()
    assert not await is_taken(client)
    assert "AKID2/" in " ".join(server.take()[-1][0])
    await client.close()


# At once.


def echo(_, body):
    return answer({"Item": json.loads(body)["Key"]})


async def test_many_tasks_each_get_their_own(server):
    client = await client_of(server)
    with mock.patch.object(Heard, "reply", echo):
        found = await asyncio.gather(*(client.get_item(TableName="t", Key={"pk": str(n)}) for n in range(200)))
    assert [each["Item"]["pk"] for each in found] == [str(n) for n in range(200)]
    assert counters(client).calls == 200
    await client.close()


async def test_a_call_that_is_cancelled_hands_its_answer_to_nobody(server):
    client = await client_of(server)
    with mock.patch.object(Heard, "reply", echo):
        for number in range(20):
            call = asyncio.ensure_future(client.get_item(TableName="t", Key={"pk": "cancelled"}))
            for _ in range(number):
                await asyncio.sleep(0)
            call.cancel()
            found = await client.get_item(TableName="t", Key={"pk": str(number)})
            assert found["Item"] == {"pk": str(number)}
            await asyncio.gather(call, return_exceptions=True)
    await client.close()


async def test_a_deadline_cuts_a_call_off(server):
    client = await client_of(server)
    server.answers = [[]]
    with pytest.raises(rddb.DeadlineExceededError), rddb.deadline(0.05):
        await client.get_item(**KEY)
    server.answers = [GOOD["GetItem"]]
    assert await is_taken(client)
    await client.close()


async def test_it_can_be_switched_off(server):
    client = await client_of(server, fast_path=False)
    assert not await is_taken(client)
    assert counters(client).calls == 0
    await client.close()


@pytest.mark.parametrize("operation", PARAMS)
async def test_a_client_that_is_given_no_endpoint_takes_the_path(operation, server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
    table = aio.table("t", policy=rddb.Policy(fast_path=True), **ACCESS)
    client = await table.meta.client.current("get_item")
    await client.get_item(**KEY)  # what the path is made of is loaded with the second call
    server.answers = [GOOD[operation]]
    for _ in range(3):
        await getattr(client, VERBS[operation])(**PARAMS[operation])
    state = rddb.status(table).fast_path
    await table.close()
    assert (state.calls, state.calls_declined) == (2, {"the first call": 1})


async def test_powertools_name_is_in_the_user_agent_of_calls_that_take_the_path(server):
    agents = pytest.importorskip("aws_lambda_powertools.shared.user_agent")
    client = await client_of(server, fast_path=True, warm=False)
    agents.register_feature_to_client(client, "idempotency")
    server.take()
    server.answers = [GOOD["GetItem"]]
    for _ in range(2):
        await client.get_item(**KEY)
    assert await is_taken(client)
    assert all(any(" PT/idempotency/" in line for line in lines) for lines, _ in server.take())
    await client.close()
