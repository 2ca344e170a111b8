"""What can go wrong that boto3 has no word for, and what is known of a call that failed.

    ClientError (botocore)
     └ ResilienceError
        ├ CircuitOpenError         the circuit refused the call: nothing was sent
        ├ DeadlineExceededError    a deadline ended the call
        ├ DuplicateShardItemError  one key was found in several shards
        ├ UnprocessedItemsError    a batch gave up: the items that are not surely written
        ├ UnprocessedKeysError     a batch gave up: the keys whose items were not read
        └ VersionConflictError     somebody else wrote the item meanwhile: nothing was written

Everything else that leaves the library is the botocore error that boto3 would have raised, with the facts
of the call attached as `error.resilience` (a `CallFacts`). `call_facts(error)` returns them for any exception.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

from resilient_ddb.events import ErrorKind, Record, StopReason

from .portable import REDUCE, keep_whole, reduced
from .words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resilient_ddb.events import ThrottlingReason


class CallFacts(Record):
    """What is known of a call that ended in an error: attached to it as `error.resilience`."""

    table: str | None
    """The table's name, or None if the call names none, or several."""
    operation: str
    """The operation, as the service spells it: `GetItem`."""
    kind: ErrorKind
    """What the last failure was."""
    attempts: int
    """Requests that were begun, the first included."""
    elapsed: float
    """Seconds from the start of the call to its end, waits included."""
    ambiguous: bool
    """True if the write may have been applied although the call failed: an attempt had no certain answer."""
    throttling_reasons: tuple[ThrottlingReason, ...] = ()
    """What DynamoDB named as the limit that was met, if it did."""
    stopped_by: StopReason | None = None
    """Why no further attempt was made; None if the call never got as far."""

    def note(self) -> str:
        """Return one line for a person who reads the traceback."""
        sent = "nothing was sent"
        if self.attempts:
            sent = f"{counted(self.attempts, 'attempt')} in {self.elapsed:.3f} s"
        if self.stopped_by and self.kind not in _ENDS:
            sent += f", no more: {_STOPS[self.stopped_by]}" if self.attempts else f": {_STOPS[self.stopped_by]}"
        parts = [f"{self.operation}{f' on {self.table}' if self.table else ''}: {_KINDS[self.kind]}", sent]
        if self.throttling_reasons:
            parts.append("throttled by " + ", ".join(reason.reason for reason in self.throttling_reasons))
        if self.ambiguous:
            parts.append("AMBIGUOUS: an attempt had no certain answer, the write may have been applied")
        return "; ".join(parts)


_KINDS = {
    ErrorKind.THROTTLING: "DynamoDB throttled the request",
    ErrorKind.TRANSIENT: "a failure that may pass",
    ErrorKind.AMBIGUOUS: "DynamoDB gave no certain answer to a write",
    ErrorKind.CONDITIONAL: "DynamoDB refused the condition",
    ErrorKind.PERMANENT: "the same request will fail again",
}
_STOPS = {
    StopReason.NOT_RETRYABLE: "its cause allows no further attempt",
    StopReason.AMBIGUOUS: "sending it again could apply the write twice",
    StopReason.MAX_ATTEMPTS: "the policy allows so many",
    StopReason.BUDGET: "the retry budget is used up",
    StopReason.DEADLINE: "the deadline comes first",
    StopReason.CIRCUIT: "the circuit is open",
}
_ENDS = (ErrorKind.CONDITIONAL, ErrorKind.PERMANENT)
"""Kinds that say why nothing more was sent."""


def call_facts(error: BaseException) -> CallFacts | None:
    """Return what is known of the call that ended in an error; None if the error is of no such call."""
    facts = getattr(error, "resilience", None)
    return facts if isinstance(facts, CallFacts) else None


class ResilienceError(ClientError):  # type: ignore[misc]  # botocore has no types of its own
    """Base of the errors that only this library raises. A `ClientError`, so that boto3's handlers catch it."""

    resilience: CallFacts
    """What is known of the call. In an error that a test makes by itself: what its arguments say."""

    def __init__(self, error_response: Mapping[str, Any], operation_name: str, **facts: Any) -> None:
        """Make an error of a response as botocore shapes it, and of what is known of the call.

        Args:
            error_response: `{"Error": {"Code": ..., "Message": ...}}`, and more.
            operation_name: the operation, as the service spells it.
            facts: some of those that `CallFacts` holds.
        """
        known = {"table": None, "kind": ErrorKind.PERMANENT, "attempts": 0, "elapsed": 0.0, "ambiguous": False, **facts}
        self.resilience = CallFacts(operation=operation_name, **known)
        if "ResponseMetadata" not in error_response:
            retries = max(0, self.resilience.attempts - 1)
            metadata = {"RequestId": "", "HTTPStatusCode": 0, "HTTPHeaders": {}, "RetryAttempts": retries}
            error_response = {**error_response, "ResponseMetadata": metadata}
        super().__init__(_own(error_response), operation_name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle whole. One that is of its cause's class as well comes back without that: it may not be found again."""
        return reduced(self)


def _response(code: str, message: str) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": message}}


def _own(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return a response of an error's own: what a handler adds to it does not appear in the cause's."""
    return {name: dict(part) if type(part) is dict else part for name, part in response.items()}


def attach(error: Exception, facts: CallFacts, note: str | None = None) -> None:
    """Attach what is known of a call to the error that it ended in, for a program and for a person."""
    error.resilience = facts  # type: ignore[attr-defined]  # the library's addition to botocore's errors
    error.add_note(note or facts.note())
    keep_whole(error)


def attach_facts_of(ended: BaseException, error: Exception, **changed: Any) -> None:
    """Attach what is known of a call that ended in an error, if anything, to the one that is raised in its place."""
    facts = call_facts(ended)
    if facts is not None:
        attach(error, facts.replaced(**changed) if changed else facts)  # `Doubts` knows a call's end by its facts


class CircuitOpenError(ResilienceError):
    """The circuit of this table and operation kind is open: nothing was sent."""

    def __init__(
        self,
        *,
        operation_name: str,
        circuit: str,
        state: str,
        reason: str,
        retry_after: float,
        forced: bool = False,
    ) -> None:
        """Name the circuit, its state (`open` or `half-open`), and why; `retry_after` is in seconds."""
        self.circuit = circuit
        """The circuit's name: `table/read`, `table/write` or `table/control`."""
        self.state = state
        """`open`, or `half-open` if all permits for probes are taken."""
        self.reason = reason
        """What opened it; if it is forced, the words of the person who did."""
        self.retry_after = retry_after
        """Seconds until the circuit lets a probe through; 0.0 while probes are under way, or while it is forced."""
        self.forced = forced
        """Whether a person holds it open (`resilient_ddb.circuits`): it stays so until it is released."""
        is_state, until = f"is {state}", f"retry after {retry_after:.2f} s"
        if forced:
            is_state, until = f"is forced {state}", "it stays so until it is released"
        message = f"circuit {circuit!r} {is_state}: {reason}; nothing was sent, {until}"
        super().__init__(
            _response("CircuitOpen", message),
            operation_name,
            table=circuit.rpartition("/")[0] or None,
            kind=ErrorKind.TRANSIENT,
            stopped_by=StopReason.CIRCUIT,
        )


class DeadlineExceededError(ResilienceError, TimeoutError):
    """A deadline (`resilient_ddb.deadline`), or the policy's `Timeouts(call=...)`, ended the call.

    It is a `TimeoutError` as well, and so an `OSError`, whose `errno` is None: handlers for these catch it.

    Its `response` is that of the last failed attempt, if there was one with a response. So code that looks at
    `error.response["Error"]["Code"]` still finds it. That failure is also its `__cause__`.
    """

    def __init__(
        self,
        *,
        operation_name: str,
        attempts: int,
        response: Mapping[str, Any] | None = None,
        call_timeout: float | None = None,
        before: str | None = None,
        told: str | None = None,
        failed: str | None = None,
    ) -> None:
        """Tell after how many attempts the deadline passed.

        `response` is the last failed attempt's; `call_timeout` the policy's, if that is the deadline, in seconds.
        `before` is what comes next, if the deadline has not passed yet, but comes before that: "the next attempt".
        `told` is what to say instead of all that. `failed` says which attempt had failed, and how; left out, it was
        the last one, if there is its response.
        """
        done = f"{counted(attempts, 'attempt')} had been made" if attempts else "nothing was sent"
        what = "the deadline" if call_timeout is None else f"the policy's call timeout of {call_timeout:g} s"
        message = told or f"{what} {'passed' if before is None else f'comes before {before}'}: {done}"
        super().__init__(
            response or _response("DeadlineExceeded", message),
            operation_name,
            kind=ErrorKind.TRANSIENT,
            attempts=attempts,
            stopped_by=StopReason.DEADLINE,
        )
        if response:
            self.args = (f"{message}; {failed or f'the last attempt failed: {self}'}",)
        elif failed:
            self.args = (f"{self}; {failed}",)


class DuplicateShardItemError(ResilienceError):
    """One key was found in several shards of a table: which item is meant can't be told. Nothing was written.

    If `resilience.ambiguous` is true, an earlier request of the same write got no answer, and may still be applied.
    """

    def __init__(self, *, operation_name: str, table: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Make an error of the items that were found."""
        self.items = [dict(item) for item in items]
        """The items, with native values, in the order of their shards, those of the present layout first."""
        message = f"{len(self.items)} items with one key were found in shards of table {table!r}: which one is meant?"
        super().__init__(_response("DuplicateShardItem", message), operation_name, table=table)


class _Leftovers:
    """What errors about what is left have in common: that another error may be the reason."""

    def __str__(self: Any) -> str:
        return str(self.args[0])  # whatever the class of the reason makes of its arguments

    def because_of(self, cause: Exception, told: str | None = None) -> Self:
        """Return this error as one that is of its cause's class as well, and tells of it: `told`, or its words."""
        left: Any = self
        try:
            made: Any = _made_of(_class_of_both(type(left), type(cause)))  # type: ignore[arg-type]  # a class can be hashed
        except TypeError:  # a class that can't have another beside it, such as UnicodeError
            made = left
        text = f"{str(cause if told is None else told).removesuffix('.')}; {left.response['Error']['Message']}"
        response = getattr(cause, "response", None)
        made.__dict__.update({**cause.__dict__, **left.__dict__})
        if "__notes__" in cause.__dict__:  # a list of its own: what is added to one of the errors is not the other's
            made.__notes__ = list(cause.__notes__)
        facts = call_facts(cause) or left.resilience.replaced(kind=ErrorKind.PERMANENT)
        made.resilience = facts if facts.table else facts.replaced(table=left.resilience.table)
        made.__dict__.pop(REDUCE, None)  # that reduces the cause
        if isinstance(response, dict) and response:
            made.response = _own(response)
        if isinstance(made, OSError) and isinstance(cause, OSError):  # it keeps these outside of its __dict__
            made.errno, made.strerror = cause.errno, cause.strerror
        made.args = (text,)
        made.__cause__ = cause
        return made  # type: ignore[no-any-return]  # of the class of `self`, and of the cause's


class UnprocessedItemsError(_Leftovers, ResilienceError):
    """A batch writer could not write everything. `requests` holds every request that is not surely written, in order.

    If an error was the reason, this is of that error's class as well, with its `response`. So what catches that keeps
    working. The error is its `__cause__`. Unpickled, it no longer is.
    """

    def __init__(
        self, *, operation_name: str, table: str, requests: Sequence[Mapping[str, Any]], why: str, attempts: int = 0
    ) -> None:
        """Make an error of the write requests (`{"PutRequest": ...}` or `{"DeleteRequest": ...}`) left over, and why.

        `attempts` is the number of batches that the writer has sent, those that were written included. It becomes
        `resilience.attempts`. If a call's error was the reason, `resilience` has that call's facts instead.
        """
        self.requests = list(requests)
        """The write requests left, as the batch writer was given them."""
        verb = "is" if len(self.requests) == 1 else "are"
        message = f"{counted(len(self.requests), 'request')} for table {table!r} {verb} not surely written: {why}"
        response = _response("UnprocessedItems", message)
        super().__init__(response, operation_name, table=table, kind=ErrorKind.THROTTLING, attempts=attempts)


class UnprocessedKeysError(_Leftovers, ResilienceError):
    """A `get_items` gave up. `keys` holds every key that it took and whose item it has not given, in order.

    If an error was the reason, this is of that error's class as well, with its `response`. So what catches that keeps
    working. The error is its `__cause__`. Unpickled, it no longer is.

    Also of a sharded table, where an item is looked for in several shards: `keys` holds its key, as the caller sees it.
    """

    def __init__(
        self, *, operation_name: str, table: str, keys: Sequence[Mapping[str, Any]], why: str, attempts: int = 0
    ) -> None:
        """Make an error of the keys left over, and why. `attempts` is the number of requests that gave none of them.

        If a call's error was the reason, `resilience` has that call's facts instead.
        """
        self.keys = list(keys)
        """The keys left, as `get_items` was given them. Those for which there is no item are not among them."""
        message = f"{counted(len(self.keys), 'key')} of table {table!r} not read: {why}"
        response = _response("UnprocessedKeys", message)
        super().__init__(response, operation_name, table=table, kind=ErrorKind.THROTTLING, attempts=attempts)


class VersionConflictError(ResilienceError):
    """The item is not at the version that a write expected: somebody else was quicker. Nothing was written.

    If `resilience.ambiguous` is true, an earlier attempt got no answer, and may still be applied.

    Raised by a client, it is that client's `ConditionalCheckFailedException` as well, so that what catches this keeps
    working; `response` is DynamoDB's. Unpickled, it no longer is: those classes belong to their client.
    """

    expected: int | None
    """The version that the item should have had; None: it should have had none."""
    current: dict[str, Any] | None
    """The item as the write met it, with native values; None: there is none."""

    def __init__(
        self,
        error_response: Mapping[str, Any],
        operation_name: str,
        *,
        table: str,
        attribute: str,
        expected: int | None,
        current: dict[str, Any] | None,
    ) -> None:
        """Make an error of the response to the write whose condition failed, and of what it is about."""
        super().__init__(error_response, operation_name, table=table, kind=ErrorKind.CONDITIONAL, attempts=1)
        self.expected = expected
        self.current = current
        if current is None:
            found = "there is no such item"
        elif attribute not in current:
            found = f"found an item without the attribute {attribute!r}"
        else:
            found = f"found {_version(current[attribute])}"
        wanted = f"no version in {attribute!r}" if expected is None else f"version {expected}"
        self.args = (f"{self}: version conflict in table {table!r}: expected {wanted}, {found}",)


def _version(value: Any) -> str:
    """Return a version that was met, in words; of what is none only its type, as it may be anything."""
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return f"version {value}" if is_number else f"a version that is no number, but a {type(value).__name__}"


def _made_of(cls: type[Any]) -> Any:
    """Return an error of a class, still without content."""
    base = OSError if issubclass(cls, OSError) else Exception  # an OSError, such as a TimeoutError, is made by its own
    return base.__new__(cls)


@lru_cache(maxsize=256)
def _class_of_both(cls: type[Exception], cause: type[Exception]) -> type[Exception]:
    if issubclass(cause, cls):
        return cls
    bases = (cls,) if issubclass(cls, cause) else (cls, cause)
    return type(cls.__name__, bases, {"__module__": __name__, "__doc__": cls.__doc__})


@lru_cache(maxsize=256)
def conflict_class(conditional: type[ClientError]) -> type[VersionConflictError]:
    """Return the VersionConflictError that is also a client's `ConditionalCheckFailedException`: one a client."""
    if issubclass(VersionConflictError, conditional):
        return VersionConflictError
    bases = (VersionConflictError, conditional)
    return type("VersionConflictError", bases, {"__module__": __name__, "__doc__": VersionConflictError.__doc__})
