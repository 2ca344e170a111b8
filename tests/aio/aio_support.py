"""What the async tests share, apart from fixtures."""

import asyncio

from emulators import CREDENTIALS, REGION

ACCESS = {"region_name": REGION, **CREDENTIALS}
SOON = 30.0
"""Seconds that a test waits at most for something that is going to happen."""


async def until(condition, within=SOON):
    """Return the loop turns until `condition()` holds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - of the server or a task: there is no event to wait for
            await asyncio.sleep(0.001)
