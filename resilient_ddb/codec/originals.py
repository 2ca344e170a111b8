"""Parts of boto3's and botocore's that they do not promise to keep: whether they are there, and as they were made.

Nothing here raises: a part that is not as expected is one to do without. Functions are compared by `is`: a proxy that
somebody has put around one, as instrumentation does, is equal to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from operator import attrgetter
from types import FunctionType, MethodType
from typing import Any


def part(module: str, name: str) -> Any:
    """Return a part of a module; None if there is no such part."""
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


def home_of(handler: Any) -> str:
    """Return the module in which a function or method was written, whatever name a wrapper goes by; "" if unknown."""
    function = handler.__func__ if type(handler) is MethodType else handler
    if type(function) is not FunctionType:  # an object that can be called
        function = vars(type(function)).get("__call__")
    return str(getattr(function, "__globals__", {}).get("__name__", ""))


def is_same(one: Any, other: Any) -> bool:
    """Return whether two handlers are one function, or one method of one object."""
    if type(one) is MethodType and type(other) is MethodType:
        return one.__self__ is other.__self__ and one.__func__ is other.__func__
    return one is other


class Parts:
    """What several functions are looked up in, by name."""

    def __init__(self, **parts: Any) -> None:
        for name, found in parts.items():
            setattr(self, name, found)  # one by one: what was put into the dict is looked up more slowly


def sameness(names: Sequence[str], found: Sequence[Any]) -> Callable[[Any], bool]:
    """Return a function that says whether these (dotted) names, in an object, stand for the very objects found.

    It is compiled: each call asks for some 150 names, and a loop over them takes more than twice as long.

    The function raises AttributeError: a name stands for nothing.
    """
    each = " and ".join(f"root.{name} is found{at}" for at, name in enumerate(names))
    known = {f"found{at}": part for at, part in enumerate(found)}
    compiled: Callable[[Any], bool] = eval(f"lambda root: {each}", known)  # noqa: S307 - of names in this package
    return compiled


class Original:
    """Functions within an object: whether they are still those that its module was made with."""

    def __init__(self, root: Any, names: Sequence[str], *modules: str) -> None:
        """Remember the functions of these (dotted) names, if they are all there and of these modules."""
        self._root = root
        self._are_same: Callable[[Any], bool] | None = None
        try:
            found = [attrgetter(name)(root) for name in names]
        except AttributeError:
            return
        if all(type(function) is FunctionType and home_of(function) in modules for function in found):
            self._are_same = sameness(names, found)

    def stands(self) -> bool:
        """Return whether all are there, and none was replaced or wrapped: some programs do that, and mean it."""
        if self._are_same is None:
            return False
        try:
            return self._are_same(self._root)
        except AttributeError:
            return False


def is_own(module: str, cls: str, method: str) -> bool:
    """Return whether a method of a class is the one that the class was made with."""
    return Original(part(module, cls), [method], module).stands()
