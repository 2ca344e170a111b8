"""JSON by msgspec."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .engine import Piece


class Msgspec:
    """Reads JSON piece by piece: a piece costs nothing but a look for its end until it is read."""

    def __init__(self) -> None:
        """Make the decoders, each for one form of text."""
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
