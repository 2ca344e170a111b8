"""Native Python values in a client's calls, and its requests and responses by way of the codec.

A client that serves a resource or a Table takes and gives native values; a low-level client takes and gives DynamoDB's
typed ones. boto3 makes the difference with four handlers on the client's events, registered anew by each resource
object under fixed ids. The same ids are used here, so that whoever comes second changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

from boto3.dynamodb import transform
from botocore.history import HISTORY_RECORDER

from . import expressions
from .codec import Codec, Reader
from .codec.values import (
    Number,
    boto3_deserializes_as_usual,
    boto3_number,
    boto3_serializes_as_usual,
    copied,
)
from .hooks import CURRENT, execution_of

_PARAMS_COPY = "dynamodb-create-params-copy"
_VALUES_IN = "dynamodb-attr-value-input"
_VALUES_OUT = "dynamodb-attr-value-output"
_READ = "resilient_ddb-read"
_OK = 200

_PARSERS_LOG = logging.getLogger("botocore.parsers")


def register(events: Any, codec: Codec, values_out: Callable[..., Any]) -> None:
    """Give native values to the client whose event emitter this is. Conditions are built before values are typed."""

    def values_in(params: dict[str, Any], model: Any, **_: Any) -> None:
        if boto3_serializes_as_usual():
            codec.type_values(params, model)
        else:
            transform.TransformationInjector().inject_attribute_value_input(params, model)

    handlers = (
        ("provide-client-params.dynamodb", copy_params, _PARAMS_COPY),
        ("before-parameter-build.dynamodb", expressions.inject_condition_expressions, expressions.HANDLER_ID),
        ("before-parameter-build.dynamodb", values_in, _VALUES_IN),
        ("after-call.dynamodb", values_out, _VALUES_OUT),
    )
    for event, _, unique_id in handlers:
        events.unregister(event, unique_id=unique_id)
    for event, handler, unique_id in handlers:
        events.register(event, handler, unique_id=unique_id)


def register_reading(events: Any, read: Callable[..., Any]) -> None:
    """Have responses read by the codec, after all other handlers of `before-parse` have seen their bodies."""
    events.register_last("before-parse.dynamodb", read, unique_id=_READ)


def copy_params(params: Any, **_: Any) -> Any:
    """Handle `provide-client-params`: what handlers change is not the caller's."""
    return copied(params)


def values_out(parsed: Any, model: Any, context: Any, **_: Any) -> None:
    """Handle `after-call`: turn DynamoDB's typed values into native ones, where they are not so already."""
    execution = execution_of(context)
    if execution is None or not execution.values_are_native:
        transform.TransformationInjector().inject_attribute_value_output(parsed, model)


class Reading(NamedTuple):
    """How the response at hand is to be read."""

    reader: Reader
    number: Number | None
    """Makes numbers, where values are to be native."""
    is_seen: bool
    """Whether handlers of others see the response before boto3 would make its values native."""


def reading(model: Any, response: MutableMapping[str, Any], customized: Mapping[str, Any]) -> Reading | None:
    """Say how a response is to be read; None: by botocore.

    Values are made native at once where nobody can tell: boto3 does so when the call ends, and whoever sees the
    response before that sees typed ones.
    """
    execution = CURRENT.get()
    if execution is None:
        return None
    execution.values_are_native = False
    host: Any = execution.core.host
    reader = host.codec.reader(model) if response["status_code"] == _OK and not customized else None
    events = host.client.meta.events
    if reader is None or _is_recorded() or host.listeners.see_text(events, model.name):
        return None
    is_seen = host.listeners.see_values(events, model.name)
    if host.native and not is_seen and boto3_deserializes_as_usual():
        return Reading(reader, boto3_number(), is_seen)
    return Reading(reader, None, is_seen)


def _is_recorded() -> bool:
    """Tell whether botocore writes down what it parses."""
    return _PARSERS_LOG.isEnabledFor(logging.DEBUG) or getattr(HISTORY_RECORDER, "_enabled", False)


def read(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Handle `before-parse`: read a response, and leave botocore an empty one to parse."""
    found = reading(operation_model, response_dict, customized_response_dict)
    if found is not None and not found.is_seen:
        try:
            parsed = found.reader.read(response_dict["body"], found.number)
        except Exception:  # noqa: BLE001 - whatever is unusual: botocore is to say what becomes of it
            return
        was_read(found, parsed, response_dict, customized_response_dict)


def was_read(found: Reading, parsed: dict[str, Any], response: dict[str, Any], customized: dict[str, Any]) -> None:
    """Hand on what was read: botocore adds it to what it parses itself."""
    customized.update(parsed)
    response["body"] = b"{}"
    execution = CURRENT.get()
    if execution is not None:
        execution.values_are_native = found.number is not None
