"""JSON Lines: plain JSON, one item a line. What it can't hold is told once: `load` needs to be told its types."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from .limits import KINDS, shown
from .typed_json import bytes_of, typed

_quoted = json.JSONEncoder(ensure_ascii=False).encode
_WORDS = {None: "null", True: "true", False: "false"}


class PlainLines:
    """Writes items as JSON: numbers with all their digits, sets as arrays, binary values in base64."""

    def __init__(self) -> None:
        self._changed: dict[str, str | None] = {}
        """Attributes with values that JSON has no type for, and which: None if they are inside of others."""
        self._is_exact = True

    def line(self, item: Mapping[str, Any]) -> str:
        """Return the line of an item."""
        members = []
        for name, value in item.items():
            members.append(f"{_quoted(name)}:{self._json(value)}")
            if not self._is_exact:
                self._is_exact = True
                self._changed[name] = None if isinstance(value, (dict, list)) else next(iter(typed(value)))
        return "{" + ",".join(members) + "}"

    def hints(self) -> list[str]:
        """Return the lines that say what reads the items back as they are."""
        found = []
        for name, kind in sorted(self._changed.items()):
            if kind is None:
                found.append(f"{shown(name)} has sets or binary values inside: only --format dynamodb-json keeps them")
            else:
                told = name if shown(name) == f"'{name}'" else "NAME"  # a hostile one can't move the cursor
                found.append(f"{shown(name)} is {KINDS[kind]}: to load it, give --type {told}:{kind}")
        return found

    def _json(self, value: Any) -> str:  # noqa: PLR0911 - one row for each type of value
        if isinstance(value, str):
            return _quoted(value)
        if value is None or isinstance(value, bool):
            return _WORDS[value]
        if isinstance(value, Decimal):
            return str(value)
        if isinstance(value, dict):
            return "{" + ",".join(f"{_quoted(name)}:{self._json(member)}" for name, member in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(self._json, value)) + "]"
        self._is_exact = False
        if isinstance(value, set):
            return "[" + ",".join(sorted(map(self._json, value))) + "]"
        return _quoted(base64.b64encode(bytes_of(value)).decode())
