"""Everything that threads may share, and every verb of it: each thread gets its own answers.

A verb without a line here fails `test_every_verb_is_in`: a new one is tested, or said not to be about items.
"""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import boto3
import pytest
from boto3.dynamodb.conditions import Key
from emulators import CREDENTIALS, REGION

import resilient_ddb as rddb
from resilient_ddb.dynamodb.operations import operation_kind

THREADS = 6
ROUNDS = 2
MADE = {"n": 1}


def resource_on(url):
    session = boto3.Session(region_name=REGION, **CREDENTIALS)
    return rddb.resource("dynamodb", endpoint_url=url, session=session)


@pytest.fixture(scope="module")
def table_on(dynamodb_local):
    """Return what makes a Table with options, all on one client, and one table."""
    dynamodb = rddb.resource(
        "dynamodb", endpoint_url=dynamodb_local.endpoint_url, session=boto3.Session(region_name=REGION, **CREDENTIALS)
    )
    made = dynamodb.create_table(
        TableName=f"threads-{uuid.uuid4().hex}",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield lambda **options: dynamodb.Table(made.name, **options)
    made.delete()
    dynamodb.meta.client.close()


KINDS = {
    "table": lambda make: make(),
    "a table with ttl": lambda make: make(ttl=rddb.TimeToLive("expires_at", filter="server")),
    "a table with a fallback": lambda make: make(policy=rddb.Policy(fallback=rddb.fallback.stale())),
    "sharded": lambda make: make().sharded(3, by="n"),
    "versioned": lambda make: make().versioned(),
    "client": lambda make: SimpleNamespace(of=make().meta.client, table=make().name),
    "resource": lambda make: SimpleNamespace(of=resource_on(make().meta.client.meta.endpoint_url), table=make().name),
    "writer": lambda make: make().batch_writer(),
    "writer by keys": lambda make: make().batch_writer(["pk"], flush_amount=3),
    "writer with workers": lambda make: make().batch_writer(["pk"], max_workers=3),
    "sharded writer": lambda make: make().sharded(3, by="n").batch_writer(),
    "limiter": lambda make: rddb.RateLimiter(1e6),
}


def _resource(make):
    client = make().meta.client
    return rddb.resource(
        "dynamodb", endpoint_url=client.meta.endpoint_url, session=boto3.Session(region_name=REGION, **CREDENTIALS)
    )


def own(key):
    return {"pk": key, **MADE}


def by(key):
    return {"KeyConditionExpression": Key("pk").eq(key)}


def selecting(it):
    return f'SELECT * FROM "{it.table}" WHERE pk = ?'  # noqa: S608 - the name is the test's own


def keys_of(items):
    return {item["pk"] for item in items}


def writes_in_a_block(batch, key):
    with batch:
        batch.put_item(Item=own(key))
    return True


ITEMS = {
    "put_item": lambda table, key: "Attributes" not in table.put_item(Item=own(key)),
    "get_item": lambda table, key: table.get_item(Key=own_key(table, key))["Item"]["pk"] == key,
    "update_item": lambda table, key: (
        table.update_item(
            Key=own_key(table, key),
            UpdateExpression="SET m = :key",
            ExpressionAttributeValues={":key": key},
            ReturnValues="ALL_NEW",
        )["Attributes"]["m"]
        == key
    ),
    "delete_item": lambda table, key: table.delete_item(Key=own_key(table, key)) and not left(table, key),
    "query": lambda table, key: keys_of(table.query(**by(key))["Items"]) == {key},
    "query_items": lambda table, key: keys_of(table.query_items(**by(key))) == {key},
    "query_many": lambda table, key: keys_of(table.query_many([key, "none"])["Items"]) == {key},
    "query_many_items": lambda table, key: keys_of(table.query_many_items([key, "none"])) == {key},
    "batch_writer": lambda table, key: writes_in_a_block(table.batch_writer(), key),
    "versioned": lambda table, key: table.versioned().put_item(Item={"pk": f"{key}-v", **MADE}),
    "idempotent_update": lambda table, key: (
        table.idempotent_update(
            Key=own_key(table, key), UpdateExpression="SET m = :key", ExpressionAttributeValues={":key": key}
        )
        and left(table, key)[0]["m"] == key
    ),
}
TABLE = {
    **ITEMS,
    "get_items": lambda table, key: keys_of(table.get_items([{"pk": key}, {"pk": "none"}])) == {key},
    "scan": lambda table, key: key in keys_of(table.scan(ConsistentRead=True)["Items"]),
    "scan_items": lambda table, key: key in keys_of(table.scan_items(ConsistentRead=True)),
    "parallel_scan": lambda table, key: key in keys_of(table.parallel_scan(2, ConsistentRead=True)),
    "sharded": lambda table, key: table.sharded(2, by="n").put_item(Item=own(key)),
    "load": lambda table, _: table.load() is None and table.key_schema,
    "reload": lambda table, _: table.reload() is None and table.key_schema,
    "wait_until_exists": lambda table, _: table.wait_until_exists() is None,
    "get_available_subresources": lambda table, _: table.get_available_subresources() == [],
}
VERSIONED = {
    "put_item": ITEMS["put_item"],
    "update_item": lambda table, key: (
        table.update_item(
            Key={"pk": key},
            UpdateExpression="SET m = :key",
            ExpressionAttributeValues={":key": key},
            expected_version=1,
            ReturnValues="ALL_NEW",
        )["Attributes"]["m"]
        == key
    ),
    "delete_item": lambda table, key: table.delete_item(Key={"pk": key}, expected_version=1) and not left(table, key),
    "modify": lambda table, key: table.modify({"pk": key}, lambda item: {**item, "m": key})["m"] == key,
    "put_action": lambda table, key: table.meta.client.transact_write_items(
        TransactItems=[table.put_action(Item=own(f"{key}-t"))]
    ),
    "update_action": lambda table, key: table.meta.client.transact_write_items(
        TransactItems=[
            table.update_action(
                Key={"pk": key},
                UpdateExpression="SET m = :m",
                ExpressionAttributeValues={":m": key},
                expected_version=1,
            )
        ]
    ),
    "delete_action": lambda table, key: (
        table.meta.client.transact_write_items(TransactItems=[table.delete_action(Key={"pk": key}, expected_version=1)])
        and not left(table, key)
    ),
    "check_action": lambda table, key: table.meta.client.transact_write_items(
        TransactItems=[table.check_action(Key={"pk": key}, expected_version=1)]
    ),
}
CLIENT = {
    "put_item": lambda it, key: it.of.put_item(TableName=it.table, Item=own(key)),
    "get_item": lambda it, key: it.of.get_item(TableName=it.table, Key={"pk": key})["Item"]["pk"] == key,
    "update_item": lambda it, key: it.of.update_item(TableName=it.table, Key={"pk": key}),
    "delete_item": lambda it, key: it.of.delete_item(TableName=it.table, Key={"pk": key}),
    "query": lambda it, key: keys_of(it.of.query(TableName=it.table, **by(key))["Items"]) == {key},
    "scan": lambda it, key: key in keys_of(it.of.scan(TableName=it.table, ConsistentRead=True)["Items"]),
    "batch_get_item": lambda it, key: (
        keys_of(it.of.batch_get_item(RequestItems={it.table: {"Keys": [{"pk": key}]}})["Responses"][it.table]) == {key}
    ),
    "batch_write_item": lambda it, key: it.of.batch_write_item(
        RequestItems={it.table: [{"PutRequest": {"Item": own(key)}}]}
    ),
    "transact_get_items": lambda it, key: (
        it.of.transact_get_items(TransactItems=[{"Get": {"TableName": it.table, "Key": {"pk": key}}}])["Responses"][0][
            "Item"
        ]["pk"]
        == key
    ),
    "transact_write_items": lambda it, key: it.of.transact_write_items(
        TransactItems=[{"Put": {"TableName": it.table, "Item": own(key)}}]
    ),
    "execute_statement": lambda it, key: (
        keys_of(it.of.execute_statement(Statement=selecting(it), Parameters=[key])["Items"]) == {key}
    ),
    "batch_execute_statement": lambda it, key: (
        it.of.batch_execute_statement(Statements=[{"Statement": selecting(it), "Parameters": [key]}])["Responses"][0][
            "Item"
        ]["pk"]
        == key
    ),
    "execute_transaction": lambda it, key: (
        it.of.execute_transaction(TransactStatements=[{"Statement": selecting(it), "Parameters": [key]}])["Responses"][
            0
        ]["Item"]["pk"]
        == key
    ),
    "get_paginator": lambda it, key: (
        keys_of(
            item
            for page in it.of.get_paginator("query").paginate(TableName=it.table, **by(key))
            for item in page["Items"]
        )
        == {key}
    ),
    "get_waiter": lambda it, _: it.of.get_waiter("table_exists").wait(TableName=it.table) is None,
    "can_paginate": lambda it, _: it.of.can_paginate("query"),
    "generate_presigned_url": lambda it, key: it.of.generate_presigned_url(
        "get_item", {"TableName": it.table, "Key": {"pk": key}}
    ),
}
RESOURCE = {
    "Table": lambda it, key: it.of.Table(it.table).get_item(Key={"pk": key})["Item"]["pk"] == key,
    "batch_get_item": CLIENT["batch_get_item"],
    "batch_write_item": CLIENT["batch_write_item"],
    "get_available_subresources": lambda it, _: it.of.get_available_subresources() == ["Table"],
}
WRITER = {
    "put_item": lambda batch, key: batch.put_item(Item=own(f"{key}-w")) is None,
    "delete_item": lambda batch, key: batch.delete_item(Key=own_key(batch, key)) is None,
    "flush": lambda batch, key: batch.put_item(Item=own(f"{key}-f")) is batch.flush() is None,
}
LIMITER = {
    "acquire": lambda limiter, _: limiter.acquire(1) >= 0.0,
    "reserve": lambda limiter, _: limiter.reserve(1) >= 0.0,
    "charge": lambda limiter, _: limiter.charge(1) is None,
}
CALLS = {
    "table": TABLE,
    "a table with ttl": TABLE,
    "a table with a fallback": TABLE,
    "sharded": {**ITEMS, "reshard": lambda table, key: table.reshard([key]).kept == 1},
    "versioned": VERSIONED,
    "client": CLIENT,
    "resource": RESOURCE,
    **dict.fromkeys(["writer", "writer by keys", "writer with workers", "sharded writer"], WRITER),
    "limiter": LIMITER,
}
NOT_ABOUT_ITEMS = {
    "delete": "the table's",
    "update": "the table's",
    "wait_until_not_exists": "the table's",
    "create_table": "the table's",
    "close": "of all threads' connections",
    "acquire_async": "for tasks",
    "reserve_async": "for tasks",
    "search_vectors": "no emulator has it",
}
REFUSED = {("versioned", "batch_writer"), ("versioned", "sharded"), ("versioned", "idempotent_update")}


def own_key(table, key):
    """Return the key, with what its shard is calculated from where the table is sharded."""
    return own(key) if "Sharded" in type(table).__name__ else {"pk": key}


def left(table, key):
    return table.query(ConsistentRead=True, **by(key))["Items"]


def verbs_of(kind, make):
    thing = KINDS[kind](make)
    thing = getattr(thing, "of", thing)
    names = {name for name in dir(thing) if not name.startswith("_") and is_own(getattr(type(thing), name, None))}
    operations = thing.meta.method_to_api_mapping if kind == "client" else {}
    return {name for name in names if name not in operations or operation_kind(operations[name]) != "control"}


def is_own(verb):
    """Return whether a verb is not handed on to the Table, which is tried itself."""
    handing_on = {"resilient_ddb.sync.table_behind", "resilient_ddb.hooks.models"}
    return callable(verb) and getattr(verb, "__module__", "") not in handing_on


@pytest.mark.parametrize("kind", KINDS)
def test_every_verb_is_in(kind, table_on):
    unknown = verbs_of(kind, table_on) - set(CALLS[kind]) - set(NOT_ABOUT_ITEMS)
    assert {verb for verb in unknown if (kind, verb) not in REFUSED} == set()


@pytest.mark.parametrize(("kind", "verb"), [(kind, verb) for kind, calls in CALLS.items() for verb in calls])
def test_threads_share_it(kind, verb, table_on):
    thing, call, direct = KINDS[kind](table_on), CALLS[kind][verb], table_on()
    writer = thing if "writer" in kind else None
    maker = direct.sharded(3, by="n") if "sharded" in kind else direct.versioned() if kind == "versioned" else direct
    keys = [f"{kind}-{verb}-{number}" for number in range(THREADS * ROUNDS)]
    for key in keys if (kind, verb) != ("versioned", "put_item") and kind != "limiter" else ():
        maker.put_item(Item=own(key))
    together = threading.Barrier(THREADS)

    def work(thread):
        together.wait(20)
        return [call(thing, key) for key in keys[thread::THREADS]]

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(result for results in pool.map(work, range(THREADS)) for result in results)
    if writer is not None:
        with writer:
            pass
        assert writer.unprocessed == []
        assert writer.report.written == THREADS * ROUNDS
        for key in keys:
            there = {"put_item": f"{key}-w", "flush": f"{key}-f"}.get(verb)
            assert bool(left(maker, there or key)) == (there is not None)
