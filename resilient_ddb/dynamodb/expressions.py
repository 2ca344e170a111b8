"""Turning `Key` and `Attr` conditions into expressions, in place of boto3's own handler.

boto3 keeps one builder for each resource, which two threads race for. The placeholders that it generates (`#n0`,
`:v0`) silently overwrite a caller's own of the same name. Here each call has a builder of its own, and where a name
is taken the generated ones get a prefix of their own.

And asking for attributes that the library needs in an answer, if the caller's projection leaves them out.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from itertools import accumulate
from typing import Any

from boto3.dynamodb.conditions import AttributeBase, ConditionBase, ConditionExpressionBuilder

from .operations import set_as_well
from .reserved import NAMES as _NAMES
from .reserved import PREFIX as _RESERVED_PREFIX
from .reserved import VALUES as _VALUES

HANDLER_ID = "dynamodb-condition-expression"
"""boto3's id for its own handler: registered under it, this one takes its place."""

EQUALITIES = (
    r"(?<![\w#:.])(?P<name>#?\w+)\s*=\s*(?P<value>:\w+)",
    r"(?<![\w#:.])(?P<value>:\w+)\s*=\s*(?P<name>#?\w+)",
)
"""Patterns of what a key condition wants to be equal, either way round."""
_PROJECTION, _LEGACY = "ProjectionExpression", "AttributesToGet"
_CONDITIONS = ("KeyConditionExpression", "FilterExpression", "ConditionExpression")
_ENTRIES = "TransactItems"
PLACES = frozenset({*_CONDITIONS, _ENTRIES})
"""The parameters that may be, or have within them, condition objects."""


class _PrefixedBuilder(ConditionExpressionBuilder):  # type: ignore[misc]  # boto3 has no types of its own
    """Generates `#rddb_n0` and `:rddb_v0`."""

    def __init__(self) -> None:
        super().__init__()
        self._name_placeholder = f"{_RESERVED_PREFIX}n"
        self._value_placeholder = f"{_RESERVED_PREFIX}v"


def inject_condition_expressions(params: dict[str, Any], model: Any, **_: Any) -> None:
    """Replace condition objects in a request's parameters by expressions with placeholders.

    What the operation does not take is left as it is: botocore's validation says so.

    Raises:
        ValueError: the caller's placeholders take both the ordinary and the reserved names.
    """
    inject(params, model.input_shape.members)
    entries = params.get(_ENTRIES)
    for entry in entries if isinstance(entries, list) else ():
        actions = model.input_shape.members[_ENTRIES].member.members
        for name, action in entry.items() if isinstance(entry, Mapping) else ():
            if isinstance(action, dict) and name in actions:
                inject(action, actions[name].members)


def inject(params: dict[str, Any], members: Container[str] = _CONDITIONS) -> None:
    """Replace the condition objects among those parameters that are of `members`. Raises as above."""
    known = [name for name in _CONDITIONS if name in members]
    conditions = {name: params[name] for name in known if isinstance(params.get(name), ConditionBase)}
    if not conditions:
        return
    own = (params.get(_NAMES), params.get(_VALUES))
    if not all(placeholders is None or isinstance(placeholders, dict) for placeholders in own):
        return
    built, names, values = _build(ConditionExpressionBuilder(), conditions)
    if _collide(params, names, values):
        built, names, values = _build(_PrefixedBuilder(), conditions)
        _refuse_taken(_collide(params, names, values), "those of Key() and Attr() conditions")
    params.update(built)
    _add_placeholders(params, names, values)


def join_condition(
    params: Mapping[str, Any], condition: str, names: Mapping[str, str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a write's parameters with a condition of ours beside the caller's own: both have to hold.

    Args:
        params: the parameters, with native values. They stay as they are.
        condition: our condition, with placeholders under the reserved prefix.
        names: all our placeholders for attribute names, also those that other expressions use.
        values: all our placeholders for values.

    Raises:
        TypeError: the caller's `ConditionExpression` is no condition, or their placeholders are no dicts.
        ValueError: the caller's placeholders take names of ours, or their condition is none.
    """
    for parameter in (_NAMES, _VALUES):
        if not isinstance(params.get(parameter, {}), Mapping):
            raise TypeError(f"{parameter} must be a dict; got {type(params[parameter]).__name__}")
    own = params.get("ConditionExpression")
    if isinstance(own, ConditionBase):
        built, own_names, own_values = _build(_PrefixedBuilder(), {"ConditionExpression": own})
        own, names, values = built["ConditionExpression"], {**names, **own_names}, {**values, **own_values}
    elif own is not None and not isinstance(own, str):
        raise TypeError(f"ConditionExpression must be a string or an Attr() condition; got {type(own).__name__}")
    _refuse_taken(_collide(params, names, values), "those that are added here")
    both_hold = condition if own is None else both(own, condition)
    if both_hold is None:
        raise ValueError(f"ConditionExpression must not be empty, and its parentheses must match; got {own!r}")
    joined = {**params, "ConditionExpression": both_hold}
    _add_placeholders(joined, names, values)
    return joined


def join_assignments(
    params: Mapping[str, Any], assignments: str, names: Mapping[str, str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an update's parameters with assignments of ours beside what the caller's expression does.

    Args:
        params: the parameters, with native values. They stay as they are.
        assignments: what goes into the `SET` clause, with placeholders under the reserved prefix.
        names: our placeholders for attribute names.
        values: our placeholders for values.

    Raises:
        ValueError: the caller's placeholders take names of ours.
    """
    _refuse_taken(_collide(params, names, values), "those that are added here")
    joined = {**params, "UpdateExpression": set_as_well(params.get("UpdateExpression"), assignments)}
    _add_placeholders(joined, names, values)
    return joined


def both(own: str, ours: str) -> str | None:
    """Return an expression that holds where the caller's own and ours do; None if the caller's is none by itself.

    Within parentheses the caller's stays what it is, whatever it says: but DynamoDB refuses a second pair around it.
    """
    depths = list(accumulate({"(": 1, ")": -1}.get(character, 0) for character in own))  # texts are placeholders
    if not own.strip() or min(depths) < 0 or depths[-1] != 0:
        return None
    first, last = len(own) - len(own.lstrip()), len(own.rstrip()) - 1
    is_grouped = own[first] == "(" and depths.index(0, first) == last
    return f"{own if is_grouped else f'({own})'} AND {ours}"


def _refuse_taken(taken: set[str], whose: str) -> None:
    if taken:
        raise ValueError(
            f"{_NAMES} and {_VALUES} must leave the names free that begin with '#{_RESERVED_PREFIX}' and "
            f"':{_RESERVED_PREFIX}', for {whose}; got {sorted(taken)}"
        )


def _add_placeholders(params: dict[str, Any], names: Mapping[str, str], values: Mapping[str, Any]) -> None:
    if names:
        params[_NAMES] = {**(params.get(_NAMES) or {}), **names}
    if values:
        params[_VALUES] = {**(params.get(_VALUES) or {}), **values}


def attributes_of(condition: ConditionBase) -> set[str]:
    """Return the names, or paths, of the attributes that a condition object names."""
    parts = condition.get_expression()["values"]
    within = [attributes_of(part) for part in parts if isinstance(part, ConditionBase)]
    return {part.name for part in parts if isinstance(part, AttributeBase)}.union(*within)


def _build(
    builder: ConditionExpressionBuilder, conditions: Mapping[str, ConditionBase]
) -> tuple[dict[str, str], dict[str, str], dict[str, Any]]:
    built: dict[str, str] = {}
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    # boto3's order: conditions on any attribute first, key conditions last.
    for parameter in sorted(conditions, key=lambda name: name == "KeyConditionExpression"):
        expression = builder.build_expression(
            conditions[parameter], is_key_condition=parameter == "KeyConditionExpression"
        )
        built[parameter] = expression.condition_expression
        names.update(expression.attribute_name_placeholders)
        values.update(expression.attribute_value_placeholders)
    return built, names, values


def _collide(params: Mapping[str, Any], names: Mapping[str, str], values: Mapping[str, Any]) -> set[str]:
    """Return the generated placeholders that the caller's own would be overwritten by, or that it uses already."""
    own = {**(params.get(_NAMES) or {}), **(params.get(_VALUES) or {})}
    return {name for name in (*names, *values) if name in own}


def asking_for(
    params: Mapping[str, Any], attribute: str, placeholder: str, what: str
) -> tuple[Mapping[str, Any], bool]:
    """Return a read's parameters with which an attribute is in its answer, and whether the caller did not ask for it.

    Args:
        params: the parameters. They stay as they are; what is no request as DynamoDB takes it is left to botocore.
        attribute: the attribute's name.
        placeholder: what stands for it in an expression, under the reserved prefix.
        what: what the attribute is to the caller, for errors.

    Raises:
        ValueError: the projection names a part of the attribute, or uses the placeholder for another.
    """
    listed, projection = params.get(_LEGACY), params.get(_PROJECTION)
    if listed is None and projection is None:
        return params, False
    if isinstance(listed, (list, tuple)) and attribute not in listed:
        return {**params, _LEGACY: [*listed, attribute]}, True
    names = params.get(_NAMES) or {}
    if not isinstance(projection, str) or not projection.strip() or not isinstance(names, Mapping):
        return params, False
    for path in projection.split(","):
        first, *rest = re.split(r"[.\[]", path.strip(), maxsplit=1)
        if names.get(first, first) == attribute:
            if rest:
                raise ValueError(f"{_PROJECTION} must not name a part of {what} {attribute!r}; ask for all of it")
            return params, False
    if names.get(placeholder, attribute) != attribute:
        raise ValueError(f"{_NAMES} must leave the name {placeholder!r} free, which is that of {what}")
    return {**params, _PROJECTION: f"{projection}, {placeholder}", _NAMES: {**names, placeholder: attribute}}, True
