"""What a contender is to the worker that measures it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

ARGUMENTS: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "stub",
    "aws_secret_access_key": "stub",
}
POOL = 128
"""Connections that everybody may keep, where it can be set."""
KEY_CONDITION = "pk = :pk"
UPDATE_EXPRESSION = "SET #status = :status, version = version + :one"
UPDATE_NAMES = {"#status": "status"}


@dataclass(kw_only=True)
class Made:
    """A library that is ready: its calls, of no argument each, and how to read what they give."""

    calls: dict[str, Callable[[], Any]]
    """`get_item`, `put_item`, `update_item`, `query`, `query_few`, `batch`; coroutine functions where it is async."""
    items: dict[str, Callable[[Any], Iterable[dict[str, Any]]]]
    """For `get_item`, `update_item`, `query` and `query_few`: the native items in what the call gave."""
    facts: dict[str, Any] = field(default_factory=dict)
    client: Callable[[], Any] | None = None
    """Returns the client of ours that counts which calls went past the SDK's inside; coroutine function where async."""
    close: Callable[[], Any] | None = None
    """Coroutine function where it is async."""
