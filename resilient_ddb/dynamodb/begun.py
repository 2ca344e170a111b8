"""What an update leaves if there was no item: for a transaction, which gives none of it back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from resilient_ddb.codec.values import from_native, item_as_native

from .keys import NUMBERS
from .operations import clauses_of
from .reserved import NAMES, VALUES

_TOKEN = re.compile(r"\s*([#:]?\w+(?:\s*\.\s*#?\w+|\s*\[\s*\d+\s*\])*|[(),=+\-])")
"""A path counts as one."""


def values_begun(update: Mapping[str, Any], key: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the attributes that an update sets if there is no item, with native values as boto3 gives them.

    Args:
        update: an update's parameters, with native values. Those of a condition are in its placeholders, too.
        key: the key of the item that it begins, as it is stored.

    Returns:
        The attributes; None for an expression that can't be followed, such as one with a path within an attribute.
        DynamoDB refuses such a path if there is no item.
    """
    made: dict[str, Any] = {}
    try:
        for word, body in clauses_of(update.get("UpdateExpression") or ""):
            reader = _Reader(body, update.get(NAMES) or {}, update.get(VALUES) or {}, key)
            if word == "SET":
                made.update(reader.assignments())
            elif word == "ADD":
                made.update(reader.additions())
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return made


class _Reader:
    """Reads one clause of an update expression, with its placeholders."""

    def __init__(self, text: str, names: Mapping[str, str], values: Mapping[str, Any], key: Mapping[str, Any]) -> None:
        self._tokens = _tokens(text)
        self._names, self._values, self._key = names, values, key

    def assignments(self) -> dict[str, Any]:
        return self._listed(self._assigned)

    def additions(self) -> dict[str, Any]:
        return self._listed(self._operand)

    def _listed(self, read: Callable[[], Any]) -> dict[str, Any]:
        made = {}
        while True:
            name = self._name(self._tokens.pop())
            made[name] = read()
            if not self._tokens:
                return made
            self._take(",")

    def _assigned(self) -> Any:
        self._take("=")
        return self._value()

    def _value(self) -> Any:
        value = self._operand()
        if self._tokens and self._tokens[-1] in "+-":
            combine = NUMBERS.add if self._tokens.pop() == "+" else NUMBERS.subtract
            value = combine(value, self._operand())
        return value

    def _operand(self) -> Any:
        word = self._tokens.pop()
        if word == "(":
            value = self._value()
            self._take(")")
            return value
        if word[0] == ":":
            return item_as_native({"": from_native(self._values[word])})[""]
        if not self._tokens or self._tokens[-1] != "(":
            return item_as_native({"": from_native(self._key[self._name(word)])})[""]
        self._tokens.pop()
        made = self._called(word)
        self._take(")")
        return made

    def _called(self, function: str) -> Any:
        if function == "list_append":
            first = self._operand()
            self._take(",")
            return [*first, *self._operand()]
        if function != "if_not_exists":
            raise ValueError
        path = self._tokens.pop()
        self._take(",")
        value = self._operand()
        name = self._names.get(path, path)  # no path within an attribute is one of the key's
        return item_as_native({"": from_native(self._key[name])})[""] if name in self._key else value

    def _name(self, token: str) -> str:
        """Return the attribute that a token names.

        Raises:
            LookupError, ValueError: it names none, or what is within one.
        """
        if token[0] == "#":
            return self._names[token]
        if not token.isidentifier():
            raise ValueError
        return token

    def _take(self, token: str) -> None:
        if self._tokens.pop() != token:
            raise ValueError


def _tokens(text: str) -> list[str]:
    """Return the tokens of a clause, the last first."""
    found, at, text = [], 0, text.rstrip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise ValueError
        found.append(token[1])
        at = token.end()
    return found[::-1]
