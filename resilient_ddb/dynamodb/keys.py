"""Keys as JSON: what a state to go on from is made of, so that it can be kept in a file or sent to another process.

A key's values are text, numbers and bytes; in JSON each says which it is, as on DynamoDB's wire: `{"S": "a"}`,
`{"N": "1.5"}`, `{"B": "AAE="}`. What comes back is the same key to DynamoDB.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

from resilient_ddb.codec.values import from_native, item_as_native

NUMBERS = Context(prec=38)
"""DynamoDB's numbers have so many digits."""
_KINDS = ("S", "N", "B")


def to_json(key: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return a key for `json.dumps`. Keys that DynamoDB takes for the same have the same form.

    Args:
        key: names and native values: str, int, Decimal, bytes or `Binary`.

    Raises:
        TypeError: `key` is no dict, or a value is of another type.
        ValueError: a number is not finite, or has more than 38 digits.
    """
    if not isinstance(key, Mapping):
        raise TypeError(f"a key must be a dict, such as {{'pk': 'a'}}; got {type(key).__name__}")
    return {_checked(name): _typed(name, value) for name, value in key.items()}


def from_json(data: Any) -> dict[str, Any]:
    """Return the key that `to_json` was given, in the types that boto3 gives: str, Decimal, `Binary`.

    Raises:
        ValueError: `data` is nothing that `to_json` gives.
    """
    if not isinstance(data, Mapping) or not data:
        found = "an empty one" if isinstance(data, Mapping) else type(data).__name__
        raise ValueError(f"a key must be an object of typed values, such as {{'pk': {{'S': 'a'}}}}; got {found}")
    return {name: _native(name, value) for name, value in data.items()}


def identity(key: Mapping[str, Any]) -> str:
    """Return a text that two keys share exactly where DynamoDB takes them for the same. Raises as `to_json`."""
    return json.dumps(to_json(key), sort_keys=True, separators=(",", ":"))


def digest(facts: Any) -> str:
    """Return a short text that is the same for the same facts, and from which they can't be read. They go into JSON."""
    return hashlib.blake2b(json.dumps(facts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


# Errors name attributes and types, never values.


def _checked(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a key's attributes must be named by texts; got {type(name).__name__} for one")
    return name


def _typed(name: str, value: Any) -> dict[str, str]:
    try:
        [(kind, inner)] = from_native(value).items()
        if kind == "N":
            return {kind: _text(NUMBERS.normalize(Decimal(inner)))}
    except (TypeError, ArithmeticError):
        kind = ""
    if kind == "S":
        return {kind: inner}
    if kind == "B":
        return {kind: base64.b64encode(inner).decode()}
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        raise ValueError(  # noqa: TRY004 - the type is right
            f"a key's numbers must be finite, and of 38 digits at most; that of {name!r} is not"
        )
    raise TypeError(
        f"a key's values must be str, int, Decimal, bytes or Binary; got {type(value).__name__} for {name!r}"
    )


def _text(number: Decimal) -> str:
    """Return a number in the one form that all its spellings share."""
    is_short = number == number.to_integral_value() and number.adjusted() < NUMBERS.prec
    return str(int(number)) if is_short else str(number)


def _native(name: Any, value: Any) -> Any:
    if not isinstance(name, str) or not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError(f"a key's values must be such as {{'S': 'a'}}; that of {name!r} is not")
    [(kind, text)] = value.items()
    if kind not in _KINDS or not isinstance(text, str):
        raise ValueError(f"a key's values must be texts of type {', '.join(_KINDS)}; that of {name!r} is not")
    try:
        text.encode()  # half of a surrogate pair can't be sent
        inner = base64.b64decode(text, validate=True) if kind == "B" else text
        native = item_as_native({name: {kind: inner}})[name]
    except (ValueError, ArithmeticError):
        native = None
    if native is None or (kind == "N" and not native.is_finite()):
        raise ValueError(f"a key's values must be as they were written; that of {name!r} is no {kind}")
    return native
