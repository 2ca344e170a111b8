"""Which verbs of a resource are a call of the client's with the resource's name, and no more."""

from __future__ import annotations

import logging
from typing import Any

from boto3.resources import action, factory, response
from boto3.resources.params import create_request_parameters
from botocore import xform_name

from resilient_ddb.codec.originals import Original, home_of

_ACTING = Original(
    action,
    ["ServiceAction.__call__", "create_request_parameters", "RawHandler.__call__"],
    action.__name__,
    create_request_parameters.__module__,
    response.__name__,
)


def plain_operation(described: Any) -> str | None:
    """Return the client's method for an action that fills in the table's name, and returns the response as it is."""
    if described.resource is not None or described.path or described.request is None:
        return None
    filled_in = [(each.target, each.source, each.name) for each in described.request.params]
    return xform_name(described.request.operation) if filled_in == [("TableName", "identifier", "Name")] else None


def is_made_by_boto3(method: Any) -> bool:
    """Return whether a method is what boto3's own factory makes of an action, and that action boto3's own."""
    make = getattr(getattr(factory.ResourceFactory, "_create_action", None), "__code__", None)
    return (
        make is not None
        and home_of(method) == factory.__name__
        and getattr(method, "__code__", None) in make.co_consts
        and getattr(factory, "ServiceAction", None) is action.ServiceAction
    )


def boto3_acts_as_usual() -> bool:
    """Return whether boto3's actions are as they were made, and write no debug log."""
    return _ACTING.stands() and not action.logger.isEnabledFor(logging.DEBUG)
