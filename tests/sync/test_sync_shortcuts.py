"""A hardened client sends what boto3 would send, whichever way it goes; and it goes the shorter ways."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.regions import EndpointRulesetResolver
from shortcut_clients import Rotation, Wired, by_name, keys, wire_both, with_credentials
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
from resilient_ddb.testing import FakeClock


@pytest.fixture(autouse=True)
def _frozen():
    with at(NOW):
        yield


@pytest.fixture
def both(opened):
    """Return a function that makes a plain client and a hardened one: see `wire_both`."""
    return partial(wire_both, opened)


def assert_same(plain, hardened, operation, **params):
    expected = plain.call(operation, **params)
    assert hardened.call(operation, **params) == expected
    return expected


# The same requests.


@pytest.mark.parametrize("arguments", SETTINGS.values(), ids=SETTINGS)
def test_the_first_and_the_later_calls_are_sent_as_by_boto3(both, arguments):
    plain, hardened = both(**arguments)
    for _ in range(3):
        for operation, params in CALLS.items():
            assert_same(plain, hardened, operation, **params)


@pytest.mark.parametrize("account", [None, "1" * 12])
@pytest.mark.parametrize("arguments", ACCOUNTS.values(), ids=ACCOUNTS)
def test_endpoints_of_accounts(both, arguments, account):
    plain, hardened = both(Credentials(**keys(1, account)), **arguments)
    for _ in range(2):
        for table in TABLES:
            for operation, params in CALLS.items():
                if "TableName" in params:
                    assert_same(plain, hardened, operation, **{**params, "TableName": table})
        for operation, params in CALLS.items():
            if "TableName" not in params:
                assert_same(plain, hardened, operation, **params)


@pytest.mark.parametrize("validated", [True, False])
def test_wrong_parameters_are_refused_as_by_boto3(both, validated):
    plain, hardened = both(config=Config(parameter_validation=validated))
    for operation, params in WRONG * 2:
        assert_same(plain, hardened, operation, **params)
        assert_same(plain, hardened, operation, **CALLS[operation])


def test_missing_credentials_and_regions(both):
    plain, hardened = both(lambda: None)
    for _ in range(2):
        assert "credentials" in assert_same(plain, hardened, "GetItem", **CALLS["GetItem"])[1]


def test_endpoint_and_signature_follow_the_credentials(both):
    rotations = []

    def rotating():
        rotations.append(Rotation())
        return RefreshableCredentials(**rotations[-1].first(), refresh_using=rotations[-1].refresh)

    plain, hardened = both(rotating)
    for number in (1, 1, 2, 2, 3):
        if rotations[0].number != number:
            for rotation in rotations:
                rotation.advance()
        for operation in ("GetItem", "ListTables", "BatchGetItem"):
            _, url, headers, *_ = assert_same(plain, hardened, operation, **CALLS[operation])
            assert url == f"https://{str(number) * 12}.ddb.{REGION}.amazonaws.com/"
            assert f"Credential=AKID{number}/" in headers["authorization"]
            assert headers["x-amz-security-token"] == f"token{number}"


def test_credentials_that_are_replaced_in_place(both):
    given = Credentials(**keys(1, "1" * 12))
    plain, hardened = both(given)
    for number in (1, 2, 1, 3):
        given.__dict__.update(keys(number, str(number) * 12))
        for _ in range(2):
            assert str(number) * 12 in assert_same(plain, hardened, "GetItem", **CALLS["GetItem"])[1]


def test_clients_of_different_regions_share_nothing(both):
    pairs = [both(region_name=region) for region in (REGION, "us-east-1")]
    for _ in range(3):
        for (plain, hardened), region in zip(pairs, (REGION, "us-east-1"), strict=True):
            assert region in assert_same(plain, hardened, "GetItem", **CALLS["GetItem"])[1]


def test_features_of_a_call_are_stated_for_that_call_only(both):
    plain, hardened = both()
    agents = []
    for _ in range(2):
        for wired in (plain, hardened):
            list(wired.client.get_paginator("scan").paginate(TableName="orders"))
            wired.client.scan(TableName="orders")
            wired.answers = [(200, b'{"Table": {"TableStatus": "ACTIVE"}}')]
            wired.client.get_waiter("table_exists").wait(TableName="orders")
            wired.client.describe_table(TableName="orders")
        agents += [[facts(request)[3] for request in wired.sent[-4:]] for wired in (plain, hardened)]
    assert agents[0] == agents[1] == agents[2] == agents[3]
    assert len(set(agents[0])) == 3


@pytest.mark.parametrize("option", ["user_agent_extra", "user_agent_appid", "user_agent"])
def test_a_user_agent_that_is_changed_later(both, option):
    plain, hardened = both()
    for value in (None, "later/1.0", "later/2.0", None):
        if value or hardened.sent:
            for wired in (plain, hardened):
                setattr(wired.client.meta.config, option, value)
        assert_same(plain, hardened, "GetItem", **CALLS["GetItem"])


@pytest.mark.parametrize(("event", "handler"), HANDLERS.values(), ids=HANDLERS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_handlers_have_their_say(both, event, handler, when):
    plain, hardened = both(Credentials(**keys(1, "1" * 12)))
    without = assert_same(plain, hardened, "GetItem", **CALLS["GetItem"]) if when == "after" else None
    for wired in (plain, hardened):
        wired.client.meta.events.register(event, handler)
    for _ in range(2):
        assert assert_same(plain, hardened, "GetItem", **CALLS["GetItem"]) != without
        for operation in ("GetItem", "PutItem", "ListTables"):
            assert_same(plain, hardened, operation, **CALLS[operation])
    for wired in (plain, hardened):
        wired.client.meta.events.unregister(event, handler)
    found = assert_same(plain, hardened, "GetItem", **CALLS["GetItem"])
    assert without in (None, found)


def test_presigned_urls(both):
    plain, hardened = both(Credentials(**keys(1, "1" * 12)))
    for _ in range(2):
        for operation in ("get_item", "list_tables"):
            params = CALLS["GetItem"] if operation == "get_item" else {}
            urls = [wired.client.generate_presigned_url(operation, Params=params) for wired in (plain, hardened)]
            assert urls[0] == urls[1]
        assert_same(plain, hardened, "GetItem", **CALLS["GetItem"])


def test_tables_of_a_resource(opened):
    sent = []
    for make in (boto3.Session.resource, lambda session, *name: rddb.resource(*name, session=session)):
        core = with_credentials(botocore.session.Session(), Credentials(**keys(1)))
        resource = make(boto3.Session(botocore_session=core, region_name=REGION), "dynamodb")
        opened.callback(resource.meta.client.close)
        wired = Wired(resource.meta.client)
        for table in (resource.Table("orders"), resource.Table("customers")) * 2:
            table.get_item(Key={"pk": "1"})
            table.put_item(Item={"pk": "1", "n": 5, "s": {"a"}})
            with table.batch_writer() as batch:
                batch.put_item({"pk": "1"})
        assert all(map(is_signed_well, wired.sent))
        sent.append([facts(request) for request in wired.sent])
    assert sent[0] == sent[1]


def test_threads_do_not_mix_up_their_tables(both):
    _, hardened = both(policy=rddb.Policy())
    names = [ARN.format(REGION, str(number) * 12) for number in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: hardened.client.get_item(TableName=names[number % 8], Key=KEY), range(80)))
    for request in hardened.sent:
        _, url, _, _, body = facts(request)
        assert url.startswith(f"https://{body['TableName'].split(':')[4]}.ddb.")
        assert is_signed_well(request)


def test_a_further_attempt_is_signed_anew(both, monkeypatch):
    _, hardened = both(policy=rddb.Policy(clock=FakeClock()))
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW + timedelta(seconds=2 * len(hardened.sent)))
    for operation in ("GetItem", "GetItem", "BatchGetItem"):
        hardened.sent.clear()
        hardened.answers = [(500, b'{"__type": "InternalServerError"}')] * 2
        hardened.call(operation, **CALLS[operation])
        headers = [headers_of(request) for request in hardened.sent]
        assert [found["x-amz-date"] for found in headers] == [
            "20261121T235958Z",
            "20261122T000000Z",
            "20261122T000002Z",
        ]
        assert [found["amz-sdk-request"] for found in headers] == ["attempt=1", "attempt=2", "attempt=3"]
        assert len({found["amz-sdk-invocation-id"] for found in headers}) == 1
        assert all(map(is_signed_well, hardened.sent))


def test_a_further_attempt_is_signed_with_refreshed_credentials(both):
    rotation = Rotation()
    credentials = RefreshableCredentials(**rotation.first(), refresh_using=rotation.refresh)
    _, hardened = both(credentials, policy=rddb.Policy(clock=FakeClock()))
    for number in (1, 2):
        hardened.sent.clear()
        hardened.answers = [(400, b'{"__type": "ExpiredTokenException"}')]
        hardened.call("GetItem", **CALLS["GetItem"])
        found = [headers_of(request)["authorization"].partition("/")[0][-5:] for request in hardened.sent]
        assert found == [f"AKID{number}", f"AKID{number + 1}"]
        assert all(map(is_signed_well, hardened.sent))


# The shorter ways are taken.


def on_client(session):
    return rddb.harden(session.create_client("dynamodb", region_name=REGION))


def on_session(session):
    return rddb.harden(session).create_client("dynamodb", region_name=REGION)


def on_table(session):
    resource = boto3.Session(botocore_session=session, region_name=REGION).resource("dynamodb")
    return rddb.harden(resource.Table("orders")).meta.client


def made_anew(session):
    return rddb.client(session=boto3.Session(botocore_session=session, region_name=REGION))


@pytest.mark.parametrize("way", [on_client, on_session, on_table, made_anew], ids=lambda way: way.__name__)
def test_the_shorter_ways_are_taken(opened, way):
    session = with_credentials(botocore.session.Session(), Credentials(**keys(1, "1" * 12)))
    wired = Wired(way(session))
    opened.callback(wired.client.close)
    with counted(**BOTOCORES_WORK, endpoints=(EndpointRulesetResolver, "_get_provider_params")) as counts:
        for operation in ("GetItem", "PutItem", "ListTables", "DescribeTable"):
            counts.clear()
            assert wired.call(operation, **CALLS[operation])[0] == "POST"
            assert min(counts["serializations"], counts["validations"], counts["endpoints"]) > 0
            counts.clear()
            for _ in range(3):
                by_name(wired.client, operation)(**CALLS[operation])
            assert dict(counts) == {"requests": 3}, "botocore's own way was gone once more"
