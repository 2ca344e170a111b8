"""Credentials that several event loops refresh, one after the other, or at once in several threads."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from resilient_ddb.policy.forks import tell_child

_PAUSE_SECONDS = 0.005
"""Between two looks whether somebody still refreshes. It is a request, now and then."""


class RefreshLock:
    """Stands in for the lock of an aiobotocore session's credentials, on whichever loop they are refreshed.

    An `asyncio.Lock` belongs to the first loop on which somebody waits for it, and raises on any other.
    """

    def __init__(self) -> None:
        self._in_child()
        tell_child(self)

    def _in_child(self) -> None:
        """Begin anew in a forked process: a task of the parent may be refreshing."""
        self._guard = threading.Lock()
        self._holder: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None] | None = None

    def locked(self) -> bool:
        """Return whether somebody refreshes. A loop that was closed, or stands still, does so no more."""
        holder = self._holder
        return holder is not None and holder[0].is_running()

    async def __aenter__(self) -> None:
        while not self._take():  # noqa: ASYNC110 - another loop may be refreshing
            await asyncio.sleep(_PAUSE_SECONDS)

    async def __aexit__(self, *_: object) -> None:
        with self._guard:
            if self._holder is not None and self._holder[1] is asyncio.current_task():  # its loop may have stood still
                self._holder = None

    def _take(self) -> bool:
        with self._guard:
            if self.locked():
                return False
            self._holder = (asyncio.get_running_loop(), asyncio.current_task())
            return True


def share_between_loops(credentials: Any) -> None:
    """Make the credentials of a session refreshable on any event loop, if their lock is of one only."""
    if type(getattr(credentials, "_refresh_lock", None)) is asyncio.Lock:
        credentials._refresh_lock = RefreshLock()  # noqa: SLF001 - aiobotocore has no public way
