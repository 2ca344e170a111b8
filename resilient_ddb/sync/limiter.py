"""`RateLimiter`: a stated rate of capacity units, shared by writers, readers, threads and tasks of one process."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from resilient_ddb.bulk.token_bucket import CapacityBucket, taking_flow
from resilient_ddb.calls.flows import run, run_async
from resilient_ddb.policy.clock import Clock

_ACQUIRE = "RateLimiter.acquire"


class Acquiring(ABC):
    """What a limiter can do once it has `reserve`, `charge` and a clock: wait for what it takes."""

    _clock: Clock

    @abstractmethod
    def reserve(self, units: float) -> float:
        """Reserve units now, and return the seconds to wait before they may be used."""

    @abstractmethod
    def charge(self, units: float) -> None:
        """Settle what was consumed beyond what was reserved; less than 0 gives back."""

    def acquire(self, units: float = 1.0) -> float:
        """Acquire units: sleep until they may be used, and return the seconds waited.

        Raises:
            DeadlineExceededError: a deadline (`resilient_ddb.deadline`) comes first; nothing was taken.
            TypeError, ValueError: `units` is no number of 0 or more.
        """
        return run(taking_flow(self, units, self._clock, self.reserve, time.sleep, _ACQUIRE))

    async def acquire_async(self, units: float = 1.0) -> float:
        """Acquire units as `acquire` does, for a task. One that is cancelled while it waits gives its units back."""
        import asyncio  # noqa: PLC0415 - it is loaded by now

        return await run_async(taking_flow(self, units, self._clock, self.reserve_async, asyncio.sleep, _ACQUIRE))

    async def reserve_async(self, units: float) -> float:
        """Reserve units as `reserve` does, for a task: if that asks others first, the event loop goes on."""
        return self.reserve(units)


class RateLimiter(CapacityBucket, Acquiring):
    """Capacity units at a stated rate: a token bucket, safe to share between threads, tasks, writers and readers.

    Fair: units are given in the order in which they were asked for. What was used is never more than
    `units_per_second x time + burst`, as long as what was reserved is what is consumed.
    """
