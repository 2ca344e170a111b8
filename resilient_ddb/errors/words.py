"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 item`, `2,000 items`.

    Args:
        number: how many.
        noun: the noun for one.
        plural: the noun for more; with an `s` if left out.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
