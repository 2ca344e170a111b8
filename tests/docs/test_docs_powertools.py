"""Powertools' idempotency, as its page shows it: each record's first reply gets lost."""

import importlib.util
from pathlib import Path

import boto3
import pytest
from listed import DOCS

import resilient_ddb as rddb
from resilient_ddb.testing import FaultProxy, faults

idempotency = pytest.importorskip("aws_lambda_powertools.utilities.idempotency", reason="needs Powertools")

EXAMPLE = Path(__file__).parents[2] / "examples" / "powertools_idempotency.py"
EVENTS = 20


class Context:
    def get_remaining_time_in_millis(self):
        return 60_000


@pytest.fixture
def endpoint_url(dynamodb_for_docs):
    client = boto3.Session().client("dynamodb")
    client.create_table(
        TableName="idempotency",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.close()
    return dynamodb_for_docs


@pytest.fixture
def proxy(endpoint_url, monkeypatch):
    with FaultProxy(endpoint_url) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", running.endpoint_url)
        yield running


def example():
    spec = importlib.util.spec_from_file_location("powertools_idempotency", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def handled(module, proxy):
    """Send the events, and return how many were answered."""
    answered = 0
    for number in range(EVENTS):
        proxy.plan = [faults.LoseReply(operations={"PutItem"}, times=1)]
        try:
            module.handler({"order": {"id": f"o-{number}"}}, Context())
        except idempotency.exceptions.IdempotencyAlreadyInProgressError:
            continue
        answered += 1
    assert proxy.count("PutItem", faults.LoseReply) == EVENTS
    return answered


def test_each_event_is_handled_once(proxy):
    module = example()
    assert handled(module, proxy) == len(module.payments) == EVENTS
    proxy.plan = []
    assert module.handler({"order": {"id": "o-0"}}, Context()) == {"paid": "o-0"}
    assert len(module.payments) == EVENTS
    module.client.close()


def test_boto3_meets_its_own_records(proxy, monkeypatch):
    plain = boto3.Session().client("dynamodb")
    monkeypatch.setattr(rddb, "client", lambda *_args, **_kwargs: plain)
    module = example()
    assert handled(module, proxy) == len(module.payments) == 0
    plain.close()


def test_the_page_has_these_figures():
    said = " ".join((DOCS / "powertools.rst").read_text().split())
    assert f"A test sends {EVENTS} events" in said
    assert f"With boto3, 0 of {EVENTS} payments are made. With this library, {EVENTS} of {EVENTS} are" in said
