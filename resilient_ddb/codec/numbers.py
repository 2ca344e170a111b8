"""Numbers from the wire: as boto3 makes them, and exactly where its decimal context would have to round.

DynamoDB and its emulators may write 1E+100 as a one and a hundred zeros. boto3's context takes the first for a number
of one digit, and the second for one of 101.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, DecimalException, Inexact, InvalidOperation
from typing import Any

from boto3.dynamodb import types

Number = Callable[[Any], Decimal]
"""Makes a Decimal of a number's text, in boto3's context."""

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation])


def boto3_number() -> Number:
    """Return what boto3 makes numbers with at this time: some programs change its context."""
    number: Number = types.DYNAMODB_CONTEXT.create_decimal
    return number


def shortened(text: Any) -> str:
    """Return a number's text with the zeros at its end in the exponent.

    Raises:
        decimal.DecimalException: it is no number.
    """
    return str(_EXACT.normalize(_EXACT.create_decimal(text)))


def exact_number(text: Any) -> Decimal:
    """Return a number as boto3 makes it, and with all its digits where boto3 would have to round it.

    For programs that hand values on: such a number can't be put back by way of boto3.

    Raises:
        decimal.DecimalException: it is no number.
    """
    make = boto3_number()
    try:
        return make(text)
    except DecimalException:
        short = shortened(text)
    try:
        return make(short)
    except DecimalException:
        return _EXACT.create_decimal(short)


class Deserializer:
    """boto3's deserializer of values, given numbers in a form that its context need not round."""

    def __init__(self, boto3s: Any) -> None:
        """Read by `boto3s`: boto3's, or what a program has put in its place."""
        self._boto3s = boto3s

    def deserialize(self, value: Any) -> Any:
        """Return the native value of a typed one.

        Raises:
            decimal.DecimalException: as boto3 raises it, for a number that can't be held exactly.
        """
        try:
            return self._boto3s.deserialize(value)
        except DecimalException:
            pass  # it may be due to zeros
        try:
            return self._boto3s.deserialize(_with_short_numbers(value))
        except DecimalException as error:
            error.add_note(
                "DynamoDB sent a number that boto3's decimal context can't hold exactly: it is neither rounded nor "
                "left out; a low-level client gives it as text"
            )
            raise


def _with_short_numbers(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {kind: _SHORTENED[kind](inner) if kind in _SHORTENED else inner for kind, inner in value.items()}


_SHORTENED: dict[str, Callable[[Any], Any]] = {
    "N": shortened,
    "NS": lambda members: [shortened(member) for member in members],
    "L": lambda members: [_with_short_numbers(member) for member in members],
    "M": lambda members: {name: _with_short_numbers(member) for name, member in members.items()},
}
