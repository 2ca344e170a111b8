"""What this library writes into a request of its own accord, under names that begin with `rddb_`.

They say of a request on the wire that it is versioned, and which write token it carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES, VALUES = "ExpressionAttributeNames", "ExpressionAttributeValues"
PREFIX = "rddb_"
VERSION = "#rddb_version"
"""Stands for the attribute that holds the version."""
SHARDED, SHARD = "#rddb_shard", ":rddb_shard"
"""The attribute that holds the partition keys of several queries that are read as one, and the one of each."""
KEY = "#rddb_key"
"""Followed by a number, stands for an attribute that may be part of the key."""
MOVED = "#rddb_moved"
"""The partition key of an item that is moved from one shard to another, as it is stored."""
EXPECTED = ":rddb_expected"
"""The version that the item must have; left out if it must have none."""
FOLLOWING = ":rddb_following"
"""The version that an update stores."""
TTL, TTL_MET = "#rddb_ttl", ":rddb_ttl"
"""The TTL attribute, and what it says of the expired item in whose place another is put."""
NOW, NUMBER = ":rddb_now", ":rddb_number"
"""The time up to which items have expired, and the type that a TTL has."""
WRITE_TOKEN_NAME, WRITE_TOKEN = "#rddb_write_token", ":rddb_write_token"
"""The attribute that holds the marks of the last writes, and the mark of this one."""
MARKS_KEPT = 32
"""A key takes 1,000 writes a second: that many marks outlast the first pause before a request is sent again."""


def is_versioned(params: Mapping[str, Any]) -> bool:
    """Return whether a request goes by an item's version."""
    names = params.get(NAMES)
    return isinstance(names, Mapping) and VERSION in names


def mark_of(version: int, token: str) -> str:
    """Return the mark that the write of a version leaves."""
    return f"{version}:{token}"


def marks_after(mark: str, earlier: str) -> str:
    """Return the marks to store with a write: its own, and the latest of those that the item has."""
    return " ".join([mark, *earlier.split()[: MARKS_KEPT - 1]])


def has_mark_of_another(marks: str, mark: str) -> bool:
    """Return whether the version that a mark is for was written by another write than the mark's."""
    version = mark.partition(":")[0]
    return any(found.partition(":")[0] == version and found != mark for found in marks.split())
