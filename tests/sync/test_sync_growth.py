"""A process that goes on for long holds no more after 200,000 calls than after the first thousands."""

from __future__ import annotations

import contextlib

import boto3
import pytest
from benchmarks import items
from benchmarks.processes import stub
from benchmarks.workers.boto import native_query, native_update
from codec_calls import ACCESS
from growth_support import grown, held
from plain_call_support import counters

import resilient_ddb as rddb

CALLS = 200_000
WARM = 10_000
MOST_OBJECTS, MOST_BLOCKS = 500, 1_000
"""Less than one for each 200 calls. What varies by itself is some hundreds."""


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("without_moto")
def test_200_000_calls_leave_nothing_behind():
    told = []
    policy = rddb.Policy(observers=[lambda event: told.append(event) or told.clear()], fast_path=True)
    with stub() as url:
        table = rddb.table(
            items.TABLE, endpoint_url=url, policy=policy, ttl="expires_at", session=boto3.Session(**ACCESS)
        )
        item = items.several()[0]

        def fail():
            with contextlib.suppress(rddb.DeadlineExceededError), rddb.deadline(0):
                table.get_item(Key=items.KEY)

        def write():
            with table.batch_writer() as batch:
                batch.put_item(Item=item)

        calls = [
            lambda: table.get_item(Key=items.KEY),
            lambda: table.put_item(Item=item),
            lambda: table.update_item(**native_update()),
            lambda: table.delete_item(Key=items.KEY),
            lambda: table.query(**native_query(), Limit=items.FEW),
            write,
            fail,
        ]

        def make(number):
            for _ in range(number // len(calls)):
                for call in calls:
                    call()

        make(WARM)
        before, made = held(), counters(table.meta.client).calls
        make(CALLS)
        found = grown(before)
        taken = counters(table.meta.client).calls - made
    assert taken == CALLS // len(calls) * (len(calls) - 1)  # all but those that the deadline refused
    assert (found["descriptors"], found["threads"]) == (0, 0)
    assert found["objects"] < MOST_OBJECTS
    assert found["blocks"] < MOST_BLOCKS
