"""Spark's partitions written to DynamoDB Local: nothing lost, nothing doubled, one rate for the whole job."""

import os
import signal
import time
from decimal import Decimal
from pathlib import Path

import boto3
import pytest
from pyspark.sql import Row, functions

import resilient_ddb as rddb
from resilient_ddb.spark import write_partitions
from resilient_ddb.testing.faults import ErrorResponse, LoseReply, Throttle, Unprocessed

JOB_FAILED = Exception
"""Which one Spark raises for a task's failure depends on its version: the task's error is in its text."""


def rows(number, **more):
    return [{"pk": f"{n:04}", "n": n, **more} for n in range(number)]


def keys(number):
    return {f"{n:04}" for n in range(number)}


def test_a_dataframe_is_written_with_its_values(spark, world):
    frame = spark.createDataFrame(
        [
            Row(
                pk="a",
                n=7,
                real=0.1,
                exact=Decimal("1.50"),
                raw=bytearray(b"x"),
                at=Row(city="Oslo", zip=None),
                tags=["x", "y"],
                more={"k": 1.5},
                none=None,
            )
        ],
        "pk string, n long, real double, exact decimal(10, 2), raw binary, at struct<city: string, zip: string>, "
        "tags array<string>, more map<string, double>, none string",
    )
    report = write_partitions(frame, world.table())
    assert (report.written, report.partitions, report.consumed_units) == (1, 1, 1)
    assert world.stored() == {
        "a": {
            "n": 7,
            "real": Decimal("0.1"),
            "exact": Decimal("1.5"),
            "raw": b"x",
            "at": {"city": "Oslo"},
            "tags": ["x", "y"],
            "more": {"k": Decimal("1.5")},
        }
    }


def test_an_rdd_of_dicts_is_written_and_its_report_gathered(spark, world):
    report = write_partitions(spark.sparkContext.parallelize(rows(300), 4), world.table())
    assert set(world.stored()) == keys(300)
    assert (report.written, report.partitions, report.batches, report.retried) == (300, 4, 12, 0)
    assert report.consumed_units == 300
    assert report.average_rate == pytest.approx(300 / report.elapsed)


def test_a_table_may_be_given_by_its_name(spark, world, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", world.upstream)
    frame = spark.createDataFrame([], "n long")
    with pytest.raises(ValueError, match="must have a column 'pk'"):  # it was asked for its key
        write_partitions(frame, world.direct.name)


def test_nothing_to_write_is_nothing_written(spark, world):
    report = write_partitions(spark.createDataFrame([], "pk string"), world.table(), write_units_per_second=5)
    assert (report.written, report.partitions, report.consumed_units, report.average_rate) == (0, 0, 0, 0)


def test_of_rows_with_one_key_the_last_of_a_partition_is_written(spark, world):
    many = [{"pk": "a", "n": n} for n in range(60)]
    write_partitions(spark.sparkContext.parallelize(many, 1), world.table(), max_workers=3)
    assert world.stored() == {"a": {"n": 59}}


def once(marker):
    """Return whether this is the first time, in whatever process."""
    try:
        Path(marker).open("x").close()
    except FileExistsError:
        return False
    return True


def test_a_task_that_fails_is_made_again_and_counted_once(spark, world, tmp_path):
    marker = str(tmp_path / "failed")

    def failing(part):
        for number, row in enumerate(part):
            if number == 60 and once(marker):
                raise RuntimeError("out of luck")
            yield row

    rdd = spark.sparkContext.parallelize(rows(300), 3).mapPartitions(failing)
    report = write_partitions(rdd, world.table())
    assert Path(marker).exists()
    assert set(world.stored()) == keys(300)
    assert (report.written, report.partitions) == (300, 3)


def test_a_worker_that_is_killed_is_replaced_and_loses_nothing(spark, world, tmp_path):
    marker = str(tmp_path / "killed")

    def killed(part):
        for number, row in enumerate(part):
            if number == 60 and once(marker):
                os.kill(os.getpid(), signal.SIGKILL)
            yield row

    leases = world.create("leases-killed")
    rdd = spark.sparkContext.parallelize(rows(300), 3).mapPartitions(killed)
    report = write_partitions(rdd, world.table(), write_units_per_second=400, leases=leases)
    assert Path(marker).exists()
    assert set(world.stored()) == keys(300)
    assert report.written == 300


def test_faults_on_the_way_lose_nothing(spark, world):
    world.proxy.plan = [
        Unprocessed(share=0.5, every=2),
        LoseReply(operations=("BatchWriteItem",), every=3),
        Throttle(operations=("BatchWriteItem",), every=5),
    ]
    report = write_partitions(spark.sparkContext.parallelize(rows(200), 2), world.table())
    assert world.proxy.count(fault=Unprocessed) > 0
    assert set(world.stored()) == keys(200)
    assert report.written == 200
    assert report.retried > 0


def test_what_is_unprocessed_fails_the_job_with_their_keys(spark, world):
    world.proxy.plan = [Unprocessed(share=1.0, key={"pk": {"S": "0007"}})]
    secret = "s3cret-value"
    rdd = spark.sparkContext.parallelize(rows(30, note=secret), 2)
    with pytest.raises(JOB_FAILED) as raised:
        write_partitions(rdd, world.table(), max_attempts=2)
    text = str(raised.value)
    assert "UnprocessedItemsError" in text
    assert "15 requests for table" in text  # its whole partition: that is one batch
    assert "their keys: {'pk': '0000'}, {'pk': '0001'}" in text
    assert secret not in text
    assert not set(world.stored()) & keys(15)


def test_a_row_that_can_not_be_written_fails_the_job_by_its_column(spark, world):
    rdd = spark.sparkContext.parallelize([*rows(27), {"pk": "a", "n": float("nan")}, *rows(30)], 1)
    with pytest.raises(JOB_FAILED, match="column 'n' has NaN or an infinity in a row") as raised:
        write_partitions(rdd, world.table())
    assert "not surely written are the items with the keys {'pk': '0025'}, {'pk': '0026'}" in str(raised.value)
    assert set(world.stored()) == keys(25)


def test_whatever_fails_a_task_the_keys_of_what_it_leaves_are_told(spark, world):
    world.proxy.plan = [ErrorResponse(code="AccessDeniedException", operations=("BatchWriteItem",))]
    with pytest.raises(JOB_FAILED, match="AccessDeniedException") as raised:
        write_partitions(spark.sparkContext.parallelize(rows(30), 1), world.table())
    assert "their keys: {'pk': '0000'}, {'pk': '0001'}," in str(raised.value)


def test_a_column_that_can_not_be_written_is_refused_before_the_job_begins(spark, world):
    frame = spark.createDataFrame([Row(pk="a")]).withColumn("at", functions.current_timestamp())
    with pytest.raises(TypeError, match=r"column 'at' is of type timestamp.* unix_timestamp\(at\)"):
        write_partitions(frame, world.table())
    assert world.stored() == {}


def test_the_whole_job_keeps_one_rate(spark, world):
    leases = world.create("leases-rate")
    rdd = spark.sparkContext.parallelize(rows(600), 6)  # three after another on each core
    write_partitions(spark.sparkContext.parallelize(rows(2), 2), world.table())  # the processes are there
    began = time.monotonic()
    report = write_partitions(rdd, world.table(), write_units_per_second=100, leases=leases)
    elapsed = time.monotonic() - began
    assert report.written == 600
    assert report.consumed_units == 600
    # 100 units of burst at most; one batch of each process may be ahead of a share that shrank.
    assert report.consumed_units <= 100 * elapsed + 100 + 2 * 25
    names = {item["limiter"] for item in _leases(world, leases)}
    assert all(name.startswith(f"{world.direct.name}/write/") for name in names)


def _leases(world, leases):
    return boto3.resource("dynamodb", endpoint_url=world.upstream).Table(leases.name).scan()["Items"]


def test_a_lease_table_is_created_if_there_is_none(spark, world, opened):
    opened.callback(world.table("leases-new").delete)
    rdd = spark.sparkContext.parallelize(rows(10), 2)
    assert write_partitions(rdd, world.table(), write_units_per_second=1000, leases="leases-new").written == 10
    assert write_partitions(rdd, world.table(), write_units_per_second="auto", leases="leases-new").written == 10


def test_a_rate_may_be_shared_with_others(spark, world):
    limiter = rddb.SharedRateLimiter(world.create("leases-shared"), "everybody", 400)
    rdd = spark.sparkContext.parallelize(rows(50), 2)
    assert write_partitions(rdd, world.table(), write_units_per_second=limiter).written == 50
    assert {item["limiter"] for item in _leases(world, world.table("leases-shared"))} <= {"everybody"}


def test_no_credentials_go_to_the_executors(spark, world):
    from pyspark import cloudpickle  # noqa: PLC0415 - only here

    from resilient_ddb.spark import _limiter, _recipe  # noqa: PLC0415 - only here

    session = boto3.Session(aws_access_key_id="AKIASECRET", aws_secret_access_key="s3cret", region_name="eu-west-1")
    table = rddb.table("t", session=session, endpoint_url=world.upstream)
    limiter = rddb.SharedRateLimiter(table, "n", 5)
    recipe = cloudpickle.dumps(_recipe(table, _limiter(table, limiter, "", "write")))
    assert b"s3cret" not in recipe
    assert b"AKIASECRET" not in recipe


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"data": [1]}, TypeError, r"data must be a DataFrame, or an RDD of Rows or dicts; got \[1\]"),
        ({"table": 5}, TypeError, "table must be a hardened Table, .* or its name; got 5"),
        ({"leases": 5, "write_units_per_second": 5}, TypeError, "leases must be a hardened Table"),
        ({"write_units_per_second": 0}, ValueError, "write_units_per_second must be a number greater than 0; got 0"),
        ({"write_units_per_second": "fast"}, TypeError, "write_units_per_second must be a number"),
        (
            {"write_units_per_second": rddb.RateLimiter(5)},
            TypeError,
            "write_units_per_second must be a number, or a SharedRateLimiter: RateLimiter.* within one process only",
        ),
        ({"max_workers": 0}, ValueError, "max_workers must be 1 or more; got 0"),
        ({"max_attempts": 0}, ValueError, "max_attempts must be 1 or more; got 0"),
    ],
)
def test_what_can_not_be_meant_is_refused(spark, world, change, error, match):
    settings = {"data": spark.sparkContext.parallelize(rows(1)), "table": world.table(), **change}
    with pytest.raises(error, match=match):
        write_partitions(settings.pop("data"), settings.pop("table"), **settings)
    assert world.stored() == {}
