"""How a call ends: with DynamoDB's response, a fallback's, or an error that says all that is known."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError, ParamValidationError

from resilient_ddb.dynamodb.operations import is_safe_to_repeat, operation_kind
from resilient_ddb.errors import CallFacts, CircuitOpenError, DeadlineExceededError, attach
from resilient_ddb.events import ErrorKind, Outcome, StopReason
from resilient_ddb.fallback import UNANSWERED, Call, Chain, Response, is_asked, marks_of, may_raise, name_of

from . import telling
from .execution import Execution
from .flows import Flow

if TYPE_CHECKING:
    from .classification import Classification

_SUCCESS = Outcome.SUCCESS
_CHANGES_ALL = ("DeleteTable",)
_REDIRECTS = range(300, 400)
_EXHAUSTED = frozenset({StopReason.MAX_ATTEMPTS, StopReason.BUDGET, StopReason.DEADLINE, StopReason.CIRCUIT})

_log = logging.getLogger("resilient_ddb")


def succeed(execution: Execution, response: Response) -> Response:
    """End a call with DynamoDB's response."""
    execution.release()
    if execution.verdict is not None:  # whatever became of the attempts before, the write is applied
        execution.ambiguous = False
        execution.forget_errors()
    core = execution.core
    ttl = execution.ttl
    if ttl is not None:
        ttl.finish(response)
    if core.keepers:
        _forget(execution)
        for member in core.remembering:
            try:
                member.remember(_call(execution), response)
            except Exception:  # noqa: BLE001 - the call has succeeded, whatever a fallback makes of it
                _log.warning("fallback %s can't remember an answer", name_of(member), exc_info=True)
    if ttl is not None:  # what is remembered has its TTL, and may expire yet
        ttl.hide(response)
    telling.call_ended(execution, _SUCCESS, response)
    return response


def cancel(execution: Execution) -> None:
    """End a call that was cancelled from outside: it leaves nothing behind."""
    execution.interrupt()
    if execution.ambiguous:
        _forget(execution)
    execution.forget_errors()
    telling.call_ended(execution, Outcome.CANCELLED)


def recover(execution: Execution, error: Exception) -> Flow[Response]:
    """End a call that failed: as the success it was, with a fallback's answer, or with the error."""
    execution.release()
    if execution.ambiguous or execution.was_answered:
        _forget(execution)
    if execution.found_own and isinstance(error, ClientError):
        return _as_success(execution, error)
    error = _explain(execution, error)
    execution.forget_errors()
    if isinstance(error, ParamValidationError | KeyError):
        _say_where_it_goes(execution, error)
    last_failure: Exception | None = None
    for member in _fallbacks(execution):
        answer, last_failure = None, None
        try:
            UNANSWERED.set(True)
            answer = _checked(member, (yield partial(member, _call(execution), error)))
        except Exception as failure:  # noqa: BLE001 - whatever a fallback raises, the next one is asked
            error.add_note(f"fallback {name_of(member)} failed: {type(failure).__name__}")
            # A function may raise on purpose; a replica's failure must not hide that of the table itself.
            last_failure = failure if may_raise(member) and failure is not error else None
        except GeneratorExit:  # the call was cancelled while the fallback was under way
            telling.call_ended(execution, Outcome.CANCELLED)
            raise
        finally:
            UNANSWERED.set(False)
        telling.fallback_asked(execution, name_of(member), answered=answer is not None)
        if answer is not None:
            answer = _marked(execution, member, answer)
            if execution.ttl is not None:
                answer = execution.ttl.of_fallback(answer)
            telling.call_ended(execution, Outcome.FALLBACK, answer, error)
            return answer
    telling.call_ended(execution, Outcome.ERROR, error=last_failure or error)
    try:
        if last_failure is not None:
            raise last_failure from error
        raise error
    finally:
        del error, last_failure, execution  # the error knows this frame: they would keep each other, and the item


def _as_success(execution: Execution, error: ClientError) -> Response:
    """Return the response to a write that was made, though its condition failed when it was sent again."""
    execution.ambiguous = False
    execution.forget_errors()
    metadata = {**error.response["ResponseMetadata"], "HTTPStatusCode": 200}
    response: Response = {"ResponseMetadata": metadata}
    if execution.params.get("ReturnValues") == "ALL_NEW":  # the item that the condition met is the new one
        response = {"Attributes": execution.core.host.as_given(error.response["Item"]), **response}
    telling.call_ended(execution, Outcome.OWN_WRITE_FOUND, response)
    return response


def _forget(execution: Execution) -> None:
    """Drop the remembered answers that this call has changed, or may have."""
    if execution.operation not in _CHANGES_ALL and operation_kind(execution.operation, execution.params) != "write":
        return
    members = [keeper() for keeper in list(execution.core.keepers.values())]
    for member in filter(None, members):
        try:
            member.forget(_call(execution))
        except Exception:  # noqa: BLE001 - the call has ended as it has, whatever a fallback makes of it
            _log.warning("fallback %s can't forget an answer", name_of(member), exc_info=True)


def _checked(member: Any, answer: Any) -> Any:
    if answer is None or isinstance(answer, Mapping):
        return answer
    raise TypeError(
        f"fallback {name_of(member)} must give a response, which is a mapping, or None; gave {type(answer).__name__}"
    )


def _marked(execution: Execution, member: Any, answer: Mapping[str, Any]) -> Response:
    """Return a fallback's answer with the metadata that callers look for, and with where it came from."""
    found = answer.get("ResponseMetadata")
    own = found if isinstance(found, Mapping) else {}
    metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": max(0, execution.attempts - 1), **own}
    return {**answer, "ResponseMetadata": {**metadata, "Resilience": marks_of(member, own.get("Resilience"))}}


def _fallbacks(execution: Execution) -> list[Any]:
    """Return the fallbacks to ask: none if the failure is permanent, or a write may have been applied."""
    fallback = execution.core.fallback
    if fallback is None or execution.stopped_by not in _EXHAUSTED or UNANSWERED.get():
        return []
    operation, params = execution.operation, execution.params
    if execution.ambiguous and not is_safe_to_repeat(operation, params):
        return []
    return [member for member in Chain(fallback).members if is_asked(member, operation, params)]


def _explain(execution: Execution, error: Exception) -> Exception:
    """Return the error to raise: the original one, with the facts of the call attached."""
    from .classification import PERMANENT  # noqa: PLC0415 - only where something failed

    if execution.stopped_by == StopReason.DEADLINE and not isinstance(error, DeadlineExceededError):
        error = execution.ended_by_deadline()
    elif execution.was_answered:  # the error is of what was made of a response
        execution.verdict = PERMANENT
        execution.lose_answer()
    elif execution.verdict is None:  # no attempt was judged: none was sent
        execution.verdict = _verdict_unsent(execution, error)
        execution.attempts = 0
    elif execution.verdict.ambiguous and _is_conditional(error):
        error = execution.original_error()  # the condition may have failed because of this call's own write
    verdict = execution.verdict or PERMANENT
    facts = CallFacts(
        table=execution.lane.table,
        operation=execution.operation,
        kind=verdict.kind,
        attempts=execution.attempts,
        elapsed=execution.core.clock.monotonic() - execution.started,
        ambiguous=execution.ambiguous,
        throttling_reasons=verdict.throttling_reasons,
        stopped_by=execution.stopped_by,
    )
    note = None
    if execution.was_applied and facts.ambiguous:
        note = f"{facts.replaced(ambiguous=False).note()}; the write was applied: only its answer can't be given"
    attach(error, facts, note)
    _say_where_it_leads(error)
    return error


def _say_where_it_leads(error: Exception) -> None:
    """Add a note to the error of a redirect: to which server it leads, such as a captive portal's or a gateway's."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    if metadata.get("HTTPStatusCode") in _REDIRECTS:
        host = None
        with suppress(ValueError):  # it is no URL
            host = urlsplit((metadata.get("HTTPHeaders") or {}).get("location") or "").hostname
        error.add_note(
            f"this is a redirect{f' to {host}' if host else ''}, which is not followed: it is not DynamoDB's"
        )


def _say_where_it_goes(execution: Execution, error: Exception) -> None:
    """Note on the error where an argument of ours goes that the SDK refused: DynamoDB's begin with a capital letter."""
    unknown = [name for name in execution.params if name[:1].islower()]
    if unknown:
        from resilient_ddb.policy.elsewhere import where_it_goes  # noqa: PLC0415 - as above

        for words in filter(None, map(where_it_goes, unknown)):
            error.add_note(words)


def _is_conditional(error: Exception) -> bool:
    from .classification import classify  # noqa: PLC0415 - as above

    return isinstance(error, ClientError) and classify(error).kind is ErrorKind.CONDITIONAL


def _verdict_unsent(execution: Execution, error: Exception) -> Classification:
    """Judge an error that came without a response having been judged: from a stub, or before anything was sent."""
    from .classification import PERMANENT, classify  # noqa: PLC0415 - as above

    if isinstance(error, CircuitOpenError | DeadlineExceededError):
        return PERMANENT.replaced(kind=ErrorKind.TRANSIENT)
    if isinstance(error, ClientError):
        return classify(error, operation=execution.operation, params=execution.params)
    return PERMANENT


def _call(execution: Execution) -> Call:
    host, ttl = execution.core.host, execution.core.ttl
    # A Table that leaves out expired items has other answers to the same calls.
    identity = host.identity() if ttl is None else (*host.identity(), ttl.settings)
    return Call(
        operation=execution.operation,
        params=execution.params,
        table=execution.lane.table,
        identity=identity,
        clock=execution.core.clock,
        elsewhere=partial(host.elsewhere, execution.core, execution.operation, execution.request),
        began=execution.started,
    )
