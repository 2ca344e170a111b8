"""No bytes of a server's pass for an answer, and none leave as an error that nobody catches: every async verb."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect

import pytest
from aiobotocore.session import AioSession
from codec_calls import ACCESS
from hostile_support import KEY, NAMES, NOT_THERE, PARTS, arguments, check_error, names_of, policy, said, verbs
from wire_server import WireServer

from resilient_ddb import aio
from resilient_ddb.sharding import RANDOM

KINDS = {
    "client": lambda client: client,
    "resource": lambda resource: resource,
    "Table": lambda resource: resource.Table("t"),
    "Table with TTL": lambda resource: resource.Table("t", ttl="expires_at"),
    "Table that looks its TTL up": lambda resource: resource.Table("t", ttl="auto"),
    "table for module scope": lambda table: table,
    "sharded": lambda table: table.sharded(2, key="pk", by=RANDOM),
    "versioned": lambda table: table.versioned(),
    "versioned and sharded": lambda table: table.sharded(2, key="pk", by=RANDOM).versioned(),
}


SESSION = AioSession()
"""Nothing here changes it."""


@contextlib.asynccontextmanager
async def opened(url, kind):
    make = KINDS[kind]
    options = {"endpoint_url": url, "policy": policy(), "verify": False, "session": SESSION, **ACCESS}
    if "table" in inspect.signature(make).parameters:
        table = aio.table("t", **options)
        yield make(table)
        await table.close()
        return
    opening = aio.client if kind == "client" else aio.resource
    async with opening("dynamodb", **options) as target:
        made = make(target)
        yield await made if inspect.isawaitable(made) else made


async def find():
    """Return each kind of object with each of its verbs."""
    found = []
    for kind in KINDS:
        async with opened("http://127.0.0.1:1", kind) as made:
            found += [(kind, verb) for verb in verbs(type(made))]
    return [each for each in found if each not in NOT_THERE]


VERBS = asyncio.run(find())


@pytest.fixture(scope="module")
def server(aws_env):
    with WireServer(lambda operation, *_: said(NAMES[0], operation)) as running:
        yield running


async def end(made, verb, is_typed):
    """Make a call, and go through all that it gives."""
    given = getattr(made, verb)(**arguments(made, verb, is_typed=is_typed))
    if verb == "batch_writer":
        async with given as batch:
            await batch.put_item(Item=KEY)
        return given
    if hasattr(given, "__anext__") or verb in ("get_items", "parallel_scan"):
        return [each async for each in given]
    return await given


@pytest.fixture(autouse=True)
def _no_garbage_collection():
    """Collect nothing meanwhile: a finalizer that runs as Python's recursion limit is met fails as well."""
    gc.disable()
    yield
    gc.enable()


@PARTS
@pytest.mark.parametrize(("kind", "verb"), VERBS)
async def test_no_bytes_pass_for_an_answer(server, kind, verb, part):
    async with opened(server.url, kind) as made:
        for name in names_of(part, VERBS, kind, verb):
            server.script = lambda operation, *_, name=name: said(name, operation)
            try:
                given = await end(made, verb, is_typed=kind == "client")
            except Exception as error:  # noqa: BLE001 - what it is is looked at
                try:
                    check_error(error)
                except AssertionError as failed:
                    raise AssertionError(name) from failed
            else:
                pytest.fail(f"{name} passed for {given!r}")
