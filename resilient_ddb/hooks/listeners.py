"""Who else sees a response between its arrival and the moment when boto3 makes its values native.

botocore's emitter has no public way to ask. Its handlers are looked up where it keeps them; where that is not as
expected, somebody is taken to listen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from resilient_ddb.codec.originals import home_of, is_same

Handler = Callable[..., Any]

_SDK = ("botocore.", "aiobotocore.")
"""The SDK's own handlers, such as that of its retry quota, look at no values."""


class Found(NamedTuple):
    """What there is on the way of the responses to one operation."""

    see_text: bool
    """Whether a handler of another's gets to see, or change, the text of a response after it was read."""
    see_values: bool
    """Whether a handler of another's gets to see a response before boto3 would make its values native."""
    make_native: bool
    """Whether values are made native at all."""


class Listeners:
    """Looks for handlers on one client's events."""

    def __init__(self, read: Handler, values_out: Handler, own: Iterable[Handler]) -> None:
        """Know this library's own handlers: the one that reads, the one that makes values native, and others."""
        self._read = read
        self._values_out = values_out
        self._own = tuple(own)
        self._notes: tuple[Any, dict[str, Found]] = (None, {})

    def find(self, events: Any, operation: str) -> Found:
        """Return who sees the responses to `operation`."""
        try:
            emitter = events._emitter  # noqa: SLF001 - see above
            # The emitter begins a new cache whenever a handler comes or goes. What is found goes into the notes of the
            # cache that was there before the look: handlers that come meanwhile begin new ones.
            cache = emitter._lookup_cache  # noqa: SLF001 - as above
            known, notes = self._notes
            if known is not cache:
                notes = {}
                self._notes = (cache, notes)
            found = notes.get(operation)
            if found is None:
                found = notes[operation] = self._look(emitter._handlers.prefix_search, operation)  # noqa: SLF001 - as above
        except Exception:  # noqa: BLE001 - the emitter of another botocore, or of another's making
            return _SOMEBODY
        return found

    def _look(self, handlers: Callable[[str], Iterable[Handler]], operation: str) -> Found:
        def of(event: str) -> list[Handler]:
            return list(handlers(f"{event}.dynamodb.{operation}"))

        after_call = of("after-call")
        own = [place for place, handler in enumerate(after_call) if is_same(handler, self._values_out)]
        before_native = after_call[: own[0]] if own else []
        in_between = (*of("response-received"), *of("needs-retry"), *before_native)
        return Found(
            see_text=not any(is_same(last, self._read) for last in of("before-parse")[-1:]),
            see_values=not all(map(self._is_known, in_between)),
            make_native=bool(own),
        )

    def _is_known(self, handler: Handler) -> bool:
        return any(is_same(handler, own) for own in self._own) or home_of(handler).startswith(_SDK)


_SOMEBODY = Found(see_text=True, see_values=True, make_native=False)
