"""A Spark session in local mode, and DynamoDB Local with a proxy before it.

Spark weighs 500 MB, so `test` does not bring it: where it is missing, nothing here is collected. CI has a step of its
own that brings it.
"""

import importlib.util
import logging
import os
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import boto3
import pytest

import resilient_ddb as rddb
from resilient_ddb.testing import FaultProxy

HAS_SPARK = importlib.util.find_spec("pyspark") is not None

collect_ignore = [] if HAS_SPARK else ["test_spark_docs.py", "test_spark_read.py", "test_spark_write.py"]


@pytest.fixture(scope="session")
def spark(aws_env, tmp_path_factory):  # the executors inherit the environment
    """Return a session with two cores, whose tasks may fail twice."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - see above

    folder = tmp_path_factory.mktemp("spark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        session = (
            SparkSession.builder.master("local[2, 3]")
            .appName("tests")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.local.dir", str(folder))
            .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
            .config("spark.log.level", "OFF")  # tasks that fail are what is tested
            .getOrCreate()
        )
        logging.getLogger("py4j").setLevel(logging.ERROR)
        yield session
        session.stop()


@pytest.fixture
def opened():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def proxy(dynamodb_local):
    with FaultProxy(dynamodb_local.endpoint_url, seed=1) as running:
        yield running


@pytest.fixture
def world(dynamodb_local, proxy, make_table, opened):
    """A table and a lease table on DynamoDB Local; `direct` is plain boto3's Table, `table(...)` goes by the proxy."""
    name = make_table(dynamodb_local.endpoint_url)
    plain = boto3.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url)
    opened.callback(plain.meta.client.close)
    direct = plain.Table(name)

    def table(name=name, **options):
        made = rddb.table(name, endpoint_url=proxy.endpoint_url, **options)
        opened.callback(made.meta.client.close)
        return made

    def create(name):
        opened.callback(plain.meta.client.delete_table, TableName=name)
        leases = rddb.SharedRateLimiter.create_table(
            rddb.resource("dynamodb", endpoint_url=dynamodb_local.endpoint_url), name
        )
        return table(leases.name)

    def stored():
        answer = direct.scan(ConsistentRead=True)
        assert "LastEvaluatedKey" not in answer
        return {item.pop("pk"): item for item in answer["Items"]}

    return SimpleNamespace(
        proxy=proxy, upstream=dynamodb_local.endpoint_url, direct=direct, table=table, create=create, stored=stored
    )
