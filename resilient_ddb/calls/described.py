"""What a table's keys and indexes are: asked of DynamoDB once, and kept by the client."""

from __future__ import annotations

from functools import partial
from typing import Any

from resilient_ddb.dynamodb.description import TableDescription, description_of

from .flows import Flow
from .single_flight import once
from .unanswered import unanswered

Known = dict[Any, Any]
"""What a client has learnt of tables."""
Learnt = tuple[TableDescription | None, float | None]
"""What is known of a table, if anything; and until when it is believed that there is no more to know."""


def learnt(known: Known, table: str | None) -> Learnt:
    """Return what a client has learnt of a table."""
    found: Learnt = known.get(("Table", table), (None, None))
    return found


def keep(known: Known, table: str, described: TableDescription | None, until: float | None) -> None:
    """Keep what was learnt of a table."""
    known["Table", table] = (described, until)


def description(
    client: Any, table: str, index: str | None = None, partition: str | None = None
) -> Flow[TableDescription]:
    """Return a table's keys: from DescribeTable, if it is not yet known, or no index of this name or key is.

    Raises:
        ClientError: the table can't be described.
        ValueError: a key of the index is made of several attributes: its order is not that of one of them.
    """
    core = getattr(client, "_resilience", None)
    if core is None and hasattr(type(client), "current"):  # a module-level async table opens its client now
        client = yield partial(client.current, "DescribeTable")
        core = client._resilience  # noqa: SLF001 - the attribute is this library's own

    def look() -> TableDescription | None:
        known, _ = (None, None) if core is None else learnt(core.known, table)
        return known if known is not None and _is_enough(known, index, partition) else None

    learn = partial(description_now, client, table)
    found = yield from (learn() if core is None else once(core.host, ("Table", table), look, learn))
    if index in found.indexes and found.key_of(index) is None:
        raise ValueError(
            f"IndexName must be that of an index with one partition key attribute, and one sort key attribute at most; "
            f"{index!r} of table {table!r} has several: query it through the Table itself"
        )
    return found


def description_now(client: Any, table: str) -> Flow[TableDescription]:
    """Return a table's keys as they are now: the table that is known may have been deleted, and made anew with others.

    Raises:
        ClientError: the table can't be described.
    """
    answer = yield unanswered(partial(client.describe_table, TableName=table))
    described = description_of(answer["Table"])
    core = getattr(client, "_resilience", None)
    if core is not None:
        keep(core.known, table, described, learnt(core.known, table)[1])
    return described


def _is_enough(known: TableDescription, index: str | None, partition: str | None) -> bool:
    return (index is None or index in known.indexes) and (partition is None or known.has_partition(partition))
