"""Where a parallel scan stands, as JSON: written after a page, and read to go on from.

A state says of which table it is, in which shape the table's keys and the scan's parameters were, and how far each
segment has got. Taken for another's, old or damaged, it would leave items out in silence: so all of it is checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from resilient_ddb.dynamodb import expressions
from resilient_ddb.dynamodb import keys as cursors

DONE = "done"
"""The position of a segment of which all was given."""
_FORMAT = "1"
"""All that is in a state is text, in lists and objects: it comes back the same from JSON, and from DynamoDB."""
_ARGUMENT = "resume must be a state of a parallel_scan, as a dict"
_OF_PAGES = ("Limit", "ReturnConsumedCapacity")
"""Parameters that say nothing of which items there are: they may differ."""
_FIELDS = {"format": str, "table": str, "table_id": str, "keys": dict, "params": str, "segments": list, "check": str}
Position = dict[str, Any] | str | None
"""Of a segment: the key after which it goes on, as JSON; `done`; None at its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is scanned: a table, or an index of it. From DescribeTable's answer."""

    table: str
    """The table's ARN, which also says its account and region."""
    table_id: str
    """Another one if the table was deleted and made again."""
    keys: Mapping[str, str]
    """The attributes of a position, and their types."""
    size: int
    """Bytes, as DynamoDB counts them every six hours or so."""
    items: int
    """Items, likewise."""


def source_of(description: Mapping[str, Any], index_name: str | None) -> Source:
    """Return what is scanned, from the `Table` of DescribeTable's answer."""
    indexes = [
        *(description.get("GlobalSecondaryIndexes") or ()),
        *(description.get("LocalSecondaryIndexes") or ()),
    ]
    index = next((index for index in indexes if index["IndexName"] == index_name), None)
    schemas = [*(description.get("KeySchema") or ()), *((index or {}).get("KeySchema") or ())]
    types = {each["AttributeName"]: each["AttributeType"] for each in description.get("AttributeDefinitions") or ()}
    size = "TableSizeBytes" if index is None else "IndexSizeBytes"
    return Source(
        table=description.get("TableArn") or description["TableName"],
        table_id=description.get("TableId") or _made_at(description),
        keys={each["AttributeName"]: types.get(each["AttributeName"], "") for each in schemas},
        size=(index or description).get(size) or 0,
        items=(index or description).get("ItemCount") or 0,
    )


def _made_at(description: Mapping[str, Any]) -> str:
    """Return what stands for a table's id on emulators that have none."""
    at = description.get("CreationDateTime")
    return "" if at is None else f"{at.timestamp():.3f}"


def fingerprint(params: Mapping[str, Any]) -> str:
    """Return what is the same for scans that give the same items. What it is made from can't be read off it."""
    made = {name: value for name, value in params.items() if name not in _OF_PAGES}
    expressions.inject(made)
    return _digest(_plain(made))


def _plain(value: Any) -> Any:
    """Return a value of a request in a form that JSON has, one for all that DynamoDB takes for the same."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, AbstractSet):
        return {"set": sorted(json.dumps(_plain(member)) for member in value)}
    return cursors.to_json({"": value})[""]


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def written(source: Source, params: str, positions: Sequence[Position]) -> dict[str, Any]:
    """Return a state: of `source`, with the fingerprint of the parameters, and each segment's position."""
    state = {
        "format": _FORMAT,
        "table": source.table,
        "table_id": source.table_id,
        "keys": dict(source.keys),
        "params": params,
        "segments": list(positions),
    }
    return {**state, "check": _digest(state)}


def positions_of(state: Any, segments: int | None) -> list[Position]:
    """Return each segment's position in a state. Of which table it is has not been looked at.

    Raises:
        TypeError: it is no dict.
        ValueError: it is damaged, no state, or of another number of segments.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"{_ARGUMENT}; got {type(state).__name__}")
    if set(state) != set(_FIELDS) or not all(type(state[name]) is kind for name, kind in _FIELDS.items()):
        raise ValueError(f"{_ARGUMENT}, with {', '.join(_FIELDS)}; got {', '.join(map(str, state)) or 'an empty one'}")
    if state["format"] != _FORMAT:
        raise ValueError(f"{_ARGUMENT}, of format {_FORMAT}; got one of format {state['format']!r}")
    try:
        is_whole = state["check"] == _digest({name: value for name, value in state.items() if name != "check"})
    except (TypeError, ValueError):
        is_whole = False
    if not is_whole or not state["segments"]:
        raise ValueError(f"{_ARGUMENT}, as it was given; got a damaged one: its check does not match the rest")
    positions: list[Position] = list(state["segments"])  # the caller may resume from the same state again
    if segments is not None and segments != len(positions):
        raise ValueError(
            f"segments must be those of the state to resume, {len(positions)}, or 'auto'; got {segments!r}"
        )
    for position in positions:
        if position is not None and position != DONE:
            try:
                cursors.from_json(position)
            except ValueError as error:
                raise ValueError(f"{_ARGUMENT}; got one with a position that is none: {error}") from None
    return positions


def check_source(state: Mapping[str, Any], source: Source, params: str) -> None:
    """Refuse a whole state that is not of this scan.

    Raises:
        ValueError: it is of another table, of one that is no more, of other keys or of other parameters.
    """
    if state["table"] != source.table:
        raise ValueError(f"resume must be a state of table {source.table!r}; got one of {state['table']!r}")
    if state["table_id"] != source.table_id:
        raise ValueError(
            f"resume must be a state of table {source.table!r} as it is; got one from before it was made anew"
        )
    if state["keys"] != dict(source.keys):
        raise ValueError(
            f"resume must be a state with the keys {sorted(source.keys.items())}, which are those of the table or "
            f"index; got one with {sorted(state['keys'].items())}"
        )
    if state["params"] != params:
        raise ValueError(
            "resume must be a state of a scan with the same parameters (Limit and ReturnConsumedCapacity may differ); "
            "got one of a scan with others"
        )
    for position in state["segments"]:
        if isinstance(position, Mapping):
            found = {name: kind for name, value in position.items() for kind in value}
            if found != dict(source.keys):
                raise ValueError(f"resume must hold positions with the keys {sorted(source.keys)}; got another")
