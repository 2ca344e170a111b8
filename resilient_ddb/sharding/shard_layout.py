"""How a sharded table's items are laid out, as callers say it: a value that tables, loads and streams share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from enum import Enum
from typing import Any, Literal

from resilient_ddb.events import explained
from resilient_ddb.policy.base import Settings

from .layout import Layout, Shards, text_of


class Suffix(Enum):
    """A way to choose a shard that goes by no attribute."""

    RANDOM = "random"

    def __repr__(self) -> str:
        return f"resilient_ddb.sharding.{self.name}"


RANDOM: Literal[Suffix.RANDOM] = Suffix.RANDOM
"""An item's shard is drawn at each put. For data that is only added to: a key that is put twice may be there twice."""
By = str | Sequence[str] | Literal[Suffix.RANDOM]


@explained
@dataclass(frozen=True, slots=True)
class ShardLayout(Settings):
    """How the items of each partition key are spread over shards. `table.sharded(layout)` takes it.

    It asks DynamoDB nothing, can be compared, copied and pickled, and never changes.

    Raises:
        TypeError, ValueError: a setting can't be meant.
    """

    shards: Shards = field(hash=False)
    """How many shards a key has. It is a number, a mapping of keys to numbers (1 for those that are not in it), or a
    callable that gives the number for a key. 1: the key is stored as it is. 1,000 at most."""
    _: KW_ONLY
    by: By | None = None
    """The attributes, of text, numbers or bytes, that an item's shard is calculated from; kept as a tuple. None: the
    table's sort key. `resilient_ddb.sharding.RANDOM`: the shard is drawn at each put."""
    separator: str = "#"
    """What stands between a key and its shard's number, and in no key."""
    pad: int = 0
    """Digits that the number is filled up to with zeros."""
    previous: Sequence[Shards] = field(default=(), hash=False)
    """What `shards` was before; kept as a tuple. Items are read there as well, and written where they belong now."""
    key: str | None = None
    """The attribute whose values are spread. None: the table's partition key. Else it is an index's."""
    attribute: str | None = None
    """The attribute that holds the stored key for an index, while `key` stays as it is: the `shard_attribute` of
    `Table.sharded`. None: `key` itself holds it."""
    _placing: Layout = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, argument in (("key", "key"), ("attribute", "shard_attribute")):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise TypeError(f"{argument} must be the name of an attribute; got {value!r}")
        if self.attribute is not None and self.key in (None, self.attribute):
            raise ValueError(
                "key must name the attribute whose values are spread, another one than shard_attribute; got "
                f"{self.key!r}"
            )
        if not isinstance(self.previous, (list, tuple)):
            raise TypeError(f"previous must be a sequence of earlier shards, such as (10,); got {self.previous!r}")
        by = self.by if self.by is None or self.by is RANDOM else _names(self.by)
        kept = {"shards": _frozen(self.shards), "previous": tuple(map(_frozen, self.previous)), "by": by}
        for name, value in kept.items():
            object.__setattr__(self, name, value)
        placing = Layout(
            shards=kept["shards"],
            by=by if isinstance(by, tuple) else (),
            previous=kept["previous"],
            separator=self.separator,
            pad=self.pad,
        )
        object.__setattr__(self, "_placing", placing)
        if self.key is not None:
            placing.refuse_key_alone(self.key)

    def stored_key(self, key: Any, attributes: Mapping[str, Any]) -> str:
        """Return the key that an item is stored under: such as `acme#7` for `acme`.

        Args:
            key: the partition key, as callers of the sharded table give it.
            attributes: the item, or at least its attributes of `by`, as native values.

        Raises:
            TypeError, ValueError: the key takes no suffix, an attribute of `by` is missing, or `by` names none.
        """
        if not self._placing.by:
            raise ValueError(
                "by must name the attributes that a shard is calculated from: "
                + ("with RANDOM it is drawn at each put" if self.by is RANDOM else "a layout knows no table's sort key")
            )
        return self._placing.home(self._text(key), attributes, _drawn)

    def stored_keys(self, key: Any) -> list[str]:
        """Return every key that items of a partition key may be stored under: those of now first.

        Raises:
            TypeError, ValueError: the key takes no suffix.
        """
        return self._placing.stored_keys(self._text(key))

    def shard_of(self, key: Any, attributes: Mapping[str, Any] | None = None) -> int | None:
        """Return the number of the shard that an item is in; None for a key that has no suffix.

        Args:
            key: a stored key, as a stream or the Table behind tells it; or, with `attributes`, the partition key.
            attributes: as for `stored_key`.

        Raises:
            TypeError, ValueError: as `stored_key`, with `attributes`.
        """
        return self._placing.number_of(key if attributes is None else self.stored_key(key, attributes))

    def key_of(self, stored: Any) -> Any:
        """Return the partition key that a stored key stands for: itself, where it is not one of a shard's."""
        return self._placing.key_of(stored)

    def _text(self, key: Any) -> Any:
        return key if self.attribute is None else text_of(key)


def placing(layout: ShardLayout, key: str, sort: str | None) -> Layout:
    """Return how a layout places the items of a table, whose sort key its `by` is by default.

    Raises:
        ValueError: the table has no sort key to go by, or all items of a key would be in one shard.
    """
    found = layout._placing  # noqa: SLF001 - of this module
    if layout.by is None:
        if sort is None or sort == key:
            raise ValueError(
                "by must be given for a table without a sort key beside the key that is spread: name an attribute in "
                "which the items of one key differ; or say by=resilient_ddb.sharding.RANDOM, with which a key that is "
                "put twice may be there twice"
            )
        found = replace(found, by=(sort,))
    found.refuse_key_alone(key)
    return found


def layout_of(shards: Shards | ShardLayout, **options: Any) -> ShardLayout:
    """Return the layout that `Table.sharded` was given: whole, or setting by setting.

    Raises:
        TypeError, ValueError: a setting can't be meant, or is given beside a whole layout.
    """
    if not isinstance(shards, ShardLayout):
        return ShardLayout(shards, **options)
    defaults = {one.name: one.default for one in fields(ShardLayout)}
    for name, value in options.items():
        if value != defaults[name]:
            argument = "shard_attribute" if name == "attribute" else name
            raise TypeError(
                f"{argument} must be left out beside a ShardLayout, which says it: make another one with "
                f"dataclasses.replace(layout, {name}=...)"
            )
    return shards


def _names(by: Any) -> tuple[str, ...]:
    if isinstance(by, str) and by.lower() == "random":
        raise ValueError(
            f"by={by!r} names an attribute: write by=resilient_ddb.sharding.RANDOM for a shard that is drawn, or "
            f"by=[{by!r}] if the attribute is called so"
        )
    names = (by,) if isinstance(by, str) else by
    are_names = isinstance(names, (list, tuple)) and all(isinstance(name, str) and name for name in names)
    if not are_names or not names:
        raise TypeError(
            f"by must be the name of an attribute, or several, or resilient_ddb.sharding.RANDOM; got {by!r}"
        )
    return tuple(names)


def _frozen(shards: Any) -> Any:
    return dict(shards) if isinstance(shards, Mapping) else shards


def _drawn(_least: float, _most: float) -> float:
    raise AssertionError("a shard that is calculated is not drawn")
