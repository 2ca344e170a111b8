"""The library's own tables: created once, with TTL, whoever else asks for them."""

import pytest

import resilient_ddb as rddb


@pytest.fixture(params=["leases", "circuits"])
def create(request):
    return rddb.SharedRateLimiter.create_table if request.param == "leases" else rddb.storages.create_table


@pytest.fixture
def dynamodb(dynamodb_local):
    return rddb.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url)


def test_it_is_created_once_and_cleans_up_by_ttl(create, dynamodb, table_name):
    table = create(dynamodb, table_name)
    assert create(dynamodb, table_name) == table
    told = dynamodb.meta.client.describe_time_to_live(TableName=table_name)["TimeToLiveDescription"]
    assert told == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    table.delete()


def test_two_may_create_it_at_once(create, dynamodb, table_name):
    made = []
    create_table = dynamodb.create_table

    def outrun(**arguments):
        made.append(create_table(**arguments))
        return create_table(**arguments)

    dynamodb.create_table = outrun
    assert create(dynamodb, table_name) == made[0]
    made[0].delete()
