"""The tables of errors say what `classify` says, row by row, and leave out nothing that it knows by name."""

import sys
from email.utils import formatdate

import pytest
from botocore import exceptions as bx
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from listed import literals, tables

import resilient_ddb as rddb
from resilient_ddb.events import StopReason

NOW = 1_700_000_000.0
READ = ("GetItem", {"TableName": "t", "Key": {"id": {"S": "a"}}})
SAFE = ("PutItem", {"TableName": "t", "Item": {"id": {"S": "a"}}})
UNSAFE = (
    "UpdateItem",
    {
        "TableName": "t",
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    },
)
TABLES = tables("errors.rst")
[SERVICE] = [rows for heading, rows in TABLES if heading == "Errors of DynamoDB"]
[TRANSPORT] = [rows for heading, rows in TABLES if heading == "No whole response"]
[REASONS] = [rows for heading, rows in TABLES if heading == "Cancelled transactions"]
CLOCK_CODES = literals(next(cell for cell, *_ in SERVICE if "RequestTimeTooSkewed" in cell).split(", with a")[0])
TRANSPORT_ERRORS = {
    "EndpointConnectionError": lambda: bx.EndpointConnectionError(endpoint_url="u", error=OSError()),
    "ConnectTimeoutError": lambda: bx.ConnectTimeoutError(endpoint_url="u", error=OSError()),
    "ProxyConnectionError": lambda: bx.ProxyConnectionError(proxy_url="u", error=OSError()),
    "ConnectionClosedError": lambda: bx.ConnectionClosedError(endpoint_url="u", error=OSError()),
    "ReadTimeoutError": lambda: bx.ReadTimeoutError(endpoint_url="u", error=OSError()),
    "HTTPClientError": lambda: bx.HTTPClientError(error=OSError()),
    "SSLError": lambda: bx.SSLError(endpoint_url="u", error=OSError()),
    "ChecksumError": lambda: bx.ChecksumError(checksum_type="crc32", expected_checksum="1", actual_checksum="2"),
    "IncompleteReadError": lambda: bx.IncompleteReadError(actual_bytes=1, expected_bytes=2),
    "ResponseParserError": lambda: ResponseParserError("no JSON"),
    "ParamValidationError": lambda: bx.ParamValidationError(report="r"),
    "NoCredentialsError": bx.NoCredentialsError,
}


def described(error):
    """Return the cells after the first that `classify` makes of an error: read, write, sent again, circuit."""
    verdicts = [
        rddb.classify(error, operation=operation, params=params, now=NOW) for operation, params in (READ, UNSAFE, SAFE)
    ]
    read, unsafe, safe = verdicts
    assert safe.kind is unsafe.kind
    again = {
        (False, False, False): "no",
        (True, True, True): "once" if read.max_retries == 1 else "yes",
        (True, False, True): "reads, safe writes",
    }[tuple(verdict.retryable for verdict in verdicts)]
    counted = {verdict.counts_against_breaker for verdict in verdicts}
    assert len(counted) == 1
    circuit = "failure" if counted.pop() else "success" if read.kind is rddb.ErrorKind.CONDITIONAL else "neither"
    return [read.kind.value, unsafe.kind.value, again, circuit]


def service_rows():
    for cell, *expected in SERVICE:
        skewed = "4 minutes off" in cell
        codes = CLOCK_CODES if cell.startswith("The same") else [name for name in literals(cell) if name != "Date"]
        for code in codes:
            date = formatdate(NOW - 241 if skewed else NOW, usegmt=True)
            metadata = {"HTTPHeaders": {"date": date}, "HTTPStatusCode": int(code) if code.isdigit() else 400}
            error = ClientError({"Error": {"Code": code, "Message": ""}, "ResponseMetadata": metadata}, "GetItem")
            yield pytest.param(error, expected, id=f"{code}{'-skewed' * skewed}")


@pytest.mark.parametrize(("error", "expected"), list(service_rows()))
def test_an_error_of_dynamodb_is_what_its_row_says(error, expected):
    assert described(error.response) == expected


@pytest.mark.parametrize(("name", "expected"), [(name, cells) for cell, *cells in TRANSPORT for name in literals(cell)])
def test_an_error_without_a_response_is_what_its_row_says(name, expected):
    assert described(TRANSPORT_ERRORS[name]()) == expected


@pytest.mark.parametrize(("reasons", "kind", "again"), REASONS)
def test_a_cancelled_transaction_is_what_its_row_says(reasons, kind, again):
    response = {
        "Error": {"Code": "TransactionCanceledException"},
        "CancellationReasons": [{"Code": code} for code in [*literals(reasons), "None"]],
    }
    verdict = rddb.classify(response, operation="TransactWriteItems")
    assert (verdict.kind.value, "yes" if verdict.retryable else "no") == (kind, again)


def test_every_code_that_is_known_by_name_has_a_row():
    module = sys.modules[rddb.classify.__module__]
    known = {code for value in vars(module).values() if isinstance(value, frozenset) for code in map(str, value)}
    assert len(known) > 25
    assert known <= {name for cell, *_ in SERVICE for name in literals(cell)}


def test_every_transport_error_has_a_row():
    assert set(TRANSPORT_ERRORS) == {name for cell, *_ in TRANSPORT for name in literals(cell)}


def test_every_reason_to_stop_has_a_row():
    [rows] = [rows for heading, rows in TABLES if heading == "What is raised"]
    assert [literals(reason)[0] for reason, _ in rows[:-1]] == list(StopReason)


def update(expression, **values):
    return "UpdateItem", {"UpdateExpression": expression, "ExpressionAttributeValues": values}


def versioned(operation, **params):
    names = {"ExpressionAttributeNames": {"#rddb_version": "version"}}
    condition = {"ConditionExpression": "#rddb_version = :rddb_expected"}
    return operation, {**names, **condition, "ExpressionAttributeValues": {":rddb_expected": {"N": "1"}}, **params}


A, N, SET = {"S": "a"}, {"N": "1"}, {"SS": ["a"]}
WRITES = [  # the rows of the table in lost-replies.rst, in order
    [
        *((name, {}) for name in ("GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems")),
        ("ExecuteStatement", {"Statement": "SELECT * FROM t"}),
    ],
    [("PutItem", {"Item": {}}), ("DeleteItem", {"Key": {}}), ("PutItem", {"ConditionExpression": "a = b"})],
    [
        ("PutItem", {"ReturnValues": "ALL_OLD"}),
        ("DeleteItem", {"ReturnValues": "ALL_OLD"}),
        ("UpdateItem", {"UpdateExpression": "REMOVE a", "ReturnValues": "UPDATED_OLD"}),
    ],
    [
        update("SET a = :a, #b = :a", **{":a": A}),
        update("REMOVE a, b"),
        update("ADD s :s", **{":s": SET}),
        update("DELETE s :s", **{":s": SET}),
    ],
    [update("SET a = if_not_exists(a, :a)", **{":a": A})],
    [
        update("ADD n :n", **{":n": N}),
        update("SET n = n + :n", **{":n": N}),
        update("SET l = list_append(l, :a)", **{":a": A}),
        update("SET l[3] = :a", **{":a": A}),
        update("REMOVE l[3]"),
        update("SET a = b"),
    ],
    [
        versioned("PutItem", ReturnValues="ALL_OLD"),
        versioned("UpdateItem", UpdateExpression="ADD n :n"),
        versioned("DeleteItem", ReturnValues="ALL_OLD"),
    ],
    [("BatchWriteItem", {})],
    [("TransactWriteItems", {}), ("ExecuteTransaction", {})],
    [("ExecuteStatement", {"Statement": "UPDATE t SET a = 1"}), ("BatchExecuteStatement", {"Statements": []})],
    [("CreateTable", {}), ("UpdateTable", {}), ("DeleteTable", {})],
]


def test_what_is_sent_again_after_a_lost_reply_is_what_its_row_says():
    [rows] = [rows for heading, rows in tables("lost-replies.rst") if heading == "What is sent again"]
    lost = TRANSPORT_ERRORS["ConnectionClosedError"]()
    for (title, again, _), requests in zip(rows, WRITES, strict=True):
        for operation, params in requests:
            verdict = rddb.classify(lost, operation=operation, params=params)
            assert (title, operation, "yes" if verdict.retryable else "no") == (title, operation, again)
