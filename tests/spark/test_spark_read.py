"""A table on DynamoDB Local, read as Spark's partitions."""

import time
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr

import resilient_ddb as rddb
from resilient_ddb.spark import read_table
from resilient_ddb.testing.faults import Throttle


@pytest.fixture
def filled(world):
    with world.direct.batch_writer() as batch:
        for n in range(200):
            batch.put_item(Item={"pk": f"{n:04}", "n": n, "real": Decimal("0.5"), "note": "x" * 500})
    return world


def test_without_a_schema_a_table_is_an_rdd_of_items(spark, filled):
    rdd = read_table(spark, filled.table(), segments=4)
    assert rdd.getNumPartitions() == 4
    items = rdd.collect()
    assert sorted(item["pk"] for item in items) == [f"{n:04}" for n in range(200)]
    assert all(type(item["n"]) is Decimal for item in items)


def test_with_a_schema_a_table_is_a_dataframe(spark, filled):
    filled.direct.put_item(Item={"pk": "none"})
    frame = read_table(spark, filled.table(), schema="pk string, n long, real double, missing string")
    assert frame.columns == ["pk", "n", "real", "missing"]
    assert frame.rdd.getNumPartitions() == spark.sparkContext.defaultParallelism
    assert frame.where("n >= 198").orderBy("n").collect() == [("0198", 198, 0.5, None), ("0199", 199, 0.5, None)]
    assert frame.where("n is null").count() == 1
    again = read_table(spark, filled.table(), schema=frame.schema, segments=1)
    assert again.count() == 201


def test_an_item_that_does_not_fit_the_schema_fails_the_job_without_its_value(spark, filled):
    frame = read_table(spark, filled.table(), schema="note long")
    with pytest.raises(Exception, match="attribute 'note' does not fit the schema, which says bigint") as raised:
        frame.collect()
    assert "xxx" not in str(raised.value)


def test_parameters_of_scan_are_passed_on(spark, filled):
    rdd = read_table(spark, filled.table(), segments=2, FilterExpression=Attr("n").lt(5), ProjectionExpression="pk")
    assert sorted(item["pk"] for item in rdd.collect()) == [f"{n:04}" for n in range(5)]
    assert rdd.first().keys() == {"pk"}


def test_expired_items_are_left_out(spark, world):
    now = int(time.time())
    world.direct.put_item(Item={"pk": "old", "ttl": now - 100})
    world.direct.put_item(Item={"pk": "new", "ttl": now + 1000})
    assert [item["pk"] for item in read_table(spark, world.table(ttl="ttl")).collect()] == ["new"]


def test_a_job_reads_at_one_rate(spark, filled):
    leases = filled.create("leases-read")
    rdd = read_table(spark, filled.table(), segments=4, read_units_per_second=5, leases=leases, Limit=10)
    began = time.monotonic()
    assert rdd.count() == 200
    cost = 200 * 0.55 / 4 / 2  # 550 bytes each, half a unit for 4 KB; pages are rounded up
    assert time.monotonic() - began > (cost - 5) / 5 - 1
    assert rdd.count() == 200


def test_throttled_reads_are_retried(spark, filled):
    filled.proxy.plan = [Throttle(operations=("Scan",), every=2)]
    assert read_table(spark, filled.table(), segments=2, Limit=20).count() == 200


def test_a_table_that_is_not_there_fails_the_job(spark, world):
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        read_table(spark, world.table("no-such-table"), segments=1).collect()


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"segments": 0}, ValueError, "segments must be 1 or more; got 0"),
        ({"Segment": 1}, ValueError, "Segment must be left to read_table; give segments instead"),
        ({"Select": "COUNT"}, ValueError, "Select must not be 'COUNT' where items are given"),
        ({"read_units_per_second": -1}, ValueError, "read_units_per_second must be a number greater than 0; got -1"),
        ({"table": None}, TypeError, "table must be a hardened Table"),
        ({"schema": ["pk"]}, TypeError, r"schema must be a StructType, or text such as .*; got \['pk'\]"),
        ({"schema": "pk string, at timestamp"}, TypeError, "column 'at' of the schema is of type timestamp"),
    ],
)
def test_what_can_not_be_meant_is_refused(spark, world, change, error, match):
    settings = {"table": world.table(), **change}
    with pytest.raises(error, match=match):
        read_table(spark, **settings)


def test_no_fallback_answers_for_a_segment(spark, filled):
    filled.proxy.plan = [Throttle(operations=("Scan",))]
    stale = rddb.fallback.response({"Items": [{"pk": "stale"}]})
    table = filled.table(policy=rddb.Policy(retry=rddb.Retry(max_attempts=1), fallback=stale))
    with pytest.raises(Exception, match="ProvisionedThroughputExceeded"):
        read_table(spark, table, segments=1).collect()
