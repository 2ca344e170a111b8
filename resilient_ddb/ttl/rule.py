"""Items that have expired: which they are, and the condition that takes them for absent.

DynamoDB deletes an expired item when it comes to it, days later at times. Until then it is in every answer; a Table
made with `ttl=` leaves it out. An item has expired when its TTL attribute is a number of seconds since the epoch that
is not after now. Any other type of value means "never", to DynamoDB and here; so does a missing one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from boto3.dynamodb.conditions import Attr, ConditionBase

from resilient_ddb.events import Record, explained
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.base import Settings
from resilient_ddb.policy.checks import check_methods, check_number
from resilient_ddb.policy.clock import SYSTEM_CLOCK, Clock

__all__ = ["absent_or_expired", "is_expired"]

AUTO = "auto"
MILLISECONDS = 10**11
"""From here on, a number of seconds is past the year 5100: as milliseconds it is any time since 1973."""
TtlFilter = Literal["client", "server"]
IsExpired = Callable[[Mapping[str, Any] | None], bool]
"""Tells whether an item, in one form of its values, has expired."""
_PATH_CHARACTERS = ".[]"


@names_checked
def absent_or_expired(key: str, *, ttl: str, clock: Clock = SYSTEM_CLOCK, skew: float = 0.0) -> ConditionBase:
    """Return the condition of a put that may replace nothing but an expired item.

    `attribute_not_exists(pk)` fails on an item that has expired and is still there. This condition takes such an item
    for absent. It is one of boto3's, for `ConditionExpression`, and joins others with `&`, `|` and `~`. "Now" is the
    moment when it is made: make one for each call.

    Args:
        key: the name of the table's partition key.
        ttl: the name of the TTL attribute.
        clock: where "now" comes from; the machine's clock if left out.
        skew: seconds by which this clock may be ahead of others: so much later an item counts as expired.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.
    """
    for argument, name in (("key", key), ("ttl", ttl)):
        _check_name(argument, name, "such as 'expires_at'")
        if any(character in name for character in _PATH_CHARACTERS):
            raise ValueError(f"{argument} must name an attribute without '.', '[' or ']' in it; got {name!r}")
    if key == ttl:
        raise ValueError(f"ttl must not be an attribute of the table's key; got {ttl!r} for both")
    return Attr(key).not_exists() | Attr(ttl).lte(_now(clock, skew))


@names_checked
def is_expired(item: Mapping[str, Any], *, ttl: str, clock: Clock = SYSTEM_CLOCK, skew: float = 0.0) -> bool:
    """Return whether an item has expired: for items that come from elsewhere than a read of a Table with `ttl=`.

    Args:
        item: the item, its values native, as a Table gives it, or typed, as they are in the errors of a Table, too.
        ttl: the name of the TTL attribute.
        clock: where "now" comes from; the machine's clock if left out.
        skew: seconds by which this clock may be ahead of others: so much later an item counts as expired.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range.
    """
    _check_name("ttl", ttl, "such as 'expires_at'")
    rule = typed_rule if item and isinstance(item.get(ttl), Mapping) else native_rule
    return rule(ttl, _now(clock, skew), _nothing)(item)


def _now(clock: Clock, skew: float) -> int:
    check_methods("clock", clock, "time")
    check_number("skew", skew, least=0)
    return math.floor(clock.time() - skew)


def _nothing() -> None:
    """Return at once: nobody must be told of milliseconds."""


class Expired(Record):
    """An item that has expired and is still there."""

    item: Mapping[str, Any]
    """The item, with native values."""
    attribute: str
    """Its TTL attribute."""


@explained
@dataclass(frozen=True, repr=False, eq=False)
class TimeToLive(Settings):
    """What the TTL of a table is: `ttl=` of a Table, and in the mapping of a resource or client.

    Raises:
        TypeError, ValueError: a value is of the wrong type or out of range.
    """

    attribute: str
    """The TTL attribute's name; `auto`: the one that DescribeTimeToLive names."""
    filter: TtlFilter = field(default="client", kw_only=True)
    """Where expired items are left out: `client`, as answers are read; `server`: DynamoDB leaves them out of Query and
    Scan as well, and they don't cross the network."""
    skew: float = field(default=0.0, kw_only=True)
    """Seconds by which this machine's clock may be ahead of others: so much later an item counts as expired."""

    def __post_init__(self) -> None:
        _check_name("attribute", self.attribute, "such as 'expires_at', or 'auto'")
        if self.filter not in ("client", "server"):
            raise ValueError(f"filter must be 'client' or 'server'; got {self.filter!r}")
        check_number("skew", self.skew, least=0)

    def now(self, clock: Clock) -> int:
        """Return the whole seconds since the epoch up to which items have expired."""
        return math.floor(clock.time() - self.skew)


def time_to_live(ttl: Any) -> TimeToLive:
    """Return what a Table's `ttl` says.

    Raises:
        TypeError, ValueError: it can't be meant.
    """
    if isinstance(ttl, TimeToLive):
        return ttl
    if isinstance(ttl, Mapping):
        raise TypeError("ttl of a Table must be one attribute, such as 'expires_at'; a mapping is for a resource")
    _check_name("ttl", ttl, "such as 'expires_at', or 'auto', or a resilient_ddb.TimeToLive(...)")
    return TimeToLive(ttl)


def _check_name(argument: str, name: Any, examples: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be the name of an attribute, {examples}; got {name!r}")
    if not name:
        raise ValueError(f"{argument} must be the name of an attribute, {examples}; got an empty one")


# The rule, for each form of values. They are told `on_milliseconds` of a number that looks like that.


def typed_rule(attribute: str, now: int, on_milliseconds: Callable[[], None]) -> IsExpired:
    """Return the rule for items in DynamoDB's typed form, as they come over the wire."""

    def has_expired(item: Mapping[str, Any] | None) -> bool:
        value = item.get(attribute) if item else None
        text = None if value is None else value.get("N")
        if text is None:
            return False
        try:
            number: int | Decimal = int(text)  # exact, and a third of what Decimal takes
        except ValueError:
            number = _decimal(text)
        if number <= now:
            return True
        if number >= MILLISECONDS:
            on_milliseconds()
        return False

    return has_expired


def _decimal(text: Any) -> Decimal:
    try:
        number = Decimal(text)
    except ArithmeticError:
        return _NO_NUMBER
    return number if number.is_finite() else _NO_NUMBER


_NO_NUMBER = Decimal(MILLISECONDS - 1)
"""Stands for what boto3 will refuse: it has not expired, and says nothing of milliseconds."""


def native_rule(attribute: str, now: int, on_milliseconds: Callable[[], None]) -> IsExpired:
    """Return the rule for items with native values."""

    def has_expired(item: Mapping[str, Any] | None) -> bool:
        value = item.get(attribute) if item else None
        if not is_number(value):
            return False
        if value <= now:  # type: ignore[operator]  # it is a number
            return True
        if value >= MILLISECONDS:  # type: ignore[operator]  # as above
            on_milliseconds()
        return False

    return has_expired


def is_number(value: Any) -> bool:
    """Return whether a native value is a number, and can be compared with one."""
    if isinstance(value, Decimal):
        return not value.is_nan()
    return isinstance(value, (int, float)) and not isinstance(value, bool)
