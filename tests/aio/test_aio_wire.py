"""What a server may say to an async client instead of the answer, and on a connection before or after it."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import boto3
import pytest
from aio_support import until
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError
from codec_calls import ACCESS
from hostile_support import NAMES, policy, said
from wire_server import SaysMore, WireServer, answer, error

import resilient_ddb as rddb
from resilient_ddb import aio
from resilient_ddb.calls.integrity import UnreadableResponseError

ADD = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
SUCCESSES = [name for name in NAMES if not name.startswith("an error")]


def of_key(params):
    """Return a GetItem's answer: the item of the key that was asked for."""
    return answer({"Item": params["Key"]})


@pytest.fixture
async def serve():
    """Return a function that begins a server, and gives it with a table before it."""
    async with AsyncExitStack() as stack:

        def begin(script, **options):
            server = stack.enter_context(WireServer(script))
            table = aio.table("t", endpoint_url=server.url, policy=policy(), **ACCESS, **options)
            stack.push_async_callback(table.close)
            return server, table

        yield begin


def once(name):
    """Return a script that says this to the first request, and answers every further one."""
    return lambda operation, params, number: said(name, operation) if number == 1 else [of_key(params)]


@pytest.mark.parametrize("name", SUCCESSES)
async def test_what_is_no_answer_is_asked_for_again(serve, name):
    server, table = serve(once(name))
    assert (await table.get_item(Key={"pk": "a"}))["Item"] == {"pk": "a"}
    assert server.operations == ["GetItem"] * 2


@pytest.mark.parametrize("name", SUCCESSES)
async def test_what_is_no_answer_leaves_an_unsafe_write_open(serve, name):
    server, table = serve(once(name))
    with pytest.raises(BotoCoreError) as raised:
        await table.update_item(Key={"pk": "a"}, **ADD)
    assert raised.value.resilience.ambiguous
    assert server.operations == ["UpdateItem"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
async def test_a_large_page_that_is_no_utf_8_is_asked_for_again(serve, encoding):
    rows = [{"pk": {"S": "\u00fc" * 2000}}] * 50
    text = json.dumps({"Items": rows, "Count": 50, "ScannedCount": 50}, ensure_ascii=False)
    spoilt, page = answer(text.encode(encoding), crc=False), answer(text.encode())
    server, table = serve(lambda _, __, number: [spoilt if number == 1 else page])
    assert len((await table.scan())["Items"]) == 50
    assert len(server.operations) == 2


async def test_an_answer_never_goes_without_its_members_whatever_its_headers(serve):
    server, table = serve(lambda *_: [answer({"Items": []})])
    with pytest.raises(UnreadableResponseError, match="is not DynamoDB's: it has no Count"):
        await table.scan()
    assert len(server.operations) == 2


async def test_what_did_not_come_over_the_wire_needs_no_marks(serve):
    server, _ = serve(lambda *_: [])

    class Raw:
        async def read(self):
            return b"{}"

    async def respond(request, **_):
        return AioAWSResponse(request.url, 200, {}, Raw())

    async with aio.client("dynamodb", endpoint_url=server.url, policy=policy(), **ACCESS) as client:
        client.meta.events.register("before-send.dynamodb", respond)
        assert set(await client.get_item(TableName="t", Key={"pk": {"S": "a"}})) == {"ResponseMetadata"}
    assert server.operations == []


async def test_a_gateways_answer_counts_nothing_as_written_or_missing(serve):
    _, table = serve(lambda operation, *_: said("a gateway's", operation))
    with pytest.raises(rddb.UnprocessedItemsError) as raised:
        async with table.batch_writer() as batch:
            await batch.put_item(Item={"pk": "a"})
    assert batch.report.written == 0
    assert len(raised.value.requests) == 1
    reading = table.get_items([{"pk": "a"}])
    with pytest.raises(UnreadableResponseError):
        [item async for item in reading]
    assert not reading.missing


# Interim answers, and connections.


@pytest.mark.parametrize("status", [100, 101, 102, 103, 199])
async def test_an_interim_answer_is_passed_over_and_the_next_call_gets_its_own(serve, status):
    interim = b"HTTP/1.1 %d Interim\r\nLink: </x>\r\n\r\n" % status
    server, table = serve(lambda _, params, number: [interim, 0.3, of_key(params)] if number == 1 else [of_key(params)])
    assert (await table.get_item(Key={"pk": "a"}))["Item"] == {"pk": "a"}
    assert (await table.get_item(Key={"pk": "b"}))["Item"] == {"pk": "b"}
    if status == 101:  # the last word on a connection, for another protocol: the key is asked for again on another one
        assert (server.connections, len(server.operations)) == (2, 3)
    else:
        assert (server.connections, len(server.operations)) == (1, 2)


async def test_an_answer_that_comes_after_101_is_nobody_elses(serve):
    interim = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    server, table = serve(lambda _, params, number: [interim, 0.1, of_key(params)] if number == 1 else [of_key(params)])
    with pytest.raises(BotoCoreError, match="switches to a protocol") as raised:
        await table.update_item(Key={"pk": "a"}, **ADD)
    assert raised.value.resilience.ambiguous
    assert (await table.get_item(Key={"pk": "b"}))["Item"] == {"pk": "b"}
    assert server.connections == 2


async def test_a_condition_that_fails_after_an_interim_answer_has_failed(serve):
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3
    _, table = serve(lambda *_: [interim, error("ConditionalCheckFailedException")])
    with pytest.raises(ClientError) as raised:
        await table.put_item(Item={"pk": "a"}, ConditionExpression="attribute_not_exists(pk)")
    assert raised.value.response["Error"]["Code"] == "ConditionalCheckFailedException"


@pytest.mark.parametrize("more", [b"{}", of_key({"Key": {"pk": {"S": "another's"}}})])
@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 204 X\r\nx-amzn-RequestId: R\r\nContent-Length: 2\r\n\r\n"])
async def test_a_connection_on_which_more_comes_than_was_read_is_not_used_again(serve, head, more):
    says = SaysMore(head or of_key({"Key": {"pk": {"S": "a"}}}), more)
    server, table = serve(lambda _, params, number: [of_key(params)] if number > 1 else says)
    await (table.delete_item if head else table.get_item)(Key={"pk": "a"})
    says.is_read.set()
    await until(says.is_sent.is_set)
    await asyncio.sleep(0.01)  # the loop takes in what came
    assert (await table.get_item(Key={"pk": "b"}))["Item"] == {"pk": "b"}
    assert server.connections == 2


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed_and_the_error_is_boto3s(serve, status):
    other, _ = serve(lambda *_: [answer({})])
    server, table = serve(lambda *_: [answer(b"", status, {"Location": f"{other.url}/steal"})])
    sync = rddb.table("t", endpoint_url=server.url, policy=policy(), session=boto3.Session(**ACCESS))
    ends = []
    with pytest.raises(ClientError) as raised:
        await table.put_item(Item={"pk": "a"})
    ends.append((str(raised.value), raised.value.response["Error"], raised.value.__notes__[1:]))
    with pytest.raises(ClientError) as raised:
        sync.put_item(Item={"pk": "a"})
    ends.append((str(raised.value), raised.value.response["Error"], raised.value.__notes__[1:]))
    sync.meta.client.close()
    assert ends[0] == ends[1]
    assert ends[0][1]["Code"] == str(status)
    assert not other.connections


async def test_a_client_that_was_used_before_follows_no_redirect_either(serve):
    other, _ = serve(lambda *_: [answer({})])
    redirect = answer(b"", 307, {"Location": f"{other.url}/steal"})
    server, _ = serve(lambda _, params, number: [answer({}) if number == 1 else redirect])
    async with get_session().create_client("dynamodb", endpoint_url=server.url, **ACCESS) as client:
        await client.get_item(TableName="t", Key={"pk": {"S": "a"}})
        aio.harden(client, policy=policy())
        aio.harden(client)
        with pytest.raises(ClientError):
            await client.put_item(TableName="t", Item={"pk": {"S": "a"}})
    assert not other.connections
