"""Hot keys spread over shards, and several partition keys read as one; beside `table.sharded(...)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .buckets import reshard, time_buckets
    from .resharding import ReshardReport

__all__ = ["ReshardReport", "reshard", "time_buckets"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import buckets  # noqa: PLC0415 - loaded when it is asked for

    return getattr(buckets, name)
