"""Who else sees a response between its arrival and the moment when boto3 makes its values native.

botocore's emitter has no public way to ask. Its handlers are looked up where it keeps them; where that is not as
expected, somebody is taken to listen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Any

Handler = Callable[..., Any]

_SDK = ("botocore.", "aiobotocore.")
"""The SDK's own handlers, such as that of its retry quota, look at no values."""
_NOBODY: Any = object()


class Listeners:
    """Looks for handlers of others on one client's events."""

    def __init__(self, read: Handler, values_out: Handler, own: Iterable[Handler]) -> None:
        """Know this library's own handlers: the one that reads, the one that makes values native, and others."""
        self._read = read
        self._values_out = values_out
        self._own = frozenset(own)
        self._looked_at = _NOBODY
        self._found: dict[str, tuple[bool, bool]] = {}

    def see_text(self, events: Any, operation: str) -> bool:
        """Tell whether a handler of another's gets to see, or change, the text of a response after it was read."""
        return self._look(events, operation)[0]

    def see_values(self, events: Any, operation: str) -> bool:
        """Tell whether a handler of another's gets to see a response before boto3 would make its values native."""
        return self._look(events, operation)[1]

    def _look(self, events: Any, operation: str) -> tuple[bool, bool]:
        try:
            emitter = events._emitter  # noqa: SLF001 - see above
            # The emitter begins a new cache whenever a handler comes or goes.
            cache = emitter._lookup_cache  # noqa: SLF001 - as above
            if cache is not self._looked_at:
                self._looked_at, self._found = cache, {}
            found = self._found.get(operation)
            if found is None:
                found = self._found[operation] = self._ask(emitter._handlers.prefix_search, operation)  # noqa: SLF001 - as above
        except Exception:  # noqa: BLE001 - the emitter of another botocore, or of another's making
            return True, True
        return found

    def _ask(self, handlers: Callable[[str], Iterable[Handler]], operation: str) -> tuple[bool, bool]:
        def of(event: str) -> list[Handler]:
            return list(handlers(f"{event}.dynamodb.{operation}"))

        before_native = takewhile(lambda handler: handler is not self._values_out, of("after-call"))
        in_between = (*of("response-received"), *of("needs-retry"), *before_native)
        return of("before-parse")[-1:] != [self._read], not all(map(self._is_known, in_between))

    def _is_known(self, handler: Handler) -> bool:
        return handler in self._own or str(getattr(handler, "__module__", "")).startswith(_SDK)
