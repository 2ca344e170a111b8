"""Reading large responses without stalling the event loop.

A page of 1 MB takes 10 ms to read, and ten times that where botocore and boto3 do it. Its rows are read a stretch at a
time, and the loop has its turn in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from resilient_ddb.codec import LARGE_BYTES
from resilient_ddb.hooks import values as native
from resilient_ddb.hooks.handlers import execution_of


class AioValueHandlers(native.ValueHandlers):
    """The handlers for the values in one async client's calls."""

    def read(
        self, operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
    ) -> Awaitable[None] | None:
        """Handle `before-parse`: read a response, a large one in stretches, and leave an empty one to botocore.

        A large one is read here even where handlers of others see it: by botocore it would be read at one stretch of
        a tenth of a second. Its values are typed then, as they are with botocore. `ResponseMetadata` is its first
        key, and its last once this library's own handler of `response-received` has run.
        """
        if len(response_dict["body"]) < LARGE_BYTES:
            super().read(operation_model, response_dict, customized_response_dict)
            return None
        return _read_in_steps(operation_model, response_dict, customized_response_dict)

    def values_out(self, parsed: Any, model: Any, context: Any, **_: Any) -> Awaitable[None] | None:
        """Handle `after-call`: turn typed values into native ones, where they are not so: those of a page on a thread.

        They are still typed where somebody's handler was to see them so.
        """
        execution = execution_of(context)
        if execution is None or execution.values_are_native or execution.response_bytes < LARGE_BYTES:
            super().values_out(parsed, model, context)
            return None
        return asyncio.to_thread(super().values_out, parsed, model, context)


async def _read_in_steps(model: Any, response: dict[str, Any], customized: dict[str, Any]) -> None:
    try:
        found = native.reading(model, response, customized)
        if found is None:
            native.leave_to_botocore(model, response)
            return
        steps = found.reader.read_in_steps(response["body"], found.number, found.sieve)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                parsed = end.value
                break
            await asyncio.sleep(0)
    except Exception:  # noqa: BLE001 - whatever is unusual: botocore says what becomes of it
        native.leave_to_botocore(model, response)
        return
    native.was_read(found, parsed, response, customized)
