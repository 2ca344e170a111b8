"""What an error means: whether to send again, whether the write may have been applied, whose fault it was.

Pure, and complete over DynamoDB's errors, botocore's and aiobotocore's transport errors. The lists follow
botocore's model of DynamoDB and the AWS SDKs' own classifiers (botocore legacy and standard mode).
"""

from __future__ import annotations

import re
import sys
import time
import traceback
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from botocore import exceptions as bx
from botocore.parsers import ResponseParserError

from resilient_ddb.dynamodb.operations import Params, is_read, is_safe_to_repeat
from resilient_ddb.errors import ResilienceError
from resilient_ddb.events import ErrorKind, Record, ThrottlingReason

CLOCK_SKEW_SECONDS = 240.0
"""A signature is refused when the clocks are five minutes apart; from four on, the clock is taken for the reason."""


class Classification(Record):
    """What `classify` says of an error."""

    kind: ErrorKind
    """What the failure is."""
    retryable: bool
    """True where the same request may be sent again: it may succeed, and can't be applied twice by it."""
    ambiguous: bool = False
    """True where a write may have been applied although it failed."""
    counts_against_breaker: bool = False
    """True for signs of an outage: transport failures, 5xx, timeouts."""
    throttling_reasons: tuple[ThrottlingReason, ...] = ()
    """The limits that were met, where DynamoDB names them."""
    max_retries: int | None = None
    """How often at most to send again because of this; None leaves it to the policy."""
    minimum_age: float = 0.0
    """Seconds after the first attempt before which sending again can't help."""
    refresh_credentials: bool = False
    """True where new credentials are to be fetched before the next attempt."""

    @property
    def is_hot_partition(self) -> bool:
        """Return whether only single key ranges were throttled, not the table or the account."""
        return bool(self.throttling_reasons) and all(r.is_hot_partition for r in self.throttling_reasons)


_THROTTLING = frozenset(
    {
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
_CONFLICTS = frozenset({"ReplicatedWriteConflictException", "TransactionConflict", "TransactionConflictException"})
_CONDITIONAL = frozenset(
    {
        "ConditionalCheckFailed",
        "ConditionalCheckFailedException",
        "DuplicateItem",
        "DuplicateItemException",
    }
)
_SERVER = frozenset({"InternalFailure", "InternalServerError", "ServiceUnavailable", "ServiceUnavailableException"})
_TIMEOUT = frozenset({"RequestTimeout", "RequestTimeoutException"})
_EXPIRED_TOKEN = frozenset({"ExpiredToken", "ExpiredTokenException"})
_CLOCK = frozenset(
    {
        "InvalidSignature",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
_SIGNATURE_EXPIRED = "Signature expired"
_SERVER_STATUS_FROM = 500
_TIMED_OUT_STATUS = 408
_PROXY_REFUSES = "Tunnel connection failed"
"""So http.client says that a proxy has answered CONNECT, and does not connect."""
_TRANSPORT = (
    bx.HTTPClientError,
    bx.ConnectionError,
    bx.IncompleteReadError,
    bx.ChecksumError,
    ResponseParserError,
    OSError,
    TimeoutError,
)
_REASONS_IN_MESSAGE = re.compile(r"reasons? \[([\w, ]*)\]")
_TRANSACTION_IN_PROGRESS_SECONDS = 5.0
_DIGITS_OF_A_STATUS = 3
_FAILURE_FROM = 300

PERMANENT = Classification(kind=ErrorKind.PERMANENT, retryable=False)
_CONDITION_FAILED = Classification(kind=ErrorKind.CONDITIONAL, retryable=False)
_CONFLICT = Classification(kind=ErrorKind.TRANSIENT, retryable=True)
NOT_SENT = Classification(kind=ErrorKind.TRANSIENT, retryable=True, counts_against_breaker=True)
_TOKEN_EXPIRED = Classification(kind=ErrorKind.TRANSIENT, retryable=True, max_retries=1, refresh_credentials=True)
_CLOCK_SKEWED = Classification(kind=ErrorKind.TRANSIENT, retryable=True, max_retries=1)
_IN_PROGRESS = Classification(kind=ErrorKind.TRANSIENT, retryable=True, minimum_age=_TRANSACTION_IN_PROGRESS_SECONDS)


def classify(
    error: BaseException | Mapping[str, Any],
    *,
    operation: str | None = None,
    params: Params | None = None,
    now: float | None = None,
) -> Classification:
    """Return what an error means.

    Args:
        error: what was raised by boto3 or aiobotocore. Or one error of a batch, as the service shapes it: a
            `BatchStatementError` or `CancellationReason` (`{"Code": ..., "Message": ...}`), or the error response
            itself (`{"Error": {"Code": ...}, ...}`).
        operation: the operation's name (`"UpdateItem"`); a `ClientError` brings its own. Without one, a failure
            that may have been applied is taken for a write's.
        params: the request's parameters, with native or with typed values. They decide whether an update may be
            sent twice; an update without them is taken to be one that may not.
        now: seconds since the epoch, for telling a skewed clock; the machine's clock if left out.

    Raises:
        TypeError: `error` is neither an exception nor a mapping.
    """
    if isinstance(error, Mapping):
        response = error if "Error" in error else {"Error": error}
        return classify_response(response, operation=operation, params=params, now=now)
    facts = getattr(error, "resilience", None)
    # An error of this library's own: it knows. A condition that failed will fail again, as DynamoDB's own says.
    if isinstance(error, ResilienceError) and facts is not None and facts.kind != ErrorKind.CONDITIONAL:
        return Classification(
            kind=facts.kind,
            retryable=facts.kind != ErrorKind.PERMANENT and not facts.ambiguous,
            ambiguous=facts.ambiguous,
            throttling_reasons=facts.throttling_reasons,
        )
    if isinstance(error, bx.ClientError):
        return classify_response(error.response, operation=operation or error.operation_name, params=params, now=now)
    if isinstance(error, BaseException):
        return classify_transport(error, operation=operation, params=params)
    raise TypeError(
        f"error must be an exception or an error response, such as the one a ClientError holds; got {error!r}"
    )


def classify_response(  # noqa: PLR0911 - a table, one row after the other
    response: Mapping[str, Any],
    *,
    operation: str | None = None,
    params: Params | None = None,
    now: float | None = None,
) -> Classification:
    """Return what an error response of the service means. See `classify`."""
    code = code_of(response)
    if code == "TransactionCanceledException":
        return _classify_cancellation(response)
    if code in _CONDITIONAL:
        return _CONDITION_FAILED
    if code in _CONFLICTS:
        return _CONFLICT
    if code == "TransactionInProgressException":
        return _IN_PROGRESS
    if code in _EXPIRED_TOKEN:
        return _TOKEN_EXPIRED
    if code in _CLOCK:
        return _CLOCK_SKEWED if _is_too_old(response) or _is_clock_skewed(response, now) else PERMANENT
    status = _status(response, code)
    if code in _THROTTLING or status == 429:  # noqa: PLR2004 - "too many requests", whatever its code
        return Classification(
            kind=ErrorKind.THROTTLING, retryable=True, throttling_reasons=_throttling_reasons(response)
        )
    if code in _SERVER or code in _TIMEOUT or _is_of_server(status):
        return _maybe_applied(operation, params)
    return PERMANENT


def classify_transport(
    error: BaseException, *, operation: str | None = None, params: Params | None = None
) -> Classification:
    """Return what it means that no whole response came. See `classify`."""
    if isinstance(error, bx.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return PERMANENT  # nothing is sent to a server that is not trusted
    if is_of_closed_client(error):
        return PERMANENT
    if _never_sent(error):
        return NOT_SENT
    if isinstance(error, _TRANSPORT):
        return _maybe_applied(operation, params)
    return PERMANENT


def _maybe_applied(operation: str | None, params: Params | None) -> Classification:
    if operation is not None and is_read(operation, params):
        return Classification(kind=ErrorKind.TRANSIENT, retryable=True, counts_against_breaker=True)
    return Classification(
        kind=ErrorKind.AMBIGUOUS,
        retryable=operation is not None and is_safe_to_repeat(operation, params),
        ambiguous=True,
        counts_against_breaker=True,
    )


def code_of(response: Mapping[str, Any] | None) -> str:
    """Return the code of an error response; nothing where there is none."""
    return str((response or {}).get("Error", {}).get("Code", ""))


def is_refusal(response: Mapping[str, Any] | None) -> bool:
    """Return whether a response is DynamoDB's own and tells of a failure: its request is not on its way any more.

    A success whose body came damaged is none: DynamoDB has applied that request, whatever it says of a later one.
    """
    code = code_of(response)  # digits: of a gateway, which may have given up on a request that still arrives
    if code and not code.isdecimal():
        return True
    metadata = (response or {}).get("ResponseMetadata", {})
    return "RequestId" in metadata and metadata.get("HTTPStatusCode", 0) >= _FAILURE_FROM


def _never_sent(error: BaseException) -> bool:
    """Return whether it is sure that nothing was sent."""
    # Of what this library's own transport raised, that knows what came of the request.
    if isinstance(error, bx.ConnectTimeoutError) or getattr(error, "nothing_was_sent", False):
        return True
    if isinstance(error, bx.ProxyConnectionError):
        return _never_got_through(error)
    return isinstance(error, bx.EndpointConnectionError) and _never_connected(error)


def is_of_closed_client(error: BaseException) -> bool:
    """Return whether an error is that of a client which was closed: nothing was sent.

    aiobotocore looks for its session where there is none any more. Any other AttributeError may come of a request that
    is under way.
    """
    if getattr(error, "client_was_closed", False):
        return True
    cause = error.kwargs.get("error") if isinstance(error, bx.HTTPClientError) else None
    if not isinstance(cause, AttributeError) or cause.__traceback__ is None:
        return False
    *_, (last, _) = traceback.walk_tb(cause.__traceback__)
    return last.f_code.co_name == "_get_session"


def _never_connected(error: bx.EndpointConnectionError) -> bool:
    """Distinguish a connection that could not be made from one that was lost.

    botocore raises EndpointConnectionError for the first only, aiobotocore for both: there, what aiohttp raised
    tells them apart. aiohttp is asked for only where it has been imported already.
    """
    aiohttp = sys.modules.get("aiohttp")
    cause = error.kwargs.get("error")
    if aiohttp is None or not isinstance(cause, aiohttp.ClientError):
        return True
    return isinstance(cause, aiohttp.ClientConnectorError)


def _never_got_through(error: bx.ProxyConnectionError) -> bool:
    """Distinguish a connection through a proxy that could not be made from one that was lost.

    urllib3 blames the proxy for both: it has closed a lost connection by then, and takes it for one that never was.
    What it raised first tells them apart. aiohttp's errors have no such cause, and are of the first kind only.
    """
    cause = getattr(error.kwargs.get("error"), "original_error", None)
    urllib3 = sys.modules.get("urllib3.exceptions")
    if cause is None or urllib3 is None:
        return True
    unmade = (urllib3.NewConnectionError, urllib3.ConnectTimeoutError, urllib3.SSLError)
    return isinstance(cause, unmade) or str(cause).startswith(_PROXY_REFUSES)


def _status(response: Mapping[str, Any], code: str) -> int | None:
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if isinstance(status, int):
        return status
    if code.isdecimal() and len(code) <= _DIGITS_OF_A_STATUS:  # botocore's code for a body that is no JSON
        return int(code)
    return None


def _is_of_server(status: int | None) -> bool:
    """Return whether a status says that something went wrong behind it: DynamoDB, or a gateway that waited for it."""
    return status is not None and (status >= _SERVER_STATUS_FROM or status == _TIMED_OUT_STATUS)


def _throttling_reasons(response: Mapping[str, Any]) -> tuple[ThrottlingReason, ...]:
    entries = response.get("ThrottlingReasons") or response.get("throttlingReasons")
    error = response.get("Error", {})
    entries = entries or error.get("ThrottlingReasons") or error.get("throttlingReasons") or ()
    return tuple(
        ThrottlingReason(reason=str(entry.get("reason", "")), resource=str(entry.get("resource", "")))
        for entry in entries
        if isinstance(entry, Mapping)
    )


def _classify_cancellation(response: Mapping[str, Any]) -> Classification:
    """Judge a cancelled transaction by its reasons: it is worth repeating only if each of them is."""
    codes = [code for code in _cancellation_codes(response) if code not in ("None", "")]
    verdicts = [classify_response({"Error": {"Code": code}}, operation="TransactWriteItems") for code in codes]
    kinds = {verdict.kind for verdict in verdicts}
    if verdicts and all(verdict.retryable for verdict in verdicts):
        kind = ErrorKind.THROTTLING if ErrorKind.THROTTLING in kinds else ErrorKind.TRANSIENT
        return Classification(kind=kind, retryable=True)
    return _CONDITION_FAILED if ErrorKind.CONDITIONAL in kinds else PERMANENT


def _cancellation_codes(response: Mapping[str, Any]) -> list[str]:
    reasons = response.get("CancellationReasons")
    if isinstance(reasons, list) and reasons:
        return [str(reason.get("Code", "None")) for reason in reasons if isinstance(reason, Mapping)]
    found = _REASONS_IN_MESSAGE.search(str(response.get("Error", {}).get("Message", "")))
    return [code.strip() for code in found.group(1).split(",")] if found else []


def _is_too_old(response: Mapping[str, Any]) -> bool:
    """Return whether a request was refused because it was signed long ago: it was not applied, and is signed anew."""
    return str(response.get("Error", {}).get("Message", "")).startswith(_SIGNATURE_EXPIRED)


def _is_clock_skewed(response: Mapping[str, Any], now: float | None) -> bool:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    date = headers.get("date") or headers.get("Date")
    if not date:
        return False
    try:
        server = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):  # no date, or one that is out of this world
        return False
    return abs((time.time() if now is None else now) - server) > CLOCK_SKEW_SECONDS
