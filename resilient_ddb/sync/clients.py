"""The sync client: what every call passes through, around botocore's own `_make_api_call`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import botocore.session

from resilient_ddb.calls.ending import cancel, recover, succeed
from resilient_ddb.calls.execution import Execution
from resilient_ddb.calls.flows import run
from resilient_ddb.codec.originals import part
from resilient_ddb.fallback import Response, mark
from resilient_ddb.hooks.handlers import CURRENT
from resilient_ddb.hooks.host import ClientHost, by_policy_of
from resilient_ddb.http.sync_session import LeanSession, headers_by_name
from resilient_ddb.policy.deadlines import current_deadline

from . import connections

if TYPE_CHECKING:
    from resilient_ddb.calls.core import Core
    from resilient_ddb.hooks.plain_calls import PlainCall, PlainCalls, Witness


class ResilientClient:
    """Mixed into the class of a botocore client."""

    _resilience: Core

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> Response:
        execution = Execution(self._resilience, operation_name, api_params)
        outer = CURRENT.get()
        CURRENT.set(execution)
        try:
            ttl = execution.core.ttl
            if ttl is not None and (api_params := ttl.at_once(execution)) is None:
                with execution.bounded():
                    api_params = run(ttl.prepare(execution, self._make_api_call))
            execution.admit()
            host: ClientHost = execution.core.host  # type: ignore[assignment]  # as its core sees it
            call = host.begin_plain_call(self, execution, api_params)
            if call is None or not call.takes(frozen := call.credentials.get_frozen_credentials()):
                response: Response = super()._make_api_call(operation_name, api_params)  # type: ignore[misc]  # mixed in
                if execution.witness is not None:
                    _learn(execution.witness)
            else:
                response = _make(call, frozen)
        except Exception as error:  # noqa: BLE001 - raised again, unless the call can still be answered
            return run(recover(execution, error))
        except BaseException:
            cancel(execution)
            raise
        finally:
            CURRENT.set(outer)
        return succeed(execution, response)

    def close(self) -> None:
        """Close the connections, also those that fallbacks made to other regions."""
        self._resilience.flush()
        for sibling in self._resilience.host.open_siblings():  # type: ignore[attr-defined]  # a SyncHost
            sibling.close()
        super().close()  # type: ignore[misc]  # mixed in


def _make(call: PlainCall, frozen: Any) -> Response:
    """Make a call that goes past botocore's inside. `frozen` are its credentials for the first attempt."""
    session: LeanSession = call.session
    while True:
        call.begin_attempt()
        request = call.prepared(frozen or call.credentials.get_frozen_credentials())
        frozen = None
        try:
            answer = session.exchange(call.where, request.message, request)
        except Exception as error:  # noqa: BLE001 - as botocore: it is judged, and raised in the end
            delay = call.failed(error)
        else:
            headers = answer.by_name or headers_by_name(answer.headers)
            read, customized, _ = call.read(answer.status, headers, answer.body)
            delay = call.answered(read, customized, answer.body)
        if delay is None:
            break
        time.sleep(delay)
        call.go_on()
    call.ended()
    return call.response()


def _learn(witness: Witness) -> None:
    """Learn from a call that went botocore's way. Its response is there: what fails here must not take it away."""
    with contextlib.suppress(Exception):
        witness.learn(witness.credentials.get_frozen_credentials())


class SyncHost(ClientHost):
    """A sync client, as its core sees it."""

    client_class = ResilientClient
    run = staticmethod(run)
    signer_class = part("botocore.signers", "RequestSigner")
    resolver_class = part("botocore.regions", "EndpointRulesetResolver")
    counted = staticmethod(connections.counted)
    new_refresh_lock = staticmethod(threading.Lock)
    _lean: LeanSession | None = None
    """The client's HTTP session on the fast path, kept while that is switched off."""

    def new_plain_calls(self) -> PlainCalls:
        """Return what takes the client's plain calls past botocore's inside."""
        from resilient_ddb.hooks.plain_calls import PlainCalls  # noqa: PLC0415 - loaded once a client makes more calls
        from resilient_ddb.hooks.sdk_parts import BOTOCORE, SdkParts  # noqa: PLC0415 - as above

        return PlainCalls(self, SdkParts(BOTOCORE), ResilientClient, LeanSession)

    def lead(self, key: Any, mark: object) -> None:
        """Return at once if no other thread asks for `key`; else when it has ended, or the deadline has passed."""
        here = threading.get_ident()
        _, ended, asking = self.flights.setdefault(key, (mark, threading.Event(), here))
        if asking != here:
            deadline = current_deadline()
            ended.wait(None if deadline is None else max(0.0, deadline.remaining()))

    def take_connections(self, http_session: Any) -> None:
        """Replace the client's connections: each gives only answers to what was sent, over the policy's transport."""
        endpoint = self.client._endpoint  # noqa: SLF001 - there is no public way
        policy = self.client._resilience.policy  # noqa: SLF001 - this library's own
        session = connections.on_the_fast_path(http_session, policy, self.transport, self._lean)
        if isinstance(session, LeanSession):
            self._lean = session
        if session is not http_session:
            endpoint.http_session = session

    def forget_connections(self) -> None:
        """Leave the connections that are open to the parent process, which has them too."""
        connections.leave_to_parent(self.client)

    def elsewhere(
        self, core: Core, operation: str, params: Mapping[str, Any], region: str, endpoint_url: str | None
    ) -> Response:
        """Make a call in another region, by the policy of `core`, and mark its answer."""
        key = (region, endpoint_url)
        with self.lock:  # making a client sends nothing
            if key not in self.siblings:
                self.siblings[key] = self._make_sibling(region, endpoint_url)
        asked = by_policy_of(core, self.siblings[key], operation, params)
        response: Response = asked._make_api_call(operation, dict(params))  # noqa: SLF001 - by name
        return mark(response, replica=region)

    def _make_sibling(self, region: str, endpoint_url: str | None) -> Any:
        session = botocore.session.get_session()
        session.register_component("credential_provider", _Given(self.credentials()))
        sibling = session.create_client("dynamodb", **self.sibling_arguments(region, endpoint_url))
        policy = self.client._resilience.policy_elsewhere()  # noqa: SLF001 - the attribute is this library's own
        return self.install(sibling, policy, native=self.native)


class _Given:
    """Stands in for botocore's chain of credential providers."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Any:
        """Return the credentials that were given."""
        return self._credentials
