"""Hot keys spread over shards, and several partition keys read as one; beside `table.sharded(...)`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .buckets import time_buckets
    from .resharding import ReshardReport
    from .shard_layout import RANDOM

__all__ = ["RANDOM", "ReshardReport", "time_buckets"]

_HOMES = {"RANDOM": "shard_layout", "ReshardReport": "resharding", "time_buckets": "buckets"}


if not TYPE_CHECKING:  # a checker sees the imports above, and finds names that are not there

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        meant = "; call reshard(partition_keys) of the sharded table" if name == "reshard" else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{meant}")


def __dir__() -> list[str]:
    return sorted(__all__)
