"""Optimistic locking: what versioned writes send, and what their answers mean. No I/O, and nothing sleeps here.

An item's version is a number in one of its attributes. Each write says which version it expects, and stores the next
one: of two that read the same version, one succeeds and the other gets a `VersionConflictError`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from resilient_ddb.calls.own_write import normalise
from resilient_ddb.codec.values import from_native, item_as_native
from resilient_ddb.dynamodb import reserved
from resilient_ddb.dynamodb.expressions import join_condition
from resilient_ddb.dynamodb.operations import OLD_PARAMETERS, RETURN_ON_FAILURE, set_as_well
from resilient_ddb.errors import VersionConflictError, attach_facts_of, conflict_class
from resilient_ddb.errors.words import is_failed_condition

from .numbers import check_version, check_whole_version, version_after

if TYPE_CHECKING:
    from resilient_ddb.ttl.rule import Expired

_MOST_NAMES = 100
"""Attributes that one condition can name: 300 operators and functions, and 4 KB."""
_Item = Mapping[str, Any]


class Delete(Enum):
    """The type of `DELETE`."""

    DELETE = "DELETE"

    def __repr__(self) -> str:
        return "rddb.DELETE"


DELETE: Final = Delete.DELETE
"""What a `change` given to `modify` returns to have the item deleted."""


class FromItem(Enum):
    """The type of `FROM_ITEM`."""

    FROM_ITEM = "the item's own"

    def __repr__(self) -> str:
        return "<as the item says>"


FROM_ITEM: Final = FromItem.FROM_ITEM
"""Stands for the version that the item itself holds: none means that the write creates it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A write that goes by a version."""

    params: dict[str, Any]
    """The parameters of the verb, with native values."""
    expected: int | None
    """The version that the item must have; None: none."""
    there: bool | None = None
    """If the item must have no version: whether it must be there; None: either way."""
    version: int | None = None
    """The version that is stored; None for a delete."""
    over: Expired | None = None
    """The expired item in whose place this one is put; it must be as it was met."""
    remade: Callable[..., Write] | None = None
    """Makes the write anew, given what it is `over`; None if it is not of a new item."""


def _new_token() -> str:
    return secrets.token_urlsafe(9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioning:
    """Which attributes versioned writes use.

    Raises:
        TypeError, ValueError: they can't be used so.
    """

    attribute: str = "version"
    """Holds the version: a whole number."""
    write_token: str | None = None
    """Holds the marks of the last writes; None: no mark is left."""
    new_token: Callable[[], str] = _new_token
    """Makes a token for a write: short, without spaces, and never the same."""

    def __post_init__(self) -> None:
        for name, value in (("attribute", self.attribute), ("write_token", self.write_token)):
            if value is None and name == "write_token":
                continue
            if not isinstance(value, str):
                raise TypeError(f"{name} must be the name of an attribute; got {value!r}")
            if not value:
                raise ValueError(f"{name} must be the name of an attribute; got an empty one")
        if self.attribute == self.write_token:
            raise ValueError(f"attribute and write_token must be two attributes; got {self.attribute!r} for both")

    def put(
        self,
        item: Any,
        params: Mapping[str, Any],
        expected: Any = FROM_ITEM,
        *,
        key: _Item | None = None,
        is_there: bool = False,
        over: Expired | None = None,
    ) -> Write:
        """Return the write of a whole item.

        Args:
            item: the item, with the version that it was read with, or without one. It stays as it is.
            params: put_item's further parameters.
            expected: the version that the stored item must have, or None for an item without one; by default what
                `item` says.
            key: the item's key, if it is known.
            is_there: whether the item must be there, if no version is expected of it.
            over: an expired item, which stands for none, and in whose place the new one is put. Its version goes on:
                if it began anew, a reader of the expired one at version 1 would take the new one for it.

        Raises:
            TypeError, ValueError: the item can't be written, or says something else than `expected`.
        """
        _refuse_old(params)
        _check_item("Item", item)
        own = self.version_in(item, "Item")
        creates = expected is FROM_ITEM and own is None
        wanted = version = own if expected is FROM_ITEM else check_version("expected_version", expected)
        if self.attribute in item and own != version:
            raise ValueError(
                f"expected_version must agree with the attribute {self.attribute!r} of Item: leave one of them out"
            )
        if over is not None:
            version = self.version_in(over.item, "the expired item")
        following = version_after(version)
        stored = {**item, self.attribute: following}
        condition, names, values = self._condition(version)
        if over is not None:
            names[reserved.TTL], values[reserved.TTL_MET] = over.attribute, over.item[over.attribute]
            condition += f" AND {reserved.TTL} = {reserved.TTL_MET}"
        elif creates:
            candidates = [next(iter(key))] if key else _possible_keys(item, self)
            names.update((f"{reserved.KEY}{number}", name) for number, name in enumerate(candidates))
            absent = (f"attribute_not_exists({name})" for name in names)
            condition = " AND ".join(absent)
        elif is_there and version is None and key:
            names[f"{reserved.KEY}0"] = next(iter(key))
            condition += f" AND attribute_exists({reserved.KEY}0)"
        if self.write_token is not None:
            mark = reserved.mark_of(following, self.new_token())
            stored[self.write_token] = reserved.marks_after(mark, self._marks_in(over.item if over else item))
            names[reserved.WRITE_TOKEN_NAME], values[reserved.WRITE_TOKEN] = self.write_token, mark
            condition += f" AND NOT contains({reserved.WRITE_TOKEN_NAME}, {reserved.WRITE_TOKEN})"
        joined = join_condition({**params, "Item": stored, RETURN_ON_FAILURE: "ALL_OLD"}, condition, names, values)
        there = False if creates else True if is_there else None
        remade = partial(self.put, item, params, expected, key=key) if wanted is None and not is_there else None
        return Write(params=joined, expected=wanted, there=there, version=following, over=over, remade=remade)

    def update(self, key: Any, params: Mapping[str, Any], expected: Any) -> Write:
        """Return an update by expression. See `put`."""
        _refuse_old(params)
        self.check_key(key)
        version = check_version("expected_version", expected)
        following = version_after(version)
        condition, names, values = self._condition(version)
        assignments = f"{reserved.VERSION} = {reserved.FOLLOWING}"
        values[reserved.FOLLOWING] = following
        if self.write_token is not None:
            assignments += f", {reserved.WRITE_TOKEN_NAME} = {reserved.WRITE_TOKEN}"
            names[reserved.WRITE_TOKEN_NAME] = self.write_token
            values[reserved.WRITE_TOKEN] = reserved.mark_of(following, self.new_token())
        expression = params.get("UpdateExpression")
        if expression is not None and not isinstance(expression, str):
            raise TypeError(f"UpdateExpression must be a string; got {type(expression).__name__}")
        joined = join_condition({**params, "Key": key, RETURN_ON_FAILURE: "ALL_OLD"}, condition, names, values)
        joined["UpdateExpression"] = set_as_well(expression, assignments)
        return Write(params=joined, expected=version, version=following)

    def delete(self, key: Any, params: Mapping[str, Any], expected: Any) -> Write:
        """Return a delete. See `put`."""
        _refuse_old(params)
        self.check_key(key)
        version = check_version("expected_version", expected)
        joined = join_condition({**params, "Key": key, RETURN_ON_FAILURE: "ALL_OLD"}, *self._condition(version))
        return Write(params=joined, expected=version)

    def conflict(self, write: Write, error: ClientError, table: str) -> VersionConflictError | None:
        """Return the conflict that a failed condition amounts to.

        None if it was the caller's own condition that failed, or if the item that is there can't be read.
        """
        if not is_failed_condition(error):
            return None
        item = error.response.get("Item")
        try:
            current = item_as_native(item) if item else None
        except DecimalException:
            error.add_note("the item that is there holds a number that boto3's decimal context can't hold exactly")
            return None
        if self._stands(write, current):
            return None
        made = conflict_class(type(error))(  # type: ignore[arg-type]  # mypy takes no class for hashable
            error.response,
            error.operation_name,
            table=table,
            attribute=self.attribute,
            expected=write.expected,
            current=current,
        )
        attach_facts_of(error, made)
        return made

    def _stands(self, write: Write, current: _Item | None) -> bool:
        """Return whether an item is as a write expected it."""
        if write.over is not None:
            met, names = write.over.item, (self.attribute, write.over.attribute)
            return current is not None and all(current.get(name) == met.get(name) for name in names)
        if write.expected is None and write.there not in (None, current is not None):
            return False
        if current is None:
            return write.expected is None
        if self.attribute not in current:
            return write.expected is None
        found = current[self.attribute]  # a BOOL equals a number, in Python
        return write.expected is not None and isinstance(found, Decimal) and found == write.expected

    def version_in(self, item: _Item, of: str) -> int | None:
        """Return the version that an item holds; None if it holds none.

        Raises:
            TypeError, ValueError: it is no whole number, or one of too many digits.
        """
        if self.attribute not in item:
            return None
        return check_whole_version(f"the attribute {self.attribute!r} of {of}", item[self.attribute])

    def content(self, item: _Item) -> dict[str, Any]:
        """Return what an item says apart from its version and marks, in a form that can be compared."""
        own = (self.attribute, self.write_token)
        return {name: comparable(value) for name, value in item.items() if name not in own}

    def with_version(self, write: Write, response: dict[str, Any]) -> dict[str, Any]:
        """Return a write's response with the version that it stored; not one that a fallback made."""
        metadata = response.setdefault("ResponseMetadata", {})
        if write.version is not None and "fallback" not in metadata.get("Resilience", {}):
            metadata.setdefault("Resilience", {})["version"] = write.version
        return response

    def _condition(self, version: int | None) -> tuple[str, dict[str, str], dict[str, Any]]:
        names = {reserved.VERSION: self.attribute}
        if version is None:
            return f"attribute_not_exists({reserved.VERSION})", names, {}
        return f"{reserved.VERSION} = {reserved.EXPECTED}", names, {reserved.EXPECTED: version}

    def _marks_in(self, item: _Item) -> str:
        marks = item.get(self.write_token or "", "")
        if not isinstance(marks, str):
            raise TypeError(
                f"the attribute {self.write_token!r} of Item must be what earlier writes stored there, a string; "
                f"got {type(marks).__name__}"
            )
        return marks

    def check_key(self, key: Any) -> None:
        """Refuse a key that is none, or holds what changes with every write.

        Raises:
            TypeError, ValueError: it is so.
        """
        _check_item("Key", key)
        for name in (self.attribute, self.write_token):
            if name in key:
                raise ValueError(f"Key must not hold the attribute {name!r}: it changes with every write")


def comparable(value: Any) -> Any:
    """Return a native value in a form that is equal for what DynamoDB stores alike: `1` is not `True`.

    What DynamoDB does not take is left as it is: a Table makes whole seconds of its TTL, and boto3 refuses all else.
    """
    try:
        return normalise(from_native(value))
    except (TypeError, ArithmeticError):
        return value


def _check_item(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict; got {type(value).__name__}")


def _refuse_old(params: Mapping[str, Any]) -> None:
    for name in OLD_PARAMETERS:
        if name in params:
            raise ValueError(f"{name} does not go with a version: use expressions (ConditionExpression, ...) instead")
    if params.get(RETURN_ON_FAILURE, "ALL_OLD") != "ALL_OLD":
        raise ValueError(f"{RETURN_ON_FAILURE} is always 'ALL_OLD' on a versioned table: a conflict is told by it")


def _possible_keys(item: _Item, versioning: Versioning) -> list[str]:
    """Return the attributes that may be the key: all of them are absent exactly if there is no item.

    The write that made the item has written its key. So the table need not be described first.
    """
    own = (versioning.attribute, versioning.write_token)
    found = [name for name, value in item.items() if name not in own and _may_be_key(value)]
    if len(found) > _MOST_NAMES:
        raise ValueError(
            f"Item has {len(found)} attributes that could be part of its key, more than one condition can name: "
            "create it with modify(Key, ...), which knows the key"
        )
    return found


def _may_be_key(value: Any) -> bool:
    try:
        [kind] = from_native(value)
    except (TypeError, ArithmeticError):  # see `comparable`
        return False
    return kind in ("S", "N", "B")
