"""What a server sends in answer to one request, read strictly: only what HTTP/1.1 allows, and within bounds.

A reader that guesses where an answer ends hands the rest of it to the next request. So whatever leaves room for a guess
is refused: two lengths, a length and chunks, a folded header, a line that ends without a carriage return.

Nothing here reads or writes: bytes are fed in, a `Response` comes out. It answers a POST, which is all that is sent to
DynamoDB; an answer to HEAD has other rules.
"""

from __future__ import annotations

import re

from .message import MOST_NAMES, TOKEN, WITHIN_LINES

HEAD_LIMIT = 65_536
BODY_LIMIT = 134_217_728
"""16 MB of items, the most that one answer holds, are below this even if JSON writes six bytes for each."""

_LINE_END = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_START = b"HTTP/1."
_STATUS = r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: (.*))?"  # compiled where one is unusual
_USUAL = "HTTP/1.1 200 OK"
_USUAL_LINE = f"{_USUAL}\r\n"
_LENGTH = re.compile(r"[0-9]{1,20}", re.ASCII)
_CHUNK = rb"([0-9A-Fa-f]{1,16})((?:;[\t\x20-\x7e\x80-\xff]*)?)"  # likewise
_BROKEN_LINE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL_STATUS = 200
_WITHOUT_BODY = (204, 304)

# What a header means to the reader. Names that were seen are remembered with it, as they came: few servers send many.
_PLAIN, _CONTENT_LENGTH, _TRANSFER_ENCODING, _CONNECTION = range(4)
_ROLES = {"content-length": _CONTENT_LENGTH, "transfer-encoding": _TRANSFER_ENCODING, "connection": _CONNECTION}
_seen: dict[str, int] = {}

# Heads are written alike by one server: they differ in their values only.
_VALUE = r"([!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)"
_VALUES = {"content-length": "([0-9]{1,20})", "connection": "(keep-alive)"}
_FEW = 20
"""A form is compiled once it was seen more often: that takes as long as a hundred heads."""
_MOST_FORMS = 16
_MOST_LINES = 64
"""DynamoDB's heads have a dozen lines. It takes most of a second to compile a form of thousands."""
_forms: dict[tuple[str, ...], _Form | int] = {}
"""The forms by the names of their headers; those that are not compiled yet by how often they were seen."""
_last_form: _Form | None = None

_IN_HEAD, _IN_LENGTH, _IN_CHUNKS, _UNTIL_CLOSE, _DONE = range(5)

Headers = list[tuple[str, str]]


class BrokenResponse(Exception):  # noqa: N818 - it names what came, as the other words here do
    """What came is no answer that HTTP/1.1 allows, or not the whole of one."""

    def __init__(self, words: str, *, unanswered: bool = False) -> None:
        super().__init__(words)
        self.unanswered = unanswered
        """Whether the connection was closed before any byte of an answer."""
        self.received: Response | None = None
        """The answer with what came of its body, if that was cut short of its stated length."""


class Response:
    """A whole answer."""

    __slots__ = ("body", "by_name", "headers", "keep_alive", "reason", "status")

    def __init__(self, status: int, reason: str, headers: Headers, by_name: dict[str, str] | None = None) -> None:
        """Begin with the head of the answer."""
        self.status = status
        self.reason = reason
        self.headers = headers
        """Names and values as they came, in their order; a name may be there more than once."""
        self.by_name = by_name
        """The values by names in lower case, if they were read so: then no name is there more than once."""
        self.body = b""
        self.keep_alive = True
        """Whether another request may be sent on the connection, as far as can be known from this answer."""


class ResponseParser:
    """Reads the answer to one request."""

    __slots__ = (
        "_body_limit",
        "_chunks",
        "_head_left",
        "_held",
        "_missing",
        "_parts",
        "_response",
        "_state",
        "surplus",
    )

    def __init__(self, *, head_limit: int = HEAD_LIMIT, body_limit: int = BODY_LIMIT) -> None:
        """Read an answer whose body has at most `body_limit` bytes.

        `head_limit` bytes are the most for all that is not body, together: heads, also interim ones, what servers write
        beside the sizes of chunks, and trailers.
        """
        self.surplus = False
        """Whether bytes came beyond the answer: the connection may not be used again."""
        self._head_left = head_limit
        self._body_limit = body_limit
        self._state = _IN_HEAD
        self._held: bytearray | None = None
        self._parts: list[bytes] = []
        self._missing = 0
        self._chunks: _Chunks | None = None
        self._response: Response | None = None

    def feed(self, data: bytes | memoryview) -> Response | None:
        """Return the answer once `data` completes it, and None before.

        Raises BrokenResponse for what HTTP/1.1 does not allow, or for more bytes than the limits.
        """
        if type(data) is not bytes:
            data = bytes(data)  # the buffer below a view is written over
        if not data:
            return None
        state = self._state
        if state == _IN_HEAD:
            return self._feed_head(data)
        if state == _IN_LENGTH:
            return self._feed_length(data)
        if state == _IN_CHUNKS:
            return self._feed_chunks(data)
        if state == _UNTIL_CLOSE:
            self._feed_until_close(data)
        else:
            self.surplus = True
        return None

    def ended(self) -> Response | None:
        """Return the answer that ends as the peer closes the connection; None if it was complete before.

        Raises BrokenResponse if the answer is not whole.
        """
        state = self._state
        if state == _DONE:
            return None
        if state == _UNTIL_CLOSE:
            return self._complete(b"".join(self._parts))
        if state == _IN_HEAD and self._held is None:
            raise BrokenResponse("The connection was closed before any byte of an answer.", unanswered=True)
        cut = BrokenResponse("The connection was closed in the middle of an answer.")
        if state == _IN_LENGTH and self._response is not None:
            self._response.keep_alive = False
            cut.received = self._complete(b"".join(self._parts))
        raise cut

    def _feed_head(self, data: bytes) -> Response | None:
        held = self._held
        if held is None:
            end = data.find(_HEAD_END)
        else:
            looked = max(0, len(held) - 3)
            held += data
            end = held.find(_HEAD_END, looked)
            if end >= 0:
                data = bytes(held)
        while end >= 0:
            self._head_left -= end + 4
            if self._head_left < 0:
                break
            made, length, chunked = _read_head(data[:end])
            data = data[end + 4 :]
            if made.status >= _FIRST_FINAL_STATUS:
                self._held, self._response = None, made
                return self._begin_body(made, length, data, chunked=chunked)
            self._held = held = bytearray(data)
            end = data.find(_HEAD_END)
        self._wait_for_head(data)
        return None

    def _wait_for_head(self, data: bytes) -> None:
        """Hold what came of a head; refuse it at once if it can't become one: the peer may wait for us as well."""
        held = self._held
        if held is None:
            held = self._held = bytearray(data)
        if len(held) > self._head_left:
            raise BrokenResponse("The head of the answer is longer than this library reads.")
        if held[: len(_START)] != _START[: len(held)]:
            raise BrokenResponse("The answer does not begin as one of HTTP/1.1.")
        if _BROKEN_LINE.search(held, max(0, len(held) - len(data) - 1)):
            raise BrokenResponse("A line of the answer's head does not end with CR LF.")

    def _begin_body(self, made: Response, length: int | None, rest: bytes, *, chunked: bool) -> Response | None:
        if made.status in _WITHOUT_BODY:
            length, chunked = 0, False
            made.keep_alive = False  # a server that sends a body nevertheless would be read as the next answer
        if chunked:
            self._state = _IN_CHUNKS
            self._chunks = _Chunks(self._head_left, self._body_limit)
            return self._feed_chunks(rest) if rest else None
        if length is None:
            made.keep_alive = False
            self._state = _UNTIL_CLOSE
            self._missing = self._body_limit
            self._feed_until_close(rest)
            return None
        if len(rest) == length:
            return self._complete(rest)
        if length > self._body_limit:
            raise BrokenResponse("The body of the answer is longer than this library reads.")
        self._state = _IN_LENGTH
        self._missing = length
        return self._feed_length(rest)

    def _feed_length(self, data: bytes) -> Response | None:
        missing = self._missing - len(data)
        if missing < 0:
            data = data[:missing]
            self.surplus = True
        self._parts.append(data)
        if missing > 0:
            self._missing = missing
            return None
        return self._complete(b"".join(self._parts))

    def _feed_until_close(self, data: bytes) -> None:
        self._missing -= len(data)
        if self._missing < 0:
            raise BrokenResponse("The body of the answer is longer than this library reads.")
        self._parts.append(data)

    def _feed_chunks(self, data: bytes) -> Response | None:
        chunks = self._chunks
        if chunks is None or not chunks.feed(data):
            return None
        self.surplus = chunks.surplus
        return self._complete(b"".join(chunks.parts))

    def _complete(self, body: bytes) -> Response | None:
        self._state = _DONE
        response = self._response
        if response is not None:
            response.body = body
            if self.surplus:
                response.keep_alive = False
        return response


def _read_head(head: bytes) -> tuple[Response, int | None, bool]:
    """Return the response that a head begins, the length of its body if the head says it, and whether chunks follow."""
    text = head.decode("latin-1")
    if _last_form is not None and (found := _last_form.read(text)) is not None:
        return found
    lines = text.split("\r\n")
    if head.translate(None, WITHIN_LINES) != b"\r\n" * (len(lines) - 1):
        raise BrokenResponse("The head of the answer has control characters.")
    if lines[0] == _USUAL:
        minor, status, reason = "1", 200, "OK"
    else:
        minor, status, reason = _read_status_line(lines[0])
    if status == _SWITCHING_PROTOCOLS:
        raise BrokenResponse("The server switches to a protocol that nobody asked for.")
    del lines[0]
    headers: Headers = []
    telling: list[tuple[int, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        headers.append((name, value))
        role = _seen.get(name) if colon else None
        if role is None:
            role = _role_of(name, colon)
        if role:
            telling.append((role, value))
    length, chunked, keep_alive = _read_framing(telling, is_older=minor == "0")
    if text.startswith(_USUAL_LINE) and length is not None:
        _learn_form(tuple([name for name, _ in headers]))
    made = Response(status, reason, headers)
    made.keep_alive = keep_alive
    return made, length, chunked


class _Form:
    """The heads of successful answers that have the same names in the same order.

    One look reads such a head, in a fifth of the time. What differs in any other way is read name by name.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        """Read heads with these names, of which none is there twice. One is the length's."""
        self._names = names
        self._by_name = tuple([name.lower() for name in names])
        self._length_at = self._by_name.index("content-length")
        lines = [f"{re.escape(name)}: {_VALUES.get(name.lower(), _VALUE)}" for name in names]
        self._match = re.compile("\r\n".join([re.escape(_USUAL), *lines])).fullmatch

    def read(self, text: str) -> tuple[Response, int, bool] | None:
        """Return what `_read_head` returns; None for a head of another form."""
        found = self._match(text)
        if found is None:
            return None
        values = found.groups()
        headers = list(zip(self._names, values))  # noqa: B905 - `strict` takes a third more, and they are as many
        by_name = dict(zip(self._by_name, values))  # noqa: B905 - as above
        return Response(200, "OK", headers, by_name), int(values[self._length_at]), False


def _learn_form(names: tuple[str, ...]) -> None:
    """Count a head with these names, and read those that follow by its form if there were a few."""
    global _last_form  # noqa: PLW0603 - one server's answers come after each other
    if len(names) > _MOST_LINES:
        return
    known = _forms.get(names, 0)
    if isinstance(known, _Form):
        _last_form = known
    elif known < _FEW:
        if known or len(_forms) < _MOST_FORMS:
            _forms[names] = known + 1
    elif len({name.lower() for name in names}) == len(names):
        _last_form = _forms[names] = _Form(names)


def _read_status_line(line: str) -> tuple[str, int, str]:
    """Return the minor version, the status and the reason."""
    found = re.fullmatch(_STATUS, line)
    if found is None:
        raise BrokenResponse("The answer does not begin with a status line of HTTP/1.1.")
    minor, code, reason = found.groups("")
    return minor, int(code), reason


def _read_framing(telling: list[tuple[int, str]], *, is_older: bool) -> tuple[int | None, bool, bool]:
    """Return the length of the body, whether it comes in chunks, and whether the connection lives on."""
    length: int | None = None
    chunked = False
    keep_alive = not is_older
    for role, value in telling:
        if role == _CONTENT_LENGTH:
            if length is not None or not _LENGTH.fullmatch(value):
                raise BrokenResponse("The answer's Content-Length is repeated or is no number.")
            length = int(value)
        elif role == _CONNECTION:
            if "close" in [option.strip(" \t") for option in value.lower().split(",")]:
                keep_alive = False
        elif chunked or is_older or value.lower() != "chunked":
            raise BrokenResponse("The answer's Transfer-Encoding is repeated or is not chunked.")
        else:
            chunked = True
    if chunked and length is not None:
        raise BrokenResponse("The answer says both how long it is and that it comes in chunks.")
    return length, chunked, keep_alive


def _role_of(name: str, colon: str) -> int:
    """Return what the header of a name means to the reader; refuse what can't be a header."""
    if not colon or not TOKEN.fullmatch(name):
        raise BrokenResponse("A line of the answer's head is no header.")
    role = _ROLES.get(name.lower(), _PLAIN)
    if len(_seen) < MOST_NAMES:
        _seen[name] = role
    return role


class _Chunks:
    """A body that comes in chunks."""

    def __init__(self, beside: int, limit: int) -> None:
        """Read at most `limit` bytes of body, and `beside` of extensions and trailers."""
        self.parts: list[bytes] = []
        self.surplus = False
        self._beside = beside
        self._left = limit
        self._buffer = bytearray()
        self._missing = 0
        self._next = self._size

    def feed(self, data: bytes) -> bool:
        """Return whether the body is complete."""
        self._buffer += data
        at = 0
        while at >= 0 and self._next != self._over:
            begun, at = at, self._next(at)
        if self._next == self._over:
            self.surplus = at < len(self._buffer)
            return True
        del self._buffer[:begun]
        return False

    # Each of these reads on from a place in the buffer, and returns the place behind; -1 if more has to come first.

    def _size(self, at: int) -> int:
        end = self._buffer.find(_LINE_END, at)
        line = self._buffer[at : end if end >= 0 else None]
        if len(line) > self._beside + 16:
            raise BrokenResponse("The line of a chunk's size is longer than this library reads.")
        if end < 0:
            return -1
        found = re.fullmatch(_CHUNK, line)
        if found is None:
            raise BrokenResponse("The size of a chunk is no hexadecimal number.")
        self._missing = int(found[1], 16)
        self._left -= self._missing
        self._beside -= len(found[2])
        if self._left < 0 or self._beside < 0:
            raise BrokenResponse("The body of the answer is longer than this library reads.")
        self._next = self._data if self._missing else self._trailers
        return end + 2

    def _data(self, at: int) -> int:
        part = bytes(self._buffer[at : at + self._missing])
        self._missing -= len(part)
        self.parts.append(part)
        if self._missing == 0:
            self._next = self._end
        return at + len(part) if part else -1

    def _end(self, at: int) -> int:
        end = self._buffer[at : at + 2]
        if not _LINE_END.startswith(end):
            raise BrokenResponse("A chunk is longer than its size.")
        if len(end) < len(_LINE_END):
            return -1
        self._next = self._size
        return at + 2

    def _trailers(self, at: int) -> int:
        if self._buffer.startswith(_LINE_END, at):
            self._next = self._over
            return at + 2
        end = self._buffer.find(_HEAD_END, at)
        if (len(self._buffer) if end < 0 else end) - at > self._beside:
            raise BrokenResponse("The trailers of the answer are longer than this library reads.")
        if end < 0:
            return -1
        _check_trailers(bytes(self._buffer[at:end]))
        self._next = self._over
        return end + 4

    def _over(self, at: int) -> int:
        return at


def _check_trailers(block: bytes) -> None:
    """Refuse trailers that are no headers, or that say again how long the body is. Nobody reads them."""
    lines = block.decode("latin-1").split("\r\n")
    if block.translate(None, WITHIN_LINES) != b"\r\n" * (len(lines) - 1):
        raise BrokenResponse("The trailers of the answer have control characters.")
    for line in lines:
        name, colon, _ = line.partition(":")
        if _role_of(name, colon) in (_CONTENT_LENGTH, _TRANSFER_ENCODING):
            raise BrokenResponse("The trailers of the answer say how long it is.")
