"""One call, attempt by attempt: every decision, and no I/O.

The rim asks `admit` before an attempt, and hands what came of it to `settle`. That answers a delay in seconds, or
None for "no further attempt". `ending` then ends the call. Everything that changes during a call lives here; what
outlives calls (circuits, budgets) lives in the `Core` of the client.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from resilient_ddb.dynamodb.operations import is_read, params_on_the_wire, seconds_known
from resilient_ddb.errors import CircuitOpenError, DeadlineExceededError
from resilient_ddb.events import ErrorKind, StopReason
from resilient_ddb.policy.clock import LATE_SECONDS
from resilient_ddb.policy.deadlines import Deadline, current_deadline, earliest
from resilient_ddb.policy.retry import Backoff

from . import telling
from .integrity import find_damage, find_foreign

if TYPE_CHECKING:
    from .classification import Classification
    from .core import Core
    from .options import AnswerView

_SUCCESS_BELOW = 300
_NONE: Mapping[Classification, int] = {}


def _deadline_of(core: Core, started: float) -> Deadline | None:
    """Return the deadline of a call: the one that there is, or the policy's, whichever comes first."""
    limit = core.policy.timeouts.call
    if limit is None:
        return current_deadline()
    return earliest(Deadline(started + limit, core.clock, limit), current_deadline())


class Execution:
    """The state of one call."""

    __slots__ = (
        "_asked_for_item",
        "_attempt_started",
        "_attempt_time",
        "_backoff",
        "_deadline",
        "_in_flight",
        "_known_until",
        "_last_error",
        "_last_response",
        "_lost_reply",
        "_may_arrive",
        "_permit",
        "_retries_by_cause",
        "_sent",
        "ambiguous",
        "asked_at",
        "attempts",
        "body",
        "core",
        "damage",
        "found_own",
        "is_from_wire",
        "is_sent",
        "lane",
        "number",
        "operation",
        "params",
        "request",
        "response_bytes",
        "started",
        "stopped_by",
        "ttl",
        "values_are_native",
        "verdict",
        "was_answered",
        "was_applied",
        "witness",
    )

    def __init__(self, core: Core, operation: str, params: Mapping[str, Any]) -> None:
        """Begin a call; nothing is admitted yet."""
        self.core = core
        self.lane = core.lane(operation, params)
        self.operation = operation
        self.params = params
        self.request = params
        """The parameters as they are sent: those given, and what a Table's options add."""
        self.ttl: AnswerView | None = None
        """What is left of the answer, where expired items are left out."""
        self.started = self._attempt_started = core.clock.monotonic()
        self.attempts = 0
        self.ambiguous = False
        """Whether the write may have been applied by an attempt that failed."""
        self.found_own = False
        """Whether a failed condition turned out to be this call's own doing."""
        self.stopped_by: StopReason | None = None
        self.was_applied = False
        """Whether DynamoDB answered with a success."""
        self.was_answered = self.is_from_wire = False
        """Whether a response is at hand, of which an error then is, and whether from a connection: a stub's is not."""
        self.is_sent, self._in_flight = True, False
        self.asked_at: float | None = self.started
        """Whether the attempt under way may have been sent: who knows says when it was not, and is. And since when it
        asks the table's endpoint; None: it is still being signed, or waits for its turn on a connection."""
        self.body = b""
        """Of the response at hand, as it came."""
        self.damage: Exception | None = None
        """What is wrong with the response at hand."""
        self.response_bytes = 0
        self.values_are_native = False
        """Whether the response at hand was read with its values native."""
        self.witness: Any = None
        """Who looks at the call's first request as the SDK sends it: to see what those of others will be like."""
        self.verdict: Classification | None = None
        self._deadline = _deadline_of(core, self.started)
        self._permit: int | None = None
        self._last_error: Exception | None = None
        self._last_response: Mapping[str, Any] | None = None
        self._attempt_time, self._known_until = 0.0, (math.inf, math.inf)
        """Until when DynamoDB knows the write by its token: by the monotonic clock and by the time of day."""
        self._may_arrive = False
        """Whether an attempt got no refusal: it may be on its way still, and be applied after a later one failed."""
        self._lost_reply: tuple[Classification, Exception | None, Mapping[str, Any] | None] | None = None
        self._retries_by_cause: Mapping[Classification, int] = _NONE
        self._backoff: Backoff | None = None
        self._sent: Mapping[str, Any] | None = None
        self._asked_for_item = False
        self.number = 0
        """The call's number for observers; 0 if there is none."""
        if core.observers:
            telling.call_started(self)

    @property
    def deadline(self) -> Deadline | None:
        """Return the deadline of the call: its caller's, or the policy's call timeout, whichever comes first."""
        return self._deadline

    # Before an attempt.
    def remaining(self) -> float | None:
        """Return the seconds until the deadline, or None if there is none."""
        return None if self._deadline is None else self._deadline.remaining()

    def bounded(self) -> AbstractContextManager[None]:
        """Return a context that holds other calls, made on behalf of this one, to its deadline."""
        return nullcontext() if self._deadline is None else self._deadline.held()

    def admit(self) -> None:
        """Admit an attempt.

        Raises:
            CircuitOpenError: the circuit refuses it.
            DeadlineExceededError: the deadline has passed.
        """
        if self._deadline is not None and self._deadline.remaining() <= 0:
            self.stopped_by = StopReason.DEADLINE
            raise self._deadline_error()
        circuit = self.lane.circuit
        if circuit is not None:
            try:
                self._permit = circuit.admit(self.operation)
            except CircuitOpenError:
                self.stopped_by = StopReason.CIRCUIT
                raise
        self.attempts += 1
        self._in_flight = self.is_sent = True
        self._attempt_started = self.asked_at = self.core.clock.monotonic()
        self._attempt_time = self.core.clock.time()

    def admit_again(self) -> None:
        """Admit a further attempt. What refuses it ends the call with the error that it had.

        The process may have stood still since the attempt was scheduled: AWS Lambda freezes it, and a laptop sleeps.
        """
        if self._may_be_forgotten(0.0):
            self.stopped_by = StopReason.AMBIGUOUS
            raise self.original_error()
        is_refused = False
        try:
            self.admit()
        except (CircuitOpenError, DeadlineExceededError):
            is_refused = True
        if is_refused:  # not within: the refusal, which has that error for its cause, would be its context
            raise self.original_error()

    def prepares(self) -> None:
        """Record that the attempt is not on its way yet: it is signed, or waits for its turn on a connection."""
        self.is_sent, self.asked_at = False, None

    def asks(self) -> None:
        """Record that the table's endpoint is asked from now on, if only for a connection."""
        self.asked_at = self.core.clock.monotonic()

    def sends(self) -> None:
        """Record that the attempt is handed to the transport, which may have sent it from now on."""
        self.is_sent = True
        self.asks()

    def may_send(self) -> bool:
        """Return whether the attempt may be sent, and take note that it is from now on.

        The deadline may have passed while it was signed, or waited for its connection.
        """
        self.is_sent = self._deadline is None or self._deadline.remaining() > 0
        if self.asked_at is None:
            self.asks()
        return self.is_sent

    # After an attempt.
    def received(self, response: Mapping[str, Any], parsed: Mapping[str, Any]) -> None:
        """Accept a response as it came, before anything is made of it."""
        self.response_bytes = len(response["body"])
        self.damage = self.damage or find_damage(self.operation, response, parsed)
        if self.is_from_wire:
            self.damage = self.damage or find_foreign(self.operation, response, parsed)
        self.body = b""

    def settle(
        self,
        status: int | None,
        parsed: Mapping[str, Any] | None,
        error: Exception | None,
        request: MutableMapping[str, Any],
    ) -> float | None:
        """Judge an attempt, and answer the delay in seconds before the next one; None: no further attempt.

        Args:
            status: the HTTP status, if a response came.
            parsed: the parsed response.
            error: what was raised instead of a response.
            request: botocore's request dict, whose `body` is what the next attempt sends.

        Raises:
            ChecksumError, HTTPClientError: the response is damaged, and there is no further attempt.
        """
        now = self.core.clock.monotonic()
        elapsed = now - self._attempt_started
        damage, self.damage = self.damage, None
        self._in_flight = self.was_answered = self.is_from_wire = False
        if damage is None and error is None and status is not None and status < _SUCCESS_BELOW:
            self._record(None, elapsed)
            self.lane.earn(self.params)
            self.was_answered = self.was_applied = True
            telling.attempt_ended(self, elapsed, None, None, parsed)
            return None
        failure = damage or error
        verdict = self._judge(failure, parsed, request)
        from .classification import code_of  # noqa: PLC0415 - only where something failed

        code = code_of(parsed) if failure is None else type(failure).__name__
        self._record(verdict, elapsed, code)
        telling.attempt_ended(self, elapsed, verdict.kind, code, parsed)
        if verdict.kind is ErrorKind.CONDITIONAL:
            self.lane.earn(self.params)  # an answer like any other: many writers of one item are no outage
            if self.ambiguous:
                self._resolve_condition(verdict, parsed or {})
                return None
        self.verdict, self._last_error, self._last_response = verdict, failure, parsed
        if verdict.ambiguous:
            self._lost_reply = (verdict, failure, parsed)
        delay = self._next_delay(verdict, now)
        if delay is not None:
            telling.retry_scheduled(self, verdict.kind, code, delay)
            if self.ambiguous:
                self._ask_for_item(request)
            if verdict.refresh_credentials:
                self.core.host.expire_credentials()
            return self.core.clock.wait(delay)
        if damage is not None:
            del damage, failure  # the error knows this frame: they would keep each other
            raise self.original_error()
        if parsed is not None and self.stopped_by == StopReason.MAX_ATTEMPTS:
            parsed["ResponseMetadata"]["MaxAttemptsReached"] = True  # as botocore says it
        return None

    def _judge(
        self, failure: Exception | None, parsed: Mapping[str, Any] | None, request: Mapping[str, Any]
    ) -> Classification:
        from .classification import classify_response, classify_transport, code_of, is_refusal  # noqa: PLC0415 - as above

        if self._sent is None:  # the parameters as they go over the wire: what the caller's were turned into
            self._sent = params_on_the_wire(request.get("body"))
        if failure is not None:
            verdict = classify_transport(failure, operation=self.operation, params=self._sent)
        else:
            now = self.core.clock.time()
            verdict = classify_response(parsed or {}, operation=self.operation, params=self._sent, now=now)
        if verdict.ambiguous and not self.ambiguous:
            known = seconds_known(self.operation)
            self._known_until = (self._attempt_started + known, self._attempt_time + known)
        self._may_arrive = self._may_arrive or (verdict.ambiguous and not is_refusal(parsed))
        # By its token DynamoDB knows that no attempt of a cancelled transaction was applied before this one.
        is_cancelled = failure is None and code_of(parsed) == "TransactionCanceledException"
        self.ambiguous = self._may_arrive if is_cancelled else self.ambiguous or verdict.ambiguous
        return verdict

    def _record(self, verdict: Classification | None, elapsed: float, code: str = "") -> None:
        permit, self._permit = self._permit, None
        if permit is None:
            return
        is_cut = verdict is not None and self._deadline is not None and self._deadline.remaining() <= 0
        if not is_cut:
            self.lane.record(permit, verdict, elapsed, code)
        elif self.asked_at is None:  # it never came to ask the table
            self.lane.release(permit)
        else:
            since_asked = elapsed - (self.asked_at - self._attempt_started)
            self.lane.record_cut(permit, verdict, since_asked, code, self.operation)

    def _next_delay(self, verdict: Classification, now: float) -> float | None:  # noqa: C901 - a branch for each reason
        """Decide on a further attempt; if there is none, keep why."""
        if self._last_response is None and self._deadline is not None and self._deadline.remaining() <= 0:
            self.stopped_by = StopReason.DEADLINE  # an attempt whose read timeout was cut to what the deadline left
            return None
        may_risk = self.core.policy.on_ambiguous_write == "retry"
        if not verdict.retryable and not (verdict.ambiguous and may_risk):
            self.stopped_by = StopReason.AMBIGUOUS if verdict.ambiguous else StopReason.NOT_RETRYABLE
            return None
        if verdict.max_retries is not None:
            retried = self._retries_by_cause.get(verdict, 0)
            if retried >= verdict.max_retries:
                self.stopped_by = StopReason.NOT_RETRYABLE
                return None
            self._retries_by_cause = {**self._retries_by_cause, verdict: retried + 1}
        if self._backoff is None:
            self._backoff = Backoff(self.core.policy.retry, self.core.policy.uniform, self.started)
        headers = (self._last_response or {}).get("ResponseMetadata", {}).get("HTTPHeaders", {})
        delay = self._backoff.delay(
            self.attempts,
            self.original_error(),
            now,
            least=verdict.minimum_age - (now - self.started),
            retry_after=headers.get("x-amz-retry-after", ""),
        )
        if delay is None:
            self.stopped_by = StopReason.MAX_ATTEMPTS
        elif self._deadline is not None and delay >= self._deadline.remaining():
            self.stopped_by = StopReason.DEADLINE
        elif self._may_be_forgotten(delay):
            self.stopped_by = StopReason.AMBIGUOUS
        elif self.lane.refuses_retries():
            self.stopped_by = StopReason.CIRCUIT
        elif not self.lane.spend(verdict, self.params):
            self.stopped_by = StopReason.BUDGET
            telling.budget_ran_out(self, hot_partition=verdict.is_hot_partition)
        else:
            return delay
        return None

    def _may_be_forgotten(self, delay: float) -> bool:
        """Return whether DynamoDB may take the write for a new one, if it is sent again after so many seconds."""
        if not self.ambiguous or self.core.policy.on_ambiguous_write == "retry":
            return False
        until, until_time = self._known_until
        return self.core.clock.monotonic() + delay > until or self.core.clock.time() + delay > until_time

    # After a lost reply.
    def _ask_for_item(self, request: MutableMapping[str, Any]) -> None:
        from . import own_write  # noqa: PLC0415 - only where a reply was lost

        body = own_write.ask_for_item(self.operation, request["body"], self._sent or {})
        if body is not None:
            request["body"] = body
            self._sent = params_on_the_wire(body)
            self._asked_for_item = True

    def _resolve_condition(self, verdict: Classification, parsed: Mapping[str, Any]) -> None:
        """Decide what a failed condition means that follows on an attempt which may have been applied."""
        from . import own_write  # noqa: PLC0415 - as above

        finding = own_write.judge(self.operation, self._sent or {}, parsed)
        if self._asked_for_item and isinstance(parsed, dict):
            parsed.pop("Item", None)  # the caller did not ask for it
        if finding is own_write.Finding.OWN:
            self.found_own = True
        elif finding is own_write.Finding.NOT_APPLIED:
            self.ambiguous = False
        elif finding is own_write.Finding.NOT_YET:
            self.ambiguous = self._may_arrive
        elif finding is own_write.Finding.MAYBE_OWN and self._lost_reply is not None:  # nobody can know: that stands
            self.verdict, self._last_error, self._last_response = self._lost_reply
            self.stopped_by = StopReason.AMBIGUOUS
            return
        self.verdict, self._last_error, self._last_response = verdict, None, parsed
        self.stopped_by = StopReason.NOT_RETRYABLE

    # For the end of the call.
    def release(self) -> None:
        """Return the permit of an attempt that never came to its end."""
        permit, self._permit = self._permit, None
        if permit is not None:
            self.lane.release(permit)

    def forget_errors(self) -> None:
        """Forget the attempts' errors. They know the frames and the request of this call, and these know it."""
        self._last_error = self._last_response = self._lost_reply = self.damage = None

    def original_error(self) -> Exception:
        """Return the failure to report: what was raised, or what the service's response amounts to."""
        if self._last_error is None and self._last_response is not None:
            self._last_error = self.core.host.make_error(self._last_response, self.operation)
        return self._last_error or ClientError({}, self.operation)

    def cut_off(self) -> DeadlineExceededError:
        """Record that the deadline cut off whatever was under way, and return the error that says so."""
        self.stopped_by = StopReason.DEADLINE
        if self._in_flight:
            elapsed = self.core.clock.monotonic() - self._attempt_started
            verdict = self._judge_unanswered()
            late = -min(0.0, self.remaining() or 0.0)
            if self.was_answered or late > LATE_SECONDS:  # it did not look meanwhile whether there was an answer
                self.release()
            else:
                self._record(verdict, elapsed - late, "TimeoutError")
            telling.attempt_ended(self, elapsed, verdict.kind, "TimeoutError", None)
            return self._deadline_error(failed="an attempt before failed")
        return self._deadline_error()

    def interrupt(self) -> None:
        """Record that the call was cancelled from outside: it leaves nothing behind, but may have been applied."""
        self.release()
        if self._in_flight:
            self._judge_unanswered()
        elif self.was_answered:
            self.lose_answer()

    def lose_answer(self) -> None:
        """Record that the answer at hand does not reach the caller: a write was applied, or may have been."""
        self.ambiguous = not is_read(self.operation, self.params)

    def _judge_unanswered(self) -> Classification:
        from .classification import NOT_SENT, classify_transport  # noqa: PLC0415 - as above

        if not self.is_sent:
            self.verdict = NOT_SENT
            return NOT_SENT
        verdict = classify_transport(TimeoutError(), operation=self.operation, params=self._sent or self.params)
        self.verdict, self.ambiguous = verdict, self.ambiguous or verdict.ambiguous
        return verdict

    def ended_by_deadline(self) -> DeadlineExceededError:
        """Return the error for a deadline that allowed no further attempt: it has passed, or comes before that one."""
        left = self.remaining()
        if left is not None and left > 0:
            return self._deadline_error("the next attempt")
        # A timeout of the last attempt was then what the deadline had left: to say that it failed would say too much.
        is_cut = isinstance(self._last_error, ConnectTimeoutError | ReadTimeoutError)
        return self._deadline_error(failed="" if is_cut else "the last attempt failed")

    def _deadline_error(
        self, before: str | None = None, failed: str = "the last attempt failed"
    ) -> DeadlineExceededError:
        """Return the error for a deadline, with the last failure, if any, as its cause.

        `before` is what the deadline comes before, and `failed` says which attempt that failure ended.
        """
        has_failed = self._last_error is not None or self._last_response is not None
        cause = self.original_error() if has_failed else None
        found = getattr(cause, "response", None)
        response = found if isinstance(found, dict) else None
        error = DeadlineExceededError(
            operation_name=self.operation,
            attempts=self.attempts,
            response=response,
            call_timeout=None if self._deadline is None else self._deadline.call_timeout,
            before=before,
            failed=f"{failed}: {cause}" if cause is not None and failed else None,
        )
        error.__cause__ = cause
        if self._deadline is not None and (words := self._deadline.words_of_end()):
            error.add_note(words)
        return error
