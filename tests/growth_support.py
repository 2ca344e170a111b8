"""What a process holds, to see that it does not grow."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")


def held() -> dict[str, int]:
    """Return how much there is of what must not grow: objects, blocks of memory, descriptors, threads."""
    gc.collect()
    return {
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "descriptors": len(list(_DESCRIPTORS.iterdir())) if _DESCRIPTORS.exists() else 0,
        "threads": threading.active_count(),
    }


def grown(before: dict[str, int]) -> dict[str, int]:
    """Return by how much it has grown since."""
    return {what: number - before[what] for what, number in held().items()}
