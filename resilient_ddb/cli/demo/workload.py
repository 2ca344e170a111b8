"""The application: it loads rows, reads, counts and queries. The same code drives boto3's tables and ours.

It is what people write: a batch writer fed by a loop that catches errors, notes them and goes on. Then calls from a
pool of workers, each made once. Whatever retries there are, are the client's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from boto3.dynamodb.conditions import Key
from botocore.exceptions import BotoCoreError, ClientError

from .airports import Row
from .records import CallRecord, Outcome
from .scenario import LOADERS, WORKERS, Planned, Verb

BATCH = 25
PATIENCE_SECONDS = 12.0
"""How long after the last call was due workers still take calls up."""

Tick = Callable[[int], None]


@dataclass(kw_only=True)
class Application:
    """An application with its two tables: both boto3's or both ours."""

    airports: Any
    counters: Any
    clock: Callable[[], float]
    """Seconds since the run began."""
    told: set[str] = field(default_factory=set)
    """The rows that an error was raised about."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def load(self, rows: Sequence[Row], tick: Tick) -> None:
        """Write rows as fast as it goes, from a few threads."""
        cuts = [round(len(rows) * part / LOADERS) for part in range(LOADERS + 1)]
        with ThreadPoolExecutor(LOADERS) as pool, self._stopping():
            list(pool.map(lambda cut: self.write(rows[cut[0] : cut[1]], tick), pairwise(cuts)))

    def write(self, rows: Sequence[Row], tick: Tick, *, gap: float = 0.0) -> None:
        """Write rows with a batch writer, `gap` seconds apart; note which of them an error was raised about."""
        due = self.clock()
        try:
            with self.airports.batch_writer() as batch:
                for row in rows:
                    if self._stopped.is_set():
                        return
                    time.sleep(max(0.0, due - self.clock()))
                    due = max(due + gap, self.clock())  # what was held up is not made up for by a rush
                    try:
                        batch.put_item(Item=row)
                    except (BotoCoreError, ClientError) as error:
                        self._note(error, [row])
                    tick(1)
        except (BotoCoreError, ClientError) as error:
            self._note(error, rows[-BATCH:])  # the rest of the buffer: which of them, boto3's error doesn't say

    def _note(self, error: Exception, rows: Sequence[Row]) -> None:
        """Count rows as told about: those at hand, and those that the error itself names."""
        named = [request["PutRequest"]["Item"]["iata"] for request in getattr(error, "items", ())]
        with self._lock:
            self.told.update(row["iata"] for row in rows)
            self.told.update(named)

    def call(self, calls: Sequence[Planned], known: frozenset[str], tick: Tick) -> list[CallRecord]:
        """Make the calls when they are due, as far as workers are free; `known` are the rows that are there."""
        begun = self.clock()
        limit = begun + (calls[-1].due if calls else 0.0) + PATIENCE_SECONDS
        waiting = iter(calls)
        turn = threading.Lock()

        def worker() -> Iterator[CallRecord]:
            while True:
                with turn:
                    planned = next(waiting, None)
                if planned is None or self._stopped.is_set():
                    return
                due = begun + planned.due
                time.sleep(max(0.0, due - self.clock()))
                yield self._make(planned, due, limit, known)
                tick(1)

        with ThreadPoolExecutor(WORKERS) as pool, self._stopping():
            futures = [pool.submit(lambda: list(worker())) for _ in range(WORKERS)]
            records = [record for future in futures for record in future.result()]
        return sorted(records, key=lambda record: record.due)

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """End all threads soon if one fails, or Ctrl-C is pressed."""
        try:
            yield
        except BaseException:
            self._stopped.set()
            raise

    def _make(self, planned: Planned, due: float, limit: float, known: frozenset[str]) -> CallRecord:
        """Make one call and write down what came of it."""
        outcome, error_name, ambiguous = Outcome.SKIPPED, "", False
        if self.clock() < limit:
            try:
                outcome = self._judge(planned, self.send(planned), known)
            except (BotoCoreError, ClientError) as error:
                outcome, error_name = Outcome.FAILED, type(error).__name__
                ambiguous = bool(getattr(getattr(error, "resilience", None), "ambiguous", False))
        return CallRecord(
            verb=planned.verb,
            counter=planned.counter if planned.verb is Verb.COUNT else "",
            due=due,
            ended=self.clock(),
            outcome=outcome,
            error=error_name,
            ambiguous=ambiguous,
        )

    def send(self, planned: Planned) -> Any:
        """Make a call, and return its response."""
        match planned.verb:
            case Verb.GET:
                return self.airports.get_item(Key={"state": planned.state, "iata": planned.iata})
            case Verb.QUERY:
                return self.airports.query(KeyConditionExpression=Key("state").eq(planned.state), Limit=20)
            case Verb.COUNT:
                return self.counters.update_item(
                    Key={"name": planned.counter},
                    UpdateExpression="ADD visits :one",
                    ExpressionAttributeValues={":one": 1},
                )

    @staticmethod
    def _judge(planned: Planned, response: Any, known: frozenset[str]) -> Outcome:
        """Return what an answer was worth."""
        if "Resilience" in response["ResponseMetadata"]:
            return Outcome.CACHED
        if planned.verb is Verb.GET and "Item" not in response and planned.iata in known:
            return Outcome.PHANTOM
        return Outcome.OK
