"""The addresses behind a host's name, on one event loop: asked for once at a time, and kept for some seconds.

A hundred connections that are made together would else be a hundred look-ups, on the few threads that a loop has for
them. The last ones would use up their connect timeout waiting. aiohttp keeps addresses as long.
"""

from __future__ import annotations

import asyncio
import socket
from contextvars import Context
from typing import Any

_KEPT_SECONDS = 10.0
_MOST_NAMES = 100

Found = tuple[float, list[Any] | OSError]


class Names:
    """What names were looked up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._found: dict[tuple[str, int], asyncio.Task[Found]] = {}

    async def addresses(self, host: str, port: int) -> list[Any]:
        """Return what `getaddrinfo` returns.

        Raises:
            OSError: it fails.
        """
        task = self._found.get((host, port))
        if task is None or self._is_over(task):
            if len(self._found) >= _MOST_NAMES:
                self._found.clear()
            look_up = self._look_up(host, port)  # not in the context of the call that came first
            task = self._found[(host, port)] = self._loop.create_task(look_up, context=Context())
        _, found = await asyncio.shield(task)  # who is cancelled leaves it to the others
        if isinstance(found, OSError):
            raise type(found)(*found.args)  # each has one of its own
        return found

    def _is_over(self, task: asyncio.Task[Found]) -> bool:
        if not task.done():
            return False
        if task.cancelled() or task.exception() is not None:
            return True
        when, found = task.result()
        return isinstance(found, OSError) or self._loop.time() - when > _KEPT_SECONDS

    async def _look_up(self, host: str, port: int) -> Found:
        try:
            found: list[Any] | OSError = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            found = error.with_traceback(None)
        return self._loop.time(), found
