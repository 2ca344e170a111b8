"""One contender in a process of its own: `python -m benchmarks.compared.worker MAKER URL TABLE`.

It makes the calls that lines of JSON on standard input ask for, and answers each line with what it was told.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import callers

Outcome = dict[str, Any]


def answered(value: Any, seconds: float) -> Outcome:
    """Return what is told of a call that ended well."""
    return {"ok": True, "value": value, "seconds": seconds}


def failed(caller: Any, error: Exception, seconds: float) -> Outcome:
    """Return what is told of a call that raised."""
    return {
        "ok": False,
        "error": type(error).__name__,
        "text": str(error)[:200],
        "condition": callers.is_condition(error),
        "unsure": caller.is_unsure(error),
        "seconds": seconds,
    }


class Turns:
    """When those that read on and on may stop: as each has been served well after `seconds`, or patience ends."""

    def __init__(self, keys: list[str], seconds: float, patience: float) -> None:
        self._unserved = set(keys)
        self._seconds, self._end = seconds, seconds + patience
        self._began = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._began

    def go_on(self) -> bool:
        """Return whether somebody is still to be served, and may be."""
        return bool(self._unserved) and self.now() < self._end

    def note(self, key: str, at: float, outcome: Outcome) -> Outcome:
        """Return an outcome with its beginning and its key, and remember who was served."""
        if outcome["ok"] and at + outcome["seconds"] > self._seconds:
            self._unserved.discard(key)
        return {**outcome, "at": at, "key": key}


class Threads:
    """Makes the calls of a sync library."""

    def __init__(self, caller: Any) -> None:
        self._caller = caller

    def one(self, name: str, argument: Any) -> Outcome:
        """Make a call, and say what came of it."""
        began = time.monotonic()
        try:
            value = getattr(self._caller, name)(argument)
        except Exception as error:  # noqa: BLE001 - what it raises is what is measured
            return failed(self._caller, error, time.monotonic() - began)
        return answered(value, time.monotonic() - began)

    def each(self, name: str, arguments: list[Any], at_once: int) -> list[Outcome]:
        """Make several calls, so many at once."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda argument: self.one(name, argument), arguments))

    def within(self, name: str, argument: Any, limit: float) -> Outcome:
        """Make a call, and stop waiting for it after `limit` seconds."""
        outcomes: list[Outcome] = []
        thread = threading.Thread(target=lambda: outcomes.append(self.one(name, argument)), daemon=True)
        thread.start()
        thread.join(limit)
        return outcomes[0] if outcomes else {"ok": False, "error": None, "seconds": limit}

    def on_and_on(self, keys: list[str], seconds: float, patience: float, pause: float) -> list[Outcome]:
        """Read each key again and again, all at once, as long as `Turns` says."""

        def loop(key: str) -> list[Outcome]:
            told = []
            while turns.go_on():
                at = turns.now()
                told.append(turns.note(key, at, self.one("read", key)))
                time.sleep(pause)
            return told

        turns = Turns(keys, seconds, patience)
        with ThreadPoolExecutor(len(keys)) as pool:
            return [outcome for told in pool.map(loop, keys) for outcome in told]


class Tasks:
    """Makes the calls of an async library, on one event loop."""

    def __init__(self, caller: Any, runner: asyncio.Runner) -> None:
        self._caller, self._runner = caller, runner

    async def _one(self, name: str, argument: Any) -> Outcome:
        began = time.monotonic()
        try:
            value = await getattr(self._caller, name)(argument)
        except Exception as error:  # noqa: BLE001 - as above
            return failed(self._caller, error, time.monotonic() - began)
        return answered(value, time.monotonic() - began)

    def each(self, name: str, arguments: list[Any], at_once: int) -> list[Outcome]:
        """Make several calls, so many at once."""

        async def several() -> list[Outcome]:
            turns = asyncio.Semaphore(at_once)

            async def in_turn(argument: Any) -> Outcome:
                async with turns:
                    return await self._one(name, argument)

            return await asyncio.gather(*map(in_turn, arguments))

        return self._runner.run(several())

    def within(self, name: str, argument: Any, limit: float) -> Outcome:
        """Make a call, and stop waiting for it after `limit` seconds."""

        async def wait() -> Outcome:
            done, _ = await asyncio.wait([asyncio.create_task(self._one(name, argument))], timeout=limit)
            return done.pop().result() if done else {"ok": False, "error": None, "seconds": limit}

        return self._runner.run(wait())

    def on_and_on(self, keys: list[str], seconds: float, patience: float, pause: float) -> list[Outcome]:
        """Read each key again and again, all at once, as long as `Turns` says."""

        async def loop(key: str) -> list[Outcome]:
            told = []
            while turns.go_on():
                at = turns.now()
                told.append(turns.note(key, at, await self._one("read", key)))
                await asyncio.sleep(pause)
            return told

        async def all_loops() -> list[Outcome]:
            return [outcome for told in await asyncio.gather(*map(loop, keys)) for outcome in told]

        turns = Turns(keys, seconds, patience)
        return self._runner.run(all_loops())


def worker_for(maker: str, url: str, table: str) -> Threads | Tasks:
    """Make a contender, and what makes its calls."""
    made = callers.maker(maker)(url, table)
    if not inspect.iscoroutine(made):
        return Threads(made)
    runner = asyncio.Runner()
    return Tasks(runner.run(made), runner)


def respond(worker: Threads | Tasks, request: dict[str, Any]) -> list[Outcome]:
    """Do what is asked."""
    match request.pop("do"):
        case "each":
            return worker.each(**request)
        case "within":
            return [worker.within(**request)]
        case "on_and_on":
            return worker.on_and_on(**request)
    raise ValueError("nothing that a worker does")


def main() -> None:
    """Answer until standard input ends, and leave what still runs."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.disable()  # what a library logs of each failure is not compared
    worker = worker_for(*sys.argv[1:])
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(respond(worker, json.loads(line))), file=answers, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
