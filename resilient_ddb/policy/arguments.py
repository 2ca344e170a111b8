"""Functions that say what is meant if they are called with an argument that they have not; and what stands for none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from functools import wraps
from inspect import CO_VARARGS, CO_VARKEYWORDS
from typing import Any, Final, TypeVar, cast

Called = TypeVar("Called", bound=Callable[..., Any])
_OF_ITEMS = frozenset({"ttl_seconds", "expected_version"})
"""Parameters of this library's own that verbs hand on to other verbs."""
_OF_ALL_VERBS = "ReturnConsumedCapacity"
"""A parameter of DynamoDB's that all verbs take."""


class NotGiven(Enum):
    """The type of `NOT_GIVEN`."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        return "<not given>"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
"""Stands for an argument that is not given, where None says something."""


def names_checked(function: Called) -> Called:
    """Return the function, with words for a name that it has not, and for one argument too many.

    What takes `**params` is a verb: it hands on DynamoDB's parameters, whose names begin with a capital letter. What
    takes others, as `**options`, hands them on to a function that knows them.
    """
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    known = frozenset(names)
    hands_on = bool(code.co_flags & CO_VARKEYWORDS)
    is_verb = hands_on and "params" in code.co_varnames
    most = sys.maxsize if code.co_flags & CO_VARARGS else code.co_argcount

    @wraps(function)
    def checked(*args: Any, **given: Any) -> Any:
        if len(args) > most:
            from .meant import position_refusal  # noqa: PLC0415 - loaded if something is wrong

            first = names[: code.co_argcount]
            shown = type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
            others = (*names[code.co_argcount :], *((_OF_ALL_VERBS,) if is_verb else ()))
            raise position_refusal(shown, [one for one in first if one != "self"], others)
        if not given.keys() <= known:
            for name in given:
                if name not in known and not (is_verb and (name[:1].isupper() or name in _OF_ITEMS)):
                    from .meant import argument_refusal, meaning  # noqa: PLC0415 - loaded if something is wrong

                    shown = type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
                    own = [one for one in names if one != "self"]
                    if is_verb:
                        from .elsewhere import where_it_goes  # noqa: PLC0415 - as above

                        raise argument_refusal(shown, name, own, is_verb=True, elsewhere=where_it_goes(name))
                    if not hands_on or meaning(shown, name, own):
                        raise argument_refusal(shown, name, own)
        return function(*args, **given)

    return cast("Called", checked)


def refuse_unknown(function: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that a function has not.

    Raises:
        TypeError: there is one. It says what is meant, if that is known.
    """
    for name in given:
        if name not in known:
            from .meant import argument_refusal  # noqa: PLC0415 - loaded if something is wrong

            raise argument_refusal(function, name, known)
