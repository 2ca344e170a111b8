"""The parser, against h11: it accepts nothing that h11 refuses, and where both accept they read the same."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from properties import examples

from resilient_ddb.http import parser as parsing
from resilient_ddb.http.parser import BrokenResponse, Response, ResponseParser

OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"Content-Length: 2\r\n\r\n{}"
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;a=b\r\n}\r\n0\r\nDigest: x\r\n\r\n"


def read(*pieces: bytes, closes: bool = True, **limits: int) -> tuple[Response | None, bool]:
    """Return the answer that comes in these pieces, if it is whole, and whether there was more."""
    parser = ResponseParser(**limits)
    answer = None
    for piece in pieces:
        answer = parser.feed(piece) or answer
    if closes:
        answer = parser.ended() or answer
    return answer, parser.surplus


def told(answer: Response | None) -> tuple[object, ...]:
    """Return what an answer says."""
    if answer is None:
        return (None, False)
    return answer.status, answer.reason, answer.headers, answer.body, answer.keep_alive


def read_by_h11(data: bytes) -> tuple[int, bytes, list[tuple[bytes, bytes]], bytes, bytes] | None:
    """Return status, reason, headers, body and what is left over of the first final answer; None if it is not whole."""
    client = h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=1 << 20)
    client.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    client.receive_data(b"")
    head, body = None, b""
    while True:
        event = client.next_event()
        if type(event) is h11.Response:
            head = event
        elif type(event) is h11.Data:
            body += event.data
        elif type(event) is h11.EndOfMessage:
            return head.status_code, head.reason, head.headers.raw_items(), body, client.trailing_data[0]
        elif type(event) is not h11.InformationalResponse:
            return None


def check_as_h11(data: bytes) -> Response | None:
    """Read `data`, and see that h11 reads the same if it is accepted."""
    try:
        answer, surplus = read(data)
    except BrokenResponse:
        return None
    status, reason, headers, body, left = read_by_h11(data)
    assert (answer.status, answer.reason.encode("latin-1"), answer.body) == (status, reason, body)
    # h11 writes this one value in lower case
    ours = [
        (n.encode(), v.lower().encode() if n.lower() == "transfer-encoding" else v.encode("latin-1"))
        for n, v in answer.headers
    ]
    assert ours == headers
    assert surplus == bool(left)
    assert not (surplus and answer.keep_alive)
    return answer


# What is near to an answer: well-formed parts, spoilt ones, and bytes that nobody wrote.

lines_end = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n"])
noise = st.binary(max_size=6)
starts = st.sampled_from(
    [OK] * 6
    + [
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 200\r\n",
        b"HTTP/1.1 400 Bad Request \xfc\r\n",
        b"HTTP/1.1 204 No Content\r\n",
        b"HTTP/1.1 304 Not Modified\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"HTTP/2.0 200 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 099 OK\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n",
        b"http/1.1 200 OK\r\n",
    ]
)
headers = st.sampled_from(
    [b"Content-Length: 2\r\n"] * 4
    + [b"Transfer-Encoding: chunked\r\n"] * 3
    + [
        b"Connection: close\r\n",
        b"Connection: keep-alive, Close\r\n",
        b"Server:Server\r\n",
        b"x-empty:\r\n",
        b"x-spaced: \t a b \t \r\n",
        b"x-high: \xe9\xff\r\n",
        b"x-control: a\x01b\r\n",
        b"x-nul: a\x00b\r\n",
        b"content-length: 3\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: 0x2\r\n",
        b"Content-Length: -2\r\n",
        b"Content-Length: \xb2\r\n",
        b"Content-Length: 2_0\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length:\r\n",
        b"Content-Length : 2\r\n",
        b"Transfer-Encoding: Chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b" folded\r\n",
        b"\tfolded: x\r\n",
        b": no name\r\n",
        b"no colon\r\n",
        b"bad name: x\r\n",
        b"n\xe4me: x\r\n",
    ]
)
bodies = st.sampled_from(
    [
        b"{}",
        b"{}x",
        b"{",
        b"",
        b"2\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}\r\n0\r\n\r\nHTTP/1.1",
        b'1;x\r\n{\r\n01;y="z"\r\n}\r\n00\r\nA: b\r\nC:d\r\n\r\n',
        b"2 \r\n{}\r\n0\r\n\r\n",
        b"2 ;x\r\n{}\r\n0\r\n\r\n",
        b"2;\r\r\n{}\r\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"+2\r\n{}\r\n0\r\n\r\n",
        b"-1\r\n{}\r\n0\r\n\r\n",
        b"\r\n{}\r\n0\r\n\r\n",
        b"1_0\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}0\r\n\r\n",
        b"2\n{}\n0\n\n",
        b"1\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}\r\n0\r\nContent-Length: 2\r\n\r\n",
        b"2\r\n{}\r\n0\r\n folded\r\n\r\n",
        b"2\r\n{}\r\n0\r\nbad\r\n\r\n",
        b"2\r\n{}\r\n0\r\nA: \x00\r\n\r\n",
        b"2\r\n{}\r\n",
        b"fffffffffffffffff\r\n{}",
    ]
)
heads = st.builds(
    lambda start, given, end: start + b"".join(given) + end, starts, st.lists(headers, max_size=4), lines_end
)


@given(st.builds(lambda head, body, more: head + body + more, heads, bodies, noise))
@examples(400)
@example(PLAIN)
@example(CHUNKS)
def test_it_accepts_nothing_that_h11_refuses(data):
    check_as_h11(data)


@given(st.sampled_from([PLAIN, CHUNKS]), st.integers(0, 120), noise, st.integers(0, 3))
@examples(400)
def test_nor_when_a_good_answer_was_spoilt_anywhere(data, at, put_in, cut_out):
    check_as_h11(data[:at] + put_in + data[at + cut_out :])


@given(heads, bodies, st.lists(st.integers(0, 150), max_size=4))
@examples(100)
def test_it_does_not_matter_in_which_pieces_an_answer_comes(head, body, cuts):
    data = head + body
    places = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})

    def outcome(*pieces):
        try:
            response, surplus = read(*pieces)
        except BrokenResponse:
            return "broken"
        # What comes after a whole answer is seen later if it comes in another piece: the connection ends either way.
        *facts, keep_alive = told(response)
        return facts, keep_alive and not surplus, surplus

    whole = outcome(data)
    assert outcome(*(data[a:b] for a, b in itertools.pairwise(places))) == whole
    assert outcome(*(data[at : at + 1] for at in range(len(data)))) == whole


GOOD = {
    "a length": PLAIN,
    "chunks": CHUNKS,
    "interim ones before it": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\n" + PLAIN,
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_a_good_answer_is_accepted_and_is_whole_with_its_last_byte_only(data):
    assert check_as_h11(data) is not None
    parser = ResponseParser()
    answers = [parser.feed(memoryview(data)[at : at + 1]) for at in range(len(data))]
    assert told(answers[-1]) == told(read(data)[0])
    assert not any(answers[:-1])
    for end in range(len(data)):
        with pytest.raises(BrokenResponse) as refused:
            read(data[:end])
        assert refused.value.unanswered == (end == 0)


def test_what_comes_beyond_an_answer_is_seen_at_once_or_later():
    answer, surplus = read(PLAIN + b"H")
    assert (surplus, answer.keep_alive, answer.body) == (True, False, b"{}")
    answer, surplus = read(PLAIN, b"H")
    assert surplus
    assert read(CHUNKS + b"H")[1]


@pytest.mark.parametrize(
    ("data", "lives"),
    [
        (PLAIN, True),
        (CHUNKS, True),
        (PLAIN.replace(b"1.1", b"1.0"), False),
        (PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: a , CLOSE\r\n\r\n"), False),
        (PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: closed\r\n\r\n"), True),
        (OK + b"\r\n{}", False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", False),
    ],
)
def test_whether_the_connection_lives_on(data, lives):
    assert read(data)[0].keep_alive == lives


def test_of_a_body_that_was_cut_what_came_is_handed_on_as_not_whole():
    parser = ResponseParser()
    assert parser.feed(PLAIN[:-1]) is None
    with pytest.raises(BrokenResponse) as refused:
        parser.ended()
    assert told(refused.value.received) == (200, "OK", [("Content-Length", "2")], b"{", False)
    for data in (CHUNKS[:-1], PLAIN[:20]):
        with pytest.raises(BrokenResponse) as refused:
            read(data)
        assert refused.value.received is None


def test_an_answer_without_a_length_ends_as_the_connection_does():
    parser = ResponseParser()
    assert parser.feed(OK + b"\r\n{") is None
    assert parser.feed(b"}") is None
    assert told(parser.ended()) == (200, "OK", [], b"{}", False)


REFUSED = {
    "both a length and chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "chunks in an old version": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "the same length twice": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\n{}",
    "a folded header": OK + b"a: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
    "a protocol that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "a line that ends with LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "something else": b"SSH-2.0-x\r\n",
    "the first byte of something else": b"\x15",
    "a carriage return in a line": OK + b"a: \rb",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_leaves_room_for_a_guess_is_refused_at_once(data):
    with pytest.raises(BrokenResponse):
        read(data, closes=False)
    with pytest.raises(BrokenResponse):
        read(*(bytes([byte]) for byte in data), closes=False)


LONG = b"x" * 100
BOUNDED = {
    "a head": OK + b"a: " + LONG,
    "a head that is whole": OK + b"a: " + LONG + b"\r\nContent-Length: 0\r\n\r\n",
    "interim heads": b"HTTP/1.1 100 x\r\n\r\n" * 6,
    "a length": OK + b"Content-Length: 51\r\n\r\n",
    "until the close": OK + b"\r\n" + LONG,
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"a\r\n0123456789\r\n" * 6,
    "a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n40\r\n",
    "a chunk's line": OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + LONG,
    "extensions": OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;abcdefghi\r\nx\r\n" * 6,
    "trailers": OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\na: " + LONG,
}


@pytest.mark.parametrize("data", BOUNDED.values(), ids=BOUNDED)
def test_nothing_is_read_without_bound(data):
    with pytest.raises(BrokenResponse, match="longer than this library reads"):
        read(data, closes=False, head_limit=90, body_limit=50)
    with pytest.raises(BrokenResponse, match="longer than this library reads"):
        read(*(bytes([byte]) for byte in data), closes=False, head_limit=90, body_limit=50)


def test_names_that_servers_make_up_are_not_remembered_without_bound():
    for number in range(1000):
        read(OK + b"x-%d: y\r\nContent-Length: 0\r\n\r\n" % number)
    assert len(parsing._seen) <= 256  # noqa: SLF001 - memory that must not grow
    assert len(parsing._forms) <= 16  # noqa: SLF001 - as above


# Answers of one server are read by their form, once a few were seen.

USUAL = OK + (
    b"Server: Server\r\nDate: Mon, 30 Nov 2026 11:10:11 GMT\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"Content-Length: 2\r\nConnection: keep-alive\r\nx-amzn-RequestId: 4KBNVRGD25RG1KEO9UT4V3\r\n"
    b"x-amz-crc32: 2326446574\r\n\r\n{}"
)


@contextmanager
def forms(seen: bytes, times: int) -> Iterator[None]:
    """Have an answer be seen so many times, and no other before."""
    was = dict(parsing._forms), parsing._last_form  # noqa: SLF001 - its memory is what is tested
    parsing._forms.clear()  # noqa: SLF001 - as above
    parsing._last_form = None  # noqa: SLF001 - as above
    for _ in range(times):
        read(seen)
    try:
        yield
    finally:
        parsing._forms.clear()  # noqa: SLF001 - as above
        parsing._forms.update(was[0])  # noqa: SLF001 - as above
        parsing._last_form = was[1]  # noqa: SLF001 - as above


def outcome_of(data: bytes) -> object:
    try:
        answer, surplus = read(data)
        return told(answer), surplus
    except BrokenResponse as broken:
        return str(broken)


def check_as_before(data: bytes, seen: bytes = USUAL) -> None:
    """See that an answer is read by the form of another as it is read without."""
    with forms(seen, 0):
        expected = outcome_of(data)
    with forms(seen, 30):
        assert parsing._last_form is not None  # noqa: SLF001 - as above
        assert outcome_of(data) == expected
        check_as_h11(data)


@given(st.integers(0, len(USUAL)), noise, st.integers(0, 3))
@examples(400)
def test_an_answer_that_was_spoilt_is_read_by_its_form_as_it_is_read_without(at, put_in, cut_out):
    check_as_before(USUAL[:at] + put_in + USUAL[at + cut_out :])


NEAR = {
    "itself": (b"", b""),
    "another length": (b"Length: 2", b"Length: 02"),
    "a longer length": (b"Length: 2", b"Length: 99999999999999999999999"),
    "a length in other digits": (b"Length: 2", b"Length: \xb2"),
    "a connection that closes": (b"keep-alive", b"close"),
    "other words for a connection": (b"keep-alive", b"Keep-Alive, x"),
    "no blank": (b"Date: ", b"Date:"),
    "more blanks": (b"Date: Mon", b"Date: \t Mon \t"),
    "no value": (b"Server: Server", b"Server: "),
    "one letter": (b"Server: Server", b"Server: \xff"),
    "a control character": (b"Server: Server", b"Server: S\x00"),
    "another name": (b"Server", b"server"),
    "a header more": (b"Server: Server", b"Server: Server\r\na: b"),
    "a length more": (b"Server: Server", b"Server: Server\r\nContent-Length: 2"),
    "chunks": (b"Server: Server", b"Server: Server\r\nTransfer-Encoding: chunked"),
    "a line that ends with LF": (b"Server: Server\r", b"Server: Server"),
    "an error": (b"200 OK", b"400 Bad Request"),
    "an old version": (b"1.1", b"1.0"),
    "another body": (b"{}", b"{}x"),
}


@pytest.mark.parametrize(("old", "new"), NEAR.values(), ids=NEAR)
def test_an_answer_near_to_a_form_is_read_as_it_is_read_without(old, new):
    check_as_before(USUAL.replace(old, new, 1))


def test_by_its_form_an_answer_has_its_values_by_name():
    with forms(USUAL, 30):
        answer, _ = read(USUAL)
    assert answer.by_name == {name.lower(): value for name, value in answer.headers}
    assert list(answer.by_name) == [name.lower() for name, _ in answer.headers]
    for twice in (USUAL.replace(b"Date", b"server"), PLAIN.replace(b"\r\n\r\n", b"\r\na: b\r\nA: c\r\n\r\n")):
        with forms(twice, 30):
            assert read(twice)[0].by_name is None


def test_a_few_answers_are_read_without_their_form_being_compiled():
    with forms(USUAL, 10):
        assert parsing._last_form is None  # noqa: SLF001 - it takes as long as a hundred heads


def test_no_form_is_compiled_of_a_head_with_very_many_lines():
    lines = b"".join(b"x-%d: y\r\n" % number for number in range(100))
    with forms(OK + lines + b"Content-Length: 0\r\n\r\n", 30):
        assert not parsing._forms  # noqa: SLF001 - one of thousands of lines takes most of a second


def test_an_error_shows_nothing_of_what_came():
    with pytest.raises(BrokenResponse) as refused:
        read(b"HTTP/1.1 200 OK\r\nsecret\r\n\r\n")
    assert not re.search("secret", str(refused.value))
