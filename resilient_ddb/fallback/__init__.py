"""What to answer when DynamoDB can't: `rddb.fallback.stale(...) | rddb.fallback.replica(...) | my_function`.

A fallback is any callable `(call, error) -> response`, async where the table is. It is asked about reads, when the
circuit is open or retries are exhausted; never after a permanent error. One made by `function(..., writes=True)` is
asked about writes as well. It is never asked after a conditional check, nor about a write that may have been applied
and may not be repeated. Giving None means "no answer": the next in the chain is asked. What the last one raises
reaches the caller.
"""

from __future__ import annotations

import copy
import math
import pickle
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from resilient_ddb.dynamodb.operations import READS, Params, operation_kind
from resilient_ddb.errors import DeadlineExceededError
from resilient_ddb.events import Record
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.checks import check_fallback, check_number, check_whole
from resilient_ddb.policy.clock import Clock, Passing
from resilient_ddb.policy.deadlines import is_beyond_deadline
from resilient_ddb.policy.forks import tell_child

if TYPE_CHECKING:
    from .item_marks import Written
    from .remembered import Remembered

__all__ = ["Call", "function", "replica", "response", "stale"]

Response = dict[str, Any]
UNANSWERED: ContextVar[bool] = ContextVar("resilient_ddb.calls.unanswered", default=False)
"""Set where a call is not to be answered by fallbacks: within one, and where a stand-in for the item won't do."""


class Call(Record):
    """The call that a fallback is asked to answer."""

    _unprinted = frozenset(("params", "identity"))

    operation: str
    """The operation, as the service spells it: `GetItem`."""
    params: Mapping[str, Any]
    """The call's parameters, as the application gave them. Not to be changed."""
    table: str | None
    """The table's name, or None if the call names none, or several."""
    identity: tuple[Any, ...]
    """Who asks whom: credentials, region, endpoint, and whether values are native. Hashable."""
    clock: Clock
    """The policy's clock."""
    elsewhere: Callable[[str, str | None], Any]
    """Makes the same call in another region: `(region, endpoint_url)`. Awaitable on the async client."""
    began: float = math.inf
    """When the call began, on `clock`'s monotonic time; not told: infinity."""

    @property
    def is_read(self) -> bool:
        """Return whether the call reads items and changes nothing."""
        return self.operation in READS


FallbackFunction = Callable[[Call, Exception], Response | Awaitable[Response | None] | None]


class Fallback(ABC):
    """Base of the fallbacks here; `|` chains them, with each other and with any callable."""

    name = "fallback"
    writes = False
    """Whether it is asked about writes as well."""
    marks_itself = False
    """Whether its answers say by themselves where they came from."""

    @abstractmethod
    def __call__(self, call: Call, error: Exception) -> Any:
        """Answer `call`, or give None."""

    def remember(self, call: Call, response: Response) -> None:  # noqa: B027 - most have nothing to remember
        """Record a good answer. Does nothing, unless a fallback says otherwise."""

    def forget(self, call: Call) -> None:  # noqa: B027 - as above
        """Record a write that was made, or may have been. Does nothing, unless a fallback says otherwise."""

    def __or__(self, other: FallbackFunction) -> Chain:
        """Ask `other` where this has no answer."""
        return Chain(self, other)

    def __ror__(self, other: FallbackFunction) -> Chain:
        """Ask this where `other` has no answer."""
        return Chain(other, self)


class Chain(Fallback):
    """Fallbacks asked in turn, until one answers."""

    name = "chain"

    def __init__(self, *members: FallbackFunction) -> None:
        """Ask `members` in this order.

        Raises:
            TypeError: one of them can't be called.
        """
        flat: list[FallbackFunction] = []
        for member in members:
            check_fallback(member)
            flat.extend(member.members if isinstance(member, Chain) else [member])
        self.members: tuple[FallbackFunction, ...] = tuple(flat)
        self.remembering = tuple(
            member for member in flat if isinstance(member, Fallback) and type(member).remember is not Fallback.remember
        )

    def __call__(self, call: Call, error: Exception) -> Any:
        """Return nothing: the members are asked one by one, as the call ends."""
        del call, error

    def __repr__(self) -> str:
        own = (repr(member) if isinstance(member, Fallback) else name_of(member) for member in self.members)
        return " | ".join(own)


def _nothing(_: Remembered) -> None:
    """Run only what is done in any case."""


class Stale(Fallback):
    """See `stale`."""

    name = "stale"
    marks_itself = True

    def __init__(self, max_age: float, max_items: int, max_bytes: int) -> None:
        """Keep answers for `max_age` seconds, `max_items` at most, of `max_bytes` together."""
        check_number("max_age", max_age, above=0)
        check_whole("max_items", max_items, least=1)
        check_whole("max_bytes", max_bytes, least=1)
        self._max_age = max_age
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._begin()
        tell_child(self)

    def _begin(self) -> None:
        from .remembered import Remembered  # noqa: PLC0415 - only where it is used

        self._answers = Remembered(self._max_items, self._max_bytes)
        self._lock = threading.RLock()
        self._is_at_work = False
        self._passing = Passing()
        self._ended: deque[tuple[str | None, Written, float]] = deque()
        """What writes that have ended may have changed, and when: not dropped yet."""

    def _in_child(self) -> None:
        """Begin anew in a forked process, where a thread of the parent was at work: it may have been in the middle.

        An answer that a write must drop might not be found then.
        """
        self._lock = threading.RLock()
        if self._is_at_work:
            self._begin()

    def _in_turn(self, work: Callable[[Remembered], Any]) -> Any:
        """Call something with the answers, and drop those that a write may have changed meanwhile.

        The garbage collector may end a write that was left, within anything, and on this very thread: it can't wait.
        """
        with self._lock:
            if self._is_at_work:
                return None
            self._is_at_work = True
            try:
                self._drop_written()  # what an interrupt has left
                result = work(self._answers)
                self._drop_written()
            finally:
                self._is_at_work = False
            return result

    def _drop_written(self) -> None:
        while self._ended:
            self._answers.drop_written(*self._ended[0])
            self._ended.popleft()

    def remember(self, call: Call, response: Response) -> None:
        """Keep the answer to a read."""
        from .item_marks import marks_of_read  # noqa: PLC0415 - as above

        key = self._key(call)
        if key is None or response.get("UnprocessedKeys"):  # a partial answer must not pass for a whole one
            return
        # A pickle, not a copy: it can't be changed by the caller, and takes a fifth of deepcopy's time.
        content = pickle.dumps(response, pickle.HIGHEST_PROTOCOL)
        marks = marks_of_read(call.operation, call.params)

        def keep(answers: Remembered) -> None:
            now = self._passing.now(call.clock)
            answers.drop_before(now - self._max_age)
            answers.keep(key, content, marks, began=call.began, at=now)

        self._in_turn(keep)

    def forget(self, call: Call) -> None:
        """Drop the answers that a write may have changed."""
        from .item_marks import written_by  # noqa: PLC0415 - as above

        now = call.clock.monotonic()
        self._ended.extend((table, written, now) for table, written in written_by(call.operation, call.params))
        self._in_turn(_nothing)

    def __call__(self, call: Call, error: Exception) -> Response | None:
        """Return the last good answer to the same read, marked with its age."""
        del error
        key = self._key(call)

        def find(answers: Remembered) -> tuple[float, bytes] | None:
            now = self._passing.now(call.clock)
            answers.drop_before(now - self._max_age)
            kept = None if key is None else answers.get(key)
            return None if kept is None else (now - kept[0], kept[1])

        found = self._in_turn(find)
        if found is None:
            return None
        age, content = found
        response: Response = pickle.loads(content)  # noqa: S301 - what `remember` made, never from outside
        return mark(response, stale=True, age=age)

    def memory(self) -> tuple[int, int, int]:
        """Return how many answers are kept, the bytes that they take, about, and those that they may take."""
        answers = self._answers
        return len(answers), answers.size, self._max_bytes

    def _key(self, call: Call) -> Any:
        if not call.is_read:
            return None
        try:
            key = (call.operation, call.identity, freeze(call.params))
            hash(key)
        except TypeError:  # a value that can't be compared, and so can't be found again
            return None
        return key

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the settings, without the answers: they belong to this process and its credentials."""
        return {"max_age": self._max_age, "max_items": self._max_items, "max_bytes": self._max_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # the recipe is the constructor's

    def __repr__(self) -> str:
        return f"fallback.stale(max_age={self._max_age!r}, max_items={self._max_items}, max_bytes={self._max_bytes})"


class Replica(Fallback):
    """See `replica`."""

    name = "replica"
    marks_itself = True

    def __init__(self, region: str, endpoint_url: str | None) -> None:
        """Ask in `region`."""
        if not isinstance(region, str) or not region:
            raise TypeError(f"region must be a region's name, such as 'us-west-2'; got {region!r}")
        self._region = region
        self._endpoint_url = endpoint_url

    def __call__(self, call: Call, error: Exception) -> Any:
        """Make the same read in the other region. Past the deadline, no client is made for that."""
        del error
        if not call.is_read:
            return None
        if is_beyond_deadline(0.0):
            raise DeadlineExceededError(operation_name=call.operation, attempts=0)
        return call.elsewhere(self._region, self._endpoint_url)

    def __repr__(self) -> str:
        endpoint = "" if self._endpoint_url is None else f", endpoint_url={self._endpoint_url!r}"
        return f"fallback.replica({self._region!r}{endpoint})"


class FixedResponse(Fallback):
    """See `response`."""

    name = "response"

    def __init__(self, answer: Mapping[str, Any]) -> None:
        """Answer reads with `answer`."""
        if not isinstance(answer, Mapping):
            raise TypeError(f"answer must be a mapping such as {{'Item': {{...}}}}; got {type(answer).__name__}")
        self._response = copy.deepcopy(dict(answer))

    def __call__(self, call: Call, error: Exception) -> Response | None:
        """Return a copy of the response to a read."""
        del error
        return copy.deepcopy(self._response) if call.is_read else None

    def __repr__(self) -> str:
        return "fallback.response(...)"  # what it holds is an item


class Function(Fallback):
    """See `function`."""

    def __init__(self, called: FallbackFunction, *, writes: bool) -> None:
        """Ask `called`, about writes as well where `writes` says so."""
        check_fallback(called)
        if isinstance(called, Fallback):
            raise TypeError(f"called must be a function of your own; got the fallback {called.name!r}: use it as it is")
        if not isinstance(writes, bool):
            raise TypeError(f"writes must be True or False; got {type(writes).__name__}")
        self.called = called
        self.writes = writes
        self.name = name_of(called)

    def __call__(self, call: Call, error: Exception) -> Any:
        """Return what the function gives."""
        return self.called(call, error)

    def __repr__(self) -> str:
        return f"fallback.function({self.name}, writes={self.writes})"


@names_checked
def stale(max_age: float = 300.0, max_items: int = 10_000, max_bytes: int = 64 * 1024**2) -> Fallback:
    """Answer a read with the last good answer to the same read.

    The answer says so: `response["ResponseMetadata"]["Resilience"] == {"stale": True, "age": seconds}`. Answers
    are kept apart by credentials, region and endpoint, so that no tenant sees another's. A write by the same client, or
    one of its Tables, drops those that it may have changed.

    Args:
        max_age: seconds after which an answer is no longer given, nor kept.
        max_items: answers kept in memory at most; the one least recently given by DynamoDB goes first.
        max_bytes: bytes that they take in memory at most, about; the same one goes first. A larger answer is not kept.

    Raises:
        TypeError, ValueError: a value is of the wrong type or out of range.
    """
    return Stale(max_age, max_items, max_bytes)


@names_checked
def replica(region: str, *, endpoint_url: str | None = None) -> Fallback:
    """Answer a read from a global table's replica in another region.

    The answer says so: `response["ResponseMetadata"]["Resilience"] == {"replica": region}`. A replica may lag
    behind, also for consistent reads. Writes are never sent there. The same credentials are used.

    Args:
        region: the other region's name.
        endpoint_url: the endpoint to use there; the region's own if left out.

    Raises:
        TypeError: `region` is no region's name.
    """
    return Replica(region, endpoint_url)


@names_checked
def response(answer: Mapping[str, Any]) -> Fallback:
    """Answer every read of items with one response, such as `{"Item": {...}}`.

    The answer says so: `response["ResponseMetadata"]["Resilience"] == {"fallback": "response"}`. A write is never
    answered: nobody would know that it was not done.

    Args:
        answer: what to answer, in the shape of the operation's response. Each call gets a copy of its own.

    Raises:
        TypeError: `answer` is no mapping.
    """
    return FixedResponse(answer)


@names_checked
def function(called: FallbackFunction, *, writes: bool = False) -> Fallback:
    """Answer by a function of your own, as the function does by itself; and say whether it is asked about writes too.

    An answer to a write tells the caller that it was made. Nothing is asked about a table, such as `DescribeTable`.
    An answer says that it is a fallback's: `response["ResponseMetadata"]["Resilience"]["fallback"]` is the function's
    name, beside what the function says there: `"cache": True` or `"stale": True`, and `"age"` in seconds.

    Args:
        called: `(call, error)`, which returns a response, or None if it has no answer. Async for the async Table.
        writes: whether it is asked about writes, where these were surely not made, or may be made twice.

    Raises:
        TypeError: `called` can't be called so, or `writes` is no bool.
    """
    return Function(called, writes=writes)


for _factory in (stale, replica, response, function):
    _factory.makes_fallback = True  # type: ignore[union-attr]  # the parentheses are easily forgotten


def is_asked(member: FallbackFunction, operation: str, params: Params) -> bool:
    """Return whether a fallback is asked about an operation: about a read; about a write only if it was made so."""
    kind = operation_kind(operation, params)
    return kind == "read" or (kind == "write" and isinstance(member, Fallback) and member.writes)


def may_raise(member: FallbackFunction) -> bool:
    """Return whether what a fallback raises is for the caller: what a function of the caller's own does."""
    return not isinstance(member, Fallback) or isinstance(member, Function)


def name_of(member: FallbackFunction) -> str:
    """Return what a fallback is called in answers, events and notes."""
    return str(getattr(member, "name", None) or getattr(member, "__name__", type(member).__name__))


def marks_of(member: FallbackFunction, said: Any) -> dict[str, Any]:
    """Return where a fallback's answer came from: what it said itself, and that it is that fallback's."""
    marks = dict(said) if isinstance(said, Mapping) else {}
    if not isinstance(marks.get("age"), int | float):
        marks.pop("age", None)  # ages of several answers are compared
    if not (isinstance(member, Fallback) and member.marks_itself):
        marks["fallback"] = name_of(member)
    return marks


def mark(response: Response, **facts: Any) -> Response:
    """Write into a response where it came from."""
    response.setdefault("ResponseMetadata", {})["Resilience"] = facts
    return response


def freeze(value: Any) -> Any:
    """Return a hashable stand-in for a parameter, equal for equal parameters whatever their order.

    Raises:
        TypeError: a value can't be hashed.
    """
    if isinstance(value, Mapping):
        return ("map", frozenset((key, freeze(member)) for key, member in value.items()))
    if isinstance(value, (list, tuple)):
        return ("list", tuple(freeze(member) for member in value))
    if isinstance(value, (set, frozenset)):
        return ("set", frozenset(freeze(member) for member in value))
    if hasattr(value, "get_expression"):  # boto3's Key and Attr conditions
        return (type(value).__name__, freeze(value.get_expression()))
    if type(value).__module__ == "boto3.dynamodb.conditions":  # an attribute's name within one
        return (type(value).__name__, value.name)
    plain = bytes(value) if isinstance(value, bytearray) else getattr(value, "value", value)
    return (type(value).__name__, plain)


def __dir__() -> list[str]:
    return sorted(__all__)
