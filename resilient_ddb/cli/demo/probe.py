"""Measures how fast the emulator answers here, without any trouble: through the proxy, as the demo is going to ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from resilient_ddb.testing import FaultProxy

from .pace import capacity
from .scenario import Scenario
from .tables import Names, Store, new_session, saying
from .workload import Application

_WARM_SECONDS, _SECONDS = 0.3, 1.0
_ROWS = 500


@contextmanager
def probing(store: Store, endpoint_url: str, scenario: Scenario) -> Iterator[Callable[[], float]]:
    """Yield a function that returns how many calls a second the emulator answers.

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

        def answered() -> float:
            with saying("to read from the emulator and to count there"):
                capacity(app.send, scenario.calls, app.clock, seconds=_WARM_SECONDS)
                return capacity(app.send, scenario.calls, app.clock, seconds=_SECONDS)

        yield answered
        dynamodb.meta.client.close()
