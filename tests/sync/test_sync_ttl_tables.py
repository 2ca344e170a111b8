"""The TTLs of a resource's, or client's, tables: one mapping for all that is asked of it, sync and async."""

import asyncio
import pickle
from decimal import Decimal
from types import SimpleNamespace

import pytest
from both_rims import HAS_AIO, SYNC_AND_ASYNC
from emulators import CREDENTIALS, REGION
from unit_support import core_of

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock, faults

if HAS_AIO:
    from resilient_ddb import aio

ACCESS = {"region_name": REGION, **CREDENTIALS}
NOW = int(FakeClock().time())
LIVE, GONE = NOW + 60, NOW - 60


class Sync:
    """The sync side: what is asked is answered."""

    def __init__(self, world, client_only, ttl, **settings):
        make = rddb.client if client_only else rddb.resource
        self.opened = make(
            "dynamodb", endpoint_url=world.proxy.endpoint_url, policy=world.policy(**settings), ttl=ttl, **ACCESS
        )
        self.client = self.opened if client_only else self.opened.meta.client

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def ask(self, name, **params):
        return getattr(self.client, name)(**params)

    def table(self, name, **options):
        return self.opened.Table(name, **options)

    def of_table(self, table, name, **params):
        return getattr(table, name)(**params)

    def pages(self, name, **params):
        return list(self.client.get_paginator(name).paginate(**params))


class Async:
    """The async side, run step by step."""

    def __init__(self, world, client_only, ttl, **settings):
        make = aio.client if client_only else aio.resource
        self.opening = make(
            "dynamodb", endpoint_url=world.proxy.endpoint_url, policy=world.policy(**settings), ttl=ttl, **ACCESS
        )
        self.client_only = client_only
        self.runner = asyncio.Runner()

    def __enter__(self):
        self.opened = self.runner.run(self._enter())
        self.client = self.opened if self.client_only else self.opened.meta.client
        return self

    async def _enter(self):
        return await self.opening.__aenter__()

    def __exit__(self, *_):
        self.runner.run(self._exit())
        self.runner.close()

    async def _exit(self):
        await self.opening.__aexit__(None, None, None)

    def _run(self, make):
        async def main():
            return await make()

        return self.runner.run(main())

    def ask(self, name, **params):
        return self._run(lambda: getattr(self.client, name)(**params))

    def table(self, name, **options):
        return self._run(lambda: self.opened.Table(name, **options))

    def of_table(self, table, name, **params):
        return self._run(lambda: getattr(table, name)(**params))

    def pages(self, name, **params):
        async def main():
            return [page async for page in self.client.get_paginator(name).paginate(**params)]

        return self.runner.run(main())


@pytest.fixture(params=SYNC_AND_ASYNC)
def side(request):
    return {"sync": Sync, "async": Async}[request.param]


@pytest.fixture
def filled(world, dynamodb_local, make_table, plain):
    """Three tables, of which `sessions` and `carts` have TTLs of different attributes, with expired items in all."""
    names = {"sessions": world.name, **{name: make_table(dynamodb_local.endpoint_url) for name in ("carts", "orders")}}
    direct = plain(dynamodb_local.endpoint_url)
    for name in names.values():
        for key, when in (("live", LIVE), ("gone", GONE)):
            direct.Table(name).put_item(Item={"pk": key, "expires_at": when, "until": when, "n": 1})
    ttl = {names["sessions"]: "expires_at", names["carts"]: rddb.TimeToLive("until", filter="server")}
    return SimpleNamespace(**{**vars(world), **names, "ttl": ttl, "direct": direct})


def typed(values):
    return {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in values.items()}


@pytest.mark.parametrize("client_only", [False, True], ids=["resource", "client"])
@pytest.mark.parametrize("unread", [False, True], ids=["by the codec", "by botocore"])
def test_reads_of_every_kind_leave_out_what_has_expired(filled, side, client_only, unread):
    with side(filled, client_only, filled.ttl) as here:
        if unread:  # whoever listens here sees the text, and botocore parses it
            here.client.meta.events.register("before-parse.dynamodb", lambda **_: None)
        shape = typed if client_only else dict
        gone, live = shape({"pk": "gone"}), shape({"pk": "live"})
        for name, kept in ((filled.sessions, False), (filled.carts, False), (filled.orders, True)):
            assert ("Item" in here.ask("get_item", TableName=name, Key=gone)) is kept
            assert "Item" in here.ask("get_item", TableName=name, Key=live)
            assert here.ask("scan", TableName=name)["Count"] == 1 + kept
            assert here.ask("scan", TableName=name, Select="COUNT")["Count"] == 1 + kept
            asked = {
                "TableName": name,
                "KeyConditionExpression": "pk = :k",
                "ExpressionAttributeValues": {":k": gone["pk"]},
            }
            assert here.ask("query", **asked)["Count"] == kept
            assert sum(len(page["Items"]) for page in here.pages("scan", TableName=name)) == 1 + kept
        names = (filled.sessions, filled.carts, filled.orders)
        keys = {name: {"Keys": [gone, live], "ProjectionExpression": "pk"} for name in names}
        answered = here.ask("batch_get_item", RequestItems=keys)["Responses"]
        assert {name: len(rows) for name, rows in answered.items()} == dict(zip(names, (1, 1, 2), strict=True))
        assert all(set(row) == {"pk"} for rows in answered.values() for row in rows)
        gets = [
            {"Get": {"TableName": name, "Key": key, "ProjectionExpression": "n"}}
            for name in names
            for key in (gone, live)
        ]
        rows = here.ask("transact_get_items", TransactItems=gets)["Responses"]
        assert [bool(row.get("Item")) for row in rows] == [False, True, False, True, True, True]
        assert all(set(row["Item"]) == {"n"} for row in rows if row.get("Item"))


def test_each_table_of_a_resource_has_its_ttl(filled, side):
    with side(filled, False, filled.ttl) as here:
        counts = [
            here.of_table(here.table(name, **options), "scan")["Count"]
            for name, options in [
                (filled.sessions, {}),
                (filled.carts, {}),
                (filled.orders, {}),
                (filled.sessions, {"ttl": None}),
                (filled.orders, {"ttl": "until"}),
                (filled.sessions, {"policy": filled.policy()}),
                (filled.sessions, {"ttl": None, "policy": filled.policy()}),
            ]
        ]
        assert counts == [1, 1, 2, 2, 1, 1, 2]


def test_the_client_of_a_table_whose_ttl_is_off_knows_those_of_others(filled, side):
    with side(filled, False, filled.ttl) as here:
        client = here.table(filled.sessions, ttl=None).meta.client
        here.client = client
        assert [here.ask("scan", TableName=name)["Count"] for name in (filled.sessions, filled.carts)] == [2, 1]


@pytest.mark.parametrize("client_only", [False, True], ids=["resource", "client"])
def test_writes_are_stamped_by_the_attribute_of_their_table(filled, side, client_only):
    with side(filled, client_only, filled.ttl) as here:
        shape = typed if client_only else dict
        for name, attribute in ((filled.sessions, "expires_at"), (filled.carts, "until")):
            here.ask("put_item", TableName=name, Item=shape({"pk": "new"}), ttl_seconds=30)
            stored = filled.direct.Table(name).get_item(Key={"pk": "new"})["Item"]
            assert stored == {"pk": "new", attribute: Decimal(NOW + 30)}
        with pytest.raises(Exception, match="ttl_seconds"):
            here.ask("put_item", TableName=filled.orders, Item=shape({"pk": "new"}), ttl_seconds=30)
        milliseconds = {"PutRequest": {"Item": shape({"pk": "new", "until": NOW * 1000})}}
        with pytest.raises(ValueError, match="looks like milliseconds"):
            here.ask("batch_write_item", RequestItems={filled.orders: [milliseconds], filled.carts: [milliseconds]})
        put = {"Put": {"TableName": filled.sessions, "Item": shape({"pk": "new", "expires_at": NOW * 1000})}}
        with pytest.raises(ValueError, match="looks like milliseconds"):
            here.ask("transact_write_items", TransactItems=[put])


def test_what_is_unprocessed_has_what_the_caller_asked(filled, side):
    filled.proxy.plan = [faults.Unprocessed(share=1.0, times=1)]
    with side(filled, False, filled.ttl) as here:
        keys = {
            name: {"Keys": [{"pk": "live"}], "ProjectionExpression": "pk"} for name in (filled.sessions, filled.carts)
        }
        assert here.ask("batch_get_item", RequestItems=keys)["UnprocessedKeys"] == keys


def test_a_fallbacks_answer_is_looked_through_for_every_table(filled, side):
    answer = {
        "Responses": {
            name: [{"pk": "live", "expires_at": LIVE, "until": LIVE}, {"pk": "gone", "expires_at": GONE, "until": GONE}]
            for name in (filled.sessions, filled.carts, filled.orders)
        }
    }
    filled.proxy.plan = [faults.Throttle()]
    once = rddb.Retry(max_attempts=1)
    with side(filled, False, filled.ttl, retry=once, fallback=rddb.fallback.response(answer)) as here:
        keys = {name: {"Keys": [{"pk": "live"}, {"pk": "gone"}]} for name in answer["Responses"]}
        found = here.ask("batch_get_item", RequestItems=keys)["Responses"]
    assert [len(rows) for rows in found.values()] == [1, 1, 2]
    assert all(len(rows) == 2 for rows in answer["Responses"].values())


def test_a_table_is_known_by_its_arn(filled):
    arn = f"arn:aws:dynamodb:eu-west-1:000000000000:table/{filled.sessions}"
    with Sync(filled, False, {arn: "expires_at"}) as here:
        assert here.table(filled.sessions).scan()["Count"] == 1


def test_a_table_is_pickled_with_what_its_client_knows(filled):
    with Sync(filled, False, filled.ttl) as here:
        table = pickle.loads(pickle.dumps(here.table(filled.sessions, ttl=None)))  # noqa: S301 - made here
    counts = [table.meta.client.scan(TableName=name)["Count"] for name in (filled.sessions, filled.carts)]
    table.meta.client.close()
    assert counts == [2, 1]


@pytest.mark.parametrize("make", ["resource", "client"])
@pytest.mark.parametrize("rim", SYNC_AND_ASYNC)
@pytest.mark.parametrize(
    ("ttl", "error", "text"),
    [
        ("expires_at", TypeError, r"ttl of a resource or client must be a mapping.*Table\(name, ttl='expires_at'\)"),
        ({"sessions": 5}, TypeError, "ttl must be the name of an attribute"),
        ({"sessions": ""}, ValueError, "ttl must be the name of an attribute"),
        ({5: "expires_at"}, TypeError, "mapping of tables' names"),
    ],
)
def test_a_mapping_that_can_not_be_meant_is_refused_at_once(rim, make, ttl, error, text):
    home = rddb if rim == "sync" else aio
    with pytest.raises(error, match=text):
        getattr(home, make)("dynamodb", ttl=ttl, **ACCESS)


@pytest.mark.parametrize("ttl", [None, {}, {"sessions": None}])
def test_no_ttl_costs_nothing(ttl):
    client = rddb.client("dynamodb", ttl=ttl, **ACCESS)
    assert core_of(client).ttl is None
    client.close()
