"""Parts of botocore's that it does not promise to keep: whether they are there, and as it made them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any


def part(module: str, name: str) -> Any:
    """Give a part of a module; None where there is no such part."""
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


def are_made_in(modules: Iterable[ModuleType], functions: Iterable[Any]) -> bool:
    """Tell whether functions are those of the modules: no wrapper of another's, whatever name it goes by."""
    homes = [vars(module) for module in modules]
    return all(
        type(function) is FunctionType and any(function.__globals__ is home for home in homes) for function in functions
    )
