import time
import zlib
from contextlib import suppress

import pytest
from botocore.exceptions import ChecksumError, ClientError, ConnectionClosedError, ReadTimeoutError

from resilient_ddb.testing import faults


@pytest.mark.parametrize("close", [False, True])
def test_reset_before_applies_nothing(world, close):
    world.proxy.plan = [faults.ResetBefore(close=close)]
    with pytest.raises(ConnectionClosedError):
        world.put()
    assert world.stored() == set()
    (seen,) = world.proxy.seen
    assert (seen.fault, seen.forwarded, seen.status) == ("ResetBefore", False, None)


@pytest.mark.parametrize("close", [False, True])
def test_lose_reply_applies(world, close):
    world.proxy.plan = [faults.LoseReply(close=close)]
    with pytest.raises(ConnectionClosedError):
        world.put()
    assert world.stored() == {"a"}
    (seen,) = world.proxy.seen
    assert (seen.fault, seen.forwarded, seen.status) == ("LoseReply", True, None)
    assert faults.ResetAfter is faults.LoseReply


def test_a_lost_reply_counts_twice_when_resent(world, make_client):
    client = make_client(world.proxy.endpoint_url, retries={"total_max_attempts": 2, "mode": "standard"})
    world.proxy.plan = [faults.LoseReply(times=1, operations={"UpdateItem"})]
    client.update_item(
        TableName="orders",
        Key={"pk": {"S": "a"}},
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    assert world.get()["Item"]["n"] == {"N": "2"}


def test_delay(world):
    world.proxy.plan = [faults.Delay(seconds=0.05)]
    before = time.monotonic()
    world.put()
    assert time.monotonic() - before >= 0.05
    assert world.stored() == {"a"}


def test_a_delayed_write_is_applied_after_its_client_gave_up(world, make_client):
    client = make_client(world.proxy.endpoint_url, read_timeout=0.05)
    world.proxy.plan = [faults.Delay(seconds=3.0)]
    with pytest.raises(ReadTimeoutError):
        client.put_item(TableName="orders", Item={"pk": {"S": "late"}})
    assert world.stored() == set()
    deadline = time.monotonic() + 30
    while world.stored() != {"late"} and time.monotonic() < deadline:
        time.sleep(0.01)
    assert world.stored() == {"late"}


def test_hang(world, make_client):
    client = make_client(world.proxy.endpoint_url, read_timeout=0.05)
    world.proxy.plan = [faults.Hang()]
    with pytest.raises(ReadTimeoutError):
        client.put_item(TableName="orders", Item={"pk": {"S": "a"}})
    deadline = time.monotonic() + 30
    while not world.proxy.seen and time.monotonic() < deadline:  # its client may have been the quicker one
        time.sleep(0.005)
    assert world.stored() == set()
    assert world.proxy.seen[0].status is None


def test_truncate_body_is_a_phantom_not_found(world):
    world.put(text={"S": "x" * 100})
    whole = world.get()
    world.proxy.plan = [faults.TruncateBody()]
    response = world.get()
    assert "Item" not in response
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    length = int(whole["ResponseMetadata"]["HTTPHeaders"]["content-length"])
    assert int(headers["content-length"]) == length // 2


def test_short_body(world):
    world.put(text={"S": "x" * 100})
    world.proxy.plan = [faults.ShortBody(times=1)]
    with suppress(ConnectionClosedError):  # either is how botocore tells of it, by the version of urllib3
        assert "Item" not in world.get()
    assert "Item" in world.get()


def test_short_body_of_a_write_is_applied(world):
    world.proxy.plan = [faults.ShortBody(keep=0.0)]
    with suppress(ConnectionClosedError):  # as above
        world.put()
    assert world.stored() == {"a"}


def test_checksums(world):
    world.put()
    bodies = []
    world.client.meta.events.register(
        "before-parse.dynamodb.*",
        lambda response_dict, **_: bodies.append(
            (zlib.crc32(response_dict["body"]), response_dict["headers"].get("x-amz-crc32"))
        ),
    )
    spoilt = [faults.BadCrc(), faults.TruncateBody(), faults.BadJson(crc=False)]
    right = [faults.BadJson()]
    for fault in spoilt:
        world.proxy.plan = [fault]
        world.get()
        actual, told = bodies.pop()
        assert str(actual) != told, fault
    for fault in right:
        world.proxy.plan = [fault]
        world.get()
        actual, told = bodies.pop()
        assert str(actual) == told, fault
    assert told is not None


def test_checksums_of_errors_are_right(world):
    world.client.meta.events.register(
        "before-parse.dynamodb.*",
        lambda response_dict, **_: checked.append(
            str(zlib.crc32(response_dict["body"])) == response_dict["headers"]["x-amz-crc32"]
        ),
    )
    checked = []
    for fault in (faults.Throttle(), faults.ServerError(), faults.ErrorResponse(code="Nope")):
        world.proxy.plan = [fault]
        with pytest.raises(ClientError):
            world.get()
    assert checked == [True] * 3


def test_bad_json_is_an_empty_success(world):
    world.proxy.plan = [faults.BadJson()]
    response = world.put()
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert world.stored() == {"a"}
    assert "Item" not in world.get()


def test_a_connection_is_usable_after_each_fault(world):
    world.put()
    for fault in (faults.Throttle(), faults.ResetBefore(), faults.LoseReply(), faults.ShortBody()):
        world.proxy.plan = [fault]
        with suppress(ClientError, ConnectionClosedError):
            world.get()
        world.proxy.plan = []
        assert "Item" in world.get()


def test_legacy_mode_sees_a_bad_checksum(world, make_client):
    client = make_client(world.proxy.endpoint_url, retries={"total_max_attempts": 1, "mode": "legacy"})
    world.put()
    for fault in (faults.BadCrc(), faults.TruncateBody()):
        world.proxy.plan = [fault]
        with pytest.raises(ChecksumError):
            client.get_item(TableName="orders", Key={"pk": {"S": "a"}})


# What is not the service's.


@pytest.mark.parametrize("at", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("crc", [False, True])
def test_bad_utf_8(world, at, crc):
    world.put()
    world.proxy.plan = [faults.BadUtf8(at=at, crc=crc)]
    world.proxy.clear()
    with pytest.raises(UnicodeDecodeError):  # what botocore makes of it
        world.get()
    (seen,) = world.proxy.seen
    assert (seen.fault, seen.forwarded, seen.status) == ("BadUtf8", True, 200)


def test_a_foreign_answer_is_a_phantom_success_and_applies_nothing(world):
    world.proxy.plan = [faults.ForeignAnswer()]
    headers = world.put()["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/json"
    assert not {"x-amz-crc32", "x-amzn-requestid"} & set(headers)
    assert world.stored() == set()
    assert not world.proxy.seen[0].forwarded


@pytest.mark.parametrize("status", [300, 302, 307, 399])
def test_redirect(world, status):
    world.proxy.plan = [faults.Redirect(location="http://127.0.0.1:1/elsewhere", status=status)]
    with pytest.raises(ClientError) as raised:
        world.put()
    metadata = raised.value.response["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], metadata["HTTPHeaders"]["location"]) == (status, "http://127.0.0.1:1/elsewhere")
    assert not world.proxy.seen[0].forwarded


def test_an_interim_answer_is_a_phantom_success_and_the_real_one_follows(world):
    world.proxy.plan = [faults.InterimAnswer(status=102, seconds=0.05, times=1)]
    before = time.monotonic()
    assert world.put()["ResponseMetadata"]["HTTPStatusCode"] == 102
    assert world.stored() == {"a"}
    deadline = time.monotonic() + 30
    while world.proxy.seen[0].status != 200 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert world.proxy.seen[0].status == 200
    assert time.monotonic() >= before


@pytest.mark.parametrize(
    ("make", "error", "named"),
    [
        (lambda: faults.BadUtf8(at=1), ValueError, "at"),
        (lambda: faults.BadUtf8(at="0"), TypeError, "at"),
        (lambda: faults.ForeignAnswer(body="{}"), TypeError, "body"),
        (lambda: faults.ForeignAnswer(content_type=""), ValueError, "content_type"),
        (lambda: faults.Redirect(location=""), ValueError, "location"),
        (lambda: faults.Redirect(location="http://a", status=200), ValueError, "status"),
        (lambda: faults.InterimAnswer(status=200), ValueError, "status"),
        (lambda: faults.InterimAnswer(seconds=-1), ValueError, "seconds"),
    ],
)
def test_settings_that_can_not_be_meant_are_refused(make, error, named):
    with pytest.raises(error, match=f"^{named} must"):
        make()
