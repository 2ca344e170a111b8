"""Deadlines: a time after which nothing below sleeps, and no attempt begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from .checks import check_number
from .clock import SYSTEM_CLOCK, Clock


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock."""

    at: float
    clock: Clock
    has_ended: bool = field(default=False, init=False, compare=False)
    """Whether its block has ended: what still goes by it was begun there, or has a copy of the context of then."""

    def remaining(self) -> float:
        """Return the seconds left; negative once it has passed."""
        return self.at - self.clock.monotonic()

    def words_of_end(self) -> str:
        """Return what is to be said if it is met after its block has ended; nothing before."""
        return _ENDED if self.has_ended else ""


_ENDED = (
    "the deadline is that of a block that has ended: a task that was begun there keeps it, and an asyncio.Runner "
    "keeps the context of its first run (give run() a fresh one: context=contextvars.copy_context())"
)
_FAR_OFF = 1e6
"""Seconds: longer than any call, and short enough for a socket's timeout."""

# A context variable: tasks inherit it as they are made, and threads that this library starts run in a copy of
# the context of whoever started them.
_current: ContextVar[Deadline | None] = ContextVar("resilient_ddb.deadline", default=None)

current_deadline = _current.get


class Stop:
    """Ends calls under way at their next attempt, wait or deadline check, as if a deadline had come."""

    is_set = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Hold the calls within to this, beside the deadline that there is."""
        outer = _current.get()
        _current.set(_UntilStopped(self, outer))
        try:
            yield
        finally:
            _current.set(outer)  # a token could not be used where a coroutine is closed from elsewhere


class _UntilStopped(Deadline):
    __slots__ = ("_outer", "_stop")

    def __init__(self, stop: Stop, outer: Deadline | None) -> None:
        far_off = Deadline(SYSTEM_CLOCK.monotonic() + _FAR_OFF, SYSTEM_CLOCK)
        outer = outer or far_off
        super().__init__(outer.at, outer.clock)
        object.__setattr__(self, "_outer", outer)
        object.__setattr__(self, "_stop", stop)

    def remaining(self) -> float:
        """Return the seconds left: none once it was stopped."""
        return 0.0 if self._stop.is_set else self._outer.remaining()  # type: ignore[attr-defined]  # slots of its own

    def words_of_end(self) -> str:
        """Return what is to be said of the deadline that it stands beside."""
        return self._outer.words_of_end()  # type: ignore[attr-defined, no-any-return]  # as above


class LambdaContext(Protocol):
    """What `lambda_deadline` asks of AWS Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that are left of the invocation."""
        ...


@contextmanager
def deadline(seconds: float, *, clock: Clock = SYSTEM_CLOCK) -> Iterator[Deadline]:
    """Bound everything below: it has `seconds`.

    Within the block no attempt begins after the deadline, and no back-off begins that would end after it: the call
    raises `DeadlineExceededError` at once instead. An async attempt under way is cancelled at the deadline; a
    sync one ends with it, connecting, sending or reading. Off the fast path it ends with its read timeout, which is
    cut to what is left where botocore allows it (1.43 and later).
    Deadlines nest: the earliest holds. Works in threads and tasks alike, as `with`, in async code too.

    Args:
        seconds: how long, from now. 0 means: nothing may be sent any more.
        clock: a monotonic clock; the machine's by default.

    Raises:
        TypeError, ValueError: `seconds` is no number, negative, or not finite.
    """
    check_number("seconds", seconds, least=0)
    new = Deadline(clock.monotonic() + seconds, clock)
    outer = _current.get()
    token = _current.set(new if outer is None or new.remaining() < outer.remaining() else outer)
    try:
        yield new
    finally:
        object.__setattr__(new, "has_ended", True)
        _current.reset(token)


@contextmanager
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
