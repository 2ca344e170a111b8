"""The async resource and Table have all that boto3's have, in the shape that aioboto3's users know."""

import asyncio
import inspect
from pathlib import Path

import boto3
import pytest
from aio_support import ACCESS, is_closed
from boto3.resources.base import ServiceResource
from boto3.resources.model import ResourceModel
from botocore.exceptions import ClientError, WaiterError

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.hooks.models import resource_definitions

WAIT = {"WaiterConfig": {"Delay": 0, "MaxAttempts": 3}}


@pytest.fixture
async def pair(dynamodb_local, make_table, plain, hardened):
    """The same table twice: plain boto3's, and the async one."""
    name = make_table(dynamodb_local.endpoint_url, sort_key="sk")
    dynamodb = await hardened(dynamodb_local.endpoint_url)
    return plain(dynamodb_local.endpoint_url).Table(name), await dynamodb.Table(name)


def attribute_names(table):
    model = table.meta.resource_model
    shape = table.meta.client.meta.service_model.shape_for(model.shape)
    aliases = {"name", "table_name"}  # of the identifier: at hand without a request
    return sorted(set(model.get_attributes(shape)) - aliases)


def public(cls):
    return {name for name in dir(cls) if not name.startswith("_")}


async def test_the_public_surface_of_boto3s_own_classes_is_there(plain, hardened):
    theirs, ours = plain("http://127.0.0.1:1"), await hardened("http://127.0.0.1:1")
    assert public(type(theirs)) <= public(type(ours))
    their_table, our_table = theirs.Table("x"), await ours.Table("x")
    assert public(type(their_table)) <= public(type(our_table))
    readers = {"query_items", "scan_items", "get_items", "parallel_scan", "query_many", "query_many_items"}
    ours_alone = {"close", "sharded", "versioned", "idempotent_update"} | readers
    assert public(type(our_table)) - public(type(their_table)) == ours_alone
    for their_collection, our_collection in [
        (theirs.tables, ours.tables),
        (theirs.tables.all(), ours.tables.all()),
    ]:
        missing = public(type(their_collection)) - public(type(our_collection))
        assert missing == set()
    assert public(theirs.meta) == public(ours.meta)


async def test_closing_by_hand_is_as_on_aioboto3(dynamodb_local, make_table):
    name = make_table(dynamodb_local.endpoint_url)
    opening = aio.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url, **ACCESS)
    dynamodb = await opening.__aenter__()
    table = await dynamodb.Table(name)
    await table.load()
    await table.close()  # the resource is still in use
    await table.load()
    await dynamodb.close()
    assert await is_closed(dynamodb.meta.client)
    await opening.__aexit__(None, None, None)
    lazy = aio.table(name, endpoint_url=dynamodb_local.endpoint_url, **ACCESS)
    await lazy.close()
    await lazy.load()
    await lazy.close()
    await lazy.load()
    await lazy.close()


async def test_everything_that_calls_is_a_coroutine_when_called(pair):
    _, table = pair
    definitions = resource_definitions()["resources"]
    model = ResourceModel("Table", definitions["Table"], definitions)
    model.load_rename_map(table.meta.client.meta.service_model.shape_for(model.shape))
    names = [action.name for action in [*model.actions, *model.waiters]] + ["load", "reload"]
    assert {"get_item", "query", "wait_until_exists", "update", "delete"} <= set(names)
    for name in names:
        made = getattr(table, name)()
        assert asyncio.iscoroutine(made), name
        assert made  # truthy, as any coroutine
        assert inspect.isawaitable(made), name
        assert name in repr(made)
        made.close()


async def test_every_attribute_awaited_is_boto3s(pair):
    sync, table = pair
    names = attribute_names(sync)
    assert len(names) > 15
    for name in names:
        made = getattr(table, name)
        assert asyncio.iscoroutine(made), name
        assert await made == getattr(sync, name), name
    assert table.name == sync.name
    assert table.table_name == sync.table_name == table.name


async def test_attributes_are_loaded_once_until_something_changes_the_table(proxy, make_table, hardened):
    name = make_table(proxy.upstream)
    table = await (await hardened(proxy.endpoint_url)).Table(name)
    assert table.meta.data is None
    assert (await table.table_status, await table.item_count) == ("ACTIVE", 0)
    assert proxy.count("DescribeTable") == 1
    await table.load()
    await table.reload()
    assert proxy.count("DescribeTable") == 3
    assert table.meta.data["TableName"] == name
    await table.put_item(Item={"pk": "a"})
    assert table.meta.data is None  # as boto3: any action on it makes what was loaded old
    assert await table.item_count == 1


async def test_resources_of_the_same_name_are_equal_and_read_like_boto3s(pair, hardened, dynamodb_local):
    sync, table = pair
    dynamodb = await hardened(dynamodb_local.endpoint_url)
    again, other = await dynamodb.Table(table.name), await dynamodb.Table("other")
    assert table == again
    assert hash(table) == hash(again)
    assert table != other
    assert repr(table) == repr(sync)
    assert repr(dynamodb) == repr(boto3.resource("dynamodb", **ACCESS))
    assert type(table).__name__ == type(sync).__name__ == "dynamodb.Table"
    assert isinstance(table, ServiceResource)
    assert isinstance(table, aio.AsyncTable)
    assert isinstance(dynamodb, aio.AsyncServiceResource)
    assert dynamodb.get_available_subresources() == ["Table"]
    assert table.get_available_subresources() == sync.get_available_subresources()


@pytest.fixture
async def many(dynamodb_local, make_table, plain, hardened, proxy):
    names = sorted(make_table(dynamodb_local.endpoint_url) for _ in range(5))
    return names, plain(dynamodb_local.endpoint_url), await hardened(proxy.endpoint_url)


async def test_collections_give_what_boto3s_give(many):
    names, sync, dynamodb = many
    found = [table async for table in dynamodb.tables.all()]
    assert [table.name for table in found] == [table.name for table in sync.tables.all()]
    assert set(names) <= {table.name for table in found}
    assert all(isinstance(table, aio.AsyncTable) for table in found)
    for limit in (1, 3):
        ours = [table.name async for table in dynamodb.tables.limit(limit)]
        assert ours == [table.name for table in sync.tables.limit(limit)]
        assert len(ours) == limit
    start = names[1]
    ours = [table.name async for table in dynamodb.tables.filter(ExclusiveStartTableName=start)]
    assert ours == [table.name for table in sync.tables.filter(ExclusiveStartTableName=start)]
    chained = [table.name async for table in dynamodb.tables.filter(ExclusiveStartTableName=start).limit(2)]
    assert chained == ours[:2]


async def test_collections_ask_in_pages(many, proxy):
    names, sync, dynamodb = many
    pages = [[table.name for table in page] async for page in dynamodb.tables.page_size(2).pages()]
    assert pages == [[table.name for table in page] for page in sync.tables.page_size(2).pages()]
    assert {name for page in pages for name in page} >= set(names)
    assert [seen.params.get("Limit") for seen in proxy.seen] == [2] * proxy.count("ListTables")
    both = [table.name async for table in dynamodb.tables.all().page_size(2).limit(3)]
    assert both == [table.name for table in sync.tables.all().page_size(2).limit(3)]
    paged = [page async for page in dynamodb.tables.pages()]
    assert sum(map(len, paged)) == sum(map(len, sync.tables.pages()))


async def test_a_table_of_a_collection_is_a_whole_table(many):
    names, _, dynamodb = many
    async for table in dynamodb.tables.limit(1):
        assert await table.table_status == "ACTIVE"
        assert table.meta.client is dynamodb.meta.client
    assert names


async def test_tables_are_made_waited_for_changed_and_dropped(dynamodb_local, hardened, table_name):
    dynamodb = await hardened(dynamodb_local.endpoint_url)
    table = await dynamodb.create_table(
        TableName=table_name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert isinstance(table, aio.AsyncTable)
    assert table.name == table_name
    await table.wait_until_exists(**WAIT)
    changed = await table.update(
        BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 7, "WriteCapacityUnits": 8}
    )
    assert isinstance(changed, aio.AsyncTable)
    assert changed == table
    assert (await table.provisioned_throughput)["ReadCapacityUnits"] == 7
    await table.put_item(Item={"pk": "a"})
    answer = await table.delete()
    assert answer["TableDescription"]["TableName"] == table_name
    await table.wait_until_not_exists(**WAIT)
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        await table.wait_until_exists(**WAIT)


async def test_batches_go_through_the_resource(pair, hardened, dynamodb_local):
    sync, table = pair
    dynamodb = await hardened(dynamodb_local.endpoint_url)
    items = [{"pk": "b", "sk": str(number), "n": number} for number in range(3)]
    written = await dynamodb.batch_write_item(
        RequestItems={table.name: [{"PutRequest": {"Item": item}} for item in items]}
    )
    assert written["UnprocessedItems"] == {}
    keys = {"Keys": [{"pk": "b", "sk": str(number)} for number in range(3)]}
    found = await dynamodb.batch_get_item(RequestItems={table.name: keys})
    assert sorted(found["Responses"][table.name], key=lambda item: item["sk"]) == items
    assert sorted(sync.scan()["Items"], key=lambda item: item["sk"]) == items


async def test_the_client_of_a_table_takes_and_gives_native_values(pair):
    sync, table = pair
    client = table.meta.client
    for number in range(5):
        await client.put_item(TableName=table.name, Item={"pk": "c", "sk": str(number), "n": number})
    found = await client.get_item(TableName=table.name, Key={"pk": "c", "sk": "3"})
    assert found["Item"] == sync.get_item(Key={"pk": "c", "sk": "3"})["Item"]
    pages = client.get_paginator("query").paginate(
        TableName=table.name,
        KeyConditionExpression="pk = :p",
        ExpressionAttributeValues={":p": "c"},
        PaginationConfig={"PageSize": 2},
    )
    counts = [len(page["Items"]) async for page in pages]
    assert (sum(counts), max(counts)) == (5, 2)
    whole = await client.get_paginator("scan").paginate(TableName=table.name).build_full_result()
    assert len(whole["Items"]) == 5
    await client.get_waiter("table_exists").wait(TableName=table.name, **WAIT)
    assert client.meta.region_name == ACCESS["region_name"]
    assert client.can_paginate("scan")
    assert not client.can_paginate("get_item")
    with pytest.raises(client.exceptions.ResourceNotFoundException) as raised:
        await client.describe_table(TableName="absent-table")
    assert isinstance(raised.value, ClientError)
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        await table.put_item(Item={"pk": "c", "sk": "1"}, ConditionExpression="attribute_not_exists(pk)")


async def test_a_low_level_client_takes_and_gives_typed_values(dynamodb_local, make_table):
    name = make_table(dynamodb_local.endpoint_url)
    async with aio.client("dynamodb", endpoint_url=dynamodb_local.endpoint_url, **ACCESS) as client:
        await client.put_item(TableName=name, Item={"pk": {"S": "a"}, "n": {"N": "1"}, "b": {"B": b"x"}})
        found = await client.get_item(TableName=name, Key={"pk": {"S": "a"}})
        assert found["Item"] == {"pk": {"S": "a"}, "n": {"N": "1"}, "b": {"B": b"x"}}
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            await client.get_item(TableName="absent-table", Key={"pk": {"S": "a"}})


async def test_arguments_go_by_position_too(dynamodb_local):
    async with (
        aio.client("dynamodb", "eu-central-1", endpoint_url=dynamodb_local.endpoint_url) as client,
        aio.resource("dynamodb", "eu-west-3", endpoint_url=dynamodb_local.endpoint_url) as dynamodb,
    ):
        assert client.meta.region_name == "eu-central-1"
        assert dynamodb.meta.client.meta.region_name == "eu-west-3"


async def test_verbs_can_be_gathered_and_made_into_tasks(pair):
    _, table = pair
    await asyncio.gather(*(table.put_item(Item={"pk": "g", "sk": str(number)}) for number in range(3)))
    task = asyncio.create_task(table.get_item(Key={"pk": "g", "sk": "1"}), name="mine")
    assert "mine" in repr(task)
    async with asyncio.TaskGroup() as group:
        other = group.create_task(table.get_item(Key={"pk": "g", "sk": "2"}))
        status = group.create_task(table.table_status)
    assert (await asyncio.wait_for(task, 5))["Item"]["sk"] == "1"
    assert (other.result()["Item"]["sk"], status.result()) == ("2", "ACTIVE")


async def test_tasks_of_verbs_work_in_asyncios_debug_mode(pair):
    _, table = pair
    asyncio.get_running_loop().set_debug(True)
    task = asyncio.create_task(table.put_item(Item={"pk": "d", "sk": "1"}))
    assert repr(task)
    assert task.get_stack() is not None
    await task


def test_the_package_says_what_it_exports():
    assert aio.__all__ == sorted(aio.__all__)
    assert {"client", "resource", "table", "harden"} <= set(aio.__all__)
    assert Path(rddb.__file__).with_name("py.typed").exists()
