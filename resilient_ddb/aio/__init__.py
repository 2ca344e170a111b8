"""The async twin: the same verbs on aiobotocore, in the shape that aioboto3's users know. Extra: `aio`.

At module scope, and in a block:

    from resilient_ddb import aio

    orders = aio.table("orders")                        # module scope: opens on first use
    dynamodb = aio.resource("dynamodb")                 # likewise; its Tables share one client
    orders = dynamodb.Table("orders")
    async with aio.resource("dynamodb") as dynamodb:    # or as aioboto3 does it
        orders = await dynamodb.Table("orders")
"""

import importlib.util
from typing import TYPE_CHECKING

from resilient_ddb._public import public_names

if importlib.util.find_spec("aiobotocore") is None:
    raise ImportError("resilient_ddb.aio needs aiobotocore: pip install 'resilient_ddb[aio]'", name="aiobotocore")

from .session import client, harden, resource, set_policy, table
from .tables import AsyncServiceResource, AsyncTable, Table

if TYPE_CHECKING:
    from .batch_get import AsyncBatchGet
    from .parallel_scan import AsyncParallelScan
    from .sharded_tables import AsyncShardedTable
    from .versioned_tables import AsyncVersionedTable

__all__ = [
    "AsyncBatchGet",
    "AsyncParallelScan",
    "AsyncServiceResource",
    "AsyncShardedTable",
    "AsyncTable",
    "AsyncVersionedTable",
    "Table",
    "client",
    "harden",
    "resource",
    "set_policy",
    "table",
]

# What a Table's methods give: loaded with the first of them that is called, or asked for by name.
_HOMES = {
    "batch_get": ("AsyncBatchGet",),
    "parallel_scan": ("AsyncParallelScan",),
    "sharded_tables": ("AsyncShardedTable",),
    "versioned_tables": ("AsyncVersionedTable",),
}

if not TYPE_CHECKING:  # a checker sees the imports above, and finds names that are not there
    __getattr__, __dir__ = public_names(__name__, __all__, _HOMES)
