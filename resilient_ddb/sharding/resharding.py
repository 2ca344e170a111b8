"""Moving the items of a sharded table to where its present layout has them: page by page, as a flow of decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from resilient_ddb.bulk.pacing import ReadRate
from resilient_ddb.bulk.paging import Trail
from resilient_ddb.bulk.token_bucket import as_limiter
from resilient_ddb.calls.flows import Flow
from resilient_ddb.calls.unanswered import unanswered
from resilient_ddb.dynamodb.keys import digest, from_json, identity, to_json
from resilient_ddb.dynamodb.reserved import KEY, NAMES, VALUES
from resilient_ddb.events import explained
from resilient_ddb.policy.checks import check_callable
from resilient_ddb.policy.policy import policy_of

from .fan_in import Item
from .keys import ShardKeys
from .moving import Moved, is_comparable, move
from .queries import checked_keys
from .verbs import ShardedVerbs

_UNITS_OF_A_MOVE = 4.0
"""Of an item of up to 1 KB: a put and a delete, in a transaction."""


@explained
@dataclass(slots=True, kw_only=True)
class ReshardReport:
    """What a reshard has done."""

    moved: int = 0
    """Items that were moved."""
    kept: int = 0
    """Items that were met where they belong: also those that were moved there before, and are met again."""
    occupied: int = 0
    """Items that stayed: where they belong there is one with their key, and a point read meets both."""
    unplaced: int = 0
    """Items that stayed. They lack an attribute that a shard is calculated from, or have a key of no known layout. Or
    they have more than 140 attributes, which can't be compared with what was read."""


def resharding(
    table: ShardedVerbs,
    chosen: Iterable[Any] | None,
    rate: Any,
    resume: Mapping[str, Any] | None,
    on_page: Callable[[dict[str, Any]], Any] | None,
) -> Flow[ReshardReport]:
    """Return the flow that moves items. See `ShardedTable.reshard`.

    Raises:
        TypeError, ValueError: an argument can't be meant.
    """
    if on_page is not None:
        check_callable("on_page", on_page, takes="where the work stands")
    given = None if chosen is None else checked_keys(chosen)
    clock = policy_of(table).clock
    pace = (
        None if rate is None else ReadRate(as_limiter("write_units_per_second", rate, clock), clock, _UNITS_OF_A_MOVE)
    )
    return _reshard(table, given, pace, resume, on_page)


def _reshard(
    table: ShardedVerbs, given: list[Any] | None, pace: ReadRate | None, resume: Mapping[str, Any] | None, on_page: Any
) -> Flow[ReshardReport]:
    keys = yield from table._keys()  # noqa: SLF001 - this library's own
    if not keys.is_of_table:
        raise ValueError("reshard() needs a table sharded by its own partition key: an index's items have one place")
    sources = [None] if given is None else [name for key in given for name in _sources(keys, key)]
    query = digest([table.name, sources, _layout(keys)])
    number, start = _place(resume, query, len(sources))
    report, trail = ReshardReport(), Trail(table.name, start)
    while number < len(sources):
        page = yield unanswered(_page(table, keys, sources[number], start))
        for item in page.get("Items") or ():
            yield from _settle(table, keys, item, pace, report)
        start = page.get("LastEvaluatedKey")
        if start is None:
            number, trail = number + 1, Trail(table.name)
        else:
            trail.follow(start)
        if on_page is not None:
            state = {"query": query, "source": number, "after": start and to_json(start)}
            yield partial(on_page, state)
    return report


def _sources(keys: ShardKeys, key: Any) -> list[str]:
    """Return the stored keys under which there may be items that belong elsewhere."""
    stored = keys.layout.stored_keys(key)
    return stored if keys.layout.by else [name for name in stored if not keys.layout.is_current(key, name)]


def _layout(keys: ShardKeys) -> list[Any]:
    """Return what tells one layout from another; a callable is taken to be the same one."""
    layout = keys.layout
    counts = [
        sorted((identity({"": key}), count) for key, count in shards.items())
        if isinstance(shards, Mapping)
        else shards
        if isinstance(shards, int)
        else "callable"
        for shards in (layout.shards, *layout.previous)
    ]
    return [counts, layout.by, layout.separator, layout.pad]


def _place(resume: Mapping[str, Any] | None, query: str, count: int) -> tuple[int, Item | None]:
    if resume is None:
        return 0, None
    wrong = "resume must be what on_page was given by a reshard of the same table, partition keys and layouts"
    if not isinstance(resume, Mapping) or resume.get("query") != query:
        raise ValueError(f"{wrong}; got one of another")
    number, after = resume.get("source"), resume.get("after")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= count:
        raise ValueError(f"{wrong}; its source is {number!r}")
    return number, None if after is None else from_json(after)


def _page(table: Any, keys: ShardKeys, source: str | None, start: Item | None) -> Callable[[], Any]:
    params: dict[str, Any] = {"ConsistentRead": True}
    if start is not None:
        params["ExclusiveStartKey"] = start
    if source is None:
        return partial(table.table.scan, **params)
    name, value = f"{KEY}0", f":{KEY[1:]}0"
    params.update({"KeyConditionExpression": f"{name} = {value}", NAMES: {name: keys.key}, VALUES: {value: source}})
    return partial(table.table.query, **params)


def _home(keys: ShardKeys, item: Item, uniform: Callable[[float, float], float]) -> str | None:
    """Return the stored key that an item belongs under; None if that can't be told."""
    stored = item[keys.key]
    key = keys.layout.key_of(stored)
    if (
        not isinstance(key, str)
        or not key
        or keys.layout.separator in key
        or stored not in keys.layout.stored_keys(key)
    ):
        return None  # it is somebody else's
    if keys.layout.by:
        return keys.layout.homes(key, item)[0] if keys.layout.knows(item) else None
    is_one = keys.layout.is_current(key, stored)
    return stored if is_one else keys.layout.home(key, item, uniform)


def _settle(table: Any, keys: ShardKeys, item: Item, pace: ReadRate | None, report: ReshardReport) -> Flow[None]:
    """Move one item, unless it is where it belongs."""
    place = {name: item[name] for name in keys.described.key.names}
    outcome = Moved.OVERTAKEN
    while outcome is Moved.OVERTAKEN:
        home = _home(keys, item, policy_of(table).uniform)
        if home != item[keys.key] and not is_comparable(item):
            home = None
        if home is None or home == item[keys.key]:
            report.unplaced += home is None
            report.kept += home is not None
            return
        units = 0.0
        if pace is not None:
            units = yield from pace.take("TransactWriteItems", 1, table._sleep)  # noqa: SLF001 - this library's own
        outcome, response = yield from move(table.table, keys, item, home)
        if pace is not None:
            pace.settle(units, 1, response)
        if outcome is Moved.OVERTAKEN:
            found = yield from table._found(keys, place, [item[keys.key]])  # noqa: SLF001 - as above
            if not found:
                return
            item = found[0]
    report.moved += outcome is Moved.MOVED
    report.occupied += outcome is Moved.OCCUPIED
