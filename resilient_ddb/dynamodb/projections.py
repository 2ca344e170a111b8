"""Attributes that the library needs in an answer, asked for where the caller's projection leaves them out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .reserved import NAMES

_PROJECTION, _LEGACY = "ProjectionExpression", "AttributesToGet"


def asking_for(params: Mapping[str, Any], attribute: str, placeholder: str, what: str) -> tuple[dict[str, Any], bool]:
    """Return a read's parameters with which an attribute is in its answer, and whether the caller did not ask for it.

    Args:
        params: the parameters. They stay as they are; what is no request as DynamoDB takes it is left to botocore.
        attribute: the attribute's name.
        placeholder: what stands for it in an expression, under the reserved prefix.
        what: what the attribute is to the caller, for errors.

    Raises:
        ValueError: the projection names a part of the attribute, or uses the placeholder for another.
    """
    made = dict(params)
    listed = params.get(_LEGACY)
    if isinstance(listed, (list, tuple)) and attribute not in listed:
        made[_LEGACY] = [*listed, attribute]
        return made, True
    projection, names = params.get(_PROJECTION), params.get(NAMES) or {}
    if not isinstance(projection, str) or not projection.strip() or not isinstance(names, Mapping):
        return made, False
    for path in projection.split(","):
        first, *rest = re.split(r"[.\[]", path.strip(), maxsplit=1)
        if names.get(first, first) == attribute:
            if rest:
                raise ValueError(f"{_PROJECTION} must not name a part of {what} {attribute!r}; ask for all of it")
            return made, False
    if names.get(placeholder, attribute) != attribute:
        raise ValueError(f"{NAMES} must leave the name {placeholder!r} free, which is that of {what}")
    made[_PROJECTION] = f"{projection}, {placeholder}"
    made[NAMES] = {**names, placeholder: attribute}
    return made, True
