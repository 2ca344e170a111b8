"""Async tables and clients that were used before a process was forked: child and parent each get their own answers."""

import asyncio
import inspect
import subprocess
import sys
import threading
import uuid

import boto3
import pytest
from aio_support import ACCESS, until
from fork_support import FORKS, ITEM, QUIET, VERBS, VERSIONED, Relay, in_child, public, self_signed

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.aio.refreshing import RefreshLock

pytestmark = [FORKS, QUIET]
KINDS = {
    "module table": lambda table: table,
    "ttl table": lambda table: table,
    "table": lambda table: table,
    "sharded": lambda table: table.sharded(2, by="sk"),
    "versioned": lambda table: table.versioned(),
}
OWN = {
    "table": {"get_item", "put_item", "query_many"},  # by the same ways as a module table
    "ttl table": {"get_item", "put_item", "query_items"},
    "sharded": {
        "put_item",
        "get_item",
        "update_item",
        "delete_item",
        "query",
        "query_items",
        "query_many",
        "query_many_items",
    }
    | {"batch_writer", "reshard"},
    "versioned": {"put_item", "update_item", "delete_item", "modify"},
}


def verbs():
    for kind, wrap in KINDS.items():
        names = public(wrap(aio.table("t", **ACCESS))) & OWN.get(kind, set(VERBS) | public(aio.table("t", **ACCESS)))
        yield from (pytest.param(kind, name, id=f"{kind}-{name}") for name in sorted(names))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("certificate") / "certificate.pem")


@pytest.fixture
def relay(dynamodb_local):
    with Relay(dynamodb_local.endpoint_url) as running:
        yield running


@pytest.fixture(scope="module")
def name(dynamodb_local):
    client = boto3.client("dynamodb", endpoint_url=dynamodb_local.endpoint_url)
    keys = {"pk": "HASH", "sk": "RANGE"}
    name = f"fork-{uuid.uuid4().hex}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": role} for key, role in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    yield name
    client.delete_table(TableName=name)
    client.close()


async def done(kind, table, verb):
    """Call a verb, and read what it gives to its end."""
    args, params = (VERSIONED if kind == "versioned" else VERBS).get(verb) or VERBS[verb]
    result = getattr(table, verb)(*args, **params)
    if verb == "batch_writer":
        async with result as batch:
            await batch.put_item(Item=ITEM)
    elif inspect.isawaitable(result):
        try:
            await result
        except rddb.VersionConflictError:
            return  # an answer as well
    else:
        async for _ in result:
            pass


@pytest.mark.parametrize(("kind", "verb"), list(verbs()))
async def test_a_verb_in_the_child_goes_by_connections_of_its_own(kind, verb, relay, name, hardened):
    if kind == "table":
        plain = await (await hardened(relay.endpoint_url)).Table(name)
    else:
        ttl = "expires_at" if kind == "ttl table" else None
        plain = aio.table(name, endpoint_url=relay.endpoint_url, ttl=ttl, **ACCESS)
    async with plain:
        await plain.put_item(Item=ITEM)
        table = KINDS[kind](plain)
        await done(kind, table, verb)
        before, sent = set(relay.requests), len(relay.requests)
        in_child(lambda: asyncio.run(done(kind, table, verb)))
        ours = set(relay.requests[sent:])
        assert ours
        assert not ours & before
        sent = len(relay.requests)
        await plain.get_item(Key=ITEM)
        assert set(relay.requests[sent:]) <= before  # the parent's are as good as they were


async def test_a_low_level_client_goes_by_connections_of_its_own(relay, name):
    async with aio.client("dynamodb", endpoint_url=relay.endpoint_url, **ACCESS) as client:

        async def describe():
            await client.describe_table(TableName=name)

        await describe()
        in_child(lambda: asyncio.run(describe()))
        await describe()
    first, second, third = relay.requests
    assert first == third != second


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_parents_open_calls_get_their_answers(scheme, dynamodb_local, name, certificate, opened):
    relay = opened.enter_context(Relay(dynamodb_local.endpoint_url, certificate if scheme == "https" else None))
    async with aio.table(name, endpoint_url=relay.endpoint_url, verify=str(certificate), **ACCESS) as table:
        for key in "abcd":
            await table.put_item(Item={"pk": key, "sk": "b"})
        await asyncio.gather(*(table.get_item(Key=ITEM) for _ in range(4)))
        sent = len(relay.requests)
        relay.hold()
        calls = [asyncio.ensure_future(_item_of(table, key)) for key in "abc"]
        await until(lambda: len(relay.requests) == sent + 3)
        found = [in_child(lambda: asyncio.run(_item_of(table, "d"))) for _ in range(2)]
        relay.let_go()
        assert [item["pk"] for item in found + [await call for call in calls]] == ["d", "d", "a", "b", "c"]
        before, sent = set(relay.requests), len(relay.requests)
        assert await _item_of(table, "a") == ITEM
        assert set(relay.requests[sent:]) <= before
        assert {how for _, how in relay.ended} <= {"end"}


async def _item_of(table, key):
    return (await table.get_item(Key={"pk": key, "sk": "b"}))["Item"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_child_that_ends_as_python_ends_leaves_the_parents_connections(scheme, dynamodb_local, name, certificate):
    """Finalizers run then: one that closes a transport takes it from the parent's epoll."""
    with Relay(dynamodb_local.endpoint_url, certificate if scheme == "https" else None) as relay:
        program = f"""
import asyncio, os, sys
from resilient_ddb import aio
table = aio.table({name!r}, endpoint_url={relay.endpoint_url!r}, verify={str(certificate)!r})
async def ask():
    return await table.get_item(Key={ITEM!r})
async def main():
    await ask()
    await asyncio.sleep(0)
    child = os.fork()
    if child == 0:
        asyncio.run(ask())
        return child
    assert os.waitpid(child, 0)[1] == 0
    async with asyncio.timeout(20):
        await ask()
    return child
loop = asyncio.new_event_loop()
child = loop.run_until_complete(main())
if child == 0:
    sys.exit()
loop.run_until_complete(table.close())
loop.close()
"""
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603 - our own
        first, second, third = relay.requests
        assert first == third != second


async def takes(lock):
    async with lock:
        assert lock.locked()


@pytest.mark.parametrize("kind", ["LazyClient", "RefreshLock"])
def test_a_lock_that_another_thread_holds_is_free_in_the_child(kind):
    taken, over = threading.Event(), threading.Event()
    if kind == "LazyClient":
        table = aio.table("t", **ACCESS)
        holder, name = table.meta.client, "lock"

        def use():
            rddb.set_policy(table, rddb.Policy())
    else:
        holder, name = RefreshLock(), "_guard"

        def use():
            asyncio.run(takes(holder))

    def hold():
        with getattr(holder, name):
            taken.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        in_child(use)
    finally:
        over.set()
        thread.join()
