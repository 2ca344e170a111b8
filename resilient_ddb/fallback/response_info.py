"""What a response says of itself: where it came from, how old it is, and what is missing from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from resilient_ddb.events import explained

Source = Literal["dynamodb", "cache", "stale", "replica", "fallback"]
SOURCES = ("replica", "stale", "cache", "fallback")
"""What a response that is not DynamoDB's is marked with. A function's answer is marked as a fallback's, and may say
more: then that is its source."""


@explained
@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseInfo:
    """Where a response came from, and what is missing from it."""

    source: Source = "dynamodb"
    """`"dynamodb"`: the table answered. `"stale"`: `fallback.stale` kept it of before. `"replica"`: another region's.
    `"fallback"`: made by a fallback. `"cache"` or `"stale"` too if a function of yours says so of its answer. What
    several requests gave is what the least fresh of them is."""
    age: float | None = None
    """Seconds since the table gave the answer, if it is one of before."""
    region: str | None = None
    """The replica's region, if it is one's answer."""
    version: int | None = None
    """The version that a versioned write stored."""
    missing_shards: tuple[Any, ...] = ()
    """The shards that could not be read, by their numbers: their items are missing."""
    missing_keys: tuple[Any, ...] = ()
    """The partition keys that could not be read: their items are missing."""


def response_info(response: Mapping[str, Any]) -> ResponseInfo:
    """Return what a response says of itself. Any response has such an answer, boto3's own too.

    Args:
        response: what a verb returned.
    """
    metadata = response.get("ResponseMetadata")
    marks = metadata.get("Resilience") if isinstance(metadata, Mapping) else None
    if not isinstance(marks, Mapping):
        return ResponseInfo()
    found = next((source for source in SOURCES if marks.get(source)), "dynamodb")
    return ResponseInfo(
        source=cast("Source", found),
        age=marks.get("age"),
        region=marks.get("replica"),
        version=marks.get("version"),
        missing_shards=_each(marks.get("missing_shards")),
        missing_keys=_each(marks.get("missing_keys")),
    )


def _each(found: Any) -> tuple[Any, ...]:
    """Return what a mark lists; a function of the caller's own may have put anything there."""
    return tuple(found) if isinstance(found, list | tuple) else ()
