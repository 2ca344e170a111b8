"""Every row of the fault tables: what an error means."""

from __future__ import annotations

from email.utils import formatdate
from itertools import product

import botocore.session
import pytest
from botocore import exceptions as bx
from botocore.parsers import ResponseParserError

from resilient_ddb.calls.classification import Classification, classify
from resilient_ddb.errors import ResilienceError
from resilient_ddb.events import ErrorKind, ThrottlingReason

NOW = 1_700_000_000.0
CONSTANT = {"UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}}
COUNTING = {"UpdateExpression": "ADD a :v", "ExpressionAttributeValues": {":v": {"N": "1"}}}

THROTTLED = Classification(kind=ErrorKind.THROTTLING, retryable=True)
CONFLICT = Classification(kind=ErrorKind.TRANSIENT, retryable=True)
IN_PROGRESS = Classification(kind=ErrorKind.TRANSIENT, retryable=True, minimum_age=5.0)
CONDITION = Classification(kind=ErrorKind.CONDITIONAL, retryable=False)
PERMANENT = Classification(kind=ErrorKind.PERMANENT, retryable=False)
EXPIRED = Classification(kind=ErrorKind.TRANSIENT, retryable=True, max_retries=1, refresh_credentials=True)
SKEWED = Classification(kind=ErrorKind.TRANSIENT, retryable=True, max_retries=1)
READ_OUTAGE = Classification(kind=ErrorKind.TRANSIENT, retryable=True, counts_against_breaker=True)
NEVER_SENT = READ_OUTAGE
AMBIGUOUS_SAFE = Classification(kind=ErrorKind.AMBIGUOUS, retryable=True, ambiguous=True, counts_against_breaker=True)
AMBIGUOUS_UNSAFE = Classification(
    kind=ErrorKind.AMBIGUOUS, retryable=False, ambiguous=True, counts_against_breaker=True
)


def client_error(code, status=400, operation="PutItem", headers=None, **top):
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    return bx.ClientError({"Error": {"Code": code, "Message": ""}, "ResponseMetadata": metadata, **top}, operation)


SERVICE_ERRORS = [
    ("ProvisionedThroughputExceededException", 400, THROTTLED),
    ("ThrottlingException", 400, THROTTLED),
    ("Throttling", 400, THROTTLED),
    ("RequestLimitExceeded", 400, THROTTLED),
    ("TooManyRequests", 400, THROTTLED),
    ("TooManyRequestsException", 400, THROTTLED),
    ("SlowDown", 503, THROTTLED),
    ("AnythingAtAll", 429, THROTTLED),
    ("429", 429, THROTTLED),
    ("LimitExceededException", 400, THROTTLED),
    ("PriorRequestNotComplete", 400, THROTTLED),
    ("TransactionInProgressException", 400, IN_PROGRESS),
    ("ReplicatedWriteConflictException", 409, CONFLICT),
    ("TransactionConflictException", 400, CONFLICT),
    ("InternalServerError", 500, AMBIGUOUS_SAFE),
    ("InternalFailure", 500, AMBIGUOUS_SAFE),
    ("ServiceUnavailable", 503, AMBIGUOUS_SAFE),
    ("ServiceUnavailableException", 503, AMBIGUOUS_SAFE),
    ("Unknown", 500, AMBIGUOUS_SAFE),
    ("Unknown", 502, AMBIGUOUS_SAFE),
    ("Unknown", 503, AMBIGUOUS_SAFE),
    ("Unknown", 504, AMBIGUOUS_SAFE),
    ("", 500, AMBIGUOUS_SAFE),
    ("RequestTimeout", 408, AMBIGUOUS_SAFE),
    ("RequestTimeoutException", 400, AMBIGUOUS_SAFE),
    ("ConditionalCheckFailedException", 400, CONDITION),
    ("DuplicateItem", 400, CONDITION),
    ("DuplicateItemException", 400, CONDITION),
    ("IdempotentParameterMismatchException", 400, PERMANENT),
    ("ItemCollectionSizeLimitExceededException", 400, PERMANENT),
    ("ItemCollectionSizeLimitExceeded", 400, PERMANENT),
    ("ValidationException", 400, PERMANENT),
    ("ResourceNotFoundException", 400, PERMANENT),
    ("ResourceInUseException", 400, PERMANENT),
    ("AccessDeniedException", 400, PERMANENT),
    ("AccessDenied", 403, PERMANENT),
    ("UnrecognizedClientException", 400, PERMANENT),
    ("RequestEntityTooLarge", 413, PERMANENT),
    ("413", 413, PERMANENT),
    ("SerializationException", 400, PERMANENT),
    ("ExpiredToken", 403, EXPIRED),
    ("ExpiredTokenException", 400, EXPIRED),
]


@pytest.mark.parametrize(("code", "status", "verdict"), SERVICE_ERRORS)
def test_a_service_error_means_what_the_table_says(code, status, verdict):
    assert classify(client_error(code, status), now=NOW) == verdict


@pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504, 507, 520, 524, 599])
@pytest.mark.parametrize("code", ["InternalServerError", "ServiceUnavailable", "Whatever"])
def test_a_5xx_changes_nothing_for_a_read(code, status):
    assert classify(client_error(code, status, "GetItem")) == READ_OUTAGE


@pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504, 507, 520, 524, 599])
def test_an_html_5xx_is_known_by_the_number_that_botocore_makes_its_code(status):
    assert classify({"Error": {"Code": str(status), "Message": "<html>"}}, operation="PutItem") == AMBIGUOUS_SAFE


def test_an_html_413_is_permanent_though_its_code_is_a_number():
    assert classify({"Error": {"Code": "413", "Message": ""}}, operation="PutItem") == PERMANENT


def test_a_bare_429_is_throttling_whatever_else_it_says():
    assert classify({"Error": {"Code": "429"}}, operation="PutItem") == THROTTLED
    assert classify({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": 429}}) == THROTTLED


@pytest.mark.parametrize("code", ["²", "50x", "-503"])
def test_a_code_that_only_looks_like_a_number_is_no_status(code):
    assert classify({"Error": {"Code": code}}) == PERMANENT


def test_an_update_is_only_safe_where_its_parameters_show_it():
    error = client_error("InternalServerError", 500, "UpdateItem")
    assert classify(error, params=CONSTANT) == AMBIGUOUS_SAFE
    assert classify(error, params=COUNTING) == AMBIGUOUS_UNSAFE
    assert classify(error) == AMBIGUOUS_UNSAFE


def test_the_operation_that_is_named_comes_before_the_error_s_own():
    assert classify(client_error("InternalServerError", 500, "PutItem"), operation="GetItem") == READ_OUTAGE


def test_without_an_operation_a_failure_is_taken_for_a_write_s():
    assert classify({"Code": "InternalServerError"}) == AMBIGUOUS_UNSAFE
    assert classify(bx.ReadTimeoutError(endpoint_url="x")) == AMBIGUOUS_UNSAFE


# Every error that botocore's model of DynamoDB knows.

CONTROL_ERRORS = """
    BackupInUseException BackupNotFoundException ContinuousBackupsUnavailableException ExportConflictException
    ExportNotFoundException GlobalTableAlreadyExistsException GlobalTableNotFoundException ImportConflictException
    ImportNotFoundException IndexNotFoundException InvalidExportTimeException InvalidRestoreTimeException
    PointInTimeRecoveryUnavailableException PolicyNotFoundException ReplicaAlreadyExistsException
    ReplicaNotFoundException ResourceInUseException ResourceNotFoundException TableAlreadyExistsException
    TableInUseException TableNotFoundException
""".split()  # noqa: SIM905 - reads better
MODELLED = dict.fromkeys(CONTROL_ERRORS, ErrorKind.PERMANENT) | {
    "ConditionalCheckFailedException": ErrorKind.CONDITIONAL,
    "DuplicateItemException": ErrorKind.CONDITIONAL,
    "IdempotentParameterMismatchException": ErrorKind.PERMANENT,
    "InternalServerError": ErrorKind.AMBIGUOUS,
    "ItemCollectionSizeLimitExceededException": ErrorKind.PERMANENT,
    "LimitExceededException": ErrorKind.THROTTLING,
    "ProvisionedThroughputExceededException": ErrorKind.THROTTLING,
    "ReplicatedWriteConflictException": ErrorKind.TRANSIENT,
    "RequestLimitExceeded": ErrorKind.THROTTLING,
    "ThrottlingException": ErrorKind.THROTTLING,
    "TransactionCanceledException": ErrorKind.PERMANENT,  # without reasons
    "TransactionConflictException": ErrorKind.TRANSIENT,
    "TransactionInProgressException": ErrorKind.TRANSIENT,
}


def modelled_errors():
    model = botocore.session.get_session().get_service_model("dynamodb")
    return {shape.metadata.get("error", {}).get("code", shape.name) for shape in model.error_shapes}


def test_every_error_in_botocore_s_model_is_in_the_table_above():
    assert modelled_errors() - set(MODELLED) == set()


@pytest.mark.parametrize(("code", "kind"), sorted(MODELLED.items()))
def test_a_modelled_error_is_of_the_kind_in_the_table(code, kind):
    verdict = classify(client_error(code, 400, "TransactWriteItems"))
    assert verdict.kind == kind
    assert verdict.retryable == (kind in (ErrorKind.THROTTLING, ErrorKind.TRANSIENT, ErrorKind.AMBIGUOUS))


# Cancelled transactions.

CANCELLATIONS = [
    (["TransactionConflict"], CONFLICT),
    (["None", "TransactionConflict", "None"], CONFLICT),
    (["ThrottlingError"], THROTTLED),
    (["ProvisionedThroughputExceeded", "TransactionConflict"], THROTTLED),
    (["TransactionConflict", "ProvisionedThroughputExceeded"], THROTTLED),
    (["ConditionalCheckFailed"], CONDITION),
    (["ConditionalCheckFailed", "None"], CONDITION),
    (["TransactionConflict", "ConditionalCheckFailed"], CONDITION),
    (["ItemCollectionSizeLimitExceeded"], PERMANENT),
    (["ValidationError"], PERMANENT),
    (["TransactionConflict", "ValidationError"], PERMANENT),
    (["ThrottlingError", "ItemCollectionSizeLimitExceeded", "None"], PERMANENT),
    (["DuplicateItem"], CONDITION),
    (["NeverHeardOf"], PERMANENT),
    (["NeverHeardOf", "TransactionConflict"], PERMANENT),
    (["None", "None"], PERMANENT),
    ([], PERMANENT),
]


@pytest.mark.parametrize(("codes", "verdict"), CANCELLATIONS)
def test_a_cancelled_transaction_is_repeated_only_if_every_reason_allows_it(codes, verdict):
    reasons = [{"Code": code} for code in codes]
    error = client_error("TransactionCanceledException", 400, "TransactWriteItems", CancellationReasons=reasons)
    assert classify(error) == verdict


@pytest.mark.parametrize(("codes", "verdict"), [row for row in CANCELLATIONS if row[0]])
def test_reasons_are_read_from_the_message_where_they_are_only_there(codes, verdict):
    text = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
    response = {"Error": {"Code": "TransactionCanceledException", "Message": text}}
    assert classify(bx.ClientError(response, "TransactWriteItems")) == verdict


def test_a_reason_without_a_code_is_none():
    reasons = [{}, {"Code": "TransactionConflict"}]
    response = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
    assert classify(response) == CONFLICT


# Throttling reasons.

REASONS = [
    f"{what}{way}{limit}Exceeded"
    for what, way, limit in product(
        ("Table", "Index"),
        ("Read", "Write"),
        ("ProvisionedThroughput", "AccountLimit", "KeyRangeThroughput", "MaxOnDemandThroughput"),
    )
]


def test_there_are_sixteen_throttling_reasons():
    assert len(set(REASONS)) == 16


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize(
    ("code", "spelling"),
    [
        ("ProvisionedThroughputExceededException", "ThrottlingReasons"),
        ("RequestLimitExceeded", "ThrottlingReasons"),
        ("ThrottlingException", "throttlingReasons"),
    ],
)
def test_throttling_reasons_are_found_in_both_spellings(reason, code, spelling):
    entries = [{"reason": reason, "resource": "arn:t"}]
    verdict = classify(client_error(code, 400, **{spelling: entries}))
    assert verdict.throttling_reasons == (ThrottlingReason(reason=reason, resource="arn:t"),)
    assert verdict.is_hot_partition is ("KeyRange" in reason)
    assert (verdict.kind, verdict.retryable) == (ErrorKind.THROTTLING, True)
    assert not verdict.counts_against_breaker


def test_throttling_reasons_within_the_error_are_found_too():
    error = {"Code": "ThrottlingException", "throttlingReasons": [{"reason": REASONS[0]}]}
    assert classify({"Error": error}).throttling_reasons == (ThrottlingReason(reason=REASONS[0], resource=""),)


def test_it_is_a_hot_partition_only_if_nothing_else_was_throttled():
    key, table = {"reason": "TableReadKeyRangeThroughputExceeded"}, {"reason": "TableReadAccountLimitExceeded"}
    both = classify({"Error": {"Code": "ThrottlingException"}, "throttlingReasons": [key, table]})
    one = classify({"Error": {"Code": "ThrottlingException"}, "throttlingReasons": [key, key]})
    none = classify({"Error": {"Code": "ThrottlingException"}, "throttlingReasons": []})
    assert [both.is_hot_partition, one.is_hot_partition, none.is_hot_partition] == [False, True, False]


# Batch statement errors, as mappings.

BATCH_STATEMENT_ERRORS = {
    "ConditionalCheckFailed": CONDITION,
    "ItemCollectionSizeLimitExceeded": PERMANENT,
    "RequestLimitExceeded": THROTTLED,
    "ValidationError": PERMANENT,
    "ProvisionedThroughputExceeded": THROTTLED,
    "TransactionConflict": CONFLICT,
    "ThrottlingError": THROTTLED,
    "InternalServerError": AMBIGUOUS_UNSAFE,
    "ResourceNotFound": PERMANENT,
    "AccessDenied": PERMANENT,
    "DuplicateItem": CONDITION,
}


def test_every_batch_statement_error_of_the_model_is_in_the_table():
    model = botocore.session.get_session().get_service_model("dynamodb")
    assert set(model.shape_for("BatchStatementErrorCodeEnum").enum) == set(BATCH_STATEMENT_ERRORS)


@pytest.mark.parametrize(("code", "verdict"), BATCH_STATEMENT_ERRORS.items())
def test_a_batch_statement_error_is_a_mapping_with_a_code(code, verdict):
    assert classify({"Code": code, "Message": "m"}, operation="BatchExecuteStatement") == verdict


def test_an_error_of_a_select_in_a_batch_is_a_read_s():
    params = {"Statements": [{"Statement": "SELECT * FROM t"}]}
    assert classify({"Code": "InternalServerError"}, operation="BatchExecuteStatement", params=params) == READ_OUTAGE


# Clocks.

CLOCK_CODES = [
    "RequestTimeTooSkewed",
    "RequestExpired",
    "RequestInTheFuture",
    "InvalidSignature",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
]


@pytest.mark.parametrize("code", CLOCK_CODES)
@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({}, PERMANENT),
        ({"date": formatdate(NOW, usegmt=True)}, PERMANENT),
        ({"date": formatdate(NOW - 240, usegmt=True)}, PERMANENT),
        ({"date": formatdate(NOW + 240, usegmt=True)}, PERMANENT),
        ({"date": formatdate(NOW - 241, usegmt=True)}, SKEWED),
        ({"date": formatdate(NOW + 241, usegmt=True)}, SKEWED),
        ({"Date": formatdate(NOW + 3600, usegmt=True)}, SKEWED),
        ({"date": "the day before yesterday"}, PERMANENT),
        ({"date": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}, PERMANENT),
        ({"date": "Mon, 01 Jan 99999 00:00:00 GMT"}, PERMANENT),
        ({"date": "9" * 5000}, PERMANENT),
    ],
)
def test_a_signature_is_tried_again_once_only_where_the_clock_is_to_blame(code, headers, verdict):
    assert classify(client_error(code, 403, headers=headers), now=NOW) == verdict


def test_without_now_the_machine_s_clock_is_asked(monkeypatch):
    monkeypatch.setattr("resilient_ddb.calls.classification.time.time", lambda: NOW)
    error = client_error("RequestExpired", headers={"date": formatdate(NOW - 300, usegmt=True)})
    assert classify(error) == SKEWED
    assert classify(error, now=0.0) == SKEWED
    assert classify(error, now=NOW - 300) == PERMANENT


# Transport.

URL = {"endpoint_url": "https://dynamodb"}
BOTOCORE_TRANSPORT = [
    (bx.EndpointConnectionError(error=OSError("refused"), **URL), False),
    (bx.EndpointConnectionError(**URL), False),
    (bx.ConnectTimeoutError(error="e", **URL), False),
    (bx.ProxyConnectionError(error="e", proxy_url="p"), False),
    (bx.ConnectionClosedError(error="e", **URL), True),
    (bx.ReadTimeoutError(error="e", **URL), True),
    (bx.HTTPClientError(error="e"), True),
    (bx.SSLError(error="e", **URL), True),
    (bx.IncompleteReadError(actual_bytes=1, expected_bytes=2), True),
    (bx.ChecksumError(checksum_type="crc32", expected_checksum="1", actual_checksum="2"), True),
    (ResponseParserError("cut"), True),
    (ConnectionResetError("reset"), True),
    (TimeoutError(), True),
    (OSError("?"), True),
]


@pytest.mark.parametrize(("error", "sent"), BOTOCORE_TRANSPORT, ids=lambda value: type(value).__name__)
def test_a_transport_failure_is_ambiguous_for_a_write_that_was_sent(error, sent):
    assert classify(error, operation="PutItem") == (AMBIGUOUS_SAFE if sent else NEVER_SENT)
    assert classify(error, operation="UpdateItem", params=COUNTING) == (AMBIGUOUS_UNSAFE if sent else NEVER_SENT)
    assert classify(error, operation="GetItem") == READ_OUTAGE


def test_a_failure_that_its_transport_knows_to_be_unsent_is_none_of_the_write():
    error = bx.SSLError(error="handshake failure", **URL)
    error.nothing_was_sent = True
    assert classify(error, operation="UpdateItem", params=COUNTING) == NEVER_SENT
    untrusted = bx.SSLError(error="[SSL: CERTIFICATE_VERIFY_FAILED] expired", **URL)
    untrusted.nothing_was_sent = True
    assert classify(untrusted, operation="UpdateItem", params=COUNTING) == PERMANENT


def test_aiobotocore_says_with_aiohttp_s_error_whether_a_request_was_sent():
    aiohttp = pytest.importorskip("aiohttp")
    from aiohttp.client_reqrep import ConnectionKey  # noqa: PLC0415 - only where aiohttp is

    key = ConnectionKey("h", 443, True, None, None, None, None)
    never = [
        aiohttp.ClientConnectorError(key, OSError()),
        aiohttp.ClientConnectorDNSError(key, OSError()),
    ]
    maybe = [aiohttp.ServerDisconnectedError(), aiohttp.ClientOSError(104, "reset"), aiohttp.ClientPayloadError()]
    for cause in never:
        error = bx.EndpointConnectionError(error=cause, **URL)
        assert classify(error, operation="UpdateItem", params=COUNTING) == NEVER_SENT
    for cause in maybe:
        error = bx.EndpointConnectionError(error=cause, **URL)
        assert classify(error, operation="UpdateItem", params=COUNTING) == AMBIGUOUS_UNSAFE
        assert classify(error, operation="PutItem") == AMBIGUOUS_SAFE
        assert classify(error, operation="Query") == READ_OUTAGE


@pytest.mark.parametrize(
    "error", [bx.NoCredentialsError(), bx.ParamValidationError(report="r"), ValueError("v"), KeyboardInterrupt()]
)
def test_what_is_no_transport_failure_is_permanent(error):
    assert classify(error, operation="GetItem") == PERMANENT


@pytest.mark.parametrize("error", [None, 5, "ThrottlingException", ["x"], ValueError])
def test_what_is_no_error_is_refused_by_name(error):
    with pytest.raises(TypeError, match="error must be an exception or an error response") as refused:
        classify(error)
    assert repr(error) in str(refused.value)


def test_a_kind_is_equal_to_its_word():
    assert [str(kind) for kind in ErrorKind] == ["throttling", "transient", "ambiguous", "conditional", "permanent"]
    assert ErrorKind.THROTTLING == "throttling"


def test_a_code_of_thousands_of_digits_is_no_status():
    assert classify({"Error": {"Code": "9" * 5000}}) == PERMANENT


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not ErrorKind.CONDITIONAL])
def test_an_error_of_ours_means_what_it_knows(kind):
    reasons = (ThrottlingReason(reason="TableReadKeyRangeThroughputExceeded", resource=""),)
    error = ResilienceError({"Error": {"Code": "x"}}, "GetItem", kind=kind, throttling_reasons=reasons)
    means = classify(error)
    assert (means.kind, means.throttling_reasons) == (kind, reasons)
    assert means.retryable is (kind is not ErrorKind.PERMANENT)
