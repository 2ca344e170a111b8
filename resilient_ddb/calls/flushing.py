"""What has to be written out before the process stands still: the observers that have a `flush()`.

AWS Lambda freezes a process as soon as its handler has returned. `lambda_handler` flushes before.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

from resilient_ddb.policy.living import living

_log = logging.getLogger("resilient_ddb")


class Observed(Protocol):
    """Something whose calls are observed."""

    def flushed(self) -> Sequence[Any]:
        """Return what may have a `flush()`: the observers, and the lines that are written without one."""


_observed: weakref.WeakSet[Observed] = weakref.WeakSet()


def flush_at_end(observed: Observed) -> None:
    """Register something whose observers `flush_observers` flushes, as long as it lives."""
    _observed.add(observed)


def flush_observers() -> None:
    """Flush each observer that can be, once. One that fails is logged, and never fails the caller."""
    found = {id(observer): observer for observed in living(_observed) for observer in observed.flushed()}
    for observer in found.values():
        flush = getattr(observer, "flush", None)
        if callable(flush):
            try:
                flush()
            except Exception:  # noqa: BLE001 - whatever an observer raises is its own affair
                _log.warning("observer %s can't be flushed", type(observer).__name__, exc_info=True)
