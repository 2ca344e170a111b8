"""What a server may say instead of the answer, and on a connection before or after it."""

from __future__ import annotations

import http.client
import json

import boto3
import botocore.awsrequest
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from codec_calls import ACCESS
from hostile_support import NAMES, policy, said
from sdk_support import http_session_of
from wire_server import MARKS, SaysMore, WireServer, answer, error

import resilient_ddb as rddb
from resilient_ddb.calls.integrity import UnreadableResponseError

ADD = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
SUCCESSES = [name for name in NAMES if not name.startswith("an error") and name != "an interim one"]


def of_key(params):
    """Return a GetItem's answer: the item of the key that was asked for."""
    return answer({"Item": params["Key"]})


@pytest.fixture
def serve():
    """Return a function that begins a server, and gives it with a Table before it."""
    servers, tables = [], []

    def begin(script, make=rddb.table, **options):
        server = WireServer(script).__enter__()
        servers.append(server)
        options = {"policy": policy(), "session": boto3.Session(**ACCESS), **options}
        made = make("t", endpoint_url=server.url, **options)
        tables.append(made)
        return server, made

    yield begin
    for made in tables:
        made.meta.client.close()
    for server in servers:
        server.__exit__(None, None, None)


def once(name):
    """Return a script that says this to the first request, and answers every further one."""
    return lambda operation, params, number: said(name, operation) if number == 1 else [good(operation, params)]


def good(operation, params):
    return of_key(params) if operation == "GetItem" else answer({})


# Damage.


@pytest.mark.parametrize("name", SUCCESSES)
def test_what_is_no_answer_is_asked_for_again(serve, name):
    server, table = serve(once(name))
    assert table.get_item(Key={"pk": "a"})["Item"] == {"pk": "a"}
    assert server.operations == ["GetItem"] * 2


@pytest.mark.parametrize("name", SUCCESSES)
def test_what_is_no_answer_leaves_an_unsafe_write_open(serve, name):
    server, table = serve(once(name))
    with pytest.raises(BotoCoreError) as raised:
        table.update_item(Key={"pk": "a"}, **ADD)
    assert raised.value.resilience.ambiguous
    assert server.operations == ["UpdateItem"]


def test_a_fallback_is_asked_and_the_circuit_counts_where_bytes_are_no_answer(serve):
    breaker = rddb.CircuitBreaker(minimum_calls=2)
    fallback = rddb.fallback.response({"Item": {"pk": "fallback"}})
    policy = rddb.Policy(retry=rddb.Retry(max_attempts=2, base_delay=0), circuit_breaker=breaker, fallback=fallback)
    server, table = serve(lambda operation, *_: said("cut in a character", operation), policy=policy)
    assert table.get_item(Key={"pk": "a"})["Item"] == {"pk": "fallback"}
    assert rddb.circuits(table)["read"].state == "open"
    assert len(server.operations) == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_a_large_page_that_is_no_utf_8_is_asked_for_again(serve, encoding):
    rows = [{"pk": {"S": "\u00fc" * 2000}}] * 50
    text = json.dumps({"Items": rows, "Count": 50, "ScannedCount": 50}, ensure_ascii=False)
    spoilt, page = answer(text.encode(encoding), crc=False), answer(text.encode())
    server, table = serve(lambda _, __, number: [spoilt if number == 1 else page])
    assert len(table.scan()["Items"]) == 50
    assert len(server.operations) == 2


# What is not DynamoDB's.

WITHOUT: dict[str, tuple[dict, dict]] = {
    "query": ({"Items": []}, {"KeyConditionExpression": "pk = :a", "ExpressionAttributeValues": {":a": "a"}}),
    "scan": ({"Items": []}, {}),
    "batch_write_item": ({}, {"RequestItems": {"t": [{"DeleteRequest": {"Key": {"pk": "a"}}}]}}),
    "batch_get_item": ({"UnprocessedKeys": {}}, {"RequestItems": {"t": {"Keys": [{"pk": "a"}]}}}),
    "transact_get_items": ({}, {"TransactItems": [{"Get": {"TableName": "t", "Key": {"pk": "a"}}}]}),
    "describe_table": ({}, {"TableName": "t"}),
    "describe_time_to_live": ({}, {"TableName": "t"}),
    "list_tables": ({}, {}),
}


@pytest.mark.parametrize("verb", WITHOUT)
def test_an_answer_never_goes_without_its_members_whatever_its_headers(serve, verb):
    body, params = WITHOUT[verb]
    server, table = serve(lambda *_: [answer(body)])
    target = table if verb in ("query", "scan") else table.meta.client
    with pytest.raises(UnreadableResponseError, match="is not DynamoDB's: it has no"):
        getattr(target, verb)(**params)
    assert len(server.operations) == 2


@pytest.mark.parametrize(
    "headers",
    [{name: value} for name, value in MARKS.items()]
    + [{"X-AMZN-REQUESTID": "R"}, {"x-amz-crc32": "2745614147"}, {"content-type": "Application/X-Amz-Json-1.0; x=y"}],
)
def test_one_mark_of_dynamodbs_is_enough(serve, headers):
    _, table = serve(lambda *_: [answer({}, headers=headers)])
    assert "Item" not in table.get_item(Key={"pk": "a"})


def test_errors_are_not_judged_by_their_marks(serve):
    body = {"__type": "x#ConditionalCheckFailedException", "message": "No"}
    _, table = serve(lambda *_: [answer(body, 400, {})])
    with pytest.raises(table.meta.client.exceptions.ConditionalCheckFailedException):
        table.put_item(Item={"pk": "a"}, ConditionExpression="attribute_not_exists(pk)")


@pytest.mark.parametrize("verb", ["query", "get_item"])
def test_what_did_not_come_over_the_wire_needs_no_marks(serve, verb):
    server, table = serve(lambda *_: [])

    class Raw:
        def stream(self):
            yield b"{}"

    def respond(request, **_):
        return AWSResponse(request.url, 200, {}, Raw())

    table.meta.client.meta.events.register("before-send.dynamodb", respond)
    params = {"KeyConditionExpression": "pk = :a"} if verb == "query" else {"Key": {"pk": "a"}}
    assert set(getattr(table, verb)(**params)) == {"ResponseMetadata"}
    assert server.operations == []


def test_a_second_attempt_that_a_handler_answers_is_not_judged_as_the_first(serve):
    server, table = serve(lambda operation, *_: said("a gateway's", operation))

    class Raw:
        def stream(self):
            yield b"{}"

    def respond(request, **_):
        return AWSResponse(request.url, 200, {}, Raw()) if server.operations else None

    table.meta.client.meta.events.register("before-send.dynamodb", respond)
    assert "Item" not in table.get_item(Key={"pk": "a"})


@pytest.mark.parametrize("name", ["a gateway's", "a gateway's, empty"])
def test_a_gateways_answer_counts_nothing_as_written_or_missing(serve, name):
    _, table = serve(lambda operation, *_: said(name, operation))
    with pytest.raises(rddb.UnprocessedItemsError) as raised, table.batch_writer() as batch:
        batch.put_item(Item={"pk": "a"})
    assert batch.report.written == 0
    assert raised.value.requests == batch.unprocessed == [{"PutRequest": {"Item": {"pk": "a"}}}]
    reading = table.get_items([{"pk": "a"}])
    with pytest.raises(UnreadableResponseError):
        list(reading)
    assert not reading.missing


# Interim answers, and connections.


@pytest.mark.parametrize(
    ("fast_path", "status"),
    [
        *((False, status) for status in (100, 101, 102, 103, 199)),
        *((True, status) for status in (100, 102, 103, 199)),  # after 101 it is no longer HTTP/1.1 that is spoken
    ],
)
def test_an_interim_answer_is_passed_over_and_the_next_call_gets_its_own(serve, fast_path, status):
    interim = b"HTTP/1.1 %d Interim\r\nLink: </x>\r\n\r\n" % status
    script = lambda _, params, number: [interim, 0.3, of_key(params)] if number == 1 else [of_key(params)]  # noqa: E731
    server, table = serve(script, policy=policy(fast_path=fast_path))
    assert table.get_item(Key={"pk": "a"})["Item"] == {"pk": "a"}
    assert table.get_item(Key={"pk": "b"})["Item"] == {"pk": "b"}
    assert (len(server.operations), server.connections) == (2, 1)


def test_a_condition_that_fails_after_an_interim_answer_has_failed(serve):
    script = lambda *_: [b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3, error("ConditionalCheckFailedException")]  # noqa: E731
    _, table = serve(script)
    with pytest.raises(table.meta.client.exceptions.ConditionalCheckFailedException):
        table.put_item(Item={"pk": "a"}, ConditionExpression="attribute_not_exists(pk)")


def test_an_interim_answer_with_nothing_after_it_is_a_lost_reply(serve):
    _, table = serve(lambda *_: [b"HTTP/1.1 103 Early Hints\r\n\r\n", None])
    with pytest.raises(HTTPClientError) as raised:
        table.update_item(Key={"pk": "a"}, **ADD)
    assert raised.value.resilience.ambiguous


@pytest.mark.parametrize("first", [b"HTTP/1.1 204 X\r\nx-amzn-RequestId: R\r\nContent-Length: 28\r\n\r\n", None])
def test_a_connection_on_which_more_comes_than_was_read_is_not_used_again(serve, first):
    key = {"Key": {"pk": {"S": "a"}}}
    says = SaysMore(first or of_key(key), of_key({"Key": {"pk": {"S": "another's"}}}))
    server, table = serve(lambda _, params, number: [of_key(params)] if number > 1 else says)
    if first is None:
        table.get_item(Key={"pk": "a"})
    else:
        table.delete_item(Key={"pk": "a"})
    says.is_read.set()
    assert says.is_sent.wait(20)
    assert table.get_item(Key={"pk": "b"})["Item"] == {"pk": "b"}
    assert server.connections == 2


def test_connections_of_a_client_that_was_used_before_are_made_anew(serve):
    def make(name, *, endpoint_url, policy, session):
        table = session.resource("dynamodb", endpoint_url=endpoint_url).Table(name)
        table.get_item(Key={"pk": "plain"})
        return rddb.harden(table, policy=policy)

    def script(operation, params, number):
        return [of_key(params)] if number == 1 else [b"HTTP/1.1 103 X\r\n\r\n", of_key(params)]

    _, installed = serve(script, make=make)
    assert installed.get_item(Key={"pk": "a"})["Item"] == {"pk": "a"}
    classes = pool_classes(installed.meta.client)
    before = dict(classes)
    rddb.harden(installed)
    assert pool_classes(installed.meta.client) is classes
    assert classes == before


def pool_classes(client):
    return http_session_of(client)._pool_classes_by_scheme  # noqa: SLF001 - botocore has no public way


def test_nothing_global_is_changed(serve):
    _, table = serve(lambda _, params, __: [of_key(params)])
    table.get_item(Key={"pk": "a"})
    assert http.client.HTTPConnection.response_class is http.client.HTTPResponse
    assert botocore.awsrequest.AWSHTTPConnectionPool.ConnectionCls is botocore.awsrequest.AWSHTTPConnection
    plain = boto3.Session(**ACCESS).client("dynamodb")
    classes = pool_classes(plain)
    assert classes == {
        "http": botocore.awsrequest.AWSHTTPConnectionPool,
        "https": botocore.awsrequest.AWSHTTPSConnectionPool,
    }
    assert pool_classes(table.meta.client) != classes
    plain.close()


def test_a_class_of_connections_that_was_put_in_place_of_botocores_is_used(serve, monkeypatch):
    made = []

    class Recorded(botocore.awsrequest.AWSHTTPConnection):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    _, table = serve(lambda _, params, __: [of_key(params)])
    monkeypatch.setattr(botocore.awsrequest.AWSHTTPConnectionPool, "ConnectionCls", Recorded)
    table.get_item(Key={"pk": "a"})
    assert len(made) == 1


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(serve, status):
    other, _ = serve(lambda *_: [answer({})])
    _, table = serve(lambda *_: [answer(b"", status, {"Location": f"{other.url}/steal"})])
    with pytest.raises(ClientError) as raised:
        table.put_item(Item={"pk": "a"})
    assert raised.value.response["Error"]["Code"] == str(status)
    told = "this is a redirect to 127.0.0.1, which is not followed: it is not DynamoDB's"
    assert raised.value.__notes__[1:] == [told]
    assert not other.connections


@pytest.mark.parametrize("headers", [{}, {"Location": "http://[no-address/"}])
def test_a_redirect_to_nowhere_is_one_all_the_same(serve, headers):
    _, table = serve(lambda *_: [answer(b"", 307, headers)])
    with pytest.raises(ClientError) as raised:
        table.put_item(Item={"pk": "a"})
    assert raised.value.__notes__[1:] == ["this is a redirect, which is not followed: it is not DynamoDB's"]
