"""Calls made at the same time on threads: the sync Table's way to read several partition keys."""

from __future__ import annotations

import contextvars
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_pools: weakref.WeakKeyDictionary[Any, ThreadPoolExecutor] = weakref.WeakKeyDictionary()
"""By a client's `meta`, which its views share. Threads are begun as they are needed, and end with their client."""
_lock = threading.Lock()
_is_worker: contextvars.ContextVar[bool] = contextvars.ContextVar("is_worker", default=False)
"""Whether the code runs on one of these threads: waiting for others of them there, all might wait for each other."""


def _forget() -> None:
    """Begin anew in a forked process: it has the pools, and none of their threads."""
    global _lock  # noqa: PLW0603 - another thread may have held it
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def together(client: Any, calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make calls at the same time, as many as the client has connections, and give what each gave or raised.

    Each call has the caller's context variables, such as its deadline.
    """
    if len(calls) == 1 or _is_worker.get():
        return [_outcome(call) for call in calls]
    pool = _pool(client)
    futures: list[Future[Any]] = []
    try:
        futures += (pool.submit(contextvars.copy_context().run, _work, call) for call in calls)
        return [future.result() for future in futures]
    finally:  # interrupted: what has not begun is not to begin
        for future in futures:
            future.cancel()


def _work(call: Callable[[], Any]) -> Any:
    _is_worker.set(True)
    return _outcome(call)


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - the flow decides what it means
        return error


def _pool(client: Any) -> ThreadPoolExecutor:
    meta = client.meta
    with _lock:
        pool = _pools.get(meta)
        if pool is None:
            pool = ThreadPoolExecutor(meta.config.max_pool_connections, thread_name_prefix="resilient_ddb")
            _pools[meta] = pool
        return pool
