"""Calls made at the same time as tasks: the async Table's way to read several partition keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

_MOST = 128
"""Calls under way at the same time, at most; the client's connections are another bound."""


async def together(calls: Sequence[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """Make calls at the same time, and give what each gave or raised. Cancelled, it cancels them."""
    room = asyncio.Semaphore(_MOST)

    async def outcome(call: Callable[[], Awaitable[Any]]) -> Any:
        async with room:
            try:
                return await call()
            except Exception as error:  # noqa: BLE001 - the flow decides what it means
                return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(outcome(call)) for call in calls]
    return [task.result() for task in tasks]
