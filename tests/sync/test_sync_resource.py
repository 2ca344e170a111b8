"""The resource and its Tables are boto3's own, in every way that other code looks at."""

import weakref

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.resources.base import ServiceResource
from botocore.exceptions import ClientError, WaiterError
from botocore.stub import Stubber
from cycle_support import collected_afterwards
from sdk_support import http_session_of

import resilient_ddb as rddb

DEFINITION = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture
def dynamodb(dynamodb_local, hardened):
    return hardened(dynamodb_local.endpoint_url)


@pytest.fixture
def table(dynamodb, dynamodb_local, make_table):
    return dynamodb.Table(make_table(dynamodb_local.endpoint_url))


def test_a_table_is_a_service_resource_and_a_resilient_table(dynamodb, table):
    assert isinstance(table, ServiceResource)
    assert isinstance(table, rddb.ResilientTable)
    assert isinstance(dynamodb, ServiceResource)
    assert isinstance(dynamodb, rddb.ResilientServiceResource)
    assert type(table).__name__ == "dynamodb.Table"


def test_a_plain_table_is_no_resilient_one(plain, dynamodb_local, table):
    assert not isinstance(plain(dynamodb_local.endpoint_url).Table(table.name), rddb.ResilientTable)


def test_tables_compare_hash_and_print_as_boto3s(dynamodb, plain, dynamodb_local):
    theirs = plain(dynamodb_local.endpoint_url)
    assert repr(dynamodb.Table("orders")) == repr(theirs.Table("orders")) == "dynamodb.Table(name='orders')"
    assert repr(dynamodb) == repr(theirs)
    assert dynamodb.Table("orders") == dynamodb.Table("orders")
    assert dynamodb.Table("orders") == theirs.Table("orders")
    assert dynamodb.Table("orders") != dynamodb.Table("other")
    assert hash(dynamodb.Table("orders")) == hash(dynamodb.Table("orders"))
    assert len({dynamodb.Table("orders"), dynamodb.Table("orders"), dynamodb.Table("other")}) == 2


def test_tables_keep_their_identity_with_a_fallback_of_their_own(dynamodb):
    table = dynamodb.Table("orders", policy=rddb.Policy(fallback=rddb.fallback.stale()))
    assert table == dynamodb.Table("orders")
    assert hash(table) == hash(dynamodb.Table("orders"))
    assert isinstance(table, rddb.ResilientTable)


def test_create_table_gives_a_resilient_table(dynamodb, table_name):
    made = dynamodb.create_table(TableName=table_name, **DEFINITION)
    try:
        made.wait_until_exists()
        assert isinstance(made, rddb.ResilientTable)
        assert made.name == table_name
    finally:
        made.delete()
        made.wait_until_not_exists()


def test_all_tables_are_listed_as_resilient_ones(dynamodb, make_table, dynamodb_local):
    names = {make_table(dynamodb_local.endpoint_url) for _ in range(3)}
    listed = list(dynamodb.tables.all())
    assert names <= {table.name for table in listed}
    assert all(isinstance(table, rddb.ResilientTable) for table in listed)


def test_listing_can_be_limited_filtered_and_paged(dynamodb, make_table, dynamodb_local):
    for _ in range(3):
        make_table(dynamodb_local.endpoint_url)
    everything = [table.name for table in dynamodb.tables.all()]
    assert [table.name for table in dynamodb.tables.limit(2)] == everything[:2]
    assert [table.name for table in dynamodb.tables.page_size(1)] == everything
    assert [len(page) for page in dynamodb.tables.page_size(1).pages()][:2] == [1, 1]
    after_first = dynamodb.tables.filter(ExclusiveStartTableName=everything[0])
    assert [table.name for table in after_first] == everything[1:]


def test_the_resource_names_its_subresources_and_its_service(dynamodb, plain, dynamodb_local):
    theirs = plain(dynamodb_local.endpoint_url)
    assert dynamodb.get_available_subresources() == theirs.get_available_subresources() == ["Table"]
    assert dynamodb.meta.service_name == theirs.meta.service_name
    assert dynamodb.meta.resource_model.name == theirs.meta.resource_model.name
    assert dynamodb.meta.client.meta.endpoint_url == theirs.meta.client.meta.endpoint_url


def test_the_resource_has_all_that_boto3s_has(dynamodb, plain, dynamodb_local):
    theirs = plain(dynamodb_local.endpoint_url)
    assert set(dir(theirs)) <= set(dir(dynamodb))
    assert set(dir(theirs.Table("t"))) <= set(dir(dynamodb.Table("t")))
    assert set(dir(theirs.meta.client)) <= set(dir(dynamodb.meta.client))


def test_batches_of_the_resource_take_native_values(dynamodb, table):
    dynamodb.batch_write_item(RequestItems={table.name: [{"PutRequest": {"Item": {"pk": "a", "n": 1}}}]})
    answer = dynamodb.batch_get_item(RequestItems={table.name: {"Keys": [{"pk": "a"}]}})
    assert answer["Responses"] == {table.name: [{"pk": "a", "n": 1}]}


def test_attributes_are_loaded_when_they_are_first_read(proxy, hardened, make_table, dynamodb_local):
    table = hardened(proxy.endpoint_url).Table(make_table(dynamodb_local.endpoint_url))
    assert proxy.count() == 0
    assert table.table_status == "ACTIVE"
    assert table.key_schema == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert table.item_count == 0
    assert table.global_secondary_indexes is None
    assert table.table_name == table.name
    assert proxy.count("DescribeTable") == 1
    table.reload()
    table.load()
    assert proxy.count("DescribeTable") == 3


def test_attributes_equal_those_of_boto3(table, plain, dynamodb_local):
    theirs = plain(dynamodb_local.endpoint_url).Table(table.name)
    names = [name for name, _ in theirs.meta.resource_model.get_attributes(_shape(theirs)).items()]
    assert len(names) > 20
    for name in names:
        assert getattr(table, name) == getattr(theirs, name), name


def _shape(table):
    return table.meta.client.meta.service_model.shape_for(table.meta.resource_model.shape)


def test_reading_an_attribute_of_a_missing_table_says_that_it_is_missing(dynamodb):
    table = dynamodb.Table("absent-table")
    with pytest.raises(table.meta.client.exceptions.ResourceNotFoundException):
        table.item_count  # noqa: B018 - reading it asks DynamoDB


def test_update_and_delete_act_on_the_table(table):
    updated = table.update(
        AttributeDefinitions=DEFINITION["AttributeDefinitions"],
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 7, "WriteCapacityUnits": 3},
    )
    assert isinstance(updated, rddb.ResilientTable)
    assert updated.provisioned_throughput["ReadCapacityUnits"] == 7
    table.delete()
    table.wait_until_not_exists()
    with pytest.raises(ClientError, match="ResourceNotFound"):
        table.load()


def test_waiters_obey_the_delay_that_the_caller_sets(dynamodb):
    waiter = dynamodb.meta.client.get_waiter("table_exists")
    waiter.config.delay = 0.001
    waiter.config.max_attempts = 3
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        waiter.wait(TableName="absent-table")


def test_paginators_page_with_native_values(table):
    with table.batch_writer() as batch:
        for number in range(5):
            batch.put_item(Item={"pk": str(number), "n": number})
    pages = table.meta.client.get_paginator("scan").paginate(
        TableName=table.name, FilterExpression=Attr("n").gte(1), PaginationConfig={"PageSize": 2}
    )
    counted = [len(page["Items"]) for page in pages]
    assert sum(counted) == 4
    assert len(counted) >= 3


def test_an_error_is_of_its_own_class_and_of_no_other(table):
    exceptions = table.meta.client.exceptions
    table.put_item(Item={"pk": "a"})
    with pytest.raises(exceptions.ConditionalCheckFailedException) as raised:
        table.put_item(Item={"pk": "a"}, ConditionExpression=Attr("pk").not_exists())
    assert not isinstance(raised.value, exceptions.ResourceNotFoundException)


def test_handlers_added_to_the_clients_events_are_called(table):
    called = []
    events = table.meta.client.meta.events
    events.register("provide-client-params.dynamodb.GetItem", lambda params, **_: called.append(params["Key"]))
    events.register_first("before-call.dynamodb.GetItem", lambda **_: called.append("before-call"))
    events.register_last("after-call.dynamodb.GetItem", lambda parsed, **_: called.append(sorted(parsed)))
    events.register("before-send.dynamodb.GetItem", lambda request, **_: called.append(request.method))
    table.get_item(Key={"pk": "a"})
    assert called == [{"pk": "a"}, "before-call", "POST", ["ResponseMetadata"]]


def test_a_handler_may_change_the_parameters(table):
    table.put_item(Item={"pk": "b", "n": 1})

    def ask_for_b(params, **_):
        return {**params, "Key": {"pk": "b"}}

    table.meta.client.meta.events.register_first("provide-client-params.dynamodb.GetItem", ask_for_b)
    assert table.get_item(Key={"pk": "a"})["Item"] == {"pk": "b", "n": 1}


def test_a_handler_may_answer_in_place_of_the_service(proxy, hardened):
    table = hardened(proxy.endpoint_url).Table("orders")
    answer = type("Http", (), {"status_code": 200})(), {"Item": {"pk": {"S": "x"}}, "ResponseMetadata": {}}
    table.meta.client.meta.events.register("before-call.dynamodb.GetItem", lambda **_: answer)
    assert table.get_item(Key={"pk": "a"})["Item"] == {"pk": "x"}
    assert proxy.count() == 0


def test_what_others_read_behind_the_clients_back_is_there(table):
    client = table.meta.client
    assert client._endpoint.host == client.meta.endpoint_url  # noqa: SLF001 - botocore's name, which programs know
    assert http_session_of(client) is not None
    signing = client._request_signer.region_name  # noqa: SLF001 - as above
    assert signing == client.meta.region_name == "eu-west-1"
    assert client._client_config is client.meta.config  # noqa: SLF001 - as above
    assert client.meta.service_model.service_name == "dynamodb"


def test_a_stubber_answers_for_the_table_and_checks_conditions(hardened):
    table = hardened("http://127.0.0.1:1").Table("orders")
    with Stubber(table.meta.client) as stubber:
        stubber.add_response(
            "query",
            {"Items": [{"pk": {"S": "a"}, "n": {"N": "1"}}], "Count": 1},
            {
                "TableName": "orders",
                "KeyConditionExpression": Key("pk").eq("a"),
                "FilterExpression": Attr("n").gt(0),
            },
        )
        answer = table.query(KeyConditionExpression=Key("pk").eq("a"), FilterExpression=Attr("n").gt(0))
        stubber.assert_no_pending_responses()
    assert answer["Items"] == [{"pk": "a", "n": 1}]


def test_a_stubber_answers_for_the_batch_writer_of_a_table_with_a_fallback(hardened):
    table = hardened("http://127.0.0.1:1").Table("orders", policy=rddb.Policy(fallback=rddb.fallback.stale()))
    with Stubber(table.meta.client) as stubber:
        stubber.add_response(
            "batch_write_item",
            {"UnprocessedItems": {}},
            {"RequestItems": {"orders": [{"PutRequest": {"Item": {"pk": "a"}}}]}},
        )
        with table.batch_writer() as batch:
            batch.put_item(Item={"pk": "a"})
        stubber.assert_no_pending_responses()


def test_a_stubbed_error_is_raised_as_it_is(hardened):
    table = hardened("http://127.0.0.1:1").Table("orders")
    with Stubber(table.meta.client) as stubber:
        stubber.add_client_error("put_item", "ConditionalCheckFailedException", "no", http_status_code=400)
        with pytest.raises(table.meta.client.exceptions.ConditionalCheckFailedException) as raised:
            table.put_item(Item={"pk": "a"})
    assert raised.value.resilience.kind == "conditional"
    assert raised.value.resilience.table == "orders"


def test_the_batch_writer_shows_its_buffer_and_can_be_flushed(table):
    with table.batch_writer() as batch:
        batch.put_item(Item={"pk": "a"})
        assert batch._items_buffer == [{"PutRequest": {"Item": {"pk": "a"}}}]  # noqa: SLF001 - boto3's name
        batch._flush()  # noqa: SLF001 - as above
        assert batch._items_buffer == []  # noqa: SLF001 - as above
    assert table.get_item(Key={"pk": "a"})["Item"] == {"pk": "a"}


@pytest.mark.usefixtures("moto_aws")
def test_moto_answers_in_process():
    dynamodb = rddb.resource("dynamodb", session=boto3.Session())
    table = dynamodb.create_table(TableName="orders", **DEFINITION)
    table.put_item(Item={"pk": "a", "n": 1})
    assert table.query(KeyConditionExpression=Key("pk").eq("a"))["Items"] == [{"pk": "a", "n": 1}]
    assert [listed.name for listed in dynamodb.tables.all()] == ["orders"]
    with pytest.raises(table.meta.client.exceptions.ConditionalCheckFailedException):
        table.put_item(Item={"pk": "a"}, ConditionExpression="attribute_not_exists(pk)")
    dynamodb.meta.client.close()


def test_moto_answers_clients_that_were_made_before_it_was_switched_on(aws_env):
    from moto import mock_aws  # noqa: PLC0415  # slow to import

    dynamodb = rddb.resource("dynamodb", session=boto3.Session(region_name="eu-west-1"))
    with mock_aws():
        dynamodb.create_table(TableName="orders", **DEFINITION)
        assert [listed.name for listed in dynamodb.tables.all()] == ["orders"]
    dynamodb.meta.client.close()


def test_a_session_that_nobody_needs_any_more_is_let_go(aws_env):
    with collected_afterwards():
        session = boto3.Session(region_name="eu-west-1")
        made = rddb.resource("dynamodb", session=session)
        assert type(made.Table("t")) is type(rddb.resource("dynamodb", session=session).Table("t")), "classes are kept"
        made.meta.client.close()
        seen = weakref.ref(session._session)  # noqa: SLF001 - boto3 has no public way
        del session, made
    assert seen() is None
