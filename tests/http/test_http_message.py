"""A request as bytes: what would end a line before its time is refused."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_ddb.http.message import render

HEADERS = {"Host": "localhost:8000", "X-Amz-Target": b"DynamoDB_20120810.GetItem", "Content-Length": "2"}


def read_by_h11(data: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]:
    """Return method, target, headers and body of the one request that these bytes are."""
    server = h11.Connection(our_role=h11.SERVER)
    server.receive_data(data)
    head, body, end = server.next_event(), server.next_event(), server.next_event()
    assert type(end) is h11.EndOfMessage
    assert server.trailing_data == (b"", False)
    return head.method, head.target, head.headers.raw_items(), body.data


def test_a_request_is_what_was_asked_for():
    sent = render("POST", "/path?query", HEADERS.items(), b"{}")
    assert read_by_h11(sent) == (
        b"POST",
        b"/path?query",
        [(b"Host", b"localhost:8000"), (b"X-Amz-Target", b"DynamoDB_20120810.GetItem"), (b"Content-Length", b"2")],
        b"{}",
    )


@pytest.mark.parametrize(
    "header",
    [
        *(("x", f"a{bad}b") for bad in ("\r\ny: z", "\n", "\r", "\0", "\r\n z", "\x7f", "\x0b", "\u20ac")),
        *((bad, "a") for bad in ("", "x y", "x:", "x\r\n", "x\ny", "x\0", " x", "\u00e9")),
        ("x", b"a\r\ny: z"),
    ],
)
def test_a_header_that_would_end_its_line_is_refused(header):
    with pytest.raises(ValueError, match=r"header|latin-1"):
        render("POST", "/", [*HEADERS.items(), header], b"{}")


@pytest.mark.parametrize(
    ("method", "target"), [("POST", "/a b"), ("POST", "/\r\n"), ("POST", ""), ("PO ST", "/"), ("", "/")]
)
def test_so_is_a_first_line(method, target):
    with pytest.raises(ValueError, match="first line"):
        render(method, target, HEADERS.items(), b"")


@given(st.text(max_size=5), st.one_of(st.text(max_size=5), st.binary(max_size=5)))
def test_whatever_is_rendered_is_one_request_with_the_headers_given(name, value):
    try:
        sent = render("POST", "/", [*HEADERS.items(), (name, value)], b"{}")
    except ValueError:
        return
    if name.lower() in ("host", "content-length", "transfer-encoding"):
        return
    _, _, headers, body = read_by_h11(sent)
    given_value = value.encode("latin-1") if isinstance(value, str) else value
    assert body == b"{}"
    assert headers[3:] == [(name.encode(), given_value.strip(b" \t"))]
