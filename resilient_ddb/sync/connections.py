"""The connections of a sync client: what is read from one is the whole answer to the request that it was sent.

botocore's connections are http.client's. That takes an interim answer other than 100 (102 Processing, 103 Early
Hints) for the answer itself. The real one is then still to come, and is what the next request on the connection
reads. And a forked process has the connections of its parent: each would read the other's answers.
"""

from __future__ import annotations

from functools import cache
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

from botocore.httpsession import URLLib3Session
from urllib3 import Timeout

from resilient_ddb.hooks.handlers import (
    SHORTEST_READ_TIMEOUT,
    WITHOUT_BODY,
    came_over_the_wire,
    deadline_of_call,
    own_timeouts,
)
from resilient_ddb.http.fast_path import ANOTHER_SESSION, SWITCHED_OFF, Counters, is_wanted
from resilient_ddb.http.sync_session import LeanSession

if TYPE_CHECKING:
    from resilient_ddb.policy.deadlines import Deadline
    from resilient_ddb.policy.policy import Policy

_INTERIM = range(100, 200)
_POOL_CLASSES = "_pool_classes_by_scheme"


class FinalResponse(HTTPResponse):
    """http.client's response, which passes over every interim one."""

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        while self.status in _INTERIM:
            self.headers = self.msg = None  # type: ignore[assignment]  # as before anything was read
            super().begin()
        if self.status in WITHOUT_BODY:  # http.client reads none: if there is one, the next request would
            self.will_close = True
        came_over_the_wire()


class _Pool:
    """Mixed into the class of a urllib3 pool: its connections read the final answer, and no redirect is followed.

    botocore has urllib3 follow none but a 303: there it fails on botocore's headers.
    """

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request."""
        kwargs["redirect"] = False
        timeout = kwargs.get("timeout")
        own, deadline = own_timeouts(), deadline_of_call()
        if own is not None:  # botocore before 1.43 says nothing of a request's own
            read = timeout.read_timeout if isinstance(timeout, Timeout) else own.read
            kwargs["timeout"] = timeout = Timeout(connect=own.connect, read=read)
        if deadline is not None:  # nor of a deadline
            kwargs["timeout"] = _cut(timeout if isinstance(timeout, Timeout) else self.timeout, deadline)  # type: ignore[attr-defined]  # mixed in
        return super().urlopen(*args, **kwargs)  # type: ignore[misc]  # mixed in

    def _new_conn(self) -> Any:
        made: Any = super()._new_conn()  # type: ignore[misc]  # mixed in
        if getattr(made, "_original_response_cls", None) is HTTPResponse:  # botocore's own, and nobody else's
            made._original_response_cls = made.response_class = FinalResponse  # noqa: SLF001 - has no public name
        return made


def _cut(timeout: Any, deadline: Deadline) -> Timeout:
    """Return a pool's timeout, cut to what the deadline leaves."""
    left = max(deadline.remaining(), SHORTEST_READ_TIMEOUT)
    connect, read = timeout.connect_timeout, timeout.read_timeout
    return Timeout(
        connect=min(connect, left) if isinstance(connect, int | float) else left,
        read=min(read, left) if isinstance(read, int | float) else left,
    )


def on_the_fast_path(http_session: Any, policy: Policy, counters: Counters, before: LeanSession | None) -> Any:
    """Return the HTTP session that a client must have, in place of the one that it has; it may be the same.

    `before` is the one that the client had on the fast path the last time: plans know it, and hold for no other.
    """
    original = http_session.original if isinstance(http_session, LeanSession) else http_session
    take(original)
    if type(original) is not URLLib3Session:
        counters.absent = ANOTHER_SESSION
        return http_session
    if not is_wanted(policy):
        counters.absent = SWITCHED_OFF
        if http_session is not original:
            http_session.forget()
        return original
    counters.absent = None
    lean = http_session if isinstance(http_session, LeanSession) else before
    if lean is None or lean.original is not original:
        lean = LeanSession(original, counters, came_over_the_wire)
    lean.connection_max_idle = policy.timeouts.connection_max_idle
    lean.clock = policy.clock
    lean.own_timeouts = own_timeouts
    lean.deadline_of_call = deadline_of_call
    return lean


def take(http_session: Any) -> None:
    """Make the pools of one client's HTTP session use such connections; a second time, nothing changes."""
    classes = getattr(http_session, _POOL_CLASSES, None)
    if not isinstance(classes, dict) or all(issubclass(cls, _Pool) for cls in classes.values()):
        return
    for scheme, cls in classes.items():
        classes[scheme] = _mixed(cls)
    http_session.close()  # pools that were made before, of a client that was used: calls under way keep theirs


@cache
def _mixed(cls: type) -> type:
    return type(cls.__name__, (_Pool, cls), {"__module__": cls.__module__})


def counted(client: Any) -> tuple[int, int] | None:
    """Return how many connections are in use, and how many are idle; None if the client's HTTP library does not tell.

    No lock is taken: the queue of a pool holds what is not in use, and None for what may yet be made.
    """
    http = client._endpoint.http_session  # noqa: SLF001 - botocore has no public way to any of this
    own = http.counted() if isinstance(http, LeanSession) else None
    managers = (getattr(http, "_manager", None), *getattr(http, "_proxy_managers", {}).values())
    if not any(managers):
        return own
    in_use, idle = own or (0, 0)
    for manager in filter(None, managers):
        for pool in list(manager.pools._container.values()):  # noqa: SLF001 - as above
            queue = pool.pool
            if queue is not None:
                waiting = list(queue.queue)
                in_use += max(0, queue.maxsize - len(waiting))
                idle += sum(connection is not None for connection in waiting)
    return in_use, idle


def leave_to_parent(client: Any) -> None:
    """Remove the open connections of a boto3 client in a forked process, so that it makes new ones.

    Only this process's handles are closed: nothing goes over the wire, no close_notify either, so that the parent's
    calls go on. No lock is waited for: a thread of the parent may have held it.
    """
    http = client._endpoint.http_session  # noqa: SLF001 - botocore has no public way to any of this
    if isinstance(http, LeanSession):
        http.leave_to_parent()
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
