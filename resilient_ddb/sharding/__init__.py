"""Hot keys spread over shards, and several partition keys read as one; beside `table.sharded(...)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resilient_ddb._public import public_names

if TYPE_CHECKING:
    from .buckets import time_buckets
    from .resharding import ReshardReport
    from .shard_layout import RANDOM

__all__ = ["RANDOM", "ReshardReport", "time_buckets"]

_HOMES = {"buckets": ("time_buckets",), "resharding": ("ReshardReport",), "shard_layout": ("RANDOM",)}

if not TYPE_CHECKING:  # a checker sees the imports above, and finds names that are not there
    _get, __dir__ = public_names(__name__, __all__, _HOMES)

    def __getattr__(name: str) -> Any:
        if name == "reshard":
            there_is = "; call reshard(partition_keys) of the sharded table"
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{there_is}")
        return _get(name)
