"""The output of `aws dynamodb scan` or `query`: documents with a list of items in typed form, on any lines."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import BinaryIO

from .conversions import loads_object
from .errors import BulkError, RefusedRowError
from .limits import KINDS, MAX_LINE_BYTES, shown
from .sources import BROKEN, Position, Row, Source
from .typed_json import native_item

_READ_BYTES = 262_144
_BEFORE_ALL = re.compile("\ufeff?[ \t\r\n]*")
_SPACE = re.compile("[ \t\r\n]*")
_BETWEEN = re.compile("[ \t\r\n,]*")
_ITEMS = "Items"
_BESIDE_ITEMS = frozenset(
    ("Count", "ScannedCount", "ConsumedCapacity", "LastEvaluatedKey", "NextToken", "ResponseMetadata")
)
_BEGINS = re.compile(rf'\s*(?:\]|{{\s*"(?:[^"\\]|\\.)*"\s*:\s*{{\s*"(?:{"|".join(KINDS)})"\s*:)')
_find_end = json.JSONDecoder(
    strict=False, parse_int=float
).raw_decode  # what is wrong in a row is found when it is read


class _CutError(ValueError):
    """The text ends before what has begun does."""


class _UnclearError(ValueError):
    """What begins here is no JSON, or has no end that is near enough."""


class ScanRows:
    """The items of such output."""

    def __init__(self, source: Source, position: Position) -> None:
        """Begin, or go on behind an item.

        Raises:
            BulkError: the source ends before the position.
        """
        self._source = source
        self._row = position.row
        self._is_in_list = position.offset > 0
        if self._is_in_list:
            source.seek(position.offset)
        self._text = _Text(source.stream, position, _READ_BYTES)

    @property
    def position(self) -> Position:
        """Where the last row ended."""
        return Position(self._text.offset, self._row, self._text.line)

    def __iter__(self) -> Iterator[Row]:
        """Yield each row.

        Raises:
            BulkError: the source can't be read on, or not be told apart into items.
        """
        try:
            yield from self._rows()
        except BROKEN as error:
            raise BulkError(f"{self._here('can not be read')}: {error}") from error
        except _CutError:
            self._row += 1
            reason = "is not JSON, or not whole: it holds all that follows"
            yield Row(self._row, self._text.line + 1, None, reason, self._text.rest())
        except _UnclearError as error:
            raise BulkError(f"{self._here(str(error))}: the items after it can't be told apart") from error

    def _rows(self) -> Iterator[Row]:
        while self._is_in_list or self._text.go_to_items():
            self._is_in_list = True
            while self._text.skip(_BETWEEN) != "]":
                line, text = self._text.line + 1, self._text.value()
                item, reason = None, ""
                try:
                    item = _item(text)
                except RefusedRowError as error:
                    reason = str(error)
                self._row += 1
                yield Row(self._row, line, item, reason, text.encode("utf-8", "surrogateescape"))
            self._text.take("]")
            self._is_in_list = False
            self._text.is_in_document = True

    def _here(self, what: str) -> str:
        return f"{self._source.name}, line {self._text.line + 1:,}: {what}"


def _item(text: str) -> dict[str, object]:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RefusedRowError("not UTF-8") from None
    return native_item(loads_object(text))


def is_scan_output(head: bytes) -> bool:
    """Return whether a text begins as such output does."""
    text = _Text(io.BytesIO(head), Position(), len(head))
    try:
        if not text.go_to_items() or not _BEGINS.match(text.left()):
            return False
        while text.skip(_BETWEEN) != "]":
            text.value()
        text.take("]")
        text.go_to_items()  # what stands behind the list
    except _CutError:
        return text.names_items
    except _UnclearError:
        return False
    return True


class _Text:
    """A text of which no more is held than the value that is looked at."""

    def __init__(self, stream: BinaryIO, position: Position, step: int) -> None:
        self._stream = stream
        self._step = step
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._held, self._at, self._is_over = "", 0, False
        self.offset, self.line = position.offset, position.line
        self.is_in_document = position.offset > 0
        self.names_items = False

    def go_to_items(self) -> bool:
        """Move behind the beginning of the next list of items. Return whether there is one."""
        while True:
            if not self.is_in_document:
                if not self.skip(_SPACE if self.offset else _BEFORE_ALL):
                    return False
                self.take("{")
                self.is_in_document = True
            if self.skip(_BETWEEN) == "}":
                self.take("}")
                self.is_in_document = False
                continue
            name = str(_find_end(self.value())[0])
            self.skip(_SPACE)
            self.take(":")
            begins = self.skip(_SPACE)
            if name == _ITEMS and begins == "[":
                self.take("[")
                self.names_items = True
                return True
            if name not in _BESIDE_ITEMS:
                raise _UnclearError(f"has {shown(name)} beside a list of items, and is no output of a scan")
            self.value()

    def skip(self, characters: re.Pattern[str]) -> str:
        """Skip characters, and return the one behind them; none at the end."""
        while True:
            found = characters.match(self._held, self._at)
            self._advance(0 if found is None else found.end() - self._at)
            if self._at < len(self._held) or not self._more():
                return self._held[self._at : self._at + 1]

    def take(self, character: str) -> None:
        """Move behind a character that must stand here."""
        found = self._held[self._at : self._at + 1]
        if not found:
            raise _CutError
        if found != character:
            raise _UnclearError(f"{found!r} stands where {character!r} must")
        self._advance(1)

    def value(self) -> str:
        """Return the text of the value that stands here, and go behind it."""
        while True:
            try:
                _, end = _find_end(self._held, self._at)
            except RecursionError:
                raise _UnclearError("is nested far too deep") from None
            except ValueError:
                end = len(self._held)
                is_whole = False
            else:
                is_whole = end < len(self._held) or self._is_over  # a number may go on
            if is_whole:
                text = self._held[self._at : end]
                self._advance(len(text))
                return text
            if len(self._held) - self._at > MAX_LINE_BYTES:
                raise _UnclearError(f"what begins here is no JSON, or longer than {MAX_LINE_BYTES:,} bytes")
            if self._is_over:
                raise _CutError
            self._more()

    def left(self) -> str:
        """Return what is held of the rest."""
        return self._held[self._at :]

    def rest(self) -> bytes:
        """Return the rest, which is no longer than a value."""
        return self.left()[:MAX_LINE_BYTES].encode("utf-8", "surrogateescape")

    def _more(self) -> bool:
        octets = self._stream.read(self._step)
        self._is_over = not octets
        self._held = self._held[self._at :] + self._decode(octets, self._is_over)
        self._at = 0
        return not self._is_over

    def _advance(self, length: int) -> None:
        passed = self._held[self._at : self._at + length]
        self._at += length
        self.offset += len(passed.encode("utf-8", "surrogateescape"))
        self.line += passed.count("\n")
