"""A pytest plugin: plain calls of sync clients go past botocore's inside from the first one on.

`pytest -p forced_path tests/sync/test_sync_faults.py` runs tests with it, with `tests` in PYTHONPATH. A call's plan is
learnt from a request that botocore makes and that is not sent. A test whose clients made calls that could have gone
past botocore's inside, and of which none did, fails.
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
from sdk_support import http_session_of

from resilient_ddb.calls.execution import Execution
from resilient_ddb.hooks import handlers
from resilient_ddb.hooks.host import ClientHost
from resilient_ddb.hooks.plain_calls import OPERATIONS, PlainCalls, _listen_only
from resilient_ddb.http.sync_session import LeanSession

ALL_THE_WAY_THROUGH = {
    "test_paginators_leave_them_out": "a paginator's calls say so in the User-Agent",
    "test_a_class_of_connections_that_was_put_in_place_of_botocores_is_used": "somebody's own connections are used",
}
"""Tests of which no call goes past botocore's inside, and why."""
COUNTS: Counter[str] = Counter()
"""Of the test that runs: calls that could go past botocore's inside, and those that did."""
_rehearsed: list[Execution] = []
_send, _begin, _begin_plain_call = LeanSession.send, PlainCalls.begin, ClientHost.begin_plain_call


class NotSentError(BaseException):
    """Ends a call whose request was only to be seen."""


def _send_others(self: LeanSession, request: Any) -> Any:
    if handlers.CURRENT.get() in _rehearsed:
        raise NotSentError
    return _send(self, request)


def _begin_or_learn(self: PlainCalls, client: Any, execution: Execution, params: Any) -> Any:
    found = _begin(self, client, execution, params)
    operation = execution.operation
    is_sync = isinstance(http_session_of(client), LeanSession)
    if operation not in OPERATIONS or not is_sync or not _listen_only(client, self.host, operation):
        return found
    if execution.witness is not None:
        _rehearse(self, client, execution, params)
        found = _begin(self, client, execution, params)
        execution.witness = None
    COUNTS["could"] += 1
    COUNTS["did"] += found is not None
    return found


def _rehearse(calls: PlainCalls, client: Any, execution: Execution, params: Any) -> None:
    """Have botocore make a call's request, for the call's witness to see."""
    stand_in = copy.copy(execution)
    witness, execution.witness = execution.witness, None
    stand_in._deadline = stand_in._permit = None  # noqa: SLF001 - a call of its own would be told to observers
    call = handlers.CURRENT.set(stand_in)
    _rehearsed.append(stand_in)
    try:
        super(calls.mixin, client)._make_api_call(execution.operation, copy.deepcopy(params))
    except NotSentError:
        witness.learn(witness.credentials.get_frozen_credentials())
    except Exception:  # noqa: BLE001 - what is wrong with it, the call itself will say
        COUNTS["could"] -= 1
    finally:
        _rehearsed.remove(stand_in)
        handlers.CURRENT.reset(call)


def _begin_with_the_first(self: ClientHost, client: Any, execution: Execution, params: Any) -> Any:
    self._was_called = True
    return _begin_plain_call(self, client, execution, params)


def pytest_configure() -> None:
    """Force the path, as long as the process lives."""
    LeanSession.send = _send_others  # type: ignore[method-assign]
    PlainCalls.begin = _begin_or_learn  # type: ignore[method-assign]
    ClientHost.begin_plain_call = _begin_with_the_first  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """Run a test, and fail it if none of its calls took the path that could have."""
    COUNTS.clear()
    result = yield
    name = getattr(item, "originalname", item.name)
    if COUNTS["could"] > 0 and not COUNTS["did"] and name not in ALL_THE_WAY_THROUGH:
        pytest.fail(f"{item.nodeid}: none of {COUNTS['could']} plain calls went past botocore's inside")
    return result
