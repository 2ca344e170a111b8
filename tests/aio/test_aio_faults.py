"""Faults on the wire before DynamoDB Local: what aiobotocore raises, what is sent again, and what is applied."""

import asyncio
import json

import pytest
from aiobotocore.config import AioConfig
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import (
    ChecksumError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

import resilient_ddb as rddb
from resilient_ddb import ErrorKind
from resilient_ddb.testing import faults

KEY = {"pk": "a"}
LOST = (EndpointConnectionError, ConnectionClosedError)

# name: (fault of one request, what aiobotocore raises, whether the request may have been applied)
AMBIGUOUS = {
    "lost reply": (faults.LoseReply, EndpointConnectionError),
    "lost reply, closed": (lambda **k: faults.LoseReply(close=True, **k), ConnectionClosedError),
    "reset": (faults.ResetBefore, LOST),
    "closed": (lambda **k: faults.ResetBefore(close=True, **k), ConnectionClosedError),
    "hang": (faults.Hang, ReadTimeoutError),
    "truncated": (faults.TruncateBody, ChecksumError),
    "short": (faults.ShortBody, ConnectionClosedError),
    "bad CRC": (faults.BadCrc, ChecksumError),
    "bad JSON": (faults.BadJson, HTTPClientError),
    "bad JSON, no CRC": (lambda **k: faults.BadJson(crc=False, **k), HTTPClientError),
    "HTML 503": (faults.HtmlError, "503"),
    "empty 502": (lambda **k: faults.HtmlError(status=502, empty=True, **k), "502"),
    "500": (faults.ServerError, "InternalServerError"),
    "500, applied": (lambda **k: faults.ServerError(applied=True, **k), "InternalServerError"),
}
REFUSED = {
    "throttle": (faults.Throttle, "ProvisionedThroughputExceededException"),
    "throttle, on demand": (lambda **k: faults.Throttle(code="ThrottlingException", **k), "ThrottlingException"),
    "request limit": (lambda **k: faults.Throttle(code="RequestLimitExceeded", **k), "RequestLimitExceeded"),
    "429": (lambda **k: faults.HtmlError(status=429, **k), "429"),
}
ALL = {**AMBIGUOUS, **REFUSED}


def matches(error, expected):
    if isinstance(expected, str):
        return isinstance(error, ClientError) and error.response["Error"]["Code"] == expected
    return isinstance(error, expected)


READS = {
    "get_item": lambda table: table.get_item(Key=KEY, ConsistentRead=True),
    "query": lambda table: table.query(KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": "a"}),
    "scan": lambda table: table.scan(),
    "batch_get_item": lambda table: table.meta.client.batch_get_item(RequestItems={table.name: {"Keys": [KEY]}}),
    "transact_get_items": lambda table: table.meta.client.transact_get_items(
        TransactItems=[{"Get": {"TableName": table.name, "Key": KEY}}]
    ),
}


def patience(name):
    """Stop soon what hangs; whatever else is slow is only the machine."""
    return AioConfig(read_timeout=2.0 if name == "hang" else 60.0)


@pytest.mark.parametrize("name", ALL)
async def test_reads_recover_from_every_fault(world, name):
    fault, _ = ALL[name]
    world.direct.put_item(Item={"pk": "a", "n": 1})
    table = await world.table(config=patience(name), circuit_breaker=None)
    operations = {verb: "".join(map(str.title, verb.split("_"))) for verb in READS}
    world.proxy.plan = [fault(times=2, operations={operation}) for operation in operations.values()]
    answers = await asyncio.gather(*(read(table) for read in READS.values()))
    for verb, answer in zip(READS, answers, strict=True):
        assert world.proxy.count(operations[verb]) == 3, verb
        assert answer["ResponseMetadata"]["RetryAttempts"] == 2, verb
        answer.pop("ResponseMetadata")
        assert "'pk': 'a'" in str(answer), verb  # never a phantom "not found"


@pytest.mark.parametrize("name", ALL)
async def test_a_read_that_never_works_raises_what_aiobotocore_raises(world, name):
    fault, expected = ALL[name]
    world.proxy.plan = [fault()]
    table = await world.table(config=patience(name), retry=rddb.Retry(max_attempts=2))
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the type is the parameter's
        await table.get_item(Key=KEY)
    assert matches(raised.value, expected), raised.value
    facts = raised.value.resilience
    assert facts.kind is (ErrorKind.TRANSIENT if name in AMBIGUOUS else ErrorKind.THROTTLING)
    assert (facts.attempts, facts.stopped_by, facts.ambiguous) == (2, "max_attempts", False)
    assert facts.table == world.name
    assert world.proxy.count() == 2
    assert len(world.clock.waits) == 1
    assert facts.note() in raised.value.__notes__


@pytest.mark.parametrize("name", ALL)
async def test_an_add_is_applied_once_at_most_and_says_what_is_known(world, name):
    fault, expected = ALL[name]
    world.proxy.plan = [fault(times=1)]
    table = await world.table(config=patience(name))
    add = {"Key": KEY, "UpdateExpression": "ADD c :one", "ExpressionAttributeValues": {":one": 1}}
    if name in REFUSED:
        await table.update_item(**add)
        assert (world.proxy.count(), world.stored()["c"]) == (2, 1)
        return
    with pytest.raises(Exception) as raised:  # noqa: PT011 - as above
        await table.update_item(**add)
    assert matches(raised.value, expected), raised.value
    facts = raised.value.resilience
    assert (facts.kind, facts.ambiguous, facts.attempts) == (ErrorKind.AMBIGUOUS, True, 1)
    assert facts.stopped_by == "ambiguous"
    assert world.proxy.count() == 1
    applied = (world.stored() or {}).get("c", 0)
    [seen] = world.proxy.seen
    assert applied == (1 if seen.forwarded else 0)


async def test_an_add_is_sent_again_where_the_policy_says_so(world):
    world.proxy.plan = [faults.LoseReply(times=1)]
    table = await world.table(on_ambiguous_write="retry")
    await table.update_item(Key=KEY, UpdateExpression="ADD c :one", ExpressionAttributeValues={":one": 1})
    assert world.stored()["c"] == 2


@pytest.mark.parametrize("name", ALL)
async def test_writes_with_the_same_end_state_are_sent_again(world, name):
    fault, _ = ALL[name]
    for key in ("updated", "deleted"):
        world.direct.put_item(Item={"pk": key, "n": 1})
    table = await world.table(config=patience(name), circuit_breaker=None)
    operations = ("PutItem", "UpdateItem", "DeleteItem")
    world.proxy.plan = [fault(times=1, operations={operation}) for operation in operations]
    await asyncio.gather(
        table.put_item(Item={"pk": "put", "n": 1}),
        table.update_item(Key={"pk": "updated"}, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": 2}),
        table.delete_item(Key={"pk": "deleted"}),
    )
    assert [world.proxy.count(operation) for operation in operations] == [2, 2, 2]
    assert world.stored("put") == {"pk": "put", "n": 1}
    assert world.stored("updated") == {"pk": "updated", "n": 2}
    assert world.stored("deleted") is None


@pytest.mark.parametrize("name", ALL)
async def test_a_conditional_put_that_meets_its_own_write_is_a_success(world, name):
    fault, _ = ALL[name]
    world.proxy.plan = [fault(times=1)]
    table = await world.table(config=patience(name))
    item = {"pk": "a", "n": 1, "s": {"x", "y"}, "b": b"\x00"}
    answer = await table.put_item(Item=item, ConditionExpression=Attr("pk").not_exists())
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert world.stored()["n"] == 1
    assert world.proxy.count() == 2


async def test_a_conditional_put_that_meets_anothers_write_fails(world):
    world.proxy.plan = [faults.ResetBefore(times=1)]
    world.direct.put_item(Item={"pk": "a", "n": 9})
    table = await world.table()
    with pytest.raises(table.meta.client.exceptions.ConditionalCheckFailedException) as raised:
        await table.put_item(Item={"pk": "a", "n": 1}, ConditionExpression=Attr("pk").not_exists())
    assert raised.value.resilience.kind is ErrorKind.CONDITIONAL
    assert "Item" not in raised.value.response
    assert world.stored()["n"] == 9


@pytest.mark.parametrize("name", ALL)
async def test_a_transaction_is_applied_once_with_one_token(world, name):
    fault, _ = ALL[name]
    world.proxy.plan = [fault(times=2)]
    table = await world.table(config=patience(name))
    await table.meta.client.transact_write_items(
        TransactItems=[
            {
                "Update": {
                    "TableName": world.name,
                    "Key": KEY,
                    "UpdateExpression": "ADD c :one",
                    "ExpressionAttributeValues": {":one": 1},
                }
            }
        ]
    )
    assert world.stored()["c"] == 1
    assert world.proxy.count() == 3
    assert len({seen.params["ClientRequestToken"] for seen in world.proxy.seen}) == 1


async def test_two_transactions_have_two_tokens(world):
    table = await world.table()
    put = {"Put": {"TableName": world.name, "Item": {"pk": "a"}}}
    for _ in range(2):
        await table.meta.client.transact_write_items(TransactItems=[put])
    assert len({seen.params["ClientRequestToken"] for seen in world.proxy.seen}) == 2


@pytest.mark.parametrize(
    ("code", "requests"),
    [("ValidationException", 1), ("AccessDeniedException", 1), ("ResourceNotFoundException", 1)],
)
async def test_permanent_errors_are_raised_at_once(world, code, requests):
    world.proxy.plan = [faults.ErrorResponse(code=code)]
    table = await world.table()
    with pytest.raises(ClientError, match=code) as raised:
        await table.get_item(Key=KEY)
    assert world.proxy.count() == requests
    assert raised.value.resilience.kind is ErrorKind.PERMANENT


@pytest.mark.parametrize(
    ("reasons", "requests"), [(["TransactionConflict"], 3), (["ConditionalCheckFailed"], 1), (["ThrottlingError"], 3)]
)
async def test_a_cancelled_transaction_is_judged_by_its_reasons(world, reasons, requests):
    world.proxy.plan = [faults.CancelTransaction(reasons=reasons)]
    table = await world.table(retry=rddb.Retry(max_attempts=3))
    client = table.meta.client
    with pytest.raises(client.exceptions.TransactionCanceledException) as raised:
        await client.transact_write_items(TransactItems=[{"Put": {"TableName": world.name, "Item": {"pk": "a"}}}])
    assert world.proxy.count() == requests
    assert raised.value.response["CancellationReasons"][0]["Code"] == reasons[0]


@pytest.mark.parametrize(
    ("fault", "ambiguous"),
    [
        (faults.ResetBefore(times=1), True),
        (faults.Hang(times=1), True),
        (faults.ServerError(times=1), False),
        (faults.Throttle(times=1), False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_cancelled_transaction_is_in_doubt_while_its_first_attempt_may_arrive(world, fault, ambiguous):
    world.direct.put_item(Item=KEY)
    world.proxy.plan = [fault]
    client = (await world.table(timeouts=rddb.Timeouts(read=0.5))).meta.client
    put = {"TableName": world.name, "Item": KEY, "ConditionExpression": "attribute_not_exists(pk)"}
    with pytest.raises(client.exceptions.TransactionCanceledException) as raised:
        await client.transact_write_items(TransactItems=[{"Put": put}])
    assert raised.value.resilience.ambiguous is ambiguous


async def test_a_refused_connection_was_never_sent(world):
    table = await world.table(retry=rddb.Retry(max_attempts=2))
    world.proxy.stop()
    with pytest.raises(EndpointConnectionError) as raised:
        await table.update_item(Key=KEY, UpdateExpression="ADD c :one", ExpressionAttributeValues={":one": 1})
    facts = raised.value.resilience
    assert (facts.kind, facts.ambiguous, facts.attempts) == (ErrorKind.TRANSIENT, False, 2)


@pytest.mark.parametrize("mode", ["legacy", "standard"])
async def test_the_callers_retry_mode_makes_no_second_layer(world, mode):
    world.proxy.plan = [faults.Throttle()]
    config = AioConfig(retries={"mode": mode, "total_max_attempts": 9})
    table = await world.table(config=config, retry=rddb.Retry(max_attempts=4))
    with pytest.raises(ClientError, match="reached max retries: 3"):
        await table.get_item(Key=KEY)
    assert world.proxy.count() == 4


async def test_each_request_is_signed_and_counted_as_botocores(world):
    world.proxy.plan = [faults.Throttle(times=2)]
    table = await world.table()
    await table.get_item(Key=KEY)
    attempts = [
        dict(part.strip().split("=") for part in seen.headers["amz-sdk-request"].split(";"))
        for seen in world.proxy.seen
    ]
    assert [attempt["attempt"] for attempt in attempts] == ["1", "2", "3"]
    assert len({seen.headers["amz-sdk-invocation-id"] for seen in world.proxy.seen}) == 1
    assert json.dumps([seen.status for seen in world.proxy.seen]) == "[400, 400, 200]"
