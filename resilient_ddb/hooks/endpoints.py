"""Endpoints that were resolved before.

botocore works out for each call anew where it goes. That depends on the client, on the table's name or ARN, and on the
account of the credentials: what came of these once is remembered. Gains 2% of a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from resilient_ddb.calls.flows import Flow
from resilient_ddb.codec.originals import part

_get_context = part("botocore.context", "get_context")
_start_as_current_context = part("botocore.context", "start_as_current_context")

Key = tuple[Any, ...]
"""All that an endpoint of one client depends on."""

_ROOM = 1000
_CUSTOMIZE = "before-endpoint-resolution.dynamodb"


class EndpointMemory:
    """The endpoints of one client."""

    def __init__(self, resolver: Any, events: Any) -> None:
        """Remember what `resolver` resolves, unless handlers on `events` have a say in it."""
        self._events = events
        builtins: Mapping[str, Any] | None = getattr(resolver, "_builtins", None)
        self._account_sources: list[Callable[[], Any]] = [
            value for value in (builtins or {}).values() if callable(value)
        ]
        self._can_tell = None not in (builtins, _get_context, _start_as_current_context)
        self._known: dict[Key, tuple[Any, frozenset[str]]] = {}

    def remembering(self, construct: Callable[..., Any], run: Callable[[Flow[Any]], Any]) -> Callable[..., Any]:
        """Return a function that resolves an endpoint by `construct`, unless it is known."""

        def construct_endpoint(operation_model: Any, call_args: Any, request_context: Any) -> Any:
            step = partial(construct, operation_model, call_args, request_context)
            return run(self._resolve(step, operation_model, call_args))

        return construct_endpoint

    def _resolve(self, construct: Callable[[], Any], operation_model: Any, params: Any) -> Flow[Any]:
        key = self.key(operation_model, params, (yield from self._accounts()))
        if key is None:
            return (yield construct)
        endpoint = self.recall(key)
        if endpoint is None:
            with _features_apart() as features:
                endpoint = yield construct
            if key == self.key(operation_model, params, (yield from self._accounts())):  # not changed meanwhile
                self.keep(key, endpoint, features)
        return endpoint

    def _accounts(self) -> Flow[tuple[Any, ...]]:
        accounts = []
        for account in self._account_sources:
            accounts.append((yield account))  # noqa: PERF401 - a comprehension can't yield
        return tuple(accounts)

    def key(self, operation_model: Any, params: Mapping[str, Any] | None, accounts: tuple[Any, ...]) -> Key | None:
        """Return what an endpoint depends on; None if that is more than can be told."""
        if not self._can_tell:
            return None
        try:  # there is no public way to see whether there are handlers
            handlers = self._events._emitter._handlers.prefix_search(_CUSTOMIZE)  # noqa: SLF001 - as said
        except Exception:  # noqa: BLE001 - the emitter of another botocore, or of another's making
            return None
        if handlers or operation_model.operation_context_parameters:
            return None
        get = (params or {}).get
        key = (
            operation_model.name,
            *accounts,
            *(get(member.member_name) for member in operation_model.context_parameters),
        )
        return key if all(type(part) is str or part is None for part in key) else None

    def recall(self, key: Key) -> Any:
        """Return a known endpoint, and note its features for the User-Agent, as if it were resolved now; or None."""
        found = self._known.get(key)
        if found is None:
            return None
        endpoint, features = found
        context = _get_context()
        if context is not None:
            context.features |= features
        return endpoint

    def keep(self, key: Key, endpoint: Any, features: set[str]) -> None:
        """Remember an endpoint, and the features that resolving it made use of."""
        if len(self._known) >= _ROOM:
            self._known.clear()
        self._known[key] = endpoint, frozenset(features)


@contextmanager
def _features_apart() -> Iterator[set[str]]:
    """Collect the features that are used meanwhile in a set of their own, and yield it."""
    context = _get_context()
    if context is None:  # a URL is presigned outside of any call
        with _start_as_current_context():
            yield _get_context().features
        return
    before, context.features = context.features, set()
    try:
        yield context.features
    finally:
        context.features = before | context.features
