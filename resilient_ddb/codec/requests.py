"""Requests: where an operation's parameters have attribute values, and whether botocore would accept them.

All is compiled from botocore's model of the operation, once for each operation of a client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableSequence
from operator import methodcaller
from typing import Any

from .values import UnusualError, are_valid, from_native, is_valid, surely_typed, surely_typed_map

Step = Callable[[Any], None]
"""Types the values within a parameter, in place."""
Check = Callable[[Any], bool]
"""Tells whether botocore accepts a parameter, and writes it to JSON as it stands."""
Made = Callable[[Any], Any]
"""Returns a parameter as it is written to JSON, its values typed. Raises an Exception where botocore might not accept
it; the parameter stays as it is."""

_VALUE = "AttributeValue"


# Where the values are.


def compile_typing(shape: Any) -> Step:
    """Return a function that types the native values in an operation's parameters, in place.

    It goes where boto3's `ParameterTransformer` goes, and leaves alone what that leaves alone.
    """
    return _typing(shape) or _nothing


def _nothing(_: Any) -> None:
    """Return at once: there are no values to type."""


def _typing(shape: Any) -> Step | None:
    make = _TYPING.get(shape.type_name)
    return None if make is None else make(shape)


def _typing_of_structure(shape: Any) -> Step | None:
    members = {name: (member.name == _VALUE, _typing(member)) for name, member in shape.members.items()}
    members = {name: found for name, found in members.items() if found != (False, None)}
    if not members:
        return None

    def step(params: Any) -> None:
        if not isinstance(params, Mapping):
            return
        for name, value in params.items():
            is_value, inner = members.get(name, (False, None))
            if is_value:
                params[name] = from_native(value)  # type: ignore[index]  # as boto3: what can't be set is an error
            elif inner is not None:
                inner(value)

    return step


def _typing_of_map(shape: Any) -> Step | None:
    return _type_map if shape.value.name == _VALUE else _typing_of_each(shape.value, Mapping, methodcaller("values"))


def _typing_of_list(shape: Any) -> Step | None:
    return _type_list if shape.member.name == _VALUE else _typing_of_each(shape.member, MutableSequence, iter)


def _typing_of_each(shape: Any, kind: type, members_of: Callable[[Any], Iterable[Any]]) -> Step | None:
    inner = _typing(shape)
    if inner is None:
        return None

    def step(params: Any) -> None:
        if isinstance(params, kind):
            for member in members_of(params):
                inner(member)

    return step


def _type_map(params: Any) -> None:
    if isinstance(params, Mapping):
        for name, value in params.items():
            params[name] = from_native(value)  # type: ignore[index]  # as boto3: what can't be set is an error


def _type_list(params: Any) -> None:
    if isinstance(params, MutableSequence):
        for index, value in enumerate(params):
            params[index] = from_native(value)


_TYPING = {"structure": _typing_of_structure, "map": _typing_of_map, "list": _typing_of_list}


# What botocore accepts.


def compile_check(shape: Any) -> Check:
    """Return a function that tells whether parameters, their values typed, are beyond botocore's doubt.

    False says nothing: then botocore validates them itself, and says what is wrong, if anything is.
    """
    if shape.name == _VALUE:
        return is_valid
    make = _CHECKS.get(shape.type_name)
    is_plain = make is not None and not shape.serialization and not getattr(shape, "is_document_type", False)
    return make(shape) if make is not None and is_plain else _in_doubt


def _in_doubt(_: Any) -> bool:
    return False


def _check_of_structure(shape: Any) -> Check:
    if shape.is_tagged_union:
        return _in_doubt
    members = {name: compile_check(member) for name, member in shape.members.items()}
    required = frozenset(shape.required_members)

    def check(params: Any) -> bool:
        if type(params) is not dict or not required <= params.keys():
            return False
        for name, value in params.items():
            inner = members.get(name)
            if inner is None or not inner(value):
                return False
        return True

    return check


def _check_of_map(shape: Any) -> Check:
    if shape.value.name == _VALUE and shape.key.type_name == "string" and not _minimum(shape.key):
        return are_valid
    check_key, check_value = compile_check(shape.key), compile_check(shape.value)

    def check(params: Any) -> bool:
        return type(params) is dict and all(check_key(key) and check_value(value) for key, value in params.items())

    return check


def _check_of_list(shape: Any) -> Check:
    inner, least = compile_check(shape.member), _minimum(shape)

    def check(params: Any) -> bool:
        return type(params) is list and len(params) >= least and all(map(inner, params))

    return check


def _check_of_string(shape: Any) -> Check:
    least = _minimum(shape)
    return lambda value: type(value) is str and len(value) >= least


def _check_of_integer(shape: Any) -> Check:
    least = _minimum(shape, float("-inf"))
    return lambda value: type(value) is int and value >= least


def _check_of_boolean(_: Any) -> Check:
    return lambda value: type(value) is bool


def _minimum(shape: Any, unless: float = 0) -> float:
    least: float = shape.metadata.get("min", unless)
    return least


_CHECKS = {
    "structure": _check_of_structure,
    "map": _check_of_map,
    "list": _check_of_list,
    "string": _check_of_string,
    "integer": _check_of_integer,
    "long": _check_of_integer,
    "boolean": _check_of_boolean,
}


# Both at once, and without a copy to begin with.


def compile_making(shape: Any) -> Made:
    """Return a function that gives an operation's parameters, their values native, as they are written to JSON."""
    if shape.name == _VALUE:
        return surely_typed
    make = _MAKING.get(shape.type_name)
    if _typing(shape) is None:
        return _checked(compile_check(shape))
    return make(shape) if make is not None and not shape.serialization else _checked(_in_doubt)


def _checked(check: Check) -> Made:
    """Return a function that gives what has no values in it as it is: it is only written."""

    def made(params: Any) -> Any:
        if not check(params):
            raise UnusualError
        return params

    return made


def _making_of_structure(shape: Any) -> Made:
    members = {name: compile_making(member) for name, member in shape.members.items()}
    required = frozenset(shape.required_members)

    def made(params: Any) -> Any:
        if type(params) is not dict or not required <= params.keys():
            raise UnusualError
        return {name: members[name](value) for name, value in params.items()}

    return made


def _making_of_map(shape: Any) -> Made:
    if shape.value.name == _VALUE and shape.key.type_name == "string" and not _minimum(shape.key):
        return surely_typed_map
    key, inner = _checked(compile_check(shape.key)), compile_making(shape.value)

    def made(params: Any) -> Any:
        if type(params) is not dict:
            raise UnusualError
        return {key(name): inner(value) for name, value in params.items()}

    return made


def _making_of_list(shape: Any) -> Made:
    inner, least = compile_making(shape.member), _minimum(shape)

    def made(params: Any) -> Any:
        if type(params) is not list or len(params) < least:
            raise UnusualError
        return list(map(inner, params))

    return made


_MAKING = {"structure": _making_of_structure, "map": _making_of_map, "list": _making_of_list}
