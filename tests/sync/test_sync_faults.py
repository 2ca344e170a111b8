"""Each fault on the wire, against each kind of call: what comes back, and what the table holds."""

import datetime as dt

import boto3
import botocore.credentials
import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.config import Config
from botocore.exceptions import (
    ChecksumError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)
from emulators import REGION, free_port, plain_client
from shortcut_clients import with_credentials

import resilient_ddb as rddb
from resilient_ddb.testing import FaultProxy, faults

OLD = {"pk": "a", "n": 1, "text": "old"}
NEW = {"pk": "a", "n": 1, "text": "new"}


class InternalServerError:
    """Stands for a ClientError with this code."""


class ServiceUnavailable:
    """Stands for a ClientError with the code '503'."""


# What makes each fault once, and what a call is raised that it can't be retried for. None: always retried.
FAULTS = {
    "throttled": (faults.Throttle(times=1), None),
    "throttled for the account": (faults.Throttle(code="RequestLimitExceeded", times=1), None),
    "throttled on demand": (faults.Throttle(code="ThrottlingException", times=1), None),
    "500": (faults.ServerError(times=1), InternalServerError),
    "500, applied": (faults.ServerError(applied=True, times=1), InternalServerError),
    "503 in HTML": (faults.HtmlError(times=1), ServiceUnavailable),
    "503 without a body": (faults.HtmlError(empty=True, times=1), ServiceUnavailable),
    "reset before": (faults.ResetBefore(times=1), ConnectionClosedError),
    "closed before": (faults.ResetBefore(close=True, times=1), ConnectionClosedError),
    "reply lost": (faults.LoseReply(times=1), ConnectionClosedError),
    "reply lost, closed": (faults.LoseReply(close=True, times=1), ConnectionClosedError),
    "hanging": (faults.Hang(times=1), ReadTimeoutError),
    "body cut": (faults.TruncateBody(times=1), ChecksumError),
    "body short": (faults.ShortBody(times=1), HTTPClientError),
    "bad checksum": (faults.BadCrc(times=1), ChecksumError),
    "bad JSON": (faults.BadJson(times=1), HTTPClientError),
    "bad JSON, no checksum": (faults.BadJson(crc=False, times=1), HTTPClientError),
}
APPLIED = {"500, applied", "reply lost", "reply lost, closed"} | set(list(FAULTS)[12:])

fault_names = pytest.mark.parametrize("name", list(FAULTS))


@pytest.fixture
def table(world, hardened, name):
    """The table, where an attempt that hangs is given up soon; whatever else is slow is only the machine."""
    config = Config(read_timeout=2.0 if name == "hanging" else 60.0)
    return hardened(world.proxy.endpoint_url, world.policy(), config=config).Table(world.name)


def make_fault(world, name):
    world.proxy.plan = [FAULTS[name][0]]
    world.proxy.clear()


@fault_names
def test_a_read_is_sent_again_and_gives_the_item(world, table, name):
    world.direct.put_item(Item=OLD)
    make_fault(world, name)
    assert table.get_item(Key={"pk": "a"})["Item"] == OLD
    assert world.proxy.count("GetItem") == 2


@fault_names
def test_a_query_is_sent_again_and_gives_the_item(world, table, name):
    world.direct.put_item(Item=OLD)
    make_fault(world, name)
    assert table.query(KeyConditionExpression=Key("pk").eq("a"))["Items"] == [OLD]
    assert world.proxy.count("Query") == 2


@fault_names
def test_a_put_without_a_condition_is_sent_again(world, table, name):
    make_fault(world, name)
    assert table.put_item(Item=NEW)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert world.stored() == NEW
    assert world.proxy.count("PutItem") == 2


@fault_names
def test_a_conditional_put_succeeds_although_it_meets_its_own_writing(world, table, name):
    make_fault(world, name)
    response = table.put_item(Item=NEW, ConditionExpression=Attr("pk").not_exists())
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert set(response) == {"ResponseMetadata"}
    assert world.stored() == NEW
    assert world.proxy.count("PutItem") == 2


@fault_names
def test_a_constant_update_is_sent_again(world, table, name):
    world.direct.put_item(Item=OLD)
    make_fault(world, name)
    answer = table.update_item(
        Key={"pk": "a"},
        UpdateExpression="SET #t = :t",
        ExpressionAttributeNames={"#t": "text"},
        ExpressionAttributeValues={":t": "new"},
        ReturnValues="ALL_NEW",
    )
    assert answer["Attributes"] == world.stored() == NEW
    assert world.proxy.count("UpdateItem") == 2


@fault_names
def test_an_add_is_applied_at_most_once_and_says_when_that_is_unsure(world, table, name):
    world.direct.put_item(Item=OLD)
    make_fault(world, name)
    add = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
    expected = FAULTS[name][1]
    if expected is None:
        table.update_item(Key={"pk": "a"}, **add)
        assert world.stored()["n"] == 2
        return
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the class is looked at below
        table.update_item(Key={"pk": "a"}, **add)
    error = raised.value
    if expected in (InternalServerError, ServiceUnavailable):
        assert isinstance(error, ClientError)
        assert error.response["Error"]["Code"] == ("503" if expected is ServiceUnavailable else expected.__name__)
    else:
        assert type(error) is expected or (expected is HTTPClientError and isinstance(error, (ChecksumError, expected)))
    assert error.resilience.ambiguous is True
    assert error.resilience.kind == "ambiguous"
    assert error.resilience.stopped_by == "ambiguous"
    assert error.resilience.attempts == 1
    assert error.resilience.operation == "UpdateItem"
    assert error.resilience.table == world.name
    assert any("AMBIGUOUS" in note for note in error.__notes__)
    assert world.proxy.count("UpdateItem") == 1
    assert world.stored()["n"] == (2 if name in APPLIED else 1)


@fault_names
def test_a_delete_is_sent_again(world, table, name):
    world.direct.put_item(Item=OLD)
    make_fault(world, name)
    table.delete_item(Key={"pk": "a"})
    assert world.stored() is None
    assert world.proxy.count("DeleteItem") == 2


@fault_names
def test_a_batch_is_sent_again(world, table, name):
    make_fault(world, name)
    answer = table.meta.client.batch_write_item(
        RequestItems={world.name: [{"PutRequest": {"Item": {"pk": str(n), "n": n}}} for n in range(25)]}
    )
    assert answer["UnprocessedItems"] == {}
    assert world.direct.scan(Select="COUNT")["Count"] == 25
    assert world.proxy.count("BatchWriteItem") == 2


@fault_names
def test_a_transaction_is_sent_again_under_the_same_token_and_applied_once(world, table, name):
    world.direct.put_item(Item=OLD)
    make_fault(world, name)
    add = {"TableName": world.name, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
    table.meta.client.transact_write_items(TransactItems=[{"Update": {"Key": {"pk": "a"}, **add}}])
    assert world.stored()["n"] == 2
    tokens = [seen.params["ClientRequestToken"] for seen in world.proxy.seen]
    assert len(tokens) == 2
    assert tokens[0] == tokens[1]


@pytest.mark.parametrize("name", ["throttled", "500", "reply lost", "bad JSON"])
def test_moto_is_served_just_as_well(moto_server, opened, hardened, make_table, clock, name):
    proxy = opened.enter_context(FaultProxy(moto_server.endpoint_url))
    table = hardened(proxy.endpoint_url, rddb.Policy(clock=clock)).Table(make_table(moto_server.endpoint_url))
    for call in (
        lambda: table.put_item(Item=NEW, ConditionExpression=Attr("pk").not_exists()),
        lambda: table.get_item(Key={"pk": "a"}),
        lambda: table.delete_item(Key={"pk": "a"}),
    ):
        proxy.plan = [FAULTS[name][0]]
        proxy.clear()
        answer = call()
        assert proxy.count() == 2
        assert answer.get("Item", NEW) == NEW


# What is given up.


@pytest.mark.parametrize("name", ["body cut", "body short", "bad checksum", "bad JSON", "bad JSON, no checksum"])
def test_a_damaged_answer_never_means_that_there_is_no_item(world, name):
    world.direct.put_item(Item=OLD)
    fault = FAULTS[name][0]
    for keep in (0.0, 0.3, 0.99):
        settings = {"keep": keep} if hasattr(fault, "keep") else {}
        world.proxy.plan = [type(fault)(**settings, **({"crc": fault.crc} if hasattr(fault, "crc") else {}))]
        with pytest.raises((ChecksumError, HTTPClientError)) as raised:
            world.table(circuit_breaker=None).get_item(Key={"pk": "a"})
        assert raised.value.resilience.attempts == 10
        assert raised.value.resilience.stopped_by == "max_attempts"
        assert raised.value.resilience.kind == "transient"


def test_a_missing_item_is_still_missing(world):
    assert "Item" not in world.table().get_item(Key={"pk": "a"})


def test_an_empty_body_of_200_is_no_answer(world):
    world.proxy.plan = [faults.BadJson(body=b"")]
    with pytest.raises(HTTPClientError, match="no JSON object"):
        world.table().get_item(Key={"pk": "a"})


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"5", b"null"])
def test_json_that_is_no_object_is_no_answer_to_a_read(world, body):
    world.direct.put_item(Item=OLD)
    world.proxy.plan = [faults.BadJson(body=body, times=1)]
    assert world.table().get_item(Key={"pk": "a"})["Item"] == OLD


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"5", b"null"])
def test_json_that_is_no_object_leaves_a_write_ambiguous(world, body):
    world.proxy.plan = [faults.BadJson(body=body, times=1)]
    with pytest.raises(HTTPClientError, match="no JSON object") as raised:
        world.table().update_item(Key={"pk": "a"}, UpdateExpression="ADD n :n", ExpressionAttributeValues={":n": 1})
    assert raised.value.resilience.ambiguous is True


def test_a_refused_connection_is_retried_for_every_write(world, hardened):
    table = hardened(f"http://127.0.0.1:{free_port()}", world.policy()).Table(world.name)
    with pytest.raises(EndpointConnectionError) as raised:
        table.update_item(Key={"pk": "a"}, UpdateExpression="ADD n :n", ExpressionAttributeValues={":n": 1})
    assert raised.value.resilience.ambiguous is False
    assert raised.value.resilience.attempts == 10


def test_a_write_whose_own_traces_are_asked_for_is_not_sent_again(world):
    world.proxy.plan = [faults.LoseReply(times=1)]
    with pytest.raises(ConnectionClosedError) as raised:
        world.table().put_item(Item=NEW, ReturnValues="ALL_OLD")
    assert raised.value.resilience.ambiguous is True
    assert world.proxy.count() == 1


def test_the_policy_may_have_an_ambiguous_write_sent_again(world):
    world.direct.put_item(Item=OLD)
    world.proxy.plan = [faults.LoseReply(times=1)]
    answer = world.table(on_ambiguous_write="retry").update_item(
        Key={"pk": "a"},
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": 1},
        ReturnValues="UPDATED_NEW",
    )
    assert answer["Attributes"]["n"] == world.stored()["n"] == 3  # the risk that was asked for


def test_an_ambiguous_write_that_stays_lost_says_so_after_all_attempts(world):
    world.proxy.plan = [faults.LoseReply()]
    with pytest.raises(ConnectionClosedError) as raised:
        world.table().put_item(Item=NEW)
    assert raised.value.resilience.ambiguous is True
    assert raised.value.resilience.attempts == 10
    assert raised.value.resilience.stopped_by == "max_attempts"


def test_ambiguity_is_remembered_when_a_later_attempt_is_refused(world):
    world.proxy.plan = [faults.LoseReply(times=1), faults.Throttle()]
    with pytest.raises(ClientError) as raised:
        world.table().put_item(Item=NEW)
    assert raised.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert raised.value.resilience.ambiguous is True


# Whose write a failed condition met.


def test_a_conditional_put_that_meets_anothers_item_fails_with_its_condition(world):
    world.direct.put_item(Item=OLD)
    world.proxy.plan = [faults.ServerError(times=1)]
    table = world.table()
    with pytest.raises(table.meta.client.exceptions.ConditionalCheckFailedException) as raised:
        table.put_item(Item=NEW, ConditionExpression=Attr("pk").not_exists())
    assert "Item" not in raised.value.response  # it was asked for by us, not by the caller
    assert world.stored() == OLD


def test_a_put_with_a_legacy_condition_that_may_have_met_itself_raises_the_lost_reply(world):
    world.proxy.plan = [faults.LoseReply(times=1)]
    with pytest.raises(ConnectionClosedError) as raised:
        world.table().put_item(Item=NEW, Expected={"pk": {"Exists": False}})
    assert raised.value.resilience.ambiguous is True
    assert world.stored() == NEW


def test_a_conditional_put_that_asks_for_the_item_itself_still_recognises_its_own(world):
    world.proxy.plan = [faults.LoseReply(times=1)]
    world.table().put_item(
        Item=NEW, ConditionExpression=Attr("pk").not_exists(), ReturnValuesOnConditionCheckFailure="ALL_OLD"
    )
    assert world.stored() == NEW


def test_a_conditional_put_of_every_type_is_recognised_as_its_own(world):
    item = {
        "pk": "a",
        "ns": {1, 2, 30},
        "bs": {b"1", b"2"},
        "ss": {"x", "y"},
        "b": b"\x00",
        "m": {"l": [None, True, 10, "t", {"s": {"z"}}]},
        "e": "",
    }
    world.proxy.plan = [faults.LoseReply(times=1)]
    world.table().put_item(Item=item, ConditionExpression="attribute_not_exists(pk)")
    assert set(world.stored()) == set(item)


def test_a_conditional_update_that_failed_after_a_lost_reply_says_that_nobody_can_know(world):
    world.direct.put_item(Item={"pk": "a", "n": 9})
    world.proxy.plan = [faults.ServerError(times=1)]
    table = world.table()
    with pytest.raises(table.meta.client.exceptions.InternalServerError) as raised:
        table.update_item(
            Key={"pk": "a"},
            UpdateExpression="SET t = :t",
            ConditionExpression="n = :n",
            ExpressionAttributeValues={":t": "token-123", ":n": 1},
        )
    assert raised.value.resilience.ambiguous


def test_an_optimistic_lock_that_lost_a_reply_is_not_told_to_do_its_work_again(world):
    """Ours was applied, and another's on top of it: a failed condition would have the caller redo the change."""
    world.direct.put_item(Item={"pk": "a", "version": 1, "balance": 100})
    world.proxy.plan = [faults.LoseReply(times=1)]
    table = world.table()
    events = table.meta.client.meta.events
    events.register(
        "needs-retry.dynamodb.UpdateItem",
        lambda **_: world.direct.put_item(Item={"pk": "a", "version": 3, "balance": 95}) and None,
    )
    with pytest.raises(ConnectionClosedError) as raised:
        table.update_item(
            Key={"pk": "a"},
            UpdateExpression="SET balance = :b, version = :n",
            ConditionExpression="version = :o",
            ExpressionAttributeValues={":b": 90, ":n": 2, ":o": 1},
        )
    assert raised.value.resilience.ambiguous


def test_a_conditional_update_that_may_have_met_itself_raises_the_lost_reply(world):
    world.direct.put_item(Item={"pk": "a", "n": 1})
    world.proxy.plan = [faults.LoseReply(times=1)]
    with pytest.raises(ConnectionClosedError) as raised:
        world.table().update_item(
            Key={"pk": "a"},
            UpdateExpression="SET n = :new",
            ConditionExpression="n = :old",
            ExpressionAttributeValues={":new": 2, ":old": 1},
        )
    assert raised.value.resilience.ambiguous is True
    assert world.stored()["n"] == 2


def test_a_conditional_delete_that_may_have_met_itself_raises_the_lost_reply(world):
    world.direct.put_item(Item=OLD)
    world.proxy.plan = [faults.LoseReply(times=1)]
    with pytest.raises(ConnectionClosedError) as raised:
        world.table().delete_item(Key={"pk": "a"}, ConditionExpression=Attr("pk").exists())
    assert raised.value.resilience.ambiguous is True
    assert world.stored() is None


def test_a_transaction_whose_condition_fails_after_a_lost_attempt_was_not_applied(world):
    world.direct.put_item(Item=OLD)
    world.proxy.plan = [faults.ServerError(times=1)]
    table = world.table()
    put = {"TableName": world.name, "Item": NEW, "ConditionExpression": "attribute_not_exists(pk)"}
    with pytest.raises(table.meta.client.exceptions.TransactionCanceledException) as raised:
        table.meta.client.transact_write_items(TransactItems=[{"Put": put}])
    assert raised.value.resilience.kind == "conditional"
    assert raised.value.resilience.ambiguous is False
    assert raised.value.response["CancellationReasons"][0]["Code"] == "ConditionalCheckFailed"


@pytest.mark.parametrize("fault", [faults.ResetBefore(times=1), faults.Hang(times=1)], ids=["reset", "hanging"])
def test_a_cancelled_transaction_is_in_doubt_while_its_first_attempt_may_arrive(world, dynamodb_local, fault):
    world.direct.put_item(Item={"pk": "a", "n": 5})
    world.proxy.plan = [fault]
    table = world.table(timeouts=rddb.Timeouts(read=0.5))
    payment = {"UpdateExpression": "ADD n :minus", "ConditionExpression": "n >= :price"}
    values = {":minus": -10, ":price": 10}
    with pytest.raises(table.meta.client.exceptions.ConditionalCheckFailedException) as raised:
        table.idempotent_update(Key={"pk": "a"}, ExpressionAttributeValues=values, **payment)
    facts = raised.value.resilience
    assert (facts.ambiguous, facts.kind) == (True, "conditional")
    world.direct.put_item(Item={"pk": "a", "n": 25})
    plain_client(dynamodb_local.endpoint_url).transact_write_items(**world.proxy.seen[0].params)  # there it is
    assert world.stored()["n"] == 15


# Errors that have rules of their own.


def test_a_transaction_in_progress_is_waited_for_until_five_seconds_after_its_start(world):
    world.proxy.plan = [faults.ErrorResponse(code="TransactionInProgressException", times=1)]
    put = {"TableName": world.name, "Item": NEW}
    world.table().meta.client.transact_write_items(TransactItems=[{"Put": put}])
    assert len(world.clock.waits) == 1
    assert 5.0 <= world.clock.waits[0] < 5.1
    assert world.stored() == NEW


@pytest.mark.parametrize("reasons", [["TransactionConflict"], ["None", "ThrottlingError"]])
def test_a_transaction_is_sent_again_when_every_reason_allows_it(world, reasons):
    world.proxy.plan = [faults.CancelTransaction(reasons=reasons, times=2)]
    puts = [{"Put": {"TableName": world.name, "Item": {"pk": str(n)}}} for n in range(2)]
    world.table().meta.client.transact_write_items(TransactItems=puts)
    assert world.proxy.count() == 3


def test_a_transaction_is_not_sent_again_when_one_reason_forbids_it(world):
    world.proxy.plan = [faults.CancelTransaction(reasons=["TransactionConflict", "ConditionalCheckFailed"])]
    puts = [{"Put": {"TableName": world.name, "Item": {"pk": str(n)}}} for n in range(2)]
    table = world.table()
    with pytest.raises(table.meta.client.exceptions.TransactionCanceledException) as raised:
        table.meta.client.transact_write_items(TransactItems=puts)
    assert world.proxy.count() == 1
    assert raised.value.resilience.stopped_by == "not_retryable"
    assert raised.value.resilience.kind == "conditional"


@pytest.mark.parametrize(
    "code", ["ValidationException", "AccessDeniedException", "UnrecognizedClientException", "ResourceInUseException"]
)
def test_a_permanent_error_is_raised_at_once(world, code):
    world.proxy.plan = [faults.ErrorResponse(code=code)]
    with pytest.raises(ClientError) as raised:
        world.table().get_item(Key={"pk": "a"})
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.resilience.kind == "permanent"
    assert raised.value.resilience.attempts == world.proxy.count() == 1


def test_the_servers_wish_to_wait_is_honoured(world):
    world.proxy.plan = [faults.Throttle(retry_after_ms=700, times=1)]
    world.table().get_item(Key={"pk": "a"})
    assert world.clock.waits == [0.7]


def test_the_servers_wish_to_wait_is_honoured_up_to_five_seconds(world):
    world.proxy.plan = [faults.Throttle(retry_after_ms=3_600_000, times=1)]
    world.table().get_item(Key={"pk": "a"})
    assert 5.0 <= world.clock.waits[0] <= 5.025


def refreshing(refreshed):
    """A session whose credentials can be refreshed, and lie an hour ahead."""

    def metadata():
        refreshed.append(None)
        later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        return {
            "access_key": f"AKIA{len(refreshed)}",
            "secret_key": "testing",
            "token": f"token{len(refreshed)}",
            "expiry_time": later.isoformat(),
        }

    credentials = botocore.credentials.RefreshableCredentials.create_from_metadata(
        metadata(), refresh_using=metadata, method="test"
    )
    core = with_credentials(botocore.session.get_session(), credentials)
    return boto3.Session(botocore_session=core, region_name=REGION)


def test_an_expired_token_is_fetched_anew_once_and_the_call_sent_again(world, hardened):
    refreshed = []
    table = hardened(world.proxy.endpoint_url, world.policy(), session=refreshing(refreshed)).Table("absent")
    world.proxy.plan = [faults.ErrorResponse(code="ExpiredTokenException", times=1)]
    with pytest.raises(table.meta.client.exceptions.ResourceNotFoundException):  # these keys have no tables
        table.get_item(Key={"pk": "a"})
    assert [seen.headers["x-amz-security-token"] for seen in world.proxy.seen] == ["token1", "token2"]
    assert len(refreshed) == 2


def test_a_token_that_stays_expired_is_fetched_anew_only_once(world, hardened):
    refreshed = []
    table = hardened(world.proxy.endpoint_url, world.policy(), session=refreshing(refreshed)).Table("absent")
    world.proxy.plan = [faults.ErrorResponse(code="ExpiredTokenException")]
    with pytest.raises(ClientError, match="ExpiredToken"):
        table.get_item(Key={"pk": "a"})
    assert world.proxy.count() == len(refreshed) == 2


def test_a_bad_signature_is_retried_once_only_where_the_clock_is_skewed(world):
    code = "InvalidSignatureException"
    world.proxy.plan = [faults.ErrorResponse(code=code)]
    with pytest.raises(ClientError, match=code):
        world.table().get_item(Key={"pk": "a"})
    assert world.proxy.count() == 2  # the fake clock stands in 2023, the server's does not
    world.clock.advance(dt.datetime.now(dt.UTC).timestamp() - world.clock.time())
    world.proxy.clear()
    with pytest.raises(ClientError, match=code):
        world.table().get_item(Key={"pk": "a"})
    assert world.proxy.count() == 1


def test_a_large_page_that_is_cut_is_noticed_by_its_checksum(world):
    items = [{"pk": str(n), "text": "x" * 3000} for n in range(50)]
    with world.direct.batch_writer() as batch:
        for item in items:
            batch.put_item(Item=item)
    world.proxy.plan = [faults.TruncateBody(keep=0.999, times=1)]
    answer = world.table().scan()
    assert answer["Count"] == len(answer["Items"]) == 50
    assert world.proxy.count("Scan") == 2
