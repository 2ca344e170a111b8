"""A rate that several workers share: which part of it each may use, by leases in a DynamoDB table.

Each worker keeps one item: what it claims of the rate, and how often it has been renewed. There is no leader, and no
two machines' clocks are compared; they only have to run equally fast. The rules:

1. A worker uses no more than its item claims. It lowers what it uses before it lowers its claim. It raises its claim,
   then reads all the others' (consistently), and uses the higher share only if all claims together are within the
   rate. Of any that raise theirs at once, the last to write sees all claims: the rate is never exceeded.
2. Its share ends `lease_duration` after it began its last renewal. Others count its claim for as long after they first
   saw that renewal, so for longer; then they delete the item, if it is still the same. A worker that can't renew has
   stopped by then, and begins again with no share.
3. What each one claims is the rate divided by the workers. One that joins gets its part when the others have seen it,
   and at once what nobody claims.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from resilient_ddb.calls.flows import Flow
from resilient_ddb.errors.words import is_failed_condition
from resilient_ddb.policy.clock import Clock

from .paging import Pages
from .token_bucket import CapacityBucket

LIMITER, WORKER, EXPIRES_AT = "limiter", "worker", "expires_at"
"""The names of the lease table's partition key, sort key and TTL attribute."""
_KEPT_SECONDS = 7 * 86_400
"""So long after its lease has ended DynamoDB deletes an item, by its own clock: a worker's may be so far behind. No
worker goes by it."""
_NO_LATER = "attribute_not_exists(renewal) OR renewal <= :renewal"
_RENEWALS = 3
_LOOKS = 10
_SOONEST = 100
_STEP = Decimal("0.000001")
_NOTHING = Decimal(0)
LONGEST_LEASE = 86_400.0
"""Seconds: an item that claims a longer one would keep its part from others for as long after its worker has died."""
_MOST_KNOWN_ODD = 1_000
_MOST_RENEWALS = 10**15
"""More than any worker makes. Python can not tell of larger numbers whether they are whole, nor can boto3 send each."""
_NUMBERS = ("renewal", "claim", "rate", "lease_duration")
_log = logging.getLogger("resilient_ddb")


@dataclass(frozen=True, slots=True)
class _Held:
    """What a worker may use. Replaced as a whole: other threads read it."""

    share: Decimal
    """Units a second."""
    since: float
    """When it began to have a share, on its own monotonic clock."""
    until: float
    """When its lease ends, likewise."""
    until_time: float
    """The same on its wall clock: a machine that was suspended may find that its monotonic clock stood still."""
    before: float
    """Seconds with a share, before `since`."""


@dataclass(frozen=True, slots=True)
class _Other:
    """Another worker's item, as it was seen last."""

    renewal: int
    claim: Decimal
    rate: Decimal
    lease_duration: float
    seen_at: float
    """When this renewal was first seen, on the own monotonic clock."""


class RateLease:
    """One worker's part of a rate. `renew` and `release` are flows, one at a time; the rest is for any thread."""

    def __init__(
        self,
        table: Any,
        name: str,
        worker: str,
        units_per_second: float,
        *,
        lease_duration: float,
        clock: Clock,
        uniform: Callable[[float, float], float],
        after: RateLease | None = None,
    ) -> None:
        """Begin without a share. `table` is any object with a Table's verbs; `worker` is used by no other one.

        `after` is an earlier lease of the same process: this one owes what that one has not worked off.
        """
        self._table, self._name, self._worker = table, name, worker
        self._rate, self._lease_seconds = _as_decimal(units_per_second), lease_duration
        self._clock, self._uniform = clock, uniform
        now = clock.monotonic()
        self._held = _Held(share=_NOTHING, since=now, until=now, until_time=clock.time(), before=0.0)
        self._bucket: CapacityBucket | None = None
        self._owed_before = 0.0 if after is None else after.owed
        self._renewal = 0
        self._others: dict[str, _Other] = {}
        self._odd: set[str] = set() if after is None else after._odd  # noqa: SLF001 - one of its own
        """The items that were told of as being no worker's."""

    @property
    def share(self) -> float:
        """Units a second that this worker may use now; 0.0 if it has no lease, or waits for others to make room."""
        held = self._held
        return 0.0 if self._is_over(held) else float(held.share)

    def reserve(self, units: float) -> float | None:
        """Return the seconds to wait before these units, which are reserved, may be used; None if there is no share."""
        if not self.share:
            return None
        bucket = self._bucket  # read after the share: a new share's bucket is there first
        return bucket.reserve(units) if bucket is not None else None

    def charge(self, units: float) -> None:
        """Settle what was consumed beyond what was reserved."""
        if self._bucket is not None:
            self._bucket.charge(units)

    @property
    def owed(self) -> float:
        """Units that were used beyond the share, and have not come in yet."""
        bucket = self._bucket
        return self._owed_before if bucket is None else bucket.reserve(0.0) * bucket.units_per_second

    def pause(self) -> float:
        """Return the seconds until the next renewal is due: soon, if there is a share to get."""
        settled = _as_decimal(self.share) >= self._due() - _STEP
        pause = self._lease_seconds / (_RENEWALS if settled else _LOOKS) * self._uniform(0.8, 1.0)
        now = self._clock.monotonic()
        ends = [other.seen_at + other.lease_duration - now for other in self._others.values()]
        return max(self._lease_seconds / _SOONEST, min([pause, *ends]))

    def renew(self) -> Flow[None]:
        """Renew the lease, and come closer to the share that is due.

        Raises:
            ClientError, BotoCoreError: the table could not be reached; the lease is what it was, and so is the share.
        """
        self._end_if_over()
        yield from self._publish(self._held.share)
        yield from self._look()
        due, held = self._due(), self._held.share
        if due < held:
            self._hold(due)
            yield from self._publish(due)
            return
        wanted = min(due, self._free())
        if wanted <= held or wanted < due / 2:  # a wait at too small a share would outlast the time it is small
            return
        yield from self._publish(wanted)
        yield from self._look()
        if wanted <= self._free():
            self._hold(wanted)
        else:  # another was quicker
            yield from self._publish(self._held.share)

    def release(self) -> Flow[None]:
        """Release the share, for others to take it at once. This worker does not come back under its name."""
        self._hold(_NOTHING)
        if self._renewal:
            yield partial(self._table.delete_item, Key={LIMITER: self._name, WORKER: self._worker})

    # What this worker says.

    def _publish(self, claim: Decimal) -> Flow[None]:
        started, started_time = self._clock.monotonic(), self._clock.time()
        self._renewal += 1
        yield partial(
            self._table.put_item,
            Item={
                LIMITER: self._name,
                WORKER: self._worker,
                "claim": claim,
                "rate": self._rate,
                "renewal": self._renewal,
                "lease_duration": _as_decimal(self._lease_seconds),
                EXPIRES_AT: int(started_time + self._lease_seconds) + _KEPT_SECONDS,
            },
            ConditionExpression=_NO_LATER,  # held up on its way it must not undo a later one; it may come twice
            ExpressionAttributeValues={":renewal": self._renewal},
        )
        self._end_if_over()  # then others may have counted it out before this arrived
        self._held = replace(
            self._held, until=started + self._lease_seconds, until_time=started_time + self._lease_seconds
        )

    # What the others say.

    def _look(self) -> Flow[None]:
        started = self._clock.monotonic()
        found: dict[str, Mapping[str, Any]] = {}
        query = {
            "KeyConditionExpression": f"{LIMITER} = :limiter",
            "ExpressionAttributeValues": {":limiter": self._name},
            "ConsistentRead": True,
        }
        pages = Pages("query", query, None, table=getattr(self._table, "name", ""))
        while not pages.is_over:
            response = yield partial(self._table.query, **pages.params)
            found.update((item[WORKER], item) for item in pages.items(response))
        found.pop(self._worker, None)
        seen = {worker: self._as_seen(worker, item) for worker, item in found.items()}
        others = {worker: other for worker, other in seen.items() if other is not None}
        for worker, other in list(others.items()):
            if started - other.seen_at >= other.lease_duration and (yield from self._remove(worker, other)):
                del others[worker]
        self._others = others

    def _as_seen(self, worker: str, item: Mapping[str, Any]) -> _Other | None:
        known = self._others.get(worker)
        if known is not None and known.renewal == item.get("renewal"):
            return known
        now, why = self._clock.monotonic(), _oddity(item)
        if why is not None:
            self._pass_over(worker, why)
            # A worker's whose item was spoilt: it has its share until the lease that was seen ends.
            return known if known is not None and now - known.seen_at < known.lease_duration else None
        return _Other(
            renewal=int(item["renewal"]),
            claim=item["claim"],
            rate=item["rate"],
            lease_duration=float(item["lease_duration"]),
            seen_at=now,
        )

    def _pass_over(self, worker: str, why: str) -> None:
        """Report, once, an item that is no worker's."""
        if worker not in self._odd and len(self._odd) < _MOST_KNOWN_ODD:
            self._odd.add(worker)
            text = "rate limiter %s: an item in the lease table is no worker's, and is passed over: %s"
            _log.warning(text, self._name, why)

    def _remove(self, worker: str, other: _Other) -> Flow[bool]:
        """Delete the item of a worker that has stopped renewing, and tell whether it had."""
        try:
            yield partial(
                self._table.delete_item,
                Key={LIMITER: self._name, WORKER: worker},
                ConditionExpression="attribute_not_exists(renewal) OR renewal = :renewal",
                ExpressionAttributeValues={":renewal": other.renewal},
            )
        except ClientError as error:
            if not is_failed_condition(error):
                raise
            return False
        return True

    def _total(self) -> Decimal:
        """Return the rate; the lowest one, while workers that were told different rates are at work together."""
        return min([self._rate, *(other.rate for other in self._others.values())])

    def _due(self) -> Decimal:
        return (self._total() / (len(self._others) + 1)).quantize(_STEP, "ROUND_FLOOR")

    def _free(self) -> Decimal:
        return self._total() - sum((other.claim for other in self._others.values()), _NOTHING)

    # What this worker may use.

    def _is_over(self, held: _Held) -> bool:
        return self._clock.monotonic() >= held.until or self._clock.time() >= held.until_time

    def _end_if_over(self) -> None:
        if self._held.share and self._is_over(self._held):
            self._hold(_NOTHING)

    def _hold(self, share: Decimal) -> None:
        had, bucket = self._held, self._bucket
        if not share:
            self._held = replace(had, share=share, before=self._leased_seconds())
        elif had.share and bucket is not None:
            self._held = replace(had, share=share)
            bucket.units_per_second = float(share)
        else:  # empty at first: who comes and goes must not bring a burst along, nor leave what it owes behind
            began = CapacityBucket(float(share), clock=_LeasedTime(self._leased_seconds))
            began.charge(began.burst + self.owed)
            self._bucket = began  # other threads must not find the share with the bucket of before
            self._held = replace(had, share=share, since=self._clock.monotonic())

    def _leased_seconds(self) -> float:
        """Return the seconds for which there was a share: the only ones in which units come in."""
        held = self._held
        if not held.share:
            return held.before
        return held.before + max(0.0, min(self._clock.monotonic(), held.until) - held.since)


class _LeasedTime:
    """Time as a bucket sees it that is filled only while there is a share."""

    def __init__(self, leased_seconds: Callable[[], float]) -> None:
        self.monotonic = self.time = leased_seconds

    def wait(self, seconds: float) -> float:
        return seconds


def _oddity(item: Mapping[str, Any]) -> str | None:
    """Return what shows that an item is not one that a worker writes, or None."""
    for name in _NUMBERS:
        value = item.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            found = "missing" if name not in item else f"a {type(value).__name__}"
            return f"its attribute {name!r} is {found}, where a number was expected"
    if not 1 <= item["renewal"] <= _MOST_RENEWALS or item["renewal"] % 1:
        return f"its attribute 'renewal' is no whole number between 1 and {_MOST_RENEWALS:,}"
    if item["claim"] < 0:
        return "its attribute 'claim' is less than 0"
    if item["rate"] <= 0:
        return "its attribute 'rate' is not more than 0"
    if not 0 < item["lease_duration"] <= LONGEST_LEASE:
        return f"its attribute 'lease_duration' is not more than 0 and {LONGEST_LEASE:,.0f} at most"
    return None


def _as_decimal(number: float) -> Decimal:
    return Decimal(repr(float(number)))  # NumPy's are floats with another repr
