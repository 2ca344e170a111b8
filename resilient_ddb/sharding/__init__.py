"""Hot keys spread over shards, and several partition keys read as one; beside `table.sharded(...)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .resharding import ReshardReport
    from .time_buckets import reshard, time_buckets

__all__ = ["ReshardReport", "reshard", "time_buckets"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import time_buckets as module  # noqa: PLC0415 - loaded when it is asked for

    return getattr(module, name)
