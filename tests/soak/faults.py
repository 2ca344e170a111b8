"""The kinds of fault, and what each does with one request. `KINDS` has them all."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from .messages import Answer, Request, encode_head, json_answer
from .relay import Meet, Passage

_ERRORS = "com.amazonaws.dynamodb.v20120810#"
_BATCHES = {"BatchWriteItem": "UnprocessedItems", "BatchGetItem": "UnprocessedKeys"}
_OF_ITEMS = (
    *_BATCHES,
    *("GetItem", "Query", "Scan", "TransactGetItems", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"),
)
_DIGIT = re.compile(rb"[0-9]")
_TYPE = re.compile(rb'\{ ?"([ML])" ?:')
"""Names of two types of which one bit makes the other."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault."""

    name: str
    meet: Meet
    weight: int
    """How often it is drawn, compared with the others."""
    operations: tuple[str, ...]
    """The operations that meet it; any, where it names none."""


KINDS: dict[str, Kind] = {}


def _kind(name: str, *, weight: int = 3, operations: Iterable[str] = ()) -> Callable[[Meet], Meet]:
    def add(meet: Meet) -> Meet:
        KINDS[name] = Kind(name, meet, weight, tuple(operations))
        return meet

    return add


async def through(passage: Passage) -> None:
    """Let the request through without a fault."""
    await passage.answer(await passage.forward())


# The request does not reach DynamoDB.


@_kind("reset-before", weight=4)
async def reset_before(passage: Passage) -> None:
    """Break the connection before anything is forwarded."""
    passage.reset()


@_kind("close-before")
async def close_before(passage: Passage) -> None:
    """Close the connection before anything is forwarded."""
    passage.close()


@_kind("refused", weight=1)
async def refused(passage: Passage) -> None:
    """Refuse all new connections for a moment, and break this one."""
    passage.relay.refuse(passage.chance.uniform(0.05, 0.4))
    passage.reset()


@_kind("hang", weight=1)
async def hang(passage: Passage) -> None:
    """Never answer."""
    await passage.client_leaves()


@_kind("throttled", weight=6)
async def throttled(passage: Passage) -> None:
    """Refuse for a limit."""
    code = passage.chance.choice(
        ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")
    )
    content: dict[str, Any] = {"__type": _ERRORS + code, "message": "slower, please"}
    if code.startswith("Provisioned"):
        reason = passage.chance.choice(
            ("TableWriteProvisionedThroughputExceeded", "TableWriteKeyRangeThroughputExceeded")
        )
        content["ThrottlingReasons"] = [{"reason": reason, "resource": "arn:aws:dynamodb:eu-west-1:0:table/soak"}]
    await passage.answer(json_answer(400, content, passage.number))


@_kind("conflict", weight=6, operations=["TransactWriteItems"])
async def conflict(passage: Passage) -> None:
    """Cancel a transaction because of another one; one that was applied is known by its token, and answered."""
    if passage.request.body in passage.relay.applied:
        await through(passage)
        return
    entries = json.loads(passage.request.body)["TransactItems"]
    ongoing = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
    content = {
        "__type": _ERRORS + "TransactionCanceledException",
        "message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
        "CancellationReasons": [ongoing, *({"Code": "None"} for _ in entries[1:])],
    }
    await passage.answer(json_answer(400, content, passage.number))


@_kind("error-before")
async def error_before(passage: Passage) -> None:
    """Fail inside before the request is applied."""
    await passage.answer(_internal_error(passage))


@_kind("html-503")
async def html_503(passage: Passage) -> None:
    """Refuse as a load balancer does."""
    body = passage.chance.choice((b"", b"<html><body>503 Service Unavailable</body></html>"))
    await passage.answer(Answer(503, body, {"content-type": "text/html"}))


@_kind("unprocessed", weight=12, operations=_BATCHES)
async def unprocessed(passage: Passage) -> None:
    """Do a part of a batch only."""
    done, left = _split(passage)
    answer: dict[str, Any] = {"Responses": {}} if passage.request.operation == "BatchGetItem" else {}
    headers = json_answer(200, {}, passage.number).headers
    if done is not None:
        forwarded = await passage.forward(replace(passage.request, body=json.dumps(done).encode()))
        if forwarded.status != 200:
            await passage.answer(forwarded)
            return
        answer, headers = json.loads(forwarded.body), forwarded.headers
    answer[_BATCHES[passage.request.operation]] = left
    await passage.answer(Answer(200, b"", headers).with_body(json.dumps(answer).encode()))


def _split(passage: Passage) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the batch that is done, or None, and what is left unprocessed."""
    content = json.loads(passage.request.body)
    [(table, part)] = content["RequestItems"].items()
    entries = part["Keys"] if isinstance(part, dict) else part
    number = passage.chance.randrange(len(entries))
    chosen = set(passage.chance.sample(range(len(entries)), number))
    done = [entry for index, entry in enumerate(entries) if index in chosen]
    left = [entry for index, entry in enumerate(entries) if index not in chosen]

    def made(some: list[Any]) -> dict[str, Any]:
        return {table: {**part, "Keys": some} if isinstance(part, dict) else some}

    return ({**content, "RequestItems": made(done)} if done else None), made(left)


# It does, and the answer is lost.


@_kind("reset-after", weight=4)
async def reset_after(passage: Passage) -> None:
    """Break the connection after the request was applied."""
    await passage.forward()
    passage.reset()


@_kind("close-after")
async def close_after(passage: Passage) -> None:
    """Close the connection after the request was applied."""
    await passage.forward()
    passage.close()


@_kind("error-after", weight=4)
async def error_after(passage: Passage) -> None:
    """Fail inside after the request was applied."""
    await passage.forward()
    await passage.answer(_internal_error(passage))


@_kind("late-after-reset", weight=4)
async def late_after_reset(passage: Passage) -> None:
    """Break the connection at once, and apply the request later."""
    passage.forward_later(passage.chance.uniform(0.01, 1.5))
    passage.reset()


@_kind("late-after-hang", weight=1)
async def late_after_hang(passage: Passage) -> None:
    """Apply the request after the client has waited for nothing and gone."""
    await passage.client_leaves()
    passage.forward_later(passage.chance.uniform(0.0, 1.0))


@_kind("stall", weight=1)
async def stall(passage: Passage) -> None:
    """Send half of the answer, and then nothing."""
    answer = await passage.forward()
    await passage.send(encode_head(answer) + answer.body[: len(answer.body) // 2])
    await passage.client_leaves()


def _internal_error(passage: Passage) -> Answer:
    content = {"__type": _ERRORS + "InternalServerError", "message": "The request could not be processed"}
    return json_answer(500, content, passage.number)


# It does, and the answer is late or in pieces: no fault to a client that reads it as it should.


@_kind("slow")
async def slow(passage: Passage) -> None:
    """Answer late, but in time."""
    answer = await passage.forward()
    await _pause(passage, 0.3)
    await passage.answer(answer)


@_kind("pieces")
async def pieces(passage: Passage) -> None:
    """Answer in several pieces."""
    answer = await passage.forward()
    text = encode_head(answer) + answer.body
    cuts = sorted(passage.chance.randrange(len(text)) for _ in range(3))
    await passage.send(*(text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)))


# It does, and the answer is damaged.


@_kind("cut-short")
async def cut_short(passage: Passage) -> None:
    """Close the connection within the body, before its stated length."""
    answer = (await passage.forward()).with_checksum()
    await passage.send(encode_head(answer) + _ascii(answer.body)[: _place_in(answer, passage)])
    passage.close()


@_kind("cut-unseen")
async def cut_unseen(passage: Passage) -> None:
    """Cut the body, and state its length: only the checksum shows it."""
    answer = (await passage.forward()).with_checksum()
    await passage.answer(replace(answer, body=_ascii(answer.body)[: _place_in(answer, passage)]))


@_kind("cut-without-checksum", weight=2)
async def cut_without_checksum(passage: Passage) -> None:
    """Cut the body, state its length, and send no checksum: only its JSON shows it."""
    answer = (await passage.forward()).without("x-amz-crc32")
    await passage.answer(replace(answer, body=_ascii(answer.body)[: _place_in(answer, passage)]))


@_kind("wrong-checksum")
async def wrong_checksum(passage: Passage) -> None:
    """Send a checksum that is another body's."""
    answer = (await passage.forward()).with_checksum()
    wrong = str(zlib.crc32(answer.body) ^ 0xFFFF)
    await passage.answer(replace(answer, headers=answer.headers | {"x-amz-crc32": wrong}))


@_kind("flipped")
async def flipped(passage: Passage) -> None:
    """Change one digit of the body: it is JSON still, of the same shape."""
    answer = (await passage.forward()).with_checksum()
    digits = [match.start() for match in _DIGIT.finditer(answer.body)] or [0]
    await passage.answer(_with_flip(answer, passage.chance.choice(digits)))


@_kind("html-200", weight=2)
async def html_200(passage: Passage) -> None:
    """Answer with a page in place of JSON."""
    await _maybe_forward(passage)
    await passage.answer(Answer(200, b"<html><body>Welcome</body></html>", {"content-type": "text/html"}))


@_kind("empty-200", weight=2, operations=_OF_ITEMS)
async def empty_200(passage: Passage) -> None:
    """Answer with nothing at all."""
    await _maybe_forward(passage)
    await passage.answer(Answer(200))


def _place_in(answer: Answer, passage: Passage) -> int:
    """Return a place within the body."""
    return passage.chance.randrange(max(1, len(answer.body)))


def _ascii(body: bytes) -> bytes:
    """Return a body without characters that take several bytes: those are a kind of their own."""
    return bytes(byte if byte < 0x80 else ord("?") for byte in body) or b" "


async def _maybe_forward(passage: Passage) -> None:
    if passage.chance.random() < 0.5:
        await passage.forward()


async def _pause(passage: Passage, most: float) -> None:
    await asyncio.sleep(passage.chance.uniform(0.0, most))


def _with_flip(answer: Answer, place: int, bits: int = 1) -> Answer:
    """Return an answer one byte of which is another, with the checksum that it had."""
    body = bytearray(answer.body or b" ")
    body[place] ^= bits
    return replace(answer, body=bytes(body))


@_kind("empty-200-control", weight=20, operations=["DescribeTable"])
async def empty_200_control(passage: Passage) -> None:
    """Answer a question about a table with nothing at all."""
    await passage.answer(Answer(200))


@_kind("flipped-anywhere")
async def flipped_anywhere(passage: Passage) -> None:
    """Change one bit of the body, wherever it stands."""
    answer = (await passage.forward()).with_checksum()
    await passage.answer(_with_flip(answer, _place_in(answer, passage), passage.chance.choice((1, 4, 32, 128))))


@_kind("flipped-type", operations=("GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"))
async def flipped_type(passage: Passage) -> None:
    """Make a list of a map, or a map of a list, by one bit: the body is JSON still, of another shape."""
    answer = (await passage.forward()).with_checksum()
    types = [match.start(1) for match in _TYPE.finditer(answer.body)] or [0]
    await passage.answer(_with_flip(answer, passage.chance.choice(types)))


@_kind("cut-in-a-character")
async def cut_in_a_character(passage: Passage) -> None:
    """Cut the body within a character that takes several bytes."""
    answer = (await passage.forward()).with_checksum()
    body = answer.body
    inside = [index for index, byte in enumerate(body) if byte & 0xC0 == 0x80]
    cut = body[: passage.chance.choice(inside)] if inside else body[: _place_in(answer, passage)] + b"\xe2\x82"
    await passage.answer(replace(answer, body=cut))


@_kind("other-encoding")
async def other_encoding(passage: Passage) -> None:
    """Answer in UTF-16 or UTF-32, or with a mark before the JSON; no checksum."""
    answer = (await passage.forward()).without("x-amz-crc32")
    encoding = passage.chance.choice(("utf-16", "utf-32", "utf-8-sig"))
    await passage.answer(replace(answer, body=answer.body.decode().encode(encoding)))


# What servers should not do, and what is not DynamoDB.


@_kind("late-then-cancelled", weight=12, operations=["TransactWriteItems"])
async def late_then_cancelled(passage: Passage) -> None:
    """Hold a transaction, cancel it whenever it is sent again, and apply it after that."""
    passage.next_time("late-then-cancelled: again", conflict)
    passage.forward_later(passage.chance.uniform(0.5, 2.5))
    passage.reset()


@_kind("unprocessed-of-others", weight=12, operations=["BatchWriteItem"])
async def unprocessed_of_others(passage: Passage) -> None:
    """Do a batch, and give back as unprocessed a request that was never in it."""
    [table] = json.loads(passage.request.body)["RequestItems"]
    answer = await passage.forward()
    strange = {"pk": {"S": "nobody"}, "sk": {"S": "k~never~"}, "v": {"N": "1"}}
    content = {"UnprocessedItems": {table: [{"PutRequest": {"Item": strange}}]}}
    await passage.answer(answer.with_body(json.dumps(content).encode()))


@_kind("hostile-headers")
async def hostile_headers(passage: Passage) -> None:
    """Fail inside, with headers that no program expects."""
    hostile = {
        "x-amz-retry-after": "9" * 5000,
        "x-amz-crc32": passage.chance.choice(("9" * 5000, "", "-1", "²")),
        "date": passage.chance.choice(("Mon, 99 Foo 99999 99:99:99 +99999999", "Thu, 01 Jan 1970 00:00:00 -9999", "")),
    }
    answer = _internal_error(passage)
    await passage.answer(replace(answer, headers=answer.headers | hostile))


@_kind("interim")
async def interim(passage: Passage) -> None:
    """Send an interim answer first, and the real one a little later."""
    answer = await passage.forward()
    status = passage.chance.choice((b"102 Processing", b"103 Early Hints"))
    await passage.send(b"HTTP/1.1 " + status + b"\r\nlink: </style.css>; rel=preload\r\n\r\n")
    await _pause(passage, 0.3)
    await passage.answer(answer)


@_kind("foreign-json")
async def foreign_json(passage: Passage) -> None:
    """Answer with JSON that is not DynamoDB's."""
    await _maybe_forward(passage)
    body = passage.chance.choice((b"{}", b'{"status": "ok"}', b'{"Items": []}'))
    await passage.answer(Answer(200, body, {"content-type": "application/json"}))


@_kind("redirect")
async def redirect(passage: Passage) -> None:
    """Point to another host."""
    status = passage.chance.choice((301, 302, 307, 308))
    await passage.answer(Answer(status, b"", {"location": passage.relay.elsewhere_url + "/"}))


def chosen(names: str) -> list[Kind]:
    """Return the kinds that a comma-separated list names. `all` stands for all of them, `-name` is without.

    Raises:
        ValueError: there is no such kind.
    """
    found: dict[str, Kind] = {}
    for word in filter(None, (word.strip() for word in names.split(","))):
        name = word.removeprefix("-")
        if name == "all":
            some = KINDS
        elif name in KINDS:
            some = {name: KINDS[name]}
        else:
            raise ValueError(f"there is no fault {name!r}; there are: all, {', '.join(KINDS)}")
        if word.startswith("-"):
            found = {name: kind for name, kind in found.items() if name not in some}
        else:
            found |= some
    return list(found.values())


def fits(kind: Kind, request: Request) -> bool:
    """Return whether a request can meet this kind."""
    return not kind.operations or request.operation in kind.operations
