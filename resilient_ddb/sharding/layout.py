"""Where the items of a partition key are kept when they are spread over shards. No I/O.

A key `a` with ten shards is stored as `a#0` to `a#9`. Which of them an item goes to is drawn at random, or calculated
from attributes of the item, so that it can be found again. See "Using write sharding to distribute workloads evenly" in
the Amazon DynamoDB Developer Guide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from resilient_ddb.dynamodb.keys import identity, to_json
from resilient_ddb.policy.checks import check_plain, check_whole
from resilient_ddb.policy.retry import Uniform

MOST_SHARDS = 1_000
"""A query asks all shards of a key: more than this is a mistake."""
Shards = int | Callable[[Any], int] | Mapping[Any, int]
_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How partition keys are spread: now, and before.

    Raises:
        TypeError, ValueError: a setting can't be meant.
    """

    shards: Shards
    """How many shards a key has: a number, or what gives it for each key. 1: the key is stored as it is."""
    by: tuple[str, ...] = ()
    """The attributes that the shard is calculated from; none: it is drawn at random."""
    previous: tuple[Shards, ...] = ()
    """What `shards` was before: where items may still be."""
    separator: str = "#"
    """Stands between the key and the number of its shard, and in no key."""
    pad: int = 0
    """Digits that the number is filled up to with zeros."""

    def __post_init__(self) -> None:
        _check_shards("shards", self.shards)
        for earlier in self.previous:
            _check_shards("each of previous", earlier)
        if not isinstance(self.separator, str):
            raise TypeError(f"separator must be a text, such as '#'; got {self.separator!r}")
        if not self.separator or self.separator[-1].isdigit() or self.separator[0].isdigit():
            raise ValueError(f"separator must have a character, and no digit at either end; got {self.separator!r}")
        check_whole("pad", self.pad, least=0, most=_MOST_DIGITS)

    def count(self, key: Any) -> int:
        """Return the number of shards that a key has now.

        Raises:
            TypeError, ValueError: what `shards` gives for it is no such number.
        """
        return _count(self.shards, key)

    def stored_keys(self, key: Any) -> list[str]:
        """Return every stored key that items of a key may be under: of now first, in the order of their numbers."""
        text = self.checked(key)
        return list(dict.fromkeys(name for count in self._counts(key) for name in self._all(text, count)))

    def homes(self, key: Any, attributes: Mapping[str, Any]) -> list[str]:
        """Return the stored keys that an item may be under: the one it belongs to first, then those of before.

        One for each layout, if the shard can be calculated from `attributes`; else all.
        """
        text = self.checked(key)
        if not self.knows(attributes):
            return self.stored_keys(key)
        number = self._number(attributes)
        return list(dict.fromkeys(self._named(text, count, number % count) for count in self._counts(key)))

    def knows(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether the shard can be calculated from these attributes."""
        return bool(self.by) and all(name in attributes for name in self.by)

    def home(self, key: Any, attributes: Mapping[str, Any], uniform: Uniform) -> str:
        """Return the stored key that a new item belongs under.

        Raises:
            ValueError: an attribute that the shard is calculated from is missing.
        """
        text, count = self.checked(key), self.count(key)
        if not self.by:
            return self._named(text, count, min(int(uniform(0, count)), count - 1))
        missing = [name for name in self.by if name not in attributes]
        if missing:
            raise ValueError(f"Item must have the attribute {missing[0]!r}: its shard is calculated by that")
        return self._named(text, count, self._number(attributes) % count)

    def homes_of_key(self, key: Any, table_key: Mapping[str, Any]) -> list[str]:
        """Return the stored keys for an item of which only its key is known: the same for all who ask, now's first."""
        text, number = self.checked(key), _digest(table_key)
        return list(dict.fromkeys(self._named(text, count, number % count) for count in self._counts(key)))

    def is_current(self, key: Any, stored: str) -> bool:
        """Return whether items may be put under a stored key of `key` now."""
        return stored in self._all(self.checked(key), self.count(key))

    def key_of(self, stored: Any) -> Any:
        """Return the key that a stored key stands for: itself, where it is not one of a shard's."""
        key, number = self._split(stored)
        return stored if number is None else key

    def number_of(self, stored: Any) -> int | None:
        """Return the number of the shard that a stored key names; None, where it has no suffix."""
        return self._split(stored)[1]

    def stored_key(self, key: Any, number: Any) -> str:
        """Return the stored key of a shard: the other way round than `key_of` and `number_of`.

        Raises:
            TypeError, ValueError: there is no such shard.
        """
        found = [stored for stored in self.stored_keys(key) if self.number_of(stored) == number]
        if len(found) != 1 or isinstance(number, bool):
            raise ValueError(f"there is no shard {number!r}")
        return found[0]

    def _split(self, stored: Any) -> tuple[str, int | None]:
        key, separator, digits = stored.rpartition(self.separator) if isinstance(stored, str) else ("", "", "")
        if not separator or not key or not digits.isdecimal() or self.separator in key:
            return "", None
        number = int(digits)
        is_one = any(number < count and self._named(key, count, number) == stored for count in self._counts(key))
        return key, number if is_one else None

    def checked(self, key: Any) -> str:
        """Return a key that can have a suffix.

        Raises:
            TypeError, ValueError: it can't.
        """
        if not isinstance(key, str):
            raise TypeError(
                f"the partition key of a sharded table must be a string, to have a suffix; got {type(key).__name__}: "
                "for an index on such an attribute, have the suffix kept in another one, with shard_attribute="
            )
        if not key:
            raise ValueError("the partition key must not be empty")
        if self.separator in key:
            raise ValueError(
                f"the partition key must not contain the separator {self.separator!r}, which sets the shard apart: "
                "give sharded() another separator="
            )
        return key

    def refuse_key_alone(self, name: str) -> None:
        """Refuse to calculate the shard from the attribute that is spread.

        Raises:
            ValueError: it is, and from nothing else.
        """
        if self.by == (name,):
            raise ValueError(
                f"by must name an attribute in which the items of one key differ: by {name!r} alone, they are all in "
                "one shard"
            )

    def _counts(self, key: Any) -> Iterator[int]:
        """Yield how many shards a key has now, and in each layout of before."""
        return (_count(shards, key) for shards in (self.shards, *self.previous))

    def _number(self, attributes: Mapping[str, Any]) -> int:
        """Return a number that depends on the attributes of `by` only. Its rest is the shard's."""
        return _digest({name: attributes[name] for name in self.by})

    def _all(self, key: str, count: int) -> list[str]:
        return [self._named(key, count, number) for number in range(count)]

    def _named(self, key: str, count: int, number: int) -> str:
        return key if count == 1 else f"{key}{self.separator}{number:0{self.pad}d}"


def _digest(attributes: Mapping[str, Any]) -> int:
    """Return a number that depends on the values only, on every machine: `hash()` does not.

    BLAKE2b of 8 bytes, big-endian, over the attributes as DynamoDB's JSON, names sorted, without spaces:
    `{"order_id":{"S":"o-1"}}`.

    Raises:
        TypeError, ValueError: a value is no text, number or bytes.
    """
    try:
        text = identity(attributes)
    except (TypeError, ValueError) as error:
        raise type(error)(f"by must name attributes whose values are text, numbers or bytes: {error}") from None
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _check_shards(argument: str, shards: Any) -> None:
    if isinstance(shards, Mapping):
        for key, count in shards.items():
            if not isinstance(key, str):
                raise TypeError(f"{argument} must be a mapping of texts, as keys are stored; got {key!r} for one")
            _checked_count(argument, count)
    elif callable(shards):
        check_plain(argument, shards, takes="a key, and giving a number")
    else:
        _checked_count(argument, shards)


def _checked_count(argument: str, count: Any) -> int:
    check_whole(argument, count, least=1, most=MOST_SHARDS)
    return int(count)


def _count(shards: Shards, key: Any) -> int:
    if isinstance(shards, Mapping):
        return shards.get(key, 1)
    return _checked_count("what shards gives for a key", shards(key)) if callable(shards) else shards


def text_of(key: Any) -> Any:
    """Return a key as the text that a suffix is added to, where it is stored apart: a number as DynamoDB writes it."""
    is_number = isinstance(key, (int, Decimal)) and not isinstance(key, bool)
    return to_json({"": key})[""]["N"] if is_number else key
