"""Faults that the service itself answers with: errors in JSON, HTTP 4xx and 5xx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from resilient_ddb.policy.checks import check_whole

from .calls import TRANSACTIONS, Call, table_arn
from .messages import error_answer
from .plan import Act, Fault, Forward, Refuse, check_text

Pairs: TypeAlias = "Sequence[str | tuple[str, str]]"


def _check_pairs(name: str, value: object) -> None:
    """Refuse what is not a sequence of strings and pairs of strings; a lone string is a likely slip."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name} must be a sequence of strings or pairs of strings; got {value!r}")
    for entry in value:
        pair = (entry, entry) if isinstance(entry, str) else entry
        match pair:
            case (str(), str()):
                continue
        raise TypeError(f"{name} must hold strings or pairs of strings; got {entry!r}")


@dataclass(frozen=True, kw_only=True)
class Throttle(Fault):
    """Refuse with HTTP 400 and a throttling error. Nothing is forwarded."""

    code: str = "ProvisionedThroughputExceededException"
    """Or `ThrottlingException`, `RequestLimitExceeded`, or any other."""
    reasons: Pairs | None = None
    """What was exceeded: strings such as `"TableWriteKeyRangeThroughputExceeded"`, or pairs of that and an
    ARN; without one it is the table's. None, the default: what DynamoDB would say about a table for this
    code, if anything. `()`: nothing."""
    retry_after_ms: int | None = None
    """Milliseconds for the header `x-amz-retry-after`. None, the default: no such header."""

    _usual: ClassVar[Mapping[str, str]] = {
        "ProvisionedThroughputExceededException": "ProvisionedThroughput",
        "RequestLimitExceeded": "AccountLimit",
        "ThrottlingException": "MaxOnDemandThroughput",
    }

    def _check(self) -> None:
        check_text("code", self.code)
        if self.reasons is not None:
            _check_pairs("reasons", self.reasons)
        if self.retry_after_ms is not None:
            check_whole("retry_after_ms", self.retry_after_ms, least=0)

    def act(self, call: Call, /) -> Act:
        """Answer for the service."""
        reasons = self.reasons
        if reasons is None:
            usual = self._usual.get(self.code)
            reasons = (f"Table{'Read' if call.reads else 'Write'}{usual}Exceeded",) if usual else ()
        pairs = [(entry, table_arn(call.table)) if isinstance(entry, str) else entry for entry in reasons]
        listed = [{"reason": reason, "resource": resource} for reason, resource in pairs]
        name = "throttlingReasons" if self.code == "ThrottlingException" else "ThrottlingReasons"
        after = self.retry_after_ms
        answer = error_answer(
            400,
            self.code,
            "Throughput exceeds the current capacity.",
            request_id=call.request_id,
            extra={name: listed} if listed else {},
            headers={} if after is None else {"x-amz-retry-after": str(after)},
        )
        return Refuse(answer=answer)


@dataclass(frozen=True, kw_only=True)
class ServerError(Fault):
    """Answer with a 5xx error in JSON."""

    status: int = 500
    """HTTP status, 500 to 599."""
    code: str = "InternalServerError"
    applied: bool = False
    """Forward the request first: it is applied, and the client cannot tell."""

    def _check(self) -> None:
        check_whole("status", self.status, least=500, most=599)
        check_text("code", self.code)

    def act(self, call: Call, /) -> Act:
        """Answer for the service."""
        answer = error_answer(self.status, self.code, "The request could not be completed.", request_id=call.request_id)
        return Forward(change=lambda _: answer) if self.applied else Refuse(answer=answer)


@dataclass(frozen=True, kw_only=True)
class ErrorResponse(Fault):
    """Refuse with any other error of the service, such as `ExpiredTokenException`. Nothing is forwarded."""

    status: int = 400
    """HTTP status, 400 to 599."""
    code: str
    message: str = "Refused by the fault proxy."
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More for the top of the error's JSON, such as an `Item`."""
    date: str | None = None
    """The `Date` header, to show a skewed clock: `"Mon, 01 Jan 2024 00:00:00 GMT"`. None: the real time."""

    def _check(self) -> None:
        check_whole("status", self.status, least=400, most=599)
        check_text("code", self.code)
        if not isinstance(self.extra, Mapping):
            raise TypeError(f"extra must be a mapping; got {self.extra!r}")
        if self.date is not None:
            check_text("date", self.date)

    def act(self, call: Call, /) -> Act:
        """Answer for the service."""
        headers = {} if self.date is None else {"Date": self.date}
        answer = error_answer(
            self.status,
            self.code,
            self.message,
            request_id=call.request_id,
            extra=self.extra,
            headers=headers,
        )
        return Refuse(answer=answer)


@dataclass(frozen=True, kw_only=True)
class CancelTransaction(Fault):
    """Refuse a transaction with `TransactionCanceledException`. Nothing is forwarded."""

    reasons: Pairs = ("TransactionConflict",)
    """A code for each item of the transaction, in order, or pairs of code and message. Padded with `None`
    to the number of items; what is too many is left out."""

    fits: ClassVar[frozenset[str] | None] = TRANSACTIONS
    _messages: ClassVar[Mapping[str, str]] = {
        "ConditionalCheckFailed": "The conditional request failed",
        "ItemCollectionSizeLimitExceeded": "Collection size exceeded.",
        "ProvisionedThroughputExceeded": "The level of configured provisioned throughput was exceeded.",
        "ThrottlingError": "Throughput exceeds the current capacity of your table or index.",
        "TransactionConflict": "Transaction is ongoing for the item",
    }

    def _check(self) -> None:
        _check_pairs("reasons", self.reasons)

    def act(self, call: Call, /) -> Act:
        """Answer for the service."""
        items = call.params.get("TransactItems") or call.params.get("TransactStatements") or ()
        pairs = [
            (entry, self._messages.get(entry, "")) if isinstance(entry, str) else entry
            for entry in (*self.reasons, *("None" for _ in items))
        ][: len(items)]
        reasons = [{"Code": code, "Message": text} if text else {"Code": code} for code, text in pairs]
        codes = ", ".join(code for code, _ in pairs)
        message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
        answer = error_answer(
            400,
            "TransactionCanceledException",
            message,
            request_id=call.request_id,
            extra={"CancellationReasons": reasons},
        )
        return Refuse(answer=answer)
