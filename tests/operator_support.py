"""One table on either rim, against a server that answers as a test says; both are used by plain calls."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from emulators import CREDENTIALS, REGION
from wire_stub import TABLE, WireStub

import resilient_ddb as rddb

SERVER_ERROR = (500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "down"})
KEY = {"pk": "a"}


class Side:
    """A table of one rim, `sync` or `async`: `call(verb, ...)` makes a call, and waits for what comes of it."""

    def __init__(self, rim, endpoint_url, policy, **options):
        self.rim = rim
        arguments = {"endpoint_url": endpoint_url, "policy": policy, "region_name": REGION, **CREDENTIALS, **options}
        if rim == "sync":
            self.table = rddb.table(TABLE, **arguments)
        else:
            pytest.importorskip("aiobotocore")  # there are runs without it
            from resilient_ddb import aio  # noqa: PLC0415 - as above

            self.table = aio.table(TABLE, **arguments)

    def call(self, verb, /, *args, **kwargs):
        if self.rim == "sync":
            return getattr(self.table, verb)(*args, **kwargs)

        async def awaited():
            return await getattr(self.table, verb)(*args, **kwargs)

        return asyncio.run(awaited())

    def many(self, verb, times, /, **kwargs):
        """Make so many calls one after the other, and return the errors that they ended in."""
        if self.rim == "sync":
            return [error for _ in range(times) if (error := _error_of(getattr(self.table, verb), kwargs)) is not None]

        async def all_of_them():
            errors = []
            for _ in range(times):
                try:
                    await getattr(self.table, verb)(**kwargs)
                except Exception as error:  # noqa: BLE001 - the test looks at them
                    errors.append(error)
            return errors

        return asyncio.run(all_of_them())

    def close(self):
        if self.rim == "sync":
            self.table.meta.client.close()


def _error_of(verb, kwargs):
    try:
        verb(**kwargs)
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return error
    return None


class Server:
    """The server, and what it answers: `{}` as long as `down` is false."""

    def __init__(self):
        self.down = False
        self.answer = lambda operation, params: {}
        self.stub = WireStub(lambda operation, params: SERVER_ERROR if self.down else self.answer(operation, params))

    def __enter__(self):
        self.stub.__enter__()
        return self

    def __exit__(self, *exc_info):
        self.stub.__exit__(*exc_info)

    def count(self):
        return len(self.stub.requests)

    def side(self, rim, policy=None, **options):
        return Side(rim, self.stub.endpoint_url, policy, **options)


def recorded():
    """Return an observer that keeps the events, and the list of them."""
    events = []
    return SimpleNamespace(observe=events.append, events=events)
