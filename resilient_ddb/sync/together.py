"""Calls made at the same time on threads: a batch writer's, and the sync Table's way to read several partition keys."""

from __future__ import annotations

import _thread
import contextvars
import os
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from resilient_ddb.policy.forks import tell_child

K = TypeVar("K")


class _Room:
    """Room for calls on threads, as much as a client has connections."""

    def __init__(self) -> None:
        self._in_child()
        tell_child(self)

    def _in_child(self) -> None:
        """Begin anew: a forked process has none of the threads that would give their room back."""
        self._by_meta: weakref.WeakKeyDictionary[Any, SimpleQueue[None]] = weakref.WeakKeyDictionary()
        # By a client's `meta`, which its views share.

    def of(self, client: Any) -> SimpleQueue[None]:
        meta = client.meta
        slots = self._by_meta.get(meta)
        if slots is None:
            slots = SimpleQueue()
            for _ in range(meta.config.max_pool_connections):
                slots.put(None)
            slots = self._by_meta.setdefault(meta, slots)  # another thread may have been quicker
        return slots


_room = _Room()


def together(client: Any, calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make calls at the same time, as many as the client has connections, and return what each gave or raised.

    Each call has the caller's context variables, such as its deadline. One for which there is no room is made here:
    calls that make calls in turn never wait for each other's room.
    """
    if len(calls) == 1:
        return [_outcome(calls[0])]
    slots, under_way = _room.of(client), Calls[int]()
    outcomes: dict[int, Any] = {}
    numbers = iter(range(len(calls)))
    number = next(numbers, None)
    while len(outcomes) < len(calls):
        while number is not None and _take(slots):
            under_way.begin(number, partial(_in_slot, slots, calls[number]))
            number = next(numbers, None)
        if not under_way and number is not None:
            outcomes[number] = _outcome(calls[number])
            number = next(numbers, None)
        outcomes.update(under_way.collect())
    return [_raised(outcomes[number]) for number in range(len(calls))]


def _take(slots: SimpleQueue[None]) -> bool:
    try:
        slots.get_nowait()
    except Empty:
        return False
    return True


def _in_slot(slots: SimpleQueue[None], call: Callable[[], Any]) -> Any:
    try:
        return _outcome(call)
    finally:
        slots.put(None)


def _raised(outcome: Any) -> Any:
    if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
        raise outcome
    return outcome


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - the flow decides what it means
        return error


class Calls(Generic[K]):
    """Calls under way, each on a thread. One thread begins and collects them, and Ctrl-C may interrupt it.

    It can do so between any two lines of Python. `threading.Thread.start`, futures and executors take their locks in
    Python: interrupted there, they leave one taken, and the thread that makes the call waits for it for ever. What is
    used here takes none, or takes and releases it within one step.
    """

    _threads: Sequence[_Thread] = ()
    """As many as calls were under way at once."""

    def __init__(self) -> None:
        self._calls: list[_Call[K]] = []
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Make the calls under way by new threads: in a forked process, those that make them are the parent's."""
        self._process = os.getpid()
        self._waiting: SimpleQueue[_Call[K] | None] = SimpleQueue()
        self._arrivals: SimpleQueue[None] = SimpleQueue()
        """Wakes up the collector. An outcome is kept by its call, so that none is lost with what was taken here."""
        self._threads = ()
        for call in self._calls:
            call.begin_anew()

    def begin(self, key: K, call: Callable[[], Any]) -> None:
        """Make a call, in a copy of the caller's context: its deadline holds."""
        self._calls.append(_Call(key, call))
        self._begin_all()

    def _begin_all(self) -> None:
        """Begin the calls that are not yet begun.

        An interrupt leaves one that is marked as not begun, or a thread as not started: it is done again, and then may
        be done twice. A further thread does no harm, and a call is made once.
        """
        if self._process != os.getpid():  # seen here: the hook of a fork would cost each call a weak reference
            self._begin_anew()
        for call in self._calls:
            if not call.is_begun:
                self._waiting.put(call)
                call.is_begun = True
        self._threads = [thread for thread in self._threads if thread.is_started]
        while len(self._threads) < len(self._calls):
            thread = _Thread()
            self._threads = [*self._threads, thread]
            _thread.start_new_thread(_make_calls, (self._waiting, self._arrivals))
            thread.is_started = True

    def __bool__(self) -> bool:
        return bool(self._calls)

    def holds(self, key: K) -> bool:
        """Return whether the call of a key was begun, and is still to be collected. If not, it is never made."""
        found = next((call for call in self._calls if call.key is key), None)
        return found is not None and not found.take_back()

    def collect(self) -> list[tuple[K, Any]]:
        """Wait until a call has ended; return the keys of all that have, each with what it gave or raised.

        Nothing is waited for where none is under way.
        """
        while True:
            self._calls = [call for call in self._calls if not call.is_taken_back]
            if not self._calls:
                return []
            over = [call for call in self._calls if call.is_over]
            if over:
                self._calls = [call for call in self._calls if call not in over]
                return [(call.key, call.take_outcome()) for call in over]
            self._begin_all()
            self._arrivals.get()

    def __del__(self) -> None:
        for _ in self._threads:
            self._waiting.put(None)


def _make_calls(waiting: SimpleQueue[_Call[Any] | None], arrivals: SimpleQueue[None]) -> None:
    """Make calls until there will be no more: on a thread, which knows nothing of the object that began it."""
    while True:
        call = waiting.get()
        if call is None:
            return
        if call.make():
            arrivals.put(None)
        del call


class _Thread:
    is_started = False


class _Call(Generic[K]):
    __slots__ = ("_call", "_claims", "_context", "_outcome", "is_begun", "is_over", "key")

    def __init__(self, key: K, call: Callable[[], Any]) -> None:
        self.key = key
        self.is_begun = self.is_over = False
        self._call = call
        self._context = contextvars.copy_context()
        self._outcome: Any = None
        self._claims: list[object] = []
        """Who wants to make the call, or wants it not to be made. The first one decides."""

    def begin_anew(self) -> None:
        """Allow another thread to make the call, unless it is over or was taken back."""
        if not self.is_over and not self.is_taken_back:
            self.is_begun, self._claims, self._context = False, [], self._context.copy()  # the parent is within it

    @property
    def is_taken_back(self) -> bool:
        return bool(self._claims) and self._claims[0] is self

    def take_back(self) -> bool:
        self._claims.append(self)
        return self.is_taken_back

    def make(self) -> bool:
        mine = object()
        self._claims.append(mine)
        if self._claims[0] is not mine:
            return False
        try:
            self._outcome = self._context.run(self._call)
        except BaseException as error:  # noqa: BLE001 - raised, or judged, by the collector
            self._outcome = error
        self.is_over = True
        return True

    def take_outcome(self) -> Any:
        """Return what the call gave or raised, and keep no hold on it: an error's traceback leads back to here."""
        outcome, self._outcome = self._outcome, None
        return outcome
