"""Parts of boto3's and botocore's that they do not promise to keep: whether they are there, and as they were made.

Nothing here raises: a part that is not as expected is one to do without.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from operator import attrgetter
from types import FunctionType
from typing import Any


def part(module: str, name: str) -> Any:
    """Give a part of a module; None where there is no such part."""
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


def home_of(handler: Any) -> str:
    """Give the module in which a function or method was written, whatever name a wrapper goes by; "" if unknown."""
    function = getattr(handler, "__func__", handler)
    if type(function) is not FunctionType:  # an object that can be called
        function = vars(type(function)).get("__call__")
    return str(getattr(function, "__globals__", {}).get("__name__", ""))


class Original:
    """Functions within an object: whether they are still those that its module was made with."""

    def __init__(self, root: Any, names: Sequence[str], *modules: str) -> None:
        """Remember the functions of these (dotted) names, if they are all there and of these modules."""
        self._root = root
        self._get = attrgetter(*names)
        found = self._find()
        functions = found if isinstance(found, tuple) else (found,)
        is_own = all(type(function) is FunctionType and home_of(function) in modules for function in functions)
        self._made = found if is_own else None

    def stands(self) -> bool:
        """Tell whether all are there, and none was replaced: some programs do that, and mean it."""
        return self._made is not None and bool(self._find() == self._made)

    def _find(self) -> Any:
        try:
            return self._get(self._root)
        except AttributeError:
            return None


def is_own(module: str, cls: str, method: str) -> bool:
    """Tell whether a method of a class is the one that the class was made with."""
    return Original(part(module, cls), [method], module).stands()
