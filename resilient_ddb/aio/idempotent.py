"""An update that is not safe to repeat, made so: on an async Table or client."""

from __future__ import annotations

from typing import Any

from resilient_ddb.versioning.idempotent import update_flow

from .pending import Pending, pending


def idempotent_update(target: Any, **params: Any) -> Pending[dict[str, Any]]:
    """Update an item so that the request can be sent again without being applied twice; to be awaited.

    See `resilient_ddb.idempotent_update`: parameters, result and errors are the same.
    """
    return pending(update_flow(target, params), "aio.idempotent_update")
