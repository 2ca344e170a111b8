"""Items that will expire, and are not put by `PutItem`: they get their TTL before they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from .execution import Execution
from .flows import Flow

_ASKED = "DescribeTimeToLive"


def stamped(client: Any, table: str, item: Mapping[str, Any], ttl_seconds: Any) -> Flow[Mapping[str, Any]]:
    """Return an item that expires so many seconds from now, by the TTL of its table.

    Args:
        client: the client of a Table.
        table: the table's name.
        item: the item; it stays as it is.
        ttl_seconds: how long it lives.

    Raises:
        TypeError, ValueError: `ttl_seconds` can't be meant, or the Table has no TTL.
    """
    if hasattr(type(client), "current"):  # a module-level async table's
        client = yield partial(client.current, _ASKED)
    core = getattr(client, "_resilience", None)
    ttl = None if core is None or core.ttl is None else core.ttl.of(table)
    if core is None or ttl is None:
        raise ValueError("ttl_seconds needs a Table that was made with ttl=...")
    execution = Execution(core, _ASKED, {"TableName": table})
    ask = client._make_api_call  # noqa: SLF001 - botocore's own way to call an operation by its name
    made: Mapping[str, Any] = yield from ttl.stamped(execution, ask, item, ttl_seconds)
    return made
