"""Plain and hardened resources side by side, and a proxy that makes faults before DynamoDB Local."""

import gc
import os
import signal
import threading
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from codec_calls import both_sides
from emulators import CREDENTIALS, REGION, plain_resource, session_for

import resilient_ddb as rddb
from resilient_ddb.testing import FakeClock, FaultProxy

ACCESS = {"region_name": REGION, **CREDENTIALS}
PATIENT = rddb.Timeouts(connect=30.0, read=30.0)
"""No attempt fails, and is counted, because the machine paused."""


@pytest.fixture
def opened():
    """Keep what is to be closed after the test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def plain(opened):
    """Return boto3's own resource for an endpoint."""

    def make(url=None, **options):
        made = session_for(url).resource("dynamodb", endpoint_url=url, **options)
        opened.callback(made.meta.client.close)
        return made

    return make


@pytest.fixture
def hardened(opened):
    """Return the hardened resource for an endpoint."""

    def make(url=None, policy=None, session=None, **options):
        session = session or session_for(url)
        made = rddb.resource("dynamodb", endpoint_url=url, policy=policy, session=session, **options)
        opened.callback(made.meta.client.close)
        return made

    return make


@pytest.fixture
def ctrl_c(opened):
    """Send this process what Ctrl-C sends, a moment after `reached()` is first true.

    No garbage is collected meanwhile: a finalizer swallows the KeyboardInterrupt that is raised in it.
    """
    over = threading.Event()

    def when(reached):
        def press():
            while not reached():
                if over.wait(0.01):
                    return
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=press)
        opened.callback(thread.join)
        opened.callback(over.set)
        gc.disable()
        opened.callback(gc.enable)
        thread.start()

    return when


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(params=["dynamodb-local", "moto"])
def backend(request):
    """Return DynamoDB Local and moto in turn."""
    return request.getfixturevalue({"dynamodb-local": "dynamodb_local", "moto": "moto_server"}[request.param])


@pytest.fixture
def proxy(dynamodb_local):
    with FaultProxy(dynamodb_local.endpoint_url, seed=1) as running:
        yield running


@pytest.fixture
def world(dynamodb_local, proxy, make_table, plain, hardened, clock):
    """A table on DynamoDB Local; `direct` goes past the proxy with plain boto3, `table(...)` through it, hardened."""
    name = make_table(dynamodb_local.endpoint_url)
    direct = plain_resource(dynamodb_local.endpoint_url).Table(name)

    def policy(**settings):
        return rddb.Policy(**{"clock": clock, "timeouts": PATIENT, **settings})

    def table(fallback=None, options=None, **settings):
        made = policy(fallback=fallback, **settings)
        return hardened(proxy.endpoint_url, made).Table(name, **(options or {}))

    def stored(key="a"):
        return direct.get_item(Key={"pk": key}, ConsistentRead=True).get("Item")

    return SimpleNamespace(
        proxy=proxy, clock=clock, name=name, direct=direct, table=table, policy=policy, stored=stored
    )


@pytest.fixture(scope="module")
def shared_sides(aws_env):
    with both_sides() as found:
        yield found


@pytest.fixture
def sides(shared_sides):
    """Return boto3's and ours, as other tests have left them but for their handlers."""
    yield shared_sides
    for side in shared_sides:
        side.clear()


@pytest.fixture
def new_sides(aws_env):
    """Return boto3's and ours, of which nothing has been asked."""
    with both_sides() as found:
        yield found
