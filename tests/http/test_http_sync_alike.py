"""The sync transport beside botocore's: whatever comes over the wire, a caller sees the same of it.

Where botocore's takes what HTTP/1.1 does not allow, it is an error here, and never one that hides a write.
"""

from __future__ import annotations

import random
import re

import boto3
import pytest
from codec_calls import ACCESS
from hostile_support import AWAITED, BYTES, policy
from hypothesis import assume, given
from hypothesis import strategies as st
from properties import examples
from wire_server import HANDS_ON_WHAT_IS_CUT, WireServer, answer, error

import resilient_ddb as rddb
from resilient_ddb.testing import FaultProxy, faults

ADD = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": 1}}
CALLS = {
    "GetItem": lambda table: table.get_item(Key={"pk": "a"}),
    "PutItem": lambda table: table.put_item(Item={"pk": "a"}),
    "ADD": lambda table: table.update_item(Key={"pk": "a"}, **ADD),
}
BODY = b'{"Item":{"pk":{"S":"a"}}}'
GOOD = answer(BODY)
START = b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: R\r\nContent-Type: application/x-amz-json-1.0\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"5;x=y\r\n" + BODY[:5] + b"\r\n%x\r\n" % (len(BODY) - 5) + BODY[5:] + b"\r\n0\r\nDigest: x\r\n\r\n"
ELSEWHERE = b"Location: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"


class Side:
    """A Table on one of the two transports."""

    def __init__(self, url, *, fast_path, read=30.0):
        self._told = []
        self._random = random.Random()
        self._fast_path = fast_path
        self.table = rddb.table(
            "t",
            endpoint_url=url,
            session=boto3.Session(**ACCESS),
            policy=policy(
                fast_path=fast_path,
                timeouts=rddb.Timeouts(read=read),
                observers=[self._told.append],
                random=self._random,
            ),
        )

    def outcome(self, call):
        """Return what a caller sees of a call, and what an observer is told."""
        self._told.clear()
        self._random.seed(1)
        taken = rddb.status(self.table).fast_path.taken
        try:
            seen = call(self.table)
        except Exception as error:  # noqa: BLE001 - it is what is compared
            facts = error.resilience
            seen = (type(error), str(error), facts.kind, facts.attempts, facts.ambiguous, facts.stopped_by)
            seen += tuple(getattr(error, "__notes__", ()))
        finally:
            self.table.meta.client.close()
        assert (rddb.status(self.table).fast_path.taken > taken) == self._fast_path
        return seen, _without_chance(self._told)


@pytest.fixture(scope="module")
def shared():
    """Give a server, whose script is to be set, and a Table on either transport."""
    with WireServer(None) as server:
        yield server, both(server.url)


def _without_chance(told):
    return [re.sub(r"\b(elapsed|request_id|call)=[^,)]*", "", repr(event)) for event in told]


def compare(sides, call):
    """Make a call both ways, see that it comes to the same, and return what a caller sees."""
    ours, theirs = (side.outcome(call) for side in sides)
    if not _is_cut_and_refused(ours[0], theirs[0]):
        assert [_rounded(part) for part in ours] == [_rounded(part) for part in theirs]
    return ours[0]


def _is_cut_and_refused(ours, theirs):
    """Return whether a body was cut, and botocore is one that refuses it, where ours hands it on to the checksum.

    As later botocore does. All that is known of the call is the same.
    """
    if HANDS_ON_WHAT_IS_CUT or not isinstance(ours, tuple) or not isinstance(theirs, tuple):
        return False
    is_so = (ours[0].__name__, theirs[0].__name__) == ("ChecksumError", "ConnectionClosedError")
    return is_so and ours[2:] == theirs[2:]


def both(url, **settings):
    """Return a Table on either transport."""
    return [Side(url, fast_path=way, **settings) for way in (True, False)]


def _rounded(part):
    # http.client keeps the spaces at a value's end.
    return re.sub(r"in \d+\.\d+ s|'date': '[^']*'|[ \t]+(?=')", "", repr(part))


WIRE = {
    "an answer": [GOOD],
    "nothing": [None],
    "a part of the status line": [GOOD[:10], None],
    "a part of the body": [GOOD[:-5], None],
    "a part of an error's body": [error("ThrottlingException")[:-5], None],
    "another body than its checksum": [GOOD.replace(b'"a"', b'"b"')],
    "no HTTP": [b"SSH-2.0-x\r\n", None],
    "TLS": [b"\x15\x03\x01\x00\x02\x02\x46", None],
    "an error": [error("ValidationException")],
    "an error of the server": [error("InternalServerError", 500)],
    "too many requests": [answer({}, 429)],
    "an error of a gateway": [answer(b"<html>", 503, {"Content-Type": "text/html"})],
    "a condition that failed": [error("ConditionalCheckFailedException")],
    "chunks": [CHUNKED + CHUNKS],
    "chunks, one byte at a time": [bytes([byte]) for byte in CHUNKED + CHUNKS],
    "a part of the chunks": [CHUNKED + CHUNKS[:10], None],
    "chunks without an end": [CHUNKED + CHUNKS[:-19], None],
    "chunks without sizes": [CHUNKED + BODY, None],
    "all until it is closed": [START + b"\r\n" + BODY, None],
    "HTTP/1.0": [START.replace(b"1.1", b"1.0") + b"\r\n" + BODY, None],
    "interim answers": [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\na: b\r\n\r\n" + GOOD],
    "an interim answer only": [b"HTTP/1.1 100 Continue\r\n\r\n", None],
    "no content": [b"HTTP/1.1 204 X\r\nx-amzn-RequestId: R\r\n\r\n"],
    "a redirect": [b"HTTP/1.1 303 X\r\n" + ELSEWHERE],
    "another redirect": [b"HTTP/1.1 307 X\r\n" + ELSEWHERE],
    "a header twice": [START + b"a: b\r\nA: c\r\n" + LENGTH + b"\r\n" + BODY],
    "a header in latin-1": [START + b"a: \xfc\r\n" + LENGTH + b"\r\n" + BODY],
    "a long header": [START + b"a: " + b"x" * 70_000 + b"\r\n" + LENGTH + b"\r\n" + BODY],
    "more than an answer": [GOOD + b"HTTP/1.1 200 OK\r\n"],
    **{name: [said, None] if name in AWAITED else [said] for name, said in BYTES.items() if name != "a long length"},
}


@pytest.mark.parametrize("said", WIRE.values(), ids=WIRE)
def test_what_a_server_says_comes_to_the_same(shared, said):
    server, sides = shared
    server.script = lambda *_: said
    for call in CALLS.values():
        compare(sides, call)


@pytest.mark.parametrize("said", [[], [GOOD[:-5]], [CHUNKED]], ids=["nothing", "a part of the body", "no chunk"])
def test_what_does_not_come_in_time_comes_to_the_same(said):
    with WireServer(lambda *_: said) as server:
        sides = both(server.url, read=0.05)
        for call in ("GetItem", "ADD"):
            assert compare(sides, CALLS[call])[0].__name__ == "ReadTimeoutError"


NOT_HTTP = {
    "a part of the head": [GOOD[:60], None],
    "a length and chunks": [START + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS],
    "two lengths": [START + LENGTH + b"Content-Length: 3\r\n\r\n" + BODY],
    "a length that is no number": [START + b"Content-Length: x\r\n\r\n" + BODY, None],
    "a length below nothing": [START + b"Content-Length: -1\r\n\r\n" + BODY, None],
    "a length of many digits": [BYTES["a long length"], None],
    "a folded header": [START + b"a: b\r\n c\r\n" + LENGTH + b"\r\n" + BODY],
    "a line without a carriage return": [(START + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + BODY],
    "a line that is no header": [START + b"abc\r\n" + LENGTH + b"\r\n" + BODY],
    "a space before a colon": [START + LENGTH.replace(b":", b" :") + b"\r\n" + BODY, None],
    "another transfer encoding": [START + b"Transfer-Encoding: gzip\r\n\r\n" + BODY, None],
    "another protocol": [b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + GOOD],
}


@pytest.mark.parametrize("said", NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_http_does_not_allow_is_a_lost_reply(shared, said):
    server, (ours, _) = shared
    server.script = lambda *_: said
    for call, kind, attempts in (("GetItem", "transient", 2), ("ADD", "ambiguous", 1)):
        (cls, words, *facts), _ = ours.outcome(CALLS[call])
        assert cls.__name__ == "ConnectionClosedError"
        assert words.startswith("Connection was closed before we received a valid response")
        assert facts[:3] == [kind, attempts, kind == "ambiguous"]


@given(
    st.sampled_from([GOOD, CHUNKED + CHUNKS, error("ConditionalCheckFailedException")]),
    st.integers(0, 250),
    st.one_of(st.binary(max_size=4), st.sampled_from([b"\r\n", b"\n", b"0", b" ", b"9"])),
    st.integers(0, 3),
)
@examples(200)
def test_an_answer_that_was_spoilt_anywhere_is_the_same_or_a_lost_reply(shared, whole, at, put_in, cut_out):
    server, sides = shared
    spoilt = whole[:at] + put_in + whole[at + cut_out :]
    # http.client keeps a space at the checksum's end, and botocore compares with it.
    assume(not re.search(rb"crc32:[^\r\n]*[ \t]\r?\n", spoilt))
    server.script = lambda *_: [spoilt, None]
    (ours, _), (theirs, _) = (side.outcome(CALLS["ADD"]) for side in sides)  # which is attempted once
    is_lost = ours[0].__name__ == "ConnectionClosedError" if isinstance(ours, tuple) else False
    assert is_lost or _is_cut_and_refused(ours, theirs) or _rounded(ours) == _rounded(theirs)


FAULTS = {
    "reset before": faults.ResetBefore(),
    "closed before": faults.ResetBefore(close=True),
    "reset after": faults.LoseReply(),
    "closed after": faults.LoseReply(close=True),
    "truncated": faults.TruncateBody(),
    "short": faults.ShortBody(),
    "a wrong checksum": faults.BadCrc(),
    "no JSON": faults.BadJson(),
    "no UTF-8": faults.BadUtf8(),
    "foreign": faults.ForeignAnswer(),
    "redirect": faults.Redirect(location="http://127.0.0.1:1/"),
    "interim": faults.InterimAnswer(),
    "HTML": faults.HtmlError(),
    "empty HTML": faults.HtmlError(empty=True),
    "throttled": faults.Throttle(),
    "server error": faults.ServerError(),
}


@pytest.fixture(scope="module")
def proxied():
    """Give a proxy before a server, and a Table on either transport."""
    with WireServer(lambda *_: [GOOD]) as server, FaultProxy(server.url, seed=1) as proxy:
        yield proxy, both(proxy.endpoint_url)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_a_proxy_does_comes_to_the_same(proxied, fault):
    proxy, sides = proxied
    proxy.plan = [fault]
    for call in CALLS.values():
        compare(sides, call)


def test_a_refused_connection_comes_to_the_same():
    with WireServer(lambda *_: [GOOD]) as server:
        sides = both(server.url)
    for call in CALLS.values():
        assert compare(sides, call)[2:5] == ("transient", 2, False)
