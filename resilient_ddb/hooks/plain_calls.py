"""Calls that go past the SDK's inside: from their parameters to the transport, and from its answer to the response.

Between `_make_api_call` and the HTTP session botocore does the same for each call of an operation: contexts, events
without listeners, an endpoint, a request in three forms. A plan has what comes of it. Parameters, answers and errors
are handled by the very functions that handle them on the SDK's way, and each attempt is judged by the `Execution`.
Nothing here waits: the two rims send, and sleep.

Whatever is out of the ordinary makes a call go the SDK's way: that is decided before anything is sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from types import MethodType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import botocore.endpoint
import botocore.handlers
from botocore.awsrequest import AWSPreparedRequest, HeadersDict
from botocore.credentials import Credentials
from botocore.handlers import add_recursion_detection_header
from botocore.hooks import EventAliaser

from resilient_ddb.calls.integrity import botocores_parser
from resilient_ddb.codec.originals import home_of, is_same, part
from resilient_ddb.dynamodb import expressions
from resilient_ddb.http.fast_path import Counters

from . import handlers as hooks
from . import values
from .plans import Keys, Plan, new_invocation, timestamp_now
from .sdk_parts import Pieces, SdkParts, somebody_watches
from .shortcuts import Serializer
from .signing import SigningMemory

if TYPE_CHECKING:
    from resilient_ddb.calls.execution import Execution

OPERATIONS = frozenset(
    {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem"}
)
_TABLE, _TABLES = "TableName", "RequestItems"
_FIRST_ERROR = 300
_OK = 200
_READ = b"{}"
_MOST_PLANS = 100

# The SDK's own handlers of which each is done here as well, or has nothing to do for these operations.
_OF_BOTOCORE = (
    *("generate_idempotent_uuid", "_handle_request_validation_mode_member", "add_recursion_detection_header"),
    *("inject_api_version_header_if_needed", "add_retry_headers", "set_operation_specific_signer"),
    "_set_auth_scheme_preference_signer",
)
_REFUSES_WITHOUT_DISCOVERY = part("botocore.discovery", "block_endpoint_discovery_required_operations")
"""It refuses operations whose endpoint has to be asked for: with those nothing is learnt, as no call succeeds."""
_NAMES_POWERTOOLS = (
    "aws_lambda_powertools.shared.user_agent",
    "_create_feature_function.<locals>.add_powertools_feature",
)
"""The handler that Powertools for AWS Lambda puts into each session. It adds the same to each `User-Agent`."""
_QUOTA_HOMES = ("botocore.retries.standard", "aiobotocore.retries.standard")
"""Of the retry quota: it is given back after each call, and is never taken while this library's retries are there."""
_HOMES = {
    f"{sdk}.{module}"
    for sdk in ("botocore", "aiobotocore")
    for module in ("endpoint", "regions", "parsers", "signers", "useragent", "hooks")
}
"""The modules that a client's parts are of."""
_EVENTS = (
    *("provide-client-params", "before-parameter-build", "before-endpoint-resolution", "before-call"),
    *("request-created", "choose-signer", "before-sign", "before-send", "before-parse", "response-received"),
    *("needs-retry", "after-call", "after-call-error"),
)

Key = tuple[str, str | None]
"""An operation, and its table if that is given by its ARN."""


class _Notes:
    """What was found of a client, as long as nobody comes to its events, or leaves."""

    def __init__(self, emitter_cache: Any) -> None:
        self.emitter_cache = emitter_cache
        self.pieces: Pieces | None = None
        self.plans: dict[Key, Plan | str] = {}
        """The plans, or why there is none."""


class PlainCalls:
    """The plain calls of one client."""

    def __init__(self, host: Any, parts: SdkParts, mixin: type, session_class: Any) -> None:
        """Serve a host's client, which is of class `mixin` and sends by a session of `session_class`."""
        self.host = host
        self.parts = parts
        self.mixin = mixin
        self.session_class = session_class
        self.memory = SigningMemory()
        self._notes = _Notes(None)
        self._keys: tuple[Any, Keys | None] = (None, None)

    def keys_of(self, frozen: Any) -> Keys | None:
        """Return credentials as they are put into requests; None if they can't be."""
        known, keys = self._keys
        if frozen is not known and (known is None or frozen != known):
            try:
                keys = Keys(frozen)
            except (ValueError, AttributeError):
                keys = None
            self._keys = frozen, keys
        return keys

    def begin(self, client: Any, execution: Execution, params: Any) -> PlainCall | None:
        """Return a call that is ready to be signed; None for one that goes the SDK's way.

        `client` is the host's, or a view of it.
        """
        operation = execution.operation
        if operation not in OPERATIONS:
            return None
        counters: Counters = self.host.transport
        if counters.absent is not None:
            return None
        try:
            found = self._begin(client, execution, params, operation)
        except Exception:  # noqa: BLE001 - whatever is unusual, botocore, or boto3, says what becomes of it
            found = "the parameters"
        if isinstance(found, PlainCall):
            return found
        counters.decline_call(found)
        return None

    def _begin(  # noqa: C901, PLR0911, PLR0912 - a branch for each reason
        self, client: Any, execution: Execution, params: Any, operation: str
    ) -> PlainCall | str:
        key = _key(operation, params)
        if key is None:
            return "the tables' names"
        if not self.parts.stands():
            return "somebody's own parts within botocore"
        watched = somebody_watches()
        if watched is not None:
            return watched
        emitter = client.meta.events._emitter  # noqa: SLF001 - there is no public way to ask who listens
        notes = self._notes
        if notes.emitter_cache is not emitter._lookup_cache:  # noqa: SLF001 - a new one when a handler comes or goes
            notes = self._notes = _Notes(emitter._lookup_cache)  # noqa: SLF001 - as above
        plan = notes.plans.get(key)
        credentials = client._request_signer._credentials  # noqa: SLF001 - there is no public way
        if not _are_settled(credentials):
            return "credentials that must be fetched"
        if plan is None:
            execution.witness = Witness(self, client, notes, key, credentials)
            return "the first call"
        if isinstance(plan, str):
            return plan
        if notes.pieces is None or not notes.pieces.stand(client):
            return "somebody's own parts in the client"
        session = client._endpoint.http_session  # noqa: SLF001 - there is no public way
        reason: str | None = session.reason_against(plan.where)
        if reason is not None:
            return reason
        if plan.method != credentials.method:
            return "other credentials"
        host = self.host
        model = plan.model
        if host.native:
            if not expressions.PLACES.isdisjoint(params):
                params = {**params}
                expressions.inject_condition_expressions(params, model)
            body = host.values.codec.write_native(params, model)
        else:
            body = host.values.codec.write(params, model)
        if body is None:
            return "the parameters"
        return PlainCall(self, client, execution, plan, body, credentials, session)


class Witness:
    """Looks at the first request of a call that goes the SDK's way, and makes a plan of it."""

    def __init__(self, calls: PlainCalls, client: Any, notes: _Notes, key: Key, credentials: Any) -> None:
        self._calls = calls
        self._client = client
        self._notes = notes
        self._key = key
        self.credentials = credentials
        self._rendered: Any = None
        self._is_seen = False
        self._url = ""

    def see(self, request: Any) -> None:
        """Record the first request, as it is sent."""
        if self._is_seen:
            return
        self._is_seen = True
        session: Any = self._client._endpoint.http_session  # noqa: SLF001 - there is no public way
        if isinstance(session, self._calls.session_class):
            self._url = request.url
            self._rendered = session.rendered(request)

    def learn(self, frozen: Any) -> None:
        """Keep a plan, or why there is none. `frozen` are the credentials that requests are signed with now."""
        if not self._is_seen:
            return
        plans = self._notes.plans
        if len(plans) >= _MOST_PLANS:
            plans.clear()
        try:
            plans[self._key] = self._plan(frozen)
        except Exception:  # noqa: BLE001 - the call has succeeded: what can't be learnt from it is done without
            plans[self._key] = "another kind of request"

    def _plan(self, frozen: Any) -> Plan | str:
        calls, client, notes = self._calls, self._client, self._notes
        emitter = client.meta.events._emitter  # noqa: SLF001 - see above
        operation = self._key[0]
        if not calls.parts.stands() or emitter._lookup_cache is not notes.emitter_cache:  # noqa: SLF001 - as above
            return "somebody's own parts within botocore"
        if not _is_usual(client) or not _listen_only(client, calls.host, operation):
            return "handlers of others'"
        pieces = notes.pieces = notes.pieces or _pieces(client, calls.mixin)
        if pieces is None or not pieces.stand(client):
            return "somebody's own parts in the client"
        if self._rendered is None:
            return "no plain request"
        keys = calls.keys_of(frozen)
        if keys is None:
            return "other credentials"
        where, message = self._rendered
        memory = calls.memory
        model = client.meta.service_model.operation_model(operation)
        plan = Plan(self._url, where, message, model, _account(frozen), self.credentials.method, memory)
        plan.check(keys)
        return plan


class PlainCall:
    """One call that goes past the SDK's inside."""

    def __init__(
        self,
        calls: PlainCalls,
        client: Any,
        execution: Execution,
        plan: Plan,
        body: bytes,
        credentials: Any,
        session: Any,
    ) -> None:
        self._calls = calls
        self._host = calls.host
        self._client = client
        self._execution = execution
        self._model = plan.model
        self._plan = plan
        self.session = session
        self.credentials = credentials
        self.where = plan.where
        self._attempt = 1
        self._invocation = ""
        self._request: dict[str, Any] = {"body": body}
        self._context: dict[str, Any] = {
            hooks.KEY: execution,
            "client_config": client.meta.config,
            "retries": _FIRST,
        }
        self._status: int | None = None
        self._parsed: dict[str, Any] | None = None
        self._error: Exception | None = None

    def takes(self, frozen: Any) -> bool:
        """Return whether the plan is one for these credentials."""
        fits = self._calls.keys_of(frozen) is not None and self._plan.account == _account(frozen)
        counters: Counters = self._host.transport
        if fits:
            counters.calls += 1
        else:
            counters.decline_call("other credentials")
        return fits

    # An attempt.
    def begin_attempt(self) -> None:
        """Admit the attempt, as the SDK's event does.

        Raises what the call fails with, if a further attempt is refused.
        """
        hooks.begin_attempt(self._context)

    def prepared(self, frozen: Any) -> PlainRequest:
        """Return the request of the attempt, signed.

        Raises:
            ValueError: the credentials can't stand in a request.
        """
        self._execution.sends()
        keys = self._calls.keys_of(frozen)
        if keys is None:
            raise ValueError("the credentials have characters that can't stand in a request")
        if not self._invocation:
            self._invocation = new_invocation()
        body: bytes = self._request["body"]
        trace: dict[str, str] = {}
        if _may_be_traced():
            add_recursion_detection_header({"headers": trace})
        message = self._plan.message(
            body,
            keys,
            timestamp=timestamp_now(),
            invocation=self._invocation,
            attempt="attempt=1" if self._attempt == 1 else self._attempt_header(),
            trace=trace.get("X-Amzn-Trace-Id"),
        )
        return PlainRequest(self._plan.url, body, message, self._context)

    def _attempt_header(self) -> str:
        made = SimpleNamespace(context=self._context, headers={})
        botocore.handlers.add_retry_headers(made)
        header: str = made.headers["amz-sdk-request"]
        return header

    def failed(self, error: Exception) -> float | None:
        """Judge an attempt that got no answer: the seconds until the next one, None if there is none."""
        self._status = self._parsed = None
        self._error = error
        try:
            return self._settled()
        finally:
            del error

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> tuple[dict[str, Any], dict[str, Any], Any]:
        """Return an answer as botocore's events have it, what is read of it, and what must be awaited, or None."""
        response = {
            "headers": headers,
            "status_code": status,
            "body": body,
            "context": {"operation_name": self._model.name},
        }
        hooks.before_parse(response)
        customized: dict[str, Any] = {}
        waits = self._host.values.read(self._model, response, customized)
        return response, customized, waits

    def answered(self, response: dict[str, Any], customized: dict[str, Any], body: bytes) -> float | None:
        """Judge an attempt that was answered: the seconds until the next one, None if there is none."""
        status = response["status_code"]
        if status == _OK and response["body"] == _READ:
            headers = response["headers"]
            metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
            if "x-amzn-requestid" in headers:
                metadata = {"RequestId": headers["x-amzn-requestid"], **metadata}
            parsed = customized
            parsed["ResponseMetadata"] = metadata
        else:
            parsed = self._parsed_by_botocore(response, customized)
        response["body"] = body
        self._status, self._parsed, self._error = status, parsed, None
        hooks.response_received(response, parsed, self._context)
        return self._settled()

    def _parsed_by_botocore(self, response: dict[str, Any], customized: dict[str, Any]) -> dict[str, Any]:
        model = self._model
        parser = botocores_parser(model.service_model.resolved_protocol)
        parsed: dict[str, Any] = parser.parse(response, model.output_shape)
        parsed.update(customized)
        if response["status_code"] >= _FIRST_ERROR:
            botocore.endpoint.Endpoint._add_modeled_error_fields(None, response, parsed, model, parser)  # noqa: SLF001 - botocore's own way
        return parsed

    def _settled(self) -> float | None:
        return self._execution.settle(self._status, self._parsed, self._error, self._request)

    def go_on(self) -> None:
        """Count a further attempt, after the seconds have passed."""
        self._attempt += 1
        self._error = None  # the call may end with it, and it knows frames that know this: they would keep each other
        context, parsed = self._context, self._parsed
        if context["retries"] is _FIRST:
            context["retries"] = {"attempt": 1, "invocation-id": self._invocation}
        answer = None
        if parsed is not None:
            answer = (SimpleNamespace(headers=HeadersDict(parsed["ResponseMetadata"]["HTTPHeaders"])), parsed)
        self._client._endpoint._update_retries_context(context, self._attempt, answer)  # noqa: SLF001 - botocore's own way

    # The end.
    def ended(self) -> Any:
        """End the attempts: return what must be awaited before the response is taken, if anything must.

        Raises what the last attempt raised.
        """
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # it knows this frame: they would keep each other
        parsed = self._parsed
        if parsed is None:
            return None
        if "ResponseMetadata" in parsed:
            parsed["ResponseMetadata"]["RetryAttempts"] = self._attempt - 1
        if self._host.native:
            return self._host.values.values_out(parsed, self._model, self._context)
        return None

    def response(self) -> dict[str, Any]:
        """Return the response.

        Raises:
            ClientError: it is an error.
        """
        parsed: dict[str, Any] = self._parsed or {}
        if self._status is not None and self._status >= _FIRST_ERROR:
            raise self._host.make_error(parsed, self._model.name)
        return parsed


_FIRST: Mapping[str, Any] = {"attempt": 1}


class PlainRequest(AWSPreparedRequest):  # type: ignore[misc]  # botocore has no types of its own
    """A request as the SDK's errors, and the transports, know it; its headers are there when somebody looks."""

    def __init__(self, url: str, body: bytes, message: bytes, context: dict[str, Any]) -> None:
        self.method = "POST"
        self.url = url
        self.body = body
        self.stream_output = False
        self.context = context
        self.message = message

    @cached_property
    def headers(self) -> HeadersDict:
        """Return the headers, without those that a transport adds."""
        head, _, _ = self.message.partition(b"\r\n\r\n")
        lines = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
        pairs = [(name.decode(), value) for name, _, value in lines]
        return HeadersDict({name: value for name, value in pairs if name.lower() not in ("host", "accept-encoding")})


def _may_be_traced() -> bool:
    """Return whether the environment may name a trace, as AWS Lambda's does.

    It is asked where Python holds it: `os.environ` takes twenty times as long to say that it has no such name.
    """
    held = getattr(os.environ, "_data", None)
    return type(held) is not dict or _TRACE in held


_TRACE: Any = "_X_AMZN_TRACE_ID" if os.name == "nt" else b"_X_AMZN_TRACE_ID"
"""As Python holds it, also if a test has put something in the place of `os.environ` as this is loaded."""


def _key(operation: str, params: Any) -> Key | None:
    """Return what a plan is kept by; None if the endpoint may depend on more.

    A table's name has no say in where a request goes, but its ARN has: the account is in it.
    """
    if type(params) is not dict:
        return None
    table = params.get(_TABLE)
    if type(table) is str:
        return operation, table if ":" in table else None
    tables = params.get(_TABLES)
    if type(tables) is not dict or table is not None:
        return None
    for name in tables:
        if type(name) is not str or ":" in name:
            return None
    return operation, None


def _are_settled(credentials: Any) -> bool:
    """Return whether credentials are there, and need not be fetched anew: while they are, more is sent of them."""
    kind = type(credentials)
    if kind is Credentials:
        return True
    if kind.__module__ not in ("botocore.credentials", "aiobotocore.credentials"):
        return False
    needs: Callable[[], bool] | None = getattr(credentials, "refresh_needed", None)
    return needs is None or not needs()


def _account(frozen: Any) -> Any:
    return getattr(frozen, "account_id", None)


def _pieces(client: Any, mixin: type) -> Pieces | None:
    found = Pieces(client, mixin)
    if found.are_signed_as_usual and all(
        home_of(function).startswith("resilient_ddb.hooks.") for function in found.own_functions
    ):
        return found
    return None


def _is_usual(client: Any) -> bool:
    """Return whether a client's parts are the SDK's own, apart from those that this library put in."""
    endpoint, resolver = client._endpoint, client._ruleset_resolver  # noqa: SLF001 - there is no public way to any of this
    factory = endpoint._response_parser_factory  # noqa: SLF001 - as above
    signer, agent, emitter = client._request_signer, client._user_agent_creator, client.meta.events._emitter  # noqa: SLF001 - as above
    parts = (endpoint, resolver, factory, signer, agent, emitter)
    sources = {name: source for name, source in resolver._builtins.items() if callable(source)}  # noqa: SLF001 - as above
    return (
        type(client._serializer) is Serializer  # noqa: SLF001 - as above
        and type(client.meta.events) is EventAliaser
        and all(type(each).__module__ in _HOMES for each in parts)
        and not factory._defaults  # noqa: SLF001 - as above
        and sources.keys() <= {"AWS::Auth::AccountId"}
    )


def _listen_only(client: Any, host: Any, operation: str) -> bool:
    """Return whether all handlers on a call's events are known, and those of this library are all there."""
    search = client.meta.events._emitter._handlers.prefix_search  # noqa: SLF001 - there is no public way
    own = _own_handlers(host)
    for event in _EVENTS:
        rest: list[Any] = list(own.get(event, ()))
        for handler in search(f"{event}.dynamodb.{operation}"):
            if rest and is_same(handler, rest[0]):
                del rest[0]
            elif not (_is_of_sdk(handler, client) or _names_powertools(handler, event)):
                return False
        if rest:
            return False
    return True


def _own_handlers(host: Any) -> dict[str, tuple[Any, ...]]:
    """Return this library's handlers by event, in their order."""
    found = host.values
    own = {
        "provide-client-params": (hooks.attach,),
        "request-created": (hooks.request_created,),
        # The latter is the SDK's, and to be there: the header is not sent always.
        "before-call": (hooks.before_call, add_recursion_detection_header),
        "before-send": (hooks.before_send,),
        "before-parse": (hooks.before_parse, found.read),
        "response-received": (hooks.response_received,),
        "needs-retry": (hooks.needs_retry,),
    }
    if host.native:
        own["provide-client-params"] += (values.copy_params,)
        own["before-parameter-build"] = (expressions.inject_condition_expressions, found.values_in)
        own["after-call"] = (found.values_out,)
    return own


def _is_of_sdk(handler: Any, client: Any) -> bool:
    if type(handler) is MethodType:
        signer, agent = client._request_signer, client._user_agent_creator  # noqa: SLF001 - there is no public way
        return (
            is_same(handler, signer.handler)
            or is_same(handler, getattr(agent, "rebuild_and_replace_user_agent_handler", None))
            or (home_of(handler) in _QUOTA_HOMES and handler.__func__.__name__ == "release_retry_quota")
        )
    if handler is _REFUSES_WITHOUT_DISCOVERY:  # of each client that is given no endpoint's URL: it asks the model only
        return home_of(handler) == "botocore.discovery"
    return any(handler is getattr(botocore.handlers, name, None) for name in _OF_BOTOCORE) and (
        home_of(handler) == "botocore.handlers"
    )


def _names_powertools(handler: Any, event: str) -> bool:
    """Return whether all that a handler does is in the `User-Agent` that a plan has learnt."""
    found = (home_of(handler), getattr(handler, "__qualname__", None))
    return event == "request-created" and found == _NAMES_POWERTOOLS
