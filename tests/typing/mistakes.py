"""Programs with one mistake each. The comment on a line is the code of the error that mypy has to find there."""

import asyncio
from typing import Any

from boto3.dynamodb.conditions import Key

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.events import CallEndEvent

CONDITION = Key("id").eq("a")


def a_name_that_is_not_there() -> None:
    rddb.resourse("dynamodb")  #: attr-defined


def an_observer_that_is_not_there() -> None:
    rddb.observers.LogObserver()  #: attr-defined


def a_parameter_that_is_not_there(table: rddb.Table) -> None:
    table.get_item(Key={"id": "a"}, ConsistendRead=True)  #: call-arg


def a_verb_without_its_key(table: rddb.Table) -> None:
    table.get_item(ConsistentRead=True)  #: call-arg


def boto3s_limit_in_lower_case(table: rddb.Table) -> None:
    list(table.query_items(KeyConditionExpression=CONDITION, limit=5))  #: call-arg


def a_word_that_is_no_choice(table: rddb.Table) -> None:
    table.query_many(["a"], on_shard_error="ignore")  #: arg-type


def an_old_name_of_a_setting() -> None:
    rddb.Policy(max_attempts=5)  #: call-arg


def a_setting_at_the_wrong_place() -> None:
    rddb.Retry(on_ambiguous_write="retry")  #: call-arg


def a_number_for_a_setting() -> None:
    rddb.Policy(retry=5)  #: arg-type


def a_limit_by_another_name() -> None:
    rddb.Timeouts(total=5.0)  #: call-arg


def an_option_of_the_policy_at_a_table() -> None:
    rddb.resource("dynamodb").Table("orders", fallback=rddb.fallback.stale())  #: call-arg


def a_filter_that_is_none() -> None:
    rddb.TimeToLive("expires_at", filter="none")  #: arg-type


def a_name_of_before() -> None:
    rddb.install(rddb.table("orders"))  #: attr-defined


def text_for_seconds() -> None:
    rddb.deadline("2 s")  #: arg-type


def text_for_a_rate(table: rddb.Table) -> None:
    table.batch_writer(write_units_per_second="fast")  #: arg-type


def an_awaited_answer_of_the_sync_table(table: rddb.Table) -> None:
    async def read() -> None:
        await table.get_item(Key={"id": "a"})  #: misc

    asyncio.run(read())


async def an_answer_that_was_not_awaited(table: aio.Table) -> None:
    table.get_item(Key={"id": "a"})["Item"]  #: index


async def a_for_over_the_async_items(table: aio.Table) -> None:
    for item in table.scan_items():  #: attr-defined
        del item


def an_update_without_its_version(table: rddb.VersionedTable) -> None:
    table.update_item({"id": "a"})  #: call-arg


def a_verb_that_a_versioned_table_has_not(table: rddb.VersionedTable) -> None:
    table.get_itm(Key={"id": "a"})  #: attr-defined


def a_parameter_that_a_versioned_table_has_not(table: rddb.VersionedTable) -> None:
    table.query(KeyConditionExpresion=CONDITION)  #: call-arg


def attempts_by_their_old_name(table: rddb.VersionedTable) -> None:
    table.modify({"id": "a"}, lambda item: item, attempts=5)  #: call-arg


def a_version_as_text(table: rddb.VersionedTable) -> None:
    table.delete_item({"id": "a"}, expected_version="3")  #: arg-type


async def a_version_that_was_not_awaited(table: aio.AsyncVersionedTable) -> None:
    table.modify({"id": "a"}, lambda item: item)["id"]  #: index


def a_scan_of_a_sharded_table(table: rddb.ShardedTable) -> None:
    table.scan()  #: attr-defined


def a_parameter_that_a_sharded_table_has_not(table: rddb.ShardedTable) -> None:
    table.query(KeyConditionExpression=CONDITION, limit=5)  #: call-arg


def a_condition_that_is_misspelt(table: rddb.VersionedTable) -> None:
    table.put_item(Item={"id": "a"}, ConditionExpresion="attribute_exists(id)")  #: call-arg


def an_answer_that_there_is_not(table: rddb.ShardedTable) -> None:
    table.update_item(Key={"id": "a"}, UpdateExpression="REMOVE n", ReturnValues="ALL")  #: arg-type


async def a_read_that_is_misspelt(table: aio.AsyncShardedTable) -> None:
    await table.get_item(Key={"id": "a"}, ConsistendRead=True)  #: call-arg


def a_parameter_that_get_items_has_not(table: rddb.Table) -> None:
    table.get_items([{"id": "a"}], Limit=5)  #: call-arg


def shards_by_a_name_of_before(table: rddb.Table) -> None:
    table.sharded(10, suffix_by="order_id")  #: call-arg


def facts_that_may_not_be_there(error: Exception) -> bool:
    return rddb.call_facts(error).ambiguous  #: union-attr


def a_fact_that_is_not_there(event: CallEndEvent) -> None:
    print(event.duration)  #: attr-defined


def an_observer_of_two(event: object, more: object) -> None:
    rddb.Policy(observers=[an_observer_of_two])  #: list-item


@rddb.lambda_handler
async def handler(event: dict[str, str], context: Any) -> int:
    return len(event)


async def a_handlers_answer_awaited() -> None:
    await handler({}, None)  #: misc


def a_report_of_before(table: rddb.Table) -> None:
    with table.batch_writer() as batch:
        batch.put_item(Item={"id": "a"})
    print(batch.report.throttled)  #: attr-defined
