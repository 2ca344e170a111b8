"""Numbers that boto3's decimal context would have to round, through the async Table: read exactly, or not at all."""

from decimal import Decimal, Underflow

import pytest

import resilient_ddb as rddb

KEY = {"pk": "big"}
LARGE = Decimal("-9.8765432109876543210987654321098765432E+125")
TINY = "1.2345678901234567890123456789012345678E-130"
ITEM = {"pk": "big", "n": LARGE, "ns": {LARGE, Decimal("1E+100")}, "m": {"l": [LARGE]}}


def listened(table):
    """See values before they are native: then boto3's own deserializer makes them so."""
    table.meta.client.meta.events.register("response-received.dynamodb", lambda parsed_response, **_: None)
    return table


@pytest.mark.parametrize("way", [lambda table: table, listened], ids=["read here", "left to boto3"])
async def test_every_way_to_read_gives_it_exactly(way, world):
    table = way(await world.table())
    async with table.batch_writer() as batch:
        for number in range(20):
            await batch.put_item(Item={**ITEM, "pk": f"{number}", "text": "x" * 9000})
        await batch.put_item(Item=ITEM)
    assert (await table.get_item(Key=KEY))["Item"] == ITEM
    page = (await table.scan())["Items"]
    assert [item["n"] for item in page] == [LARGE] * 21
    assert [item["n"] async for item in table.scan_items()] == [LARGE] * 21
    assert [item["n"] async for item in table.parallel_scan(1)] == [LARGE] * 21
    assert [item async for item in table.get_items([KEY])] == [ITEM]
    with pytest.raises(rddb.VersionConflictError) as raised:
        await table.versioned().put_item(Item=KEY)
    assert raised.value.current == ITEM
    assert (await table.delete_item(Key=KEY, ReturnValues="ALL_OLD"))["Attributes"] == ITEM


async def test_what_cannot_be_held_exactly_is_an_error_with_the_facts_of_the_call(world):
    table = await world.table()
    world.direct.meta.client.meta.events.unregister(
        "before-parameter-build.dynamodb", unique_id="dynamodb-attr-value-input"
    )
    world.direct.meta.client.put_item(TableName=world.name, Item={"pk": {"S": "big"}, "n": {"N": TINY}})
    with pytest.raises(Underflow) as raised:
        await table.get_item(Key=KEY)
    assert raised.value.resilience.attempts == 1
    assert any("can't hold exactly" in note for note in raised.value.__notes__)
