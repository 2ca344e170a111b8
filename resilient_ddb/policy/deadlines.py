"""Deadlines: a time after which nothing below sleeps, and no attempt begins."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar, Token
from functools import wraps
from typing import Any, Protocol, TypeVar, cast

from .arguments import names_checked
from .checks import check_callable, check_number, is_async
from .clock import SYSTEM_CLOCK, Clock
from .contexts import holding

F = TypeVar("F", bound=Callable[..., Any])


class Block:
    """A `with` block, or a call, that has a deadline."""

    __slots__ = ("has_ended",)

    def __init__(self) -> None:
        self.has_ended = False


class Deadline:
    """A moment on a monotonic clock. It never changes."""

    __slots__ = ("at", "block", "call_timeout", "clock", "stops")

    def __init__(
        self,
        at: float,
        clock: Clock,
        call_timeout: float | None = None,
        stops: tuple[Stop, ...] = (),
        block: Block | None = None,
    ) -> None:
        """Pass at a moment on a clock."""
        self.at = at
        self.clock = clock
        self.call_timeout = call_timeout
        """What the policy says, if this is the deadline of one call that `Timeouts(call=...)` sets."""
        self.stops = stops
        """What makes it come earlier."""
        self.block = block or Block()
        """What it is the deadline of; those that are made of this one are of the same."""

    def stopped_by(self, *stops: Stop) -> Deadline:
        """Return this deadline with other stops."""
        return Deadline(self.at, self.clock, self.call_timeout, stops, self.block)

    @property
    def has_ended(self) -> bool:
        """Return whether its block has ended: what still goes by it was begun there, or has the context of then."""
        return self.block.has_ended

    def remaining(self) -> float:
        """Return the seconds left; negative once it has passed, and none once it was stopped."""
        if self.stops and any(stop.is_set for stop in self.stops):
            return 0.0
        return self.at - self.clock.monotonic()

    def words_of_end(self) -> str:
        """Return what to say if it is met after its block has ended; nothing before."""
        return _ENDED if self.has_ended else ""

    def held(self) -> AbstractContextManager[None]:
        """Hold what is within to this deadline."""
        return holding(_current, self)


class Stop:
    """Ends calls under way at their next attempt, wait or deadline check, as if a deadline had come."""

    is_set = False

    def watched(self) -> AbstractContextManager[None]:
        """Hold the calls within to this, beside the deadline that there is."""
        outer = _current.get() or _far_off()
        return outer.stopped_by(*outer.stops, self).held()


_ENDED = (
    "the deadline is that of a block that has ended: a task that was begun there keeps it, and an asyncio.Runner "
    "keeps the context of its first run (give run() a fresh one: context=contextvars.copy_context())"
)
_FAR_OFF = 1e6
"""Seconds: longer than any call, and short enough for a socket's timeout."""

# A context variable: tasks inherit it as they are made, and threads that this library starts run in a copy of
# the context of the code that started them.
_current: ContextVar[Deadline | None] = ContextVar("resilient_ddb.deadline", default=None)

current_deadline = _current.get


def is_beyond_deadline(seconds: float) -> bool:
    """Return whether the deadline passes before a wait of so many seconds is over."""
    deadline = _current.get()
    return deadline is not None and seconds >= deadline.remaining()


def _far_off() -> Deadline:
    return Deadline(SYSTEM_CLOCK.monotonic() + _FAR_OFF, SYSTEM_CLOCK)


def earliest(new: Deadline, outer: Deadline | None) -> Deadline:
    """Return which of two deadlines comes first; they may go by different clocks. What stops the outer stops either."""
    if outer is None:
        return new
    if new.remaining() >= outer.remaining():
        return outer
    return new.stopped_by(*outer.stops) if outer.stops else new


class LambdaContext(Protocol):
    """What `lambda_deadline` asks of AWS Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that are left of the invocation."""
        ...


class Bound:
    """What `deadline` and `no_deadline` return: `with` holds what is below to it; as a decorator, each call."""

    def __init__(self, seconds: float | None, clock: Clock, *, lifts: bool) -> None:
        """Bound by `seconds` from its beginning, or by nothing; `lifts`: what bounds it from outside does not hold."""
        self._seconds = seconds
        self._clock = clock
        self._lifts = lifts
        self._token: Token[Deadline | None] | None = None
        self._made: Deadline | None = None

    def __enter__(self) -> Deadline:
        if self._token is not None:
            raise RuntimeError("this deadline is in use already: make one for each 'with'")
        outer = _lifted(_current.get()) if self._lifts else _current.get()
        new = Deadline(self._clock.monotonic() + (math.inf if self._seconds is None else self._seconds), self._clock)
        holds = outer if self._seconds is None else earliest(new, outer)
        self._made = None if holds is outer else holds
        self._token = _current.set(holds)
        return new

    def __exit__(self, *_: object) -> None:
        token, self._token = self._token, None
        if self._made is not None:
            self._made.block.has_ended = True
        if token is not None:
            with suppress(ValueError):  # a coroutine that is closed from elsewhere: that context is not its own
                _current.reset(token)

    def __call__(self, function: F) -> F:
        """Return a function, plain or `async def`, each call of which has the deadline."""
        check_callable("function", function, takes="whatever it takes")
        if is_async(function):

            @wraps(function)
            async def bounded_async(*args: Any, **kwargs: Any) -> Any:
                with self._anew():
                    return await function(*args, **kwargs)

            return cast("F", bounded_async)

        @wraps(function)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            with self._anew():
                return function(*args, **kwargs)

        return cast("F", bounded)

    def _anew(self) -> Bound:
        return Bound(self._seconds, self._clock, lifts=self._lifts)


def _lifted(outer: Deadline | None) -> Deadline | None:
    """Return what is left of a deadline that is lifted: what may stop it."""
    return _far_off().stopped_by(*outer.stops) if outer is not None and outer.stops else None


@names_checked
def deadline(seconds: float | None, *, clock: Clock = SYSTEM_CLOCK) -> Bound:
    """Bound everything below: it has `seconds`.

    Within the block no attempt begins after the deadline, and no back-off begins that would end after it: the call
    raises `DeadlineExceededError` at once instead. An async attempt under way is cancelled at the deadline; a
    sync one ends with it, connecting, sending or reading. Off the fast path it ends with its read timeout, which is
    cut to what is left.
    Deadlines nest: the earliest holds. Works in threads and tasks alike, as `with`, in async code too.

    As a decorator, `@deadline(2)`, it bounds each call of a function, plain or `async def`.

    Args:
        seconds: how long, from the beginning of the block, or of each call. 0 means: nothing may be sent any more.
            None: no limit is added; the one that there is outside holds.
        clock: a monotonic clock; the machine's by default.

    Raises:
        TypeError, ValueError: `seconds` is no number, negative, or not finite. As a decorator, `TypeError`: what is
            decorated is no function, or is a generator's, which runs when others read on: use `with` there.
    """
    if seconds is not None:
        check_number("seconds", seconds, least=0)
    return Bound(seconds, clock, lifts=False)


def no_deadline() -> Bound:
    """Lift the deadline that there is: nothing below is bound by it.

    For work in the background, which inherits the context of the request that starts it. `with`, or a decorator. The
    policy's `Timeouts(call=...)` still holds.
    """
    return Bound(None, SYSTEM_CLOCK, lifts=True)


@contextmanager
@names_checked
def lambda_deadline(context: LambdaContext, margin: float = 0.5) -> Iterator[Deadline]:
    """Bound everything below by the time that is left of a Lambda invocation, less a margin to answer in.

    Args:
        context: Lambda's context object, the handler's second argument.
        margin: seconds kept back.

    Raises:
        TypeError: `context` has no `get_remaining_time_in_millis`.
        ValueError: `margin` is negative.
    """
    check_number("margin", margin, least=0)
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    if remaining is None:
        raise TypeError(
            "context must be the context object that Lambda gives to a handler, with "
            f"get_remaining_time_in_millis(); got {type(context).__name__}"
        )
    with deadline(max(0.0, remaining() / 1000 - margin)) as made:
        yield made
