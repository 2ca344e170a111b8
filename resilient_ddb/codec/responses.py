"""Responses: from the text of an answer to what botocore, or boto3's Table, makes of it.

Compiled from botocore's model of the operation, once for each operation of a client. Of a page, the rows are read one
by one. No more than one of them is in memory in its typed form, and an event loop can have its turn in between.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator
from typing import Any, Protocol

from .engine import Engine, Piece
from .numbers import Number
from .values import UnusualError, map_to_native, to_native, to_typed

Read = Callable[[Any, Number | None], Any]
"""Returns what botocore's parser returns, of JSON that it may change. With a number maker, values are native."""

Keep = Callable[[int, Any], bool]
"""Tells whether a row is kept, by its position and itself, in its typed form."""

LARGE_BYTES = 64 * 1024
"""From this size on, the rows of a response are read one by one."""
STEP_BYTES = 64 * 1024
"""About so much is read at a stretch: rows of so many bytes take about a millisecond."""
_VALUE = "AttributeValue"
_LEFT_OUT = object()


class Sieve(Protocol):
    """Says what to leave out of an answer, before its values are made native."""

    def sift(self, answer: dict[str, Any]) -> None:
        """Leave it out of an answer that was read at once, or of one of its members, in place."""

    def keeper(self, name: str | None) -> Keep | None:
        """Return what decides whether a row is kept, given its position: of this name's list, if there are more."""


class Reader:
    """Reads the answers to one operation."""

    def __init__(self, shape: Any, engine: Engine) -> None:
        """Compile a reader for answers of this shape.

        Raises:
            UnusualError: there is no reading them here.
        """
        self._engine = engine
        self._read = compile_reading(shape)
        self._members = [
            (name, member.serialization.get("name", name), compile_reading(member), *_rows(member))
            for name, member in shape.members.items()
        ]
        self._names = {json_name for _, json_name, *_ in self._members}

    def read(self, text: bytes, number: Number | None, sieve: Sieve | None = None) -> dict[str, Any]:
        """Read an answer.

        Args:
            text: the body.
            number: makes numbers, if values must be native; None leaves them typed.
            sieve: says what to leave out.

        Raises:
            Exception: any; the answer is unusual, and botocore says what becomes of it.
        """
        if len(text) >= LARGE_BYTES:
            steps = self.read_in_steps(text, number, sieve)
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]  # StopIteration carries Any
        json = self._engine.loads(text)
        if sieve is not None:
            sieve.sift(json)
        parsed: dict[str, Any] | None = self._read(json, number)
        if parsed is None:
            raise UnusualError
        return parsed

    def read_in_steps(
        self, text: bytes, number: Number | None, sieve: Sieve | None = None
    ) -> Generator[None, None, dict[str, Any]]:
        """Read an answer, and stop after each stretch of `STEP_BYTES`. Gives and raises what `read` does.

        A row is not divided: the largest item, of 400 KB, takes 5 ms.
        """
        parsed, unread = self._begin(text, number, sieve)
        count = sum(len(rows) for rows, *_ in unread)
        stretch, done = max(1, count * STEP_BYTES // len(text)), 0
        for rows, read_row, keeps in unread:
            for index, piece in enumerate(rows):  # in place: read rows take the place of unread ones
                json = self._engine.loads(piece)
                rows[index] = read_row(json, number) if keeps is None or keeps(index, json) else _LEFT_OUT
                done += 1
                if done % stretch == 0:
                    yield
            if keeps is not None:
                rows[:] = [row for row in rows if row is not _LEFT_OUT]
        return parsed

    def _begin(
        self, text: bytes, number: Number | None, sieve: Sieve | None
    ) -> tuple[dict[str, Any], list[tuple[list[Piece], Read, Keep | None]]]:
        """Read all of an answer but its rows, and give those with what reads them, and what tells which are kept."""
        parsed: dict[str, Any] = {}
        unread: list[tuple[list[Piece], Read, Keep | None]] = []
        keeper: Callable[[str | None], Keep | None] = _keep_all if sieve is None else sieve.keeper
        if not text.isascii():
            text.decode()  # not all of it is looked at below
        pieces = self._engine.members(text)
        for unknown in pieces.keys() - self._names:
            self._engine.loads(pieces[unknown])  # only to see whether it is JSON
        for name, json_name, read, read_row, are_named in self._members:
            piece = pieces.get(json_name)
            if piece is None:
                continue
            if read_row is None:
                value = self._engine.loads(piece)
                if sieve is not None:
                    value = _sifted(json_name, value, sieve)
                if value is not None:
                    parsed[name] = read(value, number)
            elif are_named:
                parsed[name] = self._engine.rows_by_name(piece)
                unread += [(rows, read_row, keeper(key)) for key, rows in parsed[name].items()]
            else:
                parsed[name] = self._engine.rows(piece)
                unread.append((parsed[name], read_row, keeper(None)))
        return parsed, unread


def _keep_all(_: str | None) -> None:
    """Return what tells which rows are kept: nothing, if all are."""


def _sifted(name: str, value: Any, sieve: Sieve) -> Any:
    member = {name: value}
    sieve.sift(member)
    return member.get(name)


def _rows(shape: Any) -> tuple[Read | None, bool]:
    """Return what reads a row, where a member is a list of such or, by name, several, and whether it is those."""
    if shape.type_name == "list" and _has_values(shape.member):
        return _present(compile_reading(shape.member)), False
    if shape.type_name == "map" and shape.value.type_name == "list" and _has_values(shape.value.member):
        return _present(compile_reading(shape.value.member)), True
    return None, False


def _has_values(shape: Any) -> bool:
    if shape.name == _VALUE:
        return True
    inner = {
        "structure": lambda: any(map(_has_values, shape.members.values())),
        "map": lambda: _has_values(shape.value),
        "list": lambda: _has_values(shape.member),
    }.get(shape.type_name)
    return inner is not None and inner()


def compile_reading(shape: Any) -> Read:
    """Return a function that reads what has this shape.

    Raises:
        UnusualError: there is no reading it here.
    """
    if shape.name == _VALUE:
        return _read_value
    try:
        return _READING[shape.type_name](shape)
    except KeyError:
        raise UnusualError(shape.type_name) from None


def _reading_of_structure(shape: Any) -> Read:
    if shape.is_document_type or shape.is_tagged_union:
        raise UnusualError(shape.name)
    members = [
        (name, member.serialization.get("name", name), compile_reading(member))
        for name, member in shape.members.items()
    ]

    def read(json: Any, number: Number | None) -> Any:
        if json is None:
            return None
        parsed = {}
        get = json.get
        for name, json_name, inner in members:
            value = get(json_name)
            if value is not None:
                parsed[name] = inner(value, number)
        return parsed

    return read


def _reading_of_map(shape: Any) -> Read:
    if shape.value.name == _VALUE:
        return _read_values
    inner = compile_reading(shape.value)

    def read(json: Any, number: Number | None) -> Any:
        return {key: inner(value, number) for key, value in json.items()}

    return read


def _reading_of_list(shape: Any) -> Read:
    inner = _present(compile_reading(shape.member))

    def read(json: Any, number: Number | None) -> Any:
        return [inner(value, number) for value in json]

    return read


def _present(read: Read) -> Read:
    """Refuse nulls in a list: botocore's versions differ in what they make of them."""

    def present(json: Any, number: Number | None) -> Any:
        if json is None:
            raise UnusualError
        return read(json, number)

    return present


def _reading_of_scalar(_: Any) -> Read:
    return lambda json, _number: json


def _reading_of_blob(_: Any) -> Read:
    return lambda json, _number: base64.b64decode(json)


def _read_value(json: Any, number: Number | None) -> Any:
    if number is not None:
        return to_native(json, number)
    to_typed(json)
    return json


def _read_values(json: Any, number: Number | None) -> Any:
    if number is not None:
        map_to_native(json, number)
    else:
        for value in json.values():
            to_typed(value)
    return json


_READING: dict[str, Callable[[Any], Read]] = {
    "structure": _reading_of_structure,
    "map": _reading_of_map,
    "list": _reading_of_list,
    "blob": _reading_of_blob,
    **dict.fromkeys(("string", "integer", "long", "boolean", "double", "float"), _reading_of_scalar),
}
