"""No bytes of a server's pass for an answer, and none leave as an error that nobody catches: every verb there is."""

from __future__ import annotations

import contextlib
import gc

import boto3
import pytest
from codec_calls import ACCESS
from hostile_support import KEY, NAMES, NOT_THERE, PARTS, arguments, check_error, names_of, policy, said, verbs
from wire_server import WireServer

import resilient_ddb as rddb
from resilient_ddb.sharding import RANDOM

MAKERS = {
    "client": lambda resource, client: client,
    "resource": lambda resource, client: resource,
    "Table": lambda resource, client: resource.Table("t"),
    "Table with TTL": lambda resource, client: resource.Table("t", ttl="expires_at"),
    "Table that looks its TTL up": lambda resource, client: resource.Table("t", ttl="auto"),
    "sharded": lambda resource, client: resource.Table("t").sharded(2, key="pk", by=RANDOM),
    "versioned": lambda resource, client: resource.Table("t").versioned(),
    "versioned and sharded": lambda resource, client: resource.Table("t").sharded(2, key="pk", by=RANDOM).versioned(),
}


@contextlib.contextmanager
def opened(url):
    session = boto3.Session(**ACCESS)
    options = {"endpoint_url": url, "policy": policy(), "session": session}
    resource, client = rddb.resource("dynamodb", **options), rddb.client("dynamodb", **options)
    try:
        yield {name: make(resource, client) for name, make in MAKERS.items()}
    finally:
        resource.meta.client.close()
        client.close()


with opened("http://127.0.0.1:1") as found:
    VERBS = [(name, verb) for name, made in found.items() for verb in verbs(type(made))]
VERBS = [each for each in VERBS if each not in NOT_THERE]


@pytest.fixture(scope="module")
def server(aws_env):
    with WireServer(lambda operation, *_: said(NAMES[0], operation)) as running:
        yield running


@pytest.fixture(scope="module")
def objects(server):
    with opened(server.url) as made:
        yield made


def end(made, verb, is_typed):
    """Make a call, and go through all that it gives."""
    given = getattr(made, verb)(**arguments(made, verb, is_typed=is_typed))
    if verb == "batch_writer":
        with given as batch:
            batch.put_item(Item=KEY)
        return given
    return list(given) if hasattr(given, "__next__") or verb in ("get_items", "parallel_scan") else given


@pytest.fixture(autouse=True)
def _no_garbage_collection():
    """Collect nothing meanwhile: a finalizer that runs as Python's recursion limit is met fails as well."""
    gc.disable()
    yield
    gc.enable()


@PARTS
@pytest.mark.parametrize(("kind", "verb"), VERBS)
def test_no_bytes_pass_for_an_answer(server, objects, kind, verb, part):
    for name in names_of(part, VERBS, kind, verb):
        server.script = lambda operation, *_, name=name: said(name, operation)
        try:
            given = end(objects[kind], verb, is_typed=kind == "client")
        except Exception as error:  # noqa: BLE001 - what it is is looked at
            try:
                check_error(error)
            except AssertionError as failed:
                raise AssertionError(name) from failed
        else:
            pytest.fail(f"{name} passed for {given!r}")
