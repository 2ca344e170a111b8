"""Measures how fast the emulator answers here without any trouble: through the proxy, as the demo is going to ask."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from resilient_ddb.testing import FaultProxy

from .pace import capacity
from .scenario import Scenario
from .tables import Names, Store, new_session, saying
from .tally import percentile
from .workload import Application

_WARM_SECONDS, _SECONDS, _PACED_SECONDS = 0.3, 1.0, 2.0
_ROWS = 500


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What can be measured of the emulator."""

    app: Application
    scenario: Scenario

    def answered(self) -> float:
        """Return how many calls a second it answers, if they are made as fast as it goes."""
        with saying("to read from the emulator and to count there"):
            capacity(self.app.send, self.scenario.calls, self.app.clock, seconds=_WARM_SECONDS)
            return capacity(self.app.send, self.scenario.calls, self.app.clock, seconds=_SECONDS)

    def p99_wait(self, per_second: float) -> float:
        """Return the wait, in seconds, that 99% of the calls stay within, if they are made at that pace."""
        number = math.ceil(_PACED_SECONDS * per_second)
        calls = [replace(call, due=index / per_second) for index, call in enumerate(self.scenario.calls[:number])]
        made = self.app.call(calls, frozenset(), lambda _steps: None)
        return percentile([call.wait for call in made], 99)


@contextmanager
def probing(store: Store, endpoint_url: str, scenario: Scenario) -> Iterator[Probe]:
    """Yield what measures the emulator, on tables of its own.

    Raises:
        DemoError: it does not answer as DynamoDB does.
    """
    names = Names.new("probe")
    asked = {call.iata for call in scenario.calls}
    with store.tables(names), FaultProxy(endpoint_url) as proxy:
        dynamodb = new_session().resource("dynamodb", endpoint_url=proxy.endpoint_url)
        app = Application(
            airports=dynamodb.Table(names.airports), counters=dynamodb.Table(names.counters), clock=time.monotonic
        )
        with saying("to write to the emulator"), app.airports.batch_writer() as batch:
            for number, row in enumerate(scenario.loaded):
                if number < _ROWS or row["iata"] in asked:
                    batch.put_item(Item=row)
        yield Probe(app=app, scenario=scenario)
        dynamodb.meta.client.close()
