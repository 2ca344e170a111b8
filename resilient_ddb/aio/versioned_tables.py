"""The async versioned table: optimistic locking on an async Table."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from resilient_ddb.drive import Flow, run_async
from resilient_ddb.versioned_verbs import Change, VersionedVerbs
from resilient_ddb.versioning import FROM_ITEM

from .pending import Pending

Response = dict[str, Any]


class AsyncVersionedTable(VersionedVerbs):
    """An async Table whose writes go by each item's version. Made by `table.versioned()`; tasks may share it.

    Parameters, results and errors are those of `resilient_ddb.VersionedTable`; each verb is to be awaited. `get_item`,
    `query`, `scan` and all else that is not named here is the Table's own.
    """

    _sleep = staticmethod(asyncio.sleep)

    def put_item(
        self,
        Item: Mapping[str, Any],  # noqa: N803 - boto3's name
        *,
        expected_version: Any = FROM_ITEM,
        **params: Any,
    ) -> Pending[Response]:
        """Write a whole item, if the stored one is still at the version that `Item` was read with."""
        return _pending(self._put(Item, params, expected_version), "put_item")

    def update_item(
        self,
        Key: Mapping[str, Any],  # noqa: N803 - boto3's name
        *,
        expected_version: int | None,
        **params: Any,
    ) -> Pending[Response]:
        """Update an item, if it is still at the expected version. The next one is stored."""
        return _pending(self._update(Key, params, expected_version), "update_item")

    def delete_item(
        self,
        Key: Mapping[str, Any],  # noqa: N803 - boto3's name
        *,
        expected_version: int | None,
        **params: Any,
    ) -> Pending[Response]:
        """Delete an item, if it is still at the expected version."""
        return _pending(self._delete(Key, params, expected_version), "delete_item")

    def modify(
        self,
        Key: Mapping[str, Any],  # noqa: N803 - boto3's name
        change: Change,
        attempts: int = 10,
    ) -> Pending[dict[str, Any] | None]:
        """Read an item, change it, and write it if nobody else has written it meanwhile; `change` may be async."""
        return _pending(self._modify(Key, change, attempts), "modify")


def _pending(flow: Flow[Any], verb: str) -> Pending[Any]:
    async def call() -> Any:
        return await run_async(flow)

    call.__name__, call.__qualname__ = verb, f"AsyncVersionedTable.{verb}"  # for "... was never awaited"
    return Pending(call(), f"table.{verb}(...)")
