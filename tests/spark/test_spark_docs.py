"""The examples of the documentation's page on Spark run, in order."""

import boto3
import pytest
from sybil.document import Document
from sybil.parsers import rest

import resilient_ddb as rddb


@pytest.fixture
def documented_tables(dynamodb_local, monkeypatch, opened):
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_local.endpoint_url)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    orders = rddb.resource("dynamodb").create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield
    orders.delete()
    rddb.table("rate-leases").delete()


def test_the_examples_run_in_order(spark, documented_tables, pytestconfig):
    page = pytestconfig.rootpath / "docs" / "spark.rst"
    document = Document.parse(str(page), rest.PythonCodeBlockParser())
    document.namespace["spark"] = spark
    examples = list(document.examples())
    assert len(examples) == 2
    for example in examples:
        example.evaluate()
