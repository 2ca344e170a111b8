"""Parts of boto3's and botocore's that they do not promise to keep: whether they are there, and as they were made.

Nothing here raises: a part that is not as expected is one to do without. Functions are compared by `is`: a proxy that
somebody has put around one, as instrumentation does, is equal to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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


def sameness(
    names: Sequence[str],
    found: Sequence[Any],
    root: Any = None,
    *,
    without: Sequence[tuple[Mapping[str, Any], Iterable[str]]] = (),
) -> Callable[..., bool]:
    """Return a function that says whether these (dotted) names, in an object, stand for the very objects found.

    It is compiled: each call asks for some 150 names, and a loop over them takes more than twice as long. An object
    that several names lead through is looked up once. A name that stands for nothing is not the same.

    Args:
        names: the names.
        found: what they stand for.
        root: the object, if the function is not given one.
        without: mappings, and names that are not to be in them.
    """
    known: dict[str, Any] = {f"found{at}": each for at, each in enumerate(found)} | {"given": root}
    known |= {f"held{at}": mapping for at, (mapping, _) in enumerate(without)}
    conditions = _conditions(names)
    conditions += [f"{name!r} not in held{at}" for at, (_, members) in enumerate(without) for name in sorted(members)]
    exec(_FUNCTION.format(" and ".join(conditions)), known)  # noqa: S102 - of names in this package
    made: Callable[..., bool] = known.pop("are_same")  # else it would know itself, and keep all that was found
    return made


_FUNCTION = """
def are_same(root=given):
    try:
        return {}
    except AttributeError:
        return False
"""


def _conditions(names: Sequence[str]) -> list[str]:
    """Return the condition for each name. What comes before its last part has a variable."""
    places = {name: at for at, name in enumerate(names)}
    homes = {name.rpartition(".")[0] for name in names}
    homes |= {home.rpartition(".")[0] for home in homes}
    variables = {"": "root"}

    def variable_of(home: str) -> str:
        if home in variables:
            return variables[home]
        before, _, last = home.rpartition(".")
        expression = f"{variable_of(before)}.{last}"
        variables[home] = f"part{len(variables)}"
        return f"({variables[home]} := {expression})"

    conditions = []
    for name in sorted(names, key=lambda name: (name.rpartition(".")[0], name)):  # each after what it is within
        home, _, last = name.rpartition(".")
        expression = f"{variable_of(home)}.{last}"
        if name in homes and name not in variables:
            variables[name] = f"part{len(variables)}"
            expression = f"({variables[name]} := {expression})"
        conditions.append(f"{expression} is found{places[name]}")
    return conditions


class Place:
    """What is found in an object by (dotted) names: whether it is still there."""

    def __init__(self, root: Any, names: Sequence[str], is_sound: Callable[[str, Any], bool]) -> None:
        """Remember what these names stand for; it never stands if one is not there, or what is found is not sound."""
        self._root = root
        self._names = names
        self._found: Sequence[Any] | None = None
        self._looks = 0
        self._are_same: Callable[[], bool] | None = None
        try:
            found = [attrgetter(name)(root) for name in names]
        except AttributeError:
            return
        if all(map(is_sound, names, found)):
            self._found = found

    def stands(self) -> bool:
        """Return whether all is there, and nothing was replaced or wrapped: some programs do that, and mean it."""
        are_same = self._are_same
        return self._stands_at_first() if are_same is None else are_same()

    def _stands_at_first(self) -> bool:
        """Return what `stands` does, without it being compiled yet: that takes as long as a hundred looks."""
        found = self._found
        if found is None:
            return False
        self._looks += 1
        if self._looks > _FEW:
            are_same = self._are_same = sameness(self._names, found, self._root)
            return are_same()
        try:
            return all(attrgetter(name)(self._root) is each for name, each in zip(self._names, found, strict=True))
        except AttributeError:
            return False


class Original(Place):
    """Functions within an object: whether they are still those that its module was made with."""

    def __init__(self, root: Any, names: Sequence[str], *modules: str) -> None:
        """Remember the functions of these (dotted) names, if they are all there and of these modules."""
        super().__init__(root, names, lambda _, found: type(found) is FunctionType and home_of(found) in modules)


_FEW = 10


def is_own(module: str, cls: str, method: str) -> bool:
    """Return whether a method of a class is the one that the class was made with."""
    return Original(part(module, cls), [method], module).stands()
