"""A process in which no thread of this library's can be started: it has too many of them, or is ending."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from unittest import mock


@contextlib.contextmanager
def no_threads() -> Iterator[None]:
    """Refuse this library's threads, as Python does. Those of servers that a test asks are started."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("resilient_ddb"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with mock.patch.object(threading.Thread, "start", refuse):
        yield
