"""JSON, read and written by msgspec where it is installed, and by the standard library elsewhere.

Measured on a page of 1 MB, values included. msgspec took 10 ms and 4 MB at the peak, orjson 11 ms and 22 MB, the
standard library 13 ms and 11 MB. On an item of 1 KB, written: 1.2, 0.9 and 14 us. msgspec can also cut a page into
its rows without reading them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Protocol

Json = Any
"""A value as JSON has it."""
Piece = Any
"""A part of a JSON text that may not have been read yet."""


class Engine(Protocol):
    """Reads and writes JSON. What can't be read, or written, raises an Exception."""

    def loads(self, piece: Piece) -> Json:
        """Read a text, or a piece of one."""

    def dumps(self, value: Json) -> bytes:
        """Write a value; bytes are written in base64."""

    def members(self, text: bytes) -> Mapping[str, Piece]:
        """Cut an object into its members."""

    def rows(self, piece: Piece) -> list[Piece]:
        """Cut an array into its elements."""

    def rows_by_name(self, piece: Piece) -> dict[str, list[Piece]]:
        """Cut an object of arrays into the elements of each."""


class StandardLibrary:
    """The engine that is always there. It reads everything at once: its pieces are values."""

    def loads(self, piece: Piece) -> Json:
        """Read a text."""
        return json.loads(piece.decode()) if isinstance(piece, bytes) else piece

    def dumps(self, value: Json) -> bytes:
        """Write a value; bytes are written in base64."""
        return json.dumps(value, separators=(",", ":"), default=_base64).encode()

    def members(self, text: bytes) -> Mapping[str, Piece]:
        """Read an object."""
        found: dict[str, Piece] = _as(dict, self.loads(text))
        return found

    def rows(self, piece: Piece) -> list[Piece]:
        """Return an array as the list of its elements."""
        found: list[Piece] = _as(list, piece)
        return found

    def rows_by_name(self, piece: Piece) -> dict[str, list[Piece]]:
        """Return an object of arrays as the lists of their elements."""
        return {name: _as(list, rows) for name, rows in _as(dict, piece).items()}


def _base64(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    raise TypeError(f"can't be written as JSON: {type(value)}")


def _as(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected a JSON {kind.__name__}; got a {type(value).__name__}")
    return value


class Msgspec:
    """Reads JSON piece by piece: a piece costs nothing but a look for its end until it is read."""

    def __init__(self) -> None:
        """Make the decoders, each for one form of text.

        Raises:
            ImportError: msgspec is not installed.
        """
        import msgspec  # noqa: PLC0415 - it is loaded where it is needed, and may be missing

        self.loads = msgspec.json.Decoder().decode
        """Read a text, or a piece of one."""
        self.dumps = msgspec.json.Encoder().encode
        """Write a value; bytes are written in base64."""
        self._members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
        self._rows_by_name = msgspec.json.Decoder(dict[str, list[msgspec.Raw]]).decode

    def members(self, text: bytes) -> Mapping[str, Piece]:
        """Cut an object into its members."""
        return self._members(text)

    def rows(self, piece: Piece) -> list[Piece]:
        """Cut an array into its elements."""
        rows: list[Piece] = self._rows(piece)
        return rows

    def rows_by_name(self, piece: Piece) -> dict[str, list[Piece]]:
        """Cut an object of arrays into the elements of each."""
        found: dict[str, list[Piece]] = self._rows_by_name(piece)
        return found


class LazyEngine(StandardLibrary):
    """The standard library's engine for the first few texts, and the fastest one that is installed from then on.

    To load msgspec takes 4 ms, as long as the standard library takes for the difference on some 400 items. A process
    that makes a few calls does without. A page's rows are worth it at once.
    """

    def __init__(self) -> None:
        self._texts = 0

    def loads(self, piece: Piece) -> Json:
        """Read a text."""
        self._count()
        return super().loads(piece)

    def dumps(self, value: Json) -> bytes:
        """Write a value; bytes are written in base64."""
        self._count()
        return super().dumps(value)

    def members(self, text: bytes) -> Mapping[str, Piece]:
        """Cut an object into its members."""
        return self._change().members(text)

    def _count(self) -> None:
        self._texts += 1
        if self._texts > _FEW:
            self._change()

    def _change(self) -> Engine:
        """Adopt the other engine's methods: last the one that gives the pieces that the others read."""
        engine = fastest()
        for name in ("loads", "dumps", "rows", "rows_by_name", "members"):
            setattr(self, name, getattr(engine, name))
        return engine


_FEW = 20
"""After so many texts a process is taken for one that goes on: two in a call, ten calls."""


def fastest() -> Engine:
    """Return the fastest engine that is installed."""
    try:
        return Msgspec()
    except ImportError:
        return StandardLibrary()
