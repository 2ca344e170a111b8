"""What all settings have in common: `replace`, and words for a setting that there is none of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, fields, replace
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self


class Settings:
    """The base of the frozen dataclasses that hold settings.

    They are compared, and shown, by what stands here: a dataclass compiles methods of its own for that, as each process
    begins.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        cls: Any = type(self)
        values = _values_of(cls)
        return bool(values(self) == values(other))

    def __hash__(self) -> int:
        cls: Any = type(self)
        return hash((cls, _values_of(cls)(self)))

    def __repr__(self) -> str:
        shown = (f"{one.name}={getattr(self, one.name)!r}" for one in _fields_of(type(self)) if one.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    if not TYPE_CHECKING:  # type checkers go by the fields

        def __new__(cls, *args: Any, **settings: Any) -> Self:
            """Make a value, and refuse what is none of its settings with the name of what is meant."""
            fields = cls.__dict__.get("__dataclass_fields__")
            if fields is None:  # a class of somebody's own, with a constructor of its own
                return object.__new__(cls)
            by_position = sum(one.init and not one.kw_only for one in fields.values()) if args else 0
            if len(args) > by_position or not fields.keys() >= settings.keys():
                from .meant import refusal  # noqa: PLC0415 - loaded if something is wrong

                raise refusal(cls, settings, Settings.__subclasses__())
            return object.__new__(cls)

    def replace(self, **changes: Any) -> Self:
        """Return the same settings with changes.

        Args:
            changes: settings by name, as the class takes them.

        Raises:
            TypeError, ValueError: there is no such setting, or a value is of the wrong type or out of range.
        """
        return replace(self, **changes)  # type: ignore[type-var]  # each class beneath is a dataclass


def _fields_of(cls: Any) -> tuple[Field[Any], ...]:
    return fields(cls)


@cache
def _values_of(cls: type) -> Callable[[Any], Any]:
    """Return what reads all settings of one, in C: a Table with a policy of its own is found by them."""
    return attrgetter(*[one.name for one in _fields_of(cls)])
