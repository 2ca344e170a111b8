"""On which cores a process runs.

A call that waits for its answer lets its core sleep, unless the stub runs there. To wake a core takes as long as a lean
call's own work, in one call and not in the next, as the scheduler has it. So one call at a time shares the stub's core.
"""

from __future__ import annotations

import os
from pathlib import Path

_ALL = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def share_one() -> None:
    """Run on one core from now on: the same one for every process that calls this."""
    _run_on({min(_ALL)} if _ALL else set())


def use_all() -> None:
    """Run on all cores from now on."""
    _run_on(_ALL)


def _run_on(cores: set[int]) -> None:
    if not cores:  # macOS has no way to say it
        return
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
