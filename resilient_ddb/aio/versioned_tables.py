"""The async versioned table: optimistic locking on an async Table."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from resilient_ddb.fallback import Response
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.versioning.verbs import Change, VersionedVerbs
from resilient_ddb.versioning.writes import FROM_ITEM

from .pending import Pending, pending
from .table_behind import AsyncReadsBehind

if TYPE_CHECKING:
    from resilient_ddb.dynamodb.parameters import DeleteParameters, PutParameters, UpdateParameters


class AsyncVersionedTable(VersionedVerbs, AsyncReadsBehind):
    """An async Table whose writes go by each item's version. Made by `table.versioned()`; tasks may share it.

    Parameters, results and errors are those of `resilient_ddb.VersionedTable`; await each verb. `get_item`, `query`,
    `scan` and all else that is not named here is the Table's own.
    """

    _sleep = staticmethod(asyncio.sleep)

    @names_checked
    def put_item(
        self, Item: Mapping[str, Any], *, expected_version: Any = FROM_ITEM, **params: Unpack[PutParameters]
    ) -> Pending[Response]:
        """Write a whole item, if the stored one is still at the version that `Item` was read with."""
        return pending(self._put(Item, params, expected_version), "table.put_item")

    @names_checked
    def update_item(
        self, Key: Mapping[str, Any], *, expected_version: int | None, **params: Unpack[UpdateParameters]
    ) -> Pending[Response]:
        """Update an item, if it is still at the expected version. The next one is stored."""
        return pending(self._update(Key, params, expected_version), "table.update_item")

    @names_checked
    def delete_item(
        self, Key: Mapping[str, Any], *, expected_version: int | None, **params: Unpack[DeleteParameters]
    ) -> Pending[Response]:
        """Delete an item, if it is still at the expected version."""
        return pending(self._delete(Key, params, expected_version), "table.delete_item")

    @names_checked
    def modify(
        self, Key: Mapping[str, Any], change: Change, *, max_attempts: int = 10
    ) -> Pending[dict[str, Any] | None]:
        """Read an item, change it, and write it if nobody else has written it meanwhile; `change` may be async."""
        return pending(self._modify(Key, change, max_attempts), "table.modify")
