"""Circuits: their settings, a listener, and what an open one raises."""

import pybreaker

import resilient_ddb as rddb
from resilient_ddb import aio


class Pager(pybreaker.CircuitBreakerListener):
    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        print(f"{cb.name}: {new_state.name}")


POLICY = rddb.Policy(
    circuit_breaker=rddb.CircuitBreaker(
        failure_rate_threshold=0.3,
        slow_call_rate_threshold=0.8,
        slow_call_duration=2.0,
        minimum_calls=20,
        open_duration=5.0,
        listeners=[Pager()],
    )
)


def status(orders: rddb.Table) -> tuple[int, float]:
    try:
        orders.get_item(Key={"id": "o-1"})
    except rddb.CircuitOpenError as error:
        print(error.circuit, error.state, error.reason)
        return 503, error.retry_after
    return 200, 0.0


async def async_status(orders: aio.Table) -> int:
    try:
        await orders.get_item(Key={"id": "o-1"})
    except rddb.CircuitOpenError as error:
        return int(error.retry_after)
    return 0


status(rddb.resource("dynamodb", policy=POLICY).Table("orders"))
never = POLICY.replace(circuit_breaker=None)
