"""Batches of which only a part is done. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .messages import Response, json_answer
from .plan import Act, Forward, Refuse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .calls import Call

_OK = 200


def leave_undone(call: Call, refused: Collection[int]) -> Act:
    """Forward a batch without the parts of those numbers, which come back unprocessed."""
    rest, unprocessed = split_batch(call, refused)
    if rest is None:
        nothing = json_answer(_OK, {}, request_id=call.request_id)
        return Refuse(answer=merge_unprocessed(call, nothing, unprocessed))
    return Forward(
        body=json.dumps(rest).encode(),
        change=lambda response: merge_unprocessed(call, response, unprocessed),
    )


def split_batch(call: Call, refused: Collection[int]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Split a batch by the numbers of its refused parts.

    Returns the request that is left to forward (None: nothing is). Returns also what comes back unprocessed, shaped
    as the request's `RequestItems`, with the other fields of each table's keys kept.
    """
    kept: dict[str, Any] = {}
    unprocessed: dict[str, Any] = {}
    number = 0
    for table, wanted in call.params["RequestItems"].items():
        entries = wanted if call.operation == "BatchWriteItem" else wanted["Keys"]
        numbered = list(enumerate(entries, start=number))
        number += len(entries)
        for into, chosen in (
            (kept, [entry for at, entry in numbered if at not in refused]),
            (unprocessed, [entry for at, entry in numbered if at in refused]),
        ):
            if chosen:
                into[table] = chosen if call.operation == "BatchWriteItem" else {**wanted, "Keys": chosen}
    return ({**call.params, "RequestItems": kept} if kept else None), unprocessed


def merge_unprocessed(call: Call, response: Response, unprocessed: Mapping[str, Any]) -> Response:
    """Add what was held back to the answer for the rest. An error is passed on as it is."""
    if response.status != _OK:
        return response
    payload = json.loads(response.body)
    writes = call.operation == "BatchWriteItem"
    leftovers = payload.setdefault("UnprocessedItems" if writes else "UnprocessedKeys", {})
    for table, held in unprocessed.items():
        if table not in leftovers:
            leftovers[table] = held
        elif writes:
            leftovers[table] = leftovers[table] + held
        else:
            leftovers[table] = {**held, "Keys": leftovers[table]["Keys"] + held["Keys"]}
    if not writes:
        answers = payload.setdefault("Responses", {})
        for table in call.params["RequestItems"]:
            answers.setdefault(table, [])
    return response.with_body(json.dumps(payload, separators=(",", ":")).encode())
