"""Writes that a flow sends on its own account: told as in doubt only if the caller is left in doubt, sync and async."""

import logging
from dataclasses import dataclass

import pytest
from boto3.dynamodb.conditions import Attr
from sharded_support import done

import resilient_ddb as rddb
from resilient_ddb.testing import faults

OLD, NEW = rddb.ShardLayout(2, by="sk"), rddb.ShardLayout(7, by="sk")
NUMBER = next(
    number for number in range(99) if OLD.stored_key("a", {"sk": number}) != NEW.stored_key("a", {"sk": number})
)
KEY = {"pk": "a", "sk": NUMBER}
WAS, IS = ({"pk": layout.stored_key("a", KEY), "sk": NUMBER} for layout in (OLD, NEW))
ADD = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
WRITES = ("PutItem", "UpdateItem", "TransactWriteItems")
TOKENS = pytest.mark.parametrize("write_token", [None, "_wt"])


@dataclass(frozen=True, kw_only=True)
class Before(faults.Throttle):
    """Let others work just before the first writes, and hit none."""

    work: list

    def matches(self, call):
        if call.operation in WRITES and self.work:
            self.work.pop(0)()
        return False


@pytest.fixture
def overtaken(either):
    """Return a plan: others are quicker, and the answer to the first write, which says so, is lost."""

    def plan(*work):
        either.proxy.plan = [Before(work=list(work)), faults.LoseReply(operations=set(WRITES), times=1)]

    return plan


@pytest.fixture
def ends(either, caplog):
    """Return what is told of writes: by events, and by the log."""
    caplog.set_level(logging.WARNING, "resilient_ddb")
    told = []
    core = either.table.meta.client._resilience  # noqa: SLF001 - the policy that the table was made with
    rddb.set_policy(either.table, core.policy.replace(observers=[told.append]))

    def writes():
        ended = [event for event in told if isinstance(event, rddb.events.CallEndEvent) and event.operation in WRITES]
        in_doubt = [event for event in ended if event.ambiguous]
        assert len(caplog.records) == min(len(in_doubt), 1)  # the rest is in a summary
        return [(event.operation, event.ambiguous) for event in ended]

    return writes


def add_one(item):
    return {**(item or KEY), "n": ((item or {}).get("n") or 0) + 1}


@TOKENS
async def test_modify_that_begins_an_item_and_is_overtaken(either, overtaken, ends, write_token):
    docs = either.table.versioned(write_token=write_token)
    overtaken(lambda: either.direct.put_item(Item={**KEY, "n": 5, "version": 1}))
    item = await done(docs.modify(KEY, add_one))
    assert (item["n"], item["version"]) == (6, 2)
    operation = "TransactWriteItems" if write_token is None else "PutItem"
    assert ends() == [(operation, False), (operation, False)]


@TOKENS
async def test_modify_that_ends_in_doubt_says_so(either, overtaken, ends, write_token):
    docs = either.table.versioned(write_token=write_token)
    overtaken(lambda: either.direct.put_item(Item={**KEY, "n": 5, "version": 1}))
    with pytest.raises(rddb.VersionConflictError) as caught:
        await done(docs.modify(KEY, add_one, max_attempts=1))
    assert caught.value.resilience.ambiguous
    assert [ambiguous for _, ambiguous in ends()] == [True]


async def test_a_put_that_takes_the_place_of_an_expired_item(either, overtaken, ends):
    table = await either.make(ttl="at")
    core = either.table.meta.client._resilience  # noqa: SLF001 - as above
    rddb.set_policy(table, core.policy)
    either.direct.put_item(Item={**KEY, "n": 5, "version": 1, "at": 7})
    overtaken()
    await done(table.versioned().put_item(Item={**KEY, "n": 1}))
    [stored] = either.stored()
    assert (stored["n"], stored["version"]) == (1, 2)
    assert ends() == [("PutItem", False), ("PutItem", False)]


@pytest.mark.parametrize("verb", ["put_item", "update_item", "idempotent_update"])
async def test_a_move_that_is_overtaken(either, overtaken, ends, verb):
    docs = either.table.sharded(7, previous=(2,))
    either.direct.put_item(Item={**WAS, "n": 1})
    overtaken(lambda: either.direct.update_item(Key=WAS, **ADD))
    params = {"Item": {**KEY, "n": 3}} if verb == "put_item" else {"Key": KEY, **ADD}
    await done(getattr(docs, verb)(**params))
    [stored] = either.stored()
    assert stored == {**IS, "n": 3}
    assert {ambiguous for _, ambiguous in ends()} == {False}


@pytest.mark.parametrize("verb", ["put_item", "update_item", "idempotent_update"])
async def test_an_item_that_another_begins_elsewhere(either, overtaken, ends, verb):
    docs = either.table.sharded(7, previous=(2,))
    overtaken(lambda: either.direct.put_item(Item={**WAS, "n": 2}))
    params = {"Item": {**KEY, "n": 3}} if verb == "put_item" else {"Key": KEY, **ADD}
    await done(getattr(docs, verb)(**params))
    [stored] = either.stored()
    assert stored == {**IS, "n": 3}
    assert {ambiguous for _, ambiguous in ends()} == {False}


@pytest.mark.parametrize("verb", ["put_item", "idempotent_update"])
async def test_the_condition_of_a_caller_that_failed_stays_in_doubt(either, overtaken, ends, verb):
    docs = either.table.sharded(7, previous=(2,))
    overtaken()
    params = {"Item": {**KEY, "n": 3}} if verb == "put_item" else {"Key": KEY, **ADD}
    with pytest.raises(either.table.meta.client.exceptions.ConditionalCheckFailedException) as caught:
        await done(getattr(docs, verb)(**params, ConditionExpression=Attr("n").eq(8)))
    assert caught.value.resilience.ambiguous
    assert ends()[-1][1]
