"""Mixing this library's classes into boto3's own resource classes, at the extension point that boto3 itself uses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from resilient_ddb.fallback import Chain, Function
from resilient_ddb.hooks.config import TABLE_OPTIONS, check_options
from resilient_ddb.hooks.host import with_options
from resilient_ddb.hooks.models import boto3_acts_as_usual, is_made_by_boto3, plain_operation
from resilient_ddb.policy.arguments import NOT_GIVEN, refuse_unknown

from .tables import ResilientServiceResource, ResilientTable


def harden_service_resource_class(class_attributes: dict[str, Any], base_classes: list[type], **_: Any) -> None:
    """Handle boto3's `creating-resource-class.dynamodb.ServiceResource`."""
    if ResilientServiceResource in base_classes:
        return
    base_classes.insert(0, ResilientServiceResource)
    class_attributes["Table"] = _with_options(class_attributes["Table"])


def harden_table_class(
    class_attributes: dict[str, Any], base_classes: list[type], service_context: Any, **_: Any
) -> None:
    """Handle boto3's `creating-resource-class.dynamodb.Table`."""
    if ResilientTable in base_classes:
        return
    base_classes.insert(0, ResilientTable)
    model = class_attributes["meta"].resource_model
    shape = service_context.service_model.shape_for(model.shape)
    identifiers = {identifier.member_name for identifier in model.identifiers}
    for name, (member, _shape) in model.get_attributes(shape).items():
        if name not in identifiers:
            class_attributes[name] = _attribute(member, class_attributes[name])
    for action in model.actions:
        operation = plain_operation(action)
        original: Any = class_attributes.get(action.name)
        if operation is not None and is_made_by_boto3(original):
            class_attributes[action.name] = _verb(operation, original)


def _verb(operation: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a verb that calls the client's method at once: boto3's makes its parameters by reading their model.

    Whatever is unusual is left to boto3's own: arguments by position, another table's name, a debug log.
    """

    def do_action(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args or "TableName" in kwargs or not boto3_acts_as_usual():
            return original(self, *args, **kwargs)
        meta = self.meta
        response = getattr(meta.client, operation)(TableName=self.name, **kwargs)
        meta.data = None  # read anew when an attribute is asked for
        return response

    for name in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__"):
        setattr(do_action, name, getattr(original, name))
    return do_action


def _attribute(member: str, original: property) -> property:
    """Return an attribute that is read from what was loaded, in one step.

    boto3's reads `meta.data` twice; an action on another thread may have cleared it in between.
    """

    def load_and_get(self: Any) -> Any:
        data = self.meta.data
        if data is None:
            data = self.meta.client.describe_table(TableName=self.name)["Table"]
            self.meta.data = data
        return data.get(member)

    load_and_get.__doc__ = original.__doc__
    return property(load_and_get)


def _with_options(make: Callable[..., Any]) -> Callable[..., Any]:
    def table(self: Any, *args: Any, policy: Any = None, ttl: Any = NOT_GIVEN, **options: Any) -> Any:
        refuse_unknown("Table", options, TABLE_OPTIONS)
        check_options(policy, ttl)
        check_fallback_of(policy)
        made = make(self, *args, **options)
        made.meta.client = with_options(made.meta.client, made.name, policy, ttl)
        return made

    table.__name__ = "Table"
    table.__doc__ = make.__doc__
    return table


def check_fallback_of(policy: Any) -> None:
    """Refuse a policy whose fallback can't answer for a sync Table.

    Raises:
        TypeError: it is async.
    """
    if policy is not None and policy.fallback is not None:
        for member in Chain(policy.fallback).members:
            called = member.called if isinstance(member, Function) else member
            if inspect.iscoroutinefunction(called):
                raise TypeError(
                    f"fallback must not be async on the sync Table; got {called!r}: async fallbacks are for "
                    "resilient_ddb.aio"
                )
