"""The connections of a sync client, as botocore keeps them: what a forked process does with those of its parent."""

from __future__ import annotations

from typing import Any


def leave_to_parent(client: Any) -> None:
    """Take the open connections from a boto3 client in a forked process, so that it makes new ones.

    Only this process's handles are closed: nothing goes over the wire, no close_notify either, so that the parent's
    calls go on. No lock is waited for: a thread of the parent may have held it.
    """
    http = client._endpoint.http_session  # noqa: SLF001 - botocore has no public way to any of this
    managers = (getattr(http, "_manager", None), *getattr(http, "_proxy_managers", {}).values())
    for manager in managers:
        if manager is None:  # somebody's own session: it is theirs to take care of
            continue
        kept = manager.pools
        manager.pools = type(kept)(kept._maxsize, kept.dispose_func)  # noqa: SLF001 - as above
        for pool in kept._container.values():  # noqa: SLF001 - as above
            _empty(pool.pool)


def _empty(queue: Any) -> None:
    """Close what waits in a pool, and give its queue a lock that nobody holds: urllib3 takes it as the pool goes."""
    if queue is None:  # the pool was closed
        return
    waiting = [connection for connection in queue.queue if connection is not None]
    queue.__init__()
    for connection in waiting:
        connection.close()
