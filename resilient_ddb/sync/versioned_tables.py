"""The sync versioned table: optimistic locking on a Table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from resilient_ddb.calls.flows import run
from resilient_ddb.fallback import Response
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.checks import check_not_async
from resilient_ddb.versioning.verbs import Change, VersionedVerbs
from resilient_ddb.versioning.writes import FROM_ITEM

from .table_behind import ReadsBehind

if TYPE_CHECKING:
    from resilient_ddb.dynamodb.parameters import DeleteParameters, PutParameters, UpdateParameters


class VersionedTable(VersionedVerbs, ReadsBehind):
    """A Table whose writes go by each item's version. Made by `table.versioned()`; threads may share it.

    `get_item`, `query`, `scan` and all else that is not named here is the Table's own.
    """

    _sleep = staticmethod(time.sleep)

    @names_checked
    def put_item(
        self, Item: Mapping[str, Any], *, expected_version: Any = FROM_ITEM, **params: Unpack[PutParameters]
    ) -> Response:
        """Write a whole item, if the stored one is still at the version that `Item` was read with.

        An item with a version replaces the stored one and is stored with the next version. One without is created, as
        version 1, if there is none with its key. `Item` itself stays as it is; the version that was stored is
        `response["ResponseMetadata"]["Resilience"]["version"]`.

        Args:
            Item: the item.
            expected_version: the version that the stored item must have, where `Item` does not hold it. None: it must
                have none, be there or not; this adopts an item that was written without a version, as version 1.
            params: put_item's further parameters. A `ConditionExpression` has to hold as well.

        Raises:
            VersionConflictError: the stored item is at another version, or is there although the write creates it.
            TypeError, ValueError: a version is no whole number, or a parameter doesn't go with it. Nothing is sent.
        """
        return run(self._put(Item, params, expected_version))

    @names_checked
    def update_item(
        self, Key: Mapping[str, Any], *, expected_version: int | None, **params: Unpack[UpdateParameters]
    ) -> Response:
        """Update an item, if it is still at the expected version. The next one is stored.

        Args:
            Key: the item's key.
            expected_version: the version that the item was read with. None: it must have none, be there or not.
            params: update_item's further parameters. `UpdateExpression` may be left out: then only the version moves
                on. A `ConditionExpression` has to hold as well.

        Raises:
            VersionConflictError: the item is at another version, or is not there.
            TypeError, ValueError: as `put_item`.
        """
        return run(self._update(Key, params, expected_version))

    @names_checked
    def delete_item(
        self, Key: Mapping[str, Any], *, expected_version: int | None, **params: Unpack[DeleteParameters]
    ) -> Response:
        """Delete an item, if it is still at the expected version.

        Arguments and errors are those of `update_item`; `params` are delete_item's further parameters.
        """
        return run(self._delete(Key, params, expected_version))

    @names_checked
    def modify(self, Key: Mapping[str, Any], change: Change, *, max_attempts: int = 10) -> dict[str, Any] | None:
        """Read an item, change it, and write it if nobody else has written it meanwhile; if so, begin anew.

        Without a write token the write is a transaction of one item, which takes twice the write units: DynamoDB then
        knows it when it is sent again. With one it is a plain put. Fallbacks are not asked.

        Args:
            Key: the item's key.
            change: given a copy of the item, or None if there is none; returns the item to write, the same one
                changed or a new one, or `rddb.DELETE`. It is called once for each attempt, so it must do nothing
                else that can't be done twice. What it says of version and write token is not looked at, and the key's
                attributes may be left out.
            max_attempts: how often to read and write at most. Between them are full-jitter pauses, as the policy's
                `retry` has them.

        Returns:
            The item as it is stored then, with numbers as Decimals, as `get_item` gives them; None if there is none. If
            `change` changed nothing, nothing is written.

        Raises:
            VersionConflictError: each attempt was overtaken by another write.
            DeadlineExceededError: the deadline would pass during the next pause.
            TypeError: `change` returned None, or something else that is no item.
            ValueError: `change` changed the key, or the stored version is a fraction.
        """
        check_not_async("change", change)
        return run(self._modify(Key, change, max_attempts))
