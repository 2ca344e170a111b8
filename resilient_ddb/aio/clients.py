"""The async client: what every call passes through, around aiobotocore's own `_make_api_call`."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Mapping
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

from aiobotocore.client import AioBaseClient
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import HTTPClientError

from resilient_ddb.calls.ending import cancel, recover, succeed
from resilient_ddb.calls.execution import Execution
from resilient_ddb.calls.flows import run_async
from resilient_ddb.codec.originals import part
from resilient_ddb.errors import DeadlineExceededError
from resilient_ddb.fallback import Response, mark
from resilient_ddb.hooks.handlers import CURRENT, came_over_the_wire
from resilient_ddb.hooks.host import ClientHost, by_policy_of
from resilient_ddb.http.aio_session import ProtocolSession
from resilient_ddb.policy.deadlines import current_deadline

from . import connections
from .large_pages import AioValueHandlers
from .refreshing import RefreshLock

if TYPE_CHECKING:
    from resilient_ddb.calls.core import Core
    from resilient_ddb.hooks.plain_calls import PlainCall, PlainCalls, Witness
    from resilient_ddb.hooks.sdk_parts import Functions


class ClosedClientError(HTTPClientError):  # type: ignore[misc]  # botocore has no types of its own
    """A call of a client that was closed. Nothing was sent."""

    client_was_closed = True
    fmt = (
        "This client was closed, by close() or as its 'async with' block ended, and with it the Tables and writers "
        "that it serves: use them within the block, or make them at module scope, by resilient_ddb.aio.table(...) or "
        "aio.resource(...), which open their client again"
    )


_AIOBOTOCORE: Functions = {
    ("aiobotocore.client", "AioBaseClient"): (
        *("_make_api_call", "_make_request", "_emit_api_params", "_resolve_endpoint_ruleset"),
        "_convert_to_request_dict",
    ),
    ("aiobotocore.endpoint", "AioEndpoint"): (
        *("make_request", "create_request", "prepare_request", "_send_request", "_send", "_get_response"),
        *("_do_get_response", "_needs_retry", "_add_modeled_error_fields"),
    ),
    ("aiobotocore.signers", "AioRequestSigner"): ("handler", "sign", "_choose_signer", "get_auth_instance"),
    ("aiobotocore.hooks", "AioHierarchicalEmitter"): ("emit", "emit_until_response", "_emit"),
    ("aiobotocore.regions", "AioEndpointRulesetResolver"): ("construct_endpoint",),
}


class ResilientAioClient:
    """Mixed into the class of an aiobotocore client."""

    _resilience: Core

    async def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> Response:
        execution = Execution(self._resilience, operation_name, api_params)
        outer = CURRENT.get()
        CURRENT.set(execution)
        try:
            ttl = execution.core.ttl
            if ttl is not None and (api_params := ttl.at_once(execution)) is None:
                with execution.bounded():
                    api_params = await run_async(ttl.prepare(execution, self._make_api_call))
            execution.admit()
            host: ClientHost = execution.core.host  # type: ignore[assignment]  # as its core sees it
            call = host.begin_plain_call(self, execution, api_params)
            if call is None or not call.takes(frozen := await call.credentials.get_frozen_credentials()):
                sdks: Awaitable[Response] = super()._make_api_call(  # type: ignore[misc]  # mixed in
                    operation_name, api_params
                )
                response = await _within_deadline(execution, sdks)
                if execution.witness is not None:
                    await _learn(execution.witness)
            else:
                response = await _within_deadline(execution, _make(call, frozen))
        except Exception as error:  # noqa: BLE001 - raised again, unless the call can still be answered
            _say_who_answered(error)
            return await run_async(recover(execution, self._in_words(error, execution)))
        except BaseException:
            cancel(execution)
            raise
        finally:
            CURRENT.set(outer)
        return succeed(execution, response)

    def _in_words(self, error: Exception, execution: Execution) -> Exception:
        """Return an error that says so where it is that of a client which was closed."""
        if isinstance(error, HTTPClientError):
            from resilient_ddb.calls.classification import is_of_closed_client  # noqa: PLC0415 - only where it failed

            if is_of_closed_client(error):
                execution.attempts -= 1
                return ClosedClientError(error=error.kwargs["error"])
        return error

    @property
    def _is_closed(self) -> bool:
        return getattr(self._endpoint.http_session, "_sessions", self) is None  # type: ignore[attr-defined]  # mixed in

    async def close(self) -> None:
        """Close the connections, also those to other regions. What is closed stays so: aiobotocore 3.0 fails there."""
        self._resilience.flush()
        await self._resilience.host.close_siblings()  # type: ignore[attr-defined]  # an AioHost
        if not self._is_closed:
            await super().close()  # type: ignore[misc]  # mixed in

    async def __aexit__(self, *exc_info: object) -> None:
        self._resilience.flush()
        try:
            await self._resilience.host.close_siblings()  # type: ignore[attr-defined]  # an AioHost
        finally:
            if not self._is_closed:
                await super().__aexit__(*exc_info)  # type: ignore[misc]  # mixed in


async def _make(call: PlainCall, frozen: Any) -> Response:
    """Make a call that goes past aiobotocore's inside. `frozen` are its credentials for the first attempt."""
    session: ProtocolSession = call.session
    credentials = call.credentials

    async def again() -> bytes:
        return call.prepared(await credentials.get_frozen_credentials()).message

    while True:
        call.begin_attempt()
        request = call.prepared(frozen or await credentials.get_frozen_credentials())
        frozen = None
        try:
            answer = await session.exchange(call.where, request.message, request, again)
            came_over_the_wire()
        except Exception as error:  # noqa: BLE001 - as aiobotocore: it is judged, and raised in the end
            delay = call.failed(error)
        else:
            headers = answer.by_name or {name.lower(): value for name, value in answer.headers}
            read, customized, waits = call.read(answer.status, headers, answer.body)
            if waits is not None:
                await waits
            delay = call.answered(read, customized, answer.body)
        if delay is None:
            break
        await asyncio.sleep(delay)
        call.go_on()
    waits = call.ended()
    if waits is not None:
        await waits
    return call.response()


async def _learn(witness: Witness) -> None:
    """Learn from a call that went the SDK's way. Its response is there: what fails here must not take it away."""
    with contextlib.suppress(Exception):
        witness.learn(await witness.credentials.get_frozen_credentials())


def _say_who_answered(error: Exception) -> None:
    """Make a TypeError helpful that aiobotocore raises of an answer which did not come over its connections."""
    if isinstance(error, TypeError) and error.__traceback__ is not None:
        *_, (last, _) = traceback.walk_tb(error.__traceback__)
        if last.f_globals.get("__name__") == "aiobotocore.endpoint":
            text = (
                f"{error}: the answer is sync, as moto's in-process mock gives it, and can't be awaited; run moto "
                "as a server (moto.server.ThreadedMotoServer) and give its address as endpoint_url"
            )
            error.args = (text,)


async def _within_deadline(execution: Execution, call: Awaitable[Response]) -> Response:
    """Await a call, and cut it off at the deadline."""
    remaining = execution.remaining()
    if remaining is None:
        return await call
    try:
        async with asyncio.timeout(remaining) as limit:
            return await call
    except TimeoutError as error:
        if limit.expired() and not isinstance(error, DeadlineExceededError):
            raise execution.cut_off() from None
        raise


class AioHost(ClientHost):
    """An async client, as its core sees it."""

    client_class = ResilientAioClient
    run = staticmethod(run_async)
    signer_class = part("aiobotocore.signers", "AioRequestSigner")
    resolver_class = part("aiobotocore.regions", "AioEndpointRulesetResolver")
    values_class = AioValueHandlers
    counted = staticmethod(connections.counted)
    new_refresh_lock = RefreshLock

    def new_plain_calls(self) -> PlainCalls:
        """Return what takes the client's plain calls past aiobotocore's inside."""
        from resilient_ddb.hooks.plain_calls import PlainCalls  # noqa: PLC0415 - loaded once a client makes more calls
        from resilient_ddb.hooks.sdk_parts import BOTOCORE, SdkParts  # noqa: PLC0415 - as above

        return PlainCalls(self, SdkParts(BOTOCORE, _AIOBOTOCORE), ResilientAioClient, ProtocolSession)

    async def lead(self, key: Any, mark: object) -> None:
        """Return at once if no other task asks for `key`; else when it has ended, or the deadline has passed."""
        here = asyncio.current_task()
        _, ended, asking = self.flights.setdefault(key, (mark, asyncio.Event(), here))
        if asking is not here:
            deadline = current_deadline()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if deadline is None else deadline.remaining()):
                    await ended.wait()

    def take_connections(self, http_session: Any) -> None:
        """Replace the client's connections: each gives only answers to what was sent."""
        connections.take(http_session, self.client)

    def forget_connections(self) -> None:
        """Leave the connections that are open to the parent process, which has them too."""
        connections.leave_to_parent(self.client)
        connections.PARENTS.append(self.siblings)  # tasks of the parent's event loop
        self.siblings = {}

    async def elsewhere(
        self, core: Core, operation: str, params: Mapping[str, Any], region: str, endpoint_url: str | None
    ) -> Response:
        """Make a call in another region, by the policy of `core`, and mark its answer."""
        key = (region, endpoint_url)
        if key not in self.siblings:  # kept as a task, so that calls that come together open one client
            opening = self._make_sibling(region, endpoint_url)
            # Its context is nobody's: the deadline and the trace of the call that came first are not the others'.
            task = self.siblings[key] = asyncio.get_running_loop().create_task(opening, context=Context())
            task.add_done_callback(partial(self._forget_failed, key))
        sibling = await asyncio.shield(self.siblings[key])
        asked = by_policy_of(core, sibling, operation, params)
        response: Response = await asked._make_api_call(operation, dict(params))  # noqa: SLF001 - by name
        return mark(response, replica=region)

    async def _make_sibling(self, region: str, endpoint_url: str | None) -> Any:
        session = get_session()
        session.register_component("credential_provider", _Given(self.credentials()))
        context = session.create_client("dynamodb", **self.sibling_arguments(region, endpoint_url))
        sibling = await context.__aenter__()
        policy = self.client._resilience.policy_elsewhere()  # noqa: SLF001 - the attribute is this library's own
        return self.install(sibling, policy, native=self.native)

    def _forget_failed(self, key: Any, task: asyncio.Task[Any]) -> None:
        """Forget an opening that failed, also if all who waited for it have left: the next caller tries anew."""
        if (task.cancelled() or task.exception() is not None) and self.siblings.get(key) is task:
            del self.siblings[key]

    def open_siblings(self) -> list[Any]:
        """Return the clients that were opened for other regions."""
        opened = (task for task in self.siblings.values() if task.done() and not task.cancelled())
        return [task.result() for task in opened if task.exception() is None]

    async def close_siblings(self) -> None:
        """Close the clients that were opened for other regions."""
        opening, self.siblings = self.siblings, {}
        for task in opening.values():
            with contextlib.suppress(Exception):  # one that could not be opened has nothing to close
                await (await task).__aexit__(None, None, None)


class _Given:
    """Stands in for aiobotocore's chain of credential providers."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    async def load_credentials(self) -> Any:
        """Return the credentials that were given."""
        return self._credentials


def is_aio_client(target: Any) -> bool:
    """Return whether something is an aiobotocore client."""
    return isinstance(target, AioBaseClient)


def is_aio_session(target: Any) -> bool:
    """Return whether something is an aiobotocore session."""
    return isinstance(target, AioSession)
