"""`ttl_seconds` of items that a batch writer puts: one script for the sync table and the async one."""

import pytest
from sharded_support import done

ITEM = {"pk": "a", "sk": 1}


async def write(batch, *calls):
    entered = await batch.__aenter__() if hasattr(batch, "__aenter__") else batch.__enter__()
    for item, options in calls:
        await done(entered.put_item(Item=item, **options))
    leave = getattr(batch, "__aexit__", None) or batch.__exit__
    await done(leave(None, None, None))


async def test_an_item_of_a_batch_lives_so_long(either):
    table = await either.make(ttl="gone")
    given = dict(ITEM)
    await write(table.batch_writer(), (given, {"ttl_seconds": 60}), ({"pk": "b", "sk": 1}, {}))
    assert given == ITEM
    assert either.stored(pk="a") == [{**ITEM, "gone": int(either.clock.time()) + 60}]
    assert either.stored(pk="b") == [{"pk": "b", "sk": 1}]


async def test_an_item_of_a_sharded_batch_lives_so_long(either):
    table = (await either.make(ttl="gone")).sharded(4, by="sk")
    await write(table.batch_writer(), (ITEM, {"ttl_seconds": 60}))
    assert [item["gone"] for item in either.stored()] == [int(either.clock.time()) + 60]


@pytest.mark.parametrize(
    ("options", "seconds", "message"),
    [
        ({}, 60, "ttl_seconds needs a Table that was made with ttl"),
        ({"ttl": "gone"}, 0, "ttl_seconds"),
        ({"ttl": "gone"}, 10**12, "looks like milliseconds"),
        ({"ttl": "auto"}, 60, "has none that is enabled"),
    ],
)
async def test_a_life_that_can_not_be_meant_is_refused(either, options, seconds, message):
    batch = (await either.make(**options)).batch_writer()
    with pytest.raises(ValueError, match=message):
        await done(batch.put_item(Item=ITEM, ttl_seconds=seconds))
    assert batch.unprocessed == []
    assert either.stored() == []
