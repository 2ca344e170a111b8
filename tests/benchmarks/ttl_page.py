"""What the TTL filter costs, or saves: a page of 700 items of 0.9 KB, half of them expired.

`python -m tests.benchmarks.ttl_page` prints the CPU time of the same Scan through a Table with `ttl=` and one without:
of the whole call, answered in this process before anything is sent, and of the reading of its text alone.
"""

from __future__ import annotations

import io
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse

import resilient_ddb as rddb
from resilient_ddb.calls.execution import Execution
from resilient_ddb.codec import Codec
from resilient_ddb.codec.numbers import boto3_number
from resilient_ddb.hooks.targets import target_of
from resilient_ddb.testing import FakeClock
from resilient_ddb.ttl.answers import TtlCall
from resilient_ddb.ttl.requests import Request
from resilient_ddb.ttl.rule import TimeToLive
from resilient_ddb.ttl.table import TableTtl

ITEMS = 700
_ROUNDS = 40
_ACCESS = {"region_name": "eu-west-1", "aws_access_key_id": "stub", "aws_secret_access_key": "stub"}


def page(now: int, items: int = ITEMS) -> bytes:
    """Return the text of a page, every other item of which has expired."""
    return json.dumps(
        {"Count": items, "ScannedCount": items, "Items": [_item(number, now) for number in range(items)]}
    ).encode()


def _item(number: int, now: int) -> dict[str, Any]:
    return {
        "pk": {"S": f"session-{number:08d}"},
        "expires_at": {"N": str(now + 60 if number % 2 else now - 60)},
        "total": {"N": "1234.56"},
        "count": {"N": str(number)},
        "open": {"BOOL": True},
        "tags": {"L": [{"S": f"tag-{tag}"} for tag in range(8)]},
        "address": {"M": {name: {"S": f"{name} of {number}"} for name in ("street", "city", "country", "code")}},
        "lines": {"L": [{"M": {"sku": {"S": f"A-{line}"}, "n": {"N": str(line)}}} for line in range(6)]},
        "note": {"S": "x" * 200},
    }


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()


def _answer(text: bytes) -> Callable[..., AWSResponse]:
    def answer(request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, 200, {"content-type": "application/x-amz-json-1.0"}, _Raw(text))

    return answer


def _cpu(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def compare(calls: dict[str, Callable[[], object]], rounds: int = _ROUNDS) -> dict[str, float]:
    """Return the median CPU seconds of each call: interleaved, so that the machine's moods fall on all."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(_cpu(call))
    return {name: statistics.median(times) for name, times in taken.items()}


def scans(text: bytes, clock: FakeClock) -> dict[str, Callable[[], Any]]:
    """Return the same Scan, with the filter and without."""
    dynamodb = rddb.resource("dynamodb", policy=rddb.Policy(clock=clock), **_ACCESS)
    dynamodb.meta.client.meta.events.register("before-send.dynamodb", _answer(text))
    return {
        "without": dynamodb.Table("sessions").scan,
        "with ttl": dynamodb.Table("sessions", ttl="expires_at").scan,
    }


def readings(text: bytes, clock: FakeClock) -> dict[str, Callable[[], Any]]:
    """Return the reading of the text alone, with the filter and without."""
    client = rddb.client("dynamodb", policy=rddb.Policy(clock=clock), **_ACCESS)
    reader = Codec().reader(client.meta.service_model.operation_model("Scan"))
    if reader is None:
        raise RuntimeError("there is no reader for Scan")
    params: dict[str, Any] = {"TableName": "sessions"}
    core: Any = target_of(client, "a benchmark").core
    execution = Execution(core, "Scan", params)
    ttl = TableTtl("sessions", TimeToLive("expires_at"))
    sieve = TtlCall(
        execution,
        Request(params=params),
        table=ttl.table,
        attribute="expires_at",
        settings=ttl.settings,
        warn_once=ttl.warn_once,
    )
    return {
        "without": lambda: reader.read(text, boto3_number()),
        "with ttl": lambda: reader.read(text, boto3_number(), sieve),
    }


def main() -> None:
    clock = FakeClock()
    text = page(int(clock.time()))
    print(f"a page of {ITEMS} items, {len(text) / 1e3:.0f} KB, half of them expired; CPU, median of {_ROUNDS}")
    for what, make in (("a whole Scan", scans), ("reading its text", readings)):
        found = compare(make(text, clock))
        print(
            f"{what}: without ttl {found['without'] * 1e3:.2f} ms, with ttl {found['with ttl'] * 1e3:.2f} ms, "
            f"ratio {found['with ttl'] / found['without']:.2f}"
        )


if __name__ == "__main__":
    main()
