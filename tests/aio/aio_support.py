"""What the async tests share, apart from fixtures."""

import asyncio

from botocore.exceptions import HTTPClientError
from emulators import CREDENTIALS, REGION

ACCESS = {"region_name": REGION, **CREDENTIALS}
SOON = 30.0
"""Seconds that a test waits at most for something that is going to happen."""


async def until(condition, within=SOON):
    """Return the loop turns until `condition()` holds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - of the server or a task: there is no event to wait for
            await asyncio.sleep(0.001)


def other_tasks():
    """Return the running loop's tasks, without the one that asks."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def is_closed(client):
    """Return whether a client says of a call that it was closed."""
    try:
        await client.list_tables()
    except HTTPClientError as error:
        return "This client was closed" in str(error)
    return False


async def all_closed(clients):
    return all([await is_closed(client) for client in clients])
