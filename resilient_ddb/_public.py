"""The public names of a package, each loaded when it is first asked for."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def public_names(
    package: str, names: Sequence[str], homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's `__getattr__` and `__dir__`.

    Args:
        package: the package's own `__name__`.
        names: its `__all__`. A name that is in none of `homes` is a module of the package.
        homes: modules of the package, and which of the names each of them holds.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = next((module for module, held in homes.items() if name in held), None)
        value = import_module(f"{package}.{home or name}")
        if home is not None:
            value = getattr(value, name)
        vars(sys.modules[package])[name] = value
        return value

    return get, lambda: sorted(names)
