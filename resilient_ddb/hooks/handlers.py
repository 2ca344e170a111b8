"""The handlers on botocore's events. Plain functions: botocore and aiobotocore call the same ones.

They find the call that they serve in the request context, where `attach` has put it; a request that is none of ours
passes through untouched.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

from resilient_ddb.calls.execution import Execution
from resilient_ddb.policy.deadlines import Deadline, current_deadline
from resilient_ddb.policy.policy import Timeouts

CURRENT: ContextVar[Execution | None] = ContextVar("resilient_ddb.call", default=None)
"""The call that the client has just begun, until botocore has made a request context for it."""

WITHOUT_BODY = (204, 304)
"""The HTTP statuses whose answers have no body, whatever their headers say."""
KEY = "resilient_ddb"
"""Under which a request context has its call."""
_METADATA = "ResponseMetadata"
SHORTEST_READ_TIMEOUT = 0.001
"""Seconds. Less would be no timeout for the SDK, or an error."""
_SDK_RETRIES = "retry-config-dynamodb"
_SDK_MAX_ATTEMPTS = "seed-max-attempts-dynamodb"


def execution_of(context: Mapping[str, Any]) -> Execution | None:
    """Return the call that a request context belongs to."""
    return context.get(KEY)


def register(events: Any) -> None:
    """Put our handlers in the place of the SDK's retries, on one client's or session's event emitter.

    The SDK registers its own handler under an id. If that is taken, it leaves it at that. If the SDK came first, its
    handler is unregistered by that id. There is one retry layer either way.
    """
    for name, unique_id in (("needs-retry", _SDK_RETRIES), ("request-created", _SDK_MAX_ATTEMPTS)):
        events.unregister(f"{name}.dynamodb", unique_id=unique_id)
    events.register("needs-retry.dynamodb", needs_retry, unique_id=_SDK_RETRIES)
    events.register_first("provide-client-params.dynamodb", attach, unique_id=f"{KEY}-attach")
    events.register_first("before-call.dynamodb", before_call, unique_id=f"{KEY}-call")
    events.register_first("request-created.dynamodb", request_created, unique_id=f"{KEY}-admit")
    events.register_first("before-send.dynamodb", before_send, unique_id=f"{KEY}-send")
    events.register_first("before-parse.dynamodb", before_parse, unique_id=f"{KEY}-parse")
    events.register_first("response-received.dynamodb", response_received, unique_id=f"{KEY}-receive")


def attach(context: MutableMapping[str, Any], **_: Any) -> None:
    """Put the call into the request context, where the other handlers find it."""
    execution = CURRENT.get()
    if execution is not None:
        context[KEY] = execution
        execution.prepares()  # from here on credentials may be fetched, for the endpoint and for the signature


def before_call(context: Mapping[str, Any], **_: Any) -> None:
    """Record that the call may be sent from now on: a handler of others may answer it, by a request of its own."""
    execution = execution_of(context)
    if execution is not None:
        execution.is_sent = True


def request_created(request: Any, **_: Any) -> None:
    """Admit a further attempt, or end the call. The first attempt was admitted before it was serialized."""
    begin_attempt(request.context)


def begin_attempt(context: MutableMapping[str, Any]) -> None:
    """Admit the attempt that a request context counts, if it is a further one, and cut its read timeout."""
    execution = execution_of(context)
    if execution is None:
        return
    if context["retries"]["attempt"] > 1:
        execution.admit_again()
    execution.prepares()
    left, own = execution.remaining(), execution.core.timeouts
    if left is not None:  # before 1.43 botocore takes no notice of this, but the connections cut it, too
        allowed = context["client_config"].read_timeout if own is None else own.read
        left = max(left, SHORTEST_READ_TIMEOUT)
        context["read_timeout"] = left if allowed is None else min(allowed, left)
    elif own is not None:
        context["read_timeout"] = own.read


def own_timeouts() -> Timeouts | None:
    """Return the timeouts of the present call, if it goes by other ones than its client."""
    execution = CURRENT.get()
    return None if execution is None else execution.core.timeouts


def deadline_of_call() -> Deadline | None:
    """Return the deadline of the present call; that of the caller's block if there is no call."""
    execution = CURRENT.get()
    return current_deadline() if execution is None else execution.deadline


def before_send(request: Any, **_: Any) -> None:
    """Record that a request is signed, and show the call's first one to a listener that wants to see it.

    It comes before the handlers of others: one of them may send the request by itself. Nothing is sent from here.
    """
    execution = CURRENT.get()
    if execution is not None:
        execution.sends()
        if execution.witness is not None:
            execution.witness.see(request)


def before_parse(response_dict: Mapping[str, Any], **_: Any) -> None:
    """Record a response as it came: handlers may put in another body."""
    execution = CURRENT.get()
    if execution is not None:
        execution.was_answered = True
        execution.body = response_dict["body"]


def came_over_the_wire() -> None:
    """Record that a response is being read from a connection: a stub's, or a handler's, is not."""
    execution = CURRENT.get()
    if execution is not None:
        execution.is_from_wire = True


def response_received(
    response_dict: Mapping[str, Any] | None,
    parsed_response: dict[str, Any] | None,
    context: Mapping[str, Any],
    **_: Any,
) -> None:
    """Check whether a response is whole."""
    execution = execution_of(context)
    if execution is not None and response_dict is not None:
        execution.received(response_dict, parsed_response or {})
    if parsed_response and len(parsed_response) > 1 and next(iter(parsed_response)) == _METADATA:
        parsed_response[_METADATA] = parsed_response.pop(_METADATA)  # last, as in all of botocore's responses


def needs_retry(
    response: tuple[Any, dict[str, Any]] | None,
    caught_exception: Exception | None,
    request_dict: MutableMapping[str, Any],
    **_: Any,
) -> float | None:
    """Judge an attempt: botocore, or aiobotocore, sleeps for the seconds given and tries again; None ends it."""
    execution = execution_of(request_dict["context"])
    if execution is None:
        return None
    status, parsed = (None, None) if response is None else (response[0].status_code, response[1])
    return execution.settle(status, parsed, caught_exception, request_dict)
