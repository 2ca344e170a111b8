"""Programs with one mistake each that is found if the types of boto3 and aioboto3 themselves are installed.

These are types-boto3[dynamodb] and types-aioboto3. Without them, the base classes of the Tables are unknown.
"""

import asyncio
from typing import Any

import resilient_ddb as rddb
from resilient_ddb import aio


def a_verb_that_is_not_there(table: rddb.Table) -> None:
    table.get_itm(Key={"id": "a"})  #: attr-defined


async def an_async_verb_that_is_not_there(table: aio.Table) -> None:
    await table.put_itm(Item={"id": "a"})  #: attr-defined


def a_with_for_what_opens_nothing(table: rddb.Table) -> None:
    with table.query_items():  #: attr-defined
        pass


async def count(table: aio.Table) -> int:
    return (await table.scan(Select="COUNT"))["Count"]


def a_sync_table_for_an_async_one(table: rddb.Table) -> None:
    asyncio.run(count(table))  #: arg-type


async def a_call_that_was_not_awaited(table: aio.Table) -> None:
    count(table)  #: unused-coroutine


def a_name_of_before(error: rddb.UnprocessedItemsError) -> list[Any]:
    return list(error.items)  #: attr-defined
