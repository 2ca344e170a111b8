"""`modify`, lost replies to versioned writes, and `idempotent_update`, through the sync Table."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr
from boto3.dynamodb.types import Binary
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

import resilient_ddb as rddb
from resilient_ddb.testing import faults

KEY = {"pk": "a"}
LOST_PUT = faults.LoseReply(operations={"PutItem"}, times=1)
LOST_UPDATE = faults.LoseReply(operations={"UpdateItem"}, times=1)
LOST_WRITE = faults.LoseReply(operations={"TransactWriteItems", "PutItem"}, times=1)
TOKENS = pytest.mark.parametrize("write_token", [None, "_wt"])


def add_one(item):
    item = item or {"n": 0}
    item["n"] += 1
    return item


def bare(item):
    return {name: value for name, value in item.items() if name != "_wt"}


# Read, change, write.


@TOKENS
def test_modify_creates_changes_and_deletes(world, write_token):
    docs = world.table().versioned(write_token=write_token)
    seen = []

    def change(item):
        seen.append(item and dict(item))
        return add_one(item)

    assert bare(docs.modify(KEY, change)) == {"pk": "a", "n": 1, "version": 1}
    assert bare(docs.modify(Key=KEY, change=change)) == {"pk": "a", "n": 2, "version": 2}
    assert [item and bare(item) for item in seen] == [None, {"pk": "a", "n": 1, "version": 1}]
    assert docs.modify(KEY, lambda item: {"pk": "a", "text": "new"})["version"] == 3
    assert bare(world.stored()) == {"pk": "a", "text": "new", "version": 3}
    assert docs.modify(KEY, lambda item: {"text": item["text"], "version": "nonsense", "more": 1})["version"] == 4
    assert docs.modify(KEY, lambda item: rddb.DELETE) is None
    assert world.stored() is None
    assert docs.modify(KEY, lambda item: rddb.DELETE) is None
    assert repr(rddb.DELETE) == "rddb.DELETE"


@TOKENS
def test_equal_content_writes_nothing(world, write_token):
    docs = world.table().versioned(write_token=write_token)
    item = {"pk": "a", "n": 1, "s": {"x", "y"}, "m": {"l": [1, None, b"b"]}, "flag": 1}
    docs.put_item(Item=item)
    world.proxy.clear()
    stored = world.stored()
    assert docs.modify(KEY, lambda item: item) == stored
    assert docs.modify(KEY, lambda _: item) == stored
    assert docs.modify(KEY, lambda item: {**item, "version": 77}) == stored
    assert {seen.operation for seen in world.proxy.seen} == {"GetItem"}
    assert docs.modify(KEY, lambda item: {**item, "flag": True})["version"] == 2  # equal to 1 in Python only
    assert world.stored()["flag"] is True


def test_the_change_has_a_copy_of_its_own(world):
    docs = world.table().versioned()
    docs.put_item(Item={"pk": "a", "m": {"l": [1]}})

    def change(item):
        item["m"]["l"].append(2)
        return item

    assert docs.modify(KEY, change)["m"] == {"l": [1, 2]}
    assert world.stored()["m"] == {"l": [1, 2]}


@pytest.mark.parametrize(
    ("wanted", "expected", "message"),
    [
        (None, TypeError, "'return' forgotten"),
        ([], TypeError, "got list"),
        ({"pk": "b"}, ValueError, "leave the key as it is.*'pk'"),
        ({"pk": "a", "f": 0.5}, TypeError, "Float types are not supported"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_what_a_change_must_not_return(world, wanted, expected, message, there):
    docs = world.table().versioned()
    if there:
        world.direct.put_item(Item={"pk": "a", "n": 1})
    before = world.stored()
    world.proxy.clear()
    with pytest.raises(expected, match=message):
        docs.modify(KEY, lambda _: wanted)
    assert [seen.operation for seen in world.proxy.seen] == ["GetItem"]
    assert world.stored() == before


def test_an_async_change_is_refused(world):
    docs = world.table().versioned()

    async def change(item):
        return item

    def hidden(item):
        return change(item)

    for given in (change, hidden):
        with pytest.raises(TypeError, match=r"async.* are for resilient_ddb\.aio"):
            docs.modify(KEY, given)


def test_what_a_change_raises_is_raised(world):
    docs = world.table().versioned()

    def change(item):
        raise LookupError

    with pytest.raises(LookupError):
        docs.modify(KEY, change)
    with pytest.raises(rddb.VersionConflictError) as caught:  # not taken for one of its own
        docs.modify(KEY, lambda item: docs.delete_item(Key={"pk": "b"}, expected_version=1))
    assert caught.value.resilience.operation == "DeleteItem"


@TOKENS
@pytest.mark.parametrize("there", [True, False])
def test_a_conflict_is_tried_again_with_what_is_there_now(world, write_token, there):
    docs = world.table().versioned(write_token=write_token)
    if there:
        world.direct.put_item(Item={"pk": "a", "n": 5, "version": 1})
    rivals = [7, 8]

    def change(item):
        if rivals:
            rival = {"pk": "a", "n": rivals.pop(0)}
            world.direct.put_item(Item={**rival, "version": (item or {"version": 0})["version"] + 1})
        return add_one(item)

    assert bare(docs.modify(KEY, change)) == {"pk": "a", "n": 9, "version": 4 if there else 3}
    assert len(world.clock.waits) == 2
    assert world.clock.waits[0] <= 0.025
    assert world.clock.waits[1] <= 0.05


@TOKENS
def test_attempts_end_in_the_conflict(world, write_token):
    docs = world.table().versioned(write_token=write_token)
    versions = iter(range(1, 100))

    def change(item):
        world.direct.put_item(Item={"pk": "a", "n": 5, "version": next(versions)})
        return add_one(item)

    conditional = docs.meta.client.exceptions.ConditionalCheckFailedException
    with pytest.raises(conditional) as caught:
        docs.modify(KEY, change, max_attempts=3)
    error = caught.value
    assert isinstance(error, rddb.VersionConflictError)
    assert (error.expected, error.current) == (2, {"pk": "a", "n": 5, "version": 3})
    assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert not error.resilience.ambiguous
    assert any("3 attempts" in note for note in error.__notes__)
    assert len(world.clock.waits) == 2
    with pytest.raises(rddb.VersionConflictError):
        docs.modify(KEY, change, max_attempts=1)
    with pytest.raises(rddb.VersionConflictError):  # more than the policy makes of one request
        docs.modify(KEY, change, max_attempts=20)
    assert len(world.clock.waits) == 2 + 19


def test_a_deadline_holds_between_attempts(world):
    docs = world.table(retry=rddb.Retry(base_delay=1.0, max_delay=1.0), random=random.Random(3)).versioned()
    versions = iter(range(1, 100))

    def change(item):
        world.direct.put_item(Item={"pk": "a", "version": next(versions)})
        return add_one({"n": 1})

    with rddb.deadline(2.5, clock=world.clock), pytest.raises(rddb.DeadlineExceededError) as caught:
        docs.modify(KEY, change, max_attempts=100)
    assert isinstance(caught.value.__cause__, rddb.VersionConflictError)
    assert caught.value.resilience.stopped_by == "deadline"
    assert sum(world.clock.waits) < 2.5


def test_an_item_deleted_in_between_is_not_brought_back(world):
    docs = world.table().versioned()
    for item in ({"pk": "a", "n": 1, "version": 1}, {"pk": "a", "n": 1}):
        world.direct.put_item(Item=item)
        seen = []

        def change(item, seen=seen):
            seen.append(item and dict(item))
            world.direct.delete_item(Key=KEY)
            return rddb.DELETE if item is None else add_one(item)

        assert docs.modify(KEY, change) is None
        assert seen == [item, None]


def test_a_fallback_answers_reads_but_not_those_of_modify(world):
    fallback = rddb.fallback.response({"Item": {"pk": "a", "n": 100}})
    docs = world.table(fallback=fallback, retry=rddb.Retry(max_attempts=1)).versioned()
    docs.put_item(Item={"pk": "a", "n": 1})
    world.proxy.plan = [faults.Throttle(operations={"GetItem"})]
    assert docs.get_item(Key=KEY)["Item"]["n"] == 100
    with pytest.raises(ClientError) as caught:
        docs.modify(KEY, add_one)
    assert caught.value.resilience.kind == "throttling"
    assert docs.get_item(Key=KEY)["Item"]["n"] == 100  # and it answers again
    world.proxy.plan = []
    assert docs.modify(KEY, add_one)["n"] == 2


@pytest.mark.parametrize("said", [{}, {"queue": "q-1"}])
def test_a_write_that_a_fallback_answered_has_no_version(world, said):
    answer = {"ResponseMetadata": {"Resilience": said}}
    fallback = rddb.fallback.function(lambda call, error: answer, writes=True)
    docs = world.table(fallback=fallback, retry=rddb.Retry(max_attempts=1)).versioned()
    world.proxy.plan = [faults.Throttle()]
    assert docs.put_item(Item=KEY)["ResponseMetadata"]["Resilience"] == {"fallback": "<lambda>", **said}


# Lost replies.


@TOKENS
def test_a_put_that_was_applied_is_a_success(world, write_token):
    docs = world.table().versioned(write_token=write_token)
    world.proxy.plan = [LOST_PUT]
    assert docs.put_item(Item={"pk": "a", "n": 1, "s": {"b", "a"}})["ResponseMetadata"]["Resilience"]["version"] == 1
    world.proxy.plan = [LOST_PUT]
    answer = docs.put_item(Item={**world.stored(), "n": 2})
    assert answer["ResponseMetadata"]["Resilience"] == {"version": 2}
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert world.proxy.count("PutItem") == 4
    assert bare(world.stored()) == {"pk": "a", "n": 2, "s": {"a", "b"}, "version": 2}


@pytest.mark.parametrize("return_values", ["NONE", "ALL_NEW"])
def test_an_update_with_a_write_token_that_was_applied_is_a_success(world, return_values):
    docs = world.table().versioned(write_token="_wt")
    docs.put_item(Item={"pk": "a", "n": 1, "b": b"x"})
    world.proxy.plan = [LOST_UPDATE]
    answer = docs.update_item(
        Key=KEY,
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": 1},
        ReturnValues=return_values,
        expected_version=1,
    )
    assert answer["ResponseMetadata"]["Resilience"] == {"version": 2}
    assert answer.get("Attributes") == (world.stored() if return_values == "ALL_NEW" else None)
    assert world.proxy.count("UpdateItem") == 2
    assert bare(world.stored()) == {"pk": "a", "n": 2, "b": b"x", "version": 2}


def test_an_update_whose_answer_is_lost_for_good_is_in_doubt(world):
    docs = world.table().versioned(write_token="_wt")
    docs.put_item(Item=KEY)
    world.proxy.plan = [LOST_UPDATE]
    with pytest.raises(ConnectionClosedError) as caught:  # it was applied, but what it met can't be told any more
        docs.update_item(Key=KEY, expected_version=1, ReturnValues="ALL_OLD")
    assert caught.value.resilience.ambiguous


def test_an_update_without_a_write_token_is_in_doubt(world):
    docs = world.table().versioned()
    docs.put_item(Item={"pk": "a", "n": 1})
    world.proxy.plan = [LOST_UPDATE]
    with pytest.raises(ConnectionClosedError) as caught:
        docs.update_item(
            Key=KEY, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": 1}, expected_version=1
        )
    assert caught.value.resilience.ambiguous
    assert world.proxy.count("UpdateItem") == 2  # the version keeps it from being applied twice
    assert world.stored() == {"pk": "a", "n": 2, "version": 2}


@TOKENS
def test_an_update_of_an_item_without_a_version_is_not_applied_twice(world, write_token):
    """Deleted in between, the item has no version again, and the condition would hold a second time."""

    def delete(event):
        if type(event).__name__ == "RetryEvent":
            world.direct.delete_item(Key=KEY)

    docs = world.table(observers=[delete]).versioned(write_token=write_token)
    world.direct.put_item(Item={"pk": "a", "n": 5})
    world.proxy.plan = [LOST_UPDATE]
    add = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
    with pytest.raises(ConnectionClosedError) as caught:
        docs.update_item(Key=KEY, expected_version=None, **add)
    assert caught.value.resilience.ambiguous
    assert world.proxy.count("UpdateItem") == 1
    assert world.stored()["n"] == 6


@pytest.mark.parametrize("return_values", ["NONE", "ALL_OLD", "UPDATED_NEW"])
def test_an_update_that_was_not_applied_is_sent_again(world, return_values):
    docs = world.table().versioned()
    docs.put_item(Item={"pk": "a", "n": 1})
    world.proxy.plan = [faults.ResetBefore(operations={"UpdateItem"}, times=1)]
    answer = docs.update_item(
        Key=KEY,
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": 1},
        ReturnValues=return_values,
        expected_version=1,
    )
    assert answer.get("Attributes", {}).get("n") == {"NONE": None, "ALL_OLD": 1, "UPDATED_NEW": 2}[return_values]
    assert world.stored() == {"pk": "a", "n": 2, "version": 2}


@TOKENS
@pytest.mark.parametrize("verb", ["put", "update"])
def test_a_lost_reply_before_anothers_write_is_a_conflict(world, verb, write_token):
    """The version after the expected one is another's: this write was not made, and nothing is in doubt."""
    docs = world.table().versioned(write_token=write_token)
    rival = world.table().versioned(write_token=write_token)
    docs.put_item(Item={"pk": "a", "n": 1})
    mine = world.stored()
    rival.put_item(Item={**mine, "n": 7})
    operation = {"put": "PutItem", "update": "UpdateItem"}[verb]
    world.proxy.plan = [faults.LoseReply(operations={operation}, times=1)]
    expected = ConnectionClosedError if verb == "update" and write_token is None else rddb.VersionConflictError
    write = {
        "put": lambda: docs.put_item(Item={**mine, "n": 8}),
        "update": lambda: docs.update_item(Key=KEY, expected_version=1),
    }[verb]
    with pytest.raises(expected) as caught:
        write()
    assert caught.value.resilience.ambiguous is (expected is ConnectionClosedError)
    assert caught.value.resilience.attempts == 2
    assert world.stored()["n"] == 7


@pytest.mark.parametrize(
    ("fault", "ambiguous"),
    [
        (LOST_UPDATE, True),  # for all that the caller can know, the first attempt may still arrive
        (faults.ServerError(operations={"UpdateItem"}, times=1), False),
    ],
)
def test_a_condition_of_the_callers_that_fails_on_the_second_attempt(world, fault, ambiguous):
    docs = world.table().versioned()
    world.direct.put_item(Item={"pk": "a", "version": 1, "status": "shut"})
    world.proxy.plan = [fault]
    conditional = docs.meta.client.exceptions.ConditionalCheckFailedException
    with pytest.raises(conditional) as caught:
        docs.update_item(Key=KEY, expected_version=1, ConditionExpression=Attr("status").eq("open"))
    assert type(caught.value) is conditional
    assert caught.value.resilience.ambiguous is ambiguous


@pytest.mark.parametrize(("write_token", "certain"), [(None, False), ("_wt", True)])
def test_a_put_that_others_have_followed(world, write_token, certain):
    """Applied, then written over: the marks of the last writes tell, where they are kept."""
    docs = world.table().versioned(write_token=write_token)
    docs.put_item(Item={"pk": "a", "n": 1})
    mine = world.stored()
    done = []

    def follow(event):
        if type(event).__name__ == "RetryEvent" and not done:
            done.append(event)
            for n in range(3):
                rival = world.table().versioned(write_token=write_token)
                rival.put_item(Item={**world.stored(), "n": n + 100})

    watched = world.table(observers=[follow]).versioned(write_token=write_token)
    world.proxy.plan = [LOST_PUT]
    if certain:
        assert watched.put_item(Item={**mine, "n": 2})["ResponseMetadata"]["Resilience"]["version"] == 2
    else:
        with pytest.raises(ConnectionClosedError) as caught:
            watched.put_item(Item={**mine, "n": 2})
        assert caught.value.resilience.ambiguous
    assert world.stored()["version"] == 5


def test_only_the_last_marks_are_kept(world):
    docs = world.table().versioned(write_token="_wt")
    for _ in range(40):
        docs.modify(KEY, add_one)
    marks = world.stored()["_wt"].split()
    assert [mark.partition(":")[0] for mark in marks] == [str(version) for version in range(40, 8, -1)]
    assert len(world.stored()["_wt"]) < 700
    docs.update_item(Key=KEY, expected_version=40)  # an expression can't add to a text: it begins anew
    assert world.stored()["_wt"].partition(":")[0] == "41"
    with pytest.raises(TypeError, match=r"attribute '_wt' of Item must be what earlier writes stored"):
        docs.put_item(Item={"pk": "a", "version": 41, "_wt": 5})


def test_a_delete_whose_reply_is_lost_is_in_doubt(world):
    docs = world.table().versioned()
    docs.put_item(Item=KEY)
    world.proxy.plan = [faults.LoseReply(operations={"DeleteItem"}, times=1)]
    with pytest.raises(ConnectionClosedError) as caught:  # gone, by this one's doing or another's
        docs.delete_item(Key=KEY, expected_version=1)
    assert caught.value.resilience.ambiguous
    assert world.stored() is None


@TOKENS
def test_modify_after_a_lost_reply_has_changed_the_item_once(world, write_token):
    docs = world.table().versioned(write_token=write_token)
    for n in (1, 2):
        world.proxy.plan = [LOST_WRITE]
        assert docs.modify(KEY, add_one)["n"] == n
        assert bare(world.stored()) == {"pk": "a", "n": n, "version": n}
    if write_token is None:
        world.proxy.plan = [LOST_WRITE]
        assert docs.modify(KEY, lambda item: rddb.DELETE) is None
        assert world.stored() is None


def test_modify_is_in_doubt_while_its_first_attempt_may_meet_the_item_begun_anew(world):
    """Held up on its way, the write of version 2 would find version 1 again, and be applied beside the next one."""

    def delete(event):
        if type(event).__name__ == "RetryEvent":
            world.direct.delete_item(Key=KEY)

    world.direct.put_item(Item={"pk": "a", "n": 1, "version": 1})
    docs = world.table(observers=[delete]).versioned()
    world.proxy.plan = [faults.ResetBefore(operations={"TransactWriteItems"}, times=1)]
    with pytest.raises(rddb.VersionConflictError) as caught:
        docs.modify(KEY, add_one)
    assert caught.value.resilience.ambiguous
    assert world.stored() is None


@TOKENS
def test_two_changes_that_come_to_the_same_are_two(world, write_token):
    """An item that another made equal is no proof of one's own write."""
    docs = world.table().versioned(write_token=write_token)
    rival = world.table().versioned(write_token=write_token)
    docs.modify(KEY, add_one)
    world.proxy.plan = [LOST_WRITE]
    first = []

    def change(item):
        if not first:
            first.append(item)
            world.proxy.plan = []
            rival.modify(KEY, add_one)
            world.proxy.plan = [LOST_WRITE]
        return add_one(item)

    assert docs.modify(KEY, change)["n"] == 3
    assert world.stored()["n"] == 3


# Nothing lost, nothing twice.


@TOKENS
def test_threads_that_increment_one_item_lose_and_double_nothing(world, write_token):
    patient = rddb.Timeouts(connect=30.0, read=30.0)
    policy = rddb.Policy(timeouts=patient, retry_budget=None, circuit_breaker=None, retry=rddb.Retry(max_delay=0.2))
    world.proxy.plan = [faults.LoseReply(rate=0.05)]
    docs = rddb.table(
        world.name,
        endpoint_url=world.proxy.endpoint_url,
        policy=policy,
        config=Config(max_pool_connections=20),
        region_name="eu-west-1",
    ).versioned(write_token=write_token)
    ended = Counter()

    def increment(_):
        try:
            docs.modify(KEY, add_one, max_attempts=100)
        except Exception as error:  # noqa: BLE001 - counted
            ended["ambiguous" if error.resilience.ambiguous else type(error).__name__] += 1
        else:
            ended["returned"] += 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(increment, range(80)))
    docs.meta.client.close()
    assert world.stored()["n"] == world.stored()["version"] == ended["returned"]
    assert ended == {"returned": 80}
    assert world.proxy.count(fault=faults.LoseReply) > 5


# An update that may be sent again.

ADD = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}


def test_an_idempotent_update_is_applied_once(world):
    table = world.table()
    world.proxy.plan = [faults.LoseReply(times=2)]
    answer = table.idempotent_update(Key=KEY, **ADD, ReturnConsumedCapacity="TOTAL")
    assert world.proxy.count("TransactWriteItems") == 3
    assert world.stored() == {"pk": "a", "n": 1}
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_an_idempotent_update_with_a_token_of_ones_own(world):
    table = world.table()
    for _ in range(3):
        table.idempotent_update(Key=KEY, **ADD, ClientRequestToken="order-17-paid")
    assert world.stored()["n"] == 1
    for _ in range(2):
        table.idempotent_update(Key=KEY, **ADD)
    assert world.stored()["n"] == 3


@pytest.mark.parametrize(
    "asks", [{}, {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}], ids=["plain", "with the item"]
)
def test_a_failed_condition_of_an_idempotent_update_is_told_as_everywhere(world, asks):
    table = world.table()
    world.direct.put_item(Item={**KEY, "n": 1})
    caught = []
    for update in (table.update_item, table.idempotent_update):
        with pytest.raises(table.meta.client.exceptions.ConditionalCheckFailedException) as raised:
            update(Key=KEY, **ADD, ConditionExpression=Attr("n").not_exists(), **asks)
        caught.append(raised.value)
    single, transaction = ({**error.response, "ResponseMetadata": None} for error in caught)
    assert transaction == single
    error = caught[1]
    assert isinstance(error.__cause__, table.meta.client.exceptions.TransactionCanceledException)
    assert (error.resilience.kind, error.resilience.operation) == ("conditional", "TransactWriteItems")
    assert len(error.__notes__) == 1


@pytest.mark.parametrize(
    ("params", "expected", "message"),
    [
        ({"Key": KEY, **ADD, "ReturnValues": "ALL_NEW"}, ValueError, "ReturnValues can't be had"),
        ({"Key": KEY, "AttributeUpdates": {}}, TypeError, "'AttributeUpdates'"),
        ({"Key": KEY, **ADD, "Expected": {}}, TypeError, "'Expected'"),
        (ADD, TypeError, "needs Key"),
        ({"Key": KEY}, TypeError, "needs UpdateExpression"),
    ],
)
def test_what_an_idempotent_update_can_not_do(world, params, expected, message):
    with pytest.raises(expected, match=message):
        world.table().idempotent_update(**params)
    assert not world.proxy.seen


def test_a_versioned_table_has_no_idempotent_update(world):
    with pytest.raises(TypeError, match="the version would stay behind"):
        world.table().versioned().idempotent_update(Key=KEY, **ADD)
    assert not world.proxy.seen


def test_modify_returns_what_a_read_would(world):
    docs = world.table().versioned()
    wanted = {"n": 1, "deep": {"list": [2, b"x"]}, "set": {3}}
    given = docs.modify(KEY, lambda _: wanted)
    assert given == docs.get_item(Key=KEY)["Item"]
    types = (type(given["n"]), type(given["deep"]["list"][0]), type(given["version"]), *map(type, given["set"]))
    assert set(types) == {Decimal}
    assert type(given["deep"]["list"][1]) is Binary


def test_modify_returns_the_ttl_as_it_is_stored(world):
    docs = world.table(options={"ttl": "gone"}).versioned()
    given = docs.modify(KEY, lambda _: {"gone": datetime(2100, 1, 1, 0, 0, 0, 1, tzinfo=UTC)})
    assert given == docs.get_item(Key=KEY)["Item"]
    assert type(given["gone"]) is Decimal


def test_max_attempts_goes_by_name(world):
    with pytest.raises(TypeError, match="takes Key and change by position, and the others by name"):
        world.table().versioned().modify(KEY, lambda item: item, 5)


def test_a_check_action_holds_a_version_and_writes_nothing(world):
    docs = world.table().versioned()
    docs.put_item(Item={**KEY, "n": 1})
    other = {"Put": {"TableName": world.name, "Item": {"pk": "b"}}}
    send = docs.meta.client.transact_write_items
    with pytest.raises(docs.meta.client.exceptions.TransactionCanceledException):
        send(TransactItems=[docs.check_action(KEY, expected_version=2), other])
    send(TransactItems=[docs.check_action(KEY, expected_version=1, ConditionExpression=Attr("n").eq(1)), other])
    assert world.stored()["version"] == 1
    assert docs.get_item(Key={"pk": "b"})["Item"] == {"pk": "b"}


@pytest.mark.parametrize(
    ("stored", "expected", "message"),
    [
        ({"version": 5}, 3, "expected version 3, found version 5"),
        (None, 3, "expected version 3, there is no such item"),
        ({}, 3, "expected version 3, found an item without the attribute 'version'"),
        ({"version": 5}, None, "expected no version in 'version', found version 5"),
        ({"version": "secret"}, 3, "expected version 3, found a version that is no number, but a str"),
    ],
)
def test_a_conflict_says_both_versions(world, stored, expected, message):
    if stored is not None:
        world.direct.put_item(Item={**KEY, **stored})
    with pytest.raises(rddb.VersionConflictError) as caught:
        world.table().versioned().update_item(Key=KEY, expected_version=expected)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
