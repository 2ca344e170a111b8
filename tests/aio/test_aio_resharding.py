"""Tables whose number of shards grows: one script for the sync table and the async one, against DynamoDB Local."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError
from sharded_support import ALL, SET, done, operations

import resilient_ddb as rddb
from resilient_ddb.sharding import RANDOM
from resilient_ddb.sharding.layout import Layout
from resilient_ddb.sharding.reads import ShardReads
from resilient_ddb.testing import faults

OLD, NEW = {"shards": 2, "by": "sk"}, {"shards": 7, "by": "sk", "previous": (2,)}


@pytest.fixture
def world(either):
    return either


async def fill(world, count=20, **layout):
    docs = world.table.sharded(**(layout or OLD))
    for number in range(count):
        await done(docs.put_item(Item={"pk": "a", "sk": number, "n": 0}))
    return docs


def homes(world):
    """Return the stored key of each item; fails where an item is there twice."""
    items = world.stored()
    found = {int(item["sk"]): item["pk"] for item in items}
    assert len(found) == len(items)
    return found


async def in_new_layout(world, count=20):
    other = Layout(shards=7, by=("sk",))
    return {number: other.homes("a", {"sk": number})[0] for number in range(count)}


async def test_both_layouts_are_read_and_the_new_one_is_written(world):
    await fill(world)
    docs, expected = world.table.sharded(**NEW), await in_new_layout(world)
    before = homes(world)
    assert [item["sk"] for item in (await done(docs.query(**ALL)))["Items"]] == list(range(20))
    moving = [number for number in range(20) if before[number] != expected[number]][:5]
    get, put, update, delete, find = moving
    assert (await done(docs.get_item(Key={"pk": "a", "sk": get})))["Item"]["n"] == 0
    assert homes(world)[get] == before[get]
    old = await done(docs.put_item(Item={"pk": "a", "sk": put, "n": 5}, ReturnValues="ALL_OLD"))
    assert old["Attributes"] == {"pk": "a", "sk": put, "n": 0}
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        await done(docs.put_item(Item={"pk": "a", "sk": update}, ConditionExpression=Attr("pk").not_exists()))
    changed = await done(docs.update_item(Key={"pk": "a", "sk": update}, ReturnValues="ALL_NEW", **SET))
    assert changed["Attributes"] == {"pk": "a", "sk": update, "n": 7}
    gone = await done(docs.delete_item(Key={"pk": "a", "sk": delete}, ReturnValues="ALL_OLD"))
    assert gone["Attributes"]["sk"] == delete
    now = homes(world)
    assert delete not in now
    assert [now[number] for number in (put, update)] == [expected[number] for number in (put, update)]
    assert now[find] == before[find]
    versioned = docs.versioned()
    await done(versioned.modify({"pk": "a", "sk": find}, lambda item: {**item, "n": 9}))
    assert homes(world)[find] == expected[find]
    assert (await done(docs.query(**ALL)))["Count"] == 19


async def test_a_random_suffix_is_read_where_it_may_be(world):
    await fill(world, shards=7)
    fewer = world.table.sharded(3, previous=(7, 1), by=RANDOM)
    world.direct.put_item(Item={"pk": "a", "sk": 99, "n": 0})
    assert (await done(fewer.query(**ALL)))["Count"] == 21
    for number in (5, 99):
        assert (await done(fewer.get_item(Key={"pk": "a", "sk": number})))["Item"]["n"] == 0
        await done(fewer.update_item(Key={"pk": "a", "sk": number}, **SET))
    assert len(world.stored(n=7)) == 2
    report = await done(fewer.reshard(["a"]))
    assert set(homes(world).values()) <= {"a#0", "a#1", "a#2"}
    assert report.moved > 1
    assert (await done(world.table.sharded(3, by=RANDOM).query(**ALL)))["Count"] == 21


async def test_an_item_that_both_layouts_have(world):
    await fill(world)
    docs, expected = world.table.sharded(**NEW), await in_new_layout(world)
    number = next(number for number, home in homes(world).items() if home != expected[number])
    world.direct.put_item(Item={"pk": expected[number], "sk": number, "n": 1})
    for verb, params in (
        ("get_item", {"Key": {"pk": "a", "sk": number}}),
        ("put_item", {"Item": {"pk": "a", "sk": number}}),
        ("update_item", {"Key": {"pk": "a", "sk": number}, **SET}),
        ("delete_item", {"Key": {"pk": "a", "sk": number}}),
    ):
        with pytest.raises(rddb.DuplicateShardItemError) as caught:
            await done(getattr(docs, verb)(**params))
        assert caught.value.items == [{"pk": "a", "sk": number, "n": n} for n in (1, 0)]
    report = await done(docs.reshard(["a"]))
    assert report.occupied == 1
    assert sorted(item["n"] for item in world.stored(sk=number)) == [0, 1]


async def left_in_old_layout(world, **item):
    """Put an item where only the old layout has it; gives its key, and where it belongs now."""
    (old,), (home,) = [Layout(shards=shards, by=("sk",)).homes("a", {"sk": 5}) for shards in (2, 7)]
    assert old != home
    world.direct.put_item(Item={"pk": old, "sk": 5, **item})
    return {"pk": "a", "sk": 5}, home


@pytest.mark.parametrize("how", ["update", "reshard"])
async def test_an_expired_item_gives_way_to_one_that_is_moved(world, how):
    key, home = await left_in_old_layout(world, n=1)
    world.direct.put_item(Item={**key, "pk": home, "n": 0, "expires": int(world.clock.time())})
    docs = (await world.make(ttl="expires")).sharded(**NEW)
    if how == "update":
        with rddb.deadline(10):  # it once tried without end
            await done(docs.update_item(Key=key, UpdateExpression="SET m = n"))
        expected = {**key, "pk": home, "n": 1, "m": 1}
    else:
        assert (await done(docs.reshard(["a"]))).moved == 1
        expected = {**key, "pk": home, "n": 1}
    assert world.stored() == [expected]


@pytest.mark.parametrize("expires", [1_900_000_000_000, Decimal("1900000000000.5")])
async def test_what_is_moved_is_not_held_to_what_a_put_may_hold(world, expires):
    key, home = await left_in_old_layout(world, expires=expires)
    docs = (await world.make(ttl="expires")).sharded(**NEW)
    assert (await done(docs.reshard())).moved == 1
    assert world.stored() == [{**key, "pk": home, "expires": expires}]
    with pytest.raises(ValueError, match="looks like milliseconds"):
        await done(docs.put_item(Item={**key, "expires": expires}))


async def test_many_at_once_bring_the_same_item_home(world):
    await fill(world)
    docs, expected = world.table.sharded(**NEW), await in_new_layout(world)
    moving = [number for number, home in homes(world).items() if home != expected[number]][:4]
    add = {"UpdateExpression": "ADD c :one", "ExpressionAttributeValues": {":one": 1}}
    calls = [{"Key": {"pk": "a", "sk": number}, **add} for number in moving for _ in range(6)]
    if world.is_sync:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda params: docs.update_item(**params), calls))
    else:
        await asyncio.gather(*(done(docs.update_item(**params)) for params in calls))
    now = {int(item["sk"]): item for item in world.stored()}
    assert [now[number]["c"] for number in moving] == [6] * 4
    assert [now[number]["pk"] for number in moving] == [expected[number] for number in moving]


async def test_an_item_that_is_moved_while_it_is_looked_for(world, monkeypatch):
    """A batch is read key by key: an item on its way may be met in both places, or in none."""
    await fill(world)
    docs, expected = world.table.sharded(**NEW), await in_new_layout(world)
    number, old = next((number, home) for number, home in homes(world).items() if home != expected[number])
    key = {"pk": "a", "sk": number}
    everything = ShardReads.all

    def moved(reads):
        found = yield from everything(reads)
        if seen:
            return found
        seen.append(reads)
        world.direct.put_item(Item={"pk": expected[number], "sk": number, "n": 0})
        world.direct.delete_item(Key={"pk": old, "sk": number})
        return wanted(found)

    monkeypatch.setattr(ShardReads, "all", moved)
    for wanted in (lambda found: [], lambda found: [found[0], dict(found[0])]):  # noqa: B007 - `moved` calls it
        seen = []
        world.direct.put_item(Item={"pk": old, "sk": number, "n": 0})
        world.direct.delete_item(Key={"pk": expected[number], "sk": number})
        assert (await done(docs.get_item(Key=key)))["Item"] == {**key, "n": 0}
        assert seen


# reshard.


async def test_all_items_of_a_table_are_moved(world):
    await fill(world)
    others = {101: "x#9", 102: "elsewhere", 103: "a#b#1"}
    for number, key in others.items():
        world.direct.put_item(Item={"pk": key, "sk": number})
    expected = await in_new_layout(world)
    report = await done(world.table.sharded(**NEW).reshard())
    assert homes(world) == {**expected, **others}
    assert (report.occupied, report.unplaced, report.moved + report.kept) == (0, 3, 20)
    again = await done(world.table.sharded(**NEW).reshard())
    assert again.moved == 0


async def test_an_item_that_cant_be_compared_keeps_no_other_from_being_moved(world):
    expected = await in_new_layout(world)
    wide = {f"x{number}": 1 for number in range(150)}
    old = {number: next(key for key in ("a#0", "a#1") if key != expected[number]) for number in range(3)}
    for number in range(3):
        world.direct.put_item(Item={"pk": old[number], "sk": number, **(wide if number == 1 else {})})
    report = await done(world.table.sharded(**NEW).reshard(["a"]))
    assert homes(world) == {0: expected[0], 1: old[1], 2: expected[2]}
    assert (report.moved, report.unplaced) == (2, 1)


async def test_it_goes_on_after_each_page(world):
    def small(params, **_):
        params["Limit"] = 3

    for operation in ("Query", "Scan"):
        world.table.meta.client.meta.events.register(f"provide-client-params.dynamodb.{operation}", small)
    docs, expected = world.table.sharded(**NEW), await in_new_layout(world)
    for chosen in (["a"], None):
        for item in world.stored():
            world.direct.delete_item(Key={"pk": item["pk"], "sk": item["sk"]})
        await fill(world)
        state, pages = None, 0

        class Stop(Exception):  # noqa: N818 - no error
            pass

        while True:

            def stop(found):
                nonlocal state
                state = json.loads(json.dumps(found))
                raise Stop

            world.proxy.clear()
            pages += 1
            try:
                await done(docs.reshard(chosen, resume=state, on_page=stop))
                break
            except Stop:
                assert operations(world).count("Query") + operations(world).count("Scan") == 1
            assert pages < 60
        assert homes(world) == expected
        assert pages > 7
        other = ["b"] if chosen else ["a"]
        with pytest.raises(ValueError, match="resume must be what on_page was given by a reshard of the same table"):
            await done(docs.reshard(other, resume=state))
    with pytest.raises(ValueError, match="resume must be"):
        await done(docs.reshard(resume={**state, "source": 9}))


class Meddling:
    """A limiter that lets somebody else in before each move."""

    def __init__(self, meddle):
        self.meddle, self.units = meddle, []

    def reserve(self, units):
        self.units.append(units)
        self.meddle()
        return 0.0

    def charge(self, units):
        pass


@pytest.mark.parametrize("what", ["changed", "deleted"])
async def test_an_item_that_is_overtaken(world, what):
    await fill(world, count=6)
    docs, expected = world.table.sharded(**NEW), await in_new_layout(world, 6)
    left = dict(homes(world))

    def meddle():
        for number, home in list(left.items()):
            key = {"pk": home, "sk": number}
            if what == "changed":
                world.direct.update_item(Key=key, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": 1})
            elif number % 2:
                world.direct.delete_item(Key=key)
        left.clear()

    report = await done(docs.reshard(["a"], write_units_per_second=Meddling(meddle)))
    now = {int(item["sk"]): (item["pk"], item["n"]) for item in world.stored()}
    if what == "changed":
        assert now == {number: (home, 1) for number, home in expected.items()}
    else:
        assert all(now[number][0] == home for number, home in expected.items() if number in now)
        assert {0, 2, 4} <= set(now)
    assert report.occupied == report.unplaced == 0


async def test_lost_replies_and_conflicts_move_each_item_once(world):
    await fill(world)
    docs, expected = world.table.sharded(**NEW), await in_new_layout(world)
    world.proxy.plan = [faults.LoseReply(operations={"TransactWriteItems"}, every=3), faults.Throttle(every=7)]
    report = await done(docs.reshard(["a"]))
    assert homes(world) == expected
    assert report.occupied == 0


async def test_it_keeps_to_its_rate(world):
    await fill(world)
    docs, before = world.table.sharded(**NEW), sum(world.clock.waits)
    report = await done(docs.reshard(["a"], write_units_per_second=8))
    waited = sum(world.clock.waits) - before
    assert report.moved * 4 / 8 - 1 <= waited + 1
    assert waited <= report.moved * 4 / 8 + 1


async def test_what_cannot_be_resharded(world):
    for table, keys, says in (
        (world.table.sharded(4, key="st", by=RANDOM), None, "needs a table sharded by its own partition key"),
        (world.table.sharded(4, by=RANDOM), ["a#b"], "must not contain the separator"),
    ):
        with pytest.raises((TypeError, ValueError), match=says):
            await done(table.reshard(keys))
    reshard = world.table.sharded(4, by=RANDOM).reshard
    for arguments, says in (  # these are refused as they are given: nothing is to be awaited
        ({"partition_keys": "a"}, "partition_keys must be a list"),
        ({"partition_keys": []}, "partition_keys must be 1 to 1000"),
        ({"write_units_per_second": 0}, "write_units_per_second"),
        ({"on_page": 5}, "on_page"),
    ):
        with pytest.raises((TypeError, ValueError), match=says):
            reshard(**arguments)
    assert "TransactWriteItems" not in operations(world)
