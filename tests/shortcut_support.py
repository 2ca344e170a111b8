"""What the tests of the shorter ways through botocore share: calls, what is sent for them, and how that is compared."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any
from unittest import mock

import botocore.auth
import botocore.loaders
import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSRequestPreparer
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.serialize import JSONSerializer
from botocore.useragent import UserAgentString
from botocore.validate import ParamValidator

NOW = datetime(2026, 11, 21, 23, 59, 58)  # noqa: DTZ001 - botocore's own times are naive, and in UTC
REGION = "eu-west-1"
KEY = {"pk": {"S": "ключ"}}
ITEM = {**KEY, "b": {"B": b"\x00\xff"}, "m": {"M": {"l": {"L": [{"N": "1"}, {"NULL": True}]}}}}
ARN = "arn:aws:dynamodb:{}:{}:table/orders"
TABLES = ("orders", "customers", ARN.format(REGION, "1" * 12), ARN.format("us-east-1", "2" * 12), "arn:aws:no:table")

CALLS: dict[str, dict[str, Any]] = {
    "GetItem": {"TableName": "orders", "Key": KEY, "ConsistentRead": True},
    "PutItem": {"TableName": "orders", "Item": ITEM},
    "UpdateItem": {
        "TableName": "orders",
        "Key": KEY,
        "UpdateExpression": "SET n = :n",
        "ExpressionAttributeValues": {":n": {"N": "1.50"}},
    },
    "DeleteItem": {"TableName": "orders", "Key": KEY},
    "Query": {
        "TableName": "orders",
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": "1"}},
        "Limit": 7,
    },
    "Scan": {"TableName": "orders", "ExclusiveStartKey": KEY},
    "BatchGetItem": {"RequestItems": {"orders": {"Keys": [KEY]}, "customers": {"Keys": [KEY]}}},
    "BatchWriteItem": {"RequestItems": {"orders": [{"PutRequest": {"Item": ITEM}}]}},
    "TransactWriteItems": {
        "TransactItems": [{"Put": {"TableName": "orders", "Item": ITEM}}],
        "ClientRequestToken": "token",
    },
    "TransactGetItems": {"TransactItems": [{"Get": {"TableName": "orders", "Key": KEY}}]},
    "ExecuteStatement": {"Statement": "SELECT * FROM orders WHERE pk = ?", "Parameters": [{"S": "1"}]},
    "ListTables": {},
    "DescribeTable": {"TableName": "orders"},
}

SETTINGS: dict[str, dict[str, Any]] = {
    "regional": {},
    "another partition": {"region_name": "cn-north-1"},
    "dual-stack": {"config": Config(use_dualstack_endpoint=True)},
    "fips": {"config": Config(use_fips_endpoint=True)},
    "dual-stack and fips": {"config": Config(use_dualstack_endpoint=True, use_fips_endpoint=True)},
    "impossible endpoint": {"config": Config(use_dualstack_endpoint=True), "endpoint_url": "http://127.0.0.1:8000"},
    "plain text": {"use_ssl": False},
    "custom endpoint": {"endpoint_url": "http://127.0.0.1:8000"},
    "endpoint with default port": {"endpoint_url": "https://DynamoDB.example:443/"},
    "endpoint with path": {"endpoint_url": "https://gateway.example/a b/dynamodb"},
    "no validation": {"config": Config(parameter_validation=False)},
    "extra user agent": {"config": Config(user_agent_extra="shop/1.2 (x)", user_agent_appid="shop")},
    "own user agent": {"config": Config(user_agent="mine/1.0", user_agent_extra="more")},
    "unsigned": {"config": Config(signature_version=botocore.UNSIGNED)},
    "standard mode": {"config": Config(retries={"mode": "standard"})},
    "accounts disabled": {"config": Config(account_id_endpoint_mode="disabled")},
    "accounts required": {"config": Config(account_id_endpoint_mode="required")},
}

ACCOUNTS: dict[str, dict[str, Any]] = {
    **{mode: {"config": Config(account_id_endpoint_mode=mode)} for mode in ("preferred", "disabled", "required")},
    "custom endpoint": {"endpoint_url": "http://127.0.0.1:8000"},
    "fips": {"config": Config(use_fips_endpoint=True, account_id_endpoint_mode="required")},
    "dual-stack": {"config": Config(use_dualstack_endpoint=True)},
    "local": {"region_name": "local"},
}

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("GetItem", {}),
    ("GetItem", {"TableName": "orders"}),
    ("GetItem", {"TableName": 5, "Key": KEY}),
    ("GetItem", {"TableName": "", "Key": KEY}),
    ("GetItem", {"TableName": "orders", "Key": {"pk": "no type"}}),
    ("GetItem", {"TableName": "orders", "Key": KEY, "Unknown": 1}),
    ("PutItem", {"TableName": "orders", "Item": {"pk": {"N": 1}}}),
    ("PutItem", {"TableName": "orders", "Item": {"pk": {"S": "\ud800"}}}),
    ("PutItem", {"TableName": "orders", "Item": {"pk": {}}}),
    ("Query", {"TableName": "orders", "Limit": 0}),
    ("Query", {"TableName": "orders", "Limit": "7"}),
    ("BatchGetItem", {"RequestItems": {}}),
    ("ListTables", {"Limit": True}),
]


def _change_request(params, **_):
    params["headers"]["X-Mine"] = "a"
    params["url"] += "?b=2&a=1"
    params["body"] = '{"TableName": "another"}'


HANDLERS = {
    "header": ("before-sign.dynamodb", lambda request, **_: request.headers.add_header("X-Mine", "a  b")),
    "host": ("before-sign.dynamodb.GetItem", lambda request, **_: request.headers.add_header("Host", "tunnel")),
    "hash": ("before-sign.*.*", lambda request, **_: request.headers.add_header("X-Amz-Content-SHA256", "UNSIGNED")),
    "late header": ("request-created.dynamodb", lambda request, **_: request.headers.add_header("X-Mine", "a")),
    "no signer": ("choose-signer.dynamodb", lambda **_: botocore.UNSIGNED),
    "query signer": ("choose-signer.dynamodb.GetItem", lambda **_: "v4-query"),
    "token": ("choose-signer.dynamodb", lambda **_: "bearer"),
    "unknown signer": ("choose-signer.dynamodb.GetItem", lambda **_: "no-such-signer"),
    "request": ("before-call.dynamodb.GetItem", _change_request),
    "parameters": (
        "before-parameter-build.dynamodb.GetItem",
        lambda params, **_: params.update(ReturnConsumedCapacity="TOTAL"),
    ),
    "new parameters": (
        "provide-client-params.dynamodb.GetItem",
        lambda params, **_: {**params, "TableName": TABLES[3]},
    ),
    "endpoint": (
        "before-endpoint-resolution.dynamodb",
        lambda builtins, **_: builtins.update({"SDK::Endpoint": "https://elsewhere.example/path"}),
    ),
    "account": (
        "before-endpoint-resolution.*",
        lambda builtins, **_: builtins.update({"AWS::Auth::AccountId": "9" * 12}),
    ),
    "signing": (
        "before-endpoint-resolution",
        lambda context, **_: context.update(signing={"region": "us-west-2", "signing_name": "dax"}),
    ),
}
"""What others do at a call's events: each of these changes what is sent for a GetItem."""


# How it is compared.


def secret_of(access_key: str) -> str:
    """Return the secret that goes with an access key in these tests."""
    return f"secret/of+{access_key}"


@contextmanager
def at(now: datetime):
    """Have requests signed at a certain time."""

    def current(*_, **__):  # a mock takes longer to make than a request
        return now

    with mock.patch.object(botocore.auth, "get_current_datetime", current):
        yield


@contextmanager
def counted(**methods: tuple[type, str]):
    """Count the calls of methods, which do their work as ever."""
    counts: Counter[str] = Counter(dict.fromkeys(methods, 0))

    def counting(name, original):
        def method(*args, **kwargs):
            counts[name] += 1
            return original(*args, **kwargs)

        return method

    with ExitStack() as stack:
        for name, (owner, attribute) in methods.items():
            stack.enter_context(mock.patch.object(owner, attribute, counting(name, getattr(owner, attribute))))
        yield counts


BOTOCORES_WORK = {
    "validations": (ParamValidator, "_validate_structure"),
    "serializations": (JSONSerializer, "_serialize_type_structure"),
    "agents": (UserAgentString, "_build_sdk_metadata"),
    "requests": (AWSRequestPreparer, "prepare"),
}
"""What botocore does anew for each call, some of it more than once; a request is prepared to send it and to sign it."""


# What was sent.


def headers_of(request: Any) -> dict[str, str]:
    """Return the headers of a prepared request by their names in lower case."""
    return {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
    }


def features_of(agent: str) -> frozenset[str]:
    """Return the features that a User-Agent states."""
    (stated,) = re.findall(r"(?:^| )m/(\S*)", agent) or [""]
    return frozenset(stated.split(","))


def facts(request: Any) -> tuple[Any, ...]:
    """Return what two requests for the same call have in common: all but ids, the order of features and JSON's spaces.

    Not compared here: the signature, which is made over the spaces, too; and how often at most is tried.
    """
    headers = headers_of(request)
    agent = headers.get("user-agent", "")
    headers["user-agent"] = re.sub(r"(^| )m/\S*", " m/", agent)
    headers["amz-sdk-request"] = re.sub(r"; max=\d+", "", headers["amz-sdk-request"])
    headers["authorization"] = headers.get("authorization", "").partition("Signature=")[0]
    for name in ("amz-sdk-invocation-id", "content-length"):
        del headers[name]
    try:
        body = json.loads(request.body or b"null")
    except ValueError:  # another protocol's
        body = request.body
    url = re.sub(r"(?<=X-Amz-Signature=)\w+", "", request.url)
    return request.method, url, headers, features_of(agent), body


def is_signed_well(request: Any) -> bool:
    """Return whether the signature is the one that botocore's own signer gives for what was sent."""
    headers = headers_of(request)
    found = re.match(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([^,]+), Signature=",
        headers["authorization"],
    )
    access_key, region, service, signed = found.groups()
    again = AWSRequest(method=request.method, url=request.url, data=request.body)
    for name in signed.split(";"):
        if name in headers:
            again.headers[name] = headers[name]
    credentials = ReadOnlyCredentials(access_key, secret_of(access_key), headers.get("x-amz-security-token"))
    with at(datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")):  # noqa: DTZ007 - as NOW
        SigV4Auth(credentials, service, region).add_auth(again)
    return again.headers["Authorization"] == headers["authorization"]
