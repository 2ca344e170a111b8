"""Tests with faults, and a clock that is moved by hand."""

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock, FaultProxy, Seen, faults


def test_a_put_is_sent_again(endpoint_url: str) -> None:
    clock = FakeClock()
    hot = faults.Throttle(
        reasons=["TableWriteKeyRangeThroughputExceeded"],
        key={"id": {"S": "hot"}},
        operations={"PutItem", "UpdateItem"},
        rate=0.5,
    )
    with FaultProxy(endpoint_url, plan=[faults.Throttle(times=2), hot], seed=1) as proxy:
        policy = rddb.Policy(clock=clock, retry=rddb.Retry(wait=lambda state: 2.0**state.attempt_number))
        orders = rddb.table("orders", endpoint_url=proxy.endpoint_url, policy=policy)
        orders.put_item(Item={"id": "o-1"})
        proxy.plan = [faults.Outage(duration=float("inf")), faults.LoseReply(times=1)]
        seen: list[Seen] = list(proxy.seen)
        assert proxy.count("PutItem") == 3
    assert [request.status for request in seen] == [400, 400, 200]
    assert clock.waits == [2.0, 4.0]
    clock.advance(60)
