"""Whether a connection that nobody reads from has something to read: an end, or what nobody asked for.

An event loop that stood still, as a frozen Lambda's does, has not heard yet that the server closed a connection. The
operating system has.
"""

from __future__ import annotations

import select
from collections.abc import Callable


def asker(descriptor: int) -> Callable[[], bool]:
    """Return a function that says whether there is something to read, an error, or no descriptor any more."""
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return lambda: bool(poller.poll(0))

    def ask() -> bool:
        try:
            return bool(select.select([descriptor], [], [], 0)[0])
        except (OSError, ValueError):
            return True

    return ask
