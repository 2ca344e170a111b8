"""Native Python values in a client's calls, and its requests and responses by way of the codec.

A client that serves a resource or a Table takes and gives native values; a low-level client takes and gives DynamoDB's
typed ones. boto3 makes the difference with four handlers on the client's events, registered anew by each resource
object under fixed ids. The same ids are used here, so that the one who comes second changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

from boto3.dynamodb import transform
from botocore.history import HISTORY_RECORDER

from resilient_ddb.calls.integrity import is_of_shape, misshapen, parseable
from resilient_ddb.codec import Codec, Reader, Sieve
from resilient_ddb.codec.numbers import Deserializer, Number, boto3_number
from resilient_ddb.codec.values import boto3_deserializes_as_usual, boto3_serializes_as_usual, copied
from resilient_ddb.dynamodb import expressions

from .handlers import CURRENT, execution_of

_PARAMS_COPY = "dynamodb-create-params-copy"
_VALUES_IN = "dynamodb-attr-value-input"
_VALUES_OUT = "dynamodb-attr-value-output"
_READ = "resilient_ddb-read"
_OK = 200

_PARSERS_LOG = logging.getLogger("botocore.parsers")


class ValueHandlers:
    """The handlers for the values in one client's calls."""

    def __init__(self) -> None:
        self.codec = Codec()
        self.number = boto3_number
        """Returns what makes native numbers at this time."""
        self._boto3 = _Boto3()

    def register(self, events: Any) -> None:
        """Read responses by the codec, after all other handlers of `before-parse` have seen their texts."""
        events.register_last("before-parse.dynamodb", self.read, unique_id=_READ)

    def register_native(self, events: Any) -> None:
        """Hand native values to the client whose events these are. Conditions are built before values are typed."""
        self._boto3 = _Boto3()
        handlers = (
            ("provide-client-params.dynamodb", copy_params, _PARAMS_COPY),
            ("before-parameter-build.dynamodb", expressions.inject_condition_expressions, expressions.HANDLER_ID),
            ("before-parameter-build.dynamodb", self.values_in, _VALUES_IN),
            ("after-call.dynamodb", self.values_out, _VALUES_OUT),
        )
        for event, _, unique_id in handlers:
            events.unregister(event, unique_id=unique_id)
        for event, handler, unique_id in handlers:
            events.register(event, handler, unique_id=unique_id)

    def values_in(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        """Handle `before-parameter-build`: type native values.

        Raises:
            TypeError, decimal.DecimalException: as boto3 does.
        """
        type_values = self.codec.typing(model) if boto3_serializes_as_usual() else None
        if type_values is None:
            self._boto3.values_in(params, model)
        else:
            type_values(params)

    def read(
        self, operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
    ) -> Any:
        """Handle `before-parse`: read a response, and leave botocore an empty one to parse."""
        try:
            found = reading(operation_model, response_dict, customized_response_dict)
            if found is None or found.is_seen:
                leave_to_botocore(operation_model, response_dict)
                return
            parsed = found.reader.read(response_dict["body"], found.number, found.sieve)
        except Exception:  # noqa: BLE001 - whatever is unusual: botocore says what becomes of it
            leave_to_botocore(operation_model, response_dict)
            return
        was_read(found, parsed, response_dict, customized_response_dict)

    def values_out(self, parsed: Any, model: Any, context: Any, **_: Any) -> Any:
        """Handle `after-call`: turn DynamoDB's typed values into native ones, if they are not so already."""
        execution = execution_of(context)
        if execution is None or not execution.values_are_native:
            if execution is not None and execution.ttl is not None:
                execution.ttl.parsed(parsed)
            self._boto3.values_out(parsed, model)


class _Boto3:
    """boto3's own handlers, as they are when a resource is made: boto3 holds on to them from then on."""

    def __init__(self) -> None:
        injector = transform.TransformationInjector(deserializer=Deserializer(transform.TypeDeserializer()))
        self.values_in = injector.inject_attribute_value_input
        self.values_out = injector.inject_attribute_value_output


def copy_params(params: Any, **_: Any) -> Any:
    """Handle `provide-client-params`: what handlers change is not the caller's."""
    return copied(params)


class Reading(NamedTuple):
    """How to read the response at hand."""

    reader: Reader
    number: Number | None
    """Makes numbers, if values must be native."""
    is_seen: bool
    """Whether handlers of others see the response before boto3 would make its values native."""
    sieve: Sieve | None
    """Says what to leave out."""


def reading(model: Any, response: MutableMapping[str, Any], customized: Mapping[str, Any]) -> Reading | None:
    """Return how to read a response; None: by botocore.

    Values are made native at once if nobody can tell: boto3 does so when the call ends, and those who see the
    response before that sees typed ones.
    """
    execution = CURRENT.get()
    if execution is None:
        return None
    execution.values_are_native = False
    if execution.ttl is not None:
        execution.ttl.begin()
    host: Any = execution.core.host
    reader = host.values.codec.reader(model) if response["status_code"] == _OK and not customized else None
    if reader is None or _is_recorded():
        return None
    listeners = host.listeners.find(host.client.meta.events, model.name)
    if listeners.see_text:
        return None
    is_made_native = listeners.make_native and not listeners.see_values and boto3_deserializes_as_usual()
    return Reading(reader, host.values.number() if is_made_native else None, listeners.see_values, execution.ttl)


def _is_recorded() -> bool:
    """Return whether botocore writes down what it parses."""
    return _PARSERS_LOG.isEnabledFor(logging.DEBUG) or getattr(HISTORY_RECORDER, "_enabled", False)


def leave_to_botocore(model: Any, response: MutableMapping[str, Any]) -> None:
    """Leave a response to botocore's parser, but for what that fails on.

    A body that a handler has put in is left to fail as it does with boto3, and so is a stub's of another shape.
    """
    execution = CURRENT.get()
    if execution is None or response["body"] is not execution.body:
        return
    response["body"] = parseable(response["status_code"], response["body"])
    if execution.is_from_wire and not (_is_read(execution, model, response) or is_of_shape(model, response)):
        execution.damage = misshapen(model.name)
        response["body"] = b"{}"


def _is_read(execution: Any, model: Any, response: Mapping[str, Any]) -> bool:
    """Return whether the codec reads a response: then botocore does too, which takes ten times as long to ask."""
    reader = execution.core.host.values.codec.reader(model) if response["status_code"] == _OK else None
    if reader is None:
        return False
    try:
        reader.read(response["body"], None)
    except Exception:  # noqa: BLE001 - whatever is unusual: botocore says what becomes of it
        return False
    return True


def was_read(found: Reading, parsed: dict[str, Any], response: dict[str, Any], customized: dict[str, Any]) -> None:
    """Hand on what was read: botocore adds it to what it parses itself."""
    customized.update(parsed)
    response["body"] = b"{}"
    execution = CURRENT.get()
    if execution is not None:
        execution.values_are_native = found.number is not None
        if execution.ttl is not None:
            execution.ttl.was_read(customized)
