"""A worker: `python -m benchmarks.workers MODULE.FUNCTION URL [sync|async]` takes a JSON request a line, and answers.

Standard output is for answers only; what libraries print goes to standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from importlib import import_module
from typing import Any

from benchmarks import cores, items

from . import timing
from .boto import counted
from .made import Made


class SyncWorker:
    """Measures a sync contender."""

    def __init__(self, make: Any, url: str) -> None:
        self._make = make
        self._others: dict[str, Made] = {}
        self.made: Made = make(url)

    def call(self, name: str) -> Any:
        return self.made.calls[name]()

    def facts(self) -> dict[str, Any]:
        counts = {} if self.made.client is None else counted(self.made.client())
        return {**self.made.facts, **counts}

    def time(self, name: str, seconds: float, at_once: int, url: str | None) -> dict[str, float]:
        if url is not None and url not in self._others:
            self._others[url] = self._make(url)
        made = self.made if url is None else self._others[url]
        return timing.calls(made.calls[name], seconds, at_once)

    def close(self) -> None:
        pass


class AsyncWorker:
    """Measures an async contender, on one event loop for its whole life."""

    def __init__(self, make: Any, url: str) -> None:
        self._runner = asyncio.Runner()
        self._make = make
        self._others: dict[str, Made] = {}
        self.made: Made = self._runner.run(make(url))

    def call(self, name: str) -> Any:
        async def call() -> Any:
            return await self.made.calls[name]()

        return self._runner.run(call())

    def facts(self) -> dict[str, Any]:
        client = self.made.client
        counts = {} if client is None else counted(self._runner.run(client()))
        return {**self.made.facts, **counts}

    def time(self, name: str, seconds: float, at_once: int, url: str | None) -> dict[str, float]:
        if url is not None and url not in self._others:
            self._others[url] = self._runner.run(self._make(url))
        made = self.made if url is None else self._others[url]
        return self._runner.run(timing.tasks(made.calls[name], seconds, at_once))

    def stall(self, name: str) -> dict[str, float]:
        return self._runner.run(timing.stall(self.made.calls[name]))

    def close(self) -> None:
        async def close() -> None:
            for made in (self.made, *self._others.values()):
                if made.close is not None:
                    await made.close()

        self._runner.run(close())
        self._runner.close()


def worker_for(contender: str, kind: str, url: str) -> Any:
    """Import and make a contender."""
    module, _, function = contender.partition(".")
    make = getattr(import_module(f"{__package__}.{module}"), function)()
    return (AsyncWorker if kind == "async" else SyncWorker)(make, url)


def check(worker: Any, name: str) -> dict[str, Any]:
    """Make one call, and give the fingerprint of the items that it gave."""
    answer = worker.call(name)
    read = worker.made.items.get(name)
    return {"digest": items.digest(read(answer)) if read is not None else None}


def respond(worker: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked."""
    match request["do"]:
        case "check":
            return check(worker, request["call"])
        case "facts":
            return dict(worker.facts())
        case "time":
            place = cores.share_one if request["one_core"] else cores.use_all
            place()
            return dict(worker.time(request["call"], request["seconds"], request["at_once"], request["url"]))
        case "stall":
            cores.use_all()
            return dict(worker.stall(request["call"]))
    raise ValueError(f"{request['do']!r} is nothing that a worker does")


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contender, url, kind = sys.argv[1:]
    worker = worker_for(contender, kind, url)
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        try:
            answer = respond(worker, json.loads(line))
        except Exception as error:  # noqa: BLE001 - a contender that fails is left out, and the run goes on
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
    worker.close()


if __name__ == "__main__":
    main()
