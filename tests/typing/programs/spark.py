"""Data frames, written to a table and read from one."""

from typing import Any

import resilient_ddb as rddb
from resilient_ddb.spark import read_table, write_partitions


def copy(spark: Any, frame: Any) -> int:
    orders = rddb.table("orders")
    report = write_partitions(frame, orders, write_units_per_second=500)
    back = read_table(spark, orders, schema="id string, price double", read_units_per_second=500)
    print(back.count())
    return report.written
