"""Endpoints that were resolved before.

botocore works out for each call anew where it goes. That depends on the client, on the table's name or ARN, and on the
account of the credentials: what came of these once is remembered. Takes out 25 us of a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.context import get_context

Key = tuple[Any, ...]
"""All that an endpoint of one client depends on."""

_ROOM = 1000
_CUSTOMIZE = "before-endpoint-resolution.dynamodb"


class EndpointMemory:
    """The endpoints of one client."""

    def __init__(self, resolver: Any, events: Any) -> None:
        """Remember what `resolver` resolves, unless handlers on `events` have a say in it."""
        self._emitter = events._emitter  # noqa: SLF001 - there is no public way to see whether there are handlers
        builtins = resolver._builtins.values()  # noqa: SLF001 - where the account of the credentials comes from
        self.accounts: list[Callable[[], Any]] = [value for value in builtins if callable(value)]
        self._known: dict[Key, tuple[Any, frozenset[str]]] = {}

    def key(self, operation_model: Any, params: dict[str, Any], accounts: tuple[Any, ...]) -> Key | None:
        """Give what an endpoint depends on; None where that is more than can be told."""
        if operation_model.operation_context_parameters or self._emitter._handlers.prefix_search(_CUSTOMIZE):  # noqa: SLF001 - as above
            return None
        members = operation_model.context_parameters
        key = (operation_model.name, *accounts, *(params.get(member.member_name) for member in members))
        return key if all(type(part) is str or part is None for part in key) else None

    def recall(self, key: Key | None) -> Any:
        """Give a known endpoint, and note its features for the User-Agent, as if it were resolved now; or None."""
        found = None if key is None else self._known.get(key)
        if found is None:
            return None
        endpoint, features = found
        context = get_context()
        if context is not None:
            context.features |= features
        return endpoint

    def keep(self, key: Key | None, endpoint: Any, features: set[str]) -> None:
        """Remember an endpoint, and the features that resolving it made use of."""
        if key is not None:
            if len(self._known) >= _ROOM:
                self._known.clear()
            self._known[key] = endpoint, frozenset(features)


@contextmanager
def features_in_use() -> Iterator[set[str]]:
    """Give the set to which the features are added that are made use of meanwhile."""
    context = get_context()
    if context is None:
        yield set()
        return
    before, context.features = context.features, set()
    try:
        yield context.features
    finally:
        context.features |= before
