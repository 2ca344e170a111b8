"""A pytest plugin: plain calls go past the SDK's inside from the first one on, of sync clients and of async ones.

`pytest -p forced_path tests/sync/test_sync_faults.py` runs tests with it, with `tests` in PYTHONPATH. A call's plan is
learnt from a request that the SDK makes and that is not sent. A test whose clients made calls that could have gone
past the SDK's inside, and of which none did, fails.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sdk_support import http_session_of

from resilient_ddb.calls.execution import Execution
from resilient_ddb.hooks import handlers
from resilient_ddb.hooks.host import ClientHost
from resilient_ddb.hooks.plain_calls import OPERATIONS, PlainCalls, _listen_only
from resilient_ddb.http.sync_session import LeanSession

SESSIONS: list[Any] = [LeanSession]
try:
    from resilient_ddb.http.aio_session import ProtocolSession

    SESSIONS.append(ProtocolSession)
except ImportError:  # nothing of aiobotocore is installed
    pass

ALL_THE_WAY_THROUGH = {
    "test_paginators_leave_them_out": "a paginator's calls say so in the User-Agent",
    "test_a_class_of_connections_that_was_put_in_place_of_botocores_is_used": "somebody's own connections are used",
}
"""Tests of which no call goes past the SDK's inside, and why."""
COUNTS: Counter[str] = Counter()
"""Of the test that runs: calls that could go past the SDK's inside, and those that did."""
_rehearsed: list[Execution] = []
_begin, _begin_plain_call = PlainCalls.begin, ClientHost.begin_plain_call


class NotSentError(BaseException):
    """Ends a call whose request was only to be seen."""


def _sending_others(send: Any) -> Any:
    def send_others(self: Any, request: Any) -> Any:
        if handlers.CURRENT.get() in _rehearsed:
            raise NotSentError
        return send(self, request)

    return send_others


def _begin_or_learn(self: PlainCalls, client: Any, execution: Execution, params: Any) -> Any:
    found = _begin(self, client, execution, params)
    operation = execution.operation
    has_path = isinstance(http_session_of(client), self.session_class) and self.host.transport.absent is None
    if operation not in OPERATIONS or not has_path or not _listen_only(client, self.host, operation):
        return found
    if execution.witness is None:
        COUNTS["could"] += 1
        COUNTS["did"] += found is not None
        return found
    rehearsal = _Rehearsal(self, client, execution, params)
    return rehearsal.held() if self.session_class is LeanSession else rehearsal


class _Rehearsal:
    """Has the SDK make a call's request, for the call's witness to see. An async client takes it for the call."""

    def __init__(self, calls: PlainCalls, client: Any, execution: Execution, params: Any) -> None:
        self._calls, self._client, self._execution, self._params = calls, client, execution, params
        self._witness, execution.witness = execution.witness, None
        self._is_sound = True
        self._call: Any = None

    def held(self) -> Any:
        """Hold it, and return the call; None if it goes botocore's way."""
        with self._on_stage() as make:
            make()
        frozen = self._witness.credentials.get_frozen_credentials()
        return self._begun(frozen)

    @property
    def credentials(self) -> Any:
        """Return what is asked for credentials first: itself, so that it is held then."""
        return self if self._call is None else self._call.credentials

    async def get_frozen_credentials(self) -> Any:
        """Hold it, and return what was asked for."""
        with self._on_stage() as make:
            await make()
        frozen = await self._witness.credentials.get_frozen_credentials()
        self._begun(frozen)
        return frozen

    def takes(self, frozen: Any) -> bool:
        """Return whether there is a call that goes past the SDK's inside."""
        return self._call is not None and bool(self._call.takes(frozen))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    @contextmanager
    def _on_stage(self) -> Iterator[Any]:
        stand_in = copy.copy(self._execution)
        stand_in.witness = self._witness
        stand_in._deadline = stand_in._permit = None  # noqa: SLF001 - a call of its own would be told to observers
        make = super(self._calls.mixin, self._client)._make_api_call
        handlers.CURRENT.set(stand_in)
        _rehearsed.append(stand_in)
        try:
            yield lambda: make(self._execution.operation, copy.deepcopy(self._params))
        except NotSentError:
            pass
        except Exception:  # noqa: BLE001 - what is wrong with it, the call itself will say
            self._is_sound = False
        finally:
            _rehearsed.remove(stand_in)
            handlers.CURRENT.set(self._execution)

    def _begun(self, frozen: Any) -> Any:
        if self._is_sound:
            self._witness.learn(frozen)
            COUNTS["could"] += 1
        self._call = _begin(self._calls, self._client, self._execution, self._params)
        self._execution.witness = None
        COUNTS["did"] += self._call is not None
        return self._call


def _begin_with_the_first(self: ClientHost, client: Any, execution: Execution, params: Any) -> Any:
    self._was_called = True
    return _begin_plain_call(self, client, execution, params)


def pytest_configure() -> None:
    """Force the path, as long as the process lives."""
    for session in SESSIONS:
        session.send = _sending_others(session.send)
    PlainCalls.begin = _begin_or_learn  # type: ignore[method-assign]
    ClientHost.begin_plain_call = _begin_with_the_first  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """Run a test, and fail it if none of its calls took the path that could have."""
    COUNTS.clear()
    result = yield
    name = getattr(item, "originalname", item.name)
    if COUNTS["could"] > 0 and not COUNTS["did"] and name not in ALL_THE_WAY_THROUGH:
        pytest.fail(f"{item.nodeid}: none of {COUNTS['could']} plain calls went past the SDK's inside")
    return result
