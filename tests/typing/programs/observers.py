"""Observers: those that there are, and functions of one's own."""

from collections import Counter

import resilient_ddb as rddb
from resilient_ddb.events import AnyEvent, CallEndEvent, CircuitEvent, RetryEvent

counts: Counter[str] = Counter()


def count(event: AnyEvent) -> None:
    match event:
        case CallEndEvent(outcome=outcome, ambiguous=ambiguous):
            counts[f"{event.table} {outcome}"] += 1
            counts["ambiguous"] += int(ambiguous)
        case CircuitEvent(new_state="open"):
            counts[f"opened {event.circuit}"] += 1
        case RetryEvent():
            counts["slept, in ms"] += int(event.delay * 1000)


class Slowest:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, event: AnyEvent) -> None:
        if isinstance(event, CallEndEvent):
            self.seconds = max(self.seconds, event.elapsed)


slowest = Slowest()
policy = rddb.Policy(observers=[rddb.observers.LoggingObserver(), count, slowest])
orders = rddb.resource("dynamodb", policy=policy).Table("orders")
orders.get_item(Key={"id": "o-1"})
print(slowest.seconds, counts.most_common(1))
