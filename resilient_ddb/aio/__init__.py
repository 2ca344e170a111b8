"""The async twin: the same verbs on aiobotocore, in the shape that aioboto3's users know. Extra: `aio`.

from resilient_ddb import aio

orders = aio.table("orders")                        # module scope: opens on first use
async with aio.resource("dynamodb") as dynamodb:    # or as aioboto3 does it
    orders = await dynamodb.Table("orders")
"""

import importlib.util

if importlib.util.find_spec("aiobotocore") is None:
    raise ImportError("resilient_ddb.aio needs aiobotocore: pip install 'resilient_ddb[aio]'", name="aiobotocore")

from .batch_get import AsyncBatchGet
from .idempotent import idempotent_update
from .parallel_scan import AsyncParallelScan
from .session import client, install, resource, table
from .tables import AsyncServiceResource, AsyncTable
from .versioned_tables import AsyncVersionedTable

__all__ = [
    "AsyncBatchGet",
    "AsyncParallelScan",
    "AsyncServiceResource",
    "AsyncTable",
    "AsyncVersionedTable",
    "client",
    "idempotent_update",
    "install",
    "resource",
    "table",
]
