"""A hardened async client sends what aiobotocore would send, whichever way it goes; and it goes the shorter ways."""

import asyncio
import copy
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.credentials import AioCredentials, AioRefreshableCredentials
from aiobotocore.hooks import AioHierarchicalEmitter
from aiobotocore.regions import AioEndpointRulesetResolver
from aiobotocore.session import AioSession
from aiobotocore.signers import AioRequestSigner
from shortcut_clients import (
    SERIALIZERS,
    AioGiven,
    MyAgent,
    MySerializer,
    OtherHooks,
    Rotation,
    Wired,
    by_name,
    keys,
    with_credentials,
)
from shortcut_support import (
    ACCOUNTS,
    ARN,
    BOTOCORES_WORK,
    CALLS,
    HANDLERS,
    KEY,
    NOW,
    REGION,
    SETTINGS,
    TABLES,
    WRONG,
    at,
    counted,
    facts,
    headers_of,
    is_signed_well,
)

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.testing import FakeClock


class AioRaw:
    """A body, as aiobotocore reads it from a connection."""

    def __init__(self, body):
        self.body = body

    async def read(self):
        return self.body


class AioWired(Wired):
    """A client whose requests are answered before they are sent, and kept."""

    def answer(self, request, **_):
        status, body = self.noted(request)
        return AioAWSResponse(request.url, status, {}, AioRaw(body))

    async def call(self, operation, **params):
        """Return what is sent for a call, or what the call raises."""
        try:
            await by_name(self.client, operation)(**copy.deepcopy(params))
        except Exception as error:  # noqa: BLE001 - whatever aiobotocore raises is to be raised
            return type(error).__name__, str(error)
        return self.last()


class AioRotation(Rotation):
    async def refresh(self):
        return super().refresh()


@pytest.fixture(autouse=True)
def _frozen():
    with at(NOW):
        yield


@pytest.fixture
async def both():
    """Return a function that makes a plain client and a hardened one, with equal arguments: see `wire_both`."""
    async with AsyncExitStack() as stack:

        async def make(credentials=None, prepare=None, policy=None, events=None, **arguments):
            made = []
            for hardened in (False, True):
                given = credentials() if callable(credentials) else credentials or AioCredentials(**keys(1))
                session = AioSession(event_hooks=events and events())
                context = with_credentials(session, given, AioGiven).create_client(
                    "dynamodb", **{"region_name": REGION, **arguments}
                )
                client = await stack.enter_async_context(context)
                if prepare is not None:
                    prepare(client)
                if hardened:
                    aio.harden(client, policy=policy)
                made.append(AioWired(client))
            return made

        yield make


async def assert_same(plain, hardened, operation, **params):
    expected = await plain.call(operation, **params)
    assert await hardened.call(operation, **params) == expected
    return expected


# The same requests.


@pytest.mark.parametrize("arguments", SETTINGS.values(), ids=SETTINGS)
async def test_the_first_and_the_later_calls_are_sent_as_by_aiobotocore(both, arguments):
    plain, hardened = await both(**arguments)
    for _ in range(3):
        for operation, params in CALLS.items():
            await assert_same(plain, hardened, operation, **params)


@pytest.mark.parametrize("account", [None, "1" * 12])
@pytest.mark.parametrize("arguments", ACCOUNTS.values(), ids=ACCOUNTS)
async def test_endpoints_of_accounts(both, arguments, account):
    plain, hardened = await both(AioCredentials(**keys(1, account)), **arguments)
    for table in TABLES * 2:
        for operation in ("GetItem", "Query", "DescribeTable"):
            await assert_same(plain, hardened, operation, **{**CALLS[operation], "TableName": table})
        for operation in ("ListTables", "BatchGetItem"):
            await assert_same(plain, hardened, operation, **CALLS[operation])


async def test_wrong_parameters_are_refused_as_by_aiobotocore(both):
    plain, hardened = await both()
    for operation, params in WRONG * 2:
        await assert_same(plain, hardened, operation, **params)
        await assert_same(plain, hardened, operation, **CALLS[operation])


async def test_endpoint_and_signature_follow_the_credentials(both):
    rotations = []

    def rotating():
        rotations.append(AioRotation())
        return AioRefreshableCredentials(**rotations[-1].first(), refresh_using=rotations[-1].refresh)

    plain, hardened = await both(rotating)
    for number in (1, 1, 2, 2, 3):
        if rotations[0].number != number:
            for rotation in rotations:
                rotation.advance()
        for operation in ("GetItem", "ListTables", "BatchGetItem"):
            _, url, headers, *_ = await assert_same(plain, hardened, operation, **CALLS[operation])
            assert url == f"https://{str(number) * 12}.ddb.{REGION}.amazonaws.com/"
            assert f"Credential=AKID{number}/" in headers["authorization"]


class Refreshed(AioCredentials):
    """Credentials that others refresh meanwhile: each time that the account is asked for, the next one is given."""

    async def get_account_id(self):
        await asyncio.sleep(0)
        return self.accounts.pop(0) if len(self.accounts) > 1 else self.accounts[0]


async def test_an_account_that_changes_meanwhile_is_not_mixed_up(both):
    credentials = Refreshed(**keys(1))
    _, hardened = await both(credentials)
    for accounts in (["1" * 12, "2" * 12], ["1" * 12]):
        credentials.accounts = accounts
        found = await hardened.call("GetItem", **CALLS["GetItem"])
    assert found[1] == f"https://{'1' * 12}.ddb.{REGION}.amazonaws.com/"


async def test_features_of_a_call_are_stated_for_that_call_only(both):
    agents = []
    for wired in await both():
        for _ in range(2):
            async for _page in wired.client.get_paginator("scan").paginate(TableName="orders"):
                pass
            await wired.client.scan(TableName="orders")
        agents.append([facts(request)[3] for request in wired.sent])
    assert agents[0] == agents[1]
    assert len(set(agents[0])) == 2


@pytest.mark.parametrize(("event", "handler"), HANDLERS.values(), ids=HANDLERS)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_handlers_have_their_say(both, event, handler, when):
    plain, hardened = await both(AioCredentials(**keys(1, "1" * 12)))
    without = await assert_same(plain, hardened, "GetItem", **CALLS["GetItem"]) if when == "after" else None
    for wired in (plain, hardened):
        wired.client.meta.events.register(event, handler)
    for operation in ("GetItem", "PutItem", "ListTables", "GetItem"):
        found = await assert_same(plain, hardened, operation, **CALLS[operation])
        assert operation != "GetItem" or found != without
    for wired in (plain, hardened):
        wired.client.meta.events.unregister(event, handler)
    assert without in (None, await assert_same(plain, hardened, "GetItem", **CALLS["GetItem"]))


async def test_an_async_handler_has_its_say(both):
    async def elsewhere(builtins, **_):
        await asyncio.sleep(0)
        builtins["SDK::Endpoint"] = "https://elsewhere.example"

    plain, hardened = await both()
    await assert_same(plain, hardened, "GetItem", **CALLS["GetItem"])
    for wired in (plain, hardened):
        wired.client.meta.events.register("before-endpoint-resolution.dynamodb", elsewhere)
    assert "elsewhere" in (await assert_same(plain, hardened, "GetItem", **CALLS["GetItem"]))[1]


async def test_presigned_urls(both):
    plain, hardened = await both(AioCredentials(**keys(1, "1" * 12)))
    for _ in range(2):
        for operation, params in (("get_item", CALLS["GetItem"]), ("list_tables", {})):
            urls = [await wired.client.generate_presigned_url(operation, Params=params) for wired in (plain, hardened)]
            assert urls[0] == urls[1]
        await assert_same(plain, hardened, "GetItem", **CALLS["GetItem"])


async def test_a_further_attempt_is_signed_anew(both, monkeypatch):
    _, hardened = await both(policy=rddb.Policy(clock=FakeClock()))
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW + timedelta(seconds=2 * len(hardened.sent)))
    for operation in ("GetItem", "GetItem", "BatchGetItem"):
        hardened.sent.clear()
        hardened.answers = [(500, b'{"__type": "InternalServerError"}')]
        await hardened.call(operation, **CALLS[operation])
        dates = [headers_of(request)["x-amz-date"] for request in hardened.sent]
        assert dates == ["20261121T235958Z", "20261122T000000Z"]
        assert all(map(is_signed_well, hardened.sent))


async def test_tasks_do_not_mix_up_their_tables(both):
    _, hardened = await both()
    names = [ARN.format(REGION, str(number) * 12) for number in range(1, 9)]
    await asyncio.gather(*(hardened.client.get_item(TableName=name, Key=KEY) for name in names * 5))
    for request in hardened.sent:
        _, url, _, _, body = facts(request)
        assert url.startswith(f"https://{body['TableName'].split(':')[4]}.ddb.")
        assert is_signed_well(request)


# What is not as expected is left alone.


class MySigner(AioRequestSigner):
    async def get_auth_instance(self, signing_name, region_name, *args, **kwargs):
        return await super().get_auth_instance(signing_name, "mine", *args, **kwargs)


class MyResolver(AioEndpointRulesetResolver):
    async def construct_endpoint(self, *args, **kwargs):
        found = await super().construct_endpoint(*args, **kwargs)
        return found._replace(url=f"{found.url}/mine")


PARTS = {
    "_serializer": MySerializer,
    "_user_agent_creator": MyAgent,
    "_request_signer": MySigner,
    "_ruleset_resolver": MyResolver,
}


def part_of(client, part):
    """Return a part of a client, and what it is made of now."""
    found = vars(client).get(part)
    return found, None if found is None else dict(vars(found))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("how", ["missing", "none", "of another class"])
async def test_parts_that_are_not_as_expected_are_left_alone(both, part, how):
    def prepare(client):
        if how == "missing":
            delattr(client, part)
        elif how == "none":
            setattr(client, part, None)
        else:
            getattr(client, part).__class__ = PARTS[part]
        before.append(part_of(client, part))

    before = []
    plain, hardened = await both(prepare=prepare)
    assert part_of(hardened.client, part) == before[1]
    for operation in ("GetItem", "PutItem", "ListTables", "GetItem"):
        await assert_same(plain, hardened, operation, **CALLS[operation])


@pytest.mark.parametrize("serializer", SERIALIZERS.values(), ids=SERIALIZERS)
async def test_serializers_that_are_not_as_expected_are_left_alone(both, serializer):
    plain, hardened = await both(prepare=lambda client: setattr(client, "_serializer", serializer))
    for table in ("orders", "orders", "customers"):
        await assert_same(plain, hardened, "GetItem", **{**CALLS["GetItem"], "TableName": table})


async def test_events_of_anothers_making(both):
    plain, hardened = await both(events=lambda: OtherHooks(AioHierarchicalEmitter()))
    for _ in range(2):
        await assert_same(plain, hardened, "GetItem", **CALLS["GetItem"])
    for wired in (plain, hardened):
        wired.client.meta.events.register(*HANDLERS["endpoint"])
    assert "elsewhere" in (await assert_same(plain, hardened, "GetItem", **CALLS["GetItem"]))[1]


async def test_hardening_again_changes_nothing(both):
    _, hardened = await both()
    before = [part_of(hardened.client, part) for part in PARTS]
    for policy in (None, rddb.Policy()):
        aio.harden(hardened.client, policy=policy)
        assert [part_of(hardened.client, part) for part in PARTS] == before


# The shorter ways are taken.


async def test_the_shorter_ways_are_taken(both):
    _, hardened = await both(AioCredentials(**keys(1, "1" * 12)))
    with counted(**BOTOCORES_WORK, endpoints=(AioEndpointRulesetResolver, "_get_provider_params")) as counts:
        for operation in ("GetItem", "PutItem", "ListTables", "DescribeTable"):
            counts.clear()
            assert (await hardened.call(operation, **CALLS[operation]))[0] == "POST"
            assert min(counts["serializations"], counts["validations"], counts["endpoints"]) > 0
            counts.clear()
            for _ in range(3):
                await by_name(hardened.client, operation)(**CALLS[operation])
            assert dict(counts) == {"requests": 3}, "botocore's own way was gone once more"
