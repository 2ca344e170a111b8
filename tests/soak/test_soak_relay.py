"""The relay: what each kind of fault forwards, and what the client gets, on the wire."""

from __future__ import annotations

import http.client
import json
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .faults import KINDS, chosen, through
from .messages import Request, json_answer
from .plan import NO_FAULT, FaultPlan
from .relay import Relay

ITEM = {"Item": {"pk": {"S": "k~1~"}, "body": {"M": {"text": {"S": "grün ✓"}}}}}
BODY = json.dumps(ITEM, ensure_ascii=False).encode()


@pytest.fixture
def upstream():
    """A server that answers each request with one item, and keeps what came; not before its gate is open."""
    seen = []
    gate = threading.Event()
    gate.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            content = json.loads(self.rfile.read(int(self.headers["content-length"])))
            gate.wait(30)
            seen.append(content)
            body = b"{}" if "RequestItems" in content else BODY
            self.send_response(200)
            self.send_header("x-amz-crc32", str(zlib.crc32(body)))
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        server.gate, server.seen, server.url = gate, seen, f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def relay(upstream):
    """A relay whose every request meets the fault that `relay.meet` is."""
    with Relay(upstream.url, lambda *_: ("test", made.meet)) as made:
        made.meet = through
        yield made


@pytest.fixture(autouse=True)
def connections():
    """Close the connections of a test after it."""
    yield
    while OPEN:
        OPEN.pop().close()


OPEN = []


def connected(url, timeout=20.0):
    OPEN.append(http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout))
    return OPEN[-1]


def ask(relay, operation="GetItem", content=None, connection=None):
    """Send a request, and give the status, the headers and the body of the answer, or the error."""
    connection = connection or connected(relay.url)
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
    try:
        connection.request("POST", "/", json.dumps(content or {"Key": {"pk": {"S": "k~1~"}}}), headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    except (OSError, http.client.HTTPException) as error:
        return type(error), None, getattr(error, "partial", b"")


def test_a_request_passes_as_it_is(relay, upstream):
    status, headers, body = ask(relay, content={"a": 1})
    assert (status, body) == (200, BODY)
    assert headers["x-amz-crc32"] == str(zlib.crc32(BODY))
    assert upstream.seen == [{"a": 1}]


def test_a_connection_takes_several_requests(relay, upstream):
    connection = connected(relay.url)
    assert [ask(relay, content={"n": n}, connection=connection)[2] for n in range(3)] == [BODY] * 3
    assert len(upstream.seen) == 3


@pytest.mark.parametrize("kind", ["reset-before", "close-before"])
def test_a_connection_breaks_before(relay, upstream, kind):
    relay.meet = KINDS[kind].meet
    status, _, _ = ask(relay)
    assert status in (ConnectionResetError, http.client.RemoteDisconnected)
    assert upstream.seen == []


def test_connections_are_refused_for_a_moment(relay, upstream):
    kept = connected(relay.url)
    ask(relay, connection=kept)
    relay.meet = KINDS["refused"].meet
    assert ask(relay)[0] is ConnectionResetError
    while ask(relay)[0] is not ConnectionRefusedError:
        pass  # the moment was over already, and another one began
    relay.meet = through
    assert ask(relay, connection=kept)[0] == 200
    while ask(relay)[0] is ConnectionRefusedError:
        time.sleep(0.02)
    assert len(upstream.seen) >= 2


@pytest.mark.parametrize("kind", ["reset-after", "close-after"])
def test_a_connection_breaks_after(relay, upstream, kind):
    relay.meet = KINDS[kind].meet
    status, _, _ = ask(relay)
    assert status in (ConnectionResetError, http.client.RemoteDisconnected)
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("kind", ["hang", "stall"])
def test_an_answer_never_comes_whole(relay, upstream, kind):
    relay.meet = KINDS[kind].meet
    connection = connected(relay.url, 0.1)
    assert ask(relay, connection=connection)[0] is TimeoutError
    connection.close()
    relay.settled().result(20)
    assert len(upstream.seen) == (kind == "stall")


@pytest.mark.parametrize("kind", ["late-after-reset", "late-after-hang"])
def test_a_request_comes_after_its_client_has_gone(relay, upstream, kind):
    relay.meet = KINDS[kind].meet
    upstream.gate.clear()
    connection = connected(relay.url, 0.1)
    assert ask(relay, connection=connection)[0] in (ConnectionResetError, TimeoutError)
    assert upstream.seen == []
    connection.close()
    settled = relay.settled("k~1~")
    assert not settled.done()
    upstream.gate.set()
    settled.result(20)
    assert len(upstream.seen) == 1


def test_only_what_is_asked_for_holds_up(relay, upstream):
    relay.meet = KINDS["late-after-reset"].meet
    upstream.gate.clear()
    ask(relay)
    relay.settled("k~2~").result(20)
    held = relay.settled()
    assert not held.done()
    upstream.gate.set()
    held.result(20)


@pytest.mark.parametrize(
    ("kind", "status", "name", "is_forwarded"),
    [
        ("error-before", 500, "InternalServerError", False),
        ("error-after", 500, "InternalServerError", True),
        ("throttled", 400, "Exceeded|Throttling", False),
    ],
)
def test_the_service_refuses(relay, upstream, kind, status, name, is_forwarded):
    relay.meet = KINDS[kind].meet
    found, headers, body = ask(relay)
    assert found == status
    assert any(word in json.loads(body)["__type"] for word in name.split("|"))
    assert headers["x-amz-crc32"] == str(zlib.crc32(body))
    assert len(upstream.seen) == is_forwarded


def test_a_load_balancer_refuses(relay, upstream):
    relay.meet = KINDS["html-503"].meet
    assert ask(relay)[0] == 503
    assert upstream.seen == []


def test_a_transaction_is_cancelled(relay, upstream):
    relay.meet = KINDS["conflict"].meet
    status, _, body = ask(relay, "TransactWriteItems", {"TransactItems": [{"Put": {}}, {"Put": {}}]})
    assert status == 400
    assert [reason["Code"] for reason in json.loads(body)["CancellationReasons"]] == ["TransactionConflict", "None"]
    assert upstream.seen == []


def test_a_transaction_that_was_applied_is_not_cancelled(relay, upstream):
    content = {"TransactItems": [{"Put": {}}], "ClientRequestToken": "t"}
    relay.meet = KINDS["reset-after"].meet
    assert ask(relay, "TransactWriteItems", content)[0] is ConnectionResetError
    relay.meet = KINDS["conflict"].meet
    assert ask(relay, "TransactWriteItems", content)[0] == 200
    assert ask(relay, "TransactWriteItems", content | {"ClientRequestToken": "u"})[0] == 400
    assert upstream.seen == [content] * 2


def test_a_transaction_is_cancelled_and_comes_after_all(relay, upstream):
    relay.meet = KINDS["late-then-cancelled"].meet
    upstream.gate.clear()
    content = {"TransactItems": [{"Put": {"pk": "k~1~"}}], "ClientRequestToken": "t"}
    assert ask(relay, "TransactWriteItems", content)[0] is ConnectionResetError
    assert [ask(relay, "TransactWriteItems", content)[0] for _ in range(3)] == [400] * 3
    upstream.gate.set()
    relay.settled("k~1~").result(20)
    assert upstream.seen == [content]


@pytest.mark.parametrize(
    ("operation", "left"), [("BatchWriteItem", "UnprocessedItems"), ("BatchGetItem", "UnprocessedKeys")]
)
def test_a_batch_is_done_in_part(relay, upstream, operation, left):
    relay.meet = KINDS["unprocessed"].meet
    entries = [{"n": n} for n in range(5)]
    part = entries if operation == "BatchWriteItem" else {"Keys": entries, "ConsistentRead": True}
    _, headers, body = ask(relay, operation, {"RequestItems": {"t": part}})
    answer = json.loads(body)

    def taken(some):
        return some if operation == "BatchWriteItem" else some["Keys"]

    forwarded = [entry for request in upstream.seen for entry in taken(request["RequestItems"]["t"])]
    assert answer[left]
    assert sorted(entry["n"] for entry in [*forwarded, *taken(answer[left]["t"])]) == [0, 1, 2, 3, 4]
    assert headers["x-amz-crc32"] == str(zlib.crc32(body))


@pytest.mark.parametrize("kind", ["slow", "pieces"])
def test_an_answer_comes_whole_in_the_end(relay, kind):
    relay.meet = KINDS[kind].meet
    assert ask(relay)[::2] == (200, BODY)


def test_a_body_ends_before_its_length(relay, upstream):
    relay.meet = KINDS["cut-short"].meet
    status, _, partial = ask(relay)
    assert status is http.client.IncompleteRead
    assert len(partial) < len(BODY)
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("kind", ["cut-unseen", "wrong-checksum", "flipped", "flipped-type", "cut-in-a-character"])
def test_a_checksum_tells_of_the_damage(relay, kind):
    relay.meet = KINDS[kind].meet
    status, headers, body = ask(relay)
    assert status == 200
    assert int(headers["x-amz-crc32"]) != zlib.crc32(body)
    if kind == "flipped":
        assert json.loads(body) != ITEM
    if kind == "flipped-type":
        assert json.loads(body)["Item"]["body"].keys() == {"L"}
    if kind == "cut-in-a-character":
        with pytest.raises(UnicodeDecodeError):
            body.decode()
    else:
        body.decode()


def test_a_bit_is_flipped_anywhere(relay):
    relay.meet = KINDS["flipped-anywhere"].meet
    bodies = [ask(relay)[2] for _ in range(30)]
    differences = [[index for index, byte in enumerate(body) if byte != BODY[index]] for body in bodies]
    assert all(len(found) == 1 for found in differences)
    assert len({found[0] for found in differences}) > 10


def test_only_the_json_tells_of_a_cut(relay):
    relay.meet = KINDS["cut-without-checksum"].meet
    status, headers, body = ask(relay)
    assert (status, headers["x-amz-crc32"]) == (200, None)
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


@pytest.mark.parametrize("kind", ["html-200", "empty-200", "empty-200-control", "foreign-json", "other-encoding"])
def test_a_200_is_not_what_it_should_be(relay, kind):
    relay.meet = KINDS[kind].meet
    status, headers, body = ask(relay)
    assert status == 200
    assert body != BODY
    assert headers["x-amzn-requestid"] is None or kind == "other-encoding"


def test_a_batch_leaves_what_was_never_sent(relay):
    relay.meet = KINDS["unprocessed-of-others"].meet
    sent = [{"PutRequest": {"Item": {"pk": {"S": "p"}, "sk": {"S": "k~1~"}}}}]
    _, _, body = ask(relay, "BatchWriteItem", {"RequestItems": {"t": sent}})
    [left] = json.loads(body)["UnprocessedItems"]["t"]
    assert left["PutRequest"]["Item"]["sk"] == {"S": "k~never~"}


def test_headers_are_hostile(relay, upstream):
    relay.meet = KINDS["hostile-headers"].meet
    status, headers, body = ask(relay)
    assert (status, headers["date"]) != (200, None)
    assert len(headers["x-amz-retry-after"]) == 5000
    assert json.loads(body)


def test_an_interim_answer_comes_first(relay):
    relay.meet = KINDS["interim"].meet
    connection = connected(relay.url)
    status, _, body = ask(relay, connection=connection)
    assert status in (102, 103)  # what Python's http.client takes for the answer
    assert body == b""


def test_a_redirect_leads_to_where_nobody_should_come(relay, upstream):
    relay.meet = KINDS["redirect"].meet
    status, headers, _ = ask(relay)
    assert status in (301, 302, 307, 308)
    assert upstream.seen == []
    assert ask(relay, connection=connected(headers["location"]))[0] == 200
    assert relay.leaked == ["GetItem"]


def test_a_client_that_leaves_does_no_harm(relay, upstream):
    connection = connected(relay.url)
    connection.connect()
    connection.sock.sendall(b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\nhalf")
    connection.close()
    assert ask(relay)[0] == 200


def test_an_upstream_that_is_down_breaks_the_connection():
    with Relay("http://127.0.0.1:1", lambda *_: ("test", through)) as relay:
        assert ask(relay)[0] is ConnectionResetError


def test_the_journal_knows_keys_and_faults(relay):
    ask(relay, "PutItem", {"Item": {"sk": {"S": "k~7~"}}})
    [(_, number, operation, fault, keys)] = relay.journal
    assert (number, operation, fault, keys) == (1, "PutItem", "test", ("k~7~",))
    assert relay.counts == {"test": 1}


def test_every_kind_is_tested_here():
    text = Path(__file__).read_text("utf-8")
    assert [name for name in KINDS if f'"{name}"' not in text] == []


# The plan.


def request(operation="GetItem"):
    return Request("POST", "/", {"x-amz-target": f"DynamoDB_20120810.{operation}"}, b"")


def drawn(seed, **options):
    plan = FaultPlan(seed, chosen("all"), **options)
    return [plan(number, number / 100, request())[0] for number in range(1000)]


def test_the_seed_decides_the_faults():
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_the_rate_is_the_share_of_faults():
    met = [name for name in drawn(1, rate=0.3, outages=False) if name != NO_FAULT]
    assert 250 < len(met) < 350
    assert "unprocessed" not in met  # of batches only


def test_a_kind_for_other_operations_is_not_drawn():
    plan = FaultPlan(1, chosen("conflict"), rate=1.0, outages=False)
    assert plan(1, 0.0, request("GetItem"))[0] == NO_FAULT
    assert plan(1, 0.0, request("TransactWriteItems"))[0] == "conflict"


def test_an_outage_comes_and_goes():
    plan = FaultPlan(3, chosen("all"), rate=0.0)
    names = [plan(number, number / 10, request())[0] for number in range(600)]
    assert plan.outages >= 3
    assert NO_FAULT in names[-200:]
    assert any(name.startswith("outage") for name in names)


def test_calm_ends_all_faults():
    plan = FaultPlan(1, chosen("all"), rate=1.0)
    plan.calm()
    assert {plan(number, 6.0, request())[0] for number in range(50)} == {NO_FAULT}


def test_kinds_are_chosen_by_name():
    assert {kind.name for kind in chosen("all")} == KINDS.keys()
    assert [kind.name for kind in chosen("slow, redirect")] == ["slow", "redirect"]
    assert "hang" not in {kind.name for kind in chosen("all,-hang")}
    assert chosen("") == []
    with pytest.raises(ValueError, match="there is no fault 'nothing'"):
        chosen("nothing")


def test_an_answer_of_the_service_has_its_marks():
    answer = json_answer(400, {"a": 1}, 7)
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    assert answer.headers["x-amz-crc32"] == str(zlib.crc32(answer.body))
    assert answer.headers["x-amzn-requestid"]
