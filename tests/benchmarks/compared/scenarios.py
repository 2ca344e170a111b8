"""The faults, and what is counted in each: what a caller was told, next to what DynamoDB holds."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from resilient_ddb.testing import FaultProxy, faults

from .callers import TEXT

Outcome = dict[str, Any]
Ask = Callable[..., list[Outcome]]
Items = Callable[[], dict[str, dict[str, Any]]]
Result = dict[str, Any]

UPDATES, CREATIONS, READS, ITEMS = 200, 100, 200, 500
LOST, THROTTLED, DAMAGED = 0.1, 0.5, 0.2
OUTAGE, BEFORE, PATIENCE = 20.0, 2.0, 60.0
CALLERS, PAUSE = 8, 0.05
SLOW_LIMIT, STUCK_LIMIT = 100.0, 10.0


class Stage:
    """What a scenario has: a contender to ask, the proxy before it, and the items that are stored."""

    def __init__(self, ask: Ask, proxy: FaultProxy, items: Items, table: str) -> None:
        self.ask, self.proxy, self.items, self.table = ask, proxy, items, table

    def plan(self, fault: type[faults.Fault], **settings: Any) -> None:
        """Make a fault on the contender's table from now on; nothing that was seen before is counted."""
        self.proxy.clear()
        self.proxy.plan = [fault(table=self.table, **settings)]

    def requests(self) -> int:
        """Return how many requests there were for the contender's table since the plan."""
        return sum(seen.table in {self.table, None} for seen in self.proxy.seen)

    def each(self, call: str, prefix: str, times: int) -> dict[str, Outcome]:
        """Make a call with many keys, and return what was told of each."""
        keys = [f"{prefix}-{number}" for number in range(times)]
        return dict(zip(keys, self.ask(do="each", name=call, arguments=keys, at_once=CALLERS), strict=True))


def warm_up(stage: Stage) -> None:
    """Make each call once: nothing is made anew within a scenario."""
    stage.proxy.plan = []
    told = [*stage.each("read", "read", CALLERS).values(), *stage.each("add", "warm", CALLERS).values()]
    told += stage.ask(do="within", name="load", argument=["warm-load"], limit=SLOW_LIMIT)
    if wrong := [outcome for outcome in told if not outcome["ok"]]:
        raise RuntimeError(f"it fails without a fault: {wrong[0]}")


def lost_updates(stage: Stage) -> Result:
    """Add 1 to items of their own, while replies get lost after the update was applied."""
    stage.plan(faults.LoseReply, rate=LOST, operations={"UpdateItem", "TransactWriteItems"})
    told = stage.each("add", "count", UPDATES)
    counts = {key: int(item.get("n", 0)) for key, item in stage.items().items()}
    errors = {key: outcome for key, outcome in told.items() if not outcome["ok"]}
    return {
        "lost_replies": stage.proxy.count(fault=faults.LoseReply),
        "doubled": sum(counts.get(key, 0) > 1 for key in told),
        "lost": sum(counts.get(key, 0) < 1 for key in told if key not in errors),
        "errors": len(errors),
        "unsure": sum(outcome["unsure"] for outcome in errors.values()),
        "silent": sum(counts.get(key, 0) > 0 and not outcome["unsure"] for key, outcome in errors.items()),
    }


def lost_creations(stage: Stage) -> Result:
    """Create items that nobody else creates, while replies get lost."""
    stage.plan(faults.LoseReply, rate=LOST, operations={"PutItem"})
    told = stage.each("create", "new", CREATIONS)
    errors = [outcome for outcome in told.values() if not outcome["ok"]]
    return {
        "lost_replies": stage.proxy.count(fault=faults.LoseReply),
        "wrong_condition": sum(outcome["condition"] for outcome in errors),
        "errors": len(errors),
    }


def _reads(stage: Stage) -> Result:
    told = stage.each("read", "read", READS)
    right = [outcome for outcome in told.values() if outcome["ok"] and outcome["value"] == TEXT]
    errors = [outcome for outcome in told.values() if not outcome["ok"]]
    return {
        "wrong": len(told) - len(right) - len(errors),
        "errors": len(errors),
        "requests": stage.requests(),
        "longest": max(outcome["seconds"] for outcome in told.values()),
    }


def throttled(stage: Stage) -> Result:
    """Read while DynamoDB throttles half of all requests."""
    stage.plan(faults.Throttle, rate=THROTTLED, operations={"GetItem"})
    return _reads(stage)


def damaged(stage: Stage) -> Result:
    """Read while the end of some bodies is cut off."""
    stage.plan(faults.TruncateBody, rate=DAMAGED, operations={"GetItem"})
    return _reads(stage)


def slow(stage: Stage) -> Result:
    """Read once; the first request is never answered."""
    stage.plan(faults.Hang, times=1, operations={"GetItem"})
    [outcome] = stage.ask(do="within", name="read", argument="read-0", limit=SLOW_LIMIT)
    return {"seconds": outcome["seconds"], "ended": outcome["ok"] or outcome["error"] is not None, "ok": outcome["ok"]}


def outage(stage: Stage) -> Result:
    """Read on and on, eight at once, while DynamoDB answers nothing but 500 for a time."""
    stage.plan(faults.Outage, start=BEFORE, duration=OUTAGE)
    keys = [f"read-{number}" for number in range(CALLERS)]
    end = BEFORE + OUTAGE
    told = stage.ask(do="on_and_on", keys=keys, seconds=end, patience=PATIENCE, pause=PAUSE)
    failed = [outcome["seconds"] for outcome in told if not outcome["ok"]]
    served: dict[str, float] = {}
    for outcome in told:
        ended = outcome["at"] + outcome["seconds"]
        if outcome["ok"] and ended > end:
            served[outcome["key"]] = min(ended, served.get(outcome["key"], ended))
    return {
        "requests": stage.proxy.count(fault=faults.Outage),
        "failed_calls": len(failed),
        "failed_median": statistics.median(failed) if failed else None,
        "longest": max(outcome["seconds"] for outcome in told),
        "back_after": max(served.values()) - end if len(served) == CALLERS else None,
    }


def unprocessed(stage: Stage) -> Result:
    """Write many items in batches, of which DynamoDB leaves a part undone."""
    stage.plan(faults.Unprocessed, share=0.4, rate=0.5)
    keys = [f"load-{number}" for number in range(ITEMS)]
    [outcome] = stage.ask(do="within", name="load", argument=keys, limit=SLOW_LIMIT)
    stored = stage.items()
    missing = sum(key not in stored for key in keys)
    return {"missing": missing, "told": not outcome["ok"], "seconds": outcome["seconds"]}


def stuck(stage: Stage) -> Result:
    """Write a batch of which DynamoDB takes nothing. It comes last: some never end."""
    stage.plan(faults.Unprocessed, share=1.0)
    keys = [f"stuck-{number}" for number in range(25)]
    [outcome] = stage.ask(do="within", name="load", argument=keys, limit=STUCK_LIMIT)
    requests = stage.requests()
    return {"requests": requests, "ended": outcome["ok"] or outcome["error"] is not None, "told": outcome["error"]}


SCENARIOS: dict[str, Callable[[Stage], Result]] = {
    each.__name__: each for each in (lost_updates, lost_creations, throttled, damaged, slow, outage, unprocessed, stuck)
}
