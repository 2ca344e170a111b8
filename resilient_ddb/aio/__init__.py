"""The async twin: the same verbs on aiobotocore, in the shape that aioboto3's users know. Extra: `aio`.

At module scope, and in a block:

    from resilient_ddb import aio

    orders = aio.table("orders")                        # module scope: opens on first use
    dynamodb = aio.resource("dynamodb")                 # likewise; its Tables share one client
    orders = dynamodb.Table("orders")
    async with aio.resource("dynamodb") as dynamodb:    # or as aioboto3 does it
        orders = await dynamodb.Table("orders")
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

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
    "AsyncBatchGet": "batch_get",
    "AsyncParallelScan": "parallel_scan",
    "AsyncShardedTable": "sharded_tables",
    "AsyncVersionedTable": "versioned_tables",
}


if not TYPE_CHECKING:  # a checker sees the imports above, and finds names that are not there

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
