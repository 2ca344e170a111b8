"""Processes that share a rate, one of which is killed: real ones, on DynamoDB Local."""

import boto3
import pytest
from benchmarks import shared_rate


def test_four_processes_hold_the_rate_and_take_up_the_share_of_one_that_is_killed(dynamodb_local):
    figures = shared_rate.measure(dynamodb_local.endpoint_url, lease_seconds=3.0, settle=4, steady=5, after=9)
    boto3.client("dynamodb", endpoint_url=dynamodb_local.endpoint_url).delete_table(TableName=shared_rate.TABLE)
    assert figures.settled == pytest.approx(shared_rate.RATE, rel=0.05)
    assert figures.taken_up < 6  # twice the lease
