"""Processes that share a rate, one of which is killed: real ones, on DynamoDB Local."""

import time

import boto3
import pytest
from benchmarks import shared_rate


@pytest.mark.long
def test_four_processes_hold_the_rate_and_take_up_the_share_of_one_that_is_killed(dynamodb_local):
    grants = []
    leases = boto3.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url).Table(shared_rate.TABLE)

    def wait_for(claims):
        while True:
            found = [float(item["claim"]) for item in leases.scan(ConsistentRead=True)["Items"]]
            if [round(claim, 3) for claim in found] == claims:
                return
            time.sleep(0.05)

    with shared_rate.at_work(dynamodb_local.endpoint_url, 3.0, grants) as workers:
        wait_for([100] * 4)
        time.sleep(1)
        workers[0].kill()
        wait_for([133.333] * 3)
        time.sleep(1)
    leases.delete()
    moments = [moment for moment, _ in grants]
    used, seconds = sum(units for _, units in grants), max(moments) - min(moments)
    assert shared_rate.RATE < used <= shared_rate.RATE * (seconds + 1)
