"""The connections of an async client, as aiobotocore keeps them: what a forked process does with those of its parent.

It leaves them alone. The parent's event loop shares its epoll with the child: a transport that is closed in the child
is taken from it, and the parent does not hear of that connection again.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, NoReturn

from aiobotocore.httpsession import AIOHTTPSession

PARENTS: list[Any] = []
"""What belongs to the event loops of the parent, kept as long as the process: if it went, it would be closed."""


def leave_to_parent(client: Any) -> None:
    """Take the open connections from an aiobotocore client in a forked process, so that it makes new ones."""
    http = client._endpoint.http_session  # noqa: SLF001 - aiobotocore has no public way to any of this
    if type(http) is not AIOHTTPSession:
        client._endpoint.http_session = _ParentsSession()  # noqa: SLF001 - as above
        PARENTS.append(http)
        return
    sessions: dict[Any, Any] | None = http._sessions  # noqa: SLF001 - as above
    if sessions is None:
        return
    for session in sessions.values():
        if session.connector is not None:  # its finalizer would close the connections, as the process ends
            session.connector._closed = True  # noqa: SLF001 - as above
    PARENTS.append((sessions, http._exit_stack, http._sessions_lock))  # noqa: SLF001 - as above
    http._sessions, http._exit_stack = {}, contextlib.AsyncExitStack()  # noqa: SLF001 - as above
    http._sessions_lock = asyncio.Lock()  # noqa: SLF001 - as above


class _ParentsSession:
    """Stands for connections by another HTTP library, which are only known to be the parent's."""

    async def send(self, request: Any) -> NoReturn:
        """Refuse to send.

        Raises:
            RuntimeError: always.
        """
        del request
        raise RuntimeError("this client was opened before the process was forked: open one of its own in the child")

    async def close(self) -> None:
        """Close nothing."""

    async def __aexit__(self, *_: object) -> None:
        await self.close()
