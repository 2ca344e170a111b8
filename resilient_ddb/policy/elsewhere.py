"""Where an argument of this library's goes that was given to a verb which has none of it. Loaded only then."""

from __future__ import annotations

from .base import Settings
from .meant import WITHIN, settings_of

_DEADLINE = "is no parameter of a call: write `with resilient_ddb.deadline(seconds):` around it, or Timeouts(call=...)"
_OF_A_POLICY = "is a setting of a policy, which a Table may have for itself"
_SCANS = "is for parallel_scan"
_ELSEWHERE = {
    "policy": "is for a Table: resource.Table(name, policy=...) has its calls made by that policy",
    "ttl": "is for a Table: resource.Table(name, ttl=...)",
    "ttl_seconds": "is for put_item, on a Table that was made with ttl=...",
    "expected_version": "is for a versioned table: table.versioned().put_item(..., expected_version=...)",
    "write_token": "is for table.versioned(write_token=...)",
    "max_items": "is for query_items and scan_items; here Limit is the size of a page",
    "on_shard_error": "is for the queries of a sharded table, and for query_many",
    "read_units_per_second": "is for query_items, scan_items, get_items and parallel_scan",
    "write_units_per_second": "is for batch_writer",
    **dict.fromkeys(("on_page", "resume", "segments"), _SCANS),
    **dict.fromkeys(("deadline", "timeout", "timeout_seconds"), _DEADLINE),
    **dict.fromkeys(
        ("retries", "max_retries", "attempts"), f"{_OF_A_POLICY}: policy=Policy(retry=Retry(max_attempts=...))"
    ),
    "read_timeout": f"{_OF_A_POLICY}: policy=Policy(timeouts=Timeouts(read=...))",
    "connect_timeout": f"{_OF_A_POLICY}: policy=Policy(timeouts=Timeouts(connect=...))",
}
"""Where a name goes that no verb of DynamoDB's has."""


def where_it_goes(name: str) -> str:
    """Return where an argument of this library's goes that a verb has not, in words; an empty text if it is none."""
    if name in _ELSEWHERE:
        return f"{name} {_ELSEWHERE[name]}"
    for home in Settings.__subclasses__():
        if home.__name__ == "Policy" and name in settings_of(home):
            return f"{name} {_OF_A_POLICY}: policy=Policy({name}=...)"
        if home.__name__ in WITHIN and name in settings_of(home):
            within = f"{WITHIN[home.__name__]}={home.__name__}({name}=...)"
            return f"{name} {_OF_A_POLICY}: policy=Policy({within})"
    return ""
