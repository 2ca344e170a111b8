"""Decoding large responses off the event loop.

botocore walks a response shape by shape in Python: a page of 1 MB stalls the loop for a quarter of a second. Large
responses are decoded on a thread instead, between whose steps the loop gets its turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from botocore.parsers import create_parser

from resilient_ddb import native
from resilient_ddb.hooks import execution_of

LARGE_BYTES = 64 * 1024
"""From this size on a response is decoded on a thread. A smaller one takes about 10 ms at most."""
_ERRORS_FROM = 300


def register(events: Any) -> None:
    """Have large responses parsed on a thread, on the client whose event emitter this is."""
    events.register("before-parse.dynamodb", parse_off_loop, unique_id="resilient_ddb-large-pages")


def parse_off_loop(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> Awaitable[None] | None:
    """Handle `before-parse`: parse a large response on a thread, and leave botocore an empty one to parse."""
    if response_dict["status_code"] >= _ERRORS_FROM or len(response_dict["body"]) < LARGE_BYTES:
        return None
    return _parse(operation_model, response_dict, customized_response_dict)


async def _parse(operation_model: Any, response: dict[str, Any], customized: dict[str, Any]) -> None:
    parser = create_parser(operation_model.service_model.resolved_protocol)
    parsed = await asyncio.to_thread(parser.parse, dict(response), operation_model.output_shape)
    parsed.pop("ResponseMetadata")
    customized.update(parsed)  # botocore adds these to what it parses itself
    response["body"] = b"{}"


def values_out(parsed: Any, model: Any, context: Any, **_: Any) -> Awaitable[None] | None:
    """Handle `after-call`: turn DynamoDB's typed values into native ones, those of a large response on a thread."""
    execution = execution_of(context)
    if execution is None or execution.response_bytes < LARGE_BYTES:
        native.values_out(parsed=parsed, model=model)
        return None
    return asyncio.to_thread(native.values_out, parsed=parsed, model=model)
