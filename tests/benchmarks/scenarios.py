"""What is measured, and what its figures are called."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .contenders import Contender

TIMES = ("cpu", "wall")
RATES = ("rate", "cpu")
OF_THREADS = (*RATES, "slow")
METRICS = {
    "cpu": "CPU time",
    "wall": "wall time",
    "rate": "calls a second (more is better)",
    "slow": "wall time of the slowest of a hundred (p99)",
    "pause": "wall time",
    "bytes": "bytes",
}
"""What can be measured of a call, and what it is called."""

FRESH = ("first", "resident", "allocated")
"""What is done in a process that lives for it only: see `workers.fresh`."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One measurement of every contender that it is for."""

    name: str
    title: str
    metrics: tuple[str, ...]
    """The figures that are compared, of `METRICS`; the first is the one of the chart."""
    do: str = "time"
    """`time` calls, or `stall` by them; or one of `FRESH`."""
    call: str = "get_item"
    seconds: float = 0.15
    """For how long calls are made in a round."""
    at_once: int = 1
    """Threads, or tasks."""
    one_core: bool = True
    """Whether the process shares one core with the stub. See `cores`."""
    kinds: tuple[bool, ...] = (False, True)
    """Whether for sync contenders (False), async ones (True), or both."""
    most_rounds: int = 100
    tls: bool = False
    has_bytecode: bool = True
    """Whether a process that is started for it finds what it imports compiled."""
    in_chart: bool = True

    def is_for(self, contender: Contender) -> bool:
        """Return whether a contender takes part. Over TLS those do that take AWS_CA_BUNDLE for their certificates."""
        takes_certificate = contender.worker.startswith(("boto.", "aio."))
        return contender.is_async in self.kinds and (takes_certificate or not self.tls)

    def quick(self) -> Scenario:
        """Return the same in less time."""
        most = 1 if self.do in FRESH else 2 if self.at_once > 1 else self.most_rounds
        return dataclasses.replace(self, seconds=self.seconds / 3, most_rounds=most)


def _at_once(number: int, what: str, *, is_async: bool, one_core: bool = False) -> Scenario:
    return Scenario(
        name=f"{what}_{number}{'_one_core' if one_core else ''}",
        title=f"get_item, {number} {what}{' on one core' if one_core else ''}",
        metrics=RATES if is_async else OF_THREADS,
        seconds=0.3,
        at_once=number,
        one_core=one_core,
        kinds=(is_async,),
    )


SCENARIOS = (
    Scenario(name="get_item", title="get_item, 0.9 KB", metrics=TIMES),
    Scenario(name="put_item", title="put_item, 0.9 KB", metrics=TIMES, call="put_item"),
    Scenario(name="update_item", title="update_item, returns ALL_NEW", metrics=TIMES, call="update_item"),
    Scenario(name="query_10", title="query, 10 items", metrics=TIMES, call="query_few"),
    Scenario(name="query", title="query, a page of 1 MB", metrics=TIMES, call="query", seconds=0.3),
    Scenario(name="batch", title="batch_writer, 25 items of 1 KB", metrics=TIMES, call="batch"),
    Scenario(name="get_item_tls", title="get_item over TLS", metrics=TIMES, tls=True),
    Scenario(name="put_item_tls", title="put_item over TLS", metrics=TIMES, call="put_item", tls=True),
    _at_once(8, "threads", is_async=False),
    _at_once(32, "threads", is_async=False),
    _at_once(8, "threads", is_async=False, one_core=True),
    _at_once(32, "threads", is_async=False, one_core=True),
    _at_once(50, "tasks", is_async=True),
    _at_once(500, "tasks", is_async=True),
    Scenario(
        name="stall",
        title="longest pause of other tasks in a query of 1 MB",
        metrics=("pause",),
        do="stall",
        call="query",
        kinds=(True,),
    ),
    Scenario(name="first", title="import and first call, fresh process", metrics=("cpu",), do="first", most_rounds=5),
    Scenario(
        name="first_bare",
        title="import and first call, no bytecode",
        metrics=("cpu",),
        do="first",
        most_rounds=3,
        has_bytecode=False,
    ),
    Scenario(
        name="allocated",
        title="peak of Python's memory, page of 1 MB",
        metrics=("bytes",),
        do="allocated",
        most_rounds=1,
    ),
    Scenario(
        name="resident",
        title="growth of the process, page of 1 MB",
        metrics=("bytes",),
        do="resident",
        most_rounds=3,
        in_chart=False,
    ),
)
