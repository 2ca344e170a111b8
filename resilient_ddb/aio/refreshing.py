"""Credentials that several event loops refresh, one after the other, or at once in several threads."""

from __future__ import annotations

import asyncio
from typing import Any


class RefreshLock:
    """Stands in for the lock of an aiobotocore session's credentials: one lock for each event loop.

    An `asyncio.Lock` belongs to the first loop on which somebody waits for it, and raises on any other. Two loops may
    refresh at once: each puts its whole answer in place.
    """

    def __init__(self) -> None:
        self._locks: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}

    def locked(self) -> bool:
        """Return whether somebody refreshes on the running loop."""
        return self._here().locked()

    async def __aenter__(self) -> None:
        await self._here().acquire()

    async def __aexit__(self, *_: object) -> None:
        self._here().release()

    def _here(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        found = self._locks.get(loop)
        if found is None:
            for other in list(self._locks):  # a copy: other threads have loops of their own
                if other.is_closed():
                    self._locks.pop(other, None)
            found = self._locks[loop] = asyncio.Lock()
        return found


def share_between_loops(credentials: Any) -> None:
    """Let the credentials of a session be refreshed on any event loop, if their lock is of one only."""
    if type(getattr(credentials, "_refresh_lock", None)) is asyncio.Lock:
        credentials._refresh_lock = RefreshLock()  # noqa: SLF001 - aiobotocore has no public way
