"""`SharedRateLimiter`: a stated rate of capacity units, shared by processes, machines and Lambda functions.

The decisions are in `rate_leases`. Here is who asks when. A caller that finds no share renews the lease itself, and
so meets what goes wrong. While there is a share, a thread renews it, so that nobody waits for that.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from resilient_ddb.bulk.rate_leases import EXPIRES_AT, LIMITER, LONGEST_LEASE, WORKER, RateLease
from resilient_ddb.calls.flows import Flow, run, run_async
from resilient_ddb.calls.unanswered import unanswered
from resilient_ddb.dynamodb.created import create_once
from resilient_ddb.errors import DeadlineExceededError, attach
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.checks import check_methods, check_number, check_sync_table
from resilient_ddb.policy.clock import SYSTEM_CLOCK, Clock
from resilient_ddb.policy.deadlines import deadline, is_beyond_deadline
from resilient_ddb.policy.forks import tell_child
from resilient_ddb.sync.limiter import Acquiring

from .connections import leave_to_parent

_IDLE_LEASES = 2
_log = logging.getLogger("resilient_ddb")


class SharedRateLimiter(Acquiring):
    """Capacity units at a stated rate, for all who use the same name on the same lease table: a `RateLimiter` for many.

    Each worker has the rate divided by the workers, and its threads and tasks share that. It joins when it is first
    used, and leaves when it is closed or was not used for two leases. A dead one's part goes to the others when its
    lease has ended. All together never have more than the rate; units that were reserved before a share shrank, or
    its lease ended, keep their turn.

    While the lease table can't be reached, a worker goes on until its lease ends. Then who asks for units meets the
    error.

    It pickles as its recipe: who unpickles it is a worker of its own, and so is a forked process.
    """

    _lease: RateLease
    _keeper: threading.Thread | None
    _used_until: float

    @names_checked
    def __init__(
        self,
        table: Any,
        name: str,
        units_per_second: float,
        *,
        lease_duration: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
        **options: Any,
    ) -> None:
        """Join a shared rate. Nothing is sent yet.

        Args:
            table: the lease table, by its name or as a sync Table, for async code too. See `create_table`.
            name: what the rate is for; several limiters may keep their leases in one table.
            units_per_second: capacity units that come in, a second, for all together. While workers were told different
                rates, the lowest holds.
            lease_duration: for how long a worker has its share without a renewal, a day at most; it renews three times
                as often. A dead worker's share is taken up within 1.5 times as long.
            clock: where time comes from; the machine's by default.
            options: for a table that is given by its name, those of `resilient_ddb.table`: `session`, `region_name`,
                `endpoint_url`, ...

        Raises:
            TypeError, ValueError: an argument is of the wrong type or out of range.
        """
        if isinstance(table, str):
            from .session import table as make_table  # noqa: PLC0415 - only for a name

            table = make_table(table, **options)
        elif options:
            raise TypeError(f"{next(iter(options))} goes with a table's name; a Table has it already")
        check_sync_table(table, "put_item", "query", "delete_item")
        if not isinstance(name, str) or not name:
            raise TypeError(f"name must be a text that is not empty; got {name!r}")
        check_number("units_per_second", units_per_second, above=0)
        check_number("lease_duration", lease_duration, above=0)
        if lease_duration > LONGEST_LEASE:
            raise ValueError(f"lease_duration must be {LONGEST_LEASE:g} (a day) or less; got {lease_duration!r}")
        check_methods("clock", clock, "monotonic", "time", "wait")
        self._table, self._name, self._rate = table, name, units_per_second
        self._lease_seconds, self._clock = lease_duration, clock
        self._begin()
        tell_child(self)

    def _in_child(self) -> None:
        """Begin as a worker of its own in a forked process: the lease, its thread and its locks are the parent's."""
        self._begin()
        client = getattr(getattr(self._table, "meta", None), "client", None)
        if client is not None and not hasattr(client, "_resilience"):  # boto3's own; a hardened one does so by itself
            leave_to_parent(client)

    @property
    def units_per_second(self) -> float:
        """Capacity units that come in, a second, for all together."""
        return self._rate

    @property
    def burst(self) -> float:
        """Units that all together can have saved up: one second's worth."""
        return self._rate

    @property
    def share(self) -> float:
        """Units a second that this worker may use now; 0.0 before it is used, and while it waits for its part."""
        return self._lease.share

    def reserve(self, units: float) -> float:
        """Reserve units now, into debt if need be, and return the seconds to wait before they may be used.

        Where this worker has no share, it joins first: this takes a few requests, and up to half a lease until the
        others have made room.

        Raises:
            ClientError, BotoCoreError: there is no share, and the lease table can't be asked for one.
            DeadlineExceededError: a deadline comes before there is a share.
            TypeError, ValueError: `units` is no number of 0 or more.
        """
        return run(self._reserving(units, self._renew_once, time.sleep))

    async def reserve_async(self, units: float) -> float:
        """Reserve units as `reserve` does, for a task: the lease table is asked in a thread."""
        import asyncio  # noqa: PLC0415 - it is loaded by now

        renew = partial(asyncio.to_thread, self._renew_once)
        return await run_async(self._reserving(units, renew, asyncio.sleep))

    def charge(self, units: float) -> None:
        """Settle what was consumed beyond what was reserved; less than 0 gives back. Never waits.

        Raises:
            TypeError, ValueError: `units` is no finite number.
        """
        self._lease.charge(units)
        debt = self._lease.reserve(0.0)
        if debt:  # who leaves is rid of what it owes: it is in use until that has come in
            self._used_until = max(self._used_until, self._clock.monotonic() + debt)

    def close(self) -> None:
        """Leave: the share goes to the others at once. A later use joins anew, and still owes what it owed."""
        self._stop.set()
        with self._renewing:
            self._keeper = None
            self._leave()

    async def aclose(self) -> None:
        """Leave as `close` does, for a task."""
        import asyncio  # noqa: PLC0415 - it is loaded by now

        await asyncio.to_thread(self.close)

    @staticmethod
    def create_table(dynamodb: Any, name: str) -> Any:
        """Create a lease table, with TTL, if there is none of that name, and return it.

        Args:
            dynamodb: a sync resource: `resilient_ddb.resource("dynamodb")`.
            name: the table's name.

        Raises:
            ClientError: the table can't be created.
        """
        return create_once(dynamodb, name, (LIMITER, WORKER), EXPIRES_AT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the recipe: the table's, and the settings."""
        return _restore, (self._table, self._name, self._rate, self._lease_seconds, self._clock)

    def __repr__(self) -> str:
        return f"SharedRateLimiter({self._table!r}, {self._name!r}, {self._rate!r})"

    def _begin(self) -> None:
        """Begin as a worker that nobody knows yet."""
        self._renewing = threading.Lock()
        """Held while a request for the lease is under way, by the thread that makes it. Callers don't wait for it."""
        self._stop = threading.Event()
        self._keeper = None
        self._used_until = 0.0
        self._lease = self._new_lease()

    def _new_lease(self, after: RateLease | None = None) -> RateLease:
        return RateLease(
            self._table,
            self._name,
            uuid.uuid4().hex[:16],
            self._rate,
            lease_duration=self._lease_seconds,
            clock=self._clock,
            uniform=random.uniform,
            after=after,
        )

    def _reserving(self, units: float, renew: Callable[[], Any], sleep: Callable[[float], Any]) -> Flow[float]:
        check_number("units", units, least=0)
        while True:
            wait = self._lease.reserve(units)
            if wait is not None:
                self._used_until = max(self._used_until, self._clock.monotonic() + wait)
                return wait
            pause = yield renew
            if not self._lease.share:
                if is_beyond_deadline(pause):
                    told = "the deadline comes before there is a share of the rate: nothing was taken"
                    late = DeadlineExceededError(operation_name="SharedRateLimiter.reserve", attempts=0, told=told)
                    attach(late, late.resilience, f"{late.operation_name}: no more: the deadline comes first")
                    raise late
                yield partial(sleep, self._clock.wait(pause))

    def _renew_once(self) -> float:
        """Renew the lease, unless another thread is just doing so, and return the seconds until the next look."""
        if not self._renewing.acquire(blocking=False):
            return self._lease_seconds / 100
        try:
            pause = self._renew()
            if self._keeper is None and self._lease.share:
                self._start_keeper(pause)
            return pause
        finally:
            self._renewing.release()

    def _renew(self) -> float:
        unanswered(partial(run, self._lease.renew()))()  # neither another table, nor an answer of before, knows it
        return self._lease.pause()

    # The thread that renews while there is a share.

    def _start_keeper(self, pause: float) -> None:
        self._stop = threading.Event()
        self._used_until = max(self._used_until, self._clock.monotonic())
        keeper = threading.Thread(
            target=_keep,
            args=(weakref.ref(self), self._stop, pause),
            name=f"resilient_ddb rate {self._name}",
            daemon=True,
        )
        try:
            keeper.start()
        except RuntimeError as error:  # there are too many, or the process is ending: callers renew the lease
            self._warn("handed to a thread", error)
            return
        self._keeper = keeper

    def _keep(self) -> float | None:
        """Renew the lease, and return the seconds until the next renewal; None if no share is left to renew."""
        with self._renewing:
            if self._clock.monotonic() > self._used_until + _IDLE_LEASES * self._lease_seconds:
                self._leave()
            elif self._lease.share:  # or else it was closed, or its lease has ended: who needs a share asks for one
                try:
                    with deadline(self._lease_seconds / 3, clock=self._clock):
                        pause = self._renew()
                except Exception as error:  # noqa: BLE001 - whatever it is, the share is good until the lease ends
                    self._warn("renewed", error)
                    pause = self._lease_seconds / 10
                if self._lease.share:
                    return pause
            self._keeper = None
            return None

    def _leave(self) -> None:
        lease, self._lease = self._lease, self._new_lease(self._lease)
        try:
            run(lease.release())
        except Exception as error:  # noqa: BLE001 - the lease ends by itself
            self._warn("given back", error)

    def _warn(self, what: str, error: Exception) -> None:
        text = "rate limiter %s: its lease could not be %s: %s: %s"
        is_expected = isinstance(error, (ClientError, BotoCoreError))
        _log.warning(text, self._name, what, type(error).__name__, error, exc_info=not is_expected)


def _keep(reference: weakref.ref[SharedRateLimiter], stop: threading.Event, pause: float | None) -> None:
    """Renew until the limiter is closed, idle or gone."""
    while pause is not None and not stop.wait(pause):
        limiter = reference()
        if limiter is None:
            return
        pause = limiter._keep()  # noqa: SLF001 - the same module's
        del limiter


def _restore(table: Any, name: str, units_per_second: float, lease_duration: float, clock: Clock) -> SharedRateLimiter:
    return SharedRateLimiter(table, name, units_per_second, lease_duration=lease_duration, clock=clock)
