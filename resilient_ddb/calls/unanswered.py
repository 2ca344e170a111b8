"""Calls that no fallback answers: where a stand-in for what DynamoDB has won't do."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any

from resilient_ddb.fallback import UNANSWERED
from resilient_ddb.policy.contexts import holding


def without_fallbacks() -> AbstractContextManager[None]:
    """Make calls within that no fallback answers."""
    return holding(UNANSWERED, True)


def unanswered(call: Callable[[], Any]) -> Callable[[], Any]:
    """Return a call that no fallback answers."""
    return inside(without_fallbacks, call)


def inside(context: Callable[[], AbstractContextManager[Any]], call: Callable[[], Any]) -> Callable[[], Any]:
    """Return a call that is made inside a context: for a flow, which must not hold one while others run.

    What a sync call is made in goes with a copy of the caller's context variables, wherever Ctrl-C comes. It would
    else be left to whatever the thread calls next.
    """

    def made() -> Any:
        result = copy_context().run(_within)
        return _awaited(result) if inspect.isawaitable(result) else result

    def _within() -> Any:
        with context():
            return call()

    async def _awaited(result: Any) -> Any:
        with context():
            return await result

    return made
