"""`RateLimiter`: a stated rate of capacity units, shared by writers, readers, threads and tasks of one process."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from resilient_ddb.bulk.token_bucket import CapacityBucket
from resilient_ddb.errors import DeadlineExceededError
from resilient_ddb.policy.clock import Clock
from resilient_ddb.policy.deadlines import current_deadline


class Acquiring(ABC):
    """What a limiter can do once it has `reserve`, `charge` and a clock: wait for what it takes."""

    _clock: Clock

    @abstractmethod
    def reserve(self, units: float) -> float:
        """Take units now, and return the seconds to wait before they may be used."""

    @abstractmethod
    def charge(self, units: float) -> None:
        """Settle what was consumed beyond what was reserved; less than 0 gives back."""

    def acquire(self, units: float = 1.0) -> float:
        """Take units, sleep until they may be used, and return the seconds waited.

        Raises:
            DeadlineExceededError: a deadline (`resilient_ddb.deadline`) comes first; nothing was taken.
            TypeError, ValueError: `units` is no number of 0 or more.
        """
        wait = self._in_time(units, self.reserve(units))
        try:
            if wait:
                time.sleep(self._clock.wait(wait))
        except BaseException:  # interrupted: what is not used goes back
            self.charge(-units)
            raise
        return wait

    async def acquire_async(self, units: float = 1.0) -> float:
        """Do what `acquire` does, for a task. One that is cancelled while it waits gives its units back."""
        import asyncio  # noqa: PLC0415 - whoever gets here has loaded it

        wait = self._in_time(units, await self.reserve_async(units))
        try:
            if wait:
                await asyncio.sleep(self._clock.wait(wait))
        except BaseException:
            self.charge(-units)
            raise
        return wait

    async def reserve_async(self, units: float) -> float:
        """Do what `reserve` does, for a task: where that asks others first, the event loop goes on meanwhile."""
        return self.reserve(units)

    def _in_time(self, units: float, wait: float) -> float:
        """Return the wait for what was reserved, unless the deadline comes before it is over."""
        deadline = current_deadline()
        if deadline is not None and wait >= deadline.remaining():
            self.charge(-units)
            raise DeadlineExceededError(operation_name="RateLimiter.acquire", attempts=0)
        return wait


class RateLimiter(CapacityBucket, Acquiring):
    """Capacity units at a stated rate: a token bucket, safe to share between threads, tasks, writers and readers.

    Fair: units are given in the order in which they were asked for. What was used is never more than
    `units_per_second x time + burst`, as long as what was reserved is what is consumed.
    """
