"""Versions as numbers: which of them a versioned write can go by, and which one follows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

FIRST_VERSION = 1
_DIGITS = 38
_END = 10**_DIGITS
"""The first version that DynamoDB's numbers can't count to."""


def check_version(name: str, value: Any) -> int | None:
    """Return a version that was given, or None for an item without one.

    Raises:
        TypeError, ValueError: it is neither.
    """
    return None if value is None else check_whole_version(name, value, ", or None for an item without a version")


def check_whole_version(name: str, value: Any, or_else: str = "") -> int:
    """Return a version as an int.

    Args:
        name: whose it is, in words.
        value: the version.
        or_else: what else it may be, in words.

    Raises:
        TypeError, ValueError: it is no whole number, or one of too many digits.
    """
    wanted = f"{name} must be a whole number{or_else}"
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise TypeError(f"{wanted}; got {type(value).__name__}")
    if isinstance(value, Decimal) and not (value.is_finite() and value == value.to_integral_value()):
        raise ValueError(f"{wanted}; got a fraction, or no number at all")
    if not -_END < value < _END:
        raise ValueError(f"{wanted}; got one of more than {_DIGITS} digits, which DynamoDB can't count on from")
    return int(value)


def version_after(version: int | None) -> int:
    """Return the version that a write stores which finds `version`; None: the item has none.

    Raises:
        ValueError: there is none, because it would have too many digits.
    """
    if version is None:
        return FIRST_VERSION
    if version + 1 >= _END:
        raise ValueError(
            f"the item is at the last version, the largest number of {_DIGITS} digits: nothing follows it; delete the "
            "item and create it anew, or keep versions in another attribute"
        )
    return version + 1
