"""Versions as numbers: which of them a versioned write can go by, and which one follows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

FIRST_VERSION = 1


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
        TypeError, ValueError: it is no whole number.
    """
    wanted = f"{name} must be a whole number{or_else}"
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise TypeError(f"{wanted}; got {type(value).__name__}")
    if isinstance(value, Decimal) and not (value.is_finite() and value == value.to_integral_value()):
        raise ValueError(f"{wanted}; got a fraction, or no number at all")
    return int(value)


def version_after(version: int | None) -> int:
    """Return the version that a write stores which finds `version`; None: the item has none."""
    return FIRST_VERSION if version is None else version + 1
