"""Workers that share a rate, on virtual time: requests take a while, get lost, come late; clocks disagree."""

from __future__ import annotations

import heapq
import itertools
import operator
import random
from decimal import Decimal

from botocore.exceptions import ClientError, EndpointConnectionError

from resilient_ddb.bulk.rate_leases import RateLease

NAME = "jobs"
SIZES = (1, 5, 25)
"""Units that a worker takes at a time."""


class LeaseTable:
    """The lease table's model: what a Table answers to the requests that leases make."""

    def __init__(self):
        self.items = {}

    def put_item(self, Item, ConditionExpression, ExpressionAttributeValues):
        self._check("PutItem", Item["worker"], ConditionExpression, ExpressionAttributeValues)
        self.items[Item["worker"]] = Item

    def delete_item(self, Key, ConditionExpression=None, ExpressionAttributeValues=None):
        self._check("DeleteItem", Key["worker"], ConditionExpression, ExpressionAttributeValues)
        self.items.pop(Key["worker"], None)

    def query(self, **_):
        return {"Items": list(self.items.values())}

    def _check(self, operation, worker, condition, values):
        if condition is None or worker not in self.items:
            return
        missing, _, rest = condition.partition(" OR ")
        name, compare, value = rest.split()
        assert missing == f"attribute_not_exists({name})"
        is_met = {"<=": operator.le, "=": operator.eq}[compare]
        if not is_met(self.items[worker][name], values[value]):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, operation)


class SkewedClock:
    """One machine's clocks: each began somewhere else."""

    def __init__(self, world, rng):
        self._world, self._start, self.skew = world, rng.uniform(0, 1e6), rng.uniform(-10_000, 10_000)

    def monotonic(self):
        return self._start + self._world.now

    def time(self):
        return 1_700_000_000 + self.skew + self._world.now

    def wait(self, seconds):
        raise AssertionError("the simulation waits by itself")


class Worker:
    """One that renews its lease as the limiter does, and uses all that it is given."""

    def __init__(self, world, name, rate, lease_duration):
        self.world = world
        self.clock = SkewedClock(world, world.rng)
        self.lease = RateLease(
            world.table,
            NAME,
            name,
            rate,
            lease_duration=lease_duration,
            clock=self.clock,
            uniform=world.rng.uniform,
        )
        self.is_alive = True
        self.cut_off_until = 0.0
        self.renew()
        self.consume()

    def renew(self):
        if self.is_alive:
            self.world.drive(self, self.lease.renew(), lambda: self.world.after(self.lease.pause(), self.renew))

    def consume(self):
        if not self.is_alive:
            return
        units = self.world.rng.choice(SIZES)
        wait = self.lease.reserve(units)
        if wait is None:
            self.world.after(0.05, self.consume)
        else:
            self.world.after(wait, lambda: self.use(units))

    def use(self, units):
        if self.is_alive:
            self.world.grants.append((self.world.now, units))
            self.consume()

    def die(self):
        self.is_alive = False

    def leave(self):
        self.is_alive = False
        self.world.drive(self, self.lease.release(), lambda: None)


class World:
    """Events in the order of their time, and what every worker was granted."""

    def __init__(self, seed, *, latency=(0.002, 0.05), lost=0.0, late=0.0, lease_duration=5.0):
        self.rng = random.Random(seed)
        self.now = 0.0
        self.table = LeaseTable()
        self.workers = []
        self.grants = []
        self.highest = 0.0
        self.is_down = False
        self._latency, self._lost, self._late, self._lease_seconds = latency, lost, late, lease_duration
        self._events, self._order = [], itertools.count()

    def join(self, rate=400.0):
        worker = Worker(self, f"w{len(self.workers)}", rate, self._lease_seconds)
        self.workers.append(worker)
        return worker

    def after(self, seconds, do):
        heapq.heappush(self._events, (self.now + seconds, next(self._order), do))

    def run_until(self, moment):
        while self._events and self._events[0][0] <= moment:
            self.now, _, do = heapq.heappop(self._events)
            do()
            self.highest = max(self.highest, self.shares())
        self.now = moment

    def shares(self):
        return sum(Decimal(repr(worker.lease.share)) for worker in self.workers if worker.is_alive)

    def granted(self, since):
        return sum(units for moment, units in self.grants if moment >= since)

    def excess(self, rate):
        """Return by how much the busiest stretch of any length went beyond the rate."""
        worst = used = lowest = 0.0
        for moment, units in sorted(self.grants):
            lowest = min(lowest, used - rate * moment)
            used += units
            worst = max(worst, used - rate * moment - lowest)
        return worst

    # One worker's requests.

    def drive(self, worker, flow, done):
        self._go_on(worker, flow, flow.send, None, done)

    def _go_on(self, worker, flow, resume, outcome, done):
        if not worker.is_alive and flow.gi_code is not worker.lease.release.__code__:
            return  # killed between two requests
        try:
            step = resume(outcome)
        except (StopIteration, ClientError, EndpointConnectionError):
            done()
        else:
            self._send(worker, flow, step, done)

    def _send(self, worker, flow, step, done):
        there, back = self.rng.uniform(*self._latency), self.rng.uniform(*self._latency)
        lost = self.is_down or self.now < worker.cut_off_until or self.rng.random() < self._lost
        arrives = not lost or (not self.is_down and self.rng.random() < 0.5)  # or else the reply is lost

        def arrive():
            resume, outcome = flow.send, None
            try:
                outcome = step()
            except ClientError as error:
                resume, outcome = flow.throw, error
            if not lost:
                self._reply(worker, flow, step, resume, outcome, back, done)

        if arrives:
            self.after(there, arrive)
        if lost:
            error = EndpointConnectionError(endpoint_url="-")
            self.after(1.0, lambda: self._go_on(worker, flow, flow.throw, error, done))
        if step.func.__name__ == "put_item" and self.rng.random() < self._late:
            self.after(there + self.rng.uniform(0, 4), lambda: _ignoring(step))

    def _reply(self, worker, flow, step, resume, outcome, back, done):
        if step.func.__name__ != "query":
            self.after(back, lambda: self._go_on(worker, flow, resume, outcome, done))
            return
        first = {item["worker"]: item for item in outcome["Items"]}

        def rest():  # a query is no snapshot: each item is as it was at some moment of the query
            second = self.table.items
            names = sorted({*first, *second})
            seen = [self.rng.choice((first, second)).get(name) for name in names]
            self._go_on(worker, flow, resume, {"Items": [item for item in seen if item is not None]}, done)

        self.after(back, rest)


def _ignoring(step):
    try:
        step()
    except ClientError:
        return
