"""Optimistic locking on a Table with a TTL: items that have expired and are still there."""

from datetime import UTC, datetime

import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ConnectionClosedError

import resilient_ddb as rddb
from resilient_ddb.testing import faults

KEY = {"pk": "a"}
TOKENS = pytest.mark.parametrize("write_token", [None, "_wt"])
WAYS = {
    "put": lambda docs, **more: docs.put_item(Item={**KEY, **more}),
    "put apart": lambda docs, **more: docs.put_item(Item={**KEY, **more}, expected_version=None),
    "modify": lambda docs, **more: docs.modify(KEY, lambda item: {**(item or {}), **more}, max_attempts=1),
}
EACH_WAY = pytest.mark.parametrize("way", WAYS)


def bare(item):
    return {name: value for name, value in item.items() if name != "_wt"}


@pytest.fixture
def now(clock):
    return int(clock.time())


@pytest.fixture
def versioned(world):
    def make(ttl="exp", write_token=None, **settings):
        return world.table(options={"ttl": ttl}, **settings).versioned(write_token=write_token)

    return make


def before_the_second_write(docs, then):
    """Have something done when the first write has met the expired item."""
    sent = []

    def count(**_):
        sent.append(None)
        if len(sent) == 2:
            then()

    for operation in ("PutItem", "TransactWriteItems"):
        docs.meta.client.meta.events.register(f"before-call.dynamodb.{operation}", count)


@EACH_WAY
@TOKENS
@pytest.mark.parametrize("ttl", ["exp", "auto"])
def test_a_new_item_takes_the_place_of_an_expired_one(world, versioned, now, way, write_token, ttl):
    if ttl == "auto":
        world.direct.meta.client.update_time_to_live(
            TableName=world.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "exp"}
        )
        world.clock.advance(4_000_000_000 - now)  # DynamoDB Local deletes what has expired by the machine's clock
        now = 4_000_000_000
    docs = versioned(ttl, write_token)
    world.direct.put_item(Item={**KEY, "exp": now, "n": 1, "version": 7})
    answer = WAYS[way](docs, n=2)
    assert bare(world.stored()) == {**KEY, "n": 2, "version": 8}
    if way == "modify":
        assert answer == world.stored()
    else:
        assert answer["ResponseMetadata"]["Resilience"]["version"] == 8


@EACH_WAY
def test_whoever_has_read_the_expired_item_gets_a_conflict(world, versioned, now, way):
    docs = versioned()
    docs.put_item(Item=KEY, ttl_seconds=10)
    old = docs.get_item(Key=KEY)["Item"]
    assert old["version"] == 1
    world.clock.advance(10)
    WAYS[way](docs, n=2)
    with pytest.raises(rddb.VersionConflictError):
        docs.put_item(Item=old)
    with pytest.raises(rddb.VersionConflictError):
        docs.delete_item(Key=KEY, expected_version=1)
    assert world.stored()["n"] == 2


@EACH_WAY
def test_an_expired_item_without_a_version_is_replaced_too(world, versioned, now, way):
    world.direct.put_item(Item={**KEY, "exp": now - 5})
    WAYS[way](versioned(), n=2)
    assert world.stored() == {**KEY, "n": 2, "version": 1}


@pytest.mark.parametrize("way", ["put", "put apart"])
@pytest.mark.parametrize("exp", [4_000_000_000, "1", True, None, {1}], ids=repr)
def test_what_has_not_expired_is_in_the_way(world, versioned, way, exp):
    there = {**KEY, "version": 3, "exp": exp}
    world.direct.put_item(Item=there)
    with pytest.raises(rddb.VersionConflictError) as caught:
        WAYS[way](versioned(), n=2)
    assert (caught.value.expected, caught.value.current) == (None, there)
    assert world.stored() == there


@EACH_WAY
def test_a_version_that_is_none_is_seen(world, versioned, now, way):
    there = {**KEY, "version": "x", "exp": now - 1}
    world.direct.put_item(Item=there)
    with pytest.raises(rddb.VersionConflictError) as caught:
        WAYS[way](versioned(), n=2)
    assert caught.value.current == there
    assert world.stored() == there


@pytest.mark.parametrize(
    ("way", "version"), [("put", 7), ("put apart", 7), ("modify", 7), ("put", None), ("modify", None)]
)
@TOKENS
def test_what_is_given_more_time_meanwhile_is_not_replaced(world, versioned, now, way, write_token, version):
    docs = versioned(write_token=write_token)
    met = {**KEY, "exp": now - 1, **({"version": version} if version else {})}
    world.direct.put_item(Item=met)
    longer = {**met, "exp": now + 100}
    before_the_second_write(docs, lambda: world.direct.put_item(Item=longer))
    with pytest.raises(rddb.VersionConflictError) as caught:
        WAYS[way](docs, n=2)
    assert (caught.value.expected, caught.value.current) == (None, longer)
    assert world.stored() == longer


@EACH_WAY
@TOKENS
def test_of_two_new_items_one_takes_the_place(world, versioned, now, way, write_token):
    docs, rival = versioned(write_token=write_token), versioned(write_token=write_token)
    world.direct.put_item(Item={**KEY, "exp": now - 1, "version": 7})
    before_the_second_write(docs, lambda: rival.put_item(Item={**KEY, "n": 9}))
    with pytest.raises(rddb.VersionConflictError) as caught:
        WAYS[way](docs, n=2)
    assert caught.value.expected is None
    assert bare(caught.value.current) == bare(world.stored()) == {**KEY, "n": 9, "version": 8}


@EACH_WAY
@TOKENS
def test_what_is_deleted_meanwhile_is_created(world, versioned, now, way, write_token):
    docs = versioned(write_token=write_token)
    world.direct.put_item(Item={**KEY, "exp": now - 1, "version": 7})
    before_the_second_write(docs, lambda: world.direct.delete_item(Key=KEY))
    WAYS[way](docs, n=2)
    assert bare(world.stored()) == {**KEY, "n": 2, "version": 1}


@EACH_WAY
@TOKENS
def test_a_lost_reply_to_the_second_write_is_cleared_up(world, versioned, now, way, write_token):
    docs = versioned(write_token=write_token)
    world.direct.put_item(Item={**KEY, "exp": now - 1, "version": 7})
    lost = faults.LoseReply(operations={"PutItem", "TransactWriteItems"}, times=1)
    before_the_second_write(docs, lambda: setattr(world.proxy, "plan", [lost]))
    WAYS[way](docs, n=2)
    assert world.proxy.count("PutItem") + world.proxy.count("TransactWriteItems") == 3
    assert bare(world.stored()) == {**KEY, "n": 2, "version": 8}


def test_a_lost_reply_to_the_first_write_leaves_a_doubt_where_nothing_tells(world, versioned, now):
    docs = versioned()
    there = {**KEY, "exp": now - 1, "version": 7}
    world.direct.put_item(Item=there)
    world.proxy.plan = [faults.LoseReply(operations={"PutItem"}, times=1)]
    with pytest.raises(ConnectionClosedError) as caught:
        docs.put_item(Item=KEY)
    assert caught.value.resilience.ambiguous
    assert world.stored() == there


def test_a_condition_of_the_callers_is_asked_of_the_expired_item(world, versioned, now):
    docs = versioned()
    world.direct.put_item(Item={**KEY, "exp": now - 1, "version": 7, "owner": "b"})
    conditional = docs.meta.client.exceptions.ConditionalCheckFailedException
    with pytest.raises(conditional) as caught:
        docs.put_item(Item=KEY, ConditionExpression=Attr("owner").eq("c"))
    assert type(caught.value) is conditional
    docs.put_item(Item=KEY, ConditionExpression=Attr("owner").eq("b"))
    assert world.stored() == {**KEY, "version": 8}


def test_nothing_is_made_of_an_expired_item_in_a_transaction(world, versioned, now):
    docs = versioned()
    world.direct.put_item(Item={**KEY, "exp": now - 1, "version": 7})
    transact = docs.meta.client.transact_write_items
    with pytest.raises(docs.meta.client.exceptions.TransactionCanceledException) as caught:
        transact(TransactItems=[docs.put_action(Item=KEY)])
    assert caught.value.response["CancellationReasons"][0]["Item"]["version"] == {"N": "7"}
    transact(TransactItems=[docs.put_action(Item=KEY, expected_version=7)])
    assert world.stored() == {**KEY, "version": 8}


def test_an_expired_item_is_in_the_way_on_a_table_without_ttl(world, now):
    world.direct.put_item(Item={**KEY, "exp": now - 1, "version": 7})
    with pytest.raises(rddb.VersionConflictError):
        world.table().versioned().put_item(Item=KEY)


@EACH_WAY
@pytest.mark.parametrize("there", [True, False])
def test_a_ttl_may_be_a_float_or_a_datetime(world, versioned, now, way, there):
    docs = versioned()
    for exp in (now + 60.5, datetime.fromtimestamp(now + 61, UTC)):
        world.direct.delete_item(Key=KEY)
        if there and way != "put":
            world.direct.put_item(Item={**KEY, "exp": now + 5})
        WAYS[way](docs, exp=exp)
        assert world.stored() == {**KEY, "exp": now + 61, "version": 1}
    with pytest.raises(TypeError, match="Float types are not supported"):
        WAYS[way](docs, other=0.5)
