"""Native Python values in a client's calls: boto3's own codec, made safe for threads.

A client that serves a resource or a Table takes and gives native values; a low-level client takes and gives DynamoDB's
typed ones. boto3 makes the difference with four handlers on the client's events, registered anew by each resource
object under fixed ids. The same ids are used here, so that whoever comes second changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from boto3.dynamodb.transform import TransformationInjector, copy_dynamodb_params

from . import expressions

_PARAMS_COPY = "dynamodb-create-params-copy"
_VALUES_IN = "dynamodb-attr-value-input"
_VALUES_OUT = "dynamodb-attr-value-output"

# One for all: apart from its condition builder, which is not used here, it keeps no state.
_injector = TransformationInjector()


values_out = _injector.inject_attribute_value_output
"""Turns the typed values of a response into native ones."""


def register(events: Any, values_out: Callable[..., Any]) -> None:
    """Give native values to the client whose event emitter this is. Conditions are built before values are typed."""
    handlers = (
        ("provide-client-params.dynamodb", copy_dynamodb_params, _PARAMS_COPY),
        ("before-parameter-build.dynamodb", expressions.inject_condition_expressions, expressions.HANDLER_ID),
        ("before-parameter-build.dynamodb", _injector.inject_attribute_value_input, _VALUES_IN),
        ("after-call.dynamodb", values_out, _VALUES_OUT),
    )
    for event, _, unique_id in handlers:
        events.unregister(event, unique_id=unique_id)
    for event, handler, unique_id in handlers:
        events.register(event, handler, unique_id=unique_id)
